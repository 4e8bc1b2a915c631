//! How sure a model may be of itself: a temperature and operating points, found on films that it did not learn from.
//!
//! A temperature divides the logits of the last layer (Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks,
//! arXiv:1706.04599) and is folded into its weights, so that whoever loads them elsewhere has the same probabilities. No call
//! at one half changes by it: where probabilities are for equally frequent classes it is sought with the films' own frequencies
//! added behind it.

use lungfish_data::{Label, Task};
use lungfish_metrics::temperature::{CrossFitted, cross_fit_logits, cross_fit_shifted};
use lungfish_models::Tensors;
use serde::{Deserialize, Serialize};

use crate::point::{OperatingPoint, PointRule};
use crate::prior::{PriorShift, Way};
use crate::task::Answers;

/// Parts in which the films are taken: what is told of a part is found without it.
const FOLDS: usize = 5;
/// What keys the parts.
const SEED: u64 = 0;

/// What films said of a model that did not learn from them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Calibration {
    /// The folder of films that it was calibrated for; none where they are the validation films of its training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// How many films.
    pub films: usize,
    /// Of how many patients they are; films of which nothing tells count as patients of their own.
    pub patients: usize,
    /// What logits were divided by: one number, or of labels that a film may have one each. 1 where none is better.
    pub temperature: Vec<f64>,
    /// What was added to the logit of the positive class after that, for the frequency that it has among these films; empty where
    /// nothing was, or of labels that a film may have one each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intercept: Vec<f64>,
    /// Mean negative log-likelihood of these films before it; none where there is none to tell.
    pub nll_before: Option<f64>,
    /// The same after it, each part of the films with the temperature that the others say.
    pub nll_after: Option<f64>,
    /// Where films may be called, in the order in which the recipe names them.
    pub points: Vec<OperatingPoint>,
}

/// Films and what a model says of them.
pub(crate) struct Said<'a> {
    pub task: Task,
    pub classes: &'a [String],
    /// Of two classes the positive one.
    pub positive: Option<usize>,
    pub labels: &'a [&'a Label],
    /// A row of last values a film.
    pub rows: &'a [f32],
    pub patients: &'a [&'a str],
}

