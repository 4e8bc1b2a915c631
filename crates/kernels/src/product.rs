//! Products of matrices, on the calling thread: a result of `HEIGHT` rows and two vectors of columns stays in registers
//! while its sums grow. Every sum is taken in the order of its depth, whatever the sizes.
//!
//! The right operand of [`rows`] is packed in *panels*, `[n / panel, k, panel]`, the last filled up with zeros.

use pulp::{Simd, WithSimd};

use crate::prefetch::prefetch;

/// Vectors in a row of a panel.
pub(crate) const WIDTH: usize = 2;

/// Rows of a sum of outer products in registers, and where there are few of these.
const OUTER: usize = 8;
const OUTER_FEW: usize = 6;

/// Most rows of a result in registers: they leave some for a row of a panel and an element of the left operand.
const fn most_rows<S: Simd>() -> usize {
    (S::REGISTER_COUNT - 4) / WIDTH
}

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

/// `y` `[m, n]` = `a` `[m, k]` times a matrix in panels.
pub(crate) struct Rows<'a> {
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

/// Runs a product for the best instruction set of this machine.
pub(crate) fn rows(product: Rows) {
    crate::machine::arch().dispatch(product);
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Rows { size: [m, n, k], a, a_stride, pieces, panels, panel_rows, ahead, y, y_stride, accumulate } = self;
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
                    block.run::<S, 2>(simd, height);
                } else {
                    block.run::<S, 1>(simd, height);
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

/// A block of a result.
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
    fn run<S: Simd, const V: usize>(self, simd: S, height: usize) {
        match height {
            14 => self.sums::<S, 14, V>(simd),
            12 => self.sums::<S, 12, V>(simd),
            10 => self.sums::<S, 10, V>(simd),
            8 => self.sums::<S, 8, V>(simd),
            6 => self.sums::<S, 6, V>(simd),
            4 => self.sums::<S, 4, V>(simd),
            2 => self.sums::<S, 2, V>(simd),
            _ => self.sums::<S, 1, V>(simd),
        }
    }

    #[inline(always)]
    fn sums<S: Simd, const R: usize, const V: usize>(self, simd: S) {
        /// Steps along the depth whose bounds are checked together.
        const STEP: usize = 8;
        let panel = WIDTH * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
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
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        let a = simd.splat_f32s(row[i]);
                        for v in 0..V {
                            sums[v] = simd.mul_add_e_f32s(a, b[v], sums[v]);
                        }
                    }
                }
                at += STEP;
            }
            for b in steps.remainder().chunks_exact(panel) {
                let (b, _) = S::as_simd_f32s(b);
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let a = simd.splat_f32s(row[at]);
                    for v in 0..V {
                        sums[v] = simd.mul_add_e_f32s(a, b[v], sums[v]);
                    }
                }
                at += 1;
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let y = &mut self.y[r * self.y_stride..][..self.columns];
            store(simd, sums, y, self.accumulate);
        }
    }
}

/// Writes a row of sums to as many columns as there are.
#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, sums: [S::f32s; V], y: &mut [f32], accumulate: bool) {
    for (sum, y) in sums.into_iter().zip(y.chunks_mut(S::F32_LANES)) {
        if y.len() == S::F32_LANES {
            let y = &mut S::as_mut_simd_f32s(y).0[0];
            *y = if accumulate { simd.add_f32s(*y, sum) } else { sum };
        } else {
            let sum = if accumulate { simd.add_f32s(simd.partial_load_f32s(y), sum) } else { sum };
            simd.partial_store_f32s(y, sum);
        }
    }
}

/// `y` `[m, n]` = the transpose of `a` `[k, m]` times `b` `[k, n]`: a sum of outer products over the depth.
pub(crate) struct Outer<'a> {
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

