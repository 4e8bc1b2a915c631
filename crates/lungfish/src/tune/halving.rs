//! How many trials are trained how long, and what their results say of the keys.

use super::space::{Values, Vary};
use super::{Importance, Trial};
use crate::Recipe;

/// One trial in so many is trained on the next rung.
const REDUCTION: usize = 3;
/// Epochs of the last rung where the recipe has none.
const EPOCHS: usize = 8;
/// More trials than these are drawn for no budget.
const MOST: usize = 729;

/// A rung: for how long a trial is trained on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    pub epochs: usize,
    /// Side of the image, pixels.
    pub side: usize,
    /// It trains as the recipe says, on images that may grow.
    pub last: bool,
}

/// A quarter and a half of the epochs on small images, then all of them as the recipe says.
pub(super) fn rungs(base: &Recipe) -> Vec<Rung> {
    let all = if base.epochs == 0 { EPOCHS } else { base.epochs };
    let side = Recipe::small_side(base.image_size);
    let mut rungs = Vec::new();
    for epochs in [all / 4, all / 2] {
        if epochs > 0 && rungs.last().is_none_or(|before: &Rung| before.epochs < epochs) && epochs < all {
            rungs.push(Rung { epochs, side, last: false });
        }
    }
    rungs.push(Rung { epochs: all, side: base.image_size, last: true });
    rungs
}

/// How many trials are trained on each rung, so that all of it takes as long as the budget where one trial takes `seconds`
/// on the first. At least three begin, and one ends, and no more than `most` begin.
pub(super) fn counts(rungs: &[Rung], seconds: f64, budget: f64, most: Option<usize>) -> Vec<usize> {
    let work = |rung: &Rung| rung.epochs as f64 * (rung.side as f64).powi(2);
    let first = rungs.first().map_or(1.0, work);
    let of = |begin: usize| -> Vec<usize> {
        let mut count = begin;
        rungs
            .iter()
            .map(|_| {
                let now = count;
                count = count.div_ceil(REDUCTION);
                now
            })
            .collect()
    };
    let cost = |counts: &[usize]| -> f64 {
        counts.iter().zip(rungs).map(|(count, rung)| *count as f64 * seconds * work(rung) / first).sum()
    };
    let most = most.unwrap_or(MOST).clamp(REDUCTION, MOST);
    let fits = (REDUCTION..=most).rev().map(of).find(|counts| cost(counts) <= budget);
    fits.unwrap_or_else(|| of(REDUCTION))
}

/// How much of the differences on the first rung goes with each key, the most first.
pub(super) fn importance(trials: &[Trial], vary: &[Vary]) -> Vec<Importance> {
    let share = |vary: &Vary| {
        let result = |trial: &Trial| {
            let (_, value) = trial.settings.iter().find(|(key, _)| *key == vary.key)?;
            Some((value.clone(), trial.results.first()?.choice?))
        };
        let seen: Vec<(String, f64)> = trials.iter().filter_map(result).collect();
        if seen.len() < 4 {
            return None;
        }
        let losses = ranks(&seen.iter().map(|(_, loss)| *loss).collect::<Vec<_>>());
        match &vary.values {
            Values::Between(..) => {
                let values: Vec<f64> = seen.iter().map(|(value, _)| value.parse().unwrap_or(0.0)).collect();
                correlation(&ranks(&values), &losses).map(|r| r * r)
            }
            Values::Of(values) => {
                let groups = values.iter().map(|value| {
                    let of = seen.iter().zip(&losses).filter(|((own, _), _)| own == value);
                    of.map(|(_, rank)| *rank).collect::<Vec<_>>()
                });
                correlation_ratio(&groups.collect::<Vec<_>>())
            }
        }
    };
    let mut all: Vec<Importance> =
        vary.iter().map(|vary| Importance { key: vary.key.clone(), share: share(vary) }).collect();
    all.sort_by(|a, b| b.share.unwrap_or(-1.0).total_cmp(&a.share.unwrap_or(-1.0)));
    all
}

