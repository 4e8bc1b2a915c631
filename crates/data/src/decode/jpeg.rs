//! JPEG: baseline, extended, progressive and lossless, Huffman codes, of one, three and four channels. The pixels are
//! libjpeg-turbo's, and so Pillow's, to the last bit.

mod colour;
mod frame;
mod huffman;
pub(crate) mod idct;
mod lossless;
mod plane;
mod progressive;
mod segments;
mod sequential;
mod smoothing;

use super::{Channels, DecodeError, Decoded, Image, Mode, Sink, Source};

use colour::Colours;
use frame::{Coding, Frame};
use huffman::Stop;
use plane::Plane;
use progressive::Coefficients;
use segments::{Scan, Segments};

const FORMAT: &str = "JPEG";

/// Where each coefficient of the file's order lies in a block (ITU-T T.81, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

pub(super) fn decode(bytes: &[u8], channels: Channels) -> Result<Decoded, DecodeError> {
    let Picture { frame, samples, colours } = Picture::read(bytes)?;
    let (width, height) = (frame.width, frame.height);
    let mode = match colours {
        Colours::Gray => Mode::Gray,
        Colours::Rgb | Colours::Ycc => Mode::Rgb,
        Colours::Cmyk | Colours::Ycck => Mode::Cmyk,
    };
    let source = Source { format: FORMAT, mode, bits: frame.bits };
    let planes = match samples {
        Samples::Bytes(planes) => planes,
        // Their full range becomes that of 8 bits.
        Samples::Words(planes) if colours == Colours::Gray => {
            let most = (1_u32 << frame.bits) - 1;
            let mut sink = Sink::new(width, height, channels);
            let samples = planes.iter().flat_map(|plane| &plane.samples);
            samples.for_each(|&sample| sink.gray(((u32::from(sample).min(most) * 255 + most / 2) / most) as u8));
            return Ok((sink.into_image(width, height), source));
        }
        Samples::Words(planes) => bytes_of(planes, frame.bits)?,
    };
    let pixels = colour::pixels(&frame, planes, colours, channels);
    Ok((Image { width, height, channels, pixels }, source))
}

/// Samples as they are stored.
pub(super) enum Stored {
    Gray(Vec<u16>),
    /// Three channels of 8 bits.
    Colour(Vec<u8>),
}

/// Width, height and samples of a picture in a file that itself says what its channels are: `untouched`, three channels
/// are what is stored, else red, green and blue.
pub(super) fn stored(bytes: &[u8], untouched: bool) -> Result<(usize, usize, Stored), DecodeError> {
    let Picture { frame, samples, colours } = Picture::read(bytes)?;
    let colours = if untouched && frame.components.len() == 3 { Colours::Rgb } else { colours };
    let stored = match (samples, colours) {
        (Samples::Bytes(planes), Colours::Gray) => {
            Stored::Gray(planes.into_iter().flat_map(|plane| plane.samples).map(u16::from).collect())
        }
        (Samples::Words(planes), Colours::Gray) => {
            Stored::Gray(planes.into_iter().flat_map(|plane| plane.samples).collect())
        }
        (Samples::Bytes(planes), _) => Stored::Colour(colour::pixels(&frame, planes, colours, Channels::Rgb)),
        (Samples::Words(planes), _) => {
            Stored::Colour(colour::pixels(&frame, bytes_of(planes, frame.bits)?, colours, Channels::Rgb))
        }
    };
    Ok((frame.width, frame.height, stored))
}

/// Width, height and channels that a picture says it has, before anything of it is decoded.
pub(super) fn size(bytes: &[u8]) -> Result<(usize, usize, usize), DecodeError> {
    let mut segments = Segments::new(bytes);
    segments.next_scan()?;
    let frame = segments.frame.ok_or_else(|| damaged("it has no frame header"))?;
    Ok((frame.width, frame.height, frame.components.len()))
}

/// The samples of a picture of 8 bits in a file that itself says what its channels are: as they are stored, those of a pixel
/// beside each other.
pub(super) fn channels(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let Picture { frame, samples, .. } = Picture::read(bytes)?;
    let planes = match samples {
        Samples::Bytes(planes) => planes,
        Samples::Words(planes) => bytes_of(planes, frame.bits)?,
    };
    Ok(colour::stored(&frame, &planes))
}

/// Lossless samples of 8 bits.
fn bytes_of(planes: Vec<Plane<u16>>, bits: u8) -> Result<Vec<Plane<u8>>, DecodeError> {
    if bits != 8 {
        return Err(DecodeError::Unsupported("a JPEG of this kind that has not 8 bits a sample"));
    }
    let plane = |plane: Plane<u16>| Plane {
        width: plane.width,
        height: plane.height,
        samples: plane.samples.iter().map(|&sample| sample as u8).collect(),
    };
    Ok(planes.into_iter().map(plane).collect())
}