/// Runs a sum of outer products for the best instruction set of this machine.
pub(crate) fn outer(product: Outer) {
    crate::machine::arch().dispatch(product);
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [m, n, _] = self.size;
        let panel = WIDTH * S::F32_LANES;
        // Columns outermost: their part of `b` then stays in the cache.
        for column in (0..n).step_by(panel) {
            let columns = (n - column).min(panel);
            let mut row = 0;
            while row < m {
                row += match (m - row, columns) {
                    (OUTER.., _) if columns == panel && S::REGISTER_COUNT > WIDTH * OUTER + WIDTH => {
                        self.block::<S, OUTER, WIDTH, true>(simd, row, column)
                    }
                    (OUTER_FEW.., _) if columns == panel => self.block::<S, OUTER_FEW, WIDTH, true>(simd, row, column),
                    (4.., _) if columns == panel => self.block::<S, 4, WIDTH, true>(simd, row, column),
                    (_, _) if columns == panel => self.block::<S, 1, WIDTH, true>(simd, row, column),
                    (OUTER.., _) if columns == S::F32_LANES => self.block::<S, OUTER, 1, true>(simd, row, column),
                    (OUTER.., _) if columns > S::F32_LANES => self.block::<S, OUTER, 2, false>(simd, row, column),
                    (_, _) if columns > S::F32_LANES => self.block::<S, 1, 2, false>(simd, row, column),
                    (OUTER.., _) => self.block::<S, OUTER, 1, false>(simd, row, column),
                    _ => self.block::<S, 1, 1, false>(simd, row, column),
                };
            }
        }
    }
}

impl Outer<'_> {
    /// `R` rows of `V` vectors of columns, or, unless they are `WHOLE`, of the last columns in so many; gives `R`.
    #[inline(always)]
    fn block<S: Simd, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
    ) -> usize {
        let columns = if WHOLE { V * S::F32_LANES } else { self.size[1] - column };
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
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
                for (&a, sums) in a.iter().zip(&mut sums) {
                    let a = simd.splat_f32s(a);
                    for v in 0..V {
                        sums[v] = simd.mul_add_e_f32s(a, b[v], sums[v]);
                    }
                }
            }
            at += distance;
            left = left.saturating_sub(rows);
        }
        for (r, sums) in sums.into_iter().enumerate() {
            store(simd, sums, &mut self.y[(row + r) * self.y_stride + column..][..columns], self.accumulate);
        }
        R
    }
}

