//! Weights as the kernels like to read them.

use std::sync::OnceLock;

use super::ConvShape;
use super::gather::{Tap, backward_taps};
use super::winograd::{Direction, Taps, Transformed};
use crate::chunks::{ELEMENTS, for_chunks};
use crate::product::{pack, packed_len};

/// A convolution's weights, and what the kernels have made of them. Made from OIHW once, refilled without allocation after
/// each step of an optimiser.
///
/// Its layouts are private and each is made when it is first wanted: inference never packs for a gradient, and what
/// Winograd's algorithm serves is never packed for another.
#[derive(Clone, Debug)]
pub struct Filter {
    shape: ConvShape,
    oihw: Vec<f32>,
    /// A matrix `[taps * c_in of a group, c_out of a group]` a group, in panels; depthwise: `[taps, c]`.
    forward: OnceLock<Vec<f32>>,
    /// A matrix `[taps * c_out of a group, c_in of a group]` a group, in panels, taps as [`backward_taps`] orders them.
    backward: OnceLock<Vec<f32>>,
    /// For Winograd's algorithm, each direction.
    transformed: OnceLock<Transformed>,
    transformed_backward: OnceLock<Transformed>,
    /// For Winograd's algorithm where that would be too large, each direction.
    in_order: OnceLock<Taps>,
    in_order_backward: OnceLock<Taps>,
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
        Filter {
            shape: *shape,
            oihw,
            forward: OnceLock::new(),
            backward: OnceLock::new(),
            transformed: OnceLock::new(),
            transformed_backward: OnceLock::new(),
            in_order: OnceLock::new(),
            in_order_backward: OnceLock::new(),
        }
    }

    /// Takes other weights of the same shape; allocates nothing.
    pub fn refill(&mut self, oihw: &[f32]) {
        assert_eq!(oihw.len(), self.shape.weight_len());
        for_chunks(&mut self.oihw, ELEMENTS, |index, own| own.copy_from_slice(&oihw[index * ELEMENTS..][..own.len()]));
        if let Some(forward) = self.forward.get_mut() {
            pack_forward(&self.shape, oihw, forward);
        }
        if let Some(backward) = self.backward.get_mut() {
            pack_backward(&self.shape, oihw, backward);
        }
        for transformed in [&mut self.transformed, &mut self.transformed_backward] {
            if let Some(transformed) = transformed.get_mut() {
                transformed.refill(oihw);
            }
        }
        for in_order in [&mut self.in_order, &mut self.in_order_backward] {
            if let Some(in_order) = in_order.get_mut() {
                in_order.refill(oihw);
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

    /// A matrix `[taps * c_in of a group, c_out of a group]` a group, in panels; depthwise: `[taps, c]`.
    pub(super) fn forward(&self) -> &[f32] {
        self.forward.get_or_init(|| {
            let ([ci, co], taps) = (self.shape.group(), self.shape.taps());
            let depthwise = self.shape.is_depthwise();
            let len = if depthwise { self.oihw.len() } else { self.shape.groups * packed_len(taps * ci, co) };
            let mut forward = vec![0.0; len];
            pack_forward(&self.shape, &self.oihw, &mut forward);
            forward
        })
    }

    /// A matrix `[taps * c_out of a group, c_in of a group]` a group, in panels, taps as [`backward_taps`] orders them;
    /// not for depthwise.
    pub(super) fn backward(&self) -> &[f32] {
        self.backward.get_or_init(|| {
            let ([ci, co], taps) = (self.shape.group(), self.shape.taps());
            let mut backward = vec![0.0; self.shape.groups * packed_len(taps * co, ci)];
            pack_backward(&self.shape, &self.oihw, &mut backward);
            backward
        })
    }

    pub(super) fn transformed(&self) -> &Transformed {
        let [c, k] = [self.shape.c_in, self.shape.c_out];
        self.transformed.get_or_init(|| Transformed::new(&self.oihw, Direction::Forward, [c, k]))
    }

    pub(super) fn transformed_backward(&self) -> &Transformed {
        let [c, k] = [self.shape.c_in, self.shape.c_out];
        self.transformed_backward.get_or_init(|| Transformed::new(&self.oihw, Direction::Backward, [c, k]))
    }

    pub(super) fn in_order(&self) -> &Taps {
        let [c, k] = [self.shape.c_in, self.shape.c_out];
        self.in_order.get_or_init(|| Taps::new(&self.oihw, Direction::Forward, [c, k]))
    }

    pub(super) fn in_order_backward(&self) -> &Taps {
        let [c, k] = [self.shape.c_in, self.shape.c_out];
        self.in_order_backward.get_or_init(|| Taps::new(&self.oihw, Direction::Backward, [c, k]))
    }
}

fn pack_forward(shape: &ConvShape, oihw: &[f32], packed: &mut [f32]) {
    let ([ci, co], taps) = (shape.group(), shape.taps());
    if shape.is_depthwise() {
        for_chunks(packed, shape.c_out, |tap, packed| {
            packed.iter_mut().zip(oihw[tap..].iter().step_by(taps)).for_each(|(packed, &w)| *packed = w);
        });
        return;
    }
    for (group, packed) in packed.chunks_exact_mut(packed_len(taps * ci, co).max(1)).enumerate() {
        let oihw = &oihw[group * co * ci * taps..][..co * ci * taps];
        pack([taps * ci, co], packed, oihw, |row| row % ci * taps + row / ci, ci * taps);
    }
}

fn pack_backward(shape: &ConvShape, oihw: &[f32], packed: &mut [f32]) {
    let ([ci, co], taps) = (shape.group(), shape.taps());
    let order: Vec<usize> =
        backward_taps(shape).into_iter().flat_map(|phase| phase.taps).map(|Tap { weight, .. }| weight).collect();
    for (group, packed) in packed.chunks_exact_mut(packed_len(taps * co, ci).max(1)).enumerate() {
        let oihw = &oihw[group * co * ci * taps..][..co * ci * taps];
        pack([taps * co, ci], packed, oihw, |row| row % co * ci * taps + order[row / co], taps);
    }
}
