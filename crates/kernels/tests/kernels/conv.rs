//! Convolution against loops in `f64`, its gradients also by differences and by the adjoint identity.

use crate::common::{assert_close, assert_same_bits, dot, values};
use lungfish_kernels::conv::{self, Act, Algorithm, ConvShape, Epilogue, Filter, Input};

/// Of the largest magnitude. Winograd's sums cancel: its transforms multiply by up to 25 what they then subtract.
fn tolerance(n: usize, shape: &ConvShape) -> f64 {
    match conv::algorithm(shape, n) {
        Algorithm::Winograd | Algorithm::WinogradWide => 2e-5,
        Algorithm::Depthwise | Algorithm::Gathered | Algorithm::Columns | Algorithm::Gray | Algorithm::Tiles => 1e-5,
    }
}

fn shape(
    [h, w]: [usize; 2],
    [c_in, c_out]: [usize; 2],
    kernel: usize,
    stride: usize,
    pads: [usize; 4],
    groups: usize,
) -> ConvShape {
    ConvShape { h, w, c_in, c_out, kernel: [kernel; 2], stride: [stride; 2], pads, groups }
}

pub fn table() -> Vec<(usize, ConvShape)> {
    vec![
        // Pointwise; channels that fill no vector.
        (1, shape([1, 1], [1, 1], 1, 1, [0; 4], 1)),
        (3, shape([7, 5], [3, 17], 1, 1, [0; 4], 1)),
        (2, shape([14, 14], [33, 5], 1, 1, [0; 4], 1)),
        (5, shape([28, 28], [16, 96], 1, 1, [0; 4], 1)),
        (1, shape([9, 9], [96, 24], 1, 1, [0; 4], 1)),
        (2, shape([6, 6], [8, 12], 1, 1, [0; 4], 4)),
        // Pointwise with padding, and with stride (a ResNet's shortcut).
        (1, shape([5, 5], [2, 3], 1, 1, [1, 0, 0, 2], 1)),
        (2, shape([9, 8], [17, 33], 1, 2, [0; 4], 1)),
        (2, shape([14, 14], [64, 128], 1, 2, [0; 4], 1)),
        // 3x3: odd sizes, one GEMM and several, several chunks.
        (1, shape([3, 3], [1, 1], 3, 1, [1; 4], 1)),
        (2, shape([7, 9], [3, 5], 3, 1, [1; 4], 1)),
        (3, shape([13, 11], [17, 33], 3, 1, [1; 4], 1)),
        (2, shape([31, 29], [33, 17], 3, 1, [1; 4], 1)),
        (1, shape([7, 7], [300, 20], 3, 1, [1; 4], 1)),
        (2, shape([8, 8], [100, 64], 3, 1, [0; 4], 1)),
        (2, shape([56, 56], [8, 8], 3, 1, [1; 4], 1)),
        // Winograd: tiles cut off at the edges, more than one task, fewer than one tile, other pads, more channels out.
        (3, shape([7, 7], [64, 32], 3, 1, [1; 4], 1)),
        (200, shape([1, 1], [32, 32], 3, 1, [1; 4], 1)),
        (3, shape([13, 10], [32, 96], 3, 1, [1; 4], 1)),
        (2, shape([30, 41], [32, 32], 3, 1, [0, 2, 1, 0], 1)),
        (5, shape([14, 14], [64, 64], 3, 1, [1; 4], 1)),
        // Winograd with short tiles: 2 and 3 pixels, in either direction or both, a last group of fewer films.
        (4, shape([10, 8], [32, 64], 3, 1, [1; 4], 1)),
        (3, shape([8, 11], [64, 32], 3, 1, [1; 4], 1)),
        (5, shape([7, 10], [32, 32], 3, 1, [1, 2, 1, 0], 1)),
        (11, shape([6, 5], [32, 32], 3, 1, [1; 4], 1)),
        (19, shape([7, 7], [32, 32], 3, 1, [1; 4], 1)),
        (70, shape([3, 2], [32, 32], 3, 1, [1; 4], 1)),
        // Winograd of so many channels that their gradient goes straight back to the window.
        (2, shape([7, 9], [288, 512], 3, 1, [1; 4], 1)),
        // Winograd of so many channels that the filter is transformed as it is used: one film, short tiles, other pads, several
        // passes.
        (1, shape([11, 11], [256, 256], 3, 1, [1; 4], 1)),
        (3, shape([6, 7], [1024, 64], 3, 1, [1, 0, 1, 2], 1)),
        (5, shape([28, 28], [128, 128], 3, 1, [1; 4], 1)),
        // Stride 2, padded on one side or both.
        (2, shape([9, 9], [5, 7], 3, 2, [1; 4], 1)),
        (3, shape([14, 12], [17, 16], 3, 2, [0, 0, 1, 1], 1)),
        (1, shape([15, 15], [260, 9], 3, 2, [1; 4], 1)),
        (2, shape([33, 31], [3, 32], 3, 2, [0, 0, 1, 1], 1)),
        // The stem of a ResNet, stride 3 with a gap, pads beyond the kernel, windows that are not square.
        (2, shape([23, 21], [3, 8], 7, 2, [3; 4], 1)),
        (2, shape([11, 11], [2, 3], 2, 3, [0, 1, 1, 0], 1)),
        (1, shape([4, 4], [2, 2], 2, 1, [3; 4], 1)),
        (2, ConvShape { kernel: [1, 5], stride: [2, 1], ..shape([9, 10], [4, 6], 1, 1, [0, 2, 0, 2], 1) }),
        (2, ConvShape { kernel: [3, 2], stride: [1, 3], ..shape([9, 11], [4, 6], 1, 1, [1, 0, 1, 1], 1) }),
        // So few pixels that the weights are shared out: whole blocks of channels and a part of one, a last partial panel.
        (1, shape([7, 7], [30, 256], 3, 1, [1; 4], 1)),
        (1, shape([7, 7], [40, 133], 1, 1, [0; 4], 1)),
        (2, shape([9, 13], [10, 200], 3, 2, [1, 0, 1, 2], 1)),
        // Groups that are not depthwise.
        (2, shape([7, 6], [12, 8], 3, 1, [1; 4], 4)),
        (2, shape([7, 6], [6, 9], 3, 2, [1, 0, 1, 0], 3)),
        (1, shape([5, 5], [4, 12], 3, 1, [1; 4], 4)),
        // Depthwise: 3x3 and 5x5, stride 1 and 2, TensorFlow's pads, channels that fill no vector.
        (2, shape([7, 7], [2, 2], 3, 1, [1; 4], 2)),
        (3, shape([9, 11], [33, 33], 3, 1, [1; 4], 33)),
        (2, shape([14, 14], [32, 32], 3, 2, [0, 0, 1, 1], 32)),
        (2, shape([15, 13], [17, 17], 3, 2, [1; 4], 17)),
        (2, shape([14, 14], [80, 80], 5, 1, [2; 4], 80)),
        (2, shape([14, 14], [100, 100], 5, 2, [1, 1, 2, 2], 100)),
        (1, shape([3, 3], [5, 5], 5, 1, [2; 4], 5)),
        (1, shape([4, 4], [16, 16], 1, 2, [0; 4], 16)),
        (3, shape([28, 28], [144, 144], 3, 1, [1; 4], 144)),
    ]
}

