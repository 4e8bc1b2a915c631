//! Labels that are doubtful: films that other films say are of another class.
//!
//! A network with ImageNet's weights, of which nothing was trained on these films, says what it sees in each; trees that were fitted to
//! films of other patients say from that which class it is. Where that contradicts the label with more confidence than the films of
//! the other class have on the whole, the label is suspect: confident learning (Northcutt, Jiang and Chuang 2021). It may be the
//! film that is odd, or the network that is wrong: a suspect is to be looked at, not to be changed by itself.

use std::path::PathBuf;

use lungfish_data::display::escape;
use lungfish_data::{Channels, Decoding, Film, Pipeline, Preprocess, Task};
use lungfish_engine::{Precision, Store};
use serde::Serialize;

use super::shortcuts::cross_fitted;
use crate::compute::Compute;
use crate::scorer::{Scorer, Wanted};
use crate::trees::Table;
use crate::{Error, Recipe, Silent, Watch, data_set, reference, weights};

/// Films at most, chosen evenly.
pub(super) const MOST: usize = 20_000;
/// Suspects that are named, the most doubtful first.
const NAMED: usize = 50;

/// Labels that are doubtful.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Suspects {
    /// Films that were asked about.
    pub films: usize,
    /// Of how many of them the label is doubtful.
    pub count: usize,
    /// Some of them, the most doubtful first.
    pub suspects: Vec<Suspect>,
}

/// A film whose label is doubtful.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Suspect {
    /// Its file.
    pub film: String,
    /// Where that is.
    #[serde(skip)]
    pub path: PathBuf,
    /// What it is said to be.
    pub label: String,
    /// The probability of that, by films of other patients.
    pub of_label: f64,
    /// What they say that it is.
    pub suggested: String,
    /// The probability of that.
    pub of_suggested: f64,
}

/// What a network sees in films, while these are looked at.
pub(super) struct Sight {
    scorer: Scorer,
    store: Store<Compute>,
    preprocess: Preprocess,
    /// Which films are asked about.
    chosen: Vec<bool>,
    /// The features of each of them that was seen, by its place, in order.
    seen: Vec<(usize, Vec<f32>)>,
}

impl Sight {
    /// For so many films, decoded in a way.
    pub(super) fn new(films: usize, decoding: Decoding, watch: &Watch<'_>) -> Result<Self, Error> {
        let recipe = Recipe { channels: Channels::Gray, ..Recipe::default() };
        let backend = Compute::default();
        let network = weights::network(&recipe, Task::OneOf, 2)?;
        let none = [String::new(), String::new()];
        // What is told of weights is told of a training.
        let mut silent = Silent;
        let mut silent = Watch::new(&mut silent, watch.flag());
        let store = weights::start(&recipe, &network, (Task::OneOf, &none), &backend, &mut silent)?;
        let preprocess = Preprocess { decoding, ..recipe.preprocess() };
        let pipeline = Pipeline { preprocess, augment: None, side: None, cache: None };
        let wanted = Wanted { features: true, ..Wanted::default() };
        // Of no training, and the same on every machine.
        let networks = (std::slice::from_ref(&network), &[Precision::Fp32][..]);
        let scorer = Scorer::asking(&backend, networks, Task::OneOf, pipeline, wanted)?;
        let mut chosen = vec![false; films];
        data_set::evenly(&(0..films).collect::<Vec<usize>>(), MOST).into_iter().for_each(|film| chosen[film] = true);
        Ok(Sight { scorer, store, preprocess, chosen, seen: Vec::new() })
    }

    /// How the network wants to see films, and which of them.
    pub(super) fn wants(&self) -> (Preprocess, Vec<bool>) {
        (self.preprocess, self.chosen.clone())
    }

    /// Sees some films.
    pub(super) fn see(&mut self, films: Vec<usize>, pixels: Vec<Vec<u8>>) -> Result<(), Error> {
        let rows = self.scorer.score_squares(std::slice::from_mut(&mut self.store), pixels)?;
        self.seen.extend(films.into_iter().zip(rows.into_iter().map(|row| row.features.concat())));
        Ok(())
    }

    /// The suspects among films of classes, by their places; none where a class has too few films.
    pub(super) fn suspects(self, films: &[&Film], classes: &[String]) -> Option<Suspects> {
        let (mut read, mut features) = (Vec::new(), Vec::new());
        for (film, of_film) in self.seen {
            let Some(label) = films[film].label.class() else { continue };
            features.extend(of_film);
            read.push((films[film], label));
        }
        let width = features.len().checked_div(read.len()).unwrap_or(0);
        let (columns, values) = reference::coordinates(&features, width)?;
        let table = Table { columns, values };
        let labels: Vec<usize> = read.iter().map(|(_, label)| *label).collect();
        let patients: Vec<&str> = read.iter().map(|(film, _)| film.group.as_str()).collect();
        let probabilities = probabilities(&table, &labels, &patients, classes.len())?;
        let found = confident(&labels, &probabilities, classes.len());
        let of = |film: usize, class: usize| probabilities[film * classes.len() + class];
        let suspect = |(film, suggested): &(usize, usize)| Suspect {
            film: escape(&read[*film].0.path),
            path: read[*film].0.path.clone(),
            label: classes[labels[*film]].clone(),
            of_label: of(*film, labels[*film]),
            suggested: classes[*suggested].clone(),
            of_suggested: of(*film, *suggested),
        };
        Some(Suspects {
            films: read.len(),
            count: found.len(),
            suspects: found.iter().take(NAMED).map(suspect).collect(),
        })
    }
}

