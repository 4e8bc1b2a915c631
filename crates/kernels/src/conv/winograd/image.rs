//! The convolution itself, and with the filter turned round the gradient to its input.

use pulp::{Simd, WithSimd};

use super::filter::Transformed;
use super::transforms::{at, load, nth, transform_input};
use super::{FREQUENCIES, Tiles, plane};
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
        let count = (end - first) * self.tiles.tiles[1];
        with_scratch(FREQUENCIES * (plane(count, c) + plane(count, k)), |scratch| {
            let (v, m) = scratch.split_at_mut(FREQUENCIES * plane(count, c));
            crate::machine::arch().dispatch(Run { task: self, first, count, v, m, y });
        });
    }
}

struct Run<'a> {
    task: &'a Task<'a>,
    first: usize,
    count: usize,
    v: &'a mut [f32],
    m: &'a mut [f32],
    y: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Run { task, first, count, .. } = self;
        let c = task.tiles.c;
        transform_input(simd, &task.tiles, task.x, first, count, |tile, channel| tile * c + channel, self.v);
        self.products(simd);
        self.transform_output(simd);
    }
}

impl Run<'_> {
    #[inline(always)]
    fn products<S: Simd>(&mut self, simd: S) {
        let Tiles { c, k, .. } = self.task.tiles;
        for f in 0..FREQUENCIES {
            simd.vectorize(Rows {
                size: [self.count, k, c],
                a: &self.v[f * plane(self.count, c)..][..self.count * c],
                a_stride: c,
                panels: &self.task.u[f * c * WIDTH * S::F32_LANES..],
                panel_rows: FREQUENCIES * c,
                y: &mut self.m[f * plane(self.count, k)..][..self.count * k],
                y_stride: k,
                accumulate: false,
            });
        }
    }

    #[inline(always)]
    fn transform_output<S: Simd>(&mut self, simd: S) {
        let Tiles { k, out, tiles, .. } = self.task.tiles;
        let (lanes, plane) = (S::F32_LANES, plane(self.count, k));
        let zero = simd.splat_f32s(0.0);
        let start = self.task.tiles.row(self.first);
        for t in 0..self.count {
            let (row, column) = (self.first + t / tiles[1], t % tiles[1]);
            let y0 = self.task.tiles.row(row) - start;
            let (high, wide) = ((out[0] - row % tiles[0] * 4).min(4), (out[1] - column * 4).min(4));
            for channel in (0..k).step_by(lanes) {
                let from = t * k + channel;
                let mut columns = [[zero; 4]; 6];
                for (j, column) in columns.iter_mut().enumerate() {
                    let mut values = [zero; 6];
                    for (i, value) in values.iter_mut().enumerate() {
                        *value = load::<S>(self.m, (i * 6 + j) * plane + from);
                    }
                    *column = at(simd, values);
                }
                for i in 0..high {
                    let values = at(simd, nth(&columns, i));
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
}
