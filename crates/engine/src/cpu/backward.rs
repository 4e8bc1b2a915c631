//! One step backward.

use std::ops::Range;

use lungfish_kernels::conv::Act;
use lungfish_kernels::{conv, elementwise, linear, norm, pool, softmax};

use super::{CpuProgram, act, affine, conv_shape, cut, missing, pool_shape};
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

impl CpuProgram {
    pub(super) fn backward_step(
        &mut self,
        back: &BackwardStep,
        step: &Step,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        accumulate: bool,
    ) -> Result<(), EngineError> {
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
                    conv::backward_weight(&shape, n, x, dy, &mut grads[weight.clone()], accumulate);
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
                let scale = &state.params[norm.scale.clone()];
                let [dscale, dbias] = cut(grads, [norm.scale.clone(), norm.bias.clone()])?;
                let (c, act) = (step.shape.c, act(*activation));
                // Without an activation the result is not read again, and may be gone.
                let y = if act == Act::None { 0..0 } else { step.y.range(n) };
                // The first layer of a network has nobody to hand its gradient to.
                let mut unread = Vec::new();
                let (x, y, dy_values, saved, dx) = match dx {
                    Some(dx) => {
                        let [x, y, dy, saved, dx] = cut(arena, [x, y, dy.clone(), saved, dx])?;
                        (x, y, dy, saved, dx)
                    }
                    None => {
                        let [x, y, dy, saved] = cut(arena, [x, y, dy.clone(), saved])?;
                        unread.resize(x.len(), 0.0);
                        (x, y, dy, saved, &mut unread[..])
                    }
                };
                let (mean, inv_std) = saved.split_at(c);
                norm::batch_norm_backward(
                    rows, c, x, y, act, dy_values, mean, inv_std, scale, dscale, dbias, dx, accumulate, add_x,
                );
                if let [_, Some(residual)] = step.dx[..] {
                    hand_on(arena, dy, residual.range(n), back.accumulate[1])?;
                }
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
