//! A block of sums of products of tiles: what it reads and writes, whoever computes it.

/// Rows and columns of a block of sums, and elements of a step of depth.
pub(crate) const SIDE: usize = 32;

/// Pairs of a step of depth, and columns of a tile.
pub(crate) const PAIRS: usize = SIDE / 2;

/// Pairs that a step takes of the right operand: 16 rows of 32.
pub(crate) const STEP: usize = 2 * PAIRS * PAIRS;

/// Where along the rows of the left operand each step of depth begins.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    places: Vec<usize>,
    furthest: usize,
}

impl Steps {
    /// In pairs, from the beginning of the first row.
    pub(crate) fn new(places: Vec<usize>) -> Self {
        Steps { furthest: places.iter().copied().max().unwrap_or(0), places }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// See [`Steps::new`].
    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }
}

/// `c` `[32, 32]` = `a` times `b`, or added to it.
pub(crate) struct Block<'a> {
    /// 32 rows of pairs.
    pub(crate) a: &'a [f32],
    /// Distance of two.
    pub(crate) a_stride: usize,
    pub(crate) steps: &'a Steps,
    /// `[steps, 16, 32]`: a row of pairs of all columns after another.
    pub(crate) b: &'a [f32],
    pub(crate) c: &'a mut [f32],
    pub(crate) c_stride: usize,
    /// Add to what is in `c`.
    pub(crate) add: bool,
}

impl Block<'_> {
    /// What a product of tiles may rely on.
    pub(super) fn check(&self) {
        let rows = |stride: usize| stride.saturating_mul(SIDE - 1);
        let left = rows(self.a_stride).saturating_add(self.steps.furthest).saturating_add(PAIRS);
        assert!(self.a.len() >= left, "left operand");
        assert!(self.b.len() >= self.steps.len() * STEP, "right operand");
        let sums = rows(self.c_stride).saturating_add(SIDE);
        assert!(self.c_stride >= SIDE && self.c.len() >= sums, "sums");
    }
}
