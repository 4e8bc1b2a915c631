//! What a file is that holds no weights which are read here, by its content: people are told its true name, and what to do.

use crate::error::Fault;

/// Bytes from a file's beginning that tell.
pub(crate) const ENOUGH: usize = 1024;

const WEB_PAGE: &str = "it is a web page and no file of weights: a download that met an error or asked for a login; fetch it \
                        again in a browser";
const HDF5: &str = "it is an HDF5 file, as Keras keeps its models: weights of TensorFlow are not read here";
const SAVED_MODEL: &str = "it is a TensorFlow SavedModel: weights of TensorFlow are not read here";
const ONNX: &str = "it is an ONNX model: give the file that torch.save wrote before it was exported";
const NUMPY: &str = "it is a file of NumPy: save the state dict itself, with torch.save or safetensors";
const PICKLE: &str = "it is a Python pickle that torch.save did not write: read it in Python and save its weights with \
                      torch.save(model.state_dict(), 'weights.pth')";
const TORCH_SCRIPT: &str = "it is a TorchScript archive: save its weights in Python with \
                            torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth') and give those";
const EXPORTED: &str = "it is a program of torch.export: save its weights in Python with \
                        torch.save(torch.export.load(FILE).state_dict, 'weights.pth') and give those";

/// The fault of bytes that are in none of the formats read here; `otherwise` where nobody knows what they are.
pub(crate) fn fault(bytes: &[u8], otherwise: &str) -> Fault {
    let Some(first) = bytes.first() else { return Fault::foreign("it is empty (0 bytes)") };
    Fault::foreign(match name(bytes) {
        Some(what) => what.to_owned(),
        None if *first == 0 && bytes.iter().all(|byte| *byte == 0) => {
            "it begins with zeros: a download or copy that never came to its end; fetch or copy it again".to_owned()
        }
        None => otherwise.to_owned(),
    })
}

/// What bytes are by how they begin.
fn name(bytes: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 16] = [
        (
            b"version https://git-lfs.github.com/spec/",
            "it is a pointer of Git LFS and not the file itself: get that with `git lfs pull`, or download it from the \
             repository's page",
        ),
        (b"\x89HDF\r\n\x1a\n", HDF5),
        (b"\x93NUMPY", NUMPY),
        (b"\x1f\x8b", "it is compressed with gzip: unpack it and give what is in it"),
        (b"BZh", "it is compressed with bzip2: unpack it and give what is in it"),
        (b"\xfd7zXZ\0", "it is compressed with xz: unpack it and give what is in it"),
        (b"\x28\xb5\x2f\xfd", "it is compressed with Zstandard: unpack it and give what is in it"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive: unpack it and give the file in it"),
        (b"Rar!\x1a\x07", "it is a RAR archive: unpack it and give the file in it"),
        (b"PK\x05\x06", "it is an empty zip archive"),
        (b"GGUF", "it is a GGUF file, of a language model"),
        (b"\xff\xd8\xff", "it is a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n", "it is a PNG picture"),
        (b"%PDF-", "it is a PDF document"),
        (b"\x80\x04\x95", PICKLE),
        (b"\x80\x05\x95", PICKLE),
    ];
    let start = |(magic, what): &(&[u8], &'static str)| bytes.starts_with(magic).then_some(*what);
    if let Some(what) = STARTS.iter().find_map(start) {
        return Some(what);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("it is a tar archive: unpack it and give the file in it");
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("it is a TensorFlow Lite model: weights of TensorFlow are not read here");
    }
    text(bytes).or_else(|| protocol_buffer(bytes)).or(match bytes {
        [0x80, 2..=5, ..] => Some(PICKLE),
        _ => None,
    })
}

/// Web pages and the like, by their first letters.
fn text(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let start = start[..start.len().min(16)].to_ascii_lowercase();
    let begins = |with: &[&str]| with.iter().any(|text| start.starts_with(text.as_bytes()));
    if begins(&["<!doctype html", "<html", "<head", "<body", "<script"]) {
        return Some(WEB_PAGE);
    }
    if begins(&["<?xml", "<error"]) {
        return Some("it is an XML text and no file of weights: a server's answer to a download that it refused");
    }
    if begins(&["{", "["]) && bytes.iter().all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace()) {
        return Some("it is a text of JSON and no file of weights: an index beside them, or a server's answer");
    }
    None
}

/// ONNX begins with its version, field 1 of a ModelProto, and then a producer, opsets or a graph; a SavedModel with its
/// schema's version, which is 1, and its MetaGraphDef.
fn protocol_buffer(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x08, 1, 0x12, _, ..] => Some(SAVED_MODEL),
        [0x08, 2..=30, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..] => Some(ONNX),
        _ => None,
    }
}

