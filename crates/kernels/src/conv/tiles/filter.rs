//! Weights as products of tiles read them.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::arch::{PAIRS, SIDE, STEP};
use crate::chunks::{for_chunks, vectorised};
use crate::conv::ConvShape;
use crate::conv::filter::Direction;
use crate::conv::gather::{backward_taps, forward_taps};
use crate::stored::{Bf16, Stored, pair};

/// A row of a tile, in one cache line; two of them are a row of a step.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; PAIRS]);

/// Rounded to bfloat16, in pairs of neighbouring channels: `[blocks of 32 channels out, taps, steps, 16, 32]`, each step 32 channels in
/// of a pixel of the window, zeros where there are none.
#[derive(Clone, Debug)]
pub(in crate::conv) struct Tiled {
    lines: Vec<Line>,
    direction: Direction,
    /// Which pixel of the window each tap is.
    taps: Vec<usize>,
    /// Of a tap.
    steps: usize,
    /// Channels in and out, in this direction.
    channels: [usize; 2],
}

impl Tiled {
    pub(in crate::conv) fn new(shape: &ConvShape, oihw: &[f32], direction: Direction) -> Self {
        let taps = match direction {
            Direction::Forward => forward_taps(shape),
            Direction::Backward => backward_taps(shape).into_iter().flat_map(|phase| phase.taps).collect(),
        };
        let taps: Vec<usize> = taps.into_iter().map(|tap| tap.weight).collect();
        let channels = direction.channels([shape.c_in, shape.c_out]);
        let steps = channels[0].div_ceil(SIDE);
        let lines = channels[1].div_ceil(SIDE) * taps.len() * steps * (STEP / PAIRS);
        let mut own = Tiled { lines: vec![Line([0.0; PAIRS]); lines], direction, taps, steps, channels };
        own.refill(oihw);
        own
    }

    pub(in crate::conv) fn refill(&mut self, oihw: &[f32]) {
        let Tiled { lines, direction, taps, steps, channels: [c, k] } = self;
        let (window, steps, [c, k]) = (taps.len(), *steps, [*c, *k]);
        let a_block = window * steps * (STEP / PAIRS);
        for_chunks(lines, a_block.max(1), |block, lines| {
            // What is of one channel out and 32 in, or the other way round, lies together in OIHW: all of it becomes pairs at once.
            let mut pairs = vec![0.0; PAIRS * window];
            for (step, half) in (0..steps).flat_map(|step| [(step, 0), (step, 1)]) {
                let (out, channel) = (block * SIDE + half * PAIRS, step * SIDE);
                let place = |tap: usize, row: usize| ((tap * steps + step) * PAIRS + row) * 2 + half;
                for i in 0..PAIRS {
                    match direction {
                        // For a column of every tile: 16 pairs of neighbours in a row of weights.
                        Direction::Forward if out + i < k => {
                            let row = &oihw[(out + i) * c * window..][..c * window];
                            let row = &row[channel * window..(c * window).min((channel + SIDE) * window)];
                            for (pairs, both) in pairs.chunks_exact_mut(window).zip(row.chunks(2 * window)) {
                                let (upper, lower) = both.split_at(window);
                                paired(upper, lower, pairs);
                            }
                            let there = row.len().div_ceil(2 * window);
                            for (row, pairs) in pairs.chunks_exact(window).enumerate().take(there) {
                                taps.iter().enumerate().for_each(|(tap, at)| lines[place(tap, row)].0[i] = pairs[*at]);
                            }
                        }
                        // For a row of every tile: pairs of two rows of weights.
                        Direction::Backward if channel + 2 * i < c && out < k => {
                            let wanted = out * window..(k * window).min((out + PAIRS) * window);
                            let row = |i: usize| oihw.get((channel + i) * k * window..).unwrap_or_default();
                            let there = |i: usize| if channel + i < c { &row(i)[wanted.clone()] } else { &[] };
                            paired(there(2 * i), there(2 * i + 1), &mut pairs[..wanted.len()]);
                            for (column, pairs) in pairs[..wanted.len()].chunks_exact(window).enumerate() {
                                taps.iter()
                                    .enumerate()
                                    .for_each(|(tap, at)| lines[place(tap, i)].0[column] = pairs[*at]);
                            }
                        }
                        // Zeros from the beginning.
                        _ => {}
                    }
                }
            }
        });
    }

    /// How many taps there are.
    pub(super) fn taps(&self) -> usize {
        self.taps.len()
    }

    /// Those of some taps and a block of 32 channels out.
    pub(super) fn block(&self, taps: &Range<usize>, block: usize) -> &[f32] {
        let first = (block * self.taps.len() + taps.start) * self.steps * STEP;
        &bytemuck::cast_slice(&self.lines)[first..][..taps.len() * self.steps * STEP]
    }
}

/// Pairs of two rows, rounded; the second may be shorter, as if zeros followed.
fn paired(upper: &[f32], lower: &[f32], pairs: &mut [f32]) {
    vectorised(|| {
        let (both, alone) = upper.split_at(lower.len().min(upper.len()));
        let (pairs, rest) = pairs.split_at_mut(both.len());
        for ((pairs, upper), lower) in pairs.iter_mut().zip(both).zip(lower) {
            *pairs = pair(Bf16::rounded(*upper), Bf16::rounded(*lower));
        }
        rest.iter_mut().zip(alone).for_each(|(pairs, upper)| *pairs = pair(Bf16::rounded(*upper), Bf16::default()));
    });
}
