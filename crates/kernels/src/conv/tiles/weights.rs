//! The gradient to the weights: for each pixel of the window, channels out by channels in, and the depth is pixels.
//!
//! A pair is a flat pixel (see [planes](super::planes)) and the one that lies half of all flat pixels of the task after it: so a pixel
//! of the window is an offset here too, of whole rows of the right operand. The right operand is the planes, two rows laid into each
//! other; the left one, of which rows are channels, is `dy` turned round, once for all pixels of the window.

use rayon::prelude::*;

use super::planes::{Planes, Task, aligned, forward_reaches};
use crate::arch::{Block, PAIRS, SIDE, Steps, with_tiles};
use crate::chunks::{ELEMENTS, for_chunks, vectorised, with_scratch};
use crate::conv::ConvShape;
use crate::stored::{Bf16, Stored, pair};

/// Floats of the sums of a task.
const PIECE: usize = 1 << 19;

/// Floats of partial sums.
const PARTIAL_SUMS: usize = 8 << 20;

/// Tasks, at most and, if that can be had, at least.
const TASKS: [usize; 2] = [24, 12];

/// Bytes of operands that a task works on at a time: they stay in the second cache.
const CACHED: usize = 1 << 20;

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
    let (columns, blocks, rows) = (c.next_multiple_of(SIDE), k.div_ceil(SIDE), n * oh);
    let chunk = |piece: usize| {
        let pixels = CACHED / (2 * (2 * planes.count() * columns + piece));
        pixels.clamp(256, 4096).div_ceil(planes.line)
    };
    // A task is one slot of rows of results, and a piece of the channels out.
    let slots = |piece: usize| {
        let sums = taps * columns * blocks.next_multiple_of(piece) * SIDE;
        (PARTIAL_SUMS / sums).min(rows / chunk(piece * SIDE)).clamp(1, TASKS[0])
    };
    let most = (PIECE / (taps * SIDE * columns)).clamp(1, blocks);
    let piece = (1..=most).rev().find(|piece| slots(*piece) * blocks.div_ceil(*piece) >= TASKS[1]).unwrap_or(1);
    let pieces = blocks.div_ceil(piece);
    let (slots, chunk, piece) = (slots(piece).min((TASKS[0] / pieces).max(1)), chunk(piece * SIDE), piece * SIDE);
    let (sums, a_slot) = (taps * piece * columns, rows.div_ceil(slots));
    with_scratch(slots * pieces * sums + PAIRS, |room| {
        let partial = &mut aligned(room)[..slots * pieces * sums];
        partial.par_chunks_exact_mut(sums).enumerate().for_each(|(i, sums)| {
            let (slot, first) = (i / pieces, i % pieces * piece);
            let (begin, end) = (slot * a_slot, ((slot + 1) * a_slot).min(rows));
            if begin >= end {
                sums.fill(0.0);
            }
            for row in (begin..end).step_by(chunk) {
                let task = planes.task(row, chunk.min(end - row));
                let places = planes.places(&task, |down, column| (row + down) * ow + column);
                let share = Share { planes: &planes, task, places: &places, piece, columns, add: row > begin };
                share.sum(x, (dy, k, first), sums);
            }
        });
        let (total, rest) = partial.split_at_mut(pieces * sums);
        for_chunks(total, ELEMENTS, |index, total| {
            for part in rest.chunks_exact(pieces * sums) {
                let part = &part[index * ELEMENTS..][..total.len()];
                vectorised(|| total.iter_mut().zip(part).for_each(|(total, part)| *total += part));
            }
        });
        for_chunks(dw, c * taps, |out, dw| {
            for tap in 0..taps {
                let row = &total[((out / piece * taps + tap) * piece + out % piece) * columns..][..c];
                for (place, value) in dw[tap..].iter_mut().step_by(taps).zip(row) {
                    *place = if accumulate { *place + value } else { *value };
                }
            }
        });
    });
}

/// What a task sums at a time.
struct Share<'a> {
    planes: &'a Planes,
    task: Task,
    /// Which pixel of `dy` each flat result is.
    places: &'a [Option<usize>],
    /// Channels out that the sums have room for.
    piece: usize,
    /// Channels in that they have room for.
    columns: usize,
    add: bool,
}

