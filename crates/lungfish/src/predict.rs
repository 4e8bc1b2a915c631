//! Prediction: a model and films in, one probability a class out. Testing goes through here too.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Serialize, Serializer};

use crate::{Error, Observer};

/// What a model says about one film. Serialised, it is a line of `lungfish predict --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The film.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// The most probable class.
    pub class: String,
    /// Each class with its probability, in index order; they sum to one.
    #[serde(serialize_with = "as_map")]
    pub probabilities: Vec<(String, f64)>,
}

/// A film that could not be scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFilm {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What [`Predictor::predict`] found.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    /// One a film, in the order asked for, folders in path order.
    pub films: Vec<Prediction>,
    /// Films that could not be scored.
    pub bad: Vec<BadFilm>,
}

/// A model ready to score films. Needs the model file and nothing else.
#[derive(Debug)]
pub struct Predictor {}

impl Predictor {
    /// Opens a run folder (its best epoch) or a model file.
    ///
    /// # Errors
    /// No such file, or a file that is no model.
    pub fn open(model: &Path) -> Result<Self, Error> {
        Err(Error::refused(format!("{} cannot be opened yet", model.display())))
    }

    /// Scores files, and the films in folders and theirs.
    ///
    /// # Errors
    /// A path that does not exist, a folder without films, [`Error::Stopped`]; bad films are no error.
    pub fn predict(
        &mut self,
        paths: &[PathBuf],
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Predictions, Error> {
        let _ = (paths, observer, stop);
        Ok(Predictions::default())
    }
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn as_map<S: Serializer>(pairs: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, p)| (name, p)))
}
