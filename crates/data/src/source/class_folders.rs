//! Class folders, in the trees that people have: what is a split, a class, a part, a place that says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::display::{escape, escape_exactly};
use crate::error::DataError;
use crate::film_set::{Film, FilmFacts, FilmSet, Layout, alike};
use crate::folder::{Folder, is_mask_folder, is_plain_place, part_of, split_of};
use crate::label::{Label, Task};
use crate::names::Split;
use crate::passed_over::Tally;
use crate::patient::PatientRule;

/// How deep films may be wrapped in folders of one folder each.
const MOST_WRAPPERS: usize = 4;
/// A folder of more folders than these holds patients or cases rather than classes.
const MOST_CLASSES: usize = 32;

/// The films of each class, by its name.
type Classes = BTreeMap<String, Vec<PathBuf>>;

/// Lists the films of class folders: `root/{train,val,test}/{CLASS}/...` or `root/{CLASS}/...`.
///
/// As torchvision's `ImageFolder`: classes are the sorted names of the class folders, films are searched at any depth,
/// symbolic links followed, sorted by folder and then by name. Beyond it: `root/ONE/...` is the data set in `ONE`,
/// `root/{CLASS}/{train,test}/...` and class folders beside `test` are splits, parts (`images_001`, `fold_2`) that hold the
/// same classes are put together, masks are no films, and a folder of films beside `train` without classes is no split.
///
/// # Errors
/// A folder that cannot be read, a split or root without class folders, a class folder without a film, a link that leads
/// nowhere among class folders, parts without classes.
pub(super) fn list(root: &Path, rule: &PatientRule) -> Result<FilmSet, DataError> {
    let mut reading = Reading { tally: Tally::default(), notes: Vec::new() };
    let folder = reading.unwrapped(Folder::read(root)?);
    let folder = &folder;
    let root = folder.path.clone();
    for of_classes in folder.folders.iter().filter(|(name, _)| split_of(name).is_some()).map(|(_, split)| split) {
        refuse_patients(of_classes, table_in(folder))?;
    }
    refuse_patients(folder, table_in(folder))?;
    refuse_other_names(folder)?;
    let mut places = vec![root.clone()];
    let splits: Vec<Split> = Split::ALL.into_iter().filter(|split| folder.folder(split.name()).is_some()).collect();
    let beside: Vec<&OsString> =
        folder.with_films().map(|(name, _)| name).filter(|name| split_of(name).is_none()).collect();
    let found = if splits.is_empty() {
        match class_of_splits(folder) {
            true => reading.splits_in_classes(folder)?,
            false => Found::Flat(reading.classes_of(folder)?),
        }
    } else if !splits.contains(&Split::Train) && !beside.is_empty() {
        reading.classes_beside_test(folder, &splits)?
    } else {
        places = Split::ALL.map(|split| root.join(split.name())).into();
        reading.splits(folder)?
    };
    let Reading { tally, mut notes } = reading;
    let of_splits = match &found {
        Found::Flat(classes) => vec![classes],
        Found::Splits(splits) => splits.iter().flatten().collect(),
    };
    let names: BTreeSet<&String> = of_splits.into_iter().flat_map(BTreeMap::keys).collect();
    let classes: Vec<String> = names.into_iter().cloned().collect();
    notes.extend(near_names(&classes));
    let label_all = |found: Classes| films(found, &classes);
    let mut layout = match found {
        Found::Flat(found) => Layout::Flat(label_all(found)),
        Found::Splits([train, val, test]) => {
            Layout::Splits { train: train.map(label_all), val: val.map(label_all), test: test.map(label_all) }
        }
    };
    let patients = rule.assign(&root, &classes, layout.films_mut());
    let passed_over = tally.finish();
    Ok(FilmSet { root, task: Task::OneOf, classes, layout, places, patients, passed_over, notes, table: None })
}

/// The classes that a tree holds.
enum Found {
    Flat(Classes),
    /// Of train, val and test.
    Splits([Option<Classes>; 3]),
}

fn films(mut found: Classes, classes: &[String]) -> Vec<Film> {
    let of_class = |(label, class)| {
        let paths = found.remove::<String>(class).unwrap_or_default();
        let film = move |path| {
            let (label, group, facts) = (Label::Class(label), String::new(), FilmFacts::default());
            Film { path, label, group, facts }
        };
        paths.into_iter().map(film)
    };
    classes.iter().enumerate().flat_map(of_class).collect()
}

