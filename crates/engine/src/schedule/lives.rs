//! From when to when each value and each gradient is needed, which of them share a place, and
//! where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::draft::{Draft, Drafts};
use super::stretches::Stretch;
use crate::memory::{Storage, place};
use crate::{Element, EngineError, PlanSpec, Region, ValueId};

/// The moments of a pass: 0 feeds the input, then the steps, then the seed of the backward pass,
/// then the steps in reverse, then the caller reads.
#[derive(Clone, Copy)]
struct Clock {
    steps: usize,
}

impl Clock {
    fn forward(self, step: usize) -> usize {
        step + 1
    }

    fn seed(self) -> usize {
        self.steps + 1
    }

    fn backward(self, step: usize) -> usize {
        2 * self.steps + 1 - step
    }

    fn end(self) -> usize {
        2 * self.steps + 2
    }
}

/// What a storage holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Value(ValueId),
    Gradient(ValueId),
    /// Of a step, from its forward to its backward.
    Saved(usize),
}

/// The place of everything.
pub(super) struct Places {
    regions: BTreeMap<Holds, Region>,
    /// By value: the value in whose place it lies.
    root: Vec<ValueId>,
    gradient_root: Vec<ValueId>,
    needs_gradient: Vec<bool>,
    /// Bytes in all.
    pub arena: usize,
}

impl Holds {
    /// A gradient lies as its value does; statistics and masks are single floats.
    fn element(self, drafts: &Drafts) -> Element {
        match self {
            Holds::Value(v) | Holds::Gradient(v) => drafts.elements[v.0],
            Holds::Saved(_) => Element::F32,
        }
    }
}

impl Places {
    pub fn value(&self, v: ValueId) -> Option<Region> {
        self.regions.get(&Holds::Value(self.root[v.0])).copied()
    }

    pub fn gradient(&self, v: ValueId) -> Option<Region> {
        self.regions.get(&Holds::Gradient(self.gradient_root[v.0])).copied().filter(|_| self.needs_gradient[v.0])
    }

    pub fn saved(&self, step: usize) -> Option<Region> {
        self.regions.get(&Holds::Saved(step)).copied()
    }

