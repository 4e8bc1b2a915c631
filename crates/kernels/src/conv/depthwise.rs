//! Depthwise convolutions: direct loops, vectorised over channels. Both directions are one kernel that sums, for each
//! result pixel, the source pixels its taps name.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::gather::{Tap, backward_taps, forward_taps};
use super::{ConvShape, Epilogue, Filter};
use crate::chunks::{ELEMENTS, for_chunks, vectorised, with_scratch};

/// Slots of partial sums of a gradient to weights.
const SLOTS: usize = 32;

pub(super) fn forward(shape: &ConvShape, n: usize, x: &[f32], filter: &Filter, epilogue: &Epilogue, y: &mut [f32]) {
    assert_eq!(y.len(), n * shape.y_len());
    let ([oh, ow], c) = (shape.out(), shape.c_out);
    let taps = forward_taps(shape);
    let rows = (ELEMENTS / (ow * c)).max(1);
    for_chunks(y, rows * ow * c, |index, y| {
        for (row, y) in (index * rows..).zip(y.chunks_exact_mut(ow * c)) {
            let base_row = row % oh * shape.stride[0];
            crate::machine::arch().dispatch(Row {
                source: &x[row / oh * shape.x_len()..][..shape.x_len()],
                size: [shape.h, shape.w],
                c,
                base_row,
                step: shape.stride[1],
                taps: &taps,
                weights: filter.forward(),
                result: y,
                columns: ow,
                places: [0, 1],
                accumulate: false,
                pairs: Vec::with_capacity(shape.taps()),
            });
            epilogue.apply(row * ow * c, c, y);
        }
    });
}

pub(super) fn backward_data(
    shape: &ConvShape,
    n: usize,
    dy: &[f32],
    filter: &Filter,
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(dx.len(), n * shape.x_len());
    let (c, w, [sh, sw], top) = (shape.c_in, shape.w, shape.stride, shape.pads[0]);
    let phases = backward_taps(shape);
    let rows = (ELEMENTS / (w * c)).max(1);
    for_chunks(dx, rows * w * c, |index, dx| {
        for (row, dx) in (index * rows..).zip(dx.chunks_exact_mut(w * c)) {
            let (film, row) = (row / shape.h, row % shape.h + top);
            for phase in phases.iter().filter(|phase| row % sh == phase.residue[0]) {
                crate::machine::arch().dispatch(Row {
                    source: &dy[film * shape.y_len()..][..shape.y_len()],
                    size: shape.out(),
                    c,
                    base_row: (row - phase.residue[0]) / sh,
                    step: 1,
                    taps: &phase.taps,
                    weights: filter.forward(),
                    result: dx,
                    columns: phase.columns,
                    places: [phase.first_column, sw],
                    accumulate,
                    pairs: Vec::with_capacity(shape.taps()),
                });
            }
        }
    });
}

/// One row of results: result `j` is the sum over taps of `weight * source[base_row + row, j * step + column]`.
struct Row<'a> {
    /// One film, `[size, c]`.
    source: &'a [f32],
    size: [usize; 2],
    c: usize,
    base_row: usize,
    step: usize,
    taps: &'a [Tap],
    /// `[taps, c]`.
    weights: &'a [f32],
    /// One row, `[w, c]`; result `j` goes to pixel `first + j * stride`.
    result: &'a mut [f32],
    columns: usize,
    /// First and stride.
    places: [usize; 2],
    accumulate: bool,
    /// Room for the taps that fall inside the film: offsets of source and weights.
    pairs: Vec<(isize, usize)>,
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut sums = Sums::of(self);
        // Channels outermost: a block of them from all rows under the window stays in L1 along the whole row.
        let mut channel = 0;
        channel = sums.blocks::<S, 4>(simd, channel);
        channel = sums.blocks::<S, 2>(simd, channel);
        channel = sums.blocks::<S, 1>(simd, channel);
        for channel in channel..sums.row.c {
            for j in 0..sums.row.columns {
                sums.list(j);
                sums.one(j, channel);
            }
        }
    }
}

/// A row's sums in progress.
struct Sums<'a> {
    row: Row<'a>,
    /// Columns whose taps all lie inside the film: they share one list of taps.
    interior: Range<usize>,
}

impl<'a> Sums<'a> {
    #[inline(always)]
    fn of(row: Row<'a>) -> Self {
        let (step, w) = (row.step as isize, row.size[1] as isize);
        let columns = row.taps.iter().map(|tap| tap.column);
        let (leftmost, rightmost) = (columns.clone().min().unwrap_or(0), columns.max().unwrap_or(0));
        let first = ((-leftmost).max(0) + step - 1) / step;
        let end = (w - rightmost + step - 1).div_euclid(step).clamp(0, row.columns as isize);
        Sums { interior: first.min(end) as usize..end as usize, row }
    }

