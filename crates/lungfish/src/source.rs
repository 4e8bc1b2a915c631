//! The one way from a path to a list of films, for everything that reads a data set.

use std::path::Path;

use lungfish_data::{FilmSet, FilmSource, PassedOver, PatientRule, passed_over};

use crate::{Error, Watch};

/// Lists the films at `path`, whatever kind of source lies there; `patient` is the recipe's rule.
pub(crate) fn open(path: &Path, patient: &str) -> Result<FilmSet, Error> {
    let rule = PatientRule::new(patient)?;
    Ok(FilmSource::find(path)?.list(&rule)?)
}

/// Says what was taken for what in a folder, and what was passed over: that which may be films as a warning.
pub(crate) fn tell(set: &FilmSet, watch: &mut Watch<'_>) {
    set.notes.iter().for_each(|note| watch.note(note.clone()));
    let (films, others): (Vec<&PassedOver>, Vec<&PassedOver>) =
        set.passed_over.iter().partition(|kind| kind.may_be_films);
    passed_over::sentence(films).into_iter().for_each(|text| watch.warn(text));
    passed_over::sentence(others).into_iter().for_each(|text| watch.note(text));
}
