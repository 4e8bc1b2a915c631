//! Films gathered by patient, and patients drawn by lot.

use std::collections::{BTreeMap, HashMap};

use crate::check::{CheckedFilm, ContentHash};
use crate::random::{keyed, shuffle};

/// The patient of each film, as a number that follows the order of the patients' names.
pub(super) struct Patients {
    pub(super) of_film: Vec<usize>,
}

/// The patients of one kind: of a class, say (and of a split).
#[derive(Default)]
pub(super) struct Stratum {
    /// The films of each patient.
    pub(super) patients: Vec<Vec<usize>>,
    /// How many films that is.
    pub(super) films: usize,
}

impl Patients {
    /// Films with the same name belong to the same patient.
    pub(super) fn by_name(names: &[&str]) -> Self {
        let mut numbers: BTreeMap<&str, usize> = names.iter().map(|&name| (name, 0)).collect();
        for (number, (_, slot)) in numbers.iter_mut().enumerate() {
            *slot = number;
        }
        Self { of_film: names.iter().map(|name| numbers[name]).collect() }
    }

    /// Films with the same name, the same file or the same pixels belong to the same patient. Comes with the number of
    /// films whose content an earlier film has.
    pub(super) fn by_name_and_content(films: &[&CheckedFilm]) -> (Self, usize) {
        let names: Vec<&str> = films.iter().map(|film| film.film.group.as_str()).collect();
        let mut patients = Self::by_name(&names);
        let mut parent: Vec<usize> = (0..patients.of_film.iter().max().map_or(0, |last| last + 1)).collect();
        let mut first_with: HashMap<ContentHash, usize> = HashMap::new();
        let mut same_content = 0;
        for (&patient, film) in patients.of_film.iter().zip(films) {
            let mut copy = false;
            for content in [Some(film.hash), film.pixels].into_iter().flatten() {
                copy |= first_with.contains_key(&content);
                let other = *first_with.entry(content).or_insert(patient);
                let (a, b) = (find(&mut parent, patient), find(&mut parent, other));
                parent[a.max(b)] = a.min(b);
            }
            same_content += usize::from(copy);
        }
        for patient in &mut patients.of_film {
            *patient = find(&mut parent, *patient);
        }
        (patients, same_content)
    }

    /// The patients by the kind that their films, at least one each, have together.
    pub(super) fn strata<K: Ord>(&self, kind: impl Fn(&[usize]) -> K) -> BTreeMap<K, Stratum> {
        let mut films: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (film, &patient) in self.of_film.iter().enumerate() {
            films.entry(patient).or_default().push(film);
        }
        let mut strata: BTreeMap<K, Stratum> = BTreeMap::new();
        for films in films.into_values() {
            let stratum = strata.entry(kind(&films)).or_default();
            stratum.films += films.len();
            stratum.patients.push(films);
        }
        strata
    }
}

/// The films of patients drawn by lot, until about `target` films are there: a patient is passed over who would lead
/// further from it. At most `most` patients, and at least one (the one with the fewest films) unless that is 0.
pub(super) fn draw(stratum: &Stratum, target: f64, most: usize, key: [u64; 4]) -> Vec<usize> {
    let mut order: Vec<&Vec<usize>> = stratum.patients.iter().collect();
    shuffle(&mut keyed(key), &mut order);
    let mut drawn: Vec<&Vec<usize>> = Vec::new();
    let mut count = 0;
    for patient in &order {
        if drawn.len() < most && (count as f64) + (patient.len() as f64) / 2.0 < target {
            count += patient.len();
            drawn.push(patient);
        }
    }
    if drawn.is_empty() && most > 0 {
        drawn.extend(order.into_iter().min_by_key(|patient| patient.len()));
    }
    drawn.into_iter().flatten().copied().collect()
}

/// The representative of a patient (union and find, with paths halved).
fn find(parent: &mut [usize], mut patient: usize) -> usize {
    while parent[patient] != patient {
        parent[patient] = parent[parent[patient]];
        patient = parent[patient];
    }
    patient
}