impl Said<'_> {
    /// The calibration that these films say. `shift` is what was taken off the logits for equally frequent classes.
    pub(crate) fn calibrate(&self, shift: &PriorShift, temperature: bool, rules: &[PointRule]) -> Calibration {
        let mut patients = self.patients.to_vec();
        patients.sort_unstable();
        patients.dedup();
        let found = if temperature { self.temperatures(shift) } else { vec![None; self.outputs()] };
        // Of labels the mean over those that have one.
        let mean = |of: &dyn Fn(&CrossFitted) -> f64| {
            let each: Vec<f64> = found.iter().flatten().map(of).collect();
            (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
        };
        let mut calibration = Calibration {
            site: None,
            films: self.labels.len(),
            patients: patients.len(),
            nll_before: mean(&|found| found.all.nll_before),
            nll_after: mean(&|found| found.nll_after),
            intercept: Vec::new(),
            temperature: found.iter().map(|found| found.as_ref().map_or(1.0, |found| found.all.temperature)).collect(),
            points: Vec::new(),
        };
        let mut rows = self.rows.to_vec();
        rows.chunks_exact_mut(self.classes.len().max(1)).for_each(|row| calibration.apply(self.task, row));
        calibration.points = self.points(&rows, rules);
        calibration
    }

    fn outputs(&self) -> usize {
        if self.task == Task::OneOf { 1 } else { self.classes.len() }
    }

    /// The temperature of each output that has one. Films that are told apart without a miss say only that it may be as sure as
    /// it likes, and where films that had no part in it are no likelier by it there is nothing to gain.
    fn temperatures(&self, shift: &PriorShift) -> Vec<Option<CrossFitted>> {
        let gains = |found: &CrossFitted| !found.all.at_end && found.nll_after < found.all.nll_before;
        match self.task {
            Task::OneOf => {
                let films = self.labels.iter().enumerate().filter_map(|(film, label)| Some((film, label.class()?)));
                let (films, of): (Vec<usize>, Vec<usize>) = films.unzip();
                let width = self.classes.len();
                let rows: Vec<f32> =
                    films.iter().flat_map(|film| &self.rows[film * width..][..width]).copied().collect();
                let patients: Vec<&str> = films.iter().map(|film| self.patients[*film]).collect();
                let shift = if shift.0.is_empty() { vec![0.0; width] } else { shift.0.clone() };
                vec![cross_fit_shifted(width, &of, (&rows, &shift), &patients, FOLDS, SEED).filter(gains)]
            }
            Task::AnyOf => {
                let of = |label: usize| {
                    let Known { positive, values, patients } =
                        self.known(label, self.rows, |row| f64::from(row[label]));
                    if !positive.contains(&true) || !positive.contains(&false) {
                        return None;
                    }
                    cross_fit_logits(&positive, &values, &patients, FOLDS, SEED).filter(gains)
                };
                (0..self.classes.len()).map(of).collect()
            }
        }
    }

    /// The points of each label, or of the positive one of two classes.
    fn points(&self, rows: &[f32], rules: &[PointRule]) -> Vec<OperatingPoint> {
        let of = |index: usize, label: Option<&String>| {
            let probability = |row: &[f32]| self.task.probabilities(row).get(index).copied().unwrap_or_default();
            let Known { positive, values, patients } = self.known(index, rows, probability);
            let point = move |rule: &PointRule| {
                let fitted = rule.fit(&positive, &values, &patients);
                OperatingPoint { label: label.cloned(), ..fitted }
            };
            rules.iter().map(point).collect::<Vec<_>>()
        };
        match (self.task, self.positive) {
            (Task::OneOf, Some(positive)) => of(positive, None),
            (Task::OneOf, None) => Vec::new(),
            (Task::AnyOf, _) => {
                self.classes.iter().enumerate().flat_map(|(index, label)| of(index, Some(label))).collect()
            }
        }
    }

    /// The films of which is known whether they have a class or label, with what `value` makes of the row of each.
    fn known(&self, index: usize, rows: &[f32], value: impl Fn(&[f32]) -> f64) -> Known<'_> {
        let mut known = Known::default();
        let rows = rows.chunks_exact(self.classes.len().max(1));
        for ((label, row), patient) in self.labels.iter().zip(rows).zip(self.patients) {
            if let Some(has) = label.has(index) {
                known.positive.push(has);
                known.values.push(value(row));
                known.patients.push(patient);
            }
        }
        known
    }
}

/// Films of which is known whether they are positive.
#[derive(Default)]
struct Known<'a> {
    positive: Vec<bool>,
    values: Vec<f64>,
    patients: Vec<&'a str>,
}

impl Calibration {
    /// Divides a film's row of last values. Intercepts are no part of it: they are in the weights when rows are made.
    fn apply(&self, task: Task, row: &mut [f32]) {
        match task {
            Task::OneOf => {
                let temperature = self.temperature.first().copied().unwrap_or(1.0);
                let logits: Vec<f64> = row.iter().map(|value| f64::from(*value) / temperature).collect();
                let most = logits.iter().fold(f64::NEG_INFINITY, |most, value| most.max(*value));
                let sum = most + logits.iter().map(|value| (value - most).exp()).sum::<f64>().ln();
                row.iter_mut().zip(logits).for_each(|(value, logit)| *value = (logit - sum) as f32);
            }
            Task::AnyOf => {
                row.iter_mut().zip(&self.temperature).for_each(|(value, t)| *value = (f64::from(*value) / t) as f32);
            }
        }
    }

