//! What a step of an operator gets to run on the CPU; the steps themselves stand with their operators, in `ops`.

use std::ops::Range;

use lungfish_kernels::Stored;
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

/// Runs `$run` with `$T` the type of an element, in a function that gives a `Result`.
macro_rules! of_element {
    ($element:expr, $T:ident => $run:expr) => {
        match $element {
            $crate::Element::F32 => {
                type $T = f32;
                $run
            }
            $crate::Element::Bf16 => {
                type $T = lungfish_kernels::Bf16;
                $run
            }
            $crate::Element::F16 => return Err($crate::cpu::no_f16()),
        }
    };
}
pub(crate) use of_element;

/// A step on the CPU.
pub(crate) trait OnCpu {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError>;
    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError>;
}

/// Disjoint pieces of the arena (or of floats), in elements of their type. They are disjoint by the memory plan; were they
/// not, this is an error and never a wrong result.
pub(crate) fn cut<T: Stored, const N: usize>(
    arena: &mut [f32],
    ranges: [Range<usize>; N],
) -> Result<[&mut [T]; N], EngineError> {
    let arena: &mut [T] = bytemuck::cast_slice_mut(arena);
    arena.get_disjoint_mut(ranges).map_err(unsound)
}

/// As [`cut`], of pieces that are of several types: ranges of [`bytes`], to be cast.
pub(crate) fn cut_bytes<const N: usize>(
    arena: &mut [f32],
    ranges: [Range<usize>; N],
) -> Result<[&mut [u8]; N], EngineError> {
    let arena: &mut [u8] = bytemuck::cast_slice_mut(arena);
    arena.get_disjoint_mut(ranges).map_err(unsound)
}

/// A range of elements as one of bytes.
pub(crate) fn bytes<T>(range: Range<usize>) -> Range<usize> {
    range.start * size_of::<T>()..range.end * size_of::<T>()
}

fn unsound(what: impl std::fmt::Display) -> EngineError {
    device(format!("the memory plan is not sound: {what}"))
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

/// What is said of half-precision floats, for which there are no kernels here.
pub(crate) fn no_f16() -> EngineError {
    device("computes in fp32 and bf16; f16 is for GPUs".to_owned())
}

pub(crate) fn no_gradients() -> EngineError {
    EngineError::NotKept { what: "a parameter's gradient".to_owned() }
}

pub(super) fn device(what: String) -> EngineError {
    EngineError::Device { backend: "cpu".to_owned(), what }
}
