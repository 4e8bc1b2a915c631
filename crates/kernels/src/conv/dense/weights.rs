//! The gradient to the weights of convolutions that mix channels: for each place of the window, the product of what it saw and of
//! `dy`, whose depth is pixels.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::gather_input;
use crate::chunks::{ELEMENTS, for_chunks, vectorised, with_scratch};
use crate::conv::ConvShape;
use crate::conv::gather::forward_taps;
use crate::gemm::{GemmTransposed, gemm_transposed, gemm_transposed_pairs, panel};
use crate::stored::{Bf16, Stored, pair};

/// Floats of partial sums that a gradient to weights may take.
const PARTIAL_SUMS: usize = 8 << 20;

/// Tasks that a gradient to weights is cut into.
const TASKS: usize = 24;

/// Pixels of one GEMM in a gradient to weights, where they are the depth.
const PIXELS: usize = 512;

/// The same without neighbours, where operands are read where they lie: few enough for a panel to stay in L1.
const POINTS: usize = 128;

/// Rows of the weights (taps and input channels) in one task of their gradient.
const PIECE: usize = 512;

pub(in crate::conv) fn backward_weight<X: Stored, T: Stored>(
    shape: &ConvShape,
    n: usize,
    x: &[X],
    dy: &[T],
    dw: &mut [f32],
    accumulate: bool,
) {
    let ([oh, ow], [ci, co], c_out, len) = (shape.out(), shape.group(), shape.c_out, shape.weight_len());
    let taps = forward_taps(shape);
    // A task is one slot of rows, one group, and a piece of the weights' rows: some taps, or, when there is nothing to
    // gather, some input channels. Rows of output are the unit of a slot; without neighbours, pixels are.
    let pointwise = shape.is_pointwise();
    // Without neighbours the sums may lie either way: vectors along the channels that fill them better.
    let wasted = |channels: usize| channels.next_multiple_of(panel()) as f64 / channels as f64;
    let turned = pointwise && wasted(ci) < wasted(co);
    let (height, width) = if turned { (co, ci) } else { (taps.len() * ci, co) };
    let pieces = height.div_ceil(PIECE);
    let piece = if pointwise { height.div_ceil(pieces) } else { taps.len().div_ceil(pieces.min(taps.len())) * ci };
    let (units, unit) = if pointwise { (n * oh * ow, 1) } else { (n * oh, ow) };
    let chunk = if pointwise { POINTS } else { PIXELS.div_ceil(unit) };
    let slots = (TASKS / (pieces * shape.groups).max(1)).min(PARTIAL_SUMS / len.max(1)).min(units / chunk).max(1);
    let a_slot = units.div_ceil(slots);
    with_scratch(slots * len, |partial| {
        let mut tasks = Vec::new();
        for (slot, partial) in partial.chunks_exact_mut(len.max(1)).enumerate() {
            for (group, partial) in partial.chunks_exact_mut(height * width).enumerate() {
                let sums = partial.chunks_mut(piece * width).enumerate();
                tasks.extend(sums.map(|(i, sums)| (slot, group, i * piece, sums)));
            }
        }
        tasks.into_par_iter().for_each(|(slot, group, row, sums)| {
            let depth = sums.len() / width;
            let (start, end) = (slot * a_slot, ((slot + 1) * a_slot).min(units));
            if start >= end {
                sums.fill(0.0);
            }
            for first in (start..end).step_by(chunk) {
                let rows = chunk.min(end - first);
                let pixels = rows * unit;
                let sum = Sum { size: [depth, width, pixels], y: sums, accumulate: first > start };
                let dy = (&dy[first * unit * c_out + group * co..], c_out);
                if pointwise {
                    let x = (&x[first * shape.c_in + group * ci..], shape.c_in);
                    match turned {
                        true => sum.add((&dy.0[row..], dy.1), x),
                        false => sum.add((&x.0[row..], x.1), dy),
                    }
                } else {
                    let taps = &taps[row / ci..][..depth / ci];
                    with_scratch((pixels * depth).div_ceil(if X::HALF { 2 } else { 1 }), |scratch| {
                        let gathered = &mut bytemuck::cast_slice_mut(scratch)[..pixels * depth];
                        gather_input(shape, x, first, rows, group, taps, gathered);
                        sum.add((gathered, depth), dy);
                    });
                }
            }
        });
        let (total, rest) = partial.split_at_mut(len);
        for_chunks(total, ELEMENTS, |index, total| {
            for part in rest.chunks_exact(len.max(1)) {
                let part = &part[index * ELEMENTS..][..total.len()];
                vectorised(|| total.iter_mut().zip(part).for_each(|(total, part)| *total += part));
            }
        });
        if turned {
            // Already OIHW.
            crate::chunks::store(dw, total.iter().copied(), accumulate);
        } else {
            unpack(shape, total, dw, accumulate);
        }
    });
}

