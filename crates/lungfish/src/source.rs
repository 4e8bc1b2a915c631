//! The one way from a path to a list of films, for everything that reads a data set.

use std::path::Path;

use lungfish_data::{FilmSet, FilmSource, PatientRule};

use crate::Error;

/// Lists the films at `path`, whatever kind of source lies there; `patient` is the recipe's rule.
pub(crate) fn open(path: &Path, patient: &str) -> Result<FilmSet, Error> {
    let rule = PatientRule::new(patient)?;
    Ok(FilmSource::find(path)?.list(&rule)?)
}
