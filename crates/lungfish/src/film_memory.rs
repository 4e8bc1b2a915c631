//! What trainings of the same films share within a process: what reading a film told, and what the frozen parts of a network make
//! of it. A head that is trained again, on other labels or for longer, begins with both. The result is the same, bit for bit.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use lungfish_data::{ContentHash, DecodeOptions, Preprocess, STATISTICS};

use crate::Recipe;
use crate::compute::Compute;

/// Bytes of features, at most: those of 40 thousand films in five views of 1,280 numbers. Films beyond are computed anew.
const MOST_BYTES: usize = 1 << 30;

/// Memory that trainings share ([`crate::TrainRequest::memory`]). It grows with the films: 5 KB a film and view for
/// EfficientNet-Lite.
#[derive(Default)]
pub struct FilmMemory {
    read: Mutex<HashMap<(PathBuf, DecodeOptions), (Stamp, Content)>>,
    features: Mutex<Kept>,
    /// How films look, as they are prepared.
    looks: Mutex<HashMap<(ContentHash, String), [f64; STATISTICS]>>,
}

/// When a file was written, and how long it is: another one is another film.
pub(crate) type Stamp = (SystemTime, u64);

/// The hashes of a film: of its file, of its pixels.
pub(crate) type Content = (ContentHash, Option<ContentHash>);

/// A film by its content, and a view of it by its key.
type View = (ContentHash, Option<[u64; 4]>);

/// Features of one network and one way to prepare films.
#[derive(Default)]
struct Kept {
    of: String,
    rows: HashMap<View, Arc<[f32]>>,
    bytes: usize,
}

impl fmt::Debug for FilmMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilmMemory").finish_non_exhaustive()
    }
}

impl FilmMemory {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// What reading this file told, unless it has been written since.
    pub(crate) fn content(&self, path: &Path, options: DecodeOptions) -> Option<Content> {
        let stamp = stamp(path)?;
        let read = held(&self.read);
        let (then, content) = read.get(&(path.to_owned(), options))?;
        (*then == stamp).then_some(*content)
    }

    /// Remembers what reading a file told that had this stamp before it was read.
    pub(crate) fn remember(&self, path: &Path, options: DecodeOptions, stamp: Stamp, content: Content) {
        held(&self.read).insert((path.to_owned(), options), (stamp, content));
    }

    /// Ten statistics of a film as it is prepared.
    pub(crate) fn look(&self, film: ContentHash, preprocess: &Preprocess) -> Option<[f64; STATISTICS]> {
        held(&self.looks).get(&(film, format!("{preprocess:?}"))).copied()
    }

    /// Remembers them.
    pub(crate) fn keep_look(&self, film: ContentHash, preprocess: &Preprocess, look: [f64; STATISTICS]) {
        held(&self.looks).insert((film, format!("{preprocess:?}")), look);
    }

    /// The features of a view of a film.
    pub(crate) fn row(&self, of: &str, view: View) -> Option<Arc<[f32]>> {
        let kept = held(&self.features);
        if kept.of == of { kept.rows.get(&view).cloned() } else { None }
    }

    /// Remembers them; those of another network or preparation go.
    pub(crate) fn keep_row(&self, of: &str, view: View, row: &[f32]) {
        let mut kept = held(&self.features);
        if kept.of != of {
            *kept = Kept { of: of.to_owned(), ..Kept::default() };
        }
        if kept.bytes + size_of_val(row) <= MOST_BYTES {
            kept.bytes += size_of_val(row);
            kept.rows.insert(view, row.into());
        }
    }
}

/// A file's stamp; none where it is gone, or the file system has no times.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

/// What the features of a recipe's frozen parts depend on beside the film and its view; none where the weights are a file, which may
/// be another one next time.
pub(crate) fn identity(recipe: &Recipe, preprocess: &Preprocess, width: usize) -> Option<String> {
    (recipe.weights == "imagenet").then(|| {
        let (architecture, augment, precision) = (recipe.architecture, recipe.augment, recipe.precision.precision());
        let path = Compute::default().path(precision);
        format!("{architecture} {width} {preprocess:?} {augment:?} {} {path}", precision.name())
    })
}

/// A thread that failed while it held it left whole values.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrecisionRule;

    #[test]
    fn a_file_that_was_written_since_is_another_film() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        fs::write(&path, b"film").unwrap();
        let (memory, options) = (FilmMemory::new(), DecodeOptions::default());
        let content = (ContentHash([1; 16]), None);
        assert_eq!(memory.content(&path, options), None);
        memory.remember(&path, options, stamp(&path).unwrap(), content);
        assert_eq!(memory.content(&path, options), Some(content));
        fs::write(&path, b"another film").unwrap();
        assert_eq!(memory.content(&path, options), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(memory.content(&path, options), None);
    }

    #[test]
    fn features_are_of_one_network() {
        let (memory, film) = (FilmMemory::new(), ContentHash([2; 16]));
        memory.keep_row("a", (film, None), &[1.0, 2.0]);
        assert_eq!(memory.row("a", (film, None)).as_deref(), Some(&[1.0, 2.0][..]));
        assert_eq!((memory.row("a", (film, Some([1; 4]))), memory.row("b", (film, None))), (None, None));
        memory.keep_row("b", (film, None), &[3.0]);
        assert_eq!(memory.row("a", (film, None)), None, "the features of one network are kept");
        let recipe = Recipe::default();
        let of = |recipe: &Recipe| identity(recipe, &recipe.preprocess(), 1280);
        assert!(of(&recipe).is_some());
        assert_ne!(of(&recipe), of(&Recipe { image_size: 192, ..recipe.clone() }));
        let in_precision = |precision| of(&Recipe { precision, ..recipe.clone() });
        assert_ne!(in_precision(PrecisionRule::Bf16), in_precision(PrecisionRule::Fp32), "they are other numbers");
        assert_eq!(of(&Recipe { weights: "x.pth".to_owned(), ..recipe }), None);
    }
}
