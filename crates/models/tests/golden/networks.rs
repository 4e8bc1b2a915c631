//! The networks against PyTorch in float64 (golden/models/networks.py): activations, gradients,
//! running statistics and 20 steps of Adam.
//!
//! With `LUNGFISH_GOLDEN_FULL` naming the folder that `networks.py --full` wrote, every element is
//! compared instead of some a tensor.

use std::path::{Path, PathBuf};

use lungfish_engine::{Adam, AdamConfig, Backend, Input, Normalization, Plan, PlanSpec, Seed, Store};
use lungfish_models::{Architecture, HeadConfig, Network};
use safetensors::SafeTensors;

use crate::formula;

const CLASSES: usize = 2;

/// Side of the image in pixels, and films at a time.
#[derive(Clone, Copy, PartialEq)]
pub struct Size {
    pub side: usize,
    pub batch: usize,
}

/// Small, for training that goes on for steps.
pub const SMALL: Size = Size { side: 64, batch: 4 };
/// As a network is used: the later layers see planes of 14 and 7 pixels, and take the algorithms that those get; Lite2 halves
/// odd planes too.
pub fn whole(architecture: Architecture) -> Size {
    let side = match architecture {
        Architecture::EfficientnetLite1 => 240,
        Architecture::EfficientnetLite2 => 260,
        _ => 224,
    };
    Size { side, batch: 2 }
}

/// Activations, running statistics and losses.
const TOLERANCE: f64 = 1e-4;
const GRADIENT_TOLERANCE: f64 = 1e-3;
/// For Lite0 at 224 pixels: one value of its sixth block lies within rounding of a kink of ReLU6 and falls on the other side
/// of it in single floats. The batch-norm before it is off by 2.8e-2 of its largest gradient, what lies before that by some
/// 5e-3; all that comes after is within 1e-3.
const GRADIENT_TOLERANCE_AT_A_KINK: f64 = 4e-2;
const ADAM_TOLERANCE: f64 = 1e-3;
/// A gradient that is zero by mathematics (a shift that a batch-norm removes again) is only
/// rounding, here and there: its norm must be below this share of the largest gradient's.
const VANISHING: f64 = 1e-6;

/// One network's golden file.
pub struct Golden {
    bytes: Vec<u8>,
    full: bool,
    /// Elements kept of a tensor that has more.
    samples: usize,
}

impl Golden {
    pub fn open(architecture: Architecture, size: Size) -> Golden {
        let full = std::env::var_os("LUNGFISH_GOLDEN_FULL").map(PathBuf::from);
        let folder = full.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models"));
        let side = if size == SMALL { String::new() } else { format!("-{}", size.side) };
        let bytes = std::fs::read(folder.join(format!("{architecture}{side}.safetensors"))).unwrap();
        let many_tensors = matches!(architecture, Architecture::EfficientnetLite1 | Architecture::EfficientnetLite2);
        Golden { bytes, full: full.is_some(), samples: if many_tensors { 192 } else { 256 } }
    }

