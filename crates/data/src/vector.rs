//! Code that is compiled once for each kind of vector and chosen as it runs.

/// Runs `f`, itself inlined and all in it, compiled for the widest vectors that the processor has. Whole numbers come
/// out the same with any.
#[inline(always)]
pub(crate) fn vectorised(f: impl FnOnce()) {
    pulp::Arch::new().dispatch(f);
}

/// Eight bytes of eight words become eight words of one byte of each: word `i`, byte `j` is what was word `j`, byte `i`,
/// the lowest byte counted first.
#[inline(always)]
pub(crate) fn transpose_bytes(mut words: [u64; 8]) -> [u64; 8] {
    // Blocks of 4x4, then 2x2, then single bytes change places across the diagonal.
    for (step, mask) in [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)] {
        for i in 0..4 {
            let y = i / step * 2 * step + i % step;
            let (low, high) = (words[y], words[y + step]);
            let moved = ((low >> (8 * step)) ^ high) & mask;
            words[y] = low ^ (moved << (8 * step));
            words[y + step] = high ^ moved;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_change_places_across_the_diagonal() {
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| (8 * i + j) as u8));
        let turned = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| (8 * j + i) as u8));
        assert_eq!(transpose_bytes(std::array::from_fn(word)), std::array::from_fn(turned));
    }
}
