//! The transform of the output: from the Winograd domain to pixels.

use pulp::Simd;

use super::places::Places;
use super::transforms::{TileWork, at, load, nth};
use super::{ELEMENTS, Tiles, has};
use crate::conv::epilogue::Finish;
use crate::stored::Stored;

/// Tiles of the output from `m`.
pub(super) struct Output<'a, T> {
    pub(super) tiles: &'a Tiles,
    pub(super) places: &'a Places,
    /// 36 planes `[tiles, channels]`.
    pub(super) m: &'a [f32],
    pub(super) channels: usize,
    pub(super) finish: Finish<'a, T>,
    /// All pixels of these rows of tiles, `channels` each.
    pub(super) y: &'a mut [T],
}

impl<S: Simd, T: Stored> TileWork<S> for Output<'_, T> {
    #[inline(always)]
    fn tile<const H: usize, const W: usize>(&mut self, simd: S, row: usize, column: usize) {
        let Tiles { out, tiles, .. } = *self.tiles;
        let channels = self.channels;
        let (lanes, plane, zero) = (S::F32_LANES, self.m.len() / ELEMENTS, simd.splat_f32s(0.0));
        let start = self.tiles.row(self.places.rows.start);
        let y0 = self.tiles.row(row) - start;
        let (high, wide) = ((out[0] - row % tiles[0] * 4).min(H), (out[1] - column * 4).min(W));
        let place = self.places.of(row, column);
        for channel in (0..channels).step_by(lanes) {
            let from = place * channels + channel;
            let mut columns = [[zero; 4]; 6];
            for (j, column) in columns.iter_mut().enumerate().filter(|&(j, _)| has(W, j)) {
                let mut values = [zero; 6];
                for (i, value) in values.iter_mut().enumerate().filter(|&(i, _)| has(H, i)) {
                    *value = load::<S>(self.m, (i * 6 + j) * plane + from);
                }
                *column = at::<S, H>(simd, values);
            }
            for i in 0..high {
                let values = at::<S, W>(simd, nth(&columns, i));
                let place = ((y0 + i) * out[1] + column * 4) * channels + channel;
                for (j, &value) in values.iter().enumerate().take(wide) {
                    let place = place + j * channels;
                    let y = &mut self.y[place..][..lanes];
                    self.finish.finish(simd, value, channel, start * out[1] * channels + place, y);
                }
            }
        }
    }
}
