//! The pixels that a convolution's results see (taps), and im2col, which copies those of a row of results side by side.
//!
//! Taps of the forward direction serve the convolution and the gradient to the weights, those of the backward direction the
//! gradient to the input. Depthwise convolutions use the taps alone and copy no windows.

use super::ConvShape;
use crate::stored::Stored;

/// A pixel of the window: where it lies in the source (its row against the base row of the result's, its column against the
/// result's number in the row times the step), and which of the kernel's pixels (`kh * width + kw`) weighs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) row: isize,
    pub(super) column: isize,
    pub(super) weight: usize,
}

/// The input pixels of one residue by the stride: all of them are reached by the same pixels of the kernel, so their
/// gradient is a convolution of step 1 over `dy`. With stride 1 there is one phase.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    /// Input row `i` is in the phase if `(i + top) % stride == residue[0]`.
    pub(super) residue: [usize; 2],
    /// First input column of the phase.
    pub(super) first_column: usize,
    /// Input columns of the phase in a row.
    pub(super) columns: usize,
    /// In the order of the packed weights of `Direction::Backward`; along a row of the kernel the column rises, so that
    /// neighbouring taps are copied together.
    pub(super) taps: Vec<Tap>,
}

/// Taps of the forward direction, in the order of the packed weights of `Direction::Forward`; output row `o` has base row
/// `o * stride`.
pub(super) fn forward_taps(shape: &ConvShape) -> Vec<Tap> {
    let [kernel_h, kernel_w] = shape.kernel;
    let tap = |kh: usize, kw: usize| Tap {
        row: kh as isize - shape.pads[0] as isize,
        column: kw as isize - shape.pads[1] as isize,
        weight: kh * kernel_w + kw,
    };
    (0..kernel_h).flat_map(|kh| (0..kernel_w).map(move |kw| tap(kh, kw))).collect()
}

/// Taps of the gradient to the input, a phase for each pair of residues; input row `i` has base row
/// `(i + top - residue) / stride` of `dy`.
pub(super) fn backward_taps(shape: &ConvShape) -> Vec<Phase> {
    let ([kernel_h, kernel_w], [sh, sw], left) = (shape.kernel, shape.stride, shape.pads[1]);
    let mut phases = Vec::new();
    for vertical in 0..sh {
        for horizontal in 0..sw {
            let first_column = (horizontal + sw - left % sw) % sw;
            let columns = shape.w.saturating_sub(first_column).div_ceil(sw);
            let first = ((first_column + left - horizontal) / sw) as isize;
            let mut taps = Vec::new();
            for kh in (vertical..kernel_h).step_by(sh) {
                for kw in (horizontal..kernel_w).step_by(sw).rev() {
                    taps.push(Tap {
                        row: -((kh / sh) as isize),
                        column: first - (kw / sw) as isize,
                        weight: kh * kernel_w + kw,
                    });
                }
            }
            phases.push(Phase { residue: [vertical, horizontal], first_column, columns, taps });
        }
    }
    phases
}

/// One film's values, and the channels of them that are wanted.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub(super) data: &'a [T],
    pub(super) h: usize,
    pub(super) w: usize,
    /// Channels of a pixel.
    pub(super) c: usize,
    /// First channel and number of channels wanted.
    pub(super) first: usize,
    pub(super) channels: usize,
}

impl<T: Stored> Source<'_, T> {
    /// Writes `columns` results' windows, `[columns, taps, channels]`: tap `t` of result `j` is the pixel
    /// `(base_row + t.row, j * step + t.column)`, zero outside the film.
    pub(super) fn gather(&self, base_row: isize, taps: &[Tap], columns: usize, step: usize, out: &mut [T]) {
        let width = taps.len() * self.channels;
        let whole = self.channels == self.c;
        let mut done = 0;
        while done < taps.len() {
            let first = taps[done];
            // Neighbours in a row of the film are neighbours in memory: one copy takes them all.
            let follows = |(i, tap): &(usize, &Tap)| tap.row == first.row && tap.column == first.column + *i as isize;
            let run = if whole { taps[done..].iter().enumerate().take_while(follows).count() } else { 1 };
            let row = base_row + first.row;
            let out = out[done * self.channels..].chunks_mut(width).take(columns);
            let len = run * self.channels;
            if row < 0 || row as usize >= self.h {
                out.for_each(|out| out[..len].fill(T::default()));
            } else {
                let line = &self.data[row as usize * self.w * self.c..][..self.w * self.c];
                for (j, out) in out.enumerate() {
                    self.copy_run(line, (j * step) as isize + first.column, run, &mut out[..len]);
                }
            }
            done += run;
        }
    }

    /// Copies `run` pixels of a row from `column` on, zero outside it.
    #[inline(always)]
    fn copy_run(&self, line: &[T], column: isize, run: usize, out: &mut [T]) {
        let c = self.channels;
        if column >= 0 && column as usize + run <= self.w {
            let from = column as usize * self.c + self.first;
            out.copy_from_slice(&line[from..from + out.len()]);
            return;
        }
        for (i, out) in out.chunks_exact_mut(c).enumerate() {
            match usize::try_from(column + i as isize) {
                Ok(column) if column < self.w => {
                    let from = column * self.c + self.first;
                    out.copy_from_slice(&line[from..from + c]);
                }
                _ => out.fill(T::default()),
            }
        }
    }
}
