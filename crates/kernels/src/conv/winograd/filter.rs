//! The transformed filter.

use pulp::{Simd, WithSimd};

use super::FREQUENCIES;
use super::transforms::g;
use crate::product::WIDTH;

/// A filter at the 36 frequencies, `[36, c_out / panel, c_in, panel]`.
#[derive(Clone, Debug)]
pub(in crate::conv) struct Transformed {
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    pub(super) u: Vec<f32>,
}

impl Transformed {
    /// From `taps` `[9 * c_in, c_out]` in panels; `order[t]` is the index of pixel `t` (row by row) of the window.
    pub(in crate::conv) fn new(c_in: usize, c_out: usize, taps: &[f32], order: [usize; 9]) -> Self {
        let mut transformed = Transformed { c_in, c_out, u: vec![0.0; FREQUENCIES * c_in * c_out] };
        transformed.refill(taps, order);
        transformed
    }

    /// Takes other weights of the same shape; allocates nothing.
    pub(in crate::conv) fn refill(&mut self, taps: &[f32], order: [usize; 9]) {
        let Transformed { c_in, c_out, .. } = *self;
        assert_eq!(taps.len(), 9 * c_in * c_out);
        crate::machine::arch().dispatch(FilterTransform { c_in, c_out, taps, order, u: &mut self.u });
    }
}

struct FilterTransform<'a> {
    c_in: usize,
    c_out: usize,
    taps: &'a [f32],
    order: [usize; 9],
    u: &'a mut [f32],
}

impl WithSimd for FilterTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let panel = WIDTH * S::F32_LANES;
        let plane = self.c_in * self.c_out;
        for c in 0..self.c_in {
            for k in (0..self.c_out).step_by(S::F32_LANES) {
                let tap = |i: usize, j: usize| {
                    let row = self.order[i * 3 + j] * self.c_in + c;
                    let from = (k / panel * 9 * self.c_in + row) * panel + k % panel;
                    S::as_simd_f32s(&self.taps[from..][..S::F32_LANES]).0[0]
                };
                let columns: [[S::f32s; 6]; 3] = std::array::from_fn(|j| g(simd, std::array::from_fn(|i| tap(i, j))));
                for i in 0..6 {
                    let row = g(simd, std::array::from_fn(|j| columns[j][i]));
                    for (j, value) in row.into_iter().enumerate() {
                        let to = (i * 6 + j) * plane + (k / panel * self.c_in + c) * panel + k % panel;
                        S::as_mut_simd_f32s(&mut self.u[to..][..S::F32_LANES]).0[0] = value;
                    }
                }
            }
        }
    }
}
