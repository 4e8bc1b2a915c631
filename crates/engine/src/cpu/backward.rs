//! One step backward.

use std::ops::Range;

use lungfish_kernels::conv::Act;
use lungfish_kernels::norm::{BatchNormGradients, Place};
use lungfish_kernels::{conv, elementwise, linear, norm, pool, softmax};

use super::{CpuProgram, act, affine, batch_norm, conv_shape, cut, missing, pool_shape};
use crate::schedule::{Activation, BackwardStep, Kind, Step};
use crate::{EngineError, State};

fn activation_backward(
    activation: Activation,
    arena: &mut [f32],
    y: Range<usize>,
    dy: Range<usize>,
    dx: Range<usize>,
    add: bool,
) -> Result<(), EngineError> {
    let masked = |y: &[f32], dy: &mut [f32]| match activation {
        Activation::Identity => {}
        Activation::Relu => elementwise::relu_backward_in_place(y, dy),
        Activation::Clip { min, max } => elementwise::clip_backward_in_place(y, dy, min, max),
    };
    if dx == dy {
        let [y, dy] = cut(arena, [y, dy])?;
        masked(y, dy);
        return Ok(());
    }
    let [y, dy, dx] = cut(arena, [y, dy, dx])?;
    if add {
        let mut own = dy.to_vec();
        masked(y, &mut own);
        elementwise::accumulate(dx, &own);
    } else {
        elementwise::copy(dx, dy);
        masked(y, dx);
    }
    Ok(())
}

/// The gradient of a sum becomes that of one of its terms, which may use it as it lies.
fn hand_on(arena: &mut [f32], dy: Range<usize>, dx: Range<usize>, add: bool) -> Result<(), EngineError> {
    if dx != dy {
        let [dy, dx] = cut(arena, [dy, dx])?;
        if add { elementwise::accumulate(dx, dy) } else { elementwise::copy(dx, dy) }
    }
    Ok(())
}

/// Where the kernel finds the place of a gradient.
fn kernel_place<'a>(
    place: &Option<Range<usize>>,
    dy: &Range<usize>,
    values: &'a mut [f32],
    accumulate: bool,
) -> Place<'a> {
    match place {
        None => Place::Nowhere,
        Some(place) if place == dy => Place::Over,
        Some(_) if accumulate => Place::Add(values),
        Some(_) => Place::Write(values),
    }
}

