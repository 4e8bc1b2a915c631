//! Ten numbers of an image in which no lung is looked at: how sharp, how contrasty, how dark it is. Where they tell the
//! classes apart, a network can do so without learning what the classes are.

use std::sync::{Arc, LazyLock};

use rustfft::algorithm::GoodThomasAlgorithmSmall;
use rustfft::algorithm::butterflies::{Butterfly7, Butterfly32};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection};

use crate::decode::{Channels, Image};
use crate::preprocess::resize;

/// Side of the square that they are taken of, pixels.
const SIDE: usize = 224;
/// Side of the blocks of JPEG, pixels.
const BLOCK: usize = 8;
/// Gray below which a pixel is dark, and above which it is burnt out.
const DARK: u8 = 10;
const BURNT_OUT: u8 = 245;
/// So that no number is divided by zero.
const TINY: f64 = 1e-9;

/// How many there are.
pub const STATISTICS: usize = 10;
/// What they are called, in the order of [`statistics`].
pub const STATISTIC_NAMES: [&str; STATISTICS] = [
    "sharpness",
    "sharpness by contrast",
    "share of dark pixels",
    "share of burnt-out pixels",
    "contrast",
    "contrast of coarse structures",
    "high frequencies",
    "middle frequencies",
    "traces of JPEG blocks",
    "brightness",
];

/// The ten numbers of a film, which is made a gray square of 224 pixels first (Pillow's bilinear `resize`):
///
/// 0. the mean of the absolute value of the Laplacian, in gray levels;
/// 1. the same by the standard deviation;
/// 2. the share of pixels below 10, 3. above 245;
/// 4. the standard deviation, 5. that of the means of blocks of 8 by 8 pixels;
/// 6. the mean amplitude of frequencies above 80 periods a side, 7. of those from 30 to 60, both by that of those below 20;
/// 8. steps between neighbours at the edges of JPEG's blocks by all steps along the rows;
/// 9. the mean.
///
/// ```
/// use lungfish_data::{Channels, Image, statistics};
/// let numbers = statistics(&Image { width: 8, height: 8, channels: Channels::Gray, pixels: vec![250; 64] });
/// assert_eq!((numbers[2], numbers[3], numbers[9]), (0.0, 1.0, 250.0));
/// ```
pub fn statistics(film: &Image) -> [f64; STATISTICS] {
    let gray = film.clone().into_channels(Channels::Gray);
    let square = if (gray.width, gray.height) == (SIDE, SIDE) { gray } else { resize(gray, SIDE, SIDE) };
    let pixels = &square.pixels;
    let at = |x: usize, y: usize| f64::from(pixels[y * SIDE + x]);
    let count = (SIDE * SIDE) as f64;

    let mean = pixels.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let contrast = (pixels.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count).sqrt();
    let share = |of: &dyn Fn(u8) -> bool| pixels.iter().filter(|v| of(**v)).count() as f64 / count;

    let inside = || (1..SIDE - 1).flat_map(|y| (1..SIDE - 1).map(move |x| (x, y)));
    let laplacian =
        |(x, y): (usize, usize)| (4.0 * at(x, y) - at(x, y - 1) - at(x, y + 1) - at(x - 1, y) - at(x + 1, y)).abs();
    let sharpness = inside().map(laplacian).sum::<f64>() / ((SIDE - 2) * (SIDE - 2)) as f64;

    let (mut steps, mut at_edges) = (0.0, 0.0);
    for y in 0..SIDE {
        for x in 1..SIDE {
            let step = (at(x, y) - at(x - 1, y)).abs();
            steps += step;
            at_edges += if x % BLOCK == 0 { step } else { 0.0 };
        }
    }
    let steps = steps / (SIDE * (SIDE - 1)) as f64;
    let at_edges = at_edges / (SIDE * (SIDE / BLOCK - 1)) as f64;

    let [low, middle, high] = amplitudes(pixels, mean);
    [
        sharpness,
        sharpness / (contrast + TINY),
        share(&|v| v < DARK),
        share(&|v| v > BURNT_OUT),
        contrast,
        coarse_contrast(&at),
        high / (low + TINY),
        middle / (low + TINY),
        at_edges / (steps + TINY),
        mean,
    ]
}

