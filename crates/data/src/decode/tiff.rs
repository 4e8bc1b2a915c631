//! TIFF: the first page; gray, RGB, palette, CMYK and YCbCr, 1 to 16 bits a sample, in strips or tiles.

use std::io::{Cursor, ErrorKind};

use tiff::decoder::{ChunkType, Decoder, Limits};
use tiff::tags::{CompressionMethod, PhotometricInterpretation, SampleFormat, Tag};
use tiff::{ColorType, TiffError, TiffUnsupportedError};

use super::{DecodeError, DecodeOptions, Decoded, MAX_FILE_BYTES, Mode, Sink, Source, Span, check_size};
use super::{cmyk_to_rgb, turned, ycc_to_rgb};

const FORMAT: &str = "TIFF";

/// More channels than any film has; a file may claim 65,535.
const MOST_SAMPLES: u16 = 8;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    let mut decoder = open(bytes)?;
    check_film(&mut decoder, bytes.len() as u64)?;
    let number = |decoder: &mut Decoder<_>, tag| decoder.find_tag_unsigned::<u16>(tag).map_err(error);
    let orientation = number(&mut decoder, Tag::Orientation)?.unwrap_or(1);
    let photometric = number(&mut decoder, Tag::PhotometricInterpretation)?;
    if photometric != Some(PhotometricInterpretation::RGBPalette.to_u16()) {
        let (image, source) = pixels(&mut decoder, None, options)?;
        // As Pillow does, which leaves a JPEG as it is.
        return Ok((turned(image, orientation), source));
    }
    // The crate does not read palettes. Their indices are laid out as gray is, so it is told that they are gray.
    let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(error)?;
    let colours = map.len() / 3;
    // Each channel by itself, 16 bits an entry, of which Pillow too takes the high ones.
    let colour = |i: usize| [0, 1, 2].map(|channel| (map[channel * colours + i] >> 8) as u8);
    let palette: Vec<[u8; 3]> = (0..colours).map(colour).collect();
    let mut patched = bytes.to_vec();
    let value = photometric_value(bytes).and_then(|at| patched.get_mut(at..at + 2));
    let value = value.ok_or_else(|| corrupt("its first directory cannot be read"))?;
    let gray = PhotometricInterpretation::BlackIsZero.to_u16();
    value.copy_from_slice(&if bytes[0] == b'I' { gray.to_le_bytes() } else { gray.to_be_bytes() });
    let (image, source) = pixels(&mut open(&patched)?, Some(&palette), options)?;
    Ok((turned(image, orientation), source))
}

/// The greatest sample of a film of 16 bits a sample; none for any other.
pub(super) fn span(bytes: &[u8]) -> Result<Option<Span>, DecodeError> {
    let mut decoder = open(bytes)?;
    check_film(&mut decoder, bytes.len() as u64)?;
    if decoder.colortype().map_err(error)?.bit_depth() != 16 {
        return Ok(None);
    }
    let layout = decoder.image_buffer_layout().map_err(error)?;
    if layout.complete_len as u64 > MAX_FILE_BYTES {
        return Ok(None);
    }
    let mut data = vec![0; layout.complete_len];
    decoder.read_image_bytes(&mut data).map_err(error)?;
    let most = data.as_chunks().0.iter().map(|sample| u16::from_ne_bytes(*sample)).max();
    Ok(most.map(|most| Span { said: None, most }))
}

fn open(bytes: &[u8]) -> Result<Decoder<Cursor<&[u8]>>, DecodeError> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_FILE_BYTES as usize;
    limits.intermediate_buffer_size = MAX_FILE_BYTES as usize;
    Ok(Decoder::new(Cursor::new(bytes)).map_err(error)?.with_limits(limits))
}

