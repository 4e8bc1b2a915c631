//! The peak of this machine: how fast it multiplies and adds where it waits for nothing, the measure of every kernel.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};

/// Seconds that a measurement takes at least.
const SECONDS: f64 = 0.01;
/// Measurements, of which the best counts.
const RUNS: usize = 5;

/// Floating-point operations a second, a fused multiply-add counted as two, that the threads of the current rayon pool
/// reach together with the instruction set that the kernels run ([`crate::machine::simd`]): the best of several
/// measurements of accumulators that stay in registers. Takes about half a second.
///
/// ```
/// assert!(lungfish_kernels::peak::flops() > 1e8);
/// ```
pub fn flops() -> f64 {
    // How many accumulators must be in flight depends on the processor's latency, how many there may be on its registers.
    [best::<8>(), best::<12>(), best::<16>(), best::<24>()].into_iter().fold(0.0, f64::max)
}

/// With `N` vectors of accumulators a thread.
fn best<const N: usize>() -> f64 {
    let mut rounds = 1 << 12;
    let mut best = 0.0f64;
    let mut runs = 0;
    while runs < RUNS {
        let begun = Instant::now();
        let flops: u64 =
            rayon::broadcast(|_| crate::machine::arch().dispatch(Accumulators::<N> { rounds })).iter().sum();
        let seconds = begun.elapsed().as_secs_f64();
        if seconds < SECONDS && rounds < u64::MAX / 2 {
            rounds *= 2;
        } else {
            best = best.max(flops as f64 / seconds);
            runs += 1;
        }
    }
    best
}

struct Accumulators<const N: usize> {
    rounds: u64,
}

impl<const N: usize> WithSimd for Accumulators<N> {
    /// Operations done.
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> u64 {
        // The accumulators come to 2 and stay there: no number that is slow to compute with.
        let [factor, term] = black_box([0.5, 1.0]).map(|value| simd.splat_f32s(value));
        let mut accumulators = [simd.splat_f32s(black_box(0.0)); N];
        for _ in 0..self.rounds {
            for accumulator in &mut accumulators {
                *accumulator = simd.mul_add_e_f32s(*accumulator, factor, term);
            }
        }
        black_box(accumulators.map(|sum| simd.reduce_sum_f32s(sum)));
        2 * self.rounds * (N * S::F32_LANES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_operation() {
        let (short, long) = (Accumulators::<8> { rounds: 3 }, Accumulators::<8> { rounds: 300 });
        let [short, long] = [short, long].map(|sums| crate::machine::arch().dispatch(sums));
        assert_eq!(long, 100 * short);
        let lanes = match crate::machine::simd() {
            "avx512" => 16,
            "avx2+fma" => 8,
            "neon" => 4,
            _ => 1,
        };
        assert_eq!(short, 2 * 3 * 8 * lanes);
    }

    /// No processor adds 256 single floats a cycle, and none that the kernels know is slower than a tenth of a cycle's
    /// one addition: a loop that the compiler saw through would be far beyond, one that waits for memory far below.
    #[test]
    fn is_a_speed_that_processors_have() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let peak = pool.install(flops);
        assert!((1e8..1.5e12).contains(&peak), "{peak:e}");
    }
}
