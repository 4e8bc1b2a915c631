//! Checkpoints as torch.save and safetensors write them (golden/models/checkpoints.py), and files
//! that nobody should have written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use lungfish_models::{Tensor, Tensors, UnreadableKind, Weights, WeightsError};
use proptest::prelude::*;

fn read(path: &Path) -> Result<Weights, WeightsError> {
    lungfish_models::read_weights(path, &AtomicBool::new(false))
}

fn read_weights(path: &Path) -> Result<Tensors, WeightsError> {
    read(path).map(|weights| weights.tensors)
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/checkpoints").join(name)
}

/// The state dict of the script's tiny network, in its order.
const TENSORS: [(&str, &[usize]); 14] = [
    ("conv1.weight", &[4, 3, 3, 3]),
    ("bn1.weight", &[4]),
    ("bn1.bias", &[4]),
    ("bn1.running_mean", &[4]),
    ("bn1.running_var", &[4]),
    ("layer1.0.conv1.weight", &[4, 4, 3, 3]),
    ("layer1.0.bn1.weight", &[4]),
    ("layer1.0.bn1.bias", &[4]),
    ("layer1.0.bn1.running_mean", &[4]),
    ("layer1.0.bn1.running_var", &[4]),
    ("fc.fc1.weight", &[6, 4]),
    ("fc.fc1.bias", &[6]),
    ("fc.fc2.weight", &[2, 6]),
    ("fc.fc2.bias", &[2]),
];

fn expected() -> Tensors {
    TENSORS
        .iter()
        .enumerate()
        .map(|(k, (name, shape))| {
            let n: usize = shape.iter().product();
            let data = (0..n).map(|i| (i % 61) as f32 / 8.0 - k as f32).collect();
            ((*name).to_owned(), Tensor { shape: shape.to_vec(), data })
        })
        .collect()
}

#[test]
fn state_dicts_in_every_format_and_float_type() {
    for name in ["plain-zip.pth", "plain-legacy.pth", "mixed.safetensors"] {
        assert_eq!(read_weights(&golden(name)).unwrap(), expected(), "{name}");
    }
}

/// The tensors below a prefix, without it.
fn below(tensors: &Tensors, prefix: &str) -> Tensors {
    tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone()))).collect()
}

#[test]
fn the_state_dict_inside_a_notebooks_checkpoint() {
    for name in ["notebook-zip.pth", "notebook-legacy.pth"] {
        let tensors = read_weights(&golden(name)).unwrap();
        assert_eq!(below(&tensors, "state_dict."), expected(), "{name}");
        // The head as a pickled module beside it, and nothing else: no moment of the optimiser.
        assert_eq!(below(&tensors, "fc."), below(&expected(), "fc."), "{name}");
        assert_eq!(tensors.len(), TENSORS.len() + 4, "{name}");
    }
}

#[test]
fn class_names_beside_a_state_dict_are_found() {
    let classes = |name: &str| read(&golden(name)).unwrap().classes;
    for name in ["notebook-zip.pth", "notebook-legacy.pth"] {
        assert_eq!(classes(name).unwrap(), ["NORMAL", "PNEUMONIA"], "{name}");
    }
    for name in ["plain-zip.pth", "plain-legacy.pth", "module.pth", "mixed.safetensors"] {
        assert_eq!(classes(name), None, "{name}");
    }
    // {"w": a tensor, "class_to_idx": {"B": 0, "A": 1}}, and the same with a place that is taken twice.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let with = |beside: &[u8]| {
        let mut pickle = one_tensor(b"K\x02\x85K\x01\x85");
        pickle.pop();
        pickle.extend_from_slice(beside);
        pickle.extend_from_slice(b"s.");
        fs::write(&path, legacy(&pickle, &[1.0, 2.0, 3.0, 4.0])).unwrap();
        read(&path).unwrap().classes
    };
    let indices = b"X\x0c\x00\x00\x00class_to_idx}(X\x01\x00\x00\x00BK\x00X\x01\x00\x00\x00AK\x01u";
    assert_eq!(with(indices).unwrap(), ["B", "A"]);
    let twice = b"X\x0c\x00\x00\x00class_to_idx}(X\x01\x00\x00\x00BK\x00X\x01\x00\x00\x00AK\x00u";
    assert_eq!(with(twice), None);
    let names = b"X\x0b\x00\x00\x00class_names](X\x01\x00\x00\x00BX\x01\x00\x00\x00Ae";
    assert_eq!(with(names).unwrap(), ["B", "A"]);
    // In a dictionary beside the weights, such as Lightning's hyper-parameters.
    let nested = [&b"X\x01\x00\x00\x00h}"[..], indices, b"s"].concat();
    assert_eq!(with(&nested).unwrap(), ["B", "A"]);
    let list = b"X\x07\x00\x00\x00classes](X\x01\x00\x00\x00BX\x01\x00\x00\x00Ae";
    assert_eq!(with(list).unwrap(), ["B", "A"]);

    let header =
        r#"{"__metadata__":{"class_to_idx":"{\"B\":0,\"A\":1}"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let path = folder.path().join("w.safetensors");
    fs::write(&path, safetensors(header, &[0; 4])).unwrap();
    assert_eq!(read(&path).unwrap().classes.unwrap(), ["B", "A"]);
}

