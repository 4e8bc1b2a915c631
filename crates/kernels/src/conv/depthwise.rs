//! Depthwise convolutions: direct loops, vectorised over channels. A few rows of a film are copied with the zeros around
//! them, so that every result sees a whole window; both directions are then one kernel, and the gradient to the weights
//! another.

use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::gather::{Phase, Tap, backward_taps, forward_taps};
use super::winograd::Direction;
use super::{Call, ConvShape, Epilogue, Filter};
use crate::chunks::{vectorised, with_scratch};
use crate::norm::{Moments, Slots};

/// Slots of partial sums of a gradient to weights.
const SLOTS: usize = 32;

/// Floats of the rows that are worked on at a time: they stay in L2.
const BAND: usize = 96 << 10;

pub(super) fn forward(call: Call, y: &mut [f32], moments: Option<&mut Moments>) {
    let Call { shape, n, x, filter, epilogue } = call;
    convolve(&Window::forward(shape), n, x, filter.packed(Direction::Forward), Finish::Epilogue(epilogue), y, moments);
}

pub(super) fn backward_data(
    shape: &ConvShape,
    n: usize,
    dy: &[f32],
    filter: &Filter,
    dx: &mut [f32],
    accumulate: bool,
) {
    let finish = if accumulate { Finish::Accumulate } else { Finish::Epilogue(&Epilogue::NONE) };
    convolve(&Window::backward(shape), n, dy, filter.packed(Direction::Forward), finish, dx, None);
}

/// What results see of a film.
struct Window {
    /// Height and width of the source, and of the result.
    source: [usize; 2],
    out: [usize; 2],
    c: usize,
    /// Result row `i` begins at source row `(i + top) / apart * step`.
    top: usize,
    apart: usize,
    /// Columns from one result of a phase to the next.
    columns_apart: usize,
    /// Vertical and horizontal.
    step: [usize; 2],
    phases: Vec<Phase>,
    /// Smallest and largest row and column of a tap.
    reach: [[isize; 2]; 2],
}

impl Window {
    fn forward(shape: &ConvShape) -> Self {
        let [_, ow] = shape.out();
        let phases = vec![Phase { residue: [0, 0], first_column: 0, columns: ow, taps: forward_taps(shape) }];
        let (source, out) = ([shape.h, shape.w], shape.out());
        Window {
            source,
            out,
            c: shape.c_out,
            top: 0,
            apart: 1,
            columns_apart: 1,
            step: shape.stride,
            reach: reach(&phases),
            phases,
        }
    }

    fn backward(shape: &ConvShape) -> Self {
        let (phases, [apart, columns_apart]) = (backward_taps(shape), shape.stride);
        let (source, out, top) = (shape.out(), [shape.h, shape.w], shape.pads[0]);
        Window { source, out, c: shape.c_out, top, apart, columns_apart, step: [1, 1], reach: reach(&phases), phases }
    }

    /// First source row of a row of results.
    fn base(&self, row: usize) -> usize {
        (row + self.top) / self.apart * self.step[0]
    }

    /// Columns of the source with its zeros.
    fn width(&self) -> usize {
        let most = self.phases.iter().map(|phase| phase.columns).max().unwrap_or(0);
        most.saturating_sub(1) * self.step[1] + (self.reach[1][1] - self.reach[1][0]) as usize + 1
    }

    /// Rows of the source that rows of the result see.
    fn height(&self, first: usize, rows: usize) -> usize {
        self.base(first + rows - 1) - self.base(first) + (self.reach[0][1] - self.reach[0][0]) as usize + 1
    }

    /// Rows of the result in a band: as many as let the source's stay in the cache, and of even sizes.
    fn band(&self) -> usize {
        let rows = (BAND / (self.width() * self.c).max(1)) as isize - (self.reach[0][1] - self.reach[0][0]);
        let most = rows.max(1) as usize * self.apart / self.step[0];
        self.out[0].div_ceil(self.out[0].div_ceil(most.max(1)))
    }

    /// Floats of the source that a band sees.
    fn room(&self, band: usize) -> usize {
        // A band may begin anywhere in a step of the source.
        (self.height(0, band) + 1) * self.width() * self.c
    }

