//! The small matrices of Winograd's algorithm, the transform of the input, and how tiles are gone through.

use std::ops::Range;

use pulp::Simd;

use super::places::Places;
use super::{ELEMENTS, Tiles, has};
use crate::stored::Stored;

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

/// `B^T` for `E` output pixels: from `E + 2` pixels to the elements that [`has`] names. For fewer than four it is
/// scaled by the ratio of the two filter transforms, so that `G` is the same.
#[inline(always)]
pub(super) fn bt<S: Simd, const E: usize>(s: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let fma = |x: f32, a: S::f32s, b: S::f32s| s.mul_add_e_f32s(s.splat_f32s(x), a, b);
    let times = |x: f32, a: S::f32s| s.mul_f32s(s.splat_f32s(x), a);
    let zero = s.splat_f32s(0.0);
    match E {
        4 => {
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
        3 => {
            let outer = s.sub_f32s(d[3], d[1]);
            [
                times(2.0, fma(2.0, s.sub_f32s(d[0], d[2]), outer)),
                times(3.0, s.sub_f32s(fma(-2.0, d[1], d[3]), d[2])),
                fma(2.0, d[1], fma(-3.0, d[2], d[3])),
                times(4.0, outer),
                zero,
                s.add_f32s(fma(-2.0, outer, d[4]), times(-1.0, d[2])),
            ]
        }
        _ => [
            times(4.0, s.sub_f32s(d[0], d[2])),
            times(-3.0, s.add_f32s(d[1], d[2])),
            times(3.0, s.sub_f32s(d[1], d[2])),
            zero,
            zero,
            s.sub_f32s(d[3], d[1]),
        ],
    }
}

/// `A^T` for `E` output pixels, from the elements that [`has`] names.
#[inline(always)]
pub(super) fn at<S: Simd, const E: usize>(s: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let fma = |x: f32, a: S::f32s, b: S::f32s| s.mul_add_e_f32s(s.splat_f32s(x), a, b);
    let (sum1, difference1) = (s.add_f32s(m[1], m[2]), s.sub_f32s(m[1], m[2]));
    let zero = s.splat_f32s(0.0);
    match E {
        4 => {
            let (sum2, difference2) = (s.add_f32s(m[3], m[4]), s.sub_f32s(m[3], m[4]));
            [
                s.add_f32s(s.add_f32s(m[0], sum1), sum2),
                fma(2.0, difference2, difference1),
                fma(4.0, sum2, sum1),
                s.add_f32s(fma(8.0, difference2, difference1), m[5]),
            ]
        }
        3 => [
            s.add_f32s(s.add_f32s(m[0], sum1), m[3]),
            fma(2.0, m[3], difference1),
            s.add_f32s(fma(4.0, m[3], sum1), m[5]),
            zero,
        ],
        _ => [s.add_f32s(m[0], sum1), s.add_f32s(difference1, m[5]), zero, zero],
    }
}

/// What is done to each tile, compiled for every height and width in output pixels that one may have.
pub(super) trait TileWork<S: Simd> {
    /// A tile of `H` by `W` output pixels, its row counted through all films.
    fn tile<const H: usize, const W: usize>(&mut self, simd: S, row: usize, column: usize);
}

/// Does it to all tiles of some rows.
#[inline(always)]
pub(super) fn for_tiles<S: Simd>(simd: S, tiles: &Tiles, rows: Range<usize>, mut work: impl TileWork<S>) {
    for row in rows {
        for column in 0..tiles.tiles[1] {
            match tiles.extent(row, column) {
                [4, 4] => work.tile::<4, 4>(simd, row, column),
                [4, 3] => work.tile::<4, 3>(simd, row, column),
                [4, _] => work.tile::<4, 2>(simd, row, column),
                [3, 4] => work.tile::<3, 4>(simd, row, column),
                [3, 3] => work.tile::<3, 3>(simd, row, column),
                [3, _] => work.tile::<3, 2>(simd, row, column),
                [_, 4] => work.tile::<2, 4>(simd, row, column),
                [_, 3] => work.tile::<2, 3>(simd, row, column),
                [_, _] => work.tile::<2, 2>(simd, row, column),
            }
        }
    }
}

/// Tiles of the input to `v`: 36 planes, in which `slot(place, channel)` is where a vector of a tile goes.
pub(super) struct Input<'a, T, F> {
    pub(super) tiles: &'a Tiles,
    pub(super) places: &'a Places,
    pub(super) x: &'a [T],
    pub(super) slot: F,
    pub(super) v: &'a mut [f32],
}

