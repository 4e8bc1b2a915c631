//! TIFF: the first page; gray, RGB, palette, CMYK and YCbCr, in strips or tiles, of one plane or several.
//!
//! Samples of 1 to 16 bits span from black to white ([`wide`] says how all others are read). Bytes that begin with the
//! lowest bit (fill order 2) are turned before they are unpacked. Transparency is dropped. Colours that were multiplied
//! with it (associated alpha) are divided by it, as Pillow does: `min(255, 255 * v / alpha)` rounded down, of 16 bits from
//! their high bytes; where alpha is 0, RGB is black and gray is left. (Pillow knows such gray as `La` and has no way from
//! it to `L`; ours is its way over `LA`.)

mod compression;
mod directory;
mod fax;
mod film;
mod wide;

use film::{Colours, Film};
use wide::{Kind, Range, Reading};

use super::{Channels, DecodeError, DecodeOptions, Decoded, Image, Mode, Source, Span};
use super::{cmyk_to_rgb, luma, turned, ycc_to_rgb};

const FORMAT: &str = "TIFF";

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let film = Film::read(bytes)?;
    let reading = reading(&film)?;
    let bits = reading.map_or(film.bits, |reading| reading.bits);
    let levels = levels(&film, bits, options);
    let palette = if film.colours == Colours::Palette { palette(&film)? } else { Vec::new() };
    let channels = options.channels;
    let mut image = Image::black(film.width, film.height, channels);
    let each = film.colours.count() + usize::from(film.premultiplied);
    film.rows(&mut |sample| reading.map_or(0, |reading| reading.narrow(sample)), &mut |x, y, row| {
        let to = &mut image.pixels[(y * film.width + x) * channels.count()..];
        for (pixel, to) in row.chunks_exact_mut(each).zip(to.chunks_exact_mut(channels.count())) {
            let alpha = film.premultiplied.then(|| levels[usize::from(pixel[each - 1])]);
            let level = |i: usize| {
                let level = levels[usize::from(pixel[i])];
                alpha.map_or(level, |alpha| divided(level, alpha, each))
            };
            let colour = match film.colours {
                Colours::Gray { .. } => {
                    to.fill(level(0));
                    continue;
                }
                // An index beyond the palette is black, as in the other formats.
                Colours::Palette => palette.get(usize::from(pixel[0])).copied().unwrap_or_default(),
                Colours::Rgb => [0, 1, 2].map(level),
                Colours::Ycc => ycc_to_rgb([0, 1, 2].map(level)),
                Colours::Cmyk => cmyk_to_rgb([0, 1, 2, 3].map(level)),
            };
            match channels {
                Channels::Gray => to[0] = luma(colour[0], colour[1], colour[2]),
                Channels::Rgb => to.copy_from_slice(&colour),
            }
        }
    })?;
    let mode = match film.colours {
        Colours::Gray { .. } if film.has_more => Mode::GrayAlpha,
        Colours::Gray { .. } => Mode::Gray,
        Colours::Palette => Mode::Palette,
        Colours::Rgb if film.has_more => Mode::RgbAlpha,
        Colours::Rgb | Colours::Ycc => Mode::Rgb,
        Colours::Cmyk => Mode::Cmyk,
    };
    let orientation = film.directory.number(274)?.unwrap_or(1);
    let source = Source { format: FORMAT, mode, bits: film.bits as u8 };
    Ok((turned(image, u16::try_from(orientation).unwrap_or(1)), source))
}

/// The greatest sample of a film of 16 bits a sample, or of one that is read as such; none for any other.
pub(super) fn span(bytes: &[u8]) -> Result<Option<Span>, DecodeError> {
    let film = Film::read(bytes)?;
    let reading = reading(&film)?;
    if reading.map_or(film.bits, |reading| reading.bits) != 16 {
        return Ok(None);
    }
    let (each, colours) = (film.colours.count() + usize::from(film.premultiplied), film.colours.count());
    let mut most = 0;
    film.rows(&mut |sample| reading.map_or(0, |reading| reading.narrow(sample)), &mut |_, _, row| {
        most = row.chunks_exact(each).flat_map(|pixel| &pixel[..colours]).copied().fold(most, u16::max);
    })?;
    Ok(Some(Span { said: None, most }))
}

/// How the samples are read that do not span from black to white.
fn reading(film: &Film<'_>) -> Result<Option<Reading>, DecodeError> {
    if film.kind == Kind::Narrow {
        return Ok(None);
    }
    let mut range = Range::new();
    film.rows(
        &mut |sample| {
            range.add(sample);
            0
        },
        &mut |_, _, _| {},
    )?;
    range.reading(film.kind, film.bits).map(Some)
}

/// The level of each sample of so many bits.
fn levels(film: &Film<'_>, bits: usize, options: &DecodeOptions) -> Vec<u8> {
    let most = (1_u32 << bits) - 1;
    let high_byte = film.premultiplied && options.decoding.sample_bits.is_none();
    let level = |sample: u32| match bits {
        16 if high_byte => (sample >> 8) as u8,
        16 => options.eight_bits(sample as u16),
        _ => ((sample * 255 + most / 2) / most) as u8,
    };
    // Inverted at last, so that the bits in use are those of what is stored.
    let inverted = film.colours == Colours::Gray { white_is_zero: true };
    (0..=most).map(|sample| if inverted { 255 - level(sample) } else { level(sample) }).collect()
}

/// The colours of a palette (tag 320): each channel by itself, 16 bits an entry, of which Pillow too takes the high ones.
fn palette(film: &Film<'_>) -> Result<Vec<[u8; 3]>, DecodeError> {
    let map = film.directory.values(320)?.ok_or_else(|| corrupt("it has no table of colours"))?;
    let colours = map.len() / 3;
    // Some programs write 8 bits an entry; libtiff knows them as here, Pillow shows such a film as black.
    let shift = if map.iter().all(|entry| entry < 256) { 0 } else { 8 };
    let colour = |i: usize| [0, 1, 2].map(|channel| (map.get(channel * colours + i).unwrap_or(0) >> shift) as u8);
    Ok((0..colours.min(256)).map(colour).collect())
}

/// A level that was multiplied with the transparency of its pixel, of so many samples.
fn divided(level: u8, alpha: u8, samples: usize) -> u8 {
    match alpha {
        0 if samples == 2 => level,
        0 => 0,
        _ => (255 * u32::from(level) / u32::from(alpha)).min(255) as u8,
    }
}

fn corrupt(reason: &str) -> DecodeError {
    super::corrupt(FORMAT, reason)
}
