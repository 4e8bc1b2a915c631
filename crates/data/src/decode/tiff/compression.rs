//! How the bytes of a strip or tile are packed: LZW, deflate, PackBits, JPEG, fax; and the predictors of LZW and deflate.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus, decode::Configuration};

use super::fax::{self, Coding};
use super::{FORMAT, corrupt};
use crate::decode::{DecodeError, jpeg};

/// How the bytes are packed (tag 259).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
    Jpeg,
    Fax(Coding),
}

impl Compression {
    /// By its number; `options` are those of group 3 (tag 292).
    pub(super) fn of(number: u64, options: u64) -> Result<Self, DecodeError> {
        Ok(match number {
            1 => Self::None,
            2 => Self::Fax(Coding::Rows),
            3 if options & 2 != 0 => {
                return Err(DecodeError::Unsupported("a TIFF in fax compression with uncompressed parts"));
            }
            3 => Self::Fax(Coding::Group3 { two_dimensional: options & 1 != 0 }),
            4 => Self::Fax(Coding::Group4),
            5 => Self::Lzw,
            7 => Self::Jpeg,
            8 | 32946 => Self::Deflate,
            32773 => Self::PackBits,
            _ => {
                return Err(DecodeError::Unsupported(match number {
                    6 => "a TIFF in JPEG compression of the old kind",
                    33003 | 33005 | 34712 => "a TIFF in JPEG 2000 compression",
                    34925 => "a TIFF in LZMA compression",
                    50000 | 34926 => "a TIFF in Zstandard compression",
                    50001 | 34927 => "a TIFF in WebP compression",
                    _ => "a TIFF in a rare compression",
                }));
            }
        })
    }

    /// Whether predictors are used (tag 317).
    pub(super) fn predicts(self) -> bool {
        matches!(self, Self::Lzw | Self::Deflate)
    }
}

/// A strip or tile: pixels and rows in it and in those that are whole, samples of a pixel and bytes of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub width: usize,
    pub rows: usize,
    pub most_rows: usize,
    pub samples: usize,
    pub stride: usize,
}

/// The bytes of a strip or tile, unpacked; exactly as many as it has. `tables` are those that the JPEGs of a file share.
pub(super) fn unpack<'a>(
    data: Cow<'a, [u8]>,
    compression: Compression,
    shape: Shape,
    tables: Option<&[u8]>,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    let length = shape.stride * shape.rows;
    let out = match compression {
        Compression::None => data,
        Compression::Lzw => lzw(&data, length)?.into(),
        Compression::Deflate => deflate(&data, length)?.into(),
        Compression::PackBits => pack_bits(&data, length).into(),
        Compression::Jpeg => jpeg(&data, shape, tables)?.into(),
        Compression::Fax(coding) => fax::decode(&data, coding, shape.width, shape.rows)?.into(),
    };
    if out.len() < length { Err(DecodeError::Truncated { format: FORMAT }) } else { Ok(out) }
}

fn lzw(mut data: &[u8], length: usize) -> Result<Vec<u8>, DecodeError> {
    // Files of before TIFF 5.0 begin with a code of 9 bits from the lowest one, whose value is 256 as it is today.
    let configuration = match data {
        [0, second, ..] if second & 1 == 1 => Configuration::new(BitOrder::Lsb, 8),
        _ => Configuration::with_tiff_size_switch(BitOrder::Msb, 8),
    };
    let mut decoder = configuration.with_yield_on_full_buffer(true).build();
    let mut out = Vec::new();
    while out.len() < length {
        // Room for twice what is there, so that memory follows what the data hold.
        let at = out.len();
        out.resize(length.min(at + at.max(1 << 16)), 0);
        let step = decoder.decode_bytes(data, &mut out[at..]);
        data = &data[step.consumed_in..];
        out.truncate(at + step.consumed_out);
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::NoProgress | LzwStatus::Done) => break,
            Err(error) => return Err(corrupt(&error.to_string())),
        }
    }
    Ok(out)
}

