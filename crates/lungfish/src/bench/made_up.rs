//! Steps of a network with weights drawn at random, on films made up: what is timed, wherever something is timed.

use lungfish_data::Channels;
use lungfish_engine::{Adam, AdamConfig, Graph, Plan, PlanSpec, Store};
use lungfish_models::{Network, initialise};

use crate::compute::Compute;
use crate::films::Films;
use crate::loss_scale::LossScale;
use crate::targets::Rows;
use crate::{Error, micro_batch};

/// A network compiled for a step, with all that the step needs.
pub(crate) struct Steps {
    graph: Graph,
    plan: Plan<Compute>,
    store: Store<Compute>,
    /// `None` of inference.
    adam: Option<Adam<Compute>>,
    /// As a training in that precision has it.
    scale: Option<LossScale>,
    batch: usize,
    films: Films,
    towards: Rows,
}

impl Steps {
    /// As `spec` says: a training of the parts that it trains, or inference where it trains none. Where a GPU has no room for
    /// its films at once, a step goes in parts, as a training's would.
    pub fn new(device: &Compute, network: &Network, classes: usize, spec: PlanSpec) -> Result<Self, Error> {
        let (graph, batch, side, parts) = (&network.graph, spec.capacity, spec.height, spec.train.clone());
        let mut store = Store::new(device, graph)?;
        initialise(&mut store, network, 0)?;
        let plan = micro_batch::plan(device, graph, spec)?;
        let adam = match parts.is_empty() {
            true => None,
            false => Some(Adam::new(device, graph, &parts, AdamConfig::default())?),
        };
        // Any pixels do: how long a step takes does not depend on them.
        let pixels = (0..batch * side * side).map(|i| (i * 97 % 251) as u8).collect();
        let share = |film: usize, class: usize| if film % classes == class { 1.0 / batch as f32 } else { 0.0 };
        let targets = (0..batch).flat_map(|film| (0..classes).map(move |class| share(film, class))).collect();
        let (films, towards) = (Films::Pixels(pixels, Channels::Gray), Rows::OneOf(targets));
        let scale = LossScale::of(plan.spec().precision);
        Ok(Steps { graph: graph.clone(), plan, store, adam, scale, batch, films, towards })
    }

    /// One step, to its end on the device.
    pub fn step(&mut self) -> Result<(), Error> {
        let Steps { graph, plan, store, adam, scale, batch, films, towards } = self;
        match adam {
            Some(adam) => {
                let times = scale.map_or(1.0, |scale| scale.scale());
                micro_batch::gradients(plan, store, *batch, films, towards, times, [0; 4])?;
                let finite = match *scale {
                    Some(scale) => scale.unscale(store, graph, &plan.spec().train)?,
                    None => true,
                };
                if finite {
                    adam.step(store, 1e-4)?;
                }
                // What no scale helps is no less timed.
                _ = scale.as_mut().map(|scale| scale.note(finite));
            }
            None => {
                for part in micro_batch::parts(*batch, plan.spec().capacity) {
                    plan.forward(store, part.len(), films.part(&part, *batch), [0; 4])?;
                    plan.output()?;
                }
            }
        }
        Ok(())
    }

    /// The loss of one step and the gradient of everything that is trained, end to end; no weight moves.
    #[cfg(feature = "gpu")]
    pub fn gradient(&mut self) -> Result<(f64, Vec<f32>), Error> {
        let Steps { graph, plan, store, batch, films, towards, .. } = self;
        let loss = micro_batch::gradients(plan, store, *batch, films, towards, 1.0, [0; 4])?.loss;
        let gradients = graph.params().iter().map(|param| store.gradient(&param.name));
        Ok((loss, gradients.collect::<Result<Vec<_>, _>>()?.concat()))
    }

    /// Bytes of activations and gradients.
    pub fn bytes(&self) -> usize {
        self.plan.schedule().arena
    }
}

#[cfg(test)]
#[cfg(feature = "gpu")]
mod tests {
    use lungfish_engine::Precision;
    use lungfish_models::{Architecture, HeadConfig};

    use super::*;

    #[test]
    fn steps_in_f16_are_those_of_a_training_and_leave_weights_that_are_numbers() {
        let Some(adapter) = lungfish_gpu::adapters().pop() else { return };
        let gpu = Compute::Gpu(adapter.open().unwrap());
        if !gpu.has(Precision::F16) {
            return;
        }
        let architecture = Architecture::EfficientnetLite0;
        let network = Network::new(architecture, 2, &HeadConfig::default()).unwrap();
        let parts = network.parts_by_names("stage7").unwrap();
        let spec = PlanSpec::training(&network.graph, 4, 32, architecture.normalization(), &parts);
        let mut steps = Steps::new(&gpu, &network, 2, PlanSpec { precision: Precision::F16, ..spec }).unwrap();
        let weights = |steps: &Steps| -> Vec<f32> {
            network.graph.params().iter().flat_map(|param| steps.store.get(&param.name).unwrap()).collect()
        };
        let before = weights(&steps);
        // The first ones may be skipped, until the scale fits.
        for _ in 0..12 {
            steps.step().unwrap();
        }
        let after = weights(&steps);
        assert!(after.iter().all(|weight| weight.is_finite()) && after != before);
    }
}
