//! The one way from a path to a list of films, for everything that reads a data set.

use std::path::{Path, PathBuf};

use lungfish_data::{FilmSet, FilmSource, PassedOver, PatientRule, TableRule, passed_over};

use crate::{Error, Recipe, Watch};

/// The value of the recipe's `labels` that is no file.
const AUTO: &str = "auto";

/// What is asked of a path besides its films.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// The recipe's patient rule.
    pub patient: String,
    /// The table of the labels, where somebody named one.
    pub labels: Option<PathBuf>,
    /// How it is read.
    pub table: TableRule,
}

impl From<&Recipe> for Reading {
    fn from(recipe: &Recipe) -> Self {
        Reading {
            patient: recipe.patient.clone(),
            labels: Some(&recipe.labels).filter(|labels| *labels != AUTO).map(PathBuf::from),
            table: TableRule { columns: recipe.columns.clone(), uncertain: recipe.uncertain },
        }
    }
}

/// Lists the films at `path`, whatever kind of source lies there.
pub(crate) fn open(path: &Path, reading: &Reading) -> Result<FilmSet, Error> {
    let rule = PatientRule::new(&reading.patient)?;
    let source = match &reading.labels {
        Some(file) => FilmSource::table(path, file, reading.table.clone()),
        None => FilmSource::find(path)?,
    };
    Ok(source.list(&rule)?)
}

/// Says what was taken for what in a folder, and what was passed over: that which may be films as a warning.
pub(crate) fn tell(set: &FilmSet, watch: &mut Watch<'_>) {
    set.notes.iter().for_each(|note| watch.note(note.clone()));
    let (films, others): (Vec<&PassedOver>, Vec<&PassedOver>) =
        set.passed_over.iter().partition(|kind| kind.may_be_films);
    passed_over::sentence(films).into_iter().for_each(|text| watch.warn(text));
    passed_over::sentence(others).into_iter().for_each(|text| watch.note(text));
}
