//! Which algorithm computes a convolution: the one place where that is chosen.

use super::{ConvShape, columns, gray, tiles, winograd};
use crate::stored::Stored;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Each channel by itself, loops over the window.
    Depthwise,
    /// Windows copied side by side, then a GEMM.
    Gathered,
    /// The same where pixels are so few that forward each task takes some output channels of all of them. The gradients
    /// are computed as [`Algorithm::Gathered`] computes them.
    Columns,
    /// Winograd's F(4x4, 3x3).
    Winograd,
    /// The same for many channels: the filter is transformed as it is used, and not kept so.
    WinogradWide,
    /// Products of tiles, of values in bfloat16 where [`machine::tiles`] says so.
    ///
    /// [`machine::tiles`]: crate::machine::tiles
    Tiles,
    /// One plane of gray films in place of the three channels that are made of it, see [`gray`].
    Gray,
}

/// What a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Values of all channels.
    Channels,
    /// Gray films, each one plane of which every channel is a multiple plus a term.
    GrayFilms,
}

impl Algorithm {
    /// How the three passes of a convolution of `n` films are computed on this machine. Gray films for which this is not
    /// [`Algorithm::Gray`] have to be spread to channels first.
    pub fn of(shape: &ConvShape, n: usize, input: Input) -> Algorithm {
        let plain = crate::machine::plain();
        if input == Input::GrayFilms && gray::fits(shape) && !plain {
            Algorithm::Gray
        } else if shape.is_depthwise() {
            Algorithm::Depthwise
        } else if winograd::fits(shape, n) && !plain {
            if winograd::wide(shape) { Algorithm::WinogradWide } else { Algorithm::Winograd }
        } else if columns::fits(shape, n) {
            Algorithm::Columns
        } else {
            Algorithm::Gathered
        }
    }
}

/// [`Algorithm::of`] a convolution that reads values of all channels, in single precision.
pub fn algorithm(shape: &ConvShape, n: usize) -> Algorithm {
    Algorithm::of(shape, n, Input::Channels)
}

/// As [`algorithm`], of values of some type.
pub fn algorithm_of<T: Stored>(shape: &ConvShape, n: usize) -> Algorithm {
    if T::HALF && tiles::fits(shape) { Algorithm::Tiles } else { algorithm(shape, n) }
}
