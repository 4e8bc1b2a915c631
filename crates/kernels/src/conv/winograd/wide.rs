//! Winograd's algorithm for wide layers, whose transformed filter would be larger than everything else: it is never stored
//! whole. Each task makes a panel of it from the taps, some elements of the Winograd domain at a time, and takes it to all
//! tiles.
//!
//! Three stages: tiles to `v`; panels of output channels to pixels, each panel in memory of its own; and from there to `y`, a
//! pixel's channels side by side. Where there are many tiles, these are passes over some of them, as a rule each on one
//! thread; a single pass is shared out by panels.
//!
//! The sums are those of [`super::image`] in the same order: which of the two serves makes no difference of a bit.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::filter::filter_to_domain;
use super::output::Output;
use super::places::Places;
use super::transforms::{Input, for_tiles, load};
use super::{DEPTH, ELEMENTS, TAPS, Tiles, plane};
use crate::chunks::{rows_per_chunk, with_scratch};
use crate::conv::ConvShape;
use crate::conv::epilogue::{Epilogue, Finish};
use crate::conv::filter::Direction;
use crate::gemm::{Gemm, WIDTH, panel};
use crate::norm::{BatchStatistics, Slots};
use crate::prefetch::prefetch;
use crate::stored::Stored;

/// Lines of elements, of six, whose part of a panel of the filter is made together: it should stay in the inner cache.
const LINES: usize = 2;

/// Rows of a panel whose taps are asked for beforehand.
const AHEAD: usize = 8;

/// Tiles that are transformed together.
const GROUP: usize = 32;

/// Tiles of a pass, at most: the work on the filter, once a pass, is then a small part of all.
const PASS: usize = 128;

/// Tiles of a pass times their channels, at most: `v` should stay in the outer cache, beside what others keep there.
const TRANSFORMED: usize = 1 << 15;

/// Channels of a tile that lie together, then those of the next: what a GEMM reads is nearly one stretch of memory.
const PIECE: usize = 32;

/// A filter in the order in which it is transformed, `[c_out / panel, c_in, 9, panel]`; `c_in` and `c_out` are those of
/// its direction, and for the way back the window is turned.
#[derive(Clone, Debug)]
pub(in crate::conv) struct Taps {
    c_in: usize,
    c_out: usize,
    direction: Direction,
    packed: Vec<f32>,
}

impl Taps {
    /// From weights `[k, c, 9]` of a convolution of `channels`, `c` to `k`.
    pub(in crate::conv) fn new(oihw: &[f32], direction: Direction, channels: [usize; 2]) -> Self {
        let [c_in, c_out] = direction.channels(channels);
        let mut taps = Taps { c_in, c_out, direction, packed: vec![0.0; TAPS * c_in * c_out] };
        taps.refill(oihw);
        taps
    }

    /// Takes other weights of the same shape; allocates nothing.
    pub(in crate::conv) fn refill(&mut self, oihw: &[f32]) {
        let Taps { c_in, c_out, direction, .. } = *self;
        assert_eq!(oihw.len(), TAPS * c_in * c_out);
        let panel = panel();
        let ([column_stride, row_stride], turned) = match direction {
            Direction::Forward => ([c_in * TAPS, TAPS], false),
            Direction::Backward => ([TAPS, c_out * TAPS], true),
        };
        self.packed.par_chunks_mut(c_in * TAPS * panel).enumerate().for_each(|(i, packed)| {
            for (block, packed) in packed.chunks_exact_mut(DEPTH * TAPS * panel).enumerate() {
                for column in 0..panel {
                    for (row, packed) in packed.chunks_exact_mut(TAPS * panel).enumerate() {
                        let from = (i * panel + column) * column_stride + (block * DEPTH + row) * row_stride;
                        let window = &oihw[from..][..TAPS];
                        for t in 0..TAPS {
                            packed[t * panel + column] = window[if turned { TAPS - 1 - t } else { t }];
                        }
                    }
                }
            }
        });
    }
}

