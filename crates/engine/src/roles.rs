//! What each node is to a training run: frozen before, frozen in between, or trained.

use crate::{EngineError, Graph, PartId, ValueId};

/// What a node does in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Frozen with nothing trainable before it: compiled for inference.
    Prefix,
    /// Frozen with something trainable before it: evaluation statistics, gradients pass through.
    Through,
    /// In a part that is trained: batch statistics, dropout, parameter gradients.
    Train,
}

/// Roles of nodes and which values need a gradient.
pub(crate) struct Roles {
    /// By node.
    pub role: Vec<Role>,
    /// By value.
    pub needs_gradient: Vec<bool>,
}

impl Roles {
    /// `train`: the parts being trained; `gradients`: further values whose gradient is wanted.
    pub fn new(graph: &Graph, train: &[PartId], gradients: &[ValueId]) -> Self {
        let mut needs_gradient = vec![false; graph.values()];
        for v in gradients {
            needs_gradient[v.0] = true;
        }
        let role = graph
            .nodes()
            .iter()
            .map(|node| {
                let trained = train.contains(&node.part);
                let passes = node.inputs.iter().any(|v| needs_gradient[v.0]);
                needs_gradient[node.output.0] |= passes || (trained && !node.op.params().is_empty());
                match (trained, passes) {
                    (true, _) => Role::Train,
                    (false, true) => Role::Through,
                    (false, false) => Role::Prefix,
                }
            })
            .collect();
        Roles { role, needs_gradient }
    }
}

impl Graph {
    /// The one value at which the frozen prefix ends when `train` is trained: everything before it
    /// is the same for every step and can be computed once. `None` where nothing is frozen before
    /// the first trained part, or where more than one value crosses.
    pub fn frontier(&self, train: &[PartId]) -> Option<ValueId> {
        let roles = Roles::new(self, train, &[]);
        let mut written = vec![false; self.values()];
        for (node, role) in self.nodes().iter().zip(&roles.role) {
            written[node.output.0] = *role != Role::Prefix;
        }
        let mut crossing = None;
        for (node, role) in self.nodes().iter().zip(&roles.role) {
            for v in node.inputs.iter().filter(|v| *role != Role::Prefix && !written[v.0]) {
                if crossing.is_some_and(|c| c != *v) {
                    return None;
                }
                crossing = Some(*v);
            }
        }
        crossing.filter(|v| *v != Graph::INPUT)
    }

    /// Indices of the nodes that compute `wanted` from `from`, in running order.
    pub(crate) fn needed(&self, from: ValueId, wanted: &[ValueId]) -> Result<Vec<usize>, EngineError> {
        let mut need = vec![false; self.values()];
        for v in wanted {
            need[v.0] = true;
        }
        let mut nodes = Vec::new();
        for (i, node) in self.nodes().iter().enumerate().rev() {
            if need[node.output.0] && node.output != from {
                nodes.push(i);
                for v in &node.inputs {
                    need[v.0] = true;
                }
            }
        }
        if from != Graph::INPUT && need[Graph::INPUT.0] {
            return Err(EngineError::Shape {
                what: format!(
                    "value {} does not determine what is asked of the plan: the pixels are needed too",
                    from.0
                ),
            });
        }
        nodes.reverse();
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphBuilder, Padding, Window};

    fn small() -> Graph {
        let mut g = GraphBuilder::new(3);
        let x = g.input();
        g.part("stem");
        let x = g.conv("conv1", x, 4, Window::square(3, 1, Padding::all(1)), 1, false);
        let stem = g.relu("relu1", x);
        g.part("layer1");
        let x = g.conv("conv2", stem, 4, Window::square(3, 1, Padding::all(1)), 1, false);
        let x = g.add("add", x, stem);
        let pool = g.global_average_pool("avgpool", x);
        g.part("head");
        let x = g.dropout("drop", pool, 0.5);
        let x = g.gemm("fc", x, 2);
        let x = g.log_softmax("log_softmax", x);
        g.finish(x).unwrap()
    }

    #[test]
    fn the_frontier_is_where_training_begins() {
        let g = small();
        let (stem, layer1, head) = (PartId(0), PartId(1), PartId(2));
        let pool = g.nodes().iter().find(|n| n.name == "avgpool").map(|n| n.output);
        let relu = g.nodes().iter().find(|n| n.name == "relu1").map(|n| n.output);
        assert_eq!(g.frontier(&[head]), pool, "dropout belongs to the trained head");
        assert_eq!(g.frontier(&[layer1, head]), relu, "a residual reads the same value twice");
        assert_eq!(g.frontier(&[stem, layer1, head]), None);
        let roles = Roles::new(&g, &[stem, head], &[]);
        assert_eq!(roles.role[2], Role::Through);
    }

    #[test]
    fn a_value_that_does_not_determine_the_rest_is_refused() {
        let g = small();
        let conv2 = g.nodes().iter().find(|n| n.name == "conv2").map(|n| n.output);
        assert!(g.needed(conv2.unwrap(), &[g.output()]).is_err());
    }
}
