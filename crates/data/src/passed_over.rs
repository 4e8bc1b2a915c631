//! Files in a folder that are not taken for films, counted by what they are, so that none is left out unnoticed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::display::escape;

/// Files of one kind that were passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PassedOver {
    /// `DICOM`, known by the content; else the extension (`.gif`, in lower case), or `without an extension`.
    pub kind: String,
    /// How many there are, at least one.
    pub count: usize,
    /// The first of them.
    #[serde(serialize_with = "as_text")]
    pub first: PathBuf,
    /// Whether they may be films: all are but tables, texts and programs, known by their extension.
    pub may_be_films: bool,
}

/// Extensions of files that lie beside films and are none.
const NOT_FILMS: [&str; 24] = [
    "csv", "tsv", "txt", "md", "rst", "json", "jsonl", "xml", "html", "htm", "pdf", "doc", "docx", "xls", "xlsx",
    "ods", "log", "toml", "yaml", "yml", "py", "ipynb", "sh", "css",
];

/// Counts files by kind, the most frequent kind first. Reads the first bytes of those that may be films.
pub fn by_kind(files: &[PathBuf]) -> Vec<PassedOver> {
    let mut kinds: BTreeMap<String, PassedOver> = BTreeMap::new();
    for path in files {
        let extension = path.extension().map(|extension| escape(extension.to_ascii_lowercase()));
        let may_be_films = extension.as_deref().is_none_or(|extension| !NOT_FILMS.contains(&extension));
        let kind = match extension {
            _ if may_be_films && is_dicom(path) => "DICOM".to_owned(),
            Some(extension) => format!(".{extension}"),
            None => "without an extension".to_owned(),
        };
        let entry = kinds.entry(kind.clone());
        entry.or_insert_with(|| PassedOver { kind, count: 0, first: path.clone(), may_be_films }).count += 1;
    }
    let mut kinds: Vec<PassedOver> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    kinds
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

fn is_dicom(path: &Path) -> bool {
    // Opening a pipe may never end.
    let mut start = [0; 132];
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() >= 132)
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start.ends_with(b"DICM")
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::list;

    #[test]
    fn files_beside_films_are_counted_by_kind() {
        let dir = tempfile::tempdir().unwrap();
        let dicom = [&[0; 128][..], b"DICM", &[7; 20]].concat();
        for name in ["1.2.840.113", "IM0001", "scan.dcm"] {
            fs::write(dir.path().join(name), &dicom).unwrap();
        }
        let ignored = [".DS_Store", ".hidden", "Thumbs.db", "desktop.ini"];
        for name in ["a.JPEG", "b.GIF", "c.gif", "notes.txt", "no-dicom"].iter().chain(&ignored) {
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        let found = list(dir.path()).unwrap();
        assert_eq!(found.films, [dir.path().join("a.JPEG")]);
        let kinds = by_kind(&found.others);
        let told: Vec<_> = kinds.iter().map(|kind| (kind.kind.as_str(), kind.count, kind.may_be_films)).collect();
        let expected = [("DICOM", 3, true), (".gif", 2, true), (".txt", 1, false), ("without an extension", 1, true)];
        assert_eq!(told, expected);
        assert_eq!(kinds[0].first, dir.path().join("1.2.840.113"));
        let text = sentence(kinds.iter().filter(|kind| kind.may_be_films).take(1)).unwrap();
        assert_eq!(text, format!("3 files were passed over: 3 DICOM (first: {})", kinds[0].first.display()));
        assert_eq!(sentence([]), None);
    }
}
