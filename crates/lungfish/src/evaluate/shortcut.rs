//! What of a test the look of its films alone would tell, and what of the model is left where that is held equal.

use lungfish_data::STATISTICS;
use lungfish_metrics::bootstrap::Bootstrap;
use lungfish_metrics::{Confidence, adjusted, clustered};
use serde::Serialize;

use crate::reference::Reference;
use crate::{Measure, measures};

/// Groups of films of like look: as many films each as can be.
const STRATA: usize = 5;
/// Between these probabilities the look of a film does not decide.
const UNDECIDED: [f64; 2] = [0.2, 0.8];
/// What keys the resamples.
const SEED: u64 = 0;

/// What ten statistics of the films tell of the positive class, without a look at lungs, by trees that were fitted to the films that
/// taught the model; and how the model does where that is of no use.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ShortcutMetrics {
    /// What is looked at.
    pub what: &'static str,
    /// The AUC of that alone.
    pub alone: Measure,
    /// The model's AUC among films of like look: the mean of the strata's, each by its positive films (Janes and Pepe 2009).
    pub adjusted: Measure,
    /// Films of like look, from those that look least like the positive class.
    pub strata: Vec<LookStratum>,
    /// The films on which the look is wrong, or undecided (between 0.2 and 0.8).
    pub misled: Misled,
}

/// Films of like look.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LookStratum {
    /// The least probability of the positive class, by the look alone.
    pub from: f64,
    /// The largest.
    pub to: f64,
    /// Films.
    pub films: usize,
    /// Those of the positive class.
    pub positives: usize,
    /// The model's AUC; none where all are of one class.
    pub auc: Option<f64>,
}

/// The films whose look misleads.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Misled {
    /// How many.
    pub films: usize,
    /// Those of the positive class.
    pub positives: usize,
    /// How the model does on them.
    pub measures: Vec<Measure>,
}

/// Films of two classes, each with what the model says, its look and its patient.
pub(super) struct Looked<'a> {
    pub positive: Vec<bool>,
    pub probability: Vec<f64>,
    pub called: Vec<bool>,
    pub statistics: Vec<[f64; STATISTICS]>,
    pub patients: Vec<&'a str>,
}

impl Looked<'_> {
    /// None where the films are all of one class.
    pub(super) fn measure(&self, reference: &Reference) -> Option<ShortcutMetrics> {
        let looks: Vec<f64> = self.statistics.iter().map(|row| reference.by_looks(row)).collect::<Option<_>>()?;
        let found = clustered::auc(&self.positive, &looks, &self.patients)?;
        let interval = found.interval(Confidence::default()).map(|found| [found.interval.low, found.interval.high]);
        let strata = strata(&looks);
        Some(ShortcutMetrics {
            what: "image statistics",
            alone: Measure::new("AUC", Some(found.auc), interval),
            adjusted: self.adjusted(&strata),
            strata: self.strata(&looks, &strata),
            misled: self.misled(&looks),
        })
    }

    fn adjusted(&self, strata: &[usize]) -> Measure {
        let bootstrap = Bootstrap { resamples: measures::resamples(self.positive.len()), ..Bootstrap::new(SEED) };
        let found = adjusted::resampled(&self.positive, &self.probability, strata, &self.patients, &bootstrap);
        let interval = found
            .as_ref()
            .and_then(|found| found.bca(Confidence::default()).or_else(|| found.percentile(Confidence::default())));
        Measure::new("AUC", found.map(|found| found.estimate), interval.map(|found| [found.low, found.high]))
    }

    fn strata(&self, looks: &[f64], strata: &[usize]) -> Vec<LookStratum> {
        let of = |stratum: usize| {
            let films: Vec<usize> = (0..looks.len()).filter(|film| strata[*film] == stratum).collect();
            let probability = |film: &usize| 1.0 / (1.0 + (-looks[*film]).exp());
            let (positive, scores): (Vec<bool>, Vec<f64>) =
                films.iter().map(|film| (self.positive[*film], self.probability[*film])).unzip();
            (!films.is_empty()).then(|| LookStratum {
                from: films.iter().map(probability).fold(f64::INFINITY, f64::min),
                to: films.iter().map(probability).fold(0.0, f64::max),
                films: films.len(),
                positives: positive.iter().filter(|is| **is).count(),
                auc: lungfish_metrics::roc_auc(&positive, &scores),
            })
        };
        (0..STRATA).filter_map(of).collect()
    }

    fn misled(&self, looks: &[f64]) -> Misled {
        let misleads = |film: &usize| {
            let probability = 1.0 / (1.0 + (-looks[*film]).exp());
            (probability >= 0.5) != self.positive[*film] || (UNDECIDED[0]..=UNDECIDED[1]).contains(&probability)
        };
        let films: Vec<usize> = (0..looks.len()).filter(misleads).collect();
        let of = |which: &[bool]| films.iter().map(|film| which[*film]).collect::<Vec<bool>>();
        let probability: Vec<f64> = films.iter().map(|film| self.probability[*film]).collect();
        let patients: Vec<&str> = films.iter().map(|film| self.patients[*film]).collect();
        let (positive, called) = (of(&self.positive), of(&self.called));
        Misled {
            films: films.len(),
            positives: positive.iter().filter(|is| **is).count(),
            measures: measures::of_some(&positive, &probability, &called, &patients),
        }
    }
}

