//! The specification of each operator: what it gives and what its gradients are, over values `[n, c, h, w]` in plain loops.

use lungfish_engine::Shape;
use lungfish_engine::schedule::{Activation, ConvStep, GemmStep, Kind, Norm, Sliding, Step, dropout_mask};

/// Values of films, one after the other.
pub type Values = Vec<f64>;

/// Elements of a tensor of the store.
pub fn load(buffer: &[f32], range: &std::ops::Range<usize>) -> Values {
    buffer[range.clone()].iter().map(|v| f64::from(*v)).collect()
}

/// Where element `(film, channel, row, column)` of a value of that shape lies.
fn at(shape: Shape, film: usize, c: usize, h: usize, w: usize) -> usize {
    ((film * shape.c + c) * shape.h + h) * shape.w + w
}

/// All `(film, channel, row, column)` of `n` films, in the order in which they lie.
pub fn every(n: usize, shape: Shape) -> impl Iterator<Item = [usize; 4]> {
    let Shape { c, h, w } = shape;
    (0..n * c * h * w).map(move |i| [i / (c * h * w), i / (h * w) % c, i / w % h, i % w])
}

/// Row (axis 0) or column (axis 1) of the input under tap `k` of the window at place `o`; `None` in the padding.
fn under(window: &Sliding, o: usize, k: usize, axis: usize) -> Option<usize> {
    let size = [window.x.h, window.x.w][axis];
    (o * window.stride[axis] + k).checked_sub(window.pads[axis]).filter(|i| *i < size)
}

/// The input pixels under an output pixel, each after its tap.
fn pixels_under(window: &Sliding, [h, w]: [usize; 2]) -> Vec<([usize; 2], [usize; 2])> {
    let [kh, kw] = window.kernel;
    let taps = (0..kh * kw).map(|tap| [tap / kw, tap % kw]);
    taps.filter_map(|[i, j]| Some(([i, j], [under(window, h, i, 0)?, under(window, w, j, 1)?]))).collect()
}

/// What is done to a value last.
pub fn activate(activation: Activation, v: f64) -> f64 {
    match activation {
        Activation::Identity => v,
        Activation::Relu => v.max(0.0),
        Activation::Clip { min, max } => v.max(f64::from(min)).min(f64::from(max)),
    }
}

/// Whether an activation that gave (or got) `v` lets the gradient through.
fn passes(activation: Activation, v: f64) -> bool {
    match activation {
        Activation::Identity => true,
        Activation::Relu => v > 0.0,
        Activation::Clip { min, max } => v > f64::from(min) && v < f64::from(max),
    }
}

/// Gradient to what an activation read, told by the values that it gave (or got).
pub fn activation_gradient(activation: Activation, told: &[f64], dy: &[f64]) -> Values {
    dy.iter().zip(told).map(|(dy, v)| if passes(activation, *v) { *dy } else { 0.0 }).collect()
}

/// Each multiplication of a convolution once: `visit` gets the places in its result, its input and its weights
/// `[out, in / groups, kh, kw]`.
fn every_product(conv: &ConvStep, n: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let ConvStep { window, groups, .. } = conv;
    let (inner, outer) = (window.x.c / groups, window.y.c / groups);
    for [film, c, h, w] in every(n, window.y) {
        for ([i, j], [row, column]) in pixels_under(window, [h, w]) {
            for k in 0..inner {
                let x = at(window.x, film, c / outer * inner + k, row, column);
                let weight = ((c * inner + k) * window.kernel[0] + i) * window.kernel[1] + j;
                visit(at(window.y, film, c, h, w), x, weight);
            }
        }
    }
}

/// Each window times the weights, and the bias.
pub fn conv(conv: &ConvStep, n: usize, x: &[f64], params: &[f32]) -> Values {
    let weight = load(params, &conv.weight);
    let mut y = vec![0.0; n * conv.window.y.len()];
    every_product(conv, n, |to, from, w| y[to] += x[from] * weight[w]);
    if let Some(bias) = &conv.bias {
        let bias = load(params, bias);
        every(n, conv.window.y).zip(&mut y).for_each(|([_, c, ..], y)| *y += bias[c]);
    }
    y
}

