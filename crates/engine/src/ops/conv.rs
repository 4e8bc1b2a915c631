//! Convolution. A frozen one takes in the batch normalisation, addition and activation after it; a trained one leaves the
//! statistics of its result for the batch normalisation after it.

use std::ops::Range;

use lungfish_kernels::Bf16;
use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{self, ConvShape, Convolved, Epilogue, Filter};
use lungfish_kernels::norm::BatchStatistics;

use super::batch_norm::{Norm, affine};
use super::{Activation, Compiled, Fuse, Kind, Lowering, Op, Operator, Site, Sliding, Window};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, act, bytes, cut, cut_bytes, missing, no_f16, no_gradients};
use crate::graph::{ParamId, TensorSpec, ValueId};
use crate::init::Fresh;
use crate::layout::Layout;
use crate::roles::Role;
use crate::{Element, EngineError, GraphBuilder, Region, Shape, State};

/// 2-D convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// `[out, in / groups, kh, kw]`.
    pub weight: ParamId,
    /// `[out]`.
    pub bias: Option<ParamId>,
    /// What slides.
    pub window: Window,
    /// Blocks of channels that do not see each other; as many as channels is depthwise.
    pub groups: usize,
}

impl GraphBuilder {
    /// A convolution to `out` channels; parameters `{name}.weight` and, with `bias`, `{name}.bias`.
    pub fn conv(&mut self, name: &str, x: ValueId, out: usize, window: Window, groups: usize, bias: bool) -> ValueId {
        let inner = self.channels(x).checked_div(groups).unwrap_or(0);
        let weight = self.param(name, "weight", vec![out, inner, window.kernel[0], window.kernel[1]]);
        let bias = bias.then(|| self.param(name, "bias", vec![out]));
        self.node(name, Op::Conv(Conv { weight, bias, window, groups }), &[x], out)
    }
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn params(&self) -> Vec<ParamId> {
        [Some(self.weight), self.bias].into_iter().flatten().collect()
    }

    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        self.window.check()?;
        let (c, weight) = (site.inputs[0], &site.params[self.weight.0]);
        let out = weight.shape.first().copied().unwrap_or(0);
        let groups = self.groups;
        if groups == 0 || !c.is_multiple_of(groups) || !out.is_multiple_of(groups) {
            return Err(format!("{c} channels to {out} cannot be cut into {groups} groups"));
        }
        Site::expect(weight, &[out, c / groups, self.window.kernel[0], self.window.kernel[1]])?;
        if let Some(bias) = self.bias {
            Site::expect(&site.params[bias.0], &[out])?;
        }
        Ok(out)
    }

    fn shape(&self, name: &str, x: &[Shape], channels: usize) -> Result<Shape, EngineError> {
        self.window.slide(name, x[0], channels)
    }

    /// Normal with variance `2 / fan_out` (`kaiming_normal_`, `fan_out`, `relu`; He et al. 2015), where a depthwise
    /// convolution's fan-out counts its own group as TensorFlow has it.
    fn fresh<'a>(&self, layout: &'a Layout) -> Vec<(&'a TensorSpec, Fresh)> {
        let weight = &layout.param_specs[self.weight.0];
        let area: usize = weight.shape[2..].iter().product();
        let fan_out = weight.shape[0] / self.groups * area;
        let deviation = (2.0 / fan_out as f64).sqrt();
        let bias = self.bias.map(|bias| (&layout.param_specs[bias.0], Fresh::Constant(0.0)));
        [(weight, Fresh::Normal { deviation })].into_iter().chain(bias).collect()
    }

    fn fuses(&self, role: Role) -> Fuse {
        if role == Role::Prefix { Fuse::Inference } else { Fuse::Nothing }
    }

    fn lower(&self, at: &Lowering<'_>) -> Kind {
        Kind::Conv(ConvStep {
            window: self.window.sliding(at.x, at.y),
            groups: self.groups,
            weight: at.param(self.weight),
            bias: self.bias.map(|b| at.param(b)),
            fold: None,
            activation: Activation::Identity,
        })
    }
}

/// A convolution, with what is fused into it. `weight` and `bias` are ranges of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvStep {
    /// Geometry.
    pub window: Sliding,
    /// Groups.
    pub groups: usize,
    /// OIHW.
    pub weight: Range<usize>,
    /// One an output channel.
    pub bias: Option<Range<usize>>,
    /// A batch normalisation with its running statistics, folded in.
    pub fold: Option<Norm>,
    /// Applied last, after adding the second input where there is one.
    pub activation: Activation,
}

