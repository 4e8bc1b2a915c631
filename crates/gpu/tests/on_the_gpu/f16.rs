//! Plans in f16, held against the same plans in fp32.

use half::f16;
use lungfish_engine::{
    Backend, Element, EngineError, Graph, GraphBuilder, Input, Padding, Plan, PlanSpec, Precision, Seed,
};
use lungfish_engine::{Store, Window};
use lungfish_gpu::Wgpu;

use crate::in_halves::{self, case, step};
use crate::operators::{build, cases, floats, plan_of, store};
use crate::random_graphs::{NONE, SIZE};

/// The device that is tested, where it has f16; else `None`, said.
fn gpu() -> Option<&'static Wgpu> {
    let gpu = crate::gpu()?;
    if !gpu.has_f16() {
        println!("skipped: {} has no f16 (shader-f16)", gpu.name());
    }
    Some(gpu).filter(|gpu| gpu.has_f16())
}

/// The half that is nearest, of two the even one.
fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| f16::from_f32(*v).to_f32()).collect()
}

/// Half the distance between two halves, of what lies between 1 and 2: half floats have 11 bits.
const UNIT: f32 = 1.0 / 2048.0;

/// Where an operator's result in fp32 is known, in f16 it is that, rounded: `roundings` times, each by half the distance of
/// two halves at the most, beside what fp32 itself may be off by.
fn near(name: &str, what: &str, got: &[f32], single: &[f32], roundings: f32) {
    assert_eq!(got.len(), single.len(), "{name}: {what}");
    let top = single.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(single).enumerate() {
        let allowed = roundings * UNIT * top + 2e-6 * top;
        assert!((g - w).abs() <= allowed, "{name}: {what}[{i}] is {g}, in fp32 {w}");
    }
}

/// Every case of golden/engine, with what goes in rounded to halves beforehand. A result is rounded once, a gradient that two
/// readers of a value add to twice, and what lies in single floats never: parameters' gradients, statistics.
#[test]
fn every_operator_is_that_of_single_precision_rounded() {
    let Some(gpu) = gpu() else { return };
    let mut in_halves = 0;
    for case in &cases() {
        let name = case["name"].as_str().unwrap();
        let (graph, shape) = build(case);
        let train = !case["eval"].as_bool().unwrap();
        let (x, dy) = (rounded(&floats(&case["x"])), rounded(&floats(&case["dy"])));
        let run = |precision: Precision| {
            let mut store = store(gpu, &graph, case);
            let mut plan = plan_of(gpu, &graph, shape, train, precision);
            plan.forward(&mut store, shape[0], Input::Values(&x), [0; 4]).unwrap();
            let y = plan.output().unwrap();
            plan.backward(&mut store, Seed::Gradient(graph.output(), &dy), false).unwrap();
            let tensors = store.tensors().to_vec();
            let others = tensors.iter().map(|t| store.gradient(&t.name).or_else(|_| store.get(&t.name)).unwrap());
            let others: Vec<f32> = others.flatten().collect();
            let halves = plan.schedule().steps.iter().filter(|step| step.y.element == Element::F16).count();
            (y, plan.gradient(Graph::INPUT).unwrap(), others, halves)
        };
        let (single, half) = (run(Precision::Fp32), run(Precision::F16));
        near(name, "y", &half.0, &single.0, 1.0);
        near(name, "dx", &half.1, &single.1, 2.0);
        near(name, "parameters' gradients and statistics", &half.2, &single.2, 0.0);
        in_halves += usize::from(half.3 > 0);
    }
    assert!(in_halves >= 12, "{in_halves} cases have images of halves");
}

#[test]
fn random_graphs_are_near_those_of_single_precision() {
    // An eighth of what bf16 is held to, since halves have three bits more.
    if let Some(gpu) = gpu() {
        in_halves::near_single(gpu, Precision::F16, 100, [0.01 / 8.0, 0.03 / 8.0], [0.02 / 8.0, 0.1 / 8.0]);
    }
}

#[test]
fn images_are_halves_and_vectors_are_not() {
    if let Some(gpu) = gpu() {
        in_halves::images_are_halves_and_vectors_are_not(gpu, Precision::F16, Element::F16);
    }
}

#[test]
fn values_are_read_and_fed_as_single_floats() {
    if let Some(gpu) = gpu() {
        let is_half = |v: f32| f16::from_f32(v).to_f32().to_bits() == v.to_bits();
        in_halves::values_are_read_and_fed_as_single_floats(gpu, Precision::F16, is_half);
    }
}

