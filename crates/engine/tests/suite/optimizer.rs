//! Adam with a rate for each part and a cycled beta1, against PyTorch (golden/engine/optimizer.py).

use lungfish_engine::{
    Adam, AdamConfig, Backend, Graph, GraphBuilder, Input, Normalization, PartId, Plan, PlanSpec, Seed, Store,
    gradient_norm, scale_gradients,
};
use serde_json::Value;

const NONE: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };
const PARTS: [&str; 3] = ["first", "second", "head"];
const FEATURES: [usize; 4] = [6, 5, 4, 3];
const FILMS: usize = 8;

fn sines(count: usize, seed: usize, scale: f64) -> Vec<f32> {
    (0..count).map(|i| (scale * (1.7 * i as f64 + seed as f64).sin()) as f32).collect()
}

fn network<B: Backend>(backend: &B) -> (Graph, Store<B>) {
    let mut g = GraphBuilder::new(FEATURES[0]);
    let mut x = g.input();
    for (i, part) in PARTS.iter().enumerate() {
        g.part(part);
        x = g.gemm(part, x, FEATURES[i + 1]);
        x = if i < 2 { g.relu(&format!("{part}.relu"), x) } else { g.log_softmax("output", x) };
    }
    let graph = g.finish(x).unwrap();
    let mut store = Store::new(backend, &graph).unwrap();
    for (i, part) in PARTS.iter().enumerate() {
        store.set(&format!("{part}.weight"), &sines(FEATURES[i] * FEATURES[i + 1], i, 0.5)).unwrap();
        store.set(&format!("{part}.bias"), &sines(FEATURES[i + 1], 10 + i, 0.1)).unwrap();
    }
    (graph, store)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn steps_with_a_rate_a_part_are_torchs<B: Backend>(backend: &B) {
    let golden: Value = serde_json::from_str(include_str!("../../../../golden/engine/optimizer.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let (graph, mut store) = network(backend);
        // In another order than the graph's: rates go by part and not by place.
        let parts: Vec<PartId> = PARTS.iter().rev().map(|name| graph.part(name).unwrap()).collect();
        let config = AdamConfig {
            weight_decay: number(&case["weight_decay"]),
            decoupled: case["decoupled"].as_bool().unwrap(),
            ..AdamConfig::default()
        };
        let mut adam = Adam::new(backend, &graph, &parts, config).unwrap();
        let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, FILMS, 1, NONE, &parts)).unwrap();
        let losses = case["losses"].as_array().unwrap();
        assert_eq!(losses.len(), 20);
        for (step, expected) in losses.iter().enumerate() {
            let x = sines(FILMS * FEATURES[0], 20 + step, 1.0);
            let mut targets = [0.0; FILMS * 3];
            (0..FILMS).for_each(|film| targets[film * 3 + (film + step) % 3] = 1.0 / FILMS as f32);
            plan.forward(&mut store, FILMS, Input::Values(&x), [0; 4]).unwrap();
            let loss = plan.backward(&mut store, Seed::Targets(&targets), false).unwrap().loss;
            assert!((loss - number(expected)).abs() < 1e-5, "{} step {step}: {loss} {expected}", case["name"]);
            let rate = |part: PartId| {
                let place = PARTS.iter().position(|name| *name == graph.part_name(part)).unwrap();
                number(&case["rates"][step][place])
            };
            adam.step_with(&mut store, rate, number(&case["beta1"][step])).unwrap();
        }
        for (name, expected) in case["parameters"].as_object().unwrap() {
            for (got, expected) in store.get(name).unwrap().iter().zip(expected.as_array().unwrap()) {
                let expected = number(expected);
                assert!((f64::from(*got) - expected).abs() < 2e-5, "{} {name}: {got} {expected}", case["name"]);
            }
        }
    }
}

