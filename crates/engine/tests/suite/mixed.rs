//! Plans in bf16 on the CPU, held against the same plans in fp32.

use lungfish_engine::{Cpu, Element, Graph, Input, PartId, Plan, PlanSpec, Precision, Seed, Store};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::random_graphs::{CLASSES, Dice, NONE, SIZE, filled, network};

const N: usize = 4;

/// What a step gives: output, loss, and each parameter's gradient.
struct Step {
    output: Vec<f32>,
    loss: f64,
    gradients: Vec<(String, Vec<f32>)>,
    bytes: usize,
}

fn step(graph: &Graph, train: &[PartId], x: &[f32], targets: &[f32], seed: u64, precision: Precision) -> Step {
    let spec = PlanSpec { precision, ..PlanSpec::training(graph, N, SIZE, NONE, train) };
    let bytes = Plan::bytes(&Cpu::new(), graph, &spec).unwrap();
    let mut plan = Plan::new(&Cpu::new(), graph, spec).unwrap();
    let mut store = filled(&Cpu::new(), graph, seed);
    plan.forward(&mut store, N, Input::Values(x), [seed; 4]).unwrap();
    let output = plan.output().unwrap();
    let loss = plan.backward(&mut store, Seed::Targets(targets), false).map(|backward| backward.loss);
    let names = store.tensors().iter().map(|t| t.name.clone()).collect::<Vec<_>>();
    let gradients = names.into_iter().filter_map(|name| Some((name.clone(), store.gradient(&name).ok()?))).collect();
    Step { output, loss: loss.unwrap_or(0.0), gradients, bytes }
}

fn case(seed: u64) -> (Graph, Vec<PartId>, Vec<f32>, Vec<f32>) {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let graph = network(&mut dice);
    let parts: Vec<PartId> = graph.parts().iter().map(|p| graph.part(p).unwrap()).collect();
    let train = dice.some(&parts, 70);
    let (x, targets) = (dice.floats(N * 3 * SIZE * SIZE), dice.floats(N * CLASSES));
    (graph, train, x, targets)
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

/// Random graphs, which have kinks and batches of few pixels: single ones may be far off, most must be near.
#[test]
fn random_graphs_are_near_those_of_single_precision() {
    let (mut outputs, mut gradients, mut smaller) = (Vec::new(), Vec::new(), 0);
    for seed in 0..300 {
        let (graph, train, x, targets) = case(seed);
        let [single, half] =
            [Precision::Fp32, Precision::Bf16].map(|precision| step(&graph, &train, &x, &targets, seed, precision));
        assert!(half.output.iter().all(|v| v.is_finite()) && half.loss.is_finite(), "case {seed}");
        let off = norm(half.output.iter().zip(&single.output).map(|(a, b)| a - b));
        outputs.push(off / norm(single.output.iter().copied()));
        for ((name, half), (other, single)) in half.gradients.iter().zip(&single.gradients) {
            assert_eq!(name, other);
            let size = norm(single.iter().copied());
            if size > 1e-3 {
                gradients.push(norm(half.iter().zip(single).map(|(a, b)| a - b)) / size);
            }
        }
        smaller += usize::from(half.bytes * 10 < single.bytes * 6);
    }
    let at = |values: &mut Vec<f64>, part: f64| {
        values.sort_by(f64::total_cmp);
        values[(values.len() as f64 * part) as usize]
    };
    let quantiles = |values: &mut Vec<f64>| [0.5, 0.9, 0.99].map(|part| at(values, part));
    let (outputs, gradients) = (quantiles(&mut outputs), quantiles(&mut gradients));
    assert!(outputs[0] < 0.01 && outputs[1] < 0.03, "{outputs:?}");
    assert!(gradients[0] < 0.02 && gradients[1] < 0.1, "{gradients:?}");
    assert!(smaller > 200, "{smaller}");
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_again() {
    for seed in 0..40 {
        let (graph, train, x, targets) = case(seed);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let step = pool.install(|| step(&graph, &train, &x, &targets, seed, Precision::Bf16));
            let gradients = step.gradients.into_iter().flat_map(|(_, values)| values);
            step.output.into_iter().chain(gradients).map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = run(1);
        assert!(one == run(1) && one == run(2) && one == run(5), "case {seed}");
    }
}

/// Images are bfloat16; pixels, and what follows the pooling, are single floats.
#[test]
fn images_are_halves_and_vectors_are_not() {
    let mut stored = [0, 0];
    for seed in 0..100 {
        let (graph, train, ..) = case(seed);
        let spec = PlanSpec { precision: Precision::Bf16, ..PlanSpec::training(&graph, N, SIZE, NONE, &train) };
        let plan = Plan::new(&Cpu::new(), &graph, spec).unwrap();
        let schedule = plan.schedule();
        for step in &schedule.steps {
            let expected = if step.shape.pixels() > 1 { Element::Bf16 } else { Element::F32 };
            // What has no pixels to pool is an image of one pixel.
            if step.shape.pixels() > 1 || step.x[0].element == Element::F32 {
                assert_eq!(step.y.element, expected, "case {seed}: {}", step.name);
            }
            stored[usize::from(step.y.element == Element::Bf16)] += 1;
            assert!(step.saved.is_none_or(|saved| saved.element == Element::F32));
            assert!(step.dy.is_none_or(|dy| dy.element == step.y.element));
        }
    }
    assert!(stored[0] > 300 && stored[1] > 500, "{stored:?}");
}

/// A value that is kept, its gradient, and a pass begun there, go in and out as single floats.
#[test]
fn values_are_read_and_fed_as_single_floats() {
    let (graph, _, x, targets) = case(3);
    let values: Vec<_> = graph.nodes().iter().map(|node| node.output).collect();
    let middle = values[2];
    let whole = PlanSpec {
        gradients: vec![middle],
        precision: Precision::Bf16,
        ..PlanSpec::training(&graph, N, SIZE, NONE, &[])
    };
    let mut store: Store<Cpu> = filled(&Cpu::new(), &graph, 3);
    let mut plan = Plan::new(&Cpu::new(), &graph, whole.clone()).unwrap();
    plan.forward(&mut store, N, Input::Values(&x), [0; 4]).unwrap();
    plan.backward(&mut store, Seed::Targets(&targets), false).unwrap();
    let (value, gradient, output) = (plan.value(middle).unwrap(), plan.gradient(middle), plan.output().unwrap());
    assert!(value.iter().all(|v| v.to_bits() & 0xffff == 0), "bfloat16 widened");
    assert!(gradient.unwrap().iter().any(|v| *v != 0.0));
    let mut rest = Plan::new(&Cpu::new(), &graph, PlanSpec { from: middle, ..whole }).map_err(|e| e.to_string());
    if let Ok(rest) = &mut rest {
        rest.forward(&mut store, N, Input::Values(&value), [0; 4]).unwrap();
        assert_eq!(rest.output().unwrap(), output);
    }
}
