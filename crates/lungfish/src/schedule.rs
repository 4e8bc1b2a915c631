//! Learning rates. They move between epochs, as the scheduler of a PyTorch loop that calls
//! `scheduler.step()` once an epoch.

use crate::Phase;
use crate::recipe::{Recipe, Schedule};

/// The learning rate with which an epoch of a phase trains; epochs count from 1 (epoch 0, the validation before the
/// first step, has the first one's).
pub(crate) fn learning_rate(recipe: &Recipe, phase: Phase, epoch: usize) -> f64 {
    let done = epoch.saturating_sub(1);
    let (schedule, lr, step_size, gamma, epochs) = match phase {
        Phase::Frozen => (
            recipe.frozen_schedule,
            recipe.frozen_lr,
            recipe.frozen_step_size,
            recipe.frozen_gamma,
            recipe.frozen_epochs,
        ),
        Phase::Unfrozen => (recipe.schedule, recipe.lr, recipe.step_size, recipe.gamma, recipe.epochs),
    };
    match schedule {
        Schedule::Constant => lr,
        Schedule::Step => lr * gamma.powf((done / step_size) as f64),
        Schedule::Cosine => lr * (1.0 + (std::f64::consts::PI * done as f64 / epochs.max(1) as f64).cos()) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn rates_are_torchs() {
        let golden: Value = serde_json::from_str(include_str!("../../../golden/training/schedules.json")).unwrap();
        let mut compared = 0;
        for case in golden["cases"].as_array().unwrap() {
            let schedule = if case["schedule"] == "step" { Schedule::Step } else { Schedule::Cosine };
            let lr = case["lr"].as_f64().unwrap();
            let (step_size, gamma) = (case["step_size"].as_u64().unwrap() as usize, case["gamma"].as_f64().unwrap());
            let epochs = case["epochs"].as_u64().unwrap() as usize;
            let second = Recipe { schedule, lr, step_size, gamma, epochs, ..Recipe::default() };
            let first = Recipe {
                frozen_schedule: schedule,
                frozen_lr: lr,
                frozen_step_size: step_size,
                frozen_gamma: gamma,
                frozen_epochs: epochs,
                ..Recipe::default()
            };
            for (done, rate) in case["rates"].as_array().unwrap().iter().enumerate() {
                for ours in
                    [learning_rate(&first, Phase::Frozen, done + 1), learning_rate(&second, Phase::Unfrozen, done + 1)]
                {
                    assert!((ours - rate.as_f64().unwrap()).abs() < 1e-9 * lr, "epoch {} of {case}", done + 1);
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 60);
    }
}
