//! How sure a figure is: intervals, and those of proportions.

use crate::special;

/// The probability with which an interval is to contain the truth, between 0 and 1; 0.95 unless another is asked for.
///
/// ```
/// use lungfish_metrics::Confidence;
/// assert_eq!(Confidence::default().level(), 0.95);
/// assert_eq!(Confidence::new(1.0), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence(f64);

impl Confidence {
    /// A confidence of this level; `None` where it is not above 0 and below 1.
    pub fn new(level: f64) -> Option<Confidence> {
        (level > 0.0 && level < 1.0).then_some(Confidence(level))
    }

    /// The level.
    pub fn level(self) -> f64 {
        self.0
    }

    /// The probability to miss the truth: `1 - level`.
    pub fn alpha(self) -> f64 {
        1.0 - self.0
    }

    /// So many standard errors on either side reach as far as this, of a normal estimate: 1.96 for 0.95.
    ///
    /// ```
    /// assert!((lungfish_metrics::Confidence::default().z() - 1.959963984540054).abs() < 1e-14);
    /// ```
    pub fn z(self) -> f64 {
        special::normal_quantile(1.0 - self.alpha() / 2.0)
    }
}

impl Default for Confidence {
    fn default() -> Confidence {
        Confidence(0.95)
    }
}

/// An interval, its ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// How long it is.
    pub fn width(self) -> f64 {
        self.high - self.low
    }

    /// Whether `value` is in it.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// `distance` on either side of `centre`, cut off at the ends of what is possible.
    pub(crate) fn around(centre: f64, distance: f64, possible: Interval) -> Interval {
        Interval { low: (centre - distance).max(possible.low), high: (centre + distance).min(possible.high) }
    }
}

/// What a proportion, or an AUC, can be.
pub(crate) const UNIT: Interval = Interval { low: 0.0, high: 1.0 };

/// The value below which a standard normal variable lies with probability `p` (`scipy.stats.norm.ppf`); `None` where
/// `p` is not above 0 and below 1.
///
/// ```
/// let z = lungfish_metrics::interval::normal_quantile(0.975).unwrap();
/// assert!((z - 1.959963984540054).abs() < 1e-14);
/// ```
pub fn normal_quantile(p: f64) -> Option<f64> {
    (p > 0.0 && p < 1.0).then(|| special::normal_quantile(p))
}

/// Wilson's score interval of a proportion (1927, "Probable inference, the law of succession, and statistical
/// inference", JASA 22, 209-212), without a correction for continuity:
/// `statsmodels.stats.proportion.proportion_confint(method = "wilson")`. Its coverage is near the level on average,
/// unlike that of [`clopper_pearson`], which never falls below it. The films have to be independent; for several of a
/// patient see [`crate::clustered`]. `None` for no film.
///
/// # Panics
/// If there are more successes than films.
///
/// ```
/// use lungfish_metrics::{Confidence, interval::wilson};
/// let interval = wilson(18, 20, Confidence::default()).unwrap();
/// assert!((interval.low - 0.6990).abs() < 1e-4 && (interval.high - 0.9721).abs() < 1e-4);
/// assert_eq!(wilson(0, 0, Confidence::default()), None);
/// ```
pub fn wilson(successes: u64, films: u64, confidence: Confidence) -> Option<Interval> {
    assert!(successes <= films, "{successes} successes of {films} films");
    (films > 0).then(|| wilson_of(successes as f64 / films as f64, films as f64, confidence.z()))
}

/// Wilson's interval of a share of `films` that need not be a whole number, `z` standard errors to either side.
pub(crate) fn wilson_of(share: f64, films: f64, z: f64) -> Interval {
    let z2 = z * z / films;
    let centre = (share + z2 / 2.0) / (1.0 + z2);
    let distance = (share * (1.0 - share) * z2 + z2 * z2 / 4.0).sqrt() / (1.0 + z2);
    let Interval { low, high } = Interval::around(centre, distance, UNIT);
    // Rounding must not keep the ends, or the share itself, out.
    Interval {
        low: if share == 0.0 { 0.0 } else { low.min(share) },
        high: if share == 1.0 { 1.0 } else { high.max(share) },
    }
}

/// The exact interval of a proportion (Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated
/// in the case of the binomial", Biometrika 26, 404-413): it contains the truth at least with the probability asked
/// for, mostly with a higher one. `scipy.stats.binomtest(..).proportion_ci(method = "exact")`. `None` for no film.
///
/// # Panics
/// If there are more successes than films.
///
/// ```
/// use lungfish_metrics::{Confidence, interval::clopper_pearson};
/// let interval = clopper_pearson(18, 20, Confidence::default()).unwrap();
/// assert!((interval.low - 0.6830).abs() < 1e-4 && (interval.high - 0.9877).abs() < 1e-4);
/// ```
pub fn clopper_pearson(successes: u64, films: u64, confidence: Confidence) -> Option<Interval> {
    // Half of what may be missed on either side.
    let side = Confidence(1.0 - confidence.alpha() / 2.0);
    Some(Interval {
        low: clopper_pearson_lower(successes, films, side)?,
        high: clopper_pearson_upper(successes, films, side)?,
    })
}

/// The exact lower bound of a proportion, one-sided: the truth lies above it at least with the probability asked for,
/// and all that may be missed is below. It is the lower end of [`clopper_pearson`] at a level of `2 level - 1` (0.90
/// for 0.95). `None` for no film.
///
/// # Panics
/// If there are more successes than films.
///
/// ```
/// use lungfish_metrics::{Confidence, interval::clopper_pearson_lower};
/// // 59 without a miss are enough for 95 %, with 95 % confidence: 0.05^(1/59).
/// assert!(clopper_pearson_lower(59, 59, Confidence::default()).unwrap() > 0.95);
/// assert!(clopper_pearson_lower(58, 58, Confidence::default()).unwrap() < 0.95);
/// ```
pub fn clopper_pearson_lower(successes: u64, films: u64, confidence: Confidence) -> Option<f64> {
    assert!(successes <= films, "{successes} successes of {films} films");
    let failures = films - successes;
    (films > 0).then(|| exact_lower(successes as f64, failures as f64, confidence.alpha()))
}

/// The exact upper bound of a proportion, one-sided, see [`clopper_pearson_lower`]. `None` for no film.
///
/// # Panics
/// If there are more successes than films.
///
/// ```
/// use lungfish_metrics::{Confidence, interval::clopper_pearson_upper};
/// // None of 100: about 3 in 100 may still do so.
/// assert!((clopper_pearson_upper(0, 100, Confidence::default()).unwrap() - 0.0295).abs() < 1e-4);
/// ```
pub fn clopper_pearson_upper(successes: u64, films: u64, confidence: Confidence) -> Option<f64> {
    assert!(successes <= films, "{successes} successes of {films} films");
    Some(1.0 - clopper_pearson_lower(films - successes, films, confidence)?)
}

/// The lower end of successes and failures that need not be whole numbers, `alpha` below it.
pub(crate) fn exact_lower(successes: f64, failures: f64, alpha: f64) -> f64 {
    if successes == 0.0 {
        0.0
    } else if failures == 0.0 {
        // What the beta quantile is then, in closed form.
        alpha.powf(1.0 / successes)
    } else {
        special::beta_quantile(alpha, successes, failures + 1.0)
    }
}
