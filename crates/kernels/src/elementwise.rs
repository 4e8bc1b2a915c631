//! Additions, multiplications, ReLU and clipping of whole tensors, element by element. All slices of one call have the same length.

use crate::chunks::{ELEMENTS, for_chunks, map1, map2, vectorised};

/// `x = max(x, 0)`. A NaN stays NaN, as in PyTorch.
pub fn relu_in_place(x: &mut [f32]) {
    for_chunks(x, ELEMENTS, |_, x| {
        vectorised(|| x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }));
    });
}

/// `x = min(max(x, min), max)`. A NaN stays NaN.
pub fn clip_in_place(x: &mut [f32], min: f32, max: f32) {
    for_chunks(x, ELEMENTS, |_, x| {
        vectorised(|| x.iter_mut().for_each(|x| *x = crate::conv::Act::Clip { min, max }.apply(*x)));
    });
}

/// From the result `y` of a ReLU and the gradient to it, the gradient to its input: `dy *= y > 0`.
pub fn relu_backward_in_place(y: &[f32], dy: &mut [f32]) {
    map1(dy, y, |dy, y| if y > 0.0 { dy } else { 0.0 });
}

/// From the result `y` of a clip and the gradient to it, the gradient to its input: `dy` where
/// `min < y < max`, else 0 (PyTorch's `hardtanh`, `relu6`).
pub fn clip_backward_in_place(y: &[f32], dy: &mut [f32], min: f32, max: f32) {
    map1(dy, y, move |dy, y| if y > min && y < max { dy } else { 0.0 });
}

/// `y = a + b`.
pub fn add(a: &[f32], b: &[f32], y: &mut [f32]) {
    map2(y, a, b, |_, a, b| a + b);
}

/// `dst += src`.
pub fn accumulate(dst: &mut [f32], src: &[f32]) {
    map1(dst, src, |dst, src| dst + src);
}

/// `dst = src`.
pub fn copy(dst: &mut [f32], src: &[f32]) {
    assert_eq!(dst.len(), src.len());
    for_chunks(dst, ELEMENTS, |index, dst| dst.copy_from_slice(&src[index * ELEMENTS..][..dst.len()]));
}

/// `y = x * mask`.
pub fn multiply(x: &[f32], mask: &[f32], y: &mut [f32]) {
    map2(y, x, mask, |_, x, mask| x * mask);
}
