//! What a device must do for the engine: hold buffers that nobody else looks into, and run steps, so that a GPU library
//! fits behind it as well as our own kernels.

use std::ops::Range;

use crate::schedule::{BackwardStep, Schedule};
use crate::{Element, EngineError, Region, Shape};

/// Pixels or values for one forward pass.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// `[n, H, W]`, one channel, repeated to three at the network's door.
    Gray(&'a [u8]),
    /// `[n, H, W, 3]`.
    Rgb(&'a [u8]),
    /// `[n, C, H, W]` or `[n, F]`, taken as they are.
    Values(&'a [f32]),
}

/// `(x / 255 - mean) / std`, a channel at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Of red, green, blue, on 0 to 1.
    pub mean: [f32; 3],
    /// Of red, green, blue, on 0 to 1.
    pub std: [f32; 3],
}

/// The buffers of a [`Store`](crate::Store), lent to a pass.
#[derive(Debug)]
pub struct State<'a, Buffer> {
    /// Learned tensors.
    pub params: &'a mut Buffer,
    /// Their gradients; `None` until a backward pass wants them.
    pub grads: Option<&'a mut Buffer>,
    /// Running statistics.
    pub buffers: &'a mut Buffer,
    /// By part: changes whenever one of its tensors does, and no two stores ever have the same one.
    /// Packed copies are kept by it.
    pub versions: &'a [u64],
}

impl<Buffer> State<'_, Buffer> {
    /// The same buffers as another type, for a backend that hands its work on to one of several.
    ///
    /// # Errors
    /// What `buffer` gives for a buffer that is none of the other's.
    pub fn map<Other>(
        &mut self,
        buffer: impl Fn(&mut Buffer) -> Result<&mut Other, EngineError>,
    ) -> Result<State<'_, Other>, EngineError> {
        Ok(State {
            params: buffer(self.params)?,
            grads: self.grads.as_deref_mut().map(&buffer).transpose()?,
            buffers: buffer(self.buffers)?,
            versions: self.versions,
        })
    }
}

/// Adam's arithmetic for one step, as `torch.optim.Adam` and `AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamUpdate {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// AdamW: decay the weights and not the gradient.
    pub decoupled: bool,
    /// From 1.
    pub step: u64,
}

/// A device that runs plans. A device is a value: an enum over several is a backend too, which hands each call on.
///
/// The same calls with the same numbers give the same bits, for any number of threads. That holds within one backend, one
/// instruction set and one precision; between two of them results agree within rounding and no further.
///
/// What a device reports is an [`EngineError::Device`]; what it has no room for an [`EngineError::OutOfMemory`].
pub trait Backend: Clone + Send + Sync + 'static {
    /// Elements on the device.
    type Buffer: Send;
    /// A schedule made ready: its arena, workspaces, packed weights, chosen algorithms.
    type Program: Send;

    /// Bytes of values that the device has at hand from one step to the next, where that is worth running what is not
    /// trained a few films at a time; see [`Stretch`](crate::schedule::Stretch).
    fn cache(&self) -> Option<usize>;

    /// Most bytes that lie together on the device, a multiple of 256, where that is a limit: no [`Region`] of a schedule lies
    /// across a multiple of it, so that an arena may be several buffers of this size.
    fn piece(&self) -> Option<usize> {
        None
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    fn allocate(&self, element: Element, len: usize) -> Result<Self::Buffer, EngineError>;

    /// Copies from the host to `offset`.
    ///
    /// # Errors
    /// [`EngineError::Length`] where it does not fit; [`EngineError::Device`].
    fn upload(&self, buffer: &mut Self::Buffer, offset: usize, host: &[f32]) -> Result<(), EngineError>;

    /// Copies to the host from `offset`.
    ///
    /// # Errors
    /// [`EngineError::Length`] where it does not fit; [`EngineError::Device`].
    fn download(&self, buffer: &Self::Buffer, offset: usize, host: &mut [f32]) -> Result<(), EngineError>;

    /// Makes a schedule ready to run, and takes its arena.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`]; [`EngineError::Device`] where the device cannot do a step.
    fn compile(&self, schedule: &Schedule) -> Result<Self::Program, EngineError>;

    /// Puts pixels or values of `n` films in place.
    ///
    /// # Errors
    /// [`EngineError::Length`] where their length is not that of `n` films; [`EngineError::Shape`] for pixels where there are
    /// no three channels; [`EngineError::Device`].
    fn feed(
        &self,
        program: &mut Self::Program,
        place: (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError>;

    /// Runs all steps, each [stretch](Schedule::stretches) a part of the films at a time. `key` and each dropout's stream
    /// make its random numbers.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    fn forward(
        &self,
        program: &mut Self::Program,
        schedule: &Schedule,
        state: &mut State<'_, Self::Buffer>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError>;

    /// Runs the given steps backward; parameter gradients overwrite, or add where `accumulate`.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    fn backward(
        &self,
        program: &mut Self::Program,
        schedule: &Schedule,
        state: &mut State<'_, Self::Buffer>,
        n: usize,
        steps: &[BackwardStep],
        accumulate: bool,
    ) -> Result<(), EngineError>;

    /// A value or gradient of `n` films, NCHW.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    fn read(&self, program: &Self::Program, place: (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError>;

    /// One Adam step on `ranges` of the parameters, each with its learning rate; `m` and `v` hold the ranges end to end.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    fn adam(
        &self,
        update: &AdamUpdate,
        ranges: &[(Range<usize>, f64)],
        params: &mut Self::Buffer,
        grads: &Self::Buffer,
        m: &mut Self::Buffer,
        v: &mut Self::Buffer,
    ) -> Result<(), EngineError>;

    /// Sum of the squares in `ranges`, added in a fixed order.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    fn sum_of_squares(&self, buffer: &Self::Buffer, ranges: &[Range<usize>]) -> Result<f64, EngineError>;

    /// Moves `ranges` of a buffer towards those of another of the same length: `into += weight * (from - into)`.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    fn blend(
        &self,
        into: &mut Self::Buffer,
        from: &Self::Buffer,
        ranges: &[Range<usize>],
        weight: f32,
    ) -> Result<(), EngineError>;

    /// Multiplies `ranges` by `factor`.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    fn scale(&self, buffer: &mut Self::Buffer, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError>;
}
