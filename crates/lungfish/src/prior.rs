//! For which frequency of the classes a model's probabilities are.
//!
//! A network that learns from films of which three in four show pneumonia learns that three in four do, and calls a doubtful
//! film so. Where the next films are others, that is a prejudice. Taking the logarithm of each class's share off its logit
//! gives the probabilities for classes that are equally frequent (Saerens, Latinne and Decaestecker, Neural Computation 14,
//! 2002; Menon et al., ICLR 2021). In a model file it is folded into the bias of the last layer, so that whoever loads the
//! weights elsewhere gets the same.

use lungfish_data::{Label, Task};
use lungfish_models::Tensors;

use crate::Recipe;
use crate::recipe::{ClassWeights, PriorRule, Sampling};

/// What is taken off the logit of each class; empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PriorShift(pub Vec<f64>);

impl PriorShift {
    /// What a recipe has taken off, from the labels that a training learns from.
    pub(crate) fn new(recipe: &Recipe, task: Task, classes: usize, labels: &[&Label]) -> Self {
        match recipe.prior {
            PriorRule::None => PriorShift::default(),
            PriorRule::Equal => Self::of_training(recipe, task, classes, labels),
        }
    }

    /// What lies between the frequencies of the classes, as a training learns them, and equal ones. Balanced weights or
    /// sampling have made the classes equal already.
    pub(crate) fn of_training(recipe: &Recipe, task: Task, classes: usize, labels: &[&Label]) -> Self {
        let counts: Vec<usize> =
            (0..classes).map(|class| labels.iter().filter(|label| label.has(class) == Some(true)).count()).collect();
        let balanced = recipe.class_weights == ClassWeights::Balanced || recipe.sampling == Sampling::Balanced;
        if balanced || task == Task::AnyOf || counts.contains(&0) {
            return PriorShift::default();
        }
        let logs: Vec<f64> = counts.iter().map(|count| (*count as f64 / labels.len() as f64).ln()).collect();
        // About zero, so that no bias drifts away.
        let mean = logs.iter().sum::<f64>() / classes as f64;
        PriorShift(logs.into_iter().map(|log| log - mean).collect())
    }

    /// Moves rows of log-probabilities.
    pub(crate) fn apply(&self, rows: &mut [f32]) {
        if self.0.is_empty() {
            return;
        }
        for row in rows.chunks_exact_mut(self.0.len()) {
            let moved: Vec<f64> = row.iter().zip(&self.0).map(|(value, by)| f64::from(*value) - by).collect();
            let most = moved.iter().fold(f64::NEG_INFINITY, |most, value| most.max(*value));
            let sum = most + moved.iter().map(|value| (value - most).exp()).sum::<f64>().ln();
            row.iter_mut().zip(moved).for_each(|(value, moved)| *value = (moved - sum) as f32);
        }
    }

    /// Moves rows back to where they were before [`Self::apply`].
    pub(crate) fn undo(&self, rows: &mut [f32]) {
        PriorShift(self.0.iter().map(|by| -by).collect()).apply(rows);
    }

    /// Folds it into the bias of the last layer, or takes it out again.
    pub(crate) fn fold(&self, tensors: &mut Tensors, bias: &str, way: Way) {
        let sign = if way == Way::In { -1.0 } else { 1.0 };
        if let Some(bias) = tensors.get_mut(bias).filter(|bias| bias.data.len() == self.0.len()) {
            bias.data.iter_mut().zip(&self.0).for_each(|(bias, by)| *bias = (f64::from(*bias) + sign * by) as f32);
        }
    }
}

/// Which way a shift is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Into what is written.
    In,
    /// Out of what was read.
    Out,
}

#[cfg(test)]
mod tests {
    use lungfish_models::Tensor;

    use super::*;

    fn labels(counts: &[usize]) -> Vec<Label> {
        counts.iter().enumerate().flat_map(|(class, n)| std::iter::repeat_n(Label::Class(class), *n)).collect()
    }

    fn shift(prior: PriorRule, class_weights: ClassWeights, counts: &[usize]) -> PriorShift {
        shift_of(&Recipe { prior, class_weights, ..Recipe::default() }, counts)
    }

    fn shift_of(recipe: &Recipe, counts: &[usize]) -> PriorShift {
        let labels = labels(counts);
        PriorShift::new(recipe, Task::OneOf, counts.len(), &labels.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_network_that_knows_nothing_but_the_shares_calls_the_classes_equal() {
        let equal = shift(PriorRule::Equal, ClassWeights::None, &[26, 74]);
        assert!(
            (equal.0[1] - equal.0[0] - (74.0_f64 / 26.0).ln()).abs() < 1e-12
                && equal.0.iter().sum::<f64>().abs() < 1e-12
        );
        let mut rows = [0.26_f32.ln(), 0.74_f32.ln(), 0.5_f32.ln(), 0.5_f32.ln()];
        equal.apply(&mut rows);
        let mut back = rows;
        equal.undo(&mut back);
        assert!((back[0].exp() - 0.26).abs() < 1e-6 && (back[3].exp() - 0.5).abs() < 1e-6, "{back:?}");
        assert!((rows[0].exp() - 0.5).abs() < 1e-6 && (rows[3].exp() - 0.26).abs() < 1e-6, "{rows:?}");
    }

    #[test]
    fn balanced_weights_no_rule_and_absent_classes_move_nothing() {
        assert_eq!(shift(PriorRule::Equal, ClassWeights::Balanced, &[1, 3]), PriorShift::default());
        let sampled = Recipe { sampling: Sampling::Balanced, ..Recipe::default() };
        assert_eq!(shift_of(&sampled, &[1, 3]), PriorShift::default());
        assert_eq!(shift(PriorRule::None, ClassWeights::None, &[1, 3]), PriorShift::default());
        assert_eq!(shift(PriorRule::Equal, ClassWeights::None, &[0, 3]), PriorShift::default());
        assert!(shift(PriorRule::Equal, ClassWeights::None, &[3, 3, 3]).0.iter().all(|by| by.abs() < 1e-12));
    }

    #[test]
    fn what_is_folded_in_comes_out_again() {
        let equal = shift(PriorRule::Equal, ClassWeights::None, &[1, 2, 7]);
        let bias = Tensor { shape: vec![3], data: vec![0.5, -1.0, 0.25] };
        let mut tensors = Tensors::from([("b".to_owned(), bias.clone())]);
        equal.fold(&mut tensors, "b", Way::In);
        assert!((f64::from(tensors["b"].data[2]) - (0.25 - equal.0[2])).abs() < 1e-6);
        equal.fold(&mut tensors, "b", Way::Out);
        assert!(tensors["b"].data.iter().zip(&bias.data).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