impl CpuProgram {
    pub(super) fn backward_step(
        &mut self,
        back: &BackwardStep,
        step: &Step,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        accumulate: bool,
    ) -> Result<(), EngineError> {
        let gray = self.gray(back.step);
        let arena = self.arena.slice_mut();
        let dy = step.dy.ok_or_else(|| missing(step, "gradient"))?.range(n);
        let x = step.x[0].range(n);
        let dx = step.dx[0].map(|r| r.range(n));
        let add_x = back.accumulate[0];
        let rows = n * step.shape.pixels();
        let no_grads = || EngineError::NotKept { what: "a parameter's gradient".to_owned() };
        match &step.kind {
            Kind::Conv { window, groups, weight, bias, .. } => {
                let shape = conv_shape(window, *groups);
                if step.trained {
                    let grads = state.grads.as_mut().ok_or_else(no_grads)?;
                    let [x, dy] = cut(arena, [x, dy.clone()])?;
                    let dw = &mut grads[weight.clone()];
                    match gray {
                        Some(gray) => {
                            let z = &x[..n * window.x.pixels()];
                            conv::gray::backward_weight(&shape, n, z, &gray, dy, dw, accumulate);
                        }
                        None => conv::backward_weight(&shape, n, x, dy, dw, accumulate),
                    }
                    if let Some(bias) = bias {
                        conv::backward_bias(rows, step.shape.c, dy, &mut grads[bias.clone()], accumulate);
                    }
                }
                if let Some(dx) = dx {
                    let packed = self.packed[back.step].as_ref().ok_or_else(|| missing(step, "packed weights"))?;
                    let [dy, dx] = cut(arena, [dy, dx])?;
                    conv::backward_data(&shape, n, dy, &packed.filter, dx, add_x);
                }
            }
            Kind::BatchNorm { norm, activation } if step.trained => {
                let grads = state.grads.as_mut().ok_or_else(no_grads)?;
                let saved = step.saved.ok_or_else(|| missing(step, "statistics"))?.range(n);
                let [dscale, dbias] = cut(grads, [norm.scale.clone(), norm.bias.clone()])?;
                let act = act(*activation);
                let y = (step.x.len() > 1 && act != Act::None).then(|| step.y.range(n));
                let places = [dx, step.dx.get(1).copied().flatten().map(|r| r.range(n))];
                // What has no place of its own is cut as nothing.
                let own = |place: &Option<Range<usize>>| place.clone().filter(|range| *range != dy).unwrap_or(0..0);
                let ranges = [x, y.clone().unwrap_or(0..0), saved, own(&places[0]), own(&places[1]), dy.clone()];
                let [x, result, saved, dx, residual, dy_values] = cut(arena, ranges)?;
                let (mean, inv_std) = saved.split_at(step.shape.c);
                let norm = batch_norm(norm, mean, inv_std, state.params, act);
                let [to_x, to_residual] = &places;
                let gradients = BatchNormGradients {
                    scale: dscale,
                    bias: dbias,
                    accumulate,
                    x: kernel_place(to_x, &dy, dx, add_x),
                    residual: kernel_place(to_residual, &dy, residual, back.accumulate.get(1) == Some(&true)),
                };
                norm::batch_norm_backward(rows, x, y.map(|_| &*result), &norm, dy_values, gradients);
            }
            Kind::BatchNorm { norm, .. } => {
                if let Some(dx) = dx {
                    let (scale, _) = affine(norm, state.params, state.buffers);
                    let [dy, dx] = cut(arena, [dy, dx])?;
                    norm::scale_backward(rows, step.shape.c, dy, &scale, dx, add_x);
                }
            }
            Kind::Activation(activation) => {
                if let Some(dx) = dx {
                    activation_backward(*activation, arena, step.y.range(n), dy, dx, add_x)?;
                }
            }
            Kind::Add => {
                for (dx, add) in step.dx.iter().zip(&back.accumulate) {
                    if let Some(dx) = dx {
                        hand_on(arena, dy.clone(), dx.range(n), *add)?;
                    }
                }
            }
            Kind::MaxPool(window) => {
                if let Some(dx) = dx {
                    let [x, y, dy, dx] = cut(arena, [x, step.y.range(n), dy, dx])?;
                    pool::max_pool_backward(&pool_shape(window), n, x, y, dy, dx, add_x);
                }
            }
            Kind::AveragePool(shape) => {
                if let Some(dx) = dx {
                    let [dy, dx] = cut(arena, [dy, dx])?;
                    pool::average_pool_backward(n, shape.pixels(), shape.c, dy, dx, add_x);
                }
            }
            Kind::Gemm { inputs, outputs, weight, bias } => {
                if step.trained {
                    let grads = state.grads.as_mut().ok_or_else(no_grads)?;
                    let [dw, db] = cut(grads, [weight.clone(), bias.clone()])?;
                    let [x, dy] = cut(arena, [x, dy.clone()])?;
                    linear::backward_weight(n, *inputs, *outputs, x, dy, dw, db, accumulate);
                }
                if let Some(dx) = dx {
                    let [dy, dx] = cut(arena, [dy, dx])?;
                    linear::backward_data(n, *inputs, *outputs, dy, &state.params[weight.clone()], dx, add_x);
                }
            }
            Kind::Dropout { .. } => {
                if let Some(dx) = dx {
                    let mask = step.saved.ok_or_else(|| missing(step, "mask"))?.range(n);
                    let [mask, dy, dx] = cut(arena, [mask, dy, dx])?;
                    if add_x {
                        let mut own = vec![0.0; dy.len()];
                        elementwise::multiply(dy, mask, &mut own);
                        elementwise::accumulate(dx, &own);
                    } else {
                        elementwise::multiply(dy, mask, dx);
                    }
                }
            }
            Kind::LogSoftmax { classes } => {
                if let Some(dx) = dx {
                    let [y, dy, dx] = cut(arena, [step.y.range(n), dy, dx])?;
                    softmax::log_softmax_backward(n, *classes, y, dy, dx, add_x);
                }
            }
        }
        Ok(())
    }
}
