//! Random numbers of a run: the keys of `lungfish_data::keys`, for the phases of a training, and what is shuffled by
//! them.

use lungfish_data::keys::{self, Key};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Phase;

pub(crate) use lungfish_data::keys::{augment, mixing, val_view, view};

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

/// The order of an epoch that draws as many films as there are, the classes equally often: each class goes through all its
/// films before one comes again. `labels` has the class of each film.
pub(crate) fn balanced(seed: u64, phase: Phase, epoch: usize, labels: &[usize]) -> Vec<usize> {
    let classes = labels.iter().max().map_or(0, |last| last + 1);
    let mut films = vec![Vec::new(); classes];
    labels.iter().enumerate().for_each(|(film, &class)| films[class].push(film));
    for (class, films) in films.iter_mut().enumerate() {
        let order = shuffle(keys::balance(seed, number(phase), epoch, class), films.len());
        *films = order.into_iter().map(|place| films[place]).collect();
    }
    films.retain(|films| !films.is_empty());
    let drawn = |place: usize| {
        // Where the films cannot be shared out evenly, the class that has one more takes turns.
        let of_class = &films[(place + epoch) % films.len()];
        of_class[place / films.len() % of_class.len()]
    };
    shuffled(seed, phase, epoch, labels.len()).into_iter().map(drawn).collect()
}

#[cfg(any(feature = "pictures", test))]
/// The order in which a preview goes through the `films` films of a class.
pub(crate) fn previewed(seed: u64, label: usize, films: usize) -> Vec<usize> {
    shuffle(keys::preview(seed, label), films)
}

/// Where the value of a key of the recipe lies in its range in a trial (from 1) of a tuning, 0 to below 1.
pub(crate) fn tuned(seed: u64, trial: usize, key: &str) -> f64 {
    (random(keys::tuning(seed, trial, key)).next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn random(key: Key) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(key) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

fn shuffle(key: Key, films: usize) -> Vec<usize> {
    let mut random = random(key);
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
    fn a_balanced_epoch_has_the_classes_equally_often_and_no_film_twice_before_all_of_its_class() {
        let labels: Vec<usize> = (0..101).map(|film| if film < 20 { 0 } else { 2 }).collect();
        for epoch in [1, 2] {
            let order = balanced(7, Phase::Unfrozen, epoch, &labels);
            let times = |film| order.iter().filter(|drawn| **drawn == film).count();
            let of = |class| (0..101).filter(|&film| labels[film] == class).map(times).collect::<Vec<_>>();
            let (rare, common) = (of(0), of(2));
            assert_eq!(order.len(), 101);
            assert_eq!((rare.iter().sum::<usize>() + epoch % 2, common.iter().sum::<usize>()), (51, 50 + epoch % 2));
            assert!(rare.iter().all(|n| [2, 3].contains(n)) && common.iter().all(|n| *n <= 1), "{rare:?} {common:?}");
            assert_eq!(order, balanced(7, Phase::Unfrozen, epoch, &labels));
            assert_ne!(order, balanced(8, Phase::Unfrozen, epoch, &labels));
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
