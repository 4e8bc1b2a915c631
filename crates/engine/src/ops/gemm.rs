//! A linear layer, ONNX's Gemm with the weights transposed. Nothing is fused with it.

use std::ops::Range;

use lungfish_kernels::linear;

use super::{Compiled, Kind, Lowering, Op, Operator, Site, vectors};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, cut, no_gradients};
use crate::graph::{ParamId, TensorSpec, ValueId};
use crate::init::Fresh;
use crate::layout::Layout;
use crate::{EngineError, GraphBuilder, Shape};

/// `x * weight^T + bias`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// `[out, in]`.
    pub weight: ParamId,
    /// `[out]`.
    pub bias: ParamId,
}

impl GraphBuilder {
    /// A linear layer to `out` features; `{name}.weight` `[out, in]` and `{name}.bias`.
    pub fn gemm(&mut self, name: &str, x: ValueId, out: usize) -> ValueId {
        let weight = self.param(name, "weight", vec![out, self.channels(x)]);
        let bias = self.param(name, "bias", vec![out]);
        self.node(name, Op::Gemm(Gemm { weight, bias }), &[x], out)
    }
}

impl Operator for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn params(&self) -> Vec<ParamId> {
        vec![self.weight, self.bias]
    }

    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        let (weight, bias) = (&site.params[self.weight.0], &site.params[self.bias.0]);
        let out = weight.shape.first().copied().unwrap_or(0);
        Site::expect(weight, &[out, site.inputs[0]])?;
        Site::expect(bias, &[out])?;
        Ok(out)
    }

    fn shape(&self, name: &str, x: &[Shape], channels: usize) -> Result<Shape, EngineError> {
        vectors(self, name, x[0])?;
        Ok(Shape { c: channels, ..x[0] })
    }

    /// Uniform within `1 / sqrt(inputs)`, the bias too.
    fn fresh<'a>(&self, layout: &'a Layout) -> Vec<(&'a TensorSpec, Fresh)> {
        let [weight, bias] = [self.weight, self.bias].map(|id| &layout.param_specs[id.0]);
        let bound = 1.0 / (weight.shape[1] as f64).sqrt();
        vec![(weight, Fresh::Uniform { bound }), (bias, Fresh::Uniform { bound })]
    }

    fn lower(&self, at: &Lowering<'_>) -> Kind {
        let (weight, bias) = (at.param(self.weight), at.param(self.bias));
        Kind::Gemm(GemmStep { inputs: at.x.c, outputs: at.y.c, weight, bias })
    }
}

/// A linear layer. `weight` and `bias` are ranges of the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GemmStep {
    /// Features read.
    pub inputs: usize,
    /// Features written.
    pub outputs: usize,
    /// `[outputs, inputs]`.
    pub weight: Range<usize>,
    /// `[outputs]`.
    pub bias: Range<usize>,
}

impl Compiled for GemmStep {
    fn reads_again(&self, trained: bool, _terms: usize) -> (bool, bool) {
        (trained, false)
    }

    fn weights(&self) -> usize {
        self.weight.len()
    }
}

impl OnCpu for GemmStep {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, state, films, arena, .. } = run;
        let [x, y] = cut(arena, [step.x[0].films(films), step.y.films(films)])?;
        let (weight, bias) = (&state.params[self.weight.clone()], &state.params[self.bias.clone()]);
        linear::forward(films.len(), self.inputs, self.outputs, x, weight, bias, y);
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, state, n, arena, x, dy, dx, add, accumulate, .. } = run;
        if step.trained {
            let grads = state.grads.as_mut().ok_or_else(no_gradients)?;
            let [dw, db] = cut(grads, [self.weight.clone(), self.bias.clone()])?;
            let [x, dy] = cut(arena, [x, dy.clone()])?;
            linear::backward_weight(n, self.inputs, self.outputs, x, dy, dw, db, accumulate);
        }
        if let Some(dx) = dx {
            let [dy, dx] = cut(arena, [dy, dx])?;
            linear::backward_data(n, self.inputs, self.outputs, dy, &state.params[self.weight.clone()], dx, add);
        }
        Ok(())
    }
}
