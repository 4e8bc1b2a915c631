//! JPEG 2000, in its box file or bare.

mod parts;

use hayro_jpeg2000::{ComponentData, DecodeSettings, DecoderContext, Image};

pub(super) use parts::codestream;

use super::{Channels, DecodeError, Decoded, Mode, Sink, Source, check_size};

const FORMAT: &str = "JPEG 2000";
/// Films of up to so many pixels may be of any length.
const SMALL: u64 = 4 << 20;
/// Of larger ones a byte holds at most so many pixels: it is a few in films, a hundred where little is left of them. A few hundred
/// bytes that claim 100 megapixels would take half a minute, to show nothing.
const MOST_PIXELS_A_BYTE: u64 = 1000;

/// An image whose bytes can be those of so many pixels; `format` is what the file is called.
pub(super) fn open<'a>(bytes: &'a [u8], format: &'static str) -> Result<Image<'a>, DecodeError> {
    let failed = |error: hayro_jpeg2000::error::DecodeError| super::corrupt(format, &error.to_string());
    let image = Image::new(bytes, &DecodeSettings::default()).map_err(failed)?;
    let (width, height) = (u64::from(image.width()), u64::from(image.height()));
    check_size(format, width, height)?;
    if width * height > SMALL.max(MOST_PIXELS_A_BYTE * bytes.len() as u64) {
        let reason = format!("its {} bytes cannot hold {width}x{height} pixels of a film", bytes.len());
        return Err(super::corrupt(format, &reason));
    }
    match parts::missing(bytes) {
        Some(missing) => Err(super::corrupt(format, &missing)),
        None => Ok(image),
    }
}

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let failed = |error: hayro_jpeg2000::error::DecodeError| super::corrupt(FORMAT, &error.to_string());
    let image = open(bytes, FORMAT)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let bits = image.original_bit_depth();
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(failed)?;
    let components = decoded.components();
    if components.iter().any(|component| component.samples().len() != width * height) {
        return Err(super::corrupt(FORMAT, "its components are not of one size"));
    }
    // The full range of a sample becomes that of 8 bits, as of other 16-bit films.
    let level = |component: &ComponentData, at: usize| {
        let most = ((1_u32 << component.bit_depth().clamp(1, 24)) - 1) as f32;
        (component.samples()[at].round().clamp(0.0, most) * 255.0 / most).round() as u8
    };
    let mut sink = Sink::new(width, height, channels);
    let mode = match components {
        [gray] => {
            (0..width * height).for_each(|at| sink.gray(level(gray, at)));
            Mode::Gray
        }
        [gray, _] => {
            (0..width * height).for_each(|at| sink.gray(level(gray, at)));
            Mode::GrayAlpha
        }
        [r, g, b, rest @ ..] if rest.len() < 2 => {
            (0..width * height).for_each(|at| sink.rgb([level(r, at), level(g, at), level(b, at)]));
            if rest.is_empty() { Mode::Rgb } else { Mode::RgbAlpha }
        }
        _ => return Err(DecodeError::Unsupported("a JPEG 2000 of many components")),
    };
    Ok((sink.into_image(width, height), Source { format: FORMAT, mode, bits }))
}