/// What is told of a tree while it is read.
struct Reading {
    tally: Tally,
    notes: Vec<String>,
}

impl Reading {
    /// Goes down through folders that hold one folder with films each and no film, until there are splits or classes.
    fn unwrapped(&mut self, mut folder: Folder) -> Folder {
        let from = folder.path.clone();
        for _ in 0..MOST_WRAPPERS {
            let Some(at) = wrapper_of(&folder) else { break };
            folder.tally_own(&mut self.tally);
            let (_, inner) = folder.folders.swap_remove(at);
            for (_, masks) in folder.folders.iter().filter(|(name, _)| is_mask_folder(name)) {
                masks.tally_all("masks", &mut self.tally);
            }
            folder = inner;
        }
        if folder.path != from {
            self.notes.push(format!("the films of {} are those in {}", escape(&from), escape(&folder.path)));
        }
        folder
    }

    /// `root/{train,val,test}/{CLASS}/...`
    fn splits(&mut self, folder: &Folder) -> Result<Found, DataError> {
        let mut found = [None, None, None];
        for (split, found) in Split::ALL.into_iter().zip(&mut found) {
            if let Some(of_split) = folder.folder(split.name()) {
                *found = self.split(of_split, split)?;
            }
        }
        self.tally_films_of(folder, "beside the splits");
        for (name, other) in &folder.folders {
            if Split::ALL.iter().all(|split| name != split.name()) {
                let kind = if is_mask_folder(name) { "masks" } else { "beside the splits" };
                other.tally_all(kind, &mut self.tally);
            }
        }
        folder.tally_own(&mut self.tally);
        Ok(Found::Splits(found))
    }

    /// The classes of a split; none where it is films alone and others than train: films to predict, of which nobody said
    /// what they show.
    fn split(&mut self, folder: &Folder, split: Split) -> Result<Option<Classes>, DataError> {
        if split != Split::Train && !folder.films.is_empty() && folder.with_films().next().is_none() {
            self.notes.push(format!(
                "{} holds {} films and no class folders, so it is no {split} split: lungfish predict says what they show",
                escape(&folder.path),
                folder.films.len()
            ));
            folder.tally_all(&format!("in {split} without a class"), &mut self.tally);
            return Ok(None);
        }
        self.classes_of(folder).map(Some)
    }

    /// Class folders beside `test` (or `val`) and no `train`: they are what is learnt from.
    fn classes_beside_test(&mut self, folder: &Folder, splits: &[Split]) -> Result<Found, DataError> {
        let mut found = [None, None, None];
        for (split, found) in Split::ALL.into_iter().zip(&mut found) {
            if let (true, Some(of_split)) = (splits.contains(&split), folder.folder(split.name())) {
                *found = self.split(of_split, split)?;
            }
        }
        let train = self.classes_among(folder, |name| split_of(name).is_none())?;
        let names: Vec<String> = train.keys().map(escape).collect();
        let beside: Vec<&str> = splits.iter().map(|split| split.name()).collect();
        self.notes.push(format!(
            "there is no train folder in {}: the class folders beside {} ({}) are taken for the train split",
            escape(&folder.path),
            beside.join(" and "),
            names.join(", ")
        ));
        found[0] = Some(train);
        Ok(Found::Splits(found))
    }

    /// `root/{CLASS}/{train,val,test}/...`
    fn splits_in_classes(&mut self, folder: &Folder) -> Result<Found, DataError> {
        let mut found: [Option<Classes>; 3] = [None, None, None];
        let mut seen = BTreeSet::new();
        for (name, class) in folder.with_films() {
            for (side, of_side) in &class.folders {
                let Some(split) = split_of(side) else { continue };
                let of_split = found[split as usize].get_or_insert_default();
                of_split.entry(class_name(name)).or_default().extend(of_side.films_below(&mut self.tally));
                seen.insert(side.to_string_lossy().into_owned());
            }
            class.tally_own(&mut self.tally);
        }
        folder.tally_own(&mut self.tally);
        let seen: Vec<String> = seen.into_iter().map(escape).collect();
        self.notes.push(format!(
            "each class folder of {} has its own splits ({})",
            escape(&folder.path),
            seen.join(", ")
        ));
        Ok(Found::Splits(found))
    }

    /// The films of each class folder.
    fn classes_of(&mut self, folder: &Folder) -> Result<Classes, DataError> {
        let parts: Vec<&(OsString, Folder)> = folder.with_films().collect();
        if parts.len() > 1 && parts.iter().all(|(name, _)| part_of(name).is_some()) {
            return self.parts(folder, &parts);
        }
        self.classes_among(folder, |_| true)
    }

