//! What a step of an operator gets to run on the CPU; the steps themselves stand with their operators, in `ops`.

use std::ops::Range;

use lungfish_kernels::conv::Act;
use lungfish_kernels::conv::gray::Gray;
use lungfish_kernels::norm::BatchStatistics;

use crate::ops::{Activation, Packed};
use crate::schedule::{BackwardStep, Step};
use crate::{EngineError, State};

/// A step forward.
pub(crate) struct ForwardRun<'a, 's> {
    pub step: &'a Step,
    pub state: &'a mut State<'s, Vec<f32>>,
    /// Those of the batch that go through now.
    pub films: &'a Range<usize>,
    /// Of the pass's random numbers.
    pub key: [u64; 4],
    pub arena: &'a mut [f32],
    /// The step's own.
    pub packed: &'a mut Option<Packed>,
    pub moments: &'a mut BatchStatistics,
    /// What the channels are of its input, where that is gray films kept as one plane.
    pub gray: Option<Gray>,
}

/// A step backward.
pub(crate) struct BackwardRun<'a, 's> {
    pub step: &'a Step,
    pub back: &'a BackwardStep,
    pub state: &'a mut State<'s, Vec<f32>>,
    /// Films of the batch.
    pub n: usize,
    pub arena: &'a mut [f32],
    /// The step's own.
    pub packed: &'a Option<Packed>,
    /// What the channels are of its input, where that is gray films kept as one plane.
    pub gray: Option<Gray>,
    /// The first value read.
    pub x: Range<usize>,
    /// Gradient of the value written.
    pub dy: Range<usize>,
    /// Gradient of the first value read, where wanted.
    pub dx: Option<Range<usize>>,
    /// Whether that is added to.
    pub add: bool,
    /// Whether gradients of parameters are added to.
    pub accumulate: bool,
}

/// A step on the CPU.
pub(crate) trait OnCpu {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError>;
    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError>;
}

/// Disjoint pieces of the arena. They are disjoint by the memory plan; were they not, this is an
/// error and never a wrong result.
pub(crate) fn cut<const N: usize>(
    arena: &mut [f32],
    ranges: [Range<usize>; N],
) -> Result<[&mut [f32]; N], EngineError> {
    arena.get_disjoint_mut(ranges).map_err(|e| device(format!("the memory plan is not sound: {e}")))
}

/// An activation as the kernels call it.
pub(crate) fn act(activation: Activation) -> Act {
    match activation {
        Activation::Identity => Act::None,
        Activation::Relu => Act::Relu,
        Activation::Clip { min, max } => Act::Clip { min, max },
    }
}

pub(crate) fn missing(step: &Step, what: &str) -> EngineError {
    device(format!("{} has no {what}", step.name))
}

pub(crate) fn no_gradients() -> EngineError {
    EngineError::NotKept { what: "a parameter's gradient".to_owned() }
}

pub(super) fn device(what: String) -> EngineError {
    EngineError::Device { backend: "cpu".to_owned(), what }
}
