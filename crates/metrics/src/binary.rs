//! What follows from calling films positive at a cut.

use crate::ratio;

/// How many films of either class are called what. A film is called positive where its score is at least the cut.
///
/// Every figure is `None` where its denominator is 0, where scikit-learn says 0 with a warning. Intervals of the shares
/// are [`crate::interval::wilson`] of the same counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Positive films called positive.
    pub true_positives: u64,
    /// Negative films called positive.
    pub false_positives: u64,
    /// Negative films called negative.
    pub true_negatives: u64,
    /// Positive films called negative.
    pub false_negatives: u64,
}

impl Counts {
    /// Counts films at a cut. `None` where a score, or the cut, is not a number.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// use lungfish_metrics::binary::Counts;
    /// let counts = Counts::at(&[false, false, true, true, true], &[0.1, 0.6, 0.5, 0.3, 0.9], 0.5).unwrap();
    /// assert_eq!(counts.sensitivity(), Some(2.0 / 3.0));
    /// assert_eq!(counts.specificity(), Some(0.5));
    /// assert_eq!(counts.negative_predictive_value(), Some(0.5));
    /// ```
    pub fn at<T: Copy + Into<f64>>(positive: &[bool], scores: &[T], cut: f64) -> Option<Counts> {
        assert_eq!(positive.len(), scores.len(), "a score a label");
        let mut counts = Counts { true_positives: 0, false_positives: 0, true_negatives: 0, false_negatives: 0 };
        for (&positive, &score) in positive.iter().zip(scores) {
            let score = score.into();
            if score.is_nan() || cut.is_nan() {
                return None;
            }
            *match (positive, score >= cut) {
                (true, true) => &mut counts.true_positives,
                (false, true) => &mut counts.false_positives,
                (false, false) => &mut counts.true_negatives,
                (true, false) => &mut counts.false_negatives,
            } += 1;
        }
        Some(counts)
    }

    /// Films that are positive.
    pub fn positives(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Films that are negative.
    pub fn negatives(&self) -> u64 {
        self.true_negatives + self.false_positives
    }

    /// All films.
    pub fn films(&self) -> u64 {
        self.positives() + self.negatives()
    }

    /// Of the positive films, the part called positive: recall, true positive rate.
    pub fn sensitivity(&self) -> Option<f64> {
        ratio(self.true_positives, self.positives())
    }

    /// Of the negative films, the part called negative: true negative rate.
    pub fn specificity(&self) -> Option<f64> {
        ratio(self.true_negatives, self.negatives())
    }

    /// Of all films, the part that is positive. That of a set that was put together by class is nobody's.
    pub fn prevalence(&self) -> Option<f64> {
        ratio(self.positives(), self.films())
    }

    /// Of the films called positive, the part that is, at the prevalence of these films: precision.
    pub fn positive_predictive_value(&self) -> Option<f64> {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Of the films called negative, the part that is, at the prevalence of these films.
    pub fn negative_predictive_value(&self) -> Option<f64> {
        ratio(self.true_negatives, self.true_negatives + self.false_negatives)
    }

    /// The positive predictive value where such a part of the films is positive, by Bayes' theorem from sensitivity and
    /// specificity (Altman and Bland 1994, "Diagnostic Tests 2: Predictive Values", BMJ 309, 102). `None` also where
    /// the prevalence is not in 0 to 1.
    ///
    /// ```
    /// use lungfish_metrics::binary::Counts;
    /// let counts = Counts { true_positives: 90, false_negatives: 10, true_negatives: 90, false_positives: 10 };
    /// assert_eq!(counts.positive_predictive_value(), Some(0.9));
    /// assert!((counts.positive_predictive_value_at(0.01).unwrap() - 1.0 / 12.0).abs() < 1e-15);
    /// ```
    pub fn positive_predictive_value_at(&self, prevalence: f64) -> Option<f64> {
        let (sensitivity, specificity) = (self.sensitivity()?, self.specificity()?);
        predictive(prevalence, sensitivity, 1.0 - specificity)
    }

    /// The negative predictive value where such a part of the films is positive, see
    /// [`positive_predictive_value_at`](Self::positive_predictive_value_at).
    pub fn negative_predictive_value_at(&self, prevalence: f64) -> Option<f64> {
        let (sensitivity, specificity) = (self.sensitivity()?, self.specificity()?);
        predictive(1.0 - prevalence, specificity, 1.0 - sensitivity)
    }

    /// The part of all films that is called what it is.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.true_positives + self.true_negatives, self.films())
    }

    /// The mean of sensitivity and specificity: `sklearn.metrics.balanced_accuracy_score`.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some((self.sensitivity()? + self.specificity()?) / 2.0)
    }