/// The stratum of each film: as many films in each as can be, those that look the same together.
fn strata(looks: &[f64]) -> Vec<usize> {
    let mut sorted = looks.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cuts: Vec<f64> = (1..STRATA).filter_map(|part| sorted.get(part * sorted.len() / STRATA).copied()).collect();
    looks.iter().map(|look| cuts.partition_point(|cut| cut <= look)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Remembered;

    /// A model that knows the look of films and nothing else is worth nothing among films of like look.
    #[test]
    fn a_model_that_reads_the_look_alone_is_found_out() {
        let hash = |film: usize, of: usize| {
            let mixed = (film as u64 + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add((of as u64).wrapping_mul(0x517c_c1b7_2722_0a95));
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
        };
        let noise = |film: usize, of: usize| (hash(film, of) % 10_007) as f64 / 10_007.0;
        let is = |film: usize| film.is_multiple_of(2);
        let row = |film: usize| {
            let mut row = [0.0; STATISTICS];
            row[0] = noise(film, 1) + if is(film) { 0.5 } else { 0.0 };
            row
        };
        let films = 400;
        let mut train = Remembered::default();
        for film in 1000..1000 + films {
            train.statistics.extend(row(film));
            train.positive.push(is(film));
        }
        let reference = Reference::new(&train, &[], 0).unwrap();
        let names: Vec<String> = (0..films).map(|film| film.to_string()).collect();
        let looked = |score: &dyn Fn(usize) -> f64| {
            let probability: Vec<f64> = (0..films).map(score).collect();
            Looked {
                positive: (0..films).map(is).collect(),
                called: probability.iter().map(|p| *p >= 0.5).collect(),
                probability,
                statistics: (0..films).map(row).collect(),
                patients: names.iter().map(String::as_str).collect(),
            }
        };
        let cheat = looked(&|film| 1.0 / (1.0 + (-reference.by_looks(&row(film)).unwrap()).exp()));
        let found = cheat.measure(&reference).unwrap();
        let [alone, adjusted] = [&found.alone, &found.adjusted].map(|measure| measure.value.unwrap());
        assert!(alone > 0.75 && adjusted < alone - 0.1, "{found:?}");
        let misled = found.misled.measures.iter().find(|measure| measure.name == "AUC").unwrap().value.unwrap();
        assert!(misled < alone - 0.2 && found.misled.films > 50, "{found:?}");
        assert_eq!(found.strata.iter().map(|stratum| stratum.films).sum::<usize>(), films);
        assert!(found.strata[4].positives > found.strata[0].positives);

        let honest = looked(&|film| if is(film) { 0.6 } else { 0.4 } + 0.3 * (noise(film, 5) - 0.5));
        let found = honest.measure(&reference).unwrap();
        assert!(found.adjusted.value.unwrap() > 0.8, "{found:?}");
        let one_kind = Looked { positive: vec![true; films], ..cheat };
        assert_eq!(one_kind.measure(&reference), None);
    }
}
