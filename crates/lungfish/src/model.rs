//! The model file: one safetensors file with the weights under torchvision's names (the Lite networks: those of
//! `efficientnet_lite_pytorch`) and, as metadata, all that predicting needs.

use std::path::{Path, PathBuf};

use lungfish_data::{ContentHash, Preprocess, Task};
use lungfish_engine::{Normalization, Precision, Store};
use lungfish_models::{Architecture, HeadConfig, ModelFile, Network, Tensor, Tensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::checkpoint::Checkpoint;
use crate::compute::Compute;
use crate::lineage::Lineage;
use crate::prior::{PriorShift, Way};
use crate::reference::Reference;
use crate::scorer::Networks;
use crate::task::Answers;
use crate::{
    Ancestor, BestEpoch, Calibration, Caveat, EpochChoice, Error, ImportedFrom, PrecisionRule, Recipe, positive,
    precision, run_folder,
};

/// What stands in every model file.
pub(crate) const NOTICE: &str =
    "A research tool, not a medical device: it must not be used to diagnose or treat anybody.";

/// What a model file says about itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The network.
    pub architecture: Architecture,
    /// Its head.
    pub head: HeadConfig,
    /// What is asked of a film.
    pub task: Task,
    /// Names of the classes, or of the labels, in index order.
    pub classes: Vec<String>,
    /// What is done to a film before the network sees it.
    pub preprocess: Preprocess,
    /// The epoch it comes from, with its metrics on the validation split; none of a model that another program trained.
    pub epoch: Option<BestEpoch>,
    /// The recipe that trained it; of a model that another program trained, what is done to films and defaults for the rest.
    pub recipe: Recipe,
    /// What was taken off the logit of each class, so that probabilities are for classes that are equally frequent.
    pub(crate) prior_shift: PriorShift,
    /// What films that it did not learn from said of how sure it may be, and where it may call; none in files of older versions, and
    /// where the epoch is another one than the best.
    pub calibration: Option<Calibration>,
    /// Whether films that trained it were synthetic, made by lungfish: what it has learnt then says nothing of real ones.
    pub synthetic: bool,
    /// What must be known beside whatever is said of it.
    pub caveats: Vec<Caveat>,
    /// The models that it came from, the first one first.
    pub ancestors: Vec<Ancestor>,
    /// Of an ensemble its members, whose probabilities are averaged; the other fields are then those of the first, and
    /// `epoch` has the means of their metrics. Empty for one network.
    pub members: Vec<Member>,
    /// The content hash of the `split.csv` of its run; none in files of older versions.
    pub split_file: Option<ContentHash>,
    /// Where it came from, where another program trained it.
    pub imported: Option<ImportedFrom>,
    /// The version of lungfish that wrote it.
    pub version: String,
}

/// A network of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The network.
    pub architecture: Architecture,
    /// Features between the two linear layers of its head.
    pub hidden: usize,
    /// The epoch it comes from, with its metrics on its validation split; none where another program trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<BestEpoch>,
    /// The seed that trained it.
    pub seed: u64,
    /// Which member of that seed's it is.
    #[serde(default)]
    pub member: usize,
    /// What it was trained in, and computes in; members of older versions do not say, and are fp32.
    #[serde(default = "older_precision")]
    pub precision: PrecisionRule,
}

fn older_precision() -> PrecisionRule {
    PrecisionRule::Fp32
}

/// The format of an ensemble's file. A program that knows one network alone must not take the first for all of it.
const ENSEMBLE: &str = "lungfish.ensemble.1";

/// The name of a member's tensor in the ensemble's file.
fn tensor_of(member: usize, name: &str) -> String {
    format!("member.{member}/{name}")
}

impl ModelInfo {
    /// Whether its probabilities are for classes that are equally frequent, although the training films' were not.
    pub fn for_equal_classes(&self) -> bool {
        !self.prior_shift.0.is_empty()
    }

    /// Of two classes the one that is looked for, and that sensitivity and specificity are of; none of several, or of labels.
    pub fn positive_class(&self) -> Option<&str> {
        if self.task != Task::OneOf {
            return None;
        }
        let positive = positive::of(&self.classes, &self.recipe.positive).ok().flatten()?;
        self.classes.get(positive).map(String::as_str)
    }

