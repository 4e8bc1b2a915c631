//! Gray films, which the first convolution may read as one plane, against the same films as RGB.

use lungfish_engine::{
    Backend, Cpu, Graph, GraphBuilder, Input, Normalization, Padding, PartId, Plan, PlanSpec, Seed, Store, Window,
};

use lungfish_kernels::conv::{ConvShape, gray};

const IMAGENET: Normalization = Normalization { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const SIZE: usize = 22;
const N: usize = 3;

fn network() -> Graph {
    let mut g = GraphBuilder::new(3);
    let x = g.input();
    g.part("stem");
    let x = g.conv("conv1", x, 16, Window::square(7, 2, Padding::all(3)), 1, false);
    let x = g.batch_norm("bn1", x, 1e-5, 0.1);
    let x = g.relu("relu", x);
    let x = g.global_average_pool("avgpool", x);
    g.part("head");
    let x = g.gemm("fc", x, 2);
    let x = g.log_softmax("log_softmax", x);
    g.finish(x).unwrap()
}

fn store<B: Backend>(backend: &B, graph: &Graph) -> Store<B> {
    let mut store = Store::new(backend, graph).unwrap();
    for (i, t) in store.tensors().to_vec().iter().enumerate() {
        let values: Vec<f32> = (0..t.len()).map(|j| ((j * 37 + i * 11) % 101) as f32 / 101.0 - 0.4).collect();
        let values = if t.name.ends_with("running_var") { vec![0.7; t.len()] } else { values };
        store.set(&t.name, &values).unwrap();
    }
    store
}

fn bytes() -> Vec<u8> {
    (0..N * SIZE * SIZE).map(|i| (i * 97 % 251) as u8).collect()
}

/// Log-probabilities, and all gradients.
fn step<B: Backend>(plan: &mut Plan<B>, store: &mut Store<B>, input: Input<'_>) -> (Vec<f32>, Vec<f32>) {
    plan.forward(store, N, input, [0; 4]).unwrap();
    let targets: Vec<f32> = (0..N).flat_map(|i| [(i % 2) as f32 / 3.0, (1 - i % 2) as f32 / 3.0]).collect();
    plan.backward(store, Seed::Targets(&targets), false).unwrap();
    let names: Vec<String> = store.tensors().iter().map(|t| t.name.clone()).collect();
    let gradients =
        names.iter().filter(|name| !name.contains("running")).flat_map(|name| store.gradient(name).unwrap());
    (plan.output().unwrap(), gradients.collect())
}

fn one_plane_gives_the_outputs_and_the_gradients_of_three<B: Backend>(backend: &B) {
    let graph = network();
    let parts: Vec<PartId> = ["stem", "head"].map(|name| graph.part(name).unwrap()).to_vec();
    let mut plan = Plan::new(backend, &graph, PlanSpec::training(&graph, N, SIZE, IMAGENET, &parts)).unwrap();
    assert_eq!(plan.schedule().gray_reader, Some(0));
    let films = bytes();
    let rgb: Vec<u8> = films.iter().flat_map(|&v| [v; 3]).collect();
    let (y, dw) = step(&mut plan, &mut store(backend, &graph), Input::Gray(&films));
    let near = |a: &[f32], b: &[f32]| {
        let largest = b.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        assert!(largest > 0.0);
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() <= 1e-5 * largest, "{a} is not {b}"));
    };
    // The same plan takes either kind, in turn, and forgets neither.
    let (y3, dw3) = step(&mut plan, &mut store(backend, &graph), Input::Rgb(&rgb));
    near(&y, &y3);
    near(&dw, &dw3);
    assert_eq!((y, dw), step(&mut plan, &mut store(backend, &graph), Input::Gray(&films)));
}

/// Three channels made of a gray film would give the very same sums as of RGB; those over one plane round otherwise.
#[test]
fn the_cpu_reads_the_plane_where_it_can() {
    let (graph, cpu, films) = (network(), Cpu::new(), bytes());
    let parts: Vec<PartId> = ["stem", "head"].map(|name| graph.part(name).unwrap()).to_vec();
    let mut plan = Plan::new(&cpu, &graph, PlanSpec::training(&graph, N, SIZE, IMAGENET, &parts)).unwrap();
    let rgb: Vec<u8> = films.iter().flat_map(|&v| [v; 3]).collect();
    let (_, dw) = step(&mut plan, &mut store(&cpu, &graph), Input::Gray(&films));
    let (_, dw3) = step(&mut plan, &mut store(&cpu, &graph), Input::Rgb(&rgb));
    let shape =
        ConvShape { h: SIZE, w: SIZE, c_in: 3, c_out: 16, kernel: [7; 2], stride: [2; 2], pads: [3; 4], groups: 1 };
    assert_eq!(dw != dw3, gray::serves(&shape));
}

fn who_wants_the_pixels_gets_three_channels<B: Backend>(backend: &B) {
    let graph = network();
    let (x, conv1) = (graph.nodes()[0].inputs[0], graph.nodes()[0].output);
    let (gray, mut store) = (bytes(), store(backend, &graph));
    let kept = PlanSpec { keep: vec![x, conv1], ..PlanSpec::inference(&graph, N, SIZE, IMAGENET) };
    let mut plan = Plan::new(backend, &graph, kept).unwrap();
    assert_eq!(plan.schedule().gray_reader, None);
    plan.forward(&mut store, N, Input::Gray(&gray), [0; 4]).unwrap();
    let channels = plan.value(x).unwrap();
    for (film, channels) in gray.chunks_exact(SIZE * SIZE).zip(channels.chunks_exact(3 * SIZE * SIZE)) {
        for (c, channel) in channels.chunks_exact(SIZE * SIZE).enumerate() {
            for (&v, &got) in film.iter().zip(channel) {
                let expected = (f32::from(v) / 255.0 - IMAGENET.mean[c]) / IMAGENET.std[c];
                assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
            }
        }
    }
    // A gradient that is asked for has three channels as well.
    let saliency = PlanSpec { gradients: vec![x], ..PlanSpec::inference(&graph, N, SIZE, IMAGENET) };
    let plan = Plan::new(backend, &graph, saliency).unwrap();
    assert_eq!(plan.schedule().gray_reader, None);
}

on_every_backend! {
    one_plane_gives_the_outputs_and_the_gradients_of_three,
    who_wants_the_pixels_gets_three_channels,
}
