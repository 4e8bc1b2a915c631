//! A folder on disk, read once: which files may be films, by name and content, which folders lie in it, and what is left
//! aside. Knows nothing of classes, splits or labels.

mod words;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::npz;
use crate::passed_over::{PassedOver, Tally};

pub(crate) use words::{is_dicom_name, is_film_name, is_mask_folder, is_plain_place, mask_of, part_of, split_of};
use words::{is_other, is_system};

/// How often links may lead to one folder: twice is a mistake somewhere, more are links that lead in circles.
const MOST_VISITS: usize = 8;
/// What file managers leave in folders, beside hidden files.
const LEFT_BEHIND: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// A folder with all that lies in it. Names that begin with a dot are left aside, as are the folders of systems.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Where it lies, links followed.
    real: PathBuf,
    /// The folders in it, by name, in the order of their bytes.
    pub(crate) folders: Vec<(OsString, Folder)>,
    /// Files that may be films.
    pub(crate) films: Vec<OsString>,
    /// All other files.
    pub(crate) others: Vec<OsString>,
    /// Links that lead nowhere and have no film's name: they may have been folders.
    pub(crate) dangling: Vec<OsString>,
    /// Hidden files with names of films, and files in hidden folders and those of systems: their kind and the first of them.
    aside: Vec<(String, PathBuf, usize)>,
}

impl Folder {
    /// Reads a folder with all folders in it. Links are followed; a folder in which a link lies is not read again below it.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self, DataError> {
        let real = fs::canonicalize(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
        Reader::default().read(path, real, &mut Vec::new())
    }

    /// The folder of a name.
    pub(crate) fn folder(&self, name: &str) -> Option<&Folder> {
        self.folders.iter().find(|(own, _)| own == name).map(|(_, folder)| folder)
    }

    /// Whether a film lies in it or below, masks aside.
    pub(crate) fn has_films(&self) -> bool {
        !self.films.is_empty() || self.folders.iter().any(|(name, folder)| !is_mask_folder(name) && folder.has_films())
    }

    /// The folders in it with films in or below them, masks aside.
    pub(crate) fn with_films(&self) -> impl Iterator<Item = &(OsString, Folder)> {
        self.folders.iter().filter(|(name, folder)| !is_mask_folder(name) && folder.has_films())
    }

    /// Its films and those of all folders below, as torchvision's `ImageFolder` sorts them: by folder, then by name. What
    /// is no film, or is a mask of one, is tallied. A folder to which links lead is gone through once.
    pub(crate) fn films_below(&self, tally: &mut Tally) -> Vec<PathBuf> {
        let mut films = Vec::new();
        self.gather(&mut films, &mut HashSet::new(), tally);
        films.sort_by(|a, b| by_folder(a, b));
        films
    }

    fn gather<'a>(&'a self, films: &mut Vec<PathBuf>, seen: &mut HashSet<&'a Path>, tally: &mut Tally) {
        if !seen.insert(&self.real) {
            return;
        }
        for name in &self.films {
            let path = self.path.join(name);
            // A mask lies beside its film; a name alone says nothing.
            match mask_of(name) {
                Some(stem) if self.has_stem(&stem) => tally.add("masks", &path, false),
                _ => films.push(path),
            }
        }
        self.tally_own(tally);
        for (name, folder) in &self.folders {
            if is_mask_folder(name) {
                folder.tally_all("masks", tally);
            } else {
                folder.gather(films, seen, tally);
            }
        }
    }

    /// Tallies what lies in the folder itself and is no film.
    pub(crate) fn tally_own(&self, tally: &mut Tally) {
        for name in &self.others {
            tally.add_file(&self.path.join(name));
        }
        for name in &self.dangling {
            tally.add("links that lead nowhere", &self.path.join(name), true);
        }
        for (kind, first, count) in &self.aside {
            tally.add_many(kind, first, *count, false);
        }
    }

    /// Tallies every film in and below it as of one kind.
    pub(crate) fn tally_all(&self, kind: &str, tally: &mut Tally) {
        let may_be_films = kind != "masks";
        for name in &self.films {
            tally.add(kind, &self.path.join(name), may_be_films);
        }
        self.tally_own(tally);
        for (_, folder) in &self.folders {
            folder.tally_all(kind, tally);
        }
    }

    /// Whether one of the films is called so, but for its extension.
    fn has_stem(&self, stem: &str) -> bool {
        // Sorted, so films that begin alike are together.
        let from = self.films.partition_point(|name| name.as_encoded_bytes() < stem.as_bytes());
        let alike = self.films[from..].iter().take_while(|name| name.as_encoded_bytes().starts_with(stem.as_bytes()));
        alike.into_iter().any(|name| Path::new(name).file_stem() == Some(OsStr::new(stem)))
    }
}

/// What is known while folders are read.
#[derive(Default)]
struct Reader {
    /// How often links led to each folder.
    visits: HashMap<PathBuf, usize>,
}

