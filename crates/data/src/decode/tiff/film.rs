//! What a TIFF's directory says of its picture, and the way to its samples: strips or tiles, in one plane or several.

use std::borrow::Cow;

use super::compression::{self, Compression, Shape};
use super::directory::{Directory, Values};
use super::wide::{self, Kind};
use super::{FORMAT, corrupt};
use crate::decode::{DecodeError, MAX_FILE_BYTES, MAX_PIXELS, check_size};

/// More channels than any film has; a file may claim 65,535.
const MOST_SAMPLES: u64 = 8;

/// What the first samples of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Gray {
        white_is_zero: bool,
    },
    Rgb,
    Palette,
    Cmyk,
    /// Luma and two chromas.
    Ycc,
}

impl Colours {
    /// How many samples it takes.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Gray { .. } | Self::Palette => 1,
            Self::Rgb | Self::Ycc => 3,
            Self::Cmyk => 4,
        }
    }
}

pub(super) struct Film<'a> {
    pub directory: Directory<'a>,
    pub width: usize,
    pub height: usize,
    pub colours: Colours,
    /// Whether a pixel has more samples than its colours need.
    pub has_more: bool,
    /// Whether the colours are multiplied with the transparency, which is the sample after them.
    pub premultiplied: bool,
    /// Bits of a sample.
    pub bits: usize,
    pub kind: Kind,
    /// Samples of a pixel, and those of them that are handed out: the colours, and a transparency that they need.
    samples: usize,
    handed: usize,
    /// Whether each kind of sample lies in a plane of its own.
    planar: bool,
    compression: Compression,
    predictor: u64,
    /// Whether bytes begin with the lowest bit.
    reversed: bool,
    tables: Option<&'a [u8]>,
    /// The one JPEG that a file of the old kind holds.
    old_jpeg: Option<&'a [u8]>,
    offsets: Values<'a>,
    lengths: Option<Values<'a>>,
    /// Sides of a strip or tile, and how many lie beside and below each other.
    chunk: [usize; 2],
    grid: [usize; 2],
    tiled: bool,
}

impl<'a> Film<'a> {
    /// Reads what is said; refuses what would take too much memory or come out wrong without an error.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let directory = Directory::read(bytes)?;
        let number = |tag| directory.number(tag);
        let (Some(width), Some(height)) = (number(256)?, number(257)?) else {
            return Err(corrupt("it does not say how large it is"));
        };
        check_size(FORMAT, width, height)?;
        let (width, height) = (width as usize, height as usize);
        let old_jpeg = old_jpeg(&directory)?;
        let compression = match old_jpeg {
            Some(_) => Compression::Jpeg,
            None => Compression::of(number(259)?.unwrap_or(1), number(292)?.unwrap_or(0))?,
        };
        // Some of the old kind leave the number out.
        let samples = number(277)?.unwrap_or(if old_jpeg.is_some() && number(262)? == Some(6) { 3 } else { 1 });
        if samples > MOST_SAMPLES {
            return Err(DecodeError::Unsupported("a TIFF of more than eight channels"));
        }
        let samples = samples as usize;
        let extra = directory.values(338)?;
        let colours = colours(number(262)?, samples, extra.map_or(0, |extra| extra.len()))?;
        let bits = same_of_all(&directory, 258, samples, 1)?
            .ok_or(DecodeError::Unsupported("a TIFF whose channels have different numbers of bits"))?;
        let format = same_of_all(&directory, 339, samples, 1)?;
        let kind = format.and_then(|format| Kind::of(format, bits)).filter(|kind| {
            let small = *kind == Kind::Narrow;
            match colours {
                Colours::Gray { .. } | Colours::Rgb => true,
                Colours::Palette => small && bits <= 8,
                Colours::Cmyk => small,
                Colours::Ycc => small && bits == 8,
            }
        });
        // Without the tag two by two pixels share their chromas; a JPEG knows by itself.
        let shared = directory.values(530)?.is_none_or(|shared| shared.iter().any(|pixels| pixels != 1));
        if colours == Colours::Ycc && compression != Compression::Jpeg && shared {
            return Err(DecodeError::Unsupported("a TIFF of pixels that share their chromas, not in JPEG compression"));
        }
        let whole = match compression {
            Compression::Jpeg => bits == 8,
            Compression::Fax(_) => bits == 1 && (samples == 1 || number(284)? == Some(2)),
            _ => true,
        };
        let kind = kind.filter(|_| whole).ok_or(DecodeError::Unsupported("a TIFF of this kind of sample"))?;
        let predictor = if compression.predicts() { number(317)?.unwrap_or(1) } else { 1 };
        match (predictor, bits, kind) {
            (1, _, _) | (2, 8 | 16 | 32 | 64, _) | (3, _, Kind::Float) => {}
            _ => return Err(DecodeError::Unsupported("a TIFF whose samples are predicted in a rare way")),
        }

