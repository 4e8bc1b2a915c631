//! Weights from somebody's file: PyTorch's `.pth` or safetensors. Nothing in a file is executed.

use std::path::Path;

use crate::tensors::{floats, parse_safetensors, read_file};
use crate::{Tensors, WeightsError, torch_file};

/// Keys under which people nest a state dict, and the prefix of `DataParallel`; the first that is
/// there is followed.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "module", "net"];

/// Reads every floating-point tensor of a checkpoint, as single floats by name.
///
/// The file may be a `.pth` in PyTorch's zip format or the legacy one before it, or a safetensors
/// file; its content decides, not its name. f16, bf16, f32 and f64 tensors are read, integers
/// (`num_batches_tracked`) left out. A state dict nested under `state_dict`, `model_state_dict`
/// or `model` is found, and what lies beside it (an optimiser, pickled transforms) is not
/// returned; the `module.` of `DataParallel` is dropped. A pickled module is read as its state
/// dict.
///
/// # Errors
/// [`WeightsError::Io`]; [`WeightsError::Unreadable`] for anything else than a whole file with at
/// least one such tensor.
pub fn read_weights(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = read_file(path)?;
    let tensors = if looks_like_safetensors(path, &bytes) {
        parse_safetensors(&bytes).map(|file| {
            let tensors = floats(&file);
            let prefix = prefix(&tensors.keys().map(String::as_str).collect::<Vec<_>>());
            tensors.into_iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?.to_owned(), t))).collect()
        })
    } else {
        torch_file::read(&bytes, prefix)
    };
    let tensors: Tensors = tensors.map_err(|reason| WeightsError::unreadable(path, reason))?;
    if tensors.is_empty() {
        return Err(WeightsError::unreadable(path, "it has no floating-point tensor"));
    }
    Ok(tensors)
}

/// A length of eight bytes, then JSON. A zip's or legacy pickle's ninth byte is never a brace.
fn looks_like_safetensors(path: &Path, bytes: &[u8]) -> bool {
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    named || (bytes.get(8) == Some(&b'{') && !bytes.starts_with(b"PK"))
}

/// The longest chain of [`WRAPPERS`] that leads to tensors, each followed by a dot.
fn prefix(names: &[&str]) -> String {
    let mut names = names.to_vec();
    let mut chain = String::new();
    while let Some(wrapper) =
        WRAPPERS.into_iter().find(|w| names.iter().any(|n| n.strip_prefix(w).is_some_and(|n| n.starts_with('.'))))
    {
        chain = format!("{chain}{wrapper}.");
        names = names.iter().filter_map(|n| n.strip_prefix(wrapper)?.strip_prefix('.')).collect();
    }
    chain
}