/// As [`super::convolve`].
pub(in crate::conv) fn convolve<T: Stored>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    taps: &Taps,
    finish: Finish<T>,
    y: &mut [T],
    statistics: Option<&mut BatchStatistics>,
) {
    assert_eq!((taps.c_in, taps.c_out), (shape.c_in, shape.c_out));
    let tiles = Tiles::new(shape);
    let Tiles { c, k, .. } = tiles;
    let (rows, row_len, panel) = (n * tiles.tiles[0], tiles.out[1] * k, panel());
    let a_group = (GROUP / tiles.tiles[1]).min(rows.div_ceil(2)).max(1);
    let room = a_group * tiles.tiles[1];
    let groups = rows.div_ceil(a_group);
    let passes = groups.div_ceil((PASS.min(TRANSFORMED / c) / room).max(1)).max(1);
    let a_pass = groups.div_ceil(passes).max(1) * a_group;
    let [v_len, m_len] = [c, panel].map(|channels| ELEMENTS * plane(room, channels));
    let u_len = LINES * 6 * plane(c, panel);
    // A single pass is shared out by panels. Each half of them has a `v` of its own, half of which would else come from the
    // caches of another core: that takes longer than to make it twice, where two cores share no cache much longer.
    let a_part = (k / panel).div_ceil(if passes == 1 { 2 } else { 1 });
    let a_chunk = rows_per_chunk(row_len) * row_len;
    let pass = |first: usize, end: usize, y: &mut [T], slots: Slots| {
        let groups = (end - first).div_ceil(a_group);
        let places = |group: usize| {
            let first = first + group * a_group;
            Places::new(&tiles, first..(first + a_group).min(end))
        };
        let (start, pixels) = (tiles.row(first), y.len() / k);
        with_scratch(y.len(), |results| {
            results.par_chunks_mut(pixels * panel * a_part).enumerate().for_each(|(part, results)| {
                with_scratch(groups * v_len, |v| {
                    v.par_chunks_mut(v_len).enumerate().for_each(|(group, v)| {
                        let places = places(group);
                        crate::machine::arch().dispatch(Transform { tiles: &tiles, places, room, x, v });
                    });
                    let v = &*v;
                    results.par_chunks_mut(pixels * panel).enumerate().for_each(|(i, y)| {
                        let taps = &taps.packed[(part * a_part + i) * c * TAPS * panel..][..c * TAPS * panel];
                        with_scratch(u_len + groups * m_len, |scratch| {
                            let (u, m) = scratch.split_at_mut(u_len);
                            let task = Panel { tiles: &tiles, places: &places, room, taps, v, u, m, y };
                            crate::machine::arch().dispatch(task);
                        });
                    });
                });
            });
            let results = &*results;
            slots.for_chunks(y, a_chunk, |i, y| {
                let (pixel, at) = (i * a_chunk / k, start * row_len + i * a_chunk);
                crate::machine::arch().dispatch(Interleave { k, results, pixel, at, finish, y });
            });
        });
    };
    let cut = Cut { a_pass, a_chunk, element: &|row| tiles.row(row) * row_len };
    let slots = Slots::new(statistics, y.len() / k, k, cut.chunks(0..rows));
    cut.halve(0..rows, &pass, y, slots);
}

/// How rows of tiles are cut into passes.
struct Cut<'a, E> {
    /// Rows of a pass.
    a_pass: usize,
    /// Elements of the output that are finished together.
    a_chunk: usize,
    /// First element of the output of a row of tiles.
    element: &'a E,
}

impl<E: Fn(usize) -> usize + Sync> Cut<'_, E> {
    /// Elements of the output of some rows.
    fn elements(&self, rows: Range<usize>) -> usize {
        (self.element)(rows.end) - (self.element)(rows.start)
    }

    /// Chunks of whole passes over `rows`.
    fn chunks(&self, rows: Range<usize>) -> usize {
        let passes = rows.clone().step_by(self.a_pass).map(|first| first..(first + self.a_pass).min(rows.end));
        passes.map(|pass| self.elements(pass).div_ceil(self.a_chunk)).sum()
    }

    /// Calls `pass(first, end, y, slots)` for all passes over `rows`. They know nothing of each other: where there are
    /// more threads than panels, several run at once.
    fn halve<T: Stored>(
        &self,
        rows: Range<usize>,
        pass: &(impl Fn(usize, usize, &mut [T], Slots) + Sync),
        y: &mut [T],
        slots: Slots,
    ) {
        if rows.len() <= self.a_pass {
            pass(rows.start, rows.end, y, slots);
            return;
        }
        let middle = rows.start + rows.len().div_ceil(self.a_pass) / 2 * self.a_pass;
        let halves = (rows.start..middle, middle..rows.end);
        let (left, right) = y.split_at_mut(self.elements(halves.0.clone()));
        let slots = slots.split_at(self.chunks(halves.0.clone()));
        rayon::join(|| self.halve(halves.0, pass, left, slots.0), || self.halve(halves.1, pass, right, slots.1));
    }
}

