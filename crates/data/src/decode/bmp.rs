//! BMP: 1, 2, 4, 8, 16, 24 and 32 bits a pixel, run-length compressed or not; also without its file header (DIB).
//!
//! The fourth byte of a pixel of 32 bits is dropped, which may be transparency or nothing: many programs leave it 0.

mod rle;

use std::borrow::Cow;

use super::{Channels, DecodeError, Decoded, Mode, Sink, Source, check_size};

const FORMAT: &str = "BMP";
const FILE_HEADER: usize = 14;

/// Compression of the header.
const RGB: u32 = 0;
const RLE8: u32 = 1;
const RLE4: u32 = 2;
const BITFIELDS: u32 = 3;
const JPEG: u32 = 4;
const PNG: u32 = 5;
const ALPHA_BITFIELDS: u32 = 6;

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    // On the clipboard, and in files called .dib, it has no file header.
    if !bytes.starts_with(b"BM") {
        return picture(bytes, 0, channels);
    }
    let pixels_at = (u32_at(bytes, 10)? as usize).saturating_sub(FILE_HEADER);
    picture(bytes.get(FILE_HEADER..).unwrap_or_default(), pixels_at, channels)
}

/// The picture from its header on; the pixels lie at a place counted from there, or, where that is 0, behind all else.
fn picture(bytes: &[u8], pixels_at: usize, channels: Channels) -> Result<Decoded, DecodeError> {
    let header = u32_at(bytes, 0)? as usize;
    // The oldest header (OS/2) has sides of 16 bits and palette entries of three bytes. A later one may be cut short, and
    // what is not there is 0.
    let old = header == 12;
    if !old && !(16..=1024).contains(&header) {
        return Err(corrupt(format!("its header says that it has {header} bytes")));
    }
    let (width, height) = if old {
        (i64::from(u16_at(bytes, 4)?), i64::from(u16_at(bytes, 6)?))
    } else {
        (i64::from(i32_at(bytes, 4)?), i64::from(i32_at(bytes, 8)?))
    };
    let bits = usize::from(u16_at(bytes, if old { 10 } else { 14 })?);
    let later = |at: usize| if at + 4 <= header { u32_at(bytes, at) } else { Ok(0) };
    let (compression, used) = (later(16)?, later(32)? as usize);
    // A negative height means that the first row is the top one.
    let top_down = height < 0;
    let width = u64::try_from(width).map_err(|_| corrupt(format!("it is {width} pixels wide")))?;
    let height = height.unsigned_abs();
    check_size(FORMAT, width, height)?;
    let (width, height) = (width as usize, height as usize);

    // Where the palette would lie if the file says that its pixels do, it is before them all the same, as in Pillow.
    let entry = if old { 3 } else { 4 };
    let colours = match (bits, used) {
        (0..=8, 0) => 1 << bits,
        (0..=8, used) => used,
        _ => 0,
    };
    let masks = if header == 40 && matches!(compression, BITFIELDS | ALPHA_BITFIELDS) { 12 } else { 0 };
    let behind = colours.saturating_mul(entry).saturating_add(header + masks);
    let pixels_at = if pixels_at == 0 || pixels_at == header && bits <= 8 { behind } else { pixels_at };
    let palette = palette(bytes.get(header..).unwrap_or_default(), entry, colours.min(256));

    const USUAL: [u32; 3] = [0x00ff_0000, 0x0000_ff00, 0x0000_00ff];
    let fields = match (bits, compression) {
        (1 | 2 | 4 | 8 | 24, RGB) | (4, RLE4) | (8, RLE8) => None,
        (16, RGB) => Some([0x7c00, 0x03e0, 0x001f]),
        (32, RGB) => Some(USUAL),
        (16 | 24 | 32, BITFIELDS | ALPHA_BITFIELDS) => {
            Some(match [u32_at(bytes, 40)?, u32_at(bytes, 44)?, u32_at(bytes, 48)?] {
                [0, 0, 0] if bits == 32 => USUAL,
                masks => masks,
            })
        }
        (_, JPEG) => return Err(DecodeError::Unsupported("a BMP that holds a JPEG")),
        (_, PNG) => return Err(DecodeError::Unsupported("a BMP that holds a PNG")),
        _ => return Err(corrupt(format!("{bits} bits a pixel in compression {compression}"))),
    };
    let fields = match fields {
        Some(masks) => {
            let [r, g, b] = masks.map(Field::new);
            match (r, g, b) {
                (Some(r), Some(g), Some(b)) => Some([r, g, b]),
                _ => return Err(corrupt(format!("its colour masks are {masks:x?}"))),
            }
        }
        None => None,
    };

    let truncated = || DecodeError::Truncated { format: FORMAT };
    let rest = bytes.get(pixels_at..).ok_or_else(truncated)?;
    // Run-length codes become rows of a byte a pixel.
    let packed = matches!(compression, RLE8 | RLE4);
    let (depth, stride) = if packed { (8, width) } else { (bits, (width * bits).div_ceil(32) * 4) };
    let rows = match packed {
        true => Cow::Owned(rle::indices(rest, compression == RLE4, width, height)?),
        false => Cow::Borrowed(rest.get(..stride * height).ok_or_else(truncated)?),
    };
    let mut sink = Sink::new(width, height, channels);
    for y in 0..height {
        let row = &rows[stride * if top_down { y } else { height - 1 - y }..][..stride];
        for x in 0..width {
            let value = |bytes: usize| (0..bytes).fold(0, |v, i| v | u32::from(row[x * bytes + i]) << (8 * i));
            sink.rgb(match (bits, &fields) {
                (_, Some(fields)) => {
                    let value = value(bits / 8);
                    fields.each_ref().map(|field| field.eight_bits(value))
                }
                (24, _) => [row[3 * x + 2], row[3 * x + 1], row[3 * x]],
                _ => {
                    // The first pixel is in the highest bits.
                    let at = x * depth;
                    let index = row[at / 8] >> (8 - depth - at % 8) & ((1u16 << depth) - 1) as u8;
                    // Pillow too takes an index beyond the palette for black.
                    palette.get(usize::from(index)).copied().unwrap_or_default()
                }
            });
        }
    }
    let source = match bits {
        1..=8 => Source { format: FORMAT, mode: Mode::Palette, bits: bits as u8 },
        // Fields of 5 or 6 bits of a pixel of 16.
        16 => Source { format: FORMAT, mode: Mode::Rgb, bits: 5 },
        _ => Source { format: FORMAT, mode: Mode::Rgb, bits: 8 },
    };
    Ok((sink.into_image(width, height), source))
}

/// The palette, red first, as far as the file goes; it lies after the header.
fn palette(bytes: &[u8], entry: usize, colours: usize) -> Vec<[u8; 3]> {
    bytes.chunks_exact(entry).take(colours).map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect()
}

/// Where a colour lies in a pixel.
struct Field {
    shift: u32,
    max: u32,
}

impl Field {
    /// `None` where the mask is not one run of 1 to 16 bits.
    fn new(mask: u32) -> Option<Self> {
        let shift = mask.trailing_zeros();
        let max = mask.checked_shr(shift)?;
        (max <= 0xffff && (max + 1).is_power_of_two()).then_some(Self { shift, max })
    }

    /// Scaled so that the largest value is 255, rounded down as Pillow does.
    fn eight_bits(&self, pixel: u32) -> u8 {
        ((pixel >> self.shift & self.max) * 255 / self.max) as u8
    }
}

fn corrupt(reason: String) -> DecodeError {
    DecodeError::Corrupt { format: FORMAT, reason }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], DecodeError> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(DecodeError::Truncated { format: FORMAT })
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, DecodeError> {
    field(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, DecodeError> {
    field(bytes, at).map(u32::from_le_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32, DecodeError> {
    field(bytes, at).map(i32::from_le_bytes)
}
