//! Values that lie in memory as bfloat16, against `f64`: operands are exact there, sums as near as those of single floats, and
//! what is written is the nearest bfloat16 of such a sum.

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{self, Act, Algorithm, ConvShape, Epilogue, Filter};
use lungfish_kernels::norm::{self, BatchNorm, BatchNormGradients, BatchStatistics, Place};
use lungfish_kernels::pool::{self, PoolShape};
use lungfish_kernels::{Bf16, Stored, elementwise, machine, pixels};
use proptest::prelude::*;

use crate::common::{assert_close, assert_same_bits, values};
use crate::conv::{products, table};
use crate::norm::stats;
use crate::shapes::geometry;

/// Half the distance of 1 and the next bfloat16: the most that rounding moves a value by, of itself.
const ROUNDING: f64 = 1.0 / 256.0;

fn halves(seed: u64, len: usize) -> Vec<Bf16> {
    values(seed, len).into_iter().map(Bf16::rounded).collect()
}

fn floats(values: &[Bf16]) -> Vec<f32> {
    values.iter().map(|value| value.widened()).collect()
}

/// Within rounding of a sum that is itself within `tolerance * (1 + largest expected magnitude)`.
#[track_caller]
fn assert_near(got: &[Bf16], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let bound = tolerance * (1.0 + expected.iter().fold(0.0f64, |max, v| max.max(v.abs())));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let (error, bound) = ((f64::from(got.widened()) - expected).abs(), bound + ROUNDING * (expected.abs() + bound));
        assert!(
            error <= bound,
            "{what}: element {i} is {got}, not {expected} (off by {error:.3e}, at most {bound:.3e})"
        );
    }
}

/// Of sums of single floats.
const TOLERANCE: f64 = 2e-5;

#[test]
fn convolutions_in_all_directions() {
    for (n, s) in table() {
        in_all_directions(n, &s);
    }
}

