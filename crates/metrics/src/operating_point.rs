//! Where to cut: which score a film needs to be called positive.
//!
//! Cuts lie halfway between two neighbouring scores, so that no film sits on one and no rounding moves it over, and
//! never outside of all scores: calling every film the same is no cut. A film is called positive where its score, as
//! `f64`, is at least the cut.
//!
//! A cut is chosen on films, and its figures on the same films are too good. Choose on validation films, tell on
//! others.

use crate::binary::Counts;
use crate::interval::{Confidence, clopper_pearson_lower, exact_lower};
use crate::levels::levels;

/// A cut and what it does to the films that it was chosen on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatingPoint {
    /// Films that score at least this are called positive.
    pub cut: f64,
    /// How many of them are called what.
    pub counts: Counts,
}

/// A cut with a sensitivity, or specificity, that is assured, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Assured {
    /// The cut.
    At(OperatingPoint),
    /// So few films of the class that not even all of them right would assure it.
    TooFew {
        /// Films of the class.
        films: u64,
        /// So many are needed, without a miss.
        needed: u64,
    },
    /// Only calling every film the same assures it.
    CallingAllAlike,
}

/// The cut with the greatest sum of sensitivity and specificity (Youden 1950, "Index for Rating Diagnostic Tests",
/// Cancer 3, 32-35), of several the most sensitive. `None` where there is no positive or no negative film, a score is
/// not a number, or no cut is better than calling all films alike.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::operating_point::youden;
/// let point = youden(&[false, false, true, true], &[0.125, 0.5, 0.75, 1.0]).unwrap();
/// assert_eq!((point.cut, point.counts.youden()), (0.625, Some(1.0)));
/// ```
pub fn youden<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<OperatingPoint> {
    let whole = |a: u64, b: u64| i128::from(a) * i128::from(b);
    // Youden's index times both numbers of films, a whole number.
    let index = |counts: &Counts| {
        whole(counts.true_positives, counts.negatives()) - whole(counts.false_positives, counts.positives())
    };
    best(positive, scores, index).filter(|point| index(&point.counts) > 0)
}

/// The cut with the greatest accuracy, of several the most sensitive. `None` where a score is not a number, or no cut
/// is better than calling all films what most of them are: where positives are rare that is already a high accuracy.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::operating_point::most_accurate;
/// let point = most_accurate(&[false, true, false, false], &[0.0, 0.25, 0.5, 0.75]);
/// assert_eq!(point, None);
/// let point = most_accurate(&[false, true, false, true], &[0.0, 0.25, 0.5, 0.75]).unwrap();
/// assert_eq!((point.cut, point.counts.accuracy()), (0.125, Some(0.75)));
/// ```
pub fn most_accurate<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<OperatingPoint> {
    let right = |counts: &Counts| counts.true_positives + counts.true_negatives;
    best(positive, scores, right).filter(|point| {
        let Counts { true_positives, false_positives, .. } = point.counts;
        let called = true_positives + false_positives;
        debug_assert!(called > 0);
        right(&point.counts) > point.counts.positives().max(point.counts.negatives())
    })
}

/// The highest cut, and with it the most specific one, whose sensitivity is at least `least`, in (0, 1), with this
/// confidence: the exact one-sided lower bound ([`clopper_pearson_lower`]) is. With the default, one-sided 95 %, 59
/// positive films without a miss assure a sensitivity of 0.95; `Confidence::new(0.975)`, the lower end of a two-sided
/// 95 % interval, needs 72. `None` where there is no positive or no negative film, a score is not a number, or `least`
/// is not in (0, 1).
///
/// The bound is that of a cut given beforehand and of independent films: the choice among all cuts makes it a little
/// too good, and so do several films of a patient.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, operating_point::{Assured, for_sensitivity}};
/// let positive: Vec<bool> = (0..120).map(|film| film >= 60).collect();
/// let scores: Vec<f64> = (0..120).map(f64::from).collect();
/// let Some(Assured::At(point)) = for_sensitivity(&positive, &scores, 0.95, Confidence::default()) else { panic!() };
/// assert_eq!(point.cut, 59.5);
/// let few = for_sensitivity(&positive[40..], &scores[40..], 0.99, Confidence::default());
/// assert_eq!(few, Some(Assured::TooFew { films: 60, needed: 299 }));
/// ```
pub fn for_sensitivity<T: Copy + Into<f64>>(
    positive: &[bool],
    scores: &[T],
    least: f64,
    confidence: Confidence,
) -> Option<Assured> {
    let cuts = cuts(positive, scores)?;
    assured(positive.iter().filter(|&&is| is).count(), positive.len(), least, confidence, |right| {
        // From the highest cut down.
        cuts.iter().find(|point| point.counts.true_positives >= right)
    })
}

