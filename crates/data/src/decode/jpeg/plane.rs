//! The samples of one channel of a picture.

use std::cell::RefCell;

/// Channels of at most so many samples are kept for the next picture.
const MOST_KEPT: usize = 1 << 20;
/// So many of them on a thread.
const MOST_CHANNELS: usize = 4;

thread_local! {
    /// The memory of channels that were made into pixels. A film after another wants the same; asked of the system each time, it
    /// takes a fifth of what a film in colour takes.
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Row by row, `[height][width]`.
pub(super) struct Plane<S> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) samples: Vec<S>,
}

impl<S: Copy + Default> Plane<S> {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, samples: vec![S::default(); width * height] }
    }

    /// A row; beyond the last one, the last.
    #[inline(always)]
    pub(super) fn row(&self, y: usize) -> &[S] {
        &self.samples[y.min(self.height - 1) * self.width..][..self.width]
    }

    /// Writes a block, of which `row` gives each row, as far as it is within the plane.
    #[inline(always)]
    pub(super) fn write(&mut self, (x, y): (usize, usize), row: impl Fn(usize) -> [S; 8]) {
        if x >= self.width {
            return;
        }
        let wide = (self.width - x).min(8);
        let rows = self.samples.chunks_exact_mut(self.width).skip(y).take(8);
        for (i, to) in rows.enumerate() {
            let to = &mut to[x..][..wide];
            match to.first_chunk_mut() {
                Some(to) => *to = row(i),
                None => to.copy_from_slice(&row(i)[..wide]),
            }
        }
    }
}

impl Plane<u8> {
    /// A channel of a picture of several, in memory that another one had, where it is enough.
    pub(super) fn again(width: usize, height: usize) -> Self {
        let size = width * height;
        let kept = KEPT.with_borrow_mut(|kept| {
            let fits = kept.iter().position(|kept| kept.capacity() >= size);
            // One that is too small makes room for this one, once it is kept.
            fits.or_else(|| kept.len().checked_sub(1)).map(|at| kept.swap_remove(at))
        });
        let mut samples = kept.filter(|kept| kept.capacity() >= size).unwrap_or_default();
        samples.clear();
        samples.resize(size, 0);
        Self { width, height, samples }
    }

    /// Nobody needs it any more.
    pub(super) fn give_back(self) {
        if self.samples.capacity() <= MOST_KEPT {
            KEPT.with_borrow_mut(|kept| {
                if kept.len() < MOST_CHANNELS {
                    kept.push(self.samples);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_is_empty() {
        let mut first = Plane::again(30, 20);
        first.samples.fill(7);
        let place = first.samples.as_ptr();
        first.give_back();
        let second = Plane::again(20, 20);
        assert_eq!((second.samples.as_ptr(), &second.samples[..]), (place, &[0; 400][..]));
        second.give_back();
        // A larger one takes its place, and none is kept beyond a bound.
        let third = Plane::again(40, 20);
        assert_eq!((third.samples.len(), KEPT.with_borrow(Vec::len)), (800, 0));
        let many: Vec<_> = (0..9).map(|_| Plane::again(10, 10)).collect();
        many.into_iter().for_each(Plane::give_back);
        Plane::again(MOST_KEPT, 2).give_back();
        let kept = KEPT.with_borrow(|kept| kept.iter().map(Vec::capacity).sum::<usize>());
        assert!(kept <= 9 * 100 && KEPT.with_borrow(Vec::len) <= MOST_CHANNELS, "{kept}");
    }
}
