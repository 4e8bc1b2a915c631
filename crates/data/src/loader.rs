//! Batches in order, decoded ahead of the step that wants them.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::augment::Augment;
use crate::cache::FilmCache;
use crate::check::ContentHash;
use crate::decode::{Channels, DecodeError, Image, decode, read_film};
use crate::error::DataError;
use crate::preprocess::{Preprocess, resize};

/// One film to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderItem {
    /// The file.
    pub path: PathBuf,
    /// What the caller calls this film; comes back in [`Batch::indices`].
    pub index: usize,
    /// The key of its alteration, `None` for a film as it is.
    pub key: Option<[u64; 4]>,
    /// Its content, where that is known: what a [`FilmCache`] knows it by.
    pub hash: Option<ContentHash>,
}

/// What lies between a film's file and the network.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// How it becomes a square.
    pub preprocess: Preprocess,
    /// How films that have a key are altered.
    pub augment: Option<Augment>,
    /// The side of films that have a key, where it is another one than the preprocessing's: they are resized after they
    /// were altered.
    pub side: Option<usize>,
    /// Films that were decoded before. It changes no pixel, only how soon they are there.
    pub cache: Option<Arc<FilmCache>>,
}

impl Pipeline {
    /// Decodes a film, or finds it decoded, cuts it to the network's square, and alters it where it has a key.
    ///
    /// # Errors
    /// [`DataError::Film`] where it does not decode.
    pub fn load(&self, item: &LoaderItem) -> Result<Image, DataError> {
        self.seen(&item.path, item.hash, item.key).map_err(|reason| DataError::Film { path: item.path.clone(), reason })
    }

    /// A film as the network sees it: the square, altered where there is a key.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn seen(&self, path: &Path, hash: Option<ContentHash>, key: Option<[u64; 4]>) -> Result<Image, DecodeError> {
        let mut image = self.square(path, hash)?;
        if let (Some(augment), Some(key)) = (self.augment, key) {
            augment.apply(&mut image, key);
            if let Some(side) = self.side {
                image = resize(image, side, side);
            }
        }
        Ok(image)
    }

    /// A film as the network's square, not altered.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn square(&self, path: &Path, hash: Option<ContentHash>) -> Result<Image, DecodeError> {
        let known = self.cache.as_deref().filter(|cache| cache.keeps(&self.preprocess)).zip(hash);
        if let Some(pixels) = known.and_then(|(cache, hash)| cache.get(hash)) {
            let size = self.preprocess.size.max(1);
            return Ok(Image { width: size, height: size, channels: self.preprocess.channels, pixels });
        }
        let bytes = read_film(path)?;
        let image = self.preprocess.apply(decode(&bytes, self.preprocess.decode_options())?);
        // A file that is not any more what it was when its content was hashed is not kept under that hash.
        if let Some((cache, hash)) = known
            && cache.has_room(hash)
            && ContentHash::of(&bytes) == hash
        {
            cache.put(hash, &image.pixels);
        }
        Ok(image)
    }
}

/// Films of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `[n, size, size]` or `[n, size, size, 3]`.
    pub pixels: Vec<u8>,
    /// What a pixel holds.
    pub channels: Channels,
    /// The caller's index of each film.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Films in this batch, at least 1.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Never: an empty batch is not handed out.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// Hands out films in batches, in the order given, whatever the number of workers; the same films, keys and settings
/// give the same bytes. Worker threads decode at most two batches ahead, and end when the loader is dropped. After
/// the first error there is nothing more.
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    batch: usize,
    film_len: usize,
    next: usize,
}

#[derive(Debug)]
struct Shared {
    items: Vec<LoaderItem>,
    pipeline: Pipeline,
    /// Films that may be decoded but not yet taken.
    window: usize,
    state: Mutex<State>,
    /// Told when a film is decoded.
    filled: Condvar,
    /// Told when films are taken, or when all is over.
    taken: Condvar,
}