    /// Lists the taps that fall inside the film for column `j`: offsets of source (for column 0) and weights.
    #[inline(always)]
    fn list(&mut self, j: usize) {
        let ([h, w], c) = (self.row.size.map(|side| side as isize), self.row.c);
        let column = (j * self.row.step) as isize;
        self.row.pairs.clear();
        for tap in self.row.taps {
            let (y, x) = (self.row.base_row as isize + tap.row, column + tap.column);
            if (0..h).contains(&y) && (0..w).contains(&x) {
                self.row.pairs.push(((y * w + tap.column) * c as isize, tap.weight * c));
            }
        }
    }

    /// As many blocks of `V` vectors as fit from channel `first` on; gives the channel after them.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, first: usize) -> usize {
        let mut channel = first;
        while channel + V * S::F32_LANES <= self.row.c {
            let mut j = 0;
            while j < self.row.columns {
                let inside = self.interior.contains(&j);
                if !inside || j == self.interior.start {
                    self.list(j);
                }
                if inside && j + 4 <= self.interior.end {
                    self.pixels::<S, V, 4>(simd, j, channel);
                    j += 4;
                } else {
                    self.pixels::<S, V, 1>(simd, j, channel);
                    j += 1;
                }
            }
            channel += V * S::F32_LANES;
        }
        channel
    }

    /// `J` neighbouring results from column `j` on, `V` vectors of channels from `channel` on.
    #[inline(always)]
    fn pixels<S: Simd, const V: usize, const J: usize>(&mut self, simd: S, j: usize, channel: usize) {
        let row = &mut self.row;
        let len = V * S::F32_LANES;
        let (from, step) = ((j * row.step * row.c + channel) as isize, row.step * row.c);
        let mut sums = [[simd.splat_f32s(0.0); V]; J];
        for &(offset, weight) in row.pairs.iter() {
            let (w, _) = S::as_simd_f32s(&row.weights[weight + channel..][..len]);
            let source = &row.source[(offset + from) as usize..][..(J - 1) * step + len];
            for (j, sums) in sums.iter_mut().enumerate() {
                let (x, _) = S::as_simd_f32s(&source[j * step..][..len]);
                for v in 0..V {
                    sums[v] = simd.mul_add_e_f32s(x[v], w[v], sums[v]);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let place = (row.places[0] + (j + i) * row.places[1]) * row.c + channel;
            let (y, _) = S::as_mut_simd_f32s(&mut row.result[place..][..len]);
            for v in 0..V {
                y[v] = if row.accumulate { simd.add_f32s(y[v], sums[v]) } else { sums[v] };
            }
        }
    }

    /// One channel of column `j`.
    #[inline(always)]
    fn one(&mut self, j: usize, channel: usize) {
        let row = &mut self.row;
        let from = (j * row.step * row.c + channel) as isize;
        let products = row
            .pairs
            .iter()
            .map(|&(offset, weight)| row.source[(offset + from) as usize] * row.weights[weight + channel]);
        let sum = products.fold(0.0, |sum, product| sum + product);
        let y = &mut row.result[(row.places[0] + j * row.places[1]) * row.c + channel];
        *y = if row.accumulate { *y + sum } else { sum };
    }
}

pub(super) fn backward_weight(shape: &ConvShape, n: usize, x: &[f32], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let ([oh, ow], c, len) = (shape.out(), shape.c_out, shape.weight_len());
    let taps = forward_taps(shape);
    let a_slot = (n * oh).div_ceil(SLOTS).max(1);
    let slots = (n * oh).div_ceil(a_slot).max(1);
    with_scratch(slots * len, |partial| {
        partial.par_chunks_mut(len.max(1)).enumerate().for_each(|(slot, partial)| {
            partial.fill(0.0);
            for row in slot * a_slot..((slot + 1) * a_slot).min(n * oh) {
                crate::machine::arch().dispatch(RowProducts {
                    shape,
                    taps: &taps,
                    x: &x[row / oh * shape.x_len()..][..shape.x_len()],
                    dy: &dy[row * ow * c..][..ow * c],
                    base_row: row % oh * shape.stride[0],
                    sums: partial,
                });
            }
        });
        // [slots, taps, c] to [c, taps].
        vectorised(|| {
            let places = dw.chunks_exact_mut(shape.taps()).enumerate();
            for (channel, places) in places {
                for (tap, place) in places.iter_mut().enumerate() {
                    let parts = partial[tap * c + channel..].iter().step_by(len);
                    let sum = parts.fold(0.0, |sum, part| sum + part);
                    *place = if accumulate { *place + sum } else { sum };
                }
            }
        });
    });
}

/// One row's share of a gradient to weights: for each tap, the sum over the row of `dy * x`, added to `sums`.
struct RowProducts<'a> {
    shape: &'a ConvShape,
    taps: &'a [Tap],
    /// One film.
    x: &'a [f32],
    /// One row.
    dy: &'a [f32],
    base_row: usize,
    /// `[taps, c]`.
    sums: &'a mut [f32],
}

