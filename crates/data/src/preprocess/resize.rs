//! Pillow's `Image.resize(.., BILINEAR)`, which torchvision's `Resize` calls: a triangle filter as wide as the
//! reduction (antialias), along one axis and then the other, in fixed point with 8-bit pixels in between. The result is
//! the same to the last bit (Pillow 13, `src/libImaging/Resample.c`; before 13 the horizontal pass always came first,
//! which moves some pixels by one level).

use std::ops::Range;

use crate::decode::{Channels, Image};

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
    let (to_width, to_height) = (columns.len(), rows.len());
    // Pillow's choice: vertically first where the height loses more than twice what the width does.
    let loses = |from: usize, to: usize| from as i64 - to as i64;
    let vertical_first = height < image.height && loses(image.height, height) > 2 * loses(image.width, width);
    let mut horizontal = (width != image.width || to_width != width).then(|| Taps::new(image.width, width, columns));
    let mut vertical = (height != image.height || to_height != height).then(|| Taps::new(image.height, height, rows));
    // The first pass makes only what the second one needs.
    if vertical_first && let Some(vertical) = &vertical {
        let needed = horizontal.as_mut().map_or(0..image.width, Taps::rebase);
        image = resize_rows(&image, vertical, needed);
    }
    if let Some(horizontal) = &horizontal {
        let mut needed = 0..image.height;
        if !vertical_first && let Some(vertical) = &mut vertical {
            needed = vertical.rebase();
        }
        image = resize_columns(&image, horizontal, needed);
    }
    if !vertical_first && let Some(vertical) = &vertical {
        image = resize_rows(&image, vertical, 0..image.width);
    }
    image
}

/// Resizes the given rows, along them.
fn resize_columns(image: &Image, taps: &Taps, rows: Range<usize>) -> Image {
    let mut out = Image::black(taps.spans.len(), rows.len(), image.channels);
    let (from, to) = (image.stride(), out.stride());
    for (row, out) in image.pixels.chunks_exact(from).skip(rows.start).zip(out.pixels.chunks_exact_mut(to)) {
        match image.channels {
            Channels::Gray => resize_row::<1>(row, out, taps),
            Channels::Rgb => resize_row::<3>(row, out, taps),
        }
    }
    out
}

/// Resizes the given columns, along them.
fn resize_rows(image: &Image, taps: &Taps, columns: Range<usize>) -> Image {
    let mut out = Image::black(columns.len(), taps.spans.len(), image.channels);
    let (from, to, channels) = (image.stride(), out.stride(), image.channels.count());
    let bytes = columns.start * channels..columns.end * channels;
    let mut sums = vec![0; to];
    for (tap, out) in taps.spans.iter().zip(out.pixels.chunks_exact_mut(to)) {
        sums.fill(1 << (PRECISION - 1));
        let rows = image.pixels[tap.first * from..].chunks_exact(from);
        for (row, &weight) in rows.zip(taps.weights(tap)) {
            for (sum, &value) in sums.iter_mut().zip(&row[bytes.clone()]) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = clip(sum);
        }
    }
    out
}

fn resize_row<const C: usize>(row: &[u8], out: &mut [u8], taps: &Taps) {
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

    /// The input pixels that any output needs; from now on the first of them is pixel 0.
    fn rebase(&mut self) -> Range<usize> {
        let first = self.spans.first().map_or(0, |span| span.first);
        let end = self.spans.last().map_or(first, |span| span.first + span.len);
        self.spans.iter_mut().for_each(|span| span.first -= first);
        first..end
    }

    fn weights(&self, span: &Span) -> &[i32] {
        &self.weights[span.start..][..span.len]
    }
}
