//! The metrics of one split.

use crate::predict::probabilities;

/// Loss, accuracy and AUC of one split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Metrics {
    /// Plain negative log-likelihood, mean.
    pub loss: f64,
    /// Part that is right.
    pub accuracy: f64,
    /// None where undefined.
    pub auc: Option<f64>,
}

impl Metrics {
    /// From rows of log-probabilities `[films, classes]`; none without films.
    pub(crate) fn new(classes: usize, labels: &[usize], rows: &[f32]) -> Option<Self> {
        let predicted: Vec<usize> = rows.chunks_exact(classes).map(lungfish_metrics::argmax).collect();
        let scores: Vec<f64> = rows.chunks_exact(classes).flat_map(probabilities).collect();
        Some(Metrics {
            loss: lungfish_metrics::nll(classes, labels, rows)?,
            accuracy: lungfish_metrics::accuracy(labels, &predicted)?,
            auc: lungfish_metrics::roc_auc_one_vs_rest(classes, labels, &scores),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_four_films() {
        let rows: Vec<f32> =
            [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]].as_flattened().iter().map(|p: &f32| p.ln()).collect();
        let metrics = Metrics::new(2, &[0, 0, 1, 1], &rows).unwrap();
        assert_eq!((metrics.accuracy, metrics.auc), (0.5, Some(0.75)));
        let loss = -(0.9_f64.ln() + 0.4_f64.ln() + 0.8_f64.ln() + 0.3_f64.ln()) / 4.0;
        assert!((metrics.loss - loss).abs() < 1e-6);
        assert_eq!(Metrics::new(2, &[], &[]), None);
    }
}
