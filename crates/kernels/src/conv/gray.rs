//! A convolution of gray films, by a third of the multiplications.
//!
//! A gray film given to a network of three channels is one value a pixel, `z`, of which each channel is `scale * z + shift`
//! inside the film and zero in the padding. So a window's sum is a convolution of the one plane `z` with
//! `sum_c scale_c w_c`, and a constant: `sum_c shift_c w_c` over the pixels of the window that lie inside the film. That
//! constant is the same everywhere but near the border. Nothing is approximated; the gradient to the weights is taken
//! apart in the same way.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{ConvShape, Epilogue};
use crate::chunks::{vectorised, with_scratch};
use crate::norm::{Moments, for_chunks_of};
use crate::product::{WIDTH, heights, pack, packed_len, panel};

/// Channels of the network's input.
const CHANNELS: usize = 3;

/// Output rows of a task of the forward direction.
const LINES: usize = 4;

/// Tasks that the gradient to the weights is cut into.
const SLOTS: usize = 24;

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

/// Whether gray films take this way through a convolution on this machine.
pub fn serves(shape: &ConvShape) -> bool {
    shape.c_in == CHANNELS && shape.groups == 1 && !crate::machine::plain()
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

/// `y` `[n, out, c_out]` from `z` `[n, h, w]`, as [`super::forward`] from the three channels.
pub fn forward(n: usize, z: &[f32], filter: &Filter, epilogue: &Epilogue, y: &mut [f32]) {
    convolve(n, z, filter, epilogue, y, None);
}

/// As [`forward`], and takes the moments of `y` as [`super::forward_with_moments`] does.
pub fn forward_with_moments(
    n: usize,
    z: &[f32],
    filter: &Filter,
    epilogue: &Epilogue,
    y: &mut [f32],
    moments: &mut Moments,
) {
    convolve(n, z, filter, epilogue, y, Some(moments));
}

fn convolve(n: usize, z: &[f32], filter: &Filter, epilogue: &Epilogue, y: &mut [f32], moments: Option<&mut Moments>) {
    let shape = &filter.shape;
    assert_eq!((z.len(), y.len()), (n * shape.h * shape.w, n * shape.y_len()), "{shape:?} for {n} gray films");
    let ([oh, ow], c) = (shape.out(), shape.c_out);
    let classes = filter.border.columns.classes.len();
    for_chunks_of(y, LINES * ow * c, c, moments, |index, y| {
        with_scratch(shape.kernel[0] * padded(shape), |lines| {
            for (i, y) in y.chunks_exact_mut(ow * c).enumerate() {
                let row = index * LINES + i;
                copy_rows(shape, z, row, lines);
                let constant = &filter.constant[filter.border.rows.class[row % oh] * classes * c..][..classes * c];
                let after = After { constant, class: &filter.border.columns.class, epilogue, at: row * ow * c };
                crate::machine::arch().dispatch(Windows { shape, lines, panels: &filter.plane, after, y });
            }
        });
    });
}

/// What follows the convolution of the one plane, for one row.
#[derive(Clone, Copy)]
struct After<'a> {
    /// `[column classes, c_out]`.
    constant: &'a [f32],
    /// By column.
    class: &'a [usize],
    epilogue: &'a Epilogue<'a>,
    /// Where the row begins in the whole output.
    at: usize,
}

impl After<'_> {
    /// For a row as it lies in memory.
    fn apply(&self, c: usize, y: &mut [f32]) {
        vectorised(|| {
            for (y, class) in y.chunks_exact_mut(c).zip(self.class) {
                y.iter_mut().zip(&self.constant[class * c..]).for_each(|(y, constant)| *y += constant);
            }
        });
        self.epilogue.apply(self.at, c, y);
    }
}

/// One row of a convolution of one plane.
struct Windows<'a> {
    shape: &'a ConvShape,
    /// `[kernel rows, padded]`.
    lines: &'a [f32],
    panels: &'a [f32],
    after: After<'a>,
    /// `[columns, c_out]`.
    y: &'a mut [f32],
}

