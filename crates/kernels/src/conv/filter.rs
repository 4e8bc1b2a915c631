//! The weights of a convolution, and the layouts that its kernels read them in.

use std::sync::OnceLock;

use super::ConvShape;
use super::gather::{Tap, backward_taps};
use super::tiles::Tiled;
use super::winograd::{Taps, Transformed};
use crate::chunks::{ELEMENTS, for_chunks};
use crate::gemm::{pack, pack_pairs, packed_len};

/// Which of the two convolutions that read a filter: the one forward, or the gradient to the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From `c_in` to `c_out` channels.
    Forward,
    /// The gradient to the input: from `c_out` to `c_in` channels, the window turned by half a circle.
    Backward,
}

impl Direction {
    /// Channels in and out, of a convolution of `c` to `k` channels.
    pub(super) fn channels(self, [c, k]: [usize; 2]) -> [usize; 2] {
        match self {
            Direction::Forward => [c, k],
            Direction::Backward => [k, c],
        }
    }
}

/// A convolution's weights, and what the kernels have made of them. Made from OIHW once, refilled without allocation after
/// each step of an optimiser.
///
/// Its layouts are private and each is made when it is first wanted: inference never packs for a gradient, and what
/// Winograd's algorithm serves is never packed for another.
#[derive(Clone, Debug)]
pub struct Filter {
    shape: ConvShape,
    oihw: Vec<f32>,
    /// By [`Direction`].
    layouts: [Layouts; 2],
}

/// What has been made of the weights for a direction, in the orders that its algorithms want.
#[derive(Clone, Debug, Default)]
struct Layouts {
    /// See [`Filter::packed`].
    packed: OnceLock<Vec<f32>>,
    /// The same in pairs of bfloat16.
    pairs: OnceLock<Vec<f32>>,
    /// For Winograd's algorithm.
    transformed: OnceLock<Transformed>,
    /// For Winograd's algorithm where that would be too large.
    in_order: OnceLock<Taps>,
    /// For products of tiles.
    tiled: OnceLock<Tiled>,
}

impl Filter {
    /// Of weights `[c_out, c_in / groups, kernel]`.
    pub fn new(shape: &ConvShape, oihw: &[f32]) -> Filter {
        Filter::of(shape, oihw.to_vec())
    }

    /// As [`Filter::new`], each output channel multiplied by its `scale`: a batch normalisation folded in.
    pub fn scaled(shape: &ConvShape, oihw: &[f32], scale: &[f32]) -> Filter {
        assert_eq!((oihw.len(), scale.len()), (shape.weight_len(), shape.c_out));
        let a_channel = shape.weight_len() / shape.c_out;
        let scaled = oihw.chunks_exact(a_channel).zip(scale).flat_map(|(w, scale)| w.iter().map(move |w| w * scale));
        Filter::of(shape, scaled.collect())
    }

    fn of(shape: &ConvShape, oihw: Vec<f32>) -> Filter {
        assert!(shape.c_in.is_multiple_of(shape.groups) && shape.c_out.is_multiple_of(shape.groups), "{shape:?}");
        assert_eq!(oihw.len(), shape.weight_len());
        Filter { shape: *shape, oihw, layouts: Default::default() }
    }

    /// Takes other weights of the same shape; allocates nothing.
    pub fn refill(&mut self, oihw: &[f32]) {
        assert_eq!(oihw.len(), self.shape.weight_len());
        for_chunks(&mut self.oihw, ELEMENTS, |index, own| own.copy_from_slice(&oihw[index * ELEMENTS..][..own.len()]));
        for (direction, layouts) in [Direction::Forward, Direction::Backward].into_iter().zip(&mut self.layouts) {
            if let Some(packed) = layouts.packed.get_mut() {
                pack_for(direction, &self.shape, oihw, false, packed);
            }
            if let Some(pairs) = layouts.pairs.get_mut() {
                pack_for(direction, &self.shape, oihw, true, pairs);
            }
            if let Some(transformed) = layouts.transformed.get_mut() {
                transformed.refill(oihw);
            }
            if let Some(in_order) = layouts.in_order.get_mut() {
                in_order.refill(oihw);
            }
            if let Some(tiled) = layouts.tiled.get_mut() {
                tiled.refill(oihw);
            }
        }
    }

    /// The weights themselves, `[c_out, c_in / groups, kernel]`.
    pub(super) fn oihw(&self) -> &[f32] {
        &self.oihw
    }