/// The standard deviation of the means of blocks.
fn coarse_contrast(at: &dyn Fn(usize, usize) -> f64) -> f64 {
    let blocks = SIDE / BLOCK;
    let block = |index: usize| {
        let (left, top) = (index % blocks * BLOCK, index / blocks * BLOCK);
        let pixels = (0..BLOCK * BLOCK).map(|i| at(left + i % BLOCK, top + i / BLOCK));
        pixels.sum::<f64>() / (BLOCK * BLOCK) as f64
    };
    let means: Vec<f64> = (0..blocks * blocks).map(block).collect();
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    (means.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / means.len() as f64).sqrt()
}

/// The mean amplitude of low, middle and high frequencies.
fn amplitudes(pixels: &[u8], mean: f64) -> [f64; 3] {
    // 224 is 7 times 32. To let rustfft find that out would take the code for all other lengths along.
    static TRANSFORM: LazyLock<GoodThomasAlgorithmSmall<f64>> = LazyLock::new(|| {
        let (seven, thirty_two) = (Butterfly7::new(FftDirection::Forward), Butterfly32::new(FftDirection::Forward));
        GoodThomasAlgorithmSmall::new(Arc::new(seven), Arc::new(thirty_two))
    });
    let mut values: Vec<Complex<f64>> = pixels.iter().map(|v| Complex::new(f64::from(*v) - mean, 0.0)).collect();
    // Row by row, then column by column, which are rows once it is turned over.
    TRANSFORM.process(&mut values);
    let mut turned: Vec<Complex<f64>> = (0..SIDE * SIDE).map(|i| values[i % SIDE * SIDE + i / SIDE]).collect();
    TRANSFORM.process(&mut turned);
    let frequency = |index: usize| if index < SIDE / 2 { index as f64 } else { SIDE as f64 - index as f64 };
    let (mut sums, mut counts) = ([0.0; 3], [0_u32; 3]);
    for (i, value) in turned.iter().enumerate() {
        let radius = frequency(i % SIDE).hypot(frequency(i / SIDE));
        let band = match radius {
            _ if radius < 20.0 => 0,
            _ if radius > 30.0 && radius < 60.0 => 1,
            _ if radius > 80.0 => 2,
            _ => continue,
        };
        sums[band] += value.norm();
        counts[band] += 1;
    }
    [0, 1, 2].map(|band| sums[band] / f64::from(counts[band]))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::decode::decode;

    #[test]
    fn the_numbers_are_numpys() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/");
        let golden: Value = serde_json::from_str(include_str!("../../../golden/audit/statistics.json")).unwrap();
        let films = golden.as_object().unwrap();
        assert!(films.len() >= 5);
        for (name, expected) in films {
            let bytes = std::fs::read(format!("{root}data/files/{name}")).unwrap();
            let numbers = statistics(&decode(&bytes, Channels::Gray).unwrap());
            for ((number, expected), what) in numbers.iter().zip(expected.as_array().unwrap()).zip(STATISTIC_NAMES) {
                let expected = expected.as_f64().unwrap();
                assert!(
                    (number - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                    "{name}, {what}: {number}, {expected}"
                );
            }
        }
    }

    #[test]
    fn an_even_film_has_numbers_too() {
        for gray in [0, 128, 255] {
            let film = Image { width: 3, height: 5, channels: Channels::Gray, pixels: vec![gray; 15] };
            let numbers = statistics(&film);
            assert!(numbers.iter().all(|number| number.is_finite()), "{numbers:?}");
            assert_eq!((numbers[0], numbers[4], numbers[9]), (0.0, 0.0, f64::from(gray)));
        }
    }
}
