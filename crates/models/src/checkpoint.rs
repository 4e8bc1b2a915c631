//! Weights from somebody's file: PyTorch's `.pth` or safetensors. Nothing in a file is executed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::error::Fault;
use crate::tensors::{floats, is_safetensors, metadata, parse_safetensors, read_file};
use crate::{Tensors, WeightsError, classes, digest, torch_file};

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
    /// Floating-point tensors by their full names, those of the dictionaries that they are nested in with them:
    /// `state_dict.module.conv1.weight`.
    pub tensors: Tensors,
    /// Class names in the order of the head's outputs; none where the file does not say them.
    pub classes: Option<Vec<String>>,
    /// What the head was trained for, as a model file of lungfish says it (`one-of`, `any-of`): a head that tells one class
    /// from the others knows nothing of labels that a film may have side by side, even where their names are the same.
    pub task: Option<String>,
    /// What stands before the names of each state dict or pickled module in the file, with a dot last; without any, all
    /// tensors are of one.
    pub(crate) roots: BTreeSet<String>,
}

impl From<Tensors> for Weights {
    /// Tensors of which nothing else is known.
    fn from(tensors: Tensors) -> Weights {
        Weights { tensors, ..Weights::default() }
    }
}

impl Weights {
    /// The same with class names, in the order of the head's outputs.
    #[must_use]
    pub fn with_classes<S: Into<String>>(mut self, classes: impl IntoIterator<Item = S>) -> Weights {
        self.classes = Some(classes.into_iter().map(Into::into).collect());
        self
    }

    /// What stands before all names of the state dict in which names with this prefix are.
    pub(crate) fn root_of(&self, prefix: &str) -> &str {
        let around = self.roots.iter().filter(|root| prefix.starts_with(root.as_str()));
        around.max_by_key(|root| root.len()).map_or("", String::as_str)
    }
}

/// Reads every floating-point tensor of a checkpoint, as single floats by name, and the class names that it bears.
///
/// The file may be a `.pth` in PyTorch's zip format or the legacy one before it, or a safetensors
/// file; its content decides, not its name. f16, bf16, f32 and f64 tensors are read, integers
/// (`num_batches_tracked`) left out. Tensors of a state dict that is nested in another dictionary bear its key before their
/// names, `state_dict.conv1.weight`; [`load_backbone`](crate::load_backbone) finds them there. What is no tensor (an optimiser,
/// pickled transforms) is passed over. A pickled module is read as its state dict.
///
/// Class names are a dictionary `class_to_idx` or a list `classes` or `class_names` in the outermost dictionary or in what lies
/// right below it (or an attribute of a pickled object there), or JSON of either under that key in a safetensors file's
/// metadata, as every model file of lungfish has it.
///
/// No file takes more memory than some four times its size and a few hundred MB, whatever it claims. `stop` set to true
/// ends the reading soon.
///
/// # Errors
/// [`WeightsError::Io`]; [`WeightsError::Unreadable`] for anything else than a whole file with at
/// least one such tensor, with the name of what it is instead where that is known (a pointer of Git LFS, a web page, HDF5, ONNX,
/// TorchScript, ...); [`WeightsError::Stopped`].
pub fn read_weights(path: &Path, stop: &AtomicBool) -> Result<Weights, WeightsError> {
    let bytes = read_file(path, stop)?;
    let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    let weights = if is_safetensors(&bytes) || named && !torch_file::is_torch(&bytes) {
        from_safetensors(&bytes)
    } else {
        torch_file::read(&bytes, stop)
    };
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
    let (classes, task) = (classes::of_metadata(&metadata), metadata.get("task").cloned());
    Ok(Weights { tensors: floats(&file), classes, task, ..Weights::default() })
}