impl ConvStep {
    pub(super) fn take_in(&mut self, next: Kind) {
        match next {
            Kind::BatchNorm(norm) => self.fold = Some(norm.norm),
            Kind::Activation(activation) => self.activation = activation,
            _ => {}
        }
    }

    fn shape(&self) -> ConvShape {
        let Sliding { x, y, kernel, stride, pads } = self.window;
        ConvShape { h: x.h, w: x.w, c_in: x.c, c_out: y.c, kernel, stride, pads, groups: self.groups }
    }

    /// Whether the CPU can read gray films as one plane.
    pub(crate) fn reads_gray(&self) -> bool {
        gray::serves(&self.shape())
    }
}

impl Compiled for ConvStep {
    fn reads_again(&self, trained: bool, _terms: usize) -> (bool, bool) {
        (trained, false)
    }

    fn weights(&self) -> usize {
        self.weight.len()
    }

    fn gives_statistics(&self) -> bool {
        true
    }
}

/// A convolution's weights as the kernels want them, and the bias that goes with them.
pub(crate) struct Packed {
    /// Of its own part, and of the part of the batch-norm folded in.
    version: (u64, Option<u64>),
    filter: Filter,
    /// The same for gray films, where they are kept as one plane.
    gray: Option<gray::Filter>,
    bias: Option<Vec<f32>>,
}

impl ConvStep {
    /// Hands the kernels the weights anew where they have changed.
    fn pack(&self, part: usize, slot: &mut Option<Packed>, gray: Option<Gray>, state: &State<'_, Vec<f32>>) {
        let version = (state.versions[part], self.fold.as_ref().map(|f| state.versions[f.part]));
        if let Some(packed) = slot.as_mut().filter(|p| p.version == version) {
            if let Some(gray) = gray
                && packed.gray.is_none()
            {
                packed.gray = Some(gray::Filter::new(&packed.filter, &gray));
            }
            return;
        }
        let old = slot.take();
        let weights = &state.params[self.weight.clone()];
        let own_bias = self.bias.clone().map(|b| &state.params[b]);
        let (filter, plane, bias) = match (&self.fold, old) {
            (Some(norm), _) => {
                let (scale, mut shift) = affine(norm, state.params, state.buffers);
                if let Some(own) = own_bias {
                    shift.iter_mut().zip(own).zip(&scale).for_each(|((shift, own), scale)| *shift += own * scale);
                }
                (Filter::scaled(&self.shape(), weights, &scale), None, Some(shift))
            }
            (None, Some(mut old)) => {
                old.filter.refill(weights);
                (old.filter, old.gray, own_bias.map(<[f32]>::to_vec))
            }
            (None, None) => (Filter::new(&self.shape(), weights), None, own_bias.map(<[f32]>::to_vec)),
        };
        let gray = gray.map(|gray| match plane {
            Some(mut plane) => {
                plane.refill(&filter, &gray);
                plane
            }
            None => gray::Filter::new(&filter, &gray),
        });
        *slot = Some(Packed { version, filter, gray, bias });
    }
}

