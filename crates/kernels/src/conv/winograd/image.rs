//! The convolution itself, and with the filter turned round the gradient to its input.

use pulp::{Simd, WithSimd};

use super::filter::Transformed;
use super::places::Places;
use super::transforms::{at, load, nth, transform_input};
use super::{FREQUENCIES, Tiles, has, plane};
use crate::chunks::with_scratch;
use crate::conv::{ConvShape, Epilogue};
use crate::product::{Rows, WIDTH};

/// What is done to a result on its way to memory.
#[derive(Clone, Copy)]
pub(in crate::conv) enum Finish<'a> {
    /// The epilogue of a forward convolution.
    Epilogue(&'a Epilogue<'a>),
    /// Added to what is there.
    Accumulate,
}

/// `y` `[n, out, c_out]` from `x` `[n, h, w, c_in]`.
pub(in crate::conv) fn convolve(
    shape: &ConvShape,
    n: usize,
    x: &[f32],
    filter: &Transformed,
    finish: Finish,
    y: &mut [f32],
) {
    assert_eq!((filter.c_in, filter.c_out), (shape.c_in, shape.c_out));
    let tiles = Tiles::new(shape);
    let rows = n * tiles.tiles[0];
    let task = Task { tiles, step: tiles.task_rows(rows), x, u: &filter.u, finish };
    task.halve(0, rows, y);
}

#[derive(Clone, Copy)]
struct Task<'a> {
    tiles: Tiles,
    /// Rows of tiles of a task.
    step: usize,
    x: &'a [f32],
    u: &'a [f32],
    finish: Finish<'a>,
}

impl Task<'_> {
    /// Rows of tiles `first..end`, whose output is `y`, cut into tasks.
    fn halve(&self, first: usize, end: usize, y: &mut [f32]) {
        let step = self.step;
        if end - first <= step {
            self.run(first, end, y);
            return;
        }
        let middle = first + (end - first).div_ceil(step) / 2 * step;
        let row_len = self.tiles.out[1] * self.tiles.k;
        let (left, right) = y.split_at_mut((self.tiles.row(middle) - self.tiles.row(first)) * row_len);
        rayon::join(|| self.halve(first, middle, left), || self.halve(middle, end, right));
    }

    fn run(&self, first: usize, end: usize, y: &mut [f32]) {
        let Tiles { c, k, .. } = self.tiles;
        let places = Places::new(&self.tiles, first..end);
        let planes = [c, k].map(|channels| plane(places.count(), channels));
        with_scratch(FREQUENCIES * (planes[0] + planes[1]), |scratch| {
            let (v, m) = scratch.split_at_mut(FREQUENCIES * planes[0]);
            crate::machine::arch().dispatch(Run { task: self, places, planes, v, m, y });
        });
    }
}

struct Run<'a> {
    task: &'a Task<'a>,
    places: Places,
    /// Floats of a plane of `v` and of `m`.
    planes: [usize; 2],
    v: &'a mut [f32],
    m: &'a mut [f32],
    y: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (task, c) = (self.task, self.task.tiles.c);
        transform_input(simd, &task.tiles, task.x, &self.places, |place, channel| place * c + channel, self.v);
        self.products(simd);
        for row in self.places.rows.clone() {
            for column in 0..task.tiles.tiles[1] {
                match task.tiles.extent(row, column) {
                    [4, 4] => self.transform_output::<S, 4, 4>(simd, row, column),
                    [4, 3] => self.transform_output::<S, 4, 3>(simd, row, column),
                    [4, _] => self.transform_output::<S, 4, 2>(simd, row, column),
                    [3, 4] => self.transform_output::<S, 3, 4>(simd, row, column),
                    [3, 3] => self.transform_output::<S, 3, 3>(simd, row, column),
                    [3, _] => self.transform_output::<S, 3, 2>(simd, row, column),
                    [_, 4] => self.transform_output::<S, 2, 4>(simd, row, column),
                    [_, 3] => self.transform_output::<S, 2, 3>(simd, row, column),
                    [_, _] => self.transform_output::<S, 2, 2>(simd, row, column),
                }
            }
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn products<S: Simd>(&mut self, simd: S) {
        let Tiles { c, k, .. } = self.task.tiles;
        for f in 0..FREQUENCIES {
            let tiles = self.places.range(f);
            simd.vectorize(Rows {
                size: [tiles.len(), k, c],
                a: &self.v[f * self.planes[0] + tiles.start * c..],
                a_stride: c,
                panels: &self.task.u[f * c * WIDTH * S::F32_LANES..],
                panel_rows: FREQUENCIES * c,
                y: &mut self.m[f * self.planes[1] + tiles.start * k..],
                y_stride: k,
                accumulate: false,
            });
        }
    }

    /// A tile of `H` by `W` output pixels.
    #[inline(always)]
    fn transform_output<S: Simd, const H: usize, const W: usize>(&mut self, simd: S, row: usize, column: usize) {
        let Tiles { k, out, tiles, .. } = self.task.tiles;
        let (lanes, plane, zero) = (S::F32_LANES, self.planes[1], simd.splat_f32s(0.0));
        let start = self.task.tiles.row(self.places.rows.start);
        let y0 = self.task.tiles.row(row) - start;
        let (high, wide) = ((out[0] - row % tiles[0] * 4).min(H), (out[1] - column * 4).min(W));
        let place = self.places.of(row, column);
        for channel in (0..k).step_by(lanes) {
            let from = place * k + channel;
            let mut columns = [[zero; 4]; 6];
            for (j, column) in columns.iter_mut().enumerate().filter(|&(j, _)| has(W, j)) {
                let mut values = [zero; 6];
                for (i, value) in values.iter_mut().enumerate().filter(|&(i, _)| has(H, i)) {
                    *value = load::<S>(self.m, (i * 6 + j) * plane + from);
                }
                *column = at::<S, H>(simd, values);
            }
            for i in 0..high {
                let values = at::<S, W>(simd, nth(&columns, i));
                let place = ((y0 + i) * out[1] + column * 4) * k + channel;
                for (j, &value) in values.iter().enumerate().take(wide) {
                    let place = place + j * k;
                    let y = &mut S::as_mut_simd_f32s(&mut self.y[place..][..lanes]).0[0];
                    *y = match self.task.finish {
                        Finish::Accumulate => simd.add_f32s(*y, value),
                        Finish::Epilogue(epilogue) => {
                            let at = start * out[1] * k + place;
                            epilogue.finish(simd, value, channel, at)
                        }
                    };
                }
            }
        }
    }
}
