//! Weights from chance: how the tensors of a graph begin before anything is learned. Which distribution a tensor has stands
//! with its operator, in `ops`.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Backend, EngineError, Graph, Store};

/// How a tensor begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fresh {
    Constant(f32),
    /// Around 0.
    Normal {
        deviation: f64,
    },
    /// From `-bound` to `bound`.
    Uniform {
        bound: f64,
    },
}

/// Sets every tensor as torchvision initialises a fresh network: convolutions normal with variance
/// `2 / fan_out` (`kaiming_normal_`, `fan_out`, `relu`; He et al. 2015), where a depthwise
/// convolution's fan-out counts its own group as TensorFlow has it; batch-norm scale 1, bias 0,
/// running mean 0 and variance 1; linear layers uniform within `1 / sqrt(inputs)`, biases too.
///
/// Each tensor has its own random numbers, keyed by `seed` and its name, so they do not depend on the other layers.
///
/// # Errors
/// [`EngineError::AnotherGraph`] where the store is not this graph's; [`EngineError::Device`].
pub fn initialise<B: Backend>(store: &mut Store<B>, graph: &Graph, seed: u64) -> Result<(), EngineError> {
    graph.layout.require(&store.layout, "the store")?;
    for (spec, fresh) in graph.nodes().iter().flat_map(|node| node.op.rules().fresh(&graph.layout)) {
        let values = match fresh {
            Fresh::Constant(value) => vec![value; spec.len()],
            Fresh::Normal { deviation } => normal(&mut keyed(seed, &spec.name), spec.len(), deviation),
            Fresh::Uniform { bound } => uniform(&mut keyed(seed, &spec.name), spec.len(), bound),
        };
        store.set(&spec.name, &values)?;
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
