//! Convolutions that mix channels, by GEMM: the windows of a few hundred pixels are copied into a matrix
//! ([`gather`](super::gather)) that stays in the cache, and multiplied by the packed weights.

mod weights;

use super::filter::Direction;
use super::gather::{Source, Tap, backward_taps, forward_taps};
use super::operand::Operand;
use super::{Call, ConvShape, Epilogue, Filter};
use crate::chunks::{for_chunks, rows_per_task, vectorised, with_scratch};
use crate::gemm::{Gemm, packed_len, panel};
use crate::norm::{BatchStatistics, for_chunks_of};
use crate::stored::Stored;

pub(super) use weights::backward_weight;

/// Depth of one GEMM: deep enough to be fast, small enough for the gathered matrix to stay in L2.
const DEPTH: usize = 768;

/// Pixels that are worked on at a time, for `width` floats of operand and result a pixel and `pixels` in all.
fn pixels_per_chunk(width: usize, pixels: usize) -> usize {
    let cached = ((1 << 18) / width.max(1)).clamp(128, 1024);
    // A single film should still keep several threads busy; an odd row would be worked on by itself.
    cached.min(pixels.div_ceil(8).max(24)).next_multiple_of(2)
}

/// Taps of one GEMM: cut into GEMMs of about `DEPTH`, as even as can be.
fn taps_per_gemm(taps: usize, channels: usize) -> usize {
    let gemms = (taps * channels).div_ceil(DEPTH).clamp(1, taps.max(1));
    taps.div_ceil(gemms).max(1)
}

pub(super) fn forward<X: Stored, Y: Stored>(call: Call<X, Y>, y: &mut [Y], statistics: Option<&mut BatchStatistics>) {
    let Call { shape, n, x, filter, epilogue } = call;
    let ([oh, ow], [ci, co], c_out) = (shape.out(), shape.group(), shape.c_out);
    let operand = Operand::of::<X>(ci);
    let weights = filter.panels(Direction::Forward, operand.pairs);
    if shape.is_pointwise() {
        let pixels = pixels_per_chunk(shape.c_in + c_out, n * oh * ow);
        for_chunks_of(y, pixels * c_out, c_out, statistics, |index, y| {
            let x = &x[index * pixels * shape.c_in..][..y.len() / c_out * shape.c_in];
            finished(y, epilogue, index * pixels * c_out, c_out, |y| {
                operand.with(x, |x| pointwise(operand, shape.groups, x, weights, y, [shape.c_in, c_out], false));
            });
        });
        return;
    }
    let taps = forward_taps(shape);
    let a_gemm = taps_per_gemm(taps.len(), ci);
    let lines = rows_per_task(n * oh, pixels_per_chunk(a_gemm * ci + c_out, n * oh * ow).div_ceil(ow));
    let (panel, panel_rows) = (panel(), operand.floats(taps.len() * ci));
    for_chunks_of(y, lines * ow * c_out, c_out, statistics, |index, y| {
        let pixels = y.len() / c_out;
        with_scratch(operand.room(pixels * a_gemm * ci), |scratch| {
            finished(y, epilogue, index * lines * ow * c_out, c_out, |y| {
                for group in 0..shape.groups {
                    let mut panels = &weights[group * packed_len(panel_rows, co)..];
                    for (part, taps) in taps.chunks(a_gemm).enumerate() {
                        let (elements, depth) = (pixels * taps.len() * ci, operand.floats(taps.len() * ci));
                        let gathered = operand.fill(scratch, elements, |out| {
                            gather_input(shape, x, index * lines, pixels / ow, group, taps, out);
                        });
                        operand.multiply(Gemm {
                            size: [pixels, co, depth],
                            a: gathered,
                            a_stride: depth,
                            pieces: [depth, 0],
                            panels,
                            panel_rows,
                            ahead: 0,
                            y: &mut y[group * co..],
                            y_stride: c_out,
                            accumulate: part > 0,
                        });
                        panels = &panels[depth * panel..];
                    }
                }
            })
        });
    });
}

