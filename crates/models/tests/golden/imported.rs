//! Networks that PyTorch trained, imported: their log-probabilities against torchvision's in float64
//! (golden/models/imported.py).

use std::path::Path;

use lungfish_engine::{Cpu, Input, Normalization, Plan, PlanSpec, Store};
use lungfish_models::{Architecture, HeadConfig, Network, Tensor, Tensors, Weights, whole_network};
use serde_json::Value;

use crate::formula;

/// As for the activations of the networks themselves.
const TOLERANCE: f64 = 1e-4;
const SETTINGS: (f64, f64, &str) = (1.0, 1.5, ".bn2");
const BATCH: usize = 4;
const SIDE: usize = 64;

fn golden(network: &str) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/imported.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let rows = all["networks"][network].as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap())).collect()
}

/// A state dict of resnet18 with a head of these linear layers, by the formula, under a prefix.
fn state_dict(prefix: &str, head: &[(&str, usize, usize)], channels: usize) -> Tensors {
    let network = Network::new(Architecture::Resnet18, 2, &HeadConfig::default()).unwrap();
    let backbone =
        network.graph.params().iter().chain(network.graph.buffers()).filter(|spec| spec.part != network.head);
    let mut shapes: Vec<(String, Vec<usize>)> = backbone.map(|spec| (spec.name.clone(), spec.shape.clone())).collect();
    shapes[0].1[1] = channels;
    for &(name, outputs, inputs) in head {
        shapes.push((format!("{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("{name}.bias"), vec![outputs]));
    }
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let factor = if shape.len() != 2 {
            1.0
        } else if name == "fc.weight" {
            16.0
        } else {
            2.0
        };
        let data = formula::tensor(&name, &shape, SETTINGS).into_iter().map(|v| v * factor).collect();
        (format!("{prefix}{name}"), Tensor { shape, data })
    };
    shapes.into_iter().map(tensor).collect()
}

/// Imports it and compares what it says.
fn check(name: &str, head: &[(&str, usize, usize)], channels: usize) {
    let weights = Weights::from(state_dict("model.net.", head, channels));
    let whole = whole_network(&weights, None, true).unwrap();
    assert_eq!((whole.architecture, whole.place.prefix.as_str()), (Architecture::Resnet18, "model.net."));
    assert_eq!(whole.place.one_channel, channels == 1);
    let config = HeadConfig { hidden: whole.hidden, ..HeadConfig::default() };
    let network = Network::new(whole.architecture, whole.outputs, &config).unwrap();
    let mut store = Store::new(&Cpu::new(), &network.graph).unwrap();
    for spec in store.tensors().to_vec() {
        let tensor = &whole.tensors[&spec.name];
        assert_eq!(tensor.shape, spec.shape, "{}", spec.name);
        store.set(&spec.name, &tensor.data).unwrap();
    }
    let plain = Normalization { mean: [0.0; 3], std: [1.0; 3] };
    let spec = PlanSpec::inference(&network.graph, BATCH, SIDE, plain);
    let mut plan = Plan::new(&Cpu::new(), &network.graph, spec).unwrap();
    let mut pixels = formula::pixels("input", BATCH, SIDE);
    if channels == 1 {
        for film in pixels.chunks_mut(3 * SIDE * SIDE) {
            let (first, others) = film.split_at_mut(SIDE * SIDE);
            others.chunks_mut(SIDE * SIDE).for_each(|plane| plane.copy_from_slice(first));
        }
    }
    plan.forward(&mut store, BATCH, Input::Values(&pixels), [0; 4]).unwrap();
    let (ours, theirs) = (plan.output().unwrap(), golden(name));
    assert_eq!(ours.len(), theirs.len());
    let square = |v: f64| v * v;
    let difference: f64 = ours.iter().zip(&theirs).map(|(&a, &b)| square(f64::from(a) - b)).sum();
    let off = (difference / theirs.iter().map(|&b| square(b)).sum::<f64>()).sqrt();
    println!("{name}: log-probabilities {off:.1e} off");
    assert!(off < TOLERANCE, "{name}: {off:e}, {ours:?} for {theirs:?}");
}

#[test]
fn torchvisions_own_head() {
    check("plain", &[("fc", 2, 512)], 3);
}

#[test]
fn the_notebooks_head() {
    check("notebook", &[("fc.fc1", 256, 512), ("fc.fc2", 2, 256)], 3);
}

#[test]
fn a_head_with_dropout_whose_layers_have_numbers() {
    check("dropout", &[("fc.0", 64, 512), ("fc.3", 3, 64)], 3);
}

#[test]
fn a_single_logit_is_of_two_classes() {
    check("single", &[("fc", 1, 512)], 3);
}

#[test]
fn a_first_convolution_of_one_channel() {
    check("gray", &[("fc", 2, 512)], 1);
}
