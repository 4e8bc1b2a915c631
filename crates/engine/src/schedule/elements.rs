//! What each value of a plan is stored as.
//!
//! In bf16 and in f16 that is a half for images, as PyTorch's autocast has it, and single precision for the pixels that are fed
//! to a network's first convolution and for all that follows the pooling of pixels: there are few of those, and softmax and loss
//! are made of them.

use super::Kind;
use super::draft::Draft;
use crate::{Element, PlanSpec, Precision, Shape};

/// Channels of pixels, at most.
const PIXELS: usize = 4;

/// By value. Where steps cannot do with it - a linear layer that reads an image of one pixel, the sum of a vector and an
/// image - all values are single floats.
pub(super) fn elements(steps: &[Draft], shapes: &[Shape], needs_gradient: &[bool], spec: &PlanSpec) -> Vec<Element> {
    let single = vec![Element::F32; shapes.len()];
    if spec.precision == Precision::Fp32 {
        return single;
    }
    let half = spec.precision.of_images();
    let from = spec.from;
    let mut elements = single.clone();
    let mut readers = steps.iter().filter(|step| step.reads.contains(&from));
    let pixels = shapes[from.0].c <= PIXELS
        && !needs_gradient[from.0]
        && readers.all(|step| matches!(&step.kind, Kind::Conv(conv) if conv.groups == 1) && step.reads == [from]);
    if !pixels && shapes[from.0].pixels() > 1 {
        elements[from.0] = half;
    }
    for step in steps {
        let x = elements[step.reads[0].0];
        let reads_pixels = step.reads[0] == from && pixels && shapes[from.0].pixels() > 1;
        let (reads, y) = match step.kind {
            Kind::AveragePool(_) => (x, Element::F32),
            Kind::Gemm(_) | Kind::LogSoftmax(_) => (Element::F32, Element::F32),
            Kind::Conv(_) if reads_pixels => (x, half),
            _ => (x, x),
        };
        // What is added lies as the result does.
        if x != reads || step.reads[1..].iter().any(|v| elements[v.0] != y) {
            return single;
        }
        elements[step.writes.0] = y;
    }
    elements
}