impl WithSimd for Windows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let panel = WIDTH * S::F32_LANES;
        for first in (0..self.shape.c_out).step_by(panel) {
            let mut column = 0;
            for height in heights::<S>(self.shape.out()[1]) {
                match height {
                    14 => self.block::<S, 14>(simd, column, first),
                    12 => self.block::<S, 12>(simd, column, first),
                    10 => self.block::<S, 10>(simd, column, first),
                    8 => self.block::<S, 8>(simd, column, first),
                    6 => self.block::<S, 6>(simd, column, first),
                    4 => self.block::<S, 4>(simd, column, first),
                    2 => self.block::<S, 2>(simd, column, first),
                    _ => self.block::<S, 1>(simd, column, first),
                }
                column += height;
            }
        }
        if !self.shape.c_out.is_multiple_of(S::F32_LANES) {
            self.after.apply(self.shape.c_out, self.y);
        }
    }
}

impl Windows<'_> {
    /// `R` windows, a panel of output channels.
    #[inline(always)]
    fn block<S: Simd, const R: usize>(&mut self, simd: S, column: usize, first: usize) {
        let ConvShape { kernel: [_, width], stride: [_, stride], c_out, .. } = *self.shape;
        let panel = WIDTH * S::F32_LANES;
        let mut panels = self.panels[first * self.shape.taps()..].chunks_exact(panel);
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; R];
        for line in self.lines.chunks_exact(padded(self.shape)) {
            let line = &line[column * stride..][..(R - 1) * stride + width];
            for tap in 0..width {
                let Some(weights) = panels.next() else { return };
                let (weights, _) = S::as_simd_f32s(weights);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let z = simd.splat_f32s(line[r * stride + tap]);
                    for v in 0..WIDTH {
                        sums[v] = simd.mul_add_e_f32s(z, weights[v], sums[v]);
                    }
                }
            }
        }
        let (columns, lanes, after) = ((c_out - first).min(panel), S::F32_LANES, self.after);
        for (r, sums) in sums.into_iter().enumerate() {
            let place = (column + r) * c_out + first;
            let constant = &after.constant[after.class[column + r] * c_out + first..][..columns];
            let y = self.y[place..][..columns].chunks_mut(lanes).zip(constant.chunks(lanes));
            for (i, (sum, (y, constant))) in sums.into_iter().zip(y).enumerate() {
                if c_out.is_multiple_of(lanes) {
                    let (sum, channel) = (simd.add_f32s(sum, S::as_simd_f32s(constant).0[0]), i * lanes);
                    let value = after.epilogue.finish(simd, sum, first + channel, after.at + place + channel);
                    S::as_mut_simd_f32s(y).0[0] = value;
                } else {
                    simd.partial_store_f32s(y, sum);
                }
            }
        }
    }
}

/// Gradient to the weights (OIHW), added to `dw_oihw` if `accumulate`, as [`super::backward_weight`] from the three
/// channels.
pub fn backward_weight(
    shape: &ConvShape,
    n: usize,
    z: &[f32],
    gray: &Gray,
    dy: &[f32],
    dw_oihw: &mut [f32],
    accumulate: bool,
) {
    assert_eq!((shape.c_in, shape.groups), (CHANNELS, 1), "{shape:?}");
    assert_eq!((z.len(), dy.len()), (n * shape.h * shape.w, n * shape.y_len()), "{shape:?} for {n} gray films");
    assert_eq!(dw_oihw.len(), shape.weight_len());
    let ([oh, ow], [_, width], c, taps) = (shape.out(), shape.kernel, shape.c_out, shape.taps());
    let border = Border::new(shape);
    let classes = [&border.rows, &border.columns].map(|axis| axis.classes.len());
    // A slot of rows has the gradient of the one plane's filter, the sums of `dy` by class, and one row's sums.
    let a_row = classes[1] * c;
    let (plane_len, sums_len) = (taps * packed_len(1, c), classes[0] * a_row);
    let slot_rows = (n * oh).div_ceil(SLOTS).max(1);
    let (slots, slot_len) = ((n * oh).div_ceil(slot_rows), plane_len + sums_len + a_row);
    with_scratch(slots * slot_len, |scratch| {
        scratch.par_chunks_mut(slot_len.max(1)).enumerate().for_each(|(slot, sums)| {
            sums.fill(0.0);
            let (plane, sums) = sums.split_at_mut(plane_len);
            let (sums, row_sums) = sums.split_at_mut(sums_len);
            with_scratch(shape.kernel[0] * padded(shape), |lines| {
                for row in slot * slot_rows..((slot + 1) * slot_rows).min(n * oh) {
                    copy_rows(shape, z, row, lines);
                    let dy = &dy[row * ow * c..][..ow * c];
                    crate::machine::arch().dispatch(Correlate { shape, lines, dy, plane });
                    row_sums.fill(0.0);
                    vectorised(|| {
                        for (dy, class) in dy.chunks_exact(c).zip(&border.columns.class) {
                            row_sums[class * c..][..c].iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
                        }
                    });
                    let sums = &mut sums[border.rows.class[row % oh] * a_row..];
                    sums.iter_mut().zip(&*row_sums).for_each(|(sum, row)| *sum += row);
                }
            });
        });
        let (total, rest) = scratch.split_at_mut(slot_len.min(scratch.len()));
        for slot in rest.chunks_exact(slot_len.max(1)) {
            vectorised(|| total.iter_mut().zip(slot).for_each(|(total, slot)| *total += slot));
        }
        let (plane, sums) = total.split_at(plane_len);
        let panel = panel();
        for (o, dw) in dw_oihw.chunks_exact_mut(CHANNELS * taps).enumerate() {
            for tap in 0..taps {
                let rows = border.rows.containing(tap / width);
                let inside =
                    rows.flat_map(|row| border.columns.containing(tap % width).map(move |column| (row, column)));
                let constant: f32 = inside.map(|(row, column)| sums[row * a_row + column * c + o]).sum();
                let plane = plane[(o / panel * taps + tap) * panel + o % panel];
                for channel in 0..CHANNELS {
                    let value = gray.scale[channel] * plane + gray.shift[channel] * constant;
                    let dw = &mut dw[channel * taps + tap];
                    *dw = if accumulate { *dw + value } else { value };
                }
            }
        }
    });
}

