//! Fully connected layers and log-softmax against `f64`.

use lungfish_kernels::{linear, softmax};

use crate::common::{assert_close, assert_same_bits, dot, values};

const SIZES: [(usize, usize, usize); 7] =
    [(1, 1, 1), (1, 17, 3), (3, 5, 2), (32, 33, 17), (70, 64, 65), (130, 512, 256), (2, 1280, 130)];

#[test]
fn forward_and_gradients() {
    for (n, inputs, outputs) in SIZES {
        let what = format!("{n} x {inputs} -> {outputs}");
        let (x, w, b) = (values(1, n * inputs), values(2, outputs * inputs), values(3, outputs));
        let dy = values(4, n * outputs);
        let (mut y, mut dx) = (vec![0.0; n * outputs], vec![0.0; n * inputs]);
        let (mut dw, mut db) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
        for row in 0..n {
            for o in 0..outputs {
                let (at, d) = (row * outputs + o, f64::from(dy[row * outputs + o]));
                y[at] = f64::from(b[o]);
                db[o] += d;
                for i in 0..inputs {
                    y[at] += f64::from(x[row * inputs + i]) * f64::from(w[o * inputs + i]);
                    dx[row * inputs + i] += d * f64::from(w[o * inputs + i]);
                    dw[o * inputs + i] += d * f64::from(x[row * inputs + i]);
                }
            }
        }
        let mut got = vec![f32::NAN; y.len()];
        linear::forward(n, inputs, outputs, &x, &w, &b, &mut got);
        assert_close(&got, &y, 4e-6, &what);
        // Twice: written over NaN, then added.
        let (mut got_dx, mut got_dw, mut got_db) =
            (vec![f32::NAN; dx.len()], vec![f32::NAN; dw.len()], vec![f32::NAN; db.len()]);
        for (accumulate, times) in [(false, 1.0), (true, 2.0)] {
            linear::backward_data(n, inputs, outputs, &dy, &w, &mut got_dx, accumulate);
            linear::backward_weight(n, inputs, outputs, &x, &dy, &mut got_dw, &mut got_db, accumulate);
            for (got, expected) in [(&got_dx, &dx), (&got_dw, &dw), (&got_db, &db)] {
                assert_close(got, &expected.iter().map(|v| v * times).collect::<Vec<_>>(), 4e-6, &what);
            }
        }
    }
}

#[test]
fn log_softmax_and_its_gradient() {
    for (n, k) in [(1, 1), (3, 2), (5, 17), (700, 5), (3, 3000)] {
        let x: Vec<f32> = values(1, n * k).iter().map(|v| v * 20.0).collect();
        let dy = values(2, n * k);
        let forward = |x: &[f32]| {
            let mut y = vec![f32::NAN; n * k];
            softmax::log_softmax(n, k, x, &mut y);
            y
        };
        let y = forward(&x);
        let (mut expected, mut gradient) = (Vec::new(), Vec::new());
        for (x, dy) in x.chunks(k).zip(dy.chunks(k)) {
            let sum: f64 = x.iter().map(|&v| f64::from(v).exp()).sum();
            let total: f64 = dy.iter().map(|&v| f64::from(v)).sum();
            expected.extend(x.iter().map(|&v| f64::from(v) - sum.ln()));
            gradient.extend(x.iter().zip(dy).map(|(&v, &d)| f64::from(d) - f64::from(v).exp() / sum * total));
        }
        assert_close(&y, &expected, 1e-7, "log_softmax");
        let mut dx = vec![f32::NAN; n * k];
        softmax::log_softmax_backward(n, k, &y, &dy, &mut dx, false);
        assert_close(&dx, &gradient, 1e-6, "gradient");
        softmax::log_softmax_backward(n, k, &y, &dy, &mut dx, true);
        assert_close(&dx, &gradient.iter().map(|v| 2.0 * v).collect::<Vec<_>>(), 1e-6, "gradient accumulated");

        // By differences: the step is large because results are f32.
        if n * k < 100 {
            let step = |at: usize, by: f32| {
                let mut x = x.clone();
                x[at] += by;
                dot(&forward(&x), &dy)
            };
            for (at, &gradient) in gradient.iter().enumerate() {
                let slope = (step(at, 0.03125) - step(at, -0.03125)) / 0.0625;
                assert!((slope - gradient).abs() < 2e-3, "{slope} {gradient}");
            }
        }
    }
}

#[test]
fn log_softmax_of_large_logits_is_finite() {
    let mut y = [0.0; 3];
    softmax::log_softmax(1, 3, &[1e30, -1e30, 0.0], &mut y);
    assert_eq!((y[0], y[1].is_finite()), (0.0, true));
}

#[test]
fn same_bits_for_any_number_of_threads() {
    for (n, inputs, outputs) in SIZES {
        let (x, w, b) = (values(1, n * inputs), values(2, outputs * inputs), values(3, outputs));
        let dy = values(4, n * outputs);
        assert_same_bits("linear", || {
            let (mut y, mut dx) = (vec![0.0; n * outputs], vec![0.0; n * inputs]);
            let (mut dw, mut db) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
            linear::forward(n, inputs, outputs, &x, &w, &b, &mut y);
            linear::backward_data(n, inputs, outputs, &dy, &w, &mut dx, false);
            linear::backward_weight(n, inputs, outputs, &x, &dy, &mut dw, &mut db, false);
            let mut logs = vec![0.0; y.len()];
            softmax::log_softmax(n, outputs, &y, &mut logs);
            [y, dx, dw, db, logs].concat()
        });
    }
}
