//! Products of tiles: a block of 32 by 32 sums, to which each step adds the products of 32 elements of depth. Intel's AMX has an
//! instruction for a quarter of that (`tdpbf16ps`); everywhere else, and as its oracle, single floats do the same.

use pulp::{Simd, WithSimd};

use super::amx::{Amx, Configured};
use super::{Product, Twin};

/// Rows and columns of a block of sums, and elements of a step of depth.
pub(crate) const SIDE: usize = 32;

/// Pairs of a step of depth, and columns of a tile.
pub(crate) const PAIRS: usize = SIDE / 2;

/// Pairs that a step takes of the right operand: two tiles of 16 by 16.
pub(crate) const STEP: usize = 2 * PAIRS * PAIRS;

/// Where along the rows of the left operand each step of depth begins.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    places: Vec<usize>,
    furthest: usize,
}

impl Steps {
    /// In pairs, from the beginning of the first row.
    pub(crate) fn new(places: Vec<usize>) -> Self {
        Steps { furthest: places.iter().copied().max().unwrap_or(0), places }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// See [`Steps::new`].
    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }
}

/// `c` `[32, 32]` = `a` times `b`, or added to it.
pub(crate) struct Block<'a> {
    /// 32 rows of pairs.
    pub(crate) a: &'a [f32],
    /// Distance of two.
    pub(crate) a_stride: usize,
    pub(crate) steps: &'a Steps,
    /// `[steps, 2, 16, 16]`: of each step the pairs of the first 16 columns, row by row, then those of the others.
    pub(crate) b: &'a [f32],
    pub(crate) c: &'a mut [f32],
    pub(crate) c_stride: usize,
    /// Add to what is in `c`.
    pub(crate) add: bool,
}

impl Block<'_> {
    /// What a product of tiles may rely on.
    pub(super) fn check(&self) {
        assert!(self.a.len() >= self.steps.furthest + (SIDE - 1) * self.a_stride + PAIRS, "left operand");
        assert!(self.b.len() >= self.steps.len() * STEP, "right operand");
        assert!(self.c_stride >= SIDE && self.c.len() >= (SIDE - 1) * self.c_stride + SIDE, "sums");
    }
}

/// Who multiplies tiles on this thread: the processor; or, without one that can, single floats in the order that Intel's manual
/// gives for `tdpbf16ps`: the sum of a step's products, pair after pair and the first of each first, is added to what was there.
/// Numbers below 1.2e-38, which the instruction takes for zero, are not zero there.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a>(Option<&'a Configured>);

impl Tiles<'_> {
    /// Computes a block.
    pub(crate) fn multiply(self, block: Block) {
        match self.0 {
            Some(amx) => amx.multiply(block),
            None => crate::machine::arch().dispatch(OnTwin(block)),
        }
    }
}

/// The processor's own tiles, on the path that is taken where it has them.
pub(crate) fn amx() -> Option<Amx> {
    if crate::machine::simd() == "avx512" { Amx::new() } else { None }
}

/// Lets `f` multiply tiles, all on this thread, and nothing of it on another.
pub(crate) fn with_tiles<R>(f: impl FnOnce(Tiles) -> R) -> R {
    match amx() {
        Some(amx) => amx.configured(|amx| f(Tiles(Some(amx)))),
        None => f(Tiles(None)),
    }
}

struct OnTwin<'a>(Block<'a>);

