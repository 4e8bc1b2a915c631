//! The convolution of so few pixels that there is nothing to share out but the weights: each task takes some output channels
//! of all pixels. One film's last layers are such, and reading their weights is most of the work.

use rayon::prelude::*;

use super::filter::Direction;
use super::gather::forward_taps;
use super::operand::Operand;
use super::{Call, ConvShape, dense};
use crate::chunks::with_scratch;
use crate::gemm::{Gemm, panel};
use crate::stored::Stored;

/// Output pixels of all films, at most.
const PIXELS: usize = 112;

/// Output channels of a task.
const CHANNELS: usize = 64;

/// Depth that all pixels are taken through before the next: its part of a panel stays in the inner cache from the first
/// pixels, which bring it in, to the last.
const DEPTH: usize = 512;

/// Rows of a panel that are asked for beforehand.
const AHEAD: usize = 64;

/// Whether a convolution of `n` films that is gathered has so few pixels, and enough channels to share out.
pub(super) fn fits(shape: &ConvShape, n: usize) -> bool {
    let [oh, ow] = shape.out();
    shape.groups == 1 && n * oh * ow <= PIXELS && shape.c_out >= 2 * CHANNELS
}

/// As [`dense::forward`].
pub(super) fn forward<T: Stored>(call: Call<T, T>, y: &mut [T]) {
    let Call { shape, n, x, filter, epilogue } = call;
    let ([oh, ow], c_out, panel, taps) = (shape.out(), shape.c_out, panel(), forward_taps(shape));
    let operand = Operand::of::<T>(shape.c_in);
    let weights = filter.panels(Direction::Forward, operand.pairs);
    let (pixels, elements) = (n * oh * ow, shape.taps() * shape.c_in);
    // As the GEMM counts it.
    let depth = operand.floats(elements);
    let gathered = operand.room(pixels * elements);
    // Whole panels of every instruction set.
    let channels = CHANNELS.next_multiple_of(panel);
    with_scratch(gathered + c_out.next_multiple_of(channels) * pixels, |scratch| {
        let (gathered, results) = scratch.split_at_mut(gathered);
        let a = operand.fill(gathered, pixels * elements, |gathered: &mut [T]| {
            if shape.is_pointwise() {
                gathered.copy_from_slice(x);
            } else {
                gathered.par_chunks_mut((ow * elements).max(1)).enumerate().for_each(|(row, out)| {
                    dense::gather_input(shape, x, row, 1, 0, &taps, out);
                });
            }
        });
        // A block of channels of all pixels is one stretch of memory here; in `y` it is not.
        results.par_chunks_mut(channels * pixels).enumerate().for_each(|(i, result)| {
            let width = channels.min(c_out - i * channels);
            for first in (0..depth).step_by(DEPTH) {
                let some = (depth - first).min(DEPTH);
                operand.multiply(Gemm {
                    size: [pixels, width, some],
                    a: &a[first..],
                    a_stride: depth,
                    pieces: [some, 0],
                    panels: &weights[i * channels * depth + first * panel..],
                    panel_rows: depth,
                    ahead: AHEAD,
                    y: result,
                    y_stride: channels,
                    accumulate: first > 0,
                });
            }
        });
        T::through(y, false, |y| {
            for (i, result) in results.chunks_exact(channels * pixels).enumerate() {
                let width = channels.min(c_out - i * channels);
                for (y, result) in y.chunks_exact_mut(c_out).zip(result.chunks_exact(channels)) {
                    y[i * channels..][..width].copy_from_slice(&result[..width]);
                }
            }
            epilogue.apply(0, c_out, y);
        });
    });
}