    /// Sensitivity and specificity less 1: 0 for a call that knows nothing, 1 for one that is always right (Youden
    /// 1950, "Index for Rating Diagnostic Tests", Cancer 3, 32-35).
    pub fn youden(&self) -> Option<f64> {
        Some(self.sensitivity()? + self.specificity()? - 1.0)
    }

    /// The harmonic mean of sensitivity and positive predictive value: `sklearn.metrics.f1_score`.
    pub fn f1(&self) -> Option<f64> {
        ratio(2 * self.true_positives, self.positives() + self.true_positives + self.false_positives)
    }

    /// The correlation of label and call (Matthews 1975, "Comparison of the Predicted and Observed Secondary Structure
    /// of T4 Phage Lysozyme", BBA 405, 442-451): `sklearn.metrics.matthews_corrcoef`.
    pub fn matthews(&self) -> Option<f64> {
        let called = self.true_positives + self.false_positives;
        // Of pairs of roots, since a product of all four of 10^6 films loses digits, and one of u64 overflows.
        let (classes, calls) = (
            (self.positives() as f64).sqrt() * (self.negatives() as f64).sqrt(),
            (called as f64).sqrt() * ((self.films() - called) as f64).sqrt(),
        );
        let whole = |a: u64, b: u64| i128::from(a) * i128::from(b);
        let right = whole(self.true_positives, self.true_negatives);
        let wrong = whole(self.false_positives, self.false_negatives);
        (classes > 0.0 && calls > 0.0).then(|| ((right - wrong) as f64 / classes / calls).clamp(-1.0, 1.0))
    }

    /// Agreement of label and call beyond chance (Cohen 1960, "A Coefficient of Agreement for Nominal Scales",
    /// Educational and Psychological Measurement 20, 37-46): `sklearn.metrics.cohen_kappa_score`.
    pub fn kappa(&self) -> Option<f64> {
        let called = self.true_positives + self.false_positives;
        let whole = |a: u64, b: u64| i128::from(a) * i128::from(b);
        let right = whole(self.true_positives, self.true_negatives);
        let wrong = whole(self.false_positives, self.false_negatives);
        // 1 minus the agreement by chance, times the square of all films.
        let chance = whole(self.positives(), self.films() - called) + whole(self.negatives(), called);
        (chance > 0).then(|| 2.0 * (right - wrong) as f64 / chance as f64)
    }

    /// How much more likely a positive film is to be called positive than a negative one,
    /// `sensitivity / (1 - specificity)` (Deeks and Altman 2004, "Diagnostic Tests 4: Likelihood Ratios", BMJ 329,
    /// 168-169). `None` also where no negative film is called positive.
    pub fn positive_likelihood_ratio(&self) -> Option<f64> {
        Some(self.sensitivity()? / ratio(self.false_positives, self.negatives()).filter(|&rate| rate > 0.0)?)
    }

    /// How much more likely a positive film is to be called negative than a negative one:
    /// `(1 - sensitivity) / specificity`.
    pub fn negative_likelihood_ratio(&self) -> Option<f64> {
        Some(ratio(self.false_negatives, self.positives())? / self.specificity().filter(|&rate| rate > 0.0)?)
    }
}

/// Of the films that are called something, the part that is: a share `prior` is and is called so at the rate `hits`,
/// the rest is not and is called so at the rate `alarms`.
fn predictive(prior: f64, hits: f64, alarms: f64) -> Option<f64> {
    let (right, wrong) = (prior * hits, (1.0 - prior) * alarms);
    ((0.0..=1.0).contains(&prior) && right + wrong > 0.0).then(|| right / (right + wrong))
}
