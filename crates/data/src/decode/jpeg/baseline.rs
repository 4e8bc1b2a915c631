//! The JPEG that most films are: one gray channel, sequential, Huffman codes, one scan (ITU T.81). Read
//! here because it is read often: faster than by the general decoder, and to the same pixels. Whatever is anything else,
//! or not wholly in order, is left to that one.

use super::super::check_size;
use super::idct::{LANES, Tile, inverse};

/// Bits that are looked up at once.
const LOOK: u32 = 11;

/// Zeros behind the scan, so that eight bytes can be read at any place in it.
const PADDING: usize = 16;

/// A block's first coefficient at most: eight times what a film can have.
const MOST_MEAN: u32 = 1 << 16;

/// Where each coefficient of the file's order lies in a block (T.81, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Width, height and pixels; `None` where the general decoder has to look.
pub(super) fn decode(bytes: &[u8]) -> Option<(usize, usize, Vec<u8>)> {
    let Frame { width, height, quantization, dc, ac, interval, scan } = Frame::parse(bytes)?;
    let (data, ends) = unstuff(scan)?;
    let mut ends = ends.into_iter();
    let mut bits = Bits { data: &data, at: 0, end: ends.next()?, buffer: 0, count: 0 };
    let mut pixels = vec![0; width * height];
    let columns = width.div_ceil(8);
    let blocks = columns * height.div_ceil(8);
    let mut level = 0_i32;
    let mut tile = Tile::zeroed();
    for first in (0..blocks).step_by(LANES) {
        let lanes = LANES.min(blocks - first);
        tile.clear();
        for lane in 0..lanes {
            if interval > 0 && first + lane > 0 && (first + lane).is_multiple_of(interval) {
                if !bits.at_end() {
                    return None;
                }
                bits = Bits { data: &data, at: bits.end, end: ends.next()?, buffer: 0, count: 0 };
                level = 0;
            }
            let size = bits.symbol(&dc)?;
            level = level.wrapping_add(bits.extended(size)?);
            // The general decoder's short way through a block of one value does not overflow; this one would.
            let mean = level.wrapping_mul(quantization[0]);
            if mean.unsigned_abs() > MOST_MEAN {
                return None;
            }
            tile.set(0, lane, mean);
            let mut i = 1;
            while i < 64 {
                bits.refill();
                let entry = ac.values[bits.peek(LOOK)];
                let (run, value);
                if entry.length > 0 {
                    bits.skip(u32::from(entry.length));
                    (run, value) = (usize::from(entry.run), i32::from(entry.value));
                } else {
                    let symbol = bits.symbol(&ac)?;
                    match (symbol >> 4, symbol & 15) {
                        (15, 0) => (run, value) = (15, 0),
                        // The rest is zero.
                        (_, 0) => break,
                        (zeros, size) => (run, value) = (usize::from(zeros), bits.extended(size)?),
                    }
                }
                i += run;
                let (&place, &scale) = (ZIGZAG.get(i)?, quantization.get(i)?);
                tile.set(usize::from(place), lane, value.wrapping_mul(scale));
                i += 1;
            }
        }
        if bits.overrun() {
            return None;
        }
        let words = inverse(&mut tile);
        for lane in 0..lanes {
            let (x, y) = ((first + lane) % columns * 8, (first + lane) / columns * 8);
            let wide = (width - x).min(8);
            for (row, words) in words.iter().enumerate().take(height - y) {
                let to = &mut pixels[(y + row) * width + x..][..wide];
                match to.first_chunk_mut() {
                    Some(to) => *to = words[lane],
                    None => to.copy_from_slice(&words[lane][..wide]),
                }
            }
        }
    }
    (bits.at_end() && ends.next().is_none()).then_some((width, height, pixels))
}

/// What the segments before the scan say, and the scan.
struct Frame<'a> {
    width: usize,
    height: usize,
    /// In the file's order.
    quantization: [i32; 64],
    dc: Box<Codes>,
    ac: Box<Codes>,
    /// Blocks between two restarts, 0 for none.
    interval: usize,
    /// From the scan's first byte to the end of the file.
    scan: &'a [u8],
}

