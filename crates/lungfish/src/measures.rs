//! The metrics of a test, each with how sure it is: 95 % intervals in which films of one patient count together.

use lungfish_data::Label;
use lungfish_metrics::binary::Counts;
use lungfish_metrics::bootstrap::Bootstrap;
use lungfish_metrics::{Confidence, Interval, average_precision, brier, calibration, clustered};
use serde::Serialize;

use crate::Prediction;

/// Films times resamples of a bootstrap, at most.
const MOST_WORK: usize = 40_000_000;
/// Resamples at least and at most.
const RESAMPLES: [usize; 2] = [200, 2000];
/// Bins of as many films each, between whose mean probability and share of positives the calibration error lies.
const BINS: usize = 10;
/// What keys the resamples: the same films have the same intervals.
const SEED: u64 = 0;

/// A metric and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Measure {
    /// What it is.
    pub name: String,
    /// What it is of these films; none where it is undefined.
    pub value: Option<f64>,
    /// In which it lies with 95 % confidence for films like these; none where it is undefined, or too few films say it.
    pub interval: Option<[f64; 2]>,
}

impl Measure {
    /// A metric by name.
    pub fn new(name: &str, value: Option<f64>, interval: Option<[f64; 2]>) -> Self {
        Measure { name: name.to_owned(), value, interval }
    }

    fn within(name: &str, value: Option<f64>, interval: Option<Interval>) -> Self {
        Measure::new(name, value, interval.map(|found| [found.low, found.high]))
    }

    fn share(name: &str, is: &[bool], patients: &[&str]) -> Self {
        let found = clustered::proportion(is, patients);
        let interval = found.and_then(|found| found.wilson(Confidence::default()));
        Measure::within(name, found.map(|found| found.share), interval)
    }

    fn auc(positive: &[bool], scores: &[f64], patients: &[&str]) -> Self {
        let found = clustered::auc(positive, scores, patients);
        let interval = found.and_then(|found| found.interval(Confidence::default()));
        Measure::within("AUC", found.map(|found| found.auc), interval.map(|found| found.interval))
    }

    fn resampled(name: &str, patients: &[&str], metric: impl Fn(&[usize]) -> Option<f64> + Sync) -> Self {
        let found = bootstrap(patients.len()).run(patients, metric);
        let interval = |level| found.as_ref().and_then(|found| found.bca(level).or_else(|| found.percentile(level)));
        Measure::within(name, found.as_ref().map(|found| found.estimate), interval(Confidence::default()))
    }
}

/// How often so many films are resampled.
pub(crate) fn resamples(films: usize) -> usize {
    (MOST_WORK / films.max(1)).clamp(RESAMPLES[0], RESAMPLES[1])
}

/// How so many films are resampled.
fn bootstrap(films: usize) -> Bootstrap {
    Bootstrap { resamples: resamples(films), ..Bootstrap::new(SEED) }
}

/// Of some of a test's films of two classes: what can be told of few and quickly.
pub(crate) fn of_some(positive: &[bool], probability: &[f64], called: &[bool], patients: &[&str]) -> Vec<Measure> {
    let share = |name: &str, of: Option<bool>| {
        let films = (0..positive.len()).filter(|film| of.is_none_or(|of| positive[*film] == of));
        let (is, patients): (Vec<bool>, Vec<&str>) =
            films.map(|film| (called[film] == positive[film], patients[film])).unzip();
        Measure::share(name, &is, &patients)
    };
    vec![
        share("accuracy", None),
        share("sensitivity", Some(true)),
        share("specificity", Some(false)),
        Measure::auc(positive, probability, patients),
    ]
}

/// Each metric with its interval, of films of classes.
pub(crate) fn of_films(
    labels: &[Label],
    predictions: &[Prediction],
    positive: Option<usize>,
    (patients, prevalence): (&[&str], Option<f64>),
) -> Vec<Measure> {
    let of: Vec<usize> = labels.iter().filter_map(Label::class).collect();
    let probability = |film: usize, class: usize| predictions[film].probabilities[class].1;
    let called = |film: usize| {
        let Prediction { called, probabilities, .. } = &predictions[film];
        probabilities.iter().position(|(name, _)| called.has(name)).unwrap_or_default()
    };
    let films = 0..of.len();
    match positive {
        Some(positive) => {
            let has: Vec<bool> = of.iter().map(|class| *class == positive).collect();
            let scores: Vec<f64> = films.clone().map(|film| probability(film, positive)).collect();
            let so: Vec<bool> = films.map(|film| called(film) == positive).collect();
            TwoClasses { positive: &has, probability: &scores, called: &so, patients }.measures(prevalence)
        }
        None => {
            let right: Vec<bool> = films.clone().map(|film| called(film) == of[film]).collect();
            let loss: Vec<f64> = films.map(|film| -probability(film, of[film]).max(f64::MIN_POSITIVE).ln()).collect();
            of_classes(&right, &loss, patients)
        }
    }
}

