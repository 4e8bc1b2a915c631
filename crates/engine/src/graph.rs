//! A network as data: nodes with ONNX operator names, named parameters, named parts.
//!
//! Axes mean NCHW; a graph knows channels but no image size, batch size, device or memory
//! layout. Those belong to the [`Plan`](crate::Plan) compiled from it.

use crate::EngineError;

/// A value: what one node writes and others read. `[N, C, H, W]`, or `[N, F]` after
/// [`Op::GlobalAveragePool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) usize);

/// A learned tensor, an index into [`Graph::params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub(crate) usize);

/// A tensor that is kept but not learned (running statistics), an index into [`Graph::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub(crate) usize);

/// A named part of the network, the unit of freezing, an index into [`Graph::parts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub(crate) usize);

impl ParamId {
    /// Position in [`Graph::params`].
    pub fn index(self) -> usize {
        self.0
    }
}

impl ValueId {
    /// Position of the value; values are numbered in the order of the nodes that write them.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Zeros around an image before a window slides over it (ONNX `pads` and `auto_pad`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Top, left, bottom, right, in pixels.
    Explicit([usize; 4]),
    /// TensorFlow's SAME: `out = ceil(in / stride)`, the odd pixel at bottom and right.
    /// Depends on the image size, so it is resolved when a plan is made.
    SameUpper,
}

impl Padding {
    /// The same number of pixels on all four sides.
    pub const fn all(pixels: usize) -> Self {
        Padding::Explicit([pixels; 4])
    }

    /// Top, left, bottom, right for an input of `h` by `w`.
    pub fn resolve(self, [h, w]: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> [usize; 4] {
        match self {
            Padding::Explicit(pads) => pads,
            Padding::SameUpper => {
                let total = |i: usize, k: usize, s: usize| ((i.div_ceil(s) - 1) * s + k).saturating_sub(i);
                let (v, u) = (total(h, kernel[0], stride[0]), total(w, kernel[1], stride[1]));
                [v / 2, u / 2, v - v / 2, u - u / 2]
            }
        }
    }
}

/// The window of a convolution or a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width, pixels.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step, pixels.
    pub stride: [usize; 2],
    /// Zeros around the image (minus infinity for a max-pool).
    pub padding: Padding,
}

impl Window {
    /// A square window.
    pub const fn square(kernel: usize, stride: usize, padding: Padding) -> Self {
        Window { kernel: [kernel; 2], stride: [stride; 2], padding }
    }
}

