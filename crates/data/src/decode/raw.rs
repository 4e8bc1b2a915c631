//! Pixels without a format, as films lie in an array: a mark, width, height and channels, then the pixels.

use super::{Channels, DecodeError, Decoded, Mode, Sink, Source, check_size};

const FORMAT: &str = "npz";
/// No picture begins so.
const MARK: &[u8; 8] = b"\x93PIXELS\n";
const HEAD: usize = MARK.len() + 12;

/// The bytes that [`decode`] reads.
pub(crate) fn bytes(width: usize, height: usize, channels: usize, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + pixels.len());
    bytes.extend(MARK);
    [width, height, channels].iter().for_each(|number| bytes.extend((*number as u32).to_le_bytes()));
    bytes.extend(pixels);
    bytes
}

pub(super) fn is_raw(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let truncated = || DecodeError::Truncated { format: FORMAT };
    let number = |at: usize| {
        let from = MARK.len() + 4 * at;
        bytes.get(from..from + 4).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_le_bytes(*bytes))
    };
    let [width, height, own] = [number(0), number(1), number(2)].map(|number| number.ok_or_else(truncated));
    let (width, height, own) = (width?, height?, own?);
    check_size(FORMAT, width.into(), height.into())?;
    let (width, height) = (width as usize, height as usize);
    let pixels = bytes.get(HEAD..HEAD + width * height * if own == 3 { 3 } else { 1 }).ok_or_else(truncated)?;
    let mut sink = Sink::new(width, height, channels);
    let mode = if own == 3 {
        pixels.as_chunks().0.iter().for_each(|rgb| sink.rgb(*rgb));
        Mode::Rgb
    } else {
        pixels.iter().for_each(|gray| sink.gray(*gray));
        Mode::Gray
    };
    Ok((sink.into_image(width, height), Source { format: FORMAT, mode, bits: 8 }))
}
