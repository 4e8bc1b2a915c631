//! The memory plan: which storages of a plan may lie in the same place.
//!
//! A storage lives from the step that first writes it to the step that last reads it. Two whose
//! lives do not meet may share memory. Greedy by size (Pisarchyk & Lee, arXiv 2001.03288).

use std::ops::Range;

use crate::{Element, EngineError};

/// A piece of the arena: `film` elements for each film and `fixed` more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte of the arena, a multiple of 256.
    pub offset: usize,
    /// What it holds.
    pub element: Element,
    /// Elements a film.
    pub film: usize,
    /// Elements whatever the batch.
    pub fixed: usize,
    /// Whether it holds only the films that are worked on at a time, not all of the batch.
    pub passing: bool,
}

impl Region {
    /// Where it lies for a batch of `n`, in elements of its own type from the arena's beginning.
    pub fn range(&self, n: usize) -> Range<usize> {
        self.films(&(0..n))
    }

    /// Where some films of a batch lie while they are worked on, in elements of its own type from the arena's beginning.
    pub fn films(&self, films: &Range<usize>) -> Range<usize> {
        let before = if self.passing { 0 } else { films.start * self.film };
        let start = self.offset / self.element.bytes() + before;
        start..start + films.len() * self.film + self.fixed
    }

    /// Where it lies for a batch of `n`, in bytes.
    pub fn bytes(&self, n: usize) -> Range<usize> {
        self.offset..self.offset + (n * self.film + self.fixed) * self.element.bytes()
    }
}

/// Something that needs room.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub element: Element,
    pub film: usize,
    pub fixed: usize,
    /// Films it has room for.
    pub films: usize,
    /// First and last step that touches it, inclusive.
    pub life: [usize; 2],
}

impl Storage {
    fn bytes(&self) -> usize {
        ((self.film * self.films + self.fixed) * self.element.bytes()).next_multiple_of(ALIGN)
    }
}

/// Bytes to which regions are aligned: several cache lines, and as many as any GPU asks of what is bound to a shader.
const ALIGN: usize = 256;

/// Places for all storages of a plan for `capacity` films, in order, and the size of the arena in bytes; none lies across a
/// multiple of `piece` bytes.
///
/// # Errors
/// [`EngineError::OutOfMemory`] for one that is larger than a piece.
pub(crate) fn place(
    storages: &[Storage],
    capacity: usize,
    piece: Option<usize>,
) -> Result<(Vec<Region>, usize), EngineError> {
    let piece = piece.unwrap_or(usize::MAX);
    if let Some(bytes) = storages.iter().map(Storage::bytes).find(|bytes| *bytes > piece) {
        return Err(EngineError::OutOfMemory { bytes });
    }
    // From `offset` on, or from the next piece where it would lie across its beginning.
    let fit = |offset: usize, bytes: usize| match offset / piece == (offset + bytes.max(1) - 1) / piece {
        true => offset,
        false => (offset / piece + 1) * piece,
    };
    let mut order: Vec<usize> = (0..storages.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(storages[i].bytes()), i));
    let region = |s: &Storage| {
        let Storage { element, film, fixed, films, .. } = *s;
        Region { offset: 0, element, film, fixed, passing: films < capacity }
    };
    let mut regions: Vec<Region> = storages.iter().map(region).collect();
    let mut placed: Vec<usize> = Vec::new();
    let mut total = 0;
    for i in order {
        let s = &storages[i];
        let mut taken: Vec<[usize; 2]> = placed
            .iter()
            .filter(|&&j| storages[j].life[0] <= s.life[1] && s.life[0] <= storages[j].life[1])
            .map(|&j| [regions[j].offset, regions[j].offset + storages[j].bytes()])
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for [start, end] in taken {
            if fit(offset, s.bytes()) + s.bytes() <= start {
                break;
            }
            offset = offset.max(end);
        }
        let offset = fit(offset, s.bytes());
        regions[i].offset = offset;
        total = total.max(offset + s.bytes());
        placed.push(i);
    }
    Ok((regions, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storages() -> Vec<Storage> {
        let s = |film, a, b| Storage { element: Element::F32, film, fixed: 0, films: 2, life: [a, b] };
        vec![s(400, 0, 1), s(400, 1, 2), s(400, 2, 3), s(200, 0, 3), s(40, 3, 3), s(300, 1, 3), s(0, 1, 2)]
    }

    fn apart(storages: &[Storage], regions: &[Region]) {
        for (i, a) in storages.iter().enumerate() {
            for (j, b) in storages.iter().enumerate().skip(i + 1) {
                if a.life[0] <= b.life[1] && b.life[0] <= a.life[1] {
                    let (p, q) = (regions[i].bytes(2), regions[j].bytes(2));
                    assert_eq!(p.len(), 4 * regions[i].range(2).len());
                    assert!(p.end <= q.start || q.end <= p.start, "{i} and {j} overlap");
                }
            }
        }
    }

    #[test]
    fn lives_that_meet_never_share_and_others_do() {
        let storages = storages();
        let (regions, total) = place(&storages, 2, None).unwrap();
        apart(&storages, &regions);
        assert!(total < 4 * 2 * 1740, "nothing was shared: {total}");
    }

    #[test]
    fn nothing_lies_across_two_pieces() {
        let storages = storages();
        for piece in [3328, 3584, 4096, 6400] {
            let (regions, total) = place(&storages, 2, Some(piece)).unwrap();
            apart(&storages, &regions);
            for region in &regions {
                let bytes = region.bytes(2);
                assert_eq!(bytes.start / piece, (bytes.end.max(bytes.start + 1) - 1) / piece, "{region:?} of {piece}");
                assert!(bytes.end <= total);
            }
        }
        assert!(matches!(place(&storages, 2, Some(3072)), Err(EngineError::OutOfMemory { bytes: 3328 })));
    }
}
