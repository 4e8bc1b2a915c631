//! GEMM, the product of two matrices, on the calling thread: a block of the result of some rows and two vectors of columns
//! has its accumulators in registers until it is done. Every sum is taken in the order of its depth, whatever the sizes.
//!
//! The right operand of [`gemm()`] is packed in *panels*, `[n / panel, k, panel]`, the last filled up with zeros. That of
//! [`gemm_transposed`] is read where it lies.

mod packed;
mod transposed;

pub(crate) use packed::{Gemm, gemm, gemm_pairs, heights};
pub(crate) use transposed::{GemmTransposed, gemm_transposed, gemm_transposed_pairs};

use pulp::{Simd, WithSimd};

use crate::arch::Product;
use crate::stored::{Bf16, Stored, pair};

/// Single floats.
#[derive(Clone, Copy)]
pub(crate) struct Singles;

impl Product for Singles {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, sum)
    }
}

/// Vectors in a row of a panel.
pub(crate) const WIDTH: usize = 2;

/// Columns of a panel on this machine.
pub(crate) fn panel() -> usize {
    struct Panel;
    impl WithSimd for Panel {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            WIDTH * S::F32_LANES
        }
    }
    crate::machine::arch().dispatch(Panel)
}

/// Floats that a matrix of `k` rows and `n` columns takes in panels.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.next_multiple_of(panel()) * k
}

/// Writes a row of accumulators to as many columns as there are.
#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, accumulators: [S::f32s; V], y: &mut [f32], accumulate: bool) {
    for (sum, y) in accumulators.into_iter().zip(y.chunks_mut(S::F32_LANES)) {
        if y.len() == S::F32_LANES {
            let y = &mut S::as_mut_simd_f32s(y).0[0];
            *y = if accumulate { simd.add_f32s(*y, sum) } else { sum };
        } else {
            let sum = if accumulate { simd.add_f32s(simd.partial_load_f32s(y), sum) } else { sum };
            simd.partial_store_f32s(y, sum);
        }
    }
}

/// Packs a matrix `[k, n]` in panels: row `r` begins at `offset(r)` in `source`, its elements lie `stride` apart.
pub(crate) fn pack(
    size: [usize; 2],
    packed: &mut [f32],
    source: &[f32],
    offset: impl Fn(usize) -> usize + Sync,
    stride: usize,
) {
    fill_panels(size, packed, |row, first, packed| {
        let source = source[offset(row) + first * stride..].iter().step_by(stride);
        packed.iter_mut().zip(source).for_each(|(packed, &value)| *packed = value);
    });
}

/// Packs a matrix `[2 k, n]` in panels of pairs, each of two neighbouring rows rounded to bfloat16; as [`pack`].
pub(crate) fn pack_pairs(
    size: [usize; 2],
    packed: &mut [f32],
    source: &[f32],
    offset: impl Fn(usize) -> usize + Sync,
    stride: usize,
) {
    fill_panels(size, packed, |row, first, packed| {
        let from = |row: usize| source[offset(row) + first * stride..].iter().step_by(stride);
        for (packed, (&upper, &lower)) in packed.iter_mut().zip(from(2 * row).zip(from(2 * row + 1))) {
            *packed = pair(Bf16::rounded(upper), Bf16::rounded(lower));
        }
    });
}

/// Calls `row(r, first, places)` for each row of each panel, whose first column is `first`; what a panel has beyond the columns is
/// zero.
fn fill_panels([k, n]: [usize; 2], packed: &mut [f32], row: impl Fn(usize, usize, &mut [f32]) + Sync) {
    let panel = panel();
    assert_eq!(packed.len(), packed_len(k, n));
    crate::chunks::for_chunks(packed, (k * panel).max(1), |index, packed| {
        let first = index * panel;
        for (r, packed) in packed.chunks_exact_mut(panel).enumerate() {
            let (whole, rest) = packed.split_at_mut((n - first).min(panel));
            row(r, first, whole);
            rest.fill(0.0);
        }
    });
}

#[cfg(test)]
mod tests;
