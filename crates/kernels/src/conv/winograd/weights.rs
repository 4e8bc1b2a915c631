//! The gradient to the weights by Winograd's algorithm: `G^T (sum over tiles of v^T w) G`, with `v` the transformed input and `w = A dy A^T`.
//!
//! Tiles are transformed some megabytes at a time, by all threads; then each element's sum over them is one task, or, for
//! many channels, a panel of output channels is one and goes straight back to the window. The order of the
//! sums depends on the shape only.
//!
//! A group of tiles is laid out as its sum reads it, `v` `[36, c / BLOCK, tiles, BLOCK]` and `w` `[36, k / panel, tiles,
//! panel]`: what a block of the result takes from either is one stretch of memory.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::places::Places;
use super::transforms::{Input, TileWork, a, for_tiles, gt, load, nth};
use super::{DEPTH, ELEMENTS, TAPS, Tiles, has, plane};
use crate::chunks::with_scratch;
use crate::conv::ConvShape;
use crate::gemm::{GemmTransposed, WIDTH, gemm_transposed, panel};
use crate::stored::Stored;

/// Floats of transformed tiles that lie in memory at a time, at least: they should stay in the outer cache.
const FLOATS: usize = 2 << 20;

/// Tiles that one task transforms.
const TILES: usize = 32;

/// Groups whose part of a sum is taken at once: what a block of the result needs of them should stay in the inner cache.
const GROUPS: usize = 6;

/// Input channels that lie together: a cache line, and two blocks of rows of [`GemmTransposed`].
const BLOCK: usize = 16;

/// Weights a pixel of the window from which their gradient is never held in the Winograd domain: it would not fit the outer
/// cache. Measured for 14x14x256, where it makes no difference, and 7x7x512.
const LARGE: usize = 1 << 17;

/// Input channels of a task that takes a panel of output channels from the Winograd domain back to the window: the panel's part
/// of `du` should stay in the inner cache.
const ROWS: usize = 128;

/// `dw` OIHW from `x` `[n, h, w, c_in]` and `dy` `[n, out, c_out]`, added to it if `accumulate`.
pub(in crate::conv) fn backward_weight<T: Stored>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    dy: &[T],
    dw: &mut [f32],
    accumulate: bool,
) {
    let tiles = Tiles::new(shape);
    let (c, k, rows) = (tiles.c, tiles.k, n * tiles.tiles[0]);
    // A group of rows of tiles is what a task transforms; so many groups lie in memory at a time.
    let mut a_group = (TILES / tiles.tiles[1]).max(1);
    if tiles.last != [4; 2] {
        // Whole films, of which many fit: all groups but the last then have the same tiles in the same places.
        a_group -= a_group % tiles.tiles[0];
    }
    let room = a_group * tiles.tiles[1];
    let planes = [plane(room, c), plane(room, k)];
    let group_len = ELEMENTS * (planes[0] + planes[1]);
    let groups = rows.div_ceil(a_group);
    // Every pass adds to all of the result: where that is large, there should be few.
    let at_a_time = (FLOATS.max(ELEMENTS * c * k) / group_len).clamp(1, groups.max(1));
    // Where the result is large it is never held in the Winograd domain: a pass adds to `dw`.
    let kept = if c * k >= LARGE { 0 } else { ELEMENTS * plane(c, k) };
    with_scratch(kept + at_a_time * group_len, |scratch| {
        let (du, transformed) = scratch.split_at_mut(kept);
        for first in (0..groups).step_by(at_a_time) {
            let groups = at_a_time.min(groups - first);
            let transformed = &mut transformed[..groups * group_len];
            let rows_of = |group: usize| {
                let row = (first + group) * a_group;
                row..(row + a_group).min(rows)
            };
            transformed.par_chunks_mut(group_len).enumerate().for_each(|(group, out)| {
                let places = Places::new(&tiles, rows_of(group));
                let (v, w) = out.split_at_mut(ELEMENTS * planes[0]);
                crate::machine::arch().dispatch(Transform { tiles: &tiles, x, dy, places, room, v, w });
            });
            // The last group may have fewer tiles than the others.
            let whole = if rows_of(groups - 1).len() < a_group { groups - 1 } else { groups };
            let places = |group: usize| Places::new(&tiles, rows_of(group));
            let pass = Pass { transformed, planes, room, whole, groups, places: &places };
            if kept == 0 {
                by_panels(&pass, c, dw, accumulate || first > 0);
            } else {
                du.par_chunks_mut(plane(c, k)).enumerate().for_each(|(e, du)| {
                    for column in (0..k).step_by(panel()) {
                        pass.sum(e, 0..c, column, (&mut du[column..], k), first > 0);
                    }
                });
            }
        }
        if kept > 0 {
            from_domain(du, [c, k], dw, accumulate);
        }
    });
}

