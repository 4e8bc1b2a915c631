//! The inverse cosine transform of many blocks at once, in the whole numbers of libjpeg's `jidctint.c`, so that the pixels
//! are libjpeg's.

use super::plane::Plane;
use crate::vector::{transpose_bytes, vectorised};

/// Blocks that are transformed together: each is a lane of the vectors.
pub(crate) const LANES: usize = 16;

/// Coefficients of [`LANES`] blocks, `[64][LANES]`.
pub(crate) type Tile = [[i32; LANES]; 64];

/// What a sample of a plane is.
pub(super) trait Sample: Copy + Default {
    /// A channel of a picture of several.
    fn plane(width: usize, height: usize) -> Plane<Self> {
        Plane::new(width, height)
    }

    /// What becomes of the blocks of a tile: 8 rows of each.
    fn inverse(tile: &mut Tile) -> [[[Self; 8]; LANES]; 8];

    /// The sample all over a block whose only coefficient is the first.
    fn flat(first: i32) -> Self;
}

/// Of 8 bits.
impl Sample for u8 {
    fn plane(width: usize, height: usize) -> Plane<u8> {
        Plane::again(width, height)
    }

    fn inverse(tile: &mut Tile) -> [[[u8; 8]; LANES]; 8] {
        let mut out = [[[0; 8]; LANES]; 8];
        vectorised(
            #[inline(always)]
            || {
                // Loops and no iterators with closures: those would be compiled apart, for lesser vectors.
                for x in 0..8 {
                    inverse::<11>(tile, x, 8);
                }
                for (y, out) in out.iter_mut().enumerate() {
                    inverse::<18>(tile, 8 * y, 1);
                    let mut row = [[0; LANES]; 8];
                    for (to, from) in row.iter_mut().zip(&tile[8 * y..][..8]) {
                        for (to, &from) in to.iter_mut().zip(from) {
                            *to = from.wrapping_add(128).clamp(0, 255) as u8;
                        }
                    }
                    for half in 0..LANES / 8 {
                        let mut words = [0; 8];
                        for (word, lanes) in words.iter_mut().zip(&row) {
                            *word = u64::from_le_bytes(lanes.as_chunks().0[half]);
                        }
                        for (to, word) in out[8 * half..][..8].iter_mut().zip(transpose_bytes(words)) {
                            *to = word.to_le_bytes();
                        }
                    }
                }
            },
        );
        out
    }

    fn flat(first: i32) -> u8 {
        (first.wrapping_add(4) >> 3).wrapping_add(128).clamp(0, 255) as u8
    }
}

/// Of 12 bits, for which libjpeg keeps one bit less between the passes.
impl Sample for u16 {
    fn inverse(tile: &mut Tile) -> [[[u16; 8]; LANES]; 8] {
        for x in 0..8 {
            inverse::<12>(tile, x, 8);
        }
        for y in 0..8 {
            inverse::<17>(tile, 8 * y, 1);
        }
        let mut out = [[[0; 8]; LANES]; 8];
        for (y, out) in out.iter_mut().enumerate() {
            for (lane, out) in out.iter_mut().enumerate() {
                for (x, out) in out.iter_mut().enumerate() {
                    *out = tile[8 * y + x][lane].wrapping_add(2048).clamp(0, 4095) as u16;
                }
            }
        }
        out
    }

    fn flat(first: i32) -> u16 {
        (first.wrapping_add(4) >> 3).wrapping_add(2048).clamp(0, 4095) as u16
    }
}

/// Gathers blocks of a plane until there are enough to be transformed together.
pub(super) struct Lanes {
    pub(super) tile: Tile,
    /// Whether one of them has more than its first coefficient.
    rich: bool,
    corners: [(usize, usize); LANES],
    count: usize,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { tile: [[0; LANES]; 64], rich: false, corners: [(0, 0); LANES], count: 0 }
    }

    /// The lane of the next block, in which all is zero.
    #[inline(always)]
    pub(super) fn lane(&self) -> usize {
        self.count
    }

    /// The next block is filled: dequantised, `rich` where it has more than its first coefficient. Its first sample is at
    /// `corner` of the plane, or beyond it.
    #[inline(always)]
    pub(super) fn filled<S: Sample>(&mut self, corner: (usize, usize), rich: bool, plane: &mut Plane<S>) {
        self.corners[self.count] = corner;
        self.count += 1;
        self.rich |= rich;
        if self.count == LANES {
            self.flush(plane);
        }
    }

    /// Writes the blocks that are gathered.
    pub(super) fn flush<S: Sample>(&mut self, plane: &mut Plane<S>) {
        let corners = &self.corners[..self.count];
        if self.rich {
            let rows = S::inverse(&mut self.tile);
            for (lane, &corner) in corners.iter().enumerate() {
                plane.write(corner, |y| rows[y][lane]);
            }
            self.tile.as_flattened_mut().fill(0);
        } else {
            for (lane, &corner) in corners.iter().enumerate() {
                let sample = S::flat(self.tile[0][lane]);
                plane.write(corner, |_| [sample; 8]);
            }
            self.tile[0].fill(0);
        }
        (self.count, self.rich) = (0, false);
    }
}

