//! Labels and scores in, metrics out.
//!
//! Everything here takes plain slices and gives plain numbers, in `f64`, and follows scikit-learn's definitions. Where
//! a metric is undefined (no film, a class that never occurs, a score that is not a number) it is `None`, never a
//! made-up zero. A class is its index; scores lie in rows, `classes` of them a film.
//!
//! How sure a figure is: [`interval`] for shares and [`delong`] for AUCs of independent films, [`clustered`] for both
//! where patients have several, [`bootstrap`] for everything else; [`paired`] for two models on the same films. Whether
//! probabilities are what happens: [`brier`], [`calibration`], [`cox`], and [`temperature`] to mend them. What to do
//! with them: [`binary`] calls, [`operating_point`]s, and the [`decision_curve`](fn@decision_curve).
//!
//! Slices whose lengths contradict each other, counts that do and labels past the number of classes are mistakes of the
//! calling program, not of its user, and panic.

#![forbid(unsafe_code)]

pub mod adjusted;
mod auc;
pub mod binary;
mod bins;
pub mod bootstrap;
pub mod brier;
pub mod calibration;
pub mod clustered;
mod clusters;
mod confusion;
pub mod cox;
mod curves;
mod decision_curve;
pub mod delong;
pub mod interval;
mod levels;
pub mod operating_point;
pub mod paired;
mod placements;
mod random;
mod special;
pub mod temperature;

pub use auc::{roc_auc, roc_auc_one_vs_rest};
pub use confusion::{ClassMetrics, Confusion};
pub use curves::{PrecisionRecallPoint, RocPoint, average_precision, precision_recall_curve, roc_curve};
pub use decision_curve::{NetBenefit, decision_curve};
pub use interval::{Confidence, Interval};

/// The share of films whose predicted class is their label; `None` for no film.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// assert_eq!(lungfish_metrics::accuracy(&[0, 1, 1, 0], &[0, 1, 0, 0]), Some(0.75));
/// assert_eq!(lungfish_metrics::accuracy(&[], &[]), None);
/// ```
pub fn accuracy(labels: &[usize], predicted: &[usize]) -> Option<f64> {
    assert_eq!(labels.len(), predicted.len(), "a prediction a label");
    let right = labels.iter().zip(predicted).filter(|(label, predicted)| label == predicted).count();
    ratio(right as u64, labels.len() as u64)
}

/// The index of the largest score of one film, the first of equal ones, as `numpy.argmax` has it. Scores that are not
/// numbers never win; an empty row gives 0.
///
/// ```
/// assert_eq!(lungfish_metrics::argmax(&[0.2_f32, 0.4, 0.4]), 1);
/// ```
pub fn argmax<T: Copy + Into<f64>>(scores: &[T]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, &score) in scores.iter().enumerate() {
        if score.into() > best.1 {
            best = (index, score.into());
        }
    }
    best.0
}

/// The mean negative log-likelihood, as `torch.nn.NLLLoss`: minus the mean of each film's log-probability of its label.
/// `log_probabilities` are rows `[films, classes]`. `None` for no film; infinite where a label has probability 0.
///
/// # Panics
/// If there are not `classes` scores a label, or a label is not below `classes`.
///
/// ```
/// let rows = [0.25_f64.ln(), 0.75_f64.ln(), 0.5_f64.ln(), 0.5_f64.ln()];
/// let loss = lungfish_metrics::nll(2, &[1, 0], &rows).unwrap();
/// assert!((loss + (0.75_f64.ln() + 0.5_f64.ln()) / 2.0).abs() < 1e-12);
/// ```
pub fn nll<T: Copy + Into<f64>>(classes: usize, labels: &[usize], log_probabilities: &[T]) -> Option<f64> {
    check_rows(classes, labels, log_probabilities.len());
    if labels.is_empty() {
        return None;
    }
    let sum: f64 =
        log_probabilities.chunks_exact(classes).zip(labels).map(|(row, &label)| Into::<f64>::into(row[label])).sum();
    // `0 - x` and not `-x`: a certain and right model has loss 0, not -0.
    Some(0.0 - sum / labels.len() as f64)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn check_rows(classes: usize, labels: &[usize], scores: usize) {
    assert!(classes > 0, "at least one class");
    assert_eq!(scores, labels.len() * classes, "{classes} scores a film");
    assert!(labels.iter().all(|&label| label < classes), "labels are below {classes}");
}