/// Some groups of tiles in the Winograd domain.
struct Pass<'a> {
    /// By group, `v` and then `w`.
    transformed: &'a [f32],
    /// Floats of a plane of either.
    planes: [usize; 2],
    /// Tiles that a group has room for.
    room: usize,
    /// Groups that have as many tiles as they have room for, and groups in all.
    whole: usize,
    groups: usize,
    /// By group.
    places: &'a (dyn Fn(usize) -> Places + Sync),
}

impl Pass<'_> {
    /// The sum over all tiles of one element: some input channels, and the panel of output channels that begins at
    /// `column`. The first of them goes to the beginning of `du`, whose rows lie `stride` apart.
    fn sum(&self, e: usize, rows: Range<usize>, column: usize, (du, stride): (&mut [f32], usize), accumulate: bool) {
        let (panel, group_len) = (panel(), ELEMENTS * (self.planes[0] + self.planes[1]));
        let mut accumulate = accumulate;
        let mut sum = |groups: Range<usize>| {
            let tiles = (self.places)(groups.start).range(e);
            let at = groups.start * group_len;
            let v = &self.transformed[at + e * self.planes[0] + tiles.start * BLOCK..];
            let w = &self.transformed[at + ELEMENTS * self.planes[0] + e * self.planes[1] + tiles.start * panel..];
            for row in rows.clone().step_by(BLOCK) {
                gemm_transposed(GemmTransposed {
                    size: [BLOCK, panel, groups.len() * tiles.len()],
                    pieces: [tiles.len(), group_len],
                    a: &v[self.room * row..],
                    a_stride: BLOCK,
                    b: &w[self.room * column..],
                    b_stride: panel,
                    y: &mut du[(row - rows.start) * stride..],
                    y_stride: stride,
                    accumulate,
                });
            }
            accumulate = true;
        };
        (0..self.whole).step_by(GROUPS).for_each(|group| sum(group..(group + GROUPS).min(self.whole)));
        if self.whole < self.groups {
            sum(self.whole..self.groups);
        }
    }
}

/// The whole way from a pass to `dw`, a panel of output channels a task.
fn by_panels(pass: &Pass, c: usize, dw: &mut [f32], accumulate: bool) {
    let (panel, du_plane) = (panel(), plane(ROWS, panel()));
    dw.par_chunks_mut(panel * c * TAPS).enumerate().for_each(|(i, dw)| {
        with_scratch(ELEMENTS * du_plane + TAPS * DEPTH * panel, |scratch| {
            let (du, taps) = scratch.split_at_mut(ELEMENTS * du_plane);
            for first in (0..c).step_by(ROWS) {
                let rows = first..(first + ROWS).min(c);
                for (e, du) in du.chunks_exact_mut(du_plane).enumerate() {
                    pass.sum(e, rows.clone(), i * panel, (du, panel), false);
                }
                for row in rows.clone().step_by(DEPTH) {
                    let at = (row - first) * panel;
                    crate::machine::arch().dispatch(Back { du, at, k: panel, taps });
                    scatter(taps, row, c, dw, accumulate);
                }
            }
        });
    });
}

/// From all of `du`, 36 planes `[c, k]`, to `dw`.
fn from_domain(du: &[f32], [c, k]: [usize; 2], dw: &mut [f32], accumulate: bool) {
    let panel = panel();
    dw.par_chunks_mut(panel * c * TAPS).enumerate().for_each(|(i, dw)| {
        with_scratch(TAPS * DEPTH * panel, |taps| {
            for first in (0..c).step_by(DEPTH) {
                crate::machine::arch().dispatch(Back { du, at: first * k + i * panel, k, taps });
                scatter(taps, first, c, dw, accumulate);
            }
        });
    });
}

/// One group of tiles to the Winograd domain.
struct Transform<'a, T> {
    tiles: &'a Tiles,
    x: &'a [T],
    dy: &'a [T],
    places: Places,
    /// Tiles that a group has room for.
    room: usize,
    v: &'a mut [f32],
    w: &'a mut [f32],
}

