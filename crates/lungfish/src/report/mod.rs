//! The pictures of a test: how the run learnt, what was taken for what, at which price, and the films themselves.

mod curves;
mod tiles;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use lungfish_data::Side;
use lungfish_data::synth::is_drawn_file;
use lungfish_pictures::{Heading, Picture, PictureError, confusion_matrix, learning_curves, precision_recall, roc};
use rayon::prelude::*;

use crate::picture::write_both;
use crate::{Error, Event, ModelInfo, Observer, Prediction};

/// What was tested, and what came of it.
pub(crate) struct Tested<'a> {
    /// The model.
    pub model: &'a ModelInfo,
    /// What a person calls it.
    pub model_name: String,
    /// The run folder that it lies in.
    pub run: Option<&'a Path>,
    /// What a person calls the films.
    pub data_name: String,
    pub side: Side,
    /// The class of each film.
    pub labels: &'a [usize],
    /// One a film.
    pub predictions: &'a [Prediction],
    /// `[label][predicted]`, films.
    pub confusion: &'a [Vec<u64>],
    pub accuracy: f64,
    pub auc: Option<f64>,
}

/// Draws a test into a folder: `learning-curves`, and with the side in their names `confusion-matrix`, `roc`,
/// `precision-recall`, `films` and `worst-errors`, each as PNG and SVG. Gives the PNGs.
///
/// A picture that has nothing to show is left out, and one of that name from an earlier test goes: what lies in the
/// folder is of one test. A picture that cannot be made is told as a warning, since the figures stand without it.
///
/// # Errors
/// [`Error::Stopped`].
pub(crate) fn draw(
    tested: &Tested,
    folder: &Path,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Vec<PathBuf>, Error> {
    let drawn = tested.predictions.par_iter().any(|film| is_drawn_file(&film.path));
    let heading = |title: &str, subtitle: String| Heading { title: title.to_owned(), subtitle: Some(subtitle), drawn };
    let [roc_curves, precision_recall_curves] = curves::of_classes(tested);
    let shown = tiles::choose(tested);
    let [films, worst] = tiles::tiles(tested, &shown, observer, stop)?;

    let side = tested.side;
    let mut written = Vec::new();
    let mut add = |name: String, picture: Option<Result<Picture, PictureError>>| {
        let result = match picture {
            Some(picture) => picture.map_err(Error::from).and_then(|picture| write_both(folder, &name, &picture)),
            None => return remove_both(folder, &name),
        };
        match result {
            Ok(path) => written.push(path),
            Err(error) => observer.event(&Event::Warning(format!("there is no picture {name}: {error}"))),
        }
    };
    let learning = curves::of_learning(tested).map(|(epochs, best)| {
        let heading = Heading { drawn: tested.model.drawn, ..heading("Learning curves", tested.of_learning()) };
        learning_curves(&heading, &epochs, best)
    });
    if tested.run.is_some() {
        add("learning-curves".to_owned(), learning);
    }
    let matrix =
        confusion_matrix(&heading("Confusion matrix", tested.with_figures()), &tested.model.classes, tested.confusion);
    add(format!("confusion-matrix-{side}"), Some(matrix));
    let curve = some(roc_curves).map(|curves| roc(&heading("ROC curve", tested.of_curves()), &curves));
    add(format!("roc-{side}"), curve);
    let curve = some(precision_recall_curves)
        .map(|curves| precision_recall(&heading("Precision-recall curve", tested.of_curves()), &curves));
    add(format!("precision-recall-{side}"), curve);
    let (title, subtitle) = tiles::words_of_films(tested, films.len());
    add(format!("films-{side}"), some(films).map(|tiles| tiles::grid(&heading(title, subtitle), &tiles)));
    let (title, subtitle) = tiles::words_of_worst(tested, worst.len());
    add(format!("worst-errors-{side}"), some(worst).map(|tiles| tiles::grid(&heading(title, subtitle), &tiles)));
    Ok(written)
}

impl Tested<'_> {
    /// Which model on which films.
    fn on_films(&self) -> String {
        let count = self.predictions.len();
        format!(
            "{} ({}) on the {} side of {}, {count} {}",
            self.model_name,
            self.model.architecture,
            self.side,
            self.data_name,
            if count == 1 { "film" } else { "films" }
        )
    }

    fn with_figures(&self) -> String {
        let auc = self.auc.map(|auc| format!(", AUC {auc:.4}")).unwrap_or_default();
        format!("{}: accuracy {:.4}{auc}", self.on_films(), self.accuracy)
    }

    fn of_curves(&self) -> String {
        match self.model.classes.as_slice() {
            [_, positive] => format!("{}; positive is {positive}", self.on_films()),
            _ => format!("{}; each class against all others", self.on_films()),
        }
    }

    fn of_learning(&self) -> String {
        let best = &self.model.epoch;
        let auc = best.val_auc.map(|auc| format!(", AUC {auc:.4}")).unwrap_or_default();
        format!(
            "{} ({}). Best: epoch {} of the {} phase, accuracy {:.4}{auc} on the validation side",
            self.model_name, self.model.architecture, best.epoch, best.phase, best.val_accuracy
        )
    }
}

/// A list that holds something.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Removes what an earlier test left under a name; nothing is lost where that fails.
fn remove_both(folder: &Path, name: &str) {
    for extension in ["png", "svg"] {
        let _ = std::fs::remove_file(folder.join(format!("{name}.{extension}")));
    }
}
