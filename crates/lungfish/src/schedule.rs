//! Learning rates. Most schedules move them between epochs, as the scheduler of a PyTorch loop that calls
//! `scheduler.step()` once an epoch; one-cycle moves them, and Adam's beta1, after each step. All of them follow from
//! the recipe and the place in the phase, so a resumed run needs nothing but its place.

use std::f64::consts::PI;

use lungfish_engine::{AdamConfig, PartId};
use lungfish_models::Network;

use crate::recipe::{Recipe, Schedule};
use crate::{Error, Phase};

/// Between which beta1 moves in a one-cycle: torch's `base_momentum` and `max_momentum`.
const BETA1: [f64; 2] = [0.85, 0.95];

/// How the learning rates of a phase move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Course {
    schedule: Schedule,
    step_size: usize,
    gamma: f64,
    /// Of the one-cycle: `pct_start`, `div_factor`, `final_div_factor`.
    cycle: [f64; 3],
    epochs: usize,
    /// Steps an epoch.
    steps: usize,
}

/// What one step is taken with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Times the learning rate of each part.
    pub factor: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
}

impl Course {
    /// That of a phase whose epochs have `steps` steps.
    pub(crate) fn new(recipe: &Recipe, phase: Phase, steps: usize) -> Self {
        let cycle = [recipe.pct_start, recipe.div_factor, recipe.final_div_factor];
        let (schedule, step_size, gamma, epochs) = match phase {
            Phase::Frozen => {
                (recipe.frozen_schedule, recipe.frozen_step_size, recipe.frozen_gamma, recipe.frozen_epochs)
            }
            Phase::Unfrozen => (recipe.schedule, recipe.step_size, recipe.gamma, recipe.epochs),
        };
        Course { schedule, step_size, gamma, cycle, epochs, steps }
    }

    /// For a step (from 0) of an epoch (from 1; epoch 0, the validation before the first step, has the first one's).
    pub(crate) fn at(&self, epoch: usize, step: usize) -> Pace {
        let done = epoch.saturating_sub(1);
        let beta1 = AdamConfig::default().beta1;
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step => self.gamma.powf((done / self.step_size) as f64),
            Schedule::Cosine => (1.0 + (PI * done as f64 / self.epochs.max(1) as f64).cos()) / 2.0,
            Schedule::OneCycle => return self.one_cycle(done * self.steps + step),
        };
        Pace { factor, beta1 }
    }

    /// For the last step of an epoch; epoch 0 has the first one's.
    pub(crate) fn at_end(&self, epoch: usize) -> Pace {
        self.at(epoch, if epoch == 0 { 0 } else { self.steps.saturating_sub(1) })
    }

    /// torch's `OneCycleLR` (cosine, two phases, momentum cycled): up to the full rate, then down to next to nothing,
    /// beta1 the other way round.
    fn one_cycle(&self, step: usize) -> Pace {
        let [pct_start, div_factor, final_div_factor] = self.cycle;
        let (step, total) = (step as f64, (self.epochs * self.steps) as f64);
        let first = 1.0 / div_factor;
        let (top, last) = (pct_start * total - 1.0, total - 1.0);
        let [low, high] = BETA1;
        let ((from, to), rates, betas) = if step <= top {
            ((0.0, top), (first, 1.0), (high, low))
        } else {
            ((top, last), (1.0, first / final_div_factor), (low, high))
        };
        // A rise that is over in its first step, where torch divides by zero.
        let part = if to > from { (step - from) / (to - from) } else { 1.0 };
        let between = |(start, end): (f64, f64)| end + (start - end) / 2.0 * (1.0 + (PI * part).cos());
        Pace { factor: between(rates), beta1: between(betas) }
    }
}

