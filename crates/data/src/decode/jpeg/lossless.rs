//! Lossless scans: differences from what the samples beside and above foretell (ITU-T T.81, annex H).

use super::super::DecodeError;
use super::damaged;
use super::frame::Frame;
use super::huffman::Stop;
use super::plane::Plane;
use super::reach;
use super::segments::{Class, Scan, Segments};

/// Reads a scan into the planes of its channels. Planes are no longer than the scan's bytes can fill.
pub(super) fn scan(
    segments: &Segments<'_>,
    frame: &Frame,
    scan: &Scan,
    planes: &mut [Option<Plane<u16>>],
) -> Result<Result<(), Stop>, DecodeError> {
    let (predictor, shift) = (scan.spectral.0, scan.approximation.1);
    if !(1..=7).contains(&predictor) || shift >= frame.bits {
        return Err(damaged(format!("its predictor is {predictor} and its point transform {shift}")));
    }
    let (width, height) = (frame.width, frame.height);
    if !segments.interval.is_multiple_of(width) {
        return Err(damaged(format!("it restarts after {} samples in rows of {width}", segments.interval)));
    }
    // A sample has one code.
    let high = height.min(reach(frame, scan, 1));
    let mut parts = Vec::new();
    for codes in &scan.codes {
        parts.push((segments.codes_of(Class::Dc(16), codes.0)?, Plane::new(width, high)));
    }
    // The row that begins without one above, and where in it.
    let (mut first, mut x, mut y) = (0, 0, 0);
    let read = scan.entropy.units(segments.interval, width * height, |bits, _, fresh| {
        if fresh {
            first = y;
        }
        for (codes, plane) in &mut parts {
            let difference = match bits.symbol(codes)? {
                16 => 32_768,
                size => bits.extended(size),
            };
            let at = y * width + x;
            let sample = |back: usize| plane.samples.get(at - back).copied().map_or(0, i32::from);
            let foretold = match (x, predictor) {
                (0, _) if y == first => 1 << (frame.bits - shift - 1),
                (0, _) => sample(width),
                _ if y == first => sample(1),
                (_, 1) => sample(1),
                (_, 2) => sample(width),
                (_, 3) => sample(width + 1),
                (_, 4) => sample(1) + sample(width) - sample(width + 1),
                (_, 5) => sample(1) + ((sample(width) - sample(width + 1)) >> 1),
                (_, 6) => sample(width) + ((sample(1) - sample(width + 1)) >> 1),
                _ => (sample(1) + sample(width)) >> 1,
            };
            if let Some(to) = plane.samples.get_mut(at) {
                *to = (foretold + difference) as u16;
            }
        }
        x += 1;
        if x == width {
            (x, y) = (0, y + 1);
        }
        Some(())
    });
    for (&component, (_, mut plane)) in scan.components.iter().zip(parts) {
        if shift > 0 {
            plane.samples.iter_mut().for_each(|sample| *sample <<= shift);
        }
        planes[component] = Some(plane);
    }
    Ok(read)
}
