//! From the bytes of pixels to stored values: native ones and those of the encodings that are read.

use super::header::Header;
use super::walk::DataSet;
use super::{FORMAT, PixelData, damaged, refused};
#[cfg(feature = "jpegxl")]
use crate::decode::jpegxl;
use crate::decode::{DecodeError, jpeg};

/// Stored values, row by row.
pub(super) enum Samples {
    Gray(Vec<i32>),
    /// Of 8 bits; `ycc`: luma and two chromas of full range, instead of red, green and blue.
    Colour {
        pixels: Vec<[u8; 3]>,
        ycc: bool,
    },
}

/// What the bytes are.
enum Encoding {
    Native,
    Rle,
    /// Baseline and extended, of 8 and 12 bits.
    Jpeg,
    JpegLossless,
    Jpeg2000,
    /// `recompressed`: of a JPEG, whose colours are luma and chroma within.
    #[cfg(feature = "jpegxl")]
    JpegXl {
        recompressed: bool,
    },
}

fn encoding(transfer: &str) -> Result<Encoding, DecodeError> {
    Ok(match transfer.strip_prefix("1.2.840.10008.1.2") {
        Some("" | ".1" | ".1.99" | ".2") => Encoding::Native,
        Some(".5") => Encoding::Rle,
        Some(".4.50" | ".4.51") => Encoding::Jpeg,
        Some(".4.57" | ".4.70") => Encoding::JpegLossless,
        Some(".4.90" | ".4.91") => Encoding::Jpeg2000,
        #[cfg(feature = "jpegxl")]
        Some(".4.110" | ".4.112") => Encoding::JpegXl { recompressed: false },
        #[cfg(feature = "jpegxl")]
        Some(".4.111") => Encoding::JpegXl { recompressed: true },
        rest => {
            let name = match rest {
                #[cfg(not(feature = "jpegxl"))]
                Some(".4.110" | ".4.111" | ".4.112") => " (JPEG XL; the program's feature jpegxl reads it)",
                Some(".4.80" | ".4.81") => " (JPEG-LS)",
                Some(".4.201" | ".4.202" | ".4.203") => " (High-Throughput JPEG 2000)",
                Some(rest) if rest.starts_with(".4.10") => " (video)",
                _ => "",
            };
            let uid = crate::display::escape(transfer);
            return Err(refused(format!("a DICOM of the transfer syntax {uid}{name}, which is not read")));
        }
    })
}

/// The stored values of a film.
pub(super) fn read(data: &DataSet<'_>, header: &Header) -> Result<Samples, DecodeError> {
    let encoding = encoding(&data.transfer)?;
    let Some((pixels, whole)) = data.pixels() else { return Err(refused("a DICOM without pixels")) };
    let count = usize::from(header.rows) * usize::from(header.columns);
    let ycc = match (header.samples_per_pixel, header.photometric.as_str()) {
        (1, "MONOCHROME1" | "MONOCHROME2") => None,
        (3, "RGB" | "YBR_RCT" | "YBR_ICT" | "XYB") => Some(false),
        (3, "YBR_FULL" | "YBR_FULL_422") => Some(true),
        (_, "PALETTE COLOR") => return Err(refused("a DICOM whose pixels are indices of a palette")),
        (samples, other) => {
            let other = crate::display::escape(other);
            return Err(refused(format!("a DICOM of {samples} samples a pixel, {other}; grey ones and RGB are read")));
        }
    };
    if ycc.is_some() && header.bits_allocated != 8 {
        return Err(refused("a DICOM in colour of more than 8 bits a sample"));
    }
    match (encoding, pixels) {
        (Encoding::Native, PixelData::Native(bytes)) if header.bits_allocated == 8 && data.in_big_words() => {
            let swapped: Vec<u8> = bytes.as_chunks().0.iter().flat_map(|&[a, b]| [b, a]).collect();
            native(&swapped, whole, header, count, true, ycc)
        }
        (Encoding::Native, PixelData::Native(bytes)) => native(bytes, whole, header, count, data.syntax.big, ycc),
        (Encoding::Native, PixelData::Encapsulated(_)) => {
            Err(damaged("its pixels are in pieces, which its syntax has not"))
        }
        (_, PixelData::Native(_)) => Err(damaged("its pixels are not in pieces, as its syntax has them")),
        (Encoding::Rle, PixelData::Encapsulated(pieces)) => {
            // One piece a frame.
            let bytes = rle(pieces.first().ok_or_else(truncated)?, header, count)?;
            native(&bytes, true, header, count, false, ycc)
        }
        (Encoding::Jpeg, PixelData::Encapsulated(pieces)) => of_jpeg(&pieces.concat(), header, count, ycc, false),
        (Encoding::JpegLossless, PixelData::Encapsulated(pieces)) => {
            of_jpeg(&pieces.concat(), header, count, ycc, true)
        }
        (Encoding::Jpeg2000, PixelData::Encapsulated(pieces)) => jpeg_2000(&pieces.concat(), header, count, ycc),
        #[cfg(feature = "jpegxl")]
        (Encoding::JpegXl { recompressed }, PixelData::Encapsulated(pieces)) => {
            jpeg_xl(&pieces.concat(), header, count, ycc, recompressed)
        }
    }
}

