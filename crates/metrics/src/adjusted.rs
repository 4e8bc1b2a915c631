//! How well a score tells the classes apart among films that are alike in something else: the projection, the hospital,
//! an age band. An AUC over all films also counts what the score knows of that.

use crate::bootstrap::{Bootstrap, Resampled};
use crate::clusters::Clusters;
use crate::roc_auc;

/// An AUC that is adjusted for a covariate.
#[derive(Debug, Clone, PartialEq)]
pub struct AdjustedAuc<S> {
    /// The mean of the AUCs of the strata, each by its positive films.
    pub auc: f64,
    /// Each stratum with films of both classes, in their order.
    pub strata: Vec<StratumAuc<S>>,
    /// Positive films in strata without a negative one, which nothing can be said of.
    pub positives_left_out: u64,
}

/// The AUC within a stratum.
#[derive(Debug, Clone, PartialEq)]
pub struct StratumAuc<S> {
    /// The stratum.
    pub stratum: S,
    /// The AUC of its films.
    pub auc: f64,
    /// Its positive films.
    pub positives: u64,
    /// Its negative films.
    pub negatives: u64,
}

/// The covariate-adjusted AUC (Janes and Pepe 2009, "Adjusting for Covariate Effects on Classification Accuracy Using
/// the Covariate-Adjusted Receiver Operating Characteristic Curve", Biometrika 96, 371-382): the chance that a positive
/// film scores higher than a negative film of its own stratum, a tie counting half. `strata` has the covariate of each
/// film. `None` where no stratum has films of both classes, and where a score is not a number.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{adjusted, roc_auc};
/// // A score that knows how the film was taken and nothing else: sick patients are filmed in bed (AP).
/// let positive = [true, true, true, false, true, false, false, false];
/// let view = ["AP", "AP", "AP", "AP", "PA", "PA", "PA", "PA"];
/// let scores = view.map(|view| if view == "AP" { 0.9 } else { 0.1 });
/// assert_eq!(roc_auc(&positive, &scores), Some(0.75));
/// assert_eq!(adjusted::auc(&positive, &scores, &view).unwrap().auc, 0.5);
/// ```
pub fn auc<T: Copy + Into<f64>, S: Ord + Clone>(
    positive: &[bool],
    scores: &[T],
    strata: &[S],
) -> Option<AdjustedAuc<S>> {
    assert_eq!(positive.len(), scores.len(), "a score a label");
    assert_eq!(positive.len(), strata.len(), "a stratum a label");
    if scores.iter().any(|&score| score.into().is_nan()) {
        return None;
    }
    let groups = Clusters::new(strata);
    let (mut sum, mut counted, mut positives_left_out) = (0.0, 0, 0);
    let mut out = Vec::new();
    for group in 0..groups.len() {
        let films = groups.films(group);
        let (positive, scores): (Vec<bool>, Vec<T>) = films.iter().map(|&film| (positive[film], scores[film])).unzip();
        let positives = positive.iter().filter(|&&is| is).count() as u64;
        match roc_auc(&positive, &scores) {
            None => positives_left_out += positives,
            Some(auc) => {
                sum += auc * positives as f64;
                counted += positives;
                let negatives = positive.len() as u64 - positives;
                out.push(StratumAuc { stratum: strata[films[0]].clone(), auc, positives, negatives });
            }
        }
    }
    (counted > 0).then(|| AdjustedAuc { auc: sum / counted as f64, strata: out, positives_left_out })
}

/// The adjusted AUC resampled by `clusters` (patients), patients with and without positive films each in their number,
/// for its interval.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, adjusted, bootstrap::Bootstrap};
/// let positive: Vec<bool> = (0..80).map(|film| film % 2 == 0).collect();
/// let scores: Vec<f64> = (0..80).map(|film| f64::from(film * 37 % 80) + 30.0 * f64::from(film % 2 == 0)).collect();
/// let view: Vec<bool> = (0..80).map(|film| film % 3 == 0).collect();
/// let patients: Vec<usize> = (0..80).collect();
/// let resampled = adjusted::resampled(&positive, &scores, &view, &patients, &Bootstrap::new(7)).unwrap();
/// assert!(resampled.bca(Confidence::default()).unwrap().contains(resampled.estimate));
/// ```
pub fn resampled<T: Copy + Into<f64> + Sync, S: Ord + Clone + Sync, C: Ord>(
    positive: &[bool],
    scores: &[T],
    strata: &[S],
    clusters: &[C],
    bootstrap: &Bootstrap,
) -> Option<Resampled> {
    assert_eq!(positive.len(), scores.len(), "a score a label");
    assert_eq!(positive.len(), strata.len(), "a stratum a label");
    bootstrap.run_stratified(clusters, positive, |films| {
        let of = |&film: &usize| (positive[film], (scores[film], strata[film].clone()));
        let (positive, rest): (Vec<bool>, Vec<(T, S)>) = films.iter().map(of).unzip();
        let (scores, strata): (Vec<T>, Vec<S>) = rest.into_iter().unzip();
        Some(auc(&positive, &scores, &strata)?.auc)
    })
}
