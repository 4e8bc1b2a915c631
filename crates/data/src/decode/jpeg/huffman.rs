//! Huffman codes and the bits of a scan (ITU-T T.81, annexes C and F).

use std::rc::Rc;

/// Bits that are looked up at once.
const LOOK: u32 = 11;

/// Zeros behind the scan, so that eight bytes can be read at any place in it.
const PADDING: usize = 16;

/// Why a scan was not read to its end.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// Its bytes end within this unit.
    Ends(usize),
    /// It contradicts the format.
    Damaged(String),
}

/// What lies between a scan's header and the next marker, without the zeros that follow each 0xff, and with [`PADDING`].
pub(super) struct Entropy {
    data: Vec<u8>,
    /// Where each run of units between restarts ends, and the number of the restart marker there; 0 for the last run.
    ends: Vec<(usize, u8)>,
}

impl Entropy {
    /// Takes a scan apart whose data these bytes begin with, and counts its bytes up to the next marker; `None` where there
    /// is none.
    pub(super) fn take(scan: &[u8]) -> Option<(Self, usize)> {
        let mut ends = Vec::new();
        // Most scans go on to the end of the file.
        let mut data = Vec::with_capacity(scan.len() + PADDING);
        let mut rest = scan;
        loop {
            let (before, marker) = rest.split_at_checked(memchr::memchr(0xff, rest)?)?;
            data.extend_from_slice(before);
            // Any number of 0xff is as good as one.
            let fill = marker.iter().take_while(|&&byte| byte == 0xff).count();
            rest = &marker[fill..];
            match rest {
                [0, after @ ..] => {
                    data.push(0xff);
                    rest = after;
                }
                [restart @ 0xd0..=0xd7, after @ ..] => {
                    ends.push((data.len(), restart - 0xd0));
                    rest = after;
                }
                [_, ..] => {
                    ends.push((data.len(), 0));
                    data.extend_from_slice(&[0; PADDING]);
                    return Some((Self { data, ends }, scan.len() - marker.len()));
                }
                [] => return None,
            }
        }
    }

    /// Bits that it holds.
    pub(super) fn bits(&self) -> usize {
        8 * (self.data.len() - PADDING)
    }

