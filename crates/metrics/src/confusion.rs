//! Counts of (label, prediction) and the metrics that follow from them.

use crate::ratio;

/// How often each class was taken for each: a square of counts, rows are labels, columns are predictions, as
/// `sklearn.metrics.confusion_matrix`.
///
/// ```
/// let confusion = lungfish_metrics::Confusion::new(2, &[0, 1, 1, 1], &[0, 1, 1, 0]);
/// assert_eq!(confusion.rows(), vec![vec![1, 0], vec![1, 2]]);
/// assert_eq!(confusion.accuracy(), Some(0.75));
/// assert_eq!(confusion.class(1).precision, Some(1.0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

/// One class against all others. A metric is `None` where its denominator is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassMetrics {
    /// True positives of all that were predicted to be this class.
    pub precision: Option<f64>,
    /// True positives of all that are this class; of the positive class this is the sensitivity, of the negative one
    /// the specificity.
    pub recall: Option<f64>,
    /// The harmonic mean of both: `2 tp / (2 tp + fp + fn)`.
    pub f1: Option<f64>,
    /// How many films have this label.
    pub support: u64,
}

impl Confusion {
    /// Counts films by label and prediction.
    ///
    /// # Panics
    /// If the slices differ in length or hold a class that is not below `classes`.
    pub fn new(classes: usize, labels: &[usize], predicted: &[usize]) -> Confusion {
        assert_eq!(labels.len(), predicted.len(), "a prediction a label");
        let mut counts = vec![0; classes * classes];
        for (&label, &predicted) in labels.iter().zip(predicted) {
            assert!(label < classes && predicted < classes, "label {label} and prediction {predicted} of {classes}");
            counts[label * classes + predicted] += 1;
        }
        Confusion { classes, counts }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many films of class `label` were predicted to be `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        assert!(label < self.classes && predicted < self.classes, "classes are below {}", self.classes);
        self.counts[label * self.classes + predicted]
    }

    /// The counts as rows, a label each.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        (0..self.classes)
            .map(|label| (0..self.classes).map(|predicted| self.count(label, predicted)).collect())
            .collect()
    }

    /// The share of films on the diagonal; `None` for no film.
    pub fn accuracy(&self) -> Option<f64> {
        ratio((0..self.classes).map(|class| self.count(class, class)).sum(), self.counts.iter().sum())
    }

    /// The metrics of one class against all others.
    pub fn class(&self, class: usize) -> ClassMetrics {
        let hits = self.count(class, class);
        let support = (0..self.classes).map(|predicted| self.count(class, predicted)).sum();
        let called = (0..self.classes).map(|label| self.count(label, class)).sum();
        ClassMetrics {
            precision: ratio(hits, called),
            recall: ratio(hits, support),
            f1: ratio(2 * hits, called + support),
            support,
        }
    }
}
