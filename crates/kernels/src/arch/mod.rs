//! What belongs to one instruction set and has no word in `pulp`: the second home of `unsafe`, each block with its argument.

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux"))]
pub(crate) mod amx;
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux")))]
#[path = "no_amx.rs"]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
mod block;
mod tiles;

pub(crate) use block::{Block, PAIRS, SIDE, STEP, Steps};
pub(crate) use tiles::with_tiles;

use pulp::Simd;

/// How two elements are multiplied and added to a sum: single floats, or pairs of bfloat16 that lie where floats would.
pub(crate) trait Product: Copy {
    /// `sum + a b`.
    fn add<S: Simd>(self, simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s;
}

/// Work on pairs, whatever multiplies them.
pub(crate) trait Pairs {
    /// Does it.
    fn run<S: Simd, P: Product>(self, simd: S, product: P);
}

/// Runs a product of pairs by the processor's own instruction where it has one on the path that is taken, else by the twin.
pub(crate) fn pairs(work: impl Pairs) {
    #[cfg(target_arch = "x86_64")]
    if let (pulp::Arch::V4(v4), Some(own)) = (crate::machine::arch(), avx512bf16::Avx512Bf16::new()) {
        return own.run(v4, work);
    }
    pairs_by_twin(work);
}

/// As [`pairs`], by single floats.
pub(crate) fn pairs_by_twin<P: Pairs>(work: P) {
    struct OnTwin<P>(P);
    impl<P: Pairs> pulp::WithSimd for OnTwin<P> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.run(simd, Twin);
        }
    }
    crate::machine::arch().dispatch(OnTwin(work));
}

/// Products of pairs by single floats, in the order in which `vdpbf16ps` takes them: the second of a pair first, each product
/// added and rounded by itself.
#[derive(Clone, Copy)]
pub(crate) struct Twin;

impl Product for Twin {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        let [first_a, second_a] = halves(simd, a);
        let [first_b, second_b] = halves(simd, b);
        let sum = simd.mul_add_e_f32s(second_a, second_b, sum);
        simd.mul_add_e_f32s(first_a, first_b, sum)
    }
}

/// Both of each pair as floats.
#[inline(always)]
fn halves<S: Simd>(simd: S, pairs: S::f32s) -> [S::f32s; 2] {
    let bits = simd.transmute_u32s_f32s(pairs);
    let first = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(16));
    let second = simd.and_u32s(bits, simd.splat_u32s(0xffff_0000));
    [simd.transmute_f32s_u32s(first), simd.transmute_f32s_u32s(second)]
}