/// Of each film the probability of each class, by trees that were fitted to other patients' films: one class against all others
/// each, made one together.
fn probabilities(table: &Table, labels: &[usize], patients: &[&str], classes: usize) -> Option<Vec<f64>> {
    let films: Vec<usize> = (0..labels.len()).collect();
    let sigmoid = |logit: &f64| 1.0 / (1.0 + (-logit).exp());
    let of_class = |class: usize| -> Option<Vec<f64>> {
        let has: Vec<bool> = labels.iter().map(|label| *label == class).collect();
        Some(cross_fitted(table, &has, &films, patients)?.iter().map(sigmoid).collect())
    };
    let each: Vec<Vec<f64>> = match classes {
        2 => {
            let second = of_class(1)?;
            vec![second.iter().map(|p| 1.0 - p).collect(), second]
        }
        _ => (0..classes).map(of_class).collect::<Option<_>>()?,
    };
    let row = |film: usize| {
        let sum: f64 = each.iter().map(|class| class[film]).sum();
        each.iter().map(move |class| class[film] / sum.max(f64::MIN_POSITIVE))
    };
    Some(films.iter().flat_map(|film| row(*film).collect::<Vec<f64>>()).collect())
}

/// Films off the diagonal of the confident joint with the class that each is counted for, those whose own label is least probable
/// first. `probabilities` are `[films, classes]`.
fn confident(labels: &[usize], probabilities: &[f64], classes: usize) -> Vec<(usize, usize)> {
    let row = |film: usize| &probabilities[film * classes..][..classes];
    // The mean probability of a class among the films that are said to be of it.
    let threshold = |class: usize| {
        let own: Vec<f64> =
            (0..labels.len()).filter(|film| labels[*film] == class).map(|film| row(film)[class]).collect();
        if own.is_empty() { f64::INFINITY } else { own.iter().sum::<f64>() / own.len() as f64 }
    };
    let thresholds: Vec<f64> = (0..classes).map(threshold).collect();
    let counted = |film: &usize| {
        let row = row(*film);
        let sure = (0..classes).filter(|class| row[*class] >= thresholds[*class] - 1e-6);
        let class = sure.max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a)))?;
        (class != labels[*film] && lungfish_metrics::argmax(row) != labels[*film]).then_some((*film, class))
    };
    let mut found: Vec<(usize, usize)> = (0..labels.len()).filter_map(|film| counted(&film)).collect();
    found.sort_by(|a, b| row(a.0)[labels[a.0]].total_cmp(&row(b.0)[labels[b.0]]).then(a.0.cmp(&b.0)));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_suspects_are_those_of_cleanlab() {
        let golden: Value = serde_json::from_str(include_str!("../../../../golden/audit/suspects.json")).unwrap();
        let numbers =
            |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        let mut all = 0;
        for case in golden["cases"].as_array().unwrap() {
            let labels: Vec<usize> = numbers(&case["labels"]).iter().map(|label| *label as usize).collect();
            let classes = case["classes"].as_u64().unwrap() as usize;
            let found = confident(&labels, &numbers(&case["probabilities"]), classes);
            let expected: Vec<usize> = numbers(&case["suspects"]).iter().map(|film| *film as usize).collect();
            all += expected.len();
            assert_eq!(found.iter().map(|(film, _)| *film).collect::<Vec<_>>(), expected, "{}", case["name"]);
        }
        assert!(all > 10);
    }

    #[test]
    fn a_label_that_was_turned_over_is_suspect() {
        // Two numbers tell the class; three labels are wrong.
        let wrong = [30, 77, 140];
        let films = 200;
        let value = |film: usize, column: usize| {
            let noise = ((film as u32 * 2 + column as u32).wrapping_mul(2_654_435_761) >> 16) % 1000;
            f64::from(noise) / 1000.0 + if film.is_multiple_of(2) { 1.5 } else { 0.0 }
        };
        let table = Table { columns: 2, values: (0..2 * films).map(|at| value(at / 2, at % 2)).collect() };
        let labels: Vec<usize> = (0..films).map(|film| usize::from((film % 2 == 0) != wrong.contains(&film))).collect();
        let names: Vec<String> = (0..films).map(|film| film.to_string()).collect();
        let patients: Vec<&str> = names.iter().map(String::as_str).collect();
        let probabilities = probabilities(&table, &labels, &patients, 2).unwrap();
        let mut found: Vec<usize> = confident(&labels, &probabilities, 2).into_iter().map(|(film, _)| film).collect();
        found.sort_unstable();
        assert_eq!(found, wrong);
    }
}
