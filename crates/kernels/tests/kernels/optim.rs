//! Adam against PyTorch's numbers; norms against `f64`.

use lungfish_kernels::optim::{self, AdamStep};

use crate::common::{assert_same_bits, values};

const PARAMS: [f32; 5] = [0.5, -1.25, 2.0, 1e-3, -3.0];
const GRADS: [f32; 5] = [0.1, -2.0, 1e-4, 3.0, 0.0];

/// Parameters and both moments after one step and after ten.
type Golden = [[[f32; 5]; 3]; 2];

/// What golden_adam.py prints (torch 2.x on a CPU).
#[allow(clippy::excessive_precision)]
fn golden() -> [(AdamStep, Golden); 3] {
    let step =
        AdamStep { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false, step: 0 };
    let moments_1 = [
        [0.00540302368, -0.108060472, 5.40302335e-06, 0.162090704, 0.0],
        [2.91926654e-06, 0.00116770656, 2.91926617e-12, 0.00262733968, 0.0],
    ];
    let moments_10 = [
        [-0.0122057851, 0.24411568, -1.22057836e-05, -0.366173506, 0.0],
        [4.97851543e-05, 0.0199140646, 4.97851482e-11, 0.0448066369, 0.0],
    ];
    [
        (
            step,
            [
                [[0.499000013, -1.24899995, 1.99900019, 1.16415322e-10, -3.0], moments_1[0], moments_1[1]],
                [[0.500469804, -1.25046968, 2.00046945, 0.00146973622, -3.0], moments_10[0], moments_10[1]],
            ],
        ),
        (
            AdamStep { lr: 1e-2, weight_decay: 0.1, beta1: 0.8, beta2: 0.99, epsilon: 1e-6, ..step },
            [
                [
                    [0.490000099, -1.24000001, 1.99000001, -0.00899999496, -2.99000001],
                    [0.0208060481, -0.241120934, 0.0400108062, 0.324201435, -0.0600000024],
                    [0.000108222899, 0.0145348255, 0.000400216144, 0.0262766387, 0.000900000043],
                ],
                [
                    [0.448462188, -1.24715292, 1.90032458, 0.00599294715, -2.90021443],
                    [0.0183831695, 0.354795516, 0.172975436, -0.698899984, -0.262257785],
                    [0.000571681012, 0.186773971, 0.00365195703, 0.432369888, 0.00834574737],
                ],
            ],
        ),
        (
            AdamStep { lr: 1e-2, weight_decay: 0.1, decoupled: true, ..step },
            [
                [[0.489500016, -1.23874998, 1.98800182, -0.00900099985, -2.99699998], moments_1[0], moments_1[1]],
                [[0.499731064, -1.24226499, 1.98479855, 0.00569861056, -2.97013521], moments_10[0], moments_10[1]],
            ],
        ),
    ]
}

#[test]
fn adam_is_torch_adam() {
    for (settings, golden) in golden() {
        let (mut params, mut m, mut v) = (PARAMS, [0.0; 5], [0.0; 5]);
        for step in 1..=10 {
            let grads = GRADS.map(|g| g * (step as f32).cos());
            optim::adam(&AdamStep { step, ..settings }, &mut params, &grads, &mut m, &mut v);
            let expected = match step {
                1 => &golden[0],
                10 => &golden[1],
                _ => continue,
            };
            for (got, expected) in [params, m, v].iter().zip(expected) {
                for (got, expected) in got.iter().zip(expected) {
                    let bound = 2e-6 * expected.abs() + 1e-9;
                    assert!((got - expected).abs() <= bound, "{settings:?} step {step}: {got} {expected}");
                }
            }
        }
    }
}

#[test]
fn sum_of_squares_scaling_and_blending() {
    for len in [0, 1, 5, 16, 17, 1000, 300_001] {
        let x = values(1, len);
        let expected: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let got = optim::sum_of_squares(&x);
        assert!((got - expected).abs() <= 1e-12 * expected, "{len}: {got} {expected}");
        let mut y = x.clone();
        optim::scale_in_place(&mut y, 0.5);
        assert!(y.iter().zip(&x).all(|(y, x)| *y == x * 0.5));
        let from = values(2, len);
        optim::blend(&mut y, &from, 0.25);
        for ((y, x), from) in y.iter().zip(&x).zip(&from) {
            let expected = 0.75 * 0.5 * f64::from(*x) + 0.25 * f64::from(*from);
            assert!((f64::from(*y) - expected).abs() < 1e-6, "{len}: {y} {expected}");
        }
    }
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let (params, grads) = (values(1, 100_001), values(2, 100_001));
    assert_same_bits("adam", || {
        let (mut p, mut m, mut v) = (params.clone(), vec![0.0; params.len()], vec![0.0; params.len()]);
        let (settings, _) = golden()[1];
        optim::adam(&AdamStep { step: 1, ..settings }, &mut p, &grads, &mut m, &mut v);
        // All 64 bits of the sum, as two halves that f32 holds.
        let bits = optim::sum_of_squares(&params).to_bits();
        let halves = [24, 12, 0].map(|shift| (bits >> shift & 0xfff) as f32);
        [p, m, v, halves.to_vec(), vec![(bits >> 36) as f32]].concat()
    });
}
