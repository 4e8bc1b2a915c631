//! Every operator against float64 PyTorch (golden/engine/operators.py) and against finite
//! differences of itself.

use lungfish_engine::{
    Backend, EngineError, Graph, GraphBuilder, Input, Normalization, Padding, PartId, Plan, PlanSpec, Precision, Seed,
    Store, Window,
};
use serde_json::Value;

const NONE: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

pub fn floats(v: &Value) -> Vec<f32> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn number(v: &Value) -> usize {
    v.as_u64().unwrap() as usize
}

/// A network of the one operator.
pub fn build(case: &Value) -> (Graph, [usize; 4]) {
    let shape: Vec<usize> = case["x_shape"].as_array().unwrap().iter().map(number).collect();
    let op = &case["op"];
    let mut g = GraphBuilder::new(shape[1]);
    let x = g.input();
    g.part("part");
    let y = match op["kind"].as_str().unwrap() {
        "Conv" => {
            let padding = match op["pads"].as_array() {
                Some(p) => Padding::Explicit([number(&p[0]), number(&p[1]), number(&p[2]), number(&p[3])]),
                None => Padding::SameUpper,
            };
            let window = Window::square(number(&op["kernel"]), number(&op["stride"]), padding);
            g.conv("m", x, number(&op["out"]), window, number(&op["groups"]), op["bias"].as_bool().unwrap())
        }
        "BatchNormalization" => g.batch_norm("m", x, 1e-5, 0.1),
        "Relu" => g.relu("m", x),
        "Clip" => g.clip("m", x, op["min"].as_f64().unwrap() as f32, op["max"].as_f64().unwrap() as f32),
        "Add" => {
            let a = g.relu("relu", x);
            g.add("m", a, x)
        }
        "MaxPool" => g.max_pool("m", x, Window::square(3, 2, Padding::all(1))),
        "GlobalAveragePool" => g.global_average_pool("m", x),
        "Gemm" => g.gemm("m", x, number(&op["out"])),
        "LogSoftmax" => g.log_softmax("m", x),
        other => panic!("no such operator: {other}"),
    };
    (g.finish(y).unwrap(), shape.try_into().unwrap())
}

fn plan<B: Backend>(backend: &B, graph: &Graph, shape: [usize; 4], train: bool) -> Plan<B> {
    plan_of(backend, graph, shape, train, Precision::Fp32)
}

pub fn plan_of<B: Backend>(
    backend: &B,
    graph: &Graph,
    shape: [usize; 4],
    train: bool,
    precision: Precision,
) -> Plan<B> {
    let train = if train { vec![graph.part("part").unwrap()] } else { Vec::<PartId>::new() };
    let spec = PlanSpec {
        height: shape[2],
        width: shape[3],
        train,
        gradients: vec![Graph::INPUT],
        precision,
        ..PlanSpec::inference(graph, shape[0], 1, NONE)
    };
    Plan::new(backend, graph, spec).unwrap()
}

pub fn store<B: Backend>(backend: &B, graph: &Graph, case: &Value) -> Store<B> {
    let mut store = Store::new(backend, graph).unwrap();
    for kind in ["params", "buffers"] {
        for (leaf, values) in case[kind].as_object().unwrap() {
            store.set(&format!("m.{leaf}"), &floats(values)).unwrap();
        }
    }
    store
}

pub fn cases() -> Vec<Value> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/engine/operators.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    file["cases"].as_array().unwrap().clone()
}

/// Every element within 2e-6 of the largest: float32 sums of at most 200 terms near 1.
fn close(name: &str, what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}: {what}");
    let top = want.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 2e-6 * top, "{name}: {what}[{i}] is {g}, PyTorch has {w}");
    }
}

