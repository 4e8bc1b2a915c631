//! Adam, and the size of a gradient: the optimiser's arithmetic over one flat buffer of parameters.

use rayon::prelude::*;

use crate::chunks::{ELEMENTS, for_chunks, sum_rows, vectorised};

/// One step of Adam (Kingma & Ba, arXiv 1412.6980) or AdamW (Loshchilov & Hutter, arXiv 1711.05101).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Pull towards zero.
    pub weight_decay: f64,
    /// `false`: decay is added to the gradient (torch.optim.Adam); `true`: it shrinks the parameters (AdamW).
    pub decoupled: bool,
    /// Which step this is, from 1.
    pub step: u64,
}

/// Moves `params` along `grads` and updates the moments `m` and `v`, with torch.optim.Adam's arithmetic
/// (`f32`, coefficients worked out in `f64`).
pub fn adam(step: &AdamStep, params: &mut [f32], grads: &[f32], m: &mut [f32], v: &mut [f32]) {
    assert_eq!((params.len(), params.len(), params.len()), (grads.len(), m.len(), v.len()));
    let power = |beta: f64| 1.0 - beta.powf(step.step as f64);
    let step_size = (step.lr / power(step.beta1)) as f32;
    let root = power(step.beta2).sqrt() as f32;
    let epsilon = step.epsilon as f32;
    let (to_m, beta2, to_v) = ((1.0 - step.beta1) as f32, step.beta2 as f32, (1.0 - step.beta2) as f32);
    let (shrink, decay) = match step.decoupled {
        true => ((1.0 - step.lr * step.weight_decay) as f32, 0.0),
        false => (1.0, step.weight_decay as f32),
    };
    params
        .par_chunks_mut(ELEMENTS)
        .zip(grads.par_chunks(ELEMENTS))
        .zip(m.par_chunks_mut(ELEMENTS).zip(v.par_chunks_mut(ELEMENTS)))
        .for_each(|((params, grads), (m, v))| {
            vectorised(|| {
                for (((p, &g), m), v) in params.iter_mut().zip(grads).zip(m).zip(v) {
                    let g = g + decay * *p;
                    *m += to_m * (g - *m);
                    *v = *v * beta2 + to_v * g * g;
                    *p = *p * shrink - step_size * (*m / (v.sqrt() / root + epsilon));
                }
            });
        });
}

/// Sum of squares in `f64`, over fixed chunks added in order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    const LANES: usize = 16;
    let lanes = sum_rows(x.len().div_ceil(LANES), LANES, |first, end, sums| {
        vectorised(|| {
            for row in x[first * LANES..(end * LANES).min(x.len())].chunks(LANES) {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
            }
        });
    });
    lanes.iter().sum()
}

/// `into += weight * (from - into)`.
pub fn blend(into: &mut [f32], from: &[f32], weight: f32) {
    assert_eq!(into.len(), from.len());
    for_chunks(into, ELEMENTS, |index, into| {
        let from = &from[index * ELEMENTS..][..into.len()];
        vectorised(|| into.iter_mut().zip(from).for_each(|(into, from)| *into += weight * (from - *into)));
    });
}

/// `x *= factor`.
pub fn scale_in_place(x: &mut [f32], factor: f32) {
    for_chunks(x, ELEMENTS, |_, x| vectorised(|| x.iter_mut().for_each(|x| *x *= factor)));
}