impl WithSimd for RowProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut at = 0;
        at = self.blocks::<S, 4>(simd, at);
        at = self.blocks::<S, 1>(simd, at);
        self.rest(at);
    }
}

impl RowProducts<'_> {
    /// Where in `x` a tap's pixel lies for the first output column that has one inside the film, and those columns.
    #[inline(always)]
    fn reach(&self, tap: &Tap) -> Option<(usize, Range<usize>)> {
        let (shape, step) = (self.shape, self.shape.stride[1] as isize);
        let row = self.base_row as isize + tap.row;
        if !(0..shape.h as isize).contains(&row) {
            return None;
        }
        let columns = (self.dy.len() / shape.c_out) as isize;
        let first = ((-tap.column).max(0) + step - 1) / step;
        let end = (shape.w as isize - tap.column + step - 1).div_euclid(step).clamp(0, columns);
        let start = (row * shape.w as isize + first * step + tap.column) * shape.c_in as isize;
        (first < end).then_some((start as usize, first as usize..end as usize))
    }

    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, first: usize) -> usize {
        let (c, len) = (self.shape.c_out, V * S::F32_LANES);
        let stride = self.shape.stride[1] * c;
        let mut at = first;
        while at + len <= c {
            for tap in self.taps {
                let Some((start, columns)) = self.reach(tap) else { continue };
                let mut sums = [simd.splat_f32s(0.0); V];
                for (i, column) in columns.enumerate() {
                    let (x, _) = S::as_simd_f32s(&self.x[start + i * stride + at..][..len]);
                    let (dy, _) = S::as_simd_f32s(&self.dy[column * c + at..][..len]);
                    for v in 0..V {
                        sums[v] = simd.mul_add_e_f32s(x[v], dy[v], sums[v]);
                    }
                }
                let (total, _) = S::as_mut_simd_f32s(&mut self.sums[tap.weight * c + at..][..len]);
                for v in 0..V {
                    total[v] = simd.add_f32s(total[v], sums[v]);
                }
            }
            at += len;
        }
        at
    }

    #[inline(always)]
    fn rest(&mut self, first: usize) {
        let c = self.shape.c_out;
        let stride = self.shape.stride[1] * c;
        for channel in first..c {
            for tap in self.taps {
                let Some((start, columns)) = self.reach(tap) else { continue };
                let products = columns
                    .enumerate()
                    .map(|(i, column)| self.x[start + i * stride + channel] * self.dy[column * c + channel]);
                self.sums[tap.weight * c + channel] += products.fold(0.0, |sum, product| sum + product);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a kernel of one row on each instruction set this machine has, the scalar one first.
    fn on_each_machine<'a, K: WithSimd>(out: &'a mut [Vec<f32>; 3], kernel: impl Fn(&'a mut Vec<f32>) -> K) {
        let [scalar, avx2, best] = out;
        Simd::vectorize(pulp::Scalar::new(), kernel(scalar));
        crate::machine::arch().dispatch(kernel(best));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            Simd::vectorize(simd, kernel(avx2));
            return;
        }
        crate::machine::arch().dispatch(kernel(avx2));
    }

    fn assert_agree([scalar, avx2, best]: &[Vec<f32>; 3]) {
        for ((scalar, avx2), best) in scalar.iter().zip(avx2).zip(best) {
            assert!((scalar - avx2).abs() < 1e-5 && (scalar - best).abs() < 1e-5, "{scalar} {avx2} {best}");
        }
    }

    #[test]
    fn instruction_sets_agree() {
        let (c, w) = (109, 13);
        let shape = ConvShape { h: 9, w, c_in: c, c_out: c, kernel: [3; 2], stride: [1; 2], pads: [1; 4], groups: c };
        let noise = |len: usize| (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect::<Vec<_>>();
        let (x, weights, dy) = (noise(shape.x_len()), noise(shape.weight_len()), noise(w * c));
        let taps = forward_taps(&shape);
        for base_row in [0, 4, 8] {
            let mut sums = std::array::from_fn(|_| vec![0.5; shape.weight_len()]);
            on_each_machine(&mut sums, |sums| RowProducts {
                shape: &shape,
                taps: &taps,
                x: &x,
                dy: &dy,
                base_row,
                sums,
            });
            assert_agree(&sums);

            let mut rows = std::array::from_fn(|_| vec![f32::NAN; w * c]);
            on_each_machine(&mut rows, |result| Row {
                source: &x,
                size: [9, w],
                c,
                base_row,
                step: 1,
                taps: &taps,
                weights: &weights,
                result,
                columns: w,
                places: [0, 1],
                accumulate: false,
                pairs: Vec::new(),
            });
            assert_agree(&rows);
        }
    }
}
