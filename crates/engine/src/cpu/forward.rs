//! One step forward.

use std::ops::Range;

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{self, Act, Epilogue, Filter};
use lungfish_kernels::norm::BatchStatistics;
use lungfish_kernels::{elementwise, linear, norm, pool, softmax};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{CpuProgram, Packed, act, affine, batch_norm, conv_shape, cut, missing, pool_shape};
use crate::schedule::{Activation, Kind, Norm, Sliding, Step};
use crate::{EngineError, Region, Shape, State};

/// Packs a convolution's weights anew where they have changed.
fn pack(
    slot: &mut Option<Packed>,
    step: &Step,
    window: &Sliding,
    groups: usize,
    gray: Option<Gray>,
    state: &State<'_, Vec<f32>>,
) -> Result<(), EngineError> {
    let Kind::Conv { weight, bias, fold, .. } = &step.kind else {
        return Err(EngineError::Shape { what: format!("{} is no convolution", step.name) });
    };
    let version = (state.versions[step.part], fold.as_ref().map(|f| state.versions[f.part]));
    if let Some(packed) = slot.as_mut().filter(|p| p.version == version) {
        if let Some(gray) = gray
            && packed.gray.is_none()
        {
            packed.gray = Some(gray::Filter::new(&packed.filter, &gray));
        }
        return Ok(());
    }
    let old = slot.take();
    let weights = &state.params[weight.clone()];
    let own_bias = bias.clone().map(|b| &state.params[b]);
    let (filter, plane, bias) = match (fold, old) {
        (Some(norm), _) => {
            let (scale, mut shift) = affine(norm, state.params, state.buffers);
            if let Some(own) = own_bias {
                shift.iter_mut().zip(own).zip(&scale).for_each(|((shift, own), scale)| *shift += own * scale);
            }
            (Filter::scaled(&conv_shape(window, groups), weights, &scale), None, Some(shift))
        }
        (None, Some(mut old)) => {
            old.filter.refill(weights);
            (old.filter, old.gray, own_bias.map(<[f32]>::to_vec))
        }
        (None, None) => (Filter::new(&conv_shape(window, groups), weights), None, own_bias.map(<[f32]>::to_vec)),
    };
    let gray = gray.map(|gray| match plane {
        Some(mut plane) => {
            plane.refill(&filter, &gray);
            plane
        }
        None => gray::Filter::new(&filter, &gray),
    });
    *slot = Some(Packed { version, filter, gray, bias });
    Ok(())
}

