//! A model of a network that was trained with another program.
//!
//! Its file has the form of any other model's, so that it is tested and predicted with like one. What it cannot have is what only a
//! training knows: an epoch with its metrics, a split, the films that taught it. So it says where it came from, and that nobody
//! knows which films those were.

use std::path::PathBuf;

use lungfish_data::display::escape;
use lungfish_data::{Channels, ContentHash, Preprocess, Task};
use lungfish_engine::Normalization;
use lungfish_models::{
    Architecture, ForeignHead, HeadConfig, ModelFile, Weights, WeightsError, WholeNetwork, read_weights, whole_network,
};
use serde::{Deserialize, Serialize};

use crate::data_set::transforms;
use crate::lineage::Lineage;
use crate::model::{self, ModelInfo};
use crate::prior::PriorShift;
use crate::recipe::PriorRule;
use crate::run_folder::write_atomically;
use crate::task::Answers;
use crate::weights::place_sentences;
use crate::{Caveat, Changes, Error, PrecisionRule, Recipe, Watch, positive, predictions_file};

/// Keys of a recipe that say what is done to a film, and which of two classes is the positive one. No other has a part in a network
/// that is trained.
const KEYS: [&str; 8] = ["fit", "image_size", "channels", "equalize", "sample_bits", "dicom_view", "exif", "positive"];

/// What to make a model of.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportRequest {
    /// The file of weights, `.pth` or safetensors, with a backbone and its head.
    pub weights: PathBuf,
    /// The model file to write.
    pub out: PathBuf,
    /// The network; none is the one whose backbone is there.
    pub architecture: Option<Architecture>,
    /// Names of the classes, or of the labels, in the order of the outputs; none takes those that the file says.
    pub classes: Option<Vec<String>>,
    /// Whether one class is right, or any label may hold: a file of weights does not say.
    pub task: Task,
    /// Keys of a recipe that say what is done to a film. Without any it is what torchvision's loader, `Resize(224)` and
    /// `CenterCrop(224)` do.
    pub changes: Changes,
    /// Mean of values in 0..=1 in each channel; none is ImageNet's.
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of values in 0..=1 in each channel; none is ImageNet's.
    pub std: Option<[f32; 3]>,
}

impl ImportRequest {
    /// A model file of a file of weights, all else found or by default.
    pub fn new(weights: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        ImportRequest { weights: weights.into(), out: out.into(), ..ImportRequest::default() }
    }
}

/// Where an imported model came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImportedFrom {
    /// The name of the file of weights, without its folder.
    pub file: String,
    /// Its content hash: the first 32 hexadecimal digits of its SHA-256.
    pub hash: String,
}

/// What came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ImportOutcome {
    /// The model file.
    pub model: PathBuf,
    /// What it says about itself.
    pub info: ModelInfo,
    /// What is done to a film, a step an entry, as torchvision names them.
    pub transforms: Vec<String>,
    /// What was taken for granted about the head.
    pub head: String,
}

