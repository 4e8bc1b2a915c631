//! Products of tiles: [a block](super::block) of 32 by 32 sums, to which each step adds the products of 32 elements of depth. Intel's AMX
//! has an instruction for a quarter of that (`tdpbf16ps`); everywhere else, and as its oracle, single floats do the same.

use pulp::{Simd, WithSimd};

use super::amx::{Amx, Configured};
use super::block::{Block, PAIRS, SIDE, STEP};
use super::halves;

/// Who multiplies tiles on this thread: the processor; or, without one that can, single floats in the order that Intel's manual
/// gives for `tdpbf16ps`: a sum of the products of the firsts of a step's pairs and one of the seconds, both added to what was there
/// together. Numbers below 1.2e-38, which the instruction takes for zero, are not zero there.
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

/// Lets `f` multiply tiles, all on this thread, and nothing of it on another.
pub(crate) fn with_tiles<R>(f: impl FnOnce(Tiles) -> R) -> R {
    match if crate::machine::amx() { Amx::new() } else { None } {
        Some(amx) => amx.configured(|amx| f(Tiles(Some(amx)))),
        None => f(Tiles(None)),
    }
}

/// A block by single floats.
pub(super) struct OnTwin<'a>(pub(super) Block<'a>);

impl WithSimd for OnTwin<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        /// Rows at a time: enough sums in flight to wait for none.
        const ROWS: usize = 4;
        self.0.check();
        let Block { a, a_stride, steps, b, c, c_stride, add } = self.0;
        let columns = S::F32_LANES;
        for first in (0..SIDE).step_by(ROWS) {
            for column in (0..SIDE).step_by(columns) {
                let mut sums = [simd.splat_f32s(0.0); ROWS];
                if add {
                    for (row, sum) in sums.iter_mut().enumerate() {
                        *sum = S::as_simd_f32s(&c[(first + row) * c_stride + column..][..columns]).0[0];
                    }
                }
                for (step, &place) in steps.places().iter().enumerate() {
                    let b = &b[step * STEP + column..];
                    let rows: [&[f32]; ROWS] =
                        std::array::from_fn(|row| &a[place + (first + row) * a_stride..][..PAIRS]);
                    let mut own = [[simd.splat_f32s(0.0); 2]; ROWS];
                    for pair in 0..PAIRS {
                        let b = halves(simd, S::as_simd_f32s(&b[pair * SIDE..][..columns]).0[0]);
                        for (own, row) in own.iter_mut().zip(&rows) {
                            let a = halves(simd, simd.splat_f32s(row[pair]));
                            for i in 0..2 {
                                own[i] = simd.mul_add_e_f32s(a[i], b[i], own[i]);
                            }
                        }
                    }
                    for (sum, [first, second]) in sums.iter_mut().zip(own) {
                        *sum = simd.add_f32s(*sum, simd.add_f32s(first, second));
                    }
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
    use crate::arch::block::Steps;
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
                                let b = b[step * STEP + i * SIDE + column].to_bits();
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
