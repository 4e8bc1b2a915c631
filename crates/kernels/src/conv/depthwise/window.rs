//! What a depthwise convolution's results see of a film, and the copy of it with the zeros around it: the same for both
//! directions.

use pulp::{Simd, WithSimd};

use crate::conv::ConvShape;
use crate::conv::gather::{Phase, Tap, backward_taps, forward_taps};
use crate::stored::Stored;

/// Floats of the rows that are worked on at a time: they stay in L2.
const BAND: usize = 96 << 10;

/// Channels that lie side by side in the copy: a line of the cache, and a whole number of vectors of any instruction set. A
/// block of them from all rows under the window stays in L1 along a row, whatever the number of channels.
pub(super) const BLOCK: usize = 16;

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
        let rows =
            (BAND / (self.width() * self.blocks() * BLOCK).max(1)) as isize - (self.reach[0][1] - self.reach[0][0]);
        let most = rows.max(1) as usize * self.apart / self.step[0];
        self.out[0].div_ceil(self.out[0].div_ceil(most.max(1)))
    }

    /// Blocks of channels.
    fn blocks(&self) -> usize {
        self.c.div_ceil(BLOCK)
    }

    /// Floats of the copy that a band sees.
    pub(super) fn room(&self, band: usize) -> usize {
        // A band may begin anywhere in a step of the source.
        self.blocks() * (self.height(0, band) + 1) * self.width() * BLOCK
    }

    /// Copies what `rows` rows of the result from `first` on see, with the zeros around it.
    pub(super) fn copy<'a, T: Stored>(&self, film: &[T], first: usize, rows: usize, room: &'a mut [f32]) -> Copied<'a> {
        let plane = self.height(first, rows) * self.width() * BLOCK;
        let values = &mut room[..self.blocks() * plane];
        crate::machine::arch().dispatch(Fill { window: self, film, first, plane, values: &mut *values });
        Copied { values, plane }
    }
}

/// A band's source with the zeros around it, a plane for each block of channels: `[blocks, height, width, BLOCK]`.
#[derive(Clone, Copy)]
pub(super) struct Copied<'a> {
    values: &'a [f32],
    plane: usize,
}

impl<'a> Copied<'a> {
    /// What lies from a channel of the first pixel on; the next pixel's is [`BLOCK`] further.
    #[inline(always)]
    pub(super) fn at_channel(&self, channel: usize) -> &'a [f32] {
        &self.values[channel / BLOCK * self.plane..][..self.plane][channel % BLOCK..]
    }
}

struct Fill<'a, T> {
    window: &'a Window,
    film: &'a [T],
    first: usize,
    plane: usize,
    values: &'a mut [f32],
}

impl<T: Stored> WithSimd for Fill<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Fill { window, film, first, plane, values } = self;
        let (c, [h, w], [[above, _], [left, _]], width) = (window.c, window.source, window.reach, window.width());
        let skipped = (left.max(0) as usize).min(w);
        let before = ((-left).max(0) as usize).min(width);
        let inside = (w - skipped).min(width - before);
        let line = width * BLOCK;
        for (i, row) in (window.base(first) as isize + above..).take(plane / line).enumerate() {
            let from = if (0..h as isize).contains(&row) { inside } else { 0 };
            let zeros = [0..before * BLOCK, (before + from) * BLOCK..line];
            for line in values.chunks_exact_mut(plane).map(|plane| &mut plane[i * line..][..line]) {
                zeros.iter().for_each(|zeros| line[zeros.clone()].fill(0.0));
            }
            if from == 0 {
                continue;
            }
            // As it lies in memory, to all planes at once.
            let pixels = film[(row as usize * w + skipped) * c..][..from * c].chunks_exact(c);
            for (column, pixel) in pixels.enumerate() {
                let mut to = i * line + (before + column) * BLOCK;
                let mut blocks = pixel.chunks_exact(BLOCK);
                for from in &mut blocks {
                    let to_block = &mut values[to..][..BLOCK];
                    for lane in (0..BLOCK).step_by(S::F32_LANES) {
                        f32::store(simd, T::load(simd, &from[lane..]), &mut to_block[lane..]);
                    }
                    to += plane;
                }
                if let rest @ [_, ..] = blocks.remainder() {
                    let to = &mut values[to..][..BLOCK];
                    to.fill(0.0);
                    to.iter_mut().zip(rest).for_each(|(to, from)| *to = from.widened());
                }
            }
        }
    }
}

/// Smallest and largest row and column of the taps.
fn reach(phases: &[Phase]) -> [[isize; 2]; 2] {
    let taps = || phases.iter().flat_map(|phase| &phase.taps);
    let span = |of: &dyn Fn(&Tap) -> isize| [taps().map(of).min().unwrap_or(0), taps().map(of).max().unwrap_or(0)];
    [span(&|tap| tap.row), span(&|tap| tap.column)]
}
