//! A zip archive made into files, unless it could do harm.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::checksum::hex;
use crate::event::{Job, Observer, Progress};
use crate::text;
use crate::{FetchError, disk};

/// The file beside what was fetched that says what it is: no archive may bring its own. Data sets pass over names that
/// begin with a dot.
pub(crate) const MANIFEST: &str = ".lungfish-fetch";

/// How much may come out of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files and folders.
    pub entries: usize,
    /// Bytes of all files for each byte of the archive.
    pub ratio: u64,
}

impl Default for Limits {
    /// 20 GB, 200,000 entries, a ratio of 100.
    fn default() -> Self {
        Limits { bytes: 20_000_000_000, entries: 200_000, ratio: 100 }
    }
}

/// A file that came out of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Below the folder, in the archive's spelling: parts with `/` between them.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
}

/// Unpacks a zip archive into `into`, a folder that must not be there yet, and lists the files, sorted. What macOS
/// leaves in archives (`__MACOSX`, `.DS_Store`, `._*`) is passed over.
///
/// Refused are absolute paths, `..`, links and other special files, names that some system cannot hold safely, names
/// that come twice, encrypted entries, entries that share bytes, sizes or checksums that are not true, and more than
/// `limits` allow.
///
/// # Errors
/// [`FetchError::Archive`] for an archive that is refused or damaged, [`FetchError::DiskFull`], [`FetchError::Io`],
/// [`FetchError::Stopped`]. After each of them `into` is not there.
pub fn unpack(
    archive: &Path,
    into: &Path,
    limits: &Limits,
    observer: &mut Observer<'_>,
    stop: &AtomicBool,
) -> Result<Vec<Unpacked>, FetchError> {
    fs::create_dir(into).map_err(|e| FetchError::io("create", into, e))?;
    let unpacked = Unpacking { archive, into, limits, observer, stop }.run();
    if unpacked.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(into);
    }
    unpacked
}

struct Unpacking<'a, 'o> {
    archive: &'a Path,
    into: &'a Path,
    limits: &'a Limits,
    observer: &'a mut Observer<'o>,
    stop: &'a AtomicBool,
}

/// An entry that has been looked at.
struct Planned {
    index: usize,
    path: String,
    bytes: u64,
    folder: bool,
}

type Archive = ZipArchive<BufReader<Budget>>;

