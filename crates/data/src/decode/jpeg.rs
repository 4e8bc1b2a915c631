//! JPEG: baseline and progressive, of one, three and four channels.

mod baseline;
mod idct;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::{Channels, DecodeError, Decoded, Image, Mode, Sink, Source, check_size, cmyk_to_rgb, ycc_to_rgb};

const FORMAT: &str = "JPEG";

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    // By their own names, and not as damaged or cut.
    let frame = frame(bytes);
    match frame {
        Some((0xc5..=0xc7 | 0xcd..=0xcf, _)) => return Err(DecodeError::Unsupported("a hierarchical JPEG")),
        Some((0xc9..=0xcb, _)) => return Err(DecodeError::Unsupported("a JPEG with arithmetic coding")),
        Some((0xf7, _)) => return Err(DecodeError::Unsupported("a JPEG-LS")),
        Some((0xc0..=0xc2, 12)) => return Err(DecodeError::Unsupported("a JPEG of 12 bits a sample")),
        _ => {}
    }
    // The decoder fills what is missing with gray, so a cut is found here, before it is asked.
    if !is_complete(bytes) {
        return Err(DecodeError::Truncated { format: FORMAT });
    }
    if channels == Channels::Gray
        && let Some((width, height, pixels)) = baseline::decode(bytes)
    {
        let source = Source { format: FORMAT, mode: Mode::Gray, bits: 8 };
        return Ok((Image { width, height, channels, pixels }, source));
    }
    match frame {
        Some((0xc3, bits)) => lossless(bytes, bits, channels),
        _ => general(bytes, channels),
    }
}

/// The marker of the frame, which says of what kind it is, and the bits of a sample (ITU T.81, B.2.2).
fn frame(bytes: &[u8]) -> Option<(u8, u8)> {
    let mut rest = bytes.get(2..)?;
    loop {
        let at = memchr::memchr(0xff, rest)?;
        rest = &rest[at + 1..];
        match *rest {
            [0xff, ..] => {}
            [marker @ (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7), _, _, bits, ..] => {
                return Some((marker, bits));
            }
            [0xda, ..] => return None,
            [0 | 0x01 | 0xd0..=0xd9, ..] => rest = &rest[1..],
            [_, high, low, ..] => rest = rest.get(1 + usize::from(u16::from_be_bytes([high, low]))..)?,
            _ => return None,
        }
    }
}

/// Lossless JPEG of one sample a pixel, of up to 16 bits: their full range becomes that of 8 bits.
fn lossless(bytes: &[u8], bits: u8, channels: Channels) -> Result<Decoded, DecodeError> {
    use jpeg_decoder::PixelFormat;
    let failed = |error: jpeg_decoder::Error| super::corrupt(FORMAT, &error.to_string());
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().map_err(failed)?;
    let info = decoder.info().ok_or(DecodeError::Truncated { format: FORMAT })?;
    check_size(FORMAT, info.width.into(), info.height.into())?;
    let bits = bits.clamp(2, 16);
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let pixels = decoder.decode().map_err(failed)?;
    let mut sink = Sink::new(width, height, channels);
    let most = (1_u32 << bits) - 1;
    let mut gray = |sample: u32| sink.gray(((sample.min(most) * 255 + most / 2) / most) as u8);
    let mode = match info.pixel_format {
        PixelFormat::L8 => {
            pixels.iter().for_each(|sample| gray(u32::from(*sample)));
            Mode::Gray
        }
        PixelFormat::L16 => {
            pixels.as_chunks().0.iter().for_each(|pair| gray(u16::from_ne_bytes(*pair).into()));
            Mode::Gray
        }
        PixelFormat::RGB24 => {
            pixels.as_chunks().0.iter().for_each(|rgb| sink.rgb(*rgb));
            Mode::Rgb
        }
        PixelFormat::CMYK32 => return Err(DecodeError::Unsupported("a lossless JPEG in four inks")),
    };
    Ok((sink.into_image(width, height), Source { format: FORMAT, mode, bits }))
}

/// Any JPEG, by a decoder of others.
fn general(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(65_535).set_max_height(65_535);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(corrupt)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(FORMAT, width as u64, height as u64)?;
    let input = decoder.input_colorspace().unwrap_or(ColorSpace::Unknown);
    let (mode, output) = match input {
        ColorSpace::Luma => (Mode::Gray, ColorSpace::Luma),
        // For gray too: the luma alone is not Pillow's `L` where the colour it stands for does not exist in RGB.
        ColorSpace::YCbCr | ColorSpace::RGB => (Mode::Rgb, ColorSpace::RGB),
        // Taken as stored, since the decoder turns them into RGB otherwise than Pillow does.
        ColorSpace::CMYK | ColorSpace::YCCK => (Mode::Cmyk, input),
        _ => return Err(DecodeError::Unsupported("a JPEG of two channels")),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let pixels = decoder.decode().map_err(corrupt)?;
    if pixels.len() != width * height * output.num_components() {
        return Err(DecodeError::Corrupt { format: FORMAT, reason: "it holds fewer pixels than it says".to_string() });
    }
    let source = Source { format: FORMAT, mode, bits: 8 };
    if output.num_components() == channels.count() {
        return Ok((Image { width, height, channels, pixels }, source));
    }
    let mut sink = Sink::new(width, height, channels);
    match output {
        ColorSpace::Luma => pixels.iter().for_each(|&v| sink.gray(v)),
        ColorSpace::RGB => pixels.as_chunks().0.iter().for_each(|&rgb| sink.rgb(rgb)),
        // Four inks, inverted: 255 is none. The first three may be stored as luma and chroma.
        ColorSpace::CMYK => {
            pixels.as_chunks().0.iter().for_each(|&inks: &[u8; 4]| sink.rgb(cmyk_to_rgb(inks.map(|ink| 255 - ink))));
        }
        _ => pixels.as_chunks().0.iter().for_each(|&[y, cb, cr, black]| {
            let [c, m, y] = ycc_to_rgb([y, cb, cr]);
            sink.rgb(cmyk_to_rgb([c, m, y, 255 - black]));
        }),
    }
    Ok((sink.into_image(width, height), source))
}

fn corrupt(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(_) => DecodeError::Unsupported("a JPEG of a rare kind"),
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => DecodeError::Truncated { format: FORMAT },
        error => {
            let reason = error.to_string();
            super::corrupt(FORMAT, reason.trim_matches('"').trim_start_matches("[strict-mode]: "))
        }
    }
}

