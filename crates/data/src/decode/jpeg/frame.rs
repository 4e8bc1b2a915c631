//! The frame of a JPEG: its size, its channels, and what its scans run through (ITU-T T.81, annex A and B.2.2).

use super::super::{DecodeError, check_size};
use super::{FORMAT, damaged};

/// How samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Baseline and extended: a block's coefficients at once.
    Sequential,
    /// A block's coefficients in several scans.
    Progressive,
    /// Differences of samples.
    Lossless,
}

/// A channel.
#[derive(Clone)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Its samples in so many pixels as the channel that has most of them has [`Frame::most`], across and down.
    pub(super) sampling: (usize, usize),
    /// The number of its quantization.
    pub(super) table: u8,
    /// Its samples across and down.
    pub(super) size: (usize, usize),
    /// Its blocks across and down, without those that only fill the last units.
    pub(super) blocks: (usize, usize),
}

/// The size of the picture, and its channels.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) coding: Coding,
    /// A sample.
    pub(super) bits: u8,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) components: Vec<Component>,
    /// The most samples across and down that a channel has.
    pub(super) most: (usize, usize),
}

impl Frame {
    /// Of the marker and what its segment holds.
    pub(super) fn parse(marker: u8, segment: &[u8]) -> Result<Self, DecodeError> {
        let unsupported = |what| Err(DecodeError::Unsupported(what));
        let coding = match marker {
            0xc0 | 0xc1 => Coding::Sequential,
            0xc2 => Coding::Progressive,
            0xc3 => Coding::Lossless,
            0xc9..=0xcb => return unsupported("a JPEG with arithmetic coding"),
            0xf7 => return unsupported("a JPEG-LS"),
            _ => return unsupported("a hierarchical JPEG"),
        };
        let &[bits, h1, h0, w1, w0, count, ref parts @ ..] = segment else { return Err(short()) };
        let count = usize::from(count);
        match (coding, bits, count) {
            (Coding::Sequential, 12, 2..) => return unsupported("a JPEG of 12 bits a sample in several channels"),
            (Coding::Progressive, 12, _) => return unsupported("a progressive JPEG of 12 bits a sample"),
            (Coding::Sequential, 8 | 12, _) | (Coding::Progressive, 8, _) | (Coding::Lossless, 2..=16, _) => {}
            _ => return Err(damaged(format!("it has {bits} bits a sample"))),
        }
        match count {
            1 | 3 | 4 => {}
            2 => return unsupported("a JPEG of two channels"),
            _ => return Err(damaged(format!("it has {count} channels"))),
        }
        let (width, height) = (usize::from(u16::from_be_bytes([w1, w0])), usize::from(u16::from_be_bytes([h1, h0])));
        check_size(FORMAT, width as u64, height as u64)?;
        let (parts, rest) = parts.as_chunks::<3>();
        if parts.len() != count || !rest.is_empty() {
            return Err(short());
        }
        let sampling = parts.iter().map(|[_, sampling, _]| (usize::from(sampling >> 4), usize::from(sampling & 15)));
        let most = sampling.clone().fold((1, 1), |most, (h, v)| (most.0.max(h), most.1.max(v)));
        for (h, v) in sampling.clone() {
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) {
                return Err(damaged(format!("a channel is sampled {h} by {v} times")));
            }
            if !most.0.is_multiple_of(h) || !most.1.is_multiple_of(v) {
                return unsupported("a JPEG with channels of which one has 1.5 times the samples of another");
            }
        }
        if coding == Coding::Lossless && most != (1, 1) && count > 1 {
            return unsupported("a lossless JPEG with channels of different sizes");
        }
        let component = |([id, _, table], (h, v)): (&[u8; 3], (usize, usize))| Component {
            id: *id,
            sampling: (h, v),
            table: *table,
            size: ((width * h).div_ceil(most.0), (height * v).div_ceil(most.1)),
            blocks: ((width * h).div_ceil(8 * most.0), (height * v).div_ceil(8 * most.1)),
        };
        let components = parts.iter().zip(sampling).map(component).collect();
        Ok(Self { coding, bits, width, height, components, most })
    }

    /// The units of a scan, across and down, and the rows of pixels in one: blocks where the scan has one channel, groups of
    /// blocks of each of several; pixels of a lossless one.
    pub(super) fn units(&self, scan: &[usize]) -> (usize, usize, usize) {
        match *scan {
            _ if self.coding == Coding::Lossless => (self.width, self.height, 1),
            [one] => {
                let Component { blocks, sampling, .. } = self.components[one];
                (blocks.0, blocks.1, 8 * self.most.1 / sampling.1)
            }
            _ => {
                let rows = 8 * self.most.1;
                (self.width.div_ceil(8 * self.most.0), self.height.div_ceil(rows), rows)
            }
        }
    }

    /// The blocks in a unit of a scan.
    pub(super) fn blocks_in_unit(&self, scan: &[usize]) -> usize {
        match scan {
            [_] => 1,
            several => several.iter().map(|&c| self.components[c].sampling).map(|(h, v)| h * v).sum(),
        }
    }
}