/// Ranks from 1, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |x: &f64| {
        let below = values.iter().filter(|y| *y < x).count() as f64;
        let equal = values.iter().filter(|y| *y == x).count() as f64;
        below + f64::midpoint(equal, 1.0)
    };
    values.iter().map(rank).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (of_a, of_b) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - of_a, y - of_b)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    (spread > 0.0).then(|| sum(&|x, y| x * y) / spread)
}

/// Variance between the groups over that of all.
fn correlation_ratio(groups: &[Vec<f64>]) -> Option<f64> {
    let all: Vec<f64> = groups.iter().flatten().copied().collect();
    let middle = mean(&all);
    let total: f64 = all.iter().map(|x| (x - middle).powi(2)).sum();
    let between: f64 = groups.iter().map(|group| group.len() as f64 * (mean(group) - middle).powi(2)).sum();
    (total > 0.0).then(|| between / total)
}

#[cfg(test)]
mod tests {
    use super::super::TrialResult;
    use super::*;

    #[test]
    fn rungs_grow_to_what_the_recipe_says() {
        let rungs = |epochs| rungs(&Recipe { epochs, ..Recipe::default() });
        let of = |epochs| rungs(epochs).iter().map(|rung| (rung.epochs, rung.side, rung.last)).collect::<Vec<_>>();
        assert_eq!(of(0), [(2, 160, false), (4, 160, false), (8, 224, true)]);
        assert_eq!(of(12), [(3, 160, false), (6, 160, false), (12, 224, true)]);
        assert_eq!(of(3), [(1, 160, false), (3, 224, true)]);
        assert_eq!(of(1), [(1, 224, true)]);
    }

    #[test]
    fn as_many_trials_as_fit_into_the_budget() {
        let rungs = rungs(&Recipe { epochs: 8, ..Recipe::default() });
        let cost = |counts: &[usize]| {
            let work = [2.0 * 160.0 * 160.0, 4.0 * 160.0 * 160.0, 8.0 * 224.0 * 224.0];
            counts
                .iter()
                .zip(work)
                .map(|(count, work)| *count as f64 * 60.0 * work / (2.0 * 160.0 * 160.0))
                .sum::<f64>()
        };
        let some = counts(&rungs, 60.0, 3600.0, None);
        let next = vec![some[0] + 1, (some[0] + 1).div_ceil(3), (some[0] + 1).div_ceil(3).div_ceil(3)];
        assert!(cost(&some) <= 3600.0 && cost(&next) > 3600.0, "{some:?}");
        assert_eq!(counts(&rungs, 60.0, 1.0, None), [3, 1, 1]);
        assert_eq!(counts(&rungs, 60.0, 36000.0, Some(10)), [10, 4, 2]);
        assert_eq!(counts(&rungs, 1e-6, 3600.0, None)[0], MOST);
    }

    #[test]
    fn a_key_that_decides_is_told_from_one_that_does_not() {
        let vary: Vec<Vary> =
            ["lr=1e-5..1e-1", "batch_size=16,32", "weight_decay=0.001..0.1"].map(|t| t.parse().unwrap()).into();
        let trial = |number: usize| {
            let lr = 1e-5 * 10_f64.powf(4.0 * number as f64 / 40.0);
            let result = TrialResult { choice: Some(lr.ln().powi(3)), auc: None, robust_auc: None, seconds: 1.0 };
            let settings = vary.iter().map(|vary| (vary.key.clone(), vary.draw(3, number))).collect::<Vec<_>>();
            let settings = std::iter::once(("lr".to_owned(), format!("{lr:?}"))).chain(settings.into_iter().skip(1));
            Trial { number, settings: settings.collect(), results: vec![result] }
        };
        let trials: Vec<Trial> = (1..=40).map(trial).collect();
        let shown = importance(&trials, &vary);
        assert_eq!(shown[0].key, "lr");
        assert!((shown[0].share.unwrap() - 1.0).abs() < 1e-9 && shown[1].share.unwrap() < 0.3, "{shown:?}");
        assert!(importance(&trials[..3], &vary).iter().all(|key| key.share.is_none()));
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
        assert_eq!(correlation_ratio(&[vec![1.0, 1.0], vec![2.0, 2.0]]), Some(1.0));
    }
}
