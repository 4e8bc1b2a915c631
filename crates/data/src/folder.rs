//! A folder of films, listed as torchvision's `ImageFolder` lists it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::display::{escape, escape_exactly};
use crate::error::DataError;
use crate::label::{Label, Task};
use crate::names::{EXTENSIONS, Split};
use crate::patient::PatientRule;

/// One film: a file, what it shows and its patient, as its source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Film {
    /// The file, below [`FilmSet::root`].
    pub path: PathBuf,
    /// What it shows, by indices into [`FilmSet::classes`].
    pub label: Label,
    /// The patient; in a folder as the [`PatientRule`] found it in the file's name.
    pub group: String,
}

/// The films of a folder, by the splits it has. `F` is [`Film`] as scanned and
/// [`CheckedFilm`](crate::CheckedFilm) once read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout<F = Film> {
    /// `root/{train,val,test}/{CLASS}/...`; `None` is a split without a folder.
    Splits {
        /// `root/train`
        train: Option<Vec<F>>,
        /// `root/val`
        val: Option<Vec<F>>,
        /// `root/test`
        test: Option<Vec<F>>,
    },
    /// `root/{CLASS}/...`
    Flat(Vec<F>),
}

impl<F> Layout<F> {
    /// Every film with its split (`None` in a flat folder), train first, each split in its own order.
    pub fn films(&self) -> impl Iterator<Item = (Option<Split>, &F)> {
        let none = (None, &[][..]);
        let splits = match self {
            Self::Splits { train, val, test } => [(Split::Train, train), (Split::Val, val), (Split::Test, test)]
                .map(|(split, films)| (Some(split), films.as_deref().unwrap_or_default())),
            Self::Flat(films) => [(None, &films[..]), none, none],
        };
        splits.into_iter().flat_map(|(split, films)| films.iter().map(move |film| (split, film)))
    }

    /// How many films there are.
    pub fn len(&self) -> usize {
        self.films().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.films().next().is_none()
    }

    /// The films of one split; all of them, for any split, where the folder is flat; `None` where the split is absent.
    pub fn of(&self, split: Split) -> Option<&[F]> {
        match self {
            Self::Flat(films) => Some(films),
            Self::Splits { train, val, test } => match split {
                Split::Train => train.as_deref(),
                Split::Val => val.as_deref(),
                Split::Test => test.as_deref(),
            },
        }
    }

    /// The same layout with each film changed or left out.
    pub fn filter_map<G>(self, mut f: impl FnMut(F) -> Option<G>) -> Layout<G> {
        let mut each = |films: Vec<F>| films.into_iter().filter_map(&mut f).collect::<Vec<G>>();
        match self {
            Self::Splits { train, val, test } => {
                Layout::Splits { train: train.map(&mut each), val: val.map(&mut each), test: test.map(&mut each) }
            }
            Self::Flat(films) => Layout::Flat(each(films)),
        }
    }
}

/// The films of a data set on disk, as a [`FilmSource`](crate::FilmSource) lists them.
#[derive(Debug, Clone)]
pub struct FilmSet {
    /// The folder that holds the splits, the classes or the films; below the one asked for where the films are nested in
    /// `chest_xray/`.
    pub root: PathBuf,
    /// What is asked of the films.
    pub task: Task,
    /// One-of: the names of the classes of all splits, sorted. Any-of: the names of the labels, in the table's order. A
    /// [`Label`] has indices into it.
    pub classes: Vec<String>,
    /// The films.
    pub layout: Layout,
}

impl FilmSet {
    /// Whether something can be learnt from these films. Listing them does not ask, since films of one class can still be
    /// tested and predicted.
    ///
    /// # Errors
    /// [`DataError::NoTrainSplit`]. One-of: [`DataError::OneClass`], or [`DataError::ClassNotInTrain`] naming the first
    /// class that other splits have and train lacks. Any-of: [`DataError::LabelNotInTrain`] naming the first label of
    /// which train has no film known to have it, or none known not to.
    pub fn require_trainable(&self) -> Result<(), DataError> {
        require_trainable(&self.root, self.task, &self.classes, self.layout.of(Split::Train), |film| &film.label)
    }

    /// Refuses an output folder where the next look would take what is written for part of the data set: among class
    /// folders, or among the films of a table.
    ///
    /// # Errors
    /// [`DataError::OutputAmongClasses`], [`DataError::OutputAmongFilms`].
    pub fn refuse_among_classes(&self, out: &Path) -> Result<(), DataError> {
        let Some(inside) = real(out) else { return Ok(()) };
        let parents = match self.layout {
            Layout::Flat(_) => vec![self.root.clone()],
            Layout::Splits { .. } => Split::ALL.map(|split| self.root.join(split.name())).into(),
        };
        // Beside class folders there is room for files; beside the films of a table a picture would be one more.
        let beside = self.task == Task::OneOf;
        let among = |parent: &PathBuf| {
            real(parent).is_some_and(|parent| inside.starts_with(&parent) && !(beside && inside == parent))
        };
        let out = out.to_path_buf();
        match (parents.into_iter().find(among), self.task) {
            (None, _) => Ok(()),
            (Some(parent), Task::OneOf) => Err(DataError::OutputAmongClasses { out, parent }),
            (Some(parent), Task::AnyOf) => Err(DataError::OutputAmongFilms { out, parent }),
        }
    }
}

