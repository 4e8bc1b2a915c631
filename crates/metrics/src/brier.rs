//! The mean squared error of probabilities, and what it is made of.

use crate::bins::{equal_mass, levels_of_probabilities};

/// The Brier score: the mean of `(probability - label)^2` (Brier 1950, "Verification of Forecasts Expressed in Terms of
/// Probability", Monthly Weather Review 78, 1-3; `sklearn.metrics.brier_score_loss`), from 0, the best, to 1. `None`
/// for no film, and where a probability is not in 0 to 1.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// assert_eq!(lungfish_metrics::brier::score(&[true, false], &[0.5, 0.5]), Some(0.25));
/// assert_eq!(lungfish_metrics::brier::score(&[true], &[1.5]), None);
/// ```
pub fn score<T: Copy + Into<f64>>(positive: &[bool], probabilities: &[T]) -> Option<f64> {
    let levels = levels_of_probabilities(positive, probabilities)?;
    let sum: f64 = levels
        .iter()
        .map(|level| {
            level.positives as f64 * (1.0 - level.score).powi(2) + level.negatives as f64 * level.score.powi(2)
        })
        .sum();
    Some(sum / positive.len() as f64)
}

/// The Brier skill score: by which part the [`score`] is less than that of telling every film the share of positive
/// ones. 1 is perfect, 0 as good as that, below 0 worse. `None` where the score is, and where all films are of one
/// class.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// assert_eq!(lungfish_metrics::brier::skill(&[true, false], &[0.5, 0.5]), Some(0.0));
/// assert_eq!(lungfish_metrics::brier::skill(&[true, true], &[0.5, 0.5]), None);
/// ```
pub fn skill<T: Copy + Into<f64>>(positive: &[bool], probabilities: &[T]) -> Option<f64> {
    let score = score(positive, probabilities)?;
    let uncertainty = uncertainty(positive);
    (uncertainty > 0.0).then(|| 1.0 - score / uncertainty)
}

/// The parts of a Brier score: `score = reliability - resolution + uncertainty + within`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parts {
    /// The whole [`score`].
    pub score: f64,
    /// How far, in the bins, probabilities lie from what happens; 0 is best.
    pub reliability: f64,
    /// How far what happens in the bins lies from the mean of all; more is better.
    pub resolution: f64,
    /// What the set itself brings along: `share (1 - share)` of the positive films.
    pub uncertainty: f64,
    /// What the bins hide, since probabilities differ within them (Stephenson, Coelho and Jolliffe 2008, "Two Extra
    /// Components in the Brier Score Decomposition", Weather and Forecasting 23, 752-757); of either sign.
    pub within: f64,
}

/// The parts of the [`score`] (Murphy 1973, "A New Vector Partition of the Probability Score", Journal of Applied
/// Meteorology 12, 595-600), over at most `bins` bins of as many films each; films of one probability share a bin.
/// `None` where the score is, and for no bin.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// let parts = lungfish_metrics::brier::parts(&[false, true, true, true], &[0.25, 0.25, 0.75, 0.75], 2).unwrap();
/// assert_eq!((parts.reliability, parts.resolution, parts.uncertainty, parts.within), (0.0625, 0.0625, 0.1875, 0.0));
/// assert_eq!(parts.score, 0.1875);
/// ```
pub fn parts<T: Copy + Into<f64>>(positive: &[bool], probabilities: &[T], bins: usize) -> Option<Parts> {
    let (score, bins) = (score(positive, probabilities)?, equal_mass(positive, probabilities, bins)?);
    let all = positive.len() as f64;
    let mean = positive.iter().filter(|&&is| is).count() as f64 / all;
    let reliability = bins.iter().map(|bin| bin.films as f64 * (bin.mean - bin.share()).powi(2)).sum::<f64>() / all;
    let resolution = bins.iter().map(|bin| bin.films as f64 * (bin.share() - mean).powi(2)).sum::<f64>() / all;
    let uncertainty = uncertainty(positive);
    Some(Parts {
        score,
        reliability,
        resolution,
        uncertainty,
        within: score - (reliability - resolution + uncertainty),
    })
}

fn uncertainty(positive: &[bool]) -> f64 {
    let share = positive.iter().filter(|&&is| is).count() as f64 / positive.len() as f64;
    share * (1.0 - share)
}
