//! Batch normalisation (Ioffe & Szegedy, arXiv 1502.03167) over `rows` = films x height x width
//! rows of `c` channels. Sums are taken in `f64`.

use rayon::prelude::*;

use crate::chunks::{add_slots, for_chunks, rows_per_chunk, slot_rows, sum_rows, vectorised};
use crate::conv::Act;

/// Mean and biased variance of each channel of `x` `[rows, c]`.
pub fn batch_stats(rows: usize, c: usize, x: &[f32], mean: &mut [f32], var: &mut [f32]) {
    assert_eq!((x.len(), mean.len(), var.len()), (rows * c, c, c));
    let sums = sum_rows(rows, 2 * c, |first, end, sums| {
        let (sum, squares) = sums.split_at_mut(c);
        vectorised(|| {
            for x in x[first * c..end * c].chunks_exact(c) {
                for ((sum, square), &x) in sum.iter_mut().zip(squares.iter_mut()).zip(x) {
                    let x = f64::from(x);
                    *sum += x;
                    *square += x * x;
                }
            }
        });
    });
    for i in 0..c {
        let m = sums[i] / rows as f64;
        mean[i] = m as f32;
        // f64 leaves 29 bits over f32's, so the difference of squares is harmless here.
        var[i] = (sums[c + i] / rows as f64 - m * m).max(0.0) as f32;
    }
}

/// `y = act(x * scale + shift + residual)`, a factor and a term a channel; the residual has the shape of `x`.
#[allow(clippy::too_many_arguments)]
pub fn scale_shift(
    rows: usize,
    c: usize,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: Option<&[f32]>,
    act: Act,
    y: &mut [f32],
) {
    assert_eq!((x.len(), y.len(), scale.len(), shift.len()), (rows * c, rows * c, c, c));
    assert!(residual.is_none_or(|residual| residual.len() == y.len()));
    let len = rows_per_chunk(c) * c;
    for_chunks(y, len, |index, y| {
        let x = &x[index * len..][..y.len()];
        if let Some(residual) = residual {
            let residual = &residual[index * len..][..y.len()];
            vectorised(|| {
                let lines = y.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(residual.chunks_exact(c));
                for ((y, x), residual) in lines {
                    for ((((y, &x), &r), &scale), &shift) in y.iter_mut().zip(x).zip(residual).zip(scale).zip(shift) {
                        *y = act.apply(x * scale + shift + r);
                    }
                }
            });
            return;
        }
        vectorised(|| {
            for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for (((y, &x), &scale), &shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                    *y = act.apply(x * scale + shift);
                }
            }
        });
    });
}

/// Gradients of `y = act(scale * (x - mean) * inv_std + bias + residual)` where `mean` and `inv_std` came from this very
/// batch: to scale, to bias and to `x`. `dy` is the gradient to `y` and becomes the one to what `act` was applied to (the
/// residual's); `y` is read only where there is an `act`. The parameters' gradients are added to `dscale` and `dbias` if `accumulate_params`,
/// the input's to `dx` if `accumulate_x`.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm_backward(
    rows: usize,
    c: usize,
    x: &[f32],
    y: &[f32],
    act: Act,
    dy: &mut [f32],
    mean: &[f32],
    inv_std: &[f32],
    scale: &[f32],
    dscale: &mut [f32],
    dbias: &mut [f32],
    dx: &mut [f32],
    accumulate_params: bool,
    accumulate_x: bool,
) {
    assert_eq!((x.len(), dy.len(), dx.len()), (rows * c, rows * c, rows * c));
    assert_eq!((mean.len(), inv_std.len(), scale.len(), dscale.len(), dbias.len()), (c, c, c, c, c));
    assert!(act == Act::None || y.len() == rows * c);
    // Sums of dy and of dy * (x - mean).
    let step = slot_rows(rows) * c;
    let mut sums = vec![0.0f64; rows.div_ceil(slot_rows(rows)).max(1) * 2 * c];
    sums.par_chunks_mut(2 * c).zip(dy.par_chunks_mut(step)).enumerate().for_each(|(slot, (sums, dy))| {
        let (sum, products) = sums.split_at_mut(c);
        let x = &x[slot * step..][..dy.len()];
        vectorised(|| {
            if act != Act::None {
                let y = &y[slot * step..][..dy.len()];
                dy.iter_mut().zip(y).for_each(|(dy, &y)| *dy = act.gradient(y, *dy));
            }
            for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
                for ((((sum, product), &x), &dy), &mean) in
                    sum.iter_mut().zip(products.iter_mut()).zip(x).zip(dy).zip(mean)
                {
                    *sum += f64::from(dy);
                    *product += f64::from(dy) * f64::from(x - mean);
                }
            }
        });
    });
    add_slots(&mut sums, 2 * c);
    let dy = &*dy;
    let (sum, products) = sums.split_at(c);
    // dx = a * dy + b * (x - mean) + d, a channel at a time.
    let (mut a, mut b, mut d) = (vec![0.0f32; c], vec![0.0f32; c], vec![0.0f32; c]);
    for i in 0..c {
        let (inv, factor) = (f64::from(inv_std[i]), f64::from(scale[i]) * f64::from(inv_std[i]));
        let (to_scale, to_bias) = (products[i] * inv, sum[i]);
        if accumulate_params {
            dscale[i] += to_scale as f32;
            dbias[i] += to_bias as f32;
        } else {
            dscale[i] = to_scale as f32;
            dbias[i] = to_bias as f32;
        }
        a[i] = factor as f32;
        b[i] = (-factor * inv * to_scale / rows as f64) as f32;
        d[i] = (-factor * to_bias / rows as f64) as f32;
    }
    let len = rows_per_chunk(c) * c;
    for_chunks(dx, len, |index, dx| {
        let (x, dy) = (&x[index * len..][..dx.len()], &dy[index * len..][..dx.len()]);
        vectorised(|| {
            let rows = dx.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(dy.chunks_exact(c));
            for ((dx, x), dy) in rows {
                let channels = dx.iter_mut().zip(x).zip(dy).zip(mean).zip(&a).zip(&b).zip(&d);
                for ((((((dx, &x), &dy), &mean), &a), &b), &d) in channels {
                    let value = a * dy + b * (x - mean) + d;
                    *dx = if accumulate_x { *dx + value } else { value };
                }
            }
        });
    });
}

/// Gradient through a normalisation with fixed statistics: `dx = dy * scale`, added if `accumulate`.
pub fn scale_backward(rows: usize, c: usize, dy: &[f32], scale: &[f32], dx: &mut [f32], accumulate: bool) {
    assert_eq!((dy.len(), dx.len(), scale.len()), (rows * c, rows * c, c));
    let len = rows_per_chunk(c) * c;
    for_chunks(dx, len, |index, dx| {
        let dy = &dy[index * len..][..dx.len()];
        vectorised(|| {
            for (dx, dy) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)) {
                for ((dx, &dy), &scale) in dx.iter_mut().zip(dy).zip(scale) {
                    *dx = if accumulate { *dx + dy * scale } else { dy * scale };
                }
            }
        });
    });
}