/// Packs a matrix `[k, n]` in panels: row `r` begins at `offset(r)` in `source`, its elements lie `stride` apart.
pub(crate) fn pack(
    [k, n]: [usize; 2],
    packed: &mut [f32],
    source: &[f32],
    offset: impl Fn(usize) -> usize + Sync,
    stride: usize,
) {
    let panel = panel();
    assert_eq!(packed.len(), packed_len(k, n));
    crate::chunks::for_chunks(packed, (k * panel).max(1), |index, packed| {
        let first = index * panel;
        let columns = (n - first).min(panel);
        for (row, packed) in packed.chunks_exact_mut(panel).enumerate() {
            let (whole, rest) = packed.split_at_mut(columns);
            let source = source[offset(row) + first * stride..].iter().step_by(stride);
            whole.iter_mut().zip(source).for_each(|(packed, &value)| *packed = value);
            rest.fill(0.0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// Sums that are not in registers go through memory at each step: half the speed, and no other test would tell.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn sums_have_room_in_the_registers() {
        use pulp::x86::{V3, V4};
        for m in 1..100 {
            for height in heights::<V3>(m) {
                assert!(WIDTH * height + WIDTH < 16, "{height} rows of {m}, AVX2");
            }
            for height in heights::<V4>(m) {
                assert!(WIDTH * height + WIDTH < 32, "{height} rows of {m}, AVX-512");
            }
            assert_eq!([heights::<V3>(m).sum::<usize>(), heights::<V4>(m).sum()], [m; 2]);
        }
    }

    #[test]
    fn every_size_is_the_plain_sum() {
        for m in [1, 2, 3, 13, 14, 15, 16, 29, 31] {
            for n in [1, 7, 8, 15, 16, 17, 31, 32, 33, 70] {
                for k in [0, 1, 7, 8, 9, 40] {
                    let (a_stride, b_stride, y_stride) = (m.max(k) + 3, n + 2, n + 1);
                    let a = noise(a_stride * m.max(k));
                    let b = noise(b_stride * k.max(1));
                    let mut packed = vec![f32::NAN; packed_len(k, n)];
                    pack([k, n], &mut packed, &b, |row| row * b_stride, 1);
                    for accumulate in [false, true] {
                        let mut y = [vec![0.5f32; m * y_stride], vec![0.5; m * y_stride]];
                        let [by_rows, by_outer] = &mut y;
                        let panels = &packed[..];
                        rows(Rows {
                            size: [m, n, k],
                            a: &a,
                            a_stride,
                            pieces: [k, 0],
                            panels,
                            panel_rows: k,
                            ahead: 0,
                            y: by_rows,
                            y_stride,
                            accumulate,
                        });
                        outer(Outer {
                            size: [m, n, k],
                            pieces: [k.max(1), 0],
                            a: &a,
                            a_stride,
                            b: &b,
                            b_stride,
                            y: by_outer,
                            y_stride,
                            accumulate,
                        });
                        let begin = if accumulate { 0.5 } else { 0.0 };
                        for (i, j) in (0..m).flat_map(|i| (0..y_stride).map(move |j| (i, j))) {
                            let place = i * y_stride + j;
                            if j == n {
                                assert_eq!([y[0][place], y[1][place]], [0.5; 2], "beyond the last column");
                                continue;
                            }
                            let sum = |a: &dyn Fn(usize) -> f32| {
                                begin + (0..k).map(|p| f64::from(a(p)) * f64::from(b[p * b_stride + j])).sum::<f64>()
                            };
                            let expected = [sum(&|p| a[i * a_stride + p]), sum(&|p| a[p * a_stride + i])];
                            for (y, expected) in y.iter().zip(expected) {
                                let error = (f64::from(y[place]) - expected).abs();
                                assert!(error < 1e-5, "[{m}, {n}, {k}] ({i}, {j}): {} not {expected}", y[place]);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The depth in pieces with gaps between them gives the bits that it gives in one.
    #[test]
    fn a_depth_in_pieces_is_one_sum() {
        let ([m, n, k], [rows, distance]) = ([9, 37, 11], [4, 500]);
        let (a, b) = (noise(k * m), noise(k * n));
        let spread = |x: &[f32], width: usize| {
            let mut spread = vec![f32::NAN; 2 * distance + 4 * width];
            for (i, row) in x.chunks_exact(width).enumerate() {
                spread[i / rows * distance + i % rows * width..][..width].copy_from_slice(row);
            }
            spread
        };
        let sum = |a: &[f32], b: &[f32], pieces: [usize; 2]| {
            let mut y = vec![f32::NAN; m * n];
            let (a_stride, b_stride, y_stride) = (m, n, n);
            outer(Outer { size: [m, n, k], pieces, a, a_stride, b, b_stride, y: &mut y, y_stride, accumulate: false });
            y
        };
        assert_eq!(sum(&spread(&a, m), &spread(&b, n), [rows, distance]), sum(&a, &b, [k, 0]));
    }

    /// The same of a product of rows, whose depth is columns: pieces of 8 and a shorter last one.
    #[test]
    fn rows_in_pieces_are_one_sum() {
        let ([m, n, k], [piece, distance]) = ([17, 37, 21], [8, 300]);
        let (a, mut panels) = (noise(m * k), vec![f32::NAN; packed_len(k, n)]);
        pack([k, n], &mut panels, &noise(k * n), |row| row * n, 1);
        let mut spread = vec![f32::NAN; k.div_ceil(piece) * distance];
        for (at, &value) in a.iter().enumerate() {
            spread[at % k / piece * distance + at / k * piece + at % k % piece] = value;
        }
        let sum = |a: &[f32], a_stride: usize, pieces: [usize; 2]| {
            let (mut y, panels, accumulate) = (vec![f32::NAN; m * n], &panels[..], false);
            rows(Rows {
                size: [m, n, k],
                a,
                a_stride,
                pieces,
                panels,
                panel_rows: k,
                ahead: 0,
                y: &mut y,
                y_stride: n,
                accumulate,
            });
            y
        };
        assert_eq!(sum(&spread, piece, [piece, distance]), sum(&a, k, [k, 0]));
    }

    #[test]
    #[should_panic]
    fn a_short_operand_is_refused() {
        let (a, panels, mut y) = ([0.0; 3], vec![0.0; packed_len(2, 2)], [0.0; 4]);
        rows(Rows {
            size: [2, 2, 2],
            a: &a,
            a_stride: 2,
            pieces: [2, 0],
            panels: &panels,
            panel_rows: 2,
            ahead: 0,
            y: &mut y,
            y_stride: 2,
            accumulate: false,
        });
    }
}
