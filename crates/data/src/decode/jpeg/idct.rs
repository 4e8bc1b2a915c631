//! The inverse cosine transform of many blocks at once, in the whole numbers of `stb_image` and `zune-jpeg`, so that the
//! pixels are theirs.

use crate::vector::{transpose_bytes, vectorised};

/// Blocks that are transformed together: each is a lane of the vectors.
pub(super) const LANES: usize = 16;

/// Coefficients of [`LANES`] blocks, `[64][LANES]`.
pub(super) struct Tile([[i32; LANES]; 64]);

impl Tile {
    pub(super) fn zeroed() -> Self {
        Self([[0; LANES]; 64])
    }

    pub(super) fn clear(&mut self) {
        self.0.as_flattened_mut().fill(0);
    }

    /// Sets a coefficient, already multiplied by its quantization, of one of the blocks.
    #[inline(always)]
    pub(super) fn set(&mut self, place: usize, lane: usize, value: i32) {
        self.0[place][lane] = value;
    }
}

/// The pixels of each block, `[8 rows][LANES][8]`. What was in the tile is lost.
pub(super) fn inverse(tile: &mut Tile) -> [[[u8; 8]; LANES]; 8] {
    let mut out = [[[0; 8]; LANES]; 8];
    vectorised(
        #[inline(always)]
        || {
            for x in 0..8 {
                pass(&mut tile.0, x, 8, 512, 10);
            }
            for (y, out) in out.iter_mut().enumerate() {
                // 128 is the middle of what a pixel can be; the rest rounds, and makes up for the pass before.
                pass(&mut tile.0, 8 * y, 1, 512 + 65536 + (128 << 17), 17);
                let mut row = [[0; LANES]; 8];
                for (to, from) in row.iter_mut().zip(&tile.0[8 * y..][..8]) {
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = from.clamp(0, 255) as u8;
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

/// One pass along eight values of every lane, `step` apart, with 12 bits behind the binary point.
#[inline(always)]
fn pass(values: &mut [[i32; LANES]; 64], first: usize, step: usize, bias: i32, shift: u32) {
    let mut v = [[0; LANES]; 8];
    for (k, v) in v.iter_mut().enumerate() {
        *v = values[first + k * step];
    }
    let mut out = [[0; LANES]; 8];
    for l in 0..LANES {
        let even = (v[2][l].wrapping_add(v[6][l])).wrapping_mul(2217);
        let t2 = even.wrapping_add(v[6][l].wrapping_mul(-7567));
        let t3 = even.wrapping_add(v[2][l].wrapping_mul(3135));
        let t0 = v[0][l].wrapping_add(v[4][l]) << 12;
        let t1 = v[0][l].wrapping_sub(v[4][l]) << 12;
        let x0 = t0.wrapping_add(t3).wrapping_add(bias);
        let x3 = t0.wrapping_sub(t3).wrapping_add(bias);
        let x1 = t1.wrapping_add(t2).wrapping_add(bias);
        let x2 = t1.wrapping_sub(t2).wrapping_add(bias);

        let (t0, t1, t2, t3) = (v[7][l], v[5][l], v[3][l], v[1][l]);
        let (p3, p4) = (t0.wrapping_add(t2), t1.wrapping_add(t3));
        let p5 = p3.wrapping_add(p4).wrapping_mul(4816);
        let p1 = p5.wrapping_add(t0.wrapping_add(t3).wrapping_mul(-3685));
        let p2 = p5.wrapping_add(t1.wrapping_add(t2).wrapping_mul(-10497));
        let (p3, p4) = (p3.wrapping_mul(-8034), p4.wrapping_mul(-1597));
        let t3 = t3.wrapping_mul(6149).wrapping_add(p1.wrapping_add(p4));
        let t2 = t2.wrapping_mul(12586).wrapping_add(p2.wrapping_add(p3));
        let t1 = t1.wrapping_mul(8410).wrapping_add(p2.wrapping_add(p4));
        let t0 = t0.wrapping_mul(1223).wrapping_add(p1.wrapping_add(p3));

        out[0][l] = x0.wrapping_add(t3) >> shift;
        out[1][l] = x1.wrapping_add(t2) >> shift;
        out[2][l] = x2.wrapping_add(t1) >> shift;
        out[3][l] = x3.wrapping_add(t0) >> shift;
        out[4][l] = x3.wrapping_sub(t0) >> shift;
        out[5][l] = x2.wrapping_sub(t1) >> shift;
        out[6][l] = x1.wrapping_sub(t2) >> shift;
        out[7][l] = x0.wrapping_sub(t3) >> shift;
    }
    for (k, out) in out.iter().enumerate() {
        values[first + k * step] = *out;
    }
}
