//! A graph compiled for one image size and one set of trained parts: the steps a backend runs,
//! with the place of everything they touch. The same for every backend.

use std::collections::HashMap;
use std::ops::Range;

use crate::graph::{BufferId, Node, ParamId};
use crate::memory::{Storage, place};
use crate::roles::{Role, Roles};
use crate::store::Layout;
use crate::{EngineError, Graph, Op, PlanSpec, Region, Shape, ValueId};

/// What is done to a value last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
}

impl Activation {
    fn of(op: &Op) -> Option<Self> {
        match *op {
            Op::Relu => Some(Activation::Relu),
            Op::Clip { min, max } => Some(Activation::Clip { min, max }),
            _ => None,
        }
    }
}

/// Where a batch normalisation keeps its tensors: ranges of the parameters (`scale`, `bias`) and
/// of the buffers (`mean`, `var`).
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Parameters.
    pub scale: Range<usize>,
    /// Parameters.
    pub bias: Range<usize>,
    /// Buffers.
    pub mean: Range<usize>,
    /// Buffers.
    pub var: Range<usize>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Weight of the batch's statistics in the running ones.
    pub momentum: f32,
    /// Index of its part, for the version of its tensors.
    pub part: usize,
}

/// The window of a convolution or pooling with its padding resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    /// Input of one film.
    pub x: Shape,
    /// Output of one film.
    pub y: Shape,
    /// Height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal.
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
}

/// What a step computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Convolution, with what is fused into it. `weight` and `bias` are ranges of the parameters.
    Conv {
        /// Geometry.
        window: Sliding,
        /// Groups.
        groups: usize,
        /// OIHW.
        weight: Range<usize>,
        /// One an output channel.
        bias: Option<Range<usize>>,
        /// A batch normalisation in evaluation mode, folded in.
        fold: Option<Norm>,
        /// Applied last, after adding the second input where there is one.
        activation: Activation,
    },
    /// Batch normalisation: with the batch's statistics when the step is trained, else the running ones.
    BatchNorm(Norm),
    /// In place where `x` and `y` are the same region.
    Activation(Activation),
    /// Sum of two.
    Add,
    /// Max-pooling.
    MaxPool(Sliding),
    /// Mean over the pixels of the first shape.
    AveragePool(Shape),
    /// Linear layer.
    Gemm {
        /// Features read.
        inputs: usize,
        /// Features written.
        outputs: usize,
        /// `[outputs, inputs]`.
        weight: Range<usize>,
        /// `[outputs]`.
        bias: Range<usize>,
    },
    /// Dropout; `stream` sets its random numbers apart from those of other nodes.
    Dropout {
        /// Share zeroed.
        ratio: f32,
        /// Index of the node.
        stream: u64,
    },
    /// Log-probabilities.
    LogSoftmax {
        /// Classes.
        classes: usize,
    },
}

/// One operation of a backend.
#[derive(Clone, Debug)]
pub struct Step {
    /// The module's name.
    pub name: String,
    /// What it computes.
    pub kind: Kind,
    /// Whether its part is trained.
    pub trained: bool,
    /// Index of its part.
    pub part: usize,
    /// Shape of its output, a film.
    pub shape: Shape,
    /// Values read.
    pub x: Vec<Region>,
    /// Value written.
    pub y: Region,
    /// Kept from forward to backward: mean and inverse deviation, or a dropout mask.
    pub saved: Option<Region>,
    /// Gradient of the value written; `None` where the step has no backward.
    pub dy: Option<Region>,
    /// Gradients of the values read, where wanted.
    pub dx: Vec<Option<Region>>,
    /// The values behind `x`.
    pub(crate) reads: Vec<ValueId>,
    /// The value behind `y`.
    pub(crate) writes: ValueId,
}

/// A step of the backward pass: which, and which of its `dx` are added to rather than written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackwardStep {
    /// Index into [`Schedule::steps`].
    pub step: usize,
    /// By input.
    pub accumulate: Vec<bool>,
}

