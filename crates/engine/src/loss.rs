//! Losses: where a backward pass begins, and what it gives.

use crate::{EngineError, ValueId};

/// Where a backward pass begins.
#[derive(Clone, Copy, Debug)]
pub enum Seed<'a> {
    /// For a plan that ends in log-probabilities of classes of which one is right. `[n, K]` rows `t`: the loss is
    /// `-sum(t * log_probability)`, so class weights, label smoothing, mixing and the division by the batch are all in `t`.
    Targets(&'a [f32]),
    /// For a plan that ends in logits `z` of labels of which any may hold. `[n, K]` rows `p` and `q`: the loss is
    /// `-sum(p * ln(sigmoid(z)) + q * ln(1 - sigmoid(z)))`. PyTorch's `BCEWithLogitsLoss` of targets `t` has
    /// `p = weight * pos_weight * t / count` and `q = weight * (1 - t) / count`; a label that is not known has 0 in both.
    BinaryTargets {
        /// What each label that holds counts.
        positive: &'a [f32],
        /// What each label that does not hold counts.
        negative: &'a [f32],
    },
    /// The gradient of the caller's loss at a value, `[n, C, H, W]` or `[n, F]`.
    Gradient(ValueId, &'a [f32]),
}

/// What a backward pass gives beside gradients.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Backward {
    /// The loss; 0 for [`Seed::Gradient`].
    pub loss: f64,
    /// The plan's output that the loss was computed from, `[n, K]`; `None` for [`Seed::Gradient`].
    pub output: Option<Vec<f32>>,
}

/// `1 / (1 + exp(-z))`: the probability that a logit stands for.
pub fn sigmoid(logit: f32) -> f32 {
    wide_sigmoid(f64::from(logit)) as f32
}

fn wide_sigmoid(z: f64) -> f64 {
    // The exponential never overflows, and nothing is taken from 1 that is near 1.
    let small = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// `ln(1 + exp(z))`, which is `-ln(1 - sigmoid(z))`.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// That there are as many elements as outputs.
pub(crate) fn rows(what: &str, got: usize, want: usize) -> Result<(), EngineError> {
    match got == want {
        true => Ok(()),
        false => Err(EngineError::Length { what: what.to_owned(), got, want }),
    }
}

/// Loss of [`Seed::Targets`] at as many log-probabilities `y`. Its gradient is `-targets`, whatever they are.
pub(crate) fn one_of(y: &[f32], targets: &[f32]) -> f64 {
    // A class that takes no part must not turn -inf into NaN.
    let terms = y.iter().zip(targets).filter(|(_, t)| **t != 0.0);
    -terms.map(|(y, t)| f64::from(*t) * f64::from(*y)).sum::<f64>()
}

/// Loss and gradient of [`Seed::BinaryTargets`] at logits `z`.
pub(crate) fn any_of(z: &[f32], positive: &[f32], negative: &[f32]) -> Result<(f64, Vec<f32>), EngineError> {
    rows("rows of positive targets", positive.len(), z.len())?;
    rows("rows of negative targets", negative.len(), z.len())?;
    let mut loss = 0.0;
    let mut gradient = Vec::with_capacity(z.len());
    for ((&z, &p), &q) in z.iter().zip(positive).zip(negative) {
        let (z, p, q) = (f64::from(z), f64::from(p), f64::from(q));
        // What takes no part must not turn infinity into NaN.
        let term = |share: f64, value: f64| if share == 0.0 { 0.0 } else { share * value };
        loss += term(p, softplus(-z)) + term(q, softplus(z));
        gradient.push((term(q, wide_sigmoid(z)) - term(p, wide_sigmoid(-z))) as f32);
    }
    Ok((loss, gradient))
}
