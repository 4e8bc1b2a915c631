//! Fully connected layers: `y = x * weight^T + bias`, weight `[outputs, inputs]` (torch.nn.Linear).

use crate::chunks::{for_chunks, store, sum_rows, vectorised, with_scratch};
use crate::gemm::{Gemm, GemmTransposed, gemm, gemm_transposed, pack, packed_len};
use crate::stored::Stored;

/// Rows of the result in one task.
const ROWS: usize = 64;

/// Rows up to which reordering the weights would take longer than the GEMM itself.
const FEW: usize = 4;

/// Outputs of few rows in one task.
const OUTPUTS: usize = 64;

/// `y` `[n, outputs]` from `x` `[n, inputs]`.
pub fn forward(n: usize, inputs: usize, outputs: usize, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (n * inputs, n * outputs));
    assert_eq!((weight.len(), bias.len()), (outputs * inputs, outputs));
    if n <= FEW && inputs > 0 {
        for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs.max(1))) {
            for_chunks(y, OUTPUTS, |index, y| {
                let (weight, bias) = (&weight[index * OUTPUTS * inputs..], &bias[index * OUTPUTS..]);
                vectorised(|| {
                    let rows = weight.chunks_exact(inputs).zip(bias);
                    y.iter_mut().zip(rows).for_each(|(y, (weight, bias))| *y = bias + dot(x, weight));
                });
            });
        }
        return;
    }
    with_scratch(packed_len(inputs, outputs), |panels| {
        pack([inputs, outputs], panels, weight, |input| input, inputs);
        let panels = &*panels;
        for_chunks(y, ROWS * outputs, |index, y| {
            y.chunks_exact_mut(outputs).for_each(|y| y.copy_from_slice(bias));
            gemm(Gemm {
                size: [y.len() / outputs, outputs, inputs],
                a: &x[index * ROWS * inputs..],
                a_stride: inputs,
                pieces: [inputs, 0],
                panels,
                panel_rows: inputs,
                ahead: 0,
                y,
                y_stride: outputs,
                accumulate: true,
            });
        });
    });
}

/// The sum of the products of two rows.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 64;
    let mut sums = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter_mut().zip(a_rest).zip(b_rest).for_each(|((sum, a), b)| *sum += a * b);
    sums.iter().sum()
}

/// Gradient to the input: `dx = dy * weight`, added if `accumulate`.
pub fn backward_data(
    n: usize,
    inputs: usize,
    outputs: usize,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_eq!((dy.len(), dx.len(), weight.len()), (n * outputs, n * inputs, outputs * inputs));
    with_scratch(packed_len(outputs, inputs), |panels| {
        pack([outputs, inputs], panels, weight, |output| output * inputs, 1);
        let panels = &*panels;
        for_chunks(dx, ROWS * inputs, |index, dx| {
            gemm(Gemm {
                size: [dx.len() / inputs, inputs, outputs],
                a: &dy[index * ROWS * outputs..],
                a_stride: outputs,
                pieces: [outputs, 0],
                panels,
                panel_rows: outputs,
                ahead: 0,
                y: dx,
                y_stride: inputs,
                accumulate,
            });
        });
    });
}

/// Gradients to weight and bias: `dw = dy^T * x`, `db` = the column sums of `dy`; both added if `accumulate`.
#[allow(clippy::too_many_arguments)]
pub fn backward_weight(
    n: usize,
    inputs: usize,
    outputs: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
    accumulate: bool,
) {
    assert_eq!((x.len(), dy.len()), (n * inputs, n * outputs));
    assert_eq!((dw.len(), db.len()), (outputs * inputs, outputs));
    for_chunks(dw, ROWS * inputs, |index, dw| {
        gemm_transposed(GemmTransposed {
            size: [dw.len() / inputs, inputs, n],
            pieces: [n.max(1), 0],
            a: dy.get(index * ROWS..).unwrap_or_default(),
            a_stride: outputs,
            b: x,
            b_stride: inputs,
            y: dw,
            y_stride: inputs,
            accumulate,
        });
    });
    column_sums(n, outputs, dy, db, accumulate);
}

/// Column sums of `x` `[rows, c]` in `f64`, written or added to `y`.
pub(crate) fn column_sums<T: Stored>(rows: usize, c: usize, x: &[T], y: &mut [f32], accumulate: bool) {
    assert_eq!((x.len(), y.len()), (rows * c, c));
    let sums = sum_rows(rows, c, |first, end, sums| {
        crate::chunks::vectorised(|| {
            for x in x[first * c..end * c].chunks_exact(c) {
                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(x.widened()));
            }
        });
    });
    store(y, sums.iter().map(|&sum| sum as f32), accumulate);
}
