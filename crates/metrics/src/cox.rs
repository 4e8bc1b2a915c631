//! Whether probabilities are what happens: as a line on the scale of the logit (Cox 1958, "Two Further Applications of
//! a Model for Binary Regression", Biometrika 45, 562-565; Van Calster et al. 2016, "A Calibration Hierarchy for Risk
//! Models Was Defined", Journal of Clinical Epidemiology 74, 167-176).
//!
//! Logits in, `ln(p / (1 - p))`, since a probability near 1 has lost the digits that count here. The films have to be
//! independent; for several of a patient there is [`crate::bootstrap`].

use crate::interval::{Confidence, Interval};
use crate::special::root;

/// `ln(share / (1 - share))` of the positive films among those with a logit, by logistic regression: 0 and 1 where
/// probabilities are right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationLine {
    /// Where the line is at a logit of 0.
    pub intercept: f64,
    /// Its slope: below 1 the probabilities are too sure of themselves, above 1 not enough.
    pub slope: f64,
    /// The variance of the intercept.
    pub intercept_variance: f64,
    /// The variance of the slope.
    pub slope_variance: f64,
    /// The covariance of both.
    pub covariance: f64,
}

impl CalibrationLine {
    /// Wald's interval of the intercept.
    pub fn intercept_interval(&self, confidence: Confidence) -> Interval {
        wald(self.intercept, self.intercept_variance, confidence)
    }

    /// Wald's interval of the slope.
    pub fn slope_interval(&self, confidence: Confidence) -> Interval {
        wald(self.slope, self.slope_variance, confidence)
    }
}

