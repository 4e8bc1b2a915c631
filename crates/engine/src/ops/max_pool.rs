//! Max-pooling. Its gradient goes to the first largest value of each window, as in PyTorch. Nothing is fused with it.

use lungfish_kernels::pool::{self, PoolShape};

use super::{Compiled, Kind, Lowering, Op, Operator, Padding, Site, Sliding, Window};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, cut, of_element};
use crate::graph::ValueId;
use crate::{EngineError, GraphBuilder, Shape};

/// Largest value in each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// What slides.
    pub window: Window,
}

impl GraphBuilder {
    /// Max-pooling.
    pub fn max_pool(&mut self, name: &str, x: ValueId, window: Window) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::MaxPool(MaxPool { window }), &[x], c)
    }
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        self.window.check()?;
        let [kh, kw] = self.window.kernel;
        if let Padding::Explicit(pads) = self.window.padding
            && pads.iter().zip([kh, kw, kh, kw]).any(|(pad, side)| *pad >= side)
        {
            return Err(format!("a window of {kh} by {kw} would see nothing but the padding {pads:?}"));
        }
        Ok(site.inputs[0])
    }

    fn shape(&self, name: &str, x: &[Shape], channels: usize) -> Result<Shape, EngineError> {
        self.window.slide(name, x[0], channels)
    }

    fn lower(&self, at: &Lowering<'_>) -> Kind {
        Kind::MaxPool(self.window.sliding(at.x, at.y))
    }
}

impl Compiled for Sliding {
    fn reads_again(&self, _trained: bool, _terms: usize) -> (bool, bool) {
        (true, true)
    }
}

fn kernel(window: &Sliding) -> PoolShape {
    let Sliding { x, kernel, stride, pads, .. } = *window;
    PoolShape { h: x.h, w: x.w, c: x.c, kernel, stride, pads }
}

impl OnCpu for Sliding {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, films, arena, .. } = run;
        of_element!(step.y.element, T => {
            let [x, y] = cut::<T, 2>(arena, [step.x[0].films(films), step.y.films(films)])?;
            pool::max_pool(&kernel(self), films.len(), x, y);
        });
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, n, arena, x, dy, dx, add, .. } = run;
        if let Some(dx) = dx {
            of_element!(step.y.element, T => {
                let [x, y, dy, dx] = cut::<T, 4>(arena, [x, step.y.range(n), dy, dx])?;
                pool::max_pool_backward(&kernel(self), n, x, y, dy, dx, add);
            });
        }
        Ok(())
    }
}