/// Calls `f(y index, x index, weight index)` for every product of the convolution: a channel of results after another, so that
/// its weights stay in the cache, and with nothing worked out for a product that need not be. Every path waits for this.
pub fn products(n: usize, s: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let [oh, ow] = s.out();
    let (ci, co, taps) = (s.c_in / s.groups, s.c_out / s.groups, s.kernel[0] * s.kernel[1]);
    for (o, film) in (0..s.c_out).flat_map(|o| (0..n).map(move |film| (o, film))) {
        for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            let y = ((film * oh + oy) * ow + ox) * s.c_out + o;
            for (kh, kw) in (0..s.kernel[0]).flat_map(|y| (0..s.kernel[1]).map(move |x| (y, x))) {
                let (iy, ix) = (oy * s.stride[0] + kh, ox * s.stride[1] + kw);
                if iy < s.pads[0] || ix < s.pads[1] || iy - s.pads[0] >= s.h || ix - s.pads[1] >= s.w {
                    continue;
                }
                let pixel = (film * s.h + iy - s.pads[0]) * s.w + ix - s.pads[1];
                let xs = pixel * s.c_in + o / co * ci..;
                let ws = (o * ci * taps + kh * s.kernel[1] + kw..).step_by(taps);
                xs.zip(ws).take(ci).for_each(|(x, w)| f(y, x, w));
            }
        }
    }
}