impl Reader {
    /// Reads a folder that lies in those of `above`, by their real paths.
    fn read(&mut self, path: &Path, real: PathBuf, above: &mut Vec<PathBuf>) -> Result<Folder, DataError> {
        let error = |source| DataError::Read { path: path.to_path_buf(), source };
        let mut found = Folder { path: path.to_path_buf(), real, ..Folder::default() };
        let mut folders = Vec::new();
        for entry in fs::read_dir(path).map_err(error)? {
            let entry = entry.map_err(error)?;
            let (name, kind) = (entry.file_name(), entry.file_type().map_err(error)?);
            let linked = kind.is_symlink();
            let target = if linked { fs::metadata(entry.path()).ok().map(|to| to.file_type()) } else { Some(kind) };
            let is_folder = target.is_some_and(|target| target.is_dir());
            if name.as_encoded_bytes().starts_with(b".") || is_folder && is_system(&name) {
                found.set_aside(&name, is_folder && !linked);
            } else if is_folder {
                folders.push((name, linked));
            } else if target.is_none() && !is_film_name(&name) {
                found.dangling.push(name);
            } else if LEFT_BEHIND.iter().any(|left| name.eq_ignore_ascii_case(left)) {
            } else if is_film_name(&name) || !is_other(&name) && is_picture(&entry.path()) {
                found.films.push(name);
            } else {
                found.others.push(name);
            }
        }
        for names in [&mut found.films, &mut found.others, &mut found.dangling] {
            names.sort_by(|a, b| by_bytes(a, b));
        }
        folders.sort_by(|(a, _), (b, _)| by_bytes(a, b));
        above.push(found.real.clone());
        for (name, linked) in folders {
            let inner = path.join(&name);
            let real = fs::canonicalize(&inner).map_err(|source| DataError::Read { path: inner.clone(), source })?;
            let visits = if linked { self.visits.entry(real.clone()).or_default() } else { &mut 0 };
            *visits += 1;
            if above.contains(&real) || *visits > MOST_VISITS {
                continue;
            }
            let folder = self.read(&inner, real, above)?;
            found.folders.push((name, folder));
        }
        above.pop();
        Ok(found)
    }
}

impl Folder {
    fn set_aside(&mut self, name: &OsStr, is_folder: bool) {
        let path = self.path.join(name);
        let shown = name.to_string_lossy();
        let (kind, count, first) = if is_folder {
            let Some((first, count)) = first_below(&path) else { return };
            (format!("in {shown}"), count, first)
        } else if is_film_name(name) {
            ("hidden files".to_owned(), 1, path)
        } else {
            return;
        };
        match self.aside.iter_mut().find(|(own, _, _)| *own == kind) {
            Some((_, _, all)) => *all += count,
            None => self.aside.push((kind, first, count)),
        }
    }
}

/// The first of the files in a folder that have names of films, and their number. What cannot be read is nobody's.
fn first_below(path: &Path) -> Option<(PathBuf, usize)> {
    let mut all: Option<(PathBuf, usize)> = None;
    let mut names: Vec<_> = fs::read_dir(path).ok()?.flatten().collect();
    names.sort_by_key(|entry| entry.file_name());
    for entry in names {
        let kind = entry.file_type().ok()?;
        let own = if kind.is_dir() {
            first_below(&entry.path())
        } else {
            Some((entry.path(), 1)).filter(|_| is_film_name(&entry.file_name()))
        };
        if let Some((first, count)) = own {
            all.get_or_insert((first, 0)).1 += count;
        }
    }
    all
}

/// The films of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// Files that may be films, sorted as torchvision's `ImageFolder` sorts them: by folder, then by name.
    pub films: Vec<PathBuf>,
    /// What else there is, by kind.
    pub passed_over: Vec<PassedOver>,
}

/// Every film in a folder, at any depth, or in a MedMNIST `.npz`; `path` itself where it is neither.
///
/// # Errors
/// Nothing at `path`, a folder that cannot be read, or a `.npz` without films.
pub fn list(path: &Path) -> Result<Listing, DataError> {
    let metadata = fs::metadata(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    if !metadata.is_dir() {
        let films = match npz::is_npz(path) {
            true => npz::films(path).map_err(|reason| DataError::Npz { path: path.to_path_buf(), reason })?,
            false => vec![path.to_path_buf()],
        };
        return Ok(Listing { films, passed_over: Vec::new() });
    }
    let mut tally = Tally::default();
    let films = Folder::read(path)?.films_below(&mut tally);
    Ok(Listing { films, passed_over: tally.finish() })
}

/// The films of [`list`].
///
/// # Errors
/// As [`list`].
pub fn films_in(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(list(path)?.films)
}

/// Where a path that need not exist lies, links followed as far as there is something.
pub fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)))?;
    Some(there.1.join(path.strip_prefix(there.0).ok()?))
}

/// Refuses what is no folder.
pub(crate) fn require_folder(path: &Path) -> Result<(), DataError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(DataError::NotAFolder { path: path.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(DataError::NoSuchFolder { path: path.to_path_buf() })
        }
        Err(source) => Err(DataError::Read { path: path.to_path_buf(), source }),
    }
}

/// Whether a file begins as pictures or DICOM files do. Opening a pipe may never end, so only files are opened.
fn is_picture(path: &Path) -> bool {
    let mut start = Vec::with_capacity(132);
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && File::open(path).and_then(|file| file.take(132).read_to_end(&mut start)).is_ok()
        && crate::decode::Container::of(&start).is_some()
}

fn by_folder(a: &Path, b: &Path) -> Ordering {
    let folder = |path: &'_ Path| path.parent().map(|parent| parent.as_os_str().as_encoded_bytes().to_vec());
    folder(a).cmp(&folder(b)).then_with(|| by_bytes(a.as_os_str(), b.as_os_str()))
}

/// Python sorts text by code point, which UTF-8 bytes keep.
pub(crate) fn by_bytes(a: &OsStr, b: &OsStr) -> Ordering {
    a.as_encoded_bytes().cmp(b.as_encoded_bytes())
}
