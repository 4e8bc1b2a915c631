//! Plans of random graphs against the same graphs with every value and every gradient kept: then
//! nothing is fused, nothing works in place, and no two things share memory.

use std::collections::HashMap;

use lungfish_engine::{
    Backend, Graph, GraphBuilder, Input, Node, Normalization, Padding, PartId, Plan, PlanSpec, Seed, Store, ValueId,
    Window,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const NONE: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };
pub const SIZE: usize = 7;
const CAPACITY: usize = 4;
pub const CLASSES: usize = 3;

/// Random choices of one case.
pub struct Dice(pub ChaCha8Rng);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0.next_u32() as usize % n
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.0.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    /// Some of the items, each with that chance.
    pub fn some<T: Copy>(&mut self, items: &[T], percent: usize) -> Vec<T> {
        items.iter().copied().filter(|_| self.chance(percent)).collect()
    }
}

/// Three parts and a head; values are read by any number of later nodes, some by none.
pub fn network(dice: &mut Dice) -> Graph {
    let mut g = GraphBuilder::new(3);
    let mut pool: Vec<(ValueId, usize)> = vec![(g.input(), SIZE)];
    for part in 0..3 {
        g.part(&format!("part{part}"));
        for i in 0..2 + dice.below(5) {
            let name = format!("part{part}.{i}");
            // The newest most often, so that graphs are deep.
            let (x, side) = if dice.chance(70) { pool[pool.len() - 1] } else { pool[dice.below(pool.len())] };
            let c = g.channels(x);
            let stride = 1 + usize::from(side > 3 && dice.chance(20));
            let pad = if dice.chance(50) { Padding::all(1) } else { Padding::SameUpper };
            let three = Window::square(3, stride, pad);
            let small = side.div_ceil(stride);
            let twin = pool.iter().copied().rfind(|(v, s)| *v != x && *s == side && g.channels(*v) == c);
            let next = match dice.below(12) {
                0 | 1 => {
                    let bias = dice.chance(50);
                    (g.conv(&name, x, 4, three, 1, bias), small)
                }
                2 => (g.conv(&name, x, c, three, c, false), small),
                3 => (g.conv(&name, x, 4, Window::square(1, 1, Padding::all(0)), 1, true), side),
                4 | 5 => (g.batch_norm(&name, x, 1e-2, 0.3), side),
                6 => (g.relu(&name, x), side),
                7 => (g.clip(&name, x, -0.5, 0.75), side),
                8 => (g.dropout(&name, x, [0.0, 0.3][dice.below(2)]), side),
                9 => (g.max_pool(&name, x, three), small),
                // With an earlier value of its shape, or itself.
                _ => (g.add(&name, x, twin.map_or(x, |(other, _)| other)), side),
            };
            pool.push(next);
        }
    }
    g.part("head");
    let last = pool[pool.len() - 1].0;
    let other = pool[dice.below(pool.len())].0;
    let mut x = g.global_average_pool("avgpool", last);
    if other != last && g.channels(other) == g.channels(last) {
        let y = g.global_average_pool("avgpool2", other);
        x = g.add("sum", x, y);
    }
    let ratio = [0.0, 0.3][dice.below(2)];
    let x = g.dropout("drop", x, ratio);
    let x = g.gemm("fc1", x, 5);
    let y = g.relu("act", x);
    let x = if dice.chance(50) { g.add("skip", y, x) } else { y };
    let x = g.gemm("fc2", x, CLASSES);
    let x = g.log_softmax("log_softmax", x);
    g.finish(x).unwrap()
}

pub fn filled<B: Backend>(backend: &B, graph: &Graph, seed: u64) -> Store<B> {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let mut store = Store::new(backend, graph).unwrap();
    for t in store.tensors().to_vec() {
        let base = if t.name.ends_with("running_var") { 1.2 } else { 0.0 };
        let values: Vec<f32> = dice.floats(t.len()).iter().map(|v| v + base).collect();
        store.set(&t.name, &values).unwrap();
    }
    store
}

/// The nodes that compute `wanted` from `from`.
fn needed<'a>(graph: &'a Graph, from: ValueId, wanted: &[ValueId]) -> Vec<&'a Node> {
    let mut need = wanted.to_vec();
    let mut nodes = Vec::new();
    for node in graph.nodes().iter().rev().filter(|node| node.output != from) {
        if need.contains(&node.output) {
            need.extend(&node.inputs);
            nodes.push(node);
        }
    }
    nodes
}

pub fn near(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let top = want.iter().fold(0.1f32, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-3 * top, "{what}: [{i}] is {g}, with everything kept {w} (largest {top})");
    }
}

/// One step of training or inference, everything kept: what the lean plan is held against.
struct Reference<B: Backend> {
    plan: Plan<B>,
    store: Store<B>,
}

impl<B: Backend> Reference<B> {
    #[allow(clippy::too_many_arguments)]
    fn new(
        backend: &B,
        graph: &Graph,
        train: &[PartId],
        x: &[f32],
        n: usize,
        targets: &[f32],
        key: [u64; 4],
        seed: u64,
    ) -> Self {
        let values = graph.nodes().iter().map(|node| node.output).chain([Graph::INPUT]).collect();
        let spec = PlanSpec { gradients: values, ..PlanSpec::training(graph, n, SIZE, NONE, train) };
        let mut plan = Plan::new(backend, graph, spec).unwrap();
        let mut store = filled(backend, graph, seed);
        plan.forward(&mut store, n, Input::Values(x), key).unwrap();
        plan.backward(&mut store, Seed::Targets(targets), false).unwrap();
        Reference { plan, store }
    }
}

