//! Keys of random numbers. Every random number of a run comes from ChaCha8 keyed by four numbers: the seed, what it is
//! for, and where it falls; so none depends on how many threads ran, what ran before, or whether a run was resumed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Phase;

/// What a random number is for; the second of the four numbers.
#[derive(Clone, Copy)]
enum Purpose {
    Shuffle = 1,
    View = 2,
    Augment = 3,
    Dropout = 4,
    Preview = 5,
}

fn place(phase: Phase, epoch: usize) -> u64 {
    let phase: u64 = match phase {
        Phase::Frozen => 0,
        Phase::Unfrozen => 1,
    };
    phase << 32 | epoch as u64
}

/// Key of a view of a film in the frozen phase; `film` is the start of its content hash.
pub(crate) fn view(seed: u64, view: usize, film: u64) -> [u64; 4] {
    [seed, Purpose::View as u64, view as u64, film]
}

/// Key of a film's augmentation in an epoch of the unfrozen phase.
pub(crate) fn augment(seed: u64, epoch: usize, film: u64) -> [u64; 4] {
    [seed, Purpose::Augment as u64, epoch as u64, film]
}

/// Key of the dropout of one step.
pub(crate) fn dropout(seed: u64, phase: Phase, epoch: usize, step: usize) -> [u64; 4] {
    [seed, Purpose::Dropout as u64, place(phase, epoch), step as u64]
}

/// The order in which an epoch goes through `films` films.
pub(crate) fn shuffled(seed: u64, phase: Phase, epoch: usize, films: usize) -> Vec<usize> {
    shuffle([seed, Purpose::Shuffle as u64, place(phase, epoch), 0], films)
}

/// The order in which a preview goes through the `films` films of a class.
pub(crate) fn previewed(seed: u64, label: usize, films: usize) -> Vec<usize> {
    shuffle([seed, Purpose::Preview as u64, label as u64, 0], films)
}

fn shuffle(key: [u64; 4], films: usize) -> Vec<usize> {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(key) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    let mut random = ChaCha8Rng::from_seed(bytes);
    let mut order: Vec<usize> = (0..films).collect();
    // Fisher and Yates, written out: another version of a library must not change what a seed gives.
    for last in (1..films).rev() {
        let drawn = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
        order.swap(last, drawn as usize);
    }
    order
}

/// Where each step's films begin and end in the order of an epoch. The last step may be smaller (torch's
/// `drop_last=False`). With `merge_single` a last step of one film joins the one before it: batch statistics over a
/// single film would say nothing about the others.
pub(crate) fn steps(films: usize, batch_size: usize, merge_single: bool) -> Vec<std::ops::Range<usize>> {
    let mut steps: Vec<_> = (0..films).step_by(batch_size).map(|at| at..(at + batch_size).min(films)).collect();
    if merge_single
        && steps.len() > 1
        && let Some(last) = steps.pop_if(|last| last.len() == 1)
        && let Some(before) = steps.last_mut()
    {
        before.end = last.end;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_shuffles_every_film_once_and_no_two_epochs_alike() {
        let first = shuffled(7, Phase::Frozen, 1, 100);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, shuffled(7, Phase::Frozen, 1, 100));
        for other in [(8, Phase::Frozen, 1), (7, Phase::Unfrozen, 1), (7, Phase::Frozen, 2)] {
            assert_ne!(first, shuffled(other.0, other.1, other.2, 100));
        }
    }

    #[test]
    fn a_single_last_film_joins_the_step_before_where_batch_norm_trains() {
        assert_eq!(steps(9, 4, false), [0..4, 4..8, 8..9]);
        assert_eq!(steps(9, 4, true), [0..4, 4..9]);
        assert_eq!(steps(10, 4, true), [0..4, 4..8, 8..10]);
        assert_eq!(steps(1, 4, true).len(), 1);
    }
}
