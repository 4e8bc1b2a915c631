//! The distributions behind intervals and tests: normal, Student's t, beta and binomial.

use std::f64::consts::{PI, SQRT_2};

/// Of a standard normal variable: how likely it is to lie above `z`. Exact far out, where `1 - cdf` would be 0.
pub(crate) fn normal_above(z: f64) -> f64 {
    libm::erfc(z / SQRT_2) / 2.0
}

/// How likely a standard normal variable is to lie as far from 0 as `z`, on either side.
pub(crate) fn normal_two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / SQRT_2)
}

/// The value below which a standard normal variable lies with probability `p`, which is in (0, 1).
///
/// From Hastings' approximation (Abramowitz and Stegun 26.2.23, within 4.5e-4) Halley's steps on the error function,
/// each of which triples the digits.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    let tail = p.min(1.0 - p);
    let t = (-2.0 * tail.ln()).sqrt();
    let mut x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for _ in 0..3 {
        let step = (normal_above(x) - tail) / ((-x * x / 2.0).exp() / (2.0 * PI).sqrt());
        x += step / (1.0 - step * x / 2.0);
    }
    if p < 0.5 { -x } else { x }
}

/// The value that Student's t of `freedom` degrees exceeds in absolute value with probability `alpha`; the normal
/// quantile where `freedom` is infinite.
pub(crate) fn t_two_sided_quantile(alpha: f64, freedom: f64) -> f64 {
    if freedom.is_infinite() {
        return normal_quantile(1.0 - alpha / 2.0);
    }
    // t² / (freedom + t²) has the beta distribution of (1/2, freedom/2). Of that and its complement, the one that is
    // not near 1.
    let odds = if freedom > 30.0 {
        let share = beta_quantile(1.0 - alpha, 0.5, freedom / 2.0);
        share / (1.0 - share)
    } else {
        let share = beta_quantile(alpha, freedom / 2.0, 0.5);
        (1.0 - share) / share
    };
    (freedom * odds).sqrt()
}

/// How likely Student's t of `freedom` degrees is to lie as far from 0 as `t`, on either side.
pub(crate) fn t_two_sided(t: f64, freedom: f64) -> f64 {
    if freedom.is_infinite() {
        return normal_two_sided(t);
    }
    beta_cdf(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// How likely at most `successes` of `trials` are, each of which succeeds with probability 1/2.
pub(crate) fn fair_binomial_cdf(successes: u64, trials: u64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    beta_cdf(0.5, (trials - successes) as f64, successes as f64 + 1.0)
}

/// How likely exactly `successes` of `trials` are, each of which succeeds with probability 1/2.
pub(crate) fn fair_binomial(successes: u64, trials: u64) -> f64 {
    if successes == 0 || successes == trials {
        return 0.5_f64.powf(trials as f64);
    }
    power_term(successes as f64, (trials - successes) as f64, 0.5)
}

/// The value below which a variable with the beta distribution of (`a`, `b`), both above 0, lies with probability `p`
/// in (0, 1). Exact to some 1e-13 of the value where it is not near 1: ask for the complement, `(b, a)`, there.
pub(crate) fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    root(0.0, 1.0, a / (a + b), 0.0, |x| {
        (beta_cdf(x, a, b) - p, power_term(a, b, x) * (a / x) * (b / (1.0 - x)) / (a + b))
    })
}

/// Where an increasing function, of which `of` gives value and slope, is 0 between `low` and `high`: Newton's steps
/// from `start`, and a bisection wherever one would leave the bracket, until a step is below `tolerance` or rounding.
pub(crate) fn root(mut low: f64, mut high: f64, start: f64, tolerance: f64, of: impl Fn(f64) -> (f64, f64)) -> f64 {
    let mut x = start;
    // Some ten steps as a rule; a bisection alone is at its end after 1,100, at the smallest number there is.
    for _ in 0..1_200 {
        let (value, slope) = of(x);
        if value > 0.0 {
            high = x;
        } else {
            low = x;
        }
        let newton = x - value / slope;
        let next = if newton > low && newton < high { newton } else { low + (high - low) / 2.0 };
        if (next - x).abs() <= tolerance.max(4.0 * f64::EPSILON * x.abs()) {
            return next;
        }
        x = next;
    }
    x
}

/// How likely a variable with the beta distribution of (`a`, `b`), both above 0, is to lie below `x`: the regularised
/// incomplete beta function, by its continued fraction (Numerical Recipes, section 6.4; DLMF 8.17.22).
pub(crate) fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        1.0
    } else if x <= (a + 1.0) / (a + b + 2.0) {
        power_term(a, b, x) * b / (a + b) * continued_fraction(x, a, b)
    } else {
        1.0 - power_term(b, a, 1.0 - x) * a / (a + b) * continued_fraction(1.0 - x, b, a)
    }
}

/// Lentz's evaluation. Takes a number of steps of the order of `sqrt(max(a, b))`.
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    // What would divide by 0 becomes as good as 0.
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let (mut c, mut result) = (1.0, d);
    for m in 1..1_000_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        result *= d * c;
        if (d * c - 1.0).abs() <= 4.0 * f64::EPSILON {
            break;
        }
    }
    result
}

/// `x^a (1-x)^b Γ(a+b+1) / (Γ(a+1) Γ(b+1))`, the binomial probability of `a` successes and `b` failures where both are
/// whole.
///
/// By Loader's saddle-point expansion (2000, "Fast and Accurate Computation of Binomial Probabilities", which R's
/// `dbinom` is), since of logarithms of factorials of 10^6 only nine digits would be left.
fn power_term(a: f64, b: f64, x: f64) -> f64 {
    let n = a + b;
    let exponent =
        stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) - deviance(b, n * (1.0 - x));
    exponent.exp() * (n / (2.0 * PI * a * b)).sqrt()
}

/// `ln Γ(x+1)` minus what Stirling's formula says of it.
fn stirling_error(x: f64) -> f64 {
    if x < 16.0 {
        return libm::lgamma(x + 1.0) - (x + 0.5) * x.ln() + x - (2.0 * PI).ln() / 2.0;
    }
    let square = 1.0 / (x * x);
    (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0)))) / x
}

/// `x ln(x / mean) + mean - x`, without the cancellation where both are alike.
fn deviance(x: f64, mean: f64) -> f64 {
    if (x - mean).abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() + mean - x;
    }
    let ratio = (x - mean) / (x + mean);
    let (mut sum, mut term) = ((x - mean) * ratio, 2.0 * x * ratio);
    for odd in (3..).step_by(2) {
        term *= ratio * ratio;
        let next = sum + term / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}