pub(super) fn backward_data<T: Stored>(
    shape: &ConvShape,
    n: usize,
    dy: &[T],
    filter: &Filter,
    dx: &mut [T],
    accumulate: bool,
) {
    let ([oh, ow], [ci, co], c_in) = (shape.out(), shape.group(), shape.c_in);
    let operand = Operand::of::<T>(co);
    let weights = filter.panels(Direction::Backward, operand.pairs);
    if shape.is_pointwise() {
        let pixels = pixels_per_chunk(c_in + shape.c_out, n * oh * ow);
        for_chunks(dx, pixels * c_in, |index, dx| {
            let dy = &dy[index * pixels * shape.c_out..][..dx.len() / c_in * shape.c_out];
            T::through(dx, accumulate, |dx| {
                operand
                    .with(dy, |dy| pointwise(operand, shape.groups, dy, weights, dx, [shape.c_out, c_in], accumulate));
            });
        });
        return;
    }
    let ([sh, sw], top, w) = (shape.stride, shape.pads[0], shape.w);
    let phases = backward_taps(shape);
    let most = phases.iter().map(|phase| phase.taps.len()).max().unwrap_or(0);
    let a_gemm = taps_per_gemm(most, co);
    let step = pixels_per_chunk(a_gemm * co + c_in, n * shape.h * w / (sh * sw)).div_ceil(w.div_ceil(sw)) * sh;
    // With stride 1 the one phase is the whole of dx: the GEMMs write straight there where it is floats.
    let direct = [sh, sw] == [1, 1] && !T::HALF;
    let (panel, panel_rows) = (panel(), operand.floats(shape.taps() * co));
    for_chunks(dx, step * w * c_in, |index, dx| {
        let range = index * step..index * step + dx.len() / (w * c_in);
        let room = range.len().div_ceil(sh) * w.div_ceil(sw);
        // One film's share of rows may begin anywhere, so a phase may have one row more than its even share.
        let room = room + w.div_ceil(sw) * (range.len() / shape.h + 2);
        with_scratch(operand.room(room * a_gemm * co) + room * ci, |scratch| {
            let (gathered, result) = scratch.split_at_mut(operand.room(room * a_gemm * co));
            let mut before = 0;
            for phase in &phases {
                let lines: Vec<usize> =
                    range.clone().filter(|row| (row % shape.h + top) % sh == phase.residue[0]).collect();
                let pixels = lines.len() * phase.columns;
                for group in 0..shape.groups {
                    let mut panels =
                        &weights[group * packed_len(panel_rows, ci) + operand.floats(before * co) * panel..];
                    for (part, taps) in phase.taps.chunks(a_gemm).enumerate() {
                        let (elements, depth) = (taps.len() * co, operand.floats(taps.len() * co));
                        let gathered = operand.fill(gathered, pixels * elements, |gathered: &mut [T]| {
                            for (row, out) in lines.iter().zip(gathered.chunks_mut((phase.columns * elements).max(1))) {
                                let source = Source {
                                    data: &dy[row / shape.h * shape.y_len()..][..shape.y_len()],
                                    h: oh,
                                    w: ow,
                                    c: shape.c_out,
                                    first: group * co,
                                    channels: co,
                                };
                                let base = (row % shape.h + top - phase.residue[0]) / sh;
                                source.gather(base as isize, taps, phase.columns, 1, out);
                            }
                        });
                        let (y, y_stride) = match direct {
                            true => (&mut bytemuck::cast_slice_mut(dx)[group * ci..], c_in),
                            false => (&mut result[..], ci),
                        };
                        operand.multiply(Gemm {
                            size: [pixels, ci, depth],
                            a: gathered,
                            a_stride: depth,
                            pieces: [depth, 0],
                            panels,
                            panel_rows,
                            ahead: 0,
                            y,
                            y_stride,
                            accumulate: direct && accumulate || part > 0,
                        });
                        panels = &panels[depth * panel..];
                    }
                    if !(direct || phase.taps.is_empty() && accumulate) {
                        if phase.taps.is_empty() {
                            result[..pixels * ci].fill(0.0);
                        }
                        let result = &*result;
                        vectorised(|| {
                            for (row, result) in lines.iter().zip(result.chunks(phase.columns.max(1) * ci)) {
                                let line = &mut dx[(row - range.start) * w * c_in..][..w * c_in];
                                let places = line.chunks_exact_mut(c_in).skip(phase.first_column).step_by(sw);
                                for (place, result) in places.zip(result.chunks_exact(ci)) {
                                    let place = &mut place[group * ci..][..ci];
                                    crate::chunks::store(place, result.iter().copied(), accumulate);
                                }
                            }
                        });
                    }
                }
                before += phase.taps.len();
            }
        });
    });
}

/// Lets `f` write the sums of a chunk of pixels, which are then finished.
fn finished<T: Stored>(y: &mut [T], epilogue: &Epilogue<T>, at: usize, c: usize, f: impl FnOnce(&mut [f32])) {
    if T::HALF {
        with_scratch(y.len(), |sums| {
            f(sums);
            epilogue.write(at, c, sums, y);
        });
    } else {
        T::through(y, false, |y| {
            f(y);
            epilogue.apply(at, c, y);
        });
    }
}

/// Gathers the windows of `rows` output rows (numbered through all films) from `first` on, for a group's channels.
pub(super) fn gather_input<T: Stored>(
    shape: &ConvShape,
    x: &[T],
    first: usize,
    rows: usize,
    group: usize,
    taps: &[Tap],
    scratch: &mut [T],
) {
    let ([oh, ow], [ci, _]) = (shape.out(), shape.group());
    for (row, out) in (first..first + rows).zip(scratch.chunks_mut(ow * taps.len() * ci)) {
        let source = Source {
            data: &x[row / oh * shape.x_len()..][..shape.x_len()],
            h: shape.h,
            w: shape.w,
            c: shape.c_in,
            first: group * ci,
            channels: ci,
        };
        source.gather((row % oh * shape.stride[0]) as isize, taps, ow, shape.stride[1], out);
    }
}

/// `y = x * weights` for each group, pixels of `c_in` channels to pixels of `c_out`: nothing to gather.
fn pointwise(
    operand: Operand,
    groups: usize,
    x: &[f32],
    weights: &[f32],
    y: &mut [f32],
    [c_in, c_out]: [usize; 2],
    accumulate: bool,
) {
    let (pixels, co) = (y.len() / c_out, c_out / groups);
    let [c_in, ci] = [c_in, c_in / groups].map(|channels| operand.floats(channels));
    for group in 0..groups {
        let (a, panels) = (&x[group * ci..], &weights[group * packed_len(ci, co)..]);
        let y = &mut y[group * co..];
        operand.multiply(Gemm {
            size: [pixels, co, ci],
            a,
            a_stride: c_in,
            pieces: [ci, 0],
            panels,
            panel_rows: ci,
            ahead: 0,
            y,
            y_stride: c_out,
            accumulate,
        });
    }
}