/// One row's part of the gradient of the one plane's filter.
struct Correlate<'a> {
    shape: &'a ConvShape,
    /// `[kernel rows, padded]`.
    lines: &'a [f32],
    /// `[columns, c_out]`.
    dy: &'a [f32],
    /// `[taps, c_out]` in panels, added to.
    plane: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let panel = WIDTH * S::F32_LANES;
        for first in (0..self.shape.c_out).step_by(panel) {
            for row in 0..self.shape.kernel[0] {
                let mut tap = 0;
                while tap < self.shape.kernel[1] {
                    tap += match self.shape.kernel[1] - tap {
                        7.. => self.taps::<S, 7>(simd, first, row, tap),
                        3.. => self.taps::<S, 3>(simd, first, row, tap),
                        _ => self.taps::<S, 1>(simd, first, row, tap),
                    };
                }
            }
        }
    }
}

impl Correlate<'_> {
    /// `T` taps of a row of the window, a panel of output channels; gives `T`.
    #[inline(always)]
    fn taps<S: Simd, const T: usize>(&mut self, simd: S, first: usize, row: usize, tap: usize) -> usize {
        let ConvShape { kernel: [_, width], stride: [_, stride], c_out, .. } = *self.shape;
        let (lanes, panel, padded) = (S::F32_LANES, WIDTH * S::F32_LANES, padded(self.shape));
        let line = &self.lines[row * padded..][..padded];
        let plane = &mut self.plane[first * self.shape.taps() + (row * width + tap) * panel..][..T * panel];
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; T];
        let columns = (c_out - first).min(panel);
        for (column, dy) in self.dy.chunks_exact(c_out).enumerate() {
            let (dy, z) = (&dy[first..][..columns], &line[column * stride + tap..][..T]);
            let mut values = [simd.splat_f32s(0.0); WIDTH];
            if columns == panel {
                values.copy_from_slice(S::as_simd_f32s(dy).0);
            } else {
                values.iter_mut().zip(dy.chunks(lanes)).for_each(|(v, dy)| *v = simd.partial_load_f32s(dy));
            }
            for (&z, sums) in z.iter().zip(&mut sums) {
                let z = simd.splat_f32s(z);
                for v in 0..WIDTH {
                    sums[v] = simd.mul_add_e_f32s(z, values[v], sums[v]);
                }
            }
        }
        let (plane, _) = S::as_mut_simd_f32s(plane);
        for (plane, sums) in plane.chunks_exact_mut(WIDTH).zip(sums) {
            plane.iter_mut().zip(sums).for_each(|(plane, sum)| *plane = simd.add_f32s(*plane, sum));
        }
        T
    }
}
