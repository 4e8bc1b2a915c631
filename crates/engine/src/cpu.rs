//! The CPU backend: channels-last activations in one arena, and kernels called step by step.

use std::ops::Range;

use lungfish_kernels::conv::{self, Act, ConvShape, Epilogue, Filter};
use lungfish_kernels::optim::{self, AdamStep};
use lungfish_kernels::pool::{self, PoolShape};
use lungfish_kernels::{elementwise, linear, norm, pixels, softmax};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::backend::{AdamUpdate, Backend, Input, Normalization, State};
use crate::schedule::{Activation, BackwardStep, Kind, Norm, Schedule, Sliding, Step};
use crate::{EngineError, Region, Shape};

/// Runs plans on the processor, on the threads of the current rayon pool. The result does not
/// depend on how many there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Cpu {
    /// The processor.
    pub fn new() -> Self {
        Cpu
    }
}

/// A convolution's packed weights, and the bias that goes with them.
struct Packed {
    version: u64,
    filter: Filter,
    bias: Option<Vec<f32>>,
}

/// A schedule with its arena and packed weights.
pub struct CpuProgram {
    arena: Vec<f32>,
    /// By step; `None` where it is no convolution or has not run.
    packed: Vec<Option<Packed>>,
}

/// Disjoint pieces of the arena. They are disjoint by the memory plan; were they not, this is an
/// error and never a wrong result.
fn cut<const N: usize>(arena: &mut [f32], ranges: [Range<usize>; N]) -> Result<[&mut [f32]; N], EngineError> {
    arena
        .get_disjoint_mut(ranges)
        .map_err(|e| EngineError::Shape { what: format!("the memory plan is not sound: {e}") })
}

fn fits(what: &str, got: usize, want: usize) -> Result<(), EngineError> {
    if got == want { Ok(()) } else { Err(EngineError::Length { what: what.to_owned(), got, want }) }
}

fn conv_shape(window: &Sliding, groups: usize) -> ConvShape {
    ConvShape {
        h: window.x.h,
        w: window.x.w,
        c_in: window.x.c,
        c_out: window.y.c,
        kernel: window.kernel,
        stride: window.stride,
        pads: window.pads,
        groups,
    }
}

fn pool_shape(window: &Sliding) -> PoolShape {
    PoolShape {
        h: window.x.h,
        w: window.x.w,
        c: window.x.c,
        kernel: window.kernel,
        stride: window.stride,
        pads: window.pads,
    }
}

fn act(activation: Activation) -> Act {
    match activation {
        Activation::Identity => Act::None,
        Activation::Relu => Act::Relu,
        Activation::Clip { min, max } => Act::Clip { min, max },
    }
}

/// `scale` and `shift` of a batch normalisation that uses running statistics.
fn affine(norm: &Norm, params: &[f32], buffers: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let inverse = |var: f32| 1.0 / (var + norm.epsilon).sqrt();
    let scale: Vec<f32> = params[norm.scale.clone()]
        .iter()
        .zip(&buffers[norm.var.clone()])
        .map(|(scale, var)| scale * inverse(*var))
        .collect();
    let shift = params[norm.bias.clone()]
        .iter()
        .zip(&buffers[norm.mean.clone()])
        .zip(&scale)
        .map(|((bias, mean), scale)| bias - mean * scale)
        .collect();
    (scale, shift)
}