/// A picture that is wholly there.
struct Picture {
    frame: Frame,
    samples: Samples,
    colours: Colours,
}

enum Samples {
    /// Of 8 bits.
    Bytes(Vec<Plane<u8>>),
    /// Of any number.
    Words(Vec<Plane<u16>>),
}

/// What is read of a picture until its scans are over.
enum Parts {
    Bytes(Vec<Option<Plane<u8>>>),
    Words(Vec<Option<Plane<u16>>>),
    Coefficients(Vec<Option<Coefficients>>),
}

impl Picture {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut segments = Segments::new(bytes);
        let mut scan = segments.next_scan()?;
        let frame = segments.frame.clone().ok_or_else(|| damaged("it has no frame header"))?;
        let count = frame.components.len();
        let mut parts = match (frame.coding, frame.bits) {
            (Coding::Progressive, _) => Parts::Coefficients((0..count).map(|_| None).collect()),
            (Coding::Sequential, 8) => Parts::Bytes((0..count).map(|_| None).collect()),
            _ => Parts::Words((0..count).map(|_| None).collect()),
        };
        while let Some(one) = scan {
            let read = match &mut parts {
                Parts::Bytes(planes) => sequential::scan(&segments, &frame, &one, planes),
                Parts::Words(planes) if frame.coding == Coding::Lossless => {
                    lossless::scan(&segments, &frame, &one, planes)
                }
                Parts::Words(planes) => sequential::scan(&segments, &frame, &one, planes),
                Parts::Coefficients(channels) => progressive::scan(&segments, &frame, &one, channels),
            };
            read?.map_err(|stop| said(stop, &frame, &one))?;
            if one.components.len() == count && frame.coding != Coding::Progressive {
                segments.pass_the_rest()?;
                break;
            }
            scan = segments.next_scan()?;
        }
        let samples = match parts {
            Parts::Bytes(planes) => Samples::Bytes(whole(planes)?),
            Parts::Words(planes) => Samples::Words(whole(planes)?),
            Parts::Coefficients(channels) => Samples::Bytes(progressive::planes(&frame, &whole(channels)?)),
        };
        let colours = colours(&frame, &segments);
        Ok(Self { frame, samples, colours })
    }
}

/// What the channels are, as libjpeg guesses it (`jdapimin.c`).
fn colours(frame: &Frame, segments: &Segments<'_>) -> Colours {
    let ids = frame.components.iter().map(|component| component.id).collect::<Vec<_>>();
    match (&ids[..], segments.adobe) {
        ([_], _) => Colours::Gray,
        ([_, _, _], _) if segments.jfif => Colours::Ycc,
        ([_, _, _], Some(0)) => Colours::Rgb,
        ([_, _, _], Some(_)) => Colours::Ycc,
        (b"RGB", None) => Colours::Rgb,
        ([_, _, _], None) if frame.coding == Coding::Lossless => Colours::Rgb,
        ([_, _, _], None) => Colours::Ycc,
        (_, None | Some(0)) => Colours::Cmyk,
        _ => Colours::Ycck,
    }
}

/// All channels; an error where one has no scan.
fn whole<T>(parts: Vec<Option<T>>) -> Result<Vec<T>, DecodeError> {
    let count = parts.len();
    let there = parts.iter().filter(|part| part.is_some()).count();
    let missing = || damaged(format!("it holds {there} of its {count} channels"));
    parts.into_iter().collect::<Option<_>>().ok_or_else(missing)
}

/// The rows of units that a scan's bytes can hold at most, where a block has so many codes at least: a file of some bytes
/// may claim any size.
fn reach(frame: &Frame, scan: &Scan, codes: usize) -> usize {
    let (across, ..) = frame.units(&scan.components);
    scan.entropy.bits() / (codes * across * frame.blocks_in_unit(&scan.components)) + 1
}

/// Why a scan was not read to its end.
fn said(stop: Stop, frame: &Frame, scan: &Scan) -> DecodeError {
    match stop {
        Stop::Damaged(reason) => damaged(reason),
        Stop::Ends(unit) => {
            let (across, _, rows) = frame.units(&scan.components);
            let alone = scan.components.len() == frame.components.len() && frame.coding != Coding::Progressive;
            let what = if alone { "the JPEG".to_owned() } else { format!("scan {} of the JPEG", scan.number) };
            DecodeError::Incomplete { what, rows: (unit / across * rows).min(frame.height), of: frame.height }
        }
    }
}

fn damaged(reason: impl Into<String>) -> DecodeError {
    DecodeError::Corrupt { format: FORMAT, reason: reason.into() }
}