    /// Parts of one data set: `fold_0/{CLASS}/...`.
    fn parts(&mut self, folder: &Folder, parts: &[&(OsString, Folder)]) -> Result<Classes, DataError> {
        let mut by_class: BTreeMap<String, usize> = BTreeMap::new();
        for (_, part) in parts {
            for (name, _) in part.with_films().filter(|(name, _)| !is_plain_place(name)) {
                *by_class.entry(class_name(name)).or_default() += 1;
            }
        }
        let shown = some_names(parts.iter().map(|(name, _)| name));
        let shared = by_class.values().filter(|parts| **parts > 1).count();
        if by_class.len() < 2 || by_class.len() > MOST_CLASSES || shared == 0 {
            return Err(DataError::PartsWithoutClasses {
                path: folder.path.clone(),
                names: shown,
                table: table_in(folder),
            });
        }
        let mut all = Classes::new();
        for (_, part) in parts {
            for (class, films) in self.classes_among(part, |_| true)? {
                all.entry(class).or_default().extend(films);
            }
        }
        folder.tally_own(&mut self.tally);
        let classes: Vec<String> = all.keys().map(escape).collect();
        self.notes.push(format!(
            "{shown} of {} hold the same class folders ({}) and are put together as parts of one data set",
            escape(&folder.path),
            classes.join(", ")
        ));
        Ok(all)
    }

    /// The films of each of the folders that may be classes by their names.
    fn classes_among(&mut self, folder: &Folder, may_be: impl Fn(&OsStr) -> bool) -> Result<Classes, DataError> {
        let path = || folder.path.clone();
        if let Some(link) = folder.dangling.first() {
            return Err(DataError::DanglingClass { path: folder.path.join(link) });
        }
        let candidates = || folder.folders.iter().filter(|(name, _)| may_be(name));
        let full = candidates().filter(|(name, inner)| !is_mask_folder(name) && inner.has_films()).count();
        let plain = full > 0
            && candidates().all(|(name, inner)| !inner.has_films() || is_mask_folder(name) || is_plain_place(name));
        if full == 0 && !folder.films.is_empty() || plain && full == 1 {
            // One folder of films that says nothing is no class.
            return Err(DataError::FilmsWithoutClass { path: path(), table: table_in(folder) });
        }
        // Beside two classes a folder of masks is no class; beside one it may be: `mask` and `nomask`.
        let masks = |name: &OsStr| is_mask_folder(name) && full > 1;
        let mut by_class = Classes::new();
        for (name, inner) in candidates() {
            if masks(name) {
                inner.tally_all("masks", &mut self.tally);
                continue;
            }
            let films = inner.films_below(&mut self.tally);
            if films.is_empty() {
                return Err(DataError::EmptyClass { path: inner.path.clone() });
            }
            by_class.entry(class_name(name)).or_default().extend(films);
        }
        if by_class.is_empty() {
            return Err(DataError::NoClassFolder { path: path() });
        }
        self.tally_films_of(folder, "beside the class folders");
        folder.tally_own(&mut self.tally);
        self.tell_of_equal_folders(folder, &by_class);
        Ok(by_class)
    }

    fn tally_films_of(&mut self, folder: &Folder, kind: &str) {
        for name in &folder.films {
            self.tally.add(kind, &folder.path.join(name), true);
        }
    }

    /// Two class folders that hold folders of the same names, two or more: those may be the classes.
    fn tell_of_equal_folders(&mut self, folder: &Folder, classes: &Classes) {
        let inner = |class: &Folder| -> BTreeSet<String> {
            let names = class.with_films().map(|(name, _)| name);
            names.filter(|name| !is_plain_place(name) && split_of(name).is_none()).map(class_name).collect()
        };
        let mut each = folder.with_films().map(|(_, class)| inner(class));
        let Some(first) = each.next().filter(|first| (2..=MOST_CLASSES).contains(&first.len())) else { return };
        if classes.len() > 1 && each.all(|other| other == first) {
            let names: Vec<String> = first.iter().map(escape).collect();
            self.notes.push(format!(
                "each class folder of {} holds folders of the same names ({}): if those are the classes, put the films of \
                 each into one folder",
                escape(&folder.path),
                names.join(", ")
            ));
        }
    }
}

