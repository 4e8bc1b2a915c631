//! What tells the classes apart without looking at lungs, and how well: numbers of films, and trees that are fitted to them.

use std::collections::{BTreeMap, HashMap};

use lungfish_data::ContentHash;
use lungfish_metrics::{Confidence, clustered};
use rayon::prelude::*;
use serde::Serialize;

use super::look::Numbers;
use crate::trees::{Table, Trees};

/// Parts into which patients are put; films of each are told of by trees that were fitted to the others.
const FOLDS: usize = 5;
/// Trees are fitted to so many films at most: more change little but the time.
const MOST_FITTED: usize = 20_000;

/// How well something tells one kind of film from the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Separation {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Its 95 % interval, films of one patient counted together (Obuchowski 1997); none where it is undefined.
    pub interval: Option<[f64; 2]>,
    /// Films that are told apart.
    pub films: usize,
}

impl Separation {
    fn new(has: &[bool], scores: &[f64], patients: &[&str]) -> Option<Self> {
        let estimate = clustered::auc(has, scores, patients)?;
        let interval = estimate.interval(Confidence::default()).map(|found| found.interval);
        Some(Separation { auc: estimate.auc, interval: interval.map(|i| [i.low, i.high]), films: has.len() })
    }

    /// The end of the interval that is nearer to chance, or the AUC where there is no interval.
    pub(super) fn at_least(&self) -> f64 {
        self.interval.map_or(self.auc, |[low, _]| low)
    }
}

/// What a set of numbers without lungs tells of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Shortcut {
    /// What the numbers are.
    pub what: String,
    /// The class, told from all others, or the label.
    pub class: String,
    /// On the films to learn from, by trees that were fitted to other patients.
    pub train: Separation,
    /// On the test split, by trees that were fitted to the films to learn from.
    pub test: Option<Separation>,
    /// What each number tells alone, the best first. An AUC is above 0.5 on the films to learn from: who looks for a class
    /// finds out whether its films have more or less of it.
    pub alone: Vec<Alone>,
}

/// What one number tells alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Alone {
    /// What it is.
    pub name: String,
    /// On the films to learn from.
    pub train: Separation,
    /// On the test split, in the same direction.
    pub test: Option<Separation>,
}

/// Films of which something is known, as indices into all of them.
pub(super) struct Sides<'a> {
    /// The films to learn from.
    pub train: Vec<usize>,
    /// The films of the test split.
    pub test: Vec<usize>,
    /// The patient of each film.
    pub patients: Vec<&'a str>,
}

impl Sides<'_> {
    fn patients_of(&self, films: &[usize]) -> Vec<&str> {
        films.iter().map(|film| self.patients[*film]).collect()
    }
}

/// What the numbers tell of a class; `has` is whether each film is of it, and `None` where nobody knows. No answer where the
/// films to learn from are all of one kind.
pub(super) fn shortcut(numbers: &Numbers, class: &str, has: &[Option<bool>], sides: &Sides<'_>) -> Option<Shortcut> {
    if numbers.table.columns == 0 {
        return None;
    }
    let known = |films: &[usize]| films.iter().copied().filter(|film| has[*film].is_some()).collect::<Vec<usize>>();
    let (train, test) = (known(&sides.train), known(&sides.test));
    let flat: Vec<bool> = has.iter().map(|has| *has == Some(true)).collect();
    let of = |films: &[usize]| films.iter().map(|film| flat[*film]).collect::<Vec<bool>>();
    let crossed = cross_fitted(&numbers.table, &flat, &train, &sides.patients)?;
    let on_train = Separation::new(&of(&train), &crossed, &sides.patients_of(&train))?;
    let on_test = (!test.is_empty()).then(|| Trees::fit(&numbers.table, &flat, &fewer(&train))).flatten();
    let on_test = on_test.and_then(|trees| {
        let scores: Vec<f64> = test.iter().map(|film| trees.logit(numbers.table.row(*film))).collect();
        Separation::new(&of(&test), &scores, &sides.patients_of(&test))
    });
    let column = |(column, name): (usize, &String)| {
        let values = |films: &[usize], sign: f64| {
            films.iter().map(|film| sign * numbers.table.row(*film)[column]).collect::<Vec<f64>>()
        };
        let on =
            |films: &[usize], sign: f64| Separation::new(&of(films), &values(films, sign), &sides.patients_of(films));
        let sign = if on(&train, 1.0)?.auc < 0.5 { -1.0 } else { 1.0 };
        Some(Alone { name: name.clone(), train: on(&train, sign)?, test: on(&test, sign) })
    };
    let mut alone: Vec<Alone> = numbers.names.iter().flatten().enumerate().filter_map(column).collect();
    alone.sort_by(|a, b| b.train.auc.total_cmp(&a.train.auc));
    Some(Shortcut { what: numbers.what.to_owned(), class: class.to_owned(), train: on_train, test: on_test, alone })
}

