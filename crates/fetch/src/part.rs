//! A file that is not whole yet, and what has to be known to go on with it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::checksum::{Check, Promise};
use crate::event::Observer;
use crate::verify::Verifying;
use crate::{FetchError, disk};

/// What was known of the file when its first byte came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// A hash of the address that was asked.
    pub address: String,
    /// The strong `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
    /// Bytes in all.
    pub total: Option<u64>,
    /// From `x-goog-hash`.
    pub md5: Option<[u8; 16]>,
    /// From `x-goog-hash`.
    pub crc32c: Option<u32>,
}

impl Known {
    /// What `If-Range` says; `Last-Modified` where there is no `ETag`.
    pub(crate) fn validator(&self) -> Option<String> {
        self.etag.clone().or_else(|| self.modified.clone())
    }

    /// Whether an answer that begins in the middle is of the same file.
    pub(crate) fn same_file(&self, other: &Known) -> bool {
        fn agree<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        agree(&self.total, &other.total)
            && agree(&self.etag, &other.etag)
            && agree(&self.md5, &other.md5)
            && agree(&self.crc32c, &other.crc32c)
            && (self.etag.is_some() || agree(&self.modified, &other.modified))
    }

    /// All that is promised about the bytes.
    pub(crate) fn promise(&self, sha256: Option<&str>) -> Promise {
        Promise { md5: self.md5, crc32c: self.crc32c, sha256: sha256.map(str::to_owned) }
    }
}

/// `.NAME.part` beside the file that it becomes, held by this process, with `.NAME.part.json` for what is known of it.
/// Where nothing came yet, nothing is left.
pub(crate) struct Part {
    path: PathBuf,
    note: PathBuf,
    file: File,
    len: u64,
    known: Known,
}

impl Part {
    /// Opens or makes the part of `target`. Bytes of another address, or that nobody could tell from those of another
    /// file, are dropped.
    pub(crate) fn open(target: &Path, address: String, sha256: Option<&str>) -> Result<Self, FetchError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.part"));
        let note = target.with_file_name(format!(".{name}.part.json"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| FetchError::io("write", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { path: target.to_owned() }),
            // A file system without locks (some network ones) must not keep a person from fetching.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(FetchError::io("lock", &path, e)),
        }
        let len = file.metadata().map_err(|e| FetchError::io("read", &path, e))?.len();
        let known: Option<Known> = fs::read(&note).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let known = known.filter(|known| known.address == address).unwrap_or_default();
        let mut part = Part { path, note, file, len, known };
        if part.known.address.is_empty() || !part.can_go_on(sha256) {
            part.restart(Known { address, ..Known::default() })?;
        }
        Ok(part)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Whether bytes that do not belong to these would be noticed.
    pub(crate) fn can_go_on(&self, sha256: Option<&str>) -> bool {
        let sure = self.known.validator().is_some() || self.known.promise(sha256).is_some();
        sure && self.known.total.is_none_or(|total| total >= self.len)
    }

    /// The folder it lies in.
    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Drops all bytes and writes down what is known of those to come.
    pub(crate) fn restart(&mut self, known: Known) -> Result<(), FetchError> {
        // The bytes go before the note changes: a kill between the two leaves a note about nothing.
        self.file.set_len(0).map_err(|e| FetchError::io("write", &self.path, e))?;
        self.len = 0;
        self.known = known;
        let text = serde_json::to_vec(&self.known).unwrap_or_default();
        let beside = self.note.with_extension("json.tmp");
        fs::write(&beside, text)
            .and_then(|()| fs::rename(&beside, &self.note))
            .map_err(|e| FetchError::io("write", &self.note, e))
    }

    /// Refuses to begin what does not fit.
    pub(crate) fn require_room(&self) -> Result<(), FetchError> {
        let left = self.known.total.map_or(0, |total| total.saturating_sub(self.len));
        disk::require(self.folder(), left)
    }

    /// Adds bytes at its end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let write = |file: &mut File, at: u64| {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        write(&mut self.file, self.len).map_err(|e| {
            let left = self.known.total.map(|total| total.saturating_sub(self.len));
            FetchError::io_with("write", &self.path, e, left)
        })?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Reads what is there into `check`.
    pub(crate) fn read_into(
        &mut self,
        check: &mut Check,
        observer: &mut Observer<'_>,
        stop: &AtomicBool,
    ) -> Result<(), FetchError> {
        let error = |e| FetchError::io("read", &self.path, e);
        self.file.seek(SeekFrom::Start(0)).map_err(error)?;
        let mut verifying = Verifying::new(self.len, self.len, observer, stop);
        if verifying.read(&self.path, (&self.file).take(self.len), |bytes| check.update(bytes))? < self.len {
            return Err(error(io::ErrorKind::UnexpectedEof.into()));
        }
        verifying.finish();
        Ok(())
    }

    /// Gives it its name. Whole and verified files get it, and no others.
    pub(crate) fn finish(mut self, target: &Path) -> Result<(), FetchError> {
        let finish = || {
            self.file.sync_all()?;
            fs::rename(&self.path, target)?;
            // On Windows a folder cannot be opened to be synced; a rename is durable there once it returns.
            #[cfg(unix)]
            File::open(self.folder())?.sync_all()?;
            Ok(())
        };
        finish().map_err(|e| FetchError::io("write", target, e))?;
        self.len = 0; // The note goes with the value.
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.len == 0 {
            // What cannot be removed is empty, and harms nobody.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.note);
        }
    }
}