/// The place, among its folders, of the one that holds all films of a folder, where that holds the splits or the classes.
fn wrapper_of(folder: &Folder) -> Option<usize> {
    let mut with_films = folder.with_films();
    let (Some((name, inner)), None) = (with_films.next(), with_films.next()) else { return None };
    if !folder.films.is_empty() || split_of(name).is_some() {
        return None;
    }
    let has_splits = Split::ALL.iter().any(|split| inner.folder(split.name()).is_some());
    // An empty folder beside it may be a class without films.
    let lonely = folder.folders.iter().all(|(name, other)| is_mask_folder(name) || other.has_films());
    let at = folder.folders.iter().position(|(_, own)| own.path == inner.path)?;
    (has_splits || lonely && holds_classes(inner) || wrapper_of(inner).is_some()).then_some(at)
}

/// Whether the folders in a folder may be classes: a few, whose names are more than numbers.
fn holds_classes(folder: &Folder) -> bool {
    let names: Vec<&OsString> = folder.with_films().map(|(name, _)| name).collect();
    let kinds: BTreeSet<String> = names
        .iter()
        .map(|name| name.to_string_lossy().chars().filter(|c| !c.is_ascii_digit()).collect::<String>())
        .collect();
    (2..=MOST_CLASSES).contains(&names.len()) && (kinds.len() > 1 || names.iter().all(|name| part_of(name).is_some()))
}

/// Whether every folder with films holds splits and no other films.
fn class_of_splits(folder: &Folder) -> bool {
    let mut any = false;
    let all = folder.with_films().all(|(name, class)| {
        any = true;
        split_of(name).is_none()
            && class.films.is_empty()
            && class.with_films().next().is_some()
            && class.with_films().all(|(name, _)| split_of(name).is_some())
    });
    any && all && folder.films.is_empty()
}

/// Refuses folders that are called as splits are called elsewhere, such as `valid` or `Train`: they would be passed over, or
/// taken for classes.
pub(super) fn refuse_other_names(folder: &Folder) -> Result<(), DataError> {
    let names: Vec<String> = folder
        .folders
        .iter()
        .map(|(name, _)| name)
        .filter(|name| split_of(name).is_some() && Split::ALL.iter().all(|split| *name != split.name()))
        .map(escape)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(DataError::SplitsByOtherNames { names: names.join(", "), path: folder.path.clone() })
}

/// Refuses folders of a patient each in the place of classes.
fn refuse_patients(folder: &Folder, table: Option<PathBuf>) -> Result<(), DataError> {
    let names: Vec<&OsString> = folder.with_films().map(|(name, _)| name).collect();
    let said = names.len() > 1 && names.iter().all(|name| PatientRule::is_patient(name));
    let many = names.len() > MOST_CLASSES && !holds_classes(folder) && names.iter().all(|name| is_numbered(name));
    if !said && !many {
        return Ok(());
    }
    let table = table.or_else(|| table_in(folder));
    let names = some_names(names.into_iter());
    Err(DataError::PatientsWithoutClasses { path: folder.path.clone(), names, table })
}

fn is_numbered(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().any(u8::is_ascii_digit)
}

/// A few of many names.
fn some_names<'a>(names: impl ExactSizeIterator<Item = &'a OsString>) -> String {
    let all = names.len();
    let shown: Vec<String> = names.take(if all > 4 { 3 } else { 4 }).map(escape).collect();
    if all > 4 { format!("{} and {} more", shown.join(", "), all - 3) } else { shown.join(", ") }
}

/// Names that a person may take for one.
fn near_names(classes: &[String]) -> Vec<String> {
    let pairs = classes.iter().enumerate().flat_map(|(i, a)| classes[..i].iter().map(move |b| (b, a)));
    let near = pairs.filter(|(a, b)| alike(a, b));
    near.map(|(a, b)| format!("the classes {:?} and {:?} are called nearly alike", escape(a), escape(b))).collect()
}

/// A table that lies in a folder.
fn table_in(folder: &Folder) -> Option<PathBuf> {
    let is_table = |name: &&OsString| {
        let extension = Path::new(name).extension().map(|extension| extension.to_ascii_lowercase());
        extension.is_some_and(|extension| extension == "csv" || extension == "tsv")
    };
    folder.others.iter().find(is_table).map(|name| folder.path.join(name))
}

/// A class is text in every file we write: bytes that are not UTF-8 become visible there, and one name is one class however
/// its letters are composed.
fn class_name(name: &OsString) -> String {
    name.to_str().map_or_else(|| escape_exactly(name), |name| name.nfc().collect())
}
