//! torchvision's `RandomRotation` and `RandomHorizontalFlip` on Pillow images, to the last bit: pixels are moved and not
//! mixed.

use std::ops::Range;

use crate::decode::{Channels, Image};

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
    let mut out = Image::black(width, height, image.channels);
    for (y, row) in out.pixels.chunks_exact_mut(image.stride().max(1)).enumerate() {
        let y = y as i64;
        let (x_of, y_of) = (Line { first: x0 + y * xy, step: xx }, Line { first: y0 + y * yy, step: yx });
        let (a, b) = (x_of.within(width), y_of.within(height));
        let columns = a.start.max(b.start)..a.end.min(b.end).min(width);
        match image.channels {
            Channels::Gray => sample::<1>(row, columns, image, (x_of, y_of)),
            Channels::Rgb => sample::<3>(row, columns, image, (x_of, y_of)),
        }
    }
    out
}

/// A coordinate along a row of the altered film, in 16.16 fixed point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// At column 0.
    pub first: i64,
    /// From one column to the next.
    pub step: i64,
}

impl Line {
    /// The columns at which it is a pixel of `0..size`.
    pub(super) fn within(self, size: usize) -> Range<usize> {
        let last = ((size as i64) << 16) - 1;
        let Self { first, step } = self;
        // `first + x * step` is in 0..=last.
        let (low, high) = match step {
            0 if (0..=last).contains(&first) => return 0..usize::MAX,
            0 => return 0..0,
            1.. => (div_ceil(-first, step), (last - first).div_euclid(step)),
            _ => (div_ceil(first - last, -step), first.div_euclid(-step)),
        };
        usize::try_from(low).unwrap_or(0)..usize::try_from(high + 1).unwrap_or(0)
    }
}

/// Rounded up; `b` is above 0.
fn div_ceil(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

/// Fills the given columns of a row with the pixels at two coordinates, both of them within the film there.
fn sample<const C: usize>(row: &mut [u8], columns: Range<usize>, from: &Image, (x_of, y_of): (Line, Line)) {
    let pixels = from.pixels.as_chunks::<C>().0;
    let row = row.as_chunks_mut::<C>().0;
    let start = columns.start as i64;
    let (mut x, mut y) = (x_of.first + start * x_of.step, y_of.first + start * y_of.step);
    // An empty range may begin after its end.
    for pixel in row.get_mut(columns).unwrap_or_default() {
        *pixel = pixels[(y >> 16) as usize * from.width + (x >> 16) as usize];
        x += x_of.step;
        y += y_of.step;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_within_the_film_where_each_of_its_columns_is() {
        const COLUMNS: usize = 40;
        for size in [1, 2, 7, 30] {
            for first in (-20..20).flat_map(|i| [-1, 0, 1].map(|by| i * 65536 * 3 + by)) {
                for step in [0, 1, 3, 65535, 65536, 61584, 22415, 131072] {
                    for step in [step, -step] {
                        let line = Line { first, step };
                        let inside = |x: &usize| (0..size as i64).contains(&((first + *x as i64 * step) >> 16));
                        let expected: Vec<usize> = (0..COLUMNS).filter(inside).collect();
                        let range = line.within(size);
                        let got: Vec<usize> = (range.start..range.end.min(COLUMNS)).collect();
                        assert_eq!(got, expected, "{line:?} of {size}");
                    }
                }
            }
        }
    }
}
