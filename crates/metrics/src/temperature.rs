//! One number that makes a network as sure of itself as it should be (Guo, Pleiss, Sun and Weinberger 2017, "On
//! Calibration of Modern Neural Networks", arXiv 1706.04599): logits are divided by a temperature. No order changes,
//! and with it neither the AUC nor which class is the likeliest.

use std::ops::{Range, RangeInclusive};

use crate::clusters::Clusters;
use crate::random::{Random, Use};
use crate::special::root;

/// Temperatures are sought in this range. Films that a model has all right have none: the lower the better.
pub const RANGE: RangeInclusive<f64> = 0.1..=10.0;

/// A temperature and what it does to the films that it was found on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// To divide logits by: above 1 the network was too sure of itself. Exactly 1 where no other is better.
    pub temperature: f64,
    /// Mean negative log-likelihood of the films as they are.
    pub nll_before: f64,
    /// The same at this temperature; never greater.
    pub nll_after: f64,
    /// Whether it lies at an end of [`RANGE`], and a better one beyond: of few films, or of films that were learned.
    pub at_end: bool,
}

/// The temperature of a classifier's log-probabilities (or logits), rows `[films, classes]`, that leaves the films the
/// least negative log-likelihood. Scaled log-probabilities are `log_softmax(row / temperature)`.
///
/// The likelihood is convex in `1 / temperature`, so its slope has one root; that is found, to twelve digits, where a
/// search for the least value itself ends at eight.
///
/// `None` for no film, where a value is not a number or positive infinity, and where a label has probability 0.
///
/// # Panics
/// If there are not `classes` values a label, or a label is not below `classes`.
///
/// ```
/// use lungfish_metrics::temperature;
/// // 90 % sure and right in 3 of 4 cases: its logits are twice what they should be.
/// let row = [0.9_f64.ln(), 0.1_f64.ln()];
/// let found = temperature::of_rows(2, &[0, 0, 0, 1], &[row; 4].concat()).unwrap();
/// assert!((found.temperature - 2.0).abs() < 1e-9);
/// assert!(found.nll_after < found.nll_before);
/// ```
pub fn of_rows<T: Copy + Into<f64>>(classes: usize, labels: &[usize], rows: &[T]) -> Option<Temperature> {
    Films::of_rows(classes, labels, rows)?.temperature()
}

/// The temperature of the logits of a binary label, see [`of_rows`]. `None` for no film, and where a logit is not
/// finite.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::temperature;
/// let found = temperature::of_logits(&[true, true, true, false], &[9.0_f64.ln(); 4]).unwrap();
/// assert!((found.temperature - 2.0).abs() < 1e-9);
/// ```
pub fn of_logits<T: Copy + Into<f64>>(positive: &[bool], logits: &[T]) -> Option<Temperature> {
    Films::of_logits(positive, logits)?.temperature()
}

/// Temperatures that were each found on other films than those they are for.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossFitted {
    /// The temperature of all films: the one to keep.
    pub all: Temperature,
    /// The temperature found without the films of each fold.
    pub folds: Vec<f64>,
    /// The fold of each film.
    pub fold_of_film: Vec<usize>,
    /// Mean negative log-likelihood of all films, each at the temperature found without it: what is to be told about
    /// the temperature. It may be greater than that before.
    pub nll_after: f64,
}

impl CrossFitted {
    /// The temperature for a film that was found without it and without the other films of its cluster, to scale it by
    /// before whatever else is told: a calibration error, a slope.
    pub fn of_film(&self, film: usize) -> f64 {
        self.folds[self.fold_of_film[film]]
    }
}

/// Temperatures of a classifier's rows, see [`of_rows`], found without each of `folds` parts in turn: what is told
/// about probabilities that were scaled with the same films is too good. Whole clusters (patients) make a fold, those
/// of each class in equal parts, drawn by `seed`.
///
/// `None` where [`of_rows`] is of all films, and for fewer clusters than folds or fewer than two folds.
///
/// # Panics
/// If there are not `classes` values a label, not a cluster a label, or a label is not below `classes`.
///
/// ```
/// use lungfish_metrics::temperature;
/// let rows = [[0.9_f64.ln(), 0.1_f64.ln()]; 8].concat();
/// let (labels, patients) = ([0, 0, 0, 1, 0, 0, 1, 0], [0, 0, 1, 1, 2, 2, 3, 3]);
/// let fitted = temperature::cross_fit_rows(2, &labels, &rows, &patients, 4, 7).unwrap();
/// assert_eq!(fitted.folds.len(), 4);
/// assert!(fitted.nll_after >= fitted.all.nll_after);
/// ```
pub fn cross_fit_rows<T: Copy + Into<f64>, C: Ord>(
    classes: usize,
    labels: &[usize],
    rows: &[T],
    clusters: &[C],
    folds: usize,
    seed: u64,
) -> Option<CrossFitted> {
    Films::of_rows(classes, labels, rows)?.cross_fit(clusters, folds, seed)
}