    /// What the model file of a run folder, or a model file, says about itself, with the file and the hash of its content. No
    /// network is made of it.
    pub(crate) fn of_file(path: &Path) -> Result<(Self, PathBuf, ContentHash), Error> {
        let file = file_of(path)?;
        let bytes = std::fs::read(&file).map_err(|e| Error::io("read", &file, e))?;
        let info = Self::read(&file, &ModelFile::read(&file)?)?;
        Ok((info, file, ContentHash::of(&bytes)))
    }

    /// The networks, without weights: one, or those of an ensemble.
    pub(crate) fn networks(&self) -> Result<Vec<Network>, Error> {
        let classes = self.classes.len();
        if self.members.is_empty() {
            return Ok(vec![Network::new(self.architecture, classes, &self.head)?]);
        }
        let network = |member: &Member| {
            let head = HeadConfig { hidden: member.hidden, ..self.head };
            Ok(Network::new(member.architecture, classes, &head)?)
        };
        self.members.iter().map(network).collect()
    }

    /// What each network was trained in.
    pub(crate) fn precisions(&self) -> Vec<Precision> {
        if self.members.is_empty() {
            return vec![self.recipe.precision.precision()];
        }
        self.members.iter().map(|member| member.precision.precision()).collect()
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        let class_to_idx: Map<String, Value> =
            self.classes.iter().enumerate().map(|(i, name)| (name.clone(), json!(i))).collect();
        let size = self.preprocess.size;
        let mut metadata = vec![
            ("format", if self.members.is_empty() { self.task.model_format() } else { ENSEMBLE }.to_owned()),
            ("members", json!(self.members).to_string()),
            ("task", self.task.to_string()),
            ("architecture", self.architecture.to_string()),
            ("head", json!({ "hidden": self.head.hidden, "dropout": self.head.dropout }).to_string()),
            ("class_to_idx", Value::Object(class_to_idx).to_string()),
            ("preprocess", json!(self.preprocess).to_string()),
            ("input_size", json!([3, size, size]).to_string()),
            ("output_size", self.classes.len().to_string()),
            ("batch_size", self.recipe.batch_size.to_string()),
            ("versions", json!({ "lungfish": self.version }).to_string()),
            ("recipe", self.recipe.to_toml()),
            ("prior_shift", json!(self.prior_shift.0).to_string()),
            ("synthetic", self.synthetic.to_string()),
            ("caveats", json!(self.caveats).to_string()),
            ("split_file", self.split_file.map_or_else(String::new, |hash| hash.to_string())),
            ("notice", NOTICE.to_owned()),
        ];
        if let Some(epoch) = &self.epoch {
            metadata.push(("phase", epoch.phase.to_string()));
            metadata.push(("epoch", epoch.epoch.to_string()));
            metadata.push(("metrics", json!(epoch).to_string()));
        }
        if let Some(calibration) = &self.calibration {
            metadata.push(("calibration", json!(calibration).to_string()));
        }
        if let Some(imported) = &self.imported {
            metadata.push(("imported", json!(imported).to_string()));
        }
        metadata
    }

