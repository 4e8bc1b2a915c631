//! The transformed filter.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::FREQUENCIES;
use super::transforms::{g, load, nth};
use crate::product::{WIDTH, panel};

/// A filter at the 36 frequencies, `[c_out / panel, 36, c_in, panel]`.
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
        let (taps_len, u_len) = (9 * c_in * panel(), FREQUENCIES * c_in * panel());
        self.u.par_chunks_mut(u_len).zip(taps.par_chunks(taps_len)).for_each(|(u, taps)| {
            crate::machine::arch().dispatch(FilterTransform { c_in, taps, order, u });
        });
    }
}

/// The transform for one panel of output channels.
struct FilterTransform<'a> {
    c_in: usize,
    /// `[9, c_in, panel]`.
    taps: &'a [f32],
    order: [usize; 9],
    /// `[36, c_in, panel]`.
    u: &'a mut [f32],
}

impl WithSimd for FilterTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A plane of a pixel, or of a frequency: vectors lie in it as they are worked on.
        let plane = self.c_in * WIDTH * S::F32_LANES;
        for at in (0..plane).step_by(S::F32_LANES) {
            let mut columns = [[simd.splat_f32s(0.0); 6]; 3];
            for (j, column) in columns.iter_mut().enumerate() {
                let mut taps = [simd.splat_f32s(0.0); 3];
                for (i, tap) in taps.iter_mut().enumerate() {
                    *tap = load::<S>(self.taps, self.order[i * 3 + j] * plane + at);
                }
                *column = g(simd, taps);
            }
            for i in 0..6 {
                let row = g(simd, nth(&columns, i));
                for (j, value) in row.into_iter().enumerate() {
                    S::as_mut_simd_f32s(&mut self.u[(i * 6 + j) * plane + at..][..S::F32_LANES]).0[0] = value;
                }
            }
        }
    }
}
