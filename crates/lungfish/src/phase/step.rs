//! One step of a training: the gradients of a batch of films, and what the optimiser makes of them.

use lungfish_data::{Label, Task};
use lungfish_engine::{Adam, PartId, Plan, clip_gradients};

use super::Trainer;
use crate::compute::Compute;
use crate::films::Films;
use crate::schedule::Course;
use crate::task::Answers;
use crate::{Error, Phase, keys, micro_batch};

/// What a step needs.
pub(super) struct Stepper {
    pub(super) parts: Vec<PartId>,
    /// Learning rate of each part before the schedule.
    pub(super) rates: Vec<(PartId, f64)>,
    pub(super) course: Course,
    pub(super) plan: Plan<Compute>,
    /// Side of the images that the plan is for.
    pub(super) side: usize,
    pub(super) adam: Adam<Compute>,
}

/// What comes of a step's films, beside the gradients in the store.
pub(super) struct Gradients {
    pub(super) loss: f64,
    /// What the network said.
    pub(super) rows: Vec<f32>,
    /// Whether the gradients of a loss that was scaled are numbers; else nothing is to be learnt from them.
    pub(super) finite: bool,
}

impl Trainer<'_> {
    /// Gradients of one step: mixing, forward, backward, clipping.
    pub(super) fn gradients(
        &mut self,
        plan: &mut Plan<Compute>,
        (epoch, step): (usize, usize),
        mut films: Films,
        labels: &[&Label],
    ) -> Result<Gradients, Error> {
        let (recipe, phase, side) = (self.recipe, self.state.phase, self.side());
        let seed = recipe.training_seed();
        let mut towards = self.targets.rows(labels);
        if let (Phase::Unfrozen, Films::Pixels(pixels, channels)) = (phase, &mut films) {
            let mixed = recipe.mixing().draw(keys::mixing(seed, epoch, step), side);
            mixed.apply(pixels, side * side * channels.count(), side);
            towards.mix(mixed.own(side), labels.len());
            if let Some(teacher) = &mut self.teacher {
                let says = teacher.probabilities(pixels, side, *channels)?;
                self.targets.teach(&mut towards, labels, &says, recipe.teacher_weight);
            }
        }
        let key = keys::dropout(seed, phase, epoch, step);
        let scale = self.state.loss_scale;
        let times = scale.map_or(1.0, |scale| scale.scale());
        let store = &mut self.store;
        let backward = micro_batch::gradients(plan, store, labels.len(), &films, &towards, times, key)?;
        let (graph, parts) = (&self.network.graph, &plan.spec().train);
        let finite = match scale {
            Some(scale) => scale.unscale(store, graph, parts)?,
            None => true,
        };
        if recipe.clip_norm > 0.0 && finite && backward.loss.is_finite() {
            clip_gradients(store, graph, parts, recipe.clip_norm)?;
        }
        Ok(Gradients { loss: backward.loss, rows: backward.output.unwrap_or_default(), finite })
    }

    /// One step: gradients, optimiser, sums.
    pub(super) fn step(&mut self, with: &mut Stepper, films: Films, labels: &[&Label]) -> Result<(), Error> {
        let (epoch, step) = (self.state.epoch, self.state.step);
        let Gradients { loss, rows, finite } = self.gradients(&mut with.plan, (epoch, step), films, labels)?;
        if !loss.is_finite() {
            return Err(self.diverged(loss, step + 1));
        }
        let task = self.data.task;
        let (right, known) = task.right(labels, &rows);
        let pace = with.course.at(epoch, step);
        // cannot fail: the optimiser asks for the parts that it was made for.
        let rate = |part| with.rates.iter().find(|(of, _)| *of == part).map_or(0.0, |(_, rate)| rate * pace.factor);
        if finite {
            with.adam.step_with(&mut self.store, rate, pace.beta1)?;
        }
        if self.state.loss_scale.as_mut().is_some_and(|scale| !scale.note(finite)) {
            return Err(self.overflowed(loss, step + 1));
        }
        let sums = &mut self.state.sums;
        sums.skipped += usize::from(!finite);
        sums.loss += loss * labels.len() as f64;
        sums.right += right;
        if task == Task::AnyOf {
            sums.known = Some(sums.known.unwrap_or(0) + known);
        }
        sums.films += labels.len();
        self.state.step += 1;
        Ok(())
    }
}