    fn read(path: &Path, file: &ModelFile) -> Result<Self, Error> {
        let bad = |what: String| Error::damaged(format!("{} is not a model of lungfish: {what}", shown(path)));
        let text = |key: &str| file.metadata.get(key).ok_or_else(|| bad(format!("its metadata has no \"{key}\"")));
        fn parse<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, String> {
            serde_json::from_str(text).map_err(|e| format!("\"{key}\" is {text}: {e}"))
        }
        if !file.metadata.contains_key("format") {
            let what = "its metadata has no \"format\"; `lungfish import` makes a model of somebody's weights";
            return Err(bad(what.to_owned()));
        }
        if text("format")?.starts_with("lungfish.training.") {
            let best = run_folder::BEST;
            return Err(bad(format!("it is what a training goes on from; the model is {best} beside it")));
        }
        let ensemble = text("format")? == ENSEMBLE;
        if !ensemble && !text("format")?.starts_with("lungfish.model.") {
            return Err(bad(format!("its format is \"{}\"", text("format")?)));
        }
        // Files of older versions do not say, and are one-of.
        let task = match file.metadata.get("task") {
            Some(name) => name.parse::<Task>().map_err(|e| bad(format!("its task: {e}")))?,
            None => Task::OneOf,
        };
        let members: Vec<Member> = match file.metadata.get("members") {
            Some(text) => parse("members", text).map_err(bad)?,
            None => Vec::new(),
        };
        if members.is_empty() == ensemble || members.iter().any(|member| !Recipe::HIDDEN.contains(&member.hidden)) {
            return Err(bad(format!("its members are {}", text("members").map_or("not there", String::as_str))));
        }
        if !ensemble && text("format")? != task.model_format() {
            let known = Task::ALL.iter().any(|task| text("format").is_ok_and(|format| format == task.model_format()));
            let why =
                if known { format!("not that of a model that is {task}") } else { "of a newer version".to_owned() };
            return Err(bad(format!("its format {} is {why}", text("format")?)));
        }
        let indices: Map<String, Value> = parse("class_to_idx", text("class_to_idx")?).map_err(bad)?;
        let mut classes = vec![None; indices.len()];
        for (name, index) in indices {
            match index.as_u64().and_then(|i| classes.get_mut(usize::try_from(i).ok()?)) {
                Some(place @ None) => *place = Some(name),
                _ => return Err(bad(format!("its class_to_idx gives \"{name}\" the index {index}"))),
            }
        }
        let classes: Vec<String> = classes.into_iter().flatten().collect();
        let least = if task == Task::OneOf { 2 } else { 1 };
        if classes.len() < least {
            return Err(bad(format!("it has {} classes", classes.len())));
        }
        let head: Value = parse("head", text("head")?).map_err(bad)?;
        let hidden = head["hidden"].as_u64().map(|h| h as usize).filter(|h| Recipe::HIDDEN.contains(h));
        let dropout = head["dropout"].as_f64().filter(|d| (0.0..1.0).contains(d));
        let (Some(hidden), Some(dropout)) = (hidden, dropout) else { return Err(bad(format!("its head is {head}"))) };
        let preprocess: Preprocess = parse("preprocess", text("preprocess")?).map_err(bad)?;
        if !Recipe::IMAGE_SIZE.contains(&preprocess.size) {
            return Err(bad(format!("its image side is {}", preprocess.size)));
        }
        let versions: Value = parse("versions", text("versions")?).map_err(bad)?;
        let mut caveats: Vec<Caveat> = match file.metadata.get("caveats") {
            Some(text) => parse("caveats", text).map_err(bad)?,
            None => Vec::new(),
        };
        let recipe = Recipe::from_toml(text("recipe")?)?;
        let split_file = match file.metadata.get("split_file").filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse().map_err(|e| bad(format!("\"split_file\": {e}")))?),
            None => None,
        };
        let prior_shift = match file.metadata.get("prior_shift") {
            Some(text) => PriorShift(parse("prior_shift", text).map_err(bad)?),
            None => PriorShift::default(),
        };
        let calibration: Option<Calibration> = match file.metadata.get("calibration") {
            Some(text) => Some(parse("calibration", text).map_err(bad)?),
            None => None,
        };
        let imported: Option<ImportedFrom> = match file.metadata.get("imported") {
            Some(text) => Some(parse("imported", text).map_err(bad)?),
            None => None,
        };
        // Only what was imported has no epoch, and what has such a member.
        let without = imported.is_some() || members.iter().any(|member| member.epoch.is_none());
        let epoch = match text("metrics").or_else(|_| text("figures")) {
            Ok(text) => Some(parse("metrics", text).map_err(bad)?),
            Err(_) if without => None,
            Err(error) => return Err(error),
        };
        let lineage = Lineage::read(path, file)?;
        if lineage.has_unknown_ancestor() && !file.metadata.contains_key("caveats") {
            caveats.push(Caveat::unknown_ancestor(&recipe.weights));
        }
        let ancestors = lineage.ancestors;
        Ok(ModelInfo {
            architecture: text("architecture")?.parse()?,
            head: HeadConfig { hidden, dropout: dropout as f32, output: task.output() },
            task,
            classes,
            preprocess,
            epoch,
            recipe,
            prior_shift,
            calibration,
            synthetic: ["synthetic", "drawn"]
                .iter()
                .any(|key| file.metadata.get(*key).is_some_and(|text| text == "true")),
            caveats,
            ancestors,
            members,
            split_file,
            imported,
            version: versions["lungfish"].as_str().unwrap_or("unknown").to_owned(),
        })
    }
}

