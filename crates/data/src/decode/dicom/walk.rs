//! The elements of a DICOM file, walked over before anything is read: where the pixels lie, and that no length leads beyond
//! the file (PS3.5 chapter 7). What reads the values afterwards takes memory by these lengths.

use std::borrow::Cow;
use std::io::Read;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::{FORMAT, PixelData, damaged, refused};
use crate::decode::DecodeError;

const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

const UNDEFINED: u32 = u32::MAX;
const ITEM: (u16, u16) = (0xfffe, 0xe000);
const ITEM_END: (u16, u16) = (0xfffe, 0xe00d);
const SEQUENCE_END: (u16, u16) = (0xfffe, 0xe0dd);
const PIXEL_DATA: (u16, u16) = (0x7fe0, 0x0010);
/// Pixels as floating-point numbers.
const FLOAT_PIXELS: [(u16, u16); 2] = [(0x7fe0, 0x0008), (0x7fe0, 0x0009)];
/// Sequences in sequences that anybody needs.
const MOST_NESTED: usize = 32;
/// What a deflated data set may grow to: films of 100 megapixels fit, in files of that size. Small ones grow to less, since films
/// deflate to a half or a third.
const MOST_INFLATED: u64 = 1 << 30;
const SMALL_INFLATED: u64 = 64 << 20;
const MOST_INFLATION: u64 = 100;

/// How elements are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) explicit: bool,
    pub(super) big: bool,
}

/// A file, walked over.
pub(super) struct DataSet<'a> {
    /// All but the file's own header.
    bytes: Cow<'a, [u8]>,
    pub(super) syntax: Syntax,
    /// The UID of the transfer syntax.
    pub(super) transfer: String,
    /// Where the pixels' element begins, and the bytes of its value; the end of the file where there is none.
    header_end: usize,
    pixels: Option<Span>,
}

/// The bytes of a value.
enum Span {
    Native { from: usize, to: usize, whole: bool, words: bool },
    Fragments(Vec<(usize, usize)>),
}

impl<'a> DataSet<'a> {
    /// Walks over a whole file.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::walk(bytes, true)
    }

    /// Walks over the begin of a file, up to its pixels.
    pub(super) fn open_header(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::walk(bytes, false)
    }

    fn walk(bytes: &'a [u8], with_pixels: bool) -> Result<Self, DecodeError> {
        let (rest, transfer) = file_header(bytes)?;
        let bytes = if transfer == DEFLATED { Cow::Owned(inflated(rest)?) } else { Cow::Borrowed(rest) };
        let syntax = match transfer.as_str() {
            BIG_ENDIAN => Syntax { explicit: true, big: true },
            // As pydicom, the first element is believed rather than the file's own header.
            _ => Syntax { explicit: is_explicit(&bytes), big: false },
        };
        let mut walker = Walker { bytes: &bytes, at: 0, syntax };
        let (header_end, pixels) = walker.elements(with_pixels)?;
        Ok(DataSet { bytes, syntax, transfer, header_end, pixels })
    }

    /// The elements before the pixels.
    pub(super) fn header(&self) -> &[u8] {
        &self.bytes[..self.header_end]
    }

    /// Whether native pixels are written as words of 16 bits, whose bytes a big-endian file has the other way round.
    pub(super) fn in_big_words(&self) -> bool {
        self.syntax.big && matches!(self.pixels, Some(Span::Native { words: true, .. }))
    }

    /// The bytes of the pixels, and whether all that were promised are there.
    pub(super) fn pixels(&self) -> Option<(PixelData<'_>, bool)> {
        match self.pixels.as_ref()? {
            Span::Native { from, to, whole, .. } => Some((PixelData::Native(&self.bytes[*from..*to]), *whole)),
            Span::Fragments(spans) => {
                let pieces = spans.iter().map(|(from, to)| &self.bytes[*from..*to]).collect();
                Some((PixelData::Encapsulated(pieces), true))
            }
        }
    }
}

