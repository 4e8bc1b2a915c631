//! The model file: one safetensors file with all that a program needs to go on.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::tensors::{Float, parse_safetensors, read_file};
use crate::{Tensor, Tensors, WeightsError};

const METADATA: &str = "__metadata__";

/// A model file in memory: text by key, tensors and byte strings by name.
///
/// Its bytes depend on nothing but its content: F32 tensors sorted by name, then U8 tensors of
/// one dimension sorted by name, metadata sorted by key.
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
    /// Text; structured values are JSON-encoded by whoever writes them.
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
        let mut header = Map::new();
        if !self.metadata.is_empty() {
            header.insert(METADATA.to_owned(), json!(self.metadata));
        }
        let mut length = 0;
        let floats = self.tensors.iter().map(|(n, t)| (n, "F32", json!(t.shape), t.data.len() * 4));
        let bytes = self.bytes.iter().map(|(n, b)| (n, "U8", json!([b.len()]), b.len()));
        for (name, dtype, shape, size) in floats.chain(bytes) {
            let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [length, length + size] });
            if name == METADATA || header.insert(name.clone(), entry).is_some() {
                return malformed(format!("two tensors named {name}, or a reserved name"));
            }
            length += size;
        }
        for (name, tensor) in &self.tensors {
            let elements = tensor.shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d));
            if elements != Some(tensor.data.len()) {
                return malformed(format!("{name} has shape {:?} and {} elements", tensor.shape, tensor.data.len()));
            }
        }

        // Spaces bring the data to a multiple of eight bytes, as the format's own writer does.
        let mut text = Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut out = Vec::with_capacity(8 + text.len() + length);
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(&text);
        for tensor in self.tensors.values() {
            out.extend(tensor.data.iter().flat_map(|v| v.to_le_bytes()));
        }
        for bytes in self.bytes.values() {
            out.extend_from_slice(bytes);
        }
        Ok(out)
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// [`WeightsError::Malformed`] for a header over 100 MB, offsets that overlap or leave gaps,
    /// shapes that do not match their bytes, trailing bytes, and element types other than F32 and
    /// (in one dimension) U8.
    pub fn from_bytes(bytes: &[u8]) -> Result<ModelFile, WeightsError> {
        Self::parse(bytes).map_err(|reason| WeightsError::Malformed { reason })
    }

    /// Reads a model file from disk.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), naming the path; [`WeightsError::Io`].
    pub fn read(path: &Path) -> Result<ModelFile, WeightsError> {
        Self::parse(&read_file(path)?).map_err(|reason| WeightsError::unreadable(path, reason))
    }

    fn parse(bytes: &[u8]) -> Result<ModelFile, String> {
        let file = parse_safetensors(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let mut out = ModelFile::default();
        if let Some(metadata) = header.metadata() {
            out.metadata.extend(metadata.iter().map(|(k, v)| (k.clone(), v.clone())));
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
                    return Err(format!(
                        "tensor {name} is {dtype} of shape {shape:?}; a model file has F32, and U8 in one dimension"
                    ));
                }
            }
        }
        Ok(out)
    }
}

fn malformed<T>(reason: String) -> Result<T, WeightsError> {
    Err(WeightsError::Malformed { reason })
}
