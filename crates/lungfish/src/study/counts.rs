//! How many films of how many patients lie on each split, by `split.csv`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lungfish_data::{CheckedFilm, Split, Splits};

use crate::run_folder::{self, SPLIT};
use crate::{Error, ModelInfo, test_log};

/// The films of one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OfSplit {
    pub split: Split,
    pub films: usize,
    pub patients: usize,
    /// Films of the patient who has the most.
    pub most: usize,
    /// Films of each class, or with each label.
    pub having: Vec<usize>,
    /// Any-of: films of which nobody knows whether they have it.
    pub unknown: Vec<usize>,
}

/// All splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub splits: Vec<OfSplit>,
    /// Patients with films on more than one split. There are none unless somebody changed the file.
    pub on_several: usize,
    /// What identifies the films of the test split in `tests.jsonl`.
    pub test_content: String,
}

impl Counts {
    /// Reads the split file of a run; none where there is none.
    ///
    /// # Errors
    /// A file that is not as the run wrote it.
    pub(super) fn read(run: &Path, model: &ModelInfo) -> Result<Option<Self>, Error> {
        let path = run.join(SPLIT);
        if !path.exists() {
            return Ok(None);
        }
        let hash = model.split_file.map(|hash| hash.to_string());
        run_folder::check_split_file(&path, hash.as_deref())?;
        // Where the films are does not matter here.
        let splits = Splits::read_csv(&path, Path::new(""), model.task, &model.classes)?;
        Ok(Some(Self::of(&splits, model.classes.len())))
    }

    fn of(splits: &Splits, classes: usize) -> Self {
        let mut of_patient: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
        for split in Split::ALL {
            for film in splits.of(split) {
                of_patient.entry(&film.film.group).or_default().insert(split);
            }
        }
        Counts {
            splits: Split::ALL.into_iter().map(|split| OfSplit::new(split, splits.of(split), classes)).collect(),
            on_several: of_patient.values().filter(|on| on.len() > 1).count(),
            test_content: test_log::content_of(&splits.test),
        }
    }

    pub(super) fn films(&self) -> usize {
        self.splits.iter().map(|split| split.films).sum()
    }

    /// Patients of all splits together, of which none is on two.
    pub(super) fn patients(&self) -> usize {
        self.splits.iter().map(|split| split.patients).sum::<usize>() - self.on_several
    }

    pub(super) fn split(&self, split: Split) -> Option<&OfSplit> {
        self.splits.iter().find(|of| of.split == split)
    }
}

impl OfSplit {
    fn new(split: Split, films: &[CheckedFilm], classes: usize) -> Self {
        let mut of_patient: BTreeMap<&str, usize> = BTreeMap::new();
        for film in films {
            *of_patient.entry(&film.film.group).or_default() += 1;
        }
        let count = |class: usize, has: Option<bool>| films.iter().filter(|f| f.film.label.has(class) == has).count();
        OfSplit {
            split,
            films: films.len(),
            patients: of_patient.len(),
            most: of_patient.values().copied().max().unwrap_or(0),
            having: (0..classes).map(|class| count(class, Some(true))).collect(),
            unknown: (0..classes).map(|class| count(class, None)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lungfish_data::{ContentHash, Film, FilmFacts, Label};

    use super::*;

    fn film(number: u8, patient: &str, label: Label) -> CheckedFilm {
        let film = Film {
            path: format!("{number}.png").into(),
            label,
            group: patient.to_owned(),
            facts: FilmFacts::default(),
        };
        CheckedFilm { film, hash: ContentHash([number; 16]), pixels: None }
    }

    #[test]
    fn films_and_patients_are_counted_by_split() {
        let class = Label::Class;
        let splits = Splits {
            train: vec![film(1, "a", class(0)), film(2, "a", class(1)), film(3, "b", class(1))],
            val: vec![film(4, "c", class(0))],
            test: vec![film(5, "d", class(0)), film(6, "d", class(0))],
            ..Splits::default()
        };
        let counts = Counts::of(&splits, 2);
        assert_eq!((counts.films(), counts.patients(), counts.on_several), (6, 4, 0));
        let train = counts.split(Split::Train).unwrap();
        assert_eq!((train.films, train.patients, train.most, &train.having), (3, 2, 2, &vec![1, 2]));
        assert_eq!(counts.split(Split::Test).unwrap().having, [2, 0]);
        let leaky = Splits { val: vec![film(4, "a", class(0))], ..splits };
        let counts = Counts::of(&leaky, 2);
        assert_eq!((counts.patients(), counts.on_several), (3, 1));
    }

    #[test]
    fn what_nobody_knows_is_counted_apart() {
        let row = |row: [Option<bool>; 2]| Label::Row(row.to_vec());
        let train = vec![film(1, "a", row([Some(true), None])), film(2, "b", row([Some(false), Some(true)]))];
        let counts = Counts::of(&Splits { train, ..Splits::default() }, 2);
        let train = counts.split(Split::Train).unwrap();
        assert_eq!((&train.having, &train.unknown), (&vec![1, 1], &vec![0, 1]));
    }
}
