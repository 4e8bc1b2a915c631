//! Convolution and pooling of shapes drawn at random against `f64`, each element with a bound of its own.
//!
//! With `S` the sum of the magnitudes of an element's products and `e` the distance of 1 and the next single float, an
//! element that sums `k` products directly may be off by `(4 + sqrt(k)) e S`: rounding errors that do not conspire. One
//! by Winograd's algorithm may be off by `32 e` times the largest `S` of the result: its transforms mix the pixels of
//! a tile, and multiply by up to 25 what they then subtract.

use lungfish_kernels::conv::{self, Act, Algorithm, ConvShape, Epilogue, Filter};
use lungfish_kernels::machine;
use lungfish_kernels::pool::{self, PoolShape};
use proptest::prelude::*;

use crate::common::values;
use crate::conv::products;
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
                Algorithm::Winograd => 32.0 * largest,
                Algorithm::Depthwise | Algorithm::Gathered => {
                    (4.0 + f64::from(self.terms[at]).sqrt()) * self.magnitude[at]
                }
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
fn geometry(most: usize, kernels: &'static [usize]) -> impl Strategy<Value = ConvShape> {
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
    fn depthwise(n in 1..=4_usize, s in geometry(17, &[1, 3, 5]), c in 2..=100_usize) {
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