fn convolve(n: usize, s: &ConvShape, x: &[f32], w: &[f32]) -> Vec<f64> {
    let mut y = vec![0.0; n * s.y_len()];
    products(n, s, |yi, xi, wi| y[yi] += f64::from(x[xi]) * f64::from(w[wi]));
    y
}

fn inputs(n: usize, s: &ConvShape) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    (values(1, n * s.x_len()), values(2, s.weight_len()), values(3, n * s.y_len()))
}

#[test]
fn forward_with_every_epilogue() {
    for (n, s) in table() {
        let (x, w, residual) = inputs(n, &s);
        let bias = values(4, s.c_out);
        let expected = convolve(n, &s, &x, &w);
        let filter = Filter::new(&s, &w);
        // A bound that cuts some values and leaves others, whatever the number of products.
        let max = expected.iter().fold(0.0f64, |max, v| max.max(v.abs())) as f32 / 2.0;
        for (with_bias, with_residual) in [(false, false), (true, false), (false, true), (true, true)] {
            for act in [Act::None, Act::Relu, Act::Clip { min: 0.0, max }] {
                let epilogue = Epilogue {
                    bias: with_bias.then_some(&bias[..]),
                    residual: with_residual.then_some(&residual[..]),
                    act,
                };
                let expected: Vec<f64> = expected
                    .iter()
                    .enumerate()
                    .map(|(i, &v)| {
                        let v = v + if with_bias { f64::from(bias[i % s.c_out]) } else { 0.0 };
                        let v = v + if with_residual { f64::from(residual[i]) } else { 0.0 };
                        match act {
                            Act::None => v,
                            Act::Relu => v.max(0.0),
                            Act::Clip { min, max } => v.clamp(f64::from(min), f64::from(max)),
                        }
                    })
                    .collect();
                let mut y = vec![f32::NAN; n * s.y_len()];
                conv::forward(&s, n, &x, &filter, &epilogue, &mut y);
                // Rounding errors are those of the values before the cut, twice as large.
                let cut = if matches!(act, Act::Clip { .. }) { 2.0 } else { 1.0 };
                assert_close(&y, &expected, cut * tolerance(n, &s), &format!("{s:?} {act:?}"));
            }
        }
    }
}

#[test]
fn backward_data_overwrites_and_accumulates() {
    for (n, s) in table() {
        let (_, w, dy) = inputs(n, &s);
        let filter = Filter::new(&s, &w);
        let mut expected = vec![0.0; n * s.x_len()];
        products(n, &s, |yi, xi, wi| expected[xi] += f64::from(dy[yi]) * f64::from(w[wi]));
        let mut dx = vec![f32::NAN; n * s.x_len()];
        conv::backward_data(&s, n, &dy, &filter, &mut dx, false);
        assert_close(&dx, &expected, tolerance(n, &s), &format!("{s:?}"));
        let mut dx = values(5, n * s.x_len());
        expected.iter_mut().zip(&dx).for_each(|(e, &d)| *e += f64::from(d));
        conv::backward_data(&s, n, &dy, &filter, &mut dx, true);
        assert_close(&dx, &expected, tolerance(n, &s), &format!("accumulated {s:?}"));
    }
}

