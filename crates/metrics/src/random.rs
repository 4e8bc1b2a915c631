//! Random numbers: ChaCha8 keyed by the seed, what they are for, and where they fall, so that none depends on how many
//! threads ran or on what ran before.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is drawn; the second word of a key.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// The clusters of a resample.
    Resample,
    /// Which clusters are left out together.
    Group,
    /// Which clusters make a fold.
    Fold,
}

pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The key is `[seed, use, number, stratum]`.
    pub fn new(seed: u64, what: Use, number: usize, stratum: usize) -> Random {
        let what = match what {
            Use::Resample => u64::from_le_bytes(*b"resample"),
            Use::Group => u64::from_le_bytes(*b"a group\0"),
            Use::Fold => u64::from_le_bytes(*b"the fold"),
        };
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, what, number as u64, stratum as u64]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Random(ChaCha8Rng::from_seed(key))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.0.next_u64()) * end as u128) >> 64) as usize
    }

    /// Fisher and Yates, written out: another version of a library must not change what a seed gives.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