/// Gradients to the input, the weights and the bias.
pub fn conv_gradients(conv: &ConvStep, n: usize, x: Option<&[f64]>, dy: &[f64], params: &[f32]) -> [Values; 3] {
    let weight = load(params, &conv.weight);
    let (mut dx, mut dw, mut db) =
        (vec![0.0; n * conv.window.x.len()], vec![0.0; weight.len()], vec![0.0; conv.window.y.c]);
    every_product(conv, n, |to, from, w| {
        dx[from] += dy[to] * weight[w];
        dw[w] += x.map_or(0.0, |x| dy[to] * x[from]);
    });
    every(n, conv.window.y).zip(dy).for_each(|([_, c, ..], dy)| db[c] += dy);
    [dx, dw, db]
}

/// `scale * (x - mean) / sqrt(var + epsilon) + bias`, a channel at a time.
pub fn normalise(norm: &Norm, shape: Shape, n: usize, x: &[f64], [mean, var]: [&[f64]; 2], params: &[f32]) -> Values {
    let (scale, bias) = (load(params, &norm.scale), load(params, &norm.bias));
    let one = |([_, c, ..], x): ([usize; 4], &f64)| {
        scale[c] * (x - mean[c]) / (var[c] + f64::from(norm.epsilon)).sqrt() + bias[c]
    };
    every(n, shape).zip(x).map(one).collect()
}

/// Gradients to the input, the scale and the bias, where `mean` and `var` are those of the batch.
pub fn normalise_gradients(
    norm: &Norm,
    shape: Shape,
    n: usize,
    x: &[f64],
    [mean, var]: [&[f64]; 2],
    dy: &[f64],
    params: &[f32],
) -> [Values; 3] {
    let scale = load(params, &norm.scale);
    let deviation = |c: usize| (var[c] + f64::from(norm.epsilon)).sqrt();
    let hat = |c: usize, x: f64| (x - mean[c]) / deviation(c);
    let (mut dscale, mut dbias) = (vec![0.0; shape.c], vec![0.0; shape.c]);
    for ([_, c, ..], (dy, x)) in every(n, shape).zip(dy.iter().zip(x)) {
        dscale[c] += dy * hat(c, *x);
        dbias[c] += dy;
    }
    let count = (n * shape.pixels()) as f64;
    let one = |([_, c, ..], (dy, x)): ([usize; 4], (&f64, &f64))| {
        scale[c] / deviation(c) * (dy - dbias[c] / count - hat(c, *x) * dscale[c] / count)
    };
    let dx = every(n, shape).zip(dy.iter().zip(x)).map(one).collect();
    [dx, dscale, dbias]
}

/// Gradient to the input, where the variance is the running one.
pub fn normalise_gradient(norm: &Norm, shape: Shape, n: usize, var: &[f64], dy: &[f64], params: &[f32]) -> Values {
    let scale = load(params, &norm.scale);
    let one = |([_, c, ..], dy): ([usize; 4], &f64)| dy * scale[c] / (var[c] + f64::from(norm.epsilon)).sqrt();
    every(n, shape).zip(dy).map(one).collect()
}

/// Mean and biased variance of each channel.
pub fn statistics(shape: Shape, n: usize, x: &[f64]) -> [Values; 2] {
    let count = (n * shape.pixels()) as f64;
    let mut mean = vec![0.0; shape.c];
    every(n, shape).zip(x).for_each(|([_, c, ..], x)| mean[c] += x / count);
    let mut var = vec![0.0; shape.c];
    every(n, shape).zip(x).for_each(|([_, c, ..], x)| var[c] += (x - mean[c]).powi(2) / count);
    [mean, var]
}

/// The largest value in each window; the padding is none.
pub fn max_pool(window: &Sliding, n: usize, x: &[f64]) -> Values {
    let largest = |[film, c, h, w]: [usize; 4]| {
        let pixels = pixels_under(window, [h, w]).into_iter().map(|(_, [i, j])| x[at(window.x, film, c, i, j)]);
        pixels.fold(f64::NEG_INFINITY, f64::max)
    };
    every(n, window.y).map(largest).collect()
}