/// The constants of both directions, 13 bits behind the binary point.
pub(crate) mod fixed {
    pub(crate) const C0_298: i32 = 2446;
    pub(crate) const C0_390: i32 = 3196;
    pub(crate) const C0_541: i32 = 4433;
    pub(crate) const C0_765: i32 = 6270;
    pub(crate) const C0_899: i32 = 7373;
    pub(crate) const C1_175: i32 = 9633;
    pub(crate) const C1_501: i32 = 12299;
    pub(crate) const C1_847: i32 = 15137;
    pub(crate) const C1_961: i32 = 16069;
    pub(crate) const C2_053: i32 = 16819;
    pub(crate) const C2_562: i32 = 20995;
    pub(crate) const C3_072: i32 = 25172;
}

/// The odd half, which both directions share: what they rotate is given in another order. Coefficients of a foreign file
/// may be beyond all films, so all wraps around.
#[inline(always)]
pub(crate) fn odd([a, b, c, d]: [i32; 4]) -> [i32; 4] {
    use fixed::*;
    let sum = a.wrapping_add(b).wrapping_add(c).wrapping_add(d).wrapping_mul(C1_175);
    let (ad, bc) = (a.wrapping_add(d).wrapping_mul(-C0_899), b.wrapping_add(c).wrapping_mul(-C2_562));
    let ac = a.wrapping_add(c).wrapping_mul(-C1_961).wrapping_add(sum);
    let bd = b.wrapping_add(d).wrapping_mul(-C0_390).wrapping_add(sum);
    [
        a.wrapping_mul(C0_298).wrapping_add(ad).wrapping_add(ac),
        b.wrapping_mul(C2_053).wrapping_add(bc).wrapping_add(bd),
        c.wrapping_mul(C3_072).wrapping_add(bc).wrapping_add(ac),
        d.wrapping_mul(C1_501).wrapping_add(ad).wrapping_add(bd),
    ]
}

/// One pass back along eight values of every lane, `step` apart.
#[inline(always)]
pub(crate) fn inverse<const SHIFT: u32>(tile: &mut Tile, first: usize, step: usize) {
    use fixed::*;
    let mut v = [[0; LANES]; 8];
    for (k, v) in v.iter_mut().enumerate() {
        *v = tile[first + k * step];
    }
    let mut out = [[0; LANES]; 8];
    for l in 0..LANES {
        let both = v[2][l].wrapping_add(v[6][l]).wrapping_mul(C0_541);
        let t2 = both.wrapping_sub(v[6][l].wrapping_mul(C1_847));
        let t3 = both.wrapping_add(v[2][l].wrapping_mul(C0_765));
        let (t0, t1) = (v[0][l].wrapping_add(v[4][l]) << 13, v[0][l].wrapping_sub(v[4][l]) << 13);
        let odds = odd([v[7][l], v[5][l], v[3][l], v[1][l]]);
        let evens = [t0.wrapping_add(t3), t1.wrapping_add(t2), t1.wrapping_sub(t2), t0.wrapping_sub(t3)];
        out[0][l] = descaled::<SHIFT>(evens[0].wrapping_add(odds[3]));
        out[7][l] = descaled::<SHIFT>(evens[0].wrapping_sub(odds[3]));
        out[1][l] = descaled::<SHIFT>(evens[1].wrapping_add(odds[2]));
        out[6][l] = descaled::<SHIFT>(evens[1].wrapping_sub(odds[2]));
        out[2][l] = descaled::<SHIFT>(evens[2].wrapping_add(odds[1]));
        out[5][l] = descaled::<SHIFT>(evens[2].wrapping_sub(odds[1]));
        out[3][l] = descaled::<SHIFT>(evens[3].wrapping_add(odds[0]));
        out[4][l] = descaled::<SHIFT>(evens[3].wrapping_sub(odds[0]));
    }
    for (k, out) in out.iter().enumerate() {
        tile[first + k * step] = *out;
    }
}

/// libjpeg's `DESCALE`: bits taken away, rounded.
#[inline(always)]
pub(crate) fn descaled<const SHIFT: u32>(value: i32) -> i32 {
    value.wrapping_add(1 << (SHIFT - 1)) >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_one_coefficient_is_flat() {
        for first in (-20_000..20_000).step_by(7) {
            let mut tile = [[0; LANES]; 64];
            tile[0] = [first; LANES];
            assert_eq!(u8::inverse(&mut tile), [[[u8::flat(first); 8]; LANES]; 8], "{first}");
            let mut tile = [[0; LANES]; 64];
            tile[0] = [first; LANES];
            assert_eq!(u16::inverse(&mut tile), [[[u16::flat(first); 8]; LANES]; 8], "{first}");
        }
    }
}
