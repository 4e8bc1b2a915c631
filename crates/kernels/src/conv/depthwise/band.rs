//! The depthwise convolution itself, forward and to the gradient of the input: direct loops over a band of rows.

use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::window::{BLOCK, Copied, Window};
use crate::chunks::with_scratch;
use crate::conv::epilogue::Finish;
use crate::conv::gather::Tap;
use crate::norm::{BatchStatistics, Slots};
use crate::stored::Stored;

pub(super) fn convolve<T: Stored>(
    window: &Window,
    n: usize,
    x: &[T],
    weights: &[f32],
    finish: Finish<T>,
    y: &mut [T],
    statistics: Option<&mut BatchStatistics>,
) {
    let (c, [h, w], [oh, ow], band) = (window.c, window.source, window.out, window.band());
    assert_eq!((x.len(), y.len()), (n * h * w * c, n * oh * ow * c));
    let taps: Vec<Taps> = window.phases.iter().map(|phase| Taps::new(window, &phase.taps)).collect();
    let slots = Slots::new(statistics, n * oh * ow, c, n * oh.div_ceil(band)).each();
    let films = y.chunks_exact_mut(oh * ow * c).enumerate();
    let bands = films
        .flat_map(|(film, y)| y.chunks_mut(band * ow * c).enumerate().map(move |(index, y)| (film, index * band, y)));
    bands.zip(slots).collect::<Vec<_>>().into_par_iter().for_each(|((film, first, y), slot)| {
        let rows = y.len() / (ow * c);
        with_scratch(window.room(band), |room| {
            let source = window.copy(&x[film * h * w * c..][..h * w * c], first, rows, room);
            let at = (film * oh + first) * ow * c;
            let y = &mut *y;
            crate::machine::arch().dispatch(Band { window, source, taps: &taps, weights, finish, first, at, y });
        });
        slot.take(y);
    });
}

/// The taps of a phase, in rows of neighbours: a pixel that several results of a row see is read once.
pub(super) struct Taps {
    /// Of a row.
    width: usize,
    rows: Vec<Row>,
}

struct Row {
    /// Of its first tap, in the source.
    offset: usize,
    /// Of each, in the weights.
    weights: [usize; WIDEST],
}

/// Most neighbours that are taken together.
const WIDEST: usize = 5;

impl Taps {
    pub(super) fn new(window: &Window, taps: &[Tap]) -> Self {
        let (width, [[above, _], [left, _]], c) = (window.width(), window.reach, window.c);
        let follows = |pair: &[Tap]| pair[1].row == pair[0].row && pair[1].column == pair[0].column + 1;
        let together =
            |n: &usize| taps.len().is_multiple_of(*n) && taps.chunks(*n).all(|row| row.windows(2).all(follows));
        // Those that there is a loop for.
        let n = [WIDEST, 3].into_iter().find(together).unwrap_or(1);
        let row = |row: &[Tap]| Row {
            offset: ((row[0].row - above) as usize * width + (row[0].column - left) as usize) * BLOCK,
            weights: std::array::from_fn(|i| row.get(i).map_or(0, |tap| tap.weight * c)),
        };
        Taps { width: n, rows: taps.chunks(n).map(row).collect() }
    }
}

/// A few rows of results.
pub(super) struct Band<'a, T> {
    pub(super) window: &'a Window,
    pub(super) source: Copied<'a>,
    /// By phase.
    pub(super) taps: &'a [Taps],
    /// `[taps, c]`.
    pub(super) weights: &'a [f32],
    pub(super) finish: Finish<'a, T>,
    /// First row.
    pub(super) first: usize,
    /// Element of the whole result with which `y` begins.
    pub(super) at: usize,
    /// `[rows, columns, c]`.
    pub(super) y: &'a mut [T],
}

impl<T: Stored> WithSimd for Band<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Channels outermost: a vector of them from all rows under the window stays in L1 along the whole row.
        let (c, mut channel) = (self.window.c, 0);
        while channel + S::F32_LANES <= c {
            self.rows(simd, channel);
            channel += S::F32_LANES;
        }
        while channel < c {
            self.rows(Scalar::new(), channel);
            channel += 1;
        }
    }
}