impl<T: Stored> WithSimd for Transform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let room = self.room;
        let slot = |place: usize, channel: usize| (channel / BLOCK * room + place) * BLOCK + channel % BLOCK;
        let Transform { tiles, x, dy, places, v, w, .. } = self;
        for_tiles(simd, tiles, places.rows.clone(), Input { tiles, places: &places, x, slot, v });
        for_tiles(simd, tiles, places.rows.clone(), Gradient { tiles, dy, places: &places, room, w });
    }
}

/// The gradient to the output's tiles to the Winograd domain.
struct Gradient<'a, T> {
    tiles: &'a Tiles,
    dy: &'a [T],
    places: &'a Places,
    room: usize,
    w: &'a mut [f32],
}

impl<S: Simd, T: Stored> TileWork<S> for Gradient<'_, T> {
    #[inline(always)]
    fn tile<const H: usize, const W: usize>(&mut self, simd: S, row: usize, column: usize) {
        let Tiles { k, out, tiles: in_film, .. } = *self.tiles;
        let (lanes, zero) = (S::F32_LANES, simd.splat_f32s(0.0));
        let (plane, panel) = (self.w.len() / ELEMENTS, WIDTH * lanes);
        let (high, wide) = ((out[0] - row % in_film[0] * 4).min(H), (out[1] - column * 4).min(W));
        let corner = (self.tiles.row(row) * out[1] + column * 4) * k;
        let place = self.places.of(row, column);
        for channel in (0..k).step_by(lanes) {
            let mut rows = [[zero; 6]; 4];
            for (i, row) in rows.iter_mut().enumerate().take(high) {
                let line = &self.dy[corner + i * out[1] * k + channel..][..(wide - 1) * k + lanes];
                let mut values = [zero; 4];
                for (j, value) in values.iter_mut().enumerate().take(wide) {
                    *value = T::load(simd, &line[j * k..]);
                }
                *row = a::<S, W>(simd, values);
            }
            let to = (channel / panel * self.room + place) * panel + channel % panel;
            for j in (0..6).filter(|&j| has(W, j)) {
                let column = a::<S, H>(simd, nth(&rows, j));
                for (i, value) in column.into_iter().enumerate().filter(|&(i, _)| has(H, i)) {
                    S::as_mut_simd_f32s(&mut self.w[(i * 6 + j) * plane + to..][..lanes]).0[0] = value;
                }
            }
        }
    }
}

/// From the Winograd domain back to the window: `DEPTH` input channels of a panel of output channels.
struct Back<'a> {
    /// 36 planes `[c, k]`.
    du: &'a [f32],
    /// Where in a plane.
    at: usize,
    k: usize,
    /// `[9, DEPTH, panel]`.
    taps: &'a mut [f32],
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Back { du, at, k, taps } = self;
        let (lanes, plane) = (S::F32_LANES, du.len() / ELEMENTS);
        let panel = WIDTH * lanes;
        let zero = simd.splat_f32s(0.0);
        for to in (0..DEPTH * panel).step_by(lanes) {
            let from = at + to / panel * k + to % panel;
            let mut columns = [[zero; 3]; 6];
            for (j, column) in columns.iter_mut().enumerate() {
                let mut values = [zero; 6];
                for (i, value) in values.iter_mut().enumerate() {
                    *value = load::<S>(du, (i * 6 + j) * plane + from);
                }
                *column = gt(simd, values);
            }
            for i in 0..3 {
                for (j, value) in gt(simd, nth(&columns, i)).into_iter().enumerate() {
                    let taps = &mut taps[(i * 3 + j) * DEPTH * panel + to..][..lanes];
                    S::as_mut_simd_f32s(taps).0[0] = value;
                }
            }
        }
    }
}

/// Writes `taps` `[9, DEPTH, panel]` to `dw` `[panel, c, 9]`, input channels from `first` on.
fn scatter(taps: &[f32], first: usize, c: usize, dw: &mut [f32], accumulate: bool) {
    let panel = taps.len() / (TAPS * DEPTH);
    for (column, dw) in dw.chunks_exact_mut(c * TAPS).enumerate() {
        for (row, dw) in dw[first * TAPS..][..DEPTH * TAPS].chunks_exact_mut(TAPS).enumerate() {
            let values = taps.chunks_exact(DEPTH * panel).map(|taps| taps[row * panel + column]);
            crate::chunks::store(dw, values, accumulate);
        }
    }
}