/// Where a path that need not exist lies, links followed as far as there is something.
pub fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)))?;
    Some(there.1.join(path.strip_prefix(there.0).ok()?))
}

/// [`FilmSet::require_trainable`] for films of any kind.
pub(crate) fn require_trainable<F>(
    root: &Path,
    task: Task,
    classes: &[String],
    train: Option<&[F]>,
    label: impl Fn(&F) -> &Label,
) -> Result<(), DataError> {
    let root = || root.to_path_buf();
    if let (Task::OneOf, [class]) = (task, classes) {
        return Err(DataError::OneClass { root: root(), class: class.clone() });
    }
    let train = train.ok_or_else(|| DataError::NoTrainSplit { root: root() })?;
    for (index, name) in classes.iter().enumerate() {
        let lacks = |has: bool| !train.iter().any(|film| label(film).has(index) == Some(has));
        match task {
            Task::OneOf if lacks(true) => {
                return Err(DataError::ClassNotInTrain { root: root(), class: name.clone() });
            }
            Task::OneOf => {}
            Task::AnyOf => {
                if let Some(has) = [true, false].into_iter().find(|has| lacks(*has)) {
                    return Err(DataError::LabelNotInTrain { root: root(), label: name.clone(), has });
                }
            }
        }
    }
    Ok(())
}

/// Lists the films of a data set: `root/{train,val,test}/{CLASS}/...` or a flat `root/{CLASS}/...`, where `root` may
/// also be the folder above one or two levels of `chest_xray/`.
///
/// As torchvision's `ImageFolder`: classes are the sorted names of the class folders, films are searched at any depth,
/// symbolic links followed, sorted by folder and then by name, known by their extension. Names that begin with a dot
/// and `__MACOSX` are passed over, and a folder that links lead back to is listed once.
///
/// # Errors
/// No such folder, a folder that cannot be read, a split or root without class folders, a class folder without a film.
pub fn scan(root: &Path, patient: &PatientRule) -> Result<FilmSet, DataError> {
    let root = resolve(root)?;
    if !has_splits(&root) {
        let by_class = classes_of(&root)?;
        refuse_other_splits(&root, by_class.keys())?;
        let classes: Vec<String> = by_class.keys().cloned().collect();
        let films = label_films(by_class, &classes, patient);
        return Ok(FilmSet { root, task: Task::OneOf, classes, layout: Layout::Flat(films) });
    }
    refuse_splits_beside(&root)?;
    let mut splits = Vec::with_capacity(Split::ALL.len());
    for split in Split::ALL {
        let path = root.join(split.name());
        splits.push(if path.is_dir() { Some(classes_of(&path)?) } else { None });
    }
    let names: BTreeSet<&String> = splits.iter().flatten().flat_map(BTreeMap::keys).collect();
    let classes: Vec<String> = names.into_iter().cloned().collect();
    let mut films = splits.into_iter().map(|split| split.map(|by_class| label_films(by_class, &classes, patient)));
    let mut next = || films.next().flatten();
    let layout = Layout::Splits { train: next(), val: next(), test: next() };
    Ok(FilmSet { root, task: Task::OneOf, classes, layout })
}

/// Every film in a folder, at any depth and sorted as [`scan`] sorts, or `path` itself where it is no folder.
///
/// # Errors
/// Nothing at `path`, or a folder that cannot be read.
pub fn films_in(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(list(path)?.films)
}

/// The files of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// Those whose names are names of films, sorted as [`scan`] sorts.
    pub films: Vec<PathBuf>,
    /// All others, sorted in the same way; without hidden files, `__MACOSX` and what file managers leave behind.
    pub others: Vec<PathBuf>,
}

/// [`films_in`], and the files beside the films.
///
/// # Errors
/// As [`films_in`].
pub fn list(path: &Path) -> Result<Listing, DataError> {
    let metadata = fs::metadata(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    if metadata.is_dir() { walk(path) } else { Ok(Listing { films: vec![path.to_path_buf()], others: Vec::new() }) }
}

pub(crate) fn has_splits(root: &Path) -> bool {
    Split::ALL.iter().any(|split| root.join(split.name()).is_dir())
}

/// Goes down through `chest_xray/`, as the archive of the Kermany films is nested, until there are splits.
pub(crate) fn resolve(root: &Path) -> Result<PathBuf, DataError> {
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(DataError::NotAFolder { path: root.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DataError::NoSuchFolder { path: root.to_path_buf() });
        }
        Err(source) => return Err(DataError::Read { path: root.to_path_buf(), source }),
    }
    let mut root = root.to_path_buf();
    for _ in 0..2 {
        let nested = root.join("chest_xray");
        if has_splits(&root) || !nested.is_dir() {
            break;
        }
        root = nested;
    }
    Ok(root)
}

