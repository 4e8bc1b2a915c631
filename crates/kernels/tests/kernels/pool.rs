//! Pooling against plain loops.

use lungfish_kernels::pool::{self, PoolShape};

use crate::common::{assert_close, assert_same_bits, dot, values};

fn table() -> Vec<(usize, PoolShape)> {
    let shape = |h, w, c, kernel: usize, stride: usize, pads| PoolShape {
        h,
        w,
        c,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads,
    };
    vec![
        (1, shape(1, 1, 1, 1, 1, [0; 4])),
        (2, shape(7, 9, 3, 3, 2, [1; 4])),
        (3, shape(16, 16, 17, 3, 2, [1; 4])),
        (2, shape(8, 6, 33, 2, 2, [0; 4])),
        (1, shape(9, 9, 5, 3, 1, [0, 1, 2, 0])),
        (1, shape(3, 3, 2, 2, 2, [2, 2, 2, 2])),
        (2, PoolShape { kernel: [1, 3], stride: [2, 1], ..shape(6, 7, 4, 1, 1, [0; 4]) }),
    ]
}

/// For every output element the index of the first maximum in scan order, if the window meets the film at all.
pub fn winners(n: usize, s: &PoolShape, x: &[f32]) -> Vec<Option<usize>> {
    let [oh, ow] = s.out();
    let mut winners = Vec::new();
    for film in 0..n {
        for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            for c in 0..s.c {
                let mut best: Option<usize> = None;
                for (kh, kw) in (0..s.kernel[0]).flat_map(|y| (0..s.kernel[1]).map(move |x| (y, x))) {
                    let iy = (oy * s.stride[0] + kh).checked_sub(s.pads[0]).filter(|&y| y < s.h);
                    let ix = (ox * s.stride[1] + kw).checked_sub(s.pads[1]).filter(|&x| x < s.w);
                    let (Some(iy), Some(ix)) = (iy, ix) else { continue };
                    let at = ((film * s.h + iy) * s.w + ix) * s.c + c;
                    if best.is_none_or(|best| x[at] > x[best]) {
                        best = Some(at);
                    }
                }
                winners.push(best);
            }
        }
    }
    winners
}

#[test]
fn max_pool_and_its_gradient() {
    for (n, s) in table() {
        // Few distinct values, so that ties are everywhere.
        for coarse in [false, true] {
            let round = |v: f32| if coarse { (v * 2.0).round() } else { v };
            let x: Vec<f32> = values(1, n * s.x_len()).into_iter().map(round).collect();
            let winners = winners(n, &s, &x);
            let mut y = vec![f32::NAN; n * s.y_len()];
            pool::max_pool(&s, n, &x, &mut y);
            let expected: Vec<f32> = winners.iter().map(|at| at.map_or(f32::NEG_INFINITY, |at| x[at])).collect();
            assert_eq!(y, expected, "{s:?}");

            let dy = values(2, y.len());
            let mut expected = vec![0.0; x.len()];
            winners.iter().zip(&dy).for_each(|(at, &dy)| {
                if let Some(at) = at {
                    expected[*at] += f64::from(dy);
                }
            });
            let mut dx = vec![f32::NAN; x.len()];
            pool::max_pool_backward(&s, n, &x, &y, &dy, &mut dx, false);
            assert_close(&dx, &expected, 1e-6, "dx");
            let mut dx = vec![3.0; x.len()];
            expected.iter_mut().for_each(|v| *v += 3.0);
            pool::max_pool_backward(&s, n, &x, &y, &dy, &mut dx, true);
            assert_close(&dx, &expected, 1e-6, "dx accumulated");
        }
    }
}

#[test]
fn max_pool_keeps_nan() {
    let s = PoolShape { h: 2, w: 2, c: 1, kernel: [2, 2], stride: [2, 2], pads: [0; 4] };
    for at in 0..4 {
        let (mut x, mut y) = ([1.0, 2.0, 3.0, 4.0], [0.0]);
        x[at] = f32::NAN;
        pool::max_pool(&s, 1, &x, &mut y);
        assert!(y[0].is_nan(), "NaN at {at}");
    }
}

#[test]
fn average_pool_and_its_gradient() {
    for (n, hw, c) in [(1, 1, 1), (3, 49, 17), (2, 64, 1280), (5, 7, 3)] {
        let x = values(1, n * hw * c);
        let mut expected = vec![0.0; n * c];
        x.iter().enumerate().for_each(|(i, &v)| expected[i / (hw * c) * c + i % c] += f64::from(v) / hw as f64);
        let mut y = vec![f32::NAN; n * c];
        pool::average_pool(n, hw, c, &x, &mut y);
        assert_close(&y, &expected, 1e-7, "y");

        let dy = values(2, n * c);
        let mut dx = vec![f32::NAN; x.len()];
        pool::average_pool_backward(n, hw, c, &dy, &mut dx, false);
        assert!((dot(&dx, &x) - dot(&dy, &y)).abs() < 1e-4, "adjoint");
        let twice: Vec<f64> = dx.iter().map(|&v| 2.0 * f64::from(v)).collect();
        pool::average_pool_backward(n, hw, c, &dy, &mut dx, true);
        assert_close(&dx, &twice, 1e-7, "dx accumulated");
    }
}

#[test]
fn same_bits_for_any_number_of_threads() {
    for (n, s) in table() {
        let (n, x) = (n + 4, values(1, (n + 4) * s.x_len()));
        assert_same_bits("pool", || {
            let (mut y, mut dx) = (vec![0.0; n * s.y_len()], vec![0.0; x.len()]);
            pool::max_pool(&s, n, &x, &mut y);
            y.iter_mut().for_each(|y| *y = y.max(-2.0));
            pool::max_pool_backward(&s, n, &x, &y, &y, &mut dx, false);
            let mut mean = vec![0.0; n * s.c];
            pool::average_pool(n, s.h * s.w, s.c, &x, &mut mean);
            [y, dx, mean].concat()
        });
    }
}
