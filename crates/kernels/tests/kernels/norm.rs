//! Batch normalisation against `f64`, its gradient also by differences.

use lungfish_kernels::conv::Act;
use lungfish_kernels::norm::{self, BatchNorm, BatchNormGradients, Place};

use crate::common::{assert_close, assert_same_bits, dot, values, wide};

const SIZES: [(usize, usize); 7] = [(1, 1), (2, 3), (5, 17), (64, 33), (129, 2), (1000, 96), (9000, 16)];

/// Mean and biased variance in `f64`, in two passes.
pub fn stats(c: usize, x: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let rows = (x.len() / c) as f64;
    let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
    x.iter().enumerate().for_each(|(i, &v)| mean[i % c] += f64::from(v) / rows);
    x.iter().enumerate().for_each(|(i, &v)| var[i % c] += (f64::from(v) - mean[i % c]).powi(2) / rows);
    (mean, var)
}

#[test]
fn batch_stats() {
    for (rows, c) in SIZES {
        // Far from zero, where a difference of f32 squares would be noise.
        for offset in [0.0, 1000.0] {
            let x: Vec<f32> = values(1, rows * c).iter().map(|v| v + offset).collect();
            let (mean, var) = stats(c, &x);
            let (mut got_mean, mut got_var) = (vec![f32::NAN; c], vec![f32::NAN; c]);
            norm::batch_stats(rows, c, &x, &mut got_mean, &mut got_var);
            assert_close(&got_mean, &mean, 1e-7, "mean");
            assert_close(&got_var, &var, 1e-7, "variance");
        }
    }
}

#[test]
fn scale_shift_and_its_gradient() {
    for (rows, c) in SIZES {
        let (x, scale, shift) = (values(1, rows * c), values(2, c), values(3, c));
        let of = |f: &dyn Fn(usize, f64) -> f64| x.iter().enumerate().map(|(i, &v)| f(i, v.into())).collect::<Vec<_>>();
        let expected = of(&|i, v| v * f64::from(scale[i % c]) + f64::from(shift[i % c]));
        let mut y = vec![f32::NAN; x.len()];
        norm::scale_shift(rows, c, &x, &scale, &shift, None, Act::None, &mut y);
        assert_close(&y, &expected, 1e-6, "scale_shift");
        let residual = values(4, rows * c);
        let clip = Act::Clip { min: -0.25, max: 0.5 };
        norm::scale_shift(rows, c, &x, &scale, &shift, Some(&residual), clip, &mut y);
        let sums = expected.iter().zip(&residual).map(|(v, &r)| (v + f64::from(r)).clamp(-0.25, 0.5));
        assert_close(&y, &sums.collect::<Vec<_>>(), 1e-6, "with a residual and a clip");
        norm::scale_shift(rows, c, &x, &scale, &shift, None, Act::Relu, &mut y);
        assert_close(&y, &expected.iter().map(|v| v.max(0.0)).collect::<Vec<_>>(), 1e-6, "with a ReLU");

        let mut dx = vec![f32::NAN; x.len()];
        norm::scale_backward(rows, c, &x, &scale, &mut dx, false);
        assert_close(&dx, &of(&|i, v| v * f64::from(scale[i % c])), 1e-6, "scale_backward");
        norm::scale_backward(rows, c, &x, &scale, &mut dx, true);
        assert_close(&dx, &of(&|i, v| 2.0 * v * f64::from(scale[i % c])), 1e-6, "scale_backward accumulated");
    }
}

/// `sum(dy * batch_norm(x))`, in `f64` throughout.
fn loss(c: usize, x: &[f64], dy: &[f32], scale: &[f32], bias: &[f32]) -> f64 {
    let rows = (x.len() / c) as f64;
    let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
    x.iter().enumerate().for_each(|(i, v)| mean[i % c] += v / rows);
    x.iter().enumerate().for_each(|(i, v)| var[i % c] += (v - mean[i % c]).powi(2) / rows);
    let y = |(i, v): (usize, &f64)| {
        let normalised = (v - mean[i % c]) / (var[i % c] + 1e-5).sqrt();
        f64::from(dy[i]) * (f64::from(scale[i % c]) * normalised + f64::from(bias[i % c]))
    };
    x.iter().enumerate().map(y).sum()
}

