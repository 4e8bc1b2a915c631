//! The list of what a fetch put into a folder: `.lungfish-fetch`, which `sha256sum -c` reads as well.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};

use crate::checksum::hex;
use crate::event::Observer;
use crate::unpack::{MANIFEST, Unpacked, below, safe_path};
use crate::verify::Verifying;
use crate::{FetchError, text};

/// What was fetched, and the files that came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// `kaggle:OWNER/SLUG`.
    pub source: String,
    /// The version that was asked for; none for the newest of that day.
    pub version: Option<u64>,
    /// SHA-256 and path, sorted by path.
    pub files: Vec<(String, String)>,
}

/// How a folder differs from its list.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub missing: usize,
    pub changed: Vec<String>,
    /// Bytes of the files that are there.
    pub bytes: u64,
}

impl Manifest {
    pub(crate) fn new(source: String, version: Option<u64>, files: &[Unpacked]) -> Self {
        Manifest { source, version, files: files.iter().map(|f| (f.sha256.clone(), f.path.clone())).collect() }
    }

    fn to_text(&self) -> String {
        let version = self.version.map_or_else(|| "newest".to_owned(), |version| version.to_string());
        let mut lines = format!(
            "# What `lungfish fetch` put here. To check it: sha256sum -c {MANIFEST}\n# source: {}\n# version: {version}\n",
            self.source
        );
        for (sha256, path) in &self.files {
            let _ = writeln!(lines, "{sha256}  {path}"); // A string takes all that is written to it.
        }
        lines
    }

    fn parse(text: &str) -> Option<Self> {
        let mut manifest = Manifest { source: String::new(), version: None, files: Vec::new() };
        for line in text.lines() {
            if let Some(source) = line.strip_prefix("# source: ") {
                manifest.source = source.to_owned();
            } else if let Some(version) = line.strip_prefix("# version: ") {
                manifest.version = if version == "newest" { None } else { Some(version.parse().ok()?) };
            } else if !line.starts_with('#') {
                let (sha256, path) = line.split_once("  ")?;
                if sha256.len() != 64 || safe_path(path).as_deref() != Ok(path) {
                    return None;
                }
                manifest.files.push((sha256.to_owned(), path.to_owned()));
            }
        }
        (!manifest.source.is_empty()).then_some(manifest)
    }

    /// The list of a folder; none where there is none that can be understood.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, FetchError> {
        let path = folder.join(MANIFEST);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(FetchError::io("read", &path, e)),
        }
    }

    /// Puts it into a folder, whole or not at all.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), FetchError> {
        let (path, beside) = (folder.join(MANIFEST), folder.join(format!("{MANIFEST}.tmp")));
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        };
        write().map_err(|e| {
            // The first error is the one to tell.
            let _ = fs::remove_file(&beside);
            FetchError::io("write", &path, e)
        })
    }

    /// Reads every file of the list.
    pub(crate) fn compare(
        &self,
        folder: &Path,
        observer: &mut Observer<'_>,
        stop: &AtomicBool,
    ) -> Result<Differences, FetchError> {
        let mut differences = Differences::default();
        let mut there = Vec::with_capacity(self.files.len());
        for (sha256, path) in &self.files {
            let place = below(folder, path);
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_file() => {
                    differences.bytes += metadata.len();
                    there.push((sha256, path, place));
                }
                Ok(_) => differences.changed.push(path.clone()),
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    differences.missing += 1;
                }
                Err(e) => return Err(FetchError::io("read", &place, e)),
            }
        }
        let mut verifying = Verifying::new(differences.bytes, 0, observer, stop);
        for (sha256, path, place) in there {
            let file = File::open(&place).map_err(|e| FetchError::io("read", &place, e))?;
            let mut hash = Sha256::new();
            verifying.read(&place, file, |bytes| hash.update(bytes))?;
            if hex(&hash.finalize()) != *sha256 {
                differences.changed.push(path.clone());
            }
        }
        verifying.finish();
        Ok(differences)
    }
}

impl Differences {
    /// A sentence about files that are not as they came.
    pub(crate) fn changed_sentence(&self) -> String {
        let first = self.changed.first().map(|path| text::plain(path, 200)).unwrap_or_default();
        match self.changed.len() {
            1 => format!("{first} is not as it was fetched"),
            n => format!("{} files are not as they were fetched, {first} first", text::count(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("a b/ä.jpeg", "a"), ("c", "b")].map(|(path, digit)| Unpacked {
            path: path.to_owned(),
            bytes: 1,
            sha256: digit.repeat(64),
        });
        for version in [None, Some(7)] {
            let manifest = Manifest::new("kaggle:a/b".to_owned(), version, &files);
            manifest.write(dir.path()).unwrap();
            assert_eq!(Manifest::read(dir.path()).unwrap(), Some(manifest));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_list_that_leads_elsewhere_is_no_list() {
        let line = |path: &str| format!("# source: kaggle:a/b\n{}  {path}\n", "a".repeat(64));
        assert!(Manifest::parse(&line("a/b")).is_some());
        for bad in ["../a", "/etc/passwd", "a//b", ""] {
            assert_eq!(Manifest::parse(&line(bad)), None, "{bad}");
        }
        assert_eq!(Manifest::parse("thesis"), None);
        assert_eq!(Manifest::read(Path::new("/nowhere/at/all")).unwrap(), None);
    }
}
