//! A graph built node by node. Each operator's own method stands with the operator, in `ops`.

use super::{BufferId, Graph, Node, ParamId, PartId, TensorSpec, ValueId};
use crate::EngineError;
use crate::ops::Op;

/// Builds a [`Graph`] node by node.
///
/// No method fails: what cannot be is told by [`GraphBuilder::finish`].
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
/// let graph = g.finish(x)?;
/// assert_eq!(graph.params()[0].name, "conv1.weight");
/// assert_eq!(graph.params()[0].shape, [8, 3, 3, 3]);
///
/// let mut g = GraphBuilder::new(3);
/// let x = g.input();
/// let x = g.conv("conv1", x, 8, Window::square(3, 2, Padding::all(1)), 2, false);
/// assert_eq!(g.finish(x).unwrap_err().to_string(), "conv1: 3 channels to 8 cannot be cut into 2 groups");
/// # Ok::<(), lungfish_engine::EngineError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
    params: Vec<TensorSpec>,
    buffers: Vec<TensorSpec>,
    parts: Vec<String>,
    /// Channels of each value.
    channels: Vec<usize>,
}

impl GraphBuilder {
    /// A network that reads `channels` channels.
    pub fn new(channels: usize) -> Self {
        let (nodes, params, buffers, parts) = Default::default();
        GraphBuilder { nodes, params, buffers, parts, channels: vec![channels] }
    }

    /// The network's input.
    pub fn input(&self) -> ValueId {
        Graph::INPUT
    }

    /// Begins a part: nodes that follow belong to it.
    pub fn part(&mut self, name: &str) {
        self.parts.push(name.to_owned());
    }

    /// Channels (or features) of a value; 0 for a value of another graph.
    pub fn channels(&self, value: ValueId) -> usize {
        self.channels.get(value.0).copied().unwrap_or(0)
    }

    fn here(&mut self) -> PartId {
        if self.parts.is_empty() {
            self.part("network");
        }
        PartId(self.parts.len() - 1)
    }

    /// A learned tensor of the node that comes next.
    pub(crate) fn param(&mut self, module: &str, leaf: &str, shape: Vec<usize>) -> ParamId {
        let part = self.here();
        self.params.push(TensorSpec { name: format!("{module}.{leaf}"), shape, part });
        ParamId(self.params.len() - 1)
    }

    /// A kept tensor of the node that comes next.
    pub(crate) fn buffer(&mut self, module: &str, leaf: &str, shape: Vec<usize>) -> BufferId {
        let part = self.here();
        self.buffers.push(TensorSpec { name: format!("{module}.{leaf}"), shape, part });
        BufferId(self.buffers.len() - 1)
    }

    /// A node that writes a value of `channels` channels.
    pub(crate) fn node(&mut self, name: &str, op: Op, inputs: &[ValueId], channels: usize) -> ValueId {
        let part = self.here();
        let output = ValueId(self.channels.len());
        self.channels.push(channels);
        self.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), output, part });
        output
    }

    /// The graph, with its last value.
    ///
    /// # Errors
    /// As [`Graph::from_nodes`]: the first thing that cannot be.
    pub fn finish(self, output: ValueId) -> Result<Graph, EngineError> {
        let GraphBuilder { nodes, params, buffers, parts, channels } = self;
        Graph::from_nodes(channels[0], parts, params, buffers, nodes, output)
    }
}