#[test]
fn backward_weight_overwrites_and_accumulates() {
    for (n, s) in table() {
        let (x, _, dy) = inputs(n, &s);
        let mut expected = vec![0.0; s.weight_len()];
        products(n, &s, |yi, xi, wi| expected[wi] += f64::from(dy[yi]) * f64::from(x[xi]));
        let mut dw = vec![f32::NAN; s.weight_len()];
        conv::backward_weight(&s, n, &x, &dy, &mut dw, false);
        assert_close(&dw, &expected, tolerance(n, &s), &format!("{s:?}"));
        let mut dw = values(5, s.weight_len());
        expected.iter_mut().zip(&dw).for_each(|(e, &d)| *e += f64::from(d));
        conv::backward_weight(&s, n, &x, &dy, &mut dw, true);
        assert_close(&dw, &expected, tolerance(n, &s), &format!("accumulated {s:?}"));
    }
}

/// `<dy, conv(x, w)> = <backward_data(dy), x> = <backward_weight(x, dy), w>`.
/// So many channels and tiles that the gradient to the weights is added up in several passes.
#[test]
fn the_gradient_of_many_films_is_the_sum_of_their_gradients() {
    let (n, s) = (42, shape([5, 5], [512, 256], 3, 1, [1; 4], 1));
    let (x, dy) = (values(1, n * s.x_len()), values(2, n * s.y_len()));
    let mut at_once = vec![f32::NAN; s.weight_len()];
    conv::backward_weight(&s, n, &x, &dy, &mut at_once, false);
    let mut one_by_one = vec![0.0; s.weight_len()];
    for (x, dy) in x.chunks(6 * s.x_len()).zip(dy.chunks(6 * s.y_len())) {
        conv::backward_weight(&s, 6, x, dy, &mut one_by_one, true);
    }
    let expected: Vec<f64> = one_by_one.iter().map(|v| f64::from(*v)).collect();
    assert_close(&at_once, &expected, tolerance(n, &s), "42 films at once");
}

#[test]
fn gradients_are_adjoint() {
    for (n, s) in table() {
        let (x, w, dy) = inputs(n, &s);
        let filter = Filter::new(&s, &w);
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        conv::forward(&s, n, &x, &filter, &Epilogue::NONE, &mut y);
        conv::backward_data(&s, n, &dy, &filter, &mut dx, false);
        conv::backward_weight(&s, n, &x, &dy, &mut dw, false);
        let (a, b, c) = (dot(&dy, &y), dot(&dx, &x), dot(&dw, &w));
        let bound = 1e-6 * (1.0 + y.len() as f64);
        assert!((a - b).abs() < bound && (a - c).abs() < bound, "{s:?}: {a} {b} {c}");
    }
}

/// The convolution is linear in `x` and in `w`, so a difference over a whole unit is its derivative.
#[test]
fn gradients_by_differences() {
    for (n, s) in table() {
        let (x, w, dy) = inputs(n, &s);
        let loss = |x: &[f32], w: &[f32]| {
            let mut y = vec![0.0; n * s.y_len()];
            conv::forward(&s, n, x, &Filter::new(&s, w), &Epilogue::NONE, &mut y);
            dot(&dy, &y)
        };
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        conv::backward_data(&s, n, &dy, &Filter::new(&s, &w), &mut dx, false);
        conv::backward_weight(&s, n, &x, &dy, &mut dw, false);
        let bound = 1e-5 * (1.0 + (n * s.y_len()) as f64).sqrt() * 4.0;
        for i in 0..4 {
            let bumped = |v: &[f32], at: usize, by: f32| {
                let mut v = v.to_vec();
                v[at] += by;
                v
            };
            let at = (i * 7919 + 13) % x.len();
            let slope = loss(&bumped(&x, at, 0.5), &w) - loss(&bumped(&x, at, -0.5), &w);
            assert!((slope - f64::from(dx[at])).abs() < bound, "{s:?} x[{at}]: {slope} {}", dx[at]);
            let at = (i * 7919 + 13) % w.len();
            let slope = loss(&x, &bumped(&w, at, 0.5)) - loss(&x, &bumped(&w, at, -0.5));
            assert!((slope - f64::from(dw[at])).abs() < bound, "{s:?} w[{at}]: {slope} {}", dw[at]);
        }
    }
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let films = table().into_iter().map(|(n, s)| (n + 6, s));
    for (n, s) in films.chain([(32, shape([14, 14], [128, 128], 3, 1, [1; 4], 1))]) {
        let (x, w, dy) = inputs(n, &s);
        let bias = values(4, s.c_out);
        assert_same_bits(&format!("{s:?}"), || {
            let filter = Filter::new(&s, &w);
            let epilogue = Epilogue { bias: Some(&bias), residual: None, act: Act::Relu };
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![1.0; x.len()], vec![1.0; w.len()]);
            let mut db = vec![1.0; s.c_out];
            conv::forward(&s, n, &x, &filter, &epilogue, &mut y);
            conv::backward_data(&s, n, &dy, &filter, &mut dx, true);
            conv::backward_weight(&s, n, &x, &dy, &mut dw, true);
            conv::backward_bias(dy.len() / s.c_out, s.c_out, &dy, &mut db, true);
            [y, dx, dw, db].concat()
        });
    }
}

