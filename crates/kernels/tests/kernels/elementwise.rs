//! Elementwise passes, pixels and layouts: exact.

use lungfish_kernels::{elementwise, pixels};

use crate::common::{assert_same_bits, values};

const LENGTHS: [usize; 5] = [0, 1, 17, 16_384, 40_001];

fn zip(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

#[test]
fn elementwise_passes() {
    for len in LENGTHS {
        let (a, b) = (values(1, len), values(2, len));
        let on = |start: &[f32], f: &dyn Fn(&mut [f32])| {
            let mut y = start.to_vec();
            f(&mut y);
            y
        };
        let nan = vec![f32::NAN; len];
        assert_eq!(on(&a, &|y| elementwise::relu_in_place(y)), zip(&a, &b, |a, _| a.max(0.0)));
        assert_eq!(on(&a, &|y| elementwise::clip_in_place(y, -0.25, 0.5)), zip(&a, &b, |a, _| a.clamp(-0.25, 0.5)));
        assert_eq!(on(&nan, &|y| elementwise::add(&a, &b, y)), zip(&a, &b, |a, b| a + b));
        assert_eq!(on(&nan, &|y| elementwise::multiply(&a, &b, y)), zip(&a, &b, |a, b| a * b));
        assert_eq!(on(&a, &|y| elementwise::accumulate(y, &b)), zip(&a, &b, |a, b| a + b));
        assert_eq!(on(&nan, &|y| elementwise::copy(y, &b)), b);
    }
}

#[test]
fn nan_is_not_hidden() {
    let mut x = [f32::NAN; 2];
    elementwise::relu_in_place(&mut x);
    elementwise::clip_in_place(&mut x, 0.0, 6.0);
    assert!(x[0].is_nan() && x[1].is_nan());
}

/// At the bounds themselves the gradient is 0, as in PyTorch.
#[test]
fn gradients_of_activations() {
    for len in LENGTHS {
        let y: Vec<f32> = values(1, len).iter().map(|v| (v * 4.0).round().clamp(0.0, 3.0)).collect();
        let dy = values(2, len);
        let mut got = dy.clone();
        elementwise::relu_backward_in_place(&y, &mut got);
        assert_eq!(got, zip(&y, &dy, |y, dy| if y == 0.0 { 0.0 } else { dy }));
        let mut got = dy.clone();
        elementwise::clip_backward_in_place(&y, &mut got, 0.0, 3.0);
        assert_eq!(got, zip(&y, &dy, |y, dy| if y == 0.0 || y == 3.0 { 0.0 } else { dy }));
    }
}

#[test]
fn pixels_are_normalised_as_torchvision_does() {
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let normal = |v: u8, c: usize| (f32::from(v) / 255.0 - mean[c]) / std[c];
    for (n, hw) in [(1, 1), (2, 49), (3, 9000)] {
        let bytes: Vec<u8> = (0..n * hw * 3).map(|i| (i * 31 % 256) as u8).collect();
        let mut y = vec![f32::NAN; n * hw * 3];
        pixels::normalise_rgb(n, hw, &bytes, mean, std, &mut y);
        assert!(y.iter().enumerate().all(|(i, &y)| y == normal(bytes[i], i % 3)));
        pixels::normalise_gray(n, hw, &bytes[..n * hw], mean, std, &mut y);
        assert!(y.iter().enumerate().all(|(i, &y)| y == normal(bytes[i / 3], i % 3)));
    }
    // torchvision: Normalize(mean, std)(ToTensor()(gray 200 repeated to RGB)), float32.
    let mut y = [0.0; 3];
    pixels::normalise_gray(1, 1, &[200], mean, std, &mut y);
    for (y, expected) in y.iter().zip([1.3070_f32, 1.4657, 1.6814]) {
        assert!((y - expected).abs() < 1e-4, "{y} {expected}");
    }
}

#[test]
fn layouts() {
    for (n, c, hw) in [(1, 1, 1), (2, 3, 5), (3, 17, 49), (2, 64, 33)] {
        let x = values(1, n * c * hw);
        let (mut y, mut back) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        pixels::nchw_to_nhwc(n, c, hw, &x, &mut y);
        for (film, pixel, channel) in [(0, 0, 0), (n - 1, hw - 1, c - 1), (n - 1, hw / 2, c / 3)] {
            assert_eq!(y[(film * hw + pixel) * c + channel], x[(film * c + channel) * hw + pixel]);
        }
        pixels::nhwc_to_nchw(n, c, hw, &y, &mut back);
        assert_eq!(back, x);
    }
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let (a, b) = (values(1, 100_003), values(2, 100_003));
    assert_same_bits("elementwise", || {
        let (mut sum, mut product) = (vec![0.0; a.len()], vec![0.0; a.len()]);
        elementwise::add(&a, &b, &mut sum);
        elementwise::multiply(&a, &b, &mut product);
        elementwise::relu_in_place(&mut sum);
        elementwise::relu_backward_in_place(&sum, &mut product);
        [sum, product].concat()
    });
}