    /// Folds it into the last layer, or takes it out again. `positive` is the output that an intercept of two classes is for.
    pub(crate) fn fold(&self, tensors: &mut Tensors, bias: &str, positive: Option<usize>, way: Way) {
        let weight = bias.strip_suffix("bias").map(|layer| format!("{layer}weight")).unwrap_or_default();
        let outputs = tensors.get(bias).map_or(0, |bias| bias.data.len());
        let of = |values: &[f64], output: usize| match values {
            [one] => Some(*one),
            many => many.get(output).copied(),
        };
        let temperature = |output: usize| of(&self.temperature, output).unwrap_or(1.0);
        let intercept = |output: usize| match positive {
            Some(positive) if positive != output => 0.0,
            _ => of(&self.intercept, output).unwrap_or(0.0),
        };
        for (name, with) in [(bias, 1.0), (weight.as_str(), 0.0)] {
            let Some(tensor) = tensors.get_mut(name).filter(|_| outputs > 0) else { continue };
            let each = tensor.data.len() / outputs;
            for (output, values) in tensor.data.chunks_exact_mut(each.max(1)).enumerate() {
                let (divisor, added) = (temperature(output), with * intercept(output));
                let folded = |value: f64| match way {
                    Way::In => value / divisor + added,
                    Way::Out => (value - added) * divisor,
                };
                values.iter_mut().for_each(|value| *value = folded(f64::from(*value)) as f32);
            }
        }
    }

    /// The rules of which it has points.
    pub(crate) fn rules(&self) -> Vec<String> {
        let mut rules: Vec<String> = Vec::new();
        for point in &self.points {
            let rule = point.rule.to_string();
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        rules
    }

    /// The cut of a rule, for a label where there are labels.
    pub(crate) fn point(&self, rule: PointRule, label: Option<&str>) -> Option<&OperatingPoint> {
        self.points.iter().find(|point| point.rule == rule && point.label.as_deref() == label)
    }
}

#[cfg(test)]
mod tests {
    use lungfish_models::Tensor;

    use super::*;

    /// Films of two classes in equal numbers, a patient each, that a network is `times` as sure of as it should be: of ten films with a
    /// logit of 2 that are told right with a probability of 0.88 nine are.
    fn films(times: f32, count: usize) -> (Vec<Label>, Vec<f32>, Vec<String>) {
        let label = |film: usize| Label::Class(usize::from((film % 2 == 1) != (film % 16 < 2)));
        let labels = (0..count).map(label).collect();
        let logit = |film: usize| if film % 2 == 1 { 1.946 * times } else { -1.946 * times };
        let row = |film: usize| [-softplus(logit(film)), -softplus(-logit(film))];
        ((labels), (0..count).flat_map(row).collect(), (0..count).map(|film| format!("p{film}")).collect())
    }

    fn softplus(z: f32) -> f32 {
        crate::task::softplus(f64::from(z)) as f32
    }

    fn calibrated(films: &(Vec<Label>, Vec<f32>, Vec<String>), shift: &PriorShift, rules: &str) -> Calibration {
        let classes = ["A".to_owned(), "B".to_owned()];
        let labels: Vec<&Label> = films.0.iter().collect();
        let patients: Vec<&str> = films.2.iter().map(String::as_str).collect();
        let said = Said {
            task: Task::OneOf,
            classes: &classes,
            positive: Some(1),
            labels: &labels,
            rows: &films.1,
            patients: &patients,
        };
        said.calibrate(shift, true, &PointRule::list(rules).unwrap())
    }

    #[test]
    fn a_network_that_is_too_sure_is_made_as_sure_as_it_is_right() {
        // Of sixteen films two are told wrong: 0.875, a logit of 1.946.
        let found = calibrated(&films(2.0, 320), &PriorShift::default(), "youden,sensitivity=0.95");
        assert!((found.temperature[0] - 2.0).abs() < 0.01, "{found:?}");
        let (before, after) = (found.nll_before.unwrap(), found.nll_after.unwrap());
        assert!(after < before && (after - 0.3768).abs() < 0.01, "{before} {after}");
        assert_eq!((found.films, found.patients, found.points.len()), (320, 320, 2));
        assert_eq!(found.rules(), ["youden", "sensitivity=0.95"]);
        let point = found.point(PointRule::Youden, None).unwrap();
        assert!(point.cut.unwrap() > 0.125 && point.cut.unwrap() <= 0.875, "{point:?}");
        assert_eq!(found.point(PointRule::MaxAccuracy, None), None);
    }