fn truncated() -> DecodeError {
    DecodeError::Truncated { format: FORMAT }
}

fn native(
    bytes: &[u8],
    whole: bool,
    header: &Header,
    count: usize,
    big: bool,
    ycc: Option<bool>,
) -> Result<Samples, DecodeError> {
    if header.photometric == "YBR_FULL_422" {
        return Err(refused("a DICOM in YBR_FULL_422 that is not a JPEG"));
    }
    let size = usize::from(header.bits_allocated / 8) * usize::from(header.samples_per_pixel);
    let bytes = bytes.get(..count * size).ok_or_else(|| {
        let rows = bytes.len() / (size * usize::from(header.columns).max(1));
        let why = if whole {
            "its pixels are fewer than its rows and columns say"
        } else {
            "the file ends before the pixels do"
        };
        damaged(format!("{why}: {rows} rows of {} are there", header.rows))
    })?;
    let Some(ycc) = ycc else {
        let values = match (header.bits_allocated, big) {
            (8, _) => bytes.iter().map(|byte| u32::from(*byte)).map(|sample| stored(sample, header)).collect(),
            (16, false) => each(bytes, |pair| u16::from_le_bytes(*pair).into(), header),
            (16, true) => each(bytes, |pair| u16::from_be_bytes(*pair).into(), header),
            (_, false) => each(bytes, |word| u32::from_le_bytes(*word), header),
            (_, true) => each(bytes, |word| u32::from_be_bytes(*word), header),
        };
        return Ok(Samples::Gray(values));
    };
    let pixels = if header.planar {
        let (r, rest) = bytes.split_at(count);
        let (g, b) = rest.split_at(count);
        r.iter().zip(g).zip(b).map(|((r, g), b)| [*r, *g, *b]).collect()
    } else {
        bytes.as_chunks().0.to_vec()
    };
    Ok(Samples::Colour { pixels, ycc })
}

fn each<const N: usize>(bytes: &[u8], of: impl Fn(&[u8; N]) -> u32, header: &Header) -> Vec<i32> {
    bytes.as_chunks().0.iter().map(|sample| stored(of(sample), header)).collect()
}

/// The value in a sample: its stored bits, with their sign.
fn stored(sample: u32, header: &Header) -> i32 {
    let bits = u32::from(header.bits_stored);
    let low = u32::from(header.high_bit) + 1 - bits;
    let left = 32 - bits;
    let value = (sample >> low) << left;
    // Unsigned values of 32 bits would be negative here: half of their range is enough for light.
    if header.signed { value as i32 >> left } else { (value >> left).min(i32::MAX as u32) as i32 }
}

/// RLE (PS3.5, annex G): 64 bytes of offsets, then a segment for each byte of a sample, the most significant first.
fn rle(bytes: &[u8], header: &Header, count: usize) -> Result<Vec<u8>, DecodeError> {
    let number =
        |at: usize| bytes.get(4 * at..4 * at + 4).and_then(|n| n.first_chunk()).map(|n| u32::from_le_bytes(*n));
    let width = usize::from(header.bits_allocated / 8);
    let samples = usize::from(header.samples_per_pixel);
    let segments = number(0).ok_or_else(truncated)? as usize;
    if segments != width * samples || segments > 15 {
        return Err(damaged(format!("its RLE has {segments} segments for {} bytes a pixel", width * samples)));
    }
    let mut out = vec![0; count * width * samples];
    for segment in 0..segments {
        let from = number(1 + segment).ok_or_else(truncated)? as usize;
        let to = if segment + 1 < segments { number(2 + segment).ok_or_else(truncated)? as usize } else { bytes.len() };
        let packed = bytes.get(from..to).ok_or_else(truncated)?;
        let (sample, byte) = (segment / width, width - 1 - segment % width);
        // Colour comes as planes here and is written as pixels, or as planes where the header says so.
        let place = |pixel: usize| {
            if header.planar {
                (sample * count + pixel) * width + byte
            } else {
                (pixel * samples + sample) * width + byte
            }
        };
        let mut pixel = 0;
        let mut packed = packed.iter();
        while let Some(&control) = packed.next().filter(|_| pixel < count) {
            match control {
                0..=127 => {
                    for _ in 0..=control {
                        let value = *packed.next().ok_or_else(truncated)?;
                        if pixel < count {
                            out[place(pixel)] = value;
                        }
                        pixel += 1;
                    }
                }
                128 => {}
                129..=255 => {
                    let value = *packed.next().ok_or_else(truncated)?;
                    for _ in 0..(257 - u32::from(control)) {
                        if pixel < count {
                            out[place(pixel)] = value;
                        }
                        pixel += 1;
                    }
                }
            }
        }
        if pixel < count {
            return Err(truncated());
        }
    }
    Ok(out)
}

