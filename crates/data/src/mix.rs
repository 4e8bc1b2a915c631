//! Two films of a step in one, pixels and targets: mixup and CutMix.

use rand::Rng;

use crate::random::{keyed, unit};

/// How the films of a step are mixed with each other: as timm's `Mixup` in its mode `batch`, in which all films of a step are
/// mixed in one way, each with the one that is as far from the other end.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mixing {
    /// Parameter of the Beta distribution that [mixup](https://arxiv.org/abs/1710.09412)'s proportion comes from; 0 is off.
    pub mixup: f64,
    /// The same of [CutMix](https://arxiv.org/abs/1905.04899). Where both are on, one of the two is drawn.
    pub cutmix: f64,
}

/// How the films of one step are mixed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mixed {
    /// Every film is left as it is.
    Apart,
    /// A film's own part of each pixel.
    Blend(f64),
    /// The square's left, top, right and bottom pixel, each exclusive at its end, of what comes from the other film.
    Patch([usize; 4]),
}

impl Mixing {
    /// How the films of a key are mixed, which are squares of `side` pixels.
    pub fn draw(&self, key: [u64; 4], side: usize) -> Mixed {
        let mut rng = keyed(key);
        let heads = unit(&mut rng) < 0.5;
        let cut = self.cutmix > 0.0 && (self.mixup <= 0.0 || heads);
        match (cut, self.mixup > 0.0) {
            (true, _) => Mixed::Patch(patch(&mut rng, self.cutmix, side)),
            (false, true) => Mixed::Blend(beta(&mut rng, self.mixup)),
            (false, false) => Mixed::Apart,
        }
    }
}

/// The rectangle of CutMix: its sides are of the square's in proportion, its middle is anywhere, what sticks out is cut off.
fn patch(rng: &mut impl Rng, alpha: f64, side: usize) -> [usize; 4] {
    let ratio = (1.0 - beta(rng, alpha)).max(0.0).sqrt();
    let half = (ratio * side as f64) as usize / 2;
    let mut ends = || {
        let middle = crate::random::below(rng, side);
        (middle.saturating_sub(half), (middle + half).min(side))
    };
    let ((left, right), (top, bottom)) = (ends(), ends());
    [left, top, right, bottom]
}

impl Mixed {
    /// A film's own part in it, which is the part of its targets too.
    pub fn own(&self, side: usize) -> f64 {
        match self {
            Mixed::Apart => 1.0,
            Mixed::Blend(own) => *own,
            Mixed::Patch([left, top, right, bottom]) => {
                1.0 - ((right - left) * (bottom - top)) as f64 / (side * side).max(1) as f64
            }
        }
    }

    /// Mixes films of `film_len` values that lie end to end, squares of `side` pixels.
    pub fn apply(&self, pixels: &mut [u8], film_len: usize, side: usize) {
        let films = pixels.len() / film_len.max(1);
        for i in 0..films / 2 {
            let (before, after) = pixels.split_at_mut((films - 1 - i) * film_len);
            let (a, b) = (&mut before[i * film_len..][..film_len], &mut after[..film_len]);
            match *self {
                Mixed::Apart => {}
                Mixed::Blend(own) => {
                    let own = own as f32;
                    for (a, b) in a.iter_mut().zip(b) {
                        let (x, y) = (f32::from(*a), f32::from(*b));
                        (*a, *b) = ((y + own * (x - y) + 0.5) as u8, (x + own * (y - x) + 0.5) as u8);
                    }
                }
                Mixed::Patch([left, top, right, bottom]) => {
                    let channels = film_len / (side * side).max(1);
                    for y in top..bottom {
                        let row = (y * side + left) * channels..(y * side + right) * channels;
                        a[row.clone()].swap_with_slice(&mut b[row]);
                    }
                }
            }
        }
    }
}

/// A number of Beta(alpha, alpha).
fn beta(rng: &mut impl Rng, alpha: f64) -> f64 {
    let (x, y) = (gamma(rng, alpha), gamma(rng, alpha));
    // Both round to nothing where alpha is tiny: then one end is as likely as the other.
    if x + y > 0.0 { x / (x + y) } else { f64::from(u8::from(unit(rng) < 0.5)) }
}

/// A number of the Gamma distribution of this shape (Marsaglia and Tsang, ACM Transactions on Mathematical Software 26, 2000).
fn gamma(rng: &mut impl Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        return gamma(rng, shape + 1.0) * (1.0 - unit(rng)).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - unit(rng)).ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
            return d * v;
        }
    }
}

/// A number of the standard normal distribution (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportions_have_the_moments_of_the_beta_distribution() {
        for alpha in [0.05, 0.2, 0.8, 1.0, 4.0] {
            let draw = |i| match (Mixing { mixup: alpha, cutmix: 0.0 }).draw([1, 2, 3, i], 224) {
                Mixed::Blend(own) => own,
                mixed => panic!("{mixed:?}"),
            };
            let values: Vec<f64> = (0..20_000).map(draw).collect();
            assert!(values.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = values.iter().sum::<f64>() / 20_000.0;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!(
                (mean - 0.5).abs() < 0.015 && (variance / expected - 1.0).abs() < 0.05,
                "{alpha}: {mean} {variance}"
            );
        }
    }

    #[test]
    fn patches_have_the_area_that_their_targets_say() {
        let mixing = Mixing { mixup: 0.0, cutmix: 1.0 };
        let mut own = 0.0;
        for i in 0..2000 {
            let mixed = mixing.draw([1, 2, 3, i], 40);
            let mut pixels = [vec![10; 1600], vec![20; 1600], vec![30; 1600]].concat();
            mixed.apply(&mut pixels, 1600, 40);
            let kept = pixels[..1600].iter().filter(|x| **x == 10).count();
            assert!((kept as f64 / 1600.0 - mixed.own(40)).abs() < 1e-12);
            assert_eq!(pixels[3200..].iter().filter(|x| **x == 30).count(), kept, "the two change places");
            assert!(pixels[1600..3200].iter().all(|x| *x == 20), "the one in the middle is its own partner");
            own += mixed.own(40) / 2000.0;
        }
        // One half, and more for what sticks out.
        assert!((0.5..0.75).contains(&own), "{own}");
    }

    #[test]
    fn blends_are_rounded_once_and_on_three_channels_too() {
        let mut pixels = vec![0, 100, 255, 255, 0, 7];
        Mixed::Blend(0.75).apply(&mut pixels, 3, 1);
        assert_eq!(pixels, [64, 75, 193, 191, 25, 69]);
        let mut pixels = vec![1, 2, 3, 4, 5, 6];
        Mixed::Patch([0, 0, 1, 1]).apply(&mut pixels, 3, 1);
        assert_eq!(pixels, [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn both_take_turns_and_none_leaves_films_apart() {
        let both = Mixing { mixup: 0.4, cutmix: 1.0 };
        let blends = (0..1000).filter(|&i| matches!(both.draw([9, 9, 9, i], 32), Mixed::Blend(_))).count();
        assert!((430..570).contains(&blends), "{blends}");
        assert_eq!(Mixing::default().draw([9, 9, 9, 1], 32), Mixed::Apart);
        assert_eq!(Mixed::Apart.own(32), 1.0);
    }
}
