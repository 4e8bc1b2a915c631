//! Convolutions of bfloat16 that mix channels, by products of tiles ([`arch::tiles`](crate::arch::with_tiles)): blocks of 32 results by 32
//! channels.
//!
//! No windows are gathered. The pixels of a task are copied once to [planes](self::planes) with zeros around them; there, a tile's 16 rows
//! are 16 neighbouring pixels, and each pixel of the window is the same 16 rows from another beginning.

mod filter;
mod planes;
mod weights;

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

pub(super) use filter::Tiled;
pub(super) use weights::backward_weight;

use super::epilogue::Finish;
use super::filter::Direction;
use super::gather::{Tap, backward_taps};
use super::{Call, ConvShape, Epilogue, Filter};
use crate::arch::{Block, PAIRS, SIDE, with_tiles};
use crate::chunks::{for_chunks, rows_per_task, with_scratch};
use crate::norm::{BatchStatistics, for_chunks_of};
use crate::stored::Stored;
use planes::{Planes, Reach, Task, aligned, forward_reaches};

/// Channels below which most of a tile would be zeros.
const CHANNELS: usize = 16;

/// Bytes of operands and results that a task works on at a time: they stay in the second cache, beside the weights of a block of
/// channels.
const CACHED: usize = 1 << 19;

/// Blocks of channels of a task where pixels are few.
const FEW: usize = 2;

/// Flat results to one that is wanted, at most: a window as large as an image has one result and lines of others.
const WASTE: usize = 4;

/// Whether a convolution of values in bfloat16 is computed so on this machine.
pub(super) fn fits(shape: &ConvShape) -> bool {
    let wanted = || shape.groups == 1 && shape.c_in >= CHANNELS && shape.c_out >= CHANNELS;
    crate::machine::tiles() && wanted() && {
        let planes = forward_planes(shape);
        planes.film * planes.line <= WASTE * shape.out().iter().product::<usize>()
    }
}

fn forward_planes(shape: &ConvShape) -> Planes {
    Planes::new([shape.h, shape.w, shape.c_in], shape.stride, shape.out(), &forward_reaches(shape))
}

/// Results of all films up to which each task takes some channels of all of them, and from how many channels on.
const FEW_RESULTS: usize = 256;
const MANY_CHANNELS: usize = 4 * SIDE;

/// Rows of results of one task, of `n` films.
fn rows_of_task(planes: &Planes, n: usize, channels: usize) -> usize {
    let pixels = (CACHED / (2 * channels * planes.count().max(1))).clamp(128, 4096);
    // A film alone should still keep several threads busy.
    let [rows, columns] = planes.results;
    let pixels = pixels.min((n * rows * columns).div_ceil(8)).max(2 * SIDE);
    rows_per_task(n * rows, pixels.div_ceil(planes.line))
}

pub(super) fn forward<T: Stored>(call: Call<T, T>, y: &mut [T], statistics: Option<&mut BatchStatistics>) {
    let Call { shape, n, x, filter, epilogue } = call;
    let ([oh, ow], c_out) = (shape.out(), shape.c_out);
    let planes = forward_planes(shape);
    let filter = filter.tiled(Direction::Forward);
    let work = Work { planes: &planes, x, filter, taps: 0..filter.taps(), channels: c_out };
    let finish = Finish::Epilogue(epilogue);
    if n * oh * ow <= FEW_RESULTS && c_out >= MANY_CHANNELS {
        work.few(n, finish, y);
        if let Some(statistics) = statistics {
            statistics.take(n * oh * ow, c_out, y);
        }
        return;
    }
    let rows = rows_of_task(&planes, n, shape.c_in + c_out);
    for_chunks_of(y, rows * ow * c_out, c_out, statistics, |index, y| {
        let task = planes.task(index * rows, y.len() / (ow * c_out));
        let places = planes.places(&task, |row, column| row * ow + column);
        work.run(&task, &places, To { at: index * rows * ow * c_out, finish, y });
    });
}

