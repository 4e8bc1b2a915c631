//! Which films are drawn: splits, classes, patients and names.

use crate::keys;
use crate::label::Label;
use crate::names::Split;
use crate::random::{below, keyed, shuffle, unit};

/// Dense clouds, faint clouds and a large heart of ten patients: each label has four, and they come together and apart.
const DECK: [[bool; 3]; 10] = {
    const F: bool = false;
    const T: bool = true;
    [[F; 3], [F; 3], [F; 3], [T, F, F], [F, T, F], [F, F, T], [T, T, F], [T, F, T], [F, T, T], [T; 3]]
};
/// A label of one in so many is unknown.
const UNKNOWN: f64 = 0.1;

/// One film to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntheticFilm {
    pub(super) split: Split,
    /// What it shows: a class of [`super::CLASSES`], or a row for [`super::LABELS`].
    pub(super) label: Label,
    /// Counted through the data set.
    pub(super) patient: usize,
    /// Counted through the data set.
    pub(super) number: usize,
    pub(super) clouds: &'static [Clouds],
    /// Whether the heart is larger than any other's.
    pub(super) large_heart: bool,
    pub(super) name: String,
}

/// What lies in a lung that is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clouds {
    /// One or two dense ones, mostly in one lung.
    Dense,
    /// Many faint ones in both lungs.
    Faint,
}

/// All films of one class each, split by split, class by class.
pub(super) fn one_of(films: usize, seed: u64) -> Vec<SyntheticFilm> {
    let mut rng = keyed(keys::synth_plan(seed));
    let normal = films * 2 / 5;
    let mut plan: Vec<SyntheticFilm> = Vec::with_capacity(films);
    let mut patient = 0;
    for split in Split::ALL {
        for (label, of_class) in [normal, films - normal].into_iter().enumerate() {
            let held_back = of_class * 3 / 20;
            let count = if split == Split::Train { of_class - 2 * held_back } else { held_back };
            let end = plan.len() + count;
            while plan.len() < end {
                // Three of five patients have one film, the others two to four.
                let of_patient = if unit(&mut rng) < 0.6 { 1 } else { 2 + below(&mut rng, 3) };
                let clouds: &[Clouds] = match label {
                    0 => &[],
                    _ if unit(&mut rng) < 0.6 => &[Clouds::Dense],
                    _ => &[Clouds::Faint],
                };
                let second_series = unit(&mut rng) < 0.3;
                for film in 1..=of_patient.min(end - plan.len()) {
                    let number = plan.len() + 1;
                    let name = match clouds {
                        [] if second_series => format!("NORMAL2-IM-{:04}-{film:04}.png", patient + 1),
                        [] => format!("IM-{:04}-{film:04}.png", patient + 1),
                        [Clouds::Dense, ..] => format!("person{}_bacteria_{number}.png", patient + 1),
                        [Clouds::Faint, ..] => format!("person{}_virus_{number}.png", patient + 1),
                    };
                    let label = Label::Class(label);
                    plan.push(SyntheticFilm { split, label, patient, number, clouds, large_heart: false, name });
                }
                patient += 1;
            }
        }
    }
    plan
}

/// All films with a row of labels each, split by split. A patient's films show the same; what is known of each film is its
/// own matter. Names tell the patient and nothing else.
pub(super) fn any_of(films: usize, seed: u64) -> Vec<SyntheticFilm> {
    let mut rng = keyed(keys::synth_labels(seed));
    let held_back = films * 3 / 20;
    let mut plan: Vec<SyntheticFilm> = Vec::with_capacity(films);
    let (mut patient, mut deck) = (0, Vec::new());
    for split in Split::ALL {
        let count = if split == Split::Train { films - 2 * held_back } else { held_back };
        let end = plan.len() + count;
        // A split begins with a deck of its own, so that a small one has all kinds too.
        deck.clear();
        while plan.len() < end {
            let of_patient = if unit(&mut rng) < 0.6 { 1 } else { 2 + below(&mut rng, 3) };
            if deck.is_empty() {
                deck.extend(DECK);
                shuffle(&mut rng, &mut deck);
            }
            let shown = deck.pop().unwrap_or_default();
            let clouds: &[Clouds] = match shown {
                [false, false, _] => &[],
                [true, false, _] => &[Clouds::Dense],
                [false, true, _] => &[Clouds::Faint],
                [true, true, _] => &[Clouds::Dense, Clouds::Faint],
            };
            for film in 1..=of_patient.min(end - plan.len()) {
                let label = Label::Row(shown.map(|has| (unit(&mut rng) >= UNKNOWN).then_some(has)).into());
                let number = plan.len() + 1;
                let name = format!("IM-{:04}-{film:04}.png", patient + 1);
                plan.push(SyntheticFilm { split, label, patient, number, clouds, large_heart: shown[2], name });
            }
            patient += 1;
        }
    }
    plan
}