    /// Names, kept elements end to end, and whole norms of a group.
    fn group(&self, group: &str) -> (Vec<String>, Vec<f32>, Vec<f64>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let (_, header) = SafeTensors::read_metadata(&self.bytes).unwrap();
        let names = header.metadata().as_ref().unwrap()[group].lines().map(str::to_owned).collect();
        let kept = file.tensor(group).unwrap().data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let norms = file.tensor(&format!("{group}.norm")).unwrap();
        (names, kept, norms.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
    }

    /// Losses of twenty steps of Adam.
    pub fn losses(&self) -> Vec<f32> {
        let (_, losses, _) = self.group("adam");
        assert_eq!(losses.len(), 20);
        losses
    }

    /// How far each member of a group is off, of its own norm, by the elements that are kept; nothing of members that are
    /// zero by mathematics.
    pub fn distances(&self, group: &str, mut ours: impl FnMut(&str) -> Vec<f32>) -> Vec<f64> {
        let mut distances = Vec::new();
        self.each(group, |name| ours(name), |_, off, _| distances.push(off), |_, _, _| {});
        distances
    }

    /// Compares a group, in its order; complains about every member that is too far off.
    fn compare(&self, group: &str, tolerance: f64, mut ours: impl FnMut(&str) -> Vec<f32>) -> Vec<String> {
        let (mut worst, mut complaints, mut vanishing) = ((0.0, String::new()), Vec::new(), Vec::new());
        let far = |name: &str, off: f64, norms: [f64; 2]| {
            if off > worst.0 {
                worst = (off, name.to_owned());
            }
            if off.is_nan() || off > tolerance {
                let [our_norm, norm] = norms;
                complaints.push(format!("{group} {name}: off by {off:.2e}, norm {our_norm:e} for {norm:e}"));
            }
        };
        let vanish = |name: &str, our_norm: f64, largest: f64| {
            if our_norm.is_nan() || our_norm > VANISHING * largest {
                vanishing.push(format!("{group} {name}: should vanish, norm {our_norm:e} of {largest:e}"));
            }
        };
        self.each(group, |name| ours(name), far, vanish);
        println!("{group}: at most {:.1e} off, at {}", worst.0, worst.1);
        complaints.extend(vanishing);
        complaints
    }

    /// Calls `far` with each member's name, how far it is off and its norms, ours and theirs; `vanish` with one's that is zero by
    /// mathematics, our norm of it and the largest of the group.
    fn each(
        &self,
        group: &str,
        mut ours: impl FnMut(&str) -> Vec<f32>,
        mut far: impl FnMut(&str, f64, [f64; 2]),
        mut vanish: impl FnMut(&str, f64, f64),
    ) {
        let (names, kept, norms) = self.group(group);
        let largest = norms.iter().fold(0.0_f64, |a, &b| a.max(b));
        let mut at = 0;
        assert!(!names.is_empty());
        for (name, &norm) in names.iter().zip(&norms) {
            let values = ours(name);
            let samples = if self.full { values.len() } else { self.samples };
            let positions = formula::positions(values.len(), samples);
            let theirs = &kept[at..at + positions.len()];
            at += positions.len();
            let our_norm = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            if norm < 1e-9 * largest {
                vanish(name, our_norm, largest);
                continue;
            }
            let square = |v: f64| v * v;
            let difference: f64 =
                positions.iter().zip(theirs).map(|(&p, &t)| square(f64::from(values[p]) - f64::from(t))).sum();
            // A tensor with few large elements may have none of them among those kept; then what
            // the kept ones have on average is the scale.
            let kept_scale: f64 = theirs.iter().map(|&t| square(f64::from(t))).sum();
            let scale = kept_scale.max(square(norm) * theirs.len() as f64 / values.len() as f64);
            far(name, (difference / scale).sqrt().max((our_norm / norm - 1.0).abs()), [our_norm, norm]);
        }
        assert_eq!(at, kept.len(), "{group}: some of the golden file was not compared");
    }
}

/// Gain and shift of batch-norms, the one that ends a residual branch, and the input's name.
pub fn settings(architecture: Architecture) -> (f64, f64, &'static str, &'static str) {
    match architecture {
        Architecture::Resnet18 | Architecture::Resnet34 => (1.0, 1.5, ".bn2", "input"),
        Architecture::Resnet50 => (1.0, 1.5, ".bn3", "input"),
        Architecture::EfficientnetLite0 | Architecture::EfficientnetLite1 | Architecture::EfficientnetLite2 => {
            (1.3, 3.0, "._bn2", "input")
        }
        other => panic!("no golden values for {other}"),
    }
}

pub fn network<B: Backend>(backend: &B, architecture: Architecture) -> (Network, Store<B>) {
    let network = Network::new(architecture, CLASSES, &HeadConfig::default()).unwrap();
    let mut store = Store::new(backend, &network.graph).unwrap();
    let (gain, shift, last, _) = settings(architecture);
    for spec in store.tensors().to_vec() {
        store.set(&spec.name, &formula::tensor(&spec.name, &spec.shape, (gain, shift, last))).unwrap();
    }
    (network, store)
}

/// Everything tapped is kept.
pub fn spec(network: &Network, size: Size, train: bool) -> PlanSpec {
    // The golden inputs are normalised already.
    let normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };
    let parts = if train { network.parts_by_names("all").unwrap() } else { Vec::new() };
    let mut spec = PlanSpec::training(&network.graph, size.batch, size.side, normalization, &parts);
    spec.keep = network.taps.iter().map(|&(_, v)| v).collect();
    spec
}

