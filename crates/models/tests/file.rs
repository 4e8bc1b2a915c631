//! The model file: bytes, strictness, and the format's own reader as judge.

use lungfish_models::{ModelFile, Tensor, WeightsError};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};

fn sample() -> ModelFile {
    let mut file = ModelFile::default();
    file.metadata.insert("class_to_idx".into(), r#"{"NORMAL":0,"PNEUMONIA":1}"#.into());
    file.metadata.insert("architecture".into(), "resnet18".into());
    file.tensors
        .insert("conv1.weight".into(), Tensor { shape: vec![1, 2, 1, 2], data: vec![1.0, -0.0, 1e-40, f32::MAX] });
    file.tensors.insert("bn1.bias".into(), Tensor { shape: vec![3], data: vec![0.5, 0.25, -7.0] });
    file.tensors.insert("scalar".into(), Tensor { shape: vec![], data: vec![3.0] });
    file.tensors.insert("empty".into(), Tensor { shape: vec![0, 4], data: vec![] });
    file.bytes.insert("films.train".into(), vec![1, 2, 255]);
    file
}

#[test]
fn what_is_written_is_read() {
    let file = sample();
    let bytes = file.to_bytes().unwrap();
    assert_eq!(bytes, file.clone().to_bytes().unwrap());
    assert_eq!(ModelFile::from_bytes(&bytes).unwrap(), file);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap(), file);
    let nothing = ModelFile::default();
    assert_eq!(ModelFile::from_bytes(&nothing.to_bytes().unwrap()).unwrap(), nothing);
}

#[test]
fn the_formats_own_reader_agrees() {
    let bytes = sample().to_bytes().unwrap();
    let (length, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0);
    assert_eq!(header.metadata().as_ref().unwrap()["architecture"], "resnet18");
    assert_eq!(header.offset_keys(), ["bn1.bias", "conv1.weight", "empty", "scalar", "films.train"]);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("films.train").unwrap();
    assert_eq!((view.dtype(), view.shape(), view.data()), (Dtype::U8, [3].as_slice(), [1, 2, 255].as_slice()));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let sentence = |change: &dyn Fn(&mut ModelFile)| {
        let mut file = sample();
        change(&mut file);
        file.to_bytes().unwrap_err().to_string()
    };
    assert_eq!(
        sentence(&|f| f.tensors.get_mut("bn1.bias").unwrap().shape = vec![4]),
        "not a usable model file: bn1.bias has shape [4] and 3 elements"
    );
    assert!(sentence(&|f| drop(f.bytes.insert("bn1.bias".into(), vec![]))).contains("two tensors named bn1.bias"));
    assert!(sentence(&|f| drop(f.bytes.insert("__metadata__".into(), vec![]))).contains("reserved"));
}

#[test]
fn other_files_are_refused() {
    let refuse = |header: &str, data: &[u8]| {
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
        match ModelFile::from_bytes(&bytes).unwrap_err() {
            WeightsError::Malformed { reason } => reason,
            e => panic!("{e}"),
        }
    };
    let halves = refuse(r#"{"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#, &[0; 4]);
    assert_eq!(halves, "tensor w is F16 of shape [2]; a model file has F32, and U8 in one dimension");
    let pixels = refuse(r#"{"w":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}}"#, &[0; 4]);
    assert!(pixels.contains("U8 of shape [2, 2]"), "{pixels}");
    let numbers = refuse(r#"{"__metadata__":{"epoch":3}}"#, &[]);
    assert!(numbers.contains("not a usable safetensors file"), "{numbers}");
    let twice = refuse(
        r#"{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#,
        &[0; 4],
    );
    assert!(twice.contains("tensor w does not begin where"), "{twice}");
    let gap = refuse(r#"{"w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}"#, &[0; 4]);
    assert!(gap.contains("tensor w does not begin where"), "{gap}");
    let big = ModelFile::from_bytes(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap_err().to_string();
    assert!(big.contains("at most 100000000"), "{big}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, b"short").unwrap();
    let said = ModelFile::read(&path).unwrap_err().to_string();
    assert!(said.starts_with(&format!("cannot read weights from {}: ", path.display())), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_model_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample().to_bytes().unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // What is read must also be writable.
        if let Ok(file) = ModelFile::from_bytes(&bytes) {
            prop_assert!(file.to_bytes().is_ok());
        }
    }
}