impl WithSimd for OnTwin<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        /// Rows at a time: enough sums in flight to wait for none.
        const ROWS: usize = 8;
        self.0.check();
        let Block { a, a_stride, steps, b, c, c_stride, add } = self.0;
        let columns = S::F32_LANES;
        for first in (0..SIDE).step_by(ROWS) {
            for column in (0..SIDE).step_by(columns) {
                let half = column / PAIRS * (STEP / 2) + column % PAIRS;
                let mut sums = [simd.splat_f32s(0.0); ROWS];
                if add {
                    for (row, sum) in sums.iter_mut().enumerate() {
                        *sum = S::as_simd_f32s(&c[(first + row) * c_stride + column..][..columns]).0[0];
                    }
                }
                for (step, &place) in steps.places.iter().enumerate() {
                    let b = &b[step * STEP + half..];
                    let rows: [&[f32]; ROWS] =
                        std::array::from_fn(|row| &a[place + (first + row) * a_stride..][..PAIRS]);
                    let mut own = [simd.splat_f32s(0.0); ROWS];
                    for pair in 0..PAIRS {
                        let b = S::as_simd_f32s(&b[pair * PAIRS..][..columns]).0[0];
                        for (own, row) in own.iter_mut().zip(&rows) {
                            *own = Twin.add(simd, simd.splat_f32s(row[pair]), b, *own);
                        }
                    }
                    sums.iter_mut().zip(own).for_each(|(sum, own)| *sum = simd.add_f32s(*sum, own));
                }
                for (row, sum) in sums.into_iter().enumerate() {
                    S::as_mut_simd_f32s(&mut c[(first + row) * c_stride + column..][..columns]).0[0] = sum;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::{Bf16, Stored, pair};

    /// Whole numbers, whose sums are exact in whatever order they are taken, by whoever multiplies here and by the twin.
    #[test]
    fn a_block_is_the_product_of_its_operands() {
        let number = |i: usize| ((i * 7919 + i / 13) % 17) as f32 - 8.0;
        let packed = |i: usize| pair(Bf16::rounded(number(2 * i)), Bf16::rounded(number(2 * i + 1)));
        for (steps, a_stride, c_stride) in [(vec![0], 16, 32), (vec![0, 16, 48], 80, 40), (vec![5, 3, 100], 7, 33)] {
            let depth = steps.len();
            let a: Vec<f32> = (0..100 + 31 * a_stride + 16).map(packed).collect();
            let b: Vec<f32> = (0..depth * STEP).map(|i| packed(i + 11)).collect();
            for add in [false, true] {
                let before: Vec<f32> = (0..31 * c_stride + 32).map(|i| i as f32).collect();
                let mut expected = before.clone();
                for row in 0..SIDE {
                    for column in 0..SIDE {
                        let sum: f32 = (0..depth * PAIRS)
                            .map(|i| {
                                let (step, i) = (i / PAIRS, i % PAIRS);
                                let a = a[steps[step] + row * a_stride + i].to_bits();
                                let half = column / PAIRS * (STEP / 2) + column % PAIRS;
                                let b = b[step * STEP + half + i * PAIRS].to_bits();
                                let upper = |bits: u32| f32::from_bits(bits & 0xffff_0000);
                                upper(a << 16) * upper(b << 16) + upper(a) * upper(b)
                            })
                            .sum();
                        let place = &mut expected[row * c_stride + column];
                        *place = if add { *place + sum } else { sum };
                    }
                }
                let here = |tiles: Tiles| {
                    let mut c = before.clone();
                    let steps = &Steps::new(steps.clone());
                    tiles.multiply(Block { a: &a, a_stride, steps, b: &b, c: &mut c, c_stride, add });
                    c
                };
                assert_eq!(with_tiles(here), expected, "{depth} steps");
                assert_eq!(here(Tiles(None)), expected, "{depth} steps by the twin");
            }
        }
    }

    #[test]
    #[should_panic(expected = "left operand")]
    fn an_operand_that_is_too_short_is_not_read() {
        let (steps, b, mut c) = (Steps::new(vec![0, 16]), [0.0; 2 * STEP], [0.0; 1024]);
        let a = &[0.0; 31 * 32 + 31];
        let block = Block { a, a_stride: 32, steps: &steps, b: &b, c: &mut c, c_stride: 32, add: false };
        with_tiles(|tiles| tiles.multiply(block));
    }
}
