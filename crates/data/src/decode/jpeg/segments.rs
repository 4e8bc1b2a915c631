//! The marker segments of a JPEG, one after another (ITU-T T.81, annex B): tables, the frame, headers of scans.

use std::rc::Rc;

use super::super::DecodeError;
use super::frame::Frame;
use super::huffman::{Codes, Entropy};
use super::{FORMAT, damaged};

/// The most scans of a picture. Each goes over the whole of it, however few its bytes are; programs write some ten.
const MOST_SCANS: usize = 500;

/// Which Huffman codes.
#[derive(Clone, Copy)]
pub(super) enum Class {
    /// Of first coefficients, or of differences: their symbols are no larger than this.
    Dc(u8),
    /// Of all others, which come at once, or else in several scans.
    Ac { at_once: bool },
}

/// How many codes of each length, and their symbols.
type Listed<'a> = (&'a [u8; 16], &'a [u8]);

/// Goes through the file from scan to scan.
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) frame: Option<Frame>,
    /// In the file's order.
    quantization: [Option<[u16; 64]>; 4],
    /// DC and AC.
    codes: [[Option<Listed<'a>>; 4]; 2],
    /// Units between two restarts, 0 for none.
    pub(super) interval: usize,
    /// Whether it says that it is JFIF.
    pub(super) jfif: bool,
    /// What Adobe's segment says of its colours.
    pub(super) adobe: Option<u8>,
    scans: usize,
}

/// A scan's header and its data.
pub(super) struct Scan {
    /// From 1.
    pub(super) number: usize,
    /// Which channels of the frame.
    pub(super) components: Vec<usize>,
    /// The numbers of their codes: DC, AC.
    pub(super) codes: Vec<(u8, u8)>,
    /// Which coefficients, first and last; of a lossless one the predictor comes first.
    pub(super) spectral: (u8, u8),
    /// Bits that earlier scans had left aside, and that this one leaves aside.
    pub(super) approximation: (u8, u8),
    pub(super) entropy: Entropy,
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            // Behind the start of the image.
            at: 2,
            frame: None,
            quantization: [None; 4],
            codes: [[None; 4]; 2],
            interval: 0,
            jfif: false,
            adobe: None,
            scans: 0,
        }
    }

    /// The next scan; `None` at the end of the image.
    pub(super) fn next_scan(&mut self) -> Result<Option<Scan>, DecodeError> {
        loop {
            match self.marker()? {
                0xd9 => return Ok(None),
                0x01 | 0xd0..=0xd7 => {}
                0xd8 => return Err(damaged("another picture begins within it")),
                0xc4 => self.huffman()?,
                0xdb => self.quantization()?,
                0xdd => {
                    let interval = self.segment()?.try_into().map_err(|_| damaged("its restart interval is none"))?;
                    self.interval = u16::from_be_bytes(interval).into();
                }
                0xda => return self.scan().map(Some),
                marker @ (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xde | 0xf7) => {
                    let frame = Frame::parse(marker, self.segment()?)?;
                    if self.frame.replace(frame).is_some() {
                        return Err(damaged("it has two frame headers"));
                    }
                }
                0xe0 => self.jfif |= self.segment()?.get(..5) == Some(b"JFIF\0"),
                0xee => {
                    if let Some([b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform]) = self.segment()?.get(..12)
                    {
                        self.adobe = Some(*transform);
                    }
                }
                // What a program has to say, comments, and numbers that nothing is done with.
                0xe1..=0xef | 0xfe | 0xcc | 0xdc => drop(self.segment()?),
                other => return Err(damaged(format!("it has a segment of an unknown kind, {other:#04x}"))),
            }
        }
    }

    /// Goes to the end of the image, and asks for nothing else on the way.
    pub(super) fn pass_the_rest(&mut self) -> Result<(), DecodeError> {
        loop {
            match self.marker()? {
                0xd9 => return Ok(()),
                0x01 | 0xd0..=0xd8 => {}
                _ => drop(self.segment()?),
            }
        }
    }

    /// The next marker: 0xff and a byte that is neither 0 (a stuffed 0xff) nor 0xff (fill). What stands before it is passed
    /// over, as by libjpeg.
    fn marker(&mut self) -> Result<u8, DecodeError> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        while let Some(at) = memchr::memchr(0xff, rest) {
            rest = &rest[at + 1..];
            if let [marker @ 1..=0xfe, after @ ..] = rest {
                self.at = self.bytes.len() - after.len();
                return Ok(*marker);
            }
        }
        Err(truncated())
    }

    /// What the segment of the marker before holds.
    fn segment(&mut self) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk().ok_or_else(truncated)?));
        if length < 2 {
            return Err(damaged(format!("it has a segment of {length} bytes")));
        }
        let segment = rest.get(2..length).ok_or_else(truncated)?;
        self.at += length;
        Ok(segment)
    }

    fn quantization(&mut self) -> Result<(), DecodeError> {
        let wrong = || damaged("a quantization of it is none");
        let mut rest = self.segment()?;
        while let [kind, after @ ..] = rest {
            let wide = usize::from(kind >> 4);
            let (numbers, after) = after.split_at_checked(64 << wide.min(1)).ok_or_else(wrong)?;
            rest = after;
            let number = |i: usize| match wide {
                0 => numbers[i].into(),
                _ => u16::from_be_bytes([numbers[2 * i], numbers[2 * i + 1]]),
            };
            let table = self.quantization.get_mut(usize::from(kind & 15)).ok_or_else(wrong)?;
            *table = Some(std::array::from_fn(number));
        }
        Ok(())
    }

    fn huffman(&mut self) -> Result<(), DecodeError> {
        let wrong = || damaged("Huffman codes of it are none");
        let mut rest = self.segment()?;
        while let Some((head, after)) = rest.split_first() {
            let (counts, after) = after.split_first_chunk::<16>().ok_or_else(wrong)?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, after) = after.split_at_checked(symbols).ok_or_else(wrong)?;
            rest = after;
            let class = self.codes.get_mut(usize::from(head >> 4)).ok_or_else(wrong)?;
            *class.get_mut(usize::from(head & 15)).ok_or_else(wrong)? = Some((counts, symbols));
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<Scan, DecodeError> {
        let wrong = || damaged("a scan's header of it is none");
        let segment = self.segment()?;
        let frame = self.frame.as_ref().ok_or_else(|| damaged("a scan comes before its frame header"))?;
        let (&count, rest) = segment.split_first().ok_or_else(wrong)?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(wrong)?;
        let &[first, last, approximation] = rest else { return Err(wrong()) };
        let (mut components, mut codes) = (Vec::new(), Vec::new());
        for [id, which] in parts.as_chunks().0 {
            // There are files whose channels all have one number.
            let component =
                (0..frame.components.len()).find(|c| frame.components[*c].id == *id && !components.contains(c));
            components.push(component.ok_or_else(|| damaged(format!("a scan is of a channel {id} that it has not")))?);
            codes.push((which >> 4, which & 15));
        }
        if components.is_empty() || components.len() > 1 && frame.blocks_in_unit(&components) > 10 {
            return Err(wrong());
        }
        if self.scans == MOST_SCANS {
            return Err(damaged(format!("it has more than {MOST_SCANS} scans")));
        }
        let (entropy, length) = Entropy::take(&self.bytes[self.at..]).ok_or_else(truncated)?;
        self.at += length;
        self.scans += 1;
        Ok(Scan {
            number: self.scans,
            components,
            codes,
            spectral: (first, last),
            approximation: (approximation >> 4, approximation & 15),
            entropy,
        })
    }

    /// The quantization of that number as it is now, in the file's order.
    pub(super) fn quantization_of(&self, number: u8) -> Result<[i32; 64], DecodeError> {
        let table = self.quantization.get(usize::from(number)).copied().flatten();
        Ok(table.ok_or_else(|| damaged(format!("it has no quantization {number}")))?.map(i32::from))
    }

    /// The codes of that class and number as they are now.
    pub(super) fn codes_of(&self, class: Class, number: u8) -> Result<Rc<Codes>, DecodeError> {
        let (which, name, most, values) = match class {
            Class::Dc(most) => (0, "DC", most, false),
            Class::Ac { at_once } => (1, "AC", u8::MAX, at_once),
        };
        let codes = self.codes[which].get(usize::from(number)).copied().flatten();
        let (counts, symbols) = codes.ok_or_else(|| damaged(format!("it has no Huffman codes {number} for {name}")))?;
        let codes = Codes::new(counts, symbols, values).filter(|_| symbols.iter().all(|&symbol| symbol <= most));
        codes.ok_or_else(|| damaged(format!("its Huffman codes {number} for {name} are none")))
    }
}

pub(super) fn truncated() -> DecodeError {
    DecodeError::Truncated { format: FORMAT }
}
