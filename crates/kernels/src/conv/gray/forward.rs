//! The convolution of the one plane of gray films, a row at a time, and the constant that the channels' terms add to it.

use pulp::{Simd, WithSimd};

use super::{Filter, copy_rows, padded};
use crate::chunks::with_scratch;
use crate::conv::{ConvShape, Convolved, Epilogue};
use crate::gemm::{WIDTH, heights};
use crate::norm::{BatchStatistics, for_chunks_of};
use crate::stored::{LONGEST, Stored};

/// Output rows of a task.
const LINES: usize = 4;

/// `y` `[n, out, c_out]` from `z` `[n, h, w]`, as [`conv::forward`](super::super::forward) from the three channels.
pub fn forward<T: Convolved>(n: usize, z: &[f32], filter: &Filter, epilogue: &Epilogue<T>, y: &mut [T]) {
    T::forward_of_gray(n, z, filter, epilogue, y, None);
}

/// As [`forward`], and takes the statistics of `y` as [`conv::forward_with_statistics`](super::super::forward_with_statistics)
/// does.
pub fn forward_with_statistics<T: Convolved>(
    n: usize,
    z: &[f32],
    filter: &Filter,
    epilogue: &Epilogue<T>,
    y: &mut [T],
    statistics: &mut BatchStatistics,
) {
    T::forward_of_gray(n, z, filter, epilogue, y, Some(statistics));
}

pub(in crate::conv) fn convolve<T: Stored>(
    n: usize,
    z: &[f32],
    filter: &Filter,
    epilogue: &Epilogue<T>,
    y: &mut [T],
    statistics: Option<&mut BatchStatistics>,
) {
    let shape = &filter.shape;
    assert_eq!((z.len(), y.len()), (n * shape.h * shape.w, n * shape.y_len()), "{shape:?} for {n} gray films");
    let ([oh, ow], c) = (shape.out(), shape.c_out);
    let classes = filter.border.columns.classes.len();
    for_chunks_of(y, LINES * ow * c, c, statistics, |index, y| {
        with_scratch(shape.kernel[0] * padded(shape), |lines| {
            for (i, y) in y.chunks_exact_mut(ow * c).enumerate() {
                let row = index * LINES + i;
                copy_rows(shape, z, row, lines);
                let constant = &filter.constant[filter.border.rows.class[row % oh] * classes * c..][..classes * c];
                let after = After { constant, class: &filter.border.columns.class, epilogue, at: row * ow * c };
                crate::machine::arch().dispatch(Windows { shape, lines, panels: &filter.plane, after, y });
            }
        });
    });
}

/// What follows the convolution of the one plane, for one row.
#[derive(Clone, Copy)]
struct After<'a, T> {
    /// `[column classes, c_out]`.
    constant: &'a [f32],
    /// By column.
    class: &'a [usize],
    epilogue: &'a Epilogue<'a, T>,
    /// Where the row begins in the whole output.
    at: usize,
}

/// One row of a convolution of one plane.
struct Windows<'a, T> {
    shape: &'a ConvShape,
    /// `[kernel rows, padded]`.
    lines: &'a [f32],
    panels: &'a [f32],
    after: After<'a, T>,
    /// `[columns, c_out]`.
    y: &'a mut [T],
}

impl<T: Stored> WithSimd for Windows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let panel = WIDTH * S::F32_LANES;
        for first in (0..self.shape.c_out).step_by(panel) {
            let mut column = 0;
            for height in heights::<S>(self.shape.out()[1]) {
                match height {
                    14 => self.block::<S, 14>(simd, column, first),
                    12 => self.block::<S, 12>(simd, column, first),
                    10 => self.block::<S, 10>(simd, column, first),
                    8 => self.block::<S, 8>(simd, column, first),
                    6 => self.block::<S, 6>(simd, column, first),
                    4 => self.block::<S, 4>(simd, column, first),
                    2 => self.block::<S, 2>(simd, column, first),
                    _ => self.block::<S, 1>(simd, column, first),
                }
                column += height;
            }
        }
    }
}

impl<T: Stored> Windows<'_, T> {
    /// `R` windows, a panel of output channels.
    #[inline(always)]
    fn block<S: Simd, const R: usize>(&mut self, simd: S, column: usize, first: usize) {
        let ConvShape { kernel: [_, width], stride: [_, stride], c_out, .. } = *self.shape;
        let panel = WIDTH * S::F32_LANES;
        let mut panels = self.panels[first * self.shape.taps()..].chunks_exact(panel);
        let mut accumulators = [[simd.splat_f32s(0.0); WIDTH]; R];
        for line in self.lines.chunks_exact(padded(self.shape)) {
            let line = &line[column * stride..][..(R - 1) * stride + width];
            for tap in 0..width {
                let Some(weights) = panels.next() else { return };
                let (weights, _) = S::as_simd_f32s(weights);
                for (r, accumulators) in accumulators.iter_mut().enumerate() {
                    let z = simd.splat_f32s(line[r * stride + tap]);
                    for v in 0..WIDTH {
                        accumulators[v] = simd.mul_add_e_f32s(z, weights[v], accumulators[v]);
                    }
                }
            }
        }
        let (columns, lanes, after) = ((c_out - first).min(panel), S::F32_LANES, self.after);
        for (r, accumulators) in accumulators.into_iter().enumerate() {
            let place = (column + r) * c_out + first;
            let constant = &after.constant[after.class[column + r] * c_out + first..][..columns];
            let y = self.y[place..][..columns].chunks_mut(lanes).zip(constant.chunks(lanes));
            for (i, (sum, (y, constant))) in accumulators.into_iter().zip(y).enumerate() {
                let channel = i * lanes;
                if y.len() == lanes {
                    let sum = simd.add_f32s(sum, f32::load(simd, constant));
                    T::store(simd, after.epilogue.finish(simd, sum, first + channel, after.at + place + channel), y);
                } else {
                    let mut few = [0.0; LONGEST];
                    simd.partial_store_f32s(&mut few[..y.len()], sum);
                    for (lane, ((y, sum), constant)) in y.iter_mut().zip(few).zip(constant).enumerate() {
                        let channel = channel + lane;
                        let value =
                            after.epilogue.finish_one(sum + constant, first + channel, after.at + place + channel);
                        *y = T::rounded(value);
                    }
                }
            }
        }
    }
}
