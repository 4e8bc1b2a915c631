//! The transformed filter: weights in the Winograd domain, packed for the GEMMs there.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::transforms::{g, load, nth};
use super::{DEPTH, ELEMENTS, TAPS};
use crate::chunks::with_scratch;
use crate::conv::filter::Direction;
use crate::gemm::{WIDTH, panel};

/// A filter in the Winograd domain, `[c_out / panel, 36, c_in, panel]`; `c_in` and `c_out` are those of its direction.
#[derive(Clone, Debug)]
pub(in crate::conv) struct Transformed {
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    direction: Direction,
    pub(super) u: Vec<f32>,
}

impl Transformed {
    /// From weights `[k, c, 9]` of a convolution of `channels`, `c` to `k`.
    pub(in crate::conv) fn new(oihw: &[f32], direction: Direction, channels: [usize; 2]) -> Self {
        let [c_in, c_out] = direction.channels(channels);
        let mut transformed = Transformed { c_in, c_out, direction, u: vec![0.0; ELEMENTS * c_in * c_out] };
        transformed.refill(oihw);
        transformed
    }

    /// Takes other weights of the same shape; allocates nothing.
    pub(in crate::conv) fn refill(&mut self, oihw: &[f32]) {
        let Transformed { c_in, c_out, direction, .. } = *self;
        assert_eq!(oihw.len(), TAPS * c_in * c_out);
        let panel = panel();
        self.u.par_chunks_mut(ELEMENTS * c_in * panel).enumerate().for_each(|(i, u)| {
            with_scratch((TAPS + ELEMENTS) * DEPTH * panel, |scratch| {
                let (taps, block) = scratch.split_at_mut(TAPS * DEPTH * panel);
                for first in (0..c_in).step_by(DEPTH) {
                    match direction {
                        Direction::Forward => gather(oihw, [i * panel, first], [c_in * TAPS, TAPS], |t| t, taps),
                        Direction::Backward => gather(oihw, [i * panel, first], [TAPS, c_out * TAPS], |t| 8 - t, taps),
                    }
                    crate::machine::arch().dispatch(FilterTransform { taps, u: block });
                    for (plane, block) in u.chunks_exact_mut(c_in * panel).zip(block.chunks_exact(DEPTH * panel)) {
                        plane[first * panel..][..DEPTH * panel].copy_from_slice(block);
                    }
                }
            });
        });
    }
}

/// A panel of columns and `DEPTH` rows from `first` on, `[9, DEPTH, panel]`; a column and a row lie `strides` apart.
fn gather(oihw: &[f32], first: [usize; 2], strides: [usize; 2], pixel: impl Fn(usize) -> usize, taps: &mut [f32]) {
    let panel = taps.len() / (TAPS * DEPTH);
    for column in 0..panel {
        for row in 0..DEPTH {
            let from = (first[0] + column) * strides[0] + (first[1] + row) * strides[1];
            let window = &oihw[from..][..TAPS];
            for (t, taps) in taps.chunks_exact_mut(DEPTH * panel).enumerate() {
                taps[row * panel + column] = window[pixel(t)];
            }
        }
    }
}

/// The transform of `DEPTH` rows of a panel of output channels.
struct FilterTransform<'a> {
    /// `[9, DEPTH, panel]`.
    taps: &'a [f32],
    /// `[36, DEPTH, panel]`.
    u: &'a mut [f32],
}

impl WithSimd for FilterTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A plane of a pixel, or of an element: vectors lie in it as they are worked on.
        let plane = DEPTH * WIDTH * S::F32_LANES;
        for at in (0..plane).step_by(S::F32_LANES) {
            filter_to_domain::<S, 0, 6>(simd, self.taps, at, plane, |e, value| {
                S::as_mut_simd_f32s(&mut self.u[e * plane + at..][..S::F32_LANES]).0[0] = value;
            });
        }
    }
}

/// A vector of windows to some of the six lines of elements of the Winograd domain: its taps are `stride` apart from `taps[at]` on.
#[inline(always)]
pub(super) fn filter_to_domain<S: Simd, const FIRST: usize, const LINES: usize>(
    simd: S,
    taps: &[f32],
    at: usize,
    stride: usize,
    mut put: impl FnMut(usize, S::f32s),
) {
    let mut columns = [[simd.splat_f32s(0.0); 6]; 3];
    for (j, column) in columns.iter_mut().enumerate() {
        let mut taps_of = [simd.splat_f32s(0.0); 3];
        for (i, tap) in taps_of.iter_mut().enumerate() {
            *tap = load::<S>(taps, (i * 3 + j) * stride + at);
        }
        *column = g(simd, taps_of);
    }
    for i in FIRST..FIRST + LINES {
        let line = g(simd, nth(&columns, i));
        for (j, value) in line.into_iter().enumerate() {
            put(i * 6 + j, value);
        }
    }
}
