//! What must be known beside a number, lest it be believed too much. A caveat goes wherever its numbers go: to the
//! terminal, into JSON, pictures and files.

use serde::{Deserialize, Serialize};

use crate::{BestEpoch, UnlikeFilms};

/// An AUC that falls by more under augmentation is told of. Trained on augmented films it falls by about 0.005, a head on
/// frozen features by 0.2.
const MOST_LOST: f64 = 0.05;
/// A larger share of films that are unlike those of the training is told of.
const MOST_UNLIKE: f64 = 0.05;

/// Something that must be known beside a number. Shown, it is its sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Caveat {
    /// What it is about, to match on.
    pub kind: CaveatKind,
    /// One sentence for a person.
    pub text: String,
}

/// What a caveat is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CaveatKind {
    /// The films that are scored trained the model, or chose its epoch.
    SeenFilms,
    /// Films bear the names of patients that the model was trained on.
    SamePatients,
    /// Nothing said which films are of the same patient, so one patient may lie on two splits.
    NoPatients,
    /// Most films are taken for films of one patient.
    FewPatients,
    /// Weights that the training started from, or that were imported, do not say which films trained them.
    UnknownAncestor,
    /// Films are synthetic: the number says nothing about lungs.
    Synthetic,
    /// Films could not be read and are not in the number.
    UnreadableFilms,
    /// The model does much worse on augmented views of the same films: it may know how films were taken rather than lungs.
    Acquisition,
    /// The same film lay in two classes, and is left out.
    TwoClasses,
    /// Films of the split are not where they were looked for, and not in the number.
    MissingFilms,
    /// The test films were looked at before, so that something may have been chosen by them.
    Reopened,
    /// Something that would count was not looked for.
    NotLookedFor,
    /// Many films are unlike those that taught the model.
    Unlike,
}

impl Caveat {
    pub(crate) fn new(kind: CaveatKind, text: impl Into<String>) -> Self {
        Caveat { kind, text: text.into() }
    }

    /// What follows from weights whose own training nobody knows.
    pub(crate) fn unknown_ancestor(weights: &str) -> Self {
        let weights = lungfish_data::display::escape(weights);
        Caveat::new(
            CaveatKind::UnknownAncestor,
            format!(
                "the weights to start from ({weights}) do not say which films trained them: if films of the test, or of \
                 the same patients, were among those, the test is too good"
            ),
        )
    }

    /// What follows from a model that another program trained, whose weights were in a file of that name.
    pub(crate) fn imported(weights: &str) -> Self {
        let weights = lungfish_data::display::escape(weights);
        Caveat::new(
            CaveatKind::UnknownAncestor,
            format!(
                "nobody knows which films trained this model, which was imported from {weights}: if films of a test, or of the same \
                 patients, were among those, the test is too good"
            ),
        )
    }

    /// What follows where many films of a test are unlike those that taught the model.
    pub(crate) fn unlike(found: &UnlikeFilms) -> Option<Self> {
        let many = found.beyond as f64 > MOST_UNLIKE * found.films as f64 && found.beyond > 1;
        many.then(|| {
            let text = format!(
                "{} of {} films are less like the films that taught the model than every one of its validation films: what it says \
                 of them is not to be relied on",
                found.beyond, found.films
            );
            Caveat::new(CaveatKind::Unlike, text)
        })
    }

    /// What follows where a model knows validation films much better as they are than altered by chance.
    pub(crate) fn acquisition(epoch: &BestEpoch) -> Option<Self> {
        let (plain, seen) = (epoch.val_auc?, epoch.robust?.auc?);
        (plain - seen > MOST_LOST).then(|| {
            let text = format!(
                "on augmented views of its validation films the model's AUC is {seen:.2}, and {plain:.2} on the films as \
                 they are: much of what it knows may be how these films were taken, and on films of another source it \
                 may do far worse"
            );
            Caveat::new(CaveatKind::Acquisition, text)
        })
    }
}

impl std::fmt::Display for Caveat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_falls_under_augmentation_says_so() {
        let epoch = |val_auc, auc| BestEpoch {
            phase: crate::Phase::Frozen,
            epoch: 1,
            val_accuracy: 0.9,
            val_auc,
            val_loss: 0.1,
            robust: Some(crate::RobustMetrics { loss: 0.4, accuracy: 0.8, auc, choice: 0.3 }),
            why: None,
        };
        let caveat = Caveat::acquisition(&epoch(Some(0.995), Some(0.813))).unwrap();
        assert!(caveat.text.contains("the model's AUC is 0.81, and 0.99 on the films as they are"), "{caveat}");
        assert_eq!(Caveat::acquisition(&epoch(Some(0.995), Some(0.95))), None);
        assert_eq!(Caveat::acquisition(&epoch(None, Some(0.5))), None);
        assert_eq!(Caveat::acquisition(&BestEpoch { robust: None, ..epoch(Some(0.9), None) }), None);
    }
}
