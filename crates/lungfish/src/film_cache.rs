//! The decoded films of a run, kept in its folder while it trains and no longer.

use std::sync::Arc;

use lungfish_data::display::escape;
use lungfish_data::{FilmCache, Preprocess};

use crate::run_folder::{self, RunFolder};
use crate::{Error, Watch};

/// Bytes of films that are kept: 85 thousand gray films of 224 pixels.
pub(crate) const MOST_BYTES: u64 = 4 << 30;

/// The run's cache, with what an earlier start of the run left in it; `None`, and no file, where it is not wanted or
/// cannot be.
pub(crate) fn open(
    wanted: bool,
    run: &RunFolder,
    preprocess: &Preprocess,
    watch: &mut Watch<'_>,
) -> Option<Arc<FilmCache>> {
    let path = run.file(run_folder::CACHE);
    if !wanted {
        remove(run, watch);
        return None;
    }
    match FilmCache::open(&path, preprocess, MOST_BYTES) {
        Ok(cache) => Some(Arc::new(cache)),
        Err(error) => {
            watch.note(format!("films are decoded anew each time: {error}"));
            None
        }
    }
}

/// Says what a bound that leaves some of so many films out means; `None` where there is room for all.
pub(crate) fn bound(cache: &FilmCache, films: usize) -> Option<String> {
    let capacity = cache.capacity();
    (films > capacity)
        .then(|| format!("{capacity} of the {films} films are kept decoded, the others are decoded anew each time"))
}

/// Tells, once, of a cache that had to be given up.
pub(crate) fn tell_of_trouble(cache: Option<&FilmCache>, run: &RunFolder, watch: &mut Watch<'_>) {
    if let Some(error) = cache.and_then(FilmCache::trouble) {
        let path = run.file(run_folder::CACHE);
        let text = format!("films are decoded anew each time from here on: cannot write {}: {error}", escape(&path));
        watch.note(text);
    }
}

/// Writes a file of the run. Where that fails, decoded films, which can be made again, make room for it.
pub(crate) fn write(cache: Option<&FilmCache>, run: &RunFolder, name: &str, bytes: &[u8]) -> Result<(), Error> {
    match run.write(name, bytes) {
        Err(_) if cache.is_some_and(FilmCache::discard) => run.write(name, bytes),
        written => written,
    }
}

/// Deletes what a run kept; warns where it stays.
pub(crate) fn remove(run: &RunFolder, watch: &mut Watch<'_>) {
    if let Err(error) = FilmCache::remove(&run.file(run_folder::CACHE)) {
        watch.warn(format!("decoded films stay behind, delete them by hand: {error}"));
    }
}
