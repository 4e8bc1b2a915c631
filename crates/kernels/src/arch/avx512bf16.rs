//! AVX512-BF16 (Zen 4 and later, Cooper Lake, Sapphire Rapids and later): `vdpbf16ps` adds the products of 16 times two
//! bfloat16 to 16 single floats.

use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps};
use std::mem::transmute;

use pulp::{Simd, x86::V4};

use crate::arch::{Pairs, Product};

/// Proof that the processor has it: there is no other way to one than [`Avx512Bf16::new`].
#[derive(Clone, Copy)]
pub(super) struct Avx512Bf16(());

impl Avx512Bf16 {
    /// Where the processor, and the system that saves its registers, have it.
    #[inline]
    pub(super) fn new() -> Option<Self> {
        let both = std::arch::is_x86_feature_detected!("avx512bf16") && std::arch::is_x86_feature_detected!("avx512f");
        both.then_some(Avx512Bf16(()))
    }

    /// Runs `work` compiled with that instruction.
    #[inline]
    pub(super) fn run(self, v4: V4, work: impl Pairs) {
        #[allow(unsafe_code)]
        // SAFETY: `self` proves AVX512-BF16, and `v4` the features that pulp's V4 stands for, which are the others named below.
        unsafe {
            compiled(self, v4, work);
        }
    }
}

/// Everything inlined into this is compiled with these features: V4's, and AVX512-BF16.
#[allow(unsafe_code)]
#[target_feature(enable = "sse,sse2,sse3,ssse3,sse4.1,sse4.2,avx,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
fn compiled(own: Avx512Bf16, v4: V4, work: impl Pairs) {
    work.run(v4, own);
}

impl Product for Avx512Bf16 {
    #[inline(always)]
    fn add<S: Simd>(self, _: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        const { assert!(size_of::<S::f32s>() == size_of::<__m512>()) };
        let [a, b, sum]: [[f32; 16]; 3] = [bytemuck::cast(a), bytemuck::cast(b), bytemuck::cast(sum)];
        #[allow(unsafe_code)]
        // SAFETY: `self` proves AVX512-BF16; arrays of 16 floats, vectors of 16 floats and vectors of 32 bfloat16 all are 512
        // bits of which each pattern is a value.
        let sum: [f32; 16] = unsafe {
            let [a, b] = [transmute::<[f32; 16], __m512bh>(a), transmute::<[f32; 16], __m512bh>(b)];
            transmute::<__m512, [f32; 16]>(_mm512_dpbf16_ps(transmute::<[f32; 16], __m512>(sum), a, b))
        };
        bytemuck::cast(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Twin;

    /// What one instruction gives.
    struct Once {
        pairs: [[u32; 16]; 2],
        sum: [f32; 16],
        result: [f32; 16],
    }

    impl Pairs for &mut Once {
        fn run<S: Simd, P: Product>(self, simd: S, product: P) {
            let [a, b] = self.pairs.map(|bits| S::as_simd_f32s(&bits.map(f32::from_bits)).0[0]);
            let sum = product.add(simd, a, b, S::as_simd_f32s(&self.sum).0[0]);
            S::as_mut_simd_f32s(&mut self.result).0[0] = sum;
        }
    }

    /// Against the twin, bit by bit, on values of all sizes but denormal ones, which the instruction takes for zero.
    #[test]
    fn the_instruction_gives_what_its_twin_gives() {
        let (Some(own), Some(v4)) = (Avx512Bf16::new(), V4::try_new()) else {
            // Nothing to compare on a processor without it; kernels' tests in bfloat16 then run the twin.
            return;
        };
        let mut state = 1u64;
        let mut random = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u32
        };
        let mut differ = 0;
        for _ in 0..100_000 {
            // Exponents within 2^-16 .. 2^16, so that sums cancel and round and nothing is denormal.
            let mut half = || {
                let random = random();
                (random & 0x807f) | ((111 + random % 32) << 7)
            };
            let pairs: [[u32; 16]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| half() | half() << 16));
            let sum: [f32; 16] = std::array::from_fn(|_| f32::from_bits(half() << 16 | half()));
            let mut once = Once { pairs, sum, result: [0.0; 16] };
            own.run(v4, &mut once);
            let got = once.result;
            Pairs::run(&mut once, v4, Twin);
            differ += got.iter().zip(&once.result).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        }
        assert_eq!(differ, 0, "of 1,600,000");
    }
}
