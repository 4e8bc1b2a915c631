//! Which of two epochs a run keeps.
//!
//! By default the one with the lower loss on the validation films as they are and on augmented views of them: films of the
//! same source alone rank epochs, and recipes, by how well they have learnt that source.
//!
//! Where the recipe names accuracy or AUC, that decides where it differs by more than chance moves it, which is one standard error on
//! so many validation films. Among epochs that are alike in it, the AUC decides in the same way, and then the loss, which
//! sees every probability and not only on which side of a half it lies. An epoch is never alike to one that lies within a
//! standard error of it and so on step by step: all are compared with the best value so far.

use lungfish_data::Label;
use serde::{Deserialize, Serialize};

use crate::BestEpoch;
use crate::recipe::Best;

/// What an epoch was kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// It was the first.
    First,
    /// The metric that the recipe names.
    Metric,
    /// Its AUC, among epochs of like accuracy.
    Auc,
    /// Its loss, among epochs that are alike in the others.
    Loss,
}

impl Why {
    /// A few words, such as "for its loss, among epochs of like accuracy and AUC".
    pub fn words(self, by: Best) -> &'static str {
        match (self, by) {
            (Why::First, _) => "the first",
            (_, Best::Robust) => "for its loss on films as they are and augmented",
            (Why::Metric, Best::Accuracy) => "for its accuracy",
            (Why::Metric, Best::Auc) => "for its AUC",
            (Why::Auc, _) => "for its AUC, among epochs of like accuracy",
            (Why::Loss, Best::Accuracy) => "for its loss, among epochs of like accuracy and AUC",
            (Why::Loss, Best::Auc) => "for its loss, among epochs of like AUC",
        }
    }
}

/// Compares epochs on one validation split.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    by: Best,
    films: usize,
    /// Films of the smallest class, and all others.
    rare: [usize; 2],
    /// Chance counts for nothing, see [`Judge::of_older_versions`].
    exact: bool,
}

impl Judge {
    /// For films of these labels. Any-of: the mean AUC is at least as sure as that of the rarest label alone.
    pub(crate) fn new(by: Best, classes: usize, labels: &[&Label]) -> Self {
        let of = |class| labels.iter().filter(|label| label.has(class) == Some(true)).count();
        let rare = (0..classes).map(of).filter(|count| *count > 0).min().unwrap_or(0);
        Judge { by, films: labels.len(), rare: [rare, labels.len() - rare], exact: false }
    }

    /// The rule of older versions: the higher metric, however little it is higher, and of equal ones the lower loss. A run
    /// that one of them began ends as it would have ended there.
    pub(crate) fn of_older_versions(self) -> Self {
        Judge { exact: true, ..self }
    }

    /// The value that the recipe judges by; an AUC that is undefined is below every other.
    pub(crate) fn value(&self, epoch: &BestEpoch) -> f64 {
        match self.by {
            Best::Robust => -epoch.robust.map_or(epoch.val_loss, |robust| robust.choice),
            Best::Accuracy => epoch.val_accuracy,
            Best::Auc => epoch.val_auc.unwrap_or(-1.0),
        }
    }

    /// Whether an epoch takes the place of the best so far, and why; `top` is the best value of any epoch before it.
    pub(crate) fn better(&self, this: &BestEpoch, best: Option<&BestEpoch>, top: Option<f64>) -> Option<Why> {
        let Some(best) = best else { return Some(Why::First) };
        let (ours, theirs) = (self.value(this), self.value(best));
        if self.exact {
            let metric = (ours > theirs).then_some(Why::Metric);
            return metric.or((ours == theirs && this.val_loss < best.val_loss).then_some(Why::Loss));
        }
        if self.by == Best::Robust {
            return (ours > theirs).then_some(Why::Metric);
        }
        let top = top.unwrap_or(theirs).max(ours);
        let alike = |value: f64| top - value <= self.tolerance(top);
        match (alike(ours), alike(theirs)) {
            (true, false) => return Some(Why::Metric),
            (false, _) => return None,
            (true, true) => {}
        }
        if let (Best::Accuracy, Some(ours), Some(theirs)) = (self.by, this.val_auc, best.val_auc) {
            let chance = self.chance_of_auc(ours.max(theirs));
            if (ours - theirs).abs() > chance {
                return (ours > theirs).then_some(Why::Auc);
            }
        }
        (this.val_loss < best.val_loss).then_some(Why::Loss)
    }

    /// How far below the best value one counts as alike.
    fn tolerance(&self, top: f64) -> f64 {
        match self.by {
            // Every probability of several views of every film is in it: it moves little by chance.
            Best::Robust => 0.0,
            Best::Accuracy => {
                let n = self.films.max(1) as f64;
                // A single film is no difference; and a sum of binary fractions is not always what it should be.
                (top * (1.0 - top) / n).max(0.0).sqrt().max(1.0 / n) + 1e-12
            }
            Best::Auc => self.chance_of_auc(top),
        }
    }

    /// The standard error of an AUC (Hanley and McNeil, Radiology 143, 1982).
    fn chance_of_auc(&self, auc: f64) -> f64 {
        let [a, b] = self.rare.map(|count| count as f64);
        if a < 1.0 || b < 1.0 || !(0.0..=1.0).contains(&auc) {
            return 0.0;
        }
        let (q1, q2) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
        let variance = auc * (1.0 - auc) + (a - 1.0) * (q1 - auc * auc) + (b - 1.0) * (q2 - auc * auc);
        (variance / (a * b)).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phase, RobustMetrics};