/// Whether the file goes on to its end-of-image marker: walks the segments, and through the scans from marker to
/// marker, without decoding anything (ITU T.81, B.1).
fn is_complete(bytes: &[u8]) -> bool {
    const RESTART_0: u8 = 0xd0;
    const RESTART_7: u8 = 0xd7;
    const START_OF_IMAGE: u8 = 0xd8;
    const END_OF_IMAGE: u8 = 0xd9;
    const TEMPORARY: u8 = 0x01;
    let mut rest = bytes;
    // A marker is 0xff and a byte that is neither 0 (a stuffed 0xff of a scan) nor 0xff (fill).
    while let Some(at) = memchr::memchr(0xff, rest) {
        rest = &rest[at + 1..];
        match rest {
            [0xff | 0, ..] => {}
            [END_OF_IMAGE, ..] => return true,
            [START_OF_IMAGE | TEMPORARY | RESTART_0..=RESTART_7, after @ ..] => rest = after,
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                match rest.get(1 + length..) {
                    Some(after) => rest = after,
                    None => return false,
                }
            }
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A film of several kinds of content in a baseline JPEG, from the golden files.
    #[test]
    fn the_common_kind_is_read_to_the_pixels_of_the_general_decoder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/data/files");
        let mut read = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            if path.extension().is_none_or(|extension| extension != "jpg") {
                continue;
            }
            if let Some((width, height, pixels)) = baseline::decode(&bytes) {
                let (image, source) = general(&bytes, Channels::Gray).unwrap();
                assert_eq!((image.width, image.height, source.mode), (width, height, Mode::Gray), "{path:?}");
                assert!(image.pixels == pixels, "{path:?}");
                read.push(path.file_name().unwrap().to_string_lossy().into_owned());
                // A damaged one is read to the same pixels or left to the other; nothing panics.
                for at in 0..bytes.len() {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= 1 << (at % 8);
                    if let Some((_, _, pixels)) = baseline::decode(&bytes).filter(|_| is_complete(&bytes)) {
                        let general = general(&bytes, Channels::Gray).map(|(image, _)| image.pixels);
                        assert!(
                            general.as_ref().is_ok_and(|general| *general == pixels),
                            "{path:?}, byte {at} {:?}",
                            general.as_ref().err()
                        );
                    }
                }
            }
        }
        for file in ["gray_baseline.jpg", "gray_restarts.jpg"] {
            assert!(read.iter().any(|read| read == file), "{file} is not among {read:?}");
        }
    }

    #[test]
    fn kinds_that_are_not_read_are_called_by_their_names() {
        let kind = |marker: u8, bits: u8| {
            let frame = [0xff, 0xd8, 0xff, marker, 0, 11, bits, 0, 8, 0, 8, 1, 1, 0x11, 0];
            decode(&frame, Channels::Gray).unwrap_err().to_string()
        };
        for (marker, bits, name) in [
            (0xf7, 8, "a JPEG-LS"),
            (0xc9, 8, "a JPEG with arithmetic coding"),
            (0xc5, 8, "a hierarchical JPEG"),
            (0xc1, 12, "a JPEG of 12 bits a sample"),
        ] {
            assert!(kind(marker, bits).starts_with(&format!("{name} is not supported")), "{}", kind(marker, bits));
        }
        assert!(kind(0xc0, 8).contains("truncated"));
    }

    #[test]
    fn the_end_marker_is_looked_for_in_the_right_places() {
        // A comment that contains an end marker does not end the file.
        assert!(!is_complete(b"\xff\xd8\xff\xfe\x00\x04\xff\xd9"));
        assert!(is_complete(b"\xff\xd8\xff\xfe\x00\x04\xff\xd9\xff\xd9"));
        // Stuffed bytes, restarts and fill bytes inside a scan.
        assert!(is_complete(b"\xff\xd8\xff\xda\x00\x02\x12\xff\x00\x34\xff\xd3\x56\xff\xff\xd9"));
        assert!(!is_complete(b"\xff\xd8\xff\xda\x00\x02\x12\xff\x00\x34\xff\xd3\x56\xff\xff"));
        assert!(!is_complete(b"\xff\xd8\xff\xda\x00"));
    }
}
