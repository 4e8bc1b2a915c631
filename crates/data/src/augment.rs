//! Chance alterations of training films, keyed so that the same key gives the same film.

use serde::{Deserialize, Serialize};

use crate::decode::Image;
use crate::random::{between, keyed, unit};

/// The notebook's alterations, after the film is a square and in this order: torchvision's `RandomRotation(rotation)`
/// (nearest pixel, black corners, same size) and `RandomHorizontalFlip(flip)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// The angle is uniform in -rotation..rotation, in degrees.
    pub rotation: f64,
    /// Probability of a mirrored film.
    pub flip: f64,
}

/// What is done to one film.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alteration {
    /// Turned counter-clockwise by so many degrees.
    pub degrees: f64,
    /// Mirrored after that.
    pub mirrored: bool,
}

impl Augment {
    /// The alteration of a key: the angle is drawn first, then the flip, both always, so that neither depends on the
    /// other's setting.
    pub fn draw(&self, key: [u64; 4]) -> Alteration {
        let mut rng = keyed(key);
        let degrees = between(&mut rng, -self.rotation, self.rotation);
        Alteration { degrees, mirrored: unit(&mut rng) < self.flip }
    }

    /// Alters a film as [`Self::draw`] says.
    pub fn apply(&self, image: &mut Image, key: [u64; 4]) {
        let Alteration { degrees, mirrored } = self.draw(key);
        if degrees != 0.0 {
            *image = rotate(image, degrees);
        }
        if mirrored {
            mirror(image);
        }
    }
}

/// Turns a film counter-clockwise about its middle by `degrees`: Pillow's
/// `Image.rotate(degrees, NEAREST, expand=False, fillcolor=0)`, to the last bit (quarter turns of a square and half
/// turns move every pixel; all else is an affine map in 16.16 fixed point, `src/libImaging/Geometry.c`).
pub fn rotate(image: &Image, degrees: f64) -> Image {
    let (width, height) = (image.width, image.height);
    let degrees = degrees.rem_euclid(360.0);
    let (right, bottom) = (width.saturating_sub(1), height.saturating_sub(1));
    match degrees {
        0.0 => return image.clone(),
        180.0 => return gather(image, |x, y| Some((right - x, bottom - y))),
        90.0 if width == height => return gather(image, |x, y| Some((right - y, x))),
        270.0 if width == height => return gather(image, |x, y| Some((y, bottom - x))),
        _ => {}
    }

    let angle = -degrees.to_radians();
    let (cos, sin) = (round15(angle.cos()), round15(angle.sin()));
    let (middle_x, middle_y) = (width as f64 / 2.0, height as f64 / 2.0);
    let offset_x = cos * -middle_x + sin * -middle_y + middle_x;
    let offset_y = -sin * -middle_x + cos * -middle_y + middle_y;
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let (xx, xy, x0) = (fixed(cos), fixed(sin), fixed(offset_x + cos * 0.5 + sin * 0.5));
    let (yx, yy, y0) = (fixed(-sin), fixed(cos), fixed(offset_y - sin * 0.5 + cos * 0.5));
    gather(image, |x, y| {
        let (x, y) = (x as i64, y as i64);
        let from_x = usize::try_from((x0 + x * xx + y * xy) >> 16).ok().filter(|&from| from < width)?;
        let from_y = usize::try_from((y0 + x * yx + y * yy) >> 16).ok().filter(|&from| from < height)?;
        Some((from_x, from_y))
    })
}

/// Python's `round(value, 15)` for values in -1..=1: the nearest multiple of 1e-15.
fn round15(value: f64) -> f64 {
    // Formatting rounds the exact binary value correctly, as Python does; multiplying and dividing would not.
    format!("{value:.15}").parse().unwrap_or(value)
}

/// Swaps left and right: Pillow's `FLIP_LEFT_RIGHT`.
pub fn mirror(image: &mut Image) {
    let (stride, channels) = (image.stride(), image.channels.count());
    for row in image.pixels.chunks_exact_mut(stride.max(1)) {
        match channels {
            1 => row.reverse(),
            _ => row.as_chunks_mut::<3>().0.reverse(),
        }
    }
}

/// A film of the same size whose pixel (x, y) is the given one's at `from(x, y)`, or black.
fn gather(image: &Image, from: impl Fn(usize, usize) -> Option<(usize, usize)>) -> Image {
    let mut out = Image::black(image.width, image.height, image.channels);
    let channels = image.channels.count();
    let places = (0..image.height).flat_map(|y| (0..image.width).map(move |x| (x, y)));
    for ((x, y), pixel) in places.zip(out.pixels.chunks_exact_mut(channels)) {
        if let Some((x, y)) = from(x, y) {
            pixel.copy_from_slice(&image.pixels[(y * image.width + x) * channels..][..channels]);
        }
    }
    out
}