/// Temperatures of rows that are for another frequency of the classes than these films have, see [`cross_fit_rows`]: what is
/// compared with the labels is `log_softmax(row / temperature + shift)`, with a number for each class in `shift` (for rows of
/// equally frequent classes the logarithm of each class's share). Rows that are divided by such a temperature have their
/// greatest value where they had it: no call changes.
///
/// # Panics
/// As [`cross_fit_rows`], and if `shift` has not `classes` numbers.
///
/// ```
/// use lungfish_metrics::temperature;
/// // Three in four films are of class 1, which the rows do not know; with that they need no temperature.
/// let rows = [[0.5_f64.ln(); 2]; 16].concat();
/// let (labels, patients) = ([1, 1, 0, 1].repeat(4), Vec::from_iter(0..16));
/// let shift = [0.25_f64.ln(), 0.75_f64.ln()];
/// let fitted = temperature::cross_fit_shifted(2, &labels, (&rows, &shift), &patients, 4, 7).unwrap();
/// assert!((fitted.all.nll_before - 0.5623).abs() < 1e-4);
/// assert_eq!(fitted.all.temperature, 1.0);
/// ```
pub fn cross_fit_shifted<T: Copy + Into<f64>, C: Ord>(
    classes: usize,
    labels: &[usize],
    (rows, shift): (&[T], &[f64]),
    clusters: &[C],
    folds: usize,
    seed: u64,
) -> Option<CrossFitted> {
    assert_eq!(shift.len(), classes, "a shift a class");
    let finite = shift.iter().all(|by| by.is_finite());
    let films = Films::of_rows(classes, labels, rows).filter(|_| finite)?;
    Films { shift: shift.to_vec(), ..films }.cross_fit(clusters, folds, seed)
}

/// Temperatures of the logits of a binary label found without each of `folds` parts in turn, see [`cross_fit_rows`].
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::temperature;
/// let (positive, logits) = ([true, false, true, false, true, true], [3.0, -1.0, 2.0, 1.5, -0.5, 2.5]);
/// let fitted = temperature::cross_fit_logits(&positive, &logits, &["a", "b", "b", "c", "d", "e"], 3, 7).unwrap();
/// assert_eq!(fitted.fold_of_film[1], fitted.fold_of_film[2]);
/// ```
pub fn cross_fit_logits<T: Copy + Into<f64>, C: Ord>(
    positive: &[bool],
    logits: &[T],
    clusters: &[C],
    folds: usize,
    seed: u64,
) -> Option<CrossFitted> {
    Films::of_logits(positive, logits)?.cross_fit(clusters, folds, seed)
}

/// Rows of logits, each moved so that its greatest is 0.
struct Films {
    classes: usize,
    rows: Vec<f64>,
    labels: Vec<usize>,
    /// What is added to the logit of each class after it was divided by the temperature.
    shift: Vec<f64>,
}

impl Films {
    fn of_rows<T: Copy + Into<f64>>(classes: usize, labels: &[usize], rows: &[T]) -> Option<Films> {
        crate::check_rows(classes, labels, rows.len());
        let mut rows: Vec<f64> = rows.iter().map(|&value| value.into()).collect();
        for (row, &label) in rows.chunks_exact_mut(classes).zip(labels) {
            let greatest = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            if !row[label].is_finite() || row.iter().any(|&value| value.is_nan() || value == f64::INFINITY) {
                return None;
            }
            row.iter_mut().for_each(|value| *value -= greatest);
        }
        (!labels.is_empty()).then(|| Films { classes, rows, labels: labels.to_vec(), shift: vec![0.0; classes] })
    }

