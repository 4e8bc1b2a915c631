//! What a prediction is asked for: films in the order of the request, and what lies beside them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lungfish_data::display::escape;
use lungfish_data::folder::list;
use lungfish_data::{ContentHash, DataError, PassedOver, is_dicom, is_npz, passed_over};
use rayon::prelude::*;

use crate::{BadFilm, Error};

/// Films to be scored: files as they were named, for each folder the films in it and in its folders, sorted by folder and
/// then by name, and for a MedMNIST `.npz` all of its films, split after split. What cannot be listed keeps its place, as a
/// [`BadFilm`].
///
/// ```
/// use lungfish::FilmList;
/// let films = FilmList::new(&["a.jpeg".into(), "b.png".into()]);
/// assert_eq!(films.len(), 2);
/// assert!(films.passed_over().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct FilmList {
    entries: Vec<Result<PathBuf, BadFilm>>,
    passed_over: Vec<PassedOver>,
    /// Whether any is a DICOM, once somebody has looked.
    dicom: OnceLock<bool>,
}

impl FilmList {
    /// Lists files and folders. Nothing is decoded, and that something is not there is found out later.
    pub fn new(paths: &[PathBuf]) -> Self {
        let (mut entries, mut beside) = (Vec::new(), Vec::new());
        for path in paths {
            if !path.is_dir() && !is_npz(path) {
                entries.push(Ok(path.clone()));
                continue;
            }
            let reason = match list(path) {
                Ok(found) if found.films.is_empty() => {
                    beside.extend(found.passed_over);
                    "a folder with no film in it".to_owned()
                }
                Ok(found) => {
                    entries.extend(found.films.into_iter().map(Ok));
                    beside.extend(found.passed_over);
                    continue;
                }
                Err(DataError::Npz { reason, .. }) => format!("a .npz without films: {reason}"),
                Err(error) => format!("a folder that cannot be listed: {error}"),
            };
            entries.push(Err(BadFilm::new(path, reason)));
        }
        FilmList { entries, passed_over: passed_over::merged(beside), dicom: OnceLock::new() }
    }

    /// Rows that a prediction of all of it has: one a film, and one for each folder without films.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The path of each row, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().map(|entry| match entry {
            Ok(path) | Err(BadFilm { path, .. }) => path.as_path(),
        })
    }

    /// The files in the folders that are not taken for films, by kind.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// Whether any of them is a DICOM. Files with names of other pictures are not opened, and nobody looks twice.
    pub(crate) fn has_dicom(&self) -> bool {
        let is_one = |entry: &Result<PathBuf, BadFilm>| entry.as_ref().is_ok_and(|path| is_dicom(path));
        *self.dicom.get_or_init(|| self.entries.par_iter().any(is_one))
    }

    /// The hash of their paths, a line each.
    pub(crate) fn hash(&self) -> ContentHash {
        let lines: String = self.paths().map(|path| escape(path) + "\n").collect();
        ContentHash::of(lines.as_bytes())
    }

    /// Each film, or why there is none in its place.
    pub(crate) fn entries(&self) -> &[Result<PathBuf, BadFilm>] {
        &self.entries
    }

    /// Refuses a request without a single film.
    pub(crate) fn require_films(&self) -> Result<(), Error> {
        match self.entries.first() {
            Some(Err(first)) if self.entries.iter().all(Result::is_err) => {
                let beside = passed_over::sentence(&self.passed_over).map(|text| format!("; {text}"));
                Err(Error::not_found(format!(
                    "nothing to predict: {} is {}{}",
                    escape(&first.path),
                    first.reason,
                    beside.unwrap_or_default()
                )))
            }
            _ => Ok(()),
        }
    }
}