/// The films of each class folder in `dir`, by the class's name.
fn classes_of(dir: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, DataError> {
    let mut by_class = BTreeMap::new();
    for name in entries(dir)? {
        let path = dir.join(&name);
        if !path.is_dir() {
            continue;
        }
        let films = walk(&path)?.films;
        if films.is_empty() {
            return Err(DataError::EmptyClass { path });
        }
        // A class is text in every file we write; bytes that are not UTF-8 become visible there.
        let name = name.into_string().unwrap_or_else(|name| escape_exactly(&name));
        by_class.entry(name).or_insert_with(Vec::new).extend(films);
    }
    if by_class.is_empty() {
        let path = dir.to_path_buf();
        return Err(if entries(dir)?.iter().any(|name| is_film(name)) {
            DataError::FilmsWithoutClass { path }
        } else {
            DataError::NoClassFolder { path }
        });
    }
    Ok(by_class)
}

/// Refuses a `valid` beside `train`, which would be passed over without a word.
pub(crate) fn refuse_splits_beside(root: &Path) -> Result<(), DataError> {
    let others: Vec<String> = entries(root)?
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| looks_like_a_split(name) && !Split::ALL.iter().any(|split| split.name() == name))
        .filter(|name| root.join(name).is_dir())
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(DataError::SplitsByOtherNames { names: shown(others.iter()), path: root.to_path_buf() })
}

/// Refuses class folders that all bear names of splits (`Train`, `Testing`): what lies in them is the classes.
fn refuse_other_splits<'a>(root: &Path, mut names: impl Iterator<Item = &'a String> + Clone) -> Result<(), DataError> {
    let named = shown(names.clone());
    if names.all(|name| looks_like_a_split(name)) {
        return Err(DataError::SplitsByOtherNames { path: root.to_path_buf(), names: named });
    }
    Ok(())
}

fn looks_like_a_split(name: &str) -> bool {
    ["train", "training", "val", "valid", "validation", "dev", "test", "testing"]
        .contains(&name.to_lowercase().as_str())
}

fn shown<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(escape).collect::<Vec<_>>().join(", ")
}

fn label_films(by_class: BTreeMap<String, Vec<PathBuf>>, classes: &[String], patient: &PatientRule) -> Vec<Film> {
    let mut films = Vec::with_capacity(by_class.values().map(Vec::len).sum());
    for (label, class) in classes.iter().enumerate() {
        for path in by_class.get(class).into_iter().flatten() {
            films.push(Film { path: path.clone(), label: Label::Class(label), group: patient.group(path) });
        }
    }
    films
}

/// The names in a folder, sorted, without those that no data set means.
fn entries(dir: &Path) -> Result<Vec<OsString>, DataError> {
    let error = |source| DataError::Read { path: dir.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && name != "__MACOSX" {
            names.push(name);
        }
    }
    names.sort_by(|a, b| by_bytes(a, b));
    Ok(names)
}

/// Every file below `dir`, sorted by folder, then by name.
pub(crate) fn walk(dir: &Path) -> Result<Listing, DataError> {
    let mut folders = vec![dir.to_path_buf()];
    let mut seen = HashSet::new();
    let mut found = Listing::default();
    while let Some(folder) = folders.pop() {
        let real = fs::canonicalize(&folder).map_err(|source| DataError::Read { path: folder.clone(), source })?;
        if !seen.insert(real) {
            continue;
        }
        for name in entries(&folder)? {
            let path = folder.join(&name);
            if path.is_dir() {
                folders.push(path);
            } else if is_film(&name) {
                found.films.push(path);
            } else if !LEFT_BEHIND.iter().any(|left| name.eq_ignore_ascii_case(left)) {
                found.others.push(path);
            }
        }
    }
    found.films.sort_by(|a, b| by_folder(a, b));
    found.others.sort_by(|a, b| by_folder(a, b));
    Ok(found)
}

/// What file managers leave in folders, beside hidden files.
const LEFT_BEHIND: [&str; 2] = ["thumbs.db", "desktop.ini"];

fn by_folder(a: &Path, b: &Path) -> Ordering {
    let folder = |path: &'_ Path| path.parent().map(|parent| parent.as_os_str().as_encoded_bytes().to_vec());
    folder(a).cmp(&folder(b)).then_with(|| by_bytes(a.as_os_str(), b.as_os_str()))
}

fn is_film(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes().to_ascii_lowercase();
    EXTENSIONS.iter().any(|extension| name.ends_with(extension.as_bytes()))
}

/// Python sorts text by code point, which UTF-8 bytes keep.
fn by_bytes(a: &OsStr, b: &OsStr) -> Ordering {
    a.as_encoded_bytes().cmp(b.as_encoded_bytes())
}
