//! Times the convolutions of EfficientNet-Lite0 and ResNet-34 at 224 pixels, layer by layer.
//!
//! ```text
//! cargo run --release -p lungfish-kernels --example layers [forward|backward] [films] [repetitions] [threads]
//! ```
//! Prints the best of the repetitions: milliseconds, GFLOP/s (two operations a multiply-add) and GB/s of activations
//! read and written; then the sum over each network, weighted by how often each layer occurs.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{self, Act, ConvShape, Epilogue, Filter};
use lungfish_kernels::machine;

/// How often the layer occurs, side, channels in and out, kernel, stride, groups.
type Layer = (usize, usize, usize, usize, usize, usize, bool);

const LITE0: [Layer; 35] = [
    (1, 224, 3, 32, 3, 2, false),
    (1, 112, 32, 32, 3, 1, true),
    (1, 112, 32, 16, 1, 1, false),
    (1, 112, 16, 96, 1, 1, false),
    (1, 112, 96, 96, 3, 2, true),
    (1, 56, 96, 24, 1, 1, false),
    (2, 56, 24, 144, 1, 1, false),
    (1, 56, 144, 144, 3, 1, true),
    (1, 56, 144, 24, 1, 1, false),
    (1, 56, 144, 144, 5, 2, true),
    (1, 28, 144, 40, 1, 1, false),
    (2, 28, 40, 240, 1, 1, false),
    (1, 28, 240, 240, 5, 1, true),
    (1, 28, 240, 40, 1, 1, false),
    (1, 28, 240, 240, 3, 2, true),
    (1, 14, 240, 80, 1, 1, false),
    (3, 14, 80, 480, 1, 1, false),
    (2, 14, 480, 480, 3, 1, true),
    (2, 14, 480, 80, 1, 1, false),
    (1, 14, 480, 480, 5, 1, true),
    (1, 14, 480, 112, 1, 1, false),
    (3, 14, 112, 672, 1, 1, false),
    (2, 14, 672, 672, 5, 1, true),
    (2, 14, 672, 112, 1, 1, false),
    (1, 14, 672, 672, 5, 2, true),
    (1, 7, 672, 192, 1, 1, false),
    (4, 7, 192, 1152, 1, 1, false),
    (3, 7, 1152, 1152, 5, 1, true),
    (3, 7, 1152, 192, 1, 1, false),
    (1, 7, 1152, 1152, 3, 1, true),
    (1, 7, 1152, 320, 1, 1, false),
    (1, 7, 320, 1280, 1, 1, false),
    // The same GEMMs without neighbours, as yardsticks.
    (0, 14, 512, 512, 1, 1, false),
    (0, 28, 256, 256, 1, 1, false),
    (0, 56, 64, 64, 1, 1, false),
];

const RESNET34: [Layer; 11] = [
    (1, 224, 3, 64, 7, 2, false),
    (6, 56, 64, 64, 3, 1, false),
    (1, 56, 64, 128, 3, 2, false),
    (1, 56, 64, 128, 1, 2, false),
    (7, 28, 128, 128, 3, 1, false),
    (1, 28, 128, 256, 3, 2, false),
    (1, 28, 128, 256, 1, 2, false),
    (11, 14, 256, 256, 3, 1, false),
    (1, 14, 256, 512, 3, 2, false),
    (1, 14, 256, 512, 1, 2, false),
    (5, 7, 512, 512, 3, 1, false),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let backward = arguments.next().is_some_and(|way| way == "backward");
    let mut number = |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (films, repetitions, threads) = (number(32), number(5), number(0));
    if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        println!("{error}");
    }
    println!("{}, {} threads, {films} films", machine::path(), rayon::current_num_threads());
    for (name, layers) in [("efficientnet-lite0", &LITE0[..]), ("resnet34", &RESNET34[..])] {
        let mut total = [0.0; 2];
        for &layer in layers {
            let times = time(layer, films, repetitions, backward);
            total.iter_mut().zip(times).for_each(|(total, time)| *total += time * layer.0 as f64);
        }
        let [first, second] = total;
        println!("{name}: {:.1} ms, {:.1} films/s", (first + second) * 1e3, films as f64 / (first + second));
    }
}

/// Seconds: forward, or the gradients to the input and to the weights.
fn time(
    (_, side, c_in, c_out, kernel, stride, depthwise): Layer,
    n: usize,
    repetitions: usize,
    backward: bool,
) -> [f64; 2] {
    let total = ((side.div_ceil(stride) - 1) * stride + kernel).saturating_sub(side);
    let pads = [total / 2, total / 2, total - total / 2, total - total / 2];
    let groups = if depthwise { c_in } else { 1 };
    let shape = ConvShape { h: side, w: side, c_in, c_out, kernel: [kernel; 2], stride: [stride; 2], pads, groups };
    let noise = |len: usize| (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect::<Vec<_>>();
    let (x, mut y, weights) = (noise(n * shape.x_len()), noise(n * shape.y_len()), noise(shape.weight_len()));
    let (filter, bias) = (Filter::new(&shape, &weights), noise(c_out));
    let epilogue = Epilogue { bias: Some(&bias), residual: None, act: Act::Clip { min: 0.0, max: 6.0 } };
    let plane = Gray::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let of_gray = (c_in == 3).then(|| gray::Filter::new(&filter, &plane));
    let (mut dx, mut dw) = (if backward { noise(x.len()) } else { Vec::new() }, weights);
    let mut best = [f64::INFINITY; 2];
    for _ in 0..repetitions {
        let start = Instant::now();
        // Nobody wants the gradient to the films themselves.
        if backward && c_in > 3 {
            conv::backward_data(&shape, n, &y, &filter, &mut dx, false);
        } else if let Some(filter) = of_gray.as_ref().filter(|_| !backward) {
            gray::forward(n, &x[..n * side * side], filter, &epilogue, &mut y);
        } else if !backward {
            conv::forward(&shape, n, &x, &filter, &epilogue, &mut y);
        }
        best[0] = best[0].min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        if backward && of_gray.is_some() {
            gray::backward_weight(&shape, n, &x[..n * side * side], &plane, &y, &mut dw, false);
        } else if backward {
            conv::backward_weight(&shape, n, &x, &y, &mut dw, false);
        }
        best[1] = best[1].min(start.elapsed().as_secs_f64());
    }
    let kind = match (depthwise, c_in) {
        (true, _) => " depthwise",
        (false, 3) => " gray",
        _ => "",
    };
    let label = format!("{side:>3}x{side:<3} {c_in:>4} -> {c_out:<4} {kernel}x{kernel}/{stride}{kind}");
    let (flops, bytes) = (2.0 * n as f64 * shape.macs() as f64, 4.0 * (x.len() + y.len()) as f64);
    let show =
        |time: f64| format!("{:8.2} ms {:6.1} GFLOP/s {:5.1} GB/s", time * 1e3, flops / time / 1e9, bytes / time / 1e9);
    if backward {
        let data = if c_in > 3 { show(best[0]) } else { "-".to_owned() };
        println!("{label:<42} data {data:<38}  weight {}", show(best[1]));
        best
    } else {
        println!("{label:<42} {}", show(best[0]));
        [best[0], 0.0]
    }
}