#[test]
fn batch_norm_backward() {
    for (rows, c) in [(2, 1), (5, 3), (64, 17), (300, 33), (5000, 8)] {
        let x: Vec<f32> = values(1, rows * c).iter().map(|v| v + 0.5).collect();
        let (dy, scale, bias) = (values(2, rows * c), values(3, c), values(4, c));
        let (mean, var) = stats(c, &x);
        let inv_std: Vec<f32> = var.iter().map(|v| (1.0 / (v + 1e-5).sqrt()) as f32).collect();
        let mean: Vec<f32> = mean.iter().map(|&v| v as f32).collect();
        let run = |start: f32, accumulate: bool| {
            let (mut dscale, mut dbias, mut dx) = (vec![start; c], vec![start; c], vec![start; x.len()]);
            let norm = BatchNorm { mean: &mean, inv_std: &inv_std, scale: &scale, bias: &bias, act: Act::None };
            let x_place = if accumulate { Place::Add(&mut dx) } else { Place::Write(&mut dx) };
            let (to_scale, to_bias) = (&mut dscale, &mut dbias);
            let gradients =
                BatchNormGradients { scale: to_scale, bias: to_bias, accumulate, x: x_place, residual: Place::Nowhere };
            norm::batch_norm_backward(rows, &x, None, &norm, &mut dy.clone(), gradients);
            (dscale, dbias, dx)
        };
        let (dscale, dbias, dx) = run(f32::NAN, false);

        // Parameters: sums written out. The loss is linear in them.
        let (mut to_scale, mut to_bias) = (vec![0.0; c], vec![0.0; c]);
        for (i, &dy) in dy.iter().enumerate() {
            let normalised = f64::from(x[i] - mean[i % c]) * f64::from(inv_std[i % c]);
            to_scale[i % c] += f64::from(dy) * normalised;
            to_bias[i % c] += f64::from(dy);
        }
        assert_close(&dscale, &to_scale, 1e-6, "dscale");
        assert_close(&dbias, &to_bias, 1e-7, "dbias");

        // Input: central differences of the loss in f64.
        let wide_x = wide(&x);
        for k in 0..20 {
            let at = (k * 7919) % x.len();
            let bump = |by: f64| {
                let mut x = wide_x.clone();
                x[at] += by;
                loss(c, &x, &dy, &scale, &bias)
            };
            let slope = (bump(1e-5) - bump(-1e-5)) / 2e-5;
            assert!((slope - f64::from(dx[at])).abs() < 1e-5 * (1.0 + slope.abs()), "dx[{at}] {} {slope}", dx[at]);
        }
        // The output does not change when x is shifted or (but for epsilon) scaled.
        assert!(dx.iter().map(|&v| f64::from(v)).sum::<f64>().abs() < 1e-4);
        assert!(dot(&dx, &x).abs() < 1e-2);

        let (more_scale, more_bias, more_x) = run(1.0, true);
        for (got, once) in [(more_scale, dscale), (more_bias, dbias), (more_x, dx)] {
            assert_close(&got, &once.iter().map(|&v| f64::from(v) + 1.0).collect::<Vec<_>>(), 1e-6, "accumulated");
        }
    }
}

#[test]
fn parameters_and_input_accumulate_independently() {
    let (x, dy, one) = (values(1, 12), values(2, 12), [1.0; 3]);
    let run = |params: bool, input: bool| {
        let (mut dscale, mut dbias, mut dx) = ([10.0; 3], [10.0; 3], [10.0; 12]);
        let x_place = if input { Place::Add(&mut dx) } else { Place::Write(&mut dx) };
        let norm = BatchNorm { mean: &[0.0; 3], inv_std: &one, scale: &one, bias: &one, act: Act::None };
        let (scale, bias, residual) = (&mut dscale[..], &mut dbias[..], Place::Nowhere);
        let gradients = BatchNormGradients { scale, bias, accumulate: params, x: x_place, residual };
        norm::batch_norm_backward(4, &x, None, &norm, &mut dy.clone(), gradients);
        (dscale, dx)
    };
    let ((fresh_scale, fresh_x), (added_scale, _), (_, added_x)) =
        (run(false, false), run(true, false), run(false, true));
    assert_eq!(added_scale, fresh_scale.map(|v| v + 10.0));
    assert_eq!(added_x, fresh_x.map(|v| v + 10.0));
    assert_eq!((run(true, false).1, run(false, true).0), (fresh_x, fresh_scale));
}