/// Everything a backend needs to know.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// In running order.
    pub steps: Vec<Step>,
    /// Elements of the arena.
    pub arena: usize,
    /// Most films a batch.
    pub capacity: usize,
    /// Where the fed value lies, and its shape.
    pub input: (Region, Shape),
    /// Regions of values that stay readable, with their shapes.
    pub(crate) kept: HashMap<ValueId, (Region, Shape)>,
    /// Gradient regions of all values that have one.
    pub(crate) gradients: HashMap<ValueId, (Region, Shape)>,
    /// Values whose gradient stays readable.
    pub(crate) kept_gradients: Vec<ValueId>,
    /// By value: the one that holds it (a dropout that does nothing writes its input).
    pub(crate) same: Vec<ValueId>,
}

/// The nodes that one step computes.
struct Group<'g> {
    nodes: Vec<&'g Node>,
    residual: Option<ValueId>,
}

/// Which later nodes a frozen convolution takes in: batch-norm, addition, activation. Gives their
/// positions in `nodes`, and the other term of the addition.
fn chain(
    first: usize,
    nodes: &[(usize, &Node)],
    roles: &Roles,
    only: &dyn Fn(ValueId) -> bool,
    claimed: &[bool],
) -> (Vec<usize>, Option<ValueId>) {
    let mut at = first;
    let mut taken = vec![first];
    let mut residual = None;
    let mut stage = 0;
    loop {
        let value = nodes[at].1.output;
        if !only(value) {
            break;
        }
        let Some(next) = nodes.iter().position(|(_, n)| n.inputs.contains(&value)) else { break };
        let (index, node) = nodes[next];
        if claimed[next] || roles.role[index] != Role::Prefix {
            break;
        }
        let next_stage = match &node.op {
            Op::BatchNormalization { .. } => 1,
            Op::Add => 2,
            op if Activation::of(op).is_some() => 3,
            _ => break,
        };
        if next_stage <= stage {
            break;
        }
        if next_stage == 2 {
            residual = node.inputs.iter().copied().find(|v| *v != value);
        }
        stage = next_stage;
        taken.push(next);
        at = next;
    }
    (taken, residual)
}

impl Schedule {
    pub(crate) fn new(graph: &Graph, layout: &Layout, spec: &PlanSpec) -> Result<Self, EngineError> {
        let shapes = graph.shapes(spec.height, spec.width)?;
        let roles = Roles::new(graph, &spec.train, &spec.gradients);
        let mut wanted = vec![spec.to];
        wanted.extend(spec.keep.iter().chain(&spec.gradients));
        let needed = graph.needed(spec.from, &wanted)?;

        // A dropout outside the trained parts does nothing: its output is its input.
        let mut same: Vec<ValueId> = (0..graph.values()).map(ValueId).collect();
        let mut nodes: Vec<(usize, &Node)> = Vec::new();
        for &i in &needed {
            let node = &graph.nodes()[i];
            match node.op {
                Op::Dropout { ratio } if roles.role[i] != Role::Train || ratio == 0.0 => {
                    same[node.output.0] = same[node.inputs[0].0];
                }
                _ => nodes.push((i, node)),
            }
        }
        let reads = |node: &Node| -> Vec<ValueId> { node.inputs.iter().map(|v| same[v.0]).collect() };
        let mut readers = vec![0usize; graph.values()];
        for (_, node) in &nodes {
            for v in reads(node) {
                readers[v.0] += 1;
            }
        }
        let mut pinned = vec![false; graph.values()];
        for v in wanted.iter().chain([&spec.from]) {
            pinned[same[v.0].0] = true;
        }
        let only = |v: ValueId| readers[v.0] == 1 && !pinned[v.0];

        // Group nodes into steps; a group stands where its last node stood.
        let mut claimed = vec![false; nodes.len()];
        let mut groups: Vec<(usize, Group)> = Vec::new();
        for first in 0..nodes.len() {
            if claimed[first] {
                continue;
            }
            let (index, node) = nodes[first];
            let (taken, residual) = match node.op {
                Op::Conv { .. } if roles.role[index] == Role::Prefix => chain(first, &nodes, &roles, &only, &claimed),
                _ => (vec![first], None),
            };
            for &t in &taken {
                claimed[t] = true;
            }
            let last = taken.last().copied().unwrap_or(first);
            groups.push((last, Group { nodes: taken.iter().map(|&t| nodes[t].1).collect(), residual }));
        }
        groups.sort_by_key(|(last, _)| *last);

        Builder {
            graph,
            layout,
            spec,
            shapes,
            roles,
            readers,
            pinned,
            same: same.clone(),
            streams: nodes.iter().map(|(i, n)| (n.output, *i as u64)).collect(),
        }
        .build(groups.into_iter().map(|(_, g)| g).collect())
    }