/// `lossless` leaves colours as they are stored, and so does a header that calls them RGB: what a JPEG of three channels
/// mostly is does not matter then.
fn of_jpeg(
    bytes: &[u8],
    header: &Header,
    count: usize,
    ycc: Option<bool>,
    lossless: bool,
) -> Result<Samples, DecodeError> {
    let untouched = lossless || ycc == Some(false);
    let (width, height, samples) = jpeg::stored(bytes, untouched)?;
    same_size(header, width, height)?;
    match (samples, ycc) {
        (jpeg::Stored::Gray(values), None) => {
            Ok(Samples::Gray(values[..count].iter().map(|value| stored(u32::from(*value), header)).collect()))
        }
        (jpeg::Stored::Colour(pixels), Some(ycc)) => {
            Ok(Samples::Colour { pixels: pixels.as_chunks().0.to_vec(), ycc: ycc && untouched })
        }
        _ => Err(damaged("its JPEG holds other samples than its header says")),
    }
}

fn jpeg_2000(bytes: &[u8], header: &Header, count: usize, ycc: Option<bool>) -> Result<Samples, DecodeError> {
    use hayro_jpeg2000::DecoderContext;
    let failed = |error: hayro_jpeg2000::error::DecodeError| super::super::corrupt(FORMAT, &error.to_string());
    let image = super::super::jpeg2000::open(bytes, FORMAT)?;
    same_size(header, image.width() as usize, image.height() as usize)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(failed)?;
    match (decoded.components(), ycc) {
        ([gray], None) if gray.samples().len() == count => {
            // The decoder takes all samples for unsigned, and so lifts signed ones by half of their range.
            let bits = gray.bit_depth().clamp(1, 31);
            let lifted = if is_signed(bytes) { 1_i32 << (bits - 1) } else { 0 };
            // What is lossy may go beyond its range.
            let value = |sample: &f32| (sample.round() as i32).clamp(0, ((1_i64 << bits) - 1) as i32) - lifted;
            Ok(Samples::Gray(gray.samples().iter().map(|sample| stored(value(sample) as u32, header)).collect()))
        }
        (components @ [_, _, _], Some(_)) if components.iter().all(|c| c.samples().len() == count) => {
            let byte = |c: usize, at: usize| components[c].samples()[at].round().clamp(0.0, 255.0) as u8;
            let pixels = (0..count).map(|at| [byte(0, at), byte(1, at), byte(2, at)]).collect();
            // Its own transform is undone by the decoder.
            Ok(Samples::Colour { pixels, ycc: false })
        }
        _ => Err(damaged("its JPEG 2000 holds other samples than its header says")),
    }
}

/// What is stored as it is keeps the colours that the header names; what was a JPEG, or is in the colours of JPEG XL itself,
/// comes out as RGB.
#[cfg(feature = "jpegxl")]
fn jpeg_xl(
    bytes: &[u8],
    header: &Header,
    count: usize,
    ycc: Option<bool>,
    recompressed: bool,
) -> Result<Samples, DecodeError> {
    let image = jpegxl::samples(bytes, FORMAT)?;
    same_size(header, image.width, image.height)?;
    match (image.channels, ycc) {
        (1, None) if image.values.len() == count => {
            Ok(Samples::Gray(image.values.iter().map(|value| stored(u32::from(*value), header)).collect()))
        }
        (3, Some(ycc)) if image.bits == 8 && image.values.len() == 3 * count => {
            let pixels = image.values.as_chunks().0.iter().map(|pixel: &[u16; 3]| pixel.map(|value| value as u8));
            let as_stored = image.as_stored && !recompressed && header.photometric == "YBR_FULL";
            Ok(Samples::Colour { pixels: pixels.collect(), ycc: ycc && as_stored })
        }
        _ => Err(damaged("its JPEG XL holds other samples than its header says")),
    }
}

/// Whether the first component of a JPEG 2000 is signed (ISO/IEC 15444-1, A.5.1).
fn is_signed(bytes: &[u8]) -> bool {
    let siz = super::super::jpeg2000::codestream(bytes);
    siz.and_then(|code| code.get(42)).is_some_and(|ssiz| ssiz & 0x80 != 0)
}

fn same_size(header: &Header, width: usize, height: usize) -> Result<(), DecodeError> {
    if (width, height) == (usize::from(header.columns), usize::from(header.rows)) {
        return Ok(());
    }
    Err(damaged(format!(
        "its encoded pixels are {width}x{height} and its header says {}x{}",
        header.columns, header.rows
    )))
}
