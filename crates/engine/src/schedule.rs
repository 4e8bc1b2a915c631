//! A graph compiled for one image size and one set of trained parts: the steps a backend runs,
//! with the place of everything they touch. The same for every backend; what a step computes stands with its operator.

mod draft;
mod elements;
mod lives;
mod stretches;

use std::collections::HashMap;

pub use stretches::Stretch;

pub use crate::ops::{
    Activation, BatchNormStep, ConvStep, DropoutStep, GemmStep, Kind, LogSoftmaxStep, Norm, Sliding, dropout_mask,
};
use crate::{Element, EngineError, Graph, PlanSpec, Region, Shape, ValueId};

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
    /// Where a convolution leaves mean and variance of what it writes, `[2, c]`, and the trained batch-norm that alone
    /// reads it finds them: the batch-norm's `saved`. A backend may do without, and take them when it normalises.
    pub statistics: Option<Region>,
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
    /// The steps again, one after the other: how many films go through them at a time.
    pub stretches: Vec<Stretch>,
    /// Bytes of the arena.
    pub arena: usize,
    /// Most films a batch.
    pub capacity: usize,
    /// Where the fed value lies, and its shape.
    pub input: (Region, Shape),
    /// The step that alone reads the fed value, a convolution, where nobody else wants that value or its gradient: a
    /// backend may then keep gray films as one plane.
    pub gray_reader: Option<usize>,
    /// Regions of values that stay readable, with their shapes.
    pub(crate) kept: HashMap<ValueId, (Region, Shape)>,
    /// Gradient regions of all values that have one.
    pub(crate) gradients: HashMap<ValueId, (Region, Shape)>,
    /// Values whose gradient stays readable.
    pub(crate) kept_gradients: Vec<ValueId>,
    /// By value: the one that holds it (a dropout that does nothing writes its input).
    pub(crate) same: Vec<ValueId>,
}

impl Schedule {
    /// `cache` as in [`PlanSpec::cache`]; all films at once without it. `piece` as in [`Backend::piece`](crate::Backend::piece).
    pub(crate) fn new(
        graph: &Graph,
        spec: &PlanSpec,
        cache: Option<usize>,
        piece: Option<usize>,
    ) -> Result<Self, EngineError> {
        spec.check(graph)?;
        let drafts = draft::Drafts::new(graph, spec)?;
        let stretches = stretches::cut(&drafts, spec.capacity, cache);
        let places = lives::Places::new(&drafts, &stretches, spec, piece)?;
        let lost = |v: ValueId| EngineError::Shape { what: format!("value {} of the plan has no place", v.0) };
        let value = |v: ValueId| places.value(v).ok_or_else(|| lost(v));
        let (shapes, same) = (drafts.shapes, drafts.same);

        let mut kept = HashMap::new();
        for v in spec.keep.iter().chain(&spec.gradients).chain([&spec.to]) {
            kept.insert(*v, (value(same[v.0])?, shapes[v.0]));
        }
        let gradient_of = |v: ValueId| places.gradient(same[v.0]).map(|region| (v, (region, shapes[v.0])));
        let gradients = (0..graph.values()).map(ValueId).filter_map(gradient_of).collect();

        let mut steps = Vec::with_capacity(drafts.steps.len());
        for (i, draft) in drafts.steps.into_iter().enumerate() {
            let dy = places.gradient(draft.writes);
            steps.push(Step {
                x: draft.reads.iter().map(|v| value(*v)).collect::<Result<_, _>>()?,
                y: value(draft.writes)?,
                saved: places.saved(i),
                statistics: draft.statistics.and_then(|norm| places.saved(norm)),
                dx: draft.reads.iter().map(|v| dy.and_then(|_| places.gradient(*v))).collect(),
                dy,
                shape: shapes[draft.writes.0],
                name: draft.name,
                kind: draft.kind,
                trained: draft.trained,
                part: draft.part,
                reads: draft.reads,
                writes: draft.writes,
            });
        }
        let mut readers = steps.iter().enumerate().filter(|(_, step)| step.reads.contains(&same[spec.from.0]));
        let gray_reader = match (readers.next(), readers.next()) {
            (Some((i, step)), None) if !kept.contains_key(&spec.from) => Some(i).filter(|_| {
                matches!(step.kind, Kind::Conv(_))
                    && step.x[0].element == Element::F32
                    && step.reads.len() == 1
                    && step.dx.iter().all(Option::is_none)
            }),
            _ => None,
        };
        Ok(Schedule {
            gray_reader,
            steps,
            stretches,
            arena: places.arena,
            capacity: spec.capacity,
            input: (value(spec.from)?, shapes[spec.from.0]),
            kept,
            gradients,
            kept_gradients: spec.gradients.clone(),
            same,
        })
    }

    /// The steps of a backward pass begun at `seed`, whose gradient is already in place, and the
    /// values that have a gradient after them: those that `seed` depends on.
    pub(crate) fn backward_steps(&self, seed: ValueId) -> (Vec<BackwardStep>, Vec<ValueId>) {
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
        (list, written)
    }
}
