//! The model file: one safetensors file with all that a program needs to go on, and a digest over it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use crate::error::{Fault, shown};
use crate::tensors::{Float, metadata, parse_safetensors, read_file};
use crate::{Tensor, Tensors, WeightsError, digest, torch_file};

const METADATA: &str = "__metadata__";

/// A model file in memory: text by key, tensors and byte strings by name.
///
/// Its bytes depend on nothing but its content: F32 tensors sorted by name, then U8 tensors of
/// one dimension sorted by name, metadata sorted by key, and among the metadata as `digest` a BLAKE3 over all of it.
///
/// ```
/// use lungfish_models::{ModelFile, Tensor};
/// let mut file = ModelFile::default();
/// file.metadata.insert("architecture".into(), "resnet18".into());
/// file.tensors.insert("fc.fc2.bias".into(), Tensor { shape: vec![2], data: vec![0.5, -0.5] });
/// let bytes = file.to_bytes()?;
/// assert_eq!(ModelFile::from_bytes(&bytes)?, file);
/// # Ok::<(), lungfish_models::WeightsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFile {
    /// Text; structured values are JSON-encoded by whoever writes them. An entry `digest` is replaced when the file is
    /// written.
    pub metadata: BTreeMap<String, String>,
    /// Weights, running statistics, moments.
    pub tensors: Tensors,
    /// Byte strings (hashes of films).
    pub bytes: BTreeMap<String, Vec<u8>>,
}

impl ModelFile {
    /// The file's bytes. Writing them to disk (beside the old file, synced and renamed) is the
    /// caller's.
    ///
    /// # Errors
    /// [`WeightsError::Malformed`] for a tensor whose elements are not as many as its shape says,
    /// a name used twice, or a name that the format reserves.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let mut metadata = self.metadata.clone();
        metadata.insert(digest::KEY.to_owned(), digest::placeholder());
        let mut header = Map::new();
        header.insert(METADATA.to_owned(), json!(metadata));
        let mut length = 0;
        let floats = self.tensors.iter().map(|(n, t)| (n, "F32", t.shape.clone(), t.data.len() * 4));
        let bytes = self.bytes.iter().map(|(n, b)| (n, "U8", vec![b.len()], b.len()));
        let mut places = Vec::new();
        for (name, dtype, shape, size) in floats.chain(bytes) {
            let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [length, length + size] });
            if name == METADATA || header.insert(name.clone(), entry).is_some() {
                return malformed(format!("two tensors named {name}, or a reserved name"));
            }
            places.push((name, dtype, shape, length..length + size));
            length += size;
        }
        for (name, tensor) in &self.tensors {
            let elements = tensor.shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d));
            if elements != Some(tensor.data.len()) {
                return malformed(format!("{name} has shape {:?} and {} elements", tensor.shape, tensor.data.len()));
            }
        }

        // Spaces bring the data to a multiple of eight bytes, as the format's own writer does.
        let text_of = |header: &Map<String, Value>| {
            let mut text = serde_json::to_vec(header).map_err(|e| e.to_string()).or_else(malformed)?;
            text.resize(text.len().next_multiple_of(8), b' ');
            Ok::<_, WeightsError>(text)
        };
        let text = text_of(&header)?;
        let data = 8 + text.len();
        let mut out = Vec::with_capacity(data + length);
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(&text);
        for tensor in self.tensors.values() {
            let start = out.len();
            out.resize(start + tensor.data.len() * 4, 0);
            for (bytes, v) in out[start..].as_chunks_mut().0.iter_mut().zip(&tensor.data) {
                *bytes = v.to_le_bytes();
            }
        }
        for bytes in self.bytes.values() {
            out.extend_from_slice(bytes);
        }
        let entries = places.iter().map(|(name, dtype, shape, range)| digest::Entry {
            name,
            dtype: (*dtype).to_owned(),
            shape,
            data: &out[data + range.start..data + range.end],
        });
        metadata.insert(digest::KEY.to_owned(), digest::of(&metadata, entries.collect()));
        header.insert(METADATA.to_owned(), json!(metadata));
        out[8..data].copy_from_slice(&text_of(&header)?);
        Ok(out)
    }

    /// Reads the bytes of a model file. Where they have a digest it is checked; it is not among the metadata that is
    /// returned. Files of older versions have none.
    ///
    /// # Errors
    /// [`WeightsError::Malformed`] for a header over 100 MB, offsets that overlap or leave gaps,
    /// shapes that do not match their bytes, trailing bytes, element types other than F32 and
    /// (in one dimension) U8, and content that is not what the digest says.
    pub fn from_bytes(bytes: &[u8]) -> Result<ModelFile, WeightsError> {
        Self::parse(bytes).map(|(file, _)| file).map_err(Fault::of_bytes)
    }

    /// Reads a model file from disk, as [`from_bytes`](Self::from_bytes).
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), naming the path; [`WeightsError::Io`].
    pub fn read(path: &Path) -> Result<ModelFile, WeightsError> {
        Self::read_and_tell(path).map(|(file, _)| file)
    }

    /// Reads a model file that must have a digest: one of a format that never was without.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`WeightsError::Unreadable`] where there is no digest.
    pub fn read_sealed(path: &Path) -> Result<ModelFile, WeightsError> {
        match Self::read_and_tell(path)? {
            (file, true) => Ok(file),
            (_, false) => Err(Fault::damaged("it has lost its digest: it was changed or is damaged").at(path)),
        }
    }

    fn read_and_tell(path: &Path) -> Result<(ModelFile, bool), WeightsError> {
        let bytes = read_file(path, &AtomicBool::new(false))?;
        if torch_file::is_torch(&bytes) {
            let reason = "it is a PyTorch checkpoint and no model of lungfish; `lungfish import` makes one of it";
            return Err(Fault::foreign(reason).at(path));
        }
        Self::parse(&bytes).map_err(|fault| fault.at(path))
    }

    /// The file, and whether it had a digest.
    fn parse(bytes: &[u8]) -> Result<(ModelFile, bool), Fault> {
        let file = parse_safetensors(bytes)?;
        let mut out = ModelFile { metadata: metadata(bytes)?, ..ModelFile::default() };
        let sealed = digest::check(&file, &out.metadata)?;
        if sealed {
            out.metadata.remove(digest::KEY);
        }
        for (name, view) in file.iter() {
            let name = name.to_owned();
            match (view.dtype(), view.shape()) {
                (Dtype::F32, shape) => {
                    let tensor = Tensor { shape: shape.to_vec(), data: Float::F32.widen(view.data()) };
                    out.tensors.insert(name, tensor);
                }
                (Dtype::U8, [_]) => {
                    out.bytes.insert(name, view.data().to_vec());
                }
                (dtype, shape) => {
                    let name = shown(&name);
                    let reason = format!(
                        "tensor {name} is {dtype} of shape {shape:?}; a model file has F32, and U8 in one dimension"
                    );
                    return Err(reason.into());
                }
            }
        }
        Ok((out, sealed))
    }
}

fn malformed<T>(reason: String) -> Result<T, WeightsError> {
    Err(Fault::from(reason).of_bytes())
}
