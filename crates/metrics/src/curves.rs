//! Curves over all thresholds: a film is called positive where its score is at least the threshold.

use crate::levels::{Level, levels};
use crate::ratio;

/// A point of the receiver operating characteristic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Of the negative films, the part called positive: 1 - specificity.
    pub false_positive_rate: f64,
    /// Of the positive films, the part called positive: sensitivity, recall.
    pub true_positive_rate: f64,
    /// Films that score at least this are called positive; infinite for the first point, at which none is.
    pub threshold: f64,
}

/// The receiver operating characteristic: from (0, 0), where no film is called positive, a point for each different
/// score from the highest down, to (1, 1). The same points as `sklearn.metrics.roc_curve(drop_intermediate=False)`; the
/// area under the straight lines between them is [`roc_auc`](crate::roc_auc). `None` where there is no positive or no
/// negative film, or a score is not a number.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// let curve = lungfish_metrics::roc_curve(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
/// let points: Vec<_> = curve.iter().map(|p| (p.false_positive_rate, p.true_positive_rate)).collect();
/// assert_eq!(points, [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]);
/// assert_eq!(curve[2].threshold, 0.4);
/// ```
pub fn roc_curve<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<Vec<RocPoint>> {
    let called = called(&levels(positive, scores)?);
    let all = *called.last()?;
    let mut points = vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0, threshold: f64::INFINITY }];
    for Called { threshold, hits, false_alarms } in called {
        points.push(RocPoint {
            false_positive_rate: ratio(false_alarms, all.false_alarms)?,
            true_positive_rate: ratio(hits, all.hits)?,
            threshold,
        });
    }
    Some(points)
}

/// A point of the precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecallPoint {
    /// Of the films called positive, the part that is; 1 where none is called so.
    pub precision: f64,
    /// Of the positive films, the part called positive: sensitivity.
    pub recall: f64,
    /// Films that score at least this are called positive; infinite for the first point, at which none is.
    pub threshold: f64,
}

/// The precision-recall curve: from recall 0 and precision 1, where no film is called positive, a point for each
/// different score from the highest down, to recall 1. The points of `sklearn.metrics.precision_recall_curve`, which
/// lists them from the other end. `None` where there is no positive film, or a score is not a number.
///
/// Its points are not joined by straight lines: [`average_precision`] is the area that it has.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// let curve = lungfish_metrics::precision_recall_curve(&[false, true, true], &[0.4, 0.35, 0.8]).unwrap();
/// let points: Vec<_> = curve.iter().map(|p| (p.recall, p.precision)).collect();
/// assert_eq!(points, [(0.0, 1.0), (0.5, 1.0), (0.5, 0.5), (1.0, 2.0 / 3.0)]);
/// ```
pub fn precision_recall_curve<T: Copy + Into<f64>>(
    positive: &[bool],
    scores: &[T],
) -> Option<Vec<PrecisionRecallPoint>> {
    let called = called(&levels(positive, scores)?);
    let all = *called.last()?;
    let mut points = vec![PrecisionRecallPoint { precision: 1.0, recall: 0.0, threshold: f64::INFINITY }];
    for Called { threshold, hits, false_alarms } in called {
        points.push(PrecisionRecallPoint {
            precision: ratio(hits, hits + false_alarms)?,
            recall: ratio(hits, all.hits)?,
            threshold,
        });
    }
    Some(points)
}

/// Average precision: the precision at each threshold, weighted by the recall that it adds, the number of
/// `sklearn.metrics.average_precision_score`. A classifier that knows nothing has the share of positive films. `None`
/// where there is no positive film, or a score is not a number.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::average_precision;
/// assert_eq!(average_precision(&[false, true, true], &[0.4, 0.35, 0.8]), Some(0.5 + 0.5 * 2.0 / 3.0));
/// assert_eq!(average_precision(&[false], &[0.4]), None);
/// ```
pub fn average_precision<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<f64> {
    let curve = precision_recall_curve(positive, scores)?;
    Some(curve.windows(2).map(|pair| (pair[1].recall - pair[0].recall) * pair[1].precision).sum())
}

/// What is called positive at a threshold.
#[derive(Clone, Copy)]
struct Called {
    threshold: f64,
    hits: u64,
    false_alarms: u64,
}

/// At each level, from the highest score down; the last has all films.
fn called(levels: &[Level]) -> Vec<Called> {
    let (mut hits, mut false_alarms) = (0, 0);
    let call = |level: &Level| {
        hits += level.positives;
        false_alarms += level.negatives;
        Called { threshold: level.score, hits, false_alarms }
    };
    levels.iter().map(call).collect()
}
