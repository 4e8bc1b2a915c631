//! What a depthwise convolution's results see of a film, and the copy of it with the zeros around it: the same for both
//! directions.

use crate::conv::ConvShape;
use crate::conv::gather::{Phase, Tap, backward_taps, forward_taps};
use crate::stored::{Stored, convert};

/// Floats of the rows that are worked on at a time: they stay in L2.
const BAND: usize = 96 << 10;

/// What results see of a film.
pub(super) struct Window {
    /// Height and width of the source, and of the result.
    pub(super) source: [usize; 2],
    pub(super) out: [usize; 2],
    pub(super) c: usize,
    /// Result row `i` begins at source row `(i + top) / apart * step`.
    pub(super) top: usize,
    pub(super) apart: usize,
    /// Columns from one result of a phase to the next.
    pub(super) columns_apart: usize,
    /// Vertical and horizontal.
    pub(super) step: [usize; 2],
    pub(super) phases: Vec<Phase>,
    /// Smallest and largest row and column of a tap.
    pub(super) reach: [[isize; 2]; 2],
}

impl Window {
    pub(super) fn forward(shape: &ConvShape) -> Self {
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

    pub(super) fn backward(shape: &ConvShape) -> Self {
        let (phases, [apart, columns_apart]) = (backward_taps(shape), shape.stride);
        let (source, out, top) = (shape.out(), [shape.h, shape.w], shape.pads[0]);
        Window { source, out, c: shape.c_out, top, apart, columns_apart, step: [1, 1], reach: reach(&phases), phases }
    }

    /// First source row of a row of results.
    pub(super) fn base(&self, row: usize) -> usize {
        (row + self.top) / self.apart * self.step[0]
    }

    /// Columns of the source with its zeros.
    pub(super) fn width(&self) -> usize {
        let most = self.phases.iter().map(|phase| phase.columns).max().unwrap_or(0);
        most.saturating_sub(1) * self.step[1] + (self.reach[1][1] - self.reach[1][0]) as usize + 1
    }

    /// Rows of the source that rows of the result see.
    fn height(&self, first: usize, rows: usize) -> usize {
        self.base(first + rows - 1) - self.base(first) + (self.reach[0][1] - self.reach[0][0]) as usize + 1
    }

    /// Rows of the result in a band: as many as let the source's stay in the cache, and of even sizes.
    pub(super) fn band(&self) -> usize {
        let rows = (BAND / (self.width() * self.c).max(1)) as isize - (self.reach[0][1] - self.reach[0][0]);
        let most = rows.max(1) as usize * self.apart / self.step[0];
        self.out[0].div_ceil(self.out[0].div_ceil(most.max(1)))
    }

    /// Floats of the source that a band sees.
    pub(super) fn room(&self, band: usize) -> usize {
        // A band may begin anywhere in a step of the source.
        (self.height(0, band) + 1) * self.width() * self.c
    }

    /// Copies what `rows` rows of the result from `first` on see, with the zeros around it: `[height, width, c]`.
    pub(super) fn fill<T: Stored>(&self, film: &[T], first: usize, rows: usize, padded: &mut [f32]) {
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
            convert(&line[..inside.len()], inside);
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
