//! The gradient to the weights of a depthwise convolution.

use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::window::{BLOCK, Copied, Window};
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
            with_scratch(window.room(band), |room| {
                for index in slot * a_slot..((slot + 1) * a_slot).min(n * bands) {
                    let (film, first) = (index / bands, index % bands * band);
                    let rows = band.min(oh - first);
                    let source = window.copy(&x[film * shape.x_len()..][..shape.x_len()], first, rows, room);
                    let dy = &dy[(film * oh + first) * ow * c..][..rows * ow * c];
                    crate::machine::arch().dispatch(BandGradient {
                        window: &window,
                        kernel: shape.kernel,
                        source,
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
    pub(super) source: Copied<'a>,
    /// `[rows, columns, c]`.
    pub(super) dy: &'a [T],
    /// `[taps, c]`.
    pub(super) sums: &'a mut [f32],
}

impl<T: Stored> WithSimd for BandGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (c, mut channel) = (self.window.c, 0);
        while channel + S::F32_LANES <= c {
            self.windows(simd, channel);
            channel += S::F32_LANES;
        }
        while channel < c {
            self.windows(Scalar::new(), channel);
            channel += 1;
        }
    }
}

impl<E: Stored> BandGradient<'_, E> {
    /// A vector of channels: as many taps at a time as have room for their sums in registers, since `dy` is read anew for
    /// those that follow.
    #[inline(always)]
    fn windows<S: Simd>(&mut self, simd: S, channel: usize) {
        let [high, wide] = self.kernel;
        match self.kernel {
            _ if S::F32_LANES == 1 => {}
            [3, 3] => {
                self.taps::<S, 3, 3>(simd, [0, 0], channel);
                return;
            }
            [5, 5] if S::REGISTER_COUNT >= 32 => {
                self.taps::<S, 5, 5>(simd, [0, 0], channel);
                return;
            }
            _ => {}
        }
        for row in 0..high {
            let mut column = 0;
            while column < wide {
                let at = [row, column];
                column += match wide - column {
                    5.. if S::F32_LANES > 1 => self.taps::<S, 1, 5>(simd, at, channel),
                    3.. if S::F32_LANES > 1 => self.taps::<S, 1, 3>(simd, at, channel),
                    _ => self.taps::<S, 1, 1>(simd, at, channel),
                };
            }
        }
    }

    /// `R` rows of `T` neighbouring taps; gives `T`.
    #[inline(always)]
    fn taps<S: Simd, const R: usize, const T: usize>(
        &mut self,
        simd: S,
        [row, column]: [usize; 2],
        channel: usize,
    ) -> usize {
        let Window { c, step, out: [_, columns], .. } = *self.window;
        let (line, apart) = (self.window.width() * BLOCK, step[1] * BLOCK);
        let source = &self.source.at_channel(channel)[row * line + column * BLOCK..];
        let mut sums = [[simd.splat_f32s(0.0); T]; R];
        for (y, dy) in self.dy.chunks_exact(columns * c).enumerate() {
            let lines: [&[f32]; R] = std::array::from_fn(|r| {
                &source[(y * step[0] + r) * line..][..(columns - 1) * apart + (T - 1) * BLOCK + S::F32_LANES]
            });
            for (j, dy) in dy.chunks_exact(c).enumerate() {
                let dy = E::load(simd, &dy[channel..]);
                for (sums, line) in sums.iter_mut().zip(&lines) {
                    let pixels = &line[j * apart..][..(T - 1) * BLOCK + S::F32_LANES];
                    for (t, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.mul_add_e_f32s(f32::load(simd, &pixels[t * BLOCK..]), dy, *sum);
                    }
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (t, sum) in sums.into_iter().enumerate() {
                let tap = (row + r) * self.kernel[1] + column + t;
                let total = &mut self.sums[tap * c + channel..][..S::F32_LANES];
                f32::store(simd, simd.add_f32s(f32::load(simd, total), sum), total);
            }
        }
        T
    }
}
