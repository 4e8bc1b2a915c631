//! The metrics of one split.

use lungfish_data::{Label, Task};
use lungfish_metrics::roc_auc;
use serde::Serialize;

use crate::task::{Answers, known_of, softplus};
use crate::{Measure, measures};

/// Loss, accuracy and AUC of one split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Metrics {
    /// Plain negative log-likelihood, mean: of the films, or any-of of all labels that are known.
    pub loss: f64,
    /// The same with each class counting as much as another; any-of the same as `loss`.
    pub balanced_loss: f64,
    /// Part that is right, of the same.
    pub accuracy: f64,
    /// Any-of: the mean over the labels of which it is defined. None where undefined.
    pub auc: Option<f64>,
}

impl Metrics {
    /// From rows of a network's last values `[films, classes]`; none where nothing is known of any film.
    pub(crate) fn new(task: Task, classes: usize, labels: &[&Label], rows: &[f32]) -> Option<Self> {
        match task {
            Task::OneOf => {
                let labels: Vec<usize> = labels.iter().filter_map(|label| label.class()).collect();
                let predicted: Vec<usize> = rows.chunks_exact(classes).map(lungfish_metrics::argmax).collect();
                let scores: Vec<f64> = rows.chunks_exact(classes).flat_map(|row| task.probabilities(row)).collect();
                let of_class = |class: usize| {
                    let films = labels.iter().zip(rows.chunks_exact(classes)).filter(|(of, _)| **of == class);
                    let (labels, rows): (Vec<usize>, Vec<&[f32]>) = films.unzip();
                    lungfish_metrics::nll(classes, &labels, &rows.concat())
                };
                let by_class: Vec<f64> = (0..classes).filter_map(of_class).collect();
                Some(Metrics {
                    loss: lungfish_metrics::nll(classes, &labels, rows)?,
                    balanced_loss: by_class.iter().sum::<f64>() / by_class.len() as f64,
                    accuracy: lungfish_metrics::accuracy(&labels, &predicted)?,
                    auc: lungfish_metrics::roc_auc_one_vs_rest(classes, &labels, &scores),
                })
            }
            Task::AnyOf => {
                let (mut loss, mut aucs) = (0.0, Vec::new());
                for index in 0..classes {
                    let (has, logits) = known_of(index, labels, rows);
                    loss += nll(&has, &logits);
                    aucs.extend(roc_auc(&has, &logits));
                }
                let (right, known) = task.right(labels, rows);
                let known = (known > 0).then_some(known as f64)?;
                let auc = (!aucs.is_empty()).then(|| aucs.iter().sum::<f64>() / aucs.len() as f64);
                let loss = loss / known;
                Some(Metrics { loss, balanced_loss: loss, accuracy: right as f64 / known, auc })
            }
        }
    }
}

/// Metrics of one label of films that may have any.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelMetrics {
    /// The label.
    pub name: String,
    /// Area under the ROC curve; none where no film is known to have it, or none not to.
    pub auc: Option<f64>,
    /// Plain negative log-likelihood, mean over the films of which it is known; none without any.
    pub loss: Option<f64>,
    /// Part of them that is right at a probability of one half.
    pub accuracy: Option<f64>,
    /// Of the films that have it, the part called so.
    pub sensitivity: Option<f64>,
    /// Of the films that have it not, the part called so.
    pub specificity: Option<f64>,
    /// Films that have it.
    pub positives: u64,
    /// Those of them that are called so.
    pub true_positives: u64,
    /// Films that have it not.
    pub negatives: u64,
    /// Those of them that are called so.
    pub true_negatives: u64,
    /// Films of which nobody knows; they are in none of the other numbers.
    pub unknown: u64,
    /// AUC, sensitivity and specificity with their 95 % intervals.
    pub measures: Vec<Measure>,
}

