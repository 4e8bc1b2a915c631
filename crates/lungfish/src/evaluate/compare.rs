//! Two models on the same films: what one gains over the other, and how sure that is.

use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::{CheckedFilm, Label, Task};
use lungfish_metrics::bootstrap::{self, Bootstrap};
use lungfish_metrics::paired::mcnemar;
use lungfish_metrics::{Confidence, clustered};
use serde::Serialize;

use super::choice::refuse_seen;
use crate::compute::Compute;
use crate::model::Model;
use crate::task::Answers;
use crate::{Error, Measure, Prediction, Predictor, Tta, Watch, sample_bits};

/// What keys the resamples, and how many there are.
const SEED: u64 = 0;

/// Another model beside the one that is tested, on the same films.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Comparison {
    /// The other model, as it was named.
    pub other: String,
    /// Each metric of both and what lies between them; of labels that a film may have, of each label.
    pub differences: Vec<Difference>,
    /// Calls, films or labels of films, that the tested model has right and the other wrong.
    pub only_this_right: u64,
    /// The reverse.
    pub only_other_right: u64,
    /// Probability of so uneven a share, or one more uneven, if both were as good: McNemar's exact test, as if the films were of as many
    /// patients.
    pub mcnemar_p: f64,
    /// The films that the two call otherwise.
    pub changed: Vec<Changed>,
}

/// A metric of both models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Difference {
    /// What it is; of labels with the label before it.
    pub name: String,
    /// Of the tested model.
    pub this: f64,
    /// Of the other one.
    pub other: f64,
    /// The tested model's less the other's, with its interval.
    pub difference: Measure,
    /// Probability of so large a difference, or a larger one, if there were none; none where only an interval is told.
    pub p: Option<f64>,
}

/// A film that two models call otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Changed {
    /// The film.
    pub path: String,
    /// What it is: its class, or its labels with commas.
    pub label: String,
    /// What the tested model calls it.
    pub this: String,
    /// What the other calls it.
    pub other: String,
}

/// The other model, which can be asked about these films.
pub(super) fn open(path: &Path, (task, classes): (Task, &[String]), backend: &Compute) -> Result<Model, Error> {
    let model = Model::open(path, backend)?;
    if model.info.task != task || model.info.classes != classes {
        let list = |names: &[String]| names.iter().map(escape).collect::<Vec<_>>().join(", ");
        return Err(Error::refused(format!(
            "{} cannot be compared: it is {} of {}, and the tested model is {task} of {}",
            escape(path),
            model.info.task,
            list(&model.info.classes),
            list(classes)
        )));
    }
    Ok(model)
}

/// What the other model says of the films, those that it has seen refused.
pub(super) fn ask(
    model: Model,
    films: &[&CheckedFilm],
    (tta, root, is_test): (Tta, &Path, bool),
    backend: &Compute,
    watch: &mut Watch<'_>,
) -> Result<Vec<Option<Prediction>>, Error> {
    let mut model = model;
    if is_test {
        refuse_seen(&model, films, root)?;
    }
    let paths: Vec<PathBuf> = films.iter().map(|film| film.film.path.clone()).collect();
    let of: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    sample_bits::of_films(&mut model.info.preprocess.decoding, &of, watch);
    let mut predictor = Predictor::of(model, backend)?.with_tta(tta);
    let rows = predictor.rows(&paths, watch)?;
    Ok(paths.iter().zip(rows).map(|(path, row)| Some(predictor.prediction(path, &row.ok()?))).collect())
}

/// Films that both models have scored.
pub(super) struct Both<'a> {
    pub task: Task,
    pub classes: &'a [String],
    pub positive: Option<usize>,
    pub labels: Vec<&'a Label>,
    pub this: Vec<&'a Prediction>,
    pub other: Vec<&'a Prediction>,
    pub patients: Vec<&'a str>,
}

