//! Weights from somebody's file: PyTorch's `.pth` or safetensors. Nothing in a file is executed.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::error::Fault;
use crate::tensors::{floats, is_safetensors, metadata, parse_safetensors, read_file};
use crate::{Tensors, WeightsError, classes, digest, torch_file};

/// Keys under which people nest a state dict, and the prefix of `DataParallel`; the first that is
/// there is followed.
pub(crate) const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "module", "net"];
/// So many of them at most, one in another: two or three are seen in earnest, a crafted name has millions.
const DEEPEST: usize = 8;

/// What a file of weights holds: its tensors, and the names of the classes that its head tells apart where it says them.
///
/// ```
/// use lungfish_models::{Tensor, Tensors, Weights};
/// let tensors = Tensors::from([("fc.fc2.bias".into(), Tensor { shape: vec![2], data: vec![0.5, -0.5] })]);
/// let weights = Weights::from(tensors).with_classes(["NORMAL", "PNEUMONIA"]);
/// assert_eq!(weights.classes.as_deref(), Some(&["NORMAL".to_owned(), "PNEUMONIA".to_owned()][..]));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Weights {
    /// Floating-point tensors by name.
    pub tensors: Tensors,
    /// Class names in the order of the head's outputs; none where the file does not say them.
    pub classes: Option<Vec<String>>,
    /// What the head was trained for, as a model file of lungfish says it (`one-of`, `any-of`): a head that tells one class
    /// from the others knows nothing of labels that a film may have side by side, even where their names are the same.
    pub task: Option<String>,
}

impl From<Tensors> for Weights {
    /// Tensors of which nothing else is known.
    fn from(tensors: Tensors) -> Weights {
        Weights { tensors, classes: None, task: None }
    }
}

impl Weights {
    /// The same with class names, in the order of the head's outputs.
    #[must_use]
    pub fn with_classes<S: Into<String>>(mut self, classes: impl IntoIterator<Item = S>) -> Weights {
        self.classes = Some(classes.into_iter().map(Into::into).collect());
        self
    }
}

/// Reads every floating-point tensor of a checkpoint, as single floats by name, and the class names that it bears.
///
/// The file may be a `.pth` in PyTorch's zip format or the legacy one before it, or a safetensors
/// file; its content decides, not its name. f16, bf16, f32 and f64 tensors are read, integers
/// (`num_batches_tracked`) left out. A state dict nested under `state_dict`, `model_state_dict`
/// or `model` is found, and what lies beside it (an optimiser, pickled transforms) is not
/// returned; the `module.` of `DataParallel` is dropped. A pickled module is read as its state
/// dict.
///
/// Class names are a dictionary `class_to_idx` or a list `classes` beside the state dict (or an attribute of a pickled
/// module), or JSON of either under that key in a safetensors file's metadata, as every model file of lungfish has it.
///
/// No file takes more memory than some four times its size and a few hundred MB, whatever it claims. `stop` set to true
/// ends the reading soon.
///
/// # Errors
/// [`WeightsError::Io`]; [`WeightsError::Unreadable`] for anything else than a whole file with at
/// least one such tensor; [`WeightsError::Stopped`].
pub fn read_weights(path: &Path, stop: &AtomicBool) -> Result<Weights, WeightsError> {
    let bytes = read_file(path, stop)?;
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    let weights =
        if named || is_safetensors(&bytes) { from_safetensors(&bytes) } else { torch_file::read(&bytes, prefix, stop) };
    let weights = weights.map_err(|fault| fault.at(path))?;
    if weights.tensors.is_empty() {
        return Err(Fault::from("it has no floating-point tensor").at(path));
    }
    Ok(weights)
}

fn from_safetensors(bytes: &[u8]) -> Result<Weights, Fault> {
    let file = parse_safetensors(bytes)?;
    let metadata = metadata(bytes)?;
    digest::check(&file, &metadata)?;
    let tensors = floats(&file);
    let prefix = prefix(&tensors.keys().map(String::as_str).collect::<Vec<_>>());
    let tensors =
        tensors.into_iter().filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?.to_owned(), t))).collect();
    Ok(Weights { tensors, classes: classes::of_metadata(&metadata), task: metadata.get("task").cloned() })
}

/// The longest chain of [`WRAPPERS`] that leads to tensors, each followed by a dot.
fn prefix(names: &[&str]) -> String {
    let mut names = names.to_vec();
    let mut chain = String::new();
    for _ in 0..DEEPEST {
        let there = |w: &&str| names.iter().any(|n| n.strip_prefix(w).is_some_and(|n| n.starts_with('.')));
        let Some(wrapper) = WRAPPERS.into_iter().find(there) else { break };
        chain = format!("{chain}{wrapper}.");
        names = names.iter().filter_map(|n| n.strip_prefix(wrapper)?.strip_prefix('.')).collect();
    }
    chain
}