/// Refuses what would take too much memory, or come out wrong without an error.
fn check_film(decoder: &mut Decoder<Cursor<&[u8]>>, file_len: u64) -> Result<(), DecodeError> {
    let (width, height) = decoder.dimensions().map_err(error)?;
    check_size(FORMAT, width.into(), height.into())?;
    if decoder.get_chunk_type() == ChunkType::Tile {
        let (width, height) = decoder.chunk_dimensions();
        check_size(FORMAT, width.into(), height.into())?;
    }
    let mut number = |tag| decoder.find_tag_unsigned::<u16>(tag).map_err(error);
    if number(Tag::SamplesPerPixel)?.unwrap_or(1) > MOST_SAMPLES {
        return Err(DecodeError::Unsupported("a TIFF of more than eight channels"));
    }
    if number(Tag::FillOrder)?.unwrap_or(1) != 1 {
        return Err(DecodeError::Unsupported("a TIFF whose bytes begin with the lowest bit"));
    }
    let compression = number(Tag::Compression)?.map(CompressionMethod::from_u16_exhaustive);
    let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(error)?.unwrap_or_default();
    if formats.iter().any(|&format| SampleFormat::from_u16_exhaustive(format) != SampleFormat::Uint) {
        return Err(DecodeError::Unsupported("a TIFF of signed or floating-point samples"));
    }
    if compression == Some(CompressionMethod::ModernJPEG) {
        // The decoder fills what is missing of a JPEG with gray, so a cut is found here.
        let [offsets, lengths] = match decoder.get_chunk_type() {
            ChunkType::Strip => [Tag::StripOffsets, Tag::StripByteCounts],
            ChunkType::Tile => [Tag::TileOffsets, Tag::TileByteCounts],
        }
        .map(|tag| decoder.get_tag_u64_vec(tag));
        let (offsets, lengths) = (offsets.map_err(error)?, lengths.map_err(error)?);
        let inside = |(&from, &length): (&u64, &u64)| from.checked_add(length).is_some_and(|end| end <= file_len);
        if !offsets.iter().zip(&lengths).all(inside) {
            return Err(DecodeError::Truncated { format: FORMAT });
        }
    }
    Ok(())
}

/// Where the value of the first directory's photometric interpretation lies in the file.
fn photometric_value(bytes: &[u8]) -> Option<usize> {
    let little = bytes.first() == Some(&b'I');
    let number = |at: usize, length: usize| {
        let field = bytes.get(at..at.checked_add(length)?)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        usize::try_from(if little { field.iter().rev().fold(0, join) } else { field.iter().fold(0, join) }).ok()
    };
    // Entries are tag, type, count and value; BigTIFF (43) has longer counts and values.
    let (first, count, entry, value) = if number(2, 2)? == 43 { (8, 8, 20, 12) } else { (4, 2, 12, 8) };
    let directory = number(first, if first == 8 { 8 } else { 4 })?;
    let entries = directory.checked_add(count)?;
    (0..number(directory, count)?)
        .map_while(|i| entries.checked_add(i.checked_mul(entry)?))
        .take_while(|at| at.checked_add(entry).is_some_and(|end| end <= bytes.len()))
        .find(|&at| number(at, 2) == Some(usize::from(Tag::PhotometricInterpretation.to_u16())))
        .map(|at| at + value)
}

