//! Whose the films of a folder are: what told it, and what must be known where nothing did, or too little.

use std::collections::HashMap;

use lungfish_data::{FilmSet, PatientSource};
use serde::Serialize;

use crate::{Caveat, CaveatKind};

/// One patient with more than this share of all films is no patient, or the data set is one that teaches little.
const MOST_OF_ONE: f64 = 0.25;
/// Fewer films than these say nothing about a rule.
const FEW_FILMS: usize = 20;

/// Films of which one kind of source tells the patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PatientsBy {
    /// In words: what tells it.
    pub source: String,
    /// How many films.
    pub films: usize,
}

/// What is known of the patients of a folder.
pub(crate) struct KnownPatients {
    by: Vec<(PatientSource, usize)>,
    films: usize,
    patients: usize,
    /// Films of the patient who has the most.
    most: usize,
}

impl KnownPatients {
    pub(crate) fn of(set: &FilmSet) -> Self {
        let mut of_patient: HashMap<&str, usize> = HashMap::new();
        for (_, film) in set.layout.films() {
            *of_patient.entry(&film.group).or_default() += 1;
        }
        KnownPatients {
            by: set.patients.iter().map(|(by, films)| (*by, *films)).collect(),
            films: set.layout.len(),
            patients: of_patient.len(),
            most: of_patient.values().copied().max().unwrap_or(0),
        }
    }

    /// Films whose patient something tells.
    pub(crate) fn told(&self) -> usize {
        self.by.iter().map(|(_, films)| films).sum()
    }

    /// Whether the patient of every film is known.
    pub(crate) fn all(&self) -> bool {
        self.told() == self.films
    }

    /// What told how many films' patients.
    pub(crate) fn by(&self) -> Vec<PatientsBy> {
        self.by.iter().map(|(by, films)| PatientsBy { source: by.to_string(), films: *films }).collect()
    }

    /// One sentence without its full stop.
    pub(crate) fn sentence(&self) -> String {
        match &self.by[..] {
            [] => format!("nothing tells the patients of the {} films", self.films),
            [(by, films)] if *films == self.films => format!("{} patients, told by {by}", self.patients),
            by => {
                let each: Vec<String> = by.iter().map(|(by, films)| format!("{films} by {by}")).collect();
                format!("the patients of {} of {} films are told: {}", self.told(), self.films, each.join(", "))
            }
        }
    }

    /// What must be known beside numbers from these films.
    pub(crate) fn caveats(&self) -> Vec<Caveat> {
        let KnownPatients { films, patients, most, .. } = *self;
        let rest = films - self.told();
        let harm = "films of one patient may lie on two splits, and a test is then too good (patient = a rule that fits, or \
                    a table with a column of patients)";
        let text = match (rest, self.told()) {
            (0, _) => None,
            (_, 0) => Some(format!(
                "nothing tells the patients of the {films} films, so every film counts as a patient of its own: {harm}"
            )),
            (1, told) => Some(format!(
                "the patients of {told} of the {films} films are told, and the other film counts as a patient of its own: \
                 {harm}"
            )),
            (rest, told) => Some(format!(
                "the patients of {told} of the {films} films are told, and the other {rest} count as patients of their own: \
                 {harm}"
            )),
        };
        let few = (films >= FEW_FILMS && most as f64 > MOST_OF_ONE * films as f64).then(|| {
            format!(
                "{most} of the {films} films are of one patient, and there are {patients} patients in all: if that is not \
                 so, the patient rule takes films of many for films of one, and splits cannot be what they should"
            )
        });
        let caveat = |kind| move |text: String| Caveat::new(kind, text);
        let none = text.map(caveat(CaveatKind::NoPatients));
        none.into_iter().chain(few.map(caveat(CaveatKind::FewPatients))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(by: &[(PatientSource, usize)], films: usize, most: usize) -> KnownPatients {
        KnownPatients { by: by.to_vec(), films, patients: 7, most }
    }

    #[test]
    fn whole_patients_are_claimed_only_where_they_are_known() {
        let all = known(&[(PatientSource::Kermany, 8)], 8, 2);
        assert!(all.all() && all.caveats().is_empty());
        assert_eq!(all.sentence(), "7 patients, told by file names as Kermany's (person12_bacteria_34)");
        let none = known(&[], 200, 1);
        assert!(!none.all());
        let text = &none.caveats()[0].text;
        assert!(text.starts_with("nothing tells the patients of the 200 films, so every film counts as a"), "{text}");
        let some = known(&[(PatientSource::Nih, 150), (PatientSource::Named, 48)], 200, 3);
        let text = &some.caveats()[0].text;
        assert!(text.contains("of 198 of the 200 films are told, and the other 2 count as patients of their own"));
        assert!(some.sentence().contains("150 by file names as NIH's (00000013_005), 48 by names that say patient"));
        let one = known(&[(PatientSource::Nih, 199)], 200, 3);
        assert!(one.caveats()[0].text.contains("the other film counts as a patient of its own"));
    }

    #[test]
    fn a_rule_that_puts_most_films_under_one_patient_is_told_of() {
        let few = known(&[(PatientSource::Pattern, 120)], 120, 60);
        let [caveat] = &few.caveats()[..] else { panic!("one caveat") };
        assert_eq!(caveat.kind, CaveatKind::FewPatients);
        assert!(caveat.text.starts_with("60 of the 120 films are of one patient"), "{caveat}");
        assert!(known(&[(PatientSource::Pattern, 12)], 12, 6).caveats().is_empty());
    }
}
