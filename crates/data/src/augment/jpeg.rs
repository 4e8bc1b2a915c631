//! What saving a film as JPEG and opening it again does to its pixels.

use crate::decode::jpeg::idct::{LANES, Tile, descaled, fixed, inverse, odd};
use crate::decode::{Channels, Image};
use crate::vector::{transpose_bytes, vectorised};

/// The tables of the standard (ITU-T T.81, K.1 and K.2), which quality 50 has.
const LUMINANCE: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, //
    12, 12, 14, 19, 26, 58, 60, 55, //
    14, 13, 16, 24, 40, 57, 69, 56, //
    14, 17, 22, 29, 51, 87, 80, 62, //
    18, 22, 37, 56, 68, 109, 103, 77, //
    24, 35, 55, 64, 81, 104, 113, 92, //
    49, 64, 78, 87, 103, 121, 120, 101, //
    72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMINANCE: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, //
    18, 21, 26, 66, 99, 99, 99, 99, //
    24, 26, 56, 99, 99, 99, 99, 99, //
    47, 66, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99, //
    99, 99, 99, 99, 99, 99, 99, 99,
];

/// A film as it is after it was saved as JPEG of a quality from 1 to 100 and opened again: cosine transform, quantisation
/// and the way back in libjpeg's own whole numbers (`jfdctint.c`, `jcdctmgr.c`, `jidctint.c`), for RGB in YCbCr whose
/// colours keep all their pixels. The same, to the last bit, as Pillow's `save(quality=.., subsampling=0)` and `open`.
pub fn requantise(image: &mut Image, quality: u8) {
    let quality = u32::from(quality.clamp(1, 100));
    // libjpeg's `jpeg_quality_scaling` and `jpeg_add_quant_table`.
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let scaled = |table: [u16; 64]| table.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as i32);
    let (width, height) = (image.width, image.height);
    match image.channels {
        Channels::Gray => requantise_plane(&mut image.pixels, (width, height), &scaled(LUMINANCE)),
        Channels::Rgb => {
            let mut planes = to_ycc(image.pixels.as_chunks().0);
            for (plane, table) in planes.iter_mut().zip([LUMINANCE, CHROMINANCE, CHROMINANCE]) {
                requantise_plane(plane, (width, height), &scaled(table));
            }
            to_rgb(&planes, image.pixels.as_chunks_mut().0);
        }
    }
}

fn requantise_plane(plane: &mut [u8], (width, height): (usize, usize), steps: &[i32; 64]) {
    let across = width.div_ceil(8);
    let blocks = across * height.div_ceil(8);
    vectorised(
        #[inline(always)]
        || {
            let mut tile = [[0; LANES]; 64];
            for first in (0..blocks).step_by(LANES) {
                // Lanes behind the last block repeat it, and are not written.
                let mut corners = [(0, 0); LANES];
                for (lane, corner) in corners.iter_mut().enumerate() {
                    let block = (first + lane).min(blocks - 1);
                    *corner = (block % across * 8, block / across * 8);
                }
                load(plane, (width, height), &corners, &mut tile);
                // Loops and no iterators with closures: those would be compiled apart, for lesser vectors.
                for y in 0..8 {
                    forward::<2, 11>(&mut tile, 8 * y, 1);
                }
                for x in 0..8 {
                    forward::<0, 15>(&mut tile, x, 8);
                }
                quantise(&mut tile, steps);
                for x in 0..8 {
                    inverse::<11>(&mut tile, x, 8);
                }
                for y in 0..8 {
                    inverse::<18>(&mut tile, 8 * y, 1);
                }
                store(&tile, &corners[..LANES.min(blocks - first)], plane, (width, height));
            }
        },
    );
}

/// Blocks as they lie in a film, about 0. Beyond its right and lower edge the last pixel is repeated.
#[inline(always)]
fn load(plane: &[u8], (width, height): (usize, usize), corners: &[(usize, usize); LANES], tile: &mut Tile) {
    for y in 0..8 {
        let mut words = [0; LANES];
        for (word, (left, top)) in words.iter_mut().zip(corners) {
            let row = &plane[(top + y).min(height - 1) * width..][..width];
            let mut pixels = [0; 8];
            if let Some(whole) = row[*left..].first_chunk() {
                pixels = *whole;
            } else {
                for (x, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = row[(left + x).min(width - 1)];
                }
            }
            *word = u64::from_le_bytes(pixels);
        }
        for (half, words) in words.as_chunks::<8>().0.iter().enumerate() {
            for (to, word) in tile[8 * y..][..8].iter_mut().zip(transpose_bytes(*words)) {
                for (to, pixel) in to[8 * half..][..8].iter_mut().zip(word.to_le_bytes()) {
                    *to = i32::from(pixel) - 128;
                }
            }
        }
    }
}