        let tiled = number(322)?.is_some();
        let [across, down] = match tiled {
            true => [number(322)?, number(323)?].map(|side| side.unwrap_or(0)),
            false => [width as u64, number(278)?.unwrap_or(u64::MAX).min(height as u64)],
        };
        check_size(FORMAT, across, down)?;
        let chunk = [across as usize, down as usize];
        let grid = [width.div_ceil(chunk[0]), height.div_ceil(chunk[1])];
        // Tiles may reach beyond the picture, and are unpacked as a whole.
        if (grid[0] * chunk[0]) as u64 * (grid[1] * chunk[1]) as u64 > 2 * MAX_PIXELS {
            return Err(corrupt(&format!("its {}x{} tiles have {}x{} pixels", grid[0], grid[1], chunk[0], chunk[1])));
        }
        let (places, sizes) = match tiled && directory.values(324)?.is_some() {
            true => (324, 325),
            false => (273, 279),
        };
        let offsets = directory.values(places)?.ok_or_else(|| corrupt("it does not say where its pixels lie"))?;
        let premultiplied = extra.and_then(|extra| extra.get(0)) == Some(1) && samples > colours.count();
        if premultiplied && colours == (Colours::Gray { white_is_zero: true }) {
            return Err(DecodeError::Unsupported("a TIFF whose zero is white, multiplied with its transparency"));
        }
        Ok(Self {
            width,
            height,
            colours,
            has_more: samples > colours.count(),
            premultiplied,
            bits,
            kind,
            samples,
            handed: colours.count() + usize::from(premultiplied),
            planar: samples > 1 && number(284)? == Some(2),
            compression,
            predictor,
            reversed: number(266)? == Some(2),
            old_jpeg,
            tables: directory.values(347)?.map(|tables| tables.bytes),
            offsets,
            lengths: directory.values(sizes)?,
            chunk,
            grid,
            tiled,
            directory,
        })
    }

    /// Hands out the samples of a pixel that are needed, in rows from where their strip or tile begins, with that place
    /// first. `narrow` makes of a wide sample what is handed out.
    pub(super) fn rows(
        &self,
        narrow: &mut dyn FnMut(f64) -> u16,
        hand_out: &mut dyn FnMut(usize, usize, &mut [u16]),
    ) -> Result<(), DecodeError> {
        let planes = if self.planar { self.handed } else { 1 };
        let mut row = Vec::new();
        for at in 0..self.grid[0] * self.grid[1] {
            let [x, y] = [at % self.grid[0] * self.chunk[0], at / self.grid[0] * self.chunk[1]];
            let shape = self.shape(self.height - y);
            let plane = |plane: usize| self.chunk(plane * self.grid[0] * self.grid[1] + at, shape);
            let planes = (0..planes).map(plane).collect::<Result<Vec<_>, _>>()?;
            let columns = self.chunk[0].min(self.width - x);
            row.resize(columns * self.handed, 0);
            for line in 0..shape.rows.min(self.height - y) {
                for (first, plane) in planes.iter().enumerate() {
                    self.samples(&plane[line * shape.stride..][..shape.stride], shape, first, narrow, &mut row);
                }
                hand_out(x, y + line, &mut row);
            }
        }
        Ok(())
    }

    /// The shape of a strip or tile below which there are so many rows, its own included.
    fn shape(&self, rows: usize) -> Shape {
        let samples = if self.planar { 1 } else { self.samples };
        Shape {
            width: self.chunk[0],
            rows: if self.tiled { self.chunk[1] } else { self.chunk[1].min(rows) },
            most_rows: self.chunk[1],
            samples,
            stride: (self.chunk[0] * samples * self.bits).div_ceil(8),
        }
    }

    /// The bytes of a strip or tile.
    fn chunk(&self, index: usize, shape: Shape) -> Result<Cow<'a, [u8]>, DecodeError> {
        let length = shape.stride as u64 * shape.rows as u64;
        if length > MAX_FILE_BYTES {
            return Err(DecodeError::TooLarge { width: self.width as u64, height: self.height as u64 });
        }
        let truncated = DecodeError::Truncated { format: FORMAT };
        let missing = || corrupt(&format!("it has {} strips or tiles and more are needed", self.offsets.len()));
        let from = usize::try_from(self.offsets.get(index).ok_or_else(missing)?).unwrap_or(usize::MAX);
        let rest = self.directory.bytes().get(from..).ok_or(DecodeError::Truncated { format: FORMAT })?;
        // A length that is missing or nothing is that to the end of the file, as unpacking ends by itself.
        let stored = self.lengths.and_then(|lengths| lengths.get(index)).filter(|length| *length > 0);
        let data = match (self.compression, stored) {
            (Compression::None, _) => rest.get(..length as usize).ok_or(truncated)?,
            // A decoder would fill what is missing of a JPEG with gray.
            (Compression::Jpeg, _) if self.old_jpeg.is_some() => self.old_jpeg.unwrap_or_default(),
            (Compression::Jpeg, Some(stored)) if stored > rest.len() as u64 => return Err(truncated),
            (_, Some(stored)) => &rest[..rest.len().min(usize::try_from(stored).unwrap_or(usize::MAX))],
            (_, None) => rest,
        };
        let data = match self.reversed && self.compression != Compression::Jpeg {
            true => Cow::Owned(data.iter().map(|byte| byte.reverse_bits()).collect()),
            false => Cow::Borrowed(data),
        };
        let mut data = compression::unpack(data, self.compression, shape, self.tables)?;
        let big_endian = self.directory.big_endian();
        match self.predictor {
            2 => compression::undo_differences(data.to_mut(), shape, self.bits / 8, big_endian),
            3 => compression::undo_float_differences(data.to_mut(), shape, self.bits / 8, big_endian),
            _ => {}
        }
        Ok(data)
    }

    /// Takes the samples of a row of a strip or tile apart; `first` is the plane's, where there are several.
    fn samples(&self, bytes: &[u8], shape: Shape, first: usize, narrow: &mut dyn FnMut(f64) -> u16, row: &mut [u16]) {
        let count = self.handed.min(shape.samples);
        let mut put = |sample: &mut dyn FnMut(usize) -> u16| {
            for (x, pixel) in row.chunks_exact_mut(self.handed).enumerate() {
                let place = &mut pixel[first..first + count];
                place.iter_mut().enumerate().for_each(|(i, place)| *place = sample(x * shape.samples + i));
            }
        };
        let (big_endian, size) = (self.directory.big_endian(), self.bits / 8);
        match (self.kind, self.bits) {
            (Kind::Narrow, 8) => put(&mut |at| bytes[at].into()),
            (Kind::Narrow, 16) if big_endian => put(&mut |at| u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]])),
            (Kind::Narrow, 16) => put(&mut |at| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]])),
            // The first sample is in the highest bits, in either byte order.
            (Kind::Narrow, bits) => put(&mut |at| {
                let byte = |i: usize| u32::from(bytes.get(at * bits / 8 + i).copied().unwrap_or(0));
                let window = byte(0) << 16 | byte(1) << 8 | byte(2);
                (window << (8 + at * bits % 8) >> (32 - bits)) as u16
            }),
            (kind, bits) => put(&mut |at| narrow(wide::number(&bytes[at * size..][..size], kind, bits, big_endian))),
        }
    }
}

