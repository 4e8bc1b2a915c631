//! Whether acting on a model does more good than harm.

use crate::bins::levels_of_probabilities;

/// The net benefit of calling films positive from a probability on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetBenefit {
    /// The probability from which one would act: acting for nothing is `threshold / (1 - threshold)` as bad as acting
    /// rightly is good.
    pub threshold: f64,
    /// Of acting where the model's probability is at least the threshold: cases that are found a film, less those acted
    /// on for nothing by their weight.
    pub model: f64,
    /// Of acting on every film.
    pub all: f64,
    /// Of acting on none: 0.
    pub none: f64,
}

/// The decision curve (Vickers and Elkin 2006, "Decision Curve Analysis: A Novel Method for Evaluating Prediction
/// Models", Medical Decision Making 26, 565-574): a point for each threshold, at the prevalence of the films or at a
/// given one. The numbers of `dcurves.dca`.
///
/// `None` for no film, where a probability is not in 0 to 1 or a threshold not in 0 to below 1, and for a given
/// prevalence that is not in 0 to 1 or of films of one class.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::decision_curve;
/// let curve = decision_curve(&[true, false, false, false], &[0.8, 0.6, 0.2, 0.1], &[0.25, 0.5], None).unwrap();
/// assert!((curve[0].model - (1.0 - 1.0 / 3.0) / 4.0).abs() < 1e-15);
/// assert!((curve[1].all - (0.25 - 0.75)).abs() < 1e-15);
/// ```
pub fn decision_curve<T: Copy + Into<f64>>(
    positive: &[bool],
    probabilities: &[T],
    thresholds: &[f64],
    prevalence: Option<f64>,
) -> Option<Vec<NetBenefit>> {
    // At each level, the highest first: the films called positive of either class.
    let (mut found, mut alarms) = (0, 0);
    let levels = levels_of_probabilities(positive, probabilities)?;
    let called: Vec<(f64, u64, u64)> = levels
        .iter()
        .map(|level| {
            found += level.positives;
            alarms += level.negatives;
            (level.score, found, alarms)
        })
        .collect();
    let own = found as f64 / (found + alarms) as f64;
    // What a film of either class weighs, at another prevalence.
    let films = positive.len() as f64;
    let (prevalence, weights) = match prevalence {
        None => (own, [1.0 / films; 2]),
        Some(given) if (0.0..=1.0).contains(&given) && found > 0 && alarms > 0 => {
            (given, [given / found as f64, (1.0 - given) / alarms as f64])
        }
        Some(_) => return None,
    };
    let point = |&threshold: &f64| {
        (0.0..1.0).contains(&threshold).then(|| {
            let odds = threshold / (1.0 - threshold);
            let levels = called.partition_point(|(score, ..)| *score >= threshold);
            let (found, alarms) = levels.checked_sub(1).map_or((0, 0), |last| (called[last].1, called[last].2));
            let model = found as f64 * weights[0] - alarms as f64 * weights[1] * odds;
            NetBenefit { threshold, model, all: prevalence - (1.0 - prevalence) * odds, none: 0.0 }
        })
    };
    thresholds.iter().map(point).collect()
}
