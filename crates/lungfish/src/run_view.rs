//! What lies in a run folder, for somebody who looks at it: its test film by film, and the log of its training. Nothing is written.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lungfish_data::display::{escape, uncell};
use lungfish_data::{Split, Splits, table_column};
use serde_json::Value;

use crate::run_folder::{BEST, LOG};
use crate::{BestEpoch, Error, ModelInfo, run_folder};

/// What a test of a run's own films wrote.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TestedFilms {
    /// Which films.
    pub split: Split,
    /// All of `metrics-{split}.json`.
    pub metrics: Value,
    /// A film each, in the order of the table.
    pub films: Vec<TestedFilm>,
}

/// A film of a test.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TestedFilm {
    /// Its file, as the test had it.
    pub path: PathBuf,
    /// The class that it is said to be; empty where films may have any of several labels.
    pub label: String,
    /// The class that it was called; empty where films may have any of several labels.
    pub predicted: String,
    /// The probability of each class or label.
    pub probabilities: Vec<f64>,
    /// The patient, where something tells it.
    pub patient: Option<String>,
    /// How unlike the training films it is, where the model says it.
    pub unlike: Option<f64>,
}

impl TestedFilms {
    /// Of the test split of a run; none where it was not tested. `classes` are the names of the model.
    ///
    /// # Errors
    /// Files that cannot be read, or are not what a test writes.
    pub fn read(run: &Path, classes: &[String]) -> Result<Option<Self>, Error> {
        let (json, csv) = (run.join("metrics-test.json"), run.join("predictions-test.csv"));
        let bytes = match fs::read(&json) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &json, e)),
        };
        let metrics: Value = serde_json::from_slice(&bytes)
            .map_err(|e| Error::damaged(format!("{} is not what a test writes: {e}", escape(&json))))?;
        if !csv.is_file() {
            return Ok(None);
        }
        let optional = |name: &str| table_column(&csv, name).unwrap_or_default();
        let paths = table_column(&csv, "path")?;
        let (labels, predicted) = (optional("label"), optional("predicted"));
        let (patients, unlike) = (optional("patient"), optional("unlike"));
        let one_of = metrics["task"] != "any-of";
        let mut probabilities: Vec<BTreeMap<u64, String>> = Vec::new();
        for class in classes {
            let name = if one_of { class.clone() } else { format!("{class} probability") };
            probabilities.push(table_column(&csv, &name)?);
        }
        let number = |cell: Option<&String>| cell.and_then(|cell| cell.parse::<f64>().ok());
        let text = |of: &BTreeMap<u64, String>, row: &u64| of.get(row).map(|cell| uncell(cell).to_owned());
        let film = |(row, path): (&u64, &String)| TestedFilm {
            path: PathBuf::from(uncell(path)),
            label: text(&labels, row).unwrap_or_default(),
            predicted: text(&predicted, row).unwrap_or_default(),
            probabilities: probabilities.iter().map(|of| number(of.get(row)).unwrap_or(f64::NAN)).collect(),
            patient: text(&patients, row),
            unlike: number(unlike.get(row)),
        };
        Ok(Some(TestedFilms { split: Split::Test, metrics, films: paths.iter().map(film).collect() }))
    }
}

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
    fn a_test_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let classes = ["A", "B"].map(str::to_owned);
        assert_eq!(TestedFilms::read(dir.path(), &classes).unwrap(), None);
        fs::write(dir.path().join("metrics-test.json"), r#"{"task":"one-of"}"#).unwrap();
        assert_eq!(TestedFilms::read(dir.path(), &classes).unwrap(), None, "there is no table");
        let table = "path,label,predicted,A,B,patient,unlike\nx/1.png,A,B,0.25,0.75,p,0.5\n'=2.png,B,B,0.1,0.9,,\n";
        fs::write(dir.path().join("predictions-test.csv"), table).unwrap();
        let films = TestedFilms::read(dir.path(), &classes).unwrap().unwrap().films;
        assert_eq!((films.len(), films[0].probabilities.as_slice()), (2, &[0.25, 0.75][..]));
        assert_eq!((films[0].patient.as_deref(), films[0].unlike), (Some("p"), Some(0.5)));
        assert_eq!((films[1].path.to_str(), films[1].patient.as_ref(), films[1].unlike), (Some("=2.png"), None, None));
        assert!(TestedFilms::read(dir.path(), &["C".to_owned()]).is_err(), "of another model");
    }

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
