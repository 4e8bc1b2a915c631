//! Batch normalisation (Ioffe & Szegedy, arXiv 1502.03167). A trained one uses the batch's statistics and takes in the
//! addition and activation after it; any other uses the running ones.

use std::ops::Range;

use lungfish_kernels::norm::{self, BatchNorm, BatchNormGradients, Normalised, Place};

use super::{Activation, Compiled, Fuse, Kind, Lowering, Op, Operator, Site, Stage};

use crate::cpu::{BackwardRun, ForwardRun, OnCpu, act, bytes, cut, cut_bytes, missing, no_gradients, of_element};
use crate::graph::{BufferId, ParamId, TensorSpec, ValueId};
use crate::init::Fresh;
use crate::layout::Layout;
use crate::roles::Role;
use crate::{EngineError, GraphBuilder, Shape};

/// `scale * (x - mean) / sqrt(var + epsilon) + bias`, a channel at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormalization {
    /// `[C]`.
    pub scale: ParamId,
    /// `[C]`.
    pub bias: ParamId,
    /// Running mean `[C]`.
    pub mean: BufferId,
    /// Running variance `[C]`, unbiased.
    pub var: BufferId,
    /// Added to the variance.
    pub epsilon: f32,
    /// PyTorch's: `running = (1 - momentum) * running + momentum * batch`.
    pub momentum: f32,
}

impl GraphBuilder {
    /// Batch normalisation; `{name}.weight`, `.bias`, `.running_mean`, `.running_var`.
    pub fn batch_norm(&mut self, name: &str, x: ValueId, epsilon: f32, momentum: f32) -> ValueId {
        let c = self.channels(x);
        let scale = self.param(name, "weight", vec![c]);
        let bias = self.param(name, "bias", vec![c]);
        let mean = self.buffer(name, "running_mean", vec![c]);
        let var = self.buffer(name, "running_var", vec![c]);
        let op = BatchNormalization { scale, bias, mean, var, epsilon, momentum };
        self.node(name, Op::BatchNormalization(op), &[x], c)
    }
}

impl Operator for BatchNormalization {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn params(&self) -> Vec<ParamId> {
        vec![self.scale, self.bias]
    }

    fn buffers(&self) -> Vec<BufferId> {
        vec![self.mean, self.var]
    }

    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        let c = site.inputs[0];
        let specs = [&site.params[self.scale.0], &site.params[self.bias.0]];
        for spec in specs.into_iter().chain([&site.buffers[self.mean.0], &site.buffers[self.var.0]]) {
            Site::expect(spec, &[c])?;
        }
        let (epsilon, momentum) = (self.epsilon, self.momentum);
        if !(epsilon.is_finite() && epsilon >= 0.0) {
            return Err(format!("an epsilon of {epsilon} is no number of 0 or more"));
        }
        if !(0.0..=1.0).contains(&momentum) {
            return Err(format!("a momentum of {momentum} is no number from 0 to 1"));
        }
        Ok(c)
    }

    /// Scale 1, bias 0, running mean 0 and variance 1.
    fn fresh<'a>(&self, layout: &'a Layout) -> Vec<(&'a TensorSpec, Fresh)> {
        vec![
            (&layout.param_specs[self.scale.0], Fresh::Constant(1.0)),
            (&layout.param_specs[self.bias.0], Fresh::Constant(0.0)),
            (&layout.buffer_specs[self.mean.0], Fresh::Constant(0.0)),
            (&layout.buffer_specs[self.var.0], Fresh::Constant(1.0)),
        ]
    }

    fn fuses(&self, role: Role) -> Fuse {
        if role == Role::Train { Fuse::Training } else { Fuse::Nothing }
    }

    fn stage(&self) -> Option<Stage> {
        Some(Stage::Normalise)
    }

    fn lower(&self, at: &Lowering<'_>) -> Kind {
        let norm = Norm {
            scale: at.param(self.scale),
            bias: at.param(self.bias),
            mean: at.buffer(self.mean),
            var: at.buffer(self.var),
            epsilon: self.epsilon,
            momentum: self.momentum,
            part: at.node.part.0,
        };
        Kind::BatchNorm(BatchNormStep { norm, activation: Activation::Identity })
    }
}

/// Where a batch normalisation keeps its tensors: ranges of the parameters (`scale`, `bias`) and
/// of the buffers (`mean`, `var`).
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Parameters.
    pub scale: Range<usize>,
    /// Parameters.
    pub bias: Range<usize>,
    /// Buffers.
    pub mean: Range<usize>,
    /// Buffers.
    pub var: Range<usize>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Weight of the batch's statistics in the running ones.
    pub momentum: f32,
    /// Index of its part, for the version of its tensors.
    pub part: usize,
}

/// A batch normalisation, with what is fused into it.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormStep {
    /// Its tensors.
    pub norm: Norm,
    /// Applied last, after adding the second input where there is one.
    pub activation: Activation,
}

impl BatchNormStep {
    pub(super) fn take_in(&mut self, next: Kind) {
        if let Kind::Activation(activation) = next {
            self.activation = activation;
        }
    }
}

impl Compiled for BatchNormStep {
    /// Mean and inverse deviation.
    fn saves(&self, trained: bool, y: Shape) -> (usize, usize) {
        (0, if trained { 2 * y.c } else { 0 })
    }

    /// Without a second input the first tells what the activation let through.
    fn reads_again(&self, trained: bool, terms: usize) -> (bool, bool) {
        (trained, trained && terms > 1 && self.activation != Activation::Identity)
    }

    fn gradient_in_place(&self, trained: bool) -> bool {
        trained
    }

    fn wants_statistics(&self, trained: bool) -> bool {
        trained
    }
}

