//! Convolution, pooling and batch normalisation of shapes drawn at random against `f64`, each element with a bound of its
//! own.
//!
//! With `S` the sum of the magnitudes of an element's products and `e` the distance of 1 and the next single float, an
//! element that sums `k` products directly may be off by `(4 + sqrt(k)) e S`: rounding errors that do not conspire. One
//! by Winograd's algorithm may be off by `32 e` times the largest `S` of the result: its transforms mix the pixels of
//! a tile, and multiply by up to 25 what they then subtract.

use lungfish_kernels::conv::{self, Act, Algorithm, ConvShape, Epilogue, Filter};
use lungfish_kernels::machine;
use lungfish_kernels::norm::{self, BatchNorm, BatchNormGradients, BatchStatistics, Place};
use lungfish_kernels::pool::{self, PoolShape};
use proptest::prelude::*;

use crate::common::values;
use crate::conv::products;
use crate::norm::stats;
use crate::pool::winners;

/// Sums in `f64`, and the same sums of magnitudes.
struct Sums {
    value: Vec<f64>,
    magnitude: Vec<f64>,
    terms: Vec<u32>,
}

impl Sums {
    fn new(len: usize) -> Sums {
        Sums { value: vec![0.0; len], magnitude: vec![0.0; len], terms: vec![0; len] }
    }

    fn add(&mut self, at: usize, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.value[at] += product;
        self.magnitude[at] += product.abs();
        self.terms[at] += 1;
    }

    /// Adds a value to an element.
    fn shift(&mut self, at: usize, by: f32) {
        self.add(at, by, 1.0);
    }

    fn check(&self, got: &[f32], algorithm: Algorithm, what: &str) -> Result<(), TestCaseError> {
        prop_assert_eq!(got.len(), self.value.len());
        let largest = self.magnitude.iter().fold(0.0f64, |max, v| max.max(*v));
        for (at, &got) in got.iter().enumerate() {
            let bound = match algorithm {
                Algorithm::Winograd | Algorithm::WinogradWide => 32.0 * largest,
                Algorithm::Depthwise
                | Algorithm::Gathered
                | Algorithm::Columns
                | Algorithm::Gray
                | Algorithm::Tiles => (4.0 + f64::from(self.terms[at]).sqrt()) * self.magnitude[at],
            };
            let (error, bound) = ((f64::from(got) - self.value[at]).abs(), bound * f64::from(f32::EPSILON));
            // Written so that NaN fails.
            prop_assert!(error <= bound, "{what}[{at}] is {got}, not {}: {error:e} > {bound:e}", self.value[at]);
        }
        Ok(())
    }
}

/// All three directions of a convolution, each written anew and added to what is there.
fn check(n: usize, s: &ConvShape, expected: Algorithm) -> Result<(), TestCaseError> {
    let algorithm = conv::algorithm(s, n);
    prop_assert_eq!(algorithm, expected);
    let (x, w, dy) = (values(1, n * s.x_len()), values(2, s.weight_len()), values(3, n * s.y_len()));
    let (mut y, mut dx, mut dw) = (Sums::new(dy.len()), Sums::new(x.len()), Sums::new(w.len()));
    products(n, s, |yi, xi, wi| {
        y.add(yi, x[xi], w[wi]);
        dx.add(xi, dy[yi], w[wi]);
        dw.add(wi, dy[yi], x[xi]);
    });
    let filter = Filter::new(s, &w);
    let (mut got_dx, mut got_dw) = (vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]);
    for accumulate in [false, true] {
        if accumulate {
            for (sums, got, seed) in [(&mut dx, &mut got_dx, 5), (&mut dw, &mut got_dw, 6)] {
                *got = values(seed, got.len());
                got.iter().enumerate().for_each(|(at, &by)| sums.shift(at, by));
            }
        }
        conv::backward_data(s, n, &dy, &filter, &mut got_dx, accumulate);
        conv::backward_weight(s, n, &x, &dy, &mut got_dw, accumulate);
        dx.check(&got_dx, algorithm, "dx")?;
        dw.check(&got_dw, algorithm, "dw")?;
    }
    let mut got_y = vec![f32::NAN; dy.len()];
    conv::forward(s, n, &x, &filter, &Epilogue::NONE, &mut got_y);
    y.check(&got_y, algorithm, "y")?;

    // Their statistics, gathered while they were written, within the rounding of a single float.
    let (mut statistics, bits) = (BatchStatistics::default(), got_y.clone());
    conv::forward_with_statistics(s, n, &x, &filter, &Epilogue::NONE, &mut got_y, &mut statistics);
    prop_assert_eq!(statistics.gathered(), algorithm != Algorithm::Columns);
    prop_assert_eq!(&got_y, &bits);
    let (mut mean, mut var) = (vec![f32::NAN; s.c_out], vec![f32::NAN; s.c_out]);
    statistics.mean_and_variance(&mut mean, &mut var);
    let expected = stats(s.c_out, &got_y);
    let largest = got_y.iter().fold(0.0f64, |max, &v| max.max(f64::from(v).abs()));
    for (got, expected, unit) in [(&mean, &expected.0, largest), (&var, &expected.1, largest * largest)] {
        for (&got, expected) in got.iter().zip(expected) {
            let error = (f64::from(got) - expected).abs();
            prop_assert!(error <= 2.0 * f64::from(f32::EPSILON) * unit, "{got} not {expected}: {error:e}");
        }
    }

    // Bias and residual belong to the sum; an activation is exact on what comes of it.
    let (bias, residual) = (values(7, s.c_out), values(8, dy.len()));
    let mut fused = vec![f32::NAN; dy.len()];
    let mut epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), act: Act::None };
    conv::forward(s, n, &x, &filter, &epilogue, &mut fused);
    for (at, residual) in residual.iter().enumerate() {
        y.shift(at, bias[at % s.c_out]);
        y.shift(at, *residual);
    }
    y.check(&fused, algorithm, "y with bias and residual")?;
    epilogue.act = Act::Clip { min: -0.5, max: 0.75 };
    conv::forward(s, n, &x, &filter, &epilogue, &mut got_y);
    fused.iter_mut().for_each(|v| *v = v.clamp(-0.5, 0.75));
    prop_assert_eq!(&got_y, &fused, "clipped");
    Ok(())
}

