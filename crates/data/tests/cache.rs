//! Films that are kept: the same bits as decoded ones, whatever befalls the file.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::golden_bytes;
use lungfish_data::{
    Augment, Channels, ContentHash, Decoding, Equalize, FilmCache, Fit, Loader, LoaderItem, Pipeline, Preprocess,
};

const PREPROCESS: Preprocess = Preprocess {
    channels: Channels::Gray,
    fit: Fit::Crop,
    size: 16,
    equalize: Equalize::None,
    decoding: Decoding::DEFAULT,
    mean: [0.5; 3],
    std: [0.25; 3],
};
const AUGMENT: Augment = Augment::NOTEBOOK;
const MOST: u64 = 1 << 20;
const FILMS: [&str; 5] = ["gray_baseline.jpg", "landscape.png", "rgb_24.bmp", "colour_420.jpg", "portrait.png"];
/// Pixels, hash, checksum.
const RECORD: usize = 16 * 16 + 16 + 4;

/// Copies of five films, which a test may spoil.
struct Films {
    dir: tempfile::TempDir,
    items: Vec<LoaderItem>,
}

impl Films {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let item = |(i, name): (usize, &&str)| {
            let (path, bytes) = (dir.path().join(name), golden_bytes(name));
            fs::write(&path, &bytes).unwrap();
            let key = (i > 0).then_some([7, 1, i as u64, 0]);
            LoaderItem { path, index: i, key, hash: Some(ContentHash::of(&bytes)) }
        };
        let items = FILMS.iter().enumerate().map(item).collect();
        Self { dir, items }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("films.cache")
    }

    fn load(&self, preprocess: Preprocess, cache: Option<Arc<FilmCache>>, workers: usize) -> Vec<u8> {
        let pipeline = Pipeline { preprocess, augment: Some(AUGMENT), side: None, cache };
        let batches = Loader::new(self.items.clone(), pipeline, 2, workers).unwrap();
        batches.flat_map(|batch| batch.unwrap().pixels).collect()
    }

    fn cached(&self, preprocess: Preprocess) -> Vec<u8> {
        self.load(preprocess, Some(open(&self.file(), &preprocess)), 2)
    }

    /// The films that are soundly kept.
    fn kept(&self, preprocess: &Preprocess) -> usize {
        let cache = open(&self.file(), preprocess);
        self.items.iter().filter(|item| cache.get(item.hash.unwrap()).is_some()).count()
    }
}

fn open(path: &Path, preprocess: &Preprocess) -> Arc<FilmCache> {
    Arc::new(FilmCache::open(path, preprocess, MOST).unwrap())
}

#[test]
fn kept_films_are_the_films_and_their_files_are_not_asked_again() {
    let films = Films::new();
    for channels in [Channels::Gray, Channels::Rgb] {
        for fit in [Fit::Crop, Fit::Pad, Fit::Squash] {
            for size in [16, 31] {
                let preprocess = Preprocess { channels, fit, size, ..PREPROCESS };
                let plain = films.load(preprocess, None, 1);
                // A cache of other pixels lies there; it must not be taken for this one.
                for workers in [1, 2, 16] {
                    let cache = open(&films.file(), &preprocess);
                    assert_eq!(films.load(preprocess, Some(Arc::clone(&cache)), workers), plain);
                    assert_eq!(films.load(preprocess, Some(cache), workers), plain);
                }
                assert_eq!(films.kept(&preprocess), FILMS.len());
            }
        }
    }
    // Another mean moves no pixel; other channels would, and are not taken from a cache that was made for these.
    let other = Preprocess { mean: [0.1; 3], ..PREPROCESS };
    let plain = films.load(PREPROCESS, None, 1);
    assert_eq!(films.cached(PREPROCESS), plain);
    let rgb = Preprocess { channels: Channels::Rgb, ..PREPROCESS };
    assert_eq!(films.load(rgb, Some(open(&films.file(), &PREPROCESS)), 2), films.load(rgb, None, 1));
    for equalize in [Equalize::Histogram, Equalize::Clahe] {
        let even = Preprocess { equalize, ..PREPROCESS };
        let made = films.load(even, None, 1);
        assert_ne!(made, plain);
        assert_eq!(films.load(even, Some(open(&films.file(), &PREPROCESS)), 2), made, "not from another's cache");
    }
    assert_eq!(films.kept(&other), FILMS.len());
    for item in &films.items {
        fs::remove_file(&item.path).unwrap();
    }
    assert_eq!(films.cached(other), plain, "without the films' own files");
}

