//! What belongs to one instruction set and has no word in `pulp`: the second home of `unsafe`, each block with its argument.

/// Whether this processor multiplies pairs of bfloat16 (AVX512-BF16).
pub(crate) fn bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
