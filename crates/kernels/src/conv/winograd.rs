//! 3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray, arXiv 1509.09308): a tile of
//! 6x6 input pixels and the filter are transformed to 36 elements each, the *Winograd domain*, where the convolution is one
//! GEMM an element, over channels; a quarter of the multiplications gives 4x4 output pixels.
//!
//! A task is a few rows of tiles, cut by shape, or some output channels of [wide layers](mod@wide). Everything between input and
//! output stays in its scratch memory:
//!
//! - `v` `[36, tiles, c]`, the transformed input (`B^T d B`);
//! - `u` `[k / panel, 36, c, panel]`, the transformed filter (`G g G^T`), see [`Transformed`];
//! - `m` `[36, tiles, k]`, the GEMMs' results, sums over `c`, and the output is `A^T m A`.
//!
//! Where a film is no whole number of tiles high or wide, the last ones are *short*: 3 or 2 output pixels, which need 5 or 4
//! of the 6 elements of that direction and no more. Their transforms are those of F(3, 3) and F(2, 3), scaled to meet
//! the same `u`.
//!
//! The 36 planes of `v` and of `m` lie [`plane`] floats apart.

mod filter;
mod image;
mod output;
mod places;
mod transforms;
mod weights;
mod wide;

use super::ConvShape;

pub(super) use filter::Transformed;
pub(super) use image::convolve;
pub(super) use weights::backward_weight;
pub(super) use wide::{Taps, convolve as convolve_wide};

/// Channels come in multiples of this: whole vectors, whatever the machine.
const CHANNELS: usize = 32;

/// Elements of a transformed tile: those of the Winograd domain.
const ELEMENTS: usize = 36;

/// Pixels of the window.
const TAPS: usize = 9;

/// Channels of depth whose weights go to the Winograd domain, or come back, together: they stay in the inner cache until whole
/// stretches of the far apart planes, and of OIHW, can be read and written.
const DEPTH: usize = 8;

/// Output pixels below which the four times larger filters cost more to read than their multiplications spare.
const PIXELS: usize = 112;

/// Floats from one element of `tiles` tiles of `c` channels to the next: a cache line more than they take, because a
/// tile's 36 values would else fall into the same few sets of the caches.
fn plane(tiles: usize, c: usize) -> usize {
    tiles * c + 16
}

/// Whether this algorithm computes a convolution of `n` films.
pub(super) fn fits(shape: &ConvShape, n: usize) -> bool {
    shape.kernel == [3; 2]
        && shape.stride == [1; 2]
        && shape.groups == 1
        && shape.pads.iter().all(|&pad| pad <= 2)
        && [shape.c_in, shape.c_out].iter().all(|c| c.is_multiple_of(CHANNELS))
        && n * shape.out().iter().product::<usize>() >= PIXELS
}

/// Weights a pixel of the window from which the transformed filter is not kept: at 2 MB a layer and more, four times what
/// the weights take, reading it (and in training, writing it at each step) costs more than making it anew. Measured for
/// 1 to 32 films of 28x28x128, 14x14x256 and 7x7x512.
const WIDE: usize = 1 << 14;

/// Whether that is so for a convolution that this algorithm computes.
pub(super) fn wide(shape: &ConvShape) -> bool {
    shape.c_in * shape.c_out >= WIDE
}

/// Tiles of a film up to which the last of a row or column may be short: of more they are a small part.
const SMALL: usize = 28;

/// Whether a tile of so many output pixels in a direction has element `i` of that direction: the points are 0, 1, -1, 2,
/// -2 and infinity.
#[inline(always)]
fn has(extent: usize, i: usize) -> bool {
    match extent {
        4 => true,
        3 => i != 4,
        _ => i != 3 && i != 4,
    }
}

/// A convolution of stride 1 and its tiles.
#[derive(Clone, Copy)]
struct Tiles {
    h: usize,
    w: usize,
    c: usize,
    k: usize,
    top: usize,
    left: usize,
    /// Output height and width, pixels.
    out: [usize; 2],
    /// Rows and columns of tiles of a film.
    tiles: [usize; 2],
    /// Output pixels of the last row and of the last column of tiles: 4, or 3 or 2 where they are short.
    last: [usize; 2],
}

impl Tiles {
    fn new(shape: &ConvShape) -> Self {
        let out = shape.out();
        let tiles = out.map(|side| side.div_ceil(4));
        let small = tiles[0] * tiles[1] <= SMALL;
        let last = out.map(|side| match side % 4 {
            1 | 2 if small => 2,
            3 if small => 3,
            _ => 4,
        });
        Tiles {
            h: shape.h,
            w: shape.w,
            c: shape.c_in,
            k: shape.c_out,
            top: shape.pads[0],
            left: shape.pads[1],
            out,
            tiles,
            last,
        }
    }

    /// Height and width in output pixels of a tile, its row counted through all films.
    #[inline(always)]
    fn extent(&self, row: usize, column: usize) -> [usize; 2] {
        let last = [row % self.tiles[0] + 1 == self.tiles[0], column + 1 == self.tiles[1]];
        [0, 1].map(|axis| if last[axis] { self.last[axis] } else { 4 })
    }

    /// First row of output pixels, films end to end, of a row of tiles, films end to end.
    fn row(&self, tile_row: usize) -> usize {
        let film = tile_row / self.tiles[0];
        film * self.out[0] + tile_row % self.tiles[0] * 4
    }

    /// Rows of tiles that one task works on, of `rows` in all: few enough for `v` and `m` to stay in the cache, with `u` where
    /// that is small, enough to be worth a pass over it, and with two tasks at least.
    fn task_rows(&self, rows: usize) -> usize {
        let tiles = match self.c + self.k {
            ..=128 => 14,
            129..=256 => 28,
            _ => 64,
        };
        (tiles / self.tiles[1]).min(rows.div_ceil(2)).max(1)
    }
}
