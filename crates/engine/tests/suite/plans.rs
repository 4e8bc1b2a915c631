//! What holds of every plan, on a small network with every kind of node.

use lungfish_engine::schedule::Kind;
use lungfish_engine::{
    Adam, AdamConfig, Backend, EngineError, Graph, GraphBuilder, Input, Normalization, Padding, PartId, Plan, PlanSpec,
    Seed, Store, Window, clip_gradients,
};

const PLAIN: Normalization = Normalization { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] };
const SIZE: usize = 12;

/// Stem, a residual block with a projection, a depthwise block, pooling, head with dropout.
fn network(dropout: f32) -> Graph {
    let three = |stride| Window::square(3, stride, Padding::all(1));
    let mut g = GraphBuilder::new(3);
    let x = g.input();
    g.part("stem");
    let x = g.conv("conv1", x, 6, three(1), 1, false);
    let x = g.batch_norm("bn1", x, 1e-5, 0.1);
    let x = g.relu("relu", x);
    let stem = g.max_pool("maxpool", x, three(2));
    g.part("layer1");
    let x = g.conv("layer1.conv1", stem, 8, three(2), 1, false);
    let x = g.batch_norm("layer1.bn1", x, 1e-5, 0.1);
    let x = g.relu("layer1.relu", x);
    let x = g.conv("layer1.conv2", x, 8, three(1), 1, true);
    let x = g.batch_norm("layer1.bn2", x, 1e-5, 0.1);
    let short = g.conv("layer1.down", stem, 8, Window::square(1, 2, Padding::all(0)), 1, false);
    let short = g.batch_norm("layer1.down_bn", short, 1e-5, 0.1);
    let x = g.add("layer1.add", x, short);
    let block = g.relu("layer1.out", x);
    g.part("layer2");
    let x = g.conv("layer2.dw", block, 8, Window::square(5, 1, Padding::SameUpper), 8, false);
    let x = g.batch_norm("layer2.bn", x, 1e-3, 0.01);
    let x = g.relu6("layer2.act", x);
    let x = g.add("layer2.add", x, block);
    let x = g.global_average_pool("avgpool", x);
    g.part("head");
    let x = g.dropout("drop", x, dropout);
    let x = g.gemm("fc1", x, 5);
    let x = g.relu("fc_relu", x);
    let x = g.gemm("fc2", x, 3);
    let x = g.log_softmax("log_softmax", x);
    g.finish(x).unwrap()
}

fn ramp(len: usize, seed: usize, scale: f32) -> Vec<f32> {
    (0..len)
        .map(|i| (((i as f64 * 0.618_033_988_75 + seed as f64 * 0.754_877_666) % 1.0 * 2.0 - 1.0) as f32) * scale)
        .collect()
}

fn filled<B: Backend>(backend: &B, graph: &Graph) -> Store<B> {
    let mut store = Store::new(backend, graph).unwrap();
    for (i, t) in store.tensors().to_vec().iter().enumerate() {
        let base = if t.name.ends_with("running_var") || (t.name.contains("bn") && t.name.ends_with("weight")) {
            1.0
        } else {
            0.0
        };
        let values: Vec<f32> = ramp(t.len(), i, 0.5).iter().map(|v| v + base).collect();
        store.set(&t.name, &values).unwrap();
    }
    store
}

fn pixels(n: usize) -> Vec<u8> {
    (0..n * SIZE * SIZE).map(|i| (i * 97 % 251) as u8).collect()
}

fn parts(graph: &Graph, names: &[&str]) -> Vec<PartId> {
    names.iter().map(|n| graph.part(n).unwrap()).collect()
}

fn targets(n: usize) -> Vec<f32> {
    (0..n).flat_map(|i| (0..3).map(move |k| if k == i % 3 { 1.0 / n as f32 } else { 0.0 })).collect()
}

fn near(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= tolerance * y.abs().max(1.0), "{x} is not {y}");
    }
}

