//! What lies in a run folder, for somebody who looks at it: its test film by film, and the log of its training. Nothing is written.

mod tested;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lungfish_data::{Split, Splits};
use serde_json::Value;

pub use tested::{TestedFilm, TestedFilms};

use crate::run_folder::{BEST, LOG};
use crate::{BestEpoch, Error, ModelInfo, run_folder};

/// On which split each film of a run was, by its path, where the films are below `root` now; none where no split lies there.
///
/// # Errors
/// A split file that is damaged.
pub fn splits_of_run(run: &Path, root: &Path, info: &ModelInfo) -> Result<Option<HashMap<PathBuf, Split>>, Error> {
    let file = run.join(run_folder::SPLIT);
    if !file.is_file() {
        return Ok(None);
    }
    let splits = Splits::read_csv(&file, root, info.task, &info.classes)?;
    let of = |split: Split| splits.of(split).iter().map(move |film| (film.film.path.clone(), split));
    Ok(Some(Split::ALL.into_iter().flat_map(of).collect()))
}

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
    fn the_split_of_each_film_is_told_wherever_the_films_are() {
        let dir = tempfile::tempdir().unwrap();
        let (data, run) = (dir.path().join("films"), dir.path().join("run"));
        lungfish_data::synth(&data, 30, 1).unwrap();
        let mut request = crate::TrainRequest::new(&data, &run);
        for setting in ["image_size=32", "hidden=8", "frozen_epochs=1"] {
            request.changes.set(setting).unwrap();
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        crate::train(&request, &mut crate::Watch::new(&mut crate::Silent, &stop)).unwrap();
        let info = ModelInfo::of_file(&run).unwrap().0;
        let moved = dir.path().join("moved");
        fs::rename(&data, &moved).unwrap();
        let splits = splits_of_run(&run, &moved, &info).unwrap().unwrap();
        assert_eq!(splits.len(), 30);
        assert!(splits.keys().all(|path| path.is_file()), "{splits:?}");
        let test = lungfish_data::folder::films_in(&moved.join("test")).unwrap();
        assert!(test.iter().all(|film| splits[film] == Split::Test));
        assert_eq!(splits_of_run(dir.path(), &moved, &info).unwrap(), None);
    }

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
