//! JPEG 2000, in its box file or bare.

use hayro_jpeg2000::{ComponentData, DecodeSettings, DecoderContext, Image};

use super::{Channels, DecodeError, Decoded, Mode, Sink, Source, check_size};

const FORMAT: &str = "JPEG 2000";

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let failed = |error: hayro_jpeg2000::error::DecodeError| super::corrupt(FORMAT, &error.to_string());
    let image = Image::new(bytes, &DecodeSettings::default()).map_err(failed)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    check_size(FORMAT, width as u64, height as u64)?;
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
