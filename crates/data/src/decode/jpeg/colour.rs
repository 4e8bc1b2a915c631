//! From the planes of a JPEG to pixels: channels of fewer samples are interpolated, and colours converted, in libjpeg's
//! whole numbers (`jdsample.c`, `jdcolor.c`).

use super::super::{Channels, cmyk_to_rgb, luma, ycc_to_rgb};
use super::frame::Frame;
use super::plane::Plane;
use crate::vector::vectorised;

/// What the channels of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Gray,
    Rgb,
    /// Luma and two chromas.
    Ycc,
    /// Four inks, inverted: 255 is none, as Adobe's programs store them.
    Cmyk,
    /// The same, the first three as luma and chromas.
    Ycck,
}

/// The pixels of a picture, row by row: one byte each, or three.
pub(super) fn pixels(frame: &Frame, planes: Vec<Plane<u8>>, colours: Colours, channels: Channels) -> Vec<u8> {
    let width = frame.width;
    let mut planes = planes;
    if colours == Colours::Gray && channels == Channels::Gray {
        return planes.swap_remove(0).samples;
    }
    let stretches: Vec<Stretch> = planes
        .iter()
        .zip(&frame.components)
        .map(|(plane, part)| Stretch::of(plane, frame.most, part.sampling))
        .collect();
    let mut pixels = vec![0; width * frame.height * channels.count()];
    vectorised(
        #[inline(always)]
        || {
            // As wide as whole samples need.
            let mut wide: [Vec<u8>; 4] = std::array::from_fn(|_| vec![0; width.next_multiple_of(frame.most.0)]);
            let (mut sums, mut words) = (vec![0; width + 2], vec![0; width]);
            for (y, to) in pixels.chunks_exact_mut(width * channels.count()).enumerate() {
                for (stretch, wide) in stretches.iter().zip(&mut wide) {
                    stretch.row(y, wide, &mut sums);
                }
                let row = |channel: usize| match &stretches[channel] {
                    Stretch { plane, across: 1, down: 1, .. } => plane.row(y),
                    _ => &wide[channel][..width],
                };
                match channels {
                    Channels::Gray => gray(colours, row, to),
                    Channels::Rgb => rgb(colours, row, &mut words, to),
                }
            }
        },
    );
    planes.into_iter().for_each(Plane::give_back);
    pixels
}

/// The samples of all channels as they are stored, row by row, those of a pixel beside each other.
pub(super) fn stored(frame: &Frame, planes: &[Plane<u8>]) -> Vec<u8> {
    let (width, count) = (frame.width, planes.len());
    let mut samples = vec![0; width * frame.height * count];
    let (mut wide, mut sums) = (vec![0; width.next_multiple_of(frame.most.0)], vec![0; width + 2]);
    for (channel, (plane, part)) in planes.iter().zip(&frame.components).enumerate() {
        let stretch = Stretch::of(plane, frame.most, part.sampling);
        for (y, row) in samples.chunks_exact_mut(width * count).enumerate() {
            stretch.row(y, &mut wide, &mut sums);
            let whole = (stretch.across, stretch.down) == (1, 1);
            let from = if whole { plane.row(y) } else { &wide[..width] };
            row[channel..].iter_mut().step_by(count).zip(from).for_each(|(to, from)| *to = *from);
        }
    }
    samples
}

#[inline(always)]
fn gray<'a>(colours: Colours, row: impl Fn(usize) -> &'a [u8], to: &mut [u8]) {
    let light = |[r, g, b]: [u8; 3]| luma(r, g, b);
    let width = to.len();
    let [a, b, c] =
        [0, 1, 2].map(|channel| if colours == Colours::Gray { &row(0)[..width] } else { &row(channel)[..width] });
    match colours {
        Colours::Gray => to.copy_from_slice(a),
        Colours::Rgb => {
            for x in 0..width {
                to[x] = luma(a[x], b[x], c[x]);
            }
        }
        Colours::Ycc => {
            for x in 0..width {
                to[x] = light(ycc_to_rgb([a[x], b[x], c[x]]));
            }
        }
        Colours::Cmyk | Colours::Ycck => {
            let black = &row(3)[..width];
            for x in 0..width {
                to[x] = light(of_inks(colours, [a[x], b[x], c[x], black[x]]));
            }
        }
    }
}

/// `words` is room for a row.
#[inline(always)]
fn rgb<'a>(colours: Colours, row: impl Fn(usize) -> &'a [u8], words: &mut [u32], to: &mut [u8]) {
    let width = words.len();
    let [a, b, c] =
        [0, 1, 2].map(|channel| if colours == Colours::Gray { &row(0)[..width] } else { &row(channel)[..width] });
    match colours {
        Colours::Gray => {
            for x in 0..width {
                words[x] = u32::from(a[x]) * 0x01_0101;
            }
        }
        Colours::Rgb => {
            for x in 0..width {
                words[x] = word([a[x], b[x], c[x]]);
            }
        }
        Colours::Ycc => {
            for x in 0..width {
                words[x] = word(ycc_to_rgb([a[x], b[x], c[x]]));
            }
        }
        Colours::Cmyk | Colours::Ycck => {
            let black = &row(3)[..width];
            for x in 0..width {
                words[x] = word(of_inks(colours, [a[x], b[x], c[x], black[x]]));
            }
        }
    }
    // Four pixels of four bytes are three words.
    let (fours, rest) = words.as_chunks::<4>();
    let (twelves, last) = to.as_chunks_mut::<12>();
    for (to, [a, b, c, d]) in twelves.iter_mut().zip(fours) {
        let [first, second, third] = to.as_chunks_mut::<4>().0 else { continue };
        *first = (a | b << 24).to_le_bytes();
        *second = (b >> 8 | c << 16).to_le_bytes();
        *third = (c >> 16 | d << 8).to_le_bytes();
    }
    for (to, word) in last.chunks_exact_mut(3).zip(rest) {
        to.copy_from_slice(&word.to_le_bytes()[..3]);
    }
}

