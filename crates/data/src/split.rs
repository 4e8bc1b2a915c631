//! Which films are learnt from, which choose between epochs, and which are scored: no patient on two splits.

mod file;
mod patients;

use std::collections::HashSet;
use std::path::Path;

use crate::check::CheckedFilm;
use crate::error::DataError;
use crate::film_set::{Film, Layout, require_trainable};
use crate::keys;
use crate::label::{Label, Task};
use crate::names::Split;
use patients::{Patients, draw};

/// A given validation split with fewer films than this joins train.
const LEAST_VAL_FILMS: usize = 50;
/// So does one with fewer than one film for so many of train.
const LEAST_VAL_SHARE: usize = 50;

/// How splits are carved that a folder does not have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplitRules {
    /// The share of train that becomes val where val is missing or tiny; 0 keeps a tiny one and carves none.
    pub val_fraction: f64,
    /// The share of train that becomes test where test is missing; 0 carves none.
    pub test_fraction: f64,
    /// The same seed carves the same splits.
    pub seed: u64,
}

impl Default for SplitRules {
    fn default() -> Self {
        Self { val_fraction: 0.10, test_fraction: 0.15, seed: 0 }
    }
}

/// The three splits. Val and test may be empty where [`SplitRules`] said so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Splits {
    /// Films to learn from.
    pub train: Vec<CheckedFilm>,
    /// Films that choose between epochs.
    pub val: Vec<CheckedFilm>,
    /// Films that are scored once.
    pub test: Vec<CheckedFilm>,
    /// How the splits came about; all zero in a split that was read from a file.
    pub notes: SplitNotes,
}

/// What [`split`] did to the splits that were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SplitNotes {
    /// Films that left train because their patient is in test.
    pub train_left_for_test: usize,
    /// Films that left val because their patient is in test.
    pub val_left_for_test: usize,
    /// Films that left train because their patient is in val.
    pub train_left_for_val: usize,
    /// Films of a val too small to judge by, which joined train.
    pub val_joined_train: usize,
    /// Whether that was because it lacked a class.
    pub val_one_sided: bool,
    /// Whether test was carved out of train.
    pub test_carved: bool,
    /// Whether val was carved out of train.
    pub val_carved: bool,
    /// Films with the very content of an earlier one; their patients count as one.
    pub same_content: usize,
    /// Films of val and test that joined train because a model that the training starts from knows their patient.
    pub known_joined_train: usize,
}

/// What the models that a training starts from did with a film: the split on which they had it.
pub type Known<'a> = &'a dyn Fn(&CheckedFilm) -> Option<Split>;

impl Splits {
    /// The films of one split.
    pub fn of(&self, split: Split) -> &[CheckedFilm] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }
}

/// About `limit` films of a data set, in its order: whole patients, drawn so that each class (any-of: each
/// [stratum](split)) has its share of each split. Every class and split keeps at least one patient; a data set of no more
/// than `limit` films is kept whole.
pub fn sample(layout: Layout, limit: usize, seed: u64) -> Layout {
    let (total, limit) = (layout.len(), limit.max(1));
    if total <= limit {
        return layout;
    }
    let films: Vec<(Option<Split>, &Film)> = layout.films().collect();
    let names: Vec<&str> = films.iter().map(|(_, film)| film.group.as_str()).collect();
    let patients = Patients::by_name(&names);
    let by = Stratification::of(films.iter().map(|(_, film)| &film.label));
    let strata = patients.strata(|of| (films[of[0]].0, by.stratum(of.iter().map(|&i| &films[i].1.label))));
    let mut keep = vec![false; total];
    for ((split, label), stratum) in strata {
        let target = limit as f64 * stratum.films as f64 / total as f64;
        for i in draw(&stratum, target, stratum.patients.len(), keys::sample(seed, split, label)) {
            keep[i] = true;
        }
    }
    let mut keep = keep.into_iter();
    layout.filter_map(|film| keep.next().unwrap_or(false).then_some(film))
}