    fn of_logits<T: Copy + Into<f64>>(positive: &[bool], logits: &[T]) -> Option<Films> {
        assert_eq!(positive.len(), logits.len(), "a logit a label");
        let rows: Vec<f64> = logits.iter().flat_map(|&logit| [0.0, logit.into()]).collect();
        let labels: Vec<usize> = positive.iter().map(|&is| usize::from(is)).collect();
        rows.iter().all(|value| value.is_finite()).then_some(())?;
        Films::of_rows(2, &labels, &rows)
    }

    /// Of the film: the negative log-likelihood at a sharpness (1 / temperature), its slope and that one's slope.
    fn film(&self, film: usize, sharpness: f64) -> [f64; 3] {
        let row = &self.rows[film * self.classes..][..self.classes];
        let (of_label, of_shift) = (row[self.labels[film]], self.shift[self.labels[film]]);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for (&value, &by) in row.iter().zip(&self.shift) {
            // A probability of 0 stays 0 at every temperature.
            if value > f64::NEG_INFINITY {
                let weight = (sharpness * value + by).exp();
                sum += weight;
                first += weight * value;
                second += weight * value * value;
            }
        }
        let mean = first / sum;
        [sum.ln() - sharpness * of_label - of_shift, mean - of_label, (second / sum - mean * mean).max(0.0)]
    }

    /// The mean of that over the films.
    fn loss(&self, films: &[usize], sharpness: f64) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for &film in films {
            self.film(film, sharpness).into_iter().zip(&mut sums).for_each(|(value, sum)| *sum += value);
        }
        sums.map(|sum| sum / films.len() as f64)
    }

    fn temperature(&self) -> Option<Temperature> {
        let all: Vec<usize> = self.range().collect();
        Some(self.temperature_of(&all))
    }

    fn range(&self) -> Range<usize> {
        0..self.labels.len()
    }

    fn temperature_of(&self, films: &[usize]) -> Temperature {
        let slope = |sharpness: f64| {
            let [_, slope, curvature] = self.loss(films, sharpness);
            (slope, curvature)
        };
        let (low, high) = (1.0 / RANGE.end(), 1.0 / RANGE.start());
        let (temperature, at_end) = if slope(low).0 >= 0.0 {
            (*RANGE.end(), true)
        } else if slope(high).0 <= 0.0 {
            (*RANGE.start(), true)
        } else {
            (1.0 / root(low, high, 1.0, 1e-13, slope), false)
        };
        let nll = |temperature: f64| self.loss(films, 1.0 / temperature)[0];
        let (nll_before, nll_after) = (nll(1.0), nll(temperature));
        if nll_after < nll_before {
            Temperature { temperature, nll_before, nll_after, at_end }
        } else {
            Temperature { temperature: 1.0, nll_before, nll_after: nll_before, at_end: false }
        }
    }

    fn cross_fit<C: Ord>(&self, clusters: &[C], folds: usize, seed: u64) -> Option<CrossFitted> {
        assert_eq!(clusters.len(), self.labels.len(), "a cluster a label");
        let clusters = Clusters::new(clusters);
        if folds < 2 || clusters.len() < folds {
            return None;
        }
        // Dealt out one after the other, on through the strata, so that folds differ by one cluster at most.
        let mut dealt = Vec::new();
        for (place, mut stratum) in clusters.strata(&self.labels).into_iter().enumerate() {
            Random::new(seed, Use::Fold, 0, place).shuffle(&mut stratum);
            dealt.append(&mut stratum);
        }
        let mut fold_of_film = vec![0; self.labels.len()];
        for (place, cluster) in dealt.into_iter().enumerate() {
            clusters.films(cluster).iter().for_each(|&film| fold_of_film[film] = place % folds);
        }
        let temperature = |fold: usize| {
            let others: Vec<usize> = self.range().filter(|&film| fold_of_film[film] != fold).collect();
            self.temperature_of(&others).temperature
        };
        let folds: Vec<f64> = (0..folds).map(temperature).collect();
        let of_film = |film: usize| self.film(film, 1.0 / folds[fold_of_film[film]])[0];
        let nll_after = self.range().map(of_film).sum::<f64>() / self.labels.len() as f64;
        Some(CrossFitted { all: self.temperature()?, folds, fold_of_film, nll_after })
    }
}
