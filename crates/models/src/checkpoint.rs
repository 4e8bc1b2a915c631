//! Weights from somebody's file: PyTorch's `.pth` or safetensors. Nothing in a file is executed:
//! `pytorch-reader` walks the pickle and builds tensors only.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use pytorch_reader::{DType, PytorchError, PytorchReader};

use crate::tensors::{Float, floats, parse_safetensors, read_file};
use crate::{Tensor, Tensors, WeightsError};

/// Keys under which people nest a state dict, and the prefix of `DataParallel`; the first that is
/// there is followed.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "module", "net"];

/// A checkpoint's tensors may unfold to this many times the file (shared and expanded storages),
/// or to [`SMALL`], before it is taken for an attack on memory.
const UNFOLDING: u64 = 4;
const SMALL: u64 = 64 << 20;

/// Reads every floating-point tensor of a checkpoint, as single floats by name.
///
/// The file may be a `.pth` in PyTorch's zip format or the legacy one before it, or a safetensors
/// file; its content decides, not its name. f16, bf16, f32 and f64 tensors are read, integers
/// (`num_batches_tracked`) left out. A state dict nested under `state_dict`, `model_state_dict`
/// or `model` is found, and what lies beside it (an optimiser, pickled transforms) is not
/// returned; the `module.` of `DataParallel` is dropped.
///
/// # Errors
/// [`WeightsError::Io`]; [`WeightsError::Unreadable`] for anything else than a whole file with at
/// least one such tensor.
pub fn read_weights(path: &Path) -> Result<Tensors, WeightsError> {
    let tensors = if looks_like_safetensors(path)? {
        let bytes = read_file(path)?;
        floats(&parse_safetensors(&bytes).map_err(|reason| WeightsError::unreadable(path, reason))?)
    } else {
        read_pickled(path)?
    };
    if tensors.is_empty() {
        return Err(WeightsError::unreadable(path, "it has no floating-point tensor"));
    }
    Ok(unwrap(tensors))
}

/// A length of eight bytes, then JSON. A zip's or pickle's ninth byte is never a brace.
fn looks_like_safetensors(path: &Path) -> Result<bool, WeightsError> {
    let file = File::open(path).map_err(WeightsError::io(path))?;
    if !file.metadata().map_err(WeightsError::io(path))?.is_file() {
        return Err(WeightsError::unreadable(path, "not a file"));
    }
    let mut head = Vec::new();
    file.take(9).read_to_end(&mut head).map_err(WeightsError::io(path))?;
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    Ok(named || (head.get(8) == Some(&b'{') && !head.starts_with(b"PK")))
}

fn read_pickled(path: &Path) -> Result<Tensors, WeightsError> {
    let length = std::fs::metadata(path).map_err(WeightsError::io(path))?.len();
    let file = PytorchReader::new(path).map_err(|e| match e {
        PytorchError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            WeightsError::Io { path: path.to_owned(), source }
        }
        PytorchError::InvalidFormat(reason) => WeightsError::unreadable(path, reason),
        e => WeightsError::unreadable(path, format!("not a usable PyTorch checkpoint: {e}")),
    })?;
    let chosen = prefix(file.tensors().keys().map(String::as_str));

    let mut unfolded = 0_u64;
    let mut tensors = Tensors::new();
    for (name, tensor) in file.tensors() {
        let kind = match tensor.dtype() {
            DType::F32 => Float::F32,
            DType::F64 => Float::F64,
            DType::F16 => Float::F16,
            DType::BF16 => Float::Bf16,
            _ => continue,
        };
        if !name.starts_with(&chosen) {
            continue;
        }
        unfolded = unfolded.saturating_add(tensor.byte_len() as u64);
        if unfolded > SMALL.max(length.saturating_mul(UNFOLDING)) {
            let reason = format!("its tensors claim more than {unfolded} bytes and the file has {length}");
            return Err(WeightsError::unreadable(path, reason));
        }
        let mut bytes = tensor.read().map_err(|e| WeightsError::unreadable(path, e))?;
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(tensor.dtype().size()).for_each(<[u8]>::reverse);
        }
        let data = kind.widen(&bytes);
        tensors.insert(name.clone(), Tensor { shape: tensor.shape().to_vec(), data });
    }
    Ok(tensors)
}

/// The longest chain of [`WRAPPERS`] that leads to tensors, each followed by a dot.
fn prefix<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    let mut chain = String::new();
    while let Some(wrapper) =
        WRAPPERS.into_iter().find(|w| names.iter().any(|n| n.strip_prefix(w).is_some_and(|n| n.starts_with('.'))))
    {
        chain = format!("{chain}{wrapper}.");
        names = names.iter().filter_map(|n| n.strip_prefix(wrapper)?.strip_prefix('.')).collect();
    }
    chain
}

fn unwrap(tensors: Tensors) -> Tensors {
    let chain = prefix(tensors.keys().map(String::as_str));
    tensors.into_iter().filter_map(|(name, t)| Some((name.strip_prefix(&chain)?.to_owned(), t))).collect()
}
