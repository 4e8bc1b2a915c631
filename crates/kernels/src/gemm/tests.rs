//! Both kinds of GEMM against sums in `f64`, and what no answer tells: that accumulators have room in the registers.

use super::*;

fn noise(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

/// Accumulators that are not in registers go through memory at each step: half the speed, and no other test would tell.
#[cfg(target_arch = "x86_64")]
#[test]
fn accumulators_have_room_in_the_registers() {
    use pulp::x86::{V3, V4};
    for m in 1..100 {
        for height in heights::<V3>(m) {
            assert!(WIDTH * height + WIDTH < 16, "{height} rows of {m}, AVX2");
        }
        for height in heights::<V4>(m) {
            assert!(WIDTH * height + WIDTH < 32, "{height} rows of {m}, AVX-512");
        }
        assert_eq!([heights::<V3>(m).sum::<usize>(), heights::<V4>(m).sum()], [m; 2]);
    }
}

#[test]
fn every_size_is_the_plain_sum() {
    for m in [1, 2, 3, 13, 14, 15, 16, 29, 31] {
        for n in [1, 7, 8, 15, 16, 17, 31, 32, 33, 70] {
            for k in [0, 1, 7, 8, 9, 40] {
                let (a_stride, b_stride, y_stride) = (m.max(k) + 3, n + 2, n + 1);
                let a = noise(a_stride * m.max(k));
                let b = noise(b_stride * k.max(1));
                let mut packed = vec![f32::NAN; packed_len(k, n)];
                pack([k, n], &mut packed, &b, |row| row * b_stride, 1);
                for accumulate in [false, true] {
                    let mut y = [vec![0.5f32; m * y_stride], vec![0.5; m * y_stride]];
                    let [by_packed, by_transposed] = &mut y;
                    let panels = &packed[..];
                    gemm(Gemm {
                        size: [m, n, k],
                        a: &a,
                        a_stride,
                        pieces: [k, 0],
                        panels,
                        panel_rows: k,
                        ahead: 0,
                        y: by_packed,
                        y_stride,
                        accumulate,
                    });
                    gemm_transposed(GemmTransposed {
                        size: [m, n, k],
                        pieces: [k.max(1), 0],
                        a: &a,
                        a_stride,
                        b: &b,
                        b_stride,
                        y: by_transposed,
                        y_stride,
                        accumulate,
                    });
                    let begin = if accumulate { 0.5 } else { 0.0 };
                    for (i, j) in (0..m).flat_map(|i| (0..y_stride).map(move |j| (i, j))) {
                        let place = i * y_stride + j;
                        if j == n {
                            assert_eq!([y[0][place], y[1][place]], [0.5; 2], "beyond the last column");
                            continue;
                        }
                        let sum = |a: &dyn Fn(usize) -> f32| {
                            begin + (0..k).map(|p| f64::from(a(p)) * f64::from(b[p * b_stride + j])).sum::<f64>()
                        };
                        let expected = [sum(&|p| a[i * a_stride + p]), sum(&|p| a[p * a_stride + i])];
                        for (y, expected) in y.iter().zip(expected) {
                            let error = (f64::from(y[place]) - expected).abs();
                            assert!(error < 1e-5, "[{m}, {n}, {k}] ({i}, {j}): {} not {expected}", y[place]);
                        }
                    }
                }
            }
        }
    }
}

/// The depth in pieces with gaps between them gives the bits that it gives in one.
#[test]
fn a_depth_in_pieces_is_one_sum() {
    let ([m, n, k], [rows, distance]) = ([9, 37, 11], [4, 500]);
    let (a, b) = (noise(k * m), noise(k * n));
    let spread = |x: &[f32], width: usize| {
        let mut spread = vec![f32::NAN; 2 * distance + 4 * width];
        for (i, row) in x.chunks_exact(width).enumerate() {
            spread[i / rows * distance + i % rows * width..][..width].copy_from_slice(row);
        }
        spread
    };
    let sum = |a: &[f32], b: &[f32], pieces: [usize; 2]| {
        let mut y = vec![f32::NAN; m * n];
        let (a_stride, b_stride, y_stride) = (m, n, n);
        gemm_transposed(GemmTransposed {
            size: [m, n, k],
            pieces,
            a,
            a_stride,
            b,
            b_stride,
            y: &mut y,
            y_stride,
            accumulate: false,
        });
        y
    };
    assert_eq!(sum(&spread(&a, m), &spread(&b, n), [rows, distance]), sum(&a, &b, [k, 0]));
}

/// The same of packed panels, where the depth is columns: pieces of 8 and a shorter last one.
#[test]
fn rows_in_pieces_are_one_sum() {
    let ([m, n, k], [piece, distance]) = ([17, 37, 21], [8, 300]);
    let (a, mut panels) = (noise(m * k), vec![f32::NAN; packed_len(k, n)]);
    pack([k, n], &mut panels, &noise(k * n), |row| row * n, 1);
    let mut spread = vec![f32::NAN; k.div_ceil(piece) * distance];
    for (at, &value) in a.iter().enumerate() {
        spread[at % k / piece * distance + at / k * piece + at % k % piece] = value;
    }
    let sum = |a: &[f32], a_stride: usize, pieces: [usize; 2]| {
        let (mut y, panels, accumulate) = (vec![f32::NAN; m * n], &panels[..], false);
        gemm(Gemm {
            size: [m, n, k],
            a,
            a_stride,
            pieces,
            panels,
            panel_rows: k,
            ahead: 0,
            y: &mut y,
            y_stride: n,
            accumulate,
        });
        y
    };
    assert_eq!(sum(&spread, piece, [piece, distance]), sum(&a, k, [k, 0]));
}

#[test]
#[should_panic]
fn a_short_operand_is_refused() {
    let (a, panels, mut y) = ([0.0; 3], vec![0.0; packed_len(2, 2)], [0.0; 4]);
    gemm(Gemm {
        size: [2, 2, 2],
        a: &a,
        a_stride: 2,
        pieces: [2, 0],
        panels: &panels,
        panel_rows: 2,
        ahead: 0,
        y: &mut y,
        y_stride: 2,
        accumulate: false,
    });
}