#[test]
fn same_bits_for_any_number_of_threads() {
    for (rows, c) in [(64, 3), (20_000, 17), (3000, 256)] {
        let (x, dy, scale) = (values(1, rows * c), values(2, rows * c), values(3, c));
        assert_same_bits("batch norm", || {
            let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
            norm::batch_stats(rows, c, &x, &mut mean, &mut var);
            let inv_std: Vec<f32> = var.iter().map(|v| 1.0 / v.sqrt()).collect();
            let (mut dscale, mut dbias, mut dx) = (vec![0.0; c], vec![0.0; c], dy.clone());
            let norm = BatchNorm { mean: &mean, inv_std: &inv_std, scale: &scale, bias: &scale, act: Act::Relu };
            let (to_scale, to_bias) = (&mut dscale[..], &mut dbias[..]);
            let gradients = BatchNormGradients {
                scale: to_scale,
                bias: to_bias,
                accumulate: false,
                x: Place::Over,
                residual: Place::Nowhere,
            };
            norm::batch_norm_backward(rows, &x, None, &norm, &mut dx, gradients);
            [mean, var, dscale, dbias, dx].concat()
        });
    }
}

/// The activation lets through the gradient where its result lies between its bounds, with and without a residual, and
/// the gradients are the same wherever they are put.
#[test]
fn gradients_through_an_activation_go_where_they_are_told() {
    for (act, c) in [(Act::Relu, 17), (Act::Clip { min: -0.25, max: 0.5 }, 24), (Act::None, 32)] {
        let rows = 700;
        let (x, residual, dy) = (values(1, rows * c), values(2, rows * c), values(3, rows * c));
        let (mean, inv_std, scale, bias) = (values(5, c), vec![1.5; c], values(4, c), values(6, c));
        for residual in [None, Some(&residual[..])] {
            let norm = BatchNorm { mean: &mean, inv_std: &inv_std, scale: &scale, bias: &bias, act };
            let (factor, term) = norm.scale_shift();
            let mut y = vec![f32::NAN; x.len()];
            norm::scale_shift(rows, c, &x, &factor, &term, residual, act, &mut y);
            let y = residual.is_some().then_some(&y[..]).filter(|_| act != Act::None);

            let value = |i: usize| {
                let normalised = (f64::from(x[i]) - f64::from(mean[i % c])) * 1.5;
                normalised * f64::from(scale[i % c]) + f64::from(bias[i % c]) + residual.map_or(0.0, |r| r[i].into())
            };
            let passes = |i: usize| match act {
                Act::Clip { min, max } => value(i) > min.into() && value(i) < max.into(),
                Act::Relu => value(i) > 0.0,
                Act::None => true,
            };
            let masked: Vec<f64> = (0..x.len()).map(|i| if passes(i) { f64::from(dy[i]) } else { 0.0 }).collect();
            let (mut to_scale, mut to_bias) = (vec![0.0; c], vec![0.0; c]);
            let normalised = |i: usize| (f64::from(x[i]) - f64::from(mean[i % c])) * 1.5;
            for (i, dy) in masked.iter().enumerate() {
                to_bias[i % c] += dy;
                to_scale[i % c] += dy * normalised(i);
            }
            let to_x = |i: usize| {
                let mean_of_both = (to_bias[i % c] + normalised(i) * to_scale[i % c]) / rows as f64;
                f64::from(scale[i % c]) * 1.5 * (masked[i] - mean_of_both)
            };
            let expected_x: Vec<f64> = (0..x.len()).map(to_x).collect();

            let run = |x_place: Place, residual: Place, dy: &mut [f32]| {
                let (mut dscale, mut dbias) = (vec![0.5; c], vec![0.5; c]);
                let (scale, bias) = (&mut dscale[..], &mut dbias[..]);
                let gradients = BatchNormGradients { scale, bias, accumulate: true, x: x_place, residual };
                norm::batch_norm_backward(rows, &x, y, &norm, dy, gradients);
                assert_close(&dscale, &to_scale.iter().map(|v| v + 0.5).collect::<Vec<_>>(), 1e-6, "scale");
                assert_close(&dbias, &to_bias.iter().map(|v| v + 0.5).collect::<Vec<_>>(), 1e-6, "bias");
            };
            let (mut over, mut own, mut kept) = (dy.clone(), vec![f32::NAN; x.len()], dy.clone());
            run(Place::Over, Place::Write(&mut own), &mut over);
            assert_close(&over, &expected_x, 1e-6, "x over the gradient to the result");
            assert_close(&own, &masked, 1e-7, "residual written");
            let mut added = vec![1.0; x.len()];
            run(Place::Add(&mut added), Place::Over, &mut kept);
            assert_close(&kept, &masked, 1e-7, "residual over the gradient to the result");
            let expected: Vec<f64> = expected_x.iter().map(|v| v + 1.0).collect();
            assert_close(&added, &expected, 1e-6, "x added");
            let mut kept = dy.clone();
            run(Place::Nowhere, Place::Nowhere, &mut kept);
            assert_eq!(kept, dy, "nothing is written");
        }
    }
}
