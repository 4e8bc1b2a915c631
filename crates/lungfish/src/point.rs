//! Operating points: from which probability on a film is called.
//!
//! Where a cut lies is a decision of its own, made on films that the model did not learn from and kept in its file: a cut that is
//! chosen on the films that it is then tested on looks better than it is.

use std::fmt;
use std::str::FromStr;

use lungfish_data::Task;
use lungfish_data::display::escape;
use lungfish_metrics::operating_point::{films_without_a_miss, most_accurate, youden};
use lungfish_metrics::{Confidence, clustered};
use serde::{Deserialize, Serialize};

use crate::task::THRESHOLD;
use crate::{Error, ModelInfo, positive};

/// How sure an assured sensitivity or specificity is: the lower end of its exact interval of 95 % to one side.
const ONE_SIDED: f64 = 0.90;

/// What a cut is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum PointRule {
    /// A probability.
    At(f64),
    /// The greatest sum of sensitivity and specificity.
    Youden,
    /// The greatest accuracy, at the frequency that the classes have among the films.
    MaxAccuracy,
    /// The most specific cut whose sensitivity is at least so much, with 95 % confidence.
    Sensitivity(f64),
    /// The most sensitive cut whose specificity is at least so much, with 95 % confidence.
    Specificity(f64),
}

/// The words for what [`PointRule`] reads.
pub(crate) const RULES: &str =
    "youden, max-accuracy, sensitivity=0.95, specificity=0.9 (or other shares), or a probability between 0 and 1";

impl Default for PointRule {
    fn default() -> Self {
        PointRule::At(THRESHOLD)
    }
}

impl fmt::Display for PointRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointRule::At(cut) => write!(f, "{cut}"),
            PointRule::Youden => f.write_str("youden"),
            PointRule::MaxAccuracy => f.write_str("max-accuracy"),
            PointRule::Sensitivity(least) => write!(f, "sensitivity={least}"),
            PointRule::Specificity(least) => write!(f, "specificity={least}"),
        }
    }
}

impl From<PointRule> for String {
    fn from(rule: PointRule) -> String {
        rule.to_string()
    }
}

impl TryFrom<String> for PointRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for PointRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |text: &str| text.trim().parse().ok().filter(|share: &f64| *share > 0.0 && *share < 1.0);
        let rule = match text.trim().split_once('=') {
            Some(("sensitivity", least)) => share(least).map(PointRule::Sensitivity),
            Some(("specificity", least)) => share(least).map(PointRule::Specificity),
            Some(_) => None,
            None => match text.trim() {
                "youden" => Some(PointRule::Youden),
                "max-accuracy" => Some(PointRule::MaxAccuracy),
                number => share(number).map(PointRule::At),
            },
        };
        rule.ok_or_else(|| format!("\"{text}\" is no operating point: it is {RULES}"))
    }
}

impl PointRule {
    /// Whether it is a probability of one half.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    pub(crate) fn is_even(&self) -> bool {
        *self == PointRule::default()
    }

    /// A list of rules with commas; an empty one has none.
    pub(crate) fn list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(str::trim).filter(|rule| !rule.is_empty()).map(str::parse).collect()
    }

    /// The cut that films say, their positives being `positive`.
    pub(crate) fn fit(self, positive: &[bool], probability: &[f64], patients: &[&str]) -> OperatingPoint {
        let none = || "no cut is better than calling all films alike".to_owned();
        let cut = match self {
            PointRule::At(cut) => Ok(cut),
            PointRule::Youden => youden(positive, probability).map(|point| point.cut).ok_or_else(none),
            PointRule::MaxAccuracy => most_accurate(positive, probability).map(|point| point.cut).ok_or_else(none),
            PointRule::Sensitivity(least) => assured(least, positive, probability, patients, "positive"),
            // The same of the other class, upside down.
            PointRule::Specificity(least) => {
                let negative: Vec<bool> = positive.iter().map(|is| !is).collect();
                let against: Vec<f64> = probability.iter().map(|p| 1.0 - p).collect();
                assured(least, &negative, &against, patients, "negative").map(|cut| 1.0 - cut)
            }
        };
        let share = |of: bool| {
            let cut = *cut.as_ref().ok()?;
            let those = || probability.iter().zip(positive).filter(|(_, is)| **is == of);
            let right = those().filter(|(p, is)| (**p >= cut) == **is).count();
            (those().count() > 0).then(|| right as f64 / those().count() as f64)
        };
        OperatingPoint {
            rule: self,
            label: None,
            sensitivity: share(true),
            specificity: share(false),
            why: cut.as_ref().err().cloned(),
            cut: cut.ok(),
        }
    }
}

