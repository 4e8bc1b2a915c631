//! The gradient to the weights: for each pixel of the window, channels in by channels out, and the depth is pixels.
//!
//! Both operands are made of a task's [planes](super::planes) once. A pair is a flat pixel and the one that lies half of all
//! flat pixels after it: so a pixel of the window is an offset here too, and `dy` needs no more than two rows laid into each other.

use rayon::prelude::*;

use super::planes::{Planes, Task, aligned, forward_reaches};
use crate::arch::{Block, PAIRS, SIDE, STEP, Steps, with_tiles};
use crate::chunks::{ELEMENTS, for_chunks, vectorised, with_scratch};
use crate::conv::{ConvShape, dense};
use crate::stored::{Bf16, Stored, pair};

/// Floats of the sums of a task: they stay in the second cache.
const PIECE: usize = 1 << 18;

/// Floats of partial sums.
const PARTIAL_SUMS: usize = 8 << 20;

/// Tasks.
const TASKS: usize = 24;

/// Bytes of operands that a task works on at a time.
const CACHED: usize = 1 << 19;

pub(in crate::conv) fn backward_weight<T: Stored>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    dy: &[T],
    dw: &mut [f32],
    accumulate: bool,
) {
    let ([oh, ow], c, k, taps) = (shape.out(), shape.c_in, shape.c_out, shape.taps());
    let planes = Planes::new([shape.h, shape.w, c], shape.stride, [oh, ow], &forward_reaches(shape));
    let columns = k.next_multiple_of(SIDE);
    // A task is one slot of rows of results, and a piece of the channels in.
    let blocks = c.div_ceil(SIDE);
    let pieces = blocks.div_ceil((PIECE / (taps * SIDE * columns)).max(1));
    let piece = blocks.div_ceil(pieces) * SIDE;
    let pieces = c.div_ceil(piece);
    let (sums, rows) = (taps * piece * columns, n * oh);
    let pixels = (CACHED / (2 * (planes.count() * piece + columns))).clamp(256, 4096);
    let chunk = pixels.div_ceil(planes.line);
    let slots = (TASKS / pieces).min(PARTIAL_SUMS / (pieces * sums)).min(rows / chunk).max(1);
    let a_slot = rows.div_ceil(slots);
    with_scratch(slots * pieces * sums + PAIRS, |room| {
        let partial = &mut aligned(room)[..slots * pieces * sums];
        partial.par_chunks_exact_mut(sums).enumerate().for_each(|(i, sums)| {
            let (slot, first) = (i / pieces, i % pieces * piece);
            let channels = first..(first + piece).min(c);
            let planes = planes.of(channels.clone());
            let (begin, end) = (slot * a_slot, ((slot + 1) * a_slot).min(rows));
            if begin >= end {
                sums.fill(0.0);
            }
            for first in (begin..end).step_by(chunk) {
                let task = planes.task(first, chunk.min(end - first));
                let places = planes.places(&task, |row, column| (first + row) * ow + column);
                let add = first > begin;
                Share { planes: &planes, task, places: &places, piece, columns, add }.sum(x, dy, k, sums);
            }
        });
        let (total, rest) = partial.split_at_mut(pieces * sums);
        for_chunks(total, ELEMENTS, |index, total| {
            for part in rest.chunks_exact(pieces * sums) {
                let part = &part[index * ELEMENTS..][..total.len()];
                vectorised(|| total.iter_mut().zip(part).for_each(|(total, part)| *total += part));
            }
        });
        let row = |tap: usize, c: usize| ((c / piece * taps + tap) * piece + c % piece) * columns;
        dense::unpack(shape, total, 0, row, dw, accumulate);
    });
}

/// What a task sums at a time.
struct Share<'a> {
    planes: &'a Planes,
    task: Task,
    /// Which pixel of `dy` each flat result is.
    places: &'a [Option<usize>],
    /// Channels in that the sums have room for.
    piece: usize,
    /// Channels out that they have room for.
    columns: usize,
    add: bool,
}

