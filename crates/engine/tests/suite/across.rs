//! A backend against the naive one, on random graphs as they are trained.

use lungfish_engine::{
    Adam, AdamConfig, Backend, Graph, Input, PartId, Plan, PlanSpec, Seed, TensorSpec, ValueId, clip_gradients,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::naive::Naive;
use crate::random_graphs::{CLASSES, Dice, NONE, SIZE, filled, near, network};

/// Everything that a step of training leaves behind, each under its name.
fn step<B: Backend>(backend: &B, graph: &Graph, spec: &PlanSpec, seed: u64) -> Vec<(String, Vec<f32>)> {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let (n, x) = (spec.capacity, dice.floats(spec.capacity * 3 * SIZE * SIZE));
    let (targets, key) = (dice.floats(n * CLASSES), [seed, 7, 0, 0]);
    let mut store = filled(backend, graph, seed);
    let mut plan = Plan::new(backend, graph, spec.clone()).unwrap();
    let mut all = Vec::new();
    plan.forward(&mut store, n, Input::Values(&x), key).unwrap();
    for v in spec.keep.iter().chain([&spec.to]) {
        all.push((format!("value {v:?}"), plan.value(*v).unwrap()));
    }
    if let Ok(backward) = plan.backward(&mut store, Seed::Targets(&targets), false) {
        all.push(("loss".to_owned(), vec![backward.loss as f32]));
        assert_eq!(backward.output, Some(plan.output().unwrap()));
        for v in &spec.gradients {
            all.push((format!("gradient of {v:?}"), plan.gradient(*v).unwrap()));
        }
        for TensorSpec { name, .. } in graph.params() {
            all.push((format!("gradient of {name}"), store.gradient(name).unwrap()));
        }
        let norm = clip_gradients(&mut store, graph, &spec.train, 1.0).unwrap();
        all.push(("norm".to_owned(), vec![norm as f32]));
        let mut adam = Adam::new(backend, graph, &spec.train, AdamConfig::default()).unwrap();
        adam.step(&mut store, 1e-3).unwrap();
        all.push(("first moments".to_owned(), adam.state().unwrap().m));
    }
    for TensorSpec { name, .. } in graph.buffers() {
        all.push((name.clone(), store.get(name).unwrap()));
    }
    all
}

/// Within a thousandth of the largest element of each tensor: batch-norms of few pixels divide by small deviations.
fn a_step_computes_what_the_specification_says<B: Backend>(backend: &B) {
    let mut compared = 0;
    for seed in 0..300 {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(90_000 + seed));
        let graph = network(&mut dice);
        let parts: Vec<PartId> = graph.parts().iter().map(|p| graph.part(p).unwrap()).collect();
        let values: Vec<ValueId> = graph.nodes().iter().map(|node| node.output).collect();
        let (train, keep, gradients) = (dice.some(&parts, 50), dice.some(&values, 10), dice.some(&values, 10));
        let training = PlanSpec::training(&graph, 1 + dice.below(4), SIZE, NONE, &train);
        let spec = PlanSpec { keep, gradients, cache: Some(dice.below(8_000)), ..training };
        let (own, naive) = (step(backend, &graph, &spec, seed), step(&Naive, &graph, &spec, seed));
        assert_eq!(own.len(), naive.len());
        for ((what, own), (_, naive)) in own.iter().zip(&naive) {
            near(&format!("{what} of case {seed} {spec:?} of {:?}", graph.nodes()), own, naive);
            compared += own.len();
        }
    }
    assert!(compared > 100_000, "{compared}");
}

on_every_backend! {
    a_step_computes_what_the_specification_says,
}
