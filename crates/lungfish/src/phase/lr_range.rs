//! `lr = "auto"`: a learning-rate range test before the second phase (Smith 2017, arXiv:1506.01186), as fastai's `lr_find`.
//!
//! Steps with a rate that grows from nothing show where the loss falls and where it runs away. They teach nothing: the
//! weights are put back afterwards.

use lungfish_data::Label;

use super::Trainer;
use super::step::Gradients;
use crate::films::Batches;
use crate::recipe::LearningRate;
use crate::{Activity, Error, Event, Phase, Watch, keys, micro_batch, model, run_folder, schedule};

/// The rates of the first step and of the one after the last, and how many there are; fastai's.
const RATES: [f64; 2] = [1e-7, 10.0];
const STEPS: usize = 100;
/// Weight of the steps before in the smoothed loss.
const SMOOTHING: f64 = 0.98;
/// The test is over where the smoothed loss is so many times its least.
const RUN_AWAY: f64 = 4.0;
/// Steps that are not looked at: the first, which are not smooth yet, and the last, which have run away.
const UNSEEN: [usize; 2] = [STEPS / 10, 5];
/// The numbers of the epochs whose films it sees go down from here, so that none is an epoch of the training.
const LAST_EPOCH: usize = u32::MAX as usize;

/// A step of the test.
#[derive(Clone, Copy, Debug)]
struct Step {
    lr: f64,
    loss: f64,
    smoothed: f64,
}

