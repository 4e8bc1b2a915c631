//! The area under the ROC curve, by ranks.

use crate::check_rows;
use crate::levels::levels;

/// The area under the ROC curve of two classes: the chance that a positive film scores higher than a negative one, a tie
/// counting half (Mann-Whitney's U; the same number as `sklearn.metrics.roc_auc_score`). `None` where there is no
/// positive or no negative film, or a score is not a number.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::roc_auc;
/// assert_eq!(roc_auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]), Some(0.75));
/// assert_eq!(roc_auc(&[true, true], &[0.3, 0.9]), None);
/// ```
pub fn roc_auc<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<f64> {
    // Whole numbers throughout, exact up to 2^63 pairs: twice the pairs won, so that a tie counts one.
    let (mut twice_won, mut negatives, mut positives) = (0_u64, 0_u64, 0_u64);
    for level in levels(positive, scores)?.iter().rev() {
        twice_won += level.positives * (2 * negatives + level.negatives);
        negatives += level.negatives;
        positives += level.positives;
    }
    let pairs = positives * negatives;
    (pairs > 0).then(|| twice_won as f64 / (2 * pairs) as f64)
}

/// The AUC of a classifier of `classes` classes from its rows of scores `[films, classes]`: of class 1 for two classes,
/// and beyond two the plain mean of each class against the rest (`roc_auc_score(multi_class="ovr", average="macro")`).
/// `None` where any of those is undefined, and for fewer than two classes.
///
/// # Panics
/// If there are not `classes` scores a label, or a label is not below `classes`.
///
/// ```
/// use lungfish_metrics::roc_auc_one_vs_rest;
/// let rows = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.2, 0.2, 0.6];
/// assert_eq!(roc_auc_one_vs_rest(3, &[0, 1, 2], &rows), Some(1.0));
/// assert_eq!(roc_auc_one_vs_rest(3, &[0, 1, 1], &rows), None);
/// ```
pub fn roc_auc_one_vs_rest<T: Copy + Into<f64>>(classes: usize, labels: &[usize], scores: &[T]) -> Option<f64> {
    check_rows(classes, labels, scores.len());
    let of_class = |class: usize| {
        let positive: Vec<bool> = labels.iter().map(|&label| label == class).collect();
        let column: Vec<T> = scores.iter().skip(class).step_by(classes).copied().collect();
        roc_auc(&positive, &column)
    };
    match classes {
        0 | 1 => None,
        2 => of_class(1),
        _ => Some((0..classes).map(of_class).sum::<Option<f64>>()? / classes as f64),
    }
}
