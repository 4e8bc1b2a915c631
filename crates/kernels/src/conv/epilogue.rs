//! What is done to a convolution's result on its way to memory.

use pulp::{Simd, WithSimd};

pub use crate::act::Act;
use crate::chunks::vectorised;
use crate::stored::Stored;

/// What is done to the result while it is in the cache: `y = act(conv + bias + residual)`.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T = f32> {
    /// A term an output channel.
    pub bias: Option<&'a [f32]>,
    /// A value of the output's own shape.
    pub residual: Option<&'a [T]>,
    /// Applied last.
    pub act: Act,
}

impl<T: Stored> Epilogue<'_, T> {
    /// The convolution alone.
    pub const NONE: Epilogue<'static, T> = Epilogue { bias: None, residual: None, act: Act::None };

    /// One vector: channels from `channel` on, element `at` of the whole output.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&self, simd: S, mut value: S::f32s, channel: usize, at: usize) -> S::f32s {
        if let Some(bias) = self.bias {
            value = simd.add_f32s(value, f32::load(simd, &bias[channel..]));
        }
        if let Some(residual) = self.residual {
            value = simd.add_f32s(value, T::load(simd, &residual[at..]));
        }
        // By comparison and not by a minimum: NaN stays NaN.
        let [low, high] = self.act.bounds();
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        value = simd.select_f32s(simd.less_than_f32s(value, low), low, value);
        simd.select_f32s(simd.less_than_f32s(high, value), high, value)
    }

    /// One element: channel `channel`, element `at` of the whole output.
    #[inline(always)]
    pub(super) fn finish_one(&self, mut value: f32, channel: usize, at: usize) -> f32 {
        if let Some(bias) = self.bias {
            value += bias[channel];
        }
        if let Some(residual) = self.residual {
            value += residual[at].widened();
        }
        self.act.apply(value)
    }

    /// Finishes sums to `y`, which starts at element `at` of the whole output, a whole number of pixels.
    pub(super) fn write(&self, at: usize, c: usize, sums: &[f32], y: &mut [T]) {
        assert_eq!(sums.len(), y.len());
        crate::machine::arch().dispatch(Write { epilogue: self, at, c, sums, y });
    }

    /// Finishes the elements of `y` that start at element `at` of the whole output, a whole number of pixels.
    pub(super) fn apply(&self, at: usize, c: usize, y: &mut [f32]) {
        let act = self.act;
        match (self.bias, self.residual) {
            (None, None) if act == Act::None => {}
            (None, None) => vectorised(|| y.iter_mut().for_each(|y| *y = act.apply(*y))),
            (None, Some(residual)) => {
                let residual = &residual[at..][..y.len()];
                vectorised(|| y.iter_mut().zip(residual).for_each(|(y, r)| *y = act.apply(*y + r.widened())));
            }
            (Some(bias), None) => vectorised(|| {
                for y in y.chunks_exact_mut(c) {
                    y.iter_mut().zip(bias).for_each(|(y, &b)| *y = act.apply(*y + b));
                }
            }),
            (Some(bias), Some(residual)) => vectorised(|| {
                for (y, r) in y.chunks_exact_mut(c).zip(residual[at..].chunks_exact(c)) {
                    y.iter_mut().zip(bias).zip(r).for_each(|((y, &b), r)| *y = act.apply(*y + b + r.widened()));
                }
            }),
        }
    }
}

struct Write<'a, T> {
    epilogue: &'a Epilogue<'a, T>,
    at: usize,
    c: usize,
    sums: &'a [f32],
    y: &'a mut [T],
}

impl<T: Stored> WithSimd for Write<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Write { epilogue, at, c, sums, y } = self;
        let whole = c / S::F32_LANES * S::F32_LANES;
        for (pixel, (y, sums)) in y.chunks_exact_mut(c).zip(sums.chunks_exact(c)).enumerate() {
            let at = at + pixel * c;
            for channel in (0..whole).step_by(S::F32_LANES) {
                let value = epilogue.finish(simd, f32::load(simd, &sums[channel..]), channel, at + channel);
                T::store(simd, value, &mut y[channel..]);
            }
            for channel in whole..c {
                y[channel] = T::rounded(epilogue.finish_one(sums[channel], channel, at + channel));
            }
        }
    }
}

/// What is done to a result on its way to memory.
#[derive(Clone, Copy)]
pub(super) enum Finish<'a, T = f32> {
    /// The epilogue of a forward convolution.
    Epilogue(&'a Epilogue<'a, T>),
    /// Added to what is there.
    Accumulate,
}

impl<T: Stored> Finish<'_, T> {
    /// One vector of results to `y`: channels from `channel` on, element `at` of the whole output.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&self, simd: S, value: S::f32s, channel: usize, at: usize, y: &mut [T]) {
        let value = match self {
            Finish::Accumulate => simd.add_f32s(T::load(simd, y), value),
            Finish::Epilogue(epilogue) => epilogue.finish(simd, value, channel, at),
        };
        T::store(simd, value, y);
    }

    /// One result.
    #[inline(always)]
    pub(super) fn finish_one(&self, value: f32, channel: usize, at: usize, y: &mut T) {
        *y = T::rounded(match self {
            Finish::Accumulate => y.widened() + value,
            Finish::Epilogue(epilogue) => epilogue.finish_one(value, channel, at),
        });
    }
}