/// Gradient to the input: each window's goes to the first pixel that is the largest.
pub fn max_pool_gradient(window: &Sliding, n: usize, x: &[f64], y: &[f64], dy: &[f64]) -> Values {
    let mut dx = vec![0.0; n * window.x.len()];
    for ([film, c, h, w], (y, dy)) in every(n, window.y).zip(y.iter().zip(dy)) {
        let mut pixels = pixels_under(window, [h, w]).into_iter().map(|(_, [i, j])| at(window.x, film, c, i, j));
        if let Some(first) = pixels.find(|pixel| x[*pixel] == *y) {
            dx[first] += dy;
        }
    }
    dx
}

/// The mean of each channel.
pub fn average_pool(x_shape: Shape, n: usize, x: &[f64]) -> Values {
    let mut y = vec![0.0; n * x_shape.c];
    for ([film, c, ..], x) in every(n, x_shape).zip(x) {
        y[film * x_shape.c + c] += x / x_shape.pixels() as f64;
    }
    y
}

/// Gradient to the input.
pub fn average_pool_gradient(x_shape: Shape, n: usize, dy: &[f64]) -> Values {
    every(n, x_shape).map(|[film, c, ..]| dy[film * x_shape.c + c] / x_shape.pixels() as f64).collect()
}

/// `x * weight^T + bias`, weights `[out, in]`.
pub fn gemm(gemm: &GemmStep, x: &[f64], params: &[f32]) -> Values {
    let (weight, bias) = (load(params, &gemm.weight), load(params, &gemm.bias));
    let of_film = |x: &[f64]| {
        let row = |(w, b): (&[f64], &f64)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
        weight.chunks(gemm.inputs).zip(&bias).map(row).collect::<Values>()
    };
    x.chunks(gemm.inputs).flat_map(of_film).collect()
}

/// Gradients to the input, the weights and the bias.
pub fn gemm_gradients(gemm: &GemmStep, n: usize, x: Option<&[f64]>, dy: &[f64], params: &[f32]) -> [Values; 3] {
    let (ins, outs, weight) = (gemm.inputs, gemm.outputs, load(params, &gemm.weight));
    let (mut dx, mut dw, mut db) = (vec![0.0; n * ins], vec![0.0; outs * ins], vec![0.0; outs]);
    for (film, o) in (0..n).flat_map(|film| (0..outs).map(move |o| (film, o))) {
        let dy = dy[film * outs + o];
        db[o] += dy;
        for i in 0..ins {
            dx[film * ins + i] += dy * weight[o * ins + i];
            dw[o * ins + i] += x.map_or(0.0, |x| dy * x[film * ins + i]);
        }
    }
    [dx, dw, db]
}

/// `x - ln(sum(exp(x)))`, film by film.
pub fn log_softmax(classes: usize, x: &[f64]) -> Values {
    let of_film = |x: &[f64]| {
        let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = x.iter().map(|x| (x - most).exp()).sum::<f64>().ln() + most;
        x.iter().map(|x| x - sum).collect::<Values>()
    };
    x.chunks(classes).flat_map(of_film).collect()
}

/// Gradient to the input, told by the log-probabilities.
pub fn log_softmax_gradient(classes: usize, y: &[f64], dy: &[f64]) -> Values {
    let of_film = |(dy, y): (&[f64], &[f64])| {
        let sum: f64 = dy.iter().sum();
        dy.iter().zip(y).map(|(dy, y)| dy - y.exp() * sum).collect::<Values>()
    };
    dy.chunks(classes).zip(y.chunks(classes)).flat_map(of_film).collect()
}

/// What each element is multiplied by. It is drawn in the order film, row, column, channel.
pub fn mask(step: &Step, n: usize, key: [u64; 4]) -> Values {
    let Kind::Dropout(dropout) = &step.kind else { panic!("{} is no dropout", step.name) };
    let Shape { c: channels, h: height, w: width } = step.shape;
    let mut drawn = vec![0.0; n * step.shape.len()];
    dropout_mask(key, dropout, &mut drawn);
    let drawn_for = |[film, c, h, w]: [usize; 4]| ((film * height + h) * width + w) * channels + c;
    every(n, step.shape).map(|place| f64::from(drawn[drawn_for(place)])).collect()
}