impl<'a> Frame<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
        let mut tables: [Option<[i32; 64]>; 4] = [None; 4];
        let mut codes: [[Option<Box<Codes>>; 4]; 2] = Default::default();
        // Width, height, and which quantization.
        let mut frame = None;
        let mut interval = 0;
        loop {
            let [0xff, marker, high, low, after @ ..] = rest else { return None };
            let length = usize::from(u16::from_be_bytes([*high, *low])).checked_sub(2)?;
            let (segment, after) = after.split_at_checked(length)?;
            rest = after;
            match marker {
                // Quantization, 8 bits a number.
                0xdb => {
                    if !segment.len().is_multiple_of(65) {
                        return None;
                    }
                    for table in segment.as_chunks::<65>().0 {
                        let [number, values @ ..] = table;
                        *tables.get_mut(usize::from(*number))? = Some(values.map(i32::from));
                    }
                }
                // Huffman codes.
                0xc4 => {
                    let mut rest = segment;
                    while let Some((head, after)) = rest.split_first_chunk::<17>() {
                        let [kind, counts @ ..] = head;
                        let symbols = counts.iter().map(|&count| usize::from(count)).sum();
                        let (symbols, after) = after.split_at_checked(symbols)?;
                        rest = after;
                        let class = codes.get_mut(usize::from(kind >> 4))?;
                        let new = Codes::new(counts, symbols)?;
                        // Damaged, even where others take their place later.
                        if kind >> 4 == 0 && new.most > 15 {
                            return None;
                        }
                        *class.get_mut(usize::from(kind & 15))? = Some(new);
                    }
                    if !rest.is_empty() {
                        return None;
                    }
                }
                // The frame: 8 bits, one component, sampled once.
                0xc0 => {
                    let [8, h1, h0, w1, w0, 1, component, 0x11, table] = *segment else { return None };
                    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
                    check_size("JPEG", width.into(), height.into()).ok()?;
                    if frame.replace((width, height, component, table)).is_some() {
                        return None;
                    }
                }
                // The scan: that component, all coefficients at once.
                0xda => {
                    let [1, of, which, 0, 63, 0] = *segment else { return None };
                    let (width, height, _, table) = frame.filter(|frame| frame.2 == of)?;
                    let [dc, ac] = &mut codes;
                    return Some(Self {
                        width: width.into(),
                        height: height.into(),
                        quantization: (*tables.get(usize::from(table))?)?,
                        dc: dc.get_mut(usize::from(which >> 4))?.take().filter(|codes| codes.most <= 11)?,
                        ac: ac.get_mut(usize::from(which & 15))?.take()?,
                        interval,
                        scan: rest,
                    });
                }
                0xdd => interval = u16::from_be_bytes(segment.try_into().ok()?).into(),
                // A comment, or what a program has to say; of a gray film nothing that changes a pixel.
                0xe0..=0xef | 0xfe => {}
                _ => return None,
            }
        }
    }
}

/// The scan's bytes without its restart markers and the zeros that follow each 0xff, and with [`PADDING`]; and where in
/// them each run of blocks between restarts ends. `None` where another marker is in it.
fn unstuff(scan: &[u8]) -> Option<(Vec<u8>, Vec<usize>)> {
    let mut ends = Vec::new();
    let mut data = Vec::with_capacity(scan.len() + PADDING);
    let mut rest = scan;
    loop {
        let (before, after) = rest.split_at_checked(memchr::memchr(0xff, rest)?)?;
        data.extend_from_slice(before);
        match after {
            [0xff, 0, after @ ..] => {
                data.push(0xff);
                rest = after;
            }
            // They are numbered from 0 to 7, over and over.
            [0xff, marker @ 0xd0..=0xd7, after @ ..] if usize::from(marker - 0xd0) == ends.len() % 8 => {
                ends.push(data.len());
                rest = after;
            }
            [0xff, 0xd9, ..] => break,
            _ => return None,
        }
    }
    ends.push(data.len());
    data.extend_from_slice(&[0; PADDING]);
    Some((data, ends))
}

/// Huffman codes of one kind.
struct Codes {
    /// By the next [`LOOK`] bits: the symbol and the length of its code; length 0 where it is longer.
    symbols: [(u8, u8); 1 << LOOK],
    /// By the same bits: a whole coefficient, where its code and its own bits are no more than those.
    values: [Value; 1 << LOOK],
    /// For each length, the first code beyond those of that length, with zeros behind it to 16 bits, and what to add to
    /// a code to find its symbol.
    ends: [(u32, i32); 17],
    ordered: [u8; 256],
    /// The largest symbol.
    most: u8,
}

#[derive(Clone, Copy, Default)]
struct Value {
    value: i16,
    /// Zeros before it.
    run: u8,
    /// Bits in all; 0 where there is no such value.
    length: u8,
}

