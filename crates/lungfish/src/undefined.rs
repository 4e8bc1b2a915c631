//! Which metrics are undefined, and why: a sentence each without its end, for people who see a dash or `null`.

use lungfish_data::display::escape;
use lungfish_data::{Label, Split, Task};

use crate::{ClassMetrics, LabelMetrics};

/// The metrics of two or more classes that may be undefined as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub auc: Option<f64>,
    /// Sensitivity and specificity, where there is a positive class.
    pub positive: Option<[Option<f64>; 2]>,
}

/// Of a test of films that are one of several classes.
pub(crate) fn of_classes(split: Split, classes: &[ClassMetrics], whole: Whole) -> Vec<String> {
    let named = |is: &dyn Fn(&ClassMetrics) -> bool| -> Vec<String> {
        classes.iter().filter(|class| is(class)).map(|class| escape(&class.name)).collect()
    };
    let absent = named(&|class| class.support == 0);
    let uncalled = named(&|class| class.precision.is_none());
    let neither = named(&|class| class.f1.is_none());
    let mut found = Vec::new();
    if !absent.is_empty() {
        let [sensitivity, specificity] = whole.positive.map_or([false; 2], |both| both.map(|metric| metric.is_none()));
        let of_all = [("AUC", whole.auc.is_none()), ("sensitivity", sensitivity), ("specificity", specificity)];
        let mut what: Vec<String> =
            of_all.iter().filter(|(_, none)| *none).map(|(name, _)| (*name).to_owned()).collect();
        what.push(format!("recall of {}", joined(&absent, "and")));
        found.push(format!("{}, since {}", joined(&what, "and"), without(split, &absent)));
    }
    if !uncalled.is_empty() {
        let mut what = vec![format!("precision of {}", joined(&uncalled, "and"))];
        what.extend((!neither.is_empty()).then(|| format!("F1 of {}", joined(&neither, "and"))));
        found.push(format!("{}, since no film is called {}", joined(&what, "and"), joined(&uncalled, "or")));
    }
    found
}

/// Of a test of films that may have any of several labels.
pub(crate) fn of_labels(split: Split, labels: &[LabelMetrics]) -> Vec<String> {
    let counts = labels.iter().map(|label| (label.name.as_str(), label.positives, label.negatives));
    of_counts(split, counts, [" and sensitivity", " and specificity", " and all other metrics"])
}

/// Of the AUC of a validation.
pub(crate) fn of_auc(task: Task, split: Split, names: &[String], labels: &[&Label]) -> Vec<String> {
    let count = |index: usize, of: bool| labels.iter().filter(|label| label.has(index) == Some(of)).count() as u64;
    let counts = names.iter().enumerate().map(|(index, name)| (name.as_str(), count(index, true), count(index, false)));
    match task {
        Task::OneOf => {
            let absent: Vec<String> =
                counts.filter(|(_, films, _)| *films == 0).map(|(name, ..)| escape(name)).collect();
            let text = || format!("AUC, since {}", without(split, &absent));
            (!absent.is_empty()).then(text).into_iter().collect()
        }
        Task::AnyOf => of_counts(split, counts, [""; 3]),
    }
}

/// By how many films are known to have each label, and known not to; `besides` is what is undefined with the AUC where
/// none has it, where all have it, and where nothing is known.
fn of_counts<'a>(split: Split, labels: impl Iterator<Item = (&'a str, u64, u64)>, besides: [&str; 3]) -> Vec<String> {
    let mut of: [Vec<String>; 3] = Default::default();
    for (name, positives, negatives) in labels {
        match (positives, negatives) {
            (0, 0) => of[2].push(escape(name)),
            (0, _) => of[0].push(escape(name)),
            (_, 0) => of[1].push(escape(name)),
            _ => {}
        }
    }
    let why = |kind: usize, names: &[String]| match kind {
        0 => format!("no film of the {split} split is known to have {}", joined(names, "or")),
        1 => format!("no film of the {split} split is known not to have {}", joined(names, "or")),
        _ => format!("nothing is known of {} on the {split} split", joined(names, "or")),
    };
    let kinds = of.iter().zip(besides).enumerate().filter(|(_, (names, _))| !names.is_empty());
    kinds
        .map(|(kind, (names, more))| format!("AUC{more} of {}, since {}", joined(names, "and"), why(kind, names)))
        .collect()
}