/// A step's random mask: 0 with probability `ratio`, else `1 / (1 - ratio)`.
fn dropout_mask(key: [u64; 4], stream: u64, ratio: f32, mask: &mut [f32]) {
    let mut seed = [0; 32];
    for (bytes, word) in seed.chunks_exact_mut(8).zip(key) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(seed);
    rng.set_stream(stream);
    let keep = 1.0 / (1.0 - ratio);
    for m in mask {
        // 24 bits: every value of the uniform is an exact f32.
        let uniform = (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
        *m = if uniform < ratio { 0.0 } else { keep };
    }
}

/// `saved` holds mean and variance where `moments` is `None`, and mean and inverse deviation in the end.
#[allow(clippy::too_many_arguments)]
fn batch_norm_train(
    norm: &Norm,
    shape: Shape,
    n: usize,
    x: &[f32],
    (residual, act): (Option<&[f32]>, Act),
    y: &mut [f32],
    saved: &mut [f32],
    moments: Option<&mut BatchStatistics>,
    state: &mut State<'_, Vec<f32>>,
) {
    let rows = n * shape.pixels();
    let (mean, var) = saved.split_at_mut(shape.c);
    if let Some(moments) = moments {
        moments.read(rows, shape.c, x);
        moments.mean_and_variance(mean, var);
    }
    // PyTorch keeps the unbiased variance and normalises with the biased one.
    let unbiased = rows as f32 / (rows.max(2) - 1) as f32;
    let m = norm.momentum;
    for (running, batch) in state.buffers[norm.mean.clone()].iter_mut().zip(&*mean) {
        *running = (1.0 - m) * *running + m * batch;
    }
    for (running, batch) in state.buffers[norm.var.clone()].iter_mut().zip(&*var) {
        *running = (1.0 - m) * *running + m * batch * unbiased;
    }
    let inv_std = var;
    for inverse in inv_std.iter_mut() {
        *inverse = 1.0 / (*inverse + norm.epsilon).sqrt();
    }
    let (scale, shift) = batch_norm(norm, mean, inv_std, state.params, act).scale_shift();
    norm::scale_shift(rows, shape.c, x, &scale, &shift, residual, act, y);
}

impl CpuProgram {
    pub(super) fn forward_step(
        &mut self,
        index: usize,
        step: &Step,
        state: &mut State<'_, Vec<f32>>,
        films: &Range<usize>,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        let gray = self.gray(index);
        let arena = self.arena.slice_mut();
        let n = films.len();
        let x = step.x[0].films(films);
        let y = step.y.films(films);
        match &step.kind {
            Kind::Conv { window, groups, activation, .. } => {
                pack(&mut self.packed[index], step, window, *groups, gray, state)?;
                let Some(packed) = &self.packed[index] else { return Err(missing(step, "packed weights")) };
                let shape = conv_shape(window, *groups);
                // Planes of films lie without gaps.
                let plane = Region { film: window.x.pixels(), ..step.x[0] };
                let x = if gray.is_some() { plane.films(films) } else { x };
                let bias = packed.bias.as_deref();
                let act = act(*activation);
                let of_gray = packed.gray.as_ref().filter(|_| gray.is_some());
                if let Some(place) = step.statistics {
                    let (moments, epilogue) = (&mut self.moments, Epilogue { bias, residual: None, act });
                    let [x, y, statistics] = cut(arena, [x, y, place.films(films)])?;
                    match of_gray {
                        Some(filter) => gray::forward_with_statistics(n, x, filter, &epilogue, y, moments),
                        None => conv::forward_with_statistics(&shape, n, x, &packed.filter, &epilogue, y, moments),
                    }
                    let (mean, var) = statistics.split_at_mut(step.shape.c);
                    moments.mean_and_variance(mean, var);
                    return Ok(());
                }
                let run = |x: &[f32], residual: Option<&[f32]>, y: &mut [f32]| {
                    let epilogue = Epilogue { bias, residual, act };
                    match of_gray {
                        Some(filter) => gray::forward(n, x, filter, &epilogue, y),
                        None => conv::forward(&shape, n, x, &packed.filter, &epilogue, y),
                    }
                };
                match step.x.get(1).map(|r| r.films(films)) {
                    Some(residual) if residual != x => {
                        let [x, residual, y] = cut(arena, [x, residual, y])?;
                        run(x, Some(residual), y);
                    }
                    residual => {
                        let [x, y] = cut(arena, [x, y])?;
                        run(x, residual.is_some().then_some(&*x), y);
                    }
                }
            }
            Kind::BatchNorm { norm, activation } if step.trained => {
                let saved = step.saved.ok_or_else(|| missing(step, "room for its statistics"))?.films(films);
                let act = act(*activation);
                let moments = step.statistics.is_none().then_some(&mut self.moments);
                match step.x.get(1).map(|r| r.films(films)) {
                    Some(residual) => {
                        let [x, residual, y, saved] = cut(arena, [x, residual, y, saved])?;
                        batch_norm_train(norm, step.shape, n, x, (Some(residual), act), y, saved, moments, state);
                    }
                    None => {
                        let [x, y, saved] = cut(arena, [x, y, saved])?;
                        batch_norm_train(norm, step.shape, n, x, (None, act), y, saved, moments, state);
                    }
                }
            }
            Kind::BatchNorm { norm, activation } => {
                let (scale, shift) = affine(norm, state.params, state.buffers);
                let [x, y] = cut(arena, [x, y])?;
                let rows = n * step.shape.pixels();
                norm::scale_shift(rows, step.shape.c, x, &scale, &shift, None, act(*activation), y);
            }
            Kind::Activation(activation) => {
                if x != y {
                    let [x, y] = cut(arena, [x, y.clone()])?;
                    elementwise::copy(y, x);
                }
                match *activation {
                    Activation::Identity => {}
                    Activation::Relu => elementwise::relu_in_place(&mut arena[y]),
                    Activation::Clip { min, max } => elementwise::clip_in_place(&mut arena[y], min, max),
                }
            }
            Kind::Add => {
                let other = step.x[1].films(films);
                if other == x {
                    let [x, y] = cut(arena, [x, y])?;
                    elementwise::add(x, x, y);
                } else {
                    let [a, b, y] = cut(arena, [x, other, y])?;
                    elementwise::add(a, b, y);
                }
            }
            Kind::MaxPool(window) => {
                let [x, y] = cut(arena, [x, y])?;
                pool::max_pool(&pool_shape(window), n, x, y);
            }
            Kind::AveragePool(shape) => {
                let [x, y] = cut(arena, [x, y])?;
                pool::average_pool(n, shape.pixels(), shape.c, x, y);
            }
            Kind::Gemm { inputs, outputs, weight, bias } => {
                let [x, y] = cut(arena, [x, y])?;
                let (weight, bias) = (&state.params[weight.clone()], &state.params[bias.clone()]);
                linear::forward(n, *inputs, *outputs, x, weight, bias, y);
            }
            Kind::Dropout { ratio, stream } => {
                let saved = step.saved.ok_or_else(|| missing(step, "room for its mask"))?;
                let [x, y, mask] = cut(arena, [x, y, saved.films(films)])?;
                dropout_mask(key, *stream, *ratio, mask);
                elementwise::multiply(x, mask, y);
            }
            Kind::LogSoftmax { classes } => {
                let [x, y] = cut(arena, [x, y])?;
                softmax::log_softmax(n, *classes, x, y);
            }
        }
        Ok(())
    }
}
