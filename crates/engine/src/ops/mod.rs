//! The operators, each in a file of its own.
//!
//! A file holds everything that is known of its operator: the data of a node and the method of
//! [`GraphBuilder`](crate::GraphBuilder) that makes one, the tensors it owns and how they begin, the rule for its shape,
//! what may be fused with it, what a compiled step of it is, and that step's forward and backward on the CPU. To add an
//! operator is to add a file, a variant of [`Op`] and one of [`Kind`].

mod activation;
mod add;
mod average_pool;
mod batch_norm;
mod conv;
mod dropout;
mod gemm;
mod log_softmax;
mod max_pool;
mod window;

use std::ops::Range;

pub use activation::{Activation, Clip};
pub use batch_norm::{BatchNormStep, BatchNormalization, Norm};
pub(crate) use conv::Packed;
pub use conv::{Conv, ConvStep};
pub use dropout::{Dropout, DropoutStep, dropout_mask};
pub use gemm::{Gemm, GemmStep};
pub use log_softmax::LogSoftmaxStep;
pub use max_pool::MaxPool;
pub use window::{Padding, Sliding, Window};

use crate::cpu::OnCpu;
use crate::graph::{BufferId, Node, ParamId, TensorSpec};
use crate::init::Fresh;
use crate::layout::Layout;
use crate::roles::Role;
use crate::{EngineError, Shape};

