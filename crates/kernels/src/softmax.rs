//! Log-softmax over the last axis.

use crate::chunks::for_chunks;

/// `y = x - ln(sum(exp(x)))` for each of `n` rows of `k` logits; the sum is taken in `f64`.
pub fn log_softmax(n: usize, k: usize, x: &[f32], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (n * k, n * k));
    for_chunks(y, rows(k) * k, |index, y| {
        let x = &x[index * rows(k) * k..][..y.len()];
        for (x, y) in x.chunks_exact(k).zip(y.chunks_exact_mut(k)) {
            let max = f64::from(x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum = x.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln();
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = (f64::from(x) - max - sum) as f32);
        }
    });
}

/// Gradient of [`log_softmax`] to its input, from its result `y`: `dx = dy - exp(y) * sum(dy)`, added if `accumulate`.
pub fn log_softmax_backward(n: usize, k: usize, y: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool) {
    assert_eq!((y.len(), dy.len(), dx.len()), (n * k, n * k, n * k));
    for_chunks(dx, rows(k) * k, |index, dx| {
        let at = index * rows(k) * k;
        let (y, dy) = (&y[at..][..dx.len()], &dy[at..][..dx.len()]);
        for ((dx, y), dy) in dx.chunks_exact_mut(k).zip(y.chunks_exact(k)).zip(dy.chunks_exact(k)) {
            let sum = dy.iter().map(|&dy| f64::from(dy)).sum::<f64>();
            let values = y.iter().zip(dy).map(|(&y, &dy)| (f64::from(dy) - f64::from(y).exp() * sum) as f32);
            crate::chunks::store(dx, values, accumulate);
        }
    });
}

/// Rows in one task.
fn rows(k: usize) -> usize {
    (2048 / k.max(1)).max(1)
}
