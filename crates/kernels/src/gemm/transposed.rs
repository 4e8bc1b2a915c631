//! GEMM with the left operand transposed: `y = a^T b`, neither of them packed, as gradients to weights want it.

use pulp::{Simd, WithSimd};

use super::{Singles, WIDTH, store};
use crate::arch::{Pairs, Product};

/// Rows of a block whose accumulators are in registers, and where there are few of these.
const HEIGHT: usize = 8;
const HEIGHT_FEW: usize = 6;

/// `y` `[m, n]` = the transpose of `a` `[k, m]` times `b` `[k, n]`: a sum of outer products over the depth.
pub(crate) struct GemmTransposed<'a> {
    /// Rows, columns and depth.
    pub(crate) size: [usize; 3],
    /// The depth lies in pieces: rows of a piece, and the distance of two pieces in `a` and in `b`.
    pub(crate) pieces: [usize; 2],
    pub(crate) a: &'a [f32],
    /// Distance of two rows of `a`.
    pub(crate) a_stride: usize,
    pub(crate) b: &'a [f32],
    /// Distance of two rows of `b`.
    pub(crate) b_stride: usize,
    pub(crate) y: &'a mut [f32],
    pub(crate) y_stride: usize,
    /// Add to what is in `y`.
    pub(crate) accumulate: bool,
}

/// Runs it for the instruction set in use.
pub(crate) fn gemm_transposed(call: GemmTransposed) {
    crate::machine::arch().dispatch(call);
}

/// Runs it on pairs: of neighbouring rows of both operands, and the depth counts these.
pub(crate) fn gemm_transposed_pairs(call: GemmTransposed) {
    crate::arch::pairs(call);
}

impl WithSimd for GemmTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.blocks(simd, Singles);
    }
}

impl Pairs for GemmTransposed<'_> {
    #[inline(always)]
    fn run<S: Simd, P: Product>(self, simd: S, product: P) {
        self.blocks(simd, product);
    }
}

impl GemmTransposed<'_> {
    #[inline(always)]
    fn blocks<S: Simd, P: Product>(mut self, simd: S, product: P) {
        let [m, n, _] = self.size;
        let panel = WIDTH * S::F32_LANES;
        // Columns outermost: their part of `b` then stays in the cache.
        for column in (0..n).step_by(panel) {
            let columns = (n - column).min(panel);
            let mut row = 0;
            while row < m {
                row += match (m - row, columns) {
                    (HEIGHT.., _) if columns == panel && S::REGISTER_COUNT > WIDTH * HEIGHT + WIDTH => {
                        self.block::<S, P, HEIGHT, WIDTH, true>(simd, product, row, column)
                    }
                    (HEIGHT_FEW.., _) if columns == panel => {
                        self.block::<S, P, HEIGHT_FEW, WIDTH, true>(simd, product, row, column)
                    }
                    (4.., _) if columns == panel => self.block::<S, P, 4, WIDTH, true>(simd, product, row, column),
                    (_, _) if columns == panel => self.block::<S, P, 1, WIDTH, true>(simd, product, row, column),
                    (HEIGHT.., _) if columns == S::F32_LANES => {
                        self.block::<S, P, HEIGHT, 1, true>(simd, product, row, column)
                    }
                    (HEIGHT.., _) if columns > S::F32_LANES => {
                        self.block::<S, P, HEIGHT, 2, false>(simd, product, row, column)
                    }
                    (_, _) if columns > S::F32_LANES => self.block::<S, P, 1, 2, false>(simd, product, row, column),
                    (HEIGHT.., _) => self.block::<S, P, HEIGHT, 1, false>(simd, product, row, column),
                    _ => self.block::<S, P, 1, 1, false>(simd, product, row, column),
                };
            }
        }
    }

    /// `R` rows of `V` vectors of columns, or, unless they are `WHOLE`, of the last columns in so many; gives `R`.
    #[inline(always)]
    fn block<S: Simd, P: Product, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        product: P,
        row: usize,
        column: usize,
    ) -> usize {
        let columns = if WHOLE { V * S::F32_LANES } else { self.size[1] - column };
        let mut accumulators = [[simd.splat_f32s(0.0); V]; R];
        let ([rows, distance], mut left, mut at) = (self.pieces, self.size[2], 0);
        while left > 0 {
            let piece = self.a[at..].chunks(self.a_stride).zip(self.b[at..].chunks(self.b_stride));
            for (a, b) in piece.take(left.min(rows)) {
                let (a, b) = (&a[row..][..R], &b[column..][..columns]);
                let b: [S::f32s; V] = if WHOLE {
                    let (b, _) = S::as_simd_f32s(b);
                    std::array::from_fn(|v| b[v])
                } else {
                    std::array::from_fn(|v| {
                        let b = &b[v * S::F32_LANES..];
                        simd.partial_load_f32s(&b[..b.len().min(S::F32_LANES)])
                    })
                };
                for (&a, accumulators) in a.iter().zip(&mut accumulators) {
                    let a = simd.splat_f32s(a);
                    for v in 0..V {
                        accumulators[v] = product.add(simd, a, b[v], accumulators[v]);
                    }
                }
            }
            at += distance;
            left = left.saturating_sub(rows);
        }
        for (r, accumulators) in accumulators.into_iter().enumerate() {
            store(simd, accumulators, &mut self.y[(row + r) * self.y_stride + column..][..columns], self.accumulate);
        }
        R
    }
}