impl ConvStep {
    /// From values of one type to those of another, which differ for pixels only.
    fn forward_of<X: Convolved, Y: Convolved>(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, state, films, arena, packed, moments, gray, .. } = run;
        let (n, shape) = (films.len(), self.shape());
        self.pack(step.part, packed, gray, state);
        let Some(packed) = packed else { return Err(missing(step, "packed weights")) };
        // Planes of films lie without gaps.
        let plane = Region { film: self.window.x.pixels(), ..step.x[0] };
        let x = if gray.is_some() { plane } else { step.x[0] };
        let (bias, act) = (packed.bias.as_deref(), act(self.activation));
        let of_gray = packed.gray.as_ref().filter(|_| gray.is_some());
        let run = |x: &[X], residual: Option<&[Y]>, y: &mut [Y], moments: Option<&mut BatchStatistics>| {
            let epilogue = Epilogue { bias, residual, act };
            match (of_gray, moments) {
                (Some(filter), None) => gray::forward(n, bytemuck::cast_slice(x), filter, &epilogue, y),
                (Some(filter), Some(moments)) => {
                    gray::forward_with_statistics(n, bytemuck::cast_slice(x), filter, &epilogue, y, moments)
                }
                (None, moments) if X::HALF != Y::HALF => {
                    let x = bytemuck::cast_slice(x);
                    conv::forward_from_floats(&shape, n, x, &packed.filter, &epilogue, y, moments);
                }
                (None, None) => conv::forward(&shape, n, bytemuck::cast_slice(x), &packed.filter, &epilogue, y),
                (None, Some(moments)) => {
                    let x = bytemuck::cast_slice(x);
                    conv::forward_with_statistics(&shape, n, x, &packed.filter, &epilogue, y, moments);
                }
            }
        };
        let place = step.statistics.map_or(0..0, |place| place.films(films));
        // What there is not, or what lies where the input does, is cut as nothing.
        let own = step.x.get(1).filter(|residual| **residual != step.x[0]).map(|residual| residual.films(films));
        let residual = step.x.get(1).is_some();
        let (x, y) = (bytes::<X>(x.films(films)), bytes::<Y>(step.y.films(films)));
        let added = bytes::<Y>(own.clone().unwrap_or(0..0));
        let [x, added, y, statistics] = cut_bytes(arena, [x, added, y, bytes::<f32>(place)])?;
        let (x, y): (&[X], &mut [Y]) = (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y));
        let residual =
            residual.then(|| bytemuck::cast_slice(if own.is_some() { added } else { bytemuck::cast_slice(x) }));
        match step.statistics {
            None => run(x, residual, y, None),
            Some(_) => {
                run(x, residual, y, Some(&mut *moments));
                let (mean, var) = bytemuck::cast_slice_mut(statistics).split_at_mut(step.shape.c);
                moments.mean_and_variance(mean, var);
            }
        }
        Ok(())
    }

    fn backward_of<X: Convolved, Y: Convolved>(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let (shape, rows) = (self.shape(), run.n * run.step.shape.pixels());
        let BackwardRun { step, state, n, arena, packed, gray, x, dy, dx, add, accumulate, .. } = run;
        if step.trained {
            let grads = state.grads.as_mut().ok_or_else(no_gradients)?;
            let [x, dy] = cut_bytes(arena, [bytes::<X>(x), bytes::<Y>(dy.clone())])?;
            let (x, dy): (&[X], &[Y]) = (bytemuck::cast_slice(x), bytemuck::cast_slice(dy));
            let dw = &mut grads[self.weight.clone()];
            match gray {
                Some(gray) => {
                    let z = &bytemuck::cast_slice(x)[..n * self.window.x.pixels()];
                    gray::backward_weight(&shape, n, z, &gray, dy, dw, accumulate);
                }
                None if X::HALF != Y::HALF => {
                    conv::backward_weight_from_floats(&shape, n, bytemuck::cast_slice(x), dy, dw, accumulate);
                }
                None => conv::backward_weight(&shape, n, bytemuck::cast_slice(x), dy, dw, accumulate),
            }
            if let Some(bias) = &self.bias {
                conv::backward_bias(rows, step.shape.c, dy, &mut grads[bias.clone()], accumulate);
            }
        }
        if let Some(dx) = dx {
            let packed = packed.as_ref().ok_or_else(|| missing(step, "packed weights"))?;
            // Pixels have no gradient: where there is one the two are of one type.
            let [dy, dx] = cut::<Y, 2>(arena, [dy, dx])?;
            conv::backward_data(&shape, n, dy, &packed.filter, dx, add);
        }
        Ok(())
    }
}

impl OnCpu for ConvStep {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        match [run.step.x[0].element, run.step.y.element] {
            [Element::F32, Element::F32] => self.forward_of::<f32, f32>(run),
            [Element::F32, Element::Bf16] => self.forward_of::<f32, Bf16>(run),
            [Element::Bf16, Element::Bf16] => self.forward_of::<Bf16, Bf16>(run),
            [Element::Bf16, Element::F32] => Err(missing(run.step, "way from bfloat16 to single floats")),
            [Element::F16, _] | [_, Element::F16] => Err(no_f16()),
        }
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        match [run.step.x[0].element, run.step.y.element] {
            [Element::F32, Element::F32] => self.backward_of::<f32, f32>(run),
            [Element::F32, Element::Bf16] => self.backward_of::<f32, Bf16>(run),
            [Element::Bf16, Element::Bf16] => self.backward_of::<Bf16, Bf16>(run),
            [Element::Bf16, Element::F32] => Err(missing(run.step, "way from single floats to bfloat16")),
            [Element::F16, _] | [_, Element::F16] => Err(no_f16()),
        }
    }
}