fn every_operator_equals_pytorch_forward_and_backward<B: Backend>(backend: &B) {
    let cases = cases();
    assert_eq!(cases.len(), 19);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let (graph, shape) = build(case);
        let mut store = store(backend, &graph, case);
        let mut plan = plan(backend, &graph, shape, !case["eval"].as_bool().unwrap());
        let x = floats(&case["x"]);
        plan.forward(&mut store, shape[0], Input::Values(&x), [0; 4]).unwrap();
        close(name, "y", &plan.output().unwrap(), &floats(&case["y"]));
        for (leaf, want) in case["buffers_after"].as_object().unwrap() {
            close(name, leaf, &store.get(&format!("m.{leaf}")).unwrap(), &floats(want));
        }
        let dy = floats(&case["dy"]);
        plan.backward(&mut store, Seed::Gradient(graph.output(), &dy), false).unwrap();
        close(name, "dx", &plan.gradient(Graph::INPUT).unwrap(), &floats(&case["dx"]));
        let again = plan.backward(&mut store, Seed::Gradient(graph.output(), &dy), false);
        assert!(matches!(again, Err(EngineError::Spent)), "{name}: its values have been written over");
        if case["eval"].as_bool().unwrap() {
            continue;
        }
        for (leaf, want) in case["grads"].as_object().unwrap() {
            let want = floats(want);
            close(name, leaf, &store.gradient(&format!("m.{leaf}")).unwrap(), &want);
            // Again, adding: twice the gradient.
            plan.forward(&mut store, shape[0], Input::Values(&x), [0; 4]).unwrap();
            plan.backward(&mut store, Seed::Gradient(graph.output(), &dy), true).unwrap();
            let double: Vec<f32> = want.iter().map(|v| 2.0 * v).collect();
            close(name, leaf, &store.gradient(&format!("m.{leaf}")).unwrap(), &double);
            plan.forward(&mut store, shape[0], Input::Values(&x), [0; 4]).unwrap();
            plan.backward(&mut store, Seed::Gradient(graph.output(), &dy), false).unwrap();
        }
    }
}

/// `sum(dy * y)` of one forward pass.
fn objective<B: Backend>(plan: &mut Plan<B>, store: &mut Store<B>, n: usize, x: &[f32], dy: &[f32]) -> f64 {
    plan.forward(store, n, Input::Values(x), [0; 4]).unwrap();
    plan.output().unwrap().iter().zip(dy).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
}

fn every_gradient_is_the_slope_of_its_operator<B: Backend>(backend: &B) {
    for case in &cases() {
        let name = case["name"].as_str().unwrap();
        let (graph, shape) = build(case);
        let train = !case["eval"].as_bool().unwrap();
        let mut store = store(backend, &graph, case);
        let mut plan = plan(backend, &graph, shape, train);
        let (x, dy) = (floats(&case["x"]), floats(&case["dy"]));
        plan.forward(&mut store, shape[0], Input::Values(&x), [0; 4]).unwrap();
        plan.backward(&mut store, Seed::Gradient(graph.output(), &dy), false).unwrap();
        // A step small enough that no max or clip changes sides, tried on single elements.
        let h = 1e-3f32;
        let slope = |up: f64, down: f64| (up - down) / (2.0 * f64::from(h));
        let dx = plan.gradient(Graph::INPUT).unwrap();
        for i in (0..x.len()).step_by(5) {
            let mut moved = x.clone();
            moved[i] = x[i] + h;
            let up = objective(&mut plan, &mut store, shape[0], &moved, &dy);
            moved[i] = x[i] - h;
            let down = objective(&mut plan, &mut store, shape[0], &moved, &dy);
            let kink = [-0.5, 0.0, 0.25].iter().any(|k: &f32| (x[i] - k).abs() < 2.0 * h);
            assert!(
                kink || (slope(up, down) - f64::from(dx[i])).abs() < 4e-3,
                "{name}: dx[{i}] is {}, the slope {}",
                dx[i],
                slope(up, down)
            );
        }
        for leaf in case["grads"].as_object().unwrap().keys().filter(|_| train) {
            let tensor = format!("m.{leaf}");
            let (weights, gradient) = (store.get(&tensor).unwrap(), store.gradient(&tensor).unwrap());
            for i in (0..weights.len()).step_by(3) {
                let mut moved = weights.clone();
                moved[i] = weights[i] + h;
                store.set(&tensor, &moved).unwrap();
                let up = objective(&mut plan, &mut store, shape[0], &x, &dy);
                moved[i] = weights[i] - h;
                store.set(&tensor, &moved).unwrap();
                let down = objective(&mut plan, &mut store, shape[0], &x, &dy);
                store.set(&tensor, &weights).unwrap();
                assert!(
                    (slope(up, down) - f64::from(gradient[i])).abs() < 4e-3,
                    "{name}: {leaf}[{i}] is {}, the slope {}",
                    gradient[i],
                    slope(up, down)
                );
            }
        }
    }
}

on_every_backend! {
    every_operator_equals_pytorch_forward_and_backward,
    every_gradient_is_the_slope_of_its_operator,
}