/// Goes over the file's own header (PS3.10, 7.1), which is always explicit and little-endian: what comes after it, and the
/// transfer syntax. A file without it is guessed.
fn file_header(bytes: &[u8]) -> Result<(&[u8], String), DecodeError> {
    let start = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
    let mut walker = Walker { bytes, at: start, syntax: Syntax { explicit: true, big: false } };
    let mut transfer = None;
    while walker.peek_group() == Some(2) {
        let element = walker.element()?;
        let (from, to) = walker.defined(&element)?;
        if (element.tag.0, element.tag.1) == (2, 0x10) {
            let text = String::from_utf8_lossy(&bytes[from..to]);
            transfer = Some(text.trim_end_matches(['\0', ' ']).to_owned());
        }
        walker.at = to;
    }
    let rest = &bytes[walker.at..];
    let guessed = || if is_explicit(rest) { EXPLICIT } else { IMPLICIT }.to_owned();
    Ok((rest, transfer.unwrap_or_else(guessed)))
}

/// Whether the first element has the letters of a value representation after its tag.
fn is_explicit(bytes: &[u8]) -> bool {
    bytes.get(4..6).is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase))
}

fn inflated(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let most = SMALL_INFLATED.saturating_add(MOST_INFLATION * bytes.len() as u64).min(MOST_INFLATED);
    let mut out = Vec::new();
    let mut reader = flate2::read::DeflateDecoder::new(bytes).take(most + 1);
    reader.read_to_end(&mut out).map_err(|e| damaged(format!("its deflated part does not inflate: {e}")))?;
    if out.len() as u64 > most {
        return Err(damaged(format!("its {} deflated bytes inflate to more than {} MiB", bytes.len(), most >> 20)));
    }
    Ok(out)
}

struct Element {
    tag: (u16, u16),
    vr: Option<VR>,
    length: u32,
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    syntax: Syntax,
}