/// `scale` and `shift` of a batch normalisation that uses running statistics.
pub(super) fn affine(norm: &Norm, params: &[f32], buffers: &[f32]) -> (Vec<f32>, Vec<f32>) {
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

impl BatchNormStep {
    /// As the kernels call one with the statistics of a batch.
    fn kernel<'a>(&self, mean: &'a [f32], inv_std: &'a [f32], params: &'a [f32]) -> BatchNorm<'a> {
        let (scale, bias) = (&params[self.norm.scale.clone()], &params[self.norm.bias.clone()]);
        BatchNorm { mean, inv_std, scale, bias, act: act(self.activation) }
    }

    fn forward_trained<T: Normalised>(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, state, films, arena, moments, .. } = run;
        let (norm, c, rows) = (&self.norm, step.shape.c, films.len() * step.shape.pixels());
        let saved = step.saved.ok_or_else(|| missing(step, "room for its statistics"))?.films(films);
        let residual = step.x.get(1).map(|r| r.films(films));
        // What is not there is cut as nothing.
        let ranges = [step.x[0].films(films), residual.clone().unwrap_or(0..0), step.y.films(films)].map(bytes::<T>);
        let [x, added, y] = ranges;
        let [x, added, y, saved] = cut_bytes(arena, [x, added, y, bytes::<f32>(saved)])?;
        let [x, added]: [&[T]; 2] = [bytemuck::cast_slice(x), bytemuck::cast_slice(added)];
        let (y, saved): (&mut [T], &mut [f32]) = (bytemuck::cast_slice_mut(y), bytemuck::cast_slice_mut(saved));
        // Mean and variance, and in the end mean and inverse deviation.
        let (mean, var) = saved.split_at_mut(c);
        if step.statistics.is_none() {
            moments.read(rows, c, x);
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
        let (scale, shift) = self.kernel(mean, inv_std, state.params).scale_shift();
        norm::scale_shift(rows, c, x, &scale, &shift, residual.map(|_| added), act(self.activation), y);
        Ok(())
    }

    fn backward_trained<T: Normalised>(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, state, n, arena, x, dy, dx, add, accumulate, back, .. } = run;
        let grads = state.grads.as_mut().ok_or_else(no_gradients)?;
        let saved = step.saved.ok_or_else(|| missing(step, "statistics"))?.range(n);
        let [dscale, dbias] = cut(grads, [self.norm.scale.clone(), self.norm.bias.clone()])?;
        let y = (step.x.len() > 1 && self.activation != Activation::Identity).then(|| step.y.range(n));
        let places = [dx, step.dx.get(1).copied().flatten().map(|r| r.range(n))];
        // What has no place of its own is cut as nothing.
        let own = |place: &Option<Range<usize>>| place.clone().filter(|range| *range != dy).unwrap_or(0..0);
        let [x, result] = [x, y.clone().unwrap_or(0..0)].map(bytes::<T>);
        let [dx, residual, dy_values] = [own(&places[0]), own(&places[1]), dy.clone()].map(bytes::<T>);
        let ranges = [x, result, bytes::<f32>(saved), dx, residual, dy_values];
        let [x, result, saved, dx, residual, dy_values] = cut_bytes(arena, ranges)?;
        let [x, result]: [&[T]; 2] = [bytemuck::cast_slice(x), bytemuck::cast_slice(result)];
        let [dx, residual, dy_values]: [&mut [T]; 3] = [dx, residual, dy_values].map(bytemuck::cast_slice_mut);
        let saved: &[f32] = bytemuck::cast_slice(saved);
        let (mean, inv_std) = saved.split_at(step.shape.c);
        let [to_x, to_residual] = &places;
        let gradients = BatchNormGradients {
            scale: dscale,
            bias: dbias,
            accumulate,
            x: kernel_place(to_x, &dy, dx, add),
            residual: kernel_place(to_residual, &dy, residual, back.accumulate.get(1) == Some(&true)),
        };
        let kernel = self.kernel(mean, inv_std, state.params);
        norm::batch_norm_backward(n * step.shape.pixels(), x, y.map(|_| result), &kernel, dy_values, gradients);
        Ok(())
    }
}

/// Where the kernel finds the place of a gradient.
fn kernel_place<'a, T>(
    place: &Option<Range<usize>>,
    dy: &Range<usize>,
    values: &'a mut [T],
    accumulate: bool,
) -> Place<'a, T> {
    match place {
        None => Place::Nowhere,
        Some(place) if place == dy => Place::Over,
        Some(_) if accumulate => Place::Add(values),
        Some(_) => Place::Write(values),
    }
}

impl OnCpu for BatchNormStep {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        if run.step.trained {
            return of_element!(run.step.y.element, T => self.forward_trained::<T>(run));
        }
        let ForwardRun { step, state, films, arena, .. } = run;
        let (scale, shift) = affine(&self.norm, state.params, state.buffers);
        let rows = films.len() * step.shape.pixels();
        of_element!(step.y.element, T => {
            let [x, y] = cut::<T, 2>(arena, [step.x[0].films(films), step.y.films(films)])?;
            norm::scale_shift(rows, step.shape.c, x, &scale, &shift, None, act(self.activation), y);
        });
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        if run.step.trained {
            return of_element!(run.step.y.element, T => self.backward_trained::<T>(run));
        }
        let BackwardRun { step, state, n, arena, dy, dx, add, .. } = run;
        if let Some(dx) = dx {
            let (scale, _) = affine(&self.norm, state.params, state.buffers);
            of_element!(step.y.element, T => {
                let [dy, dx] = cut::<T, 2>(arena, [dy, dx])?;
                norm::scale_backward(n * step.shape.pixels(), step.shape.c, dy, &scale, dx, add);
            });
        }
        Ok(())
    }
}