    pub fn new(
        drafts: &Drafts,
        stretches: &[Stretch],
        spec: &PlanSpec,
        piece: Option<usize>,
    ) -> Result<Self, EngineError> {
        let (root, gradient_root) = shared(drafts);
        let clock = Clock { steps: drafts.steps.len() };
        let mut storages: BTreeMap<Holds, Storage> = BTreeMap::new();
        // By value: the stretches whose steps touch it, and whether anybody else does.
        let mut touched: BTreeMap<ValueId, (BTreeSet<usize>, bool)> = BTreeMap::new();
        let stretch_of = |time: usize| stretches.iter().position(|s| s.steps.contains(&time.wrapping_sub(1)));
        let mut touch = |holds: Holds, time: usize| {
            let (holds, film) = match holds {
                Holds::Value(v) => (Holds::Value(root[v.0]), drafts.shapes[v.0].len()),
                Holds::Gradient(v) => (Holds::Gradient(gradient_root[v.0]), drafts.shapes[v.0].len()),
                Holds::Saved(step) => (holds, drafts.saved_len(&drafts.steps[step]).0),
            };
            let fixed = if let Holds::Saved(step) = holds { drafts.saved_len(&drafts.steps[step]).1 } else { 0 };
            let storage =
                Storage { element: holds.element(drafts), film, fixed, films: spec.capacity, life: [time; 2] };
            let life = &mut storages.entry(holds).or_insert(storage).life;
            *life = [life[0].min(time), life[1].max(time)];
            if let Holds::Value(v) = holds {
                let (within, beyond) = touched.entry(v).or_default();
                match stretch_of(time) {
                    Some(stretch) => _ = within.insert(stretch),
                    None => *beyond = true,
                }
            }
        };
        touch(Holds::Value(spec.from), 0);
        for (i, draft) in drafts.steps.iter().enumerate() {
            let saves = drafts.saves(draft);
            for v in draft.reads.iter().chain([&draft.writes]) {
                touch(Holds::Value(*v), clock.forward(i));
            }
            if saves {
                touch(Holds::Saved(i), clock.forward(i));
            }
            if let Some(norm) = draft.statistics {
                touch(Holds::Saved(norm), clock.forward(i));
            }
            if !drafts.needs_gradient[draft.writes.0] {
                continue;
            }
            let now = clock.backward(i);
            for v in draft.reads.iter().chain([&draft.writes]).filter(|v| drafts.needs_gradient[v.0]) {
                touch(Holds::Gradient(*v), now);
            }
            if saves {
                touch(Holds::Saved(i), now);
            }
            let (x, y) = reads_again(draft);
            if x {
                touch(Holds::Value(draft.reads[0]), now);
            }
            if y {
                touch(Holds::Value(draft.writes), now);
            }
        }
        let to = drafts.same[spec.to.0];
        if drafts.needs_gradient[to.0] {
            touch(Holds::Gradient(to), clock.seed());
        }
        for v in spec.keep.iter().chain(&spec.gradients).chain([&spec.to]) {
            touch(Holds::Value(drafts.same[v.0]), clock.end());
        }
        for v in &spec.gradients {
            touch(Holds::Gradient(drafts.same[v.0]), clock.end());
        }
        for (v, (within, beyond)) in touched {
            let Some(storage) = storages.get_mut(&Holds::Value(v)) else { continue };
            let several = |s: &&Stretch| s.films < spec.capacity;
            if let (1, false, Some(&only)) = (within.len(), beyond, within.first()) {
                storage.films = stretches[only].films;
                continue;
            }
            // All films' values lie there while the stretch runs, part after part.
            for stretch in within.iter().map(|&i| &stretches[i]).filter(several) {
                let Range { start, end } = stretch.steps;
                let [first, last] = storage.life;
                storage.life = [first.min(clock.forward(start)), last.max(clock.forward(end - 1))];
            }
        }
        let list: Vec<Storage> = storages.values().cloned().collect();
        let (regions, arena) = place(&list, spec.capacity, piece)?;
        let regions = storages.into_keys().zip(regions).collect();
        Ok(Places { regions, root, gradient_root, needs_gradient: drafts.needs_gradient.clone(), arena })
    }
}

/// Whether the backward of a step reads its input and its output again.
fn reads_again(draft: &Draft) -> (bool, bool) {
    draft.kind.rules().reads_again(draft.trained, draft.reads.len())
}

/// Which values, and which gradients, lie in another's place.
fn shared(drafts: &Drafts) -> (Vec<ValueId>, Vec<ValueId>) {
    let mut root: Vec<ValueId> = (0..drafts.shapes.len()).map(ValueId).collect();
    let mut gradient_root = root.clone();
    for draft in &drafts.steps {
        let rules = draft.kind.rules();
        // In place where nobody else needs what it reads, the backward of what wrote that included.
        if rules.works_in_place() {
            let x = draft.reads[0];
            let writer = drafts.steps.iter().find(|w| w.writes == x);
            if drafts.passing(x) && writer.is_some_and(|w| !reads_again(w).1) {
                root[draft.writes.0] = root[x.0];
                if !drafts.pinned[draft.writes.0] {
                    gradient_root[draft.writes.0] = gradient_root[x.0];
                }
            }
        }
        if rules.gradient_in_place(draft.trained) && !drafts.pinned[draft.writes.0] {
            let free = draft.reads.iter().find(|v| drafts.passing(**v) && drafts.needs_gradient[v.0]);
            if let Some(v) = free {
                gradient_root[draft.writes.0] = gradient_root[v.0];
            }
        }
    }
    (root, gradient_root)
}