fn without(split: Split, classes: &[String]) -> String {
    format!("no film of the {split} split is {}", joined(classes, "or"))
}

/// `A`, `A and B`, `A, B and C`.
fn joined(names: &[String], word: &str) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        names => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, support: u64, called: bool) -> ClassMetrics {
        let some = |is: bool| is.then_some(0.5);
        ClassMetrics {
            name: name.to_owned(),
            precision: some(called),
            recall: some(support > 0),
            f1: some(called || support > 0),
            support,
        }
    }

    #[test]
    fn what_one_class_cannot_have_is_said_with_the_class_that_is_missing() {
        let none = Whole { auc: None, positive: Some([Some(1.0), None]) };
        assert_eq!(
            of_classes(Split::Test, &[class("NORMAL", 0, true), class("PNEUMONIA", 9, true)], none),
            ["AUC, specificity and recall of NORMAL, since no film of the test split is NORMAL"]
        );
        assert_eq!(
            of_classes(Split::Test, &[class("NORMAL", 0, false), class("PNEUMONIA", 9, true)], none),
            [
                "AUC, specificity and recall of NORMAL, since no film of the test split is NORMAL",
                "precision of NORMAL and F1 of NORMAL, since no film is called NORMAL",
            ]
        );
        let three = [class("A", 0, true), class("B\n", 0, true), class("C", 3, false)];
        assert_eq!(
            of_classes(Split::Val, &three, Whole { auc: None, positive: None }),
            [
                "AUC and recall of A and B\\x0a, since no film of the val split is A or B\\x0a",
                "precision of C, since no film is called C"
            ]
        );
        let all = Whole { auc: Some(0.5), positive: Some([Some(0.5); 2]) };
        assert!(of_classes(Split::Test, &[class("A", 1, true), class("B", 1, true)], all).is_empty());
    }

    #[test]
    fn labels_are_told_together_by_what_is_not_known_of_them() {
        let names = ["A", "B", "C", "D", "E"].map(str::to_owned);
        let row = |values: [Option<bool>; 5]| Label::Row(values.to_vec());
        let (t, f) = (Some(true), Some(false));
        let labels = [row([f, t, None, t, f]), row([f, t, None, f, None])];
        assert_eq!(
            of_auc(Task::AnyOf, Split::Val, &names, &labels.each_ref()),
            [
                "AUC of A and E, since no film of the val split is known to have A or E",
                "AUC of B, since no film of the val split is known not to have B",
                "AUC of C, since nothing is known of C on the val split",
            ]
        );
        let rows = [0.0; 10];
        let metrics: Vec<LabelMetrics> = names
            .iter()
            .enumerate()
            .map(|(i, name)| LabelMetrics::new(name, i, &labels.each_ref(), &rows, &["p"; 2]))
            .collect();
        assert_eq!(
            of_labels(Split::Test, &metrics)[0],
            "AUC and sensitivity of A and E, since no film of the test split is known to have A or E"
        );
        assert!(of_labels(Split::Test, &metrics[3..4]).is_empty());
        let classes = [Label::Class(1), Label::Class(1)];
        assert_eq!(
            of_auc(Task::OneOf, Split::Val, &names[..3], &classes.each_ref()),
            ["AUC, since no film of the val split is A or C"]
        );
        assert!(of_auc(Task::OneOf, Split::Val, &names[1..2], &[&Label::Class(0)]).is_empty());
    }
}
