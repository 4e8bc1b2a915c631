//! How sure an AUC is, and the difference of two on the same films, where films are independent of each other.

use crate::interval::{Confidence, Interval, UNIT, exact_lower};
use crate::placements::{Placements, placements};
use crate::special;

/// An AUC with what its intervals are made of.
///
/// # Which interval
/// [`interval`](Self::interval) is the one to show. It is made on the scale of the logit (Pepe 2003, "The Statistical
/// Evaluation of Medical Tests for Classification and Prediction", chapter 5), since the plain one (Wald's, which pROC's
/// `ci.auc` gives) is too short where AUCs are good and films few: of 30 films with a true AUC of 0.95 it contains the
/// truth in 4 of 5 cases instead of in 19 of 20, and of an AUC of 1 it leaves a point. `tests/coverage.rs` measures both.
///
/// Where every positive film scores above every negative one the variance says 0, which is not how sure the AUC is.
/// What is sure then: with `k` pairs of a positive and a negative film that have no film in common, each of them is in
/// the right order with the probability that the true AUC is, independently. All of them are, so that the exact lower
/// bound of `k` of `k` (Clopper and Pearson) is a lower bound of the AUC: a cautious one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AucEstimate {
    /// The area under the ROC curve, the number of [`roc_auc`](crate::roc_auc).
    pub auc: f64,
    /// The variance of that; `None` where a class has one film, or films of one patient only.
    pub variance: Option<f64>,
    /// Positive films.
    pub positives: u64,
    /// Negative films.
    pub negatives: u64,
    /// So many pairs of a positive and a negative film have nothing in common, no film and no patient.
    pub disjoint_pairs: u64,
    /// Degrees of freedom of the variance; infinite where it is taken as known, as DeLong et al. do.
    pub freedom: f64,
}

/// An interval of an AUC and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AucInterval {
    /// The interval.
    pub interval: Interval,
    /// How it was made.
    pub method: AucMethod,
}

/// What an interval of an AUC is made of, see [`AucEstimate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AucMethod {
    /// From the variance, on the scale of the logit.
    Logit,
    /// From the number of disjoint pairs, because the classes do not overlap and the variance says nothing.
    DisjointPairs,
}

impl AucEstimate {
    /// The interval to show: [`logit`](Self::logit), and from disjoint pairs where the AUC is 1 or 0. `None` where
    /// there is no variance, or where it is 0 because all films have the same score: such an AUC of 1/2 says nothing.
    pub fn interval(&self, confidence: Confidence) -> Option<AucInterval> {
        if self.auc == 0.0 || self.auc == 1.0 {
            let bound = exact_lower(self.disjoint_pairs as f64, 0.0, confidence.alpha() / 2.0);
            let interval = match self.auc {
                0.0 => Interval { low: 0.0, high: 1.0 - bound },
                _ => Interval { low: bound, high: 1.0 },
            };
            return Some(AucInterval { interval, method: AucMethod::DisjointPairs });
        }
        Some(AucInterval { interval: self.logit(confidence)?, method: AucMethod::Logit })
    }

    /// The interval that is symmetrical for `ln(auc / (1 - auc))`. `None` without a variance above 0, and where the AUC
    /// is 0 or 1.
    pub fn logit(&self, confidence: Confidence) -> Option<Interval> {
        let spread = self.auc * (1.0 - self.auc);
        let error = self.variance.filter(|&variance| variance > 0.0 && spread > 0.0)?.sqrt() / spread;
        let (centre, distance) = ((self.auc / (1.0 - self.auc)).ln(), self.quantile(confidence) * error);
        let back = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        // Rounding must not keep the AUC itself out.
        Some(Interval { low: back(centre - distance).min(self.auc), high: back(centre + distance).max(self.auc) })
    }

    /// The plain interval, so many standard errors to either side, cut off at 0 and 1: pROC's
    /// `ci.auc(method = "delong")`. `None` without a variance above 0.
    pub fn wald(&self, confidence: Confidence) -> Option<Interval> {
        let variance = self.variance.filter(|&variance| variance > 0.0)?;
        Some(Interval::around(self.auc, self.quantile(confidence) * variance.sqrt(), UNIT))
    }

    fn quantile(&self, confidence: Confidence) -> f64 {
        special::t_two_sided_quantile(confidence.alpha(), self.freedom)
    }
}

/// The AUCs of two scores of the same films, and their difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AucDifference {
    /// The AUC of the first score.
    pub first: AucEstimate,
    /// The AUC of the second score.
    pub second: AucEstimate,
    /// First minus second.
    pub difference: f64,
    /// The variance of the difference; `None` where a class has one film, or films of one patient only.
    pub variance: Option<f64>,
    /// Degrees of freedom of the variance; infinite where it is taken as known, as DeLong et al. do.
    pub freedom: f64,
}

