//! Networks whose images are halves, held to the distance that PyTorch's own autocast of that precision has from its float64
//! (golden/models/bf16.py): no tolerance of ours but for what is sampled. On any device.

use std::collections::HashMap;
use std::path::Path;

use lungfish_engine::{Adam, AdamConfig, Backend, Input, Plan, PlanSpec, Precision, Seed, scale_gradients};
use lungfish_models::Architecture;
use serde::Deserialize;

use crate::formula;
use crate::networks::{Golden, SMALL, Size, network, settings, spec, targets};

/// Of the members of a group.
#[derive(Debug, Deserialize)]
struct Distance {
    median: f64,
    largest: f64,
}

/// Twenty steps of Lite0 go where rounding sends them: gradients of a single one are off by 0.4 of themselves in bf16, in
/// PyTorch's autocast and here, so that two ways to round are two draws. Measured 1.5 times PyTorch's in the middle.
pub const DRAWN: f64 = 2.0;

/// A group's distances, in the middle and at most no further off than PyTorch's, but for a factor.
#[track_caller]
fn held(what: &str, mut ours: Vec<f64>, theirs: &Distance, factor: f64) {
    ours.sort_by(f64::total_cmp);
    let (median, largest) = (ours[ours.len() / 2], ours[ours.len() - 1]);
    println!("{what}: median {median:.2e} for {:.2e}, largest {largest:.2e} for {:.2e}", theirs.median, theirs.largest);
    let within = median <= factor * theirs.median && largest <= factor * theirs.largest;
    assert!(within, "{what}: {median:e}, {largest:e} for {theirs:?}");
}

/// What computes, and in which halves.
pub struct Halves<'a, B> {
    pub backend: &'a B,
    pub precision: Precision,
    /// What the loss is multiplied by on its way back, a power of two.
    pub scale: f32,
    /// Ours are taken of some elements of a tensor, PyTorch's of all: how many times as far off ours may be.
    pub sampled: f64,
}

impl<B: Backend> Halves<'_, B> {
    fn theirs(&self, architecture: Architecture, size: Size) -> HashMap<String, Distance> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models");
        let text = std::fs::read_to_string(folder.join(format!("{}.json", self.precision.name()))).unwrap();
        let mut file: HashMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        serde_json::from_value(file.remove(&format!("{architecture}-{}", size.side)).unwrap()).unwrap()
    }

    fn plan(&self, architecture: Architecture, size: Size, train: bool) -> Plan<B> {
        let (network, _) = network(self.backend, architecture);
        let spec = PlanSpec { precision: self.precision, ..spec(&network, size, train) };
        Plan::new(self.backend, &network.graph, spec).unwrap()
    }

    fn targets(&self, size: Size) -> Vec<f32> {
        targets(size).into_iter().map(|target| target * self.scale).collect()
    }

    fn unscaled(&self, loss: f64) -> f64 {
        loss / f64::from(self.scale)
    }

    /// `gradients` and `running` are the factors for gradients and running statistics, as `sampled` is for the rest.
    pub fn check(&self, architecture: Architecture, size: Size, train: bool, [gradients, running]: [f64; 2]) {
        let (golden, theirs) = (Golden::open(architecture, size), self.theirs(architecture, size));
        let input = formula::pixels(settings(architecture).3, size.batch, size.side);
        let (network, mut store) = network(self.backend, architecture);
        let tap = |plan: &Plan<B>, name: &str| plan.value(network.tap(name).unwrap()).unwrap();
        let what = |group: &str| format!("{architecture} at {}, {group}", size.side);

        let mut evaluation = self.plan(architecture, size, false);
        evaluation.forward(&mut store, size.batch, Input::Values(&input), [0; 4]).unwrap();
        let distances = golden.distances("eval", |name| tap(&evaluation, name));
        held(&what("eval"), distances, &theirs["eval"], self.sampled);
        drop(evaluation);
        if !train {
            return;
        }
        let mut training = self.plan(architecture, size, true);
        training.forward(&mut store, size.batch, Input::Values(&input), [0; 4]).unwrap();
        let loss = training.backward(&mut store, Seed::Targets(&self.targets(size)), false).unwrap().loss;
        let of_tap = |name: &str| match name {
            "loss" => vec![self.unscaled(loss) as f32],
            name => tap(&training, name),
        };
        scale_gradients(&mut store, &network.graph, &training.spec().train, 1.0 / f64::from(self.scale)).unwrap();
        held(&what("train"), golden.distances("train", of_tap), &theirs["train"], self.sampled);
        let distances = golden.distances("gradient", |name| store.gradient(name).unwrap());
        held(&what("gradient"), distances, &theirs["gradient"], gradients);
        let distances = golden.distances("running", |name| store.get(name).unwrap());
        held(&what("running"), distances, &theirs["running"], running);
    }

    /// Twenty steps of Adam.
    pub fn check_adam(&self, architecture: Architecture, factor: f64) {
        let size = SMALL;
        let (network, mut store) = network(self.backend, architecture);
        let parts = network.parts_by_names("all").unwrap();
        let mut plan = self.plan(architecture, size, true);
        let mut adam = Adam::new(self.backend, &network.graph, &parts, AdamConfig::default()).unwrap();
        let losses = Golden::open(architecture, size).losses();
        let off = losses.iter().enumerate().map(|(step, their)| {
            let input = formula::pixels(&format!("step{step}"), size.batch, size.side);
            plan.forward(&mut store, size.batch, Input::Values(&input), [0; 4]).unwrap();
            let loss = plan.backward(&mut store, Seed::Targets(&self.targets(size)), false).unwrap().loss;
            scale_gradients(&mut store, &network.graph, &parts, 1.0 / f64::from(self.scale)).unwrap();
            adam.step(&mut store, 1e-4).unwrap();
            (self.unscaled(loss) - f64::from(*their)).abs()
        });
        let what = format!("{architecture}, losses of Adam");
        held(&what, off.collect(), &self.theirs(architecture, size)["adam"], factor);
    }

    /// A training step's arena takes at most 0.6 of what it takes in fp32.
    pub fn a_step_takes_little_more_than_half_the_memory(&self, batch: usize) {
        for architecture in [Architecture::Resnet34, Architecture::Resnet50, Architecture::EfficientnetLite0] {
            let (network, _) = network(self.backend, architecture);
            let size = Size { side: 224, batch };
            let [single, half] = [Precision::Fp32, self.precision].map(|precision| {
                let spec = PlanSpec { precision, keep: Vec::new(), ..spec(&network, size, true) };
                Plan::bytes(self.backend, &network.graph, &spec).unwrap()
            });
            println!("{architecture}: {half} of {single} bytes");
            assert!(half * 10 <= single * 6, "{architecture}: {half} of {single} bytes");
        }
    }
}
