//! The first convolution of a network of three channels, of gray films: by a third of the multiplications.
//!
//! A gray film given to a network of three channels is one value a pixel, `z`, of which each channel is `scale * z + shift`
//! inside the film and zero in the padding. So a window's sum is a convolution of the one plane `z` with
//! `sum_c scale_c w_c`, and a constant: `sum_c shift_c w_c` over the pixels of the window that lie inside the film. That
//! constant is the same everywhere but near the border. Nothing is approximated; the gradient to the weights is taken
//! apart in the same way.

mod forward;
mod weights;

pub(super) use forward::convolve;
pub use forward::{forward, forward_with_statistics};
pub use weights::backward_weight;
pub(super) use weights::gradient_to_weights;

use super::ConvShape;
use super::algorithm::{Algorithm, Input};
use crate::chunks::with_scratch;
use crate::gemm::{pack, packed_len};

/// Channels of the network's input.
const CHANNELS: usize = 3;

/// What the three channels are of the one value a pixel, see [`crate::pixels::gray_plane`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gray {
    /// Subtracted from `byte / 255` to give `z`.
    pub centre: f32,
    /// By channel.
    pub scale: [f32; CHANNELS],
    /// By channel, where the pixel lies inside the film.
    pub shift: [f32; CHANNELS],
}

impl Gray {
    /// For `(byte / 255 - mean) / std`.
    pub fn new(mean: [f32; CHANNELS], std: [f32; CHANNELS]) -> Gray {
        // Values about zero: sums over them lose least.
        let centre = mean.iter().sum::<f32>() / CHANNELS as f32;
        Gray {
            centre,
            scale: std.map(|std| 1.0 / std),
            shift: std::array::from_fn(|channel| (centre - mean[channel]) / std[channel]),
        }
    }
}

/// Whether gray films take this way through a convolution on this machine, however many there are.
pub fn serves(shape: &ConvShape) -> bool {
    Algorithm::of(shape, 1, Input::GrayFilms) == Algorithm::Gray
}

/// Whether a convolution reads the channels that gray films are spread to.
pub(super) fn fits(shape: &ConvShape) -> bool {
    shape.c_in == CHANNELS && shape.groups == 1
}

/// A filter for gray films.
#[derive(Clone, Debug)]
pub struct Filter {
    shape: ConvShape,
    /// `[taps, c_out]` in panels: the one plane's.
    plane: Vec<f32>,
    border: Border,
    /// `[row classes, column classes, c_out]`: the constant.
    constant: Vec<f32>,
}

impl Filter {
    /// From a filter of three channels.
    ///
    /// # Panics
    /// Unless its convolution has three input channels in one group.
    pub fn new(filter: &super::Filter, gray: &Gray) -> Filter {
        let shape = filter.shape();
        let border = Border::new(shape);
        let [rows, columns] = [&border.rows, &border.columns].map(|axis| axis.classes.len());
        let mut own = Filter {
            shape: *shape,
            plane: vec![0.0; packed_len(shape.taps(), shape.c_out)],
            border,
            constant: vec![0.0; rows * columns * shape.c_out],
        };
        own.refill(filter, gray);
        own
    }

    /// Takes other weights of the same shape.
    pub fn refill(&mut self, filter: &super::Filter, gray: &Gray) {
        let shape = &self.shape;
        assert_eq!((shape.c_in, shape.groups, filter.shape()), (CHANNELS, 1, shape), "{shape:?}");
        let (taps, width) = (shape.taps(), shape.kernel[1]);
        let weigh = |weights: &[f32], by: &[f32; CHANNELS], tap: usize| -> f32 {
            by.iter().enumerate().map(|(channel, by)| by * weights[channel * taps + tap]).sum()
        };
        with_scratch(shape.c_out * taps, |plane| {
            for (plane, weights) in plane.chunks_exact_mut(taps).zip(filter.oihw().chunks_exact(CHANNELS * taps)) {
                plane.iter_mut().enumerate().for_each(|(tap, plane)| *plane = weigh(weights, &gray.scale, tap));
            }
            pack([taps, shape.c_out], &mut self.plane, plane, |tap| tap, taps);
        });
        let mut constants = self.constant.chunks_exact_mut(shape.c_out);
        for rows in &self.border.rows.classes {
            for (columns, constants) in self.border.columns.classes.iter().zip(&mut constants) {
                for (constant, weights) in constants.iter_mut().zip(filter.oihw().chunks_exact(CHANNELS * taps)) {
                    let inside = rows.clone().flat_map(|row| columns.clone().map(move |column| row * width + column));
                    *constant = inside.map(|tap| weigh(weights, &gray.shift, tap)).sum();
                }
            }
        }
    }
}

/// Which of a window's rows and columns lie inside the film, for every place of the window.
#[derive(Clone, Debug)]
struct Border {
    rows: Axis,
    columns: Axis,
}

#[derive(Clone, Debug)]
struct Axis {
    /// The different ranges that occur.
    classes: Vec<std::ops::Range<usize>>,
    /// By place, an index into them.
    class: Vec<usize>,
}

impl Axis {
    /// The classes whose windows have pixel `tap` inside the film.
    fn containing(&self, tap: usize) -> impl Iterator<Item = usize> {
        self.classes.iter().enumerate().filter(move |(_, class)| class.contains(&tap)).map(|(i, _)| i)
    }
}

impl Border {
    fn new(shape: &ConvShape) -> Border {
        let [oh, ow] = shape.out();
        let axis = |places: usize, side: usize, kernel: usize, stride: usize, pad: usize| {
            let mut axis = Axis { classes: Vec::new(), class: Vec::with_capacity(places) };
            for place in 0..places {
                let first = place * stride;
                let inside = pad.saturating_sub(first).min(kernel)..(side + pad).saturating_sub(first).min(kernel);
                let known = axis.classes.iter().position(|class| *class == inside);
                axis.class.push(known.unwrap_or(axis.classes.len()));
                if known.is_none() {
                    axis.classes.push(inside);
                }
            }
            axis
        };
        let ([kh, kw], [sh, sw], [top, left, ..]) = (shape.kernel, shape.stride, shape.pads);
        Border { rows: axis(oh, shape.h, kh, sh, top), columns: axis(ow, shape.w, kw, sw, left) }
    }
}

/// Floats of one row of a film with its padding, as far as the windows reach.
fn padded(shape: &ConvShape) -> usize {
    ((shape.out()[1] - 1) * shape.stride[1] + shape.kernel[1]).max(shape.pads[1] + shape.w)
}

/// The rows that output row `row` (numbered through all films) sees, padded, `[kernel rows, padded]`.
fn copy_rows(shape: &ConvShape, z: &[f32], row: usize, out: &mut [f32]) {
    let (oh, left) = (shape.out()[0], shape.pads[1]);
    let film = &z[row / oh * shape.h * shape.w..][..shape.h * shape.w];
    for (i, out) in out.chunks_exact_mut(padded(shape)).enumerate() {
        let line = (row % oh * shape.stride[0] + i).checked_sub(shape.pads[0]).filter(|&line| line < shape.h);
        let Some(line) = line else {
            out.fill(0.0);
            continue;
        };
        out[..left].fill(0.0);
        out[left..][..shape.w].copy_from_slice(&film[line * shape.w..][..shape.w]);
        out[left + shape.w..].fill(0.0);
    }
}
