//! Batch normalisation (Ioffe & Szegedy, arXiv 1502.03167) over `rows` = films x height x width
//! rows of `c` channels. Sums are taken in `f64`.

mod compiled;
mod passes;
mod statistics;

use rayon::prelude::*;

use crate::act::Act;
use crate::chunks::{for_chunks, rows_per_chunk, sum_rows, vectorised};
use crate::stored::Stored;
use passes::{Affine, Back, GradientRows, Line};

pub use compiled::Normalised;
pub use statistics::BatchStatistics;
pub(crate) use statistics::{Slots, for_chunks_of};

/// Mean and biased variance of each channel of `x` `[rows, c]`.
pub fn batch_stats<T: Normalised>(rows: usize, c: usize, x: &[T], mean: &mut [f32], var: &mut [f32]) {
    let mut statistics = BatchStatistics::default();
    statistics.read(rows, c, x);
    statistics.mean_and_variance(mean, var);
}

/// `y = act(x * scale + shift + residual)`, a factor and a term a channel; the residual has the shape of `x`.
#[allow(clippy::too_many_arguments)]
pub fn scale_shift<T: Normalised>(
    rows: usize,
    c: usize,
    x: &[T],
    scale: &[f32],
    shift: &[f32],
    residual: Option<&[T]>,
    act: Act,
    y: &mut [T],
) {
    assert_eq!((x.len(), y.len(), scale.len(), shift.len()), (rows * c, rows * c, c, c));
    assert!(residual.is_none_or(|residual| residual.len() == y.len()));
    T::scale_shift(c, x, [scale, shift], residual, act, y);
}

fn scaled_and_shifted<T: Stored>(
    c: usize,
    x: &[T],
    [scale, shift]: [&[f32]; 2],
    residual: Option<&[T]>,
    act: Act,
    y: &mut [T],
) {
    let (affine, len) = (Affine::new(scale, shift, act), rows_per_chunk(c) * c);
    for_chunks(y, len, |index, y| {
        let rows = index * len..index * len + y.len();
        affine.apply(&x[rows.clone()], residual.map(|residual| &residual[rows]), y);
    });
}

/// A batch normalisation with the statistics of the batch itself: `act(scale * (x - mean) * inv_std + bias)`, with a
/// residual added before the activation where there is one. All slices have a value a channel.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// Of the batch.
    pub mean: &'a [f32],
    /// `1 / sqrt(variance + epsilon)`.
    pub inv_std: &'a [f32],
    /// Learned.
    pub scale: &'a [f32],
    /// Learned.
    pub bias: &'a [f32],
    /// Applied last.
    pub act: Act,
}

impl BatchNorm<'_> {
    /// Factor and term of each channel, for [`scale_shift`].
    pub fn scale_shift(&self) -> (Vec<f32>, Vec<f32>) {
        let scale: Vec<f32> = self.scale.iter().zip(self.inv_std).map(|(scale, inverse)| scale * inverse).collect();
        let shift = self.bias.iter().zip(self.mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale);
        let shift = shift.collect();
        (scale, shift)
    }
}

/// Where the gradients of [`batch_norm_backward`] go.
#[derive(Debug)]
pub struct BatchNormGradients<'a, T = f32> {
    /// To the scale.
    pub scale: &'a mut [f32],
    /// To the bias.
    pub bias: &'a mut [f32],
    /// Whether they are added to what is there.
    pub accumulate: bool,
    /// To `x`.
    pub x: Place<'a, T>,
    /// To the residual.
    pub residual: Place<'a, T>,
}

/// Where a gradient goes.
#[derive(Debug)]
pub enum Place<'a, T = f32> {
    /// It is not wanted.
    Nowhere,
    /// Over the gradient to the result; one of them can.
    Over,
    /// To a place of its own.
    Write(&'a mut [T]),
    /// Added to what is there.
    Add(&'a mut [T]),
}

impl<'a, T> Place<'a, T> {
    fn values(&self) -> Option<&[T]> {
        match self {
            Place::Nowhere | Place::Over => None,
            Place::Write(values) | Place::Add(values) => Some(values),
        }
    }

    /// As many places as are asked for, of `len` elements each.
    fn pieces(self, len: usize) -> impl Iterator<Item = Place<'a, T>> {
        let (over, add) = (matches!(self, Place::Over), matches!(self, Place::Add(_)));
        let mut pieces = match self {
            Place::Nowhere | Place::Over => None,
            Place::Write(values) | Place::Add(values) => Some(values.chunks_mut(len)),
        };
        std::iter::from_fn(move || {
            Some(match pieces.as_mut().and_then(Iterator::next) {
                Some(piece) if add => Place::Add(piece),
                Some(piece) => Place::Write(piece),
                None if over => Place::Over,
                None => Place::Nowhere,
            })
        })
    }
}