/// Image sizes, kernels, strides and pads in which the window fits.
pub fn geometry(most: usize, kernels: &'static [usize]) -> impl Strategy<Value = ConvShape> {
    let kernel = [prop::sample::select(kernels), prop::sample::select(kernels)];
    let two = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    (two(1..=most), kernel, two(1..=3), prop::array::uniform4(0..=3_usize)).prop_map(
        |([h, w], kernel, stride, pads)| {
            let fit = |size: usize, kernel: usize, pads: usize| size.max(kernel.saturating_sub(pads));
            let [h, w] = [fit(h, kernel[0], pads[0] + pads[2]), fit(w, kernel[1], pads[1] + pads[3])];
            ConvShape { h, w, c_in: 1, c_out: 1, kernel, stride, pads, groups: 1 }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution(n in 1..=4_usize, s in geometry(12, &[1, 2, 3, 5, 7]), c_in in 1..=40_usize, c_out in 1..=40_usize) {
        let s = ConvShape { c_in, c_out, ..s };
        let winograd = conv::algorithm(&s, n) == Algorithm::Winograd;
        check(n, &s, if winograd { Algorithm::Winograd } else { Algorithm::Gathered })?;
    }

    /// As a layer of a network has it: square window, more channels.
    #[test]
    fn pointwise(n in 1..=5_usize, h in 1..=15_usize, w in 1..=15_usize, c_in in 1..=130_usize, c_out in 1..=70_usize, stride in 1..=2_usize) {
        let s = ConvShape { h, w, c_in, c_out, kernel: [1; 2], stride: [stride; 2], pads: [0; 4], groups: 1 };
        check(n, &s, Algorithm::Gathered)?;
    }

    #[test]
    fn groups(n in 1..=3_usize, s in geometry(9, &[1, 3]), groups in 2..=4_usize, ci in 1..=9_usize, co in 2..=9_usize) {
        check(n, &ConvShape { c_in: groups * ci, c_out: groups * co, groups, ..s }, Algorithm::Gathered)?;
    }

    #[test]
    fn depthwise(n in 1..=4_usize, s in geometry(17, &[1, 3, 4, 5, 7]), c in 2..=100_usize) {
        check(n, &ConvShape { c_in: c, c_out: c, groups: c, ..s }, Algorithm::Depthwise)?;
    }

    /// The windows that EfficientNet has, at sizes where its borders are part of the work.
    #[test]
    fn depthwise_of_a_network(
        n in 1..=2_usize,
        h in 5..=30_usize,
        w in 5..=30_usize,
        c in 2..=70_usize,
        kernel in prop::sample::select(&[3_usize, 5][..]),
        stride in 1..=2_usize,
        pads in prop::array::uniform4(0..=2_usize),
    ) {
        let s = ConvShape { h, w, c_in: c, c_out: c, kernel: [kernel; 2], stride: [stride; 2], pads, groups: c };
        check(n, &s, Algorithm::Depthwise)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn winograd(
        films in 1..=3_usize,
        h in 1..=15_usize,
        w in 1..=15_usize,
        c_in in 1..=3_usize,
        c_out in 1..=3_usize,
        pads in prop::array::uniform4(0..=2_usize),
    ) {
        let [h, w] = [h.max(3 - (pads[0] + pads[2]).min(2)), w.max(3 - (pads[1] + pads[3]).min(2))];
        let s = ConvShape {
            h, w, c_in: 32 * c_in, c_out: 32 * c_out, kernel: [3; 2], stride: [1; 2], pads, groups: 1,
        };
        // Enough pixels for it to pay.
        let n = films + 200 / s.out().iter().product::<usize>();
        check(n, &s, if machine::plain() { Algorithm::Gathered } else { Algorithm::Winograd })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// So many channels that the filter is transformed as it is used.
    #[test]
    fn winograd_wide(
        h in 1..=13_usize,
        w in 1..=13_usize,
        c_in in prop::sample::select(&[64_usize, 256, 1056][..]),
        more in 0..=1_usize,
        pads in prop::array::uniform4(0..=2_usize),
    ) {
        let [h, w] = [h.max(3 - (pads[0] + pads[2]).min(2)), w.max(3 - (pads[1] + pads[3]).min(2))];
        let c_out = ((1 << 14) / c_in).next_multiple_of(32) + 32 * more;
        let s = ConvShape { h, w, c_in, c_out, kernel: [3; 2], stride: [1; 2], pads, groups: 1 };
        let pixels: usize = s.out().iter().product();
        let n = 112_usize.div_ceil(pixels);
        let gathered = if n * pixels == 112 && c_out >= 128 { Algorithm::Columns } else { Algorithm::Gathered };
        check(n, &s, if machine::plain() { gathered } else { Algorithm::WinogradWide })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Exact: the first of the largest, and its gradient alone.
    #[test]
    fn max_pool(n in 1..=4_usize, s in geometry(17, &[1, 2, 3]), c in 1..=70_usize, levels in 1..=40_u8) {
        let ConvShape { h, w, kernel, stride, pads, .. } = s;
        let s = PoolShape { h, w, c, kernel, stride, pads };
        // Few levels, many ties.
        let x: Vec<f32> = values(1, n * s.x_len()).iter().map(|v| (v * f32::from(levels)).round()).collect();
        let winners = winners(n, &s, &x);
        let mut y = vec![f32::NAN; n * s.y_len()];
        pool::max_pool(&s, n, &x, &mut y);
        let expected: Vec<f32> = winners.iter().map(|at| at.map_or(f32::NEG_INFINITY, |at| x[at])).collect();
        prop_assert_eq!(&y, &expected);

        let dy = values(2, y.len());
        let mut dx = Sums::new(x.len());
        winners.iter().zip(&dy).for_each(|(at, &dy)| if let Some(at) = at { dx.shift(*at, dy) });
        let mut got = vec![f32::NAN; x.len()];
        pool::max_pool_backward(&s, n, &x, &y, &dy, &mut got, false);
        dx.check(&got, Algorithm::Gathered, "dx")?;
        let mut got = values(3, x.len());
        got.iter().enumerate().for_each(|(at, &by)| dx.shift(at, by));
        pool::max_pool_backward(&s, n, &x, &y, &dy, &mut got, true);
        dx.check(&got, Algorithm::Gathered, "dx accumulated")?;
    }
}

/// Where a gradient goes, without the place itself.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goes {
    Nowhere,
    Over,
    Write,
    Add,
}

impl Goes {
    fn to(self, values: &mut [f32]) -> Place<'_> {
        match self {
            Goes::Nowhere => Place::Nowhere,
            Goes::Over => Place::Over,
            Goes::Write => Place::Write(values),
            Goes::Add => Place::Add(values),
        }
    }

    /// What came of it: in its own place or over the gradient that was given.
    fn look<'a>(self, own: &'a [f32], over: &'a [f32]) -> Option<&'a [f32]> {
        match self {
            Goes::Nowhere => None,
            Goes::Over => Some(over),
            Goes::Write | Goes::Add => Some(own),
        }
    }
}

fn goes() -> impl Strategy<Value = Goes> {
    prop::sample::select(&[Goes::Nowhere, Goes::Over, Goes::Write, Goes::Add][..])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// With `T` the magnitude of a term, sums of `k` rows in it being sums of magnitudes, each result may be off by
    /// `(4 + sqrt(k)) e T`.
    #[test]
    fn batch_norm(
        rows in 1..=700_usize,
        c in 1..=100_usize,
        act in prop::sample::select(&[Act::None, Act::Relu, Act::Clip { min: -0.5, max: 0.75 }][..]),
        with_residual: bool,
        accumulate: bool,
        (to_x, to_residual) in (goes(), goes()).prop_filter("one place for one", |(a, b)| *a != Goes::Over || a != b),
    ) {
        let (x, dy, residual) = (values(1, rows * c), values(2, rows * c), values(3, rows * c));
        let (scale, bias, before) = (values(4, c), values(5, c), values(6, rows * c));
        let (mut mean, mut var) = (vec![f32::NAN; c], vec![f32::NAN; c]);
        norm::batch_stats(rows, c, &x, &mut mean, &mut var);
        let inv_std: Vec<f32> = var.iter().map(|var| 1.0 / (var + 0.1).sqrt()).collect();
        let norm = BatchNorm { mean: &mean, inv_std: &inv_std, scale: &scale, bias: &bias, act };
        let (factor, term) = norm.scale_shift();
        let residual = with_residual.then_some(&residual[..]);
        let mut y = vec![f32::NAN; x.len()];
        norm::scale_shift(rows, c, &x, &factor, &term, residual, act, &mut y);

        let wide = |x: f32| f64::from(x);
        let noise = (4.0 + (rows as f64).sqrt()) * wide(f32::EPSILON);
        let (mut sum, mut product) = (Sums::new(c), Sums::new(c));
        let centred = |at: usize| wide(x[at]) - wide(mean[at % c]);
        let mut through = dy.clone();
        for (at, through) in through.iter_mut().enumerate() {
            let i = at % c;
            let value = centred(at) * wide(inv_std[i]) * wide(scale[i]) + wide(bias[i]) + residual.map_or(0.0, |r| wide(r[at]));
            let value = match act {
                Act::None => value,
                Act::Relu => value.max(0.0),
                Act::Clip { min, max } => value.clamp(wide(min), wide(max)),
            };
            prop_assert!((wide(y[at]) - value).abs() < 16.0 * wide(f32::EPSILON) * 8.0, "y[{at}] {} {value}", y[at]);
            // What is let through is read from the result itself: at a bound, rounding decides.
            let passes = match act {
                Act::None => true,
                Act::Relu => y[at] > 0.0,
                Act::Clip { min, max } => y[at] > min && y[at] < max,
            };
            *through = if passes { dy[at] } else { 0.0 };
            sum.add(i, *through, 1.0);
            let term = wide(*through) * centred(at);
            product.value[i] += term;
            product.magnitude[i] += term.abs();
        }

        let (mut over, mut own_x, mut own_residual) = (dy.clone(), before.clone(), before.clone());
        let (mut to_scale, mut to_bias) = (vec![0.5; c], vec![0.5; c]);
        let gradients = BatchNormGradients {
            scale: &mut to_scale,
            bias: &mut to_bias,
            accumulate,
            x: to_x.to(&mut own_x),
            residual: to_residual.to(&mut own_residual),
        };
        norm::batch_norm_backward(rows, &x, residual.map(|_| &y[..]), &norm, &mut over, gradients);

        for i in 0..c {
            let start = if accumulate { 0.5 } else { 0.0 };
            let inverse = wide(inv_std[i]);
            let error = (wide(to_scale[i]) - start - product.value[i] * inverse).abs();
            prop_assert!(error <= noise * (start + product.magnitude[i] * inverse), "scale {i}: {error:e}");
            let error = (wide(to_bias[i]) - start - sum.value[i]).abs();
            prop_assert!(error <= noise * (start + sum.magnitude[i]), "bias {i}: {error:e}");
        }
        for at in 0..x.len() {
            let (i, rows) = (at % c, rows as f64);
            let (inverse, factor) = (wide(inv_std[i]), wide(scale[i]) * wide(inv_std[i]));
            let terms = |dy: f64, sum: f64, product: f64| {
                [factor * dy, factor * inverse * inverse * product / rows * centred(at), factor * sum / rows]
            };
            let [first, second, third] = terms(wide(through[at]), sum.value[i], product.value[i]);
            let magnitudes: f64 =
                terms(wide(through[at]), sum.magnitude[i], product.magnitude[i]).iter().map(|term| term.abs()).sum();
            for (goes, own, value, magnitude) in [
                (to_x, &own_x, first - second - third, magnitudes),
                (to_residual, &own_residual, wide(through[at]), wide(through[at]).abs()),
            ] {
                let Some(got) = goes.look(own, &over) else { continue };
                let start = if goes == Goes::Add { wide(before[at]) } else { 0.0 };
                let error = (wide(got[at]) - start - value).abs();
                prop_assert!(error <= noise * (start.abs() + magnitude), "{goes:?} [{at}]: {error:e}");
            }
        }
    }
}
