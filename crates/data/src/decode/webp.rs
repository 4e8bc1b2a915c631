//! WebP, lossy and lossless; of an animation the first frame.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::{Channels, DecodeError, Decoded, Mode, Sink, Source, check_size};

const FORMAT: &str = "WebP";

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(FORMAT, width.into(), height.into())?;
    let (width, height, alpha) = (width as usize, height as usize, decoder.has_alpha());
    let mut pixels = vec![0; width * height * if alpha { 4 } else { 3 }];
    decoder.set_memory_limit(pixels.len());
    if decoder.is_animated() { decoder.read_frame(&mut pixels).map(|_| ()) } else { decoder.read_image(&mut pixels) }
        .map_err(failed)?;
    let mut sink = Sink::new(width, height, channels);
    if alpha {
        pixels.as_chunks().0.iter().for_each(|&[r, g, b, _]| sink.rgb([r, g, b]));
    } else {
        pixels.as_chunks().0.iter().for_each(|&rgb| sink.rgb(rgb));
    }
    let mode = if alpha { Mode::RgbAlpha } else { Mode::Rgb };
    Ok((sink.into_image(width, height), Source { format: FORMAT, mode, bits: 8 }))
}

fn failed(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::IoError(_) => DecodeError::Truncated { format: FORMAT },
        error => super::corrupt(FORMAT, &error.to_string()),
    }
}