impl<T: Stored> Band<'_, T> {
    /// A vector of channels.
    #[inline(always)]
    fn rows<S: Simd>(&mut self, simd: S, channel: usize) {
        let window = self.window;
        for row in 0..self.y.len() / (window.out[1] * window.c) {
            let residue = (self.first + row + window.top) % window.apart;
            for (index, phase) in window.phases.iter().enumerate() {
                if phase.residue[0] != residue {
                    continue;
                }
                let at = [index, row, channel];
                match (self.taps[index].width, window.step[1]) {
                    _ if S::F32_LANES == 1 => self.row::<S, 0, 0>(simd, at),
                    (3, 1) => self.row::<S, 3, 1>(simd, at),
                    (3, 2) => self.row::<S, 3, 2>(simd, at),
                    (5, 1) => self.row::<S, 5, 1>(simd, at),
                    (5, 2) => self.row::<S, 5, 2>(simd, at),
                    _ => self.row::<S, 0, 0>(simd, at),
                }
            }
        }
    }

    /// A row of a phase's results, by rows of `K` taps and a step of `STEP`, or of any for 0.
    #[inline(always)]
    fn row<S: Simd, const K: usize, const STEP: usize>(&mut self, simd: S, at: [usize; 3]) {
        let (columns, mut column) = (self.window.phases[at[0]].columns, 0);
        if S::F32_LANES > 1 {
            // Images of 224 pixels have a multiple of seven columns in all layers.
            while column + 7 <= columns {
                self.pixels::<S, 7, K, STEP>(simd, at, column);
                column += 7;
            }
            if column + 4 <= columns {
                self.pixels::<S, 4, K, STEP>(simd, at, column);
                column += 4;
            }
            if column + 2 <= columns {
                self.pixels::<S, 2, K, STEP>(simd, at, column);
                column += 2;
            }
        }
        while column < columns {
            self.pixels::<S, 1, K, STEP>(simd, at, column);
            column += 1;
        }
    }

    /// `J` neighbouring results. Each sum is taken in the order of the taps.
    #[inline(always)]
    fn pixels<S: Simd, const J: usize, const K: usize, const STEP: usize>(
        &mut self,
        simd: S,
        [phase, row, channel]: [usize; 3],
        column: usize,
    ) {
        let (window, c) = (self.window, self.window.c);
        let down = window.base(self.first + row) - window.base(self.first);
        let from = (down * window.width() + column * window.step[1]) * BLOCK;
        let (source, weights) = (&self.source.at_channel(channel)[from..], &self.weights[channel..]);
        let (taps, first_column) = (&self.taps[phase], window.phases[phase].first_column);
        let mut sums = [simd.splat_f32s(0.0); J];
        for tap in &taps.rows {
            if K == 0 {
                let apart = window.step[1] * BLOCK;
                for (k, &weight) in tap.weights[..taps.width].iter().enumerate() {
                    let w = f32::load(simd, &weights[weight..]);
                    let pixels = &source[tap.offset + k * BLOCK..][..(J - 1) * apart + S::F32_LANES];
                    for (j, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.mul_add_e_f32s(f32::load(simd, &pixels[j * apart..]), w, *sum);
                    }
                }
                continue;
            }
            let w: [S::f32s; K] = std::array::from_fn(|k| f32::load(simd, &weights[tap.weights[k]..]));
            let pixels = &source[tap.offset..][..((J - 1) * STEP + K - 1) * BLOCK + S::F32_LANES];
            for (k, &w) in w.iter().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    let x = f32::load(simd, &pixels[(j * STEP + k) * BLOCK..]);
                    *sum = simd.mul_add_e_f32s(x, w, *sum);
                }
            }
        }
        let place = (row * window.out[1] + first_column + column * window.columns_apart) * c + channel;
        let y = &mut self.y[place..];
        self.finish.finish_pixels(simd, sums, channel, self.at + place, window.columns_apart * c, y);
    }
}
