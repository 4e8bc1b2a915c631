//! The depthwise convolution itself, forward and to the gradient of the input: direct loops over a band of rows.

use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::window::Window;
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
    let (width, [[above, _], [left, _]]) = (window.width(), window.reach);
    let offsets = |tap: &Tap| [((tap.row - above) as usize * width + (tap.column - left) as usize) * c, tap.weight * c];
    let taps: Vec<Vec<_>> = window.phases.iter().map(|phase| phase.taps.iter().map(offsets).collect()).collect();
    let slots = Slots::new(statistics, n * oh * ow, c, n * oh.div_ceil(band)).each();
    let films = y.chunks_exact_mut(oh * ow * c).enumerate();
    let bands = films
        .flat_map(|(film, y)| y.chunks_mut(band * ow * c).enumerate().map(move |(index, y)| (film, index * band, y)));
    bands.zip(slots).collect::<Vec<_>>().into_par_iter().for_each(|((film, first, y), slot)| {
        let rows = y.len() / (ow * c);
        with_scratch(window.room(band), |padded| {
            window.fill(&x[film * h * w * c..][..h * w * c], first, rows, padded);
            let at = (film * oh + first) * ow * c;
            crate::machine::arch().dispatch(Band {
                window,
                padded,
                taps: &taps,
                weights,
                finish,
                first,
                at,
                y: &mut *y,
            });
        });
        slot.take(y);
    });
}

/// A few rows of results.
pub(super) struct Band<'a, T> {
    pub(super) window: &'a Window,
    /// `[height, width, c]`.
    pub(super) padded: &'a [f32],
    /// Offsets in the source and in the weights, by phase.
    pub(super) taps: &'a [Vec<[usize; 2]>],
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
        // Channels outermost: a block of them from all rows under the window stays in L1 along the whole row.
        let mut channel = 0;
        channel = self.blocks::<S, 4>(simd, channel);
        channel = self.blocks::<S, 2>(simd, channel);
        channel = self.blocks::<S, 1>(simd, channel);
        self.blocks::<Scalar, 1>(Scalar::new(), channel);
    }
}

impl<T: Stored> Band<'_, T> {
    /// As many blocks of `V` vectors as fit from channel `first` on; gives the channel after them.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, first: usize) -> usize {
        let (mut channel, window) = (first, self.window);
        while channel + V * S::F32_LANES <= window.c {
            for row in 0..self.y.len() / (window.out[1] * window.c) {
                let residue = (self.first + row + window.top) % window.apart;
                for (index, phase) in window.phases.iter().enumerate() {
                    if phase.residue[0] != residue {
                        continue;
                    }
                    let mut column = 0;
                    while column + 4 <= phase.columns {
                        self.pixels::<S, V, 4>(simd, index, [row, column, channel]);
                        column += 4;
                    }
                    if column + 2 <= phase.columns {
                        self.pixels::<S, V, 2>(simd, index, [row, column, channel]);
                        column += 2;
                    }
                    if column < phase.columns {
                        self.pixels::<S, V, 1>(simd, index, [row, column, channel]);
                    }
                }
            }
            channel += V * S::F32_LANES;
        }
        channel
    }

    /// `J` neighbouring results, `V` vectors of channels.
    #[inline(always)]
    fn pixels<S: Simd, const V: usize, const J: usize>(
        &mut self,
        simd: S,
        phase: usize,
        [row, column, channel]: [usize; 3],
    ) {
        let (window, c, len) = (self.window, self.window.c, V * S::F32_LANES);
        let down = window.base(self.first + row) - window.base(self.first);
        let from = (down * window.width() + column * window.step[1]) * c + channel;
        let (padded, weights, apart) = (&self.padded[from..], &self.weights[channel..], window.step[1] * c);
        let (taps, first_column) = (&self.taps[phase], window.phases[phase].first_column);
        let mut accumulators = [[simd.splat_f32s(0.0); V]; J];
        for &[offset, weight] in taps {
            let (w, _) = S::as_simd_f32s(&weights[weight..][..len]);
            let pixels = &padded[offset..][..(J - 1) * apart + len];
            for (j, accumulators) in accumulators.iter_mut().enumerate() {
                let (x, _) = S::as_simd_f32s(&pixels[j * apart..][..len]);
                for v in 0..V {
                    accumulators[v] = simd.mul_add_e_f32s(x[v], w[v], accumulators[v]);
                }
            }
        }
        for (j, accumulators) in accumulators.into_iter().enumerate() {
            let place = (row * window.out[1] + first_column + (column + j) * window.columns_apart) * c + channel;
            let y = self.y[place..][..len].chunks_exact_mut(S::F32_LANES);
            for (v, (y, sum)) in y.zip(accumulators).enumerate() {
                let along = v * S::F32_LANES;
                self.finish.finish(simd, sum, channel + along, self.at + place + along, y);
            }
        }
    }
}
