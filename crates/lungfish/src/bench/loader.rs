//! Films a second out of their files, and out of the cache that a training keeps.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use lungfish_data::display::escape;
use lungfish_data::{CheckedFilm, FilmCache, Loader, LoaderItem, Pipeline};
use serde::Serialize;

use super::median;
use crate::data_set::read_all;
use crate::features::film_key;
use crate::film_cache::{self, MOST_BYTES};
use crate::{Activity, Error, Event, Phase, Recipe, Watch, keys, source};

/// Passes that are timed, each over all films: every one in an order and with alterations of its own, as epochs are.
const FILE_PASSES: usize = 3;
const CACHED_PASSES: usize = 9;

/// What to measure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoaderRequest {
    /// The films: `DIR/{train,val,test}/{CLASS}/*` or `DIR/{CLASS}/*`; all of them are read.
    pub data: PathBuf,
    /// Threads that decode; 0 is as many as there are cores.
    pub workers: usize,
}

impl LoaderRequest {
    /// All films of a folder, on as many threads as there are cores.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        LoaderRequest { data: data.into(), workers: 0 }
    }
}

/// What came of it. Serialised, it is the object of `lungfish bench loader --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoaderMeasure {
    /// Films that a pass goes through.
    pub films: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Threads that decoded.
    pub workers: usize,
    /// Films a batch.
    pub batch: usize,
    /// Side of the image, pixels; films of one channel.
    pub image_size: usize,
    /// Passes over the films' own files.
    pub passes: usize,
    /// Films a second of the median one of them.
    pub films_per_s: f64,
    /// Of the slowest.
    pub films_per_s_min: f64,
    /// Of the fastest.
    pub films_per_s_max: f64,
    /// Passes over films that were kept decoded.
    pub cached_passes: usize,
    /// Films a second of the median one of them.
    pub cached_films_per_s: f64,
    /// Of the slowest.
    pub cached_films_per_s_min: f64,
    /// Of the fastest.
    pub cached_films_per_s_max: f64,
}

/// Times the data path of a training by the default recipe: films into batches of pixels, turned and mirrored by chance.
/// First from their files, hashed and written to a new cache as they come; then from that cache, which lies in the
/// system's folder for temporary files as long as this runs. All films were read once before, so what a disk adds is
/// not in it, unless they are more than memory holds.
///
/// # Errors
/// A folder without films, none that can be read, no place for the cache.
pub fn loader(request: &LoaderRequest, watch: &mut Watch<'_>) -> Result<LoaderMeasure, Error> {
    measure(request, MOST_BYTES, watch)
}

/// With a cache of `most_bytes`.
fn measure(request: &LoaderRequest, most_bytes: u64, watch: &mut Watch<'_>) -> Result<LoaderMeasure, Error> {
    let recipe = Recipe::default();
    let folder = source::open(&request.data, &source::Reading::from(&recipe))?;
    let read = read_all(folder.layout, recipe.preprocess().decode_options(), &|_, _, _| {}, watch);
    let (layout, _) = read.ok_or(Error::Stopped)?;
    let films: Vec<&CheckedFilm> = layout.films().map(|(_, film)| film).collect();
    if films.is_empty() {
        return Err(Error::refused(format!("no film of {} could be read", escape(&folder.root))));
    }
    let bytes = films.iter().filter_map(|film| Some(std::fs::metadata(&film.film.path).ok()?.len())).sum();
    let workers = match request.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let mut bench = Bench { films, recipe, workers, epoch: 0, watch };
    let mut paces = Vec::new();
    let mut kept = None;
    for pass in 1..=FILE_PASSES {
        // The one before it goes first: there is never more than one.
        drop(kept.take());
        let cache = TemporaryCache::new(&bench.recipe, most_bytes)?;
        if let Some(text) = film_cache::bound(&cache.films, bench.films.len()).filter(|_| pass == 1) {
            bench.watch.warn(text);
        }
        paces.push(bench.pass(&cache, (pass, FILE_PASSES))?);
        kept = Some(cache);
    }
    let mut cached = Vec::new();
    if let Some(cache) = &kept {
        for pass in 1..=CACHED_PASSES {
            cached.push(bench.pass(cache, (pass, CACHED_PASSES))?);
        }
    }
    let [min, max, cached_min, cached_max] = [least(&paces), most(&paces), least(&cached), most(&cached)];
    Ok(LoaderMeasure {
        films: bench.films.len(),
        bytes,
        workers,
        batch: bench.recipe.batch_size,
        image_size: bench.recipe.image_size,
        passes: paces.len(),
        films_per_s: median(&paces).unwrap_or_default(),
        films_per_s_min: min,
        films_per_s_max: max,
        cached_passes: cached.len(),
        cached_films_per_s: median(&cached).unwrap_or_default(),
        cached_films_per_s_min: cached_min,
        cached_films_per_s_max: cached_max,
    })
}