/// A group of tiles to the Winograd domain.
struct Transform<'a, T> {
    tiles: &'a Tiles,
    places: Places,
    /// Tiles that a group has room for.
    room: usize,
    x: &'a [T],
    /// 36 planes `[c / PIECE, room, PIECE]`.
    v: &'a mut [f32],
}

impl<T: Stored> WithSimd for Transform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Transform { tiles, places, room, x, v } = self;
        let slot = |place: usize, channel: usize| (channel / PIECE * room + place) * PIECE + channel % PIECE;
        for_tiles(simd, tiles, places.rows.clone(), Input { tiles, places: &places, x, slot, v });
    }
}

/// All tiles of a pass to a panel of output channels.
struct Panel<'a, P> {
    tiles: &'a Tiles,
    /// Of a group.
    places: &'a P,
    room: usize,
    /// `[c, 9, panel]`.
    taps: &'a [f32],
    /// Of each group 36 planes `[c / PIECE, room, PIECE]`.
    v: &'a [f32],
    /// `6 * LINES` planes `[c, panel]`.
    u: &'a mut [f32],
    /// Of each group 36 planes `[room, panel]`.
    m: &'a mut [f32],
    /// `[pixels, panel]`.
    y: &'a mut [f32],
}

impl<P: Fn(usize) -> Places> WithSimd for Panel<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.gemms::<S, 0>(simd);
        self.gemms::<S, 2>(simd);
        self.gemms::<S, 4>(simd);
        let Panel { tiles, places, room, m, mut y, .. } = self;
        let channels = WIDTH * S::F32_LANES;
        for (group, m) in m.chunks_exact(ELEMENTS * plane(room, channels)).enumerate() {
            let places = places(group);
            let rows = places.rows.clone();
            let pixels = (tiles.row(rows.end) - tiles.row(rows.start)) * tiles.out[1];
            let (of_group, rest) = y.split_at_mut(pixels * channels);
            y = rest;
            let finish = Finish::<f32>::Epilogue(&Epilogue::NONE);
            let output = Output { tiles, places: &places, m, channels, finish, y: of_group };
            for_tiles(simd, tiles, rows, output);
        }
    }
}

impl<P: Fn(usize) -> Places> Panel<'_, P> {
    /// `m` of the elements of `LINES` lines.
    #[inline(always)]
    fn gemms<S: Simd, const FIRST: usize>(&mut self, simd: S) {
        let (c, room, panel) = (self.tiles.c, self.room, WIDTH * S::F32_LANES);
        let [v_plane, m_plane] = [plane(room, c), plane(room, panel)];
        simd.vectorize(FilterTransform::<FIRST> { taps: self.taps, u: self.u });
        for (i, u) in self.u.chunks_exact(plane(c, panel)).enumerate() {
            let e = FIRST * 6 + i;
            for (group, m) in self.m.chunks_exact_mut(ELEMENTS * m_plane).enumerate() {
                let tiles = (self.places)(group).range(e);
                simd.vectorize(Gemm {
                    size: [tiles.len(), panel, c],
                    a: &self.v[(group * ELEMENTS + e) * v_plane + tiles.start * PIECE..],
                    a_stride: PIECE,
                    pieces: [PIECE, room * PIECE],
                    panels: u,
                    panel_rows: c,
                    ahead: 0,
                    y: &mut m[e * m_plane + tiles.start * panel..],
                    y_stride: panel,
                    accumulate: false,
                });
            }
        }
    }
}

