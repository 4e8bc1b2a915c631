//! Testing: how well a model does on one side of a data set.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::{Error, Observer, Side};

/// What to test on what.
#[derive(Clone, Debug)]
pub struct TestRequest {
    /// A run folder or a model file.
    pub model: PathBuf,
    /// The films.
    pub data: PathBuf,
    /// The side; none is the test side. Training and validation films are scored only if asked for here.
    pub side: Option<Side>,
    /// Folder for `predictions-{side}.csv`; none is the run folder, or the model file's folder.
    pub out: Option<PathBuf>,
}

/// Figures of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassFigures {
    /// The class.
    pub name: String,
    /// Of the films predicted to be it, the part that is; none where none was.
    pub precision: Option<f64>,
    /// Of the films that are it, the part predicted to be; none where none is.
    pub recall: Option<f64>,
    /// Harmonic mean of the two; none where undefined.
    pub f1: Option<f64>,
    /// Films that are it.
    pub support: usize,
}

/// The figures of a test. Serialised, it is what `lungfish test --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct TestOutcome {
    /// Films scored.
    pub films: usize,
    /// Part that is right.
    pub accuracy: f64,
    /// Plain negative log-likelihood, mean.
    pub loss: f64,
    /// Area under the ROC curve, class 1 the positive one; macro one-vs-rest beyond two classes; none where undefined.
    pub auc: Option<f64>,
    /// Each class, in index order.
    pub classes: Vec<ClassFigures>,
    /// `confusion[label][predicted]`, films.
    pub confusion: Vec<Vec<usize>>,
    /// With two classes the probability of class 1 from which a film is called class 1; none beyond.
    pub threshold: Option<f64>,
    /// The side that was scored.
    #[serde(skip)]
    pub side: Side,
    /// The file with one line a film.
    #[serde(skip)]
    pub predictions: PathBuf,
    /// Films that could not be read and are not in the figures.
    #[serde(skip)]
    pub bad: Vec<crate::BadFilm>,
}

/// Scores a model on one side of a data set and writes `predictions-{side}.csv`.
///
/// # Errors
/// One sentence: no such model or folder, a class the model does not know, films the model was trained on, no film left.
pub fn test(request: &TestRequest, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<TestOutcome, Error> {
    let _ = (request, observer, stop);
    Err(Error::refused("testing is not built yet"))
}
