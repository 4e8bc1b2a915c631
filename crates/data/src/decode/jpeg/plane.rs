//! The samples of one channel of a picture.

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