/// A panel of the filter to the elements of `LINES` lines from `FIRST` on.
struct FilterTransform<'a, const FIRST: usize> {
    taps: &'a [f32],
    u: &'a mut [f32],
}

impl<const FIRST: usize> WithSimd for FilterTransform<'_, FIRST> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (lanes, panel) = (S::F32_LANES, WIDTH * S::F32_LANES);
        let plane = self.u.len() / (LINES * 6);
        for (row, taps) in self.taps.chunks_exact(TAPS * panel).enumerate() {
            // The first lines bring the taps in, the others find them there.
            if FIRST == 0 {
                let later = (row + AHEAD) * TAPS * panel;
                prefetch(self.taps.get(later..later + taps.len()).unwrap_or_default());
            }
            for lane in (0..panel).step_by(lanes) {
                filter_to_domain::<S, FIRST, LINES>(simd, taps, lane, panel, |e, value| {
                    let to = (e - FIRST * 6) * plane + row * panel + lane;
                    S::as_mut_simd_f32s(&mut self.u[to..][..lanes]).0[0] = value;
                });
            }
        }
    }
}

/// Pixels to their place in the output.
struct Interleave<'a, T> {
    k: usize,
    /// `[k / panel, pixels, panel]`.
    results: &'a [f32],
    /// First pixel of the pass, and first element of the whole output.
    pixel: usize,
    at: usize,
    finish: Finish<'a, T>,
    y: &'a mut [T],
}

impl<T: Stored> WithSimd for Interleave<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Interleave { k, results, pixel, at, finish, y } = self;
        let (lanes, panel) = (S::F32_LANES, WIDTH * S::F32_LANES);
        let of_panel = results.len() / (k / panel);
        for (i, y) in y.chunks_exact_mut(k).enumerate() {
            for channel in (0..k).step_by(lanes) {
                let from = channel / panel * of_panel + (pixel + i) * panel + channel % panel;
                let y = &mut y[channel..][..lanes];
                finish.finish(simd, load::<S>(results, from), channel, at + i * k + channel, y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::Act;
    use crate::conv::winograd::{self, Transformed};

    fn noise(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// One pass and several, groups of fewer rows at the end, short tiles, a row of more tiles than a group or a pass.
    #[test]
    fn gives_the_bits_that_a_kept_filter_gives() {
        for (n, [h, w], [c, k]) in [
            (1, [14, 14], [64, 96]),
            (5, [14, 14], [32, 64]),
            (19, [14, 14], [32, 32]),
            (47, [7, 7], [64, 32]),
            (150, [2, 2], [32, 32]),
            (3, [21, 34], [32, 64]),
            (2, [10, 200], [32, 32]),
            (1, [5, 600], [32, 32]),
        ] {
            let shape =
                ConvShape { h, w, c_in: c, c_out: k, kernel: [3; 2], stride: [1; 2], pads: [1, 0, 1, 2], groups: 1 };
            let (weights, bias) = (noise(shape.weight_len()), noise(c.max(k)));
            for direction in [Direction::Forward, Direction::Backward] {
                let shape = match direction {
                    Direction::Forward => shape,
                    Direction::Backward => ConvShape { c_in: k, c_out: c, ..shape },
                };
                let (x, residual) = (noise(n * shape.x_len()), noise(n * shape.y_len()));
                let epilogue = Epilogue { bias: Some(&bias[..shape.c_out]), residual: Some(&residual), act: Act::Relu };
                let (kept, taps) =
                    (Transformed::new(&weights, direction, [c, k]), Taps::new(&weights, direction, [c, k]));
                for finish in [Finish::Epilogue(&epilogue), Finish::Accumulate] {
                    let (mut expected, mut y) = (residual.clone(), residual.clone());
                    winograd::convolve(&shape, n, &x, &kept, finish, &mut expected, None);
                    convolve(&shape, n, &x, &taps, finish, &mut y, None);
                    assert!(expected != residual, "{shape:?}: nothing was done");
                    assert!(expected == y, "{n} films, {shape:?}, {direction:?}: other bits");
                }
            }
        }
    }
}
