//! What a backward pass begins with and gives: losses of one label out of many and of any of many.

use lungfish_engine::{
    Adam, AdamConfig, Backend, EngineError, Graph, GraphBuilder, Input, Normalization, Plan, PlanSpec, Seed, Store,
    initialise, sigmoid,
};

const NONE: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

/// `z`, `ln(1 + exp(z))`, `ln(1 + exp(-z))` and `1 / (1 + exp(-z))`, worked out with sixty digits.
const CLOSED_FORM: [(f32, f64, f64, f64); 9] = [
    (-100.0, 3.720_075_976_020_836e-44, 100.0, 3.720_075_976_020_836e-44),
    (-37.5, 5.175_555_005_801_868e-17, 37.5, 5.175_555_005_801_868e-17),
    (-3.0, 0.048_587_351_573_742_06, 3.048_587_351_573_742, 0.047_425_873_177_566_78),
    (-0.25, 0.575_939_419_878_843_6, 0.825_939_419_878_843_6, 0.437_823_499_114_201_9),
    (0.0, std::f64::consts::LN_2, std::f64::consts::LN_2, 0.5),
    (2.5, 2.578_889_734_292_549_6, 0.078_889_734_292_549_62, 0.924_141_819_978_756_4),
    (30.0, 30.000_000_000_000_094, 9.357_622_968_839_737e-14, 0.999_999_999_999_906_4),
    (88.75, 88.75, 2.859_991_425_549_872e-39, 1.0),
    (100.0, 100.0, 3.720_075_976_020_836e-44, 1.0),
];

/// Logits that are what is fed: a linear layer of weights 1.
fn identity<B: Backend>(backend: &B, labels: usize) -> (Graph, Store<B>) {
    let mut g = GraphBuilder::new(labels);
    let x = g.input();
    let x = g.gemm("logits", x, labels);
    let graph = g.finish(x).unwrap();
    let mut store = Store::new(backend, &graph).unwrap();
    let weights: Vec<f32> = (0..labels * labels).map(|i| if i % (labels + 1) == 0 { 1.0 } else { 0.0 }).collect();
    store.set("logits.weight", &weights).unwrap();
    (graph, store)
}

/// To a millionth of a millionth for the loss, which is summed in f64, and to half a unit of f32 for the gradient.
fn binary_targets_are_the_closed_form<B: Backend>(backend: &B) {
    let (graph, mut store) = identity(backend, 1);
    let spec = PlanSpec { gradients: vec![graph.output()], ..PlanSpec::inference(&graph, 1, 1, NONE) };
    let mut plan = Plan::new(backend, &graph, spec).unwrap();
    for (z, up, down, probability) in CLOSED_FORM {
        assert!((f64::from(sigmoid(z)) - probability).abs() <= 6e-8 * probability + 1e-45, "{z}: {}", sigmoid(z));
        for (p, q) in [(1.0f32, 0.0f32), (0.0, 1.0), (0.25, 1.5), (0.0, 0.0)] {
            plan.forward(&mut store, 1, Input::Values(&[z]), [0; 4]).unwrap();
            let seed = Seed::BinaryTargets { positive: &[p], negative: &[q] };
            let backward = plan.backward(&mut store, seed, false).unwrap();
            assert_eq!(backward.output, Some(vec![z]));
            let loss = f64::from(p) * down + f64::from(q) * up;
            assert!((backward.loss - loss).abs() <= 1e-12 * loss, "{z} {p} {q}: {} is not {loss}", backward.loss);
            // sigmoid(-z) is what is left of 1, exactly only where it is small.
            let opposite = CLOSED_FORM.iter().find(|row| row.0 == -z).map_or(1.0 - probability, |row| row.3);
            let slope = f64::from(q) * probability - f64::from(p) * opposite;
            let got = f64::from(plan.gradient(graph.output()).unwrap()[0]);
            assert!((got - slope).abs() <= 6e-8 * slope.abs() + 1e-16, "{z} {p} {q}: {got} is not {slope}");
        }
    }
}