    /// The convolution these weights belong to.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    fn layouts(&self, direction: Direction) -> &Layouts {
        &self.layouts[direction as usize]
    }

    /// A matrix a group, in panels: forward `[taps * c_in of a group, c_out of a group]`, backward
    /// `[taps * c_out of a group, c_in of a group]`, taps as [`backward_taps`] orders them. Depthwise, forward only:
    /// `[taps, c]`.
    pub(super) fn packed(&self, direction: Direction) -> &[f32] {
        self.layouts(direction).packed.get_or_init(|| {
            let ([ci, co], taps) = (self.shape.group(), self.shape.taps());
            let len = match direction {
                _ if self.shape.is_depthwise() => self.oihw.len(),
                Direction::Forward => self.shape.groups * packed_len(taps * ci, co),
                Direction::Backward => self.shape.groups * packed_len(taps * co, ci),
            };
            let mut packed = vec![0.0; len];
            pack_for(direction, &self.shape, &self.oihw, false, &mut packed);
            packed
        })
    }

    /// As [`Filter::packed`], of a convolution that is not depthwise, and `pairs` as a product of pairs wants it: two rows,
    /// which are neighbouring channels of a tap, in one.
    pub(super) fn panels(&self, direction: Direction, pairs: bool) -> &[f32] {
        if !pairs {
            return self.packed(direction);
        }
        self.layouts(direction).pairs.get_or_init(|| {
            let ([ci, co], taps) = (self.shape.group(), self.shape.taps());
            let [depth, width] = direction.channels([ci, co]);
            let mut packed = vec![0.0; self.shape.groups * packed_len(taps * depth / 2, width)];
            pack_for(direction, &self.shape, &self.oihw, true, &mut packed);
            packed
        })
    }

    /// For Winograd's algorithm.
    pub(super) fn transformed(&self, direction: Direction) -> &Transformed {
        let channels = [self.shape.c_in, self.shape.c_out];
        self.layouts(direction).transformed.get_or_init(|| Transformed::new(&self.oihw, direction, channels))
    }

    /// For Winograd's algorithm where the transformed weights would be too large.
    pub(super) fn in_order(&self, direction: Direction) -> &Taps {
        let channels = [self.shape.c_in, self.shape.c_out];
        self.layouts(direction).in_order.get_or_init(|| Taps::new(&self.oihw, direction, channels))
    }

    /// For products of tiles.
    pub(super) fn tiled(&self, direction: Direction) -> &Tiled {
        self.layouts(direction).tiled.get_or_init(|| Tiled::new(&self.shape, &self.oihw, direction))
    }
}

fn pack_for(direction: Direction, shape: &ConvShape, oihw: &[f32], pairs: bool, packed: &mut [f32]) {
    match direction {
        Direction::Forward => pack_forward(shape, oihw, pairs, packed),
        Direction::Backward => pack_backward(shape, oihw, pairs, packed),
    }
}

/// Packs a group's matrix `[k, n]`.
fn pack_matrix(
    pairs: bool,
    [k, n]: [usize; 2],
    packed: &mut [f32],
    source: &[f32],
    offset: impl Fn(usize) -> usize + Sync,
    stride: usize,
) {
    match pairs {
        true => pack_pairs([k / 2, n], packed, source, offset, stride),
        false => pack([k, n], packed, source, offset, stride),
    }
}

/// Floats of a group's packed matrix.
fn a_group(pairs: bool, [k, n]: [usize; 2]) -> usize {
    packed_len(if pairs { k / 2 } else { k }, n).max(1)
}

fn pack_forward(shape: &ConvShape, oihw: &[f32], pairs: bool, packed: &mut [f32]) {
    let ([ci, co], taps) = (shape.group(), shape.taps());
    if shape.is_depthwise() {
        for_chunks(packed, shape.c_out, |tap, packed| {
            packed.iter_mut().zip(oihw[tap..].iter().step_by(taps)).for_each(|(packed, &w)| *packed = w);
        });
        return;
    }
    for (group, packed) in packed.chunks_exact_mut(a_group(pairs, [taps * ci, co])).enumerate() {
        let oihw = &oihw[group * co * ci * taps..][..co * ci * taps];
        pack_matrix(pairs, [taps * ci, co], packed, oihw, |row| row % ci * taps + row / ci, ci * taps);
    }
}

fn pack_backward(shape: &ConvShape, oihw: &[f32], pairs: bool, packed: &mut [f32]) {
    let ([ci, co], taps) = (shape.group(), shape.taps());
    let order: Vec<usize> =
        backward_taps(shape).into_iter().flat_map(|phase| phase.taps).map(|Tap { weight, .. }| weight).collect();
    for (group, packed) in packed.chunks_exact_mut(a_group(pairs, [taps * co, ci])).enumerate() {
        let oihw = &oihw[group * co * ci * taps..][..co * ci * taps];
        pack_matrix(pairs, [taps * co, ci], packed, oihw, |row| row % co * ci * taps + order[row / co], taps);
    }
}