/// One chunk's share of a gradient to weights.
struct Sum<'a> {
    /// Rows, columns and depth, which are pixels.
    size: [usize; 3],
    y: &'a mut [f32],
    accumulate: bool,
}

impl Sum<'_> {
    /// Of two operands, whose rows are pixels, and the distance of two of these.
    fn add<A: Stored, B: Stored>(self, (a, a_stride): (&[A], usize), (b, b_stride): (&[B], usize)) {
        let Sum { size: [m, n, pixels], y, accumulate } = self;
        let mut sum = |pairs: bool, (a, a_stride): (&[f32], usize), (b, b_stride): (&[f32], usize)| {
            let depth = if pairs { pixels.div_ceil(2) } else { pixels };
            let (size, pieces) = ([m, n, depth], [depth.max(1), 0]);
            let call = GemmTransposed { size, pieces, a, a_stride, b, b_stride, y: &mut *y, y_stride: n, accumulate };
            if pairs { gemm_transposed_pairs(call) } else { gemm_transposed(call) }
        };
        if !A::HALF && !B::HALF {
            sum(false, (bytemuck::cast_slice(a), a_stride), (bytemuck::cast_slice(b), b_stride));
            return;
        }
        let pairs = A::HALF && B::HALF;
        let rows = if pairs { pixels.div_ceil(2) } else { pixels };
        with_scratch(rows * (m + n), |scratch| {
            let (own_a, own_b) = scratch.split_at_mut(rows * m);
            let arch = crate::machine::arch();
            arch.dispatch(Rows { rows: a, stride: a_stride, count: pixels, width: m, pairs, out: own_a });
            arch.dispatch(Rows { rows: b, stride: b_stride, count: pixels, width: n, pairs, out: own_b });
            sum(pairs, (own_a, m), (own_b, n));
        });
    }
}

/// Rows of the left or right operand as the product wants them: neighbours in pairs, or floats.
struct Rows<'a, T> {
    rows: &'a [T],
    /// Distance of two.
    stride: usize,
    count: usize,
    width: usize,
    pairs: bool,
    out: &'a mut [f32],
}

impl<T: Stored> WithSimd for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Rows { rows, stride, count, width, pairs, out } = self;
        let row = |i: usize| &rows[i * stride..][..width];
        for (i, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
            if !pairs {
                out.iter_mut().zip(row(i)).for_each(|(out, value)| *out = value.widened());
                continue;
            }
            let first: &[Bf16] = bytemuck::cast_slice(row(2 * i));
            if 2 * i + 1 < count {
                let second: &[Bf16] = bytemuck::cast_slice(row(2 * i + 1));
                for ((out, &first), &second) in out.iter_mut().zip(first).zip(second) {
                    *out = pair(first, second);
                }
            } else {
                // A last one alone is paired with zeros.
                out.iter_mut().zip(first).for_each(|(out, &first)| *out = pair(first, Bf16::default()));
            }
        }
    }
}

/// From `[groups, taps, c_in, c_out]` to OIHW.
fn unpack(shape: &ConvShape, packed: &[f32], dw: &mut [f32], accumulate: bool) {
    /// Output channels of a task: what one cache line holds.
    const CHANNELS: usize = 16;
    /// Input channels at a time: the lines that they lie in stay at hand until all output channels have taken theirs.
    const AT_ONCE: usize = 16;
    let ([ci, co], taps) = (shape.group(), shape.taps());
    let a_channel = ci * taps;
    for_chunks(dw, CHANNELS * a_channel, |index, dw| {
        let mut rows = Vec::with_capacity(AT_ONCE * taps);
        for from in (0..ci).step_by(AT_ONCE) {
            let upto = (from + AT_ONCE).min(ci);
            rows.clear();
            rows.extend(
                (from..upto).flat_map(|c| (0..taps).map(move |tap| (tap, c))).map(|(tap, c)| (tap * ci + c) * co),
            );
            for (o, dw) in dw.chunks_exact_mut(a_channel).enumerate() {
                let o = index * CHANNELS + o;
                let sums = &packed[o / co * taps * ci * co + o % co..];
                for (place, row) in dw[from * taps..upto * taps].iter_mut().zip(&rows) {
                    let value = sums[*row];
                    *place = if accumulate { *place + value } else { value };
                }
            }
        }
    });
}