    /// The steps of a backward pass begun at `seed`, whose gradient is already in place.
    pub(crate) fn backward_steps(&self, seed: ValueId) -> Vec<BackwardStep> {
        let mut written: Vec<ValueId> = vec![self.same[seed.0]];
        let mut list = Vec::new();
        for (i, step) in self.steps.iter().enumerate().rev() {
            if step.dy.is_none() || !written.contains(&step.writes) {
                continue;
            }
            let mut accumulate = Vec::new();
            for (v, dx) in step.reads.iter().zip(&step.dx) {
                accumulate.push(dx.is_some() && written.contains(v));
                if dx.is_some() {
                    written.push(*v);
                }
            }
            list.push(BackwardStep { step: i, accumulate });
        }
        list
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    spec: &'a PlanSpec,
    shapes: Vec<Shape>,
    roles: Roles,
    readers: Vec<usize>,
    pinned: Vec<bool>,
    same: Vec<ValueId>,
    streams: HashMap<ValueId, u64>,
}

impl Builder<'_> {
    fn param(&self, id: ParamId) -> Range<usize> {
        self.layout.params[id.0].clone()
    }

    fn buffer(&self, id: BufferId) -> Range<usize> {
        self.layout.buffers[id.0].clone()
    }

    /// What a node computes, nothing fused.
    fn kind(&self, node: &Node) -> Kind {
        let (x, y) = (self.shapes[node.inputs[0].0], self.shapes[node.output.0]);
        let sliding = |window: &crate::Window| Sliding {
            x,
            y,
            kernel: window.kernel,
            stride: window.stride,
            pads: window.padding.resolve([x.h, x.w], window.kernel, window.stride),
        };
        match &node.op {
            Op::Conv { weight, bias, window, groups } => Kind::Conv {
                window: sliding(window),
                groups: *groups,
                weight: self.param(*weight),
                bias: bias.map(|b| self.param(b)),
                fold: None,
                activation: Activation::Identity,
            },
            &Op::BatchNormalization { scale, bias, mean, var, epsilon, momentum } => Kind::BatchNorm(Norm {
                scale: self.param(scale),
                bias: self.param(bias),
                mean: self.buffer(mean),
                var: self.buffer(var),
                epsilon,
                momentum,
                part: node.part.0,
            }),
            Op::Relu => Kind::Activation(Activation::Relu),
            Op::Clip { min, max } => Kind::Activation(Activation::Clip { min: *min, max: *max }),
            Op::Add => Kind::Add,
            Op::MaxPool { window } => Kind::MaxPool(sliding(window)),
            Op::GlobalAveragePool => Kind::AveragePool(x),
            Op::Gemm { weight, bias } => {
                Kind::Gemm { inputs: x.c, outputs: y.c, weight: self.param(*weight), bias: self.param(*bias) }
            }
            Op::Dropout { ratio } => {
                Kind::Dropout { ratio: *ratio, stream: self.streams.get(&node.output).copied().unwrap_or(0) }
            }
            Op::LogSoftmax => Kind::LogSoftmax { classes: x.c },
        }
    }