impl AucDifference {
    /// The difference in standard errors; `None` without a variance above 0, as between scores that order the films
    /// alike.
    pub fn z(&self) -> Option<f64> {
        Some(self.difference / self.variance.filter(|&variance| variance > 0.0)?.sqrt())
    }

    /// How likely a difference as great as this, of either sign, is between scores of the same true AUC; `None` as
    /// [`z`](Self::z).
    pub fn p(&self) -> Option<f64> {
        Some(special::t_two_sided(self.z()?, self.freedom))
    }

    /// The interval of the difference, cut off at -1 and 1; `None` as [`z`](Self::z).
    pub fn interval(&self, confidence: Confidence) -> Option<Interval> {
        let error = self.variance.filter(|&variance| variance > 0.0)?.sqrt();
        let distance = special::t_two_sided_quantile(confidence.alpha(), self.freedom) * error;
        Some(Interval::around(self.difference, distance, Interval { low: -1.0, high: 1.0 }))
    }
}

/// The AUC with DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988, "Comparing the Areas under Two or More
/// Correlated Receiver Operating Characteristic Curves", Biometrics 44, 837-845), by one sort (Sun and Xu 2014, "Fast
/// Implementation of DeLong's Algorithm", IEEE Signal Processing Letters 21, 1389-1393): pROC's `var(roc)`. `None`
/// where there is no positive or no negative film, or a score is not a number.
///
/// The films have to be independent; for several of a patient there is [`crate::clustered::auc`].
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, delong, delong::AucMethod};
/// let estimate = delong::auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
/// assert_eq!((estimate.auc, estimate.variance), (0.75, Some(0.125)));
///
/// // All in order: what two pairs can say is little.
/// let estimate = delong::auc(&[false, false, true, true], &[0.1, 0.2, 0.7, 0.8]).unwrap();
/// let interval = estimate.interval(Confidence::default()).unwrap();
/// assert_eq!(interval.method, AucMethod::DisjointPairs);
/// assert!((interval.interval.low - 0.025_f64.sqrt()).abs() < 1e-12 && interval.interval.high == 1.0);
/// ```
pub fn auc<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<AucEstimate> {
    let placements = placements(positive, scores)?;
    Some(estimate(positive, &placements))
}

/// The difference of the AUCs of two scores of the same films, with DeLong's variance of it: pROC's
/// `roc.test(method = "delong", paired = TRUE)`. `None` as [`auc`].
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::delong;
/// let positive = [false, false, false, true, true, true];
/// let (first, second) = ([0.1, 0.2, 0.5, 0.4, 0.8, 0.9], [0.3, 0.6, 0.5, 0.2, 0.8, 0.7]);
/// let difference = delong::difference(&positive, &first, &second).unwrap();
/// assert!((difference.difference - 2.0 / 9.0).abs() < 1e-15);
/// assert!(difference.p().unwrap() > 0.05);
/// ```
pub fn difference<T: Copy + Into<f64>, U: Copy + Into<f64>>(
    positive: &[bool],
    first: &[T],
    second: &[U],
) -> Option<AucDifference> {
    let (first, second) = (placements(positive, first)?, placements(positive, second)?);
    let between: Vec<f64> = first.of_film.iter().zip(&second.of_film).map(|(first, second)| first - second).collect();
    let difference = first.auc - second.auc;
    Some(AucDifference {
        first: estimate(positive, &first),
        second: estimate(positive, &second),
        difference,
        variance: variance(positive, &between, difference, first.positives, first.negatives),
        freedom: f64::INFINITY,
    })
}

fn estimate(positive: &[bool], placements: &Placements) -> AucEstimate {
    let Placements { ref of_film, auc, positives, negatives } = *placements;
    AucEstimate {
        auc,
        variance: variance(positive, of_film, auc, positives, negatives),
        positives,
        negatives,
        disjoint_pairs: positives.min(negatives),
        freedom: f64::INFINITY,
    }
}

/// The variance of the mean placement, `mean`: that of each class by its number of films, added.
fn variance(positive: &[bool], placements: &[f64], mean: f64, positives: u64, negatives: u64) -> Option<f64> {
    if positives.min(negatives) < 2 {
        return None;
    }
    let mut squares = [0.0; 2];
    for (&positive, placement) in positive.iter().zip(placements) {
        squares[usize::from(positive)] += (placement - mean).powi(2);
    }
    let of = |squares: f64, films: u64| squares / (films - 1) as f64 / films as f64;
    Some(of(squares[1], positives) + of(squares[0], negatives))
}
