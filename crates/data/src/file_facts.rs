//! What a film's file tells of how it was made, without its pixels: an audit asks whether that alone tells the classes apart.

use crate::decode::{DecodeError, DecodeOptions, Image};
use crate::decode::{DicomFacts, Source, decode_with_source};

/// Facts of a file. What it does not say is `None`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FileFacts {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes of the file by pixels.
    pub bytes_a_pixel: f64,
    /// The container, and what a pixel is in it.
    pub source: Source,
    /// Of a JPEG.
    pub jpeg: Option<JpegFacts>,
    /// Of a DICOM.
    pub dicom: Option<DicomFacts>,
}

/// Facts of a JPEG, from the segments before its pixels (ITU T.81, B.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JpegFacts {
    /// The sum of the first quantisation table: the higher, the coarser.
    pub quantisation: u32,
    /// Whether it is coded in several passes.
    pub progressive: bool,
    /// The sampling factors of the first component, in four bits each.
    pub sampling: u8,
    /// Dots an inch or centimetre, as JFIF has them.
    pub density: Option<u16>,
    /// Whether there is EXIF.
    pub exif: bool,
    /// Whether there is a colour profile.
    pub profile: bool,
    /// Whether there is a comment.
    pub comment: bool,
}

/// Decodes a film, and looks at its file.
///
/// # Errors
/// As [`decode`](crate::decode::decode).
pub fn decode_with_facts(bytes: &[u8], options: impl Into<DecodeOptions>) -> Result<(Image, FileFacts), DecodeError> {
    let (image, source) = decode_with_source(bytes, options)?;
    let facts = FileFacts {
        width: image.width,
        height: image.height,
        bytes_a_pixel: bytes.len() as f64 / (image.width * image.height) as f64,
        source,
        jpeg: JpegFacts::of(bytes),
        dicom: DicomFacts::of(bytes),
    };
    Ok((image, facts))
}

impl JpegFacts {
    /// The facts of a file; none where it is no JPEG.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
        let mut facts = JpegFacts::default();
        let mut tables = 0;
        while let Some(at) = memchr::memchr(0xff, rest) {
            rest = &rest[at + 1..];
            let (marker, segment) = match *rest {
                [0xff, ..] => continue,
                [0x00 | 0x01 | 0xd0..=0xd8, ..] => {
                    rest = &rest[1..];
                    continue;
                }
                // The pixels, or the end.
                [0xda | 0xd9, ..] => break,
                [marker, high, low, ..] => {
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    let Some(segment) = rest.get(3..1 + length) else { break };
                    rest = &rest[1 + length..];
                    (marker, segment)
                }
                _ => break,
            };
            match (marker, segment) {
                (0xdb, [precision, table @ ..]) if tables == 0 => {
                    tables += 1;
                    facts.quantisation = if precision >> 4 == 0 {
                        table.iter().take(64).map(|step| u32::from(*step)).sum()
                    } else {
                        table.as_chunks().0.iter().take(64).map(|step| u32::from(u16::from_be_bytes(*step))).sum()
                    };
                }
                (0xc0..=0xc3, [_, _, _, _, _, _, _, sampling, ..]) => {
                    facts.progressive = marker == 0xc2;
                    facts.sampling = *sampling;
                }
                (0xe0, [b'J', b'F', b'I', b'F', 0, _, _, _, high, low, ..]) => {
                    facts.density = Some(u16::from_be_bytes([*high, *low]));
                }
                (0xe1, [b'E', b'x', b'i', b'f', ..]) => facts.exif = true,
                (0xe2, [b'I', b'C', b'C', ..]) => facts.profile = true,
                (0xfe, _) => facts.comment = true,
                _ => {}
            }
        }
        Some(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Channels, Mode};

    fn golden(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../../golden/data/files/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn a_jpeg_tells_how_it_was_saved() {
        let facts = |name: &str| decode_with_facts(&golden(name), Channels::Gray).unwrap().1;
        let film = facts("colour_420.jpg");
        assert_eq!((film.width, film.height, film.source.mode), (61, 47, Mode::Rgb));
        let jpeg = film.jpeg.unwrap();
        assert_eq!((jpeg.sampling, jpeg.progressive, jpeg.exif), (0x22, false, false));
        assert!(jpeg.quantisation > 64 && jpeg.density.is_some(), "{jpeg:?}");
        assert!(facts("colour_420_progressive.jpg").jpeg.unwrap().progressive);
        assert!(facts("gray_exif_turned.jpg").jpeg.unwrap().exif);
        let png = facts("gray_8.png");
        assert!(png.jpeg.is_none() && png.dicom.is_none() && png.bytes_a_pixel > 0.0);
    }

    #[test]
    fn segments_that_are_cut_end_it() {
        let whole = golden("colour_420.jpg");
        for length in 0..whole.len().min(700) {
            // Whatever is there is told; nothing panics.
            let _ = JpegFacts::of(&whole[..length]);
        }
        assert_eq!(JpegFacts::of(b"\xff\xd8\xff\xdb\x00\x01"), Some(JpegFacts::default()));
        assert_eq!(JpegFacts::of(b"BM"), None);
    }
}
