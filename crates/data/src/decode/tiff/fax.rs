//! Fax compression, one bit a pixel: ITU-T T.4 (group 3, in one or two dimensions) and T.6 (group 4), as a TIFF stores them
//! (TIFF 6.0, sections 10 and 11). The codes are the `fax` crate's.

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

use super::corrupt;
use crate::decode::DecodeError;

/// How rows are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Each row by itself, from a byte's begin, without marks between them (compression 2).
    Rows,
    /// Each row after a mark, by itself or as a change of the row above (compression 3).
    Group3 {
        /// Whether the mark tells which of the two.
        two_dimensional: bool,
    },
    /// Each row as a change of the row above (compression 4).
    Group4,
}

/// The rows, packed from the highest bit, each from a byte's begin; black is 1.
pub(super) fn decode(data: &[u8], coding: Coding, width: usize, rows: usize) -> Result<Vec<u8>, DecodeError> {
    let mut bits = Bits { data, at: 0 };
    let stride = width.div_ceil(8);
    let mut out = Vec::new();
    let (mut above, mut row) = (Vec::new(), Vec::new());
    for number in 0..rows {
        row.clear();
        let decoded = match coding {
            Coding::Rows => {
                bits.at = bits.at.next_multiple_of(8);
                by_itself(&mut bits, width, &mut row)
            }
            Coding::Group3 { two_dimensional } => group_3(&mut bits, two_dimensional, width, &above, &mut row),
            Coding::Group4 => by_the_row_above(&mut bits, width, &above, &mut row),
        };
        match decoded {
            Ok(Row::Whole) => {}
            // An encoder may leave out white rows before its mark of the end.
            Ok(Row::End) => {
                out.resize(stride * rows, 0);
                return Ok(out);
            }
            Err(Code::Unread) => {
                return Err(DecodeError::Unsupported("a TIFF in fax compression with uncompressed parts"));
            }
            // The longest code has 13 bits.
            Err(Code::Wrong) if bits.at + 13 > 8 * data.len() => {
                return Err(DecodeError::Truncated { format: super::FORMAT });
            }
            Err(Code::Wrong) => return Err(corrupt(&format!("row {number} of its fax code has no meaning"))),
        }
        let start = out.len();
        out.resize(start + stride, 0);
        for run in row.chunks(2) {
            (run[0]..run.get(1).copied().unwrap_or(width)).for_each(|x| out[start + x / 8] |= 0x80 >> (x % 8));
        }
        std::mem::swap(&mut above, &mut row);
    }
    Ok(out)
}

/// What was found in the place of a row.
enum Row {
    Whole,
    End,
}

/// Why a row cannot be read.
enum Code {
    Wrong,
    Unread,
}

/// A row after its mark.
fn group_3(
    bits: &mut Bits<'_>,
    two_dimensional: bool,
    width: usize,
    above: &[usize],
    row: &mut Vec<usize>,
) -> Result<Row, Code> {
    let marked = bits.skip_mark();
    if two_dimensional {
        // Without the mark nothing tells how the row is coded.
        if !marked {
            return Err(Code::Wrong);
        }
        if !bits.take_one() {
            return by_the_row_above(bits, width, above, row);
        }
    }
    // Two marks in a row are the end.
    if marked && bits.peek(12) == Some(1) { Ok(Row::End) } else { by_itself(bits, width, row) }
}

/// Runs of white and black in turn (T.4, 4.1).
fn by_itself(bits: &mut Bits<'_>, width: usize, row: &mut Vec<usize>) -> Result<Row, Code> {
    let (mut at, mut is_black) = (0, false);
    while at < width {
        at = width.min(at + run(bits, is_black, width)?);
        change(row, at, width);
        is_black = !is_black;
    }
    Ok(Row::Whole)
}

