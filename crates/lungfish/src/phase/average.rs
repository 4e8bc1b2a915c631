//! The average of the weights that is validated and kept in place of the weights themselves: an exponential moving one over
//! the steps, or the mean over the ends of the last epochs. Training goes on from its own weights.
//!
//! An average of weights has seen no film, so the running statistics of its batch-norms are made anew before it is validated
//! (as `torch.optim.swa_utils.update_bn`), over training films as the epoch saw them.

use lungfish_engine::Store;

use super::{Stepper, Tools, Trainer};
use crate::compute::Compute;
use crate::films::Batches;
use crate::{Activity, Error, Event, Phase, Watch, keys, micro_batch};

/// Films that the running statistics of an average are made of: means over so many films and all their pixels are steady.
const FILMS: usize = 1024;

impl Trainer<'_> {
    /// Whether what is validated of the current epoch is an average.
    pub(super) fn is_averaged(&self) -> bool {
        self.state.phase == Phase::Unfrozen && self.average.is_some() && self.recipe.averages(self.state.epoch)
    }

    /// What is validated of the current epoch.
    pub(super) fn validated(&self) -> &Store<Compute> {
        self.average.as_ref().filter(|_| self.is_averaged()).unwrap_or(&self.store)
    }

    /// Makes the running statistics of the average anew, where it is what will be validated. False where it was stopped.
    pub(super) fn settle_average(&mut self, tools: &mut Tools, watch: &mut Watch<'_>) -> Result<bool, Error> {
        if !self.is_averaged() {
            return Ok(true);
        }
        let order = self.order(self.state.phase, self.state.epoch);
        let order = &order[..order.len().min(FILMS)];
        let mut batches = Batches::Pixels(self.loader(self.state.epoch, order)?);
        let Some(average) = &mut self.average else { return Ok(true) };
        let Stepper { plan, parts, .. } = &mut tools.stepper;
        let graph = &self.network.graph;
        // What a batch moves running statistics by.
        let Some(share) = graph.batch_norm_momentum().filter(|share| *share > 0.0) else { return Ok(true) };
        let statistics = graph.buffers().iter().filter(|spec| parts.contains(&spec.part));
        let statistics: Vec<(&str, usize)> = statistics.map(|spec| (spec.name.as_str(), spec.len())).collect();
        let mut sums: Vec<Vec<f64>> = statistics.iter().map(|(_, len)| vec![0.0; *len]).collect();
        for range in keys::steps(order.len(), self.recipe.batch_size, true) {
            if watch.stopped() {
                return Ok(false);
            }
            let (batch, n) = (batches.next(&order[range.clone()])?, range.len());
            for part in micro_batch::parts(n, plan.spec().capacity) {
                // From zero, a batch moves them to a part of its own.
                for (name, len) in &statistics {
                    average.set(name, &vec![0.0; *len])?;
                }
                plan.forward(average, part.len(), batch.part(&part, n), [0; 4])?;
                for ((name, _), sum) in statistics.iter().zip(&mut sums) {
                    let weight = part.len() as f64;
                    sum.iter_mut().zip(average.get(name)?).for_each(|(sum, x)| *sum += weight * f64::from(x));
                }
            }
            watch.event(&Event::Progress { task: Activity::Averaging, done: range.end, total: order.len() });
        }
        for ((name, _), sum) in statistics.iter().zip(sums) {
            let whole = order.len() as f64 * f64::from(share);
            let mean: Vec<f32> = sum.iter().map(|sum| (sum / whole) as f32).collect();
            average.set(name, &mean)?;
        }
        Ok(true)
    }
}
