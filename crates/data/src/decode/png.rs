//! PNG: gray, RGB, palette, with and without transparency, 1 to 16 bits a sample.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use super::{DecodeError, DecodeOptions, Decoded, Mode, Sink, Source, Span, check_size};

const FORMAT: &str = "PNG";

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    // Palettes become RGB and 1, 2 and 4 bits become 8.
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(error)?;
    check_size(FORMAT, u64::from(header.width), u64::from(header.height))?;
    let (width, height) = (header.width as usize, header.height as usize);
    let mode = match header.color_type {
        ColorType::Grayscale => Mode::Gray,
        ColorType::GrayscaleAlpha => Mode::GrayAlpha,
        ColorType::Rgb => Mode::Rgb,
        ColorType::Rgba => Mode::RgbAlpha,
        ColorType::Indexed => Mode::Palette,
    };
    let source = Source { format: FORMAT, mode, bits: header.bit_depth as u8 };
    let mut reader = decoder.read_info().map_err(error)?;
    let size =
        reader.output_buffer_size().ok_or(DecodeError::TooLarge { width: width as u64, height: height as u64 })?;
    let mut samples = vec![0; size];
    let frame = reader.next_frame(&mut samples).map_err(error)?;
    reader.finish().map_err(error)?;
    if (frame.width as usize, frame.height as usize) != (width, height) {
        return Err(DecodeError::Corrupt {
            format: FORMAT,
            reason: "its first frame is smaller than the picture".to_string(),
        });
    }
    if frame.bit_depth == BitDepth::Sixteen {
        samples = samples.as_chunks().0.iter().map(|&sample| options.eight_bits(u16::from_be_bytes(sample))).collect();
    }
    let mut sink = Sink::new(width, height, options.channels);
    match frame.color_type {
        ColorType::Grayscale => samples.iter().for_each(|&v| sink.gray(v)),
        ColorType::GrayscaleAlpha => samples.as_chunks().0.iter().for_each(|&[v, _]| sink.gray(v)),
        ColorType::Rgb | ColorType::Indexed => samples.as_chunks().0.iter().for_each(|&rgb| sink.rgb(rgb)),
        ColorType::Rgba => samples.as_chunks().0.iter().for_each(|&[r, g, b, _]| sink.rgb([r, g, b])),
    }
    Ok((sink.into_image(width, height), source))
}

/// The bits in use and the greatest sample of a film of 16 bits a sample.
pub(super) fn span(bytes: &[u8]) -> Result<Option<Span>, DecodeError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(error)?;
    check_size(FORMAT, u64::from(header.width), u64::from(header.height))?;
    let mut reader = decoder.read_info().map_err(error)?;
    if reader.info().bit_depth != BitDepth::Sixteen {
        return Ok(None);
    }
    let said =
        reader.info().sbit.as_ref().and_then(|bits| bits.first().copied()).filter(|bits| (8..=16).contains(bits));
    let Some(size) = reader.output_buffer_size() else { return Ok(None) };
    let mut samples = vec![0; size];
    reader.next_frame(&mut samples).map_err(error)?;
    let most = samples.as_chunks().0.iter().map(|sample| u16::from_be_bytes(*sample)).max();
    Ok(most.map(|most| Span { said, most }))
}

fn error(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format: FORMAT }
        }
        // The decoder's own words may end in the names of its types ("while decoding ChunkType { .. }").
        error => {
            let text = error.to_string();
            let reason = text.split(" while decoding ").next().unwrap_or(&text);
            super::corrupt(FORMAT, reason)
        }
    }
}
