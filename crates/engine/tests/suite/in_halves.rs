//! Plans whose images are halves, held against the same plans in fp32: what holds of bf16 on the CPU and of f16 on a GPU.

use lungfish_engine::{Backend, Element, Graph, Input, PartId, Plan, PlanSpec, Precision, Seed};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::random_graphs::{CLASSES, Dice, NONE, SIZE, filled, network};

const N: usize = 4;

/// What a step gives: output, loss, and each parameter's gradient.
pub struct Step {
    pub output: Vec<f32>,
    pub loss: f64,
    pub gradients: Vec<(String, Vec<f32>)>,
    pub bytes: usize,
}

/// A graph, what is trained of it, films and targets.
pub type Case = (Graph, Vec<PartId>, Vec<f32>, Vec<f32>);

pub fn case(seed: u64) -> Case {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let graph = network(&mut dice);
    let parts: Vec<PartId> = graph.parts().iter().map(|p| graph.part(p).unwrap()).collect();
    let train = dice.some(&parts, 70);
    let (x, targets) = (dice.floats(N * 3 * SIZE * SIZE), dice.floats(N * CLASSES));
    (graph, train, x, targets)
}

pub fn step<B: Backend>(backend: &B, (graph, train, x, targets): &Case, seed: u64, precision: Precision) -> Step {
    let spec = PlanSpec { precision, ..PlanSpec::training(graph, N, SIZE, NONE, train) };
    let bytes = Plan::bytes(backend, graph, &spec).unwrap();
    let mut plan = Plan::new(backend, graph, spec).unwrap();
    let mut store = filled(backend, graph, seed);
    plan.forward(&mut store, N, Input::Values(x), [seed; 4]).unwrap();
    let output = plan.output().unwrap();
    let loss = plan.backward(&mut store, Seed::Targets(targets), false).map(|backward| backward.loss);
    let names = store.tensors().iter().map(|t| t.name.clone()).collect::<Vec<_>>();
    let gradients = names.into_iter().filter_map(|name| Some((name.clone(), store.gradient(&name).ok()?))).collect();
    Step { output, loss: loss.unwrap_or(0.0), gradients, bytes }
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

/// Random graphs, which have kinks and batches of few pixels: single ones may be far off, most must be near. `outputs` and
/// `gradients` are how far they may be off, of themselves, in the middle and of nine in ten.
pub fn near_single<B: Backend>(backend: &B, half: Precision, cases: u64, outputs: [f64; 2], gradients: [f64; 2]) {
    let (mut off_outputs, mut off_gradients, mut smaller) = (Vec::new(), Vec::new(), 0);
    for seed in 0..cases {
        let case = case(seed);
        let [single, half] = [Precision::Fp32, half].map(|precision| step(backend, &case, seed, precision));
        assert!(half.output.iter().all(|v| v.is_finite()) && half.loss.is_finite(), "case {seed}");
        let off = norm(half.output.iter().zip(&single.output).map(|(a, b)| a - b));
        off_outputs.push(off / norm(single.output.iter().copied()));
        for ((name, half), (other, single)) in half.gradients.iter().zip(&single.gradients) {
            assert_eq!(name, other);
            let size = norm(single.iter().copied());
            if size > 1e-3 {
                off_gradients.push(norm(half.iter().zip(single).map(|(a, b)| a - b)) / size);
            }
        }
        smaller += u64::from(half.bytes * 10 < single.bytes * 6);
    }
    let quantiles = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        [0.5, 0.9, 0.99].map(|part| values[(values.len() as f64 * part) as usize])
    };
    let (off_outputs, off_gradients) = (quantiles(&mut off_outputs), quantiles(&mut off_gradients));
    println!("{half:?}: outputs off by {off_outputs:?}, gradients by {off_gradients:?}");
    assert!(off_outputs[0] < outputs[0] && off_outputs[1] < outputs[1], "{off_outputs:?}");
    assert!(off_gradients[0] < gradients[0] && off_gradients[1] < gradients[1], "{off_gradients:?}");
    assert!(smaller * 3 > cases * 2, "{smaller}");
}

/// Images are halves; pixels, and what follows the pooling, are single floats.
pub fn images_are_halves_and_vectors_are_not<B: Backend>(backend: &B, half: Precision, element: Element) {
    let mut stored = [0, 0];
    for seed in 0..100 {
        let (graph, train, ..) = case(seed);
        let spec = PlanSpec { precision: half, ..PlanSpec::training(&graph, N, SIZE, NONE, &train) };
        let plan = Plan::new(backend, &graph, spec).unwrap();
        let schedule = plan.schedule();
        for step in &schedule.steps {
            let expected = if step.shape.pixels() > 1 { element } else { Element::F32 };
            // What has no pixels to pool is an image of one pixel.
            if step.shape.pixels() > 1 || step.x[0].element == Element::F32 {
                assert_eq!(step.y.element, expected, "case {seed}: {}", step.name);
            }
            stored[usize::from(step.y.element == element)] += 1;
            assert!(step.saved.is_none_or(|saved| saved.element == Element::F32));
            assert!(step.dy.is_none_or(|dy| dy.element == step.y.element));
        }
    }
    assert!(stored[0] > 300 && stored[1] > 500, "{stored:?}");
}

/// A value that is kept, its gradient, and a pass begun there, go in and out as single floats; `is_half` says whether one is a
/// half widened.
pub fn values_are_read_and_fed_as_single_floats<B: Backend>(
    backend: &B,
    half: Precision,
    is_half: impl Fn(f32) -> bool,
) {
    let (graph, _, x, targets) = case(3);
    let values: Vec<_> = graph.nodes().iter().map(|node| node.output).collect();
    let middle = values[2];
    let whole = PlanSpec { gradients: vec![middle], precision: half, ..PlanSpec::training(&graph, N, SIZE, NONE, &[]) };
    let mut store = filled(backend, &graph, 3);
    let mut plan = Plan::new(backend, &graph, whole.clone()).unwrap();
    plan.forward(&mut store, N, Input::Values(&x), [0; 4]).unwrap();
    plan.backward(&mut store, Seed::Targets(&targets), false).unwrap();
    let (value, gradient, output) =
        (plan.value(middle).unwrap(), plan.gradient(middle).unwrap(), plan.output().unwrap());
    assert!(value.iter().chain(&gradient).all(|v| is_half(*v)), "halves widened");
    assert!(gradient.iter().any(|v| *v != 0.0));
    let mut rest = Plan::new(backend, &graph, PlanSpec { from: middle, ..whole }).unwrap();
    rest.forward(&mut store, N, Input::Values(&value), [0; 4]).unwrap();
    assert_eq!(rest.output().unwrap(), output);
}