    fn epoch(val_accuracy: f64, val_auc: Option<f64>, val_loss: f64) -> BestEpoch {
        BestEpoch { phase: Phase::Frozen, epoch: 1, val_accuracy, val_auc, val_loss, robust: None, why: None }
    }

    /// 400 films, 100 of the rarer class.
    fn judge(by: Best) -> Judge {
        let labels: Vec<Label> = (0..400).map(|i| Label::Class(usize::from(i % 4 != 0))).collect();
        Judge::new(by, 2, &labels.iter().collect::<Vec<_>>())
    }

    #[test]
    fn alike_epochs_go_by_auc_and_then_by_loss() {
        let judge = judge(Best::Accuracy);
        let best = epoch(0.95, Some(0.97), 0.20);
        let better = |this: &BestEpoch| judge.better(this, Some(&best), Some(0.95));
        assert_eq!(judge.better(&best, None, None), Some(Why::First));
        assert_eq!(better(&epoch(0.97, Some(0.5), 9.0)), Some(Why::Metric), "sqrt(0.97 * 0.03 / 400) = 0.0085");
        assert_eq!(better(&epoch(0.955, Some(0.99), 9.0)), Some(Why::Auc));
        assert_eq!(better(&epoch(0.955, Some(0.968), 0.21)), None, "two films more, and the loss is higher");
        assert_eq!(better(&epoch(0.945, Some(0.972), 0.19)), Some(Why::Loss));
        assert_eq!(better(&epoch(0.955, Some(0.70), 0.10)), None, "a worse ranking at a like accuracy");
        assert_eq!(better(&epoch(0.90, Some(0.99), 0.10)), None);
        assert_eq!(better(&best), None, "the first of equals stays");
    }

    #[test]
    fn a_run_of_an_older_version_is_judged_as_it_was() {
        let judge = judge(Best::Accuracy).of_older_versions();
        let best = epoch(0.95, Some(0.97), 0.20);
        let better = |this: &BestEpoch| judge.better(this, Some(&best), Some(0.95));
        assert_eq!(better(&epoch(0.951, Some(0.5), 9.0)), Some(Why::Metric));
        assert_eq!(better(&epoch(0.949, Some(0.99), 0.01)), None);
        assert_eq!(better(&epoch(0.95, Some(0.5), 0.19)), Some(Why::Loss));
        assert_eq!(better(&best), None);
    }

    #[test]
    fn an_epoch_that_ranks_backwards_is_not_kept() {
        // Both call everything the commoner class.
        let judge = judge(Best::Accuracy);
        let backwards = epoch(0.75, Some(0.33), 0.57);
        let forwards = epoch(0.75, Some(0.65), 0.58);
        assert_eq!(judge.better(&forwards, Some(&backwards), Some(0.75)), Some(Why::Auc));
        assert_eq!(judge.better(&backwards, Some(&forwards), Some(0.75)), None);
    }

    #[test]
    fn robust_is_the_lower_loss_whatever_else_is_said() {
        let judge = judge(Best::Robust);
        let with = |val_accuracy, choice| BestEpoch {
            robust: Some(RobustMetrics { loss: 0.3, accuracy: 0.9, auc: None, choice }),
            ..epoch(val_accuracy, None, 0.1)
        };
        let best = with(0.99, 0.20);
        assert_eq!(judge.better(&with(0.90, 0.19), Some(&best), Some(-0.20)), Some(Why::Metric));
        assert_eq!(judge.better(&with(1.00, 0.21), Some(&best), Some(-0.20)), None);
        assert_eq!(judge.better(&best, Some(&best), Some(-0.20)), None, "the first of equals stays");
        assert_eq!(Why::Metric.words(Best::Robust), "for its loss on films as they are and augmented");
    }

    #[test]
    fn likeness_does_not_creep() {
        let judge = judge(Best::Accuracy);
        let (mut best, mut top) = (epoch(0.96, None, 0.5), 0.96);
        for step in 1..40 {
            let this = epoch(0.96 - 0.004 * f64::from(step), None, 0.5 - 0.01 * f64::from(step));
            if judge.better(&this, Some(&best), Some(top)).is_some() {
                best = this;
            }
            top = f64::max(top, 0.96);
        }
        assert!(best.val_accuracy >= 0.96 - 0.0099, "{best:?}");
    }

    #[test]
    fn the_standard_error_of_an_auc_is_hanley_and_mcneils() {
        // Their example: 58 normal and 51 abnormal films, AUC 0.893, standard error 0.032.
        let labels: Vec<Label> = (0..109).map(|i| Label::Class(usize::from(i < 51))).collect();
        let judge = Judge::new(Best::Auc, 2, &labels.iter().collect::<Vec<_>>());
        assert!((judge.chance_of_auc(0.893) - 0.032).abs() < 0.001, "{}", judge.chance_of_auc(0.893));
        let better = |this, best| judge.better(&this, Some(&best), None);
        assert_eq!(better(epoch(0.1, Some(0.96), 9.0), epoch(0.9, Some(0.85), 0.1)), Some(Why::Metric));
        assert_eq!(better(epoch(0.1, Some(0.95), 0.3), epoch(0.9, Some(0.96), 0.4)), Some(Why::Loss));
        assert_eq!(better(epoch(1.0, None, 0.1), epoch(0.9, Some(0.6), 0.4)), None);
        assert_eq!(judge.chance_of_auc(1.0), 0.0);
    }
}
