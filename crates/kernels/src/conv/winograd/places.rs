//! The order in which Winograd's tiles lie in the planes of `v` and `m`: such that the tiles that have an element are neighbours.
//!
//! First come the tiles that are short in height alone, then the whole ones, then those that are short in width alone, and
//! the corners last.

use std::ops::Range;

use super::{Tiles, has};

pub(super) struct Places {
    /// Rows of tiles of a film where the last is short; `None` where it is not.
    film: Option<usize>,
    /// First and last but one row of tiles, counted through all films.
    pub(super) rows: Range<usize>,
    /// Short rows and whole rows among them.
    short: usize,
    whole: usize,
    /// Whole columns, and short ones: one or none.
    columns: [usize; 2],
    last: [usize; 2],
}

impl Places {
    pub(super) fn new(tiles: &Tiles, rows: Range<usize>) -> Self {
        let film = (tiles.last[0] < 4).then_some(tiles.tiles[0]);
        let short = film.map_or(0, |film| rows.end / film - rows.start / film);
        let short_column = usize::from(tiles.last[1] < 4);
        Places {
            film,
            short,
            whole: rows.len() - short,
            rows,
            columns: [tiles.tiles[1] - short_column, short_column],
            last: tiles.last,
        }
    }

    /// Tiles in all.
    pub(super) fn count(&self) -> usize {
        self.rows.len() * (self.columns[0] + self.columns[1])
    }

    /// Where a tile lies.
    #[inline(always)]
    pub(super) fn of(&self, row: usize, column: usize) -> usize {
        let (short_before, is_short) = match self.film {
            Some(film) => (row / film - self.rows.start / film, row % film + 1 == film),
            None => (0, false),
        };
        let whole_before = row - self.rows.start - short_before;
        let [width, _] = self.columns;
        match (is_short, column == width) {
            (true, false) => short_before * width + column,
            (false, false) => (self.short + whole_before) * width + column,
            (false, true) => self.rows.len() * width + whole_before,
            (true, true) => self.rows.len() * width + self.whole + short_before,
        }
    }

    /// The tiles that have element `e` of the 36.
    #[inline(always)]
    pub(super) fn range(&self, e: usize) -> Range<usize> {
        let [width, short_column] = self.columns;
        let start = if has(self.last[0], e / 6) { 0 } else { self.short * width };
        let end = match (has(self.last[0], e / 6), has(self.last[1], e % 6)) {
            (true, true) => self.count(),
            (false, true) => self.rows.len() * width + self.whole * short_column,
            (_, false) => self.rows.len() * width,
        };
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::ConvShape;

    #[test]
    fn every_tile_has_a_place_and_every_element_its_tiles() {
        for ([h, w], rows) in [([14, 14], 0..8), ([14, 14], 3..10), ([7, 7], 2..16), ([8, 6], 1..5), ([5, 12], 0..6)] {
            let shape =
                ConvShape { h, w, c_in: 32, c_out: 32, kernel: [3; 2], stride: [1; 2], pads: [1; 4], groups: 1 };
            let tiles = Tiles::new(&shape);
            let places = Places::new(&tiles, rows.clone());
            let mut seen = vec![false; places.count()];
            for (row, column) in rows.flat_map(|row| (0..tiles.tiles[1]).map(move |column| (row, column))) {
                let place = places.of(row, column);
                assert!(!std::mem::replace(&mut seen[place], true), "{h}x{w}: two tiles at {place}");
                let [high, wide] = tiles.extent(row, column);
                for e in 0..36 {
                    let wanted = has(high, e / 6) && has(wide, e % 6);
                    assert_eq!(places.range(e).contains(&place), wanted, "{h}x{w}: tile {row}, {column}, element {e}");
                }
            }
            assert!(seen.into_iter().all(|seen| seen));
        }
    }
}