/// The logit of each of these films, by trees fitted to those of other patients. `None` where one of the parts would leave
/// films of one kind only.
pub(super) fn cross_fitted(table: &Table, has: &[bool], films: &[usize], patients: &[&str]) -> Option<Vec<f64>> {
    let fold = folds(has, films, patients);
    let of_fold = |part: usize| {
        let others: Vec<usize> =
            films.iter().zip(&fold).filter(|(_, of)| **of != part).map(|(film, _)| *film).collect();
        let trees = Trees::fit(table, has, &fewer(&others))?;
        Some(
            films
                .iter()
                .zip(&fold)
                .map(|(film, of)| if *of == part { trees.logit(table.row(*film)) } else { 0.0 })
                .collect(),
        )
    };
    let parts: Vec<Vec<f64>> = (0..FOLDS).into_par_iter().map(of_fold).collect::<Option<_>>()?;
    Some(fold.iter().enumerate().map(|(film, part)| parts[*part][film]).collect())
}

/// The part of each film: whole patients, in an order by chance that is the same each time, those of each kind dealt out in
/// turn.
fn folds(has: &[bool], films: &[usize], patients: &[&str]) -> Vec<usize> {
    let mut of_patient: HashMap<&str, bool> = HashMap::new();
    for film in films {
        *of_patient.entry(patients[*film]).or_default() |= has[*film];
    }
    let mut order: Vec<(bool, ContentHash, &str)> =
        of_patient.into_iter().map(|(patient, has)| (has, ContentHash::of(patient.as_bytes()), patient)).collect();
    order.sort_unstable();
    let part: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(place, (_, _, patient))| (*patient, place % FOLDS)).collect();
    films.iter().map(|film| part[patients[*film]]).collect()
}

/// Evenly chosen films where there are too many.
fn fewer(films: &[usize]) -> Vec<usize> {
    if films.len() <= MOST_FITTED {
        return films.to_vec();
    }
    (0..MOST_FITTED).map(|i| films[i * films.len() / MOST_FITTED]).collect()
}

#[cfg(test)]
impl Separation {
    /// One of 100 films with an interval of a hundredth to each side.
    pub(super) fn of_test(auc: f64) -> Self {
        Separation { auc, interval: Some([auc - 0.01, auc + 0.01]), films: 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: Vec<f64>, columns: usize) -> Numbers {
        let names = (0..columns).map(|column| format!("column {column}")).collect();
        Numbers { what: "made up", names: Some(names), table: Table { columns, values } }
    }

    /// Films of which the first number tells the class and the second the patient.
    #[test]
    fn what_tells_the_class_is_found_and_what_tells_the_patient_is_not() {
        let films = 400;
        let patient: Vec<String> = (0..films).map(|film| format!("p{}", film / 4)).collect();
        let has = |film: usize| (film / 4).is_multiple_of(2);
        let chance = |number: usize| (number as u32).wrapping_mul(2_654_435_761) >> 8;
        let noise = |film: usize| f64::from(chance(film) % 1000) / 1000.0;
        let values = |film: usize| {
            let tells = if has(film) { 0.4 } else { 0.0 } + noise(film);
            [tells, f64::from(chance(film / 4) % 997), 1.0]
        };
        let numbers = numbers((0..films).flat_map(values).collect(), 3);
        let known: Vec<Option<bool>> = (0..films).map(|film| (film != 7).then(|| has(film))).collect();
        let patients: Vec<&str> = patient.iter().map(String::as_str).collect();
        let sides = Sides { train: (0..300).collect(), test: (300..films).collect(), patients };
        let found = shortcut(&numbers, "A", &known, &sides).unwrap();
        assert_eq!((found.train.films, found.test.as_ref().unwrap().films), (299, 100));
        assert!((0.7..0.95).contains(&found.train.auc), "{found:?}");
        assert_eq!(found.alone[0].name, "column 0");
        assert!(found.alone[0].train.auc > 0.75 && found.alone[0].test.as_ref().unwrap().auc > 0.7, "{found:?}");
        // That patients are known by their number is of no use for the films of others.
        let only = super::Numbers {
            table: Table { columns: 1, values: (0..films).map(|film| values(film)[1]).collect() },
            ..self::numbers(Vec::new(), 1)
        };
        let found = shortcut(&only, "A", &known, &sides).unwrap();
        assert!(found.train.auc < 0.65, "{found:?}");
        let [low, high] = found.train.interval.unwrap();
        assert!(low < found.train.auc && found.train.auc < high);
    }

    #[test]
    fn patients_are_whole_and_classes_even_in_each_part() {
        let patient: Vec<String> = (0..100).map(|film| format!("p{}", film / 2)).collect();
        let patients: Vec<&str> = patient.iter().map(String::as_str).collect();
        let has: Vec<bool> = (0..100).map(|film| film < 20).collect();
        let films: Vec<usize> = (0..100).collect();
        let fold = folds(&has, &films, &patients);
        assert!((0..100).all(|film| fold[film] == fold[film / 2 * 2]));
        for part in 0..FOLDS {
            let count = |of: bool| films.iter().filter(|film| fold[**film] == part && has[**film] == of).count();
            assert_eq!((count(true), count(false)), (4, 16));
        }
    }

    #[test]
    fn films_of_one_kind_have_no_shortcut() {
        let patients = vec!["a"; 50];
        let sides = Sides { train: (0..50).collect(), test: Vec::new(), patients };
        assert_eq!(shortcut(&numbers(vec![1.0; 50], 1), "A", &[Some(true); 50], &sides), None);
        assert_eq!(shortcut(&numbers(vec![1.0; 50], 1), "A", &[None; 50], &sides), None);
        assert_eq!(shortcut(&numbers(Vec::new(), 0), "A", &[Some(true); 50], &sides), None);
    }
}
