//! The loops of batch normalisation over rows of channels: scale and shift, the gradients' sums, the gradient itself.

use pulp::Simd;

use super::Place;
use crate::act::Act;
use crate::stored::Stored;
use crate::sweep::{Pass, period, pieces, pieces_mut, repeated, sweep, vectors, vectors_mut};

/// A factor and a term a channel, then an activation.
pub(crate) struct Affine {
    period: usize,
    scale: Vec<f32>,
    shift: Vec<f32>,
    bounds: [f32; 2],
}

impl Affine {
    pub(crate) fn new(scale: &[f32], shift: &[f32], act: Act) -> Self {
        assert_eq!(scale.len(), shift.len());
        let period = period(scale.len());
        Affine { period, scale: repeated(scale, period), shift: repeated(shift, period), bounds: act.bounds() }
    }

    /// `y = act(x * scale + shift + residual)` for some rows.
    pub(crate) fn apply<T: Stored>(&self, x: &[T], residual: Option<&[T]>, y: &mut [T]) {
        match residual {
            Some(residual) => sweep(y.len(), self.period, &mut Normalise::<T, true> { affine: self, x, residual, y }),
            None => sweep(y.len(), self.period, &mut Normalise::<T, false> { affine: self, x, residual: &[], y }),
        }
    }

    /// `x * scale + shift`, rounded twice wherever it is computed: forward and backward see the same side of a bound.
    #[inline(always)]
    fn value<S: Simd>(simd: S, x: S::f32s, scale: S::f32s, shift: S::f32s) -> S::f32s {
        simd.add_f32s(simd.mul_f32s(x, scale), shift)
    }
}

struct Normalise<'a, T, const RESIDUAL: bool> {
    affine: &'a Affine,
    x: &'a [T],
    residual: &'a [T],
    y: &'a mut [T],
}

impl<T: Stored, const RESIDUAL: bool> Pass for Normalise<'_, T, RESIDUAL> {
    #[inline(always)]
    fn run<S: Simd>(&mut self, simd: S, at: usize, len: usize, place: usize) {
        let Affine { scale, shift, bounds, .. } = self.affine;
        let (scale, shift) = (vectors::<S>(scale, place, len), vectors::<S>(shift, place, len));
        let [low, high] = bounds.map(|bound| simd.splat_f32s(bound));
        let x = pieces::<S, T>(self.x, at, len);
        let residual = &self.residual[at * usize::from(RESIDUAL)..][..len * usize::from(RESIDUAL)];
        let y = pieces_mut::<S, T>(self.y, at, len);
        for (i, ((y, x), (&scale, &shift))) in y.zip(x).zip(scale.iter().zip(shift)).enumerate() {
            let mut value = Affine::value(simd, T::load(simd, x), scale, shift);
            if RESIDUAL {
                value = simd.add_f32s(value, T::load(simd, &residual[i * S::F32_LANES..]));
            }
            // By comparison and not by a minimum: NaN stays NaN.
            value = simd.select_f32s(simd.less_than_f32s(value, low), low, value);
            T::store(simd, simd.select_f32s(simd.less_than_f32s(high, value), high, value), y);
        }
    }
}

/// Sums of a period in `f32`, which are taken over a few rows only, and added to those of the channels in `f64`.
struct Sums<'a> {
    few: [Vec<f32>; 2],
    /// `[2, c]`.
    all: &'a mut [f64],
}

impl<'a> Sums<'a> {
    fn new(period: usize, all: &'a mut [f64]) -> Self {
        Sums { few: [vec![0.0; period], vec![0.0; period]], all }
    }

    #[inline(always)]
    fn flush(&mut self) {
        let c = self.all.len() / 2;
        for (few, all) in self.few.iter_mut().zip(self.all.chunks_exact_mut(c)) {
            for few in few.chunks_exact(c) {
                all.iter_mut().zip(few).for_each(|(all, &few)| *all += f64::from(few));
            }
            few.fill(0.0);
        }
    }
}

/// What the gradient needs to know of the normalisation `y = act(x * scale + shift + residual)`.
pub(super) struct Back {
    pub(super) affine: Affine,
    mean: Vec<f32>,
}

impl Back {
    pub(super) fn new(affine: Affine, mean: &[f32]) -> Self {
        Back { mean: repeated(mean, affine.period), affine }
    }

    /// Adds the sums of the gradient before the activation, and of it times `x - mean`, to `sums` `[2, c]`. `y` is read
    /// where there was a residual.
    pub(super) fn sums<T: Stored>(&self, x: &[T], y: Option<&[T]>, dy: &[T], sums: &mut [f64]) {
        let period = self.affine.period;
        let sums = Sums::new(period, sums);
        match y {
            Some(y) => sweep(x.len(), period, &mut GradientSums::<T, true> { back: self, x, y, dy, sums }),
            None => sweep(x.len(), period, &mut GradientSums::<T, false> { back: self, x, y: &[], dy, sums }),
        }
    }

    /// The gradient to `x`, and to the residual.
    pub(super) fn gradient<T: Stored>(&self, line: &Line, rows: GradientRows<T>) {
        let (len, period) = (rows.x.len(), self.affine.period);
        match rows.y {
            Some(_) => sweep(len, period, &mut Gradient::<T, true> { back: self, line, rows }),
            None => sweep(len, period, &mut Gradient::<T, false> { back: self, line, rows }),
        }
    }

    /// The gradient before the activation: nothing where the activation held a value at a bound.
    #[inline(always)]
    fn masked<S: Simd>(&self, simd: S, y: S::f32s, dy: S::f32s) -> S::f32s {
        let [low, high] = self.affine.bounds.map(|bound| simd.splat_f32s(bound));
        let inside = simd.and_m32s(simd.less_than_f32s(low, y), simd.less_than_f32s(y, high));
        // A product and not a selection, which would become a masked load: those are not read ahead.
        simd.mul_f32s(dy, simd.select_f32s(inside, simd.splat_f32s(1.0), simd.splat_f32s(0.0)))
    }
}