    /// Reads units one after another, and begins anew after each `interval` of them; 0 for never. `unit` is told its number
    /// and whether it is the first after a restart; `None` from it is a code that is none. What is left over behind the
    /// last unit is nobody's, as for libjpeg.
    #[inline(always)]
    pub(super) fn units(
        &self,
        interval: usize,
        count: usize,
        mut unit: impl FnMut(&mut Bits<'_>, usize, bool) -> Option<()>,
    ) -> Result<(), Stop> {
        let mut bits = Bits { data: &self.data, at: 0, end: 0, buffer: 0, count: 0 };
        let (mut runs, mut left) = (0_usize, 0);
        for number in 0..count {
            let fresh = left == 0;
            if fresh {
                // They are numbered from 0 to 7, over and over.
                if let Some(&(end, restart)) = runs.checked_sub(1).and_then(|run| self.ends.get(run)) {
                    let due = (runs - 1) % 8;
                    if runs < self.ends.len() && usize::from(restart) != due {
                        return Err(Stop::Damaged(format!("restart marker {restart} stands where {due} is due")));
                    }
                    bits = Bits { data: &self.data, at: end, end, buffer: 0, count: 0 };
                }
                bits.end = self.ends.get(runs).ok_or(Stop::Ends(number))?.0;
                runs += 1;
                left = if interval == 0 { count } else { interval };
            }
            left -= 1;
            let read = unit(&mut bits, number, fresh);
            if bits.overrun() {
                return Err(Stop::Ends(number));
            }
            if read.is_none() {
                // The ones that fill up the last byte are no code.
                if bits.left() < 8 {
                    return Err(Stop::Ends(number));
                }
                return Err(Stop::Damaged("it holds a code that is none".to_owned()));
            }
        }
        Ok(())
    }
}

/// Huffman codes of one kind.
pub(super) struct Codes {
    /// By the next [`LOOK`] bits: the symbol and the length of its code; length 0 where it is longer.
    symbols: [(u8, u8); 1 << LOOK],
    /// By the same bits: a whole coefficient, where its code and its own bits are no more than those. Only for codes of
    /// coefficients that come at once.
    values: [Value; 1 << LOOK],
    /// For each length, the first code beyond those of that length, with zeros behind it to 16 bits, and what to add to
    /// a code to find its symbol.
    ends: [(u32, i32); 17],
    ordered: [u8; 256],
}

/// A coefficient and what stands before it.
#[derive(Clone, Copy, Default)]
pub(super) struct Value {
    pub(super) value: i16,
    /// Zeros before it.
    pub(super) run: u8,
    /// Bits in all; 0 where there is no such value.
    length: u8,
}

impl Codes {
    /// T.81, annex C and figure F.15. `None` where the codes do not fit their lengths.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8], values: bool) -> Option<Rc<Self>> {
        let mut codes = Box::new(Self {
            symbols: [(0, 0); 1 << LOOK],
            values: [Value::default(); 1 << LOOK],
            ends: [(0, 0); 17],
            ordered: [0; 256],
        });
        codes.ordered.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut next) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            let end = code + u32::from(count);
            // The code of all ones is no code.
            if count > 0 && end >= 1 << length {
                return None;
            }
            codes.ends[length as usize] = (end << (16 - length), next as i32 - code as i32);
            for code in code..end {
                if let Some(spare) = LOOK.checked_sub(length) {
                    let first = (code << spare) as usize;
                    codes.symbols[first..][..1 << spare].fill((*symbols.get(next)?, length as u8));
                }
                next += 1;
            }
            code = end << 1;
        }
        for look in if values { 0..1_u32 << LOOK } else { 0..0 } {
            let (symbol, length) = codes.symbols[look as usize];
            let (run, size) = (symbol >> 4, u32::from(symbol & 15));
            let total = u32::from(length) + size;
            if length > 0 && size > 0 && total <= LOOK {
                let own = look >> (LOOK - total) & ((1 << size) - 1);
                codes.values[look as usize] = Value { value: extend(own, size) as i16, run, length: total as u8 };
            }
        }
        Some(codes.into())
    }
}

/// The value whose own bits are these (T.81, figure F.12).
#[inline(always)]
fn extend(bits: u32, size: u32) -> i32 {
    let bits = bits as i32;
    if size > 0 && bits < 1 << (size - 1) { bits - (1 << size) + 1 } else { bits }
}

/// Reads bits, the highest first. What is beyond the end comes out as anything, and [`Bits::overrun`] tells.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The first byte that is not wholly in the buffer.
    at: usize,
    /// Where those that may be read end.
    end: usize,
    /// The next bits, the first of them the highest; those beyond `count` may be there or not.
    buffer: u64,
    count: u32,
}

