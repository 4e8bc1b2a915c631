//! Weights from chance: what a network starts from where nothing trained it before.

use lungfish_engine::{Backend, Graph, Op, Store, TensorSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::{Network, WeightsError};

/// Sets every tensor as torchvision initialises a fresh network: convolutions normal with variance
/// `2 / fan_out` (`kaiming_normal_`, `fan_out`, `relu`; He et al. 2015), where a depthwise
/// convolution's fan-out counts its own group as TensorFlow has it; batch-norm scale 1, bias 0,
/// running mean 0 and variance 1; linear layers uniform within `1 / sqrt(inputs)`, biases too.
///
/// Each tensor has its own random numbers, keyed by `seed` and its name, so the backbone's do not
/// depend on the head's width.
///
/// # Errors
/// [`WeightsError::Engine`] where the store is not this network's.
pub fn initialise<B: Backend>(store: &mut Store<B>, network: &Network, seed: u64) -> Result<(), WeightsError> {
    initialise_graph(store, &network.graph, seed)
}

/// [`initialise`] for any graph, of whatever networks it is made.
///
/// ```
/// use lungfish_engine::{Cpu, GraphBuilder, Store};
/// use lungfish_models::initialise_graph;
/// let mut g = GraphBuilder::new(3);
/// let x = g.input();
/// let x = g.global_average_pool("pool", x);
/// let x = g.gemm("fc", x, 2);
/// let graph = g.finish(x);
/// let mut store = Store::new(&Cpu::new(), &graph)?;
/// initialise_graph(&mut store, &graph, 1)?;
/// assert!(store.get("fc.weight")?.iter().all(|w| w.abs() <= 1.0 / 3.0_f32.sqrt()));
/// # Ok::<(), lungfish_models::WeightsError>(())
/// ```
///
/// # Errors
/// [`WeightsError::Engine`] where the store is not this graph's.
pub fn initialise_graph<B: Backend>(store: &mut Store<B>, graph: &Graph, seed: u64) -> Result<(), WeightsError> {
    for node in graph.nodes() {
        let specs: Vec<&TensorSpec> = node.op.params().iter().map(|p| &graph.params()[p.index()]).collect();
        match (&node.op, specs.as_slice()) {
            (Op::Conv { groups, .. }, [weight, rest @ ..]) => {
                let area: usize = weight.shape[2..].iter().product();
                let fan_out = weight.shape[0] / groups * area;
                let deviation = (2.0 / fan_out as f64).sqrt();
                store.set(&weight.name, &normal(&mut keyed(seed, &weight.name), weight.len(), deviation))?;
                for bias in rest {
                    store.set(&bias.name, &vec![0.0; bias.len()])?;
                }
            }
            (Op::Gemm { .. }, [weight, bias]) => {
                let bound = 1.0 / (weight.shape[1] as f64).sqrt();
                for spec in [weight, bias] {
                    store.set(&spec.name, &uniform(&mut keyed(seed, &spec.name), spec.len(), bound))?;
                }
            }
            (Op::BatchNormalization { .. }, [scale, bias]) => {
                store.set(&scale.name, &vec![1.0; scale.len()])?;
                store.set(&bias.name, &vec![0.0; bias.len()])?;
            }
            _ => {}
        }
    }
    for buffer in graph.buffers() {
        let value = if buffer.name.ends_with(".running_var") { 1.0 } else { 0.0 };
        store.set(&buffer.name, &vec![value; buffer.len()])?;
    }
    Ok(())
}

/// A generator for one tensor: the key is the seed, the FNV-1a hash of its name, and two words
/// that keep this use apart from others of the same seed.
fn keyed(seed: u64, name: &str) -> ChaCha8Rng {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, hash, u64::from_le_bytes(*b"weights\0"), 0]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// Uniform in the open interval from 0 to 1.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    ((random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn uniform(random: &mut ChaCha8Rng, n: usize, bound: f64) -> Vec<f32> {
    (0..n).map(|_| ((2.0 * unit(random) - 1.0) * bound) as f32).collect()
}

/// Box and Muller's pairs.
fn normal(random: &mut ChaCha8Rng, n: usize, deviation: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(n + 1);
    while values.len() < n {
        let radius = deviation * (-2.0 * unit(random).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * unit(random)).sin_cos();
        values.push((radius * cos) as f32);
        values.push((radius * sin) as f32);
    }
    values.truncate(n);
    values
}
