//! Files in a folder that are not taken for films, counted by what they are, so that none is left out unnoticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::display::escape;

/// Files of one kind that were passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PassedOver {
    /// `masks`, or the place (`in @eaDir`, `beside the splits`); else the extension (`.txt`, in lower case), or `without an
    /// extension`.
    pub kind: String,
    /// How many there are, at least one.
    pub count: usize,
    /// The first of them.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub first: PathBuf,
    /// Whether they may be films that somebody misses: what is known to be none is not.
    pub may_be_films: bool,
}

/// Counts what is passed over, by kind.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: BTreeMap<String, PassedOver>,
}

impl Tally {
    /// One file of a kind; of each kind the first that comes is the one that is named.
    pub(crate) fn add(&mut self, kind: &str, path: &Path, may_be_films: bool) {
        self.add_many(kind, path, 1, may_be_films);
    }

    pub(crate) fn add_many(&mut self, kind: &str, first: &Path, count: usize, may_be_films: bool) {
        let new = || PassedOver { kind: kind.to_owned(), count: 0, first: first.to_path_buf(), may_be_films };
        self.kinds.entry(kind.to_owned()).or_insert_with(new).count += count;
    }

    /// One file whose name and content are those of no film: its kind is its extension.
    pub(crate) fn add_file(&mut self, path: &Path) {
        let kind = match path.extension() {
            Some(extension) => format!(".{}", escape(extension.to_ascii_lowercase())),
            None => "without an extension".to_owned(),
        };
        self.add(&kind, path, false);
    }

    /// The kinds, the most frequent first.
    pub(crate) fn finish(self) -> Vec<PassedOver> {
        let mut kinds: Vec<PassedOver> = self.kinds.into_values().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        kinds
    }
}

/// What was passed over in several places, together.
pub fn merged(all: impl IntoIterator<Item = PassedOver>) -> Vec<PassedOver> {
    let mut tally = Tally::default();
    for PassedOver { kind, count, first, may_be_films } in all {
        tally.add_many(&kind, &first, count, may_be_films);
    }
    tally.finish()
}

/// One sentence without its full stop: `44 files were passed over: 42 DICOM (first: a/1), 2 .txt (first: a/notes.txt)`.
/// `None` where there is nothing to tell.
pub fn sentence<'a>(kinds: impl IntoIterator<Item = &'a PassedOver>) -> Option<String> {
    let (mut files, mut told) = (0, Vec::new());
    for PassedOver { kind, count, first, .. } in kinds {
        files += count;
        told.push(format!("{count} {kind} (first: {})", escape(first)));
    }
    let were = if files == 1 { "file was" } else { "files were" };
    (files > 0).then(|| format!("{files} {were} passed over: {}", told.join(", ")))
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::folder::list;

    #[test]
    fn files_beside_films_are_counted_by_kind() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let dicom = [&[0; 128][..], b"DICM", &[7; 20]].concat();
        let films = ["1.2.840.113", "IM0001", "a.JPEG", "b.GIF", "scan.dcm"];
        films.iter().for_each(|name| write(name, &dicom));
        for name in ["notes.txt", "no-dicom", "more.TXT", "x.bin", ".DS_Store", "Thumbs.db", "desktop.ini"] {
            write(name, b"x");
        }
        for name in ["@eaDir/a.JPEG/SYNO_THUMB.jpg", "@eaDir/b.jpg", ".hidden.png", ".git/x.png", ".git/config"] {
            write(name, b"x");
        }
        for name in ["a_mask.png", "lone_mask.png", "masks/a.png", "masks/deep/b.png"] {
            write(name, b"x");
        }
        let found = list(dir.path()).unwrap();
        let names: Vec<_> = found.films.iter().map(|film| film.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["1.2.840.113", "IM0001", "a.JPEG", "b.GIF", "lone_mask.png", "scan.dcm"]);
        let told = found.passed_over.iter().map(|kind| (kind.kind.as_str(), kind.count, kind.may_be_films));
        let expected = [
            ("masks", 3, false),
            (".txt", 2, false),
            ("in @eaDir", 2, false),
            (".bin", 1, false),
            ("hidden files", 1, false),
            ("in .git", 1, false),
            ("without an extension", 1, false),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        assert_eq!(found.passed_over[0].first, dir.path().join("a_mask.png"));
        let text = sentence(&found.passed_over[..1]).unwrap();
        assert_eq!(text, format!("3 files were passed over: 3 masks (first: {}/a_mask.png)", dir.path().display()));
        assert_eq!(sentence([]), None);
        let twice = merged(found.passed_over.iter().chain(&found.passed_over).cloned());
        assert_eq!((twice[0].kind.as_str(), twice[0].count), ("masks", 6));
    }
}