/// A model in memory.
pub(crate) struct Model {
    pub info: ModelInfo,
    /// One, or those of an ensemble; each has its store.
    pub networks: Vec<Network>,
    pub stores: Vec<Store<Compute>>,
    /// What each computes in: what trained it, unless another is asked for or the device does not have it.
    pub precisions: Vec<Precision>,
    device: Compute,
    pub lineage: Lineage,
    /// What each network keeps of the films that taught it.
    pub references: Vec<Option<Reference>>,
    /// The file it came from.
    file: PathBuf,
    /// The run folder it belongs to, if it lies in one.
    pub run: Option<PathBuf>,
}

impl Model {
    /// The file it came from.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The folder in which its file lies.
    pub(crate) fn folder(&self) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// Whether it keeps what says how unlike the films of its training a film is.
    pub(crate) fn tells_unlike(&self) -> bool {
        self.references.iter().flatten().any(Reference::tells_unlike)
    }

    /// Where it lies, and so where it computes, whatever becomes the default later.
    pub(crate) fn device(&self) -> &Compute {
        &self.device
    }

    /// The networks with what they compute in.
    pub(crate) fn computing(&self) -> Networks<'_> {
        (&self.networks, &self.precisions)
    }

    /// Lets all networks compute in a precision, whatever trained them; `auto` is what did, where the device has it.
    ///
    /// # Errors
    /// A precision that is asked for and that the device does not have.
    pub(crate) fn compute_in(&mut self, rule: PrecisionRule) -> Result<(), Error> {
        match self.device.settled(rule)? {
            _ if rule == PrecisionRule::Auto => self.precisions = self.device.nearest(self.info.precisions()),
            rule => self.precisions.fill(rule.precision()),
        }
        Ok(())
    }

    /// What a network computes in, where it is another precision than trained it; the first such network's.
    pub(crate) fn other_precision(&self) -> Option<PrecisionRule> {
        precision::other(&self.precisions, &self.info.precisions())
    }

    /// What the networks compute in, in words.
    pub(crate) fn precision_words(&self) -> String {
        let mut names: Vec<&str> = self.precisions.iter().map(|precision| precision.name()).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        names.dedup();
        names.join(" and ")
    }

    /// Refuses an ensemble where one network is wanted.
    pub(crate) fn require_single(&self, why: &str) -> Result<(), Error> {
        match self.info.members.len() {
            0 => Ok(()),
            n => Err(Error::refused(format!("{} is an ensemble of {n} networks: {why}", shown(&self.file)))),
        }
    }

    /// Refuses the split file of a run folder that is not the one the model was trained with.
    pub(crate) fn check_split_file(&self, run: &Path) -> Result<(), Error> {
        let hash = self.info.split_file.map(|hash| hash.to_string());
        run_folder::check_split_file(&run.join(run_folder::SPLIT), hash.as_deref())
    }

    /// Opens a run folder or a model file, with the weights of its best epoch or of its last.
    pub(crate) fn open_epoch(path: &Path, epoch: EpochChoice, backend: &Compute) -> Result<Self, Error> {
        let mut model = Self::open(path, backend)?;
        if epoch == EpochChoice::Last {
            let Some(run) = model.run.clone().filter(|_| path.is_dir()) else {
                let text = format!("{} is no run folder: the last epoch's weights are in its run folder", shown(path));
                return Err(Error::refused(text));
            };
            let file = run.join(run_folder::LAST);
            model.require_single("it has no last epoch of its own")?;
            let checkpoint = Checkpoint::read(&file)?;
            model.info.epoch = Some(checkpoint.state.last_epoch(&file)?);
            let mut tensors = checkpoint.into_validated(&model.info.recipe);
            model.info.prior_shift.fold(&mut tensors, &model.networks[0].output_bias(), Way::In);
            restore(&mut model.stores[0], &tensors)?;
            model.info.calibration = None;
            // It is of other weights.
            model.references = vec![None];
            model.file = file;
        }
        Ok(model)
    }

    /// Opens a run folder (its best epoch) or a model file.
    pub(crate) fn open(path: &Path, backend: &Compute) -> Result<Self, Error> {
        let file = file_of(path)?;
        let content = ModelFile::read(&file)?;
        let info = ModelInfo::read(&file, &content)?;
        let networks = info.networks()?;
        let (mut stores, mut references) = (Vec::new(), Vec::new());
        for (index, network) in networks.iter().enumerate() {
            let mut store = Store::new(backend, &network.graph)?;
            let named = |name: &str| if info.members.is_empty() { name.to_owned() } else { tensor_of(index, name) };
            restore_as(&mut store, &content.tensors, named)
                .map_err(|e| Error::damaged(format!("{} does not fit its own architecture: {e}", shown(&file))))?;
            stores.push(store);
            let reference = Reference::read(&content, info.classes.len(), named);
            references.push(reference.map_err(|e| Error::damaged(format!("{} is damaged: {e}", shown(&file))))?);
        }
        let lineage = Lineage::read(&file, &content)?;
        let (device, precisions) = (backend.clone(), backend.nearest(info.precisions()));
        let mut model = Model { info, networks, stores, precisions, device, lineage, references, file, run: None };
        model.run = Some(model.folder()).filter(|folder| folder.join(run_folder::SPLIT).exists());
        Ok(model)
    }
}

