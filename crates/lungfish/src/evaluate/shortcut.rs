//! What of a test the look of its films alone would tell, and what of the model is left where that is held equal.

use lungfish_data::{Label, STATISTICS};
use lungfish_metrics::bootstrap::Bootstrap;
use lungfish_metrics::{Confidence, adjusted, clustered};
use serde::Serialize;

use super::groups::FEW;
use crate::reference::Reference;
use crate::{Measure, Prediction, measures};

/// Groups of films of like look: as many films each as can be.
const STRATA: usize = 5;
/// Between these probabilities the look of a film does not decide.
const UNDECIDED: [f64; 2] = [0.2, 0.8];
/// What keys the resamples.
const SEED: u64 = 0;

/// What ten statistics of the films tell of the positive class or of a label, without a look at lungs, by trees that were fitted to the films that
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

/// The same of one label of several, by the films of which it is known whether they have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LabelShortcut {
    /// The label.
    pub label: String,
    /// Films of which it is known.
    pub films: usize,
    /// Those that have it.
    pub positives: usize,
    /// Whether fewer than 10 films of the test have it or have it not, or too few films of the training for trees, so that nothing
    /// should be concluded.
    pub too_few: bool,
    /// What the look tells; none where all films of the test are of one kind, or too few films of the training told it.
    pub shortcut: Option<ShortcutMetrics>,
}

/// What is held against the look of films: a test of several labels.
pub(super) struct Labelled<'a> {
    pub names: &'a [String],
    pub labels: &'a [Label],
    pub predictions: &'a [Prediction],
    pub statistics: &'a [[f64; STATISTICS]],
    pub patients: &'a [&'a str],
}

impl Labelled<'_> {
    /// Each label, of the films of which it is known.
    pub(super) fn measure(&self, reference: &Reference) -> Vec<LabelShortcut> {
        let of = |(index, name): (usize, &String)| {
            let known = (0..self.labels.len()).filter_map(|film| Some((film, self.labels[film].has(index)?)));
            let (films, positive): (Vec<usize>, Vec<bool>) = known.unzip();
            let positives = positive.iter().filter(|is| **is).count();
            let looked = Looked {
                probability: films.iter().map(|film| self.predictions[*film].probabilities[index].1).collect(),
                called: films.iter().map(|film| self.predictions[*film].called.has(name)).collect(),
                statistics: films.iter().map(|film| self.statistics[*film]).collect(),
                patients: films.iter().map(|film| self.patients[*film]).collect(),
                // All labels together take no more work than one would.
                resamples: measures::resamples(films.len() * self.names.len()),
                question: index,
                positive,
            };
            let shortcut = looked.measure(reference);
            let too_few = positives.min(films.len() - positives) < FEW || shortcut.is_none();
            LabelShortcut { label: name.clone(), films: films.len(), positives, too_few, shortcut }
        };
        self.names.iter().enumerate().map(of).collect()
    }
}

/// Films of which each is of one of two kinds, each with what the model says, its look and its patient.
pub(super) struct Looked<'a> {
    /// What the reference is asked: see [`Reference::by_looks`].
    pub question: usize,
    /// How often the films are resampled.
    pub resamples: usize,
    pub positive: Vec<bool>,
    pub probability: Vec<f64>,
    pub called: Vec<bool>,
    pub statistics: Vec<[f64; STATISTICS]>,
    pub patients: Vec<&'a str>,
}

