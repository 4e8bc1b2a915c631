//! The types of values that normalisations are compiled for, once and here; see [`conv::Convolved`](crate::conv::Convolved).

use super::{Act, BatchNorm, BatchNormGradients, BatchStatistics};
use crate::stored::{Bf16, Stored};

/// What the elements of normalised values lie in memory as.
pub trait Normalised: Stored {
    #[doc(hidden)]
    fn read(statistics: &mut BatchStatistics, rows: usize, c: usize, x: &[Self]);

    #[doc(hidden)]
    fn scale_shift(c: usize, x: &[Self], affine: [&[f32]; 2], residual: Option<&[Self]>, act: Act, y: &mut [Self]);

    #[doc(hidden)]
    fn backward(
        rows: usize,
        x: &[Self],
        y: Option<&[Self]>,
        norm: &BatchNorm,
        dy: &mut [Self],
        gradients: BatchNormGradients<Self>,
    );
}

macro_rules! compiled {
    ($($value:ty),*) => {$(
        impl Normalised for $value {
            fn read(statistics: &mut BatchStatistics, rows: usize, c: usize, x: &[Self]) {
                statistics.take(rows, c, x);
            }

            fn scale_shift(
                c: usize,
                x: &[Self],
                affine: [&[f32]; 2],
                residual: Option<&[Self]>,
                act: Act,
                y: &mut [Self],
            ) {
                super::scaled_and_shifted(c, x, affine, residual, act, y);
            }

            fn backward(
                rows: usize,
                x: &[Self],
                y: Option<&[Self]>,
                norm: &BatchNorm,
                dy: &mut [Self],
                gradients: BatchNormGradients<Self>,
            ) {
                super::gradients(rows, x, y, norm, dy, gradients);
            }
        }
    )*};
}

compiled!(f32, Bf16);