fn in_all_directions(n: usize, s: &ConvShape) {
    let what = format!("{n} films of {s:?}");
    let (x, w, dy) = (halves(1, n * s.x_len()), floats(&halves(2, s.weight_len())), halves(3, n * s.y_len()));
    let (residual, bias) = (halves(4, dy.len()), values(5, s.c_out));
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    let (wide_x, wide_dy) = (floats(&x), floats(&dy));
    products(n, s, |yi, xi, wi| {
        y[yi] += f64::from(wide_x[xi]) * f64::from(w[wi]);
        dx[xi] += f64::from(wide_dy[yi]) * f64::from(w[wi]);
        dw[wi] += f64::from(wide_dy[yi]) * f64::from(wide_x[xi]);
    });
    let filter = Filter::new(s, &w);

    let mut got = vec![Bf16::NAN; dy.len()];
    let mut statistics = BatchStatistics::default();
    conv::forward_with_statistics(s, n, &x, &filter, &Epilogue::NONE, &mut got, &mut statistics);
    assert_near(&got, &y, TOLERANCE, &what);
    // Of what was written, and not of what it was rounded from.
    let (mut mean, mut var) = (vec![0.0; s.c_out], vec![0.0; s.c_out]);
    statistics.mean_and_variance(&mut mean, &mut var);
    let expected = stats(s.c_out, &floats(&got));
    assert_close(&mean, &expected.0, 1e-6, &format!("mean of {what}"));
    assert_close(&var, &expected.1, 1e-6, &format!("variance of {what}"));

    let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), act: Act::Relu };
    conv::forward(s, n, &x, &filter, &epilogue, &mut got);
    let more = |(i, y): (usize, &f64)| y + f64::from(bias[i % s.c_out]) + f64::from(residual[i].widened());
    let finished: Vec<f64> = y.iter().enumerate().map(more).map(|y| y.max(0.0)).collect();
    assert_near(&got, &finished, TOLERANCE, &format!("finished, {what}"));

    let mut got = vec![Bf16::NAN; x.len()];
    conv::backward_data(s, n, &dy, &filter, &mut got, false);
    assert_near(&got, &dx, TOLERANCE, &format!("gradient to {what}"));
    let mut got = halves(6, x.len());
    let added: Vec<f64> = dx.iter().zip(&got).map(|(dx, got)| dx + f64::from(got.widened())).collect();
    conv::backward_data(s, n, &dy, &filter, &mut got, true);
    assert_near(&got, &added, TOLERANCE, &format!("gradient added to that of {what}"));

    let mut got = vec![f32::NAN; w.len()];
    conv::backward_weight(s, n, &x, &dy, &mut got, false);
    assert_close(&got, &dw, TOLERANCE, &format!("gradient to the weights of {what}"));
    let mut got = values(7, w.len());
    let added: Vec<f64> = dw.iter().zip(&got).map(|(dw, got)| dw + f64::from(*got)).collect();
    conv::backward_weight(s, n, &x, &dy, &mut got, true);
    assert_close(&got, &added, TOLERANCE, &format!("gradient added to that of the weights of {what}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Shapes drawn at random, of as many channels as products of tiles want.
    #[test]
    fn any_convolution(n in 1..=5_usize, s in geometry(13, &[1, 2, 3, 5, 7]), c_in in 16..=70_usize, c_out in 16..=70_usize) {
        let s = ConvShape { c_in, c_out, ..s };
        prop_assert!(machine::tiles() || conv::algorithm_of::<Bf16>(&s, n) != Algorithm::Tiles);
        in_all_directions(n, &s);
    }

    /// So few pixels, and so many channels, that these are shared out.
    #[test]
    fn any_convolution_of_few_pixels(n in 1..=2_usize, s in geometry(7, &[1, 3]), c_in in 16..=40_usize, c_out in 128..=170_usize) {
        in_all_directions(n, &ConvShape { c_in, c_out, ..s });
    }
}

/// Without it the tests of this file would pass where no convolution goes by tiles.
#[test]
fn what_mixes_channels_goes_by_tiles_where_they_are_taken() {
    let square = |side, c_in, c_out, kernel, stride, pad| ConvShape {
        h: side,
        w: side,
        c_in,
        c_out,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [pad; 4],
        groups: 1,
    };
    let tiled = |n, s: &ConvShape| conv::algorithm_of::<Bf16>(s, n) == Algorithm::Tiles;
    for n in [1, 32] {
        for s in [
            square(56, 64, 64, 3, 1, 1),
            square(7, 512, 512, 3, 1, 1),
            square(56, 64, 128, 3, 2, 1),
            square(28, 128, 256, 1, 2, 0),
            square(112, 16, 96, 1, 1, 0),
            square(7, 320, 1280, 1, 1, 0),
            square(112, 32, 64, 7, 2, 3),
        ] {
            assert_eq!(tiled(n, &s), machine::tiles(), "{n} films of {s:?}");
            assert_ne!(conv::algorithm_of::<f32>(&s, n), Algorithm::Tiles, "{n} films of {s:?}");
        }
        // Too few channels, groups, and a window as large as the image.
        assert!(!tiled(n, &square(224, 3, 64, 7, 2, 3)));
        assert!(!tiled(n, &ConvShape { groups: 2, ..square(28, 64, 64, 3, 1, 1) }));
        assert!(!tiled(n, &square(7, 512, 512, 7, 1, 0)));
    }
}

#[test]
fn a_refilled_filter_is_a_new_one() {
    for (n, s) in table() {
        let (x, dy) = (halves(1, n * s.x_len()), halves(2, n * s.y_len()));
        let both = |filter: &Filter| {
            let (mut y, mut dx) = (vec![Bf16::NAN; dy.len()], vec![Bf16::NAN; x.len()]);
            conv::forward(&s, n, &x, filter, &Epilogue::NONE, &mut y);
            conv::backward_data(&s, n, &dy, filter, &mut dx, false);
            (y, dx)
        };
        let [before, after] = [3, 4].map(|seed| values(seed, s.weight_len()));
        let mut filter = Filter::new(&s, &before);
        both(&filter);
        filter.refill(&after);
        assert_eq!(both(&filter), both(&Filter::new(&s, &after)), "{n} films of {s:?}");
    }
}

/// The first convolution of a network reads pixels, which stay floats.
#[test]
fn the_first_convolution_reads_floats() {
    for (n, s) in table().into_iter().filter(|(_, s)| s.groups == 1) {
        let (x, w, dy) = (values(1, n * s.x_len()), values(2, s.weight_len()), halves(3, n * s.y_len()));
        let (mut y, mut dw) = (vec![0.0; dy.len()], vec![0.0; w.len()]);
        let wide_dy = floats(&dy);
        products(n, &s, |yi, xi, wi| {
            y[yi] += f64::from(x[xi]) * f64::from(w[wi]);
            dw[wi] += f64::from(wide_dy[yi]) * f64::from(x[xi]);
        });
        let mut got = vec![Bf16::NAN; dy.len()];
        conv::forward_from_floats(&s, n, &x, &Filter::new(&s, &w), &Epilogue::NONE, &mut got, None);
        assert_near(&got, &y, TOLERANCE, &format!("{n} films of {s:?}"));
        let mut got = vec![f32::NAN; w.len()];
        conv::backward_weight_from_floats(&s, n, &x, &dy, &mut got, false);
        assert_close(&got, &dw, TOLERANCE, &format!("gradient to the weights of {n} films of {s:?}"));
    }
}

#[test]
fn gray_films_are_what_their_channels_are() {
    let gray = Gray::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (n, s) in table().into_iter().filter(|(_, s)| s.c_in == 3 && s.groups == 1) {
        let (w, dy) = (values(2, s.weight_len()), halves(3, n * s.y_len()));
        let bytes: Vec<u8> = (0..n * s.h * s.w).map(|i| (i * 7919 % 256) as u8).collect();
        let mut z = vec![0.0; bytes.len()];
        pixels::gray_plane(&bytes, &gray, &mut z);
        let filter = Filter::new(&s, &w);
        let plane = gray::Filter::new(&filter, &gray);
        // In single precision, which other tests hold against f64.
        let (mut expected, mut got) = (vec![0.0; dy.len()], vec![Bf16::NAN; dy.len()]);
        let bias = values(4, s.c_out);
        gray::forward(n, &z, &plane, &Epilogue { bias: Some(&bias), residual: None, act: Act::Relu }, &mut expected);
        gray::forward(n, &z, &plane, &Epilogue { bias: Some(&bias), residual: None, act: Act::Relu }, &mut got);
        let rounded: Vec<Bf16> = expected.iter().map(|value| Bf16::rounded(*value)).collect();
        assert_eq!(got, rounded, "{n} films of {s:?}");
        let (mut expected, mut got) = (vec![0.0; w.len()], vec![0.0; w.len()]);
        gray::backward_weight(&s, n, &z, &gray, &floats(&dy), &mut expected, false);
        gray::backward_weight(&s, n, &z, &gray, &dy, &mut got, false);
        assert_eq!(got, expected, "gradient to the weights of {n} films of {s:?}");
    }
}

#[test]
fn batch_normalisation_is_that_of_floats_rounded() {
    for (rows, c) in [(1, 1), (37, 3), (200, 17), (130, 64), (65, 96)] {
        for residual in [false, true] {
            let (x, added, mut dy) = (halves(1, rows * c), halves(2, rows * c), halves(3, rows * c));
            let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
            norm::batch_stats(rows, c, &x, &mut mean, &mut var);
            let inv_std: Vec<f32> = var.iter().map(|var| 1.0 / (var + 1e-5).sqrt()).collect();
            let (scale, bias) = (values(4, c), values(5, c));
            let norm = BatchNorm { mean: &mean, inv_std: &inv_std, scale: &scale, bias: &bias, act: Act::Relu };
            let (factor, term) = norm.scale_shift();
            let (mut y, mut wide_y) = (vec![Bf16::NAN; rows * c], vec![f32::NAN; rows * c]);
            let (wide_x, wide_added) = (floats(&x), floats(&added));
            norm::scale_shift(rows, c, &x, &factor, &term, residual.then_some(&added[..]), Act::Relu, &mut y);
            norm::scale_shift(
                rows,
                c,
                &wide_x,
                &factor,
                &term,
                residual.then_some(&wide_added[..]),
                Act::Relu,
                &mut wide_y,
            );
            assert_eq!(y, wide_y.iter().map(|y| Bf16::rounded(*y)).collect::<Vec<_>>(), "{rows} of {c}");

            let mut wide_dy = floats(&dy);
            let wide_y = floats(&y);
            let (mut to_scale, mut to_bias) = ([vec![0.0; c], vec![0.0; c]], [vec![0.0; c], vec![0.0; c]]);
            let (mut to_x, mut wide_to_x) = (halves(6, rows * c), floats(&halves(6, rows * c)));
            let [scales, wide_scales] = &mut to_scale;
            let [biases, wide_biases] = &mut to_bias;
            let place = if residual { Place::Over } else { Place::Nowhere };
            let gradients = BatchNormGradients {
                scale: scales,
                bias: biases,
                accumulate: false,
                x: Place::Add(&mut to_x),
                residual: place,
            };
            norm::batch_norm_backward(rows, &x, residual.then_some(&y[..]), &norm, &mut dy, gradients);
            let place = if residual { Place::Over } else { Place::Nowhere };
            let gradients = BatchNormGradients {
                scale: wide_scales,
                bias: wide_biases,
                accumulate: false,
                x: Place::Add(&mut wide_to_x),
                residual: place,
            };
            norm::batch_norm_backward(rows, &wide_x, residual.then_some(&wide_y[..]), &norm, &mut wide_dy, gradients);
            assert_eq!((&*scales, &*biases), (&*wide_scales, &*wide_biases), "{rows} of {c}");
            assert_eq!(to_x, wide_to_x.iter().map(|v| Bf16::rounded(*v)).collect::<Vec<_>>(), "{rows} of {c}");
            assert_eq!(dy, wide_dy.iter().map(|v| Bf16::rounded(*v)).collect::<Vec<_>>(), "{rows} of {c}");
        }
    }
}

#[test]
fn pools_and_elementwise_passes_are_those_of_floats_rounded() {
    let rounded = |values: &[f32]| values.iter().map(|value| Bf16::rounded(*value)).collect::<Vec<_>>();
    for c in [1, 5, 16, 40] {
        let shape = PoolShape { h: 9, w: 7, c, kernel: [3; 2], stride: [2; 2], pads: [1; 4] };
        let (n, x) = (3, halves(1, 3 * shape.x_len()));
        let (wide, len) = (floats(&x), n * shape.y_len());
        let (mut y, mut wide_y) = (vec![Bf16::NAN; len], vec![f32::NAN; len]);
        pool::max_pool(&shape, n, &x, &mut y);
        pool::max_pool(&shape, n, &wide, &mut wide_y);
        assert_eq!(y, rounded(&wide_y));
        // One window a pixel, so that nothing is added twice and rounded twice.
        let shape = PoolShape { kernel: [2; 2], pads: [0; 4], ..shape };
        let len = n * shape.y_len();
        let (mut y, dy) = (vec![Bf16::NAN; len], halves(2, len));
        pool::max_pool(&shape, n, &x, &mut y);
        let (mut dx, mut wide_dx) = (vec![Bf16::NAN; x.len()], vec![f32::NAN; x.len()]);
        pool::max_pool_backward(&shape, n, &x, &y, &dy, &mut dx, false);
        pool::max_pool_backward(&shape, n, &wide, &floats(&y), &floats(&dy), &mut wide_dx, false);
        assert_eq!(dx, rounded(&wide_dx));

        let (mut mean, mut wide_mean) = (vec![f32::NAN; n * c], vec![f32::NAN; n * c]);
        pool::average_pool(n, 63, c, &x, &mut mean);
        pool::average_pool(n, 63, c, &wide, &mut wide_mean);
        assert_eq!(mean, wide_mean);
        let (mut dx, mut wide_dx) = (halves(3, x.len()), floats(&halves(3, x.len())));
        pool::average_pool_backward(n, 63, c, &mean, &mut dx, true);
        pool::average_pool_backward(n, 63, c, &mean, &mut wide_dx, true);
        assert_eq!(dx, rounded(&wide_dx));

        let other = halves(4, x.len());
        let mut sum = vec![Bf16::NAN; x.len()];
        elementwise::add(&x, &other, &mut sum);
        let both = wide.iter().zip(floats(&other)).map(|(a, b)| a + b).collect::<Vec<_>>();
        assert_eq!(sum, rounded(&both));
        elementwise::relu_in_place(&mut sum);
        assert!(sum.iter().zip(&both).all(|(sum, both)| *sum == Bf16::rounded(both.max(0.0))));
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    for (n, s) in table().into_iter().filter(|(_, s)| s.weight_len() < 1 << 17) {
        let (x, w, dy) = (halves(1, n * s.x_len()), values(2, s.weight_len()), halves(3, n * s.y_len()));
        assert_same_bits(&format!("{n} films of {s:?}"), || {
            let filter = Filter::new(&s, &w);
            let (mut y, mut dx) = (vec![Bf16::NAN; dy.len()], vec![Bf16::NAN; x.len()]);
            let mut dw = vec![f32::NAN; w.len()];
            conv::forward(&s, n, &x, &filter, &Epilogue::NONE, &mut y);
            conv::backward_data(&s, n, &dy, &filter, &mut dx, false);
            conv::backward_weight(&s, n, &x, &dy, &mut dw, false);
            [floats(&y), floats(&dx), dw].concat()
        });
    }
}