/// An operator, under its ONNX name.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// 2-D convolution.
    Conv {
        /// `[out, in / groups, kh, kw]`.
        weight: ParamId,
        /// `[out]`.
        bias: Option<ParamId>,
        /// What slides.
        window: Window,
        /// Blocks of channels that do not see each other; as many as channels is depthwise.
        groups: usize,
    },
    /// `scale * (x - mean) / sqrt(var + epsilon) + bias`, a channel at a time.
    BatchNormalization {
        /// `[C]`.
        scale: ParamId,
        /// `[C]`.
        bias: ParamId,
        /// Running mean `[C]`.
        mean: BufferId,
        /// Running variance `[C]`, unbiased.
        var: BufferId,
        /// Added to the variance.
        epsilon: f32,
        /// PyTorch's: `running = (1 - momentum) * running + momentum * batch`.
        momentum: f32,
    },
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`; ReLU6 is 0 to 6.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// Elementwise sum of two values.
    Add,
    /// Largest value in each window.
    MaxPool {
        /// What slides.
        window: Window,
    },
    /// Mean over height and width: `[N, C, H, W]` to `[N, C]` (ONNX's, flattened).
    GlobalAveragePool,
    /// `x * weight^T + bias`.
    Gemm {
        /// `[out, in]`.
        weight: ParamId,
        /// `[out]`.
        bias: ParamId,
    },
    /// While training, zeroes elements and scales the rest by `1 / (1 - ratio)`.
    Dropout {
        /// Probability of a zero.
        ratio: f32,
    },
    /// `x - ln(sum(exp(x)))` along the last axis.
    LogSoftmax,
}

impl Op {
    /// The ONNX name.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv { .. } => "Conv",
            Op::BatchNormalization { .. } => "BatchNormalization",
            Op::Relu => "Relu",
            Op::Clip { .. } => "Clip",
            Op::Add => "Add",
            Op::MaxPool { .. } => "MaxPool",
            Op::GlobalAveragePool => "GlobalAveragePool",
            Op::Gemm { .. } => "Gemm",
            Op::Dropout { .. } => "Dropout",
            Op::LogSoftmax => "LogSoftmax",
        }
    }

    /// The learned tensors it reads.
    pub fn params(&self) -> Vec<ParamId> {
        match *self {
            Op::Conv { weight, bias, .. } => [Some(weight), bias].into_iter().flatten().collect(),
            Op::BatchNormalization { scale, bias, .. } => vec![scale, bias],
            Op::Gemm { weight, bias } => vec![weight, bias],
            _ => Vec::new(),
        }
    }
}

/// One operator applied to values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The module's name as torchvision has it (`layer1.0.conv1`).
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<ValueId>,
    /// What it writes.
    pub output: ValueId,
    /// The part it belongs to.
    pub part: PartId,
}

/// A tensor's name and shape: a parameter or a buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// The key in a state dict (`layer1.0.conv1.weight`).
    pub name: String,
    /// Its dimensions; convolution weights are OIHW.
    pub shape: Vec<usize>,
    /// The part it belongs to.
    pub part: PartId,
}

impl TensorSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A network. Made by a [`GraphBuilder`]; nodes are in an order in which they can run.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    params: Vec<TensorSpec>,
    buffers: Vec<TensorSpec>,
    parts: Vec<String>,
    /// Channels of each value.
    channels: Vec<usize>,
    output: ValueId,
}

impl Graph {
    /// The pixels, normalised: `[N, C, H, W]`.
    pub const INPUT: ValueId = ValueId(0);

    /// The nodes, in running order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Learned tensors, in the order in which nodes name them (so a part's lie together).
    pub fn params(&self) -> &[TensorSpec] {
        &self.params
    }

    /// Kept but not learned tensors.
    pub fn buffers(&self) -> &[TensorSpec] {
        &self.buffers
    }

    /// Names of the parts, from the input on.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The part of that name.
    ///
    /// # Errors
    /// [`EngineError::NoSuchPart`], with the names there are.
    pub fn part(&self, name: &str) -> Result<PartId, EngineError> {
        self.parts
            .iter()
            .position(|p| p == name)
            .map(PartId)
            .ok_or_else(|| EngineError::NoSuchPart { name: name.to_owned(), parts: self.parts.join(", ") })
    }

    /// Name of a part.
    pub fn part_name(&self, part: PartId) -> &str {
        &self.parts[part.0]
    }

    /// Number of values, the input included.
    pub fn values(&self) -> usize {
        self.channels.len()
    }

    /// Channels (or features) of a value.
    pub fn channels(&self, value: ValueId) -> usize {
        self.channels[value.0]
    }

    /// The last value: log-probabilities `[N, K]`.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// The node that writes a value; `None` for the input.
    pub fn writer(&self, value: ValueId) -> Option<&Node> {
        self.nodes.iter().find(|n| n.output == value)
    }

    /// The same network whose batch normalisations weigh a batch's statistics by `momentum`. Short
    /// fine-tunings need a larger one than the long training that the weights come from.
    #[must_use]
    pub fn with_batch_norm_momentum(mut self, momentum: f32) -> Self {
        for node in &mut self.nodes {
            if let Op::BatchNormalization { momentum: own, .. } = &mut node.op {
                *own = momentum;
            }
        }
        self
    }

    /// Learned scalars in the given parts.
    pub fn param_count(&self, parts: &[PartId]) -> usize {
        self.params.iter().filter(|p| parts.contains(&p.part)).map(TensorSpec::len).sum()
    }
}

/// Builds a [`Graph`] node by node.
///
/// ```
/// use lungfish_engine::{GraphBuilder, Padding, Window};
/// let mut g = GraphBuilder::new(3);
/// let x = g.input();
/// g.part("stem");
/// let x = g.conv("conv1", x, 8, Window::square(3, 2, Padding::all(1)), 1, false);
/// let x = g.batch_norm("bn1", x, 1e-5, 0.1);
/// let x = g.relu("relu", x);
/// let x = g.global_average_pool("avgpool", x);
/// g.part("head");
/// let x = g.gemm("fc", x, 2);
/// let x = g.log_softmax("log_softmax", x);
/// let graph = g.finish(x);
/// assert_eq!(graph.params()[0].name, "conv1.weight");
/// assert_eq!(graph.params()[0].shape, [8, 3, 3, 3]);
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// A network that reads `channels` channels.
    pub fn new(channels: usize) -> Self {
        GraphBuilder {
            graph: Graph {
                nodes: Vec::new(),
                params: Vec::new(),
                buffers: Vec::new(),
                parts: Vec::new(),
                channels: vec![channels],
                output: Graph::INPUT,
            },
        }
    }

    /// The network's input.
    pub fn input(&self) -> ValueId {
        Graph::INPUT
    }

    /// Begins a part: nodes that follow belong to it.
    pub fn part(&mut self, name: &str) {
        self.graph.parts.push(name.to_owned());
    }

    /// Channels (or features) of a value.
    pub fn channels(&self, value: ValueId) -> usize {
        self.graph.channels(value)
    }

    fn here(&mut self) -> PartId {
        if self.graph.parts.is_empty() {
            self.part("network");
        }
        PartId(self.graph.parts.len() - 1)
    }

    fn param(&mut self, module: &str, leaf: &str, shape: Vec<usize>) -> ParamId {
        let part = self.here();
        self.graph.params.push(TensorSpec { name: format!("{module}.{leaf}"), shape, part });
        ParamId(self.graph.params.len() - 1)
    }

    fn buffer(&mut self, module: &str, leaf: &str, shape: Vec<usize>) -> BufferId {
        let part = self.here();
        self.graph.buffers.push(TensorSpec { name: format!("{module}.{leaf}"), shape, part });
        BufferId(self.graph.buffers.len() - 1)
    }

    fn node(&mut self, name: &str, op: Op, inputs: &[ValueId], channels: usize) -> ValueId {
        let part = self.here();
        let output = ValueId(self.graph.channels.len());
        self.graph.channels.push(channels);
        self.graph.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), output, part });
        output
    }

    /// A convolution to `out` channels; parameters `{name}.weight` and, with `bias`, `{name}.bias`.
    pub fn conv(&mut self, name: &str, x: ValueId, out: usize, window: Window, groups: usize, bias: bool) -> ValueId {
        let inner = self.channels(x) / groups;
        let weight = self.param(name, "weight", vec![out, inner, window.kernel[0], window.kernel[1]]);
        let bias = bias.then(|| self.param(name, "bias", vec![out]));
        self.node(name, Op::Conv { weight, bias, window, groups }, &[x], out)
    }

    /// Batch normalisation; `{name}.weight`, `.bias`, `.running_mean`, `.running_var`.
    pub fn batch_norm(&mut self, name: &str, x: ValueId, epsilon: f32, momentum: f32) -> ValueId {
        let c = self.channels(x);
        let scale = self.param(name, "weight", vec![c]);
        let bias = self.param(name, "bias", vec![c]);
        let mean = self.buffer(name, "running_mean", vec![c]);
        let var = self.buffer(name, "running_var", vec![c]);
        self.node(name, Op::BatchNormalization { scale, bias, mean, var, epsilon, momentum }, &[x], c)
    }

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
        self.node(name, Op::Clip { min, max }, &[x], c)
    }

    /// `a + b`, of equal shapes.
    pub fn add(&mut self, name: &str, a: ValueId, b: ValueId) -> ValueId {
        let c = self.channels(a);
        self.node(name, Op::Add, &[a, b], c)
    }

    /// Max-pooling.
    pub fn max_pool(&mut self, name: &str, x: ValueId, window: Window) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::MaxPool { window }, &[x], c)
    }

    /// Mean over height and width, `[N, C]`.
    pub fn global_average_pool(&mut self, name: &str, x: ValueId) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::GlobalAveragePool, &[x], c)
    }

    /// A linear layer to `out` features; `{name}.weight` `[out, in]` and `{name}.bias`.
    pub fn gemm(&mut self, name: &str, x: ValueId, out: usize) -> ValueId {
        let weight = self.param(name, "weight", vec![out, self.channels(x)]);
        let bias = self.param(name, "bias", vec![out]);
        self.node(name, Op::Gemm { weight, bias }, &[x], out)
    }

    /// Dropout.
    pub fn dropout(&mut self, name: &str, x: ValueId, ratio: f32) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::Dropout { ratio }, &[x], c)
    }

    /// Log-probabilities along the last axis.
    pub fn log_softmax(&mut self, name: &str, x: ValueId) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::LogSoftmax, &[x], c)
    }

    /// The graph, with its last value.
    pub fn finish(mut self, output: ValueId) -> Graph {
        self.graph.output = output;
        self.graph
    }
}
