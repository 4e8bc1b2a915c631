//! The mean over all pixels of a film, a channel at a time. Nothing is fused with it.

use lungfish_kernels::pool;

use super::{Compiled, Kind, Lowering, Op, Operator};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, bytes, cut_bytes, of_element};
use crate::graph::ValueId;
use crate::{EngineError, GraphBuilder, Shape};

/// Mean over height and width.
pub(super) struct GlobalAveragePool;

impl GraphBuilder {
    /// Mean over height and width, `[N, C]`.
    pub fn global_average_pool(&mut self, name: &str, x: ValueId) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::GlobalAveragePool, &[x], c)
    }
}

impl Operator for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "GlobalAveragePool"
    }

    fn shape(&self, _name: &str, _x: &[Shape], channels: usize) -> Result<Shape, EngineError> {
        Ok(Shape { c: channels, h: 1, w: 1 })
    }

    fn lower(&self, at: &Lowering<'_>) -> Kind {
        Kind::AveragePool(at.x)
    }
}

impl Compiled for Shape {}

impl OnCpu for Shape {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, films, arena, .. } = run;
        of_element!(step.x[0].element, T => {
            let places = [bytes::<T>(step.x[0].films(films)), bytes::<f32>(step.y.films(films))];
            let [x, y] = cut_bytes(arena, places)?;
            let (x, y): (&[T], &mut [f32]) = (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y));
            pool::average_pool(films.len(), self.pixels(), self.c, x, y);
        });
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, n, arena, dy, dx, add, .. } = run;
        if let Some(dx) = dx {
            of_element!(step.x[0].element, T => {
                let [dy, dx] = cut_bytes(arena, [bytes::<f32>(dy), bytes::<T>(dx)])?;
                let (dy, dx): (&[f32], &mut [T]) = (bytemuck::cast_slice(dy), bytemuck::cast_slice_mut(dx));
                pool::average_pool_backward(n, self.pixels(), self.c, dy, dx, add);
            });
        }
        Ok(())
    }
}
