//! What is asked of a film decides what the network ends in, what its last values mean, what counts as right and which
//! metrics there are.
//!
//! One-of: the network ends in log-probabilities of classes, of which one is right. Any-of: it ends in a logit a label,
//! whose sigmoid is the label's probability, apart from the others'; what nobody knows of a film has no part in any loss
//! or metric. The loss of each is in [`crate::targets`].

use lungfish_data::{Label, Task};
use lungfish_models::Output;
use serde::Serialize;

use crate::recipe::Best;

/// The probability from which on a label is called, and class 1 of two.
pub(crate) const THRESHOLD: f64 = 0.5;

/// What a model calls a film.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Called {
    /// One-of: the most probable class.
    Class(String),
    /// Any-of: the labels with a probability of one half and more.
    Labels(Vec<String>),
}

impl Called {
    /// The class, or the labels with commas; `none` without any.
    pub fn words(&self) -> String {
        match self {
            Called::Class(class) => class.clone(),
            Called::Labels(labels) if labels.is_empty() => "none".to_owned(),
            Called::Labels(labels) => labels.join(", "),
        }
    }

    /// Whether a class, or a label, is called.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Called::Class(class) => class == name,
            Called::Labels(labels) => labels.iter().any(|label| label == name),
        }
    }
}

/// What a [`Task`] makes of a network's last values.
pub(crate) trait Answers {
    /// What a network of this task ends in.
    fn output(self) -> Output;
    /// Probabilities from a film's row of last values. Those of classes sum to one, rounded to single floats as they are.
    fn probabilities(self, row: &[f32]) -> Vec<f64>;
    /// The last value that stands for a probability.
    fn value_of(self, probability: f64) -> f64;
    /// What a film is called.
    fn called(self, names: &[String], probabilities: &[f64]) -> Called;
    /// How many answers are right, of how many that are known: one a film, or one a label.
    fn right(self, labels: &[&Label], rows: &[f32]) -> (usize, usize);
    /// The metric that decides between epochs. How many labels lie on the right side of one half says little where most
    /// are rare: the AUC decides there in place of the accuracy.
    fn judge(self, by: Best) -> Best;
    /// The format of its model files. A program that knew one-of alone must not take logits for log-probabilities.
    fn model_format(self) -> &'static str;
}

impl Answers for Task {
    fn output(self) -> Output {
        match self {
            Task::OneOf => Output::LogSoftmax,
            Task::AnyOf => Output::Logits,
        }
    }

    fn probabilities(self, row: &[f32]) -> Vec<f64> {
        match self {
            Task::OneOf => {
                let exp: Vec<f64> = row.iter().map(|&l| f64::from(l).exp()).collect();
                let sum: f64 = exp.iter().sum();
                exp.into_iter().map(|p| p / sum).collect()
            }
            Task::AnyOf => row.iter().map(|&logit| sigmoid(f64::from(logit))).collect(),
        }
    }

    fn value_of(self, probability: f64) -> f64 {
        match self {
            Task::OneOf => probability.ln(),
            // A logit of 40 is a probability of 1 in double floats.
            Task::AnyOf => (probability / (1.0 - probability)).ln().clamp(-40.0, 40.0),
        }
    }

    fn called(self, names: &[String], probabilities: &[f64]) -> Called {
        match self {
            Task::OneOf => {
                Called::Class(names.get(lungfish_metrics::argmax(probabilities)).cloned().unwrap_or_default())
            }
            Task::AnyOf => {
                let pairs = names.iter().zip(probabilities);
                Called::Labels(pairs.filter(|(_, p)| **p >= THRESHOLD).map(|(name, _)| name.clone()).collect())
            }
        }
    }

