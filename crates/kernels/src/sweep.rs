//! Passes over rows of channels, as batch normalisation makes them, a vector at a time whatever the number of channels: what
//! a pass knows of the channels is repeated until it fills whole vectors ([`period`]), so that only the end of the rows is less than a vector.

use pulp::{Scalar, Simd, WithSimd};

use crate::stored::{LONGEST, Stored};

/// Floats after which channels and vectors begin together again, and enough of them to be worth a loop.
pub(crate) fn period(c: usize) -> usize {
    let shared = (1..=LONGEST).rev().find(|d| c.is_multiple_of(*d) && LONGEST.is_multiple_of(*d)).unwrap_or(1);
    let once = c * (LONGEST / shared);
    once * 256usize.div_ceil(once.max(1)).max(1)
}

/// A value a channel, for each place of a period.
pub(crate) fn repeated(values: &[f32], period: usize) -> Vec<f32> {
    values.iter().copied().cycle().take(period).collect()
}

/// What is done to each vector of some rows.
pub(crate) trait Pass {
    /// `len` elements, a whole number of vectors, from element `at` of the rows on, which is at `place` of the period.
    fn run<S: Simd>(&mut self, simd: S, at: usize, len: usize, place: usize);
    /// After every few periods.
    #[inline(always)]
    fn pause(&mut self) {}
}

/// Periods between two pauses: few enough to be added in `f32`.
pub(crate) const BLOCK: usize = 32;

/// Runs a pass over `len` elements, whole rows of them, for the best instruction set of this machine.
pub(crate) fn sweep<P: Pass>(len: usize, period: usize, pass: &mut P) {
    crate::machine::arch().dispatch(Sweep { len, period, pass });
}

struct Sweep<'a, P> {
    len: usize,
    period: usize,
    pass: &'a mut P,
}

impl<P: Pass> WithSimd for Sweep<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, at) in (0..self.len).step_by(self.period).enumerate() {
            let len = self.period.min(self.len - at);
            let whole = len / S::F32_LANES * S::F32_LANES;
            self.pass.run(simd, at, whole, 0);
            if whole < len {
                self.pass.run(Scalar::new(), at + whole, len - whole, whole);
            }
            if (i + 1).is_multiple_of(BLOCK) {
                self.pass.pause();
            }
        }
        self.pass.pause();
    }
}

/// `len` elements from `at` on, a vector at a time.
#[inline(always)]
pub(crate) fn pieces<S: Simd, T: Stored>(x: &[T], at: usize, len: usize) -> std::slice::ChunksExact<'_, T> {
    x[at..][..len].chunks_exact(S::F32_LANES)
}

/// As [`pieces`], to be written.
#[inline(always)]
pub(crate) fn pieces_mut<S: Simd, T: Stored>(x: &mut [T], at: usize, len: usize) -> std::slice::ChunksExactMut<'_, T> {
    x[at..][..len].chunks_exact_mut(S::F32_LANES)
}

/// `len` floats from `at` on, as vectors.
#[inline(always)]
pub(crate) fn vectors<S: Simd>(x: &[f32], at: usize, len: usize) -> &[S::f32s] {
    S::as_simd_f32s(&x[at..][..len]).0
}

/// As [`vectors`], to be written.
#[inline(always)]
pub(crate) fn vectors_mut<S: Simd>(x: &mut [f32], at: usize, len: usize) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(&mut x[at..][..len]).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_whole_channels_and_whole_vectors() {
        for c in [1, 2, 3, 16, 17, 24, 40, 96, 112, 1152] {
            let period = period(c);
            assert!(period.is_multiple_of(c) && period.is_multiple_of(LONGEST) && period >= 256, "{c}: {period}");
            assert!(period <= (c * LONGEST).max(2 * 256), "{c}: {period}");
        }
    }
}