#[test]
fn backward_bias_sums_pixels() {
    for (pixels, c) in [(1, 1), (5, 3), (1000, 17), (70_000, 33)] {
        let dy = values(1, pixels * c);
        let mut expected = vec![0.0; c];
        dy.iter().enumerate().for_each(|(i, &v)| expected[i % c] += f64::from(v));
        let mut db = vec![f32::NAN; c];
        conv::backward_bias(pixels, c, &dy, &mut db, false);
        assert_close(&db, &expected, 1e-7, "bias");
        conv::backward_bias(pixels, c, &dy, &mut db, true);
        expected.iter_mut().for_each(|v| *v *= 2.0);
        assert_close(&db, &expected, 1e-6, "bias accumulated");
    }
}

#[test]
fn a_refilled_filter_is_a_new_one() {
    for (n, s) in table() {
        let (x, w, dy) = inputs(n, &s);
        let other = values(9, w.len());
        let run = |filter: &Filter| {
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            conv::forward(&s, n, &x, filter, &Epilogue::NONE, &mut y);
            conv::backward_data(&s, n, &dy, filter, &mut dx, false);
            [y, dx].concat()
        };
        let mut filter = Filter::new(&s, &w);
        // Both packings exist before the refill, and must both be replaced by it.
        let before = run(&filter);
        filter.refill(&other);
        let after = run(&filter);
        assert_eq!(after, run(&Filter::new(&s, &other)), "{s:?}");
        assert_ne!(before, after, "{s:?}");
    }
}

#[test]
fn a_scaled_filter_scales_output_channels() {
    for (n, s) in table() {
        let (x, w, _) = inputs(n, &s);
        let scale = values(8, s.c_out);
        let mut expected = convolve(n, &s, &x, &w);
        expected.iter_mut().enumerate().for_each(|(i, v)| *v *= f64::from(scale[i % s.c_out]));
        let mut y = vec![f32::NAN; n * s.y_len()];
        conv::forward(&s, n, &x, &Filter::scaled(&s, &w, &scale), &Epilogue::NONE, &mut y);
        assert_close(&y, &expected, tolerance(n, &s), &format!("{s:?}"));
    }
}

/// Padding resolved for one image size, the filter kept for another (fully convolutional use).
#[test]
fn a_filter_serves_every_image_size() {
    let small = shape([6, 6], [3, 5], 3, 2, [0, 0, 1, 1], 1);
    let large = ConvShape { h: 13, w: 9, pads: [1; 4], ..small };
    let (x, w, _) = inputs(2, &large);
    let mut y = vec![f32::NAN; 2 * large.y_len()];
    conv::forward(&large, 2, &x, &Filter::new(&small, &w), &Epilogue::NONE, &mut y);
    assert_close(&y, &convolve(2, &large, &x, &w), tolerance(2, &large), "large");
}

#[test]
#[should_panic(expected = "filter made for another convolution")]
fn a_foreign_filter_is_refused() {
    let s = shape([4, 4], [2, 2], 3, 1, [1; 4], 1);
    let filter = Filter::new(&ConvShape { stride: [2, 2], ..s }, &vec![0.0; s.weight_len()]);
    conv::forward(&s, 1, &vec![0.0; s.x_len()], &filter, &Epilogue::NONE, &mut vec![0.0; s.y_len()]);
}

