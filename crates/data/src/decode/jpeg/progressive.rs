//! Scans that give a part of each block's coefficients, or of their bits (ITU-T T.81, annex G).

use super::super::DecodeError;
use super::frame::{Component, Frame};
use super::huffman::{Bits, Codes, Stop};
use super::idct::Lanes;
use super::plane::Plane;
use super::segments::{Class, Scan, Segments};
use super::smoothing::{self, smoothed};
use super::{ZIGZAG, damaged, reach};

/// The coefficients of a channel.
pub(super) struct Coefficients {
    /// Row by row, with those that only fill the last units; each in rows, the lowest frequency first.
    pub(super) blocks: Vec<[i16; 64]>,
    /// Blocks a row.
    pub(super) across: usize,
    /// As it was at the first scan, in the file's order.
    pub(super) quantization: [i32; 64],
    /// Of each coefficient in the file's order, how many of its bits are still left aside; none of it is known at -1.
    pub(super) unknown: [i8; 64],
}

/// Reads a scan into the coefficients of its channels. There are no more blocks than the bytes of a channel's first scan
/// can fill.
pub(super) fn scan(
    segments: &Segments<'_>,
    frame: &Frame,
    scan: &Scan,
    channels: &mut [Option<Coefficients>],
) -> Result<Result<(), Stop>, DecodeError> {
    let ((first, last), (high, low)) = (scan.spectral, scan.approximation);
    let in_order = if first == 0 { last == 0 } else { first <= last && last < 64 && scan.components.len() == 1 };
    if !in_order || low > 13 || high > 0 && low != high - 1 {
        return Err(damaged(format!("a scan is of coefficients {first} to {last}, bits {high} to {low}")));
    }
    let (across, down, _) = frame.units(&scan.components);
    if first == 0 && high == 0 {
        // A block has one code.
        let reach = reach(frame, scan, 1);
        for &c in &scan.components {
            let component = &frame.components[c];
            let padded = |blocks: usize, sampling: usize| blocks.next_multiple_of(sampling);
            let (wide, tall) = (component.blocks.0, component.blocks.1);
            let (wide, tall) = (padded(wide, component.sampling.0), padded(tall, component.sampling.1));
            let tall = tall.min(reach.saturating_mul(component.sampling.1));
            channels[c] = Some(Coefficients {
                blocks: vec![[0; 64]; wide * tall],
                across: wide,
                quantization: segments.quantization_of(component.table)?,
                unknown: [-1; 64],
            });
        }
    }
    for &c in &scan.components {
        let channel =
            channels[c].as_mut().ok_or_else(|| damaged("a scan comes before the one that begins its channel"))?;
        channel.unknown[usize::from(first)..=usize::from(last)].fill(low as i8);
    }
    let units = across * down;
    let interval = segments.interval;
    if first > 0 {
        let codes = segments.codes_of(Class::Ac { at_once: false }, scan.codes[0].1)?;
        let Some(Some(channel)) = channels.get_mut(scan.components[0]) else { return Ok(Ok(())) };
        let band = usize::from(first)..usize::from(last) + 1;
        // Blocks of which nothing more is told.
        let mut empty = 0;
        return Ok(scan.entropy.units(interval, units, |bits, unit, fresh| {
            if fresh {
                empty = 0;
            }
            let mut nowhere = [0; 64];
            let place = unit / across * channel.across + unit % across;
            let block = channel.blocks.get_mut(place).unwrap_or(&mut nowhere);
            if high == 0 {
                begin_band(bits, &codes, band.clone(), low, block, &mut empty)
            } else {
                refine_band(bits, &codes, band.clone(), low, block, &mut empty)
            }
        }));
    }
    let mut codes = Vec::new();
    for (dc, _) in scan.codes.iter().filter(|_| high == 0) {
        codes.push(segments.codes_of(Class::Dc(15), *dc)?);
    }
    let mut levels = [0_i32; 4];
    Ok(scan.entropy.units(interval, units, |bits, unit, fresh| {
        if fresh {
            levels = [0; 4];
        }
        for (part, &c) in scan.components.iter().enumerate() {
            let Some(channel) = &mut channels[c] else { continue };
            let (h, v) = if scan.components.len() > 1 { frame.components[c].sampling } else { (1, 1) };
            for row in 0..v {
                for column in 0..h {
                    let (x, y) = (unit % across * h + column, unit / across * v + row);
                    let first = channel.blocks.get_mut(y * channel.across + x).map(|block| &mut block[0]);
                    if high == 0 {
                        let size = bits.symbol(&codes[part])?;
                        levels[part] = levels[part].wrapping_add(bits.extended(size));
                        if let Some(first) = first {
                            *first = (levels[part] << low) as i16;
                        }
                    } else if bits.bit()
                        && let Some(first) = first
                    {
                        *first |= 1 << low;
                    }
                }
            }
        }
        Some(())
    }))
}

