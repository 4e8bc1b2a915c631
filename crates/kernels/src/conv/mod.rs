//! Two-dimensional convolution over channels-last films, forward and backward.
//!
//! [`Filter`] and [`Algorithm`] are the seam: how weights are packed, and which algorithm computes a shape, is known in this
//! folder only.

mod algorithm;
mod columns;
mod compiled;
mod dense;
mod depthwise;
mod epilogue;
mod filter;
mod gather;
pub mod gray;
mod operand;
mod tiles;
mod winograd;

pub use crate::act::Act;
pub use algorithm::{Algorithm, Input, algorithm, algorithm_of};
pub use compiled::Convolved;
pub use epilogue::Epilogue;
pub use filter::Filter;

use crate::norm::BatchStatistics;
use crate::stored::Stored;
use epilogue::Finish;
use filter::Direction;

/// One convolution's geometry, padding resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Input height, pixels.
    pub h: usize,
    /// Input width, pixels.
    pub w: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Rows and columns of zeros at top, left, bottom, right.
    pub pads: [usize; 4],
    /// Groups of channels that do not see each other; divides both channel counts.
    pub groups: usize,
}

impl ConvShape {
    /// Output height and width.
    ///
    /// # Panics
    /// If the padded image is smaller than the window.
    pub fn out(&self) -> [usize; 2] {
        crate::chunks::windows([self.h, self.w], self.kernel, self.stride, self.pads)
    }

    /// Elements of one film's input.
    pub fn x_len(&self) -> usize {
        self.h * self.w * self.c_in
    }

    /// Elements of one film's output.
    pub fn y_len(&self) -> usize {
        let [h, w] = self.out();
        h * w * self.c_out
    }

    /// Elements of the weights, `[c_out, c_in / groups, kernel]`.
    pub fn weight_len(&self) -> usize {
        self.c_out * self.c_in / self.groups * self.taps()
    }

    /// Multiplications and additions for one film, pairs.
    pub fn macs(&self) -> u64 {
        let [h, w] = self.out();
        (h * w) as u64 * self.weight_len() as u64
    }

    /// Pixels of a window.
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Input and output channels of a group.
    fn group(&self) -> [usize; 2] {
        [self.c_in / self.groups, self.c_out / self.groups]
    }

    /// Each channel by itself: direct loops, no GEMM.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.c_in && self.groups == self.c_out
    }

    /// One input pixel is all that an output pixel sees, in the same place.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.pads == [0; 4]
    }
}

/// `y` `[n, out, c_out]` from `x` `[n, h, w, c_in]`: convolution, then the epilogue.
pub fn forward<T: Convolved>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    filter: &Filter,
    epilogue: &Epilogue<T>,
    y: &mut [T],
) {
    T::forward(shape, n, x, filter, epilogue, y, None);
}

/// As [`forward`], and takes the statistics of `y` for the batch normalisation after it: each task sums what it has
/// written while that is in the cache. (The results of [`Algorithm::Columns`], whose tasks are channels and not pixels, are
/// small; these are read once more.)
pub fn forward_with_statistics<T: Convolved>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    filter: &Filter,
    epilogue: &Epilogue<T>,
    y: &mut [T],
    statistics: &mut BatchStatistics,
) {
    T::forward(shape, n, x, filter, epilogue, y, Some(statistics));
}

/// As [`forward`] and, where there are `statistics`, as [`forward_with_statistics`], from floats to elements of another type:
/// the first convolution of a network, which reads pixels. It is computed as [`Algorithm::Gathered`].
///
/// # Panics
/// For a depthwise convolution, too.
pub fn forward_from_floats<T: Convolved>(
    shape: &ConvShape,
    n: usize,
    x: &[f32],
    filter: &Filter,
    epilogue: &Epilogue<T>,
    y: &mut [T],
    statistics: Option<&mut BatchStatistics>,
) {
    let call = Call { shape, n, x, filter, epilogue };
    call.check(y);
    assert!(!shape.is_depthwise(), "{shape:?} of pixels");
    T::forward_from_floats(shape, n, x, filter, epilogue, y, statistics);
}

/// All that a convolution of `n` films reads.
#[derive(Clone, Copy)]
struct Call<'a, X, Y> {
    shape: &'a ConvShape,
    n: usize,
    x: &'a [X],
    filter: &'a Filter,
    epilogue: &'a Epilogue<'a, Y>,
}

impl<X, Y> Call<'_, X, Y> {
    fn check(&self, y: &[Y]) {
        let Call { shape, n, x, filter, epilogue } = self;
        check(shape, *n, x.len(), y.len());
        check_filter(shape, filter);
        assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.c_out));
        assert!(epilogue.residual.is_none_or(|residual| residual.len() == y.len()));
    }
}