#[inline(always)]
fn store(tile: &Tile, corners: &[(usize, usize)], plane: &mut [u8], (width, height): (usize, usize)) {
    for y in 0..8 {
        let mut bytes = [[0_u8; LANES]; 8];
        for (bytes, values) in bytes.iter_mut().zip(&tile[8 * y..][..8]) {
            for (byte, value) in bytes.iter_mut().zip(values) {
                *byte = (value + 128).clamp(0, 255) as u8;
            }
        }
        for (half, corners) in corners.chunks(8).enumerate() {
            let mut words = [0; 8];
            for (word, lanes) in words.iter_mut().zip(&bytes) {
                *word = u64::from_le_bytes(lanes.as_chunks().0[half]);
            }
            for (word, (left, top)) in transpose_bytes(words).into_iter().zip(corners) {
                if top + y < height {
                    let row = &mut plane[(top + y) * width..][..width];
                    let pixels = &mut row[*left..width.min(left + 8)];
                    let count = pixels.len();
                    pixels.copy_from_slice(&word.to_le_bytes()[..count]);
                }
            }
        }
    }
}

/// Divided by eight times the step, as the forward transform leaves eight times its coefficients, rounded half away from
/// zero, and multiplied by the step.
#[inline(always)]
fn quantise(tile: &mut Tile, steps: &[i32; 64]) {
    for (values, step) in tile.iter_mut().zip(steps) {
        let (step, divisor) = (*step, step * 8);
        for value in values {
            // Whole numbers below 2^24, whose quotient in single floats is cut off where theirs is.
            let count = ((value.abs() + divisor / 2) as f32 / divisor as f32) as i32;
            *value = value.signum() * count * step;
        }
    }
}

/// One pass along eight values of every lane, `step` apart; the first of them
/// gain `EVEN` bits, or lose the two that they have where it is 0.
#[inline(always)]
fn forward<const EVEN: i32, const SHIFT: u32>(tile: &mut Tile, first: usize, step: usize) {
    use fixed::*;
    let mut v = [[0; LANES]; 8];
    for (k, v) in v.iter_mut().enumerate() {
        *v = tile[first + k * step];
    }
    let mut out = [[0; LANES]; 8];
    for l in 0..LANES {
        let (s0, s1, s2, s3) = (v[0][l] + v[7][l], v[1][l] + v[6][l], v[2][l] + v[5][l], v[3][l] + v[4][l]);
        let (s03, d03, s12, d12) = (s0 + s3, s0 - s3, s1 + s2, s1 - s2);
        out[0][l] = if EVEN > 0 { (s03 + s12) << EVEN } else { descaled::<2>(s03 + s12) };
        out[4][l] = if EVEN > 0 { (s03 - s12) << EVEN } else { descaled::<2>(s03 - s12) };
        let both = (d12 + d03) * C0_541;
        out[2][l] = descaled::<SHIFT>(both + d03 * C0_765);
        out[6][l] = descaled::<SHIFT>(both - d12 * C1_847);
        let odds = odd([v[3][l] - v[4][l], v[2][l] - v[5][l], v[1][l] - v[6][l], v[0][l] - v[7][l]]);
        out[7][l] = descaled::<SHIFT>(odds[0]);
        out[5][l] = descaled::<SHIFT>(odds[1]);
        out[3][l] = descaled::<SHIFT>(odds[2]);
        out[1][l] = descaled::<SHIFT>(odds[3]);
    }
    for (k, out) in out.iter().enumerate() {
        tile[first + k * step] = *out;
    }
}

/// Bits behind the binary point of the factors of colours.
const COLOUR: u32 = 16;
const HALF: i32 = 1 << (COLOUR - 1);

/// `jccolor.c`.
fn to_ycc(pixels: &[[u8; 3]]) -> [Vec<u8>; 3] {
    let mut planes = [(); 3].map(|()| vec![0; pixels.len()]);
    let [luma, blue, red] = &mut planes;
    vectorised(
        #[inline(always)]
        || {
            for (i, [r, g, b]) in pixels.iter().enumerate() {
                let (r, g, b) = (i32::from(*r), i32::from(*g), i32::from(*b));
                let middle = (128 << COLOUR) + HALF - 1;
                luma[i] = ((19595 * r + 38470 * g + 7471 * b + HALF) >> COLOUR) as u8;
                blue[i] = ((-11059 * r - 21709 * g + 32768 * b + middle) >> COLOUR) as u8;
                red[i] = ((32768 * r - 27439 * g - 5329 * b + middle) >> COLOUR) as u8;
            }
        },
    );
    planes
}

/// `jdcolor.c`.
fn to_rgb([luma, blue, red]: &[Vec<u8>; 3], pixels: &mut [[u8; 3]]) {
    vectorised(
        #[inline(always)]
        || {
            for (((pixel, y), cb), cr) in pixels.iter_mut().zip(luma).zip(blue).zip(red) {
                let (y, cb, cr) = (i32::from(*y), i32::from(*cb) - 128, i32::from(*cr) - 128);
                let r = y + ((91881 * cr + HALF) >> COLOUR);
                let g = y + ((-22554 * cb - 46802 * cr + HALF) >> COLOUR);
                let b = y + ((116130 * cb + HALF) >> COLOUR);
                *pixel = [r.clamp(0, 255) as u8, g.clamp(0, 255) as u8, b.clamp(0, 255) as u8];
            }
        },
    );
}