/// T.81, G.1.2.2.
#[inline(always)]
fn begin_band(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: std::ops::Range<usize>,
    low: u8,
    block: &mut [i16; 64],
    empty: &mut u32,
) -> Option<()> {
    if *empty > 0 {
        *empty -= 1;
        return Some(());
    }
    let mut k = band.start;
    while k < band.end {
        let symbol = bits.symbol(codes)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        if size == 0 {
            if run < 15 {
                *empty = (1 << run) - 1 + bits.bits(run);
                break;
            }
            k += 16;
            continue;
        }
        k += usize::from(run);
        block[usize::from(*ZIGZAG.get(k)?)] = (bits.extended(size) << low) as i16;
        k += 1;
    }
    Some(())
}

/// T.81, G.1.2.3 and figure G.7.
#[inline(always)]
fn refine_band(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: std::ops::Range<usize>,
    low: u8,
    block: &mut [i16; 64],
    empty: &mut u32,
) -> Option<()> {
    let one = 1_i16 << low;
    let refine = |bits: &mut Bits<'_>, value: &mut i16| {
        // Once it is set, a bit is not set again.
        if bits.bit() && *value & one == 0 {
            *value = value.wrapping_add(if *value >= 0 { one } else { -one });
        }
    };
    let mut k = band.start;
    if *empty == 0 {
        while k < band.end {
            let symbol = bits.symbol(codes)?;
            let (mut run, size) = (symbol >> 4, symbol & 15);
            let new = match size {
                0 if run < 15 => {
                    *empty = (1 << run) + bits.bits(run);
                    break;
                }
                // Sixteen zeros.
                0 => 0,
                // No other size is possible, and libjpeg takes all for this one.
                _ if bits.bits(1) == 1 => one,
                _ => -one,
            };
            while k < band.end {
                let value = &mut block[usize::from(ZIGZAG[k])];
                if *value != 0 {
                    refine(bits, value);
                } else if run == 0 {
                    *value = new;
                    break;
                } else {
                    run -= 1;
                }
                k += 1;
            }
            k += 1;
        }
    }
    if *empty > 0 {
        for &place in &ZIGZAG[k..band.end] {
            let value = &mut block[usize::from(place)];
            if *value != 0 {
                refine(bits, value);
            }
        }
        *empty -= 1;
    }
    Some(())
}

/// The samples that the coefficients of each channel stand for.
pub(super) fn planes(frame: &Frame, channels: &[Coefficients]) -> Vec<Plane<u8>> {
    let smooth = smoothing::is_due(channels);
    frame.components.iter().zip(channels).map(|(component, channel)| plane(frame, component, channel, smooth)).collect()
}

fn plane(frame: &Frame, component: &Component, channel: &Coefficients, smooth: bool) -> Plane<u8> {
    let mut scale = [0; 64];
    for (&place, &quantization) in ZIGZAG.iter().zip(&channel.quantization) {
        scale[usize::from(place)] = quantization;
    }
    let new = if frame.components.len() > 1 { Plane::again } else { Plane::new };
    let mut plane = new(component.size.0, component.size.1);
    let mut lanes = Lanes::new();
    for (y, row) in channel.blocks.chunks_exact(channel.across).take(component.blocks.1).enumerate() {
        for (x, block) in row[..component.blocks.0].iter().enumerate() {
            let estimated = smooth.then(|| smoothed(frame, component, channel, (x, y)));
            let block = estimated.as_ref().unwrap_or(block);
            let lane = lanes.lane();
            for ((values, &coefficient), &scale) in lanes.tile.iter_mut().zip(block).zip(&scale) {
                values[lane] = i32::from(coefficient).wrapping_mul(scale);
            }
            let rich = block[1..].iter().fold(0, |any, coefficient| any | coefficient) != 0;
            lanes.filled((8 * x, 8 * y), rich, &mut plane);
        }
    }
    lanes.flush(&mut plane);
    plane
}
