//! How the results of the instruction sets relate: which kernels give the same bits on AVX2 and on AVX-512, and how far
//! apart the others, and the scalar path, may be.
//!
//! AVX2, AVX-512 and NEON fuse a multiplication and the addition after it, which then round once; the scalar path rounds
//! twice. A path is chosen once in a process, so each runs in a process of its own, which writes down what ran and what came
//! of it.

// A test that has nothing to compare says so.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::Command;

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{self, Act, ConvShape, Epilogue, Filter};
use lungfish_kernels::norm::{self, BatchNorm, BatchNormGradients, Place};
use lungfish_kernels::optim::{self, AdamStep};
use lungfish_kernels::pool::{self, PoolShape};
use lungfish_kernels::{elementwise, linear, machine, softmax};

#[path = "kernels/common.rs"]
#[allow(dead_code)]
mod common;
use common::values;

/// The file that a process of one path writes its results to.
const RESULTS: &str = "LUNGFISH_TEST_RESULTS";

/// How the results of a kernel relate on two instruction sets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    /// The same bits.
    Same,
    /// Within `TOLERANCE`, and not all the same bits.
    Close,
}
use Relation::{Close, Same};

/// Of the largest magnitude of a result. Sums of some hundred products whose rounding errors do not conspire; Winograd's
/// transforms multiply by up to 25 what they then subtract.
const TOLERANCE: f64 = 2e-5;

/// A kernel's result.
struct Outcome {
    name: String,
    /// AVX2 against AVX-512: both fuse, and take every sum in the same order.
    fused: Relation,
    /// The scalar path against the others.
    scalar: Relation,
    values: Vec<f32>,
}

/// The three passes of a convolution, in this order, with how they relate on AVX2 and AVX-512.
fn convolution(name: &str, n: usize, s: &ConvShape, fused: [Relation; 3], outcomes: &mut Vec<Outcome>) {
    let (x, w, dy) = (values(1, n * s.x_len()), values(2, s.weight_len()), values(3, n * s.y_len()));
    let (filter, bias) = (Filter::new(s, &w), values(4, s.c_out));
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    let epilogue = Epilogue { bias: Some(&bias), residual: Some(&dy), act: Act::Relu };
    conv::forward(s, n, &x, &filter, &epilogue, &mut y);
    conv::backward_data(s, n, &dy, &filter, &mut dx, false);
    conv::backward_weight(s, n, &x, &dy, &mut dw, false);
    let passes = [("forward", y), ("gradient to the input", dx), ("gradient to the weights", dw)];
    for ((pass, values), fused) in passes.into_iter().zip(fused) {
        let name = format!("{name} {:?}, {pass}", conv::algorithm(s, n));
        outcomes.push(Outcome { name, fused, scalar: Close, values });
    }
}

fn outcomes() -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let shape = |side: usize, [c_in, c_out]: [usize; 2], kernel: usize, stride: usize, groups: usize| ConvShape {
        h: side,
        w: side,
        c_in,
        c_out,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [kernel / 2; 4],
        groups,
    };
    let all = &mut outcomes;
    convolution("3x3 of stride 2", 2, &shape(21, [17, 40], 3, 2, 1), [Same; 3], all);
    convolution("3x3 in groups", 2, &shape(9, [12, 20], 3, 1, 4), [Same; 3], all);
    convolution("pointwise", 3, &shape(14, [72, 40], 1, 1, 1), [Same; 3], all);
    // Which operand's channels fill the vectors better, and with it how the sum over pixels is cut, differs.
    convolution("pointwise, odd channels", 16, &shape(14, [672, 112], 1, 1, 1), [Same, Same, Close], all);
    convolution("few pixels", 1, &shape(7, [192, 320], 1, 1, 1), [Same; 3], all);
    convolution("3x3", 3, &shape(14, [32, 64], 3, 1, 1), [Same; 3], all);
    convolution("wide 3x3", 3, &shape(14, [128, 128], 3, 1, 1), [Same; 3], all);
    convolution("whole vectors", 2, &shape(14, [32, 32], 3, 1, 32), [Same; 3], all);
    // 8 channels are a vector of AVX2, and what is left over without one of AVX-512: that is not fused.
    convolution("half a vector", 2, &shape(14, [24, 24], 5, 2, 24), [Close; 3], all);
    gray_film(&mut outcomes);
    dense_layers(&mut outcomes);
    normalisation(&mut outcomes);
    elementwise_passes(&mut outcomes);
    outcomes
}

