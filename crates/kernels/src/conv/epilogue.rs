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
    pub(super) fn finish<S: Simd>(&self, simd: S, value: S::f32s, channel: usize, at: usize) -> S::f32s {
        let mut values = [value];
        self.finish_pixels(simd, &mut values, channel, at, 0);
        values[0]
    }

    /// A vector of each of `J` pixels: channels from `channel` on, elements from `at` of the whole output, `apart` from one
    /// pixel to the next. What there is to do is looked up once for all of them.
    #[inline(always)]
    fn finish_pixels<S: Simd, const J: usize>(
        &self,
        simd: S,
        values: &mut [S::f32s; J],
        channel: usize,
        at: usize,
        apart: usize,
    ) {
        if let Some(bias) = self.bias {
            let bias = f32::load(simd, &bias[channel..]);
            for value in &mut *values {
                *value = simd.add_f32s(*value, bias);
            }
        }
        if let Some(residual) = self.residual {
            let residual = &residual[at..][..(J - 1) * apart + S::F32_LANES];
            for (j, value) in values.iter_mut().enumerate() {
                *value = simd.add_f32s(*value, T::load(simd, &residual[j * apart..]));
            }
        }
        if self.act != Act::None {
            let [low, high] = self.act.bounds().map(|bound| simd.splat_f32s(bound));
            for value in &mut *values {
                // By comparison and not by a minimum: NaN stays NaN.
                *value = simd.select_f32s(simd.less_than_f32s(*value, low), low, *value);
                *value = simd.select_f32s(simd.less_than_f32s(high, *value), high, *value);
            }
        }
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
        /// Pixels at a time.
        const J: usize = 4;
        let Write { epilogue, at, c, sums, y } = self;
        let (mut many, mut sums_of_many) = (y.chunks_exact_mut(J * c), sums.chunks_exact(J * c));
        let mut at = at;
        for (y, sums) in (&mut many).zip(&mut sums_of_many) {
            write_pixels::<S, T, J>(simd, epilogue, at, sums, y);
            at += J * c;
        }
        for (y, sums) in many.into_remainder().chunks_exact_mut(c).zip(sums_of_many.remainder().chunks_exact(c)) {
            write_pixels::<S, T, 1>(simd, epilogue, at, sums, y);
            at += c;
        }
    }
}

/// Finishes `J` pixels, the first of which is element `at` of the whole output.
#[inline(always)]
fn write_pixels<S: Simd, T: Stored, const J: usize>(
    simd: S,
    epilogue: &Epilogue<T>,
    at: usize,
    sums: &[f32],
    y: &mut [T],
) {
    let c = y.len() / J;
    let whole = c / S::F32_LANES * S::F32_LANES;
    for channel in (0..whole).step_by(S::F32_LANES) {
        let mut values: [S::f32s; J] = std::array::from_fn(|j| f32::load(simd, &sums[j * c + channel..]));
        epilogue.finish_pixels(simd, &mut values, channel, at + channel, c);
        for (j, &value) in values.iter().enumerate() {
            T::store(simd, value, &mut y[j * c + channel..]);
        }
    }
    for (j, (y, sums)) in y.chunks_exact_mut(c).zip(sums.chunks_exact(c)).enumerate() {
        for channel in whole..c {
            y[channel] = T::rounded(epilogue.finish_one(sums[channel], channel, at + j * c + channel));
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
        self.finish_pixels(simd, [value], channel, at, 0, y);
    }

    /// A vector of each of `J` pixels, `apart` elements from one to the next: channels from `channel` on, `y` from element
    /// `at` of the whole output on.
    #[inline(always)]
    pub(super) fn finish_pixels<S: Simd, const J: usize>(
        &self,
        simd: S,
        mut values: [S::f32s; J],
        channel: usize,
        at: usize,
        apart: usize,
        y: &mut [T],
    ) {
        let y = &mut y[..(J - 1) * apart + S::F32_LANES];
        match self {
            Finish::Accumulate => {
                for (j, value) in values.iter_mut().enumerate() {
                    *value = simd.add_f32s(T::load(simd, &y[j * apart..]), *value);
                }
            }
            Finish::Epilogue(epilogue) => epilogue.finish_pixels(simd, &mut values, channel, at, apart),
        }
        for (j, &value) in values.iter().enumerate() {
            T::store(simd, value, &mut y[j * apart..]);
        }
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
