//! A file that grows by whole lines, held by one process.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lungfish_data::display::escape;

use crate::Error;

/// Lines are with the system as soon as they are written, and on the disk no later than this.
const SYNC: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Appended {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    synced: Instant,
}

impl Appended {
    /// A new file with its first line.
    pub(super) fn create(path: &Path, head: &str) -> Result<Self, Error> {
        let failed = |e| Error::io("write", path, e);
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(failed)?;
        lock(path, &file)?;
        let mut made = Appended { path: path.to_owned(), file, length: 0, synced: Instant::now() };
        made.write(head).and_then(|()| made.file.sync_all()).map_err(failed)?;
        Ok(made)
    }

    /// A file that is there, and what is in it; its end is not known to be whole before [`Appended::keep`].
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<u8>), Error> {
        let file = File::options().read(true).write(true).open(path).map_err(|e| Error::io("write", path, e))?;
        lock(path, &file)?;
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let length = bytes.len() as u64;
        Ok((Appended { path: path.to_owned(), file, length, synced: Instant::now() }, bytes))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Cuts off all but its first bytes.
    pub(super) fn keep(&mut self, length: usize) -> Result<(), Error> {
        self.length = length as u64;
        self.cut().map_err(|e| Error::io("write", &self.path, e))
    }

    /// Writes whole lines. They are with the system when this returns, and on the disk within about a second.
    ///
    /// # Errors
    /// A file that cannot be written; it then ends after the last line that it had before.
    pub(super) fn append(&mut self, lines: &str) -> Result<(), Error> {
        let mut written = self.write(lines);
        if written.is_ok() && self.synced.elapsed() >= SYNC {
            written = self.file.sync_data();
            self.synced = Instant::now();
        }
        written.map_err(|error| {
            // What is left of a line is cut off; a disk that does not even do that leaves it to the next start.
            let _ = self.cut();
            Error::io("write", &self.path, error)
        })
    }

    /// Brings all of it to the disk.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|e| Error::io("write", &self.path, e))
    }

    /// Writes after the whole lines; these count as whole where it succeeds.
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.length += text.len() as u64;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(|_| ())
    }
}

fn lock(path: &Path, file: &File) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::refused(format!("another process is writing {}", escape(path)))),
        // A file system without locks (some network ones) must not keep a person from predicting.
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", path, e)),
    }
}