fn deflate(data: &[u8], length: usize) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    match ZlibDecoder::new(data).take(length as u64).read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(DecodeError::Truncated { format: FORMAT }),
        Err(error) => Err(corrupt(&error.to_string())),
    }
}

/// Runs of one byte, and bytes as they are (TIFF 6.0, section 9).
fn pack_bits(mut data: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < length
        && let [head, rest @ ..] = data
    {
        let count = usize::from(*head);
        data = match (count, rest) {
            (0..=127, _) => {
                let (bytes, after) = rest.split_at((count + 1).min(rest.len()));
                out.extend_from_slice(bytes);
                after
            }
            (129.., [byte, after @ ..]) => {
                out.resize(out.len() + 257 - count, *byte);
                after
            }
            // 128 means nothing.
            _ => rest,
        };
    }
    out
}

/// The samples of a JPEG as they are stored: what they mean, the directory tells.
fn jpeg(data: &[u8], shape: Shape, tables: Option<&[u8]>) -> Result<Vec<u8>, DecodeError> {
    // Tables lie between marks of begin and end of their own, in the place of the picture's begin.
    let tables = tables.and_then(|tables| tables.strip_suffix(&[0xff, 0xd9]));
    let whole = match (tables, data.strip_prefix(&[0xff, 0xd8])) {
        (Some(tables), Some(data)) => Cow::Owned([tables, data].concat()),
        _ => Cow::Borrowed(data),
    };
    let failed = |error: DecodeError| match error {
        DecodeError::Truncated { .. } => DecodeError::Truncated { format: FORMAT },
        DecodeError::Corrupt { .. } => corrupt(&error.to_string()),
        error => error,
    };
    let (width, height, stored) = jpeg::size(&whole).map_err(failed)?;
    // A last strip may be coded with the height of the others, but not higher: each of many could be as large as a film.
    if width != shape.width || !(shape.rows..=shape.most_rows).contains(&height) || stored != shape.samples {
        return Err(corrupt(&format!(
            "it holds a JPEG of {width}x{height} pixels and {stored} channels instead of {}x{} and {}",
            shape.width, shape.rows, shape.samples
        )));
    }
    jpeg::channels(&whole).map_err(failed)
}

/// Undoes what was done before packing: each sample stored as its difference from the one before it in the row.
pub(super) fn undo_differences(bytes: &mut [u8], shape: Shape, size: usize, big_endian: bool) {
    match size {
        1 => add_up::<1>(bytes, shape, big_endian),
        2 => add_up::<2>(bytes, shape, big_endian),
        4 => add_up::<4>(bytes, shape, big_endian),
        _ => add_up::<8>(bytes, shape, big_endian),
    }
}

fn add_up<const SIZE: usize>(bytes: &mut [u8], shape: Shape, big_endian: bool) {
    // Carries run from the lowest byte on, whatever the size.
    let significance = |i: usize| if big_endian { SIZE - 1 - i } else { i };
    for row in bytes.chunks_mut(shape.stride) {
        let (samples, _) = row.as_chunks_mut::<SIZE>();
        for at in shape.samples..samples.len() {
            let before = samples[at - shape.samples];
            let mut carry = 0_u16;
            for i in 0..SIZE {
                let i = significance(i);
                carry += u16::from(samples[at][i]) + u16::from(before[i]);
                samples[at][i] = carry as u8;
                carry >>= 8;
            }
        }
    }
}

/// Undoes the predictor of floats (Adobe's technical note 3): the bytes of a row sorted by significance, the highest first,
/// and then each stored as its difference from the one before it.
pub(super) fn undo_float_differences(bytes: &mut [u8], shape: Shape, size: usize, big_endian: bool) {
    for row in bytes.chunks_mut(shape.stride) {
        for at in shape.samples..row.len() {
            row[at] = row[at].wrapping_add(row[at - shape.samples]);
        }
        let sorted = row.to_vec();
        let count = row.len() / size;
        for (at, sample) in row.chunks_exact_mut(size).enumerate() {
            for (i, byte) in sample.iter_mut().enumerate() {
                let rank = if big_endian { i } else { size - 1 - i };
                *byte = sorted[rank * count + at];
            }
        }
    }
}