pub(super) fn backward_data<T: Stored>(
    shape: &ConvShape,
    n: usize,
    dy: &[T],
    filter: &Filter,
    dx: &mut [T],
    accumulate: bool,
) {
    let (h, w, c_in) = (shape.h, shape.w, shape.c_in);
    let filter = filter.tiled(Direction::Backward);
    let finish = if accumulate { Finish::Accumulate } else { Finish::Epilogue(&Epilogue::NONE) };
    let phases = phases(shape);
    let rows = phases.iter().map(|phase| rows_of_task(&phase.planes, n, c_in + shape.c_out)).max().unwrap_or(1);
    let rows = rows * shape.stride[0];
    for_chunks(dx, rows * w * c_in, |index, dx| {
        let range = index * rows..index * rows + dx.len() / (w * c_in);
        for phase in &phases {
            let [begin, end] = [range.start, range.end].map(|row| phase.before(row, h));
            let task = phase.planes.task(begin, end - begin);
            if task.blocks == 0 {
                // An image may be too small for some phase.
                continue;
            }
            let places = phase.planes.places(&task, |row, column| {
                let [row, column] = phase.pixel(begin + row, column, h);
                (row - range.start) * w + column
            });
            let work = Work { planes: &phase.planes, x: dy, filter, taps: phase.taps.clone(), channels: c_in };
            if !phase.taps.is_empty() {
                work.run(&task, &places, To { at: 0, finish, y: &mut *dx });
            } else if !accumulate {
                places.iter().flatten().for_each(|place| dx[place * c_in..][..c_in].fill(T::default()));
            }
        }
    });
}

/// The input pixels of one residue by the stride, whose gradient is a convolution of step 1 over `dy`.
struct Phase {
    planes: Planes,
    /// Its taps among those of all phases.
    taps: Range<usize>,
    /// First row and column of the input.
    first: [usize; 2],
    stride: [usize; 2],
}

fn phases(shape: &ConvShape) -> Vec<Phase> {
    let ([oh, ow], stride, top) = (shape.out(), shape.stride, shape.pads[0]);
    let mut taps = 0;
    let phase = |phase: super::gather::Phase| {
        let first = [(phase.residue[0] + stride[0] - top % stride[0]) % stride[0], phase.first_column];
        let base = ((first[0] + top - phase.residue[0]) / stride[0]) as isize;
        let reach = |tap: &Tap| Reach { phase: [0; 2], row: base + tap.row, column: tap.column };
        let reaches: Vec<Reach> = phase.taps.iter().map(reach).collect();
        let rows = shape.h.saturating_sub(first[0]).div_ceil(stride[0]);
        let planes = Planes::new([oh, ow, shape.c_out], [1; 2], [rows, phase.columns], &reaches);
        taps += reaches.len();
        Phase { planes, taps: taps - reaches.len()..taps, first, stride }
    };
    backward_taps(shape).into_iter().map(phase).collect()
}

impl Phase {
    /// How many of its rows lie before a row of the input, counted through films of `h` rows.
    fn before(&self, row: usize, h: usize) -> usize {
        row / h * self.planes.results[0] + (row % h + self.stride[0] - 1 - self.first[0]) / self.stride[0]
    }

    /// Row, counted through films, and column of the input.
    fn pixel(&self, row: usize, column: usize, h: usize) -> [usize; 2] {
        let rows = self.planes.results[0];
        [row / rows * h + self.first[0] + row % rows * self.stride[0], self.first[1] + column * self.stride[1]]
    }
}

/// A convolution of step 1 over planes.
struct Work<'a, T> {
    planes: &'a Planes,
    x: &'a [T],
    filter: &'a Tiled,
    /// Those of the filter that it has.
    taps: Range<usize>,
    /// Channels out.
    channels: usize,
}

/// Where results go.
struct To<'a, T> {
    /// Element of the whole output that `y` begins at.
    at: usize,
    finish: Finish<'a, T>,
    y: &'a mut [T],
}