#[test]
fn a_pickled_module_is_read_as_its_state_dict() {
    let head: Tensors =
        expected().into_iter().filter_map(|(name, t)| Some((name.strip_prefix("fc.")?.to_owned(), t))).collect();
    assert_eq!(head.len(), 4);
    assert_eq!(read_weights(&golden("module.pth")).unwrap(), head);
}

#[test]
fn names_are_kept_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let names = |file: &str| -> Vec<String> {
        let entry =
            |(i, name)| format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#, i * 4, i * 4 + 4);
        let header: Vec<String> = file.split(' ').enumerate().map(entry).collect();
        fs::write(&path, safetensors(&format!("{{{}}}", header.join(",")), &vec![0; header.len() * 4])).unwrap();
        read_weights(&path).unwrap().into_keys().collect()
    };
    for all in
        ["bn1.bias conv1.weight", "model.conv1.weight model_ema.conv1.weight", "state_dict.module.conv1.weight x"]
    {
        assert_eq!(names(all).join(" "), all);
    }
}

/// pytorch-reader is the judge where it can read at all; it refuses a checkpoint with an optimiser
/// object in it, which is why it does not read ours.
#[test]
fn another_reader_agrees() {
    for name in ["plain-zip.pth", "plain-legacy.pth"] {
        let theirs = pytorch_reader::PytorchReader::new(golden(name)).unwrap();
        let ours = read_weights(&golden(name)).unwrap();
        let mut compared = 0;
        for (tensor, theirs) in theirs.tensors() {
            if theirs.dtype() == pytorch_reader::DType::F32 {
                let bytes = theirs.read().unwrap();
                let data: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                assert_eq!(ours[tensor], Tensor { shape: theirs.shape().to_vec(), data }, "{name} {tensor}");
                compared += 1;
            }
        }
        assert_eq!(compared, 11, "{name}");
    }
    assert!(pytorch_reader::PytorchReader::new(golden("notebook-zip.pth")).is_err());
}