fn fused_inference_equals_the_graph_node_by_node<B: Backend>(backend: &B) {
    let graph = network(0.3);
    let mut store = filled(backend, &graph);
    let x = pixels(3);
    let fused = PlanSpec::inference(&graph, 4, SIZE, PLAIN);
    // Keeping every value forbids all fusion.
    let keep: Vec<_> = graph.nodes().iter().map(|n| n.output).collect();
    let whole = PlanSpec { keep: keep.clone(), ..fused.clone() };
    let mut fused = Plan::new(backend, &graph, fused).unwrap();
    let mut whole = Plan::new(backend, &graph, whole).unwrap();
    assert!(fused.schedule().steps.len() * 2 < whole.schedule().steps.len() + 4, "hardly anything was fused");
    fused.forward(&mut store, 3, Input::Gray(&x), [0; 4]).unwrap();
    whole.forward(&mut store, 3, Input::Gray(&x), [0; 4]).unwrap();
    near(&fused.output().unwrap(), &whole.output().unwrap(), 1e-5);
    for v in keep {
        assert!(whole.value(v).unwrap().iter().all(|x| x.is_finite()));
    }
}

fn a_batch_is_its_films_one_by_one_and_gray_is_rgb_thrice<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let mut store = filled(backend, &graph);
    let mut plan = Plan::new(backend, &graph, PlanSpec::inference(&graph, 5, SIZE, PLAIN)).unwrap();
    let x = pixels(5);
    plan.forward(&mut store, 5, Input::Gray(&x), [0; 4]).unwrap();
    let all = plan.output().unwrap();
    let rgb: Vec<u8> = x.iter().flat_map(|p| [*p; 3]).collect();
    plan.forward(&mut store, 5, Input::Rgb(&rgb), [0; 4]).unwrap();
    // A gray film is one plane to the first convolution: the same sums, in another order.
    near(&plan.output().unwrap(), &all, 1e-5);
    for i in 0..5 {
        plan.forward(&mut store, 1, Input::Gray(&x[i * SIZE * SIZE..(i + 1) * SIZE * SIZE]), [0; 4]).unwrap();
        near(&plan.output().unwrap(), &all[i * 3..(i + 1) * 3], 1e-5);
    }
}

fn a_plan_takes_its_weights_from_the_store_it_is_given<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let (mut a, mut b) = (filled(backend, &graph), filled(backend, &graph));
    let name = "layer1.conv1.weight";
    // As many changes in both, so that counting them would not tell the two apart.
    let weights = a.get(name).unwrap();
    a.set(name, &weights).unwrap();
    b.set(name, &weights.iter().map(|w| -w).collect::<Vec<_>>()).unwrap();
    let spec = PlanSpec::inference(&graph, 1, SIZE, PLAIN);
    let mut plan = Plan::new(backend, &graph, spec.clone()).unwrap();
    let mut output = |store: &mut Store<B>| {
        plan.forward(store, 1, Input::Gray(&pixels(1)), [0; 4]).unwrap();
        plan.output().unwrap()
    };
    let (of_a, of_b) = (output(&mut a), output(&mut b));
    assert_ne!(of_a, of_b);
    let mut fresh = Plan::new(backend, &graph, spec).unwrap();
    fresh.forward(&mut b, 1, Input::Gray(&pixels(1)), [0; 4]).unwrap();
    assert_eq!(fresh.output().unwrap(), of_b);
    assert_eq!(output(&mut a), of_a);
}

/// One frozen convolution whose input is added to its output; a value added to itself; a dropout
/// that does nothing beside another reader of its input.
fn a_value_may_be_read_twice_by_one_step<B: Backend>(backend: &B) {
    let mut g = GraphBuilder::new(2);
    let x = g.input();
    let y = g.conv("conv", x, 2, Window::square(1, 1, Padding::all(0)), 1, false);
    let y = g.add("skip", y, x);
    let dropped = g.dropout("drop", y, 0.5);
    let sum = g.add("sum", dropped, y);
    let twice = g.add("twice", sum, sum);
    let graph = g.finish(twice).unwrap();
    let mut store = Store::new(backend, &graph).unwrap();
    store.set("conv.weight", &[1.0, 2.0, 0.0, -1.0]).unwrap();
    // x = (3, 5): y = (3 + 10 + 3, -5 + 5), four times that.
    let spec = PlanSpec::inference(&graph, 1, 1, PLAIN);
    let mut plan = Plan::new(backend, &graph, spec.clone()).unwrap();
    plan.forward(&mut store, 1, Input::Values(&[3.0, 5.0]), [0; 4]).unwrap();
    assert_eq!(plan.output().unwrap(), [64.0, 0.0]);
    let mut plan = Plan::new(backend, &graph, PlanSpec { gradients: vec![x, dropped, y], ..spec }).unwrap();
    plan.forward(&mut store, 1, Input::Values(&[3.0, 5.0]), [0; 4]).unwrap();
    plan.backward(&mut store, Seed::Gradient(twice, &[1.0, 10.0]), false).unwrap();
    assert_eq!(plan.gradient(dropped).unwrap(), [2.0, 20.0]);
    assert_eq!(plan.gradient(y).unwrap(), [4.0, 40.0]);
    // Through the convolution: (4, 8 - 40), and past it: (4, 40).
    assert_eq!(plan.gradient(x).unwrap(), [8.0, 8.0]);
}

