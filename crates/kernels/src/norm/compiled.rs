//! The normalisations that are compiled for each type of values, here and once; see [`compiled`](crate::compiled).

use super::{Act, BatchNorm, BatchNormGradients, BatchStatistics};
use crate::stored::Stored;

compiled! {
    /// What the elements of normalised values lie in memory as.
    pub trait Normalised: Stored {
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
}
