//! What lies in a run folder, for somebody who looks at it: its test film by film, and the log of its training. Nothing is written.

mod tested;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

pub use tested::{TestedFilm, TestedFilms};

use crate::run_folder::{BEST, LOG};
use crate::{BestEpoch, Error, ModelInfo, run_folder};

/// The lines of the log of a training, as they are; none where there is no log.
///
/// # Errors
/// A log that cannot be read.
pub fn training_log(run: &Path) -> Result<Vec<Value>, Error> {
    let log = run.join(LOG);
    match fs::read_to_string(&log) {
        // A line that is being written is none yet.
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", &log, e)),
    }
}

/// The epoch whose model lies in a run folder, which the training chose; none before the first. The whole file is read.
pub fn kept_epoch(run: &Path) -> Option<BestEpoch> {
    ModelInfo::of_file(run).ok()?.0.epoch
}

/// When the model of a run folder was written; none before the first.
pub fn model_written(run: &Path) -> Option<SystemTime> {
    fs::metadata(run.join(BEST)).and_then(|file| file.modified()).ok()
}

/// Whether a process trains in a run folder at this moment. False where that cannot be told.
pub fn is_training(run: &Path) -> bool {
    let lock = File::open(run.join(run_folder::LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_is_noticed_while_it_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_training(dir.path()));
        let held = run_folder::hold(dir.path(), "training").unwrap();
        assert!(is_training(dir.path()));
        drop(held);
        assert!(!is_training(dir.path()));
        fs::write(dir.path().join(LOG), "{\"epoch\":1}\n{\"epo").unwrap();
        assert_eq!(training_log(dir.path()).unwrap(), [serde_json::json!({"epoch": 1})]);
    }
}