fn a_frozen_part_keeps_its_weights_and_statistics_and_lets_gradients_through<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let train = parts(&graph, &["stem", "head"]);
    let mut store = filled(backend, &graph);
    let before: Vec<(String, Vec<f32>)> =
        store.tensors().iter().map(|t| (t.name.clone(), store.get(&t.name).unwrap())).collect();
    let spec = PlanSpec::training(&graph, 4, SIZE, PLAIN, &train);
    let mut plan = Plan::new(backend, &graph, spec).unwrap();
    let mut adam = Adam::new(backend, &graph, &train, AdamConfig::default()).unwrap();
    plan.forward(&mut store, 4, Input::Gray(&pixels(4)), [0; 4]).unwrap();
    plan.backward(&mut store, Seed::Targets(&targets(4)), false).unwrap();
    adam.step(&mut store, 1e-2).unwrap();
    for (name, old) in before {
        let frozen = name.starts_with("layer");
        let same = store.get(&name).unwrap() == old;
        assert_eq!(same, frozen, "{name}");
        if !frozen && !name.contains("running") {
            assert!(store.gradient(&name).unwrap().iter().any(|g| *g != 0.0), "{name}");
        }
    }
}

fn a_momentum_of_one_keeps_the_last_batch_and_of_zero_nothing_of_it<B: Backend>(backend: &B) {
    for (momentum, moves) in [(0.0, false), (1.0, true)] {
        let graph = network(0.0).with_batch_norm_momentum(momentum);
        let train = parts(&graph, &["stem", "layer1", "layer2", "head"]);
        let mut store = filled(backend, &graph);
        let conv1 = graph.nodes()[0].output;
        let spec = PlanSpec { keep: vec![conv1], ..PlanSpec::training(&graph, 2, SIZE, PLAIN, &train) };
        let mut plan = Plan::new(backend, &graph, spec).unwrap();
        let before = store.get("bn1.running_mean").unwrap();
        plan.forward(&mut store, 2, Input::Gray(&pixels(2)), [0; 4]).unwrap();
        let after = store.get("bn1.running_mean").unwrap();
        assert_eq!(before != after, moves);
        if moves {
            let x = plan.value(conv1).unwrap();
            let pixels = SIZE * SIZE;
            let mean: Vec<f32> = (0..6)
                .map(|c| {
                    let films = (0..2).flat_map(|n| &x[(n * 6 + c) * pixels..(n * 6 + c + 1) * pixels]);
                    (films.map(|v| f64::from(*v)).sum::<f64>() / (2 * pixels) as f64) as f32
                })
                .collect();
            near(&after, &mean, 1e-5);
        }
    }
}

/// Every trained batch-norm takes its statistics from the convolution it alone reads, however far apart the two run.
fn convolutions_gather_the_statistics_of_trained_batch_norms<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let paired = |spec: PlanSpec| {
        let plan = Plan::new(backend, &graph, spec).unwrap();
        let steps = &plan.schedule().steps;
        let named = |i: usize| &steps[i].name[..];
        let mut pairs = Vec::new();
        for norm in (0..steps.len()).filter(|&i| matches!(steps[i].kind, Kind::BatchNorm(_))) {
            let Some(place) = steps[norm].statistics else { continue };
            assert_eq!(steps[norm].saved, Some(place));
            let convs: Vec<usize> = (0..norm).filter(|&i| steps[i].statistics == Some(place)).collect();
            assert!(matches!(convs[..], [conv] if steps[conv].y == steps[norm].x[0]), "{}", named(norm));
            pairs.push((named(convs[0]).to_owned(), named(norm).to_owned()));
        }
        assert_eq!(steps.iter().filter(|step| step.statistics.is_some()).count(), 2 * pairs.len());
        pairs.sort();
        pairs
    };
    let of = |names: &[(&str, &str)]| names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let all = parts(&graph, &["stem", "layer1", "layer2", "head"]);
    let training = PlanSpec::training(&graph, 4, SIZE, PLAIN, &all);
    let stem = ("conv1", "bn1");
    let blocks = [
        ("layer1.conv1", "layer1.bn1"),
        ("layer1.conv2", "layer1.bn2"),
        ("layer1.down", "layer1.down_bn"),
        ("layer2.dw", "layer2.bn"),
    ];
    assert_eq!(paired(training.clone()), of(&[&[stem], &blocks[..]].concat()));
    // A value that others may read belongs to them too.
    let kept = PlanSpec { keep: vec![graph.nodes()[0].output], ..training.clone() };
    assert_eq!(paired(kept), of(&blocks));
    assert_eq!(paired(PlanSpec::inference(&graph, 4, SIZE, PLAIN)), []);
    // A frozen batch-norm has its running ones.
    assert_eq!(paired(PlanSpec { train: parts(&graph, &["stem", "head"]), ..training }), of(&[stem]));
}