impl Unpacking<'_, '_> {
    fn run(mut self) -> Result<Vec<Unpacked>, FetchError> {
        let (mut zip, length) = self.open()?;
        let (planned, total) = self.plan(&mut zip, length)?;
        disk::require(self.into, total)?;
        let mut progress = Progress::new(Job::Unpacking, Some(total));
        let (mut done, mut files) = (0, Vec::new());
        for entry in planned {
            let path = self.into.join(&entry.path);
            let folder = if entry.folder { Some(path.as_path()) } else { path.parent() };
            if let Some(folder) = folder {
                fs::create_dir_all(folder).map_err(|e| self.write_error("create", folder, e, total - done))?;
            }
            if !entry.folder {
                files.push(self.file(&mut zip, entry, &path, &mut done, total, &mut progress)?);
            }
        }
        progress.tell(done, self.observer);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn refused(&self, reason: impl Into<String>) -> FetchError {
        FetchError::Archive { path: self.archive.to_owned(), reason: reason.into() }
    }

    fn broken(&self, error: ZipError) -> FetchError {
        match error {
            ZipError::Io(e) if e.kind() != io::ErrorKind::UnexpectedEof && e.raw_os_error().is_some() => {
                FetchError::io("read", self.archive, e)
            }
            error => self.refused(text::plain(&error.to_string(), 200)),
        }
    }

    fn write_error(&self, action: &'static str, path: &Path, error: io::Error, left: u64) -> FetchError {
        match error.kind() {
            // Names that differ for us and not for this file system.
            io::ErrorKind::AlreadyExists => {
                self.refused(format!("two of its names are one for this disk: {}", text::path(path)))
            }
            io::ErrorKind::InvalidFilename => {
                self.refused(format!("this disk cannot hold the name {}", text::path(path)))
            }
            _ => FetchError::io_with(action, path, error, Some(left)),
        }
    }

    fn open(&self) -> Result<(Archive, u64), FetchError> {
        // A list of hundreds of millions of entries would fill the memory before they could be counted.
        const MOST_READ: u64 = 64 << 20;
        let file = File::open(self.archive).map_err(|e| FetchError::io("read", self.archive, e))?;
        let length = file.metadata().map_err(|e| FetchError::io("read", self.archive, e))?.len();
        let left = Rc::new(Cell::new(Some(MOST_READ)));
        let reader = BufReader::new(Budget { file, left: Rc::clone(&left) });
        let zip = ZipArchive::new(reader).map_err(|e| {
            if left.get() == Some(0) {
                self.refused(format!("its list of contents is longer than {}", text::size(MOST_READ)))
            } else {
                self.broken(e)
            }
        })?;
        left.set(None);
        Ok((zip, length))
    }

    /// Looks at every entry before anything is written; gives what is to be written and its bytes.
    fn plan(&self, zip: &mut Archive, length: u64) -> Result<(Vec<Planned>, u64), FetchError> {
        let Limits { bytes, entries, ratio } = *self.limits;
        if zip.len() > entries {
            let (found, most) = (text::count(zip.len()), text::count(entries));
            return Err(self.refused(format!("it has {found} entries, and {most} is the most that is unpacked")));
        }
        if zip.has_duplicate_names() {
            return Err(self.refused("a name comes twice in it"));
        }
        if zip.has_overlapping_files().map_err(|e| self.broken(e))? {
            return Err(self.refused("files in it share bytes, as in a zip bomb"));
        }
        let (mut planned, mut total) = (Vec::with_capacity(zip.len()), 0u64);
        let (mut files, mut all) = (HashSet::new(), Vec::with_capacity(zip.len()));
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(|e| self.broken(e))?;
            let name = entry.name().map_err(|e| self.broken(e))?;
            let shown = text::plain(&name, 200);
            let path = safe_path(&name).map_err(|reason| self.refused(format!("the name {shown:?} {reason}")))?;
            const KIND: u32 = 0o170_000;
            let kind = entry.unix_mode().unwrap_or(0) & KIND;
            if entry.is_symlink() || !matches!(kind, 0 | 0o100_000 | 0o040_000) {
                return Err(self.refused(format!("{shown:?} is a link or a special file")));
            }
            if entry.encrypted() {
                return Err(self.refused(format!("{shown:?} is encrypted")));
            }
            let folder = entry.is_dir() || kind == 0o040_000;
            total = total.saturating_add(if folder { 0 } else { entry.size() });
            if !folder && !files.insert(path.clone()) {
                return Err(self.refused(format!("the name {shown:?} comes twice in it")));
            }
            all.push((path.clone(), folder));
            if !is_litter(&path) {
                planned.push(Planned { index, path, bytes: entry.size(), folder });
            }
        }
        // Looked up and not kept: the folders above one long name can be a gigabyte of text.
        let above = |path: &str| path.match_indices('/').map(|(at, _)| at).find(|at| files.contains(&path[..*at]));
        let both = all.iter().find_map(|(path, folder)| match above(path) {
            Some(at) => Some(&path[..at]),
            None => (*folder && files.contains(path)).then_some(path.as_str()),
        });
        if let Some(both) = both {
            let both = text::plain(both, 200);
            return Err(self.refused(format!("{both:?} is a file and a folder in it")));
        }
        if total > bytes {
            let (total, most) = (text::size(total), text::size(bytes));
            return Err(self.refused(format!("it would unpack to {total}, and {most} is the most that is unpacked")));
        }
        if total > length.saturating_mul(ratio) {
            let (total, length) = (text::size(total), text::size(length));
            let reason = format!("it would grow from {length} to {total}, more than {ratio} times, as a zip bomb does");
            return Err(self.refused(reason));
        }
        let total = planned.iter().filter(|entry| !entry.folder).map(|entry| entry.bytes).sum();
        Ok((planned, total))
    }

    fn file(
        &mut self,
        zip: &mut Archive,
        entry: Planned,
        path: &Path,
        done: &mut u64,
        total: u64,
        progress: &mut Progress,
    ) -> Result<Unpacked, FetchError> {
        let shown = text::plain(&entry.path, 200);
        let source = zip.by_index(entry.index).map_err(|e| self.broken(e))?;
        // One byte more than it says is enough to see that it lies.
        let mut source = source.take(entry.bytes.saturating_add(1));
        let mut target = File::options()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|e| self.write_error("write", path, e, total - *done))?;
        let (mut hash, mut bytes) = (Sha256::new(), 0u64);
        let mut buffer = vec![0; 128 << 10];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(FetchError::Stopped { kept: 0 });
            }
            let n = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    let reason = text::plain(&e.to_string(), 200);
                    return Err(self.refused(format!("{shown:?} in it is damaged ({reason})")));
                }
            };
            bytes += n as u64;
            hash.update(&buffer[..n]);
            target.write_all(&buffer[..n]).map_err(|e| self.write_error("write", path, e, total - *done))?;
            *done += n as u64;
            progress.at(*done, self.observer);
        }
        if bytes != entry.bytes {
            let said = text::size(entry.bytes);
            return Err(self.refused(format!("{shown:?} in it does not have the {said} that it says")));
        }
        Ok(Unpacked { path: entry.path, bytes, sha256: hex(&hash.finalize()) })
    }
}

