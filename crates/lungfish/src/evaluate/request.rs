//! What to test on what, and the films of that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lungfish_data::{DataError, FilmSet, Split, TableRule, Uids};

use crate::film_memory::FilmMemory;
#[cfg(feature = "pictures")]
use crate::picture::PictureFormats;
use crate::source::Reading;
use crate::{EpochChoice, Error, PointRule, PrecisionRule, Recipe, Tta, source};

/// What to test on what.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TestRequest {
    /// A run folder or a model file.
    pub model: PathBuf,
    /// The films.
    pub data: PathBuf,
    /// The table of the labels, where they are in one that is not the folder's own `labels.csv`.
    pub labels: Option<PathBuf>,
    /// How it is read.
    pub table: TableRule,
    /// The split; none is the test split. Training and validation films are scored only if asked for here.
    pub split: Option<Split>,
    /// Which epoch of a run; a model file holds its best.
    pub epoch: EpochChoice,
    /// In which views each film is scored.
    pub tta: Tta,
    /// Where films are called; none is the model's own operating point.
    pub at: Option<PointRule>,
    /// In which precision; `auto` is what trained each model.
    pub precision: PrecisionRule,
    /// A share of positive films, between 0 and 1, for which predictive values are told beside those of the films themselves.
    pub prevalence: Option<f64>,
    /// Another run folder or model file that is asked about the same films and compared.
    pub compare: Option<PathBuf>,
    /// Columns by which films are put into groups, with the metrics of each: what the files tell (view, sex, age, manufacturer,
    /// modality, size, folder), or columns of the table of labels. Of two classes.
    pub groups: Vec<String>,
    /// Whether the films are scored again, changed in ways that leave the lungs as they are.
    pub stress: bool,
    /// Folder for `predictions-{split}.csv`, `metrics-{split}.json` and the pictures; none is the run folder, and is refused for any other films than the run's
    /// own: what a run folder says is about the films that its split names.
    pub out: Option<PathBuf>,
    /// A further file for what `predictions-{split}.csv` holds: Parquet where its name ends in `.parquet`, else CSV. What
    /// is there is not written over.
    pub predictions: Option<PathBuf>,
    /// How the UIDs of DICOM films are told.
    pub uids: Uids,
    /// What trainings in this process remember of the films: they need not be read once more to see which of them are known to the
    /// model.
    pub memory: Option<Arc<FilmMemory>>,
    /// Whether to draw the test: learning curves, confusion matrix, ROC and precision-recall curves, films, worst
    /// errors and what was read in them, each as PNG and SVG. Without, those that an earlier test of the split left in the folder go: what lies
    /// there is of one test. Without the feature `pictures` nothing is drawn.
    pub pictures: bool,
    /// How the pictures are written besides.
    #[cfg(feature = "pictures")]
    pub formats: PictureFormats,
}

impl TestRequest {
    /// A model on the test split of `data`, with pictures.
    pub fn new(model: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        TestRequest { model: model.into(), data: data.into(), pictures: true, ..TestRequest::default() }
    }
}

/// The films to be scored: with the table that is asked for, or that the model learnt from where it has films there.
pub(crate) fn films_of(
    data: &Path,
    (labels, table): (&Option<PathBuf>, &TableRule),
    recipe: &Recipe,
) -> Result<FilmSet, Error> {
    let learnt = Reading::from(recipe);
    let asked = Reading { labels: labels.clone(), table: table.clone(), ..learnt.clone() };
    if asked.labels.is_none() && learnt.labels.as_ref().is_some_and(|table| table.is_file()) {
        match source::open(data, &learnt) {
            // Films of somewhere else.
            Err(Error::Data(DataError::NoFilmOfTable { .. })) => {}
            found => return found,
        }
    }
    source::open(data, &asked)
}