fn plan<B: Backend>(backend: &B, network: &Network, size: Size, train: bool) -> Plan<B> {
    Plan::new(backend, &network.graph, spec(network, size, train)).unwrap()
}

/// Film i is of class i mod 2; the mean negative log-likelihood.
pub fn targets(Size { batch, .. }: Size) -> Vec<f32> {
    (0..batch * CLASSES).map(|i| if i / CLASSES % CLASSES == i % CLASSES { 1.0 / batch as f32 } else { 0.0 }).collect()
}

/// A network's values, and where it is trained its gradients and running statistics.
pub fn check<B: Backend>(backend: &B, architecture: Architecture, size: Size, train: bool) {
    let golden = Golden::open(architecture, size);
    let input = formula::pixels(settings(architecture).3, size.batch, size.side);
    let (network, mut store) = network(backend, architecture);
    let tap = |plan: &Plan<B>, name: &str| plan.value(network.tap(name).unwrap()).unwrap();

    let mut evaluation = plan(backend, &network, size, false);
    evaluation.forward(&mut store, size.batch, Input::Values(&input), [0; 4]).unwrap();
    let mut complaints = golden.compare("eval", TOLERANCE, |name| tap(&evaluation, name));
    drop(evaluation);

    if train {
        let mut training = plan(backend, &network, size, true);
        training.forward(&mut store, size.batch, Input::Values(&input), [0; 4]).unwrap();
        let loss = training.backward(&mut store, Seed::Targets(&targets(size)), false).unwrap().loss;
        complaints.extend(golden.compare("train", TOLERANCE, |name| match name {
            "loss" => vec![loss as f32],
            name => tap(&training, name),
        }));
        let kink = architecture == Architecture::EfficientnetLite0 && size != SMALL;
        let tolerance = if kink { GRADIENT_TOLERANCE_AT_A_KINK } else { GRADIENT_TOLERANCE };
        complaints.extend(golden.compare("gradient", tolerance, |name| store.gradient(name).unwrap()));
        complaints.extend(golden.compare("running", TOLERANCE, |name| store.get(name).unwrap()));
    }
    assert!(complaints.is_empty(), "{architecture}:\n{}", complaints.join("\n"));
}

/// The losses of twenty steps of Adam.
pub fn check_adam<B: Backend>(backend: &B, architecture: Architecture) {
    let size = SMALL;
    let golden = Golden::open(architecture, size);
    let (network, mut store) = network(backend, architecture);
    let parts = network.parts_by_names("all").unwrap();
    let mut plan = plan(backend, &network, size, true);
    let mut adam = Adam::new(backend, &network.graph, &parts, AdamConfig::default()).unwrap();
    let theirs = golden.losses();
    let mut complaints = Vec::new();
    let mut worst = 0.0_f64;
    for (step, &their) in theirs.iter().enumerate() {
        let input = formula::pixels(&format!("step{step}"), size.batch, size.side);
        plan.forward(&mut store, size.batch, Input::Values(&input), [0; 4]).unwrap();
        let loss = plan.backward(&mut store, Seed::Targets(&targets(size)), false).unwrap().loss;
        adam.step(&mut store, 1e-4).unwrap();
        let off = (loss - f64::from(their)).abs();
        worst = worst.max(off);
        if off.is_nan() || off > ADAM_TOLERANCE {
            complaints.push(format!("step {step}: loss {loss} for {their}"));
        }
    }
    println!("adam: at most {worst:.1e} off");
    assert!(complaints.is_empty(), "{architecture}:\n{}", complaints.join("\n"));
}