/// The model file that a path names: that of a run folder's best epoch, or itself.
pub(crate) fn file_of(path: &Path) -> Result<PathBuf, Error> {
    let file = if path.is_dir() { path.join(run_folder::BEST) } else { path.to_owned() };
    if !file.exists() {
        return Err(Error::not_found(if path.is_dir() {
            format!(
                "{} is no run folder, or its run has not finished an epoch: {} is not in it",
                shown(path),
                run_folder::BEST
            )
        } else {
            format!("there is no run folder or model file {}", shown(path))
        }));
    }
    Ok(file)
}

/// A network as a file holds it: its tensors, and what it keeps of the films that taught it.
pub(crate) type Kept<'a> = (Tensors, Option<&'a Reference>);

/// The bytes of a model file of one network, or of those of an ensemble.
pub(crate) fn to_bytes(info: &ModelInfo, networks: Vec<Kept<'_>>, lineage: &Lineage) -> Result<Vec<u8>, Error> {
    let mut file = ModelFile::default();
    for (index, (tensors, reference)) in networks.into_iter().enumerate() {
        let named = |name: &str| if info.members.is_empty() { name.to_owned() } else { tensor_of(index, name) };
        file.tensors.extend(tensors.into_iter().map(|(name, tensor)| (named(&name), tensor)));
        if let Some(reference) = reference {
            reference.write(&mut file, named);
        }
    }
    file.metadata.extend(info.metadata().into_iter().map(|(key, value)| (key.to_owned(), value)));
    lineage.write(&mut file)?;
    Ok(file.to_bytes()?)
}

/// Every tensor of a store, by name.
pub(crate) fn capture(store: &Store<Compute>) -> Result<Tensors, Error> {
    let mut tensors = Tensors::new();
    for spec in store.tensors() {
        tensors.insert(spec.name.clone(), Tensor { shape: spec.shape.clone(), data: store.get(&spec.name)? });
    }
    Ok(tensors)
}

/// Sets every tensor of a store; a missing one or one of another shape is an error, further ones are left alone.
pub(crate) fn restore(store: &mut Store<Compute>, tensors: &Tensors) -> Result<(), Error> {
    restore_as(store, tensors, str::to_owned)
}

/// [`restore`] from tensors that have other names than the store's.
fn restore_as(store: &mut Store<Compute>, tensors: &Tensors, named: impl Fn(&str) -> String) -> Result<(), Error> {
    for spec in store.tensors().to_vec() {
        match tensors.get(&named(&spec.name)) {
            Some(tensor) if tensor.shape == spec.shape => store.set(&spec.name, &tensor.data)?,
            Some(tensor) => {
                let text = format!("tensor {} has shape {:?}, not {:?}", spec.name, tensor.shape, spec.shape);
                return Err(Error::Refused(text));
            }
            None => return Err(Error::Refused(format!("there is no tensor {}", spec.name))),
        }
    }
    Ok(())
}

/// The normalisation that a preprocessing asks of the engine.
pub(crate) fn normalization(preprocess: &Preprocess) -> Normalization {
    Normalization { mean: preprocess.mean, std: preprocess.std }
}

fn shown(path: &Path) -> String {
    lungfish_data::display::escape(path)
}