/// Films of two classes: whether each is positive, the probability of that, whether it was called so, and its patient.
struct TwoClasses<'a> {
    positive: &'a [bool],
    probability: &'a [f64],
    called: &'a [bool],
    patients: &'a [&'a str],
}

impl TwoClasses<'_> {
    /// Every metric. Shares by Wilson's interval of as many films as count (Korn and Graubard), the AUC by Obuchowski's
    /// variance, the others by resampling patients.
    fn measures(&self, prevalence: Option<f64>) -> Vec<Measure> {
        let Self { positive, probability, called, patients } = *self;
        let share = |name: &str, of: &dyn Fn(usize) -> Option<bool>| {
            let found = (0..positive.len()).filter_map(|film| Some((of(film)?, patients[film])));
            let (is, patients): (Vec<bool>, Vec<&str>) = found.unzip();
            Measure::share(name, &is, &patients)
        };
        let counted = |name: &str, metric: fn(&Counts) -> Option<f64>| {
            Measure::resampled(name, patients, |films| metric(&self.counts(films)))
        };
        let drawn = |films: &[usize]| -> (Vec<bool>, Vec<f64>) {
            films.iter().map(|film| (positive[*film], probability[*film])).unzip()
        };
        let loss = |film: usize| {
            let right = if positive[film] { probability[film] } else { 1.0 - probability[film] };
            -right.max(f64::MIN_POSITIVE).ln()
        };
        let mut measures = vec![
            share("accuracy", &|film| Some(called[film] == positive[film])),
            counted("balanced accuracy", Counts::balanced_accuracy),
            share("sensitivity", &|film| positive[film].then_some(called[film])),
            share("specificity", &|film| (!positive[film]).then_some(!called[film])),
            share("positive predictive value", &|film| called[film].then_some(positive[film])),
            share("negative predictive value", &|film| (!called[film]).then_some(!positive[film])),
            counted("F1", Counts::f1),
            counted("Matthews' correlation", Counts::matthews),
            counted("Cohen's kappa", Counts::kappa),
            Measure::auc(positive, probability, patients),
            Measure::resampled("average precision", patients, |films| {
                let (positive, probability) = drawn(films);
                average_precision(&positive, &probability)
            }),
            Measure::resampled("Brier score", patients, |films| {
                let (positive, probability) = drawn(films);
                brier::score(&positive, &probability)
            }),
            self.part_of_brier("Brier reliability", |parts| parts.reliability),
            self.part_of_brier("Brier resolution", |parts| parts.resolution),
            Measure::resampled("negative log-likelihood", patients, |films| mean(films, loss)),
            self.calibration_error(),
        ];
        if let Some(prevalence) = prevalence {
            type At = fn(&Counts, f64) -> Option<f64>;
            let values: [(&str, At); 2] = [
                ("positive predictive value", Counts::positive_predictive_value_at),
                ("negative predictive value", Counts::negative_predictive_value_at),
            ];
            measures.extend(values.map(|(name, value)| {
                let name = format!("{name} at a prevalence of {prevalence}");
                Measure::resampled(&name, patients, |films| value(&self.counts(films), prevalence))
            }));
        }
        measures
    }

    /// Every resample adds its own chance to that of the films, so that its interval errs to the high side; it is widened to have
    /// the value in it.
    fn calibration_error(&self) -> Measure {
        let Self { positive, probability, patients, .. } = *self;
        let found = calibration::resampled_ece(positive, probability, BINS, patients, &bootstrap(patients.len()));
        let value = found.as_ref().map(|found| found.estimate);
        let interval = found.and_then(|found| found.percentile(Confidence::default()));
        let interval = interval.zip(value).map(|(found, value)| [found.low.min(value), found.high.max(value)]);
        Measure::new("expected calibration error", value, interval)
    }

    /// A part of the Brier score; as of the calibration error, every resample adds its own chance.
    fn part_of_brier(&self, name: &str, part: fn(&brier::Parts) -> f64) -> Measure {
        let Self { positive, probability, patients, .. } = *self;
        let found = bootstrap(patients.len()).run(patients, |films| {
            let (positive, probability): (Vec<bool>, Vec<f64>) =
                films.iter().map(|film| (positive[*film], probability[*film])).unzip();
            brier::parts(&positive, &probability, BINS).map(|parts| part(&parts))
        });
        let value = found.as_ref().map(|found| found.estimate);
        let interval = found.and_then(|found| found.percentile(Confidence::default())).zip(value);
        Measure::new(name, value, interval.map(|(found, value)| [found.low.min(value), found.high.max(value)]))
    }

    fn counts(&self, films: &[usize]) -> Counts {
        let of = |positive: bool, called: bool| {
            films.iter().filter(|film| self.positive[**film] == positive && self.called[**film] == called).count()
                as u64
        };
        Counts {
            true_positives: of(true, true),
            false_positives: of(false, true),
            true_negatives: of(false, false),
            false_negatives: of(true, false),
        }
    }
}

/// Sensitivity and specificity at a cut.
pub(crate) struct Shares {
    pub sensitivity: Measure,
    pub specificity: Measure,
}

