//! The loss as target rows: weights, label smoothing, what nobody knows and the mean are all in the rows, so that the
//! engine needs no other loss than two sums.
//!
//! One-of: `-sum(t * log_probability)` is `torch.nn.CrossEntropyLoss(weight, label_smoothing)` with its mean reduction.
//! Any-of: `-sum(p * ln(sigmoid(z)) + q * ln(1 - sigmoid(z)))` is `torch.nn.BCEWithLogitsLoss(weight, pos_weight)`, the
//! mean over what is known.

use std::ops::Range;

use lungfish_data::{Label, Task};
use lungfish_engine::Seed;

use crate::recipe::ClassWeights;

/// Makes target rows.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    kind: Kind,
    smoothing: f64,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A weight a class.
    OneOf(Vec<f64>),
    /// A weight of each label where a film has it, and where it has not.
    AnyOf(Vec<[f64; 2]>),
}

/// What a step's network is trained towards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rows {
    /// `[n, classes]`: what each class counts.
    OneOf(Vec<f32>),
    /// Twice `[n, labels]`: what each label counts that a film has, and that it has not; 0 where nobody knows.
    AnyOf { positive: Vec<f32>, negative: Vec<f32> },
}

impl Targets {
    /// `labels` are those of the whole train split. Balanced weights: a class weighs films / (classes * its films), and 0
    /// where it has no film; a label where a film has it as many times as there are films without it to one with it.
    pub(crate) fn new(task: Task, rule: ClassWeights, smoothing: f64, classes: usize, labels: &[&Label]) -> Self {
        let count = |index: usize, has: bool| labels.iter().filter(|label| label.has(index) == Some(has)).count();
        let kind = match (task, rule) {
            (Task::OneOf, ClassWeights::None) => Kind::OneOf(vec![1.0; classes]),
            (Task::OneOf, ClassWeights::Balanced) => {
                let weight = |n: usize| if n == 0 { 0.0 } else { labels.len() as f64 / (classes * n) as f64 };
                Kind::OneOf((0..classes).map(|class| weight(count(class, true))).collect())
            }
            (Task::AnyOf, ClassWeights::None) => Kind::AnyOf(vec![[1.0; 2]; classes]),
            (Task::AnyOf, ClassWeights::Balanced) => {
                let weight = |label| match (count(label, true), count(label, false)) {
                    (0, _) | (_, 0) => [1.0; 2],
                    (with, without) => [without as f64 / with as f64, 1.0],
                };
                Kind::AnyOf((0..classes).map(weight).collect())
            }
        };
        Targets { kind, smoothing }
    }

    /// Rows for a step's labels.
    ///
    /// One-of, as torch has it: the mean divides by the sum of the weights of the step's labels, and the smoothed part
    /// weighs each class by its own weight. Any-of: the mean divides by how many labels of the step are known, weighed or
    /// not, and smoothing moves each known one towards one half.
    pub(crate) fn rows(&self, labels: &[&Label]) -> Rows {
        match &self.kind {
            Kind::OneOf(weights) => Rows::OneOf(self.one_of(weights, labels)),
            Kind::AnyOf(weights) => self.any_of(weights, labels),
        }
    }