    #[test]
    fn no_call_changes_by_a_temperature_and_nothing_is_sought_where_nothing_is_said() {
        // The films have three of B to one of A, the rows are for equal classes.
        let (labels, rows, names) = films(2.0, 320);
        let kept = |film: &usize| labels[*film] == Label::Class(1) || (film / 16).is_multiple_of(3);
        let films_of = |films: &[usize]| {
            (
                films.iter().map(|film| labels[*film].clone()).collect::<Vec<_>>(),
                films.iter().flat_map(|film| rows[2 * film..2 * film + 2].to_vec()).collect::<Vec<_>>(),
                films.iter().map(|film| names[*film].clone()).collect::<Vec<_>>(),
            )
        };
        let some = films_of(&(0..320).filter(kept).collect::<Vec<_>>());
        let share = some.0.iter().filter(|label| **label == Label::Class(1)).count() as f64 / some.0.len() as f64;
        let shift = PriorShift(vec![((1.0 - share).ln() - share.ln()) / 2.0, (share.ln() - (1.0 - share).ln()) / 2.0]);
        let found = calibrated(&some, &shift, "");
        assert!((found.temperature[0] - 2.0).abs() < 0.02, "{found:?}");
        for row in some.1.chunks_exact(2) {
            let mut divided = row.to_vec();
            found.apply(Task::OneOf, &mut divided);
            assert_eq!(row[0] > row[1], divided[0] > divided[1]);
            assert!((f64::from(divided[0]).exp() + f64::from(divided[1]).exp() - 1.0).abs() < 1e-6);
        }
        // All right: the surer the better, which says nothing.
        let all: Vec<usize> = (0..320).filter(|film| film % 16 >= 2).collect();
        assert_eq!(calibrated(&films_of(&all), &PriorShift::default(), "").temperature, [1.0]);
        // Fewer patients than parts.
        assert_eq!(calibrated(&films_of(&[0, 1, 2, 3]), &PriorShift::default(), "").temperature, [1.0]);
    }

    #[test]
    fn labels_have_temperatures_of_their_own() {
        let classes = ["A".to_owned(), "B".to_owned()];
        let (of, rows, names) = films(2.0, 160);
        let labels: Vec<Label> =
            of.iter().map(|label| Label::Row(vec![Some(label.class() == Some(1)), None])).collect();
        let logits: Vec<f32> = rows.chunks_exact(2).flat_map(|row| [row[1] - row[0], 1.0]).collect();
        let (labels, patients): (Vec<&Label>, Vec<&str>) =
            (labels.iter().collect(), names.iter().map(String::as_str).collect());
        let said = Said {
            task: Task::AnyOf,
            classes: &classes,
            positive: None,
            labels: &labels,
            rows: &logits,
            patients: &patients,
        };
        let found = said.calibrate(&PriorShift::default(), true, &[PointRule::Youden]);
        assert!((found.temperature[0] - 2.0).abs() < 0.02 && found.temperature[1] == 1.0, "{found:?}");
        assert!(found.point(PointRule::Youden, Some("A")).unwrap().cut.is_some());
        let none = found.point(PointRule::Youden, Some("B")).unwrap();
        assert!(none.cut.is_none() && none.why.is_some(), "of B nothing is known of any film: {none:?}");
    }

    #[test]
    fn what_is_folded_into_the_last_layer_comes_out_again() {
        let calibration = Calibration { temperature: vec![2.0], intercept: vec![0.5], ..Calibration::default() };
        let layer = |weight: [f32; 4], bias: [f32; 2]| {
            Tensors::from([
                ("head.weight".to_owned(), Tensor { shape: vec![2, 2], data: weight.to_vec() }),
                ("head.bias".to_owned(), Tensor { shape: vec![2], data: bias.to_vec() }),
            ])
        };
        let mut tensors = layer([1.0, 2.0, 3.0, 4.0], [1.0, -1.0]);
        calibration.fold(&mut tensors, "head.bias", Some(1), Way::In);
        assert_eq!(tensors, layer([0.5, 1.0, 1.5, 2.0], [0.5, 0.0]));
        calibration.fold(&mut tensors, "head.bias", Some(1), Way::Out);
        assert_eq!(tensors, layer([1.0, 2.0, 3.0, 4.0], [1.0, -1.0]));
    }
}
