//! What a training writes down of an epoch: its phase, its metrics, and which epoch is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Why;

/// A phase of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The head alone.
    Frozen,
    /// The head and the parts of `unfreeze`.
    Unfrozen,
}

impl Phase {
    /// `frozen` or `unfrozen`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Frozen => "frozen",
            Phase::Unfrozen => "unfrozen",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which epoch's weights of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EpochChoice {
    /// The one that validation chose.
    #[default]
    Best,
    /// The last one, whatever validation said of it.
    Last,
}

impl std::str::FromStr for EpochChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "best" => Ok(EpochChoice::Best),
            "last" => Ok(EpochChoice::Last),
            _ => Err(format!("\"{name}\" is no epoch to choose: it is best or last")),
        }
    }
}

/// One line of `log.jsonl`. Epoch 0 of the unfrozen phase is the validation before its first step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The phase.
    pub phase: Phase,
    /// The epoch within the phase, from 1; 0 is before the first step.
    pub epoch: usize,
    /// The loss that is optimised (class weights and label smoothing in it), mean over the epoch; none for epoch 0.
    pub train_loss: Option<f64>,
    /// Part of the training films that the network had right as it went along; none for epoch 0.
    pub train_accuracy: Option<f64>,
    /// Plain negative log-likelihood on the validation split, mean.
    pub val_loss: f64,
    /// Part of the validation films that the network has right.
    pub val_accuracy: f64,
    /// Area under the ROC curve on the validation split; none where undefined.
    pub val_auc: Option<f64>,
    /// On augmented views of the validation films; none where there are none, like all below.
    #[serde(default)]
    pub robust: Option<RobustMetrics>,
    /// Learning rate of the epoch's last step (a one-cycle moves it each step); for epoch 0 that of the first step.
    pub lr: f64,
    /// The same for each part that has a learning rate of its own (`lr.PART`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub part_lr: BTreeMap<String, f64>,
    /// Wall clock, training and validation, seconds.
    pub seconds: f64,
    /// Training films through the network in a second; none for epoch 0.
    pub films_per_s: Option<f64>,
}

/// Metrics on augmented views of the validation films, the same views in every epoch and every training: the preset
/// `robust`, keyed by film and view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RobustMetrics {
    /// Plain negative log-likelihood, mean over all views.
    pub loss: f64,
    /// Part of the views that the network has right.
    pub accuracy: f64,
    /// Area under the ROC curve over all views; none where undefined.
    pub auc: Option<f64>,
    /// What `best = "robust"` compares, lower is better: the mean of the losses on the films as they are and on the views,
    /// each class counting as much as another where the probabilities are for equal ones (`prior`).
    pub choice: f64,
}

/// An epoch with its metrics on the validation split: the one whose weights a run keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BestEpoch {
    /// The phase.
    pub phase: Phase,
    /// The epoch within the phase.
    pub epoch: usize,
    /// Part of the validation films it has right.
    pub val_accuracy: f64,
    /// Area under the ROC curve on the validation split; none where undefined.
    pub val_auc: Option<f64>,
    /// Plain negative log-likelihood on the validation split.
    pub val_loss: f64,
    /// On augmented views of the validation films; none without, and in files of older versions.
    #[serde(default)]
    pub robust: Option<RobustMetrics>,
    /// What it was kept for; none for an epoch that was only looked at, and in files of older versions.
    #[serde(default)]
    pub why: Option<Why>,
}

impl From<&EpochRecord> for BestEpoch {
    fn from(record: &EpochRecord) -> Self {
        let &EpochRecord { phase, epoch, val_accuracy, val_auc, val_loss, robust, .. } = record;
        BestEpoch { phase, epoch, val_accuracy, val_auc, val_loss, robust, why: None }
    }
}
