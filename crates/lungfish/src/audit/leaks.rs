//! Films that lie where they must not: of one patient on two splits, of the same pixels on two splits or in two classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lungfish_data::display::escape;
use lungfish_data::{ContentHash, Film, Label, PatientSource, Split};
use serde::{Serialize, Serializer};

use super::near;

/// Groups of films that are named.
const NAMED: usize = 20;

/// What was found to lie where it must not.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// Films that show all or a part of another one, mirrored, saved anew, resized or with other gray levels, where the other is on
    /// another split, in another class or, where there are no splits, of another patient.
    pub near_copies: usize,
    /// Some of them, the surest first.
    pub near: Vec<NearCopy>,
}

/// Two films that a person would take for the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct NearCopy {
    /// A film.
    pub film: String,
    /// Where that is.
    #[serde(skip)]
    pub film_path: PathBuf,
    /// The film that shows all or a part of it.
    pub copy: String,
    /// Where that is.
    #[serde(skip)]
    pub copy_path: PathBuf,
    /// Whether that is its mirror image.
    pub mirrored: bool,
    /// Share of the film's area that the copy shows.
    pub shown: f64,
    /// Correlation of what is fine in both, laid over each other: 0.93 and more.
    pub correlation: f64,
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
        self.patients.unwrap_or(0) + self.copies_on_two_splits + self.copies_in_two_classes + self.near_copies > 0
    }

    /// Adds films that are nearly the same.
    pub(super) fn add_near(&mut self, near: &[near::NearCopy], films: &[Seen<'_>]) {
        let path = |film: usize| films[film].1.path.as_path();
        let concerned: BTreeSet<usize> = near.iter().map(|pair| pair.copy).collect();
        self.near_copies = concerned.len();
        let named = near.iter().take(NAMED).map(|pair| NearCopy {
            film: escape(path(pair.whole)),
            copy: escape(path(pair.copy)),
            film_path: path(pair.whole).to_owned(),
            copy_path: path(pair.copy).to_owned(),
            mirrored: pair.mirrored,
            shown: pair.shown,
            correlation: pair.correlation,
        });
        self.near = named.collect();
    }
}

/// A film with its split and the hash of its pixels.
type Seen<'a> = (Option<Split>, &'a Film, ContentHash);

/// Whether it matters that two films are nearly the same. Those of the very same pixels are told of by themselves.
pub(super) fn apart(films: &[Seen<'_>], a: usize, b: usize) -> bool {
    let ((split_a, film_a, pixels_a), (split_b, film_b, pixels_b)) = (&films[a], &films[b]);
    let elsewhere = split_a != split_b || split_a.is_none() && film_a.group != film_b.group;
    pixels_a != pixels_b && (elsewhere || film_a.label != film_b.label)
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