impl Shares {
    /// Of films with whether they are positive, the probability of that, and the patient.
    pub(crate) fn at(cut: f64, films: &[(bool, f64, &str)]) -> Self {
        let share = |name: &str, of: bool| {
            let those = films.iter().filter(|(is, _, _)| *is == of);
            let (is, patients): (Vec<bool>, Vec<&str>) =
                those.map(|(_, probability, patient)| ((*probability >= cut) == of, *patient)).unzip();
            Measure::share(name, &is, &patients)
        };
        Shares { sensitivity: share("sensitivity", true), specificity: share("specificity", false) }
    }
}

/// Of any number of classes: `right` says of each film whether it was called what it is, `loss` its negative
/// log-likelihood.
fn of_classes(right: &[bool], loss: &[f64], patients: &[&str]) -> Vec<Measure> {
    vec![
        Measure::share("accuracy", right, patients),
        Measure::resampled("negative log-likelihood", patients, |films| mean(films, |film| loss[film])),
    ]
}

/// Of one label: whether each film of which it is known has it, the logit, and its patient.
pub(crate) fn of_label(has: &[bool], logits: &[f64], patients: &[&str]) -> Vec<Measure> {
    let share = |name: &str, of: bool| {
        let found = has.iter().zip(logits).zip(patients).filter(|((has, _), _)| **has == of);
        let (is, patients): (Vec<bool>, Vec<&str>) =
            found.map(|((_, logit), patient)| ((*logit >= 0.0) == of, *patient)).unzip();
        Measure::share(name, &is, &patients)
    };
    vec![Measure::auc(has, logits, patients), share("sensitivity", true), share("specificity", false)]
}

fn mean(films: &[usize], value: impl Fn(usize) -> f64) -> Option<f64> {
    (!films.is_empty()).then(|| films.iter().map(|film| value(*film)).sum::<f64>() / films.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_lies_in_its_interval_and_is_less_sure_where_patients_have_several_films() {
        let films = 120;
        let positive: Vec<bool> = (0..films).map(|film| film / 4 % 3 == 0).collect();
        let score = |film: usize| (film * 37 % 101) as f64 / 101.0;
        let probability: Vec<f64> =
            (0..films).map(|film| 0.6 * score(film / 4) + if positive[film] { 0.35 } else { 0.05 }).collect();
        let called: Vec<bool> = probability.iter().map(|p| *p >= 0.5).collect();
        let names: Vec<String> = (0..films).map(|film| film.to_string()).collect();
        let of = |each: usize| {
            let patients: Vec<&str> = (0..films).map(|film| names[film / each].as_str()).collect();
            let two =
                TwoClasses { positive: &positive, probability: &probability, called: &called, patients: &patients };
            two.measures(None)
        };
        let (alone, together) = (of(1), of(4));
        assert_eq!(alone.len(), 16);
        for (one, four) in alone.iter().zip(&together) {
            assert_eq!((&one.name, one.value), (&four.name, four.value));
            let ([low, high], [wider_low, wider_high]) = (one.interval.unwrap(), four.interval.unwrap());
            let value = one.value.unwrap();
            assert!(low <= value && value <= high && low < high, "{one:?}");
            if ["expected calibration error", "Brier reliability", "Brier resolution"].contains(&one.name.as_str()) {
                // Their resamples lie above them, the more so the fewer patients there are.
                continue;
            }
            assert!(wider_high - wider_low > 1.2 * (high - low), "{one:?} {four:?}");
        }
        let right = |name: &str| alone.iter().find(|measure| measure.name == name).unwrap().value.unwrap();
        let hits = (0..films).filter(|film| called[*film] == positive[*film]).count();
        assert_eq!(right("accuracy"), hits as f64 / films as f64);
        assert_eq!(right("AUC"), lungfish_metrics::roc_auc(&positive, &probability).unwrap());
        // The parts make the score, up to what the bins hide.
        let parts = brier::parts(&positive, &probability, BINS).unwrap();
        assert_eq!((right("Brier reliability"), right("Brier resolution")), (parts.reliability, parts.resolution));
        let made = right("Brier reliability") - right("Brier resolution") + parts.uncertainty + parts.within;
        assert!((right("Brier score") - made).abs() < 1e-12);
    }

    #[test]
    fn what_is_undefined_has_no_interval() {
        let (positive, probability, called, patients) =
            ([true; 3], [0.9, 0.8, 0.4], [true, true, false], ["a", "b", "c"]);
        let two = TwoClasses { positive: &positive, probability: &probability, called: &called, patients: &patients };
        let measures = two.measures(None);
        let of = |name: &str| measures.iter().find(|measure| measure.name == name).unwrap();
        assert_eq!((of("specificity").value, of("specificity").interval), (None, None));
        assert_eq!((of("AUC").value, of("AUC").interval), (None, None));
        assert_eq!(of("sensitivity").value, Some(2.0 / 3.0));
        assert!(of("sensitivity").interval.unwrap()[1] > 0.9, "three films say little");
        let none = of_label(&[], &[], &[]);
        assert!(none.iter().all(|measure| measure.value.is_none() && measure.interval.is_none()));
    }
}
