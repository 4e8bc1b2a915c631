//! Films that lie where they must not: of one patient on two splits, of the same pixels on two splits or in two classes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lungfish_data::display::escape;
use lungfish_data::{ContentHash, Film, Label, PatientSource, Split};
use serde::{Serialize, Serializer};

/// Groups of films that are named.
const NAMED: usize = 20;

/// What was found to lie where it must not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Leakage {
    /// Patients with films on more than one split; none where nothing tells patients, or there is one split.
    pub patients: Option<usize>,
    /// The films of those.
    pub films_of_patients: usize,
    /// Films whose pixels lie on another split too.
    pub copies_on_two_splits: usize,
    /// Films whose pixels lie in another class too, or with labels that differ.
    pub copies_in_two_classes: usize,
    /// Some of the copies that count, those of the same pixels together.
    pub copies: Vec<Copies>,
}

/// Films of the same pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Copies {
    /// Their files.
    #[serde(serialize_with = "as_texts")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub paths: Vec<PathBuf>,
}

impl Leakage {
    /// Whether a test on these splits is too good, or a label contradicts another.
    pub fn any(&self) -> bool {
        self.patients.unwrap_or(0) + self.copies_on_two_splits + self.copies_in_two_classes > 0
    }
}

/// Looks for it among films with their splits and pixels. `told` is what tells patients.
pub(super) fn leaks(films: &[(Option<Split>, &Film, ContentHash)], told: &BTreeMap<PatientSource, usize>) -> Leakage {
    let mut out = Leakage::default();
    let several = |films: &[usize], all: &[(Option<Split>, &Film, ContentHash)]| {
        films.iter().any(|film| all[*film].0 != all[films[0]].0)
    };
    let mut of_patient: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut of_pixels: BTreeMap<ContentHash, Vec<usize>> = BTreeMap::new();
    for (at, (_, film, pixels)) in films.iter().enumerate() {
        of_patient.entry(&film.group).or_default().push(at);
        of_pixels.entry(*pixels).or_default().push(at);
    }
    let splits = films.iter().any(|(split, ..)| split.is_some());
    if splits && !told.is_empty() {
        let astray: Vec<&Vec<usize>> = of_patient.values().filter(|own| several(own, films)).collect();
        out.patients = Some(astray.len());
        out.films_of_patients = astray.iter().map(|own| own.len()).sum();
    }
    for same in of_pixels.values().filter(|same| same.len() > 1) {
        let on_splits = several(same, films);
        let first: &Label = &films[same[0]].1.label;
        let in_classes = same.iter().any(|film| films[*film].1.label != *first);
        out.copies_on_two_splits += if on_splits { same.len() } else { 0 };
        out.copies_in_two_classes += if in_classes { same.len() } else { 0 };
        if (on_splits || in_classes) && out.copies.len() < NAMED {
            out.copies.push(Copies { paths: same.iter().map(|film| films[*film].1.path.clone()).collect() });
        }
    }
    out
}

fn as_texts<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(escape))
}
