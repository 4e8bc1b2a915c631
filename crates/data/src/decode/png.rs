//! PNG: gray, RGB, palette, with and without transparency, 1 to 16 bits a sample.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, DecodeOptions as PngOptions, Decoder, DecodingError, Transformations};

use super::{DecodeError, DecodeOptions, Decoded, Mode, Sink, Source, Span, check_size};

const FORMAT: &str = "PNG";
/// The chunk that ends a file.
const END: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";

/// What must be whole of a file.
#[derive(Clone, Copy, PartialEq)]
enum Checks {
    /// All of it, with every chunk's checksum.
    All,
    /// The pixels, by the checksum of their own (RFC 1950's Adler-32): those of chunks are not looked at.
    Pixels,
}

/// Pixels of which the file's own checksum is right are read even where that of a chunk is wrong, or the file ends after
/// them, as Pillow reads them.
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let whole = decode_checked(bytes, options, Checks::All);
    match whole {
        Err(DecodeError::Corrupt { .. } | DecodeError::Truncated { .. }) if header_holds(bytes) => {
            decode_checked(&[bytes, &END].concat(), options, Checks::Pixels).or(whole)
        }
        _ => whole,
    }
}

fn open(bytes: &[u8], checks: Checks) -> Decoder<Cursor<&[u8]>> {
    let mut options = PngOptions::default();
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    options.set_ignore_crc(checks == Checks::Pixels);
    options.set_ignore_adler32(checks == Checks::All);
    Decoder::new_with_options(Cursor::new(bytes), options)
}

/// Whether the header and the palette have the checksums that stand behind them: sizes and colours come from there.
fn header_holds(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(length) as usize;
        let Some((chunk, end)) = length.checked_add(4).and_then(|length| after.split_at_checked(length)) else { break };
        let Some((&crc, next)) = end.split_first_chunk::<4>() else { break };
        match chunk.first_chunk() {
            Some(b"IDAT") => return true,
            Some(b"IHDR" | b"PLTE") if crc32fast::hash(chunk) != u32::from_be_bytes(crc) => return false,
            _ => rest = next,
        }
    }
    // The chunk that is cut off may be the one with the pixels.
    rest.get(4..8) == Some(b"IDAT")
}

fn decode_checked(bytes: &[u8], options: &DecodeOptions, checks: Checks) -> Result<Decoded, DecodeError> {
    let mut decoder = open(bytes, checks);
    // Palettes become RGB and 1, 2 and 4 bits become 8.
    decoder.set_transformations(Transformations::EXPAND);
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
    let mut decoder = open(bytes, Checks::Pixels);
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
        error => super::corrupt(FORMAT, &without_types(&error.to_string())),
    }
}

/// The decoder's own words without the names of its types: of "while decoding ChunkType { .. }" nothing is left, and of
/// "ChunkType { type: fdAT, .. }" elsewhere the chunk's name.
fn without_types(text: &str) -> String {
    let text = text.split(" while decoding ").next().unwrap_or(text);
    let mut parts = text.split("ChunkType { type: ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, after) = part.split_once('}').unwrap_or((part, ""));
        out += inside.split(", ").next().unwrap_or_default();
        out += after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_of_the_decoder_is_in_its_words() {
        for (said, left) in [
            (
                "CRC error: expected 0x1 have 0x2 while decoding ChunkType { type: IDAT, critical: true }",
                "CRC error: expected 0x1 have 0x2",
            ),
            (
                "Unexpected restart of ChunkType { type: fdAT, critical: false } chunk sequence",
                "Unexpected restart of fdAT chunk sequence",
            ),
            ("ChunkType { type: fdAT", "fdAT"),
            ("IDAT or fdAT chunk is missing", "IDAT or fdAT chunk is missing"),
        ] {
            assert_eq!(without_types(said), left);
        }
    }

    fn golden(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../../golden/data/files/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        decode(bytes, &DecodeOptions::default()).map(|(image, _)| image.pixels).map_err(|error| error.to_string())
    }

    /// Where a chunk's length stands, and the length.
    fn chunk(bytes: &[u8], kind: &[u8; 4]) -> (usize, usize) {
        let at = bytes.windows(4).position(|window| window == kind).unwrap() - 4;
        (at, u32::from_be_bytes(*bytes[at..].first_chunk().unwrap()) as usize)
    }

    #[test]
    fn what_does_not_touch_the_pixels_loses_no_film() {
        for name in ["gray_8.png", "palette_8.png", "gray_16.png", "gray_8_interlaced.png"] {
            let whole = golden(name);
            let pixels = read(&whole).unwrap();
            let (data, length) = chunk(&whole, b"IDAT");
            let (end, _) = chunk(&whole, b"IEND");
            let wrong_sum = |at: usize, length: usize| {
                let mut bytes = whole.clone();
                bytes[at + 8 + length] ^= 0xff;
                bytes
            };
            assert_eq!(read(&wrong_sum(data, length)), Ok(pixels.clone()), "{name}, IDAT's checksum");
            assert_eq!(read(&wrong_sum(end, 0)), Ok(pixels.clone()), "{name}, IEND's checksum");
            assert_eq!(read(&whole[..end]), Ok(pixels.clone()), "{name}, no IEND");
            assert_eq!(read(&[&whole[..], b"after the end"].concat()), Ok(pixels.clone()), "{name}, more after it");
            // Cut in the pixels, a wrong byte among them, wrong sizes, wrong colours.
            assert!(read(&whole[..data + 8 + length / 2]).unwrap_err().contains("truncated"), "{name}");
            let mut bytes = whole.clone();
            bytes[data + 8 + length / 2] ^= 0x10;
            let error = read(&bytes).unwrap_err();
            assert!(error.contains("damaged"), "{name}: {error}");
            assert!(read(&wrong_sum(8, 13)).unwrap_err().contains("CRC"), "{name}");
            if name.starts_with("palette") {
                let (colours, length) = chunk(&whole, b"PLTE");
                assert!(read(&wrong_sum(colours, length)).unwrap_err().contains("CRC"), "{name}");
            }
        }
    }
}
