//! Named tensors in main memory, and the safetensors format, read strictly.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::error::{Fault, shown, unless_stopped};
use crate::{UnreadableKind, WeightsError, foreign, torch_file};

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

/// Bytes read between two looks at the stop flag.
const CHUNK: u64 = 16 << 20;

/// The whole of a regular file of bearable size; of one that is none of the formats known here, its beginning.
pub(crate) fn read_file(path: &Path, stop: &AtomicBool) -> Result<Vec<u8>, WeightsError> {
    let mut file = File::open(path).map_err(WeightsError::io(path))?;
    let facts = file.metadata().map_err(WeightsError::io(path))?;
    if !facts.is_file() {
        let reason = if facts.is_dir() { foreign::folder(path) } else { "not a file".to_owned() };
        return Err(WeightsError::unreadable(path, UnreadableKind::Foreign, reason));
    }
    if facts.len() > MAX_FILE {
        let reason = format!("{} bytes; weights of at most {MAX_FILE} bytes are read", facts.len());
        return Err(WeightsError::unreadable(path, UnreadableKind::Excessive, reason));
    }
    let mut bytes = Vec::new();
    let mut take =
        |bytes: &mut Vec<u8>, most| (&mut file).take(most).read_to_end(bytes).map_err(WeightsError::io(path));
    take(&mut bytes, foreign::ENOUGH as u64)?;
    if !is_safetensors(&bytes) && !torch_file::is_torch(&bytes) {
        return Ok(bytes);
    }
    // The length is that of a file which is there, but a file system may say anything.
    bytes.try_reserve_exact(facts.len() as usize).map_err(|_| {
        let reason = format!("there is no memory for its {} bytes", facts.len());
        WeightsError::unreadable(path, UnreadableKind::Excessive, reason)
    })?;
    loop {
        unless_stopped(stop).map_err(|fault| fault.at(path))?;
        let left = MAX_FILE.saturating_sub(bytes.len() as u64);
        if take(&mut bytes, CHUNK.min(left))? == 0 {
            return Ok(bytes);
        }
    }
}

/// A length of eight bytes, then JSON. A zip's or legacy pickle's ninth byte is never a brace.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && !torch_file::is_torch(bytes)
}

/// The metadata of a safetensors file that [`parse_safetensors`] read.
pub(crate) fn metadata(bytes: &[u8]) -> Result<BTreeMap<String, String>, Fault> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| Fault::from(shown(&e.to_string())))?;
    Ok(header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// Checks a safetensors file's header against its bytes.
pub(crate) fn parse_safetensors(bytes: &[u8]) -> Result<SafeTensors<'_>, Fault> {
    // The eight bytes of a length, then JSON: anything else is a film, a text, a download that is a web page.
    if bytes.len() < 9 || bytes[8] != b'{' {
        return Err(foreign::fault(bytes, "not a safetensors file"));
    }
    if let Some(length) = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)) {
        if length > MAX_HEADER {
            let reason = format!("its header claims {length} bytes; at most {MAX_HEADER} are read");
            return Err(Fault::excessive(reason));
        }
        if length > bytes.len() as u64 - 8 {
            let reason = format!("its header claims {length} bytes and the file has {}: it is cut off", bytes.len());
            return Err(reason.into());
        }
    }
    SafeTensors::deserialize(bytes).map_err(|e| {
        let reason = match e {
            SafeTensorError::InvalidOffset(name) => {
                let name = shown(&name);
                format!("tensor {name} does not begin where the one before it ends (overlapping or missing bytes)")
            }
            SafeTensorError::TensorInvalidInfo => "a tensor's bytes do not match its shape".to_owned(),
            SafeTensorError::MetadataIncompleteBuffer => {
                "its tensors do not cover the file: cut off or padded".to_owned()
            }
            e => format!("not a usable safetensors file: {}", shown(&e.to_string())),
        };
        reason.into()
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

    /// The element of that number.
    pub(crate) fn at(self, bytes: &[u8], index: usize) -> f32 {
        match self {
            Float::F32 => f32::from_le_bytes(bytes.as_chunks().0[index]),
            Float::F64 => f64::from_le_bytes(bytes.as_chunks().0[index]) as f32,
            Float::F16 => f16::from_le_bytes(bytes.as_chunks().0[index]).to_f32(),
            Float::Bf16 => bf16::from_le_bytes(bytes.as_chunks().0[index]).to_f32(),
        }
    }
}