fn training_from_the_frontier_equals_training_from_the_pixels<B: Backend>(backend: &B) {
    let graph = network(0.4);
    let head = parts(&graph, &["head"]);
    let frontier = graph.frontier(&head).unwrap();
    let key = [1, 2, 3, 4];
    let x = pixels(4);
    let mut store = filled(backend, &graph);
    let mut whole = Plan::new(backend, &graph, PlanSpec::training(&graph, 4, SIZE, PLAIN, &head)).unwrap();
    whole.forward(&mut store, 4, Input::Gray(&x), key).unwrap();
    let loss = whole.backward(&mut store, Seed::Targets(&targets(4)), false).unwrap().loss;
    let gradient = store.gradient("fc1.weight").unwrap();

    let prefix = PlanSpec { to: frontier, ..PlanSpec::inference(&graph, 4, SIZE, PLAIN) };
    let mut prefix = Plan::new(backend, &graph, prefix).unwrap();
    prefix.forward(&mut store, 4, Input::Gray(&x), [0; 4]).unwrap();
    let features = prefix.output().unwrap();
    let rest = PlanSpec { from: frontier, ..PlanSpec::training(&graph, 4, SIZE, PLAIN, &head) };
    let mut rest = Plan::new(backend, &graph, rest).unwrap();
    rest.forward(&mut store, 4, Input::Values(&features), key).unwrap();
    assert_eq!(rest.backward(&mut store, Seed::Targets(&targets(4)), false).unwrap().loss, loss);
    assert_eq!(store.gradient("fc1.weight").unwrap(), gradient);
    // Another key, another mask.
    rest.forward(&mut store, 4, Input::Values(&features), [9, 2, 3, 4]).unwrap();
    assert_ne!(rest.backward(&mut store, Seed::Targets(&targets(4)), false).unwrap().loss, loss);
}

/// Weights after a few steps, on a pool of `threads`.
fn trained<B: Backend>(backend: &B, threads: usize) -> Vec<f32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let graph = network(0.2);
        let all = parts(&graph, &["stem", "layer1", "layer2", "head"]);
        let mut store = filled(backend, &graph);
        let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, 6, SIZE, PLAIN, &all)).unwrap();
        let mut adam = Adam::new(backend, &graph, &all, AdamConfig::default()).unwrap();
        for step in 0..4 {
            plan.forward(&mut store, 6, Input::Gray(&pixels(6)), [step; 4]).unwrap();
            plan.backward(&mut store, Seed::Targets(&targets(6)), false).unwrap();
            clip_gradients(&mut store, &graph, &all, 0.1).unwrap();
            adam.step(&mut store, 1e-2).unwrap();
        }
        store.tensors().iter().flat_map(|t| store.get(&t.name).unwrap()).collect()
    })
}

fn the_same_bits_for_any_number_of_threads<B: Backend>(backend: &B) {
    let one = trained(backend, 1);
    assert!(one.iter().all(|v| v.is_finite()));
    for threads in [2, 5] {
        assert!(
            one.iter().zip(trained(backend, threads)).all(|(a, b)| a.to_bits() == b.to_bits()),
            "{threads} threads"
        );
    }
}