/// Changes of colour told by those of the row above (T.4, 4.2; T.6, 2.2).
fn by_the_row_above(bits: &mut Bits<'_>, width: usize, above: &[usize], row: &mut Vec<usize>) -> Result<Row, Code> {
    // Before the first pixel there is a white one.
    let (mut at, mut is_black, mut hint) = (None, false, 0);
    while at.is_none_or(|at| at < width) {
        let from = at.unwrap_or(0);
        match mode::decode(bits).ok_or(Code::Wrong)? {
            Mode::Pass => at = Some(below(above, at, is_black, &mut hint, width)[1]),
            Mode::Vertical(by) => {
                let to = below(above, at, is_black, &mut hint, width)[0].checked_add_signed(by.into());
                let to = to.filter(|to| (from..=width).contains(to)).ok_or(Code::Wrong)?;
                change(row, to, width);
                (at, is_black) = (Some(to), !is_black);
            }
            Mode::Horizontal => {
                let middle = width.min(from + run(bits, is_black, width)?);
                let to = width.min(middle + run(bits, !is_black, width)?);
                change(row, middle, width);
                change(row, to, width);
                at = Some(to);
            }
            Mode::Extension => return Err(Code::Unread),
            Mode::EOF if row.is_empty() && at.is_none() => return Ok(Row::End),
            Mode::EOF => return Err(Code::Wrong),
        }
    }
    Ok(Row::Whole)
}

/// The first change of the row above behind this place that is one to the other colour, and the next one (b1 and b2).
fn below(above: &[usize], at: Option<usize>, is_black: bool, hint: &mut usize, width: usize) -> [usize; 2] {
    let behind = |change: usize| at.is_none_or(|at| change > at);
    while *hint > 0 && above.get(*hint - 1).is_none_or(|change| behind(*change)) {
        *hint -= 1;
    }
    while above.get(*hint).is_some_and(|change| !behind(*change)) {
        *hint += 1;
    }
    // Even ones are from white to black.
    let first = *hint + usize::from((*hint % 2 == 1) != is_black);
    [first, first + 1].map(|i| above.get(i).copied().unwrap_or(width))
}

/// Notes a change of colour. A run of no length stays two changes, as encoders count them when they code the row below.
fn change(row: &mut Vec<usize>, at: usize, width: usize) {
    if at < width {
        row.push(at);
    }
}

/// The length of a run: codes of multiples of 64 and a last one below that. Encoders are known whose last run of a row is
/// longer than the row, and libtiff too cuts it there.
fn run(bits: &mut Bits<'_>, is_black: bool, width: usize) -> Result<usize, Code> {
    let mut length = 0;
    // Long enough for any row, so that an endless series of codes is none.
    while length <= width + 2 * 2560 {
        let part = if is_black { black::decode(bits) } else { white::decode(bits) }.ok_or(Code::Wrong)?;
        length += usize::from(part);
        if part < 64 {
            return Ok(length);
        }
    }
    Err(Code::Wrong)
}

/// Bits from the highest of each byte; behind the end all are 0.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Skips a mark, eleven zeros or more and a one, where there is one.
    fn skip_mark(&mut self) -> bool {
        if self.peek(11) != Some(0) {
            return false;
        }
        let mut at = self.at + 11;
        while at < 8 * self.data.len() {
            let byte = self.data[at / 8] << (at % 8);
            if byte != 0 {
                self.at = at + byte.leading_zeros() as usize + 1;
                return true;
            }
            at = (at / 8 + 1) * 8;
        }
        false
    }

    fn take_one(&mut self) -> bool {
        let bit = self.peek(1) == Some(1);
        self.at += 1;
        bit
    }
}

impl BitReader for Bits<'_> {
    type Error = std::convert::Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        let byte = |i: usize| u32::from(self.data.get(self.at / 8 + i).copied().unwrap_or(0));
        let window = byte(0) << 16 | byte(1) << 8 | byte(2);
        (1..=16).contains(&bits).then(|| (window << (8 + self.at % 8) >> (32 - u32::from(bits))) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), Self::Error> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (8 - self.at % 8) as u8 % 8
    }
}