fn short() -> DecodeError {
    damaged("its frame header is no frame header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(marker: u8, bits: u8, (width, height): (u16, u16), sampling: &[u8]) -> Result<Frame, String> {
        let mut segment = [&[bits][..], &height.to_be_bytes(), &width.to_be_bytes(), &[sampling.len() as u8]].concat();
        sampling.iter().enumerate().for_each(|(i, s)| segment.extend([i as u8, *s, 0]));
        Frame::parse(marker, &segment).map_err(|error| error.to_string())
    }

    #[test]
    fn channels_are_as_large_as_they_are_sampled() {
        let frame = frame(0xc0, 8, (33, 17), &[0x22, 0x11, 0x21]).unwrap();
        let size = |c: usize| (frame.components[c].size, frame.components[c].blocks);
        assert_eq!((size(0), size(1), size(2)), (((33, 17), (5, 3)), ((17, 9), (3, 2)), ((33, 9), (5, 2))));
        assert_eq!((frame.units(&[0, 1, 2]), frame.blocks_in_unit(&[0, 1, 2])), ((3, 2, 16), 7));
        assert_eq!((frame.units(&[0]), frame.units(&[1]), frame.blocks_in_unit(&[0])), ((5, 3, 8), (3, 2, 16), 1));
        // One channel alone is whole, whatever it says.
        let alone = self::frame(0xc0, 8, (33, 17), &[0x22]).unwrap();
        assert_eq!((alone.components[0].size, alone.units(&[0])), ((33, 17), (5, 3, 8)));
    }

    #[test]
    fn frames_that_are_not_read_say_why() {
        let said = |marker, bits, sampling: &[u8]| frame(marker, bits, (9, 9), sampling).err().unwrap();
        for (said, begins) in [
            (said(0xc1, 12, &[0x11; 3]), "a JPEG of 12 bits a sample in several channels is not supported"),
            (said(0xc2, 12, &[0x11]), "a progressive JPEG of 12 bits a sample is not supported"),
            (said(0xc0, 10, &[0x11]), "the JPEG is damaged: it has 10 bits a sample"),
            (said(0xc0, 8, &[0x11; 2]), "a JPEG of two channels is not supported"),
            (said(0xc0, 8, &[0x11; 5]), "the JPEG is damaged: it has 5 channels"),
            (said(0xc0, 8, &[0x51]), "the JPEG is damaged: a channel is sampled 5 by 1 times"),
            (said(0xc0, 8, &[0x31, 0x21, 0x11]), "a JPEG with channels of which one has 1.5 times the samples"),
            (said(0xc3, 8, &[0x21, 0x11, 0x11]), "a lossless JPEG with channels of different sizes"),
            (said(0xcb, 8, &[0x11]), "a JPEG with arithmetic coding is not supported"),
            (said(0xce, 8, &[0x11]), "a hierarchical JPEG is not supported"),
            (said(0xf7, 8, &[0x11]), "a JPEG-LS is not supported"),
        ] {
            assert!(said.starts_with(begins), "{said}");
        }
        assert!(frame(0xc0, 8, (0, 9), &[0x11]).err().unwrap().ends_with("it has 0x9 pixels"));
        assert!(frame(0xc0, 8, (10_001, 10_000), &[0x11]).err().unwrap().starts_with("10001x10000 pixels are more"));
    }
}
