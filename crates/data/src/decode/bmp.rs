//! BMP: 1, 4, 8, 16, 24 and 32 bits a pixel, not run-length compressed.

use super::{Channels, DecodeError, Decoded, Mode, Sink, Source, check_size};

const FORMAT: &str = "BMP";
const FILE_HEADER: usize = 14;

/// Compression of the header.
const RGB: u32 = 0;
const BITFIELDS: u32 = 3;
const ALPHA_BITFIELDS: u32 = 6;

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let pixels_at = u32_at(bytes, 10)? as usize;
    let header = u32_at(bytes, FILE_HEADER)? as usize;
    // The oldest header (OS/2) has sides of 16 bits and palette entries of three bytes.
    let old = header == 12;
    if !old && !(40..=1024).contains(&header) {
        return Err(corrupt(format!("its header says that it has {header} bytes")));
    }
    let (width, height) = if old {
        (i64::from(u16_at(bytes, 18)?), i64::from(u16_at(bytes, 20)?))
    } else {
        (i64::from(i32_at(bytes, 18)?), i64::from(i32_at(bytes, 22)?))
    };
    let bits = usize::from(u16_at(bytes, if old { 24 } else { 28 })?);
    let compression = if old { RGB } else { u32_at(bytes, 30)? };
    // A negative height means that the first row is the top one.
    let top_down = height < 0;
    let width = u64::try_from(width).map_err(|_| corrupt(format!("it is {width} pixels wide")))?;
    let height = height.unsigned_abs();
    check_size(FORMAT, width, height)?;
    let (width, height) = (width as usize, height as usize);

    let palette = if bits <= 8 { palette(bytes, header, old, bits, pixels_at)? } else { Vec::new() };
    let fields = match (bits, compression) {
        (1 | 4 | 8 | 24, RGB) => None,
        (16, RGB) => Some([0x7c00, 0x03e0, 0x001f]),
        (32, RGB) => Some([0x00ff_0000, 0x0000_ff00, 0x0000_00ff]),
        (16 | 32, BITFIELDS | ALPHA_BITFIELDS) => Some([u32_at(bytes, 54)?, u32_at(bytes, 58)?, u32_at(bytes, 62)?]),
        (1 | 4 | 8, 1 | 2) => return Err(DecodeError::Unsupported("a run-length compressed BMP")),
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

    let stride = (width * bits).div_ceil(32) * 4;
    let rows = bytes.get(pixels_at..).and_then(|rest| rest.get(..stride * height));
    let rows = rows.ok_or(DecodeError::Truncated { format: FORMAT })?;
    let mut sink = Sink::new(width, height, channels);
    for y in 0..height {
        let row = &rows[stride * if top_down { y } else { height - 1 - y }..][..stride];
        for x in 0..width {
            let value = |bytes: usize| (0..bytes).fold(0, |v, i| v | u32::from(row[x * bytes + i]) << (8 * i));
            sink.rgb(match (bits, &fields) {
                (16 | 32, Some(fields)) => {
                    let value = value(bits / 8);
                    fields.each_ref().map(|field| field.eight_bits(value))
                }
                (24, _) => [row[3 * x + 2], row[3 * x + 1], row[3 * x]],
                _ => {
                    // The first pixel is in the highest bits.
                    let at = x * bits;
                    let index = row[at / 8] >> (8 - bits - at % 8) & ((1u16 << bits) - 1) as u8;
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

/// The palette, red first. It lies after the header and ends, at the latest, where the pixels begin.
fn palette(bytes: &[u8], header: usize, old: bool, bits: usize, end: usize) -> Result<Vec<[u8; 3]>, DecodeError> {
    let (entry, used) = if old { (3, 0) } else { (4, u32_at(bytes, 46)? as usize) };
    let start = FILE_HEADER + header;
    let room = end.saturating_sub(start) / entry;
    let most = 1 << bits.min(8);
    let colours = if used == 0 { most.min(room) } else { used.min(most).min(room) };
    let entries = bytes.get(start..start + colours * entry).ok_or(DecodeError::Truncated { format: FORMAT })?;
    Ok(entries.chunks_exact(entry).map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect())
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
