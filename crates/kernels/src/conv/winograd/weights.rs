//! The gradient to the weights: `G^T (sum over tiles of v^T w) G`, with `v` the transformed input and `w = A dy A^T`.
//!
//! Tiles are transformed some megabytes at a time, by all threads; then each frequency's sum over them is one task. The
//! order of the sums depends on the shape only.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::transforms::{a, gt, load, nth, transform_input};
use super::{FREQUENCIES, Tiles};
use crate::chunks::with_scratch;
use crate::conv::ConvShape;
use crate::product::{Outer, WIDTH, outer, panel};

/// Floats of transformed tiles that lie in memory at a time: they should stay in the outer cache.
const FLOATS: usize = 4 << 20;

/// Tiles that one task transforms.
const TILES: usize = 32;

/// `dw` OIHW from `x` `[n, h, w, c_in]` and `dy` `[n, out, c_out]`, added to it if `accumulate`.
pub(in crate::conv) fn backward_weight(
    shape: &ConvShape,
    n: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    accumulate: bool,
) {
    let tiles = Tiles::new(shape);
    let (c, k, rows) = (tiles.c, tiles.k, n * tiles.tiles[0]);
    // A group of rows of tiles is what a task transforms; so many groups lie in memory at a time.
    let a_group = (TILES / tiles.tiles[1]).max(1);
    let room = a_group * tiles.tiles[1];
    let group_len = FREQUENCIES * room * (c + k);
    let groups = rows.div_ceil(a_group);
    let at_a_time = (FLOATS / group_len).clamp(1, groups.max(1));
    with_scratch(FREQUENCIES * c * k + at_a_time * group_len, |scratch| {
        let (du, transformed) = scratch.split_at_mut(FREQUENCIES * c * k);
        for first in (0..groups).step_by(at_a_time) {
            let groups = at_a_time.min(groups - first);
            let transformed = &mut transformed[..groups * group_len];
            transformed.par_chunks_mut(group_len).enumerate().for_each(|(i, out)| {
                let row = (first + i) * a_group;
                let count = (rows - row).min(a_group) * tiles.tiles[1];
                let (v, w) = out.split_at_mut(FREQUENCIES * room * c);
                crate::machine::arch().dispatch(Transform { tiles: &tiles, x, dy, row, count, room, v, w });
            });
            let last = (rows - (first + groups - 1) * a_group).min(a_group) * tiles.tiles[1];
            let transformed = &*transformed;
            du.par_chunks_mut(c * k).enumerate().for_each(|(f, du)| {
                outer(Outer {
                    size: [c, k, (groups - 1) * room + last],
                    pieces: [room, group_len],
                    a: &transformed[f * room * c..],
                    a_stride: c,
                    b: &transformed[FREQUENCIES * room * c + f * room * k..],
                    b_stride: k,
                    y: du,
                    y_stride: k,
                    accumulate: first > 0,
                });
            });
        }
        let du = &*du;
        let channels = panel();
        dw.par_chunks_mut(channels * c * 9).enumerate().for_each(|(i, dw)| {
            crate::machine::arch().dispatch(Back { c, k, first: i * channels, du, dw, accumulate });
        });
    });
}

/// One group of tiles: `v` as in the forward direction, `w` `[36, room, k]`.
struct Transform<'a> {
    tiles: &'a Tiles,
    x: &'a [f32],
    dy: &'a [f32],
    row: usize,
    count: usize,
    room: usize,
    v: &'a mut [f32],
    w: &'a mut [f32],
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Transform { tiles, x, dy, row, count, room, v, w } = self;
        transform_input(simd, tiles, x, row, [count, room], v);
        let Tiles { k, out, tiles: in_film, .. } = *tiles;
        let (lanes, zero) = (S::F32_LANES, simd.splat_f32s(0.0));
        let plane = room * k;
        for t in 0..count {
            let (row, column) = (row + t / in_film[1], t % in_film[1]);
            let (high, wide) = ((out[0] - row % in_film[0] * 4).min(4), (out[1] - column * 4).min(4));
            let corner = (tiles.row(row) * out[1] + column * 4) * k;
            for channel in (0..k).step_by(lanes) {
                let mut rows = [[zero; 6]; 4];
                for (i, row) in rows.iter_mut().enumerate().take(high) {
                    let line = &dy[corner + i * out[1] * k + channel..][..(wide - 1) * k + lanes];
                    let mut values = [zero; 4];
                    for (j, value) in values.iter_mut().enumerate().take(wide) {
                        *value = S::as_simd_f32s(&line[j * k..][..lanes]).0[0];
                    }
                    *row = a(simd, values);
                }
                let to = t * k + channel;
                for j in 0..6 {
                    let column = a(simd, nth(&rows, j));
                    for (i, value) in column.into_iter().enumerate() {
                        S::as_mut_simd_f32s(&mut w[(i * 6 + j) * plane + to..][..lanes]).0[0] = value;
                    }
                }
            }
        }
    }
}

/// From the frequencies back to the window, for the output channels from `first` on: `dw` `[channels, c, 9]`.
struct Back<'a> {
    c: usize,
    k: usize,
    first: usize,
    du: &'a [f32],
    dw: &'a mut [f32],
    accumulate: bool,
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Back { c, k, first, du, dw, accumulate } = self;
        let lanes = S::F32_LANES;
        for channel in 0..c {
            for part in 0..WIDTH {
                let from = channel * k + first + part * lanes;
                let zero = simd.splat_f32s(0.0);
                let mut columns = [[zero; 3]; 6];
                for (j, column) in columns.iter_mut().enumerate() {
                    let mut values = [zero; 6];
                    for (i, value) in values.iter_mut().enumerate() {
                        *value = load::<S>(du, (i * 6 + j) * c * k + from);
                    }
                    *column = gt(simd, values);
                }
                for i in 0..3 {
                    let row = gt(simd, nth(&columns, i));
                    for (j, values) in row.into_iter().enumerate() {
                        let mut lane = [0.0f32; 64];
                        S::as_mut_simd_f32s(&mut lane[..lanes]).0[0] = values;
                        for (o, value) in lane[..lanes].iter().enumerate() {
                            let dw = &mut dw[((part * lanes + o) * c + channel) * 9 + i * 3 + j];
                            *dw = if accumulate { *dw + value } else { *value };
                        }
                    }
                }
            }
        }
    }
}