/// The JPEG of a file in JPEG compression of the old kind (6), where it is one whole JPEG as most programs wrote it: tag
/// 513 says where it begins, 514 perhaps how long it is, and its one strip lies in it. Others of the kind are scattered over
/// the file.
fn old_jpeg<'a>(directory: &Directory<'a>) -> Result<Option<&'a [u8]>, DecodeError> {
    let (Some(6), Some(from), Some(strips)) = (directory.number(259)?, directory.number(513)?, directory.values(273)?)
    else {
        return Ok(None);
    };
    let rest = usize::try_from(from).ok().and_then(|from| directory.bytes().get(from..)).unwrap_or_default();
    let length = directory.number(514)?.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    let jpeg = &rest[..length.min(rest.len())];
    let inside = strips.get(0).and_then(|at| at.checked_sub(from)).is_some_and(|at| at < jpeg.len() as u64);
    Ok(Some(jpeg).filter(|jpeg| strips.len() == 1 && inside && jpeg.starts_with(&[0xff, 0xd8])))
}

/// What the photometric interpretation (tag 262) says of the samples.
fn colours(photometric: Option<u64>, samples: usize, extra: usize) -> Result<Colours, DecodeError> {
    let colours = match photometric {
        // A third channel that nothing explains makes something else of it.
        Some(0 | 1) if samples > 2 && extra + 1 < samples => {
            return Err(DecodeError::Unsupported("a TIFF whose channels are called gray and are more than two"));
        }
        Some(gray @ (0 | 1)) => Colours::Gray { white_is_zero: gray == 0 },
        Some(2) => Colours::Rgb,
        Some(3) => Colours::Palette,
        Some(5) => Colours::Cmyk,
        Some(6) if samples == 1 => Colours::Gray { white_is_zero: false },
        Some(6) => Colours::Ycc,
        Some(8..=10) => return Err(DecodeError::Unsupported("a TIFF in CIE L*a*b*")),
        Some(_) => return Err(DecodeError::Unsupported("a TIFF of a rare kind")),
        None => return Err(DecodeError::Unsupported("a TIFF that does not say what its samples mean")),
    };
    if samples < colours.count() {
        return Err(corrupt(&format!("it has {samples} channels, and its colours need {}", colours.count())));
    }
    Ok(colours)
}

/// The value that a tag has for each channel, or one for all of them; none where they differ.
fn same_of_all(directory: &Directory<'_>, tag: u16, samples: usize, usual: u64) -> Result<Option<usize>, DecodeError> {
    let Some(values) = directory.values(tag)? else { return Ok(Some(usual as usize)) };
    if values.len() > 1 && values.len() < samples {
        return Err(corrupt(&format!("its tag {tag} has {} values for {samples} channels", values.len())));
    }
    let first = values.get(0).unwrap_or(usual);
    Ok(values.iter().take(samples).all(|value| value == first).then_some(first.min(u16::MAX.into()) as usize))
}