/// `BCEWithLogitsLoss(weight, pos_weight)` as its documentation defines it, the mean over all elements.
fn weights_and_masks_are_in_the_rows<B: Backend>(backend: &B) {
    let (n, labels) = (3, 4);
    let (graph, mut store) = identity(backend, labels);
    let spec = PlanSpec { gradients: vec![graph.output()], ..PlanSpec::inference(&graph, n, 1, NONE) };
    let mut plan = Plan::new(backend, &graph, spec).unwrap();
    let z: Vec<f32> = (0..n * labels).map(|i| (i as f32 * 1.7).sin() * 4.0).collect();
    let targets: Vec<f64> = (0..n * labels).map(|i| [0.0, 1.0, 0.9][i % 3]).collect();
    let weight: Vec<f64> =
        (0..n * labels).map(|i| if i % 5 == 0 { 0.0 } else { 0.5 + 0.25 * (i % 3) as f64 }).collect();
    let positive_weight = [1.0, 3.0, 0.5, 2.0];
    let mean = 1.0 / (n * labels) as f64;
    let (mut p, mut q, mut loss, mut slopes) = (vec![], vec![], 0.0, vec![]);
    for i in 0..n * labels {
        let (z, t, w) = (f64::from(z[i]), targets[i], weight[i]);
        let (s, pos) = (1.0 / (1.0 + (-z).exp()), positive_weight[i % labels]);
        loss -= mean * w * (pos * t * s.ln() + (1.0 - t) * (1.0 - s).ln());
        slopes.push(mean * w * (s * (1.0 - t) - pos * t * (1.0 - s)));
        p.push((mean * w * pos * t) as f32);
        q.push((mean * w * (1.0 - t)) as f32);
    }
    plan.forward(&mut store, n, Input::Values(&z), [0; 4]).unwrap();
    let backward = plan.backward(&mut store, Seed::BinaryTargets { positive: &p, negative: &q }, false).unwrap();
    assert!((backward.loss - loss).abs() < 1e-7 * loss, "{} is not {loss}", backward.loss);
    for (i, (got, slope)) in plan.gradient(graph.output()).unwrap().iter().zip(&slopes).enumerate() {
        assert!((f64::from(*got) - slope).abs() < 1e-8, "[{i}] {got} is not {slope}");
        assert_eq!(weight[i] == 0.0, *got == 0.0);
    }
}

fn labels_are_learned_each_by_itself<B: Backend>(backend: &B) {
    let mut g = GraphBuilder::new(2);
    let x = g.input();
    let x = g.gemm("hidden", x, 8);
    let x = g.relu("relu", x);
    let x = g.gemm("logits", x, 3);
    let graph = g.finish(x).unwrap();
    let all = [graph.part("network").unwrap()];
    let mut store = Store::new(backend, &graph).unwrap();
    initialise(&mut store, &graph, 1).unwrap();
    let untouched = store.get("logits.weight").unwrap()[16..].to_vec();
    let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, 4, 1, NONE, &all)).unwrap();
    let mut adam = Adam::new(backend, &graph, &all, AdamConfig::default()).unwrap();
    let x = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    // Whether the first holds, whether either does; nobody knows of the third.
    let (p, q) = ([0.0, 0.0, 0.0, 0.0, 0.25, 0.0, 0.25, 0.25, 0.0, 0.25, 0.25, 0.0], {
        [0.25, 0.25, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    });
    let mut losses = Vec::new();
    for _ in 0..400 {
        plan.forward(&mut store, 4, Input::Values(&x), [0; 4]).unwrap();
        let seed = Seed::BinaryTargets { positive: &p, negative: &q };
        losses.push(plan.backward(&mut store, seed, false).unwrap().loss);
        adam.step(&mut store, 0.05).unwrap();
    }
    assert!(losses[0] > 0.8 && losses[399] < 0.05, "{} to {}", losses[0], losses[399]);
    plan.forward(&mut store, 4, Input::Values(&x), [0; 4]).unwrap();
    for (row, (p, q)) in plan.output().unwrap().chunks(3).zip(p.chunks(3).zip(q.chunks(3))) {
        for label in 0..2 {
            assert_eq!(sigmoid(row[label]) > 0.5, p[label] > q[label]);
        }
    }
    assert_eq!(store.get("logits.weight").unwrap()[16..], untouched);
}

fn a_loss_wants_rows_of_its_output<B: Backend>(backend: &B) {
    let (graph, mut store) = identity(backend, 2);
    let all = [graph.part("network").unwrap()];
    let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, 1, 1, NONE, &all)).unwrap();
    plan.forward(&mut store, 1, Input::Values(&[f32::INFINITY, 1.0]), [0; 4]).unwrap();
    let mut says = |positive: &[f32], negative: &[f32]| {
        plan.backward(&mut store, Seed::BinaryTargets { positive, negative }, false).unwrap_err().to_string()
    };
    assert_eq!(says(&[1.0], &[0.0, 0.0]), "rows of positive targets has 1 elements where 2 are needed");
    assert_eq!(says(&[1.0, 0.0], &[0.0; 3]), "rows of negative targets has 3 elements where 2 are needed");
    // The gradient of one's own loss comes with none.
    let own = plan.backward(&mut store, Seed::Gradient(graph.output(), &[1.0, 0.0]), false).unwrap();
    assert_eq!((own.loss, own.output), (0.0, None));
    assert!(matches!(plan.backward(&mut store, Seed::Targets(&[1.0, 0.0]), false), Err(EngineError::Spent)));
}

on_every_backend! {
    binary_targets_are_the_closed_form,
    weights_and_masks_are_in_the_rows,
    labels_are_learned_each_by_itself,
    a_loss_wants_rows_of_its_output,
}