    /// Copies what `rows` rows of the result from `first` on see, with the zeros around it: `[height, width, c]`.
    fn fill(&self, film: &[f32], first: usize, rows: usize, padded: &mut [f32]) {
        let (c, [h, w], [[above, _], [left, _]]) = (self.c, self.source, self.reach);
        let lines = padded.chunks_exact_mut(self.width() * c).take(self.height(first, rows));
        for (row, padded) in (self.base(first) as isize + above..).zip(lines) {
            if !(0..h as isize).contains(&row) {
                padded.fill(0.0);
                continue;
            }
            let line = &film[row as usize * w * c..][..w * c];
            let line = &line[(left.max(0) as usize * c).min(w * c)..];
            let (before, rest) = padded.split_at_mut(((-left).max(0) as usize * c).min(padded.len()));
            let (inside, after) = rest.split_at_mut(line.len().min(rest.len()));
            before.fill(0.0);
            inside.copy_from_slice(&line[..inside.len()]);
            after.fill(0.0);
        }
    }
}

/// Smallest and largest row and column of the taps.
fn reach(phases: &[Phase]) -> [[isize; 2]; 2] {
    let taps = || phases.iter().flat_map(|phase| &phase.taps);
    let span = |of: &dyn Fn(&Tap) -> isize| [taps().map(of).min().unwrap_or(0), taps().map(of).max().unwrap_or(0)];
    [span(&|tap| tap.row), span(&|tap| tap.column)]
}

/// What is done to a result on its way to memory.
#[derive(Clone, Copy)]
enum Finish<'a> {
    /// The epilogue of a forward convolution.
    Epilogue(&'a Epilogue<'a>),
    /// Added to what is there.
    Accumulate,
}

fn convolve(
    window: &Window,
    n: usize,
    x: &[f32],
    weights: &[f32],
    finish: Finish,
    y: &mut [f32],
    moments: Option<&mut Moments>,
) {
    let (c, [h, w], [oh, ow], band) = (window.c, window.source, window.out, window.band());
    assert_eq!((x.len(), y.len()), (n * h * w * c, n * oh * ow * c));
    let (width, [[above, _], [left, _]]) = (window.width(), window.reach);
    let offsets = |tap: &Tap| [((tap.row - above) as usize * width + (tap.column - left) as usize) * c, tap.weight * c];
    let taps: Vec<Vec<_>> = window.phases.iter().map(|phase| phase.taps.iter().map(offsets).collect()).collect();
    let slots = Slots::new(moments, n * oh * ow, c, n * oh.div_ceil(band)).each();
    let films = y.chunks_exact_mut(oh * ow * c).enumerate();
    let bands = films
        .flat_map(|(film, y)| y.chunks_mut(band * ow * c).enumerate().map(move |(index, y)| (film, index * band, y)));
    bands.zip(slots).collect::<Vec<_>>().into_par_iter().for_each(|((film, first, y), slot)| {
        let rows = y.len() / (ow * c);
        with_scratch(window.room(band), |padded| {
            window.fill(&x[film * h * w * c..][..h * w * c], first, rows, padded);
            let at = (film * oh + first) * ow * c;
            crate::machine::arch().dispatch(Band {
                window,
                padded,
                taps: &taps,
                weights,
                finish,
                first,
                at,
                y: &mut *y,
            });
        });
        slot.take(y);
    });
}

/// A few rows of results.
struct Band<'a> {
    window: &'a Window,
    /// `[height, width, c]`.
    padded: &'a [f32],
    /// Offsets in the source and in the weights, by phase.
    taps: &'a [Vec<[usize; 2]>],
    /// `[taps, c]`.
    weights: &'a [f32],
    finish: Finish<'a>,
    /// First row.
    first: usize,
    /// Element of the whole result with which `y` begins.
    at: usize,
    /// `[rows, columns, c]`.
    y: &'a mut [f32],
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Channels outermost: a block of them from all rows under the window stays in L1 along the whole row.
        let mut channel = 0;
        channel = self.blocks::<S, 4>(simd, channel);
        channel = self.blocks::<S, 2>(simd, channel);
        channel = self.blocks::<S, 1>(simd, channel);
        self.blocks::<Scalar, 1>(Scalar::new(), channel);
    }
}

