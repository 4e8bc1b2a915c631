//! Grad-CAM against pytorch-grad-cam in float64 (golden/models/cam.py), element by element and before any scaling.

use std::path::Path;

use lungfish_engine::{Backend, Cpu, Input, Normalization, Plan, PlanSpec, Precision, Store};
use lungfish_models::{Architecture, GradCam, HeadConfig, Network};
use serde_json::Value;

use crate::formula;
use crate::networks::settings;

const SIDE: usize = 224;
const FILMS: usize = 2;
/// Of an element, over the largest of its network's.
const TOLERANCE: f64 = 1e-5;

fn filled<B: Backend>(network: &Network, backend: &B, (gain, shift, last): (f64, f64, &str)) -> Store<B> {
    let mut store = Store::new(backend, &network.graph).unwrap();
    for spec in store.tensors().to_vec() {
        store.set(&spec.name, &formula::tensor(&spec.name, &spec.shape, (gain, shift, last))).unwrap();
    }
    store
}

pub fn check_maps<B: Backend>(backend: &B) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/cam.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let as_they_are = Normalization { mean: [0.0; 3], std: [1.0; 3] };
    for (name, golden) in golden.as_object().unwrap() {
        let architecture: Architecture = name.parse().unwrap();
        let network = Network::new(architecture, 2, &HeadConfig::default()).unwrap();
        let (gain, shift, last, input) = settings(architecture);
        let mut store = filled(&network, backend, (gain, shift, last));
        let pixels = formula::pixels(input, FILMS, SIDE);
        let mut cam = GradCam::new(backend, &network, 8, SIDE, (as_they_are, Precision::Fp32)).unwrap();
        assert_eq!(serde_json::json!(cam.grid()), golden["shape"], "{name}");
        assert!(golden["hidden"].as_array().unwrap().iter().all(|units| units.as_u64() > Some(0)), "a ReLU that cuts");
        for (what, score) in [("log_odds", [-1.0, 1.0]), ("logit_0", [1.0, 0.0])] {
            let maps = cam.maps(&mut store, FILMS, Input::Values(&pixels), &score.repeat(FILMS)).unwrap();
            let films = golden[what].as_array().unwrap().iter();
            let expected: Vec<f64> =
                films.flat_map(|film| film.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(maps.len(), expected.len(), "{name}");
            let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            let off = maps.iter().zip(&expected).map(|(our, their)| (f64::from(*our) - their).abs() / largest);
            let worst = off.fold(0.0, f64::max);
            println!("{name}, {what}: at most {worst:.1e} off, of {largest:.3} logits");
            assert!(worst < TOLERANCE, "{name}, {what}: {worst:e}");
        }
    }
}

#[test]
fn a_logit_is_the_sum_of_its_map_and_what_biases_give() {
    let network = Network::new(Architecture::EfficientnetLite0, 3, &HeadConfig { hidden: 16, ..HeadConfig::default() });
    let network = network.unwrap();
    let (backend, as_they_are) = (Cpu::new(), Normalization { mean: [0.0; 3], std: [1.0; 3] });
    let mut store = filled(&network, &backend, (1.3, 3.0, "._bn2"));
    // Without biases the head is homogeneous: nothing but the map is left.
    for bias in ["_fc.fc1.bias", "_fc.fc2.bias"] {
        let len = store.get(bias).unwrap().len();
        store.set(bias, &vec![0.0; len]).unwrap();
    }
    let pixels = formula::pixels("film", 3, 96);
    let mut cam = GradCam::new(&backend, &network, 3, 96, (as_they_are, Precision::Fp32)).unwrap();
    let score = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 1.0];
    let maps = cam.maps(&mut store, 3, Input::Values(&pixels), &score).unwrap();
    let mut spec = PlanSpec::inference(&network.graph, 3, 96, as_they_are);
    spec.to = network.tap("logits").unwrap();
    let mut plan = Plan::new(&backend, &network.graph, spec).unwrap();
    plan.forward(&mut store, 3, Input::Values(&pixels), [0; 4]).unwrap();
    let logits = plan.output().unwrap();
    let [rows, columns] = cam.grid();
    for (film, map) in maps.chunks_exact(rows * columns).enumerate() {
        let of = |values: &[f32]| values[3 * film..3 * film + 3].iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let said: f64 = of(&logits).iter().zip(of(&score)).map(|(logit, factor)| logit * factor).sum();
        let sum: f64 = map.iter().map(|value| f64::from(*value)).sum();
        assert!((sum - said).abs() < 1e-5 * said.abs().max(1.0), "film {film}: {sum} for {said}");
    }
}