/// Gradients of a batch normalisation of `x` `[rows, c]`. `dy` is the gradient to its result; `y`, the result, is handed
/// over where a residual went into it before an activation: there only it tells what the activation let through.
pub fn batch_norm_backward<T: Normalised>(
    rows: usize,
    x: &[T],
    y: Option<&[T]>,
    norm: &BatchNorm,
    dy: &mut [T],
    gradients: BatchNormGradients<T>,
) {
    let BatchNorm { mean, inv_std, scale, bias, .. } = *norm;
    let c = mean.len();
    assert_eq!((x.len(), dy.len(), y.map_or(dy.len(), <[T]>::len)), (rows * c, rows * c, rows * c));
    assert_eq!((inv_std.len(), scale.len(), bias.len()), (c, c, c));
    assert_eq!((gradients.scale.len(), gradients.bias.len()), (c, c));
    let places = [&gradients.x, &gradients.residual];
    assert!(places.iter().all(|place| place.values().is_none_or(|values| values.len() == x.len())));
    assert!(!places.iter().all(|place| matches!(place, Place::Over)), "two gradients in one place");
    T::backward(rows, x, y, norm, dy, gradients);
}

fn gradients<T: Stored>(
    rows: usize,
    x: &[T],
    y: Option<&[T]>,
    norm: &BatchNorm,
    dy: &mut [T],
    gradients: BatchNormGradients<T>,
) {
    let BatchNorm { mean, inv_std, scale, act, .. } = *norm;
    let c = mean.len();
    let (factor, term) = norm.scale_shift();
    let back = Back::new(Affine::new(&factor, &term, act), mean);
    let sums = sum_rows(rows, 2 * c, |first, end, sums| {
        let part = first * c..end * c;
        back.sums(&x[part.clone()], y.map(|y| &y[part.clone()]), &dy[part], sums);
    });
    let (sum, products) = sums.split_at(c);
    // dx = a * dy + b * (x - mean) + d, a channel at a time.
    let mut line = [vec![0.0f32; c], vec![0.0f32; c], vec![0.0f32; c]];
    let [a, b, d] = &mut line;
    for i in 0..c {
        let (inv, factor) = (f64::from(inv_std[i]), f64::from(scale[i]) * f64::from(inv_std[i]));
        let (to_scale, to_bias) = (products[i] * inv, sum[i]);
        let before = if gradients.accumulate { [gradients.scale[i], gradients.bias[i]] } else { [0.0; 2] };
        gradients.scale[i] = before[0] + to_scale as f32;
        gradients.bias[i] = before[1] + to_bias as f32;
        a[i] = factor as f32;
        b[i] = (-factor * inv * to_scale / rows as f64) as f32;
        d[i] = (-factor * to_bias / rows as f64) as f32;
    }
    let (line, len) = (Line::new([a, b, d]), rows_per_chunk(c) * c);
    let tasks: Vec<_> =
        dy.chunks_mut(len).zip(gradients.x.pieces(len)).zip(gradients.residual.pieces(len)).enumerate().collect();
    tasks.into_par_iter().for_each(|(index, ((dy, dx), residual))| {
        let part = index * len..index * len + dy.len();
        let rows = GradientRows { x: &x[part.clone()], y: y.map(|y| &y[part]), dy, places: [dx, residual] };
        back.gradient(&line, rows);
    });
}

/// Gradient through a normalisation with fixed statistics: `dx = dy * scale`, added if `accumulate`.
pub fn scale_backward<T: Stored>(rows: usize, c: usize, dy: &[T], scale: &[f32], dx: &mut [T], accumulate: bool) {
    assert_eq!((dy.len(), dx.len(), scale.len()), (rows * c, rows * c, c));
    let len = rows_per_chunk(c) * c;
    for_chunks(dx, len, |index, dx| {
        let dy = &dy[index * len..][..dx.len()];
        vectorised(|| {
            for (dx, dy) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)) {
                let values = dy.iter().zip(scale).map(|(dy, scale)| dy.widened() * scale);
                crate::chunks::store(dx, values, accumulate);
            }
        });
    });
}