/// A colour in the three lowest bytes.
#[inline(always)]
fn word([r, g, b]: [u8; 3]) -> u32 {
    u32::from(r) | u32::from(g) << 8 | u32::from(b) << 16
}

/// The colour of four inks as a JPEG stores them.
#[inline(always)]
fn of_inks(colours: Colours, [a, b, c, black]: [u8; 4]) -> [u8; 3] {
    let [c, m, y] = if colours == Colours::Ycck { ycc_to_rgb([a, b, c]) } else { [a, b, c].map(|ink| 255 - ink) };
    cmyk_to_rgb([c, m, y, 255 - black])
}

/// A channel that becomes so many times as wide and high.
struct Stretch<'a> {
    plane: &'a Plane<u8>,
    across: usize,
    down: usize,
    /// By interpolation, else by repeating samples.
    smooth: bool,
}

impl<'a> Stretch<'a> {
    fn of(plane: &'a Plane<u8>, most: (usize, usize), sampling: (usize, usize)) -> Self {
        let (across, down) = (most.0 / sampling.0, most.1 / sampling.1);
        let smooth = match (across, down) {
            (2, 1 | 2) => plane.width > 2,
            (1, 2) => true,
            _ => false,
        };
        Self { plane, across, down, smooth }
    }

    /// Row `y` of the picture; nothing where the plane's own row is that. `sums` is room for two more than the samples of a
    /// row.
    #[inline(always)]
    fn row(&self, y: usize, to: &mut [u8], sums: &mut [u16]) {
        let near = self.plane.row(y / self.down);
        // The row that is next nearest; at the edges the same.
        let above = y.is_multiple_of(2);
        let far = if above { self.plane.row((y / 2).saturating_sub(1)) } else { self.plane.row(y / 2 + 1) };
        let count = near.len();
        match (self.across, self.down, self.smooth) {
            (1, 1, _) => {}
            (1, 2, true) => {
                let bias = if above { 1 } else { 2 };
                for ((to, near), far) in to.iter_mut().zip(near).zip(far) {
                    *to = ((3 * u16::from(*near) + u16::from(*far) + bias) >> 2) as u8;
                }
            }
            (2, down, true) => {
                let sums = &mut sums[..count + 2];
                for ((sum, near), far) in sums[1..].iter_mut().zip(near).zip(far) {
                    *sum = if down == 2 { 3 * u16::from(*near) + u16::from(*far) } else { u16::from(*near) };
                }
                (sums[0], sums[count + 1]) = (sums[1], sums[count]);
                let (left, own, right) = (&sums[..count], &sums[1..=count], &sums[2..]);
                let pairs = &mut to.as_chunks_mut::<2>().0[..count];
                // Halves go up and down in turn. Two samples are one word, so that the loop is done by vectors.
                if down == 2 {
                    for x in 0..count {
                        let own = 3 * own[x];
                        pairs[x] = (((own + left[x] + 8) >> 4) | ((own + right[x] + 7) >> 4) << 8).to_le_bytes();
                    }
                } else {
                    for x in 0..count {
                        let own = 3 * own[x];
                        pairs[x] = (((own + left[x] + 1) >> 2) | ((own + right[x] + 2) >> 2) << 8).to_le_bytes();
                    }
                }
            }
            (across, ..) => {
                for (to, sample) in to.chunks_exact_mut(across).zip(near) {
                    to.fill(*sample);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretched(samples: &[u8], size: (usize, usize), most: (usize, usize), y: usize) -> Vec<u8> {
        let plane = Plane { width: size.0, height: size.1, samples: samples.to_vec() };
        let (mut to, mut sums) = (vec![0; size.0 * most.0], vec![0; size.0 + 2]);
        Stretch::of(&plane, most, (1, 1)).row(y, &mut to, &mut sums);
        to
    }

    #[test]
    fn channels_are_interpolated_as_libjpeg_does() {
        // Three quarters of the nearer sample and one of the farther; halves go up and down in turn.
        assert_eq!(stretched(&[10, 20, 32], (3, 1), (2, 1), 0), [10, 13, 17, 23, 29, 32]);
        assert_eq!(stretched(&[10, 20], (1, 2), (1, 2), 0), [10]);
        assert_eq!(stretched(&[10, 20], (1, 2), (1, 2), 1), [13]);
        assert_eq!(stretched(&[10, 20], (1, 2), (1, 2), 2), [17]);
        assert_eq!(stretched(&[10, 20, 32, 50, 60, 72], (3, 2), (2, 2), 1), [20, 22, 28, 33, 39, 42]);
        // Two samples a row are repeated, and so are all that are stretched otherwise.
        assert_eq!(stretched(&[10, 20], (2, 1), (2, 1), 0), [10, 10, 20, 20]);
        assert_eq!(stretched(&[10, 20, 30], (3, 1), (4, 1), 0), [10, 10, 10, 10, 20, 20, 20, 20, 30, 30, 30, 30]);
    }
}