impl Codes {
    /// T.81, annex C and figure F.15. `None` where the codes do not fit their lengths, or are no Huffman code.
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Box<Self>> {
        let mut codes = Box::new(Self {
            symbols: [(0, 0); 1 << LOOK],
            values: [Value::default(); 1 << LOOK],
            ends: [(0, 0); 17],
            ordered: [0; 256],
            most: symbols.iter().copied().max()?,
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
        for look in 0..1_u32 << LOOK {
            let (symbol, length) = codes.symbols[look as usize];
            let (run, size) = (symbol >> 4, u32::from(symbol & 15));
            let total = u32::from(length) + size;
            if length > 0 && size > 0 && total <= LOOK {
                let own = look >> (LOOK - total) & ((1 << size) - 1);
                codes.values[look as usize] = Value { value: extend(own, size) as i16, run, length: total as u8 };
            }
        }
        Some(codes)
    }
}

/// The value whose own bits are these (T.81, figure F.12).
fn extend(bits: u32, size: u32) -> i32 {
    let bits = bits as i32;
    if size > 0 && bits < 1 << (size - 1) { bits - (1 << size) + 1 } else { bits }
}

/// Reads bits, the highest first.
struct Bits<'a> {
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

    /// Reads a code; after it at least 40 bits are ready.
    #[inline(always)]
    fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        self.refill();
        let (symbol, length) = codes.symbols[self.peek(LOOK)];
        if length > 0 {
            self.skip(u32::from(length));
            return Some(symbol);
        }
        let look = self.peek(16) as u32;
        let length = (LOOK + 1..=16).find(|&length| look < codes.ends[length as usize].0)?;
        self.skip(length);
        let place = (look >> (16 - length)) as i32 + codes.ends[length as usize].1;
        codes.ordered.get(usize::try_from(place).ok()?).copied()
    }

    /// Reads a value's own bits, at most 15 of them.
    #[inline(always)]
    fn extended(&mut self, size: u8) -> Option<i32> {
        let size = u32::from(size);
        if size == 0 {
            return Some(0);
        }
        let bits = self.peek(size) as u32;
        self.skip(size);
        Some(extend(bits, size))
    }

    /// Bits that were read.
    fn read(&self) -> usize {
        8 * self.at - self.count as usize
    }

    /// Whether more was read than there is.
    fn overrun(&self) -> bool {
        self.read() > 8 * self.end
    }

    /// Whether all was read but what fills the last byte.
    fn at_end(&self) -> bool {
        !self.overrun() && 8 * self.end - self.read() < 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A film of one block, of one value: `level` times `quantization`. Values of 11 bits have the code 0, and so has a
    /// block's end.
    fn block(level: u16, quantization: u8, before: &[u8]) -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff\xdb\x00\x43\x00".to_vec();
        bytes.push(quantization);
        bytes.extend([1; 63]);
        bytes.extend(b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00");
        bytes.extend(before);
        for (kind, symbol) in [(0, 11), (0x10, 0)] {
            bytes.extend(b"\xff\xc4\x00\x14");
            bytes.extend([kind, 1]);
            bytes.extend([0; 15]);
            bytes.push(symbol);
        }
        bytes.extend(b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00");
        // The code, the value, the end, and ones to fill the byte.
        bytes.extend((level << 4 | 0b111).to_be_bytes());
        bytes.extend(b"\xff\xd9");
        bytes
    }

    #[test]
    fn a_block_beyond_all_films_is_left_to_the_general_decoder() {
        // The largest level is 2047, and the smallest -2047, of which all bits are 0.
        for (level, quantization) in [(1024, 1), (2046, 4), (2046, 255), (0, 4), (0, 255), (1025, 129)] {
            let bytes = block(level, quantization, &[]);
            let (expected, _) = super::super::general(&bytes, crate::Channels::Gray).unwrap();
            match decode(&bytes) {
                Some((width, height, pixels)) => {
                    assert_eq!((width, height), (8, 8));
                    assert_eq!(pixels, expected.pixels, "{level} * {quantization}");
                }
                None => assert!(quantization > 4, "{level} * {quantization}"),
            }
        }
    }

    #[test]
    fn codes_that_are_refused_are_refused_where_others_replace_them() {
        let mut first = b"\xff\xc4\x00\x14\x00\x01".to_vec();
        first.extend([0; 15]);
        first.push(16);
        let bytes = block(1024, 1, &first);
        assert!(decode(&bytes).is_none());
        assert!(super::super::general(&bytes, crate::Channels::Gray).is_err());
    }
}