fn gray_film(outcomes: &mut Vec<Outcome>) {
    let (n, plane) = (2, Gray::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]));
    for c_out in [64, 37] {
        let (kernel, stride, pads) = ([7; 2], [2; 2], [3; 4]);
        let s = ConvShape { h: 30, w: 33, c_in: 3, c_out, kernel, stride, pads, groups: 1 };
        let (z, w, dy) = (values(1, n * s.h * s.w), values(2, s.weight_len()), values(3, n * s.y_len()));
        let filter = gray::Filter::new(&Filter::new(&s, &w), &plane);
        let (mut y, mut dw) = (vec![0.0; dy.len()], vec![0.0; w.len()]);
        gray::forward(n, &z, &filter, &Epilogue::NONE, &mut y);
        gray::backward_weight(&s, n, &z, &plane, &dy, &mut dw, false);
        for (pass, values) in [("forward", y), ("gradient to the weights", dw)] {
            let name = format!("gray films to {c_out} channels, {pass}");
            outcomes.push(Outcome { name, fused: Same, scalar: Close, values });
        }
    }
}

fn dense_layers(outcomes: &mut Vec<Outcome>) {
    let (inputs, outputs) = (700, 19);
    // Of few rows each is a sum of its own, written without fusion for all paths.
    for (n, scalar) in [(2, Same), (9, Close)] {
        let (x, weight, bias) = (values(1, n * inputs), values(2, inputs * outputs), values(3, outputs));
        let mut y = vec![0.0; n * outputs];
        linear::forward(n, inputs, outputs, &x, &weight, &bias, &mut y);
        let name = format!("fully connected layer of {n} rows");
        outcomes.push(Outcome { name, fused: Same, scalar, values: y });
    }
    let (n, x) = (40, values(5, 40 * 3));
    let mut y = vec![0.0; x.len()];
    softmax::log_softmax(n, 3, &x, &mut y);
    outcomes.push(Outcome { name: "log-softmax".into(), fused: Same, scalar: Same, values: y });
}

fn normalisation(outcomes: &mut Vec<Outcome>) {
    let (rows, c) = (2001, 24);
    let (x, dy) = (values(1, rows * c), values(2, rows * c));
    let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
    norm::batch_stats(rows, c, &x, &mut mean, &mut var);
    let name = "batch statistics".to_owned();
    outcomes.push(Outcome { name, fused: Same, scalar: Close, values: [mean.clone(), var].concat() });
    let (scale, bias, inv_std) = (values(3, c), values(4, c), vec![1.5; c]);
    let mut y = vec![0.0; x.len()];
    norm::scale_shift(rows, c, &x, &scale, &bias, Some(&dy), Act::Relu, &mut y);
    outcomes.push(Outcome { name: "scale and shift".into(), fused: Same, scalar: Same, values: y });
    // Statistics that depend on no path. 2001 rows of 24 end in half a vector of AVX-512.
    let mean = values(6, c);
    let norm = BatchNorm { mean: &mean, inv_std: &inv_std, scale: &scale, bias: &bias, act: Act::Relu };
    let (mut to_scale, mut to_bias, mut dx) = (vec![0.0; c], vec![0.0; c], vec![0.0; x.len()]);
    let gradients = BatchNormGradients {
        scale: &mut to_scale,
        bias: &mut to_bias,
        accumulate: false,
        x: Place::Write(&mut dx),
        residual: Place::Nowhere,
    };
    norm::batch_norm_backward(rows, &x, None, &norm, &mut dy.clone(), gradients);
    let values = [to_scale, to_bias, dx].concat();
    outcomes.push(Outcome { name: "batch normalisation, gradients".into(), fused: Close, scalar: Close, values });
}

