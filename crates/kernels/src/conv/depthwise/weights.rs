//! The gradient to the weights of a depthwise convolution.

use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::window::Window;
use crate::chunks::{vectorised, with_scratch};
use crate::conv::ConvShape;
use crate::stored::Stored;

/// Slots of partial sums of the gradient.
const SLOTS: usize = 32;

pub(in crate::conv) fn backward_weight<T: Stored>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    dy: &[T],
    dw: &mut [f32],
    accumulate: bool,
) {
    let window = Window::forward(shape);
    let (c, [oh, ow], len) = (shape.c_out, window.out, shape.weight_len());
    let band = window.band();
    let bands = oh.div_ceil(band);
    let a_slot = (n * bands).div_ceil(SLOTS).max(1);
    let slots = (n * bands).div_ceil(a_slot).max(1);
    with_scratch(slots * len, |partial| {
        partial.par_chunks_mut(len.max(1)).enumerate().for_each(|(slot, partial)| {
            partial.fill(0.0);
            with_scratch(window.room(band), |padded| {
                for index in slot * a_slot..((slot + 1) * a_slot).min(n * bands) {
                    let (film, first) = (index / bands, index % bands * band);
                    let rows = band.min(oh - first);
                    window.fill(&x[film * shape.x_len()..][..shape.x_len()], first, rows, padded);
                    let dy = &dy[(film * oh + first) * ow * c..][..rows * ow * c];
                    crate::machine::arch().dispatch(BandGradient {
                        window: &window,
                        kernel: shape.kernel,
                        padded,
                        dy,
                        sums: partial,
                    });
                }
            });
        });
        // [slots, taps, c] to [c, taps].
        vectorised(|| {
            let places = dw.chunks_exact_mut(shape.taps()).enumerate();
            for (channel, places) in places {
                for (tap, place) in places.iter_mut().enumerate() {
                    let parts = partial[tap * c + channel..].iter().step_by(len);
                    let sum = parts.fold(0.0, |sum, part| sum + part);
                    *place = if accumulate { *place + sum } else { sum };
                }
            }
        });
    });
}

/// A few rows' share of a gradient to weights: for each tap, the sum of `dy * x`, added to `sums`.
pub(super) struct BandGradient<'a, T> {
    pub(super) window: &'a Window,
    /// Height and width of the window.
    pub(super) kernel: [usize; 2],
    /// `[height, width, c]`.
    pub(super) padded: &'a [f32],
    /// `[rows, columns, c]`.
    pub(super) dy: &'a [T],
    /// `[taps, c]`.
    pub(super) sums: &'a mut [f32],
}

impl<T: Stored> WithSimd for BandGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut channel = 0;
        channel = self.blocks::<S, 2>(simd, channel);
        channel = self.blocks::<S, 1>(simd, channel);
        self.blocks::<Scalar, 1>(Scalar::new(), channel);
    }
}

impl<E: Stored> BandGradient<'_, E> {
    /// As many blocks of `V` vectors as fit from channel `first` on; gives the channel after them.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, first: usize) -> usize {
        let (mut channel, [high, wide]) = (first, self.kernel);
        while channel + V * S::F32_LANES <= self.window.c {
            for row in 0..high {
                let mut column = 0;
                while column < wide {
                    column += match wide - column {
                        5.. => self.taps::<S, 5, V>(simd, [row, column, channel]),
                        3.. => self.taps::<S, 3, V>(simd, [row, column, channel]),
                        _ => self.taps::<S, 1, V>(simd, [row, column, channel]),
                    };
                }
            }
            channel += V * S::F32_LANES;
        }
        channel
    }

    /// `T` neighbouring taps, `V` vectors of channels; gives `T`.
    #[inline(always)]
    fn taps<S: Simd, const T: usize, const V: usize>(&mut self, simd: S, [row, column, channel]: [usize; 3]) -> usize {
        let Window { c, step, out: [_, columns], .. } = *self.window;
        let (width, len, apart) = (self.window.width(), V * S::F32_LANES, step[1] * c);
        let mut accumulators = [[simd.splat_f32s(0.0); V]; T];
        for (y, dy) in self.dy.chunks_exact(columns * c).enumerate() {
            let line = &self.padded[((y * step[0] + row) * width + column) * c + channel..];
            for (j, dy) in dy.chunks_exact(c).enumerate() {
                let dy = &dy[channel..][..len];
                let mut values = [simd.splat_f32s(0.0); V];
                for (v, value) in values.iter_mut().enumerate() {
                    *value = E::load(simd, &dy[v * S::F32_LANES..]);
                }
                let dy = values;
                let pixels = &line[j * apart..][..(T - 1) * c + len];
                for (t, accumulators) in accumulators.iter_mut().enumerate() {
                    let (x, _) = S::as_simd_f32s(&pixels[t * c..][..len]);
                    for v in 0..V {
                        accumulators[v] = simd.mul_add_e_f32s(x[v], dy[v], accumulators[v]);
                    }
                }
            }
        }
        for (t, accumulators) in accumulators.into_iter().enumerate() {
            let tap = row * self.kernel[1] + column + t;
            let (total, _) = S::as_mut_simd_f32s(&mut self.sums[tap * c + channel..][..len]);
            for v in 0..V {
                total[v] = simd.add_f32s(total[v], accumulators[v]);
            }
        }
        T
    }
}