/// What all passes share.
struct Bench<'a, 'b> {
    films: Vec<&'a CheckedFilm>,
    recipe: Recipe,
    workers: usize,
    /// The epoch that the last pass was.
    epoch: usize,
    watch: &'a mut Watch<'b>,
}

impl Bench<'_, '_> {
    /// One pass, the given one of several: films a second.
    fn pass(&mut self, cache: &TemporaryCache, (pass, of): (usize, usize)) -> Result<f64, Error> {
        self.epoch += 1;
        let Recipe { seed, batch_size, .. } = self.recipe;
        let films = self.films.len();
        let item = |i: usize| LoaderItem {
            path: self.films[i].film.path.clone(),
            index: i,
            key: Some(keys::augment(seed, self.epoch, film_key(self.films[i]))),
            hash: Some(self.films[i].hash),
        };
        let items = keys::shuffled(seed, Phase::Unfrozen, self.epoch, films).into_iter().map(item).collect();
        let augment = Some(self.recipe.augment);
        let pipeline = Pipeline {
            preprocess: self.recipe.preprocess(),
            augment,
            side: None,
            cache: Some(Arc::clone(&cache.films)),
        };
        let begun = Instant::now();
        let mut done = 0;
        for batch in Loader::new(items, pipeline, batch_size, self.workers)? {
            done += batch?.len();
            // Without it, what is timed is no training's way.
            if let Some(error) = cache.films.trouble() {
                return Err(Error::io("write", &cache.path, error));
            }
            let (done, total) = ((pass - 1) * films + done, of * films);
            self.watch.event(&Event::Progress { task: Activity::Measuring, done, total });
        }
        Ok(films as f64 / begun.elapsed().as_secs_f64().max(1e-9))
    }
}

/// A cache whose file has no name any more: it goes with the process, however that ends, and no patient's film is left
/// behind. Where a system lets nobody delete what is open, it is deleted with the value.
struct TemporaryCache {
    path: PathBuf,
    films: Arc<FilmCache>,
}

impl TemporaryCache {
    fn new(recipe: &Recipe, most_bytes: u64) -> Result<Self, Error> {
        // Two measurements at once, in one process or in two, do not share a file.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lungfish-bench-{}-{number}.cache", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What another one left there is not taken for this one's.
        FilmCache::remove(&path)?;
        let films = Arc::new(FilmCache::open(&path, &recipe.preprocess(), most_bytes)?);
        let _ = FilmCache::remove(&path);
        Ok(TemporaryCache { path, films })
    }
}

impl Drop for TemporaryCache {
    fn drop(&mut self) {
        // In a folder that the system empties.
        let _ = FilmCache::remove(&self.path);
    }
}

fn least(paces: &[f64]) -> f64 {
    paces.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(paces: &[f64]) -> f64 {
    paces.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn films_beyond_the_bound_are_told_of_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("films");
        lungfish_data::synth(&data, 20, 1).unwrap();
        let request = LoaderRequest { data, workers: 1 };
        let warnings = |most_bytes| {
            let mut warnings = Vec::new();
            let mut observer = |event: &Event| {
                if let Event::Warning(text) = event {
                    warnings.push(text.clone());
                }
            };
            measure(&request, most_bytes, &mut Watch::new(&mut observer, &AtomicBool::new(false))).unwrap();
            warnings
        };
        let film = Recipe::default().preprocess().film_len() as u64;
        assert_eq!(
            warnings(4 * film),
            ["3 of the 20 films are kept decoded, the others are decoded anew each time"],
            "what goes with each film takes room too"
        );
        assert!(warnings(21 * film).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_measurement_that_is_killed_leaves_no_film() {
        let cache = TemporaryCache::new(&Recipe::default(), MOST_BYTES).unwrap();
        assert!(!cache.path.exists());
        let (film, pixels) = (lungfish_data::ContentHash([7; 16]), vec![9; Recipe::default().preprocess().film_len()]);
        cache.films.put(film, &pixels);
        assert_eq!(cache.films.get(film), Some(pixels));
        assert!(!cache.path.exists());
    }
}
