//! The model file: bytes, strictness, its digest, and the format's own reader as judge.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use lungfish_models::{ModelFile, Tensor, UnreadableKind, WeightsError, read_weights};
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
    assert_eq!(ModelFile::read_sealed(&path).unwrap(), file);
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

/// The file as versions before the digest wrote it, with `digest` as an entry of somebody else's where there is one.
fn older(file: &ModelFile, digest: Option<&str>) -> Vec<u8> {
    let bytes = file.to_bytes().unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let metadata = header["__metadata__"].as_object_mut().unwrap();
    assert!(metadata.remove("digest").is_some());
    metadata.extend(digest.map(|text| ("digest".to_owned(), text.into())));
    let text = header.to_string();
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &bytes[end..]].concat()
}

#[test]
fn older_files_are_read_as_ever() {
    let mut file = sample();
    assert_eq!(ModelFile::from_bytes(&older(&file, None)).unwrap(), file);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.safetensors");
    std::fs::write(&path, older(&file, None)).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap(), file);
    let unsealed = ModelFile::read_sealed(&path).unwrap_err().to_string();
    assert!(unsealed.ends_with("old.safetensors: it has lost its digest: it was changed or is damaged"), "{unsealed}");
    let foreign = older(&file, Some("sixteen pages"));
    file.metadata.insert("digest".into(), "sixteen pages".into());
    assert_eq!(ModelFile::from_bytes(&foreign).unwrap(), file);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = sample().to_bytes().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let damaged = |error: WeightsError, path: &Path| {
        assert!(matches!(error, WeightsError::Unreadable { kind: UnreadableKind::Damaged, .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(&path.display().to_string()) && said.contains("it is damaged"), "{said}");
    };
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for at in data..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        damaged(ModelFile::read(&path).unwrap_err(), &path);
        damaged(read_weights(&path, &AtomicBool::new(false)).unwrap_err(), &path);
    }
    // In the header a bit may make it another thing altogether, but never the same file with other content.
    for at in 0..data {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        if let Ok(file) = ModelFile::read_sealed(&path) {
            assert_eq!(file, sample(), "byte {at}");
        }
    }
    // Nor are two weights exchanged, or a weight moved to a tensor of another name.
    let mut swapped = bytes.clone();
    swapped.swap(data, data + 4);
    swapped.swap(data + 1, data + 5);
    swapped.swap(data + 2, data + 6);
    swapped.swap(data + 3, data + 7);
    assert_ne!(swapped, bytes);
    assert!(ModelFile::from_bytes(&swapped).unwrap_err().to_string().contains("it is damaged"));
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
            WeightsError::Malformed { reason, .. } => reason,
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
    // LUNGFISH_FUZZ_CASES asks for more.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("LUNGFISH_FUZZ_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(256),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mutated_model_files_never_panic(
        sealed in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        // The digest refuses all that the header does not, so files without one are the harder half.
        let mut bytes = if sealed { sample().to_bytes().unwrap() } else { older(&sample(), None) };
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