#[test]
fn the_same_bits_again_and_in_an_arena_of_pieces() {
    let Some(gpu) = gpu() else { return };
    let mut several = 0;
    for seed in 0..20 {
        let case = case(seed);
        let bits = |gpu: &Wgpu| {
            let step = step(gpu, &case, seed, Precision::F16);
            let gradients = step.gradients.into_iter().flat_map(|(_, values)| values);
            let bits: Vec<u32> = step.output.into_iter().chain(gradients).map(f32::to_bits).collect();
            (bits, step.bytes)
        };
        let (one, piece) = (bits(gpu), 4096);
        assert!(one.0 == bits(gpu).0, "case {seed}");
        let pieces = bits(&gpu.in_pieces_of(piece));
        assert!(one.0 == pieces.0, "case {seed}");
        several += usize::from(pieces.1 as u64 > 2 * piece);
    }
    assert!(several > 10, "{several} arenas were of more than two pieces");
}

/// `y = w * x`, a channel for each of the weights.
fn products(gpu: &Wgpu, weights: &[f32], x: f32) -> Vec<f32> {
    let mut g = GraphBuilder::new(weights.len());
    g.part("part");
    let x_of_graph = g.input();
    let y = g.conv("m", x_of_graph, weights.len(), Window::square(1, 1, Padding::all(0)), weights.len(), false);
    let graph = g.finish(y).unwrap();
    let mut store = Store::new(gpu, &graph).unwrap();
    store.set("m.weight", weights).unwrap();
    let spec = PlanSpec { height: 1, width: 2, precision: Precision::F16, ..PlanSpec::inference(&graph, 1, 1, NONE) };
    let mut plan = Plan::new(gpu, &graph, spec).unwrap();
    plan.forward(&mut store, 1, Input::Values(&vec![x; 2 * weights.len()]), [0; 4]).unwrap();
    plan.output().unwrap().chunks(2).map(|pair| pair[0]).collect()
}

/// What a scaled loss relies on: what is too large for a half is infinite and stays so, and nothing else is.
#[test]
fn what_is_written_is_rounded_to_nearest_even_and_overflows_to_infinity() {
    let Some(gpu) = gpu() else { return };
    let weights = [
        1.0,
        1.0 + UNIT,
        1.0 + 1.01 * UNIT,
        1.0 + 3.0 * UNIT,
        -0.1,
        1e-3,
        65504.0,
        65519.0,
        65520.0,
        -1e6,
        3e38,
        f32::INFINITY,
        0.0,
    ];
    let (got, want) = (products(gpu, &weights, 1.0), rounded(&weights));
    assert_eq!(got, want);
    assert!(got[8..12].iter().all(|v| v.is_infinite()));
    assert!(products(gpu, &[0.0, 1.0], f32::INFINITY)[0].is_nan());
    // Between the smallest normal half and nothing a device may round to zero.
    for (got, small) in products(gpu, &[6e-5, 1e-5, 1e-6, 1e-9], 1.0).into_iter().zip([6e-5, 1e-5, 1e-6, 1e-9]) {
        assert!(got == 0.0 || got == f16::from_f32(small).to_f32(), "{got} for {small}");
    }
}

/// Films come as bytes too, to a network whose first operator wants an image of halves.
#[test]
fn pixels_are_fed_to_halves() {
    let Some(gpu) = gpu() else { return };
    let mut g = GraphBuilder::new(3);
    g.part("part");
    let x = g.input();
    let x = g.max_pool("pool", x, Window::square(3, 2, Padding::all(1)));
    let x = g.global_average_pool("average", x);
    let graph = g.finish(x).unwrap();
    let films: Vec<u8> = (0..3 * SIZE * SIZE).map(|i| (i * 37 % 251) as u8).collect();
    let run = |precision, input| {
        let spec = PlanSpec { precision, ..PlanSpec::inference(&graph, 3, SIZE, NONE) };
        let mut plan = Plan::new(gpu, &graph, spec).unwrap();
        plan.forward(&mut Store::new(gpu, &graph).unwrap(), 1, input, [0; 4]).unwrap();
        (plan.output().unwrap(), plan.schedule().input.0.element)
    };
    for input in [Input::Rgb(&films), Input::Gray(&films[..SIZE * SIZE])] {
        let (single, half) = (run(Precision::Fp32, input), run(Precision::F16, input));
        assert_eq!((single.1, half.1), (Element::F32, Element::F16));
        near("pixels", "y", &half.0, &single.0, 1.0);
    }
}

#[test]
fn what_it_does_not_compute_in_is_refused_by_its_name() {
    let Some(gpu) = crate::gpu() else { return };
    let (graph, train, ..) = case(0);
    let spec = PlanSpec { precision: Precision::Bf16, ..PlanSpec::training(&graph, 4, SIZE, NONE, &train) };
    let refused = Plan::new(gpu, &graph, spec).err().unwrap();
    assert!(matches!(&refused, EngineError::Device { backend, .. } if backend == gpu.name()));
    assert!(refused.to_string().ends_with("does not compute in bf16, and this plan is of it"), "{refused}");
    assert!(gpu.allocate(Element::F16, 4).is_err());
}
