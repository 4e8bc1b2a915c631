//! Named tensors in main memory, and the safetensors format, read strictly.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::WeightsError;

/// An array of numbers, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its dimensions; none for a scalar.
    pub shape: Vec<usize>,
    /// Its elements, as many as the dimensions' product.
    pub data: Vec<f32>,
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Largest safetensors header that is read, as the format's own reader has it.
const MAX_HEADER: u64 = 100_000_000;
/// Largest file that is read into memory: thirty times the largest network here with its moments.
const MAX_FILE: u64 = 8 << 30;

/// The whole of a regular file of bearable size.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, WeightsError> {
    let file = File::open(path).map_err(WeightsError::io(path))?;
    let facts = file.metadata().map_err(WeightsError::io(path))?;
    if !facts.is_file() {
        return Err(WeightsError::unreadable(path, if facts.is_dir() { "it is a folder" } else { "not a file" }));
    }
    if facts.len() > MAX_FILE {
        let reason = format!("{} bytes; weights of at most {MAX_FILE} bytes are read", facts.len());
        return Err(WeightsError::unreadable(path, reason));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(WeightsError::io(path))?;
    Ok(bytes)
}

/// Checks a safetensors file's header against its bytes; the error is a sentence without the path.
pub(crate) fn parse_safetensors(bytes: &[u8]) -> Result<SafeTensors<'_>, String> {
    // The eight bytes of a length, then JSON: anything else is a film, a text, a download that is an error page.
    if bytes.len() < 9 || bytes[8] != b'{' {
        return Err("not a safetensors file".to_owned());
    }
    if let Some(length) = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)) {
        if length > MAX_HEADER {
            return Err(format!("its header claims {length} bytes; at most {MAX_HEADER} are read"));
        }
        if length > bytes.len() as u64 - 8 {
            return Err(format!("its header claims {length} bytes and the file has {}: it is cut off", bytes.len()));
        }
    }
    SafeTensors::deserialize(bytes).map_err(|e| match e {
        SafeTensorError::InvalidOffset(name) => {
            format!("tensor {name} does not begin where the one before it ends (overlapping or missing bytes)")
        }
        SafeTensorError::TensorInvalidInfo => "a tensor's bytes do not match its shape".to_owned(),
        SafeTensorError::MetadataIncompleteBuffer => "its tensors do not cover the file: cut off or padded".to_owned(),
        e => format!("not a usable safetensors file: {e}"),
    })
}

/// The floating-point tensors of a safetensors file as single floats; others are left out.
pub(crate) fn floats(file: &SafeTensors<'_>) -> Tensors {
    file.iter()
        .filter_map(|(name, view)| {
            let kind = match view.dtype() {
                Dtype::F32 => Float::F32,
                Dtype::F64 => Float::F64,
                Dtype::F16 => Float::F16,
                Dtype::BF16 => Float::Bf16,
                _ => return None,
            };
            Some((name.to_owned(), Tensor { shape: view.shape().to_vec(), data: kind.widen(view.data()) }))
        })
        .collect()
}

/// A floating-point element type of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Float {
    F32,
    F64,
    F16,
    Bf16,
}

impl Float {
    /// Bytes an element.
    pub(crate) fn size(self) -> usize {
        match self {
            Float::F64 => 8,
            Float::F32 => 4,
            Float::F16 | Float::Bf16 => 2,
        }
    }

    /// Little-endian bytes as single floats; doubles are rounded.
    pub(crate) fn widen(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Float::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Float::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            Float::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Float::Bf16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        }
    }
}
