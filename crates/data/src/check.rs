//! Every film is read and decoded once before it is trusted.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::decode::{Channels, DecodeError, DecodeOptions, Image, decode, luma, read_film};
use crate::film_set::{Film, Layout};

/// 16 bytes that name the content of a film without naming the patient: of its file, or of its pixels. Text is hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 16]);

impl ContentHash {
    /// The hash of a picture as it is seen: the start of the BLAKE3 of its width, height and gray pixels (Pillow's `L`).
    /// A film that was saved anew without loss, in another container or as three equal channels, has the same one.
    pub fn of_pixels(image: &Image) -> Self {
        let mut hasher = blake3::Hasher::new();
        for side in [image.width, image.height] {
            hasher.update(&(side as u64).to_le_bytes());
        }
        match image.channels {
            Channels::Gray => hasher.update(&image.pixels),
            Channels::Rgb => {
                let gray: Vec<u8> = image.pixels.as_chunks::<3>().0.iter().map(|&[r, g, b]| luma(r, g, b)).collect();
                hasher.update(&gray)
            }
        };
        Self::start(hasher.finalize().as_bytes())
    }

    fn start(digest: &[u8; 32]) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self(hash)
    }

    /// The hash of a file's bytes: the start of their SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self::start(&Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text that is not 32 hexadecimal digits.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is not a content hash of 32 hexadecimal digits")]
pub struct NotAHash(String);

impl FromStr for ContentHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        value.map(|value| Self(value.to_be_bytes())).ok_or_else(|| NotAHash(text.to_string()))
    }
}

/// A film that decodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFilm {
    /// The film.
    pub film: Film,
    /// Its file.
    pub hash: ContentHash,
    /// What is seen of it ([`ContentHash::of_pixels`]); none in a split file of an older version.
    pub pixels: Option<ContentHash>,
}

/// A film that does not.
#[derive(Debug)]
pub struct BadFilm {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub reason: DecodeError,
}

/// Reads every film once, decodes it whole and hashes it, on all threads of the current rayon pool. Both lists keep
/// the order of `films`. `progress` is called from those threads with the number of films done so far.
///
/// ```no_run
/// # use lungfish_data::{check, Channels, FilmSource, PatientRule, Split};
/// let set = FilmSource::find("chest_xray".as_ref())?.list(&PatientRule::default())?;
/// let films = set.layout.of(Split::Train).unwrap_or_default();
/// let (good, bad) = check(films, Channels::Gray, &|_done| {});
/// assert_eq!(good.len() + bad.len(), films.len());
/// # Ok::<(), lungfish_data::DataError>(())
/// ```
pub fn check(
    films: &[Film],
    options: impl Into<DecodeOptions>,
    progress: &(dyn Fn(usize) + Sync),
) -> (Vec<CheckedFilm>, Vec<BadFilm>) {
    check_with(films, options, &|_, _| {}, progress)
}

/// [`check`], which hands each good film's content and pixels to `seen`, on whatever thread and in whatever order.
pub fn check_with(
    films: &[Film],
    options: impl Into<DecodeOptions>,
    seen: &(dyn Fn(ContentHash, Image) + Sync),
    progress: &(dyn Fn(usize) + Sync),
) -> (Vec<CheckedFilm>, Vec<BadFilm>) {
    let films = check_each(films, options.into(), seen, progress);
    let (good, bad): (Vec<_>, Vec<_>) = films.into_iter().partition(Result::is_ok);
    (good.into_iter().filter_map(Result::ok).collect(), bad.into_iter().filter_map(Result::err).collect())
}

/// [`check`] for a whole data set: the layout without its bad films, and those.
pub fn check_layout(
    layout: Layout,
    options: impl Into<DecodeOptions>,
    progress: &(dyn Fn(usize) + Sync),
) -> (Layout<CheckedFilm>, Vec<BadFilm>) {
    let films: Vec<Film> = layout.films().map(|(_, film)| film.clone()).collect();
    let mut results = check_each(&films, options.into(), &|_, _| {}, progress).into_iter();
    let mut bad = Vec::new();
    // `filter_map` visits the films in the order in which `films` lists them.
    let good = layout.filter_map(|_| match results.next()? {
        Ok(film) => Some(film),
        Err(film) => {
            bad.push(film);
            None
        }
    });
    (good, bad)
}

fn check_each(
    films: &[Film],
    options: DecodeOptions,
    seen: &(dyn Fn(ContentHash, Image) + Sync),
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Result<CheckedFilm, BadFilm>> {
    let done = AtomicUsize::new(0);
    let check_one = |film: &Film| {
        let content = read_film(&film.path).and_then(|bytes| {
            let image = decode(&bytes, options)?;
            let content = (ContentHash::of(&bytes), ContentHash::of_pixels(&image));
            seen(content.0, image);
            Ok(content)
        });
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        match content {
            Ok((hash, pixels)) => Ok(CheckedFilm { film: film.clone(), hash, pixels: Some(pixels) }),
            Err(reason) => Err(BadFilm { path: film.path.clone(), reason }),
        }
    };
    // One film a task: they differ in size tenfold.
    films.par_iter().with_max_len(1).map(check_one).collect()
}