/// What no data set means: macOS's shadows, and the list that another fetch left.
fn is_litter(path: &str) -> bool {
    path == MANIFEST || path.split('/').any(|part| part == "__MACOSX" || part == ".DS_Store" || part.starts_with("._"))
}

/// A name in an archive as a path below a folder, parts with `/` between them.
///
/// Names are refused everywhere that are a danger on one system only: an archive that unpacks here shall unpack there.
pub(crate) fn safe_path(name: &str) -> Result<String, &'static str> {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    // The longest path of macOS; a zip's name can have 65,535 bytes, thousands of folders deep.
    const LONGEST: usize = 1024;
    if name.len() > LONGEST {
        return Err("is longer than a disk can hold");
    }
    if name.starts_with('/') {
        return Err("is an absolute path");
    }
    if name.contains('\\') {
        return Err("has a backslash, which leads elsewhere on Windows");
    }
    if name.chars().any(text::unruly) {
        return Err("has characters that hide or control text");
    }
    let mut parts = Vec::new();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let port = stem.strip_prefix("com").or(stem.strip_prefix("lpt"));
        if part == ".." {
            return Err("leads out of the folder");
        } else if part.contains(':') {
            return Err("has a colon, which names a drive or a stream on Windows");
        } else if part.len() > 255 {
            return Err("is longer than a disk can hold");
        } else if DEVICES.contains(&stem.as_str())
            || port.is_some_and(|port| port.len() == 1 && port.bytes().all(|digit| digit.is_ascii_digit()))
        {
            return Err("is a device on Windows");
        }
        #[cfg(windows)]
        if part.contains(['<', '>', '"', '|', '?', '*']) || part.ends_with(['.', ' ']) {
            return Err("is no name on Windows");
        }
        parts.push(part);
    }
    if parts.is_empty() { Err("names nothing") } else { Ok(parts.join("/")) }
}

/// A file that gives so many bytes and no more, until it is let go.
struct Budget {
    file: File,
    left: Rc<Cell<Option<u64>>>,
}

impl Read for Budget {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else { return self.file.read(buffer) };
        let n = self.file.read(buffer)?;
        if n as u64 > left {
            self.left.set(Some(0));
            return Err(io::Error::other("the list of contents is too long"));
        }
        self.left.set(Some(left - n as u64));
        Ok(n)
    }
}

impl Seek for Budget {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Names of files in a folder that is compared with a list; see [`safe_path`].
pub(crate) fn below(folder: &Path, path: &str) -> PathBuf {
    path.split('/').fold(folder.to_owned(), |folder, part| folder.join(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere() {
        for (name, path) in [
            ("a/b.jpeg", "a/b.jpeg"),
            ("./a//b", "a/b"),
            ("a/", "a"),
            ("...", "..."),
            ("Röntgen 1.png", "Röntgen 1.png"),
            ("console/comma.txt", "console/comma.txt"),
        ] {
            assert_eq!(safe_path(name).as_deref(), Ok(path));
        }
        for name in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "..",
            "C:/x",
            "C:\\x",
            "a\\..\\x",
            "\\\\host\\x",
            "a\0b",
            "a\nb",
            "a\u{202e}gpj",
            "NUL",
            "a/con.txt",
            "com1",
            "file:stream",
            "",
            "/",
            ".",
            "./",
        ] {
            assert!(safe_path(name).is_err(), "{name:?}");
        }
        assert!(safe_path(&"x".repeat(256)).is_err());
        assert!(safe_path(&"a/".repeat(512)).is_ok() && safe_path(&"a/".repeat(513)).is_err());
    }

    #[test]
    fn litter() {
        for path in ["__MACOSX/a/._b.jpeg", "a/.DS_Store", "a/._b.jpeg", ".lungfish-fetch"] {
            assert!(is_litter(path), "{path}");
        }
        assert!(!is_litter("train/NORMAL/a.jpeg") && !is_litter("a/.lungfish-fetch"));
    }
}
