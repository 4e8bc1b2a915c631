//! Scans in which a block's coefficients come at once: baseline and extended, of one channel or several (ITU-T T.81, F.2).

use std::rc::Rc;

use super::super::DecodeError;
use super::frame::Frame;
use super::huffman::{Bits, Codes, Stop};
use super::idct::{Lanes, Sample, Tile};
use super::plane::Plane;
use super::segments::{Class, Scan, Segments};
use super::{ZIGZAG, reach};

/// A channel as its scan is read.
struct Part<S> {
    quantization: [i32; 64],
    dc: Rc<Codes>,
    ac: Rc<Codes>,
    /// The first coefficient of the block before.
    level: i32,
    lanes: Lanes,
    plane: Plane<S>,
}

/// Reads a scan into the planes of its channels. Planes are no longer than the scan's bytes can fill.
pub(super) fn scan<S: Sample>(
    segments: &Segments<'_>,
    frame: &Frame,
    scan: &Scan,
    planes: &mut [Option<Plane<S>>],
) -> Result<Result<(), Stop>, DecodeError> {
    let (across, down, _) = frame.units(&scan.components);
    // A block has two codes at least.
    let reach = reach(frame, scan, 2);
    let mut parts: Vec<Part<S>> = Vec::new();
    for (i, (&component, codes)) in scan.components.iter().zip(&scan.codes).enumerate() {
        let component = &frame.components[component];
        let high = if scan.components.len() > 1 { 8 * component.sampling.1 } else { 8 };
        // Channels mostly share theirs.
        let same = |which: fn(&(u8, u8)) -> u8| scan.codes[..i].iter().position(|other| which(other) == which(codes));
        let dc = match same(|codes| codes.0) {
            Some(other) => Rc::clone(&parts[other].dc),
            None => segments.codes_of(Class::Dc(15), codes.0)?,
        };
        let ac = match same(|codes| codes.1) {
            Some(other) => Rc::clone(&parts[other].ac),
            None => segments.codes_of(Class::Ac { at_once: true }, codes.1)?,
        };
        // A channel alone becomes the pixels.
        let new = if frame.components.len() > 1 { S::plane } else { Plane::new };
        parts.push(Part {
            quantization: segments.quantization_of(component.table)?,
            dc,
            ac,
            level: 0,
            lanes: Lanes::new(),
            plane: new(component.size.0, component.size.1.min(reach * high)),
        });
    }
    let units = across * down;
    let read = if let [part] = &mut parts[..] {
        let (mut x, mut y) = (0, 0);
        scan.entropy.units(segments.interval, units, |bits, _, fresh| {
            if fresh {
                part.level = 0;
            }
            part.block(bits, (x, y))?;
            x += 8;
            if x >= 8 * across {
                (x, y) = (0, y + 8);
            }
            Some(())
        })
    } else {
        let sampling: Vec<_> = scan.components.iter().map(|&c| frame.components[c].sampling).collect();
        scan.entropy.units(segments.interval, units, |bits, unit, fresh| {
            if fresh {
                parts.iter_mut().for_each(|part| part.level = 0);
            }
            let (x, y) = (unit % across, unit / across);
            for (part, (h, v)) in parts.iter_mut().zip(&sampling) {
                for row in 0..*v {
                    for column in 0..*h {
                        part.block(bits, (8 * (x * h + column), 8 * (y * v + row)))?;
                    }
                }
            }
            Some(())
        })
    };
    for (&component, mut part) in scan.components.iter().zip(parts) {
        part.lanes.flush(&mut part.plane);
        planes[component] = Some(part.plane);
    }
    Ok(read)
}

impl<S: Sample> Part<S> {
    #[inline(always)]
    fn block(&mut self, bits: &mut Bits<'_>, corner: (usize, usize)) -> Option<()> {
        let lane = self.lanes.lane();
        let rich =
            coefficients(bits, &self.dc, &self.ac, &mut self.level, &self.quantization, &mut self.lanes.tile, lane)?;
        self.lanes.filled(corner, rich, &mut self.plane);
        Some(())
    }
}

/// Reads a block, dequantises it, and says whether it has more than its first coefficient.
#[inline(always)]
fn coefficients(
    bits: &mut Bits<'_>,
    dc: &Codes,
    ac: &Codes,
    level: &mut i32,
    quantization: &[i32; 64],
    tile: &mut Tile,
    lane: usize,
) -> Option<bool> {
    let size = bits.symbol(dc)?;
    *level = level.wrapping_add(bits.extended(size));
    tile[0][lane] = level.wrapping_mul(quantization[0]);
    let mut i = 1;
    while i < 64 {
        let (run, value);
        if let Some(short) = bits.short_value(ac) {
            (run, value) = (usize::from(short.run), i32::from(short.value));
        } else {
            let symbol = bits.symbol(ac)?;
            match (symbol >> 4, symbol & 15) {
                // Sixteen zeros.
                (15, 0) => {
                    i += 16;
                    continue;
                }
                // The rest is zero.
                (_, 0) => break,
                (zeros, size) => (run, value) = (usize::from(zeros), bits.extended(size)),
            }
        }
        i += run;
        let (&place, &scale) = (ZIGZAG.get(i)?, quantization.get(i)?);
        tile[usize::from(place)][lane] = value.wrapping_mul(scale);
        i += 1;
    }
    Some(i > 1)
}
