//! Which nodes become which steps: dropouts that do nothing vanish, and a step takes in what follows it where its operator
//! says so. No memory yet.

use super::elements::elements;
use super::{Activation, Kind};
use crate::graph::Node;
use crate::ops::{Fuse, Lowering, Stage};
use crate::roles::{Role, Roles};
use crate::{Element, EngineError, Graph, PlanSpec, Shape, ValueId};

/// A step without its place in memory.
pub(super) struct Draft {
    pub name: String,
    pub kind: Kind,
    pub trained: bool,
    pub part: usize,
    pub reads: Vec<ValueId>,
    pub writes: ValueId,
    /// Of a convolution and the trained batch-norm that alone reads it: the batch-norm.
    pub statistics: Option<usize>,
}

/// A plan's steps in running order, and what is known of its values.
pub(super) struct Drafts {
    pub steps: Vec<Draft>,
    /// By value.
    pub shapes: Vec<Shape>,
    /// By value: the one that holds it (a dropout that does nothing writes its input).
    pub same: Vec<ValueId>,
    /// By value: steps that read it.
    pub readers: Vec<usize>,
    /// By value: it must survive the pass.
    pub pinned: Vec<bool>,
    /// By value.
    pub needs_gradient: Vec<bool>,
    /// By value.
    pub elements: Vec<Element>,
}

impl Drafts {
    pub fn new(graph: &Graph, spec: &PlanSpec) -> Result<Self, EngineError> {
        let shapes = graph.shapes(spec.height, spec.width)?;
        let roles = Roles::new(graph, &spec.train, &spec.gradients);
        let wanted: Vec<ValueId> = spec.keep.iter().chain(&spec.gradients).chain([&spec.to]).copied().collect();

        let mut same: Vec<ValueId> = (0..graph.values()).map(ValueId).collect();
        let idle = |i: usize, node: &Node| node.op.rules().idle(roles.role[i]);
        let mut nodes: Vec<(usize, &Node)> = Vec::new();
        for i in graph.needed(spec.from, &wanted)? {
            let node = &graph.nodes()[i];
            // One whose gradient is asked for stays, as a copy: others may read its input too.
            if idle(i, node) && !spec.gradients.contains(&node.output) {
                same[node.output.0] = same[node.inputs[0].0];
            } else {
                nodes.push((i, node));
            }
        }
        let mut readers = vec![0; graph.values()];
        for v in nodes.iter().flat_map(|(_, node)| &node.inputs) {
            readers[same[v.0].0] += 1;
        }
        let mut pinned = vec![false; graph.values()];
        for v in wanted.iter().chain([&spec.from]) {
            pinned[same[v.0].0] = true;
        }

        // A group of fused nodes stands where its last node stood.
        let role = |i: usize| roles.role[nodes[i].0];
        let passing = |v: ValueId| readers[v.0] == 1 && !pinned[v.0];
        let mut claimed = vec![false; nodes.len()];
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for first in 0..nodes.len() {
            if claimed[first] {
                continue;
            }
            let group = match nodes[first].1.op.rules().fuses(role(first)) {
                Fuse::Nothing => vec![first],
                Fuse::Inference => chain(first, &nodes, &passing, &|i| role(i) == Role::Prefix && !claimed[i]),
                Fuse::Training => {
                    let asked_for = |i: usize| spec.gradients.contains(&nodes[i].1.output);
                    // Nor a sum with its own input, which would be read and written twice over.
                    let own = |v: &ValueId| same[v.0] == same[nodes[first].1.inputs[0].0];
                    let free = |i: usize| !claimed[i] && !asked_for(i) && !nodes[i].1.inputs.iter().any(own);
                    chain(first, &nodes, &passing, &free)
                }
            };
            for &i in &group {
                claimed[i] = true;
            }
            groups.push(group);
        }
        groups.sort_by_key(|group| group.last().copied());

        let lowered = |index: usize, node: &Node| {
            let (x, y) = (shapes[node.inputs[0].0], shapes[node.output.0]);
            node.op.rules().lower(&Lowering { index, node, x, y, layout: &graph.layout })
        };
        let mut steps = Vec::with_capacity(groups.len());
        for group in groups {
            let (index, first) = nodes[group[0]];
            let mut draft = Draft {
                name: first.name.clone(),
                kind: if idle(index, first) { Kind::Activation(Activation::Identity) } else { lowered(index, first) },
                trained: spec.train.contains(&first.part),
                part: first.part.0,
                reads: first.inputs.iter().map(|v| same[v.0]).collect(),
                writes: first.output,
                statistics: None,
            };
            for &i in &group[1..] {
                let (index, node) = nodes[i];
                let other = node.inputs.iter().find(|v| **v != draft.writes);
                draft.reads.extend(other.map(|v| same[v.0]));
                draft.writes = node.output;
                draft.kind.take_in(lowered(index, node));
            }
            steps.push(draft);
        }
        let elements = elements(&steps, &shapes, &roles.needs_gradient, spec);
        let needs_gradient = roles.needs_gradient;
        let mut drafts = Drafts { steps, shapes, same, readers, pinned, needs_gradient, elements };
        drafts.pair_statistics();
        Ok(drafts)
    }

    /// Finds the convolutions that can gather the statistics of a trained batch-norm. What needs no gradient may be
    /// computed a few films at a time: no statistics of a batch there.
    fn pair_statistics(&mut self) {
        for norm in 0..self.steps.len() {
            let step = &self.steps[norm];
            let x = step.reads[0];
            let wants = step.kind.rules().wants_statistics(step.trained);
            if !wants || !self.passing(x) || !self.needs_gradient[x.0] {
                continue;
            }
            let writer = self.steps.iter().position(|step| step.writes == x);
            if let Some(conv) = writer.filter(|&i| self.steps[i].kind.rules().gives_statistics()) {
                self.steps[conv].statistics = Some(norm);
                self.steps[norm].statistics = Some(norm);
            }
        }
    }

    /// Whether a step keeps something for its backward.
    pub fn saves(&self, step: &Draft) -> bool {
        self.saved_len(step) != (0, 0)
    }

    /// What a step keeps for its backward: elements a film, and elements whatever the batch.
    pub fn saved_len(&self, step: &Draft) -> (usize, usize) {
        step.kind.rules().saves(step.trained, self.shapes[step.writes.0])
    }

    /// Nobody else wants it: the one step that reads it may use its place.
    pub fn passing(&self, v: ValueId) -> bool {
        self.readers[v.0] == 1 && !self.pinned[v.0]
    }
}

/// Positions in `nodes` of a node and of what it takes in, in the order of [`Stage`].
fn chain(
    first: usize,
    nodes: &[(usize, &Node)],
    passing: &dyn Fn(ValueId) -> bool,
    free: &dyn Fn(usize) -> bool,
) -> Vec<usize> {
    let mut taken = vec![first];
    let mut at = first;
    let stage_of = |i: usize| nodes[i].1.op.rules().stage();
    let mut stage = stage_of(first).unwrap_or(Stage::First);
    while passing(nodes[at].1.output) {
        let value = nodes[at].1.output;
        let Some(next) = nodes.iter().position(|(_, n)| n.inputs.contains(&value)) else { break };
        let Some(next_stage) = stage_of(next) else { break };
        if next_stage <= stage || !free(next) {
            break;
        }
        stage = next_stage;
        taken.push(next);
        at = next;
    }
    taken
}