/// The highest cut at which so many films of the class are called that the share is at least `least` with confidence, films of
/// one patient counted as they are alike; or why there is none.
fn assured(least: f64, is: &[bool], score: &[f64], patients: &[&str], class: &str) -> Result<f64, String> {
    let confidence = Confidence::new(ONE_SIDED).unwrap_or_default();
    let mut films: Vec<(f64, &str)> =
        is.iter().zip(score).zip(patients).filter(|((is, _), _)| **is).map(|((_, s), p)| (*s, *p)).collect();
    films.sort_by(|a, b| a.0.total_cmp(&b.0));
    let of: Vec<&str> = films.iter().map(|(_, patient)| *patient).collect();
    let mut different = of.clone();
    different.sort_unstable();
    different.dedup();
    let needed = films_without_a_miss(least, Confidence::new(0.95).unwrap_or_default()).unwrap_or(u64::MAX);
    if (different.len() as u64) < needed {
        let (many, s) = (different.len(), if different.len() == 1 { "" } else { "s" });
        return Err(format!("too few {class} patients: {many} patient{s}, and {needed} without a miss are needed"));
    }
    // Whether the cut may leave out the films with the lowest scores, so many of them.
    let holds = |missed: usize| {
        let called: Vec<bool> = (0..films.len()).map(|film| film >= missed).collect();
        let low = clustered::proportion(&called, &of).and_then(|share| share.clopper_pearson(confidence));
        low.is_some_and(|interval| interval.low >= least)
    };
    let (mut most, mut beyond) = (0, films.len());
    while most + 1 < beyond {
        let middle = (most + beyond) / 2;
        if holds(middle) { most = middle } else { beyond = middle }
    }
    // Equal scores are called together.
    let lowest = films[most].0;
    let below = score.iter().copied().filter(|s| *s < lowest).fold(f64::NEG_INFINITY, f64::max);
    Ok(if below.is_finite() { f64::midpoint(below, lowest) } else { lowest })
}

/// From which probabilities on a model's films are called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CalledAt {
    /// What the cuts were chosen by.
    pub rule: PointRule,
    /// Of two classes the positive one.
    positive: Option<usize>,
    /// Of two classes one, of labels one each; empty where all are at one half.
    cuts: Vec<f64>,
}

impl Default for CalledAt {
    /// The most probable class, or labels that are more probable than not.
    fn default() -> Self {
        CalledAt { rule: PointRule::default(), positive: None, cuts: Vec::new() }
    }
}

impl CalledAt {
    /// The cuts of a rule in a model of `file`.
    ///
    /// # Errors
    /// A model of more than two classes; a rule whose cut it does not have, with the reason.
    pub(crate) fn new(rule: PointRule, info: &ModelInfo, file: &str) -> Result<Self, Error> {
        if rule == PointRule::default() {
            return Ok(Self::default());
        }
        let positive = positive::of(&info.classes, &info.recipe.positive)?;
        if info.task == Task::OneOf && positive.is_none() {
            let many = info.classes.len();
            let text = format!("{file} tells {many} classes apart: of more than two the most probable one is called");
            return Err(Error::refused(text));
        }
        let labels: Vec<Option<&str>> = match info.task {
            Task::OneOf => vec![None],
            Task::AnyOf => info.classes.iter().map(|label| Some(label.as_str())).collect(),
        };
        let cut = |label: Option<&str>| match rule {
            PointRule::At(cut) => Ok(cut),
            rule => {
                let calibration = info.calibration.as_ref();
                let point = calibration.and_then(|found| found.point(rule, label)).ok_or_else(|| {
                    let there = calibration.map(|found| found.rules()).unwrap_or_default();
                    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                    Error::refused(format!(
                        "{file} has no operating point {rule}; it has {there}: lungfish calibrate finds others on your films"
                    ))
                })?;
                point.cut.ok_or_else(|| {
                    let of = label.map_or_else(String::new, |label| format!(" of {}", escape(label)));
                    let why = point.why.as_deref().unwrap_or("it was not found");
                    Error::refused(format!("{file} has no cut for {rule}{of}: {why}"))
                })
            }
        };
        let cuts = labels.into_iter().map(cut).collect::<Result<_, _>>()?;
        Ok(CalledAt { rule, positive, cuts })
    }

    /// A row of last values moved so that its cuts lie at one half: what is called of it is called at them.
    pub(crate) fn moved(&self, row: &[f32]) -> Vec<f32> {
        let mut row = row.to_vec();
        let logit = |cut: f64| (cut / (1.0 - cut)).ln();
        match (self.positive, &self.cuts[..]) {
            (Some(positive), &[cut]) => {
                if let Some(value) = row.get_mut(positive) {
                    *value = (f64::from(*value) - logit(cut)) as f32;
                }
            }
            (_, cuts) => {
                row.iter_mut().zip(cuts).for_each(|(value, cut)| *value = (f64::from(*value) - logit(*cut)) as f32);
            }
        }
        row
    }

    /// Of two classes the probability of the positive one from which on a film is called so.
    pub(crate) fn cut(&self) -> f64 {
        self.cuts.first().copied().unwrap_or(THRESHOLD)
    }
}

