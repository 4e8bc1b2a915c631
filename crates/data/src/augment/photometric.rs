//! What is done to a film's values where they are.

use rand::Rng;

use crate::decode::{Channels, Image};
use crate::random::keyed;
use crate::vector::vectorised;

/// Adds `amount` times the difference from a blurred film (a binomial kernel of five pixels each way, which is a Gaussian
/// of a standard deviation of one pixel; the film's border is repeated).
pub fn unsharp(image: &mut Image, amount: f32) {
    let (stride, channels) = (image.stride(), image.channels.count());
    if stride == 0 {
        return;
    }
    let mut across = vec![0_u16; image.pixels.len()];
    vectorised(
        #[inline(always)]
        || {
            let mut wide = vec![0_u16; stride + 4 * channels];
            for (row, out) in image.pixels.chunks_exact(stride).zip(across.chunks_exact_mut(stride)) {
                for (wide, pixel) in wide[2 * channels..].iter_mut().zip(row) {
                    *wide = u16::from(*pixel);
                }
                for c in 0..channels {
                    let (first, last) = (u16::from(row[c]), u16::from(row[stride - channels + c]));
                    for i in 0..2 {
                        wide[i * channels + c] = first;
                        wide[stride + (2 + i) * channels + c] = last;
                    }
                }
                let shifted = |by: usize| &wide[by * channels..][..stride];
                let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(shifted);
                for (i, out) in out.iter_mut().enumerate() {
                    *out = a[i] + e[i] + 4 * (b[i] + d[i]) + 6 * c[i];
                }
            }
        },
    );
    let height = image.height;
    vectorised(
        #[inline(always)]
        || {
            for (y, pixels) in image.pixels.chunks_exact_mut(stride).enumerate() {
                let row = |by: usize| &across[(y + by).saturating_sub(2).min(height - 1) * stride..][..stride];
                let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(row);
                for (i, pixel) in pixels.iter_mut().enumerate() {
                    // At most 255 * 256, which 16 bits hold.
                    let blurred = f32::from(a[i] + e[i] + 4 * (b[i] + d[i]) + 6 * c[i]) / 256.0;
                    let value = f32::from(*pixel);
                    *pixel = level(value + amount * (value - blurred));
                }
            }
        },
    );
}

/// Gamma, then contrast about the mean of what that gives, then brightness, and noise of a standard deviation in levels,
/// the same on all channels of a pixel. All of it in one pass, rounded once.
pub(super) fn tone(image: &mut Image, [gamma, contrast, brightness]: [f64; 3], (noise, key): (f64, [u64; 4])) {
    let plain = [gamma, contrast, brightness] == [1.0; 3];
    if plain && noise == 0.0 {
        return;
    }
    let mut counts = [0_u64; 256];
    image.pixels.iter().for_each(|value| counts[usize::from(*value)] += 1);
    let curved: [f64; 256] = std::array::from_fn(|level| (level as f64 / 255.0).powf(gamma));
    let sum: f64 = curved.iter().zip(counts).map(|(value, count)| value * count as f64).sum();
    let mean = sum / image.pixels.len().max(1) as f64;
    let table = curved.map(|value| (255.0 * brightness * (mean + contrast * (value - mean))) as f32);
    if noise == 0.0 {
        let table = table.map(level);
        image.pixels.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
        return;
    }
    let mut grain = vec![0; image.width * image.height * 2];
    let mut stream = keyed(key);
    stream.set_stream(1);
    stream.fill_bytes(&mut grain);
    let factor = noise as f32 / DEVIATION;
    match image.channels {
        Channels::Gray => grained::<1>(&mut image.pixels, &table, &grain, factor),
        Channels::Rgb => grained::<3>(&mut image.pixels, &table, &grain, factor),
    }
}

/// Pixels that are taken at a time, so that looking up, which vectors cannot, does not keep them from the rest.
const STRETCH: usize = 64;

/// The levels of a table, with the noise of two bytes a pixel.
fn grained<const C: usize>(pixels: &mut [u8], table: &[f32; 256], grain: &[u8], factor: f32) {
    vectorised(
        #[inline(always)]
        || {
            let pixels = pixels.as_chunks_mut::<C>().0.chunks_mut(STRETCH);
            let mut values = [[0.0_f32; C]; STRETCH];
            let mut noise = [0.0_f32; STRETCH];
            for (pixels, grain) in pixels.zip(grain.as_chunks::<2>().0.chunks(STRETCH)) {
                for (values, pixel) in values.iter_mut().zip(&*pixels) {
                    for (to, value) in values.iter_mut().zip(pixel) {
                        *to = table[usize::from(*value)];
                    }
                }
                for (noise, bytes) in noise.iter_mut().zip(grain) {
                    let word = u16::from_le_bytes(*bytes);
                    let pairs = (word & 0x0f0f) + (word >> 4 & 0x0f0f);
                    *noise = factor * f32::from((pairs & 0xff) as i16 + (pairs >> 8) as i16 - 30);
                }
                for ((pixel, values), noise) in pixels.iter_mut().zip(&values).zip(&noise) {
                    for (to, value) in pixel.iter_mut().zip(values) {
                        *to = level(value + noise);
                    }
                }
            }
        },
    );
}

/// Standard deviation of the sum of four numbers of four bits, which is close to normal: `sqrt(4 * (16^2 - 1) / 12)`.
const DEVIATION: f32 = 9.219_544;

/// Makes a part black: left, top, width and height, of the sides.
pub(super) fn erase(image: &mut Image, [left, top, width, height]: [f64; 4]) {
    let (stride, channels) = (image.stride(), image.channels.count());
    let place = |part: f64, side: usize| ((part * side as f64).round() as usize).min(side);
    let columns = place(left, image.width) * channels..place(left + width, image.width) * channels;
    let rows = place(top, image.height)..place(top + height, image.height);
    for row in image.pixels.chunks_exact_mut(stride.max(1)).take(rows.end).skip(rows.start) {
        row[columns.clone()].fill(0);
    }
}

/// The nearest level.
#[inline(always)]
fn level(value: f32) -> u8 {
    // Truncation of a value that is not negative, plus a half, rounds; the conversion keeps within 0..=255.
    (value + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_deviation_that_is_asked_for_and_is_the_same_on_all_channels() {
        let mut gray = Image::black(200, 200, Channels::Gray);
        gray.pixels.fill(128);
        let mut rgb = Image::black(200, 200, Channels::Rgb);
        rgb.pixels.fill(128);
        for image in [&mut gray, &mut rgb] {
            tone(image, [1.0; 3], (6.0, [1, 2, 3, 4]));
        }
        assert!(rgb.pixels.as_chunks::<3>().0.iter().zip(&gray.pixels).all(|(colours, level)| *colours == [*level; 3]));
        let values: Vec<f64> = gray.pixels.iter().map(|level| f64::from(*level) - 128.0).collect();
        let moment = |power| values.iter().map(|x| x.powi(power)).sum::<f64>() / values.len() as f64;
        let variance = moment(2);
        assert!(moment(1).abs() < 0.1 && (variance.sqrt() - 6.0).abs() < 0.1, "{} {}", moment(1), variance.sqrt());
        // 3 of a normal distribution, 1.8 of a uniform one.
        let kurtosis = moment(4) / (variance * variance);
        assert!((2.6..3.1).contains(&kurtosis), "{kurtosis}");
        let mut other = Image { pixels: vec![128; 200 * 200], ..gray.clone() };
        tone(&mut other, [1.0; 3], (6.0, [1, 2, 3, 5]));
        assert_ne!(other, gray);
    }
}