impl Band<'_> {
    /// As many blocks of `V` vectors as fit from channel `first` on; gives the channel after them.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, first: usize) -> usize {
        let (mut channel, window) = (first, self.window);
        while channel + V * S::F32_LANES <= window.c {
            for row in 0..self.y.len() / (window.out[1] * window.c) {
                let residue = (self.first + row + window.top) % window.apart;
                for (index, phase) in window.phases.iter().enumerate() {
                    if phase.residue[0] != residue {
                        continue;
                    }
                    let mut column = 0;
                    while column + 4 <= phase.columns {
                        self.pixels::<S, V, 4>(simd, index, [row, column, channel]);
                        column += 4;
                    }
                    if column + 2 <= phase.columns {
                        self.pixels::<S, V, 2>(simd, index, [row, column, channel]);
                        column += 2;
                    }
                    if column < phase.columns {
                        self.pixels::<S, V, 1>(simd, index, [row, column, channel]);
                    }
                }
            }
            channel += V * S::F32_LANES;
        }
        channel
    }

    /// `J` neighbouring results, `V` vectors of channels.
    #[inline(always)]
    fn pixels<S: Simd, const V: usize, const J: usize>(
        &mut self,
        simd: S,
        phase: usize,
        [row, column, channel]: [usize; 3],
    ) {
        let (window, c, len) = (self.window, self.window.c, V * S::F32_LANES);
        let down = window.base(self.first + row) - window.base(self.first);
        let from = (down * window.width() + column * window.step[1]) * c + channel;
        let (padded, weights, apart) = (&self.padded[from..], &self.weights[channel..], window.step[1] * c);
        let (taps, first_column) = (&self.taps[phase], window.phases[phase].first_column);
        let mut sums = [[simd.splat_f32s(0.0); V]; J];
        for &[offset, weight] in taps {
            let (w, _) = S::as_simd_f32s(&weights[weight..][..len]);
            let pixels = &padded[offset..][..(J - 1) * apart + len];
            for (j, sums) in sums.iter_mut().enumerate() {
                let (x, _) = S::as_simd_f32s(&pixels[j * apart..][..len]);
                for v in 0..V {
                    sums[v] = simd.mul_add_e_f32s(x[v], w[v], sums[v]);
                }
            }
        }
        for (j, sums) in sums.into_iter().enumerate() {
            let place = (row * window.out[1] + first_column + (column + j) * window.columns_apart) * c + channel;
            let (y, _) = S::as_mut_simd_f32s(&mut self.y[place..][..len]);
            for (v, (y, sum)) in y.iter_mut().zip(sums).enumerate() {
                let along = v * S::F32_LANES;
                *y = match self.finish {
                    Finish::Accumulate => simd.add_f32s(*y, sum),
                    Finish::Epilogue(epilogue) => epilogue.finish(simd, sum, channel + along, self.at + place + along),
                };
            }
        }
    }
}

pub(super) fn backward_weight(shape: &ConvShape, n: usize, x: &[f32], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let window = Window::forward(shape);
    let (c, [oh, ow], len) = (shape.c_out, window.out, shape.weight_len());
    let band = window.band();
    let bands = oh.div_ceil(band);
    let a_slot = (n * bands).div_ceil(SLOTS).max(1);
    let slots = (n * bands).div_ceil(a_slot).max(1);
    with_scratch(slots * len, |partial| {
        partial.par_chunks_mut(len.max(1)).enumerate().for_each(|(slot, partial)| {
            partial.fill(0.0);
            with_scratch(window.room(band), |padded| {
                for index in slot * a_slot..((slot + 1) * a_slot).min(n * bands) {
                    let (film, first) = (index / bands, index % bands * band);
                    let rows = band.min(oh - first);
                    window.fill(&x[film * shape.x_len()..][..shape.x_len()], first, rows, padded);
                    let dy = &dy[(film * oh + first) * ow * c..][..rows * ow * c];
                    crate::machine::arch().dispatch(BandProducts {
                        window: &window,
                        kernel: shape.kernel,
                        padded,
                        dy,
                        sums: partial,
                    });
                }
            });
        });
        // [slots, taps, c] to [c, taps].
        vectorised(|| {
            let places = dw.chunks_exact_mut(shape.taps()).enumerate();
            for (channel, places) in places {
                for (tap, place) in places.iter_mut().enumerate() {
                    let parts = partial[tap * c + channel..].iter().step_by(len);
                    let sum = parts.fold(0.0, |sum, part| sum + part);
                    *place = if accumulate { *place + sum } else { sum };
                }
            }
        });
    });
}

/// A few rows' share of a gradient to weights: for each tap, the sum of `dy * x`, added to `sums`.
struct BandProducts<'a> {
    window: &'a Window,
    /// Height and width of the window.
    kernel: [usize; 2],
    /// `[height, width, c]`.
    padded: &'a [f32],
    /// `[rows, columns, c]`.
    dy: &'a [f32],
    /// `[taps, c]`.
    sums: &'a mut [f32],
}

impl WithSimd for BandProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut channel = 0;
        channel = self.blocks::<S, 2>(simd, channel);
        channel = self.blocks::<S, 1>(simd, channel);
        self.blocks::<Scalar, 1>(Scalar::new(), channel);
    }
}