/// Puts every patient on one split. A patient is a name that the patient rule gave, and all names that share a film of
/// the same content.
///
/// Where given splits share a patient, test stays whole: its films leave train and val; where train and val do, they
/// leave train. A val of fewer than 50 films, or fewer than 2 % of train, joins train. Then the splits that are missing
/// are carved out of train, first test and then val, stratified: one-of by the class of a patient's first film; any-of by
/// the rarest label that a film of the patient has, counted over the films that are there, and those without any apart.
///
/// # Errors
/// A fraction outside 0..=0.9, one class, no train split or a class that it lacks (before or after films left it; any-of:
/// a label that no film of train is known to have, or not to have), classes of one patient each where a split has to be
/// carved.
pub fn split(
    root: &Path,
    task: Task,
    classes: &[String],
    layout: Layout<CheckedFilm>,
    rules: &SplitRules,
) -> Result<Splits, DataError> {
    split_after(root, task, classes, layout, rules, &|_| None)
}

/// [`split`] for a training that starts from models which saw some of the films: patients of films that trained one of
/// them are put on train, and those whose films chose its epoch are kept out of test. A val split that this leaves empty is
/// carved out of train, where that may be.
///
/// # Errors
/// As [`split`]; [`DataError::NothingNew`] where that leaves a split without a film.
pub fn split_after(
    root: &Path,
    task: Task,
    classes: &[String],
    layout: Layout<CheckedFilm>,
    rules: &SplitRules,
    known: Known<'_>,
) -> Result<Splits, DataError> {
    for (name, value) in [("val_fraction", rules.val_fraction), ("test_fraction", rules.test_fraction)] {
        if !(0.0..=0.9).contains(&value) {
            return Err(DataError::Fraction { name, value });
        }
    }
    require_trainable(root, task, classes, layout.of(Split::Train), |film| &film.film.label)?;

    let mut notes = SplitNotes::default();
    let films: Vec<&CheckedFilm> = layout.films().map(|(_, film)| film).collect();
    let (patients, same_content) = Patients::by_name_and_content(&films);
    let of_known = |wanted: &[Split]| -> HashSet<usize> {
        let is = |film: &CheckedFilm| known(film).is_some_and(|split| wanted.contains(&split));
        let numbered = films.iter().zip(&patients.of_film);
        numbered.filter(|(film, _)| is(film)).map(|(_, patient)| *patient).collect()
    };
    // Who taught a model may not judge its child, and who chose its epoch may not test it.
    let (taught, chose) = (of_known(&[Split::Train]), of_known(&[Split::Train, Split::Val]));
    notes.same_content = same_content;
    let mut patient_of = patients.of_film.into_iter();
    let layout = layout.filter_map(|film| patient_of.next().map(|patient| (patient, film)));
    let (train, val, test) = match layout {
        Layout::Flat(films) => (films, None, None),
        Layout::Splits { train, val, test } => (train.unwrap_or_default(), val, test),
    };
    let (mut train, mut val, mut test) = (train, val.unwrap_or_default(), test.unwrap_or_default());

    for (split, films, barred) in [(Split::Test, &mut test, &chose), (Split::Val, &mut val, &taught)] {
        let (joining, staying): (Vec<_>, Vec<_>) =
            std::mem::take(films).into_iter().partition(|(patient, _)| barred.contains(patient));
        // A val split can be carved anew, of those who chose the model's epoch; a test split is what it is.
        let lost = staying.is_empty() && !joining.is_empty();
        if lost && (split == Split::Test || rules.val_fraction <= 0.0) {
            return Err(DataError::NothingNew { root: root.to_path_buf(), split, films: joining.len() });
        }
        notes.known_joined_train += joining.len();
        train.extend(joining);
        *films = staying;
    }
    notes.train_left_for_test = leave(&mut train, &test);
    notes.val_left_for_test = leave(&mut val, &test);
    let tiny = val.len() < LEAST_VAL_FILMS || val.len() * LEAST_VAL_SHARE < train.len();
    // Films of one class say nothing about how well classes are told apart.
    let has = |films: &[(usize, CheckedFilm)], class| films.iter().any(|(_, f)| f.film.label.has(class) == Some(true));
    let lacks = |class: usize| task == Task::OneOf && has(&train, class) && !has(&val, class);
    let one_sided = !tiny && (0..classes.len()).any(lacks);
    if (tiny || one_sided) && rules.val_fraction > 0.0 {
        notes.val_joined_train = val.len();
        notes.val_one_sided = one_sided;
        train.append(&mut val);
    } else {
        notes.train_left_for_val = leave(&mut train, &val);
    }
    if test.is_empty() && rules.test_fraction > 0.0 {
        test = carve(&mut train, Split::Test, rules.test_fraction, rules.seed, (root, &chose))?;
        notes.test_carved = true;
    }
    if val.is_empty() && rules.val_fraction > 0.0 {
        val = carve(&mut train, Split::Val, rules.val_fraction, rules.seed, (root, &taught))?;
        notes.val_carved = true;
    }
    let films = |split: Vec<(usize, CheckedFilm)>| split.into_iter().map(|(_, film)| film).collect::<Vec<_>>();
    let splits = Splits { train: films(train), val: films(val), test: films(test), notes };
    require_trainable(root, task, classes, Some(&splits.train), |film| &film.film.label)?;
    Ok(splits)
}