fn gradients_of_the_loss_are_its_slopes_through_the_whole_network<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let all = parts(&graph, &["stem", "layer1", "layer2", "head"]);
    let mut store = filled(backend, &graph);
    let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, 4, SIZE, PLAIN, &all)).unwrap();
    let x = pixels(4);
    let mut loss = |store: &mut Store<B>| {
        plan.forward(store, 4, Input::Gray(&x), [0; 4]).unwrap();
        plan.backward(store, Seed::Targets(&targets(4)), false).unwrap().loss
    };
    loss(&mut store);
    let names: Vec<String> = graph.params().iter().map(|p| p.name.clone()).collect();
    let gradients: Vec<Vec<f32>> = names.iter().map(|n| store.gradient(n).unwrap()).collect();
    for (name, gradient) in names.iter().zip(&gradients) {
        // Along the gradient itself the slope is its norm.
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        if norm < 1e-3 {
            continue; // A bias before a batch-norm: nothing to measure in float32.
        }
        let weights = store.get(name).unwrap();
        let h = 2e-3;
        let mut at = |sign: f64| {
            let moved: Vec<f32> =
                weights.iter().zip(gradient).map(|(w, g)| w + (sign * h * f64::from(*g) / norm) as f32).collect();
            store.set(name, &moved).unwrap();
            loss(&mut store)
        };
        let slope = (at(1.0) - at(-1.0)) / (2.0 * h);
        store.set(name, &weights).unwrap();
        assert!((slope - norm).abs() < 0.03 * norm + 1e-3, "{name}: slope {slope}, gradient {norm}");
    }
}

fn the_gradient_at_any_value_can_be_read<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let mut store = filled(backend, &graph);
    let mut bits = Vec::new();
    // In inference, and in training: an activation that works in place must not spoil what is read.
    for train in [vec![], parts(&graph, &["stem", "layer1", "layer2", "head"])] {
        for name in ["layer1.out", "layer1.add", "layer1.conv1", "avgpool"] {
            let value = graph.nodes().iter().find(|n| n.name == name).unwrap().output;
            let spec = PlanSpec { gradients: vec![value], ..PlanSpec::training(&graph, 3, SIZE, PLAIN, &train) };
            let mut plan = Plan::new(backend, &graph, spec.clone()).unwrap();
            plan.forward(&mut store, 3, Input::Gray(&pixels(3)), [0; 4]).unwrap();
            plan.backward(&mut store, Seed::Targets(&targets(3)), false).unwrap();
            let gradient = plan.gradient(value).unwrap();
            let at = plan.value(value).unwrap();
            if name == "layer1.out" || name == "avgpool" {
                // The same by a plan that begins there.
                let rest = PlanSpec { from: value, ..spec };
                let mut rest = Plan::new(backend, &graph, rest).unwrap();
                rest.forward(&mut store, 3, Input::Values(&at), [0; 4]).unwrap();
                rest.backward(&mut store, Seed::Targets(&targets(3)), false).unwrap();
                near(&gradient, &rest.gradient(value).unwrap(), 1e-5);
            }
            bits.push((name, train.len(), gradient));
        }
    }
    // A sum passes its gradient on where its activation was positive: the two differ.
    let of = |name: &str, trained: usize| bits.iter().find(|b| b.0 == name && b.1 == trained).unwrap().2.clone();
    assert_ne!(of("layer1.out", 0), of("layer1.add", 0));
    assert!(of("layer1.add", 0).iter().zip(of("layer1.out", 0)).all(|(a, o)| *a == 0.0 || *a == o));
}

fn a_resumed_optimiser_goes_on_with_the_same_bits<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let head = parts(&graph, &["head"]);
    let run = |resume: bool| {
        let mut store = filled(backend, &graph);
        let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, 4, SIZE, PLAIN, &head)).unwrap();
        let mut adam = Adam::new(backend, &graph, &head, AdamConfig::default()).unwrap();
        for step in 0..4 {
            if resume && step == 2 {
                let state = adam.state().unwrap();
                adam = Adam::new(backend, &graph, &head, AdamConfig::default()).unwrap();
                adam.restore(&state).unwrap();
            }
            plan.forward(&mut store, 4, Input::Gray(&pixels(4)), [0; 4]).unwrap();
            plan.backward(&mut store, Seed::Targets(&targets(4)), false).unwrap();
            adam.step(&mut store, 1e-2).unwrap();
        }
        store.get("fc1.weight").unwrap()
    };
    assert_eq!(run(false), run(true));
}