impl Bits<'_> {
    /// Makes at least 56 bits ready, whatever lies behind the end.
    #[inline(always)]
    fn refill(&mut self) {
        let next = self.data.get(self.at..).and_then(|data| data.first_chunk()).map_or(0, |b| u64::from_be_bytes(*b));
        self.buffer |= next >> self.count;
        self.at += (63 - self.count as usize) >> 3;
        self.count |= 56;
    }

    #[inline(always)]
    fn peek(&self, bits: u32) -> usize {
        (self.buffer >> (64 - bits)) as usize
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// Makes at least 32 bits ready: a code of 16 and as many of its own. Mostly they are.
    #[inline(always)]
    fn ready(&mut self) {
        if self.count < 32 {
            self.refill();
        }
    }

    /// Reads a code; after it at least 16 bits are ready.
    #[inline(always)]
    pub(super) fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        self.ready();
        let (symbol, length) = codes.symbols[self.peek(LOOK)];
        if length > 0 {
            self.skip(u32::from(length));
            return Some(symbol);
        }
        self.long_symbol(codes)
    }

    #[inline(always)]
    fn long_symbol(&mut self, codes: &Codes) -> Option<u8> {
        let look = self.peek(16) as u32;
        let length = (LOOK + 1..=16).find(|&length| look < codes.ends[length as usize].0)?;
        self.skip(length);
        let place = (look >> (16 - length)) as i32 + codes.ends[length as usize].1;
        codes.ordered.get(usize::try_from(place).ok()?).copied()
    }

    /// Reads a coefficient with the zeros before it, where its code and its own bits are short; else nothing.
    #[inline(always)]
    pub(super) fn short_value(&mut self, codes: &Codes) -> Option<Value> {
        self.ready();
        let entry = codes.values[self.peek(LOOK)];
        if entry.length == 0 {
            return None;
        }
        self.skip(u32::from(entry.length));
        Some(entry)
    }

    /// Reads a value's own bits after its code, at most 15 of them.
    #[inline(always)]
    pub(super) fn extended(&mut self, size: u8) -> i32 {
        extend(self.bits(size), u32::from(size))
    }

    /// Reads at most 16 bits after a code.
    #[inline(always)]
    pub(super) fn bits(&mut self, count: u8) -> u32 {
        if count == 0 {
            return 0;
        }
        let bits = self.peek(u32::from(count)) as u32;
        self.skip(u32::from(count));
        bits
    }

    /// Reads a bit anywhere.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        if self.count == 0 {
            self.refill();
        }
        self.bits(1) == 1
    }

    /// Bits that are left to be read, where no more was read than there is.
    fn left(&self) -> usize {
        (8 * self.end + self.count as usize).saturating_sub(8 * self.at)
    }

    /// Whether more was read than there is.
    #[inline(always)]
    fn overrun(&self) -> bool {
        8 * self.at - self.count as usize > 8 * self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_do_not_fit_their_lengths_are_none() {
        let counts = |first: &[u8]| std::array::from_fn(|i| first.get(i).copied().unwrap_or(0));
        assert!(Codes::new(&counts(&[1, 1]), &[0, 1], true).is_some());
        // The code of all ones, of one bit and of two.
        assert!(Codes::new(&counts(&[2]), &[0, 1], true).is_none());
        assert!(Codes::new(&counts(&[1, 2]), &[0, 1, 2], true).is_none());
    }

    #[test]
    fn a_scan_is_taken_apart_at_its_markers() {
        let (entropy, length) = Entropy::take(b"\x12\xff\x00\x34\xff\xff\xd0\x56\xff\xff\x00\xff\xff\xd9\x78").unwrap();
        assert_eq!(entropy.data[..5], [0x12, 0xff, 0x34, 0x56, 0xff]);
        assert_eq!((entropy.ends, length), (vec![(3, 0), (5, 0)], 11));
        assert!(Entropy::take(b"\x12\xff\x00\x34\xff\xd3\x56\xff\xff").is_none());
    }

    #[test]
    fn units_end_where_their_bytes_do() {
        let (entropy, _) = Entropy::take(b"\xaa\xff\xd0\xaa\xff\xd2\xaa\xff\xd9").unwrap();
        let units = |interval, count, each: u8| {
            entropy.units(interval, count, |bits, _, _| {
                for _ in 0..each {
                    bits.bit();
                }
                Some(())
            })
        };
        assert_eq!(units(1, 2, 8), Ok(()));
        assert_eq!(units(2, 2, 4), Ok(()));
        assert_eq!(units(0, 3, 4), Err(Stop::Ends(2)));
        assert_eq!(units(1, 1, 9), Err(Stop::Ends(0)));
        assert_eq!(units(1, 3, 8), Err(Stop::Damaged("restart marker 2 stands where 1 is due".to_owned())));
        assert_eq!(units(2, 2, 5), Err(Stop::Ends(1)));
        // A code that is none, among others and where a byte is filled up.
        let none = |first: bool| {
            entropy.units(0, 1, |bits, _, _| {
                let _ = first && bits.bit();
                None
            })
        };
        assert_eq!(none(false), Err(Stop::Damaged("it holds a code that is none".to_owned())));
        assert_eq!(none(true), Err(Stop::Ends(0)));
    }
}
