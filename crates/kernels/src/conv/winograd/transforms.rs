//! The algorithm's three small matrices and the transform of the input.

use pulp::Simd;

use super::{FREQUENCIES, Tiles};

// Loops and not closures over arrays: those are not always compiled into their caller, and with it for its vectors.

/// Column `j` of a small matrix.
#[inline(always)]
pub(super) fn nth<V: Copy, const R: usize, const C: usize>(rows: &[[V; C]; R], j: usize) -> [V; R] {
    let mut column = [rows[0][j]; R];
    for (value, row) in column.iter_mut().zip(rows) {
        *value = row[j];
    }
    column
}

/// A vector from element `at` on.
#[inline(always)]
pub(super) fn load<S: Simd>(from: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&from[at..][..S::F32_LANES]).0[0]
}

/// `G`, 6 by 3.
#[inline(always)]
pub(super) fn g<S: Simd>(s: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
    let times = |x: f32, v: S::f32s| s.mul_f32s(s.splat_f32s(x), v);
    let [a, b, c] = [times(-1.0 / 6.0, g[0]), times(-1.0 / 6.0, g[1]), times(-1.0 / 6.0, g[2])];
    let even = s.add_f32s(a, c);
    let [d, e, f] = [times(1.0 / 24.0, g[0]), times(1.0 / 12.0, g[1]), times(1.0 / 6.0, g[2])];
    let far = s.add_f32s(d, f);
    [times(0.25, g[0]), s.add_f32s(even, b), s.sub_f32s(even, b), s.add_f32s(far, e), s.sub_f32s(far, e), g[2]]
}

/// `B^T`, 6 by 6.
#[inline(always)]
pub(super) fn bt<S: Simd>(s: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let fma = |x: f32, a: S::f32s, b: S::f32s| s.mul_add_e_f32s(s.splat_f32s(x), a, b);
    let (even, odd) = (fma(-4.0, d[2], d[4]), fma(-4.0, d[1], d[3]));
    let (near_even, near_odd) = (s.sub_f32s(d[4], d[2]), s.sub_f32s(d[3], d[1]));
    [
        fma(4.0, d[0], fma(-5.0, d[2], d[4])),
        s.add_f32s(even, odd),
        s.sub_f32s(even, odd),
        fma(2.0, near_odd, near_even),
        fma(-2.0, near_odd, near_even),
        fma(4.0, d[1], fma(-5.0, d[3], d[5])),
    ]
}

/// `A^T`, 4 by 6.
#[inline(always)]
pub(super) fn at<S: Simd>(s: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let fma = |x: f32, a: S::f32s, b: S::f32s| s.mul_add_e_f32s(s.splat_f32s(x), a, b);
    let (sum1, difference1) = (s.add_f32s(m[1], m[2]), s.sub_f32s(m[1], m[2]));
    let (sum2, difference2) = (s.add_f32s(m[3], m[4]), s.sub_f32s(m[3], m[4]));
    [
        s.add_f32s(s.add_f32s(m[0], sum1), sum2),
        fma(2.0, difference2, difference1),
        fma(4.0, sum2, sum1),
        s.add_f32s(fma(8.0, difference2, difference1), m[5]),
    ]
}

/// Rows of tiles from `first` on, `count` tiles in all, to `v`: 36 planes, in which `place(tile, channel)` is where a
/// vector of a tile goes.
#[inline(always)]
pub(super) fn transform_input<S: Simd>(
    simd: S,
    tiles: &Tiles,
    x: &[f32],
    first: usize,
    count: usize,
    place: impl Fn(usize, usize) -> usize,
    v: &mut [f32],
) {
    let Tiles { h, w, c, top, left, tiles, .. } = *tiles;
    let (zero, lanes) = (simd.splat_f32s(0.0), S::F32_LANES);
    let plane = v.len() / FREQUENCIES;
    for t in 0..count {
        let (row, column) = (first + t / tiles[1], t % tiles[1]);
        let film = &x[row / tiles[0] * h * w * c..][..h * w * c];
        let y0 = (row % tiles[0] * 4) as isize - top as isize;
        let x0 = (column * 4) as isize - left as isize;
        let inside = y0 >= 0 && x0 >= 0 && y0 as usize + 6 <= h && x0 as usize + 6 <= w;
        for channel in (0..c).step_by(lanes) {
            let mut rows = [[zero; 6]; 6];
            if inside {
                let corner = (y0 as usize * w + x0 as usize) * c + channel;
                for (i, row) in rows.iter_mut().enumerate() {
                    let line = &film[corner + i * w * c..][..5 * c + lanes];
                    let mut values = [zero; 6];
                    for (j, value) in values.iter_mut().enumerate() {
                        *value = load::<S>(line, j * c);
                    }
                    *row = bt(simd, values);
                }
            } else {
                for (i, row) in rows.iter_mut().enumerate() {
                    let y = y0 + i as isize;
                    if y < 0 || y as usize >= h {
                        continue;
                    }
                    let mut values = [zero; 6];
                    for (j, value) in values.iter_mut().enumerate() {
                        let x = x0 + j as isize;
                        if x >= 0 && (x as usize) < w {
                            *value = load::<S>(film, (y as usize * w + x as usize) * c + channel);
                        }
                    }
                    *row = bt(simd, values);
                }
            }
            let to = place(t, channel);
            for j in 0..6 {
                let column = bt(simd, nth(&rows, j));
                for (i, value) in column.into_iter().enumerate() {
                    S::as_mut_simd_f32s(&mut v[(i * 6 + j) * plane + to..][..lanes]).0[0] = value;
                }
            }
        }
    }
}

/// `A`, 6 by 4.
#[inline(always)]
pub(super) fn a<S: Simd>(s: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
    let fma = |x: f32, a: S::f32s, b: S::f32s| s.mul_add_e_f32s(s.splat_f32s(x), a, b);
    let (even, odd) = (s.add_f32s(y[0], y[2]), s.add_f32s(y[1], y[3]));
    let (far_even, far_odd) = (fma(4.0, y[2], y[0]), fma(4.0, y[3], y[1]));
    [
        y[0],
        s.add_f32s(even, odd),
        s.sub_f32s(even, odd),
        fma(2.0, far_odd, far_even),
        fma(-2.0, far_odd, far_even),
        y[3],
    ]
}

/// `G^T`, 3 by 6.
#[inline(always)]
pub(super) fn gt<S: Simd>(s: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
    let times = |x: f32, v: S::f32s| s.mul_f32s(s.splat_f32s(x), v);
    let fma = |x: f32, a: S::f32s, b: S::f32s| s.mul_add_e_f32s(s.splat_f32s(x), a, b);
    let (near, near_difference) = (s.add_f32s(u[1], u[2]), s.sub_f32s(u[2], u[1]));
    let (far, far_difference) = (s.add_f32s(u[3], u[4]), s.sub_f32s(u[3], u[4]));
    [
        fma(0.25, u[0], fma(-1.0 / 6.0, near, times(1.0 / 24.0, far))),
        fma(1.0 / 6.0, near_difference, times(1.0 / 12.0, far_difference)),
        fma(-1.0 / 6.0, near, fma(1.0 / 6.0, far, u[5])),
    ]
}