impl Both<'_> {
    pub(super) fn compare(&self, other: &Path) -> Comparison {
        let (mut differences, mut right, mut other_right) = (Vec::new(), Vec::new(), Vec::new());
        match (self.task, self.positive) {
            (Task::OneOf, _) => {
                let correct = |said: &Prediction, label: &Label| {
                    label.class().is_some_and(|class| said.called.has(&self.classes[class]))
                };
                let each = |said: &[&Prediction]| -> Vec<bool> {
                    said.iter().zip(&self.labels).map(|(said, label)| correct(said, label)).collect()
                };
                (right, other_right) = (each(&self.this), each(&self.other));
                if let Some(positive) = self.positive {
                    differences.extend(self.auc(positive, ""));
                }
                differences.extend(self.share("accuracy", (&right, &other_right), |_| true));
                if let Some(positive) = self.positive {
                    let is = |film: usize| self.labels[film].class() == Some(positive);
                    differences.extend(self.share("sensitivity", (&right, &other_right), is));
                    differences.extend(self.share("specificity", (&right, &other_right), |film| !is(film)));
                }
                differences.extend(self.loss());
            }
            (Task::AnyOf, _) => {
                for (index, name) in self.classes.iter().enumerate() {
                    differences.extend(self.auc(index, &format!("{name} ")));
                    for (film, label) in self.labels.iter().enumerate() {
                        let Some(has) = label.has(index) else { continue };
                        right.push(self.this[film].called.has(name) == has);
                        other_right.push(self.other[film].called.has(name) == has);
                    }
                }
            }
        }
        let tested = mcnemar(&right, &other_right);
        Comparison {
            other: escape(other),
            differences,
            only_this_right: tested.first_only,
            only_other_right: tested.second_only,
            mcnemar_p: tested.exact,
            changed: self.changed(),
        }
    }

    /// The films that are called otherwise.
    fn changed(&self) -> Vec<Changed> {
        let films = 0..self.labels.len();
        let otherwise = films.filter(|film| self.this[*film].called != self.other[*film].called);
        let label = |label: &Label| {
            let names = self.classes.iter().enumerate().filter(|(index, _)| label.has(*index) == Some(true));
            names.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        otherwise
            .map(|film| Changed {
                path: escape(&self.this[film].path),
                label: label(self.labels[film]),
                this: self.this[film].called.words(),
                other: self.other[film].called.words(),
            })
            .collect()
    }

    /// The difference of the AUCs of a class or label: Obuchowski's variance, in which films of a patient count together.
    fn auc(&self, index: usize, of: &str) -> Option<Difference> {
        let known: Vec<usize> = (0..self.labels.len()).filter(|film| self.labels[*film].has(index).is_some()).collect();
        let positive: Vec<bool> = known.iter().map(|film| self.labels[*film].has(index) == Some(true)).collect();
        let patients: Vec<&str> = known.iter().map(|film| self.patients[*film]).collect();
        let scores = |said: &[&Prediction]| -> Vec<f64> {
            known.iter().map(|film| said[*film].probabilities[index].1).collect()
        };
        let found = clustered::difference(&positive, &scores(&self.this), &scores(&self.other), &patients)?;
        let interval = found.interval(Confidence::default());
        let name = format!("{of}AUC");
        let difference =
            Measure::new(&name, Some(found.difference), interval.map(|interval| [interval.low, interval.high]));
        Some(Difference { name, this: found.first.auc, other: found.second.auc, difference, p: found.p() })
    }

    /// The difference of two shares of the films that `among` lets through, patients resampled for both at once.
    fn share(
        &self,
        name: &str,
        (right, other): (&[bool], &[bool]),
        among: impl Fn(usize) -> bool,
    ) -> Option<Difference> {
        let films: Vec<usize> = (0..right.len()).filter(|film| among(*film)).collect();
        let of = |which: &[bool]| -> Vec<f64> { films.iter().map(|film| f64::from(u8::from(which[*film]))).collect() };
        self.mean(name, &films, (&of(right), &of(other)))
    }

    /// The difference of the negative log-likelihoods.
    fn loss(&self) -> Option<Difference> {
        let films: Vec<usize> = (0..self.labels.len()).collect();
        let of = |said: &[&Prediction]| -> Option<Vec<f64>> {
            let loss = |film: &usize| {
                let probability = said[*film].probabilities.get(self.labels[*film].class()?)?.1;
                Some(-self.task.value_of(probability.max(f64::MIN_POSITIVE)))
            };
            films.iter().map(loss).collect()
        };
        self.mean("negative log-likelihood", &films, (&of(&self.this)?, &of(&self.other)?))
    }

    fn mean(&self, name: &str, films: &[usize], (this, other): (&[f64], &[f64])) -> Option<Difference> {
        let patients: Vec<&str> = films.iter().map(|film| self.patients[*film]).collect();
        let mean = |values: &[f64], drawn: &[usize]| {
            (!drawn.is_empty()).then(|| drawn.iter().map(|film| values[*film]).sum::<f64>() / drawn.len() as f64)
        };
        let between = bootstrap::difference(|drawn| mean(this, drawn), |drawn| mean(other, drawn));
        let found = Bootstrap::new(SEED).run(&patients, between)?;
        let interval = found.bca(Confidence::default()).or_else(|| found.percentile(Confidence::default()));
        let all: Vec<usize> = (0..films.len()).collect();
        Some(Difference {
            name: name.to_owned(),
            this: mean(this, &all)?,
            other: mean(other, &all)?,
            difference: Measure::new(name, Some(found.estimate), interval.map(|found| [found.low, found.high])),
            p: None,
        })
    }
}