/// Takes the films out of `from` whose patient is in `stays`; how many they were.
fn leave(from: &mut Vec<(usize, CheckedFilm)>, stays: &[(usize, CheckedFilm)]) -> usize {
    let patients: HashSet<usize> = stays.iter().map(|(patient, _)| *patient).collect();
    let before = from.len();
    from.retain(|(patient, _)| !patients.contains(patient));
    before - from.len()
}

/// Takes about a `fraction` of each class out of `from`, by whole patients of whom none is `barred`; each class keeps a
/// patient, and gives one where it has two.
fn carve(
    from: &mut Vec<(usize, CheckedFilm)>,
    split: Split,
    fraction: f64,
    seed: u64,
    (root, barred): (&Path, &HashSet<usize>),
) -> Result<Vec<(usize, CheckedFilm)>, DataError> {
    let patients = Patients { of_film: from.iter().map(|(patient, _)| *patient).collect() };
    let mut taken = vec![false; from.len()];
    let by = Stratification::of(from.iter().map(|(_, film)| &film.film.label));
    for (label, mut stratum) in patients.strata(|of| by.stratum(of.iter().map(|&i| &from[i].1.film.label))) {
        let target = fraction * stratum.films as f64;
        let before = stratum.patients.len();
        stratum.patients.retain(|films| films.first().is_none_or(|&i| !barred.contains(&from[i].0)));
        // One that is barred stays on train anyway.
        let most = stratum.patients.len() - usize::from(stratum.patients.len() == before);
        for i in draw(&stratum, target, most, keys::carve(seed, split, label)) {
            taken[i] = true;
        }
    }
    if !taken.contains(&true) {
        let films = from.len();
        return Err(if from.iter().any(|(patient, _)| barred.contains(patient)) {
            DataError::NothingNew { root: root.to_path_buf(), split, films }
        } else {
            DataError::TooFewPatients { split, films }
        });
    }
    let mut taken = taken.into_iter();
    let (carved, rest) = std::mem::take(from).into_iter().partition(|_| taken.next().unwrap_or(false));
    *from = rest;
    Ok(carved)
}

/// What patients are told apart by, so that each kind has its share of each split.
struct Stratification {
    /// Labels, the one that the fewest films have first; of equal ones the first.
    rarest: Vec<usize>,
}

impl Stratification {
    /// For films of these labels.
    fn of<'a>(labels: impl Iterator<Item = &'a Label>) -> Self {
        let mut films: Vec<usize> = Vec::new();
        for label in labels.filter(|label| matches!(label, Label::Row(_))) {
            for index in label.present() {
                films.resize(films.len().max(index + 1), 0);
                films[index] += 1;
            }
        }
        let mut rarest: Vec<usize> = (0..films.len()).collect();
        rarest.sort_by_key(|&index| films[index]);
        Self { rarest }
    }

    /// The stratum of a patient with films of these labels: the class of the first; the rarest label of any, or one past
    /// the last.
    fn stratum<'a>(&self, labels: impl Iterator<Item = &'a Label> + Clone) -> usize {
        if let Some(class) = labels.clone().next().and_then(Label::class) {
            return class;
        }
        let has = |index: &usize| labels.clone().any(|label| label.has(*index) == Some(true));
        self.rarest.iter().copied().find(has).unwrap_or(self.rarest.len())
    }
}