/// The line that fits best, `statsmodels.api.Logit(positive, add_constant(logits)).fit()`. `None` where it does not
/// exist: with one class, with logits that are all the same or not finite, and where a logit divides the classes
/// (Albert and Anderson 1984, Biometrika 71, 1-10), so that the slope has no end.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, cox};
/// let line = cox::line(&[false, true, false, true, false, true], &[-4.0, -2.0, -1.0, 1.0, 2.0, 4.0]).unwrap();
/// assert!(line.slope > 0.0 && line.slope < 1.0);
/// assert!(line.slope_interval(Confidence::default()).contains(1.0));
/// assert_eq!(cox::line(&[false, true], &[-1.0, 1.0]), None);
/// ```
pub fn line<T: Copy + Into<f64>>(positive: &[bool], logits: &[T]) -> Option<CalibrationLine> {
    let logits = finite(positive, logits)?;
    let ends = |of: bool| {
        let those = || logits.iter().zip(positive).filter(move |(_, is)| **is == of).map(|(logit, _)| *logit);
        (those().fold(f64::INFINITY, f64::min), those().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((least_positive, most_positive), (least_negative, most_negative)) = (ends(true), ends(false));
    if most_negative <= least_positive || most_positive <= least_negative {
        return None;
    }
    // Around the mean and by the spread, so that steps are of one size whatever the logits are.
    let films = logits.len() as f64;
    let mean = logits.iter().sum::<f64>() / films;
    let spread = (logits.iter().map(|logit| (logit - mean).powi(2)).sum::<f64>() / films).sqrt();
    let scaled: Vec<f64> = logits.iter().map(|logit| (logit - mean) / spread).collect();

    let share = positive.iter().filter(|&&is| is).count() as f64 / films;
    let mut at = [(share / (1.0 - share)).ln(), 0.0];
    let mut loss = loss_of(positive, &scaled, at);
    for _ in 0..200 {
        let Curvature { gradient, weight, middle, squares } = Curvature::new(positive, &scaled, at);
        // The inverse of the two by two matrix, around its weighted mean.
        let slope_step = (gradient[1] - middle * gradient[0]) / squares;
        let step = [gradient[0] / weight - middle * slope_step, slope_step];
        let mut part = 1.0;
        let next = loop {
            let next = [at[0] - part * step[0], at[1] - part * step[1]];
            let next_loss = loss_of(positive, &scaled, next);
            // The last steps change the loss by less than its rounding.
            if next_loss <= loss + 1e-10 * loss || part < 1e-9 {
                loss = next_loss;
                break next;
            }
            part /= 2.0;
        };
        at = next;
        if step.iter().zip(at).all(|(step, at)| step.abs() <= 1e-11 * (1.0 + at.abs())) {
            break;
        }
    }
    let line = [at[0] - at[1] * mean / spread, at[1] / spread];
    let Curvature { weight, middle, squares, .. } = Curvature::new(positive, &logits, line);
    let all = [line[0], line[1], 1.0 / weight + middle * middle / squares, 1.0 / squares, -middle / squares];
    let [intercept, slope, intercept_variance, slope_variance, covariance] = all;
    all.iter().all(|value| value.is_finite()).then_some(CalibrationLine {
        intercept,
        slope,
        intercept_variance,
        slope_variance,
        covariance,
    })
}

/// Calibration in the large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InTheLarge {
    /// What has to be added to every logit so that on average the probabilities are the share of positive films: above
    /// 0 they are too low.
    pub intercept: f64,
    /// The variance of that.
    pub variance: f64,
}

impl InTheLarge {
    /// Wald's interval of the intercept.
    pub fn interval(&self, confidence: Confidence) -> Interval {
        wald(self.intercept, self.variance, confidence)
    }
}

/// Calibration in the large: the intercept where the slope is 1, logistic regression with the logits as an offset.
/// `None` with one class, and where a logit is not finite.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// // Half is positive, and 0.5 is told: nothing to add.
/// let large = lungfish_metrics::cox::in_the_large(&[false, true], &[0.0, 0.0]).unwrap();
/// assert_eq!((large.intercept, large.variance), (0.0, 2.0));
/// ```
pub fn in_the_large<T: Copy + Into<f64>>(positive: &[bool], logits: &[T]) -> Option<InTheLarge> {
    let logits = finite(positive, logits)?;
    let positives = positive.iter().filter(|&&is| is).count() as f64;
    let share = (positives / (logits.len() as f64 - positives)).ln();
    let of = |intercept: f64| {
        let probabilities = logits.iter().map(|logit| logistic(logit + intercept));
        probabilities.fold((-positives, 0.0), |(sum, slope), p| (sum + p, slope + p * (1.0 - p)))
    };
    // With these all films have at most, and at least, the share of the positive ones.
    let low = share - logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let high = share - logits.iter().fold(f64::INFINITY, |a, &b| a.min(b));
    let intercept = root(low, high, low + (high - low) / 2.0, 1e-13, of);
    let variance = 1.0 / of(intercept).1;
    (intercept.is_finite() && variance.is_finite()).then_some(InTheLarge { intercept, variance })
}

/// The logits, where there are both classes and all are finite.
fn finite<T: Copy + Into<f64>>(positive: &[bool], logits: &[T]) -> Option<Vec<f64>> {
    assert_eq!(positive.len(), logits.len(), "a logit a label");
    let logits: Vec<f64> = logits.iter().map(|&logit| logit.into()).collect();
    let both = positive.contains(&true) && positive.contains(&false);
    (both && logits.iter().all(|logit| logit.is_finite())).then_some(logits)
}

/// Gradient and second derivative of the negative log-likelihood, the latter as a weight, a weighted mean, and the
/// weighted squares around that.
struct Curvature {
    gradient: [f64; 2],
    weight: f64,
    middle: f64,
    squares: f64,
}

impl Curvature {
    fn new(positive: &[bool], logits: &[f64], [intercept, slope]: [f64; 2]) -> Curvature {
        let probability = |logit: f64| logistic(intercept + slope * logit);
        let (mut gradient, mut weight, mut moment) = ([0.0; 2], 0.0, 0.0);
        for (&positive, &logit) in positive.iter().zip(logits) {
            let p = probability(logit);
            let error = p - f64::from(u8::from(positive));
            gradient = [gradient[0] + error, gradient[1] + error * logit];
            weight += p * (1.0 - p);
            moment += p * (1.0 - p) * logit;
        }
        let middle = moment / weight;
        let square = |&logit: &f64| {
            let p = probability(logit);
            p * (1.0 - p) * (logit - middle).powi(2)
        };
        Curvature { gradient, weight, middle, squares: logits.iter().map(square).sum() }
    }
}

fn loss_of(positive: &[bool], logits: &[f64], [intercept, slope]: [f64; 2]) -> f64 {
    let loss = |(&positive, &logit): (&bool, &f64)| {
        let x = intercept + slope * logit;
        let wrong = if positive { -x } else { x };
        wrong.max(0.0) + (-wrong.abs()).exp().ln_1p()
    };
    positive.iter().zip(logits).map(loss).sum()
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn wald(estimate: f64, variance: f64, confidence: Confidence) -> Interval {
    let distance = confidence.z() * variance.sqrt();
    Interval { low: estimate - distance, high: estimate + distance }
}
