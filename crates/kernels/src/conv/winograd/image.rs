//! The convolution by Winograd's algorithm, and with the filter turned round the gradient to its input.

use pulp::{Simd, WithSimd};

use super::filter::Transformed;
use super::output::Output;
use super::places::Places;
use super::transforms::{Input, for_tiles};
use super::{ELEMENTS, Tiles, plane};
use crate::chunks::with_scratch;
use crate::conv::ConvShape;
use crate::conv::epilogue::Finish;
use crate::gemm::{Gemm, WIDTH};
use crate::norm::{BatchStatistics, Slots};
use crate::stored::Stored;

/// `y` `[n, out, c_out]` from `x` `[n, h, w, c_in]`.
pub(in crate::conv) fn convolve<T: Stored>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    filter: &Transformed,
    finish: Finish<T>,
    y: &mut [T],
    statistics: Option<&mut BatchStatistics>,
) {
    assert_eq!((filter.c_in, filter.c_out), (shape.c_in, shape.c_out));
    let tiles = Tiles::new(shape);
    let rows = n * tiles.tiles[0];
    let task = Task { tiles, step: tiles.task_rows(rows), x, u: &filter.u, finish };
    let slots = Slots::new(statistics, y.len() / tiles.k, tiles.k, rows.div_ceil(task.step));
    task.halve(0, rows, y, slots);
}

#[derive(Clone, Copy)]
struct Task<'a, T> {
    tiles: Tiles,
    /// Rows of tiles of a task.
    step: usize,
    x: &'a [T],
    u: &'a [f32],
    finish: Finish<'a, T>,
}

impl<T: Stored> Task<'_, T> {
    /// Rows of tiles `first..end`, whose output is `y`, cut into tasks.
    fn halve(&self, first: usize, end: usize, y: &mut [T], slots: Slots) {
        let step = self.step;
        if end - first <= step {
            self.run(first, end, y);
            slots.take(y);
            return;
        }
        let middle = first + (end - first).div_ceil(step) / 2 * step;
        let row_len = self.tiles.out[1] * self.tiles.k;
        let (left, right) = y.split_at_mut((self.tiles.row(middle) - self.tiles.row(first)) * row_len);
        let slots = slots.split_at((middle - first) / step);
        rayon::join(|| self.halve(first, middle, left, slots.0), || self.halve(middle, end, right, slots.1));
    }

    fn run(&self, first: usize, end: usize, y: &mut [T]) {
        let Tiles { c, k, .. } = self.tiles;
        let places = Places::new(&self.tiles, first..end);
        let planes = [c, k].map(|channels| plane(places.count(), channels));
        with_scratch(ELEMENTS * (planes[0] + planes[1]), |scratch| {
            let (v, m) = scratch.split_at_mut(ELEMENTS * planes[0]);
            crate::machine::arch().dispatch(Run { task: self, places, planes, v, m, y });
        });
    }
}

struct Run<'a, T> {
    task: &'a Task<'a, T>,
    places: Places,
    /// Floats of a plane of `v` and of `m`.
    planes: [usize; 2],
    v: &'a mut [f32],
    m: &'a mut [f32],
    y: &'a mut [T],
}

impl<T: Stored> WithSimd for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (task, c) = (self.task, self.task.tiles.c);
        let Run { places, v, .. } = &mut self;
        let rows = places.rows.clone();
        let slot = |place: usize, channel: usize| place * c + channel;
        for_tiles(simd, &task.tiles, rows.clone(), Input { tiles: &task.tiles, places, x: task.x, slot, v });
        self.gemms(simd);
        let Run { places, m, y, .. } = self;
        let output = Output { tiles: &task.tiles, places: &places, m, channels: task.tiles.k, finish: task.finish, y };
        for_tiles(simd, &task.tiles, rows, output);
    }
}

impl<T> Run<'_, T> {
    #[inline(always)]
    fn gemms<S: Simd>(&mut self, simd: S) {
        let Tiles { c, k, .. } = self.task.tiles;
        for e in 0..ELEMENTS {
            let tiles = self.places.range(e);
            simd.vectorize(Gemm {
                size: [tiles.len(), k, c],
                a: &self.v[e * self.planes[0] + tiles.start * c..],
                a_stride: c,
                pieces: [c, 0],
                panels: &self.task.u[e * c * WIDTH * S::F32_LANES..],
                panel_rows: ELEMENTS * c,
                ahead: 0,
                y: &mut self.m[e * self.planes[1] + tiles.start * k..],
                y_stride: k,
                accumulate: false,
            });
        }
    }
}