#[test]
fn a_flipped_byte_anywhere_changes_no_film_and_is_mended() {
    let films = Films::new();
    let plain = films.cached(PREPROCESS);
    let sound = fs::read(films.file()).unwrap();
    let header = sound.len() - FILMS.len() * RECORD;
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(films.file(), &bytes).unwrap();
        let kept = films.kept(&PREPROCESS);
        assert_eq!(kept, if at < header { 0 } else { FILMS.len() - 1 }, "byte {at}");
        fs::write(films.file(), &bytes).unwrap();
        assert_eq!(films.cached(PREPROCESS), plain, "byte {at}");
        assert_eq!(films.kept(&PREPROCESS), FILMS.len(), "byte {at} is mended");
    }
}

#[test]
fn a_file_cut_anywhere_changes_no_film_and_is_filled_again() {
    let films = Films::new();
    let plain = films.cached(PREPROCESS);
    let sound = fs::read(films.file()).unwrap();
    for length in 0..sound.len() {
        fs::write(films.file(), &sound[..length]).unwrap();
        assert_eq!(films.cached(PREPROCESS), plain, "{length} bytes");
        assert_eq!(films.kept(&PREPROCESS), FILMS.len(), "{length} bytes");
        assert_eq!(fs::metadata(films.file()).unwrap().len(), sound.len() as u64, "{length} bytes");
    }
    // While it is open, too; and records that changed places.
    let cache = open(&films.file(), &PREPROCESS);
    for length in [0, 10, sound.len() - 3 * RECORD - 1] {
        File::options().write(true).open(films.file()).unwrap().set_len(length as u64).unwrap();
        assert_eq!(films.load(PREPROCESS, Some(Arc::clone(&cache)), 2), plain);
    }
    let header = sound.len() - FILMS.len() * RECORD;
    let mut swapped = sound.clone();
    let (first, second) = swapped[header..].split_at_mut(RECORD);
    first.swap_with_slice(&mut second[..RECORD]);
    fs::write(films.file(), &swapped).unwrap();
    assert_eq!(films.load(PREPROCESS, Some(Arc::clone(&cache)), 2), plain, "records in other places, while open");
    fs::write(films.file(), &swapped).unwrap();
    assert_eq!(films.kept(&PREPROCESS), FILMS.len(), "records are known by their hash, not by their place");
    assert_eq!(films.cached(PREPROCESS), plain);
}

#[test]
fn what_is_no_cache_of_these_films_is_replaced() {
    let films = Films::new();
    let plain = films.cached(PREPROCESS);
    let sound = fs::read(films.file()).unwrap();
    let mut older = sound.clone();
    older[11] = b'0';
    let mut zeros = sound.clone();
    zeros.fill(0);
    for other in [older, zeros, b"a letter".to_vec(), Vec::new()] {
        fs::write(films.file(), &other).unwrap();
        assert_eq!(films.kept(&PREPROCESS), 0);
        assert_eq!(films.cached(PREPROCESS), plain);
        assert_eq!(films.kept(&PREPROCESS), FILMS.len());
    }
    fs::remove_file(films.file()).unwrap();
    assert_eq!(films.cached(PREPROCESS), plain);
}

