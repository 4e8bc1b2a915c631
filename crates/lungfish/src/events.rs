//! What a training, a test or a prediction tells while it runs. The library never prints: it hands
//! [`Event`]s to an [`Observer`].

use std::path::PathBuf;

use lungfish_data::{Split, Task};
use serde::Serialize;

use crate::recipe::Schedule;
use crate::tune::Trial;
use crate::{BestEpoch, EpochRecord, Phase};

/// Something with an end that takes a while; all count films.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activity {
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
    /// Steps of a learning-rate range test.
    RangeTest,
    /// The batch-norm statistics of an average of weights.
    Averaging,
    /// Metrics on the validation split.
    Validating,
    /// Asking films that taught the model what it is to know of them.
    Remembering,
    /// Scoring films for a test or a prediction.
    Predicting,
    /// Comparing films with each other.
    Comparing,
    /// Changing films and scoring them again; counted in changes.
    Stressing,
    /// Reading films once more for pictures.
    Drawing,
    /// Steps or passes that are timed.
    Measuring,
}

/// Something that takes a while and counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Transfer {
    /// Bytes come over the network.
    Downloading,
    /// What is there is compared with its checksum.
    Verifying,
    /// Files come out of an archive.
    Unpacking,
}

/// Something that happened.
/// Serialised, it is an object with its kind and what belongs to it: `{"event":"note","data":"..."}`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
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
        /// What is asked of the films.
        task: Task,
        /// Films.
        count: usize,
        /// Films of each class, in class order; any-of: films that are known to have each label.
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
    /// A trial of a tuning begins (or goes on).
    TrialStarted {
        /// The trial.
        trial: Trial,
        /// The rung, from 0.
        rung: usize,
        /// Rungs in all.
        rungs: usize,
        /// Trials on this rung; one before the first has shown how long one takes.
        of: usize,
        /// Epochs on it.
        epochs: usize,
        /// Side of its images.
        side: usize,
    },
    /// A trial is over on a rung; its last result is that of the rung.
    TrialDone {
        /// The trial.
        trial: Trial,
        /// The rung, from 0.
        rung: usize,
    },
    /// How far a task has come. `done == total` is sent once at its end.
    Progress {
        /// The task.
        task: Activity,
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