/// A cut, and what it did to the films that it was chosen on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OperatingPoint {
    /// What it was chosen by, which is its name too.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub rule: PointRule,
    /// Of labels of which a film may have any: which one it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The probability of the positive class, or of the label, from which on a film is called so; none where there is no cut.
    pub cut: Option<f64>,
    /// Share of the positive films that it calls, of those that it was chosen on; it is a little too good.
    pub sensitivity: Option<f64>,
    /// Share of the other films that it does not call.
    pub specificity: Option<f64>,
    /// Why there is no cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl OperatingPoint {
    /// The label that it is for, for the beginning of a sentence; nothing of two classes.
    pub(crate) fn label_before(&self) -> String {
        self.label.as_ref().map_or_else(String::new, |label| format!("{}: ", escape(label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in ["0.37", "youden", "max-accuracy", "sensitivity=0.95", "specificity=0.9"] {
            assert_eq!(text.parse::<PointRule>().unwrap().to_string(), text);
        }
        for text in ["", "0", "1", "1.5", "nan", "sensitivity", "sensitivity=1", "precision=0.9", "best"] {
            let said = text.parse::<PointRule>().unwrap_err();
            assert!(said.contains("is no operating point: it is youden"), "{said}");
        }
        assert_eq!(PointRule::list(" youden , 0.25,").unwrap(), [PointRule::Youden, PointRule::At(0.25)]);
        assert!(PointRule::list("").unwrap().is_empty() && PointRule::list("a,b").is_err());
    }

    /// `count` patients with a film each, the positive ones the upper half of the scores but for some that are swapped.
    fn films(count: usize) -> (Vec<bool>, Vec<f64>, Vec<String>) {
        let score = |film: usize| (film as f64 + 0.5) / count as f64;
        let positive = (0..count).map(|film| (2 * film >= count) != (film % 20 == 3)).collect();
        (positive, (0..count).map(score).collect(), (0..count).map(|film| format!("p{film}")).collect())
    }

    #[test]
    fn an_assured_sensitivity_is_that_of_independent_films_where_patients_have_one_each() {
        let (positive, score, names) = films(600);
        let patients: Vec<&str> = names.iter().map(String::as_str).collect();
        let point = PointRule::Sensitivity(0.9).fit(&positive, &score, &patients);
        let exact = lungfish_metrics::operating_point::for_sensitivity(&positive, &score, 0.9, Confidence::default());
        let Some(lungfish_metrics::operating_point::Assured::At(exact)) = exact else { panic!("{exact:?}") };
        // Korn and Graubard's correction for few patients costs a film at most.
        let called = |cut: f64| score.iter().zip(&positive).filter(|(s, is)| **is && **s >= cut).count();
        let cut = point.cut.unwrap();
        assert!((called(exact.cut)..=called(exact.cut) + 1).contains(&called(cut)), "{cut} {exact:?}");
        assert!(point.sensitivity.unwrap() > 0.9 && point.specificity.unwrap() > 0.4, "{point:?}");

        // Ten films of each patient say little more than one of them.
        let tenth: Vec<&str> = (0..600).map(|film| names[film - film % 10].as_str()).collect();
        let alike = PointRule::Sensitivity(0.9).fit(&positive, &score, &tenth);
        assert!(alike.cut.unwrap() <= cut, "{alike:?} {point:?}");
    }

    #[test]
    fn too_few_patients_assure_nothing_and_that_is_said() {
        let (positive, score, names) = films(60);
        let patients: Vec<&str> = names.iter().map(String::as_str).collect();
        let point = PointRule::Sensitivity(0.95).fit(&positive, &score, &patients);
        assert_eq!((point.cut, point.sensitivity), (None, None));
        assert_eq!(point.why.unwrap(), "too few positive patients: 31 patients, and 59 without a miss are needed");
        let point = PointRule::Specificity(0.95).fit(&positive, &score, &patients);
        assert_eq!(point.why.unwrap(), "too few negative patients: 29 patients, and 59 without a miss are needed");
        let flat = PointRule::Youden.fit(&positive, &[0.5; 60], &patients);
        assert_eq!(flat.why.unwrap(), "no cut is better than calling all films alike");
    }

    #[test]
    fn a_specificity_is_a_sensitivity_upside_down() {
        let (positive, score, names) = films(400);
        let patients: Vec<&str> = names.iter().map(String::as_str).collect();
        let point = PointRule::Specificity(0.85).fit(&positive, &score, &patients);
        let (negative, against): (Vec<bool>, Vec<f64>) =
            positive.iter().zip(&score).map(|(is, s)| (!is, 1.0 - s)).unzip();
        let other = PointRule::Sensitivity(0.85).fit(&negative, &against, &patients);
        assert!((point.cut.unwrap() - (1.0 - other.cut.unwrap())).abs() < 1e-12);
        assert_eq!(point.specificity, other.sensitivity);
        assert!(point.specificity.unwrap() > 0.85);
    }
}
