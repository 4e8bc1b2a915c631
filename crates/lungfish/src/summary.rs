//! What a model, or a network that one could train, is made of.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use lungfish_engine::PlanSpec;
use lungfish_models::{Architecture, HeadConfig, Network, Summary};
use serde::Serialize;

use crate::compute::Compute;
use crate::model::Model;
use crate::{BestEpoch, Error, Phase, PrecisionRule, Recipe, micro_batch};

/// What to summarise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SummaryOf {
    /// A run folder (its best epoch) or a model file.
    Model(PathBuf),
    /// A network as a training would begin with it.
    Architecture {
        /// The network.
        architecture: Architecture,
        /// Classes of its head, within [`SummaryRequest::CLASSES`].
        classes: usize,
        /// Side of the image, pixels, within [`Recipe::IMAGE_SIZE`].
        image_size: usize,
    },
}

/// What to summarise, and for what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SummaryRequest {
    /// The model or the network.
    pub of: SummaryOf,
    /// Films at a time, within [`Recipe::BATCH_SIZE`].
    pub batch: usize,
    /// Parts that train, as the recipe's `unfreeze`. Otherwise those that trained in the phase of the model's epoch; all
    /// of a network that has no model yet.
    pub unfreeze: Option<String>,
}

impl SummaryRequest {
    /// Classes that the head of a mere network may have.
    pub const CLASSES: RangeInclusive<usize> = 2..=65536;

    /// One film at a time, with the parts that trained.
    pub fn new(of: SummaryOf) -> Self {
        SummaryRequest { of, batch: 1, unfreeze: None }
    }
}

/// A summary, and what is known of the model beyond its network.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ModelSummary {
    /// The model; none for a mere network.
    pub model: Option<TrainedModel>,
    /// The network's layers and totals.
    #[serde(flatten)]
    pub summary: Summary,
    /// Bytes of activations and gradients that a training step of the batch takes here, the trained parts being those
    /// that train: layers in place of others where they may be, and nothing kept that no gradient needs. In the model's precision; of
    /// a mere network in that which a training takes here. On a GPU without room for the batch, of the part of it that is taken at once.
    pub step_bytes: u64,
}

/// What a model file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TrainedModel {
    /// The file.
    pub file: PathBuf,
    /// Names of its classes, in index order.
    pub class_names: Vec<String>,
    /// The epoch that it comes from, with its metrics on the validation split; left out where another program trained it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<BestEpoch>,
    /// The version of lungfish that wrote it.
    pub version: String,
}

/// Summarises a model or a network.
///
/// ```
/// use lungfish::{Architecture, SummaryOf, SummaryRequest, summary};
/// let of = SummaryOf::Architecture { architecture: Architecture::Resnet34, classes: 2, image_size: 224 };
/// let mut request = SummaryRequest::new(of);
/// request.unfreeze = Some("head".to_owned());
/// let told = summary(&request)?;
/// assert_eq!((told.summary.parameters, told.summary.trainable), (21_416_514, 131_842));
/// # Ok::<(), lungfish::Error>(())
/// ```
///
/// # Errors
/// No such model or no such part; a batch, an image or a number of classes out of range.
pub fn summary(request: &SummaryRequest) -> Result<ModelSummary, Error> {
    within("batch", request.batch, Recipe::BATCH_SIZE)?;
    let (network, precision, model, size, trained) = match &request.of {
        SummaryOf::Model(path) => {
            let model = Model::open(path, &Compute::default())?;
            model.require_single("look at one of its members")?;
            let file = model.file().to_owned();
            let Model { info, mut networks, .. } = model;
            let trained = match info.epoch.as_ref().map(|epoch| epoch.phase) {
                Some(Phase::Frozen) => "head".to_owned(),
                Some(Phase::Unfrozen) => info.recipe.unfreeze.clone(),
                None => "all".to_owned(),
            };
            let (size, precision) = (info.preprocess.size, info.recipe.precision.precision());
            let model = TrainedModel { file, class_names: info.classes, epoch: info.epoch, version: info.version };
            (networks.swap_remove(0), precision, Some(model), size, trained)
        }
        SummaryOf::Architecture { architecture, classes, image_size } => {
            within("classes", *classes, SummaryRequest::CLASSES)?;
            within("image_size", *image_size, Recipe::IMAGE_SIZE)?;
            let network = Network::new(*architecture, *classes, &HeadConfig::default())?;
            let precision = PrecisionRule::Auto.settled().precision();
            (network, precision, None, *image_size, "all".to_owned())
        }
    };
    let train = network.parts_by_names(request.unfreeze.as_ref().unwrap_or(&trained))?;
    let summary = Summary::new(&network, &train, request.batch, size)?;
    let normalization = network.architecture.normalization();
    let spec = PlanSpec::training(&network.graph, request.batch, size, normalization, &train);
    let spec = PlanSpec { precision, ..spec };
    let step_bytes = micro_batch::bytes(&Compute::default(), &network.graph, spec)? as u64;
    Ok(ModelSummary { model, summary, step_bytes })
}

/// Refuses a number that is not in its range.
pub(crate) fn within(what: &str, number: usize, range: RangeInclusive<usize>) -> Result<(), Error> {
    match range.contains(&number) {
        true => Ok(()),
        false => {
            let (least, most) = range.into_inner();
            Err(Error::refused(format!("{what} = {number}: must be a number from {least} to {most}")))
        }
    }
}
