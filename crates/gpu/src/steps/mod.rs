//! Which shaders a step launches, forward and backward: a file for operators that are alike.

mod conv;
mod elementwise;
mod linear;
mod norm;
mod pool;

use std::ops::Range;

use lungfish_engine::schedule::{Activation, BackwardStep, Kind, Sliding, Step};
use lungfish_engine::{EngineError, Region, State};

use crate::buffer::GpuBuffer;
use crate::device::Open;
use crate::kernel::{Kernel, Stored};
use crate::launch::{Launch, Numbers, View};
use crate::program::GpuProgram;

/// What a step runs with.
pub(crate) struct Run<'a, 's> {
    pub device: &'a Open,
    pub program: &'a mut GpuProgram,
    pub state: &'a State<'s, GpuBuffer>,
    pub step: &'a Step,
    /// Those of the batch that go through now; all of them backward.
    pub films: Range<usize>,
}

impl Run<'_, '_> {
    fn view(&self, region: Region) -> Option<View> {
        Some(self.program.view(region, &self.films))
    }

    fn params(&self) -> Option<View> {
        Some(self.state.params.view())
    }

    fn buffers(&self) -> Option<View> {
        Some(self.state.buffers.view())
    }

    fn grads(&self) -> Result<Option<View>, EngineError> {
        let grads = self.state.grads.as_ref().ok_or_else(|| self.missing("gradients"))?;
        Ok(Some(grads.view()))
    }

    /// What the values of the step lie as.
    fn stored(&self) -> Stored {
        Stored { x: self.step.x[0].element, y: self.step.y.element }
    }

    fn missing(&self, what: &str) -> EngineError {
        self.device.error(format!("{} has no {what}", self.step.name))
    }

    fn dy(&self) -> Result<Region, EngineError> {
        self.step.dy.ok_or_else(|| self.missing("gradient"))
    }

    fn saved(&self) -> Result<Region, EngineError> {
        self.step.saved.ok_or_else(|| self.missing("room for what its gradient needs"))
    }

    /// Elements of the value written, of all films that go through.
    fn count(&self) -> usize {
        self.films.len() * self.step.shape.len()
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        views: Vec<Option<View>>,
        numbers: Numbers,
        (workgroups, work): ([usize; 3], u64),
    ) -> Result<(), EngineError> {
        let workgroups = workgroups.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let stored = self.stored();
        self.program.launch(self.device, Launch { kernel, stored, views, numbers, workgroups, work })
    }

    fn each(
        &mut self,
        kernel: Kernel,
        count: usize,
        views: Vec<Option<View>>,
        numbers: Numbers,
    ) -> Result<(), EngineError> {
        self.program.launch(self.device, Launch::each(kernel, count, views, numbers).of(self.stored()))
    }

    /// Forward; `key` makes the random numbers of the pass.
    pub fn forward(&mut self, key: [u64; 4]) -> Result<(), EngineError> {
        match &self.step.kind {
            Kind::Conv(conv) => conv::forward(self, conv),
            Kind::BatchNorm(norm) => norm::forward(self, norm),
            Kind::Activation(activation) => elementwise::activation(self, *activation),
            Kind::Add => elementwise::add(self),
            Kind::MaxPool(window) => pool::max_pool(self, window),
            Kind::AveragePool(shape) => pool::average_pool(self, *shape),
            Kind::Gemm(gemm) => linear::forward(self, gemm),
            Kind::Dropout(dropout) => elementwise::dropout(self, dropout, key),
            Kind::LogSoftmax(softmax) => linear::log_softmax(self, softmax.classes),
        }
    }

    /// Backward; gradients of parameters are added to where `accumulate`.
    pub fn backward(&mut self, back: &BackwardStep, accumulate: bool) -> Result<(), EngineError> {
        match &self.step.kind {
            Kind::Conv(conv) => conv::backward(self, conv, back, accumulate),
            Kind::BatchNorm(norm) => norm::backward(self, norm, back, accumulate),
            Kind::Activation(activation) => elementwise::activation_gradient(self, *activation, back),
            Kind::Add => elementwise::add_gradient(self, back),
            Kind::MaxPool(window) => pool::max_pool_gradient(self, window, back),
            Kind::AveragePool(shape) => pool::average_pool_gradient(self, *shape, back),
            Kind::Gemm(gemm) => linear::backward(self, gemm, back, accumulate),
            Kind::Dropout(_) => elementwise::dropout_gradient(self, back),
            Kind::LogSoftmax(softmax) => linear::log_softmax_gradient(self, softmax.classes, back),
        }
    }
}

/// Elements that a step needs between two of its launches, for `films` of them.
pub(crate) fn scratch(step: &Step, films: usize) -> usize {
    match &step.kind {
        Kind::Conv(conv) if step.trained => conv::scratch(conv, films),
        Kind::Gemm(gemm) if step.trained => linear::scratch(gemm, films),
        Kind::BatchNorm(_) if step.trained => norm::scratch(step.shape, films),
        _ => 0,
    }
}

/// A window as shaders know it, at the end of what stands before it.
fn window(numbers: Numbers, window: &Sliding) -> Numbers {
    let Sliding { x, y, kernel, stride, pads } = *window;
    numbers.aligned().us([x.h, x.w, y.h, y.w]).us(kernel).us(stride).us([pads[0], pads[1]])
}

/// An activation as shaders know it: kind, lower and upper bound.
fn activation(numbers: Numbers, activation: Activation) -> Numbers {
    match activation {
        Activation::Identity => numbers.u(0).f(0.0).f(0.0),
        Activation::Relu => numbers.u(1).f(0.0).f(0.0),
        Activation::Clip { min, max } => numbers.u(2).f(min).f(max),
    }
}