impl<S: Simd, T: Stored, F: Fn(usize, usize) -> usize> TileWork<S> for Input<'_, T, F> {
    #[inline(always)]
    fn tile<const H: usize, const W: usize>(&mut self, simd: S, row: usize, column: usize) {
        let Tiles { h, w, c, top, left, tiles, .. } = *self.tiles;
        let film = &self.x[row / tiles[0] * h * w * c..][..h * w * c];
        let place = self.places.of(row, column);
        let (zero, lanes, plane) = (simd.splat_f32s(0.0), S::F32_LANES, self.v.len() / ELEMENTS);
        let y0 = (row % tiles[0] * 4) as isize - top as isize;
        let x0 = (column * 4) as isize - left as isize;
        let inside = y0 >= 0 && x0 >= 0 && y0 as usize + H + 2 <= h && x0 as usize + W + 2 <= w;
        for channel in (0..c).step_by(lanes) {
            let mut rows = [[zero; 6]; 6];
            if inside {
                let corner = (y0 as usize * w + x0 as usize) * c + channel;
                for (i, row) in rows.iter_mut().enumerate().take(H + 2) {
                    let line = &film[corner + i * w * c..][..(W + 1) * c + lanes];
                    let mut values = [zero; 6];
                    for (j, value) in values.iter_mut().enumerate().take(W + 2) {
                        *value = T::load(simd, &line[j * c..]);
                    }
                    *row = bt::<S, W>(simd, values);
                }
            } else {
                for (i, row) in rows.iter_mut().enumerate().take(H + 2) {
                    let y = y0 + i as isize;
                    if y < 0 || y as usize >= h {
                        continue;
                    }
                    let mut values = [zero; 6];
                    for (j, value) in values.iter_mut().enumerate().take(W + 2) {
                        let x = x0 + j as isize;
                        if x >= 0 && (x as usize) < w {
                            *value = T::load(simd, &film[(y as usize * w + x as usize) * c + channel..]);
                        }
                    }
                    *row = bt::<S, W>(simd, values);
                }
            }
            let to = (self.slot)(place, channel);
            for j in (0..6).filter(|&j| has(W, j)) {
                let column = bt::<S, H>(simd, nth(&rows, j));
                for (i, value) in column.into_iter().enumerate().filter(|&(i, _)| has(H, i)) {
                    S::as_mut_simd_f32s(&mut self.v[(i * 6 + j) * plane + to..][..lanes]).0[0] = value;
                }
            }
        }
    }
}

/// `A` for `E` output pixels: to the elements that [`has`] names.
#[inline(always)]
pub(super) fn a<S: Simd, const E: usize>(s: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
    let fma = |x: f32, a: S::f32s, b: S::f32s| s.mul_add_e_f32s(s.splat_f32s(x), a, b);
    let zero = s.splat_f32s(0.0);
    match E {
        4 => {
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
        3 => {
            let even = s.add_f32s(y[0], y[2]);
            let far = fma(2.0, y[1], fma(4.0, y[2], y[0]));
            [y[0], s.add_f32s(even, y[1]), s.sub_f32s(even, y[1]), far, zero, y[2]]
        }
        _ => [y[0], s.add_f32s(y[0], y[1]), s.sub_f32s(y[0], y[1]), zero, zero, y[1]],
    }
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
