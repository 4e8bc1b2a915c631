//! Films as the network's square, kept from their first decoding for every later look at them: one file of records of
//! one size, read and written by position.
//!
//! A record is the film's pixels before any alteration, then its content hash, then a CRC-32 of both. Nothing in the
//! file is trusted: a record that is missing, cut or damaged is a film to be decoded again, and written again. So the
//! file may be cut, overwritten or deleted at any time, and what it gives for a content hash is what the file of that
//! content gives. Whether a film's file still has that content is not looked at here: who hands out the hash knows.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::check::ContentHash;
use crate::decode::{Channels, DicomView, Exif};
use crate::error::DataError;
use crate::preprocess::{Equalize, Fit, Preprocess};

/// What the file begins with. The number goes up whenever a record, or the way to any pixel in it, changes.
const MAGIC: [u8; 12] = *b"lungfilms  2";
/// Other versions may decode otherwise.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// [`MAGIC`], then all of [`Preprocess`] that moves pixels: channels, fit, equalize, a byte of zero, and the
/// size; then [`VERSION`].
const HEADER: usize = MAGIC.len() + 8 + VERSION.len();

const HASH: usize = 16;
const CHECKSUM: usize = 4;

/// Decoded films in a file. Shared by threads; all of them may read and write at once.
#[derive(Debug)]
pub struct FilmCache {
    file: File,
    preprocess: Preprocess,
    /// Records that fit the bound.
    capacity: usize,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the record of a film is, or will be.
    slots: HashMap<ContentHash, usize>,
    /// The first slot that nothing is known of.
    next: usize,
    /// Nothing is read or written any more.
    off: bool,
    /// Why, until somebody asks.
    trouble: Option<io::Error>,
}

impl FilmCache {
    /// Opens the file, whose records are used if they were made by this version of the program for the same pixels;
    /// anything else there is replaced by an empty file. It grows to `most_bytes`; films beyond that are not kept. On
    /// Unix nobody but its owner can read it.
    ///
    /// # Errors
    /// [`DataError::Write`] where there can be no such file. A caller goes on without.
    pub fn open(path: &Path, preprocess: &Preprocess, most_bytes: u64) -> Result<Self, DataError> {
        let failed = |source| DataError::Write { path: path.to_path_buf(), source };
        let record = preprocess.film_len() + HASH + CHECKSUM;
        let capacity = (most_bytes.saturating_sub(HEADER as u64) / record as u64) as usize;
        let header = header(preprocess);
        let (file, length) = match reopen(path, &header) {
            Some(opened) => opened,
            None => (create(path, &header).map_err(failed)?, HEADER as u64),
        };
        // A last record that was cut is overwritten.
        let next = ((length.saturating_sub(HEADER as u64) / record as u64) as usize).min(capacity);
        let cache = Self { file, preprocess: *preprocess, capacity, state: RwLock::default() };
        let mut state = State { next, ..State::default() };
        let mut hash = [0; HASH];
        for slot in 0..next {
            if read_at(&cache.file, &mut hash, cache.at(slot) + preprocess.film_len() as u64).is_ok() {
                state.slots.insert(ContentHash(hash), slot);
            }
        }
        Ok(Self { state: RwLock::new(state), ..cache })
    }

