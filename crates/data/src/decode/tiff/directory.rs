//! The first directory of a TIFF (TIFF 6.0, section 2, and BigTIFF): which tags it has, and where their values lie.

use super::corrupt;
use crate::decode::DecodeError;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: super::FORMAT };

/// The tags of the first directory. What stands in one is looked at when it is asked for, and nothing is copied.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    entries: Vec<Entry>,
}

struct Entry {
    tag: u16,
    /// The type of its values, by its number.
    kind: u16,
    count: u64,
    /// Where its values begin.
    at: u64,
}

impl<'a> Directory<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let big_endian = bytes.first() == Some(&b'M');
        let number = |at, size| unsigned(bytes, at, size, big_endian).ok_or(TRUNCATED);
        // BigTIFF (43) has longer offsets, counts and values.
        let big = number(2, 2)? == 43;
        let (word, entry_size, count_size) = if big { (8, 20, 8) } else { (4, 12, 2) };
        if big && number(4, 4)? != if big_endian { 0x0008_0000 } else { 8 } {
            return Err(corrupt("it is a BigTIFF whose offsets do not have 8 bytes"));
        }
        let start = number(word, word)?;
        let count = number(start, count_size)?;
        // No more than what the older kind can say, whose entries are few enough for memory.
        if count > u16::MAX.into() {
            return Err(corrupt(&format!("its directory has {count} entries")));
        }
        let first = start.checked_add(count_size).ok_or(TRUNCATED)?;
        let mut entries = Vec::new();
        for i in 0..count {
            let at = first.checked_add(i * entry_size).ok_or(TRUNCATED)?;
            let (tag, kind, count) = (number(at, 2)? as u16, number(at + 2, 2)? as u16, number(at + 4, word)?);
            let inside = size_of_kind(kind).checked_mul(count).is_some_and(|size| size <= word);
            let place = at + 4 + word;
            let values = number(place, word)?;
            entries.push(Entry { tag, kind, count, at: if inside { place } else { values } });
        }
        Ok(Self { bytes, big_endian, entries })
    }

    /// The file as a whole.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// The values of a tag, unless it has none.
    pub(super) fn values(&self, tag: u16) -> Result<Option<Values<'a>>, DecodeError> {
        let Some(entry) = self.entries.iter().find(|entry| entry.tag == tag && entry.count > 0) else {
            return Ok(None);
        };
        // Unsigned numbers, and offsets of directories, which are some.
        if !matches!(entry.kind, 1 | 3 | 4 | 7 | 13 | 16 | 18) {
            return Err(corrupt(&format!("its tag {tag} holds values of type {}, which are no counts", entry.kind)));
        }
        let size = size_of_kind(entry.kind);
        let end = entry.count.checked_mul(size).and_then(|size| entry.at.checked_add(size)).ok_or(TRUNCATED)?;
        let range = usize::try_from(entry.at).ok().zip(usize::try_from(end).ok()).ok_or(TRUNCATED)?;
        let bytes = self.bytes.get(range.0..range.1).ok_or(TRUNCATED)?;
        Ok(Some(Values { bytes, size, big_endian: self.big_endian }))
    }

    /// The first value of a tag.
    pub(super) fn number(&self, tag: u16) -> Result<Option<u64>, DecodeError> {
        Ok(self.values(tag)?.and_then(|values| values.get(0)))
    }
}

/// The values of a tag, as they lie in the file.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub bytes: &'a [u8],
    size: u64,
    big_endian: bool,
}

impl Values<'_> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.size as usize
    }

    pub(super) fn get(&self, at: usize) -> Option<u64> {
        unsigned(self.bytes, (at as u64).checked_mul(self.size)?, self.size, self.big_endian)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

/// Bytes of a value of each type; one byte where the type is unknown.
fn size_of_kind(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

/// The number of `size` bytes at a place of the file.
fn unsigned(bytes: &[u8], at: u64, size: u64, big_endian: bool) -> Option<u64> {
    let field = bytes.get(usize::try_from(at).ok()?..usize::try_from(at.checked_add(size)?).ok()?)?;
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    Some(if big_endian { field.iter().fold(0, join) } else { field.iter().rev().fold(0, join) })
}