fn convolve<T: Stored>(call: Call<T, T>, y: &mut [T], statistics: Option<&mut BatchStatistics>) {
    call.check(y);
    let Call { shape, n, x, filter, epilogue } = call;
    let finish = Finish::Epilogue(epilogue);
    match algorithm_of::<T>(shape, n) {
        Algorithm::Tiles => tiles::forward(call, y, statistics),
        Algorithm::Depthwise => depthwise::forward(call, y, statistics),
        Algorithm::Columns => {
            columns::forward(call, y);
            if let Some(statistics) = statistics {
                statistics.take(y.len() / shape.c_out, shape.c_out, y);
            }
        }
        // Gray films that were spread to channels are channels like others.
        Algorithm::Gathered | Algorithm::Gray => dense::forward(call, y, statistics),
        Algorithm::Winograd => {
            winograd::convolve(shape, n, x, filter.transformed(Direction::Forward), finish, y, statistics);
        }
        Algorithm::WinogradWide => {
            winograd::convolve_wide(shape, n, x, filter.in_order(Direction::Forward), finish, y, statistics);
        }
    }
}

/// Gradient to the input from the gradient `dy` to the convolution's result (before any epilogue), added to `dx` if
/// `accumulate`.
pub fn backward_data<T: Convolved>(
    shape: &ConvShape,
    n: usize,
    dy: &[T],
    filter: &Filter,
    dx: &mut [T],
    accumulate: bool,
) {
    check(shape, n, dx.len(), dy.len());
    check_filter(shape, filter);
    T::backward_data(shape, n, dy, filter, dx, accumulate);
}

fn gradient_to_input<T: Stored>(
    shape: &ConvShape,
    n: usize,
    dy: &[T],
    filter: &Filter,
    dx: &mut [T],
    accumulate: bool,
) {
    match algorithm_of::<T>(shape, n) {
        Algorithm::Tiles => tiles::backward_data(shape, n, dy, filter, dx, accumulate),
        Algorithm::Depthwise => depthwise::backward_data(shape, n, dy, filter, dx, accumulate),
        Algorithm::Gathered | Algorithm::Columns | Algorithm::Gray => {
            dense::backward_data(shape, n, dy, filter, dx, accumulate)
        }
        algorithm @ (Algorithm::Winograd | Algorithm::WinogradWide) => {
            // The convolution of `dy` with the filter turned round.
            let [h, w] = shape.out();
            let pads = shape.pads.map(|pad| 2 - pad);
            let back = ConvShape { h, w, c_in: shape.c_out, c_out: shape.c_in, pads, ..*shape };
            let finish = if accumulate { Finish::Accumulate } else { Finish::Epilogue(&Epilogue::NONE) };
            if algorithm == Algorithm::Winograd {
                winograd::convolve(&back, n, dy, filter.transformed(Direction::Backward), finish, dx, None);
            } else {
                winograd::convolve_wide(&back, n, dy, filter.in_order(Direction::Backward), finish, dx, None);
            }
        }
    }
}

/// Gradient to the weights (OIHW), added to `dw_oihw` if `accumulate`.
pub fn backward_weight<T: Convolved>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    dy: &[T],
    dw_oihw: &mut [f32],
    accumulate: bool,
) {
    check(shape, n, x.len(), dy.len());
    assert_eq!(dw_oihw.len(), shape.weight_len());
    T::backward_weight(shape, n, x, dy, dw_oihw, accumulate);
}

fn gradient_to_weights<T: Stored>(
    shape: &ConvShape,
    n: usize,
    x: &[T],
    dy: &[T],
    dw_oihw: &mut [f32],
    accumulate: bool,
) {
    match algorithm_of::<T>(shape, n) {
        Algorithm::Tiles => tiles::backward_weight(shape, n, x, dy, dw_oihw, accumulate),
        Algorithm::Depthwise => depthwise::backward_weight(shape, n, x, dy, dw_oihw, accumulate),
        Algorithm::Gathered | Algorithm::Columns | Algorithm::Gray => {
            dense::backward_weight(shape, n, x, dy, dw_oihw, accumulate)
        }
        Algorithm::Winograd | Algorithm::WinogradWide => {
            winograd::backward_weight(shape, n, x, dy, dw_oihw, accumulate)
        }
    }
}

/// As [`backward_weight`], from floats and a gradient of another type, for what [`forward_from_floats`] computed.
pub fn backward_weight_from_floats<T: Convolved>(
    shape: &ConvShape,
    n: usize,
    x: &[f32],
    dy: &[T],
    dw_oihw: &mut [f32],
    accumulate: bool,
) {
    check(shape, n, x.len(), dy.len());
    assert_eq!(dw_oihw.len(), shape.weight_len());
    T::backward_weight_from_floats(shape, n, x, dy, dw_oihw, accumulate);
}

/// Gradient to a bias: the sums of `dy` `[n_pixels, c]` over pixels, in `f64`, added to `db` if `accumulate`.
pub fn backward_bias<T: Stored>(n_pixels: usize, c: usize, dy: &[T], db: &mut [f32], accumulate: bool) {
    crate::linear::column_sums(n_pixels, c, dy, db, accumulate);
}

fn check(shape: &ConvShape, n: usize, x_len: usize, y_len: usize) {
    assert_eq!((x_len, y_len), (n * shape.x_len(), n * shape.y_len()), "{shape:?} for {n} films");
}

/// A filter serves any size of image, but one window, stride, padding and number of channels.
fn check_filter(shape: &ConvShape, filter: &Filter) {
    let of_this_size = ConvShape { h: shape.h, w: shape.w, pads: shape.pads, ..*filter.shape() };
    assert_eq!(*shape, of_this_size, "filter made for another convolution");
}