impl Share<'_> {
    /// Adds its products to `sums` `[taps, piece, columns]`, or writes them.
    fn sum<T: Stored>(&self, x: &[T], dy: &[T], k: usize, sums: &mut [f32]) {
        let Share { planes, task, piece, columns, add, .. } = self;
        // Pairs of flat results: whole steps, since a block is two of them.
        let half = task.blocks * SIDE / 2;
        let (channels, line) = (2 * planes.pixel, (half + planes.furthest).next_multiple_of(PAIRS));
        let (left, right) = (planes.count() * channels * line, half * columns);
        with_scratch(left + right + PAIRS + planes.room(task), |room| {
            let (left, rest) = aligned(room).split_at_mut(left);
            let (right, room) = rest.split_at_mut(right);
            let pixels = planes.fill(task, x, room);
            let each = pixels.len() / planes.count();
            for (pixels, left) in pixels.chunks_exact(each).zip(left.chunks_exact_mut(channels * line)) {
                turned(pixels, planes.pixel, half, half + planes.furthest, left, line);
            }
            interleaved(bytemuck::cast_slice(dy), k, self.places, half, right);
            let steps = Steps::new((0..half / PAIRS).map(|step| step * PAIRS).collect());
            with_tiles(|tiles| {
                for (tap, (plane, offset)) in planes.reaches().iter().enumerate() {
                    for first in (0..channels).step_by(SIDE) {
                        let a = &left[(plane * channels + first) * line + offset..];
                        for (block, b) in right.chunks_exact(half * SIDE).enumerate() {
                            let c = &mut sums[(tap * piece + first) * columns + block * SIDE..];
                            let (steps, add) = (&steps, *add);
                            tiles.multiply(Block { a, a_stride: line, steps, b, c, c_stride: *columns, add });
                        }
                    }
                }
            });
        });
    }
}

/// Of pixels of `width` pairs of channels a row for each channel: pairs of a pixel and the one `half` pixels after it, `wanted` of them.
fn turned(pixels: &[f32], width: usize, half: usize, wanted: usize, rows: &mut [f32], line: usize) {
    let there = pixels.len() / width;
    let none = [0.0; PAIRS];
    // A square at a time: 16 pixels of 32 channels.
    let mut square = [[[0.0; PAIRS]; PAIRS]; 2];
    for first in (0..wanted).step_by(PAIRS) {
        for channel in (0..width).step_by(PAIRS) {
            let [even, odd] = &mut square;
            for (i, (even, odd)) in even.iter_mut().zip(odd).enumerate() {
                let of = |pixel: usize| match pixel < there {
                    true => &pixels[pixel * width + channel..][..PAIRS],
                    false => &none[..],
                };
                let (upper, lower) = (of(first + i), of(first + i + half));
                for ((a, b), (even, odd)) in upper.iter().zip(lower).zip(even.iter_mut().zip(odd)) {
                    let (a, b) = (a.to_bits(), b.to_bits());
                    *even = f32::from_bits(a & 0xffff | b << 16);
                    *odd = f32::from_bits(a >> 16 | b & 0xffff_0000);
                }
            }
            for (j, rows) in rows[2 * channel * line..].chunks_mut(line).take(2 * PAIRS).enumerate() {
                let square = &square[j % 2];
                let row = &mut rows[first..];
                let len = row.len().min(PAIRS);
                row[..len].iter_mut().zip(square).for_each(|(to, from)| *to = from[j / 2]);
            }
        }
    }
}

/// `dy` `[pixels, k]` as the right operand: `[blocks of 32 channels, steps, 2, 16 pairs, 16]`, zeros where a flat result is none.
fn interleaved(dy: &[Bf16], k: usize, places: &[Option<usize>], half: usize, right: &mut [f32]) {
    vectorised(|| {
        let (upper, lower) = places.split_at(half);
        let none = vec![Bf16::default(); k];
        let pixel = |place: &Option<usize>| place.map_or(&none[..], |place| &dy[place * k..][..k]);
        for (at, (upper, lower)) in upper.iter().zip(lower).enumerate() {
            let (upper, lower) = (pixel(upper), pixel(lower));
            let (step, row) = (at / PAIRS, at % PAIRS);
            for (group, (upper, lower)) in upper.chunks(PAIRS).zip(lower.chunks(PAIRS)).enumerate() {
                let line = (group / 2 * (half / PAIRS) + step) * STEP + (group % 2 * PAIRS + row) * PAIRS;
                let line = &mut right[line..][..PAIRS];
                if upper.len() == PAIRS {
                    line.iter_mut().zip(upper).zip(lower).for_each(|((to, a), b)| *to = pair(*a, *b));
                } else {
                    let (own, rest) = line.split_at_mut(upper.len());
                    own.iter_mut().zip(upper).zip(lower).for_each(|((to, a), b)| *to = pair(*a, *b));
                    rest.fill(0.0);
                }
            }
            if k.div_ceil(PAIRS) % 2 == 1 {
                let line = (k / SIDE * (half / PAIRS) + step) * STEP + (PAIRS + row) * PAIRS;
                right[line..][..PAIRS].fill(0.0);
            }
        }
    });
}
