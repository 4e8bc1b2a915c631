//! What the tests share: numbers that look random, comparison with `f64`, pools of threads.

/// Values in [-1, 1), the same for the same seed (SplitMix64).
pub fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Every element within `tolerance * (1 + largest expected magnitude)`.
#[track_caller]
pub fn assert_close(got: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let bound = tolerance * (1.0 + expected.iter().fold(0.0f64, |max, v| max.max(v.abs())));
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(
            error <= bound,
            "{what}: element {i} is {got}, not {expected} (off by {error:.3e}, at most {bound:.3e})"
        );
    }
}

pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Runs `f` in pools of 1, 2 and 5 threads and demands the same bits.
#[track_caller]
pub fn assert_same_bits(what: &str, f: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(&f)
    };
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let one = run(1);
    assert!(one.iter().all(|x| x.is_finite()), "{what}: not finite");
    for threads in [2, 5] {
        assert!(bits(&one) == bits(&run(threads)), "{what}: other bits with {threads} threads than with one");
    }
    one
}
