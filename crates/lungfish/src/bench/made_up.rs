//! Steps of a network with weights drawn at random, on films made up: what is timed, wherever something is timed.

use lungfish_engine::{Adam, AdamConfig, Input, Plan, PlanSpec, Seed, Store};
use lungfish_models::{Network, initialise};

use crate::Error;
use crate::compute::Compute;

/// A network compiled for a step, with all that the step needs.
pub(crate) struct Steps {
    plan: Plan<Compute>,
    store: Store<Compute>,
    /// `None` of inference.
    adam: Option<Adam<Compute>>,
    pixels: Vec<u8>,
    targets: Vec<f32>,
}

impl Steps {
    /// As `spec` says: a training of the parts that it trains, or inference where it trains none.
    pub fn new(device: &Compute, network: &Network, classes: usize, spec: PlanSpec) -> Result<Self, Error> {
        let (graph, batch, side, parts) = (&network.graph, spec.capacity, spec.height, spec.train.clone());
        let mut store = Store::new(device, graph)?;
        initialise(&mut store, network, 0)?;
        let plan = Plan::new(device, graph, spec)?;
        let adam = match parts.is_empty() {
            true => None,
            false => Some(Adam::new(device, graph, &parts, AdamConfig::default())?),
        };
        // Any pixels do: how long a step takes does not depend on them.
        let pixels = (0..batch * side * side).map(|i| (i * 97 % 251) as u8).collect();
        let share = |film: usize, class: usize| if film % classes == class { 1.0 / batch as f32 } else { 0.0 };
        let targets = (0..batch).flat_map(|film| (0..classes).map(move |class| share(film, class))).collect();
        Ok(Steps { plan, store, adam, pixels, targets })
    }

    /// One step, to its end on the device.
    pub fn step(&mut self) -> Result<(), Error> {
        let batch = self.plan.spec().capacity;
        self.plan.forward(&mut self.store, batch, Input::Gray(&self.pixels), [0; 4])?;
        match &mut self.adam {
            Some(adam) => {
                self.plan.backward(&mut self.store, Seed::Targets(&self.targets), false)?;
                adam.step(&mut self.store, 1e-4)?;
            }
            None => drop(self.plan.output()?),
        }
        Ok(())
    }
}
