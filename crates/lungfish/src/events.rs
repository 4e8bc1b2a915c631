//! What a training, a test or a prediction tells while it runs. The library never prints: it hands
//! [`Event`]s to an [`Observer`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use lungfish_data::Split;
use serde::{Deserialize, Serialize};

use crate::recipe::Schedule;

/// A phase of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Something with an end that takes a while; all count films.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Decoding every film once before anything else.
    Checking,
    /// One pass through the frozen parts: the features of one view of one split.
    Features {
        /// The split.
        split: Split,
        /// The view, from 0.
        view: usize,
    },
    /// An epoch's steps.
    Training,
    /// Metrics on the validation split.
    Validating,
    /// Scoring films for a test or a prediction.
    Predicting,
    /// Reading films once more for pictures.
    Drawing,
    /// Steps or passes that are timed.
    Measuring,
}

/// Something that takes a while and counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transfer {
    /// Bytes come over the network.
    Downloading,
    /// What is there is compared with its checksum.
    Verifying,
    /// Files come out of an archive.
    Unpacking,
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

/// The epoch whose weights a run keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Worth knowing.
    Note(String),
    /// Worth acting on.
    Warning(String),
    /// A film that cannot be used and is left out.
    BadFilm {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A split of the data set, as torchvision prints one.
    Dataset {
        /// The split.
        split: Split,
        /// The folder.
        root: PathBuf,
        /// Films.
        count: usize,
        /// Films of each class, in class order.
        classes: Vec<(String, usize)>,
        /// What is done to each film, a step an entry (`Resize(size=224, ...)`).
        transforms: Vec<String>,
    },
    /// Where the weights came from.
    Weights {
        /// `imagenet`, a file, or `none`.
        source: String,
        /// Tensors taken.
        loaded: usize,
        /// Tensors of the network that were not there.
        missing: Vec<String>,
        /// Tensors that were there and are not the network's.
        unexpected: Vec<String>,
    },
    /// A phase begins (or goes on).
    PhaseStarted {
        /// The phase.
        phase: Phase,
        /// Its epochs.
        epochs: usize,
        /// Names of the parts that train.
        parts: Vec<String>,
        /// Learned numbers in them.
        trainable_parameters: usize,
        /// How their learning rates move.
        schedule: Schedule,
        /// Each part with its learning rate before the schedule.
        rates: Vec<(String, f64)>,
    },
    /// An epoch begins (or goes on).
    EpochStarted {
        /// The phase.
        phase: Phase,
        /// The epoch, from 1.
        epoch: usize,
        /// Epochs of the phase.
        of: usize,
    },
    /// How far a task has come. `done == total` is sent once at its end.
    Progress {
        /// The task.
        task: Task,
        /// Films done.
        done: usize,
        /// Films in all.
        total: usize,
    },
    /// How far a transfer has come. Sent once at its end as well.
    Transferred {
        /// The transfer.
        transfer: Transfer,
        /// Bytes done.
        done: u64,
        /// Bytes in all; none where nobody knows.
        total: Option<u64>,
    },
    /// An epoch is over and saved.
    EpochDone {
        /// Its metrics.
        record: EpochRecord,
        /// Epochs of the phase.
        of: usize,
        /// Seconds that the rest of the phase will take, as far as one can tell.
        seconds_left: Option<f64>,
    },
    /// The best epoch so far; `best.safetensors` holds it.
    Best(BestEpoch),
    /// A checkpoint inside an epoch was written.
    Saved {
        /// The file.
        path: PathBuf,
    },
    /// A phase ended early.
    EarlyStop {
        /// The phase.
        phase: Phase,
        /// The epoch after which it ended.
        epoch: usize,
        /// Epochs without a better metric.
        patience: usize,
    },
}

/// Takes [`Event`]s. Called from the thread that runs the job, in order.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Observer for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

/// Takes events and does nothing with them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}