/// An exponential moving average is a weighted mean: with the weights `(1 - d) / (1 - d^t)` it is Adam's corrected first
/// moment, whatever it began as.
fn blended_weights_are_an_average<B: Backend>(backend: &B) {
    let (graph, mut store) = network(backend);
    let mut average = Store::new(backend, &graph).unwrap();
    let trained = [graph.part("first").unwrap(), graph.part("head").unwrap()];
    let decay = 0.7_f64;
    let len = FEATURES[0] * FEATURES[1];
    let (mut sums, mut weights) = (vec![0.0_f64; len], 0.0);
    for step in 1..=5 {
        let now = sines(len, 100 + step, 0.5);
        store.set("first.weight", &now).unwrap();
        store.set("second.bias", &sines(FEATURES[2], 200 + step, 0.5)).unwrap();
        average.blend(&store, &trained, (1.0 - decay) / (1.0 - decay.powi(step as i32))).unwrap();
        sums.iter_mut().zip(&now).for_each(|(sum, x)| *sum = decay * *sum + (1.0 - decay) * f64::from(*x));
        weights = decay * weights + (1.0 - decay);
    }
    for (got, sum) in average.get("first.weight").unwrap().iter().zip(&sums) {
        assert!((f64::from(*got) - sum / weights).abs() < 1e-6, "{got} {}", sum / weights);
    }
    assert!(average.get("second.bias").unwrap().iter().all(|x| *x == 0.0), "a part that was not asked for");

    let mut other = GraphBuilder::new(2);
    let x = other.input();
    let x = other.gemm("first", x, 2);
    let other = other.finish(x).unwrap();
    let error = average.blend(&Store::new(backend, &other).unwrap(), &trained, 0.5).unwrap_err();
    assert!(error.to_string().contains("belongs to another graph"), "{error}");
}

/// What takes a scaled loss back: a part alone, to the bit where the factor is a power of two, and what is infinite is told.
fn gradients_are_scaled_and_measured<B: Backend>(backend: &B) {
    let (graph, mut store) = network(backend);
    let parts: Vec<PartId> = PARTS.iter().map(|name| graph.part(name).unwrap()).collect();
    let error = gradient_norm(&store, &graph, &parts).unwrap_err();
    assert_eq!(error.to_string(), "a gradient is not kept by this plan");
    let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, FILMS, 1, NONE, &parts)).unwrap();
    let mut backward = |store: &mut Store<B>, target: f32| {
        plan.forward(store, FILMS, Input::Values(&sines(FILMS * FEATURES[0], 20, 1.0)), [0; 4]).unwrap();
        plan.backward(store, Seed::Targets(&[target; FILMS * 3]), false).unwrap();
    };
    backward(&mut store, 0.1);
    let all = |store: &Store<B>| PARTS.map(|part| store.gradient(&format!("{part}.weight")).unwrap());
    let (before, norm) = (all(&store), gradient_norm(&store, &graph, &parts).unwrap());
    let squares: f64 = parts.iter().map(|part| gradient_norm(&store, &graph, &[*part]).unwrap().powi(2)).sum();
    assert!(norm > 1e-3 && (squares.sqrt() / norm - 1.0).abs() < 1e-6, "{squares} {norm}");
    scale_gradients(&mut store, &graph, &parts[1..2], 0.25).unwrap();
    let after = all(&store);
    assert!(after[0] == before[0] && after[2] == before[2]);
    assert!(after[1].iter().zip(&before[1]).all(|(after, before)| *after == before * 0.25));
    backward(&mut store, f32::INFINITY);
    assert!(!gradient_norm(&store, &graph, &parts).unwrap().is_finite());
    let nowhere = [PartId::new(7)];
    assert!(scale_gradients(&mut store, &graph, &nowhere, 0.5).is_err());
    assert!(gradient_norm(&store, &graph, &nowhere).is_err());
}

on_every_backend! {
    gradients_are_scaled_and_measured,
    steps_with_a_rate_a_part_are_torchs,
    blended_weights_are_an_average,
}