/// The lowest cut, and with it the most sensitive one, whose specificity is at least `least` with this confidence, see
/// [`for_sensitivity`].
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, operating_point::{Assured, for_specificity}};
/// let positive: Vec<bool> = (0..120).map(|film| film >= 60).collect();
/// let scores: Vec<f64> = (0..120).map(f64::from).collect();
/// let Some(Assured::At(point)) = for_specificity(&positive, &scores, 0.9, Confidence::default()) else { panic!() };
/// // One of 60 may be called positive.
/// assert_eq!(point.cut, 58.5);
/// ```
pub fn for_specificity<T: Copy + Into<f64>>(
    positive: &[bool],
    scores: &[T],
    least: f64,
    confidence: Confidence,
) -> Option<Assured> {
    let cuts = cuts(positive, scores)?;
    assured(positive.iter().filter(|&&is| !is).count(), positive.len(), least, confidence, |right| {
        cuts.iter().rev().find(|point| point.counts.true_negatives >= right)
    })
}

/// So many films, all of them right, are needed to assure a share of at least `share`, in (0, 1), with this confidence:
/// 59 for 0.95 (95 %, one-sided). `None` for other shares.
///
/// ```
/// use lungfish_metrics::{Confidence, operating_point::films_without_a_miss};
/// assert_eq!(films_without_a_miss(0.95, Confidence::default()), Some(59));
/// assert_eq!(films_without_a_miss(0.95, Confidence::new(0.975).unwrap()), Some(72));
/// ```
pub fn films_without_a_miss(share: f64, confidence: Confidence) -> Option<u64> {
    if !(share > 0.0 && share < 1.0) {
        return None;
    }
    let films = (confidence.alpha().ln() / share.ln()).ceil().max(1.0);
    let enough = |films: f64| films > 0.0 && exact_lower(films, 0.0, confidence.alpha()) >= share;
    // Where the quotient is whole, rounding may have led past it.
    Some(if enough(films - 1.0) { films - 1.0 } else { films } as u64)
}

/// `find` gives the cut that has at least so many films of the class right.
fn assured<'a>(
    films: usize,
    all: usize,
    least: f64,
    confidence: Confidence,
    find: impl Fn(u64) -> Option<&'a OperatingPoint>,
) -> Option<Assured> {
    let (films, needed) = (films as u64, films_without_a_miss(least, confidence)?);
    if films == 0 || films == all as u64 {
        return None;
    }
    if films < needed {
        return Some(Assured::TooFew { films, needed });
    }
    // The least number that is enough: the bound rises with it.
    let (mut too_few, mut enough) = (0, films);
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        if clopper_pearson_lower(middle, films, confidence)? >= least {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Some(find(enough).map_or(Assured::CallingAllAlike, |&point| Assured::At(point)))
}

/// The cut that is worth most, of several the lowest.
fn best<T: Copy + Into<f64>, W: Ord>(
    positive: &[bool],
    scores: &[T],
    worth: impl Fn(&Counts) -> W,
) -> Option<OperatingPoint> {
    cuts(positive, scores)?.into_iter().max_by_key(|point| worth(&point.counts))
}

/// All cuts between two scores, the highest first; `None` where a score is not a number.
fn cuts<T: Copy + Into<f64>>(positive: &[bool], scores: &[T]) -> Option<Vec<OperatingPoint>> {
    let levels = levels(positive, scores)?;
    let positives = positive.iter().filter(|&&is| is).count() as u64;
    let negatives = positive.len() as u64 - positives;
    let (mut true_positives, mut false_positives) = (0, 0);
    let point = |pair: &[crate::levels::Level]| {
        true_positives += pair[0].positives;
        false_positives += pair[0].negatives;
        let (above, below) = (pair[0].score, pair[1].score);
        let middle = below + (above - below) / 2.0;
        // Between neighbouring numbers, or at infinity, there is none: the upper one cuts as well.
        let cut = if middle > below && middle <= above { middle } else { above };
        let counts = Counts {
            true_positives,
            false_positives,
            true_negatives: negatives - false_positives,
            false_negatives: positives - true_positives,
        };
        OperatingPoint { cut, counts }
    };
    Some(levels.windows(2).map(point).collect())
}
