//! Which films are drawn: splits, classes, patients and names.

use crate::keys;
use crate::names::Split;
use crate::random::{below, keyed, unit};

/// One film to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntheticFilm {
    pub(super) split: Split,
    /// Index into [`super::CLASSES`].
    pub(super) label: usize,
    /// Counted through the data set.
    pub(super) patient: usize,
    /// Counted through the data set.
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// What a film shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Clear lungs.
    Normal,
    /// One or two dense clouds, mostly in one lung.
    Bacteria,
    /// Many faint clouds in both lungs.
    Virus,
}

/// All films, side by side, class by class.
pub(super) fn plan(films: usize, seed: u64) -> Vec<SyntheticFilm> {
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
                let kind = match label {
                    0 => Kind::Normal,
                    _ if unit(&mut rng) < 0.6 => Kind::Bacteria,
                    _ => Kind::Virus,
                };
                let second_series = unit(&mut rng) < 0.3;
                for film in 1..=of_patient.min(end - plan.len()) {
                    let number = plan.len() + 1;
                    let name = match kind {
                        Kind::Normal if second_series => format!("NORMAL2-IM-{:04}-{film:04}.png", patient + 1),
                        Kind::Normal => format!("IM-{:04}-{film:04}.png", patient + 1),
                        Kind::Bacteria => format!("person{}_bacteria_{number}.png", patient + 1),
                        Kind::Virus => format!("person{}_virus_{number}.png", patient + 1),
                    };
                    plan.push(SyntheticFilm { split, label, patient, number, kind, name });
                }
                patient += 1;
            }
        }
    }
    plan
}
