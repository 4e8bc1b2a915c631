//! Log-probabilities of classes of which one is right. Nothing is fused with it.

use lungfish_kernels::softmax;

use super::{Compiled, Kind, Lowering, Op, Operator, vectors};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, cut};
use crate::graph::ValueId;
use crate::{EngineError, GraphBuilder, Shape};

/// `x - ln(sum(exp(x)))` along the last axis.
pub(super) struct LogSoftmax;

impl GraphBuilder {
    /// Log-probabilities along the last axis.
    pub fn log_softmax(&mut self, name: &str, x: ValueId) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::LogSoftmax, &[x], c)
    }
}

impl Operator for LogSoftmax {
    fn name(&self) -> &'static str {
        "LogSoftmax"
    }

    fn shape(&self, name: &str, x: &[Shape], _channels: usize) -> Result<Shape, EngineError> {
        vectors(self, name, x[0])?;
        Ok(x[0])
    }

    fn lower(&self, at: &Lowering<'_>) -> Kind {
        Kind::LogSoftmax(LogSoftmaxStep { classes: at.x.c })
    }
}

/// Log-probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSoftmaxStep {
    /// Classes.
    pub classes: usize,
}

impl Compiled for LogSoftmaxStep {
    fn reads_again(&self, _trained: bool, _terms: usize) -> (bool, bool) {
        (false, true)
    }
}

impl OnCpu for LogSoftmaxStep {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, films, arena, .. } = run;
        let [x, y] = cut(arena, [step.x[0].films(films), step.y.films(films)])?;
        softmax::log_softmax(films.len(), self.classes, x, y);
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, n, arena, dy, dx, add, .. } = run;
        if let Some(dx) = dx {
            let [y, dy, dx] = cut(arena, [step.y.range(n), dy, dx])?;
            softmax::log_softmax_backward(n, self.classes, y, dy, dx, add);
        }
        Ok(())
    }
}
