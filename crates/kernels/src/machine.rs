//! What the processor offers.

/// The instruction set that the kernels run on this machine: `"avx512"`, `"avx2+fma"`, `"neon"`
/// or `"scalar"`.
pub fn simd() -> &'static str {
    match pulp::Arch::new() {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        pulp::Arch::V4(_) => "avx512",
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        pulp::Arch::V3(_) => "avx2+fma",
        #[cfg(target_arch = "aarch64")]
        pulp::Arch::Neon(_) => "neon",
        _ => "scalar",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_a_known_instruction_set() {
        assert!(["avx512", "avx2+fma", "neon", "scalar"].contains(&super::simd()));
    }
}
