//! Mean and variance gathered while a convolution writes, against those of what it wrote, in `f64` and two passes.

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{self, Act, Algorithm, ConvShape, Epilogue, Filter};
use lungfish_kernels::machine;
use lungfish_kernels::norm::Moments;

use crate::common::{assert_close, assert_same_bits, values};
use crate::gray::{MEAN, STD, film, shapes};
use crate::norm::stats;

/// Of 32 values at most sums are taken in single floats, whose rounding errors do not conspire: well below `32 e / 2`.
const TOLERANCE: f64 = 5.0 * f32::EPSILON as f64;

fn check(moments: &mut Moments, c: usize, y: &[f32], what: &str) {
    let (mut mean, mut var) = (vec![f32::NAN; c], vec![f32::NAN; c]);
    moments.statistics(&mut mean, &mut var);
    let expected = stats(c, y);
    assert_close(&mean, &expected.0, TOLERANCE, &format!("mean of {what}"));
    assert_close(&var, &expected.1, TOLERANCE, &format!("variance of {what}"));
}

/// Shared out by channels, so that no task has a whole row: few pixels of many channels.
pub fn by_channels(n: usize, s: &ConvShape) -> bool {
    let pixels = n * s.out().iter().product::<usize>();
    match conv::algorithm(s, n) {
        Algorithm::Gathered => s.groups == 1 && s.c_out >= 128 && pixels <= 112,
        Algorithm::Depthwise | Algorithm::Winograd | Algorithm::WinogradWide => false,
    }
}

#[test]
fn every_algorithm_gathers_the_moments_of_what_it_writes() {
    let mut moments = Moments::default();
    let mut seen = Vec::new();
    for (n, s) in crate::conv::table() {
        let (x, filter) = (values(1, n * s.x_len()), Filter::new(&s, &values(2, s.weight_len())));
        // Far from zero, where a difference of squares of single floats would be noise; and after an activation.
        let (far, near) = (values(4, s.c_out).iter().map(|v| v + 1000.0).collect::<Vec<_>>(), values(5, s.c_out));
        let residual = values(6, n * s.y_len());
        for epilogue in [
            Epilogue::NONE,
            Epilogue { bias: Some(&far), ..Epilogue::NONE },
            Epilogue { bias: Some(&near), residual: Some(&residual), act: Act::Relu },
        ] {
            let (mut plain, mut y) = (vec![f32::NAN; residual.len()], vec![f32::NAN; residual.len()]);
            conv::forward(&s, n, &x, &filter, &epilogue, &mut plain);
            conv::forward_with_moments(&s, n, &x, &filter, &epilogue, &mut y, &mut moments);
            assert_eq!(y, plain, "{s:?}");
            assert_eq!(moments.gathered(), !by_channels(n, &s), "{n} films of {s:?}");
            check(&mut moments, s.c_out, &y, &format!("{n} films of {s:?}"));
        }
        seen.push((conv::algorithm(&s, n), moments.gathered()));
    }
    assert!(seen.contains(&(Algorithm::Gathered, false)));
    for algorithm in [Algorithm::Depthwise, Algorithm::Gathered, Algorithm::Winograd, Algorithm::WinogradWide] {
        assert!(seen.contains(&(algorithm, true)) || machine::plain(), "{algorithm:?}");
    }
}

#[test]
fn the_plane_of_gray_films_has_them_too() {
    let gray = Gray::new(MEAN, STD);
    let mut moments = Moments::default();
    for (n, s) in shapes() {
        let (z, _) = film(n, &s);
        let filter = gray::Filter::new(&Filter::new(&s, &values(2, s.weight_len())), &gray);
        let (mut plain, mut y) = (vec![f32::NAN; n * s.y_len()], vec![f32::NAN; n * s.y_len()]);
        gray::forward(n, &z, &filter, &Epilogue::NONE, &mut plain);
        gray::forward_with_moments(n, &z, &filter, &Epilogue::NONE, &mut y, &mut moments);
        assert_eq!(y, plain, "{s:?}");
        assert!(moments.gathered());
        check(&mut moments, s.c_out, &y, &format!("{s:?}"));
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let shape = |h: usize, c_in: usize, c_out: usize, kernel: usize, stride: usize, groups: usize| ConvShape {
        h,
        w: h,
        c_in,
        c_out,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [kernel / 2; 4],
        groups,
    };
    for s in [
        shape(29, 32, 64, 3, 1, 1),
        shape(29, 128, 160, 3, 1, 1),
        shape(56, 24, 144, 1, 1, 1),
        shape(31, 17, 40, 3, 2, 1),
        shape(60, 96, 96, 3, 1, 96),
        shape(5, 20, 160, 3, 1, 1),
    ] {
        let n = if s.h == 5 { 2 } else { 7 };
        let (x, filter) = (values(1, n * s.x_len()), Filter::new(&s, &values(2, s.weight_len())));
        assert_same_bits("moments", || {
            let (mut y, mut moments) = (vec![f32::NAN; n * s.y_len()], Moments::default());
            conv::forward_with_moments(&s, n, &x, &filter, &Epilogue::NONE, &mut y, &mut moments);
            let (mut mean, mut var) = (vec![f32::NAN; s.c_out], vec![f32::NAN; s.c_out]);
            moments.statistics(&mut mean, &mut var);
            [mean, var].concat()
        });
    }
}

/// One memory serves values of other sizes, and a value that is read.
#[test]
fn nothing_is_left_of_the_value_before() {
    let mut moments = Moments::default();
    for (rows, c) in [(5000, 33), (1, 1), (70, 256), (9000, 16), (3, 7)] {
        let y = values(rows as u64, rows * c);
        moments.read(rows, c, &y);
        assert!(!moments.gathered());
        check(&mut moments, c, &y, &format!("{rows} rows of {c}"));
        // Asked twice, the same.
        check(&mut moments, c, &y, &format!("{rows} rows of {c}, again"));
    }
}

#[test]
#[should_panic = "moments of other channels"]
fn moments_of_more_channels_are_not_given() {
    let mut moments = Moments::default();
    moments.read(100, 4, &values(1, 400));
    moments.statistics(&mut [0.0; 3], &mut [0.0; 3]);
}