#[test]
fn a_film_that_changed_is_not_kept_under_its_old_content() {
    let films = Films::new();
    // Hashed, then replaced before it is first decoded.
    fs::copy(&films.items[1].path, &films.items[0].path).unwrap();
    let changed = films.load(PREPROCESS, None, 1);
    assert_eq!(films.cached(PREPROCESS), changed);
    assert_eq!(films.kept(&PREPROCESS), FILMS.len() - 1);
    // With its own content again it is the film that was hashed.
    fs::write(&films.items[0].path, golden_bytes(FILMS[0])).unwrap();
    assert_eq!(films.cached(PREPROCESS), films.load(PREPROCESS, None, 1));
    assert_eq!(films.kept(&PREPROCESS), FILMS.len());
    // New content has a new hash, and never gets the old pixels.
    let mut films = films;
    let bytes = golden_bytes("gray_8.png");
    fs::write(&films.items[2].path, &bytes).unwrap();
    films.items[2].hash = Some(ContentHash::of(&bytes));
    assert_eq!(films.cached(PREPROCESS), films.load(PREPROCESS, None, 1));
}

#[test]
fn it_grows_to_its_bound_and_no_further() {
    let films = Films::new();
    let plain = films.load(PREPROCESS, None, 1);
    let header = {
        films.cached(PREPROCESS);
        fs::metadata(films.file()).unwrap().len() - (FILMS.len() * RECORD) as u64
    };
    for most in [0, header, header + 3 * RECORD as u64 - 1, header + 3 * RECORD as u64] {
        FilmCache::remove(&films.file()).unwrap();
        for _ in 0..2 {
            let cache = Arc::new(FilmCache::open(&films.file(), &PREPROCESS, most).unwrap());
            assert_eq!(cache.capacity() as u64, most.saturating_sub(header) / RECORD as u64);
            assert_eq!(films.load(PREPROCESS, Some(Arc::clone(&cache)), 2), plain);
            let length = fs::metadata(films.file()).unwrap().len();
            assert_eq!(length, header + (cache.capacity() * RECORD) as u64);
            assert!(cache.trouble().is_none());
        }
    }
}

#[test]
fn it_can_be_given_up_and_deleted_at_any_time() {
    let films = Films::new();
    let plain = films.load(PREPROCESS, None, 1);
    let cache = open(&films.file(), &PREPROCESS);
    assert_eq!(films.load(PREPROCESS, Some(Arc::clone(&cache)), 2), plain);
    FilmCache::remove(&films.file()).unwrap();
    FilmCache::remove(&films.file()).unwrap();
    assert_eq!(films.load(PREPROCESS, Some(cache), 2), plain);

    let cache = open(&films.file(), &PREPROCESS);
    assert_eq!(films.load(PREPROCESS, Some(Arc::clone(&cache)), 2), plain);
    assert!(cache.discard());
    assert!(!cache.discard());
    assert_eq!(fs::metadata(films.file()).unwrap().len(), 0, "the room is given back");
    assert_eq!(films.load(PREPROCESS, Some(Arc::clone(&cache)), 2), plain);
    assert_eq!(fs::metadata(films.file()).unwrap().len(), 0);
    assert!(cache.get(films.items[0].hash.unwrap()).is_none());
}

#[test]
fn a_place_that_cannot_be_written_is_said_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no/such/folder/films.cache");
    let error = FilmCache::open(&path, &PREPROCESS, MOST).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot write {}: ", path.display())), "{error}");
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x"), "x").unwrap();
    assert!(FilmCache::open(&folder, &PREPROCESS, MOST).is_err());
    assert!(folder.join("x").exists());
}

#[cfg(unix)]
#[test]
fn a_link_is_replaced_and_what_it_points_to_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let films = Films::new();
    let letter = films.dir.path().join("letter");
    File::create(&letter).unwrap().write_all(b"dear").unwrap();
    std::os::unix::fs::symlink(&letter, films.file()).unwrap();
    films.cached(PREPROCESS);
    assert_eq!(fs::read(&letter).unwrap(), b"dear");
    assert_eq!(films.kept(&PREPROCESS), FILMS.len());
    let mode = || fs::metadata(films.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600, "nobody else reads a patient's film");
    fs::set_permissions(films.file(), fs::Permissions::from_mode(0o644)).unwrap();
    films.cached(PREPROCESS);
    assert_eq!(mode(), 0o600);
}