fn a_lean_plan_computes_what_a_plan_that_keeps_everything_does<B: Backend>(backend: &B) {
    let (mut fused, mut gathered) = (0, 0);
    let mut begun_in_the_middle = 0;
    let mut in_parts = 0;
    for seed in 0..600 {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(1000 + seed));
        let graph = network(&mut dice);
        let parts: Vec<PartId> = graph.parts().iter().map(|p| graph.part(p).unwrap()).collect();
        let train = dice.some(&parts, 50);
        let n = 1 + dice.below(CAPACITY);
        let key = [seed, 1, 2, 3];
        let x = dice.floats(n * 3 * SIZE * SIZE);
        let targets = dice.floats(n * CLASSES);
        let reference = Reference::new(backend, &graph, &train, &x, n, &targets, key, seed);

        let values: Vec<ValueId> = graph.nodes().iter().map(|node| node.output).collect();
        let keep = dice.some(&values, 10);
        let percent = if train.is_empty() { 15 } else { 5 };
        let gradients = dice.some(&values, percent);
        let from = if dice.chance(25) { values[dice.below(values.len())] } else { Graph::INPUT };
        let cache = Some(dice.below(8_000));
        let mut spec = PlanSpec { keep, gradients, cache, ..PlanSpec::training(&graph, CAPACITY, SIZE, NONE, &train) };
        if from != Graph::INPUT {
            spec.keep.retain(|v| *v >= from);
            spec.gradients.retain(|v| *v >= from);
            let middle = PlanSpec { from, ..spec.clone() };
            if Plan::bytes(backend, &graph, &middle).is_ok() {
                spec = middle;
                begun_in_the_middle += 1;
            }
        }
        let case = format!("case {seed}, {n} films, train {train:?}, {spec:?} of {:?}", graph.nodes());
        let mut plan = Plan::new(backend, &graph, spec.clone()).unwrap_or_else(|e| panic!("{e}: {case}"));
        in_parts += usize::from(plan.schedule().stretches.iter().any(|stretch| stretch.films < n));
        fused += graph.nodes().len() - plan.schedule().steps.len().min(graph.nodes().len());

        gathered += plan.schedule().steps.iter().filter(|step| step.statistics.is_some()).count() / 2;

        // Another batch first, so that every place holds something from before.
        let fed = graph.shape(spec.from, SIZE, SIZE).unwrap().len();
        let mut dirty = filled(backend, &graph, seed + 1);
        let first = plan.forward(&mut dirty, CAPACITY, Input::Values(&dice.floats(CAPACITY * fed)), key);
        first.unwrap_or_else(|e| panic!("{e}: {case}"));
        // Refused where the output depends on nothing that is trained or asked for.
        let backward = plan.backward(&mut dirty, Seed::Targets(&dice.floats(CAPACITY * CLASSES)), false).is_ok();

        let mut store = filled(backend, &graph, seed);
        let input = if spec.from == Graph::INPUT { x } else { reference.plan.value(spec.from).unwrap() };
        plan.forward(&mut store, n, Input::Values(&input), key).unwrap_or_else(|e| panic!("{e}: {case}"));
        if backward {
            plan.backward(&mut store, Seed::Targets(&targets), false).unwrap_or_else(|e| panic!("{e}: {case}"));
        }
        let wanted: Vec<ValueId> = spec.keep.iter().chain(&spec.gradients).chain([&spec.to]).copied().collect();
        for v in &wanted {
            near(&format!("value {v:?} of {case}"), &plan.value(*v).unwrap(), &reference.plan.value(*v).unwrap());
        }
        let nodes = needed(&graph, spec.from, &wanted);
        let names: HashMap<_, _> = nodes.iter().map(|node| (&node.name[..], node.part)).collect();
        for t in store.tensors().to_vec() {
            let (module, leaf) = t.name.rsplit_once('.').unwrap();
            if !names.contains_key(module) {
                continue;
            }
            let what = format!("{} of {case}", t.name);
            near(&what, &store.get(&t.name).unwrap(), &reference.store.get(&t.name).unwrap());
            if !leaf.starts_with("running") && train.contains(&names[module]) {
                let want = reference.store.gradient(&t.name).unwrap();
                near(&format!("gradient of {what}"), &store.gradient(&t.name).unwrap(), &want);
            }
        }
        for v in spec.gradients.iter().filter(|_| backward) {
            let got = plan.gradient(*v).unwrap_or_else(|e| panic!("{e}: {case}"));
            near(&format!("gradient at {v:?} of {case}"), &got, &reference.plan.gradient(*v).unwrap());
        }
    }
    assert!(in_parts > 40, "{in_parts} run a few films at a time");
    assert!(gathered > 40, "{gathered} batch-norms after a convolution");
    assert!(fused > 300 && begun_in_the_middle > 20, "{fused} nodes fused, {begun_in_the_middle} begun in the middle");
}

on_every_backend! {
    a_lean_plan_computes_what_a_plan_that_keeps_everything_does,
}
