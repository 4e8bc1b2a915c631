//! Weights as the kernels like to read them.

use std::sync::OnceLock;

use super::ConvShape;
use super::gather::{Tap, backward_taps};
use super::winograd::Transformed;
use crate::chunks::for_chunks;
use crate::product::{pack, packed_len, panel};

/// A convolution's weights, packed. Made from OIHW once, refilled without allocation after each step of an optimiser.
///
/// Its layout is private: this is where other algorithms keep their transformed weights.
#[derive(Clone, Debug)]
pub struct Filter {
    shape: ConvShape,
    /// A matrix `[taps * c_in of a group, c_out of a group]` a group, in panels; depthwise: `[taps, c]`.
    forward: Vec<f32>,
    /// A matrix `[taps * c_out of a group, c_in of a group]` a group, in panels, taps as [`backward_taps`] orders them.
    /// Made when first wanted: inference never does.
    backward: OnceLock<Vec<f32>>,
    /// For Winograd's algorithm, each direction; made when first wanted.
    transformed: OnceLock<Transformed>,
    transformed_backward: OnceLock<Transformed>,
}

/// The window's pixels row by row, as `forward` keeps them and as the gradient to the input meets them.
const ORDER: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/// As [`backward_taps`] orders them: the window upside down, its rows left to right.
const BACKWARD_ORDER: [usize; 9] = [6, 7, 8, 3, 4, 5, 0, 1, 2];

impl Filter {
    /// Packs weights `[c_out, c_in / groups, kernel]`.
    pub fn new(shape: &ConvShape, oihw: &[f32]) -> Filter {
        assert!(shape.c_in.is_multiple_of(shape.groups) && shape.c_out.is_multiple_of(shape.groups), "{shape:?}");
        let mut filter = Filter {
            shape: *shape,
            forward: vec![0.0; forward_len(shape)],
            backward: OnceLock::new(),
            transformed: OnceLock::new(),
            transformed_backward: OnceLock::new(),
        };
        filter.refill(oihw);
        filter
    }

    /// As [`Filter::new`], each output channel multiplied by its `scale`: a batch normalisation folded in.
    pub fn scaled(shape: &ConvShape, oihw: &[f32], scale: &[f32]) -> Filter {
        assert_eq!((oihw.len(), scale.len()), (shape.weight_len(), shape.c_out));
        let a_channel = shape.weight_len() / shape.c_out;
        let scaled: Vec<f32> =
            oihw.chunks_exact(a_channel).zip(scale).flat_map(|(w, scale)| w.iter().map(move |w| w * scale)).collect();
        Filter::new(shape, &scaled)
    }

    /// Takes other weights of the same shape; allocates nothing.
    pub fn refill(&mut self, oihw: &[f32]) {
        assert_eq!(oihw.len(), self.shape.weight_len());
        pack_forward(&self.shape, oihw, &mut self.forward);
        if let Some(backward) = self.backward.get_mut() {
            pack_backward(&self.shape, &self.forward, backward);
        }
        if let Some(transformed) = self.transformed.get_mut() {
            transformed.refill(&self.forward, ORDER);
        }
        if let (Some(transformed), Some(backward)) = (self.transformed_backward.get_mut(), self.backward.get()) {
            transformed.refill(backward, BACKWARD_ORDER);
        }
    }

    pub(super) fn transformed(&self) -> &Transformed {
        self.transformed.get_or_init(|| Transformed::new(self.shape.c_in, self.shape.c_out, &self.forward, ORDER))
    }

    pub(super) fn transformed_backward(&self) -> &Transformed {
        self.transformed_backward
            .get_or_init(|| Transformed::new(self.shape.c_out, self.shape.c_in, self.backward(), BACKWARD_ORDER))
    }

    /// The convolution these weights belong to.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// A matrix `[taps * c_in of a group, c_out of a group]` a group, in panels; depthwise: `[taps, c]`.
    pub(super) fn forward(&self) -> &[f32] {
        &self.forward
    }

    /// A matrix `[taps * c_out of a group, c_in of a group]` a group, in panels, taps as [`backward_taps`] orders them;
    /// not for depthwise.
    pub(super) fn backward(&self) -> &[f32] {
        self.backward.get_or_init(|| {
            let ([ci, co], taps) = (self.shape.group(), self.shape.taps());
            let mut backward = vec![0.0; self.shape.groups * packed_len(taps * co, ci)];
            pack_backward(&self.shape, &self.forward, &mut backward);
            backward
        })
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

fn pack_backward(shape: &ConvShape, forward: &[f32], packed: &mut [f32]) {
    let ([ci, co], taps, panel) = (shape.group(), shape.taps(), panel());
    let order: Vec<usize> =
        backward_taps(shape).into_iter().flat_map(|phase| phase.taps).map(|Tap { weight, .. }| weight).collect();
    for (group, packed) in packed.chunks_exact_mut(packed_len(taps * co, ci).max(1)).enumerate() {
        let forward = &forward[group * packed_len(taps * ci, co)..];
        let offset = |row: usize| {
            let (tap, o) = (order[row / co], row % co);
            (o / panel * taps * ci + tap * ci) * panel + o % panel
        };
        pack([taps * co, ci], packed, forward, offset, panel);
    }
}

/// Floats of the packed weights of the forward direction.
fn forward_len(shape: &ConvShape) -> usize {
    let ([ci, co], taps) = (shape.group(), shape.taps());
    if shape.is_depthwise() { shape.weight_len() } else { shape.groups * packed_len(taps * ci, co) }
}
