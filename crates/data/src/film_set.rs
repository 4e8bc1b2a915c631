//! The films of a data set, as a source lists them: what a film is, which split it is on, and what lies beside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::error::DataError;
use crate::folder::real;
use crate::label::{Label, Task};
use crate::names::Split;
use crate::passed_over::PassedOver;
use crate::patient::PatientSource;

/// One film: a file, what it shows and its patient, as its source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Film {
    /// The file, below [`FilmSet::root`].
    pub path: PathBuf,
    /// What it shows, by indices into [`FilmSet::classes`].
    pub label: Label,
    /// The patient, as the [`PatientRule`](crate::PatientRule) or a table tells; the film's own place where nothing does.
    pub group: String,
    /// Where its source has it.
    pub facts: FilmFacts,
}

impl Film {
    /// Its patient, where something tells one.
    ///
    /// ```
    /// use lungfish_data::{Film, FilmFacts, Label};
    /// let mut film = Film { path: "a.png".into(), label: Label::Class(0), group: "a".into(), facts: FilmFacts::default() };
    /// assert_eq!(film.patient(), None);
    /// film.facts.patient_told = true;
    /// assert_eq!(film.patient(), Some("a"));
    /// ```
    pub fn patient(&self) -> Option<&str> {
        Some(self.group.as_str()).filter(|_| self.facts.patient_told)
    }
}

/// What a source knows of a film besides what it shows: enough to find the film there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilmFacts {
    /// The split on which the source has it, whatever split a training puts it on; `None` where the source has no splits.
    pub split: Option<Split>,
    /// Of a table, the line that its row begins on, counted from 1 with the header as the first; of a `.npz`, its index in
    /// the arrays of its split, counted from 0. `None` for class folders.
    pub row: Option<u64>,
    /// Whether a rule, a header or a table told its patient.
    pub patient_told: bool,
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

impl Layout {
    /// Notes on each film on which split it is.
    pub(crate) fn note_splits(&mut self) {
        if let Self::Splits { train, val, test } = self {
            for (split, films) in Split::ALL.into_iter().zip([train, val, test]) {
                films.iter_mut().flatten().for_each(|film| film.facts.split = Some(split));
            }
        }
    }
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

    /// Every film, to be changed.
    pub(crate) fn films_mut(&mut self) -> impl Iterator<Item = &mut F> {
        let splits = match self {
            Self::Splits { train, val, test } => [train.as_mut(), val.as_mut(), test.as_mut()],
            Self::Flat(films) => [Some(films), None, None],
        };
        splits.into_iter().flatten().flatten()
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
    /// The folders in which each folder with films would be taken for a class, or each picture for a film.
    pub(crate) places: Vec<PathBuf>,
    /// Of how many films each kind of source told the patient. Each other film is a patient of its own.
    pub patients: BTreeMap<PatientSource, usize>,
    /// What was found in the folder and is not among the films, by kind.
    pub passed_over: Vec<PassedOver>,
    /// What was taken for what, where a person may want to know: a whole sentence each, without its full stop.
    pub notes: Vec<String>,
    /// The table that the labels are in; `None` where folders, our own `labels.csv` or a `.npz` tell them.
    pub table: Option<PathBuf>,
}

impl FilmSet {
    /// Films of which something tells the patient.
    pub fn with_patient(&self) -> usize {
        self.patients.values().sum()
    }

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
        // Beside class folders there is room for files; beside the films of a table a picture would be one more.
        let beside = self.task == Task::OneOf;
        let among = |parent: &PathBuf| {
            real(parent).is_some_and(|parent| inside.starts_with(&parent) && !(beside && inside == parent))
        };
        let out = out.to_path_buf();
        match (self.places.iter().find(|place| among(place)).cloned(), self.task) {
            (None, _) => Ok(()),
            (Some(parent), Task::OneOf) => Err(DataError::OutputAmongClasses { out, parent }),
            (Some(parent), Task::AnyOf) => Err(DataError::OutputAmongFilms { out, parent }),
        }
    }
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
                let there = |index: usize| train.iter().any(|film| label(film).has(index) == Some(true));
                let mut others = classes.iter().enumerate().filter(|(other, _)| there(*other)).map(|(_, name)| name);
                let near = others.find(|other| alike(other, name)).cloned();
                return Err(DataError::ClassNotInTrain { root: root(), class: name.clone(), near });
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

/// Whether two names differ only in what an eye may not see: capitals, spaces, dashes, how letters are composed.
pub(crate) fn alike(a: &str, b: &str) -> bool {
    let key = |name: &str| name.nfkd().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    key(a) == key(b)
}