struct GradientSums<'a, T, const RESIDUAL: bool> {
    back: &'a Back,
    x: &'a [T],
    y: &'a [T],
    dy: &'a [T],
    sums: Sums<'a>,
}

impl<T: Stored, const RESIDUAL: bool> Pass for GradientSums<'_, T, RESIDUAL> {
    #[inline(always)]
    fn run<S: Simd>(&mut self, simd: S, at: usize, len: usize, place: usize) {
        let Back { affine: Affine { scale, shift, .. }, mean } = self.back;
        let [scale, shift, mean] = [scale, shift, mean].map(|values| vectors::<S>(values, place, len));
        let [x, dy] = [self.x, self.dy].map(|values| pieces::<S, T>(values, at, len));
        let y = &self.y[at * usize::from(RESIDUAL)..][..len * usize::from(RESIDUAL)];
        let [sums, products] = self.sums.few.each_mut().map(|few| vectors_mut::<S>(few, place, len));
        let sums = sums.iter_mut().zip(products);
        let channels = scale.iter().zip(shift).zip(mean);
        for (i, (((x, dy), ((&scale, &shift), &mean)), (sum, product))) in x.zip(dy).zip(channels).zip(sums).enumerate()
        {
            let (x, dy) = (T::load(simd, x), T::load(simd, dy));
            let y = match RESIDUAL {
                true => T::load(simd, &y[i * S::F32_LANES..]),
                false => Affine::value(simd, x, scale, shift),
            };
            let dy = self.back.masked(simd, y, dy);
            *sum = simd.add_f32s(*sum, dy);
            *product = simd.mul_add_e_f32s(dy, simd.sub_f32s(x, mean), *product);
        }
    }

    #[inline(always)]
    fn pause(&mut self) {
        self.sums.flush();
    }
}

/// `dx = a * dy + b * (x - mean) + d`, a channel at a time.
pub(super) struct Line {
    a: Vec<f32>,
    b: Vec<f32>,
    d: Vec<f32>,
}

impl Line {
    pub(super) fn new([a, b, d]: [&[f32]; 3]) -> Self {
        let period = period(a.len());
        Line { a: repeated(a, period), b: repeated(b, period), d: repeated(d, period) }
    }
}

/// Some rows of the gradient's operands and results.
pub(super) struct GradientRows<'a, T> {
    pub(super) x: &'a [T],
    pub(super) y: Option<&'a [T]>,
    pub(super) dy: &'a mut [T],
    /// For the gradients to `x` and to the residual.
    pub(super) places: [Place<'a, T>; 2],
}

struct Gradient<'a, T, const RESIDUAL: bool> {
    back: &'a Back,
    line: &'a Line,
    rows: GradientRows<'a, T>,
}

/// Some elements of a [`Place`].
enum To<'a, T> {
    Nowhere,
    Over,
    Write(&'a mut [T]),
    Add(&'a mut [T]),
}

impl<'a, T: Stored> To<'a, T> {
    #[inline(always)]
    fn new(place: &'a mut Place<'_, T>, at: usize, len: usize) -> Self {
        match place {
            Place::Nowhere => To::Nowhere,
            Place::Over => To::Over,
            Place::Write(values) => To::Write(&mut values[at..][..len]),
            Place::Add(values) => To::Add(&mut values[at..][..len]),
        }
    }

    /// Vector `i`.
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, i: usize, value: S::f32s, dy: &mut [T]) {
        let at = i * S::F32_LANES;
        match self {
            To::Nowhere => {}
            To::Over => T::store(simd, value, dy),
            To::Write(values) => T::store(simd, value, &mut values[at..]),
            To::Add(values) => {
                let values = &mut values[at..];
                T::store(simd, simd.add_f32s(T::load(simd, values), value), values);
            }
        }
    }
}

impl<T: Stored, const RESIDUAL: bool> Pass for Gradient<'_, T, RESIDUAL> {
    #[inline(always)]
    fn run<S: Simd>(&mut self, simd: S, at: usize, len: usize, place: usize) {
        let Back { affine: Affine { scale, shift, .. }, mean } = self.back;
        let Line { a, b, d } = self.line;
        let [scale, shift, mean] = [scale, shift, mean].map(|values| vectors::<S>(values, place, len));
        let [a, b, d] = [a, b, d].map(|values| vectors::<S>(values, place, len));
        let x = pieces::<S, T>(self.rows.x, at, len);
        let y = &self.rows.y.unwrap_or(&[])[at * usize::from(RESIDUAL)..][..len * usize::from(RESIDUAL)];
        let dy = pieces_mut::<S, T>(self.rows.dy, at, len);
        let [mut dx, mut residual] = self.rows.places.each_mut().map(|place| To::new(place, at, len));
        let channels = scale.iter().zip(shift).zip(mean).zip(a.iter().zip(b).zip(d));
        for (i, ((x, dy), (((&scale, &shift), &mean), ((&a, &b), &d)))) in x.zip(dy).zip(channels).enumerate() {
            let x = T::load(simd, x);
            let y = match RESIDUAL {
                true => T::load(simd, &y[i * S::F32_LANES..]),
                false => Affine::value(simd, x, scale, shift),
            };
            let masked = self.back.masked(simd, y, T::load(simd, dy));
            let value = simd.mul_add_e_f32s(b, simd.sub_f32s(x, mean), d);
            let value = simd.mul_add_e_f32s(a, masked, value);
            residual.put(simd, i, masked, dy);
            dx.put(simd, i, value, dy);
        }
    }
}