impl Share<'_> {
    /// Adds its products to `sums` `[taps, piece, columns]`, or writes them: those of channels `first` to `first + piece` of `dy`'s `k`.
    fn sum<T: Stored>(&self, x: &[T], (dy, k, first): (&[T], usize, usize), sums: &mut [f32]) {
        let Share { planes, task, places, piece, columns, add } = *self;
        // Pairs of flat results: whole steps, since a block is two of them.
        let half = task.blocks * SIDE / 2;
        let rows = half + planes.furthest;
        let (left, right) = (piece * half, planes.count() * rows * columns);
        with_scratch(left + right + PAIRS + planes.room(&task), |room| {
            let (left, rest) = aligned(room).split_at_mut(left);
            let (right, room) = rest.split_at_mut(right);
            let pixels = planes.fill(&task, x, room);
            let each = pixels.len() / planes.count();
            vectorised(|| {
                for (pixels, right) in pixels.chunks_exact(each).zip(right.chunks_exact_mut(rows * columns)) {
                    interleaved(bytemuck::cast_slice(pixels), columns, half, rows, right);
                }
                turned(bytemuck::cast_slice(dy), k, first, places, left);
            });
            let steps = &Steps::new((0..half / PAIRS).map(|step| step * PAIRS).collect());
            with_tiles(|tiles| {
                for (tap, (plane, offset)) in planes.reaches().iter().enumerate() {
                    let right = &right[plane * rows * columns..][..rows * columns];
                    for (block, b) in right.chunks_exact(rows * SIDE).enumerate() {
                        let b = &b[offset * SIDE..];
                        for (i, a) in left.chunks_exact(half * SIDE).enumerate() {
                            let c = &mut sums[(tap * piece + i * SIDE) * columns + block * SIDE..];
                            tiles.multiply(Block { a, a_stride: half, steps, b, c, c_stride: columns, add });
                        }
                    }
                }
            });
        });
    }
}

/// Pixels `[pixels, columns]` as the right operand: `[blocks of 32 channels, rows, 32]`, pairs of a pixel and the one `half` pixels after it.
#[inline(always)]
fn interleaved(pixels: &[Bf16], columns: usize, half: usize, rows: usize, right: &mut [f32]) {
    let none = [Bf16::default(); SIDE];
    for row in 0..rows {
        for (block, right) in right.chunks_exact_mut(rows * SIDE).enumerate() {
            let of =
                |pixel: usize| pixels.get(pixel * columns + block * SIDE..).map_or(&none[..], |pixel| &pixel[..SIDE]);
            let to = &mut right[row * SIDE..][..SIDE];
            to.iter_mut().zip(of(row)).zip(of(row + half)).for_each(|((to, a), b)| *to = pair(*a, *b));
        }
    }
}

/// `dy` `[pixels, k]` as the left operand: a row for each channel from `first` on, of such pairs of flat results; zeros where there is none.
#[inline(always)]
fn turned(dy: &[Bf16], k: usize, first: usize, places: &[Option<usize>], left: &mut [f32]) {
    let (upper, lower) = places.split_at(places.len() / 2);
    let mut square = [[0.0; PAIRS]; PAIRS];
    for (group, rows) in left.chunks_exact_mut(upper.len() * PAIRS).enumerate() {
        let channels = (first + group * PAIRS).min(k)..(first + (group + 1) * PAIRS).min(k);
        for (at, (upper, lower)) in upper.chunks_exact(PAIRS).zip(lower.chunks_exact(PAIRS)).enumerate() {
            for (square, places) in square.iter_mut().zip(upper.iter().zip(lower)) {
                let [a, b] = [places.0, places.1].map(|place| {
                    let mut own = [Bf16::default(); PAIRS];
                    if let Some(place) = place {
                        let from = &dy[place * k..][channels.clone()];
                        match <&[Bf16; PAIRS]>::try_from(from) {
                            Ok(from) => own = *from,
                            Err(_) => own[..from.len()].copy_from_slice(from),
                        }
                    }
                    own
                });
                for i in 0..PAIRS {
                    square[i] = pair(a[i], b[i]);
                }
            }
            for (i, row) in rows.chunks_exact_mut(places.len() / 2).enumerate() {
                let to = &mut row[at * PAIRS..][..PAIRS];
                to.iter_mut().zip(&square).for_each(|(to, from)| *to = from[i]);
            }
        }
    }
}