/// What a zip archive is that torch.save did not write, by the names in it.
pub(crate) fn archive<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    let any = |end: &str| {
        names.clone().any(|name| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))
    };
    if any("constants.pkl") {
        return Some(TORCH_SCRIPT);
    }
    if any("data.pkl") {
        return None;
    }
    if any("serialized_exported_program.json") || any("archive_format") {
        return Some(EXPORTED);
    }
    if any("model.weights.h5") {
        return Some("it is a model of Keras: weights of TensorFlow are not read here");
    }
    if any("saved_model.pb") {
        return Some("it is a zip archive with a TensorFlow SavedModel: weights of TensorFlow are not read here");
    }
    let mut arrays = names.clone().peekable();
    if arrays.peek().is_some() && arrays.all(|name| name.ends_with(".npy")) {
        return Some(NUMPY);
    }
    None
}

/// What a folder is, by the names in it.
pub(crate) fn folder(path: &std::path::Path) -> String {
    let has = |name: &str| path.join(name).is_file();
    if has("saved_model.pb") {
        return "it is a folder with a TensorFlow SavedModel: weights of TensorFlow are not read here".to_owned();
    }
    if has("data.pkl") || has("archive/data.pkl") {
        return "it is the unpacked folder of a PyTorch checkpoint: give the file that it was".to_owned();
    }
    match ["model.safetensors", "pytorch_model.bin", "best.safetensors"].into_iter().find(|name| has(name)) {
        Some(inner) => format!("it is a folder: give the {inner} in it"),
        None => "it is a folder".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_have_their_true_names() {
        let tar = [&[b'x'; 257][..], b"ustar\x0000", &[0; 600]].concat();
        let cases: [(&[u8], &str); 22] = [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0d71\nsize 46830571\n", "pointer of Git LFS"),
            (b"<!DOCTYPE html><html>quota exceeded</html>", "web page"),
            (b"\xef\xbb\xbf\n  <HTML><head>", "web page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML text"),
            (b"{\"metadata\": {\"total_size\": 1}, \"weight_map\": {}}", "text of JSON"),
            (b"\x89HDF\r\n\x1a\n\0\0\0\0", "HDF5"),
            (b"\x08\x08\x12\x07pytorch\x1a\x03", "ONNX"),
            (b"\x08\x07:\xff\x01", "ONNX"),
            (b"\x08\x01\x12\xb3\xda\x01\n", "TensorFlow SavedModel"),
            (b"\x1c\0\0\0TFL3\0\0", "TensorFlow Lite"),
            (b"\x93NUMPY\x01\0v\0{'descr'", "file of NumPy"),
            (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.", "Python pickle that torch.save did not write"),
            (b"\x80\x02}q\0.", "Python pickle that torch.save did not write"),
            (b"\x80\x03}q\0.", "Python pickle that torch.save did not write"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"BZh91AY", "bzip2"),
            (b"\xfd7zXZ\0", "xz"),
            (b"\x28\xb5\x2f\xfd", "Zstandard"),
            (&tar, "tar archive"),
            (b"", "empty (0 bytes)"),
            (&[0; 100], "begins with zeros"),
            (b"a film", "something else"),
        ];
        for (bytes, expected) in cases {
            let Fault::Unreadable(kind, said) = fault(bytes, "something else") else { panic!("{expected}") };
            assert!(said.contains(expected), "{said} is not {expected}");
            assert_eq!(kind, crate::UnreadableKind::Foreign);
        }
    }

    #[test]
    fn archives_are_known_by_the_names_in_them() {
        let of = |names: &[&str]| archive(names.iter().copied()).unwrap_or("none");
        assert!(of(&["script/data.pkl", "script/code/__torch__.py", "script/constants.pkl"]).contains("TorchScript"));
        assert!(of(&["m/serialized_exported_program.json", "m/version"]).contains("torch.export"));
        assert!(of(&["m/archive_format", "m/models/model.json"]).contains("torch.export"));
        assert!(of(&["config.json", "metadata.json", "model.weights.h5"]).contains("Keras"));
        assert!(of(&["m/saved_model.pb", "m/variables/variables.index"]).contains("SavedModel"));
        assert!(of(&["a.npy", "b.npy"]).contains("NumPy"));
        assert_eq!(of(&["archive/data.pkl", "archive/data/0"]), "none");
        assert_eq!((of(&[]), of(&["a.txt", "b.npy"])), ("none", "none"));
    }
}
