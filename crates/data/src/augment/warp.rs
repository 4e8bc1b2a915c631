//! Rotation, zoom, stretching, shift and mirroring in one resampling.

use super::Interpolation;
use super::rotate::Line;
use crate::decode::{Channels, Image};

/// Where the pixels of an altered film come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Turned counter-clockwise by so many degrees.
    pub degrees: f64,
    /// Width and height of the part that is seen, of the film's sides; below 1 enlarges.
    pub scale: [f64; 2],
    /// Where the middle of that part lies, right and down of the film's, of the sides.
    pub shift: [f64; 2],
    /// Left and right changed in what comes of it.
    pub mirrored: bool,
}

/// Bits of a place between two pixels: two of them and eight of a value fit 31.
const FRACTION: u32 = 11;

/// Resamples a film about its middle, black around it: Pillow's `Image.transform(size, AFFINE, .., BILINEAR or NEAREST)`
/// with the film's border as black pixels, in fixed point; bilinear values are within one level.
pub fn warp(image: &Image, affine: &Affine, interpolation: Interpolation) -> Image {
    match image.channels {
        Channels::Gray => warp_of::<1>(image, affine, interpolation),
        Channels::Rgb => warp_of::<3>(image, affine, interpolation),
    }
}

fn warp_of<const C: usize>(image: &Image, affine: &Affine, interpolation: Interpolation) -> Image {
    let (width, height) = (image.width, image.height);
    let (sin, cos) = (-affine.degrees.to_radians()).sin_cos();
    let [across, down] = affine.scale;
    // From a column and a row of what comes of it to a place in the film, both from the middle.
    let flip = if affine.mirrored { -1.0 } else { 1.0 };
    let (xx, xy, yx, yy) = (flip * cos * across, sin * down, flip * -sin * across, cos * down);
    let (middle_x, middle_y) = (width as f64 / 2.0, height as f64 / 2.0);
    // The middle of pixel 0 is at 0.5; a bilinear place counts from there, and the frame of black is one pixel wide.
    let from_corner = match interpolation {
        Interpolation::Nearest => 1.0,
        Interpolation::Bilinear => 0.5,
    };
    let x0 = middle_x + affine.shift[0] * width as f64 + from_corner;
    let y0 = middle_y + affine.shift[1] * height as f64 + from_corner;
    let fixed = |value: f64| (value * 65536.0).round() as i64;
    let framed = frame::<C>(image);
    let framed_pixels = framed.as_chunks::<C>().0;
    let framed_width = width + 2;

    let mut out = Image::black(width, height, image.channels);
    for (row, pixels) in out.pixels.chunks_exact_mut((width * C).max(1)).enumerate() {
        let (u, v) = (0.5 - middle_x, row as f64 + 0.5 - middle_y);
        let x = Line { first: fixed(x0 + xx * u + xy * v), step: fixed(xx) };
        let y = Line { first: fixed(y0 + yx * u + yy * v), step: fixed(yx) };
        // Where both neighbours are in the frame or the film.
        let (a, b) = (x.within(width + 1), y.within(height + 1));
        let columns = a.start.max(b.start)..a.end.min(b.end).min(width);
        let first = columns.start as i64;
        let (mut px, mut py) = (x.first + first * x.step, y.first + first * y.step);
        for pixel in pixels.as_chunks_mut::<C>().0.get_mut(columns).unwrap_or_default() {
            let at = (py >> 16) as usize * framed_width + (px >> 16) as usize;
            *pixel = match interpolation {
                Interpolation::Nearest => framed_pixels[at],
                Interpolation::Bilinear => {
                    let part = |place: i64| ((place >> (16 - FRACTION)) & ((1 << FRACTION) - 1)) as u32;
                    let (right, below) = (part(px), part(py));
                    let (left, above) = ((1 << FRACTION) - right, (1 << FRACTION) - below);
                    let [top, bottom] = [at, at + framed_width].map(|at| [framed_pixels[at], framed_pixels[at + 1]]);
                    std::array::from_fn(|c| {
                        let mixed = |[a, b]: [[u8; C]; 2]| u32::from(a[c]) * left + u32::from(b[c]) * right;
                        let sum = mixed(top) * above + mixed(bottom) * below;
                        ((sum + (1 << (2 * FRACTION - 1))) >> (2 * FRACTION)) as u8
                    })
                }
            };
            px += x.step;
            py += y.step;
        }
    }
    out
}

/// The film with a frame of black, one pixel wide.
fn frame<const C: usize>(image: &Image) -> Vec<u8> {
    let stride = (image.width + 2) * C;
    let mut framed = vec![0; stride * (image.height + 2)];
    let rows = framed.chunks_exact_mut(stride).skip(1);
    for (to, from) in rows.zip(image.pixels.chunks_exact((image.width * C).max(1))) {
        to[C..][..from.len()].copy_from_slice(from);
    }
    framed
}
