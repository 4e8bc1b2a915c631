//! Gray films through a filter of three channels, against the three channels in `f64`.

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{Act, ConvShape, Epilogue, Filter};
use lungfish_kernels::pixels;

use crate::common::{assert_close, assert_same_bits, values};
use crate::conv::products;

pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Sums of single floats that the three channels would be, and the one plane's are: of the largest magnitude.
const TOLERANCE: f64 = 1e-5;

pub fn shapes() -> Vec<(usize, ConvShape)> {
    let shape = |[h, w]: [usize; 2], c_out, kernel, stride, pads| ConvShape {
        h,
        w,
        c_in: 3,
        c_out,
        kernel,
        stride,
        pads,
        groups: 1,
    };
    vec![
        // ResNet's stem and EfficientNet-Lite's, on odd sizes.
        (3, shape([47, 41], 64, [7; 2], [2; 2], [3; 4])),
        (2, shape([33, 30], 32, [3; 2], [2; 2], [0, 0, 1, 1])),
        // Channels that fill no vector, windows that are not square, steps that leave pixels out, pads beyond the window.
        (1, shape([9, 11], 5, [3; 2], [1; 2], [1; 4])),
        (2, shape([12, 31], 37, [2, 5], [3, 1], [0, 2, 1, 4])),
        (1, shape([4, 4], 3, [2; 2], [1; 2], [3; 4])),
        (1, shape([8, 8], 16, [1; 2], [2; 2], [0; 4])),
        // A window larger than the film; films without padding.
        (2, shape([3, 2], 8, [7; 2], [2; 2], [3; 4])),
        (2, shape([16, 16], 24, [7; 2], [2; 2], [0; 4])),
    ]
}

/// Random bytes, the plane, and the three channels in `f64`.
pub fn film(n: usize, s: &ConvShape) -> (Vec<f32>, Vec<f64>) {
    let bytes: Vec<u8> = values(1, n * s.h * s.w).iter().map(|v| ((v + 1.0) * 128.0) as u8).collect();
    let mut z = vec![f32::NAN; bytes.len()];
    pixels::gray_plane(&bytes, &Gray::new(MEAN, STD), &mut z);
    let channel = |v: u8, c: usize| (f64::from(v) / 255.0 - f64::from(MEAN[c])) / f64::from(STD[c]);
    (z, bytes.iter().flat_map(|&v| (0..3).map(move |c| channel(v, c))).collect())
}

#[test]
fn forward_is_that_of_three_channels() {
    for (n, s) in shapes() {
        let (z, x) = film(n, &s);
        let (w, bias, residual) = (values(2, s.weight_len()), values(3, s.c_out), values(4, n * s.y_len()));
        let mut expected = vec![0.0; n * s.y_len()];
        products(n, &s, |yi, xi, wi| expected[yi] += x[xi] * f64::from(w[wi]));
        let gray = Gray::new(MEAN, STD);
        let mut filter = gray::Filter::new(&Filter::new(&s, &values(9, w.len())), &gray);
        filter.refill(&Filter::new(&s, &w), &gray);
        let mut y = vec![f32::NAN; expected.len()];
        gray::forward(n, &z, &filter, &Epilogue::NONE, &mut y);
        assert_close(&y, &expected, TOLERANCE, &format!("{s:?}"));
        let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), act: Act::Relu };
        for (i, expected) in expected.iter_mut().enumerate() {
            *expected = (*expected + f64::from(bias[i % s.c_out]) + f64::from(residual[i])).max(0.0);
        }
        gray::forward(n, &z, &filter, &epilogue, &mut y);
        assert_close(&y, &expected, TOLERANCE, &format!("{s:?} with an epilogue"));
    }
}

#[test]
fn backward_weight_is_that_of_three_channels() {
    for (n, s) in shapes() {
        let ((z, x), dy) = (film(n, &s), values(3, n * s.y_len()));
        let gray = Gray::new(MEAN, STD);
        let mut expected = vec![0.0; s.weight_len()];
        products(n, &s, |yi, xi, wi| expected[wi] += f64::from(dy[yi]) * x[xi]);
        let mut dw = vec![f32::NAN; s.weight_len()];
        gray::backward_weight(&s, n, &z, &gray, &dy, &mut dw, false);
        assert_close(&dw, &expected, TOLERANCE, &format!("{s:?}"));
        let mut dw = values(5, s.weight_len());
        expected.iter_mut().zip(&dw).for_each(|(e, &d)| *e += f64::from(d));
        gray::backward_weight(&s, n, &z, &gray, &dy, &mut dw, true);
        assert_close(&dw, &expected, TOLERANCE, &format!("accumulated {s:?}"));
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (n, s) = shapes()[0];
    let ((z, _), dy) = (film(n, &s), values(3, n * s.y_len()));
    let gray = Gray::new(MEAN, STD);
    let filter = gray::Filter::new(&Filter::new(&s, &values(2, s.weight_len())), &gray);
    assert_same_bits("forward", || {
        let mut y = vec![f32::NAN; n * s.y_len()];
        gray::forward(n, &z, &filter, &Epilogue::NONE, &mut y);
        y
    });
    assert_same_bits("backward_weight", || {
        let mut dw = vec![f32::NAN; s.weight_len()];
        gray::backward_weight(&s, n, &z, &gray, &dy, &mut dw, false);
        dw
    });
}