/// torch.save of a legacy file by hand: protocol, machine, `pickle`, the keys, one storage "0" if it is not empty.
fn legacy(pickle: &[u8], storage: &[f32]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend_from_slice(b"\x80\x02M\xe9\x03.\x80\x02}.");
    bytes.extend_from_slice(pickle);
    if storage.is_empty() {
        bytes.extend_from_slice(b"\x80\x02].");
        return bytes;
    }
    bytes.extend_from_slice(b"\x80\x02]X\x01\x00\x00\x000a.");
    bytes.extend_from_slice(&(storage.len() as u64).to_le_bytes());
    bytes.extend(storage.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// `{"w": tensor}` whose storage "0" of floats has 4 elements, with `sizes` its shape and strides.
fn one_tensor(sizes: &[u8]) -> Vec<u8> {
    let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04NtQ";
    [b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(", &storage[..], b"K\x00", sizes, b"tRs."]
        .concat()
}

#[test]
fn tensors_stay_inside_their_storage() {
    let storage = [1.0, 2.0, 3.0, 4.0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    // Shape (2, 2), strides (1, 2): a transposed view.
    fs::write(&path, legacy(&one_tensor(b"K\x02K\x02\x86K\x01K\x02\x86"), &storage)).unwrap();
    let read = read_weights(&path).unwrap();
    assert_eq!(read["w"], Tensor { shape: vec![2, 2], data: vec![1.0, 3.0, 2.0, 4.0] });
    assert_eq!(
        refusal("w.pth", &legacy(&one_tensor(b"K\x02K\x02\x86K\x01K\x03\x86"), &storage)),
        "its tensor w reaches beyond its storage"
    );
    // 2^31 - 1 squared elements with strides of nothing.
    let huge = b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86K\x00K\x00\x86";
    assert!(refusal("w.pth", &legacy(&one_tensor(huge), &storage)).contains("claim far more bytes"));
    let negative = b"J\xff\xff\xff\xff\x85K\x01\x85";
    assert_eq!(
        refusal("w.pth", &legacy(&one_tensor(negative), &storage)),
        "one of its tensors has a broken description"
    );
}

#[test]
fn pickles_that_grow_without_bound_are_refused() {
    // A dictionary of two entries that are one dictionary of two entries that are ...: 2^40 paths.
    let mut pickle = b"\x80\x02}q\x00".to_vec();
    for level in 0..40_u8 {
        pickle.extend_from_slice(&[b'}', b'q', level + 1, b'(']);
        for key in [b'a', b'b'] {
            pickle.extend_from_slice(&[b'U', 1, key, b'h', level]);
        }
        pickle.push(b'u');
    }
    pickle.push(b'.');
    assert_eq!(refusal("w.pth", &legacy(&pickle, &[])), "its dictionaries are nested beyond reason");
    assert_eq!(refusal("w.pth", &legacy(b"\x80\x02}.", &[1.0])), "its storage 0 belongs to nothing");
    let zeros = [b"\x80\x02".to_vec(), vec![b'N'; 2_000_000]].concat();
    assert_eq!(refusal("w.pth", &legacy(&zeros, &[1.0])), "its pickle has too many objects");
    let itself = b"\x80\x02}q\x00U\x01ah\x00s.";
    assert_eq!(refusal("w.pth", &legacy(itself, &[])), "its dictionaries are nested beyond reason");
}

#[test]
fn legacy_files_of_every_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let bytes = legacy(&one_tensor(b"K\x02K\x02\x86K\x02K\x01\x86"), &[1.0, 2.0, 3.0, 4.0]);
    let (start, rest) = bytes.split_at(2);
    assert_eq!(start, b"\x80\x02");
    for protocol in
        [&b"\x80\x03"[..], b"\x80\x04", b"\x80\x04\x95\x0d\0\0\0\0\0\0\0", b"\x80\x05\x95\x0d\0\0\0\0\0\0\0"]
    {
        fs::write(&path, [protocol, rest].concat()).unwrap();
        let read = read_weights(&path).unwrap();
        assert_eq!(read["w"], Tensor { shape: vec![2, 2], data: vec![1.0, 2.0, 3.0, 4.0] });
    }
}

#[test]
fn content_decides_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.bin");
    for name in ["plain-zip.pth", "plain-legacy.pth", "mixed.safetensors"] {
        fs::copy(golden(name), &path).unwrap();
        assert_eq!(read_weights(&path).unwrap(), expected(), "{name}");
    }
}

#[test]
fn a_pickle_that_asks_for_a_command_gets_none() {
    // Its state dict is good; the command beside it must stay data.
    let read = read_weights(&golden("hostile.pth"));
    assert!(!Path::new("lungfish-executed-a-pickle").exists());
    if let Ok(tensors) = read {
        assert_eq!(below(&tensors, "state_dict."), expected());
    }
}

/// Writes bytes to a file and reads them; the sentence of the error, which names the path.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let sentence = read_weights(&path).unwrap_err().to_string();
    let prefix = format!("cannot read weights from {}: ", path.display());
    assert!(sentence.starts_with(&prefix), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence[prefix.len()..].to_owned()
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn bad_safetensors_are_refused_in_one_sentence() {
    let big = [&100_000_001_u64.to_le_bytes()[..], b"{}"].concat();
    assert_eq!(refusal("a", &big), "its header claims 100000001 bytes; at most 100000000 are read");
    let cut = [&64_u64.to_le_bytes()[..], b"{}"].concat();
    assert_eq!(refusal("a", &cut), "its header claims 64 bytes and the file has 10: it is cut off");
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    assert_eq!(
        refusal("a", &safetensors(overlap, &[0; 12])),
        "tensor b does not begin where the one before it ends (overlapping or missing bytes)"
    );
    let shape = r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
    assert_eq!(refusal("a", &safetensors(shape, &[0; 8])), "a tensor's bytes do not match its shape");
    let one = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert_eq!(refusal("a", &safetensors(one, &[0; 9])), "its tensors do not cover the file: cut off or padded");
    assert_eq!(refusal("a", &safetensors(one, &[0; 7])), "its tensors do not cover the file: cut off or padded");
    let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
    assert!(refusal("a", &safetensors(huge, &[0; 8])).contains("overflow"));
    let integers = r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
    assert_eq!(refusal("a", &safetensors(integers, &[0; 8])), "it has no floating-point tensor");
    assert_eq!(refusal("a.safetensors", b""), "it is empty (0 bytes)");
    assert_eq!(refusal("a.safetensors", b"weights"), "not a safetensors file");
}

#[test]
fn other_files_are_refused_in_one_sentence() {
    assert_eq!(refusal("weights.pth", b""), "it is empty (0 bytes)");
    assert_eq!(refusal("weights.pth", b"x"), "not a PyTorch checkpoint (zip or legacy) and not safetensors");
    let kind = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.pth");
        fs::write(&path, bytes).unwrap();
        match read_weights(&path).unwrap_err() {
            WeightsError::Unreadable { kind, .. } => kind,
            e => panic!("{e}"),
        }
    };
    assert_eq!(kind(b"a film"), UnreadableKind::Foreign);
    assert_eq!(kind(&fs::read(golden("plain-zip.pth")).unwrap()[..2000]), UnreadableKind::Broken);
    assert_eq!(kind(&legacy(&[b'N'; 2_000_000], &[1.0])), UnreadableKind::Excessive);
    // By content, whatever the name says.
    for name in ["weights.pth", "weights.safetensors"] {
        assert!(refusal(name, b"<html>404 Not Found</html>").starts_with("it is a web page"));
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0d71\nsize 46830571\n";
        assert!(refusal(name, pointer).contains("`git lfs pull`"));
    }
    // What is cut off is said to be, with what there is of it.
    for (name, at) in [("plain-zip.pth", 0.5), ("plain-legacy.pth", 0.995), ("plain-legacy.pth", 0.9)] {
        let bytes = fs::read(golden(name)).unwrap();
        let some = (bytes.len() as f64 * at) as usize;
        let said = format!("it is cut off after {some} bytes: fetch or copy it again");
        assert_eq!(refusal("weights.pth", &bytes[..some]), said, "{name}");
    }
    assert_eq!(refusal("weights.pth", &fs::read(golden("plain-legacy.pth")).unwrap()[..200]), "its pickle is cut off");
    let folder = tempfile::tempdir().unwrap();
    assert!(read_weights(folder.path()).unwrap_err().to_string().ends_with(": it is a folder"));
    fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    let sentence = read_weights(folder.path()).unwrap_err().to_string();
    assert!(sentence.ends_with(": it is a folder: give the pytorch_model.bin in it"), "{sentence}");
    fs::write(folder.path().join("saved_model.pb"), "").unwrap();
    assert!(read_weights(folder.path()).unwrap_err().to_string().contains("a folder with a TensorFlow SavedModel"));
    assert!(read_weights(&folder.path().join("none.pth")).unwrap_err().to_string().contains("none.pth: "));
}

proptest! {
    // LUNGFISH_FUZZ_CASES asks for more.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("LUNGFISH_FUZZ_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(300),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Mutated files are read or refused; they never panic, hang or run out of memory.
    #[test]
    fn mutated_files_never_panic(
        which in 0..6_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        // Most structure lies in the first bytes of a legacy file and the last of a zip.
        near in prop::collection::vec((0..2000_usize, any::<bool>(), any::<u8>()), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let name = ["plain-zip.pth", "plain-legacy.pth", "notebook-zip.pth", "notebook-legacy.pth", "hostile.pth", "mixed.safetensors"][which];
        let mut bytes = fs::read(golden(name)).unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for (at, from_end, value) in near {
            let at = at % bytes.len();
            let at = if from_end { bytes.len() - 1 - at } else { at };
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mutated");
        fs::write(&path, &bytes).unwrap();
        match read_weights(&path) {
            Ok(tensors) => prop_assert!(!tensors.is_empty()),
            Err(e) => prop_assert!(e.to_string().contains("mutated")),
        }
    }

    /// Any bytes at all are a safetensors file, a checkpoint or an error.
    #[test]
    fn foreign_bytes_never_panic(
        magic in prop::sample::select(vec![&b""[..], b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x04}", b"(\x00\x00\x00\x00\x00\x00\x00{"]),
        body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("foreign");
        fs::write(&path, [magic, &body].concat()).unwrap();
        prop_assert!(read_weights(&path).is_err());
    }
}
