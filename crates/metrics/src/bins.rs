//! Films sorted by their probability into bins of as many films each.

use crate::levels::{Level, levels};

/// The films of a bin.
pub(crate) struct Bin {
    /// The least probability.
    pub low: f64,
    /// The greatest one.
    pub high: f64,
    /// The mean one.
    pub mean: f64,
    pub positives: u64,
    pub films: u64,
}

impl Bin {
    /// The part of the films that is positive.
    pub fn share(&self) -> f64 {
        self.positives as f64 / self.films as f64
    }
}

/// The levels of probabilities, the highest first; `None` where one is not in 0 to 1, or there is no film.
pub(crate) fn levels_of_probabilities<T: Copy + Into<f64>>(
    positive: &[bool],
    probabilities: &[T],
) -> Option<Vec<Level>> {
    let levels = levels(positive, probabilities)?;
    (levels.first()?.score <= 1.0 && levels.last()?.score >= 0.0).then_some(levels)
}

/// At most `bins` bins, the lowest first. Films of one probability share a bin, that of the middle one of them, so that
/// the order of the films changes nothing; where many share one there are fewer bins. `None` as for the levels, and for
/// no bin.
pub(crate) fn equal_mass<T: Copy + Into<f64>>(positive: &[bool], probabilities: &[T], bins: usize) -> Option<Vec<Bin>> {
    let mut levels = levels_of_probabilities(positive, probabilities)?;
    levels.reverse();
    if bins == 0 {
        return None;
    }
    let twice_all = 2 * positive.len() as u128;
    let (mut before, mut last, mut out) = (0, None, Vec::<Bin>::new());
    for Level { score, positives, negatives } in levels {
        let films = positives + negatives;
        let place = bins as u128 * u128::from(2 * before + films) / twice_all;
        before += films;
        match out.last_mut() {
            Some(bin) if last == Some(place) => {
                bin.high = score;
                // A sum until all are there.
                bin.mean += score * films as f64;
                bin.positives += positives;
                bin.films += films;
            }
            _ => out.push(Bin { low: score, high: score, mean: score * films as f64, positives, films }),
        }
        last = Some(place);
    }
    // Rounding must not lead out of the bin.
    out.iter_mut().for_each(|bin| bin.mean = (bin.mean / bin.films as f64).clamp(bin.low, bin.high));
    Some(out)
}