impl Walker<'_> {
    fn peek_group(&self) -> Option<u16> {
        Some(self.number16(self.bytes.get(self.at..)?.first_chunk()?))
    }

    fn number16(&self, bytes: &[u8; 2]) -> u16 {
        if self.syntax.big { u16::from_be_bytes(*bytes) } else { u16::from_le_bytes(*bytes) }
    }

    fn take16(&mut self) -> Result<u16, DecodeError> {
        let number = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).map(|bytes| self.number16(bytes));
        self.at += 2;
        number.ok_or(DecodeError::Truncated { format: FORMAT })
    }

    fn take32(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
        let bytes = bytes.ok_or(DecodeError::Truncated { format: FORMAT })?;
        self.at += 4;
        Ok(if self.syntax.big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) })
    }

    /// The header of the next element; what follows is its value.
    fn element(&mut self) -> Result<Element, DecodeError> {
        let tag = (self.take16()?, self.take16()?);
        if tag.0 == 0xfffe {
            return Ok(Element { tag, vr: None, length: self.take32()? });
        }
        if !self.syntax.explicit {
            let known = StandardDataDictionary.by_tag(Tag(tag.0, tag.1)).map(|entry| entry.vr().relaxed());
            return Ok(Element { tag, vr: known, length: self.take32()? });
        }
        let vr = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<2>());
        let vr = *vr.ok_or(DecodeError::Truncated { format: FORMAT })?;
        let known = VR::from_binary(vr)
            .ok_or_else(|| damaged(format!("the element ({:04x},{:04x}) has no value representation", tag.0, tag.1)))?;
        self.at += 2;
        let long = matches!(
            known,
            VR::OB
                | VR::OD
                | VR::OF
                | VR::OL
                | VR::OV
                | VR::OW
                | VR::SQ
                | VR::SV
                | VR::UC
                | VR::UN
                | VR::UR
                | VR::UT
                | VR::UV
        );
        let length = if long {
            self.at += 2;
            self.take32()?
        } else {
            self.take16()?.into()
        };
        Ok(Element { tag, vr: Some(known), length })
    }

    /// The bytes of a value of defined length.
    fn defined(&self, element: &Element) -> Result<(usize, usize), DecodeError> {
        let to = self.at.checked_add(element.length as usize).filter(|to| *to <= self.bytes.len());
        match to {
            Some(to) if element.length != UNDEFINED => Ok((self.at, to)),
            _ => Err(DecodeError::Truncated { format: FORMAT }),
        }
    }

    /// Goes over the elements of the file: where the pixels' element begins, and its value.
    fn elements(&mut self, with_pixels: bool) -> Result<(usize, Option<Span>), DecodeError> {
        while self.at < self.bytes.len() {
            let from = self.at;
            // What somebody wrote to fill a block is no element.
            if self.bytes[from..].iter().all(|byte| *byte == 0) {
                return Ok((from, None));
            }
            let element = self.element()?;
            if FLOAT_PIXELS.contains(&element.tag) {
                return Err(refused("a DICOM whose pixels are floating-point numbers"));
            }
            if element.tag == PIXEL_DATA {
                let span = if with_pixels { Some(self.pixels(&element)?) } else { None };
                return Ok((from, span));
            }
            self.value(&element, 0)?;
        }
        Ok((self.bytes.len(), None))
    }

    fn pixels(&mut self, element: &Element) -> Result<Span, DecodeError> {
        if element.length == UNDEFINED {
            return Ok(Span::Fragments(self.fragments()?));
        }
        let to = (self.at + element.length as usize).min(self.bytes.len());
        let whole = to == self.at + element.length as usize;
        Ok(Span::Native { from: self.at, to, whole, words: element.vr == Some(VR::OW) })
    }

    /// The pieces of encapsulated pixels without the table of offsets before them (PS3.5, A.4).
    fn fragments(&mut self) -> Result<Vec<(usize, usize)>, DecodeError> {
        let mut pieces = Vec::new();
        loop {
            if self.at >= self.bytes.len() {
                break;
            }
            let item = self.element()?;
            match item.tag {
                SEQUENCE_END => break,
                ITEM => {
                    let span = self.defined(&item)?;
                    self.at = span.1;
                    pieces.push(span);
                }
                _ => return Err(damaged("its pixels are not in items")),
            }
        }
        Ok(pieces.split_off(1.min(pieces.len())))
    }

    /// Goes over a value.
    fn value(&mut self, element: &Element, depth: usize) -> Result<(), DecodeError> {
        if depth > MOST_NESTED {
            return Err(damaged("sequences lie too deep in one another"));
        }
        if element.length != UNDEFINED {
            let (from, to) = self.defined(element)?;
            if element.vr == Some(VR::SQ) {
                let mut inner = Walker { bytes: &self.bytes[..to], at: from, syntax: self.syntax };
                inner.items(depth + 1)?;
            }
            self.at = to;
            return Ok(());
        }
        if element.tag == PIXEL_DATA {
            // Of an icon.
            self.fragments()?;
            return Ok(());
        }
        let own = self.syntax;
        if element.vr == Some(VR::UN) {
            // What nobody knew is written as implicit (PS3.5, 6.2.2).
            self.syntax = Syntax { explicit: false, big: false };
        }
        let over = self.items(depth + 1);
        self.syntax = own;
        over
    }

    /// Goes over items up to the end of their sequence, or of the bytes.
    fn items(&mut self, depth: usize) -> Result<(), DecodeError> {
        while self.at < self.bytes.len() {
            let item = self.element()?;
            match item.tag {
                SEQUENCE_END => return Ok(()),
                ITEM if item.length == UNDEFINED => {
                    while self.item_goes_on()? {
                        let element = self.element()?;
                        self.value(&element, depth)?;
                    }
                }
                ITEM => {
                    let (from, to) = self.defined(&item)?;
                    let mut inner = Walker { bytes: &self.bytes[..to], at: from, syntax: self.syntax };
                    while inner.at < to {
                        let element = inner.element()?;
                        inner.value(&element, depth)?;
                    }
                    self.at = to;
                }
                _ => return Err(damaged("a sequence holds something else than items")),
            }
        }
        Ok(())
    }

    /// Whether another element comes in an item of undefined length; goes over its end.
    fn item_goes_on(&mut self) -> Result<bool, DecodeError> {
        let at = self.at;
        let tag = (self.take16()?, self.take16()?);
        if tag == ITEM_END {
            self.take32()?;
            return Ok(false);
        }
        self.at = at;
        Ok(true)
    }
}
