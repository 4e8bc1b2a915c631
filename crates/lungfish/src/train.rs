//! Training: a recipe and a folder of films in, a run folder out.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::device::Device;
use crate::{BestEpoch, Changes, Error, Observer};

/// What to train.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// The films. May be left out with `resume` (then where they were); may have moved since.
    pub data: Option<PathBuf>,
    /// The run folder.
    pub out: PathBuf,
    /// What was asked for beyond the defaults (`Changes::from(&recipe)` for a whole recipe). With `resume` the run's own
    /// recipe is taken and a key that contradicts it is refused.
    pub changes: Changes,
    /// Go on with a run instead of starting one.
    pub resume: bool,
    /// Threads that decode films ahead of the step; 0 is as many as there are cores.
    pub workers: usize,
    /// Where to compute.
    pub device: Device,
}

/// How a training ended.
#[derive(Clone, Debug)]
pub struct TrainOutcome {
    /// The run folder.
    pub run: PathBuf,
    /// The model file of the best epoch; none if a stop came before there was one.
    pub model: Option<PathBuf>,
    /// True if it was stopped on request and can be resumed.
    pub stopped: bool,
    /// The epoch kept.
    pub best: Option<BestEpoch>,
    /// Seconds of training in all, those before a resume included.
    pub seconds: f64,
}

/// Trains, or goes on training. `stop` set to true finishes the step, saves, and returns with `stopped`.
///
/// # Errors
/// The first thing that makes it impossible, one sentence. What was saved before stays.
pub fn train(request: &TrainRequest, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<TrainOutcome, Error> {
    let _ = (request, observer, stop);
    Err(Error::refused("training is not built yet"))
}
