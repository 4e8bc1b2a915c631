//! The decoded films of a run, kept in its folder while it trains and no longer.

use std::sync::Arc;

use lungfish_data::display::escape;
use lungfish_data::{FilmCache, Preprocess};

use crate::Watch;
use crate::run_folder::{CACHE, RunFolder};

/// Bytes of films that are kept: 85 thousand gray films of 224 pixels.
pub(crate) const MOST_BYTES: u64 = 4 << 30;

impl RunFolder {
    /// Opens the cache, with what an earlier start of the run left in it; none, and no file, where it is not wanted or
    /// cannot be.
    pub(crate) fn open_cache(&mut self, wanted: bool, preprocess: &Preprocess, watch: &mut Watch<'_>) {
        if !wanted {
            self.remove_cache(watch);
            return;
        }
        match FilmCache::open(&self.file(CACHE), preprocess, MOST_BYTES) {
            Ok(cache) => self.cache = Some(Arc::new(cache)),
            Err(error) => watch.note(format!("films are decoded anew each time: {error}")),
        }
    }

    /// The cache; [`RunFolder::write`] empties it where a file needs its room.
    pub(crate) fn cache(&self) -> Option<&Arc<FilmCache>> {
        self.cache.as_ref()
    }

    /// Tells, once, of a cache that had to be given up.
    pub(crate) fn tell_of_trouble(&self, watch: &mut Watch<'_>) {
        if let Some(error) = self.cache().and_then(|cache| cache.trouble()) {
            let path = self.file(CACHE);
            watch.note(format!(
                "films are decoded anew each time from here on: cannot write {}: {error}",
                escape(&path)
            ));
        }
    }

    /// Deletes the cache; warns where it stays.
    pub(crate) fn remove_cache(&mut self, watch: &mut Watch<'_>) {
        self.cache = None;
        if let Err(error) = FilmCache::remove(&self.file(CACHE)) {
            watch.warn(format!("decoded films stay behind, delete them by hand: {error}"));
        }
    }
}

/// Says what a bound that leaves some of so many films out means; `None` where there is room for all.
pub(crate) fn bound(cache: &FilmCache, films: usize) -> Option<String> {
    let capacity = cache.capacity();
    (films > capacity)
        .then(|| format!("{capacity} of the {films} films are kept decoded, the others are decoded anew each time"))
}