fn what_does_not_fit_is_refused<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let mut store = filled(backend, &graph);
    let spec = PlanSpec::inference(&graph, 2, SIZE, PLAIN);
    let mut plan = Plan::new(backend, &graph, spec.clone()).unwrap();
    assert!(matches!(plan.output(), Err(EngineError::NotKept { .. })));
    let x = pixels(3);
    assert!(matches!(
        plan.forward(&mut store, 3, Input::Gray(&x), [0; 4]),
        Err(EngineError::Batch { n: 3, capacity: 2 })
    ));
    assert!(matches!(plan.forward(&mut store, 2, Input::Gray(&x), [0; 4]), Err(EngineError::Length { .. })));
    plan.forward(&mut store, 2, Input::Gray(&x[..2 * SIZE * SIZE]), [0; 4]).unwrap();
    let nothing_trained = plan.backward(&mut store, Seed::Targets(&targets(2)), false);
    assert!(matches!(nothing_trained, Err(EngineError::NotKept { .. })));
    assert!(graph.part("layer9").unwrap_err().to_string().contains("layer1"));
    assert!(store.set("fc1.weight", &[0.0]).is_err());
    let mut big = GraphBuilder::new(3);
    let v = big.input();
    let v = big.conv("conv", v, 2, Window::square(7, 1, Padding::all(0)), 1, false);
    let big = big.finish(v).unwrap();
    assert!(Plan::bytes(backend, &big, &PlanSpec::inference(&big, 1, 4, PLAIN)).is_err());
}

fn memory_is_reused_and_told_beforehand<B: Backend>(backend: &B) {
    let graph = network(0.0);
    let spec = PlanSpec::inference(&graph, 8, SIZE, PLAIN);
    let lean = Plan::bytes(backend, &graph, &spec).unwrap();
    let keep = graph.nodes().iter().map(|n| n.output).collect();
    let whole = Plan::bytes(backend, &graph, &PlanSpec { keep, ..spec.clone() }).unwrap();
    assert!(lean * 2 < whole, "{lean} of {whole}");
    let plan = Plan::new(backend, &graph, spec).unwrap();
    assert_eq!(plan.schedule().arena, lean);
}

/// Large early values go through a few films at a time, in less memory, and every film comes out as it does alone.
fn few_films_at_a_time_are_all_films_at_once<B: Backend>(backend: &B) {
    let graph = network(0.3);
    let mut store = filled(backend, &graph);
    let n = 7;
    let x = pixels(n);
    let block = graph.nodes().iter().find(|node| node.name == "layer1.out").unwrap().output;
    let spec = |cache| PlanSpec { keep: vec![block], cache, ..PlanSpec::inference(&graph, n, SIZE, PLAIN) };
    let mut run = |cache: usize| {
        let mut plan = Plan::new(backend, &graph, spec(Some(cache))).unwrap();
        plan.forward(&mut store, n, Input::Gray(&x), [0; 4]).unwrap();
        let at_a_time: Vec<usize> = plan.schedule().stretches.iter().map(|stretch| stretch.films).collect();
        (at_a_time, plan.output().unwrap(), plan.value(block).unwrap())
    };
    let (all, ..) = run(usize::MAX);
    assert_eq!(all, [n]);
    let (few, output, kept) = run(24_000);
    assert!(few.len() > 1 && few[0] < n && few.is_sorted(), "{few:?}");
    assert_eq!(run(usize::MAX), (all, output, kept));
    let bytes = |cache| Plan::bytes(backend, &graph, &spec(Some(cache))).unwrap();
    assert!(bytes(24_000) < bytes(usize::MAX));
}

on_every_backend! {
    fused_inference_equals_the_graph_node_by_node,
    a_batch_is_its_films_one_by_one_and_gray_is_rgb_thrice,
    a_plan_takes_its_weights_from_the_store_it_is_given,
    a_value_may_be_read_twice_by_one_step,
    a_frozen_part_keeps_its_weights_and_statistics_and_lets_gradients_through,
    a_momentum_of_one_keeps_the_last_batch_and_of_zero_nothing_of_it,
    convolutions_gather_the_statistics_of_trained_batch_norms,
    training_from_the_frontier_equals_training_from_the_pixels,
    the_same_bits_for_any_number_of_threads,
    gradients_of_the_loss_are_its_slopes_through_the_whole_network,
    the_gradient_at_any_value_can_be_read,
    a_resumed_optimiser_goes_on_with_the_same_bits,
    what_does_not_fit_is_refused,
    memory_is_reused_and_told_beforehand,
    few_films_at_a_time_are_all_films_at_once,
}
