//! The convolutions that are compiled for each type of values, here and once; see [`compiled`](crate::compiled).

use super::gray::{self, Gray};
use super::{Call, ConvShape, Epilogue, Filter, dense};
use crate::norm::{BatchStatistics, Normalised};

compiled! {
    /// What the elements of a convolution's values lie in memory as.
    pub trait Convolved: Normalised {
        fn forward(
            shape: &ConvShape,
            n: usize,
            x: &[Self],
            filter: &Filter,
            epilogue: &Epilogue<Self>,
            y: &mut [Self],
            statistics: Option<&mut BatchStatistics>,
        ) {
            super::convolve(Call { shape, n, x, filter, epilogue }, y, statistics);
        }

        fn forward_from_floats(
            shape: &ConvShape,
            n: usize,
            x: &[f32],
            filter: &Filter,
            epilogue: &Epilogue<Self>,
            y: &mut [Self],
            statistics: Option<&mut BatchStatistics>,
        ) {
            dense::forward(Call { shape, n, x, filter, epilogue }, y, statistics);
        }

        fn backward_data(
            shape: &ConvShape,
            n: usize,
            dy: &[Self],
            filter: &Filter,
            dx: &mut [Self],
            accumulate: bool,
        ) {
            super::gradient_to_input(shape, n, dy, filter, dx, accumulate);
        }

        fn backward_weight(
            shape: &ConvShape,
            n: usize,
            x: &[Self],
            dy: &[Self],
            dw_oihw: &mut [f32],
            accumulate: bool,
        ) {
            super::gradient_to_weights(shape, n, x, dy, dw_oihw, accumulate);
        }

        fn backward_weight_from_floats(
            shape: &ConvShape,
            n: usize,
            x: &[f32],
            dy: &[Self],
            dw_oihw: &mut [f32],
            accumulate: bool,
        ) {
            dense::backward_weight(shape, n, x, dy, dw_oihw, accumulate);
        }

        fn forward_of_gray(
            n: usize,
            z: &[f32],
            filter: &gray::Filter,
            epilogue: &Epilogue<Self>,
            y: &mut [Self],
            statistics: Option<&mut BatchStatistics>,
        ) {
            gray::convolve(n, z, filter, epilogue, y, statistics);
        }

        fn backward_weight_of_gray(
            shape: &ConvShape,
            n: usize,
            z: &[f32],
            gray: &Gray,
            dy: &[Self],
            dw_oihw: &mut [f32],
            accumulate: bool,
        ) {
            gray::gradient_to_weights(shape, n, z, gray, dy, dw_oihw, accumulate);
        }
    }
}
