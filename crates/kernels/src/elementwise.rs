//! Additions, multiplications, ReLU and clipping of whole tensors, element by element. All slices of one call have the same length.

use crate::chunks::{ELEMENTS, for_chunks, map1, map2, vectorised};
use crate::stored::Stored;

/// `x = max(x, 0)`. A NaN stays NaN, as in PyTorch.
pub fn relu_in_place<T: Stored>(x: &mut [T]) {
    for_chunks(x, ELEMENTS, |_, x| {
        vectorised(|| x.iter_mut().for_each(|x| *x = T::rounded(crate::conv::Act::Relu.apply(x.widened()))));
    });
}

/// `x = min(max(x, min), max)`. A NaN stays NaN.
pub fn clip_in_place<T: Stored>(x: &mut [T], min: f32, max: f32) {
    for_chunks(x, ELEMENTS, |_, x| {
        let act = crate::conv::Act::Clip { min, max };
        vectorised(|| x.iter_mut().for_each(|x| *x = T::rounded(act.apply(x.widened()))));
    });
}

/// From the result `y` of a ReLU and the gradient to it, the gradient to its input: `dy *= y > 0`.
pub fn relu_backward_in_place<T: Stored>(y: &[T], dy: &mut [T]) {
    map1(dy, y, |dy, y| if y > 0.0 { dy } else { 0.0 });
}

/// From the result `y` of a clip and the gradient to it, the gradient to its input: `dy` where
/// `min < y < max`, else 0 (PyTorch's `hardtanh`, `relu6`).
pub fn clip_backward_in_place<T: Stored>(y: &[T], dy: &mut [T], min: f32, max: f32) {
    map1(dy, y, move |dy, y| if y > min && y < max { dy } else { 0.0 });
}

/// `y = a + b`.
pub fn add<T: Stored>(a: &[T], b: &[T], y: &mut [T]) {
    map2(y, a, b, |a, b| a + b);
}

/// `dst += src`.
pub fn accumulate<T: Stored>(dst: &mut [T], src: &[T]) {
    map1(dst, src, |dst, src| dst + src);
}

/// `dst = src`.
pub fn copy<T: Stored>(dst: &mut [T], src: &[T]) {
    assert_eq!(dst.len(), src.len());
    for_chunks(dst, ELEMENTS, |index, dst| dst.copy_from_slice(&src[index * ELEMENTS..][..dst.len()]));
}

/// `y = x * mask`.
pub fn multiply<T: Stored>(x: &[T], mask: &[f32], y: &mut [T]) {
    assert_eq!((y.len(), y.len()), (x.len(), mask.len()));
    for_chunks(y, ELEMENTS, |index, y| {
        let (x, mask) = (&x[index * ELEMENTS..][..y.len()], &mask[index * ELEMENTS..][..y.len()]);
        vectorised(|| y.iter_mut().zip(x).zip(mask).for_each(|((y, x), mask)| *y = T::rounded(x.widened() * mask)));
    });
}
