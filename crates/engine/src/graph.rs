//! A network as data: nodes with ONNX operator names, named parameters, named parts.
//!
//! Axes mean NCHW; a graph knows channels but no image size, batch size, device or memory
//! layout. Those belong to the [`Plan`](crate::Plan) compiled from it.

mod builder;
mod check;

use std::sync::Arc;

pub use builder::GraphBuilder;

use crate::layout::Layout;
use crate::ops::Op;
use crate::{EngineError, Shape};

/// An index into one of a graph's lists.
macro_rules! index {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) usize);

        impl $name {
            /// The one at that position.
            pub const fn new(index: usize) -> Self {
                $name(index)
            }

            /// Its position.
            pub const fn index(self) -> usize {
                self.0
            }
        }
    )*};
}

index! {
    /// A value: what one node writes and others read. `[N, C, H, W]`, or `[N, F]` after
    /// [`Op::GlobalAveragePool`]. 0 is the input; the others are numbered in the order of the nodes that write them, from 1.
    ValueId

    /// A learned tensor, an index into [`Graph::params`].
    ParamId

    /// A tensor that is kept but not learned (running statistics), an index into [`Graph::buffers`].
    BufferId

    /// A named part of the network, the unit of freezing, an index into [`Graph::parts`].
    PartId
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
        self.shape.contains(&0)
    }
}

/// A network. Made by a [`GraphBuilder`] or of parts by [`Graph::from_nodes`]; nodes are in an order in which they can run.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    pub(crate) layout: Arc<Layout>,
    /// Channels of each value.
    channels: Vec<usize>,
    output: ValueId,
}

impl Graph {
    /// The pixels, normalised: `[N, C, H, W]`.
    pub const INPUT: ValueId = ValueId(0);

    /// The network of `nodes`, in running order, that reads `channels` channels.
    ///
    /// Node `i` writes value `i + 1` and reads values before it. Every tensor belongs to one node, of the same part, and
    /// they are listed in the order in which nodes name them.
    ///
    /// # Errors
    /// [`EngineError::Graph`] for nodes, tensors or parts that cannot be together: a name twice, a window or a stride of 0
    /// pixels, channels that cannot be cut into the groups, a tensor of the wrong shape;
    /// [`EngineError::AnotherGraph`] for a value, tensor or part that is not there.
    pub fn from_nodes(
        channels: usize,
        parts: Vec<String>,
        params: Vec<TensorSpec>,
        buffers: Vec<TensorSpec>,
        nodes: Vec<Node>,
        output: ValueId,
    ) -> Result<Graph, EngineError> {
        let channels = check::channels(channels, &parts, [&params, &buffers], &nodes)?;
        let graph = Graph { nodes, layout: Arc::new(Layout::new(params, buffers, parts)), channels, output };
        graph.expect_values(&[output])?;
        Ok(graph)
    }

    /// The nodes, in running order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Learned tensors, in the order in which nodes name them (so a part's lie together).
    pub fn params(&self) -> &[TensorSpec] {
        &self.layout.param_specs
    }

    /// Kept but not learned tensors.
    pub fn buffers(&self) -> &[TensorSpec] {
        &self.layout.buffer_specs
    }

    /// Names of the parts, from the input on.
    pub fn parts(&self) -> &[String] {
        &self.layout.part_names
    }

    /// The part of that name.
    ///
    /// # Errors
    /// [`EngineError::NoSuchPart`], with the names there are.
    pub fn part(&self, name: &str) -> Result<PartId, EngineError> {
        self.parts()
            .iter()
            .position(|p| p == name)
            .map(PartId)
            .ok_or_else(|| EngineError::NoSuchPart { name: name.to_owned(), parts: self.parts().join(", ") })
    }

    /// Name of a part; empty for a part of another graph.
    pub fn part_name(&self, part: PartId) -> &str {
        self.parts().get(part.0).map_or("", String::as_str)
    }

    /// Number of values, the input included.
    pub fn values(&self) -> usize {
        self.channels.len()
    }

    /// Channels (or features) of a value; 0 for a value of another graph.
    pub fn channels(&self, value: ValueId) -> usize {
        self.channels.get(value.0).copied().unwrap_or(0)
    }

    /// The last value: log-probabilities or logits `[N, K]`.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// The node that writes a value; `None` for the input.
    pub fn writer(&self, value: ValueId) -> Option<&Node> {
        self.nodes.iter().find(|n| n.output == value)
    }

    /// What the first batch normalisation weighs a batch's statistics by; none where there is none.
    pub fn batch_norm_momentum(&self) -> Option<f32> {
        self.nodes.iter().find_map(|node| match &node.op {
            Op::BatchNormalization(norm) => Some(norm.momentum),
            _ => None,
        })
    }

    /// The same network whose batch normalisations weigh a batch's statistics by `momentum`. Short
    /// fine-tunings need a larger one than the long training that the weights come from.
    #[must_use]
    pub fn with_batch_norm_momentum(mut self, momentum: f32) -> Self {
        for node in &mut self.nodes {
            if let Op::BatchNormalization(norm) = &mut node.op {
                norm.momentum = momentum;
            }
        }
        self
    }

    /// Learned scalars in the given parts.
    pub fn param_count(&self, parts: &[PartId]) -> usize {
        self.params().iter().filter(|p| parts.contains(&p.part)).map(TensorSpec::len).sum()
    }

    /// The shape of every value, by [`ValueId::index`], for images of `height` by `width` pixels.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where the image is too small or too large, or a node's inputs do not fit each other.
    pub fn shapes(&self, height: usize, width: usize) -> Result<Vec<Shape>, EngineError> {
        let mut shapes = Vec::with_capacity(self.values());
        shapes.push(Shape { c: self.channels(Graph::INPUT), h: height, w: width }.counted("the input")?);
        for node in &self.nodes {
            let x: Vec<Shape> = node.inputs.iter().map(|v| shapes[v.0]).collect();
            let y = node.op.rules().shape(&node.name, &x, self.channels(node.output))?;
            shapes.push(y.counted(&node.name)?);
        }
        Ok(shapes)
    }

    /// Shape of one value; see [`Graph::shapes`].
    ///
    /// # Errors
    /// As [`Graph::shapes`]; [`EngineError::AnotherGraph`] for a value that is not there.
    pub fn shape(&self, value: ValueId, height: usize, width: usize) -> Result<Shape, EngineError> {
        self.expect_values(&[value])?;
        Ok(self.shapes(height, width)?[value.0])
    }

    /// That there are such values.
    pub(crate) fn expect_values(&self, values: &[ValueId]) -> Result<(), EngineError> {
        match values.iter().find(|v| v.0 >= self.values()) {
            None => Ok(()),
            Some(v) => Err(EngineError::AnotherGraph {
                what: format!("value {} is of another graph: this one has values 0 to {}", v.0, self.values() - 1),
            }),
        }
    }
}
