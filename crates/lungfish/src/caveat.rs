//! What must be known beside a number, lest it be believed too much. A caveat goes wherever its numbers go: to the
//! terminal, into JSON, pictures and files.

use serde::{Deserialize, Serialize};

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
    /// Weights that the training started from do not say which films trained them.
    UnknownAncestor,
    /// Films are synthetic: the number says nothing about lungs.
    Synthetic,
    /// Films could not be read and are not in the number.
    UnreadableFilms,
    /// Films of the split are not where they were looked for, and not in the number.
    MissingFilms,
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

    /// What follows where the patient rule fits `fits` of `films` file names; none where it fits all.
    pub(crate) fn patients(fits: usize, films: usize) -> Option<Self> {
        let rest = films.checked_sub(fits).filter(|rest| *rest > 0)?;
        let text = if fits == 0 {
            format!(
                "the patient rule fits none of the {films} file names, so every film counts as a patient of its own: \
                 films of one patient may lie on two splits, and a test is then too good (set patient to a rule that \
                 fits)"
            )
        } else {
            format!(
                "the patient rule fits {fits} of the {films} file names, and {}: films of one patient may lie on two \
                 splits, and a test is then too good (set patient to a rule that fits)",
                if rest == 1 {
                    "the other film counts as a patient of its own".to_owned()
                } else {
                    format!("the other {rest} films count as patients of their own")
                }
            )
        };
        Some(Caveat::new(CaveatKind::NoPatients, text))
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
    fn whole_patients_are_claimed_only_where_they_are_known() {
        assert_eq!(Caveat::patients(8, 8), None);
        assert_eq!(Caveat::patients(0, 0), None);
        let none = Caveat::patients(0, 200).unwrap();
        assert!(none.text.starts_with("the patient rule fits none of the 200 file names, so every film counts as a"));
        let some = Caveat::patients(198, 200).unwrap().text;
        assert!(some.contains("fits 198 of the 200 file names, and the other 2 films count as patients of their own"));
        let one = Caveat::patients(199, 200).unwrap().text;
        assert!(one.contains("and the other film counts as a patient of its own"), "{one}");
        assert_eq!(serde_json::to_value(CaveatKind::NoPatients).unwrap(), "no_patients");
    }
}
