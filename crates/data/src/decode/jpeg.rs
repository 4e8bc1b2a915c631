//! JPEG: baseline and progressive, gray and three-channel.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::{Channels, DecodeError, Image, Sink, check_size};

const FORMAT: &str = "JPEG";

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Image, DecodeError> {
    // The decoder fills what is missing with gray, so a cut is found here, before it is asked.
    if !is_complete(bytes) {
        return Err(DecodeError::Truncated { format: FORMAT });
    }
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(65_535).set_max_height(65_535);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(corrupt)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_size(FORMAT, width as u64, height as u64)?;
    let input = decoder.input_colorspace().unwrap_or(ColorSpace::Unknown);
    let output = match input {
        ColorSpace::Luma => ColorSpace::Luma,
        // For gray too: the luma alone is not Pillow's `L` where the colour it stands for does not exist in RGB.
        ColorSpace::YCbCr | ColorSpace::RGB => ColorSpace::RGB,
        _ => return Err(DecodeError::Unsupported("a JPEG of two or four channels")),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let pixels = decoder.decode().map_err(corrupt)?;
    let given = if output == ColorSpace::Luma { Channels::Gray } else { Channels::Rgb };
    if pixels.len() != width * height * given.count() {
        return Err(DecodeError::Corrupt { format: FORMAT, reason: "it holds fewer pixels than it says".to_string() });
    }
    if given == channels {
        return Ok(Image { width, height, channels, pixels });
    }
    let mut sink = Sink::new(width, height, channels);
    match given {
        Channels::Gray => pixels.iter().for_each(|&v| sink.gray(v)),
        Channels::Rgb => pixels.as_chunks().0.iter().for_each(|&rgb| sink.rgb(rgb)),
    }
    Ok(sink.into_image(width, height))
}

fn corrupt(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(_) => {
            DecodeError::Unsupported("a JPEG of a rare kind (lossless, arithmetic or hierarchical)")
        }
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => DecodeError::Truncated { format: FORMAT },
        error => {
            let reason = error.to_string();
            let reason = reason.trim_matches('"').trim_start_matches("[strict-mode]: ").trim();
            DecodeError::Corrupt { format: FORMAT, reason: reason.to_string() }
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
    while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
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
