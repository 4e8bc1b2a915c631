//! Two-dimensional convolution over channels-last films, forward and backward.
//!
//! [`Filter`] is the seam: how weights are packed, and which algorithm serves a shape, is known in
//! this folder only.

mod columns;
mod dense;
mod depthwise;
mod filter;
mod gather;
pub mod gray;
mod winograd;

pub use crate::act::Act;
pub use filter::Filter;

use crate::chunks::vectorised;
use crate::norm::Moments;
use pulp::Simd;
use winograd::{Direction, Finish};

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

    /// Each channel by itself: direct loops, no products of matrices.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.c_in && self.groups == self.c_out
    }

    /// One input pixel is all that an output pixel sees, in the same place.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.pads == [0; 4]
    }
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Each channel by itself, loops over the window.
    Depthwise,
    /// Windows copied side by side, then a product of matrices.
    Gathered,
    /// Winograd's F(4x4, 3x3).
    Winograd,
    /// The same for many channels: the filter is transformed as it is used, and not kept so.
    WinogradWide,
}

/// How all three directions of a convolution of `n` films are computed on this machine.
pub fn algorithm(shape: &ConvShape, n: usize) -> Algorithm {
    if shape.is_depthwise() {
        Algorithm::Depthwise
    } else if winograd::serves(shape, n) && !crate::machine::plain() {
        if winograd::wide(shape) { Algorithm::WinogradWide } else { Algorithm::Winograd }
    } else {
        Algorithm::Gathered
    }
}

/// What is done to the result while it is in the cache: `y = act(conv + bias + residual)`.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// A term an output channel.
    pub bias: Option<&'a [f32]>,
    /// A value of the output's own shape.
    pub residual: Option<&'a [f32]>,
    /// Applied last.
    pub act: Act,
}

impl Epilogue<'_> {
    /// The convolution alone.
    pub const NONE: Epilogue<'static> = Epilogue { bias: None, residual: None, act: Act::None };

    /// One vector: channels from `channel` on, element `at` of the whole output.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, mut value: S::f32s, channel: usize, at: usize) -> S::f32s {
        let load = |values: &[f32], at: usize| S::as_simd_f32s(&values[at..][..S::F32_LANES]).0[0];
        if let Some(bias) = self.bias {
            value = simd.add_f32s(value, load(bias, channel));
        }
        if let Some(residual) = self.residual {
            value = simd.add_f32s(value, load(residual, at));
        }
        // By comparison and not by a minimum: NaN stays NaN.
        let at_least = |bound: f32, v: S::f32s| {
            let bound = simd.splat_f32s(bound);
            simd.select_f32s(simd.less_than_f32s(v, bound), bound, v)
        };
        let at_most = |bound: f32, v: S::f32s| {
            let bound = simd.splat_f32s(bound);
            simd.select_f32s(simd.less_than_f32s(bound, v), bound, v)
        };
        match self.act {
            Act::None => value,
            Act::Relu => at_least(0.0, value),
            Act::Clip { min, max } => at_most(max, at_least(min, value)),
        }
    }

    /// Finishes the elements of `y` that start at element `at` of the whole output, a whole number of pixels.
    fn apply(&self, at: usize, c: usize, y: &mut [f32]) {
        let act = self.act;
        match (self.bias, self.residual) {
            (None, None) if act == Act::None => {}
            (None, None) => vectorised(|| y.iter_mut().for_each(|y| *y = act.apply(*y))),
            (None, Some(residual)) => {
                let residual = &residual[at..][..y.len()];
                vectorised(|| y.iter_mut().zip(residual).for_each(|(y, &r)| *y = act.apply(*y + r)));
            }
            (Some(bias), None) => vectorised(|| {
                for y in y.chunks_exact_mut(c) {
                    y.iter_mut().zip(bias).for_each(|(y, &b)| *y = act.apply(*y + b));
                }
            }),
            (Some(bias), Some(residual)) => vectorised(|| {
                for (y, r) in y.chunks_exact_mut(c).zip(residual[at..].chunks_exact(c)) {
                    y.iter_mut().zip(bias).zip(r).for_each(|((y, &b), &r)| *y = act.apply(*y + b + r));
                }
            }),
        }
    }
}