impl Looked<'_> {
    /// None where the films are all of one kind, or the reference says nothing.
    pub(super) fn measure(&self, reference: &Reference) -> Option<ShortcutMetrics> {
        let looks: Vec<f64> =
            self.statistics.iter().map(|row| reference.by_looks(self.question, row)).collect::<Option<_>>()?;
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
        let bootstrap = Bootstrap { resamples: self.resamples, ..Bootstrap::new(SEED) };
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
    use crate::Task;
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
        let kinds = (1000..1000 + films).map(|film| Some(is(film))).collect();
        let mut train = Remembered { has: vec![kinds], ..Remembered::default() };
        train.statistics = (1000..1000 + films).flat_map(row).collect();
        let reference = Reference::new(&train, &[], 0).unwrap();
        let names: Vec<String> = (0..films).map(|film| film.to_string()).collect();
        let looked = |score: &dyn Fn(usize) -> f64| {
            let probability: Vec<f64> = (0..films).map(score).collect();
            Looked {
                question: 0,
                resamples: 200,
                positive: (0..films).map(is).collect(),
                called: probability.iter().map(|p| *p >= 0.5).collect(),
                probability,
                statistics: (0..films).map(row).collect(),
                patients: names.iter().map(String::as_str).collect(),
            }
        };
        let cheat = looked(&|film| 1.0 / (1.0 + (-reference.by_looks(0, &row(film)).unwrap()).exp()));
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

    /// Of three labels the model reads the look for the first, the film for the second, and too few films have the third.
    #[test]
    fn each_label_is_held_against_its_own_look() {
        let films = 240;
        let (look, has) = (|film: usize| film % 4, |film: usize| (film / 4).is_multiple_of(3));
        // The first label is frequent among films of some looks, and of a look neither more nor less frequent by anything else.
        let first = |film: usize| (film / 4) % 4 < look(film);
        let row = |film: usize| {
            let mut row = [0.0; STATISTICS];
            row[0] = look(film) as f64;
            row
        };
        let third = |film: usize| film < 9;
        let train = Remembered {
            statistics: (0..films).flat_map(row).collect(),
            has: vec![
                (0..films).map(|film| Some(first(film))).collect(),
                (0..films).map(|film| Some(has(film))).collect(),
                (0..films).map(|film| Some(third(film))).collect(),
            ],
            ..Remembered::default()
        };
        let reference = Reference::new(&train, &[], 0).unwrap();
        let names = ["READ", "SEEN", "RARE"].map(str::to_owned);
        // Of every tenth film nobody knows the first two labels, and the model says of those what would spoil all.
        let unknown = |film: usize| film.is_multiple_of(10);
        let label = |film: usize| {
            let known = |has: bool| Some(has).filter(|_| !unknown(film));
            Label::Row(vec![known(first(film)), known(has(film)), Some(third(film))])
        };
        let said = |film: usize| {
            // Films of one look say nearly the same.
            let nearly = (film * 37 % 101) as f64 / 1010.0;
            let by_look = 1.0 / (1.0 + (-reference.by_looks(0, &row(film)).unwrap() - nearly).exp());
            let probabilities = match unknown(film) {
                true => [f64::from(u8::from(!first(film))), f64::from(u8::from(!has(film))), 0.5],
                false => [by_look, if has(film) { 0.9 } else { 0.1 }, 0.5],
            };
            Prediction::new("", Task::AnyOf, names.iter().cloned().zip(probabilities).collect())
        };
        let patients: Vec<String> = (0..films).map(|film| film.to_string()).collect();
        let labelled = Labelled {
            names: &names,
            labels: &(0..films).map(label).collect::<Vec<_>>(),
            predictions: &(0..films).map(said).collect::<Vec<_>>(),
            statistics: &(0..films).map(row).collect::<Vec<_>>(),
            patients: &patients.iter().map(String::as_str).collect::<Vec<_>>(),
        };
        let found = labelled.measure(&reference);
        let [read, seen, rare] = &found[..] else { panic!("{found:?}") };
        let known = (0..films).filter(|film| !unknown(*film)).count();
        assert_eq!((read.label.as_str(), read.films, read.too_few), ("READ", known, false));
        let of_read = read.shortcut.as_ref().unwrap();
        // The look tells the label, and a model that says the look knows nothing else.
        assert!(of_read.alone.value.unwrap() > 0.75, "{of_read:?}");
        let [low, high] = of_read.adjusted.interval.unwrap();
        assert!((of_read.adjusted.value.unwrap() - 0.5).abs() < 0.1 && low < 0.5 && high > 0.5, "{of_read:?}");
        let of_seen = seen.shortcut.as_ref().unwrap();
        assert_eq!(of_seen.adjusted.value, Some(1.0), "{of_seen:?}");
        assert!((of_seen.alone.value.unwrap() - 0.5).abs() < 0.1, "{of_seen:?}");
        assert_eq!((rare.films, rare.positives, rare.too_few, &rare.shortcut), (films, 9, true, &None));
    }
}