#[test]
fn shape_arithmetic() {
    let stem = shape([224, 224], [3, 64], 7, 2, [3; 4], 1);
    assert_eq!((stem.out(), stem.x_len(), stem.y_len()), ([112, 112], 150_528, 802_816));
    assert_eq!((stem.weight_len(), stem.macs()), (9408, 118_013_952));
    let depthwise = shape([112, 112], [96, 96], 3, 2, [0, 0, 1, 1], 96);
    assert_eq!((depthwise.out(), depthwise.weight_len()), ([56, 56], 864));
}

#[test]
fn each_shape_has_its_algorithm() {
    if lungfish_kernels::machine::plain() {
        let winograd = [Algorithm::Winograd, Algorithm::WinogradWide];
        assert!(table().iter().all(|(n, s)| !winograd.contains(&conv::algorithm(s, *n))));
        return;
    }
    let same = [1; 4];
    for (expected, n, s) in [
        (Algorithm::Winograd, 3, shape([56, 56], [64, 64], 3, 1, same, 1)),
        (Algorithm::Winograd, 3, shape([28, 28], [96, 128], 3, 1, same, 1)),
        (Algorithm::WinogradWide, 3, shape([28, 28], [128, 128], 3, 1, same, 1)),
        (Algorithm::WinogradWide, 1, shape([14, 14], [256, 256], 3, 1, same, 1)),
        (Algorithm::WinogradWide, 3, shape([7, 7], [512, 512], 3, 1, same, 1)),
        (Algorithm::WinogradWide, 2, shape([9, 9], [64, 1024], 3, 1, same, 1)),
        (Algorithm::Winograd, 3, shape([9, 5], [32, 96], 3, 1, [0, 2, 1, 0], 1)),
        (Algorithm::Columns, 2, shape([7, 7], [512, 512], 3, 1, same, 1)),
        (Algorithm::Columns, 1, shape([7, 7], [192, 1152], 1, 1, [0; 4], 1)),
        (Algorithm::Gathered, 1, shape([7, 7], [192, 127], 1, 1, [0; 4], 1)),
        (Algorithm::Gathered, 3, shape([7, 7], [192, 1152], 1, 1, [0; 4], 1)),
        (Algorithm::Gathered, 1, shape([7, 7], [256, 256], 3, 1, same, 2)),
        (Algorithm::Gathered, 3, shape([9, 9], [32, 32], 3, 1, [3; 4], 1)),
        (Algorithm::Gathered, 3, shape([56, 56], [64, 128], 3, 2, same, 1)),
        (Algorithm::Gathered, 3, shape([56, 56], [48, 64], 3, 1, same, 1)),
        (Algorithm::Gathered, 3, shape([56, 56], [64, 64], 3, 1, same, 2)),
        (Algorithm::Gathered, 3, shape([56, 56], [64, 64], 1, 1, [0; 4], 1)),
        (Algorithm::Depthwise, 3, shape([56, 56], [64, 64], 3, 1, same, 64)),
    ] {
        assert_eq!(conv::algorithm(&s, n), expected, "{s:?}");
    }
}

/// Gray films have a way of their own through a first convolution, whatever its window and their number, and no other.
#[test]
fn gray_films_have_their_algorithm() {
    let stem = shape([224, 224], [3, 64], 7, 2, [3; 4], 1);
    let of = |s: &ConvShape, n: usize| Algorithm::of(s, n, Input::GrayFilms);
    let gray = if lungfish_kernels::machine::plain() { Algorithm::Gathered } else { Algorithm::Gray };
    for n in [1, 32] {
        assert_eq!(of(&stem, n), gray);
        assert_eq!(conv::algorithm(&stem, n), Algorithm::Gathered);
        assert_eq!(of(&ConvShape { c_in: 4, ..stem }, n), Algorithm::Gathered);
        assert_eq!(of(&ConvShape { c_in: 3, c_out: 3, groups: 3, ..stem }, n), Algorithm::Depthwise);
    }
    assert_eq!(conv::gray::serves(&stem), gray == Algorithm::Gray);
    assert!(!conv::gray::serves(&ConvShape { c_in: 1, ..stem }));
}