impl BandProducts<'_> {
    /// As many blocks of `V` vectors as fit from channel `first` on; gives the channel after them.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, first: usize) -> usize {
        let (mut channel, [high, wide]) = (first, self.kernel);
        while channel + V * S::F32_LANES <= self.window.c {
            for row in 0..high {
                let mut column = 0;
                while column < wide {
                    column += match wide - column {
                        5.. => self.taps::<S, 5, V>(simd, [row, column, channel]),
                        3.. => self.taps::<S, 3, V>(simd, [row, column, channel]),
                        _ => self.taps::<S, 1, V>(simd, [row, column, channel]),
                    };
                }
            }
            channel += V * S::F32_LANES;
        }
        channel
    }

    /// `T` neighbouring taps, `V` vectors of channels; gives `T`.
    #[inline(always)]
    fn taps<S: Simd, const T: usize, const V: usize>(&mut self, simd: S, [row, column, channel]: [usize; 3]) -> usize {
        let Window { c, step, out: [_, columns], .. } = *self.window;
        let (width, len, apart) = (self.window.width(), V * S::F32_LANES, step[1] * c);
        let mut sums = [[simd.splat_f32s(0.0); V]; T];
        for (y, dy) in self.dy.chunks_exact(columns * c).enumerate() {
            let line = &self.padded[((y * step[0] + row) * width + column) * c + channel..];
            for (j, dy) in dy.chunks_exact(c).enumerate() {
                let (dy, _) = S::as_simd_f32s(&dy[channel..][..len]);
                let pixels = &line[j * apart..][..(T - 1) * c + len];
                for (t, sums) in sums.iter_mut().enumerate() {
                    let (x, _) = S::as_simd_f32s(&pixels[t * c..][..len]);
                    for v in 0..V {
                        sums[v] = simd.mul_add_e_f32s(x[v], dy[v], sums[v]);
                    }
                }
            }
        }
        for (t, sums) in sums.into_iter().enumerate() {
            let tap = row * self.kernel[1] + column + t;
            let (total, _) = S::as_mut_simd_f32s(&mut self.sums[tap * c + channel..][..len]);
            for v in 0..V {
                total[v] = simd.add_f32s(total[v], sums[v]);
            }
        }
        T
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a kernel of one row on each instruction set this machine has, the scalar one first.
    fn on_each_machine<'a, K: WithSimd>(out: &'a mut [Vec<f32>; 3], kernel: impl Fn(&'a mut Vec<f32>) -> K) {
        let [scalar, avx2, best] = out;
        Simd::vectorize(pulp::Scalar::new(), kernel(scalar));
        crate::machine::arch().dispatch(kernel(best));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            Simd::vectorize(simd, kernel(avx2));
            return;
        }
        crate::machine::arch().dispatch(kernel(avx2));
    }

    fn assert_agree([scalar, avx2, best]: &[Vec<f32>; 3]) {
        for ((scalar, avx2), best) in scalar.iter().zip(avx2).zip(best) {
            assert!((scalar - avx2).abs() < 1e-5 && (scalar - best).abs() < 1e-5, "{scalar} {avx2} {best}");
        }
    }

    #[test]
    fn instruction_sets_agree() {
        let (c, w) = (109, 13);
        let shape = ConvShape { h: 9, w, c_in: c, c_out: c, kernel: [3; 2], stride: [1; 2], pads: [1; 4], groups: c };
        let noise = |len: usize| (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect::<Vec<_>>();
        let (x, weights, dy) = (noise(shape.x_len()), noise(shape.weight_len()), noise(4 * w * c));
        let window = Window::forward(&shape);
        let taps = [(0..9).map(|tap| [(tap / 3 * window.width() + tap % 3) * c, tap * c]).collect()];
        for first in [0, 3, 5] {
            let mut padded = vec![f32::NAN; window.room(4)];
            window.fill(&x, first, 4, &mut padded);
            let (window, padded) = (&window, &padded[..]);
            let mut sums = std::array::from_fn(|_| vec![0.5; shape.weight_len()]);
            on_each_machine(&mut sums, |sums| BandProducts { window, kernel: [3; 2], padded, dy: &dy, sums });
            assert_agree(&sums);

            let mut rows = std::array::from_fn(|_| vec![f32::NAN; 4 * w * c]);
            let (taps, weights, finish) = (&taps[..], &weights[..], Finish::Epilogue(&Epilogue::NONE));
            on_each_machine(&mut rows, |y| Band { window, padded, taps, weights, finish, first, at: 0, y });
            assert_agree(&rows);
        }
    }
}