/// An operator, under its ONNX name.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// 2-D convolution.
    Conv(Conv),
    /// `scale * (x - mean) / sqrt(var + epsilon) + bias`, a channel at a time.
    BatchNormalization(BatchNormalization),
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`; ReLU6 is 0 to 6.
    Clip(Clip),
    /// Elementwise sum of two values.
    Add,
    /// Largest value in each window.
    MaxPool(MaxPool),
    /// Mean over height and width: `[N, C, H, W]` to `[N, C]` (ONNX's, flattened).
    GlobalAveragePool,
    /// `x * weight^T + bias`.
    Gemm(Gemm),
    /// While training, zeroes elements and scales the rest by `1 / (1 - ratio)`.
    Dropout(Dropout),
    /// `x - ln(sum(exp(x)))` along the last axis.
    LogSoftmax,
}

impl Op {
    /// The ONNX name.
    pub fn name(&self) -> &'static str {
        self.rules().name()
    }

    /// The learned tensors it reads.
    pub fn params(&self) -> Vec<ParamId> {
        self.rules().params()
    }

    /// The tensors it keeps and does not learn.
    pub fn buffers(&self) -> Vec<BufferId> {
        self.rules().buffers()
    }

    pub(crate) fn rules(&self) -> &dyn Operator {
        match self {
            Op::Conv(op) => op,
            Op::BatchNormalization(op) => op,
            Op::Relu => &activation::Relu,
            Op::Clip(op) => op,
            Op::Add => &add::Add,
            Op::MaxPool(op) => op,
            Op::GlobalAveragePool => &average_pool::GlobalAveragePool,
            Op::Gemm(op) => op,
            Op::Dropout(op) => op,
            Op::LogSoftmax => &log_softmax::LogSoftmax,
        }
    }
}

/// Where a node of a graph stands: channels of what it reads, and the graph's tensors.
pub(crate) struct Site<'a> {
    pub inputs: &'a [usize],
    pub params: &'a [TensorSpec],
    pub buffers: &'a [TensorSpec],
}

impl Site<'_> {
    /// That a tensor has that shape.
    fn expect(spec: &TensorSpec, shape: &[usize]) -> Result<(), String> {
        if spec.shape == shape {
            return Ok(());
        }
        Err(format!("its tensor {} has shape {:?} where {shape:?} is needed", spec.name, spec.shape))
    }
}

/// Where a node of a graph is compiled: its index, shapes of what it reads and writes, and where tensors lie.
pub(crate) struct Lowering<'a> {
    pub index: usize,
    pub node: &'a Node,
    pub x: Shape,
    pub y: Shape,
    pub layout: &'a Layout,
}

impl Lowering<'_> {
    fn param(&self, id: ParamId) -> Range<usize> {
        self.layout.params[id.0].clone()
    }

    fn buffer(&self, id: BufferId) -> Range<usize> {
        self.layout.buffers[id.0].clone()
    }
}

/// What a node's step may take in of the nodes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fuse {
    /// None.
    Nothing,
    /// Those that are compiled for inference like itself.
    Inference,
    /// Those whose gradients nobody asks for: its backward turns the gradient of the last one's value into its own.
    Training,
}

/// The order in which a step takes nodes in, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// What it is itself, before all others.
    First,
    /// A batch normalisation.
    Normalise,
    /// The addition of another value.
    Add,
    /// An activation.
    Activate,
}

/// What the engine asks of an operator in a graph.
pub(crate) trait Operator {
    /// The ONNX name.
    fn name(&self) -> &'static str;

    /// Values it reads.
    fn inputs(&self) -> usize {
        1
    }

    fn params(&self) -> Vec<ParamId> {
        Vec::new()
    }

    fn buffers(&self) -> Vec<BufferId> {
        Vec::new()
    }

    /// Channels of what it writes. The error is what is wrong with the node.
    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        Ok(site.inputs[0])
    }

    /// Shape of what it writes, of `channels` channels.
    fn shape(&self, name: &str, x: &[Shape], channels: usize) -> Result<Shape, EngineError> {
        let _ = name;
        Ok(Shape { c: channels, ..x[0] })
    }

    /// How its tensors begin.
    fn fresh<'a>(&self, layout: &'a Layout) -> Vec<(&'a TensorSpec, Fresh)> {
        let _ = layout;
        Vec::new()
    }

    /// Whether it gives what it reads, in this role.
    fn idle(&self, role: Role) -> bool {
        let _ = role;
        false
    }

    /// What its step takes in, in this role.
    fn fuses(&self, role: Role) -> Fuse {
        let _ = role;
        Fuse::Nothing
    }

    /// When a step takes it in; `None` where no step does.
    fn stage(&self) -> Option<Stage> {
        None
    }

    /// The step that computes it, nothing fused.
    fn lower(&self, at: &Lowering<'_>) -> Kind;
}

/// That vectors are read and not images.
fn vectors(op: &dyn Operator, name: &str, x: Shape) -> Result<(), EngineError> {
    if x.pixels() == 1 {
        return Ok(());
    }
    Err(EngineError::Shape { what: format!("{name}: {} needs vectors, not {} by {} images", op.name(), x.h, x.w) })
}

/// What a step computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Convolution, with what is fused into it.
    Conv(ConvStep),
    /// Batch normalisation, with what is fused into it: with the batch's statistics when the step is trained, else the
    /// running ones.
    BatchNorm(BatchNormStep),
    /// In place where `x` and `y` are the same region.
    Activation(Activation),
    /// Sum of two.
    Add,
    /// Max-pooling.
    MaxPool(Sliding),
    /// Mean over the pixels of the shape read.
    AveragePool(Shape),
    /// Linear layer.
    Gemm(GemmStep),
    /// Dropout that drops.
    Dropout(DropoutStep),
    /// Log-probabilities.
    LogSoftmax(LogSoftmaxStep),
}

impl Kind {
    pub(crate) fn rules(&self) -> &dyn Compiled {
        match self {
            Kind::Conv(step) => step,
            Kind::BatchNorm(step) => step,
            Kind::Activation(step) => step,
            Kind::Add => &add::Add,
            Kind::MaxPool(step) => step,
            Kind::AveragePool(step) => step,
            Kind::Gemm(step) => step,
            Kind::Dropout(step) => step,
            Kind::LogSoftmax(step) => step,
        }
    }

    pub(crate) fn on_cpu(&self) -> &dyn OnCpu {
        match self {
            Kind::Conv(step) => step,
            Kind::BatchNorm(step) => step,
            Kind::Activation(step) => step,
            Kind::Add => &add::Add,
            Kind::MaxPool(step) => step,
            Kind::AveragePool(step) => step,
            Kind::Gemm(step) => step,
            Kind::Dropout(step) => step,
            Kind::LogSoftmax(step) => step,
        }
    }

    /// Takes in what follows it, as its operator's [`Fuse`] allows.
    pub(crate) fn take_in(&mut self, next: Kind) {
        match self {
            Kind::Conv(step) => step.take_in(next),
            Kind::BatchNorm(step) => step.take_in(next),
            _ => {}
        }
    }
}

/// What the schedule and the memory plan ask of a step, on any device.
pub(crate) trait Compiled {
    /// What is kept from forward to backward: elements a film, and elements whatever the batch.
    fn saves(&self, trained: bool, y: Shape) -> (usize, usize) {
        let _ = (trained, y);
        (0, 0)
    }

    /// Whether the backward reads the step's first input and its output again; `terms` are the values that the step reads.
    fn reads_again(&self, trained: bool, terms: usize) -> (bool, bool) {
        let _ = (trained, terms);
        (false, false)
    }

    /// Whether it may write over what it reads.
    fn works_in_place(&self) -> bool {
        false
    }

    /// Whether the gradient of one of the values read may be written over that of the value written.
    fn gradient_in_place(&self, trained: bool) -> bool {
        let _ = trained;
        false
    }

    /// Weights read.
    fn weights(&self) -> usize {
        0
    }

    /// Whether it can leave the statistics of what it writes.
    fn gives_statistics(&self) -> bool {
        false
    }

    /// Whether it wants those of what it reads.
    fn wants_statistics(&self, trained: bool) -> bool {
        let _ = trained;
        false
    }
}