impl LabelMetrics {
    /// Of the label of an index, from rows of logits; films of one of the `patients` count together in the intervals.
    pub(crate) fn new(name: &str, index: usize, labels: &[&Label], rows: &[f32], patients: &[&str]) -> Self {
        let (has, logits) = known_of(index, labels, rows);
        let count = |of: bool, called: bool| {
            let films = has.iter().zip(&logits);
            films.filter(|(has, logit)| **has == of && (**logit >= 0.0) == called).count() as u64
        };
        let [[true_negatives, false_positives], [false_negatives, true_positives]] =
            [false, true].map(|of| [count(of, false), count(of, true)]);
        let (positives, negatives) = (true_positives + false_negatives, true_negatives + false_positives);
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        LabelMetrics {
            name: name.to_owned(),
            auc: roc_auc(&has, &logits),
            loss: (!has.is_empty()).then(|| nll(&has, &logits) / has.len() as f64),
            accuracy: share(true_positives + true_negatives, positives + negatives),
            sensitivity: share(true_positives, positives),
            specificity: share(true_negatives, negatives),
            positives,
            true_positives,
            negatives,
            true_negatives,
            unknown: (labels.len() - has.len()) as u64,
            measures: {
                let known = labels.iter().zip(patients).filter(|(label, _)| label.has(index).is_some());
                measures::of_label(&has, &logits, &known.map(|(_, patient)| *patient).collect::<Vec<_>>())
            },
        }
    }
}

/// The negative log-likelihood of what is known of films, a logit each.
fn nll(has: &[bool], logits: &[f64]) -> f64 {
    has.iter().zip(logits).map(|(has, z)| softplus(if *has { -z } else { *z })).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_four_films() {
        let rows: Vec<f32> =
            [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]].as_flattened().iter().map(|p: &f32| p.ln()).collect();
        let labels = [0, 0, 1, 1].map(Label::Class);
        let metrics = Metrics::new(Task::OneOf, 2, &labels.each_ref(), &rows).unwrap();
        assert_eq!((metrics.accuracy, metrics.auc), (0.5, Some(0.75)));
        let loss = -(0.9_f64.ln() + 0.4_f64.ln() + 0.8_f64.ln() + 0.3_f64.ln()) / 4.0;
        assert!((metrics.loss - loss).abs() < 1e-6 && (metrics.balanced_loss - loss).abs() < 1e-6);
        let labels = [0, 0, 0, 1].map(Label::Class);
        let metrics = Metrics::new(Task::OneOf, 2, &labels.each_ref(), &rows).unwrap();
        let balanced = -((0.9_f64.ln() + 0.4_f64.ln() + 0.2_f64.ln()) / 3.0 + 0.3_f64.ln()) / 2.0;
        assert!((metrics.balanced_loss - balanced).abs() < 1e-6);
        assert_eq!(Metrics::new(Task::OneOf, 2, &[], &[]), None);
    }

    #[test]
    fn metrics_of_labels_are_of_what_is_known() {
        let row = |values: [Option<bool>; 3]| Label::Row(values.to_vec());
        let (t, f) = (Some(true), Some(false));
        let labels = [row([t, None, f]), row([f, f, f]), row([f, t, None]), row([t, None, f])];
        let labels = labels.each_ref();
        let logit = |p: f64| (p / (1.0 - p)).ln() as f32;
        let rows: Vec<f32> = [[0.9, 0.99, 0.1], [0.6, 0.2, 0.5], [0.3, 0.4, 0.99], [0.4, 0.01, 0.3]]
            .as_flattened()
            .iter()
            .map(|p| logit(*p))
            .collect();
        let metrics = Metrics::new(Task::AnyOf, 3, &labels, &rows).unwrap();
        // scikit-learn's roc_auc_score of the first label is 0.75, of the second 1, of the third undefined.
        assert_eq!(metrics.auc, Some((0.75 + 1.0) / 2.0));
        let right = [true, false, true, false, true, false, true, false, true];
        assert_eq!(metrics.accuracy, right.iter().filter(|right| **right).count() as f64 / 9.0);
        let likely = [0.9, 0.4, 0.7, 0.4, 0.8, 0.4, 0.9, 0.5, 0.7_f64];
        assert!((metrics.loss + likely.iter().map(|p| p.ln()).sum::<f64>() / 9.0).abs() < 1e-6);

        let first = LabelMetrics::new("A", 0, &labels, &rows, &["a", "b", "c", "d"]);
        assert_eq!((first.auc, first.accuracy, first.unknown), (Some(0.75), Some(0.5), 0));
        assert_eq!((first.positives, first.true_positives, first.sensitivity), (2, 1, Some(0.5)));
        assert_eq!((first.negatives, first.true_negatives, first.specificity), (2, 1, Some(0.5)));
        let third = LabelMetrics::new("C", 2, &labels, &rows, &["a", "b", "c", "d"]);
        assert_eq!((third.auc, third.sensitivity, third.positives, third.unknown), (None, None, 0, 1));
        let nothing = row([None; 3]);
        assert_eq!(Metrics::new(Task::AnyOf, 3, &[&nothing], &rows[..3]), None);
    }
}