/// The pixels as stored; gray stands for an index where there is a palette.
fn pixels(
    decoder: &mut Decoder<Cursor<&[u8]>>,
    palette: Option<&[[u8; 3]]>,
    options: &DecodeOptions,
) -> Result<Decoded, DecodeError> {
    let (width, height) = decoder.dimensions().map_err(error)?;
    let (width, height) = (width as usize, height as usize);
    let colour = decoder.colortype().map_err(error)?;
    let bits = colour.bit_depth();
    let mode = match (colour, palette) {
        (ColorType::Gray(1 | 2 | 4 | 8) | ColorType::Multiband { bit_depth: 8, .. }, Some(_)) => Mode::Palette,
        (_, Some(_)) => return Err(DecodeError::Unsupported("a TIFF of this kind of palette")),
        (ColorType::Gray(1 | 2 | 4 | 8 | 16), None) => Mode::Gray,
        (ColorType::Multiband { bit_depth: 8 | 16, .. }, None) => Mode::GrayAlpha,
        (ColorType::RGB(8 | 16) | ColorType::YCbCr(8), None) => Mode::Rgb,
        (ColorType::RGBA(8 | 16), None) => Mode::RgbAlpha,
        (ColorType::CMYK(8 | 16) | ColorType::CMYKA(8 | 16), None) => Mode::Cmyk,
        _ => return Err(DecodeError::Unsupported("a TIFF of this kind of sample")),
    };
    let layout = decoder.image_buffer_layout().map_err(error)?;
    if layout.complete_len as u64 > MAX_FILE_BYTES {
        return Err(DecodeError::TooLarge { width: width as u64, height: height as u64 });
    }
    let mut data = vec![0; layout.complete_len];
    decoder.read_image_bytes(&mut data).map_err(error)?;

    let stride = layout.row_stride.map_or(0, std::num::NonZeroUsize::get);
    // Samples of a pixel lie beside each other, or each kind in a plane of its own.
    let (beside, plane) = match layout.plane_stride {
        Some(plane) if layout.planes > 1 => (1, plane.get()),
        _ => (usize::from(colour.num_samples()), 0),
    };
    let raw = |x: usize, y: usize, sample: usize| -> u8 {
        let (at, row) = (x * beside + if plane > 0 { 0 } else { sample }, sample * plane + y * stride);
        match bits {
            8 => data[row + at],
            16 => options.eight_bits(u16::from_ne_bytes([data[row + 2 * at], data[row + 2 * at + 1]])),
            // The first sample is in the highest bits.
            bits => {
                let bit = at * usize::from(bits);
                data[row + bit / 8] >> (8 - usize::from(bits) - bit % 8) & ((1 << bits) - 1)
            }
        }
    };
    let full = if bits < 8 { u8::MAX / ((1 << bits) - 1) } else { 1 };
    let mut sink = Sink::new(width, height, options.channels);
    for y in 0..height {
        for x in 0..width {
            match (mode, palette) {
                // An index beyond the palette is black, as in the other formats.
                (_, Some(palette)) => sink.rgb(palette.get(usize::from(raw(x, y, 0))).copied().unwrap_or_default()),
                (Mode::Cmyk, _) => sink.rgb(cmyk_to_rgb([0, 1, 2, 3].map(|sample| raw(x, y, sample)))),
                (Mode::Rgb | Mode::RgbAlpha, _) => {
                    let samples = [0, 1, 2].map(|sample| raw(x, y, sample));
                    sink.rgb(if matches!(colour, ColorType::YCbCr(_)) { ycc_to_rgb(samples) } else { samples });
                }
                _ => sink.gray(raw(x, y, 0) * full),
            }
        }
    }
    Ok((sink.into_image(width, height), Source { format: FORMAT, mode, bits }))
}

fn corrupt(reason: &str) -> DecodeError {
    super::corrupt(FORMAT, reason)
}

fn error(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format: FORMAT }
        }
        TiffError::UnsupportedError(TiffUnsupportedError::UnsupportedCompressionMethod(method)) => {
            DecodeError::Unsupported(match method {
                CompressionMethod::Huffman | CompressionMethod::Fax3 => "a TIFF in fax compression of group 3",
                CompressionMethod::JPEG => "a TIFF in JPEG compression of the old kind",
                CompressionMethod::ZSTD => "a TIFF in Zstandard compression",
                CompressionMethod::WebP => "a TIFF in WebP compression",
                _ => "a TIFF in a rare compression",
            })
        }
        TiffError::UnsupportedError(_) => DecodeError::Unsupported("a TIFF of a rare kind"),
        TiffError::LimitsExceeded | TiffError::IntSizeError => corrupt("it asks for more memory than its pixels need"),
        TiffError::FormatError(error) => corrupt(&error.to_string()),
        error => corrupt(&error.to_string()),
    }
}