impl Trainer<'_> {
    /// The rate that was found; 0 before it was.
    pub(super) fn found_lr(&self) -> f64 {
        self.state.lr.unwrap_or(0.0)
    }

    /// Finds the learning rate of the second phase where the recipe leaves it to that. False where it was stopped; then it
    /// begins anew.
    pub(super) fn find_lr(&mut self, watch: &mut Watch<'_>) -> Result<bool, Error> {
        if self.state.phase == Phase::Frozen || self.recipe.lr != LearningRate::Auto || self.state.lr.is_some() {
            return Ok(true);
        }
        let (before, scale) = (model::capture(&self.store)?, self.state.loss_scale);
        let steps = self.range_test(watch);
        model::restore(&mut self.store, &before)?;
        self.state.loss_scale = scale;
        let Some(steps) = steps? else { return Ok(false) };
        let seen = steps.get(UNSEEN[0]..steps.len().saturating_sub(UNSEEN[1])).unwrap_or_default();
        let losses: Vec<f64> = seen.iter().map(|step| step.smoothed).collect();
        let Some(lr) = valley(&losses).map(|place| seen[place].lr) else {
            return Err(Error::refused(
                "lr = \"auto\": the range test found no rate at which the loss falls; set lr to a number",
            ));
        };
        self.state.lr = Some(lr);
        let mut table = String::from("lr,loss,smoothed\n");
        steps.iter().for_each(|Step { lr, loss, smoothed }| table.push_str(&format!("{lr:e},{loss},{smoothed}\n")));
        self.run.write(run_folder::LR_RANGE, table.as_bytes())?;
        #[cfg(feature = "pictures")]
        self.draw_range(&steps, lr)?;
        watch.note(format!("learning rate {lr:.1e}, found by a range test of {} steps", steps.len()));
        Ok(true)
    }

    /// The steps. `None` where it was stopped.
    fn range_test(&mut self, watch: &mut Watch<'_>) -> Result<Option<Vec<Step>>, Error> {
        let rates = schedule::rates(self.recipe, Phase::Unfrozen, &self.network, 0.0)?;
        let parts: Vec<_> = rates.iter().map(|(part, _)| *part).collect();
        let spec = self.training_spec(&parts);
        let mut plan = micro_batch::told_plan(&self.backend, &self.network.graph, spec, watch)?;
        let mut adam = self.adam(&parts)?;
        let films = &self.data.splits.train;
        let (mut taken, mut mean, mut least) = (Vec::<Step>::new(), 0.0, f64::INFINITY);
        for epoch in (0..=LAST_EPOCH).rev() {
            let order = self.order(Phase::Unfrozen, epoch);
            let mut batches = Batches::Pixels(self.loader(epoch, &order)?);
            for range in keys::steps(films.len(), self.recipe.batch_size, true) {
                if watch.stopped() {
                    return Ok(None);
                }
                let at = taken.len();
                let lr = RATES[0] * (RATES[1] / RATES[0]).powf(at as f64 / STEPS as f64);
                let indices = &order[range];
                let labels: Vec<&Label> = indices.iter().map(|&i| &films[i].film.label).collect();
                let Gradients { loss, finite, .. } =
                    self.gradients(&mut plan, (epoch, at), batches.next(indices)?, &labels)?;
                mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
                let smoothed = mean / (1.0 - SMOOTHING.powi(at as i32 + 1));
                if !smoothed.is_finite() {
                    return Ok(Some(taken));
                }
                taken.push(Step { lr, loss, smoothed });
                least = smoothed.min(least);
                watch.event(&Event::Progress { task: Activity::RangeTest, done: at + 1, total: STEPS });
                if at + 1 == STEPS || smoothed > RUN_AWAY * least {
                    return Ok(Some(taken));
                }
                let rates = schedule::rates(self.recipe, Phase::Unfrozen, &self.network, lr)?;
                let rate = |part| rates.iter().find(|(of, _)| *of == part).map_or(0.0, |(_, rate)| *rate);
                let beta1 = lungfish_engine::AdamConfig::default().beta1;
                if finite {
                    adam.step_with(&mut self.store, rate, beta1)?;
                }
                if self.state.loss_scale.as_mut().is_some_and(|scale| !scale.note(finite)) {
                    // As a loss that is none: the rate is too high.
                    return Ok(Some(taken));
                }
            }
        }
        Ok(Some(taken))
    }

    #[cfg(feature = "pictures")]
    fn draw_range(&self, steps: &[Step], found: f64) -> Result<(), Error> {
        use lungfish_pictures::{Heading, RangeStep, lr_range};
        let heading = Heading {
            title: "Learning-rate range test".to_owned(),
            subtitle: Some("Steps from the weights that the second phase begins with, undone afterwards.".to_owned()),
            synthetic: self.data.synthetic,
        };
        let step = |&Step { lr, loss, smoothed }: &Step| RangeStep { lr, loss, smoothed };
        let picture = lr_range(&heading, &steps.iter().map(step).collect::<Vec<_>>(), found)?;
        self.run.write("lr.svg", picture.svg().as_bytes())?;
        self.run.write("lr.png", &picture.png()?)
    }
}

/// The place between the middle and the end of the longest stretch in which losses fall: fastai's `valley`, which its
/// `lr_find` suggests by default. None where they never fall.
fn valley(losses: &[f64]) -> Option<usize> {
    let mut lengths = vec![1; losses.len()];
    // As there, where a fall from the first loss on begins one before it.
    let (mut start, mut end) = (0_isize, 0);
    for i in 1..losses.len() {
        for j in 0..i {
            if losses[i] < losses[j] && lengths[i] < lengths[j] + 1 {
                lengths[i] = lengths[j] + 1;
            }
            if lengths[end] < lengths[i] {
                end = i;
                start = end as isize - lengths[end];
            }
        }
    }
    let section = (end as isize - start) as f64 / 3.0;
    let place = start + section as isize + (section / 2.0) as isize;
    (end > 0).then_some(place.max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valley_is_fastais() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../../golden/training/valley.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 20);
        for case in cases {
            let losses: Vec<f64> = case["losses"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            assert_eq!(valley(&losses).map(|place| place as u64), case["place"].as_u64(), "{case}");
        }
        assert_eq!((valley(&[]), valley(&[1.0]), valley(&[1.0, 1.0, 2.0])), (None, None, None));
    }
}
