//! golden/models/formula.py again: the same bits.

fn splitmix64(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn fnv1a64(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3))
}

/// `n` values in [-1, 1) for the tensor called `name`.
fn unit(name: &str, n: usize) -> impl Iterator<Item = f64> {
    let start = fnv1a64(name);
    (0..n as u64).map(move |i| {
        let x = splitmix64(start.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        (x >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// A parameter or running statistic; `gain`, `shift` and `last` as in the script.
pub fn tensor(name: &str, shape: &[usize], (gain, shift, last): (f64, f64, &str)) -> Vec<f32> {
    let n: usize = shape.iter().product();
    let value = |v: f64| -> f64 {
        if name.ends_with("running_mean") {
            0.1 * v
        } else if name.ends_with("running_var") {
            (1.0 + shift).powi(2) * (1.0 + 0.5 * v)
        } else if shape.len() > 1 {
            v * (6.0 / (n / shape[0]) as f64).sqrt() * if shape.len() == 2 { 0.3 } else { 1.0 }
        } else if name.ends_with(&format!("{last}.weight")) {
            0.25 * (0.75 + 0.25 * v)
        } else if name.ends_with(".weight") {
            gain * (0.75 + 0.25 * v)
        } else {
            shift + 0.1 * v
        }
    };
    unit(name, n).map(|v| value(v) as f32).collect()
}

/// A batch `[n, 3, side, side]`: blocks of 32 pixels, of 8, and noise.
pub fn pixels(name: &str, n: usize, side: usize) -> Vec<f32> {
    let mut out = vec![0.0_f64; n * 3 * side * side];
    for (block, weight) in [(32, 1.0), (8, 0.5), (1, 0.5)] {
        let k = side.div_ceil(block);
        let values: Vec<f64> = unit(&format!("{name}.{block}"), n * 3 * k * k).collect();
        for (i, out) in out.iter_mut().enumerate() {
            let (plane, y, x) = (i / (side * side), i / side % side, i % side);
            *out += weight * values[(plane * k + y / block) * k + x / block];
        }
    }
    out.into_iter().map(|v| v as f32).collect()
}

/// Which elements of a tensor of `n` are kept, where at most so many are.
pub fn positions(n: usize, samples: usize) -> Vec<usize> {
    let kept = |i| (splitmix64(i) % n as u64) as usize;
    if n <= samples { (0..n).collect() } else { (0..samples as u64).map(kept).collect() }
}
