//! What values lie in memory as: single precision, or bfloat16, its upper half. Kernels compute in single precision in
//! either; what is read is widened on the way, which is exact, and what is written is rounded to nearest even.
//!
//! A matrix product can also take bfloat16 as it is: two neighbours along its depth are a *pair*, 32 bits that lie where a
//! float would, with the first in the lower half.

use bytemuck::Pod;
use pulp::{Simd, WithSimd};

use crate::scratch::with_scratch;

pub use half::bf16 as Bf16;

/// Elements of the longest vector.
pub(crate) const LONGEST: usize = 16;

/// What a value's elements lie in memory as: `f32` or [`Bf16`].
pub trait Stored: Pod + Default + PartialEq + PartialOrd + std::fmt::Debug + Send + Sync + private::Sealed {
    /// Whether it is half of a float.
    const HALF: bool;

    /// The value.
    fn widened(self) -> f32;

    /// The nearest there is.
    fn rounded(value: f32) -> Self;

    /// A whole vector.
    #[doc(hidden)]
    fn load<S: Simd>(simd: S, from: &[Self]) -> S::f32s;

    /// Less than a vector, zeros after it.
    #[doc(hidden)]
    fn load_some<S: Simd>(simd: S, from: &[Self]) -> S::f32s;

    /// A whole vector.
    #[doc(hidden)]
    fn store<S: Simd>(simd: S, value: S::f32s, to: &mut [Self]);

    /// As many elements of a vector as there is room for.
    #[doc(hidden)]
    fn store_some<S: Simd>(simd: S, value: S::f32s, to: &mut [Self]);

    /// Runs `f` on floats that become `y`; they begin as `y` where that is to be added to, else as anything.
    #[doc(hidden)]
    fn through<R>(y: &mut [Self], added_to: bool, f: impl FnOnce(&mut [f32]) -> R) -> R;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for super::Bf16 {}
}

impl Stored for f32 {
    const HALF: bool = false;

    #[inline(always)]
    fn widened(self) -> f32 {
        self
    }

    #[inline(always)]
    fn rounded(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn load<S: Simd>(_: S, from: &[f32]) -> S::f32s {
        S::as_simd_f32s(&from[..S::F32_LANES]).0[0]
    }

    #[inline(always)]
    fn load_some<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
        simd.partial_load_f32s(from)
    }

    #[inline(always)]
    fn store<S: Simd>(_: S, value: S::f32s, to: &mut [f32]) {
        S::as_mut_simd_f32s(&mut to[..S::F32_LANES]).0[0] = value;
    }

    #[inline(always)]
    fn store_some<S: Simd>(simd: S, value: S::f32s, to: &mut [f32]) {
        simd.partial_store_f32s(to, value);
    }

    #[inline(always)]
    fn through<R>(y: &mut [f32], _: bool, f: impl FnOnce(&mut [f32]) -> R) -> R {
        f(y)
    }
}

impl Stored for Bf16 {
    const HALF: bool = true;

    #[inline(always)]
    fn widened(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// To nearest even; what is not a number stays none.
    #[inline(always)]
    fn rounded(value: f32) -> Bf16 {
        let bits = value.to_bits();
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // Without a branch, so that loops of it become vectors.
        let quiet = bits >> 16 | 0x40;
        Bf16::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { nearest } as u16)
    }

    #[inline(always)]
    fn load<S: Simd>(_: S, from: &[Bf16]) -> S::f32s {
        let from = &from[..S::F32_LANES];
        let mut wide = [0.0f32; LONGEST];
        for i in 0..S::F32_LANES {
            wide[i] = from[i].widened();
        }
        S::as_simd_f32s(&wide[..S::F32_LANES]).0[0]
    }

    #[inline(always)]
    fn load_some<S: Simd>(simd: S, from: &[Bf16]) -> S::f32s {
        let mut wide = [0.0f32; LONGEST];
        wide.iter_mut().zip(from).for_each(|(wide, from)| *wide = from.widened());
        simd.partial_load_f32s(&wide[..from.len().min(S::F32_LANES)])
    }

    #[inline(always)]
    fn store<S: Simd>(_: S, value: S::f32s, to: &mut [Bf16]) {
        let to = &mut to[..S::F32_LANES];
        let wide = bytemuck::bytes_of(&value);
        let wide: &[f32] = bytemuck::cast_slice(wide);
        for i in 0..S::F32_LANES {
            to[i] = Bf16::rounded(wide[i]);
        }
    }

    #[inline(always)]
    fn store_some<S: Simd>(simd: S, value: S::f32s, to: &mut [Bf16]) {
        let mut wide = [0.0f32; LONGEST];
        let len = to.len().min(S::F32_LANES);
        simd.partial_store_f32s(&mut wide[..len], value);
        to.iter_mut().zip(&wide[..len]).for_each(|(to, &wide)| *to = Bf16::rounded(wide));
    }

    #[inline(always)]
    fn through<R>(y: &mut [Bf16], added_to: bool, f: impl FnOnce(&mut [f32]) -> R) -> R {
        with_scratch(y.len(), |wide| {
            if added_to {
                convert(y, wide);
            }
            let result = f(wide);
            convert(wide, y);
            result
        })
    }
}

/// Elements of one type as those of another, on the calling thread.
pub(crate) fn convert<A: Stored, B: Stored>(from: &[A], to: &mut [B]) {
    assert_eq!(from.len(), to.len());
    crate::machine::arch().dispatch(Convert { from, to });
}

/// A value of its own, and not a closure, which is not always compiled into what calls it, and with it for its vectors.
struct Convert<'a, A, B> {
    from: &'a [A],
    to: &'a mut [B],
}

impl<A: Stored, B: Stored> WithSimd for Convert<'_, A, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut to = self.to.chunks_exact_mut(S::F32_LANES);
        let from = self.from.chunks_exact(S::F32_LANES);
        let rest = from.remainder();
        for (to, from) in (&mut to).zip(from) {
            B::store(simd, A::load(simd, from), to);
        }
        to.into_remainder().iter_mut().zip(rest).for_each(|(to, from)| *to = B::rounded(from.widened()));
    }
}

/// Two elements as the pair that a product of pairs takes.
#[inline(always)]
pub(crate) fn pair(first: Bf16, second: Bf16) -> f32 {
    f32::from_bits(u32::from(first.to_bits()) | u32::from(second.to_bits()) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `half` rounds to nearest even too; every upper half, and lower halves at and about the middle.
    #[test]
    fn rounds_as_half_does() {
        for upper in 0..=u16::MAX {
            for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let value = f32::from_bits(u32::from(upper) << 16 | lower);
                let (own, expected) = (Bf16::rounded(value), Bf16::from_f32(value));
                assert_eq!(own.is_nan(), expected.is_nan());
                assert!(own.is_nan() || own.to_bits() == expected.to_bits(), "{value:e}: {own} {expected}");
                assert!(lower != 0 || own.is_nan() || own.widened().to_bits() == value.to_bits(), "{value:e}");
            }
        }
    }

    #[test]
    fn a_pair_has_the_first_below() {
        let values = [1.0, -2.5].map(Bf16::rounded);
        assert_eq!(pair(values[0], values[1]).to_bits(), 0xc020_3f80);
    }
}
