//! ReLU and clipping. Fused into what is before them where it can take them in, else in place where nobody else needs what
//! they read.

use std::ops::Range;

use lungfish_kernels::{Stored, elementwise};

use super::{Compiled, Kind, Lowering, Op, Operator, Site, Stage};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, cut, of_element};
use crate::graph::ValueId;
use crate::{EngineError, GraphBuilder};

/// `max(x, 0)`.
pub(super) struct Relu;

/// `min(max(x, min), max)`; ReLU6 is 0 to 6.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Lower bound.
    pub min: f32,
    /// Upper bound.
    pub max: f32,
}

impl GraphBuilder {
    /// `max(x, 0)`.
    pub fn relu(&mut self, name: &str, x: ValueId) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::Relu, &[x], c)
    }

    /// `min(max(x, 0), 6)`, as ONNX writes it.
    pub fn relu6(&mut self, name: &str, x: ValueId) -> ValueId {
        self.clip(name, x, 0.0, 6.0)
    }

    /// `min(max(x, min), max)`.
    pub fn clip(&mut self, name: &str, x: ValueId, min: f32, max: f32) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::Clip(Clip { min, max }), &[x], c)
    }
}

impl Operator for Relu {
    fn name(&self) -> &'static str {
        "Relu"
    }

    fn stage(&self) -> Option<Stage> {
        Some(Stage::Activate)
    }

    fn lower(&self, _at: &Lowering<'_>) -> Kind {
        Kind::Activation(Activation::Relu)
    }
}

impl Operator for Clip {
    fn name(&self) -> &'static str {
        "Clip"
    }

    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        let Clip { min, max } = *self;
        if min <= max { Ok(site.inputs[0]) } else { Err(format!("nothing lies between {min} and {max}")) }
    }

    fn stage(&self) -> Option<Stage> {
        Some(Stage::Activate)
    }

    fn lower(&self, _at: &Lowering<'_>) -> Kind {
        Kind::Activation(Activation::Clip { min: self.min, max: self.max })
    }
}

/// What is done to a value last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
}

impl Compiled for Activation {
    /// The gradient passes where the output lies within the bounds.
    fn reads_again(&self, _trained: bool, _terms: usize) -> (bool, bool) {
        (false, true)
    }

    fn works_in_place(&self) -> bool {
        true
    }
}

impl Activation {
    fn masked<T: Stored>(self, y: &[T], dy: &mut [T]) {
        match self {
            Activation::Identity => {}
            Activation::Relu => elementwise::relu_backward_in_place(y, dy),
            Activation::Clip { min, max } => elementwise::clip_backward_in_place(y, dy, min, max),
        }
    }

    fn backward_to<T: Stored>(
        self,
        arena: &mut [f32],
        y: Range<usize>,
        dy: Range<usize>,
        dx: Range<usize>,
        add: bool,
    ) -> Result<(), EngineError> {
        if dx == dy {
            let [y, dy] = cut::<T, 2>(arena, [y, dy])?;
            self.masked(y, dy);
            return Ok(());
        }
        let [y, dy, dx] = cut::<T, 3>(arena, [y, dy, dx])?;
        if add {
            let mut own = dy.to_vec();
            self.masked(y, &mut own);
            elementwise::accumulate(dx, &own);
        } else {
            elementwise::copy(dx, dy);
            self.masked(y, dx);
        }
        Ok(())
    }
}

impl OnCpu for Activation {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, films, arena, .. } = run;
        let (x, y) = (step.x[0].films(films), step.y.films(films));
        of_element!(step.y.element, T => {
            if x != y {
                let [x, y] = cut::<T, 2>(arena, [x, y.clone()])?;
                elementwise::copy(y, x);
            }
            let [y] = cut::<T, 1>(arena, [y])?;
            match *self {
                Activation::Identity => {}
                Activation::Relu => elementwise::relu_in_place(y),
                Activation::Clip { min, max } => elementwise::clip_in_place(y, min, max),
            }
        });
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, n, arena, dy, dx, add, .. } = run;
        match dx {
            Some(dx) => {
                of_element!(step.y.element, T => self.backward_to::<T>(arena, step.y.range(n), dy, dx, add))
            }
            None => Ok(()),
        }
    }
}