/// The learning rate of each part that a phase trains, before the schedule; `found` where the recipe leaves it to a range
/// test.
///
/// # Errors
/// `lr.PART` of a part that the network does not have, or that the second phase does not train.
pub(crate) fn rates(recipe: &Recipe, phase: Phase, network: &Network, found: f64) -> Result<Vec<(PartId, f64)>, Error> {
    let unfrozen = network.parts_by_names(&recipe.unfreeze)?;
    for (name, rate) in &recipe.part_lr {
        if !unfrozen.contains(&network.part(name)?) {
            return Err(Error::refused(format!(
                "lr.{name} = {rate}: {name} does not train, unfreeze is \"{}\"",
                recipe.unfreeze
            )));
        }
    }
    Ok(match phase {
        Phase::Frozen => vec![(network.head, recipe.frozen_lr)],
        Phase::Unfrozen => {
            let rate = |part| recipe.lr_of(network.graph.part_name(part)).or(found);
            unfrozen.into_iter().map(|part| (part, rate(part))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::LearningRate;
    use lungfish_models::{Architecture, HeadConfig};
    use serde_json::Value;

    fn number(value: &Value) -> f64 {
        value.as_f64().unwrap()
    }

    #[test]
    fn rates_are_torchs() {
        let golden: Value = serde_json::from_str(include_str!("../../../golden/training/schedules.json")).unwrap();
        let mut compared = 0;
        for case in golden["cases"].as_array().unwrap() {
            let schedule = if case["schedule"] == "step" { Schedule::Step } else { Schedule::Cosine };
            let lr = number(&case["lr"]);
            let (step_size, gamma) = (case["step_size"].as_u64().unwrap() as usize, number(&case["gamma"]));
            let epochs = case["epochs"].as_u64().unwrap() as usize;
            let second = Recipe { schedule, step_size, gamma, epochs, ..Recipe::default() };
            let first = Recipe {
                frozen_schedule: schedule,
                frozen_step_size: step_size,
                frozen_gamma: gamma,
                frozen_epochs: epochs,
                ..Recipe::default()
            };
            for (done, rate) in case["rates"].as_array().unwrap().iter().enumerate() {
                for (recipe, phase) in [(&first, Phase::Frozen), (&second, Phase::Unfrozen)] {
                    let course = Course::new(recipe, phase, 7);
                    let pace = course.at(done + 1, done % 7);
                    assert!((lr * pace.factor - number(rate)).abs() < 1e-9 * lr, "epoch {} of {case}", done + 1);
                    assert_eq!((pace, pace.beta1), (course.at_end(done + 1), 0.9));
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 60);
    }

    #[test]
    fn one_cycle_is_torchs_step_by_step() {
        let golden: Value = serde_json::from_str(include_str!("../../../golden/training/one-cycle.json")).unwrap();
        let mut compared = 0;
        for case in golden["cases"].as_array().unwrap() {
            let (lr, rates) = (number(&case["lr"]), case["rates"].as_array().unwrap());
            let key = |key: &str| number(&case[key]);
            // However the steps are cut into epochs.
            for steps in (1..=rates.len()).filter(|steps| rates.len().is_multiple_of(*steps)) {
                let recipe = Recipe {
                    schedule: Schedule::OneCycle,
                    frozen_schedule: Schedule::OneCycle,
                    epochs: rates.len() / steps,
                    frozen_epochs: rates.len() / steps,
                    pct_start: key("pct_start"),
                    div_factor: key("div_factor"),
                    final_div_factor: key("final_div_factor"),
                    ..Recipe::default()
                };
                for phase in [Phase::Frozen, Phase::Unfrozen] {
                    let course = Course::new(&recipe, phase, steps);
                    for (i, rate) in rates.iter().enumerate() {
                        let pace = course.at(1 + i / steps, i % steps);
                        assert!((lr * pace.factor - number(rate)).abs() < 1e-12 * lr, "step {i} of {case}");
                        assert!((pace.beta1 - number(&case["beta1"][i])).abs() < 1e-12, "step {i} of {case}");
                        compared += 1;
                    }
                    assert_eq!(course.at_end(1), course.at(1, steps - 1));
                    assert_eq!(course.at_end(0), course.at(1, 0), "before the first step");
                }
            }
        }
        assert_eq!(compared, 2 * (20 * 6 + 57 * 4 + 10 * 4 + 6 * 4 + 2 * 2 + 1));
        // Here torch divides by zero.
        let short = Recipe { schedule: Schedule::OneCycle, epochs: 2, pct_start: 0.5, ..Recipe::default() };
        assert_eq!(Course::new(&short, Phase::Unfrozen, 1).at(1, 0), Pace { factor: 1.0, beta1: 0.85 });
    }

    #[test]
    fn a_part_has_its_own_rate_or_the_others() {
        let network = Network::new(Architecture::Resnet18, 2, &HeadConfig::default()).unwrap();
        let mut recipe = Recipe {
            lr: LearningRate::At(1e-4),
            frozen_lr: 1e-2,
            unfreeze: "layer3,layer4".to_owned(),
            ..Recipe::default()
        };
        recipe.set("lr.layer4=1e-5").unwrap();
        let of = |recipe: &Recipe, phase| -> Vec<(String, f64)> {
            let rates = rates(recipe, phase, &network, 7.0).unwrap();
            rates.into_iter().map(|(part, rate)| (network.graph.part_name(part).to_owned(), rate)).collect()
        };
        assert_eq!(of(&recipe, Phase::Frozen), [("head".to_owned(), 1e-2)]);
        let expected = [("layer3", 1e-4), ("layer4", 1e-5), ("head", 1e-4)].map(|(name, rate)| (name.to_owned(), rate));
        assert_eq!(of(&recipe, Phase::Unfrozen), expected);

        let found = Recipe { lr: LearningRate::Auto, ..recipe.clone() };
        let expected = [("layer3", 7.0), ("layer4", 1e-5), ("head", 7.0)].map(|(name, rate)| (name.to_owned(), rate));
        assert_eq!(of(&found, Phase::Unfrozen), expected);

        let says = |recipe: &Recipe| rates(recipe, Phase::Unfrozen, &network, 7.0).unwrap_err().to_string();
        recipe.set("lr.layer1=1e-5").unwrap();
        assert_eq!(says(&recipe), "lr.layer1 = 0.00001: layer1 does not train, unfreeze is \"layer3,layer4\"");
        recipe.set("lr.haed=1e-5").unwrap();
        assert!(says(&recipe).starts_with("no part named \"haed\" (did you mean head?) in resnet18; it has stem"));
    }
}
