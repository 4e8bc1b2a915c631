//! Random numbers of a run: the keys of `lungfish_data::keys`, for the phases of a training, and what is shuffled by
//! them.

use lungfish_data::keys::{self, Key};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Phase;

pub(crate) use lungfish_data::keys::{augment, val_view, view};

/// The number that stands for a phase in a key.
fn number(phase: Phase) -> u64 {
    match phase {
        Phase::Frozen => 0,
        Phase::Unfrozen => 1,
    }
}

/// Key of the dropout of one step.
pub(crate) fn dropout(seed: u64, phase: Phase, epoch: usize, step: usize) -> Key {
    keys::dropout(seed, number(phase), epoch, step)
}

/// The order in which an epoch goes through `films` films.
pub(crate) fn shuffled(seed: u64, phase: Phase, epoch: usize, films: usize) -> Vec<usize> {
    shuffle(keys::shuffle(seed, number(phase), epoch), films)
}

#[cfg(any(feature = "pictures", test))]
/// The order in which a preview goes through the `films` films of a class.
pub(crate) fn previewed(seed: u64, label: usize, films: usize) -> Vec<usize> {
    shuffle(keys::preview(seed, label), films)
}

fn shuffle(key: Key, films: usize) -> Vec<usize> {
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
