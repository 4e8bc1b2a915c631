//! The gradient to the three channels' weights from gray films: that of the one plane's filter, and the sums of `dy` by which
//! pixels of the window lay inside the film.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{Border, CHANNELS, Gray, copy_rows, padded};
use crate::chunks::{vectorised, with_scratch};
use crate::conv::{ConvShape, Convolved};
use crate::gemm::{WIDTH, packed_len, panel};
use crate::stored::Stored;

/// Tasks that the gradient is cut into.
const SLOTS: usize = 24;

/// Gradient to the weights (OIHW), added to `dw_oihw` if `accumulate`, as [`conv::backward_weight`](super::super::backward_weight) from the three
/// channels.
pub fn backward_weight<T: Convolved>(
    shape: &ConvShape,
    n: usize,
    z: &[f32],
    gray: &Gray,
    dy: &[T],
    dw_oihw: &mut [f32],
    accumulate: bool,
) {
    T::backward_weight_of_gray(shape, n, z, gray, dy, dw_oihw, accumulate);
}

pub(in crate::conv) fn gradient_to_weights<T: Stored>(
    shape: &ConvShape,
    n: usize,
    z: &[f32],
    gray: &Gray,
    dy: &[T],
    dw_oihw: &mut [f32],
    accumulate: bool,
) {
    assert_eq!((shape.c_in, shape.groups), (CHANNELS, 1), "{shape:?}");
    assert_eq!((z.len(), dy.len()), (n * shape.h * shape.w, n * shape.y_len()), "{shape:?} for {n} gray films");
    assert_eq!(dw_oihw.len(), shape.weight_len());
    let ([oh, ow], [_, width], c, taps) = (shape.out(), shape.kernel, shape.c_out, shape.taps());
    let border = Border::new(shape);
    let classes = [&border.rows, &border.columns].map(|axis| axis.classes.len());
    // A slot of rows has the gradient of the one plane's filter, the sums of `dy` by class, and one row's sums.
    let a_row = classes[1] * c;
    let (plane_len, sums_len) = (taps * packed_len(1, c), classes[0] * a_row);
    let slot_rows = (n * oh).div_ceil(SLOTS).max(1);
    let (slots, slot_len) = ((n * oh).div_ceil(slot_rows), plane_len + sums_len + a_row);
    with_scratch(slots * slot_len, |scratch| {
        scratch.par_chunks_mut(slot_len.max(1)).enumerate().for_each(|(slot, sums)| {
            sums.fill(0.0);
            let (plane, sums) = sums.split_at_mut(plane_len);
            let (sums, row_sums) = sums.split_at_mut(sums_len);
            with_scratch(shape.kernel[0] * padded(shape), |lines| {
                for row in slot * slot_rows..((slot + 1) * slot_rows).min(n * oh) {
                    copy_rows(shape, z, row, lines);
                    let dy = &dy[row * ow * c..][..ow * c];
                    crate::machine::arch().dispatch(Correlate { shape, lines, dy, plane });
                    row_sums.fill(0.0);
                    vectorised(|| {
                        for (dy, class) in dy.chunks_exact(c).zip(&border.columns.class) {
                            row_sums[class * c..][..c].iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy.widened());
                        }
                    });
                    let sums = &mut sums[border.rows.class[row % oh] * a_row..];
                    sums.iter_mut().zip(&*row_sums).for_each(|(sum, row)| *sum += row);
                }
            });
        });
        let (total, rest) = scratch.split_at_mut(slot_len.min(scratch.len()));
        for slot in rest.chunks_exact(slot_len.max(1)) {
            vectorised(|| total.iter_mut().zip(slot).for_each(|(total, slot)| *total += slot));
        }
        let (plane, sums) = total.split_at(plane_len);
        let panel = panel();
        for (o, dw) in dw_oihw.chunks_exact_mut(CHANNELS * taps).enumerate() {
            for tap in 0..taps {
                let rows = border.rows.containing(tap / width);
                let inside =
                    rows.flat_map(|row| border.columns.containing(tap % width).map(move |column| (row, column)));
                let constant: f32 = inside.map(|(row, column)| sums[row * a_row + column * c + o]).sum();
                let plane = plane[(o / panel * taps + tap) * panel + o % panel];
                for channel in 0..CHANNELS {
                    let value = gray.scale[channel] * plane + gray.shift[channel] * constant;
                    let dw = &mut dw[channel * taps + tap];
                    *dw = if accumulate { *dw + value } else { value };
                }
            }
        }
    });
}

/// One row's part of the gradient of the one plane's filter.
struct Correlate<'a, T> {
    shape: &'a ConvShape,
    /// `[kernel rows, padded]`.
    lines: &'a [f32],
    /// `[columns, c_out]`.
    dy: &'a [T],
    /// `[taps, c_out]` in panels, added to.
    plane: &'a mut [f32],
}

impl<T: Stored> WithSimd for Correlate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let panel = WIDTH * S::F32_LANES;
        for first in (0..self.shape.c_out).step_by(panel) {
            for row in 0..self.shape.kernel[0] {
                let mut tap = 0;
                while tap < self.shape.kernel[1] {
                    tap += match self.shape.kernel[1] - tap {
                        7.. => self.taps::<S, 7>(simd, first, row, tap),
                        3.. => self.taps::<S, 3>(simd, first, row, tap),
                        _ => self.taps::<S, 1>(simd, first, row, tap),
                    };
                }
            }
        }
    }
}

impl<E: Stored> Correlate<'_, E> {
    /// `T` taps of a row of the window, a panel of output channels; gives `T`.
    #[inline(always)]
    fn taps<S: Simd, const T: usize>(&mut self, simd: S, first: usize, row: usize, tap: usize) -> usize {
        let ConvShape { kernel: [_, width], stride: [_, stride], c_out, .. } = *self.shape;
        let (lanes, panel, padded) = (S::F32_LANES, WIDTH * S::F32_LANES, padded(self.shape));
        let line = &self.lines[row * padded..][..padded];
        let plane = &mut self.plane[first * self.shape.taps() + (row * width + tap) * panel..][..T * panel];
        let mut accumulators = [[simd.splat_f32s(0.0); WIDTH]; T];
        let columns = (c_out - first).min(panel);
        for (column, dy) in self.dy.chunks_exact(c_out).enumerate() {
            let (dy, z) = (&dy[first..][..columns], &line[column * stride + tap..][..T]);
            let mut values = [simd.splat_f32s(0.0); WIDTH];
            if columns == panel {
                values.iter_mut().zip(dy.chunks_exact(lanes)).for_each(|(v, dy)| *v = E::load(simd, dy));
            } else {
                values.iter_mut().zip(dy.chunks(lanes)).for_each(|(v, dy)| *v = E::load_some(simd, dy));
            }
            for (&z, accumulators) in z.iter().zip(&mut accumulators) {
                let z = simd.splat_f32s(z);
                for v in 0..WIDTH {
                    accumulators[v] = simd.mul_add_e_f32s(z, values[v], accumulators[v]);
                }
            }
        }
        let (plane, _) = S::as_mut_simd_f32s(plane);
        for (plane, accumulators) in plane.chunks_exact_mut(WIDTH).zip(accumulators) {
            plane.iter_mut().zip(accumulators).for_each(|(plane, sum)| *plane = simd.add_f32s(*plane, sum));
        }
        T
    }
}