    /// Deletes the file. That there is none is no error.
    ///
    /// # Errors
    /// [`DataError::Write`] where it stays.
    pub fn remove(path: &Path) -> Result<(), DataError> {
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataError::Write { path: path.to_path_buf(), source })
            }
            _ => Ok(()),
        }
    }

    /// Whether its films are what this makes of them.
    pub fn keeps(&self, preprocess: &Preprocess) -> bool {
        header(&self.preprocess) == header(preprocess)
    }

    /// Whether [`Self::put`] would write this film.
    pub fn has_room(&self, film: ContentHash) -> bool {
        let state = self.read();
        !state.off && (state.next < self.capacity || state.slots.contains_key(&film))
    }

    /// Films that it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The pixels of a film, [`Preprocess::film_len`] bytes; `None` where there is no sound record of it.
    pub fn get(&self, film: ContentHash) -> Option<Vec<u8>> {
        let slot = {
            let state = self.read();
            if state.off {
                return None;
            }
            *state.slots.get(&film)?
        };
        let pixels = self.preprocess.film_len();
        let mut record = vec![0; pixels + HASH + CHECKSUM];
        read_at(&self.file, &mut record, self.at(slot)).ok()?;
        let (body, checksum) = record.split_at(pixels + HASH);
        if body[pixels..] != film.0 || checksum != crc32fast::hash(body).to_le_bytes() {
            return None;
        }
        record.truncate(pixels);
        Some(record)
    }

    /// Keeps the pixels of a film, where there is room. If writing fails (a full disk), the cache gives back the room
    /// that it took and is off from then on; see [`Self::trouble`].
    pub fn put(&self, film: ContentHash, pixels: &[u8]) {
        if pixels.len() != self.preprocess.film_len() {
            return;
        }
        let slot = {
            let mut state = self.write();
            match state.slots.get(&film) {
                _ if state.off => return,
                Some(&slot) => slot,
                None if state.next >= self.capacity => return,
                None => {
                    let slot = state.next;
                    state.next += 1;
                    // Until it is written its record is unsound, which is a film that is not there.
                    state.slots.insert(film, slot);
                    slot
                }
            }
        };
        let mut record = Vec::with_capacity(pixels.len() + HASH + CHECKSUM);
        record.extend_from_slice(pixels);
        record.extend_from_slice(&film.0);
        record.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
        if let Err(error) = write_at(&self.file, &record, self.at(slot)) {
            self.give_up(Some(error));
        }
    }

    /// Stops keeping films and gives back the room on the disk. Films are decoded anew from then on. False where that
    /// had been done before.
    pub fn discard(&self) -> bool {
        self.give_up(None)
    }

    /// Why it had to be given up, said once; `None` while all is well.
    pub fn trouble(&self) -> Option<io::Error> {
        if !self.read().off {
            return None;
        }
        self.write().trouble.take()
    }

    fn give_up(&self, trouble: Option<io::Error>) -> bool {
        let mut state = self.write();
        if state.off {
            return false;
        }
        *state = State { off: true, trouble, ..State::default() };
        drop(state);
        // A file that cannot be cut is deleted in the end.
        let _ = self.file.set_len(0);
        true
    }

    /// Where a record begins.
    fn at(&self, slot: usize) -> u64 {
        HEADER as u64 + slot as u64 * (self.preprocess.film_len() + HASH + CHECKSUM) as u64
    }

    /// A panic elsewhere leaves the state whole: it is never changed half way.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file with these films begins with.
fn header(preprocess: &Preprocess) -> [u8; HEADER] {
    let Preprocess { channels, fit, size, equalize, decoding, mean: _, std: _ } = preprocess;
    let channels = match channels {
        Channels::Gray => 1,
        Channels::Rgb => 3,
    };
    let fit = match fit {
        Fit::Crop => 1,
        Fit::Pad => 2,
        Fit::Squash => 3,
    };
    let equalize = match equalize {
        // What stood here before there was a choice.
        Equalize::None => 0,
        Equalize::Histogram => 1,
        Equalize::Clahe => 2,
    };
    let mut header = [0; HEADER];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    // 0 as well before there was a choice.
    let view = if decoding.dicom_view == DicomView::FullRange { 0x40 } else { 0 };
    let turned = if decoding.exif == Exif::Apply { 0x80 } else { 0 };
    let decoded = decoding.sample_bits.unwrap_or(0) & 0x3f | view | turned;
    header[MAGIC.len()..][..4].copy_from_slice(&[channels, fit, equalize, decoded]);
    header[MAGIC.len() + 4..][..4].copy_from_slice(&(*size as u32).to_le_bytes());
    header[MAGIC.len() + 8..].copy_from_slice(VERSION.as_bytes());
    header
}

/// The file and its length, where it begins as it should.
fn reopen(path: &Path, header: &[u8; HEADER]) -> Option<(File, u64)> {
    // What a link points to is not ours to write to.
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::options().read(true).write(true).open(path).ok()?;
    let mut begins = [0; HEADER];
    read_at(&file, &mut begins, 0).ok()?;
    let length = file.metadata().ok()?.len();
    // A copied run may have come with a copy that others can read.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).ok()?;
    (begins == *header).then_some((file, length))
}

/// An empty file in the place of whatever is there.
fn create(path: &Path, header: &[u8; HEADER]) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    write_at(&file, header, 0)?;
    Ok(file)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => (bytes, at) = (&mut bytes[n..], at + n as u64),
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, at)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => (bytes, at) = (&bytes[n..], at + n as u64),
        }
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(unix, windows)))]
fn write_at(_: &File, _: &[u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