#[derive(Debug)]
struct State {
    /// The next film to decode.
    claimed: usize,
    /// Films taken by the reader.
    consumed: usize,
    /// Film `i` waits in slot `i % window`.
    slots: Vec<Option<Result<Vec<u8>, DataError>>>,
    stop: bool,
}

impl Loader {
    /// Starts `workers` threads (at least one) on `items`, for batches of `batch` films (at least one); the last batch
    /// holds what is left.
    ///
    /// # Errors
    /// [`DataError::Threads`] where the system gives not one thread.
    pub fn new(items: Vec<LoaderItem>, pipeline: Pipeline, batch: usize, workers: usize) -> Result<Self, DataError> {
        let batch = batch.max(1);
        let workers = workers.clamp(1, items.len().max(1));
        let window = (2 * batch).max(2 * workers).min(items.len());
        let state = State { claimed: 0, consumed: 0, slots: (0..window).map(|_| None).collect(), stop: false };
        let film_len = pipeline.preprocess.film_len();
        let shared = Arc::new(Shared {
            items,
            pipeline,
            window,
            state: Mutex::new(state),
            filled: Condvar::new(),
            taken: Condvar::new(),
        });
        let mut loader = Self { shared, workers: Vec::with_capacity(workers), batch, film_len, next: 0 };
        for _ in 0..workers {
            let shared = Arc::clone(&loader.shared);
            match thread::Builder::new().name("film loader".to_string()).spawn(move || shared.work()) {
                Ok(worker) => loader.workers.push(worker),
                Err(source) if loader.workers.is_empty() => return Err(DataError::Threads { source }),
                // Fewer workers are slower, and give the same films.
                Err(_) => break,
            }
        }
        Ok(loader)
    }

    /// How many batches there are in all.
    pub fn batches(&self) -> usize {
        self.shared.items.len().div_ceil(self.batch)
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = (self.next + self.batch).min(self.shared.items.len());
        let items = self.shared.items.get(self.next..end).filter(|items| !items.is_empty())?;
        let mut batch = Batch {
            pixels: Vec::with_capacity(items.len() * self.film_len), // Or less, where films are smaller.
            channels: self.shared.pipeline.preprocess.channels,
            indices: items.iter().map(|item| item.index).collect(),
        };
        for i in self.next..end {
            match self.shared.take(i) {
                Ok(film) => batch.pixels.extend_from_slice(&film),
                Err(error) => {
                    self.next = self.shared.items.len();
                    self.shared.stop();
                    return Some(Err(error));
                }
            }
        }
        self.next = end;
        Some(Ok(batch))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.stop();
        for worker in self.workers.drain(..) {
            // A worker does not panic.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// A panic elsewhere leaves the state whole: it is never changed half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.taken.notify_all();
    }

    /// Waits for film `i`.
    fn take(&self, i: usize) -> Result<Vec<u8>, DataError> {
        let mut state = self.lock();
        loop {
            if let Some(film) = state.slots[i % self.window].take() {
                state.consumed = i + 1;
                self.taken.notify_all();
                return film;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What a worker does: claims the next film, decodes it, puts it into its slot.
    fn work(&self) {
        loop {
            let mut state = self.lock();
            while !state.stop && state.claimed < self.items.len() && state.claimed >= state.consumed + self.window {
                state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop || state.claimed >= self.items.len() {
                return;
            }
            let i = state.claimed;
            state.claimed += 1;
            drop(state);
            // Whatever happens to a film, its reader must not wait for ever.
            let film =
                panic::catch_unwind(AssertUnwindSafe(|| self.pipeline.load(&self.items[i]).map(|image| image.pixels)))
                    .unwrap_or_else(|_| {
                        let reason =
                            DecodeError::Corrupt { format: "image", reason: "the program gave up on it".to_string() };
                        Err(DataError::Film { path: self.items[i].path.clone(), reason })
                    });
            self.lock().slots[i % self.window] = Some(film);
            self.filled.notify_all();
        }
    }
}
