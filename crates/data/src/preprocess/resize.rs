//! Pillow's `Image.resize(.., BILINEAR)`, which torchvision's `Resize` calls: a triangle filter as wide as the
//! reduction (antialias), along one axis and then the other, in fixed point with 8-bit pixels in between. The result is
//! the same to the last bit (Pillow 13, `src/libImaging/Resample.c`; before 13 the horizontal pass always came first,
//! which moves some pixels by one level).

use std::ops::Range;

use crate::decode::{Channels, Image};
use crate::vector::{transpose_bytes, vectorised};

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
    let rows = &image.pixels[rows.start * from..][..rows.len() * from];
    match image.channels {
        Channels::Gray => vectorised(
            #[inline(always)]
            || {
                // Eight rows at a time, so that what is computed for one of them is for all.
                let mut columns = vec![[0; 8]; image.width];
                let (mut rows, mut outs) = (rows.chunks_exact(8 * from), out.pixels.chunks_exact_mut(8 * to));
                for (rows, outs) in rows.by_ref().zip(outs.by_ref()) {
                    transpose(rows, &mut columns);
                    resize_eight(&columns, outs, taps);
                }
                for (row, out) in rows.remainder().chunks_exact(from).zip(outs.into_remainder().chunks_exact_mut(to)) {
                    resize_row::<1>(row, out, taps);
                }
            },
        ),
        Channels::Rgb => {
            for (row, out) in rows.chunks_exact(from).zip(out.pixels.chunks_exact_mut(to)) {
                resize_row::<3>(row, out, taps);
            }
        }
    }
    out
}

/// Eight rows as columns of eight.
#[inline(always)]
fn transpose(rows: &[u8], columns: &mut [[u8; 8]]) {
    let width = columns.len();
    let row = |y: usize| &rows[y * width..][..width];
    let rows: [&[u8]; 8] = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
    let mut blocks = columns.chunks_exact_mut(8);
    let mut x = 0;
    for block in blocks.by_ref() {
        let mut words = [0; 8];
        for (word, row) in words.iter_mut().zip(rows) {
            *word = row[x..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        }
        for (column, word) in block.iter_mut().zip(transpose_bytes(words)) {
            *column = word.to_le_bytes();
        }
        x += 8;
    }
    for (column, x) in blocks.into_remainder().iter_mut().zip(x..) {
        *column = rows.map(|row| row[x]);
    }
}

/// Resizes eight rows that are given as columns.
#[inline(always)]
fn resize_eight(columns: &[[u8; 8]], out: &mut [u8], taps: &Taps) {
    let width = taps.spans.len();
    for (i, tap) in taps.spans.iter().enumerate() {
        let weights = taps.weights(tap);
        let mut sums = [1 << (PRECISION - 1); 8];
        for (column, &weight) in columns[tap.first..][..weights.len()].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(column) {
                *sum += i32::from(value) * weight;
            }
        }
        for (y, sum) in sums.into_iter().enumerate() {
            out[y * width + i] = clip(sum);
        }
    }
}

/// Resizes the given columns, along them.
fn resize_rows(image: &Image, taps: &Taps, columns: Range<usize>) -> Image {
    let mut out = Image::black(columns.len(), taps.spans.len(), image.channels);
    let (from, to, channels) = (image.stride(), out.stride(), image.channels.count());
    let bytes = columns.start * channels..columns.end * channels;
    vectorised(
        #[inline(always)]
        || {
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
        },
    );
    out
}

#[inline(always)]
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

#[inline(always)]
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

    #[inline(always)]
    fn weights(&self, span: &Span) -> &[i32] {
        &self.weights[span.start..][..span.len]
    }
}
