//! Mean and variance gathered while a convolution writes, against those of what it wrote, in `f64` and two passes.

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{self, Act, Algorithm, ConvShape, Epilogue, Filter};
use lungfish_kernels::machine;
use lungfish_kernels::norm::BatchStatistics;

use crate::common::{assert_close, assert_same_bits, values};
use crate::gray::{MEAN, STD, film, shapes};
use crate::norm::stats;

/// Of 32 values at most sums are taken in single floats, whose rounding errors do not conspire: well below `32 e / 2`.
const TOLERANCE: f64 = 5.0 * f32::EPSILON as f64;

fn check(statistics: &mut BatchStatistics, c: usize, y: &[f32], what: &str) {
    let (mut mean, mut var) = (vec![f32::NAN; c], vec![f32::NAN; c]);
    statistics.mean_and_variance(&mut mean, &mut var);
    let expected = stats(c, y);
    assert_close(&mean, &expected.0, TOLERANCE, &format!("mean of {what}"));
    assert_close(&var, &expected.1, TOLERANCE, &format!("variance of {what}"));
}

#[test]
fn every_algorithm_gathers_the_statistics_of_what_it_writes() {
    let mut statistics = BatchStatistics::default();
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
            conv::forward_with_statistics(&s, n, &x, &filter, &epilogue, &mut y, &mut statistics);
            assert_eq!(y, plain, "{s:?}");
            assert_eq!(statistics.gathered(), conv::algorithm(&s, n) != Algorithm::Columns, "{n} films of {s:?}");
            check(&mut statistics, s.c_out, &y, &format!("{n} films of {s:?}"));
        }
        seen.push((conv::algorithm(&s, n), statistics.gathered()));
    }
    assert!(seen.contains(&(Algorithm::Columns, false)));
    for algorithm in [Algorithm::Depthwise, Algorithm::Gathered, Algorithm::Winograd, Algorithm::WinogradWide] {
        assert!(seen.contains(&(algorithm, true)) || machine::plain(), "{algorithm:?}");
    }
}

#[test]
fn the_plane_of_gray_films_has_them_too() {
    let gray = Gray::new(MEAN, STD);
    let mut statistics = BatchStatistics::default();
    for (n, s) in shapes() {
        let (z, _) = film(n, &s);
        let filter = gray::Filter::new(&Filter::new(&s, &values(2, s.weight_len())), &gray);
        let (mut plain, mut y) = (vec![f32::NAN; n * s.y_len()], vec![f32::NAN; n * s.y_len()]);
        gray::forward(n, &z, &filter, &Epilogue::NONE, &mut plain);
        gray::forward_with_statistics(n, &z, &filter, &Epilogue::NONE, &mut y, &mut statistics);
        assert_eq!(y, plain, "{s:?}");
        assert!(statistics.gathered());
        check(&mut statistics, s.c_out, &y, &format!("{s:?}"));
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
        assert_same_bits("statistics", || {
            let (mut y, mut statistics) = (vec![f32::NAN; n * s.y_len()], BatchStatistics::default());
            conv::forward_with_statistics(&s, n, &x, &filter, &Epilogue::NONE, &mut y, &mut statistics);
            let (mut mean, mut var) = (vec![f32::NAN; s.c_out], vec![f32::NAN; s.c_out]);
            statistics.mean_and_variance(&mut mean, &mut var);
            [mean, var].concat()
        });
    }
}

/// One memory serves values of other sizes, and a value that is read.
#[test]
fn nothing_is_left_of_the_value_before() {
    let mut statistics = BatchStatistics::default();
    for (rows, c) in [(5000, 33), (1, 1), (70, 256), (9000, 16), (3, 7)] {
        let y = values(rows as u64, rows * c);
        statistics.read(rows, c, &y);
        assert!(!statistics.gathered());
        check(&mut statistics, c, &y, &format!("{rows} rows of {c}"));
        // Asked twice, the same.
        check(&mut statistics, c, &y, &format!("{rows} rows of {c}, again"));
    }
}

#[test]
#[should_panic = "statistics of other channels"]
fn statistics_of_more_channels_are_not_given() {
    let mut statistics = BatchStatistics::default();
    statistics.read(100, 4, &values(1, 400));
    statistics.mean_and_variance(&mut [0.0; 3], &mut [0.0; 3]);
}
