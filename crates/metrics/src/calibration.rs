//! Whether probabilities are what happens: in bins. As a line: [`crate::cox`]; to mend them: [`crate::temperature`].
//!
//! Bins have as many films each. Bins of the same length, common as they are, leave most of them with a handful of
//! films where a network is sure of itself.

use crate::bins::equal_mass;
use crate::bootstrap::{Bootstrap, Resampled};
use crate::interval::{Confidence, Interval, wilson};

/// A point of the reliability diagram: the films of a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityPoint {
    /// The least probability of the bin.
    pub low: f64,
    /// The greatest one.
    pub high: f64,
    /// The mean one.
    pub mean_probability: f64,
    /// Films in the bin.
    pub films: u64,
    /// Positive ones of them.
    pub positives: u64,
    /// The part that is positive.
    pub share: f64,
    /// Wilson's interval of that part, as if the films were independent.
    pub interval: Interval,
}

/// The reliability diagram over at most `bins` bins of as many films each, the lowest first; films of one probability
/// share a bin. The points are those of `sklearn.calibration.calibration_curve(strategy = "quantile")` where the bins
/// divide the films evenly and no two probabilities are the same. `None` for no film or no bin, and where a probability
/// is not in 0 to 1.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, calibration::reliability};
/// let points = reliability(&[false, false, true, true], &[0.1, 0.3, 0.6, 0.8], 2, Confidence::default()).unwrap();
/// assert_eq!(points.len(), 2);
/// assert_eq!((points[0].low, points[0].high, points[0].share), (0.1, 0.3, 0.0));
/// ```
pub fn reliability<T: Copy + Into<f64>>(
    positive: &[bool],
    probabilities: &[T],
    bins: usize,
    confidence: Confidence,
) -> Option<Vec<ReliabilityPoint>> {
    let bins = equal_mass(positive, probabilities, bins)?;
    let point = |bin: crate::bins::Bin| {
        Some(ReliabilityPoint {
            low: bin.low,
            high: bin.high,
            mean_probability: bin.mean,
            films: bin.films,
            positives: bin.positives,
            share: bin.share(),
            interval: wilson(bin.positives, bin.films, confidence)?,
        })
    };
    bins.into_iter().map(point).collect()
}

/// The expected calibration error: how far, on average over the films, the mean probability of their bin lies from the
/// part of the bin that is positive (Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using
/// Bayesian Binning", AAAI; with bins of equal mass Nguyen and O'Connor 2015, arXiv 1508.05154). Of more than two
/// classes the usual number is that of "was the answer right" and the probability of the answer.
///
/// Of few films it is never 0, even where all probabilities are right: it is a sum of what chance leaves in each bin.
/// `None` as [`reliability`].
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// let error = lungfish_metrics::calibration::ece(&[false, false, true, true], &[0.1, 0.3, 0.6, 0.8], 2).unwrap();
/// assert!((error - 0.25).abs() < 1e-12);
/// ```
pub fn ece<T: Copy + Into<f64>>(positive: &[bool], probabilities: &[T], bins: usize) -> Option<f64> {
    let bins = equal_mass(positive, probabilities, bins)?;
    let sum: f64 = bins.iter().map(|bin| bin.films as f64 * (bin.mean - bin.share()).abs()).sum();
    Some(sum / positive.len() as f64)
}

/// The calibration error resampled by `clusters` (patients), for its interval. Since every resample adds its own chance
/// to that of the films, resamples lie above the estimate: [`Resampled::bca`] corrects for it in part, and gives
/// nothing where all of them do.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, bootstrap::Bootstrap, calibration::resampled_ece};
/// let positive: Vec<bool> = (0..60).map(|film| film * film % 7 < 3).collect();
/// let probabilities: Vec<f64> = (0..60).map(|film| f64::from(film * 17 % 60) / 60.0).collect();
/// let patients: Vec<usize> = (0..60).map(|film| film / 2).collect();
/// let resampled = resampled_ece(&positive, &probabilities, 5, &patients, &Bootstrap::new(7)).unwrap();
/// assert!(resampled.percentile(Confidence::default()).unwrap().width() > 0.0);
/// ```
pub fn resampled_ece<T: Copy + Into<f64> + Sync, C: Ord>(
    positive: &[bool],
    probabilities: &[T],
    bins: usize,
    clusters: &[C],
    bootstrap: &Bootstrap,
) -> Option<Resampled> {
    assert_eq!(positive.len(), probabilities.len(), "a probability a label");
    assert_eq!(positive.len(), clusters.len(), "a cluster a label");
    bootstrap.run(clusters, |films| {
        let drawn: (Vec<bool>, Vec<T>) = films.iter().map(|&film| (positive[film], probabilities[film])).unzip();
        ece(&drawn.0, &drawn.1, bins)
    })
}