/// Makes a model file of weights that were trained with another program: those of one of the networks here, wherever its backbone
/// lies in the file, with a head of one linear layer or of two.
///
/// # Errors
/// A file that cannot be read, is a model of lungfish already, or has no such network; a head of another kind, naming the tensor;
/// classes that nothing says, that are not as many as the outputs, or that the file says otherwise; keys that have no part in it; a
/// file that is there already or cannot be written; [`Error::Stopped`].
pub fn import(request: &ImportRequest, watch: &mut Watch<'_>) -> Result<ImportOutcome, Error> {
    let (path, file) = (&request.weights, escape(&request.weights));
    if !path.exists() {
        return Err(Error::not_found(format!("there is no weights file {file}")));
    }
    if request.out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Error::refused(format!(
            "{} is no name of a model file: it ends in .safetensors",
            escape(&request.out)
        )));
    }
    let task = request.task;
    let weights = read_weights(path, watch.flag()).map_err(|e| match e {
        WeightsError::Stopped => Error::Stopped,
        e => e.into(),
    })?;
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let ours = ModelFile::from_bytes(&bytes).ok().and_then(|model| model.metadata.get("format").cloned());
    if ours.is_some_and(|format| format.starts_with("lungfish.")) {
        return Err(Error::refused(format!("{file} is of lungfish already: give it as it is")));
    }
    let network = whole_network(&weights, request.architecture, task == Task::OneOf)
        .map_err(|e| Error::refused(format!("the weights in {file}: {e}")))?;
    let classes = classes_of(request, &weights, &network)?;
    let recipe = recipe_of(request, &network)?;
    predictions_file::refuse_columns(&classes)?;
    positive::of(&classes, &recipe.positive)?;
    let preprocess = preprocess_of(request, &recipe, &network)?;
    place_sentences(&file, network.architecture, &network.place).into_iter().for_each(|text| watch.note(text));
    if !network.left_aside.is_empty() {
        let names = network.left_aside.iter().map(escape).collect::<Vec<_>>().join(", ");
        watch.note(format!("{names} in {file} is of a loss and has no part in the network: left aside"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let imported = ImportedFrom { file: name, hash: ContentHash::of(&bytes).to_string() };
    let caveat = Caveat::imported(&imported.file);
    watch.warn(caveat.text.clone());
    let lineage = Lineage::of_import(&bytes);
    let info = ModelInfo {
        architecture: network.architecture,
        head: HeadConfig { hidden: network.hidden, dropout: 0.0, output: task.output() },
        task,
        classes,
        preprocess,
        epoch: None,
        recipe,
        prior_shift: PriorShift::default(),
        calibration: None,
        synthetic: false,
        caveats: vec![caveat],
        ancestors: lineage.ancestors.clone(),
        members: Vec::new(),
        split_file: None,
        imported: Some(imported),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let written = model::to_bytes(&info, vec![(network.tensors.clone(), None)], &lineage)?;
    // The same once more is no harm.
    if request.out.exists() && std::fs::read(&request.out).ok().as_ref() != Some(&written) {
        return Err(Error::refused(format!("{} is there already: choose another name", escape(&request.out))));
    }
    write_atomically(&request.out, &written)?;
    Ok(ImportOutcome {
        model: request.out.clone(),
        transforms: transforms(&info.preprocess, None),
        head: head_sentence(&network, &info),
        info,
    })
}

fn list(names: &[String]) -> String {
    names.iter().map(escape).collect::<Vec<_>>().join(", ")
}

/// The names of the outputs: those asked for and those that the file says, which must be the same where both are there.
fn classes_of(request: &ImportRequest, weights: &Weights, network: &WholeNetwork) -> Result<Vec<String>, Error> {
    let file = escape(&request.weights);
    let classes = match (&request.classes, &weights.classes) {
        (Some(asked), Some(said)) if asked != said => {
            return Err(Error::refused(format!(
                "{file} says that its outputs are {}, in this order, and {} were asked for",
                list(said),
                list(asked)
            )));
        }
        (Some(classes), _) | (None, Some(classes)) => classes.clone(),
        (None, None) => {
            return Err(Error::refused(format!(
                "{file} does not say which classes its {} outputs are: name them with --classes in their order (torchvision's \
                 ImageFolder sorts them by name)",
                network.outputs
            )));
        }
    };
    let twice = classes.iter().enumerate().find(|(place, name)| classes[..*place].contains(name) || name.is_empty());
    if let Some((_, name)) = twice {
        return Err(Error::refused(format!(
            "the classes {}: \"{}\" is no name, or there twice",
            list(&classes),
            escape(name)
        )));
    }
    if classes.len() != network.outputs {
        let alone = if classes.len() == 1 { "1 class is" } else { &format!("{} classes are", classes.len()) };
        return Err(Error::refused(format!(
            "the network in {file} has {} outputs and {alone} named: {}",
            network.outputs,
            list(&classes)
        )));
    }
    let least = if request.task == Task::OneOf { 2 } else { 1 };
    if classes.len() < least {
        return Err(Error::refused(format!(
            "the network in {file} tells {} apart: at least {least} are needed",
            list(&classes)
        )));
    }
    Ok(classes)
}

/// The recipe that stands in the model: what is done to films as it was asked for or as torchvision does it; all else is of no
/// training.
fn recipe_of(request: &ImportRequest, network: &WholeNetwork) -> Result<Recipe, Error> {
    if let Some(key) = request.changes.keys().find(|key| !KEYS.contains(key)) {
        return Err(Error::refused(format!("{key} has no part in an import; {} have", KEYS.join(", "))));
    }
    if !Recipe::HIDDEN.contains(&network.hidden) {
        let most = Recipe::HIDDEN.end();
        return Err(Error::refused(format!(
            "the head has {} hidden features: at most {most} are computed with",
            network.hidden
        )));
    }
    let name = request.weights.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let recipe = Recipe {
        architecture: network.architecture,
        weights: name,
        hidden: network.hidden,
        // torchvision's loader makes three channels of every film; of a gray one, three equal ones.
        channels: if network.place.one_channel { Channels::Gray } else { Channels::Rgb },
        prior: PriorRule::None,
        precision: PrecisionRule::Fp32,
        ..Recipe::default()
    };
    let recipe = request.changes.apply(recipe)?;
    if network.place.one_channel && recipe.channels != Channels::Gray {
        let file = escape(&request.weights);
        return Err(Error::refused(format!(
            "the first convolution of {file} reads one channel: channels must be gray"
        )));
    }
    Ok(recipe)
}

/// What is done to a film before the network sees it.
fn preprocess_of(request: &ImportRequest, recipe: &Recipe, network: &WholeNetwork) -> Result<Preprocess, Error> {
    let given = [("mean", request.mean), ("std", request.std)];
    let Normalization { mean, std } = Architecture::Resnet18.normalization();
    let preprocess =
        Preprocess { mean: request.mean.unwrap_or(mean), std: request.std.unwrap_or(std), ..recipe.preprocess() };
    let finite = |values: &[f32; 3]| values.iter().all(|v| v.is_finite());
    if !finite(&preprocess.mean) || !finite(&preprocess.std) || preprocess.std.iter().any(|v| *v <= 0.0) {
        return Err(Error::refused(format!(
            "mean {:?} and std {:?}: numbers are needed, and a std above 0",
            preprocess.mean, preprocess.std
        )));
    }
    let one = |values: &[f32; 3]| values.iter().all(|v| *v == values[0]);
    if network.place.one_channel
        && (given.iter().any(|(_, v)| v.is_none()) || !one(&preprocess.mean) || !one(&preprocess.std))
    {
        return Err(Error::refused(format!(
            "the first convolution of {} reads one channel: say how that was normalised with one mean and one std (0.5 and 0.5 where \
             values went from -1 to 1, 0 and 1 where nothing was done after ToTensor)",
            escape(&request.weights)
        )));
    }
    Ok(preprocess)
}

/// What head it was, and what nobody can see in it.
fn head_sentence(network: &WholeNetwork, info: &ModelInfo) -> String {
    let features = network.architecture.features();
    let (layers, single) = match &network.head {
        ForeignHead::One { layer, single } => (format!("one linear layer, {}", escape(layer)), *single),
        ForeignHead::Two { first, second, single } => {
            let (first, second) = (escape(first), escape(second));
            (format!("two linear layers, {first} and {second}, taken to have a ReLU between"), *single)
        }
        _ => (String::new(), false),
    };
    let outputs = match (single, info.task, &info.classes[..]) {
        (true, _, [first, second]) => {
            format!("its one output is taken for the logit of {} against {}", escape(second), escape(first))
        }
        (_, Task::OneOf, _) => "its outputs are taken for those of a softmax: one class is right".to_owned(),
        (_, Task::AnyOf, _) => "each output is taken for the logit of a label: any may hold".to_owned(),
    };
    format!("{layers}; {features} features to {} outputs; {outputs}", if single { 1 } else { network.outputs })
}
