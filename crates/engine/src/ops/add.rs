//! The sum of two values, of a residual block for instance. Fused into the convolution or batch normalisation before it
//! where that can take it in; one of its gradients needs no place of its own.

use lungfish_kernels::elementwise;

use super::{Compiled, Kind, Lowering, Op, Operator, Site, Stage};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, cut, of_element};
use crate::graph::ValueId;
use crate::{EngineError, GraphBuilder, Shape};

/// Elementwise sum of two values; the step is the same.
pub(super) struct Add;

impl GraphBuilder {
    /// `a + b`, of equal shapes.
    pub fn add(&mut self, name: &str, a: ValueId, b: ValueId) -> ValueId {
        let c = self.channels(a);
        self.node(name, Op::Add, &[a, b], c)
    }
}

impl Operator for Add {
    fn name(&self) -> &'static str {
        "Add"
    }

    fn inputs(&self) -> usize {
        2
    }

    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        let [a, b] = [site.inputs[0], site.inputs[1]];
        if a == b { Ok(a) } else { Err(format!("{b} channels cannot be added to {a}")) }
    }

    fn shape(&self, name: &str, x: &[Shape], _channels: usize) -> Result<Shape, EngineError> {
        let (x, other) = (x[0], x[1]);
        if x == other {
            return Ok(x);
        }
        Err(EngineError::Shape { what: format!("{name}: cannot add {other:?} to {x:?}") })
    }

    fn stage(&self) -> Option<Stage> {
        Some(Stage::Add)
    }

    fn lower(&self, _at: &Lowering<'_>) -> Kind {
        Kind::Add
    }
}

impl Compiled for Add {
    /// The gradient of a sum is the gradient of its terms: one of them uses it as it lies.
    fn gradient_in_place(&self, _trained: bool) -> bool {
        true
    }
}

impl OnCpu for Add {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, films, arena, .. } = run;
        let [x, other, y] = [step.x[0], step.x[1], step.y].map(|region| region.films(films));
        of_element!(step.y.element, T => {
            if other == x {
                let [x, y] = cut::<T, 2>(arena, [x, y])?;
                elementwise::add(x, x, y);
            } else {
                let [a, b, y] = cut::<T, 3>(arena, [x, other, y])?;
                elementwise::add(a, b, y);
            }
        });
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, n, arena, dy, back, .. } = run;
        for (dx, add) in step.dx.iter().zip(&back.accumulate) {
            let Some(dx) = dx.map(|dx| dx.range(n)).filter(|dx| *dx != dy) else { continue };
            of_element!(step.y.element, T => {
                let [dy, dx] = cut::<T, 2>(arena, [dy.clone(), dx])?;
                if *add { elementwise::accumulate(dx, dy) } else { elementwise::copy(dx, dy) }
            });
        }
        Ok(())
    }
}
