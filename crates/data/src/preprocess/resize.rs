//! Pillow's `Image.resize(.., BILINEAR)`, which torchvision's `Resize` calls: a triangle filter as wide as the
//! reduction (antialias), horizontally and then vertically, in fixed point with 8-bit pixels in between. The result is
//! the same to the last bit (Pillow, `src/libImaging/Resample.c`).

use std::ops::Range;

use crate::decode::Image;

/// Bits after the binary point of a weight.
const PRECISION: u32 = 32 - 8 - 2;

/// Resizes to `width` by `height` pixels, both at least 1.
pub fn resize(image: Image, width: usize, height: usize) -> Image {
    resize_region(image, (width, 0..width), (height, 0..height))
}

/// The part of the resized film that lies in a range of columns and one of rows; each comes with the full size along
/// its axis. Nothing outside is computed, so a film of an extreme shape costs no more than its square.
pub(super) fn resize_region(
    mut image: Image,
    (width, columns): (usize, Range<usize>),
    (height, rows): (usize, Range<usize>),
) -> Image {
    let channels = image.channels.count();
    let vertical = Taps::new(image.height, height, rows);
    if width != image.width || columns != (0..width) {
        let taps = Taps::new(image.width, width, columns);
        let (from, to) = (image.stride(), taps.spans.len() * channels);
        let mut pixels = vec![0; image.height * to];
        let needed = vertical.input();
        let rows = image.pixels.chunks_exact(from).zip(pixels.chunks_exact_mut(to));
        for (row, out) in rows.skip(needed.start).take(needed.len()) {
            match channels {
                1 => horizontal::<1>(row, out, &taps),
                _ => horizontal::<3>(row, out, &taps),
            }
        }
        image = Image { width: taps.spans.len(), pixels, ..image };
    }
    if height != image.height || vertical.spans.len() != height {
        let stride = image.stride();
        let mut pixels = vec![0; vertical.spans.len() * stride];
        let mut sums = vec![0; stride];
        for (tap, out) in vertical.spans.iter().zip(pixels.chunks_exact_mut(stride)) {
            sums.fill(1 << (PRECISION - 1));
            let rows = image.pixels[tap.first * stride..].chunks_exact(stride);
            for (row, &weight) in rows.zip(vertical.weights(tap)) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = clip(sum);
            }
        }
        image = Image { height: vertical.spans.len(), pixels, ..image };
    }
    image
}

fn horizontal<const C: usize>(row: &[u8], out: &mut [u8], taps: &Taps) {
    let row = row.as_chunks::<C>().0;
    for (tap, out) in taps.spans.iter().zip(out.as_chunks_mut::<C>().0) {
        let weights = taps.weights(tap);
        let mut sums = [1 << (PRECISION - 1); C];
        for (pixel, &weight) in row[tap.first..][..weights.len()].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) * weight;
            }
        }
        *out = sums.map(clip);
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The input pixels behind each output pixel along one axis.
struct Taps {
    spans: Vec<Span>,
    weights: Vec<i32>,
}

struct Span {
    /// First input pixel.
    first: usize,
    /// Its weights, in [`Taps::weights`].
    start: usize,
    len: usize,
}

impl Taps {
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow, for the whole of the input and a range of the output.
    fn new(from: usize, to: usize, outputs: Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let mut taps = Self { spans: Vec::with_capacity(outputs.len()), weights: Vec::new() };
        let mut exact: Vec<f64> = Vec::new();
        for i in outputs {
            let center = (i as f64 + 0.5) * scale;
            // Conversions of negative numbers to usize give 0, as Pillow's clamping does.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            exact.clear();
            exact.extend((first..end).map(|x| {
                let distance = (x as f64 - center + 0.5) * (1.0 / support);
                (1.0 - distance.abs()).max(0.0)
            }));
            let total: f64 = exact.iter().sum();
            let unit = f64::from(1 << PRECISION);
            taps.spans.push(Span { first, start: taps.weights.len(), len: exact.len() });
            taps.weights.extend(exact.iter().map(|weight| (0.5 + weight / total * unit) as i32));
        }
        taps
    }

    /// The input pixels that any output needs.
    fn input(&self) -> Range<usize> {
        let first = self.spans.first().map_or(0, |span| span.first);
        first..self.spans.last().map_or(first, |span| span.first + span.len)
    }

    fn weights(&self, span: &Span) -> &[i32] {
        &self.weights[span.start..][..span.len]
    }
}