/// Packs a convolution's weights anew where they have changed.
fn pack(
    slot: &mut Option<Packed>,
    step: &Step,
    window: &Sliding,
    groups: usize,
    state: &State<'_, Vec<f32>>,
) -> Result<(), EngineError> {
    let Kind::Conv { weight, bias, fold, .. } = &step.kind else {
        return Err(EngineError::Shape { what: format!("{} is no convolution", step.name) });
    };
    let folded = fold.as_ref().map_or(0, |f| state.versions[f.part]);
    let version = state.versions[step.part] + folded;
    if slot.as_ref().is_some_and(|p| p.version == version) {
        return Ok(());
    }
    let weights = &state.params[weight.clone()];
    let own_bias = bias.clone().map(|b| &state.params[b]);
    let (filter, bias) = match fold {
        Some(norm) => {
            let (scale, mut shift) = affine(norm, state.params, state.buffers);
            if let Some(own) = own_bias {
                shift.iter_mut().zip(own).zip(&scale).for_each(|((shift, own), scale)| *shift += own * scale);
            }
            (Filter::scaled(&conv_shape(window, groups), weights, &scale), Some(shift))
        }
        None => {
            let filter = match slot.take() {
                Some(mut p) => {
                    p.filter.refill(weights);
                    p.filter
                }
                None => Filter::new(&conv_shape(window, groups), weights),
            };
            (filter, own_bias.map(<[f32]>::to_vec))
        }
    };
    *slot = Some(Packed { version, filter, bias });
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

fn missing(step: &Step, what: &str) -> EngineError {
    EngineError::Shape { what: format!("{} has no {what}", step.name) }
}

impl CpuProgram {
    fn forward_step(
        &mut self,
        index: usize,
        step: &Step,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        let arena = &mut self.arena[..];
        let x = step.x[0].range(n);
        let y = step.y.range(n);
        match &step.kind {
            Kind::Conv { window, groups, activation, .. } => {
                pack(&mut self.packed[index], step, window, *groups, state)?;
                let Some(packed) = &self.packed[index] else { return Err(missing(step, "packed weights")) };
                let shape = conv_shape(window, *groups);
                let bias = packed.bias.as_deref();
                let act = act(*activation);
                if let Some(residual) = step.x.get(1) {
                    let [x, r, y] = cut(arena, [x, residual.range(n), y])?;
                    conv::forward(&shape, n, x, &packed.filter, &Epilogue { bias, residual: Some(r), act }, y);
                } else {
                    let [x, y] = cut(arena, [x, y])?;
                    conv::forward(&shape, n, x, &packed.filter, &Epilogue { bias, residual: None, act }, y);
                }
            }
            Kind::BatchNorm(norm) if step.trained => {
                let saved = step.saved.ok_or_else(|| missing(step, "room for its statistics"))?;
                let [x, y, saved] = cut(arena, [x, y, saved.range(n)])?;
                batch_norm_train(norm, step.shape, n, x, y, saved, state);
            }
            Kind::BatchNorm(norm) => {
                let (scale, shift) = affine(norm, state.params, state.buffers);
                let [x, y] = cut(arena, [x, y])?;
                norm::scale_shift(n * step.shape.pixels(), step.shape.c, x, &scale, &shift, y);
            }
            Kind::Activation(activation) => {
                if x != y {
                    let [x, y] = cut(arena, [x, y.clone()])?;
                    y.copy_from_slice(x);
                }
                match *activation {
                    Activation::Identity => {}
                    Activation::Relu => elementwise::relu_in_place(&mut arena[y]),
                    Activation::Clip { min, max } => elementwise::clip_in_place(&mut arena[y], min, max),
                }
            }
            Kind::Add => {
                let [a, b, y] = cut(arena, [x, step.x[1].range(n), y])?;
                elementwise::add(a, b, y);
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
                let [x, y, mask] = cut(arena, [x, y, saved.range(n)])?;
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

    fn backward_step(
        &mut self,
        back: &BackwardStep,
        step: &Step,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        accumulate: bool,
    ) -> Result<(), EngineError> {
        let arena = &mut self.arena[..];
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
            Kind::BatchNorm(norm) if step.trained => {
                let grads = state.grads.as_mut().ok_or_else(no_grads)?;
                let saved = step.saved.ok_or_else(|| missing(step, "statistics"))?.range(n);
                let scale = &state.params[norm.scale.clone()];
                let [dscale, dbias] = cut(grads, [norm.scale.clone(), norm.bias.clone()])?;
                let c = step.shape.c;
                // The first layer of a network has nobody to hand its gradient to.
                let mut unread = Vec::new();
                let (x, dy, saved, dx) = match dx {
                    Some(dx) => {
                        let [x, dy, saved, dx] = cut(arena, [x, dy, saved, dx])?;
                        (x, dy, saved, dx)
                    }
                    None => {
                        let [x, dy, saved] = cut(arena, [x, dy, saved])?;
                        unread.resize(x.len(), 0.0);
                        (x, dy, saved, &mut unread[..])
                    }
                };
                let (mean, inv_std) = saved.split_at(c);
                norm::batch_norm_backward(rows, c, x, dy, mean, inv_std, scale, dscale, dbias, dx, accumulate, add_x);
            }
            Kind::BatchNorm(norm) => {
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
                    // One term may use the sum's gradient as it lies.
                    let Some(dx) = dx.map(|r| r.range(n)).filter(|dx| *dx != dy) else { continue };
                    let [dy, dx] = cut(arena, [dy.clone(), dx])?;
                    if *add { elementwise::accumulate(dx, dy) } else { dx.copy_from_slice(dy) }
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

fn batch_norm_train(
    norm: &Norm,
    shape: Shape,
    n: usize,
    x: &[f32],
    y: &mut [f32],
    saved: &mut [f32],
    state: &mut State<'_, Vec<f32>>,
) {
    let rows = n * shape.pixels();
    let (mean, inv_std) = saved.split_at_mut(shape.c);
    let mut var = vec![0.0; shape.c];
    norm::batch_stats(rows, shape.c, x, mean, &mut var);
    // PyTorch keeps the unbiased variance and normalises with the biased one.
    let unbiased = rows as f32 / (rows.max(2) - 1) as f32;
    let m = norm.momentum;
    for (running, batch) in state.buffers[norm.mean.clone()].iter_mut().zip(&*mean) {
        *running = (1.0 - m) * *running + m * batch;
    }
    for (running, batch) in state.buffers[norm.var.clone()].iter_mut().zip(&var) {
        *running = (1.0 - m) * *running + m * batch * unbiased;
    }
    for (inverse, var) in inv_std.iter_mut().zip(&var) {
        *inverse = 1.0 / (var + norm.epsilon).sqrt();
    }
    let scale: Vec<f32> =
        state.params[norm.scale.clone()].iter().zip(&*inv_std).map(|(scale, inverse)| scale * inverse).collect();
    let bias = &state.params[norm.bias.clone()];
    let shift: Vec<f32> =
        bias.iter().zip(&*mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale).collect();
    norm::scale_shift(rows, shape.c, x, &scale, &shift, y);
}

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
        dx.copy_from_slice(dy);
        masked(y, dx);
    }
    Ok(())
}

impl Backend for Cpu {
    type Buffer = Vec<f32>;
    type Program = CpuProgram;

    fn allocate(&self, len: usize) -> Result<Vec<f32>, EngineError> {
        Ok(vec![0.0; len])
    }

    fn upload(&self, buffer: &mut Vec<f32>, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        let len = buffer.len();
        let place = buffer.get_mut(offset..offset + host.len()).ok_or_else(|| EngineError::Length {
            what: "an upload".to_owned(),
            got: offset + host.len(),
            want: len,
        })?;
        place.copy_from_slice(host);
        Ok(())
    }

    fn download(&self, buffer: &Vec<f32>, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        let place = buffer.get(offset..offset + host.len()).ok_or_else(|| EngineError::Length {
            what: "a download".to_owned(),
            got: offset + host.len(),
            want: buffer.len(),
        })?;
        host.copy_from_slice(place);
        Ok(())
    }

    fn compile(&self, schedule: &Schedule) -> Result<CpuProgram, EngineError> {
        let packed = schedule.steps.iter().map(|_| None).collect();
        Ok(CpuProgram { arena: vec![0.0; schedule.arena], packed })
    }

    fn feed(
        &self,
        program: &mut CpuProgram,
        (region, shape): (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError> {
        let y = &mut program.arena[region.range(n)];
        let Normalization { mean, std } = *normalization;
        if !matches!(input, Input::Values(_)) && shape.c != 3 {
            return Err(EngineError::Shape { what: format!("pixels are fed to a value of {} channels", shape.c) });
        }
        match input {
            Input::Gray(x) => {
                fits("gray pixels", x.len(), n * shape.pixels())?;
                pixels::normalise_gray(n, shape.pixels(), x, mean, std, y);
            }
            Input::Rgb(x) => {
                fits("RGB pixels", x.len(), n * shape.len())?;
                pixels::normalise_rgb(n, shape.pixels(), x, mean, std, y);
            }
            Input::Values(x) => {
                fits("values", x.len(), n * shape.len())?;
                pixels::nchw_to_nhwc(n, shape.c, shape.pixels(), x, y);
            }
        }
        Ok(())
    }

    fn forward(
        &self,
        program: &mut CpuProgram,
        schedule: &Schedule,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        for (i, step) in schedule.steps.iter().enumerate() {
            program.forward_step(i, step, state, n, key)?;
        }
        Ok(())
    }

    fn backward(
        &self,
        program: &mut CpuProgram,
        schedule: &Schedule,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        steps: &[BackwardStep],
        accumulate: bool,
    ) -> Result<(), EngineError> {
        for back in steps {
            program.backward_step(back, &schedule.steps[back.step], state, n, accumulate)?;
        }
        Ok(())
    }

    fn read(&self, program: &CpuProgram, (region, shape): (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError> {
        let mut host = vec![0.0; n * shape.len()];
        pixels::nhwc_to_nchw(n, shape.c, shape.pixels(), &program.arena[region.range(n)], &mut host);
        Ok(host)
    }

    fn adam(
        &self,
        update: &AdamUpdate,
        ranges: &[Range<usize>],
        params: &mut Vec<f32>,
        grads: &Vec<f32>,
        m: &mut Vec<f32>,
        v: &mut Vec<f32>,
    ) -> Result<(), EngineError> {
        let step = AdamStep {
            lr: update.lr,
            beta1: update.beta1,
            beta2: update.beta2,
            epsilon: update.epsilon,
            weight_decay: update.weight_decay,
            decoupled: update.decoupled,
            step: update.step,
        };
        let mut at = 0;
        for range in ranges {
            let moments = at..at + range.len();
            optim::adam(
                &step,
                &mut params[range.clone()],
                &grads[range.clone()],
                &mut m[moments.clone()],
                &mut v[moments],
            );
            at += range.len();
        }
        Ok(())
    }

    fn sum_of_squares(&self, buffer: &Vec<f32>, ranges: &[Range<usize>]) -> Result<f64, EngineError> {
        Ok(ranges.iter().map(|r| optim::sum_of_squares(&buffer[r.clone()])).sum())
    }

    fn scale(&self, buffer: &mut Vec<f32>, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        for range in ranges {
            optim::scale_in_place(&mut buffer[range.clone()], factor);
        }
        Ok(())
    }
}
