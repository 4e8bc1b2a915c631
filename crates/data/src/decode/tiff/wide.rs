//! Samples of which nothing says what is black and what is white: signed ones, those of 32 bits and more, and floats.
//!
//! They become light by rules that know nothing of the film but its samples' kind and, to refuse it, their range. A film is
//! never stretched by its own least and greatest sample, after which two films could not be compared. What is said in a
//! file to be its least and greatest sample (tags 280, 281, 340, 341, and ImageJ's description) is passed over for the
//! same reason: writers put the film's own there.
//!
//! - **Integers** are what most programs hold pixels in, whatever the pixels are: `astype(int)` of an 8-bit film, of a
//!   12-bit one. From 0 to 65535 they are read as unsigned ones of 16 bits, and so by the bits that the data set uses
//!   ([`Span`](super::super::Span)). Signed ones of 8 bits are read as unsigned ones. A negative sample refuses the film:
//!   signed films hold what a DICOM's rescaling or a subtraction gave, with a black and a white that are told elsewhere.
//! - **Floats within 0 and 1** are read as such, times 255, and **those that reach from 16 to 65535** as integers, rounded.
//!   Nothing in a film tells a dark one of the second kind from one of the first, so both ends are kept apart by what
//!   cannot be a film: one that is 0 and 1 only is a mask (or a black film of the second kind) and refused; whatever ends
//!   between 1 and 16 is refused too, which catches films of 0 to 1 that a filter has taken beyond 1, and logarithms
//!   and optical densities, while a film of 8 bits or more that never reaches 16 shows nothing. So a film of integers or
//!   of 0 to 255 would have to stay below 1 level, and not be all 0, to be taken for one of 0 to 1.
//! - Everything else is refused with its range.

use crate::decode::DecodeError;

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Unsigned, of up to 16 bits: it spans from black to white.
    Narrow,
    Unsigned,
    Signed,
    Float,
}

impl Kind {
    /// By its number (tag 339) and bits; none for what is not read.
    pub(super) fn of(format: usize, bits: usize) -> Option<Self> {
        Some(match (format, bits) {
            // 4 says that nobody knows, and is read as if it were not there.
            (1 | 4, 1..=16) => Self::Narrow,
            (1 | 4, 32 | 64) => Self::Unsigned,
            (2, 8 | 16 | 32 | 64) => Self::Signed,
            (3, 16 | 32 | 64) => Self::Float,
            _ => return None,
        })
    }
}

/// The number that these bytes are.
pub(super) fn number(bytes: &[u8], kind: Kind, bits: usize, big_endian: bool) -> f64 {
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let raw = if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
    match (kind, bits) {
        (Kind::Float, 64) => f64::from_bits(raw),
        (Kind::Float, 32) => f32::from_bits(raw as u32).into(),
        (Kind::Float, _) => half(raw as u16),
        (Kind::Signed, _) => ((raw << (64 - bits)) as i64 >> (64 - bits)) as f64,
        _ => raw as f64,
    }
}

/// A float of 16 bits (IEEE 754, binary16).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// What the samples of a film are.
#[derive(Debug)]
pub(super) struct Range {
    least: f64,
    most: f64,
    /// Whether one lies between 0 and 1.
    between: bool,
    /// Whether one is infinite or no number.
    endless: bool,
}

impl Range {
    pub(super) fn new() -> Self {
        Self { least: f64::INFINITY, most: f64::NEG_INFINITY, between: false, endless: false }
    }

    pub(super) fn add(&mut self, sample: f64) {
        self.least = self.least.min(sample);
        self.most = self.most.max(sample);
        self.between |= sample > 0.0 && sample < 1.0;
        self.endless |= !sample.is_finite();
    }

    /// How films of such samples are read.
    pub(super) fn reading(&self, kind: Kind, bits: usize) -> Result<Reading, DecodeError> {
        let (least, most) = (said(self.least), said(self.most));
        let refused = |why: String| Err(DecodeError::NotAFilm(why));
        if self.endless {
            return refused("a TIFF of floating-point samples of which some are infinite or no numbers".to_owned());
        }
        if self.least >= 0.0 && self.most <= 65_535.0 {
            match (kind, bits) {
                (Kind::Float, _) if self.most == 0.0 || self.most <= 1.0 && self.between => return Ok(Reading::UNIT),
                (Kind::Float, _) if self.most < 16.0 => {}
                (Kind::Signed, 8) => return Ok(Reading::EIGHT),
                _ => return Ok(Reading::SIXTEEN),
            }
        }
        refused(match kind {
            Kind::Float if self.least >= 0.0 && self.most <= 1.0 && !self.between => {
                "a TIFF of floating-point samples that are 0 or 1: a mask, by the looks of it, and no film".to_owned()
            }
            Kind::Float => format!(
                "a TIFF of floating-point samples from {least} to {most}: those of a film go from 0 to 1, or from 0 up to \
                 something between 16 and 65535; save it as 16-bit integers, every film by the same rule"
            ),
            Kind::Signed if self.least < 0.0 => format!(
                "a TIFF of signed samples from {least} to {most}: nothing says which of them is black and which is white; \
                 save it as unsigned 16-bit integers, every film by the same rule, or give the DICOM that it comes from"
            ),
            _ => format!(
                "a TIFF of {bits}-bit samples from {least} to {most}: integers are read up to 65535; save it as 16-bit \
                 integers, every film by the same rule"
            ),
        })
    }
}

/// How wide samples become narrow ones: times `scale`, rounded, as numbers of `bits`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    pub scale: f64,
    pub bits: usize,
}

impl Reading {
    const UNIT: Self = Self { scale: 255.0, bits: 8 };
    const EIGHT: Self = Self { scale: 1.0, bits: 8 };
    const SIXTEEN: Self = Self { scale: 1.0, bits: 16 };

    pub(super) fn narrow(&self, sample: f64) -> u16 {
        (sample * self.scale + 0.5) as u16
    }
}

/// A number in few words.
fn said(number: f64) -> String {
    match number.abs() {
        size if size < 1e15 && number.fract() == 0.0 => format!("{number}"),
        0.001..1e6 => format!("{number:.3}"),
        _ => format!("{number:.3e}"),
    }
}