fn elementwise_passes(outcomes: &mut Vec<Outcome>) {
    let len = 5003;
    let mut exact = |name: &str, values: Vec<f32>| {
        outcomes.push(Outcome { name: name.into(), fused: Same, scalar: Same, values });
    };
    let mut y = vec![0.0; len];
    elementwise::multiply(&values(1, len), &values(2, len), &mut y);
    exact("multiplication", y);
    let step =
        AdamStep { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, decoupled: true, step: 3 };
    let squares = values(4, len).iter().map(|v| v * v).collect::<Vec<_>>();
    let (mut params, mut m, mut v) = (values(1, len), values(2, len), squares);
    optim::adam(&step, &mut params, &values(3, len), &mut m, &mut v);
    exact("Adam", [params, m, v].concat());
    let s = PoolShape { h: 13, w: 12, c: 21, kernel: [3; 2], stride: [2; 2], pads: [1; 4] };
    let (x, mut y) = (values(1, s.x_len()), vec![0.0; s.y_len()]);
    pool::max_pool(&s, 1, &x, &mut y);
    exact("max-pooling", y);
    let mut y = vec![0.0; s.c];
    pool::average_pool(1, s.h * s.w, s.c, &x, &mut y);
    exact("average pooling", y);
}

/// In a process that was started for one path: what ran, then a line a result, its numbers as bits. In any other: every
/// kernel gives finite numbers that are not all alike.
#[test]
fn results_of_the_path_that_runs() {
    let outcomes = outcomes();
    let mut text = format!("{}\n", machine::path());
    for outcome in &outcomes {
        assert!(outcome.values.iter().all(|v| v.is_finite()), "{}: not finite", outcome.name);
        assert!(outcome.values.iter().any(|v| *v != outcome.values[0]), "{}: nothing happened", outcome.name);
        outcome.values.iter().for_each(|value| text.push_str(&format!("{:x} ", value.to_bits())));
        text.push('\n');
    }
    if let Some(path) = std::env::var_os(RESULTS) {
        std::fs::write(path, text).unwrap();
    }
}

/// What a process with `LUNGFISH_SIMD=asked` computes: results in the order of [`outcomes`].
fn on(asked: &str) -> Vec<Vec<f32>> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{asked}-{}.results", std::process::id()));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "results_of_the_path_that_runs"])
        .envs([("LUNGFISH_SIMD", asked), ("LUNGFISH_KERNELS", "")])
        .env(RESULTS, &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{asked}:\n{}", String::from_utf8_lossy(&output.stdout));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(asked), "another path ran");
    let bits = |word: &str| f32::from_bits(u32::from_str_radix(word, 16).unwrap());
    lines.map(|line| line.split_whitespace().map(bits).collect()).collect()
}

fn compare(name: &str, relation: Relation, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{name}");
    let same = a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    match relation {
        Same => assert!(same, "{name}: other bits"),
        Close => {
            let largest = a.iter().fold(0.0f64, |max, v| max.max(f64::from(v.abs())));
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                let apart = (f64::from(*a) - f64::from(*b)).abs();
                assert!(apart <= TOLERANCE * (1.0 + largest), "{name}: element {i} is {a} and {b}");
            }
            assert!(!same, "{name}: the same bits, which is better than what is written of it");
        }
    }
}

#[test]
fn instruction_sets_relate_as_is_written() {
    if machine::plain() || std::env::var_os("LUNGFISH_SIMD").is_some() || std::env::var_os(RESULTS).is_some() {
        println!("skipped: one path is asked for");
        return;
    }
    let expected = outcomes();
    let scalar = on("scalar");
    let best = machine::simd();
    assert_eq!(scalar.len(), expected.len());
    for (i, outcome) in expected.iter().enumerate().filter(|_| best != "scalar") {
        compare(&format!("{}: scalar and {best}", outcome.name), outcome.scalar, &scalar[i], &outcome.values);
    }
    if best == "avx512" {
        let avx2 = on("avx2+fma");
        for (i, outcome) in expected.iter().enumerate() {
            compare(&format!("{}: avx2+fma and avx512", outcome.name), outcome.fused, &avx2[i], &outcome.values);
        }
    } else {
        println!("AVX2 is not compared with AVX-512: this machine has {best}");
    }
}