    /// What a group computes: its first node, with the rest fused in.
    fn fused(&self, group: &Group) -> Kind {
        let mut kind = self.kind(group.nodes[0]);
        for node in &group.nodes[1..] {
            if let Kind::Conv { fold, activation, .. } = &mut kind {
                match self.kind(node) {
                    Kind::BatchNorm(norm) => *fold = Some(norm),
                    Kind::Activation(last) => *activation = last,
                    _ => {}
                }
            }
        }
        kind
    }

    fn build(self, groups: Vec<Group>) -> Result<Schedule, EngineError> {
        let count = groups.len();
        // Time: 0 feeds the input, 1 + i runs step i, then the seed, then the steps in reverse.
        let forward = |i: usize| i + 1;
        let seed_time = count + 1;
        let backward = |i: usize| seed_time + count - i;
        let end = seed_time + count + 1;
        let needs = |v: ValueId| self.roles.needs_gradient[v.0];

        struct Draft {
            kind: Kind,
            trained: bool,
            part: usize,
            name: String,
            reads: Vec<ValueId>,
            writes: ValueId,
        }
        let drafts: Vec<Draft> = groups
            .iter()
            .map(|g| {
                let (first, last) = (g.nodes[0], g.nodes[g.nodes.len() - 1]);
                let mut reads: Vec<ValueId> = first.inputs.iter().map(|v| self.same[v.0]).collect();
                reads.extend(g.residual.map(|v| self.same[v.0]));
                Draft {
                    kind: self.fused(g),
                    trained: self.spec.train.contains(&first.part),
                    part: first.part.0,
                    name: first.name.clone(),
                    reads,
                    writes: last.output,
                }
            })
            .collect();

        // Which values share storage: an activation works in place where nobody else needs its input.
        let mut root: Vec<ValueId> = (0..self.graph.values()).map(ValueId).collect();
        let mut gradient_root = root.clone();
        for d in &drafts {
            let overwritable = |v: ValueId| {
                self.readers[v.0] == 1
                    && !self.pinned[v.0]
                    && drafts.iter().any(|w| {
                        w.writes == v
                            && matches!(w.kind, Kind::Conv { .. } | Kind::BatchNorm(_) | Kind::Add | Kind::Gemm { .. })
                    })
            };
            match d.kind {
                Kind::Activation(_) if overwritable(d.reads[0]) => {
                    root[d.writes.0] = root[d.reads[0].0];
                    if !self.pinned[d.writes.0] {
                        gradient_root[d.writes.0] = gradient_root[d.reads[0].0];
                    }
                }
                // The gradient of a sum is the gradient of its terms: one of them can use it as it lies.
                Kind::Add => {
                    let free = |v: &&ValueId| self.readers[v.0] == 1 && !self.pinned[v.0] && needs(**v);
                    if let Some(v) = d.reads.iter().find(free).filter(|_| !self.pinned[d.writes.0]) {
                        gradient_root[d.writes.0] = gradient_root[v.0];
                    }
                }
                _ => {}
            }
        }

        // Lives.
        let mut lives: HashMap<(bool, ValueId), [usize; 2]> = HashMap::new();
        let mut touch = |gradient: bool, v: ValueId, time: usize| {
            let key = (gradient, if gradient { gradient_root[v.0] } else { root[v.0] });
            let life = lives.entry(key).or_insert([time, time]);
            *life = [life[0].min(time), life[1].max(time)];
        };
        let mut saved: Vec<Option<(usize, usize)>> = vec![None; count];
        touch(false, self.spec.from, 0);
        for (i, d) in drafts.iter().enumerate() {
            for v in &d.reads {
                touch(false, *v, forward(i));
            }
            touch(false, d.writes, forward(i));
            let y = self.shapes[d.writes.0];
            saved[i] = match d.kind {
                Kind::BatchNorm(_) if d.trained => Some((0, 2 * y.c)),
                Kind::Dropout { .. } => Some((y.len(), 0)),
                _ => None,
            };
            if !needs(d.writes) {
                continue;
            }
            touch(true, d.writes, backward(i));
            for v in d.reads.iter().filter(|v| needs(**v)) {
                touch(true, *v, backward(i));
            }
            match d.kind {
                Kind::Conv { .. } | Kind::BatchNorm(_) | Kind::Gemm { .. } if d.trained => {
                    touch(false, d.reads[0], backward(i));
                }
                Kind::MaxPool(_) => {
                    touch(false, d.reads[0], backward(i));
                    touch(false, d.writes, backward(i));
                }
                Kind::Activation(_) | Kind::LogSoftmax { .. } => touch(false, d.writes, backward(i)),
                _ => {}
            }
        }
        let to = self.same[self.spec.to.0];
        let kept: Vec<ValueId> =
            self.spec.keep.iter().chain(&self.spec.gradients).map(|v| self.same[v.0]).chain([to]).collect();
        for v in &kept {
            touch(false, *v, end);
        }
        if needs(to) {
            touch(true, to, seed_time);
        }
        for v in &self.spec.gradients {
            touch(true, self.same[v.0], end);
        }

        // Places.
        let mut keys: Vec<(bool, ValueId)> = lives.keys().copied().collect();
        keys.sort_unstable();
        let mut storages: Vec<Storage> =
            keys.iter().map(|k| Storage { film: self.shapes[k.1.0].len(), fixed: 0, life: lives[k] }).collect();
        let mut saved_at = vec![None; count];
        for (i, d) in drafts.iter().enumerate() {
            if let Some((film, fixed)) = saved[i] {
                let last = if needs(d.writes) { backward(i) } else { forward(i) };
                saved_at[i] = Some(storages.len());
                storages.push(Storage { film, fixed, life: [forward(i), last] });
            }
        }
        let (regions, arena) = place(&storages, self.spec.capacity);
        let of: HashMap<(bool, ValueId), Region> = keys.into_iter().zip(regions.iter().copied()).collect();
        let value = |v: ValueId| of.get(&(false, root[v.0])).copied();
        let gradient = |v: ValueId| of.get(&(true, gradient_root[v.0])).copied().filter(|_| needs(v));
        let lost = || EngineError::Shape { what: "a value of the plan has no place".to_owned() };

        let mut steps = Vec::with_capacity(count);
        for (i, d) in drafts.into_iter().enumerate() {
            let dy = gradient(d.writes);
            steps.push(Step {
                x: d.reads.iter().map(|v| value(*v).ok_or_else(lost)).collect::<Result<_, _>>()?,
                y: value(d.writes).ok_or_else(lost)?,
                saved: saved_at[i].map(|s: usize| regions[s]),
                dx: d.reads.iter().map(|v| if dy.is_some() { gradient(*v) } else { None }).collect(),
                dy,
                shape: self.shapes[d.writes.0],
                name: d.name,
                kind: d.kind,
                trained: d.trained,
                part: d.part,
                reads: d.reads,
                writes: d.writes,
            });
        }
        let shaped = |v: ValueId, r: Region| (v, (r, self.shapes[v.0]));
        let gradients = (0..self.graph.values())
            .map(ValueId)
            .filter_map(|v| gradient(self.same[v.0]).map(|r| shaped(v, r)))
            .collect();
        let mut readable: HashMap<ValueId, (Region, Shape)> = HashMap::new();
        for v in self.spec.keep.iter().chain(&self.spec.gradients).chain([&self.spec.to]) {
            let (v, place) = shaped(*v, value(self.same[v.0]).ok_or_else(lost)?);
            readable.insert(v, place);
        }
        Ok(Schedule {
            steps,
            arena,
            capacity: self.spec.capacity,
            input: (value(self.spec.from).ok_or_else(lost)?, self.shapes[self.spec.from.0]),
            kept: readable,
            gradients,
            kept_gradients: self.spec.gradients.clone(),
            same: self.same,
        })
    }
}
