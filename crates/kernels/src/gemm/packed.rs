//! GEMM with the right operand packed in panels: `y = a b`, or added to it.

use pulp::{Simd, WithSimd};

use super::{Singles, WIDTH, store};
use crate::arch::{Pairs, Product};
use crate::prefetch::prefetch;

/// Most rows of a block: their accumulators leave registers for a row of a panel and an element of the left operand.
const fn most_rows<S: Simd>() -> usize {
    (S::REGISTER_COUNT - 4) / WIDTH
}

/// `y` `[m, n]` = `a` `[m, k]` times a matrix in panels.
pub(crate) struct Gemm<'a> {
    /// Rows, columns and depth.
    pub(crate) size: [usize; 3],
    /// Rows of consecutive elements.
    pub(crate) a: &'a [f32],
    /// Distance of two rows.
    pub(crate) a_stride: usize,
    /// The depth lies in pieces: how much of it in one, and the distance of two.
    pub(crate) pieces: [usize; 2],
    /// From the first wanted row of the first panel on.
    pub(crate) panels: &'a [f32],
    /// Rows of a panel; the depth is some of them.
    pub(crate) panel_rows: usize,
    /// Rows of a panel that are asked for beforehand, where panels come from memory; 0 where they are in a cache.
    pub(crate) ahead: usize,
    pub(crate) y: &'a mut [f32],
    pub(crate) y_stride: usize,
    /// Add to what is in `y`.
    pub(crate) accumulate: bool,
}

/// Runs it for the instruction set in use.
pub(crate) fn gemm(call: Gemm) {
    crate::machine::arch().dispatch(call);
}

/// Runs it on pairs: both operands are of pairs, and the depth counts these.
pub(crate) fn gemm_pairs(call: Gemm) {
    crate::arch::pairs(call);
}

impl WithSimd for Gemm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.blocks(simd, Singles);
    }
}

impl Pairs for Gemm<'_> {
    #[inline(always)]
    fn run<S: Simd, P: Product>(self, simd: S, product: P) {
        self.blocks(simd, product);
    }
}

impl Gemm<'_> {
    #[inline(always)]
    fn blocks<S: Simd, P: Product>(self, simd: S, product: P) {
        let Gemm { size: [m, n, k], a, a_stride, pieces, panels, panel_rows, ahead, y, y_stride, accumulate } = self;
        if m == 0 || n == 0 {
            return;
        }
        let panel = WIDTH * S::F32_LANES;
        for (i, first) in (0..n).step_by(panel).enumerate() {
            let from_panel = &panels[i * panel_rows * panel..];
            let panel_of = &from_panel[..k * panel];
            // The first rows of the result bring it in, the next ones find it there.
            let mut wanted = if ahead > 0 { from_panel.get(ahead * panel..).unwrap_or_default() } else { &[] };
            let columns = (n - first).min(panel);
            let mut row = 0;
            for height in heights::<S>(m) {
                let block = Block {
                    a: a.get(row * a_stride..).unwrap_or_default(),
                    a_stride,
                    pieces,
                    panel: panel_of,
                    ahead: std::mem::take(&mut wanted),
                    columns,
                    y: &mut y[row * y_stride + first..],
                    y_stride,
                    accumulate,
                };
                if columns > S::F32_LANES {
                    block.run::<S, P, 2>(simd, product, height);
                } else {
                    block.run::<S, P, 1>(simd, product, height);
                }
                row += height;
            }
        }
    }
}

/// Heights of the blocks that `m` rows are cut into: even ones as far as can be, of a size.
pub(crate) fn heights<S: Simd>(m: usize) -> impl Iterator<Item = usize> {
    let each = m.div_ceil(m.div_ceil(most_rows::<S>()).max(1)).next_multiple_of(2);
    let whole = m / each.max(1);
    let rest = m - whole * each;
    std::iter::repeat_n(each, whole).chain([rest / 2 * 2, rest % 2]).filter(|&height| height > 0)
}

/// A block of a result: its accumulators are in registers all along the depth.
struct Block<'a> {
    a: &'a [f32],
    a_stride: usize,
    pieces: [usize; 2],
    /// `[k, panel]`.
    panel: &'a [f32],
    /// Asked for along the way, as much as is read of the panel.
    ahead: &'a [f32],
    columns: usize,
    y: &'a mut [f32],
    y_stride: usize,
    accumulate: bool,
}

impl Block<'_> {
    #[inline(always)]
    fn run<S: Simd, P: Product, const V: usize>(self, simd: S, product: P, height: usize) {
        match height {
            14 => self.accumulate_rows::<S, P, 14, V>(simd, product),
            12 => self.accumulate_rows::<S, P, 12, V>(simd, product),
            10 => self.accumulate_rows::<S, P, 10, V>(simd, product),
            8 => self.accumulate_rows::<S, P, 8, V>(simd, product),
            6 => self.accumulate_rows::<S, P, 6, V>(simd, product),
            4 => self.accumulate_rows::<S, P, 4, V>(simd, product),
            2 => self.accumulate_rows::<S, P, 2, V>(simd, product),
            _ => self.accumulate_rows::<S, P, 1, V>(simd, product),
        }
    }

    #[inline(always)]
    fn accumulate_rows<S: Simd, P: Product, const R: usize, const V: usize>(self, simd: S, product: P) {
        /// Steps along the depth whose bounds are checked together.
        const STEP: usize = 8;
        let panel = WIDTH * S::F32_LANES;
        let mut accumulators = [[simd.splat_f32s(0.0); V]; R];
        let mut ahead = self.ahead.chunks_exact(STEP * panel);
        let [piece, distance] = self.pieces;
        for (i, panel_of) in self.panel.chunks((piece * panel).max(1)).enumerate() {
            let a = &self.a[i * distance..];
            let rows: [&[f32]; R] = std::array::from_fn(|r| &a[r * self.a_stride..][..panel_of.len() / panel]);
            let (mut at, mut steps) = (0, panel_of.chunks_exact(STEP * panel));
            for b in &mut steps {
                prefetch(ahead.next().unwrap_or_default());
                let rows: [&[f32]; R] = std::array::from_fn(|r| &rows[r][at..at + STEP]);
                for i in 0..STEP {
                    let (b, _) = S::as_simd_f32s(&b[i * panel..][..panel]);
                    for (row, accumulators) in rows.iter().zip(&mut accumulators) {
                        let a = simd.splat_f32s(row[i]);
                        for v in 0..V {
                            accumulators[v] = product.add(simd, a, b[v], accumulators[v]);
                        }
                    }
                }
                at += STEP;
            }
            for b in steps.remainder().chunks_exact(panel) {
                let (b, _) = S::as_simd_f32s(b);
                for (row, accumulators) in rows.iter().zip(&mut accumulators) {
                    let a = simd.splat_f32s(row[at]);
                    for v in 0..V {
                        accumulators[v] = product.add(simd, a, b[v], accumulators[v]);
                    }
                }
                at += 1;
            }
        }
        for (r, accumulators) in accumulators.into_iter().enumerate() {
            let y = &mut self.y[r * self.y_stride..][..self.columns];
            store(simd, accumulators, y, self.accumulate);
        }
    }
}