    /// Moves rows of a step by `share` towards what a teacher says of its films, a probability of each class or label; labels
    /// that nobody knows stay without a part.
    pub(crate) fn teach(&self, rows: &mut Rows, labels: &[&Label], says: &[Vec<f64>], share: f64) {
        let blend = |row: &mut f32, taught: f64| *row = ((1.0 - share) * f64::from(*row) + share * taught) as f32;
        match (&self.kind, rows) {
            (Kind::OneOf(weights), Rows::OneOf(rows)) => {
                let total = total_weight(weights, labels);
                let taught = says.iter().flat_map(|row| row.iter().zip(weights).map(|(p, weight)| weight * p / total));
                rows.iter_mut().zip(taught).for_each(|(row, taught)| blend(row, taught));
            }
            (Kind::AnyOf(weights), Rows::AnyOf { positive, negative }) => {
                let total = known_of(labels, weights.len()) as f64;
                for (film, (label, row)) in labels.iter().zip(says).enumerate() {
                    for (index, ([with, without], p)) in weights.iter().zip(row).enumerate() {
                        if label.has(index).is_some() {
                            let at = film * weights.len() + index;
                            blend(&mut positive[at], with * p / total);
                            blend(&mut negative[at], without * (1.0 - p) / total);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn one_of(&self, weights: &[f64], labels: &[&Label]) -> Vec<f32> {
        let classes = weights.len();
        let known = || labels.iter().filter_map(|label| label.class());
        let total = total_weight(weights, labels);
        let mut rows = Vec::with_capacity(labels.len() * classes);
        for label in known() {
            for (class, weight) in weights.iter().enumerate() {
                let sure = if class == label { 1.0 - self.smoothing } else { 0.0 };
                rows.push((weight * (sure + self.smoothing / classes as f64) / total) as f32);
            }
        }
        rows
    }

    fn any_of(&self, weights: &[[f64; 2]], labels: &[&Label]) -> Rows {
        let total = known_of(labels, weights.len()) as f64;
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        for label in labels {
            for (index, [with, without]) in weights.iter().enumerate() {
                let [p, q] = match label.has(index) {
                    None => [0.0; 2],
                    Some(has) => {
                        let target = f64::from(u8::from(has)) * (1.0 - self.smoothing) + self.smoothing / 2.0;
                        [with * target / total, without * (1.0 - target) / total]
                    }
                };
                positive.push(p as f32);
                negative.push(q as f32);
            }
        }
        Rows::AnyOf { positive, negative }
    }
}

/// The sum of the weights of a step's labels.
fn total_weight(weights: &[f64], labels: &[&Label]) -> f64 {
    labels.iter().filter_map(|label| weights.get(label.class()?)).sum()
}

/// How many labels of a step's films are known.
fn known_of(labels: &[&Label], width: usize) -> usize {
    labels.iter().map(|label| (0..width).filter(|&index| label.has(index).is_some()).count()).sum()
}

impl Rows {
    /// Mixes the rows of a step as its films are ([`lungfish_data::Mixed`]): `own` is each film's own part, the rest is of
    /// the one that is as far from the other end.
    pub(crate) fn mix(&mut self, own: f64, films: usize) {
        let each = |rows: &mut Vec<f32>| {
            let width = rows.len() / films.max(1);
            let own = own as f32;
            for i in 0..films / 2 {
                let (before, after) = rows.split_at_mut((films - 1 - i) * width);
                for (a, b) in before[i * width..][..width].iter_mut().zip(&mut after[..width]) {
                    (*a, *b) = (own * *a + (1.0 - own) * *b, own * *b + (1.0 - own) * *a);
                }
            }
        };
        match self {
            Rows::OneOf(rows) => each(rows),
            Rows::AnyOf { positive, negative } => [positive, negative].into_iter().for_each(each),
        }
    }

    /// Those of some of the `n` films of the step.
    pub(crate) fn part(&self, films: &Range<usize>, n: usize) -> Rows {
        let of = |rows: &[f32]| {
            let each = rows.len() / n.max(1);
            rows[films.start * each..films.end * each].to_vec()
        };
        match self {
            Rows::OneOf(rows) => Rows::OneOf(of(rows)),
            Rows::AnyOf { positive, negative } => Rows::AnyOf { positive: of(positive), negative: of(negative) },
        }
    }

    /// Those of a loss that is so many times as large.
    pub(crate) fn scaled(&self, scale: f64) -> Rows {
        let of = |rows: &[f32]| rows.iter().map(|row| row * scale as f32).collect();
        match self {
            Rows::OneOf(rows) => Rows::OneOf(of(rows)),
            Rows::AnyOf { positive, negative } => Rows::AnyOf { positive: of(positive), negative: of(negative) },
        }
    }

    /// As the engine takes them.
    pub(crate) fn seed(&self) -> Seed<'_> {
        match self {
            Rows::OneOf(targets) => Seed::Targets(targets),
            Rows::AnyOf { positive, negative } => Seed::BinaryTargets { positive, negative },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{sigmoid, softplus};
    use serde_json::Value;

    /// `-sum(p * ln(sigmoid(z)) + q * ln(1 - sigmoid(z)))` and its gradient to the logits `z`.
    fn binary(logits: &[f32], positive: &[f32], negative: &[f32]) -> (f64, Vec<f32>) {
        let mut loss = 0.0;
        let mut gradient = Vec::with_capacity(logits.len());
        // What takes no part must not turn infinity into what is no number.
        let term = |share: f64, value: f64| if share == 0.0 { 0.0 } else { share * value };
        for ((&z, &p), &q) in logits.iter().zip(positive).zip(negative) {
            let (z, p, q) = (f64::from(z), f64::from(p), f64::from(q));
            loss += term(p, softplus(-z)) + term(q, softplus(z));
            gradient.push((term(q, sigmoid(z)) - term(p, sigmoid(-z))) as f32);
        }
        (loss, gradient)
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    fn one_of(targets: &Targets, labels: &[usize]) -> Vec<f32> {
        let labels: Vec<Label> = labels.iter().map(|&class| Label::Class(class)).collect();
        match targets.rows(&labels.iter().collect::<Vec<_>>()) {
            Rows::OneOf(rows) => rows,
            rows => panic!("{rows:?}"),
        }
    }

    #[test]
    fn losses_and_gradients_are_torchs() {
        let golden: Value = serde_json::from_str(include_str!("../../../golden/training/losses.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 18);
        for case in cases {
            let labels: Vec<usize> = numbers(&case["labels"]).iter().map(|&l| l as usize).collect();
            let classes = case["classes"].as_u64().unwrap() as usize;
            let weights = if case["weight"].is_null() { vec![1.0; classes] } else { numbers(&case["weight"]) };
            let targets = Targets { kind: Kind::OneOf(weights), smoothing: case["label_smoothing"].as_f64().unwrap() };
            let rows = one_of(&targets, &labels);
            let (mut loss, mut gradient) = (0.0, Vec::new());
            for (logits, t) in numbers(&case["logits"]).chunks(classes).zip(rows.chunks(classes)) {
                let norm = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
                let mass: f64 = t.iter().map(|&t| f64::from(t)).sum();
                for (x, &t) in logits.iter().zip(t) {
                    loss -= f64::from(t) * (x - norm);
                    gradient.push(mass * (x - norm).exp() - f64::from(t));
                }
            }
            assert!((loss - case["loss"].as_f64().unwrap()).abs() < 1e-6, "{case}");
            for (ours, theirs) in gradient.iter().zip(numbers(&case["gradient"])) {
                assert!((ours - theirs).abs() < 1e-6, "{case}");
            }
        }
    }

    #[test]
    fn losses_and_gradients_of_labels_are_torchs() {
        let golden: Value = serde_json::from_str(include_str!("../../../golden/training/bce.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 24);
        for case in cases {
            let width = case["labels"].as_u64().unwrap() as usize;
            let value = |v: &Value| v.as_f64().map(|has| has == 1.0);
            let rows: Vec<Option<bool>> = case["targets"].as_array().unwrap().iter().map(value).collect();
            let labels: Vec<Label> = rows.chunks(width).map(|row| Label::Row(row.to_vec())).collect();
            let each = |key: &str| if case[key].is_null() { vec![1.0; width] } else { numbers(&case[key]) };
            // torch's pos_weight weighs what is there besides its weight, and not what is absent.
            let weights = each("weight").iter().zip(each("pos_weight")).map(|(w, p)| [w * p, *w]).collect();
            let targets = Targets { kind: Kind::AnyOf(weights), smoothing: case["label_smoothing"].as_f64().unwrap() };
            let Rows::AnyOf { positive, negative } = targets.rows(&labels.iter().collect::<Vec<_>>()) else {
                panic!("rows of labels")
            };
            let logits: Vec<f32> = numbers(&case["logits"]).iter().map(|&z| z as f32).collect();
            let (loss, gradient) = binary(&logits, &positive, &negative);
            assert!((loss - case["loss"].as_f64().unwrap()).abs() < 1e-6, "{loss} {case}");
            for (ours, theirs) in gradient.iter().zip(numbers(&case["gradient"])) {
                assert!((f64::from(*ours) - theirs).abs() < 1e-6, "{case}");
            }
        }
    }

    #[test]
    fn rows_are_mixed_with_those_from_the_other_end() {
        let mut rows = Rows::OneOf(vec![1.0, 0.0, 0.0, 1.0, 0.0, 2.0]);
        rows.mix(0.75, 3);
        assert_eq!(rows, Rows::OneOf(vec![0.75, 0.5, 0.0, 1.0, 0.25, 1.5]));
        let mut rows = Rows::AnyOf { positive: vec![1.0, 0.0], negative: vec![0.0, 1.0] };
        rows.mix(0.5, 2);
        assert_eq!(rows, Rows::AnyOf { positive: vec![0.5; 2], negative: vec![0.5; 2] });
    }

    #[test]
    fn a_teacher_who_says_the_labels_changes_nothing_and_one_alone_is_the_target() {
        let labels = [Label::Class(0), Label::Class(1), Label::Class(1)];
        let labels: Vec<&Label> = labels.iter().collect();
        let targets = Targets::new(Task::OneOf, ClassWeights::None, 0.0, 2, &labels);
        let plain = targets.rows(&labels);
        let mut taught = plain.clone();
        targets.teach(&mut taught, &labels, &[vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 1.0]], 0.5);
        assert_eq!(taught, plain);
        targets.teach(&mut taught, &labels, &vec![vec![0.25, 0.75]; 3], 1.0);
        let Rows::OneOf(rows) = taught else { panic!("rows of classes") };
        assert!(rows.chunks(2).all(|row| (row[0] - 0.25 / 3.0).abs() < 1e-7 && (row[1] - 0.25).abs() < 1e-7));
        // The weights of classes hold for what is taught as well: 1.5 and 0.75, and the sum of the labels' is 3.
        let balanced = Targets::new(Task::OneOf, ClassWeights::Balanced, 0.0, 2, &labels);
        let mut rows = balanced.rows(&labels);
        balanced.teach(&mut rows, &labels, &vec![vec![0.5, 0.5]; 3], 1.0);
        let Rows::OneOf(rows) = rows else { panic!("rows of classes") };
        assert!(rows.chunks(2).all(|row| (row[0] - 0.25).abs() < 1e-7 && (row[1] - 0.125).abs() < 1e-7), "{rows:?}");

        let labels = [Label::Row(vec![Some(true), None])];
        let labels: Vec<&Label> = labels.iter().collect();
        let targets = Targets::new(Task::AnyOf, ClassWeights::None, 0.0, 2, &labels);
        let mut rows = targets.rows(&labels);
        targets.teach(&mut rows, &labels, &[vec![0.5, 0.5]], 0.5);
        assert_eq!(rows, Rows::AnyOf { positive: vec![0.75, 0.0], negative: vec![0.25, 0.0] });
    }

    #[test]
    fn a_label_that_nobody_knows_has_no_part() {
        let row = |values: [Option<bool>; 3]| Label::Row(values.to_vec());
        let labels = [row([Some(true), None, Some(false)]), row([None; 3]), row([Some(false), Some(true), None])];
        let labels: Vec<&Label> = labels.iter().collect();
        let targets = Targets::new(Task::AnyOf, ClassWeights::None, 0.0, 3, &labels);
        let Rows::AnyOf { positive, negative } = targets.rows(&labels) else { panic!("rows of labels") };
        assert_eq!(positive, [0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.0]);
        assert_eq!(negative, [0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0]);
        // A step of which nobody knows anything moves nothing.
        let Rows::AnyOf { positive, negative } = targets.rows(&labels[1..2]) else { panic!("rows of labels") };
        assert_eq!(binary(&[5.0; 3], &positive, &negative), (0.0, vec![0.0; 3]));
        // Whatever the network says where nobody knows, loss and gradient stay what they are.
        let Rows::AnyOf { positive, negative } = targets.rows(&labels) else { panic!("rows of labels") };
        let mut logits = [0.5, -1.0, 2.0, 0.0, 0.0, 0.0, 1.0, -2.0, 3.0];
        let before = binary(&logits, &positive, &negative);
        assert!(before.0 > 0.0 && [0, 2, 6, 7].iter().all(|&at| before.1[at] != 0.0));
        for at in [1, 3, 4, 5, 8] {
            logits[at] = f32::INFINITY;
        }
        assert_eq!(binary(&logits, &positive, &negative), before);
    }

    #[test]
    fn balanced_weights_are_scikit_learns() {
        let balanced = |classes, labels: &[usize]| {
            let labels: Vec<Label> = labels.iter().map(|&class| Label::Class(class)).collect();
            let labels: Vec<&Label> = labels.iter().collect();
            match Targets::new(Task::OneOf, ClassWeights::Balanced, 0.0, classes, &labels).kind {
                Kind::OneOf(weights) => weights,
                kind => panic!("{kind:?}"),
            }
        };
        // sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1], y=[0, 1, 1, 1]) = [2, 0.6667]
        let weights = balanced(2, &[0, 1, 1, 1]);
        assert!((weights[0] - 2.0).abs() < 1e-12 && (weights[1] - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(balanced(3, &[0, 1])[2], 0.0);

        // The usual pos_weight: films without to films with, those of which nobody knows not counted.
        let labels: Vec<Label> =
            [Some(true), None, Some(false), Some(false), Some(false)].map(|has| Label::Row(vec![has])).into();
        let targets = Targets::new(Task::AnyOf, ClassWeights::Balanced, 0.0, 1, &labels.iter().collect::<Vec<_>>());
        assert!(matches!(targets.kind, Kind::AnyOf(weights) if weights == [[3.0, 1.0]]));
    }
}