    fn right(self, labels: &[&Label], rows: &[f32]) -> (usize, usize) {
        let (mut right, mut known) = (0, 0);
        for (label, row) in labels.iter().zip(rows.chunks_exact((rows.len() / labels.len().max(1)).max(1))) {
            match label {
                Label::Class(class) => {
                    right += usize::from(lungfish_metrics::argmax(row) == *class);
                    known += 1;
                }
                Label::Row(values) => {
                    for (value, &logit) in values.iter().zip(row) {
                        // A logit of 0 is a probability of one half.
                        right += usize::from(value.is_some_and(|has| has == (logit >= 0.0)));
                        known += usize::from(value.is_some());
                    }
                }
            }
        }
        (right, known)
    }

    fn judge(self, by: Best) -> Best {
        match self {
            Task::OneOf => by,
            Task::AnyOf => Best::Auc,
        }
    }

    fn model_format(self) -> &'static str {
        match self {
            Task::OneOf => "lungfish.model.1",
            Task::AnyOf => "lungfish.model.2",
        }
    }
}

/// `1 / (1 + exp(-z))`.
pub(crate) fn sigmoid(z: f64) -> f64 {
    // The exponential never overflows, and nothing is taken from 1 that is near 1.
    let small = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// `ln(1 + exp(z))`: minus the logarithm of `1 - sigmoid(z)`.
pub(crate) fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// Of films with rows of labels: what is known of one label, and the logit of each such film.
pub(crate) fn known_of(index: usize, labels: &[&Label], rows: &[f32]) -> (Vec<bool>, Vec<f64>) {
    let width = rows.len() / labels.len().max(1);
    let known = labels.iter().zip(rows.chunks_exact(width.max(1)));
    known.filter_map(|(label, row)| Some((label.has(index)?, f64::from(*row.get(index)?)))).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_classes_sum_to_one_and_those_of_labels_do_not() {
        let rows = Task::OneOf.probabilities(&[-0.287_682_07, -1.386_294_4]);
        assert!((rows.iter().sum::<f64>() - 1.0).abs() < 1e-15 && (rows[0] - 0.75).abs() < 1e-6);
        assert_eq!(Task::OneOf.probabilities(&[0.0, f32::NEG_INFINITY]), [1.0, 0.0]);
        let rows = Task::AnyOf.probabilities(&[0.0, 3_f32.ln(), -200.0, 200.0, f32::INFINITY, f32::NEG_INFINITY]);
        assert!((rows[1] - 0.75).abs() < 1e-7 && rows[2] > 0.0 && rows[2] < 1e-86);
        assert_eq!([rows[0], rows[3], rows[4], rows[5]], [0.5, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn a_film_is_called_one_class_or_any_labels() {
        let names = ["A", "B", "C"].map(str::to_owned);
        let one = Task::OneOf.called(&names, &[0.2, 0.5, 0.3]);
        assert_eq!((one.words().as_str(), one.has("B"), one.has("A")), ("B", true, false));
        let any = Task::AnyOf.called(&names, &[0.5, 0.49, 0.9]);
        assert_eq!(any, Called::Labels(vec!["A".to_owned(), "C".to_owned()]));
        assert_eq!((any.words().as_str(), any.has("B"), any.has("A")), ("A, C", false, true));
        assert_eq!(Task::AnyOf.called(&names, &[0.1; 3]).words(), "none");
    }

    #[test]
    fn what_nobody_knows_is_neither_right_nor_wrong() {
        let rows = [Label::Row(vec![Some(true), None]), Label::Row(vec![Some(false), Some(true)])];
        let labels: Vec<&Label> = rows.iter().collect();
        assert_eq!(Task::AnyOf.right(&labels, &[0.0, 9.0, 0.1, 2.0]), (2, 3));
        let (known, logits) = known_of(1, &labels, &[0.0, 9.0, 0.1, 2.0]);
        assert_eq!((known, logits), (vec![true], vec![2.0]));
        let classes = [Label::Class(1), Label::Class(0)];
        assert_eq!(Task::OneOf.right(&classes.iter().collect::<Vec<_>>(), &[-2.0, -0.1, -3.0, -0.1]), (1, 2));
    }
}