impl<T: Stored> Work<'_, T> {
    /// The results of a task; `places` are the pixels of `y` that they are.
    fn run(&self, task: &Task, places: &[Option<usize>], mut to: To<T>) {
        let (planes, pixel) = (self.planes, self.planes.pixel);
        with_scratch(planes.room(task) + PAIRS + SIDE * SIDE, |room| {
            let (sums, room) = aligned(room).split_at_mut(SIDE * SIDE);
            let (pixels, steps) = (planes.fill(task, self.x, room), planes.steps(task));
            with_tiles(|tiles| {
                for block in 0..self.channels.div_ceil(SIDE) {
                    let b = self.filter.block(&self.taps, block);
                    for (i, places) in places.chunks_exact(SIDE).enumerate() {
                        let (a, c) = (&pixels[i * SIDE * pixel..], &mut *sums);
                        tiles.multiply(Block { a, a_stride: pixel, steps: &steps, b, c, c_stride: SIDE, add: false });
                        self.finish(block, sums, places, &mut to);
                    }
                }
            });
        });
    }

    /// The results of `n` films that are so few that each task takes some channels of all of them.
    fn few(&self, n: usize, finish: Finish<T>, y: &mut [T]) {
        let (planes, pixel) = (self.planes, self.planes.pixel);
        let [rows, columns] = planes.results;
        let task = planes.task(0, n * rows);
        let places = planes.places(&task, |row, column| row * columns + column);
        let (blocks, a_block) = (self.channels.div_ceil(SIDE), task.blocks * SIDE * SIDE);
        with_scratch(blocks * a_block + PAIRS + planes.room(&task), |room| {
            let (results, room) = aligned(room).split_at_mut(blocks * a_block);
            let (pixels, steps) = (&*planes.fill(&task, self.x, room), planes.steps(&task));
            results.par_chunks_mut((FEW * a_block).max(1)).enumerate().for_each(|(first, results)| {
                with_tiles(|tiles| {
                    for (block, results) in results.chunks_exact_mut(a_block).enumerate() {
                        let b = self.filter.block(&self.taps, first * FEW + block);
                        for (i, c) in results.chunks_exact_mut(SIDE * SIDE).enumerate() {
                            let a = &pixels[i * SIDE * pixel..];
                            tiles.multiply(Block {
                                a,
                                a_stride: pixel,
                                steps: &steps,
                                b,
                                c,
                                c_stride: SIDE,
                                add: false,
                            });
                        }
                    }
                });
            });
            let mut to = To { at: 0, finish, y };
            for (block, results) in results.chunks_exact(a_block.max(1)).enumerate() {
                for (sums, places) in results.chunks_exact(SIDE * SIDE).zip(places.chunks_exact(SIDE)) {
                    self.finish(block, sums, places, &mut to);
                }
            }
        });
    }

    fn finish(&self, block: usize, sums: &[f32], places: &[Option<usize>], to: &mut To<T>) {
        let channels = block * SIDE..self.channels.min((block + 1) * SIDE);
        crate::machine::arch().dispatch(Finishing { sums, places, channels, all: self.channels, to });
    }
}

/// A block of sums on its way to memory.
struct Finishing<'a, 'b, T> {
    sums: &'a [f32],
    places: &'a [Option<usize>],
    channels: Range<usize>,
    /// Channels of a pixel.
    all: usize,
    to: &'a mut To<'b, T>,
}

impl<T: Stored> WithSimd for Finishing<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Finishing { sums, places, channels, all, to } = self;
        let whole = channels.len() / S::F32_LANES * S::F32_LANES;
        for (sums, place) in sums.chunks_exact(SIDE).zip(places) {
            let Some(place) = place else { continue };
            let first = place * all + channels.start;
            let y = &mut to.y[first..][..channels.len()];
            for i in (0..whole).step_by(S::F32_LANES) {
                let (value, channel) = (f32::load(simd, &sums[i..]), channels.start + i);
                to.finish.finish(simd, value, channel, to.at + first + i, &mut y[i..]);
            }
            for (i, y) in y.iter_mut().enumerate().skip(whole) {
                to.finish.finish_one(sums[i], channels.start + i, to.at + first + i, y);
            }
        }
    }
}
