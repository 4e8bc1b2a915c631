//! How many films go through a step at a time.
//!
//! What is neither trained nor asked for a gradient treats each film by itself. A stretch of such steps runs a few films
//! to its end before it takes the next: their values then stay in the cache, and take no more memory than these few need.
//! Early layers have large values and small weights, late ones the reverse, so there is a number for each; between two
//! stretches all films' values lie in memory.

use std::ops::Range;

use super::draft::Drafts;
use crate::Element;

/// Consecutive steps that run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Indices into [`Schedule::steps`](super::Schedule::steps).
    pub steps: Range<usize>,
    /// Most films at a time.
    pub films: usize,
}

impl Stretch {
    /// `n` films in even parts.
    pub fn parts(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let each = n.div_ceil(n.div_ceil(self.films).max(1)).max(1);
        (0..n).step_by(each).map(move |first| first..(first + each).min(n))
    }
}

/// A weight counts as so many: Winograd's algorithm keeps four floats for one.
const WEIGHT: usize = 4;

/// Cuts the steps of a plan for `capacity` films such that the fewest bytes pass through memory, by this count: values
/// of a step beyond `cache` bytes pass, the weights pass for every part of the films, and values between two stretches are
/// written and read. Without `cache` all films go through at once.
pub(super) fn cut(drafts: &Drafts, capacity: usize, cache: Option<usize>) -> Vec<Stretch> {
    let steps = &drafts.steps;
    let all = vec![Stretch { steps: 0..steps.len(), films: capacity }];
    let Some(cache) = cache.filter(|_| capacity > 1 && !steps.is_empty()) else { return all };
    let choices: Vec<usize> =
        std::iter::successors(Some(1), |films| Some(films * 2)).take_while(|films| *films < capacity).collect();
    let choices = [choices, vec![capacity]].concat();
    let bytes = |v: &crate::ValueId| drafts.shapes[v.0].len() * drafts.elements[v.0].bytes();

    // Bytes a film of the values that steps before `i` write and steps from `i` on read. What is fed lies there anyway.
    let crossing = |i: usize| -> usize {
        let read_later = |v: &crate::ValueId| steps[i..].iter().any(|step| step.reads.contains(v));
        let written = steps[..i].iter().map(|step| &step.writes).filter(|v| read_later(v));
        written.map(bytes).sum()
    };
    let cost = |i: usize, films: usize| -> Option<usize> {
        let step = &steps[i];
        let alone = step.trained || drafts.needs_gradient[step.writes.0] || drafts.saves(step);
        if alone && films < capacity {
            return None;
        }
        let values: usize = step.reads.iter().chain([&step.writes]).map(bytes).sum();
        let passing = if films.saturating_mul(values) > cache { capacity.saturating_mul(values) } else { 0 };
        Some(weight_bytes(step.kind.rules().weights()).saturating_mul(capacity.div_ceil(films)).saturating_add(passing))
    };

    // The least cost of the steps so far that ends with each choice, and how it came about.
    let mut best: Vec<Option<usize>> = choices.iter().map(|&films| cost(0, films)).collect();
    let mut came: Vec<Vec<usize>> = Vec::with_capacity(steps.len());
    for i in 1..steps.len() {
        let change = crossing(i).saturating_mul(2 * capacity);
        let (next, from) = (0..choices.len())
            .map(|choice| {
                let before = (0..choices.len()).filter_map(|from| {
                    let change = if from == choice { 0 } else { change };
                    Some((best[from]?.saturating_add(change), from != choice, from))
                });
                let (least, _, from) = before.min().unwrap_or((usize::MAX / 4, false, choice));
                (cost(i, choices[choice]).map(|cost| cost.saturating_add(least)), from)
            })
            .unzip();
        best = next;
        came.push(from);
    }
    let last = (0..choices.len()).filter_map(|choice| Some((best[choice]?, std::cmp::Reverse(choice)))).min();
    let Some((_, std::cmp::Reverse(mut choice))) = last else { return all };
    let mut stretches = vec![Stretch { steps: steps.len() - 1..steps.len(), films: choices[choice] }];
    for (i, from) in came.iter().enumerate().rev() {
        let before = from[choice];
        match stretches.last_mut() {
            Some(stretch) if before == choice => stretch.steps.start = i,
            _ => stretches.push(Stretch { steps: i..i + 1, films: choices[before] }),
        }
        choice = before;
    }
    stretches.reverse();
    stretches
}

/// What that many weights count as, in bytes.
fn weight_bytes(weights: usize) -> usize {
    (WEIGHT * Element::F32.bytes()).saturating_mul(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_hold_every_film_once() {
        for (films, n) in [(1, 1), (4, 9), (8, 8), (8, 33), (64, 5)] {
            let parts: Vec<_> = Stretch { steps: 0..1, films }.parts(n).collect();
            assert_eq!(parts.iter().cloned().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            let longest = parts.iter().map(ExactSizeIterator::len).max().unwrap();
            assert!(longest <= films && parts.len() == n.div_ceil(films), "{films} of {n}: {parts:?}");
        }
    }
}