/// `y` `[n, out, c_out]` from `x` `[n, h, w, c_in]`: convolution, then the epilogue.
pub fn forward(shape: &ConvShape, n: usize, x: &[f32], filter: &Filter, epilogue: &Epilogue, y: &mut [f32]) {
    convolve(Call { shape, n, x, filter, epilogue }, y, None);
}

/// As [`forward`], and takes the moments of `y` for the batch normalisation after it: each task sums what it has
/// written while that is in the cache. (Convolutions of very few pixels, whose tasks are channels and not pixels, have small
/// results; these are read once more.)
pub fn forward_with_moments(
    shape: &ConvShape,
    n: usize,
    x: &[f32],
    filter: &Filter,
    epilogue: &Epilogue,
    y: &mut [f32],
    moments: &mut Moments,
) {
    convolve(Call { shape, n, x, filter, epilogue }, y, Some(moments));
}

/// All that a convolution of `n` films reads.
#[derive(Clone, Copy)]
struct Call<'a> {
    shape: &'a ConvShape,
    n: usize,
    x: &'a [f32],
    filter: &'a Filter,
    epilogue: &'a Epilogue<'a>,
}

fn convolve(call: Call, y: &mut [f32], moments: Option<&mut Moments>) {
    let Call { shape, n, x, filter, epilogue } = call;
    check(shape, n, x.len(), y.len());
    check_filter(shape, filter);
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == shape.c_out));
    assert!(epilogue.residual.is_none_or(|residual| residual.len() == y.len()));
    let finish = Finish::Epilogue(epilogue);
    match algorithm(shape, n) {
        Algorithm::Depthwise => depthwise::forward(call, y, moments),
        Algorithm::Gathered if columns::serves(shape, n) => {
            columns::forward(call, y);
            if let Some(moments) = moments {
                moments.read(y.len() / shape.c_out, shape.c_out, y);
            }
        }
        Algorithm::Gathered => dense::forward(call, y, moments),
        Algorithm::Winograd => {
            winograd::convolve(shape, n, x, filter.transformed(Direction::Forward), finish, y, moments);
        }
        Algorithm::WinogradWide => {
            winograd::convolve_wide(shape, n, x, filter.in_order(Direction::Forward), finish, y, moments);
        }
    }
}

/// Gradient to the input from the gradient `dy` to the convolution's result (before any epilogue), added to `dx` if
/// `accumulate`.
pub fn backward_data(shape: &ConvShape, n: usize, dy: &[f32], filter: &Filter, dx: &mut [f32], accumulate: bool) {
    check(shape, n, dx.len(), dy.len());
    check_filter(shape, filter);
    match algorithm(shape, n) {
        Algorithm::Depthwise => depthwise::backward_data(shape, n, dy, filter, dx, accumulate),
        Algorithm::Gathered => dense::backward_data(shape, n, dy, filter, dx, accumulate),
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
pub fn backward_weight(shape: &ConvShape, n: usize, x: &[f32], dy: &[f32], dw_oihw: &mut [f32], accumulate: bool) {
    check(shape, n, x.len(), dy.len());
    assert_eq!(dw_oihw.len(), shape.weight_len());
    match algorithm(shape, n) {
        Algorithm::Depthwise => depthwise::backward_weight(shape, n, x, dy, dw_oihw, accumulate),
        Algorithm::Gathered => dense::backward_weight(shape, n, x, dy, dw_oihw, accumulate),
        Algorithm::Winograd | Algorithm::WinogradWide => {
            winograd::backward_weight(shape, n, x, dy, dw_oihw, accumulate)
        }
    }
}

/// Gradient to a bias: the sums of `dy` `[n_pixels, c]` over pixels, in `f64`, added to `db` if `accumulate`.
pub fn backward_bias(n_pixels: usize, c: usize, dy: &[f32], db: &mut [f32], accumulate: bool) {
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
