//! Boosted trees on a few numbers a film: what those numbers alone tell of its class. Gradient boosting on histograms
//! (Friedman 2001; Ke et al. 2017), with the defaults of scikit-learn's `HistGradientBoostingClassifier`, against which
//! they are tested: 100 trees of up to 31 leaves of 20 films and more, learning rate 0.1, 255 bins, no regularisation.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

const TREES: usize = 100;
const LEAVES: usize = 31;
const LEAST_FILMS: usize = 20;
const LEARNING_RATE: f64 = 0.1;
const BINS: usize = 255;
/// In nodes of at most so many films the films are counted at once: most bins of theirs are empty.
const FEW: usize = 256;
/// A node of which the sum of second derivatives is smaller is not divided.
const LEAST_HESSIAN: f64 = 1e-3;

/// Numbers of films, `columns` of them a film, film after film.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Table {
    #[cfg(test)]
    pub(crate) fn films(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    pub(crate) fn row(&self, film: usize) -> &[f64] {
        &self.values[film * self.columns..][..self.columns]
    }
}

/// Trees fitted to films of two kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trees {
    /// The logit before any tree: that of the share of the films that have it.
    base: f64,
    trees: Vec<Tree>,
}

/// Nodes, the root first.
type Tree = Vec<Node>;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Node {
    Leaf(f64),
    /// Films whose number in the column is at most the threshold go to the left.
    Split {
        column: usize,
        threshold: f64,
        left: usize,
        right: usize,
    },
}

impl Trees {
    /// Fits them to the films of these indices. `None` where all of those are of one kind.
    pub(crate) fn fit(table: &Table, has: &[bool], films: &[usize]) -> Option<Self> {
        let positives = films.iter().filter(|film| has[**film]).count();
        if positives == 0 || positives == films.len() {
            return None;
        }
        let share = positives as f64 / films.len() as f64;
        let base = (share / (1.0 - share)).ln();
        let binned = Binned::new(table, films);
        let truth: Vec<f64> = films.iter().map(|film| f64::from(u8::from(has[*film]))).collect();
        let mut logits = vec![base; films.len()];
        let mut trees = Vec::with_capacity(TREES);
        let mut slopes = vec![(0.0, 0.0); films.len()];
        for _ in 0..TREES {
            for ((slope, logit), truth) in slopes.iter_mut().zip(&logits).zip(&truth) {
                let p = 1.0 / (1.0 + (-logit).exp());
                // Single precision, as the twin has them, so that equal gains stay equal.
                *slope = (f64::from((p - truth) as f32), f64::from((p * (1.0 - p)) as f32));
            }
            let grown = Growing::grow(&binned, &slopes);
            for (films, value) in &grown.leaves {
                films.iter().for_each(|film| logits[*film as usize] += value);
            }
            trees.push(grown.tree);
        }
        Some(Trees { base, trees })
    }

    /// Whether trees that were read from a file can be asked about films of so many numbers: each leads on to nodes that come
    /// later, and so to an end.
    pub(crate) fn is_sound(&self, columns: usize) -> bool {
        let sound = |tree: &Tree| {
            let leads_on = |(at, node): (usize, &Node)| match *node {
                Node::Leaf(_) => true,
                Node::Split { column, left, right, .. } => {
                    column < columns && [left, right].iter().all(|next| (at + 1..tree.len()).contains(next))
                }
            };
            !tree.is_empty() && tree.iter().enumerate().all(leads_on)
        };
        self.trees.iter().all(sound)
    }

    /// The logit of a film.
    pub(crate) fn logit(&self, row: &[f64]) -> f64 {
        let of_tree = |tree: &Tree| {
            let mut at = 0;
            loop {
                match tree[at] {
                    Node::Leaf(value) => return value,
                    Node::Split { column, threshold, left, right } => {
                        at = if row[column] <= threshold { left } else { right };
                    }
                }
            }
        };
        self.base + self.trees.iter().map(of_tree).sum::<f64>()
    }
}

/// The films' numbers as bins, column after column.
struct Binned {
    films: usize,
    thresholds: Vec<Vec<f64>>,
    bins: Vec<Vec<u8>>,
}

impl Binned {
    fn new(table: &Table, films: &[usize]) -> Self {
        let column = |column: usize| {
            let values: Vec<f64> = films.iter().map(|film| table.row(*film)[column]).collect();
            let thresholds = thresholds(&values);
            let bins = values.iter().map(|v| thresholds.partition_point(|threshold| threshold < v) as u8).collect();
            (thresholds, bins)
        };
        let (thresholds, bins) = (0..table.columns).into_par_iter().map(column).unzip();
        Binned { films: films.len(), thresholds, bins }
    }

    /// The sums of these films in each bin of each column.
    fn count(&self, films: &[u32], slopes: &[(f64, f64)]) -> Vec<Vec<Sum>> {
        let of_column = |(bins, thresholds): (&Vec<u8>, &Vec<f64>)| {
            let mut sums = vec![Sum::default(); thresholds.len() + 1];
            films.iter().for_each(|film| sums[usize::from(bins[*film as usize])].add(of_film(slopes, *film)));
            sums
        };
        self.bins.iter().zip(&self.thresholds).map(of_column).collect()
    }

    /// The division of few films that gains most: only bins that hold films are looked at.
    fn best_of_few(&self, films: &[u32], slopes: &[(f64, f64)], all: Sum) -> Option<Best> {
        let mut search = Search::new(all);
        let mut sums = [Sum::default(); BINS + 1];
        for (column, bins) in self.bins.iter().enumerate() {
            let mut held = [0_u64; (BINS + 1).div_ceil(64)];
            for film in films {
                let bin = usize::from(bins[*film as usize]);
                held[bin / 64] |= 1 << (bin % 64);
                sums[bin].add(of_film(slopes, *film));
            }
            let mut left = Sum::default();
            for (word, mut held) in held.into_iter().enumerate() {
                while held != 0 {
                    let bin = 64 * word + held.trailing_zeros() as usize;
                    held &= held - 1;
                    left.add(std::mem::take(&mut sums[bin]));
                    search.look(column, bin, left);
                }
            }
        }
        search.best
    }
}

/// Between which numbers films may be divided: half-way between those that there are, or, of many, at their percentiles.
fn thresholds(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut different = sorted.clone();
    different.dedup();
    if different.len() <= BINS {
        return different.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
    }
    // numpy.percentile of linspace(0, 100, 256) without its ends, method "averaged_inverted_cdf".
    let percentile = |step: usize| {
        let (at, between) = (sorted.len() * step / BINS, sorted.len() * step % BINS);
        if between == 0 { (sorted[at - 1] + sorted[at]) / 2.0 } else { sorted[at] }
    };
    let mut thresholds: Vec<f64> = (1..BINS).map(percentile).collect();
    thresholds.dedup();
    thresholds
}

/// The sums of the films in a bin: first and second derivative, and how many there are.
#[derive(Clone, Copy, Default)]
struct Sum {
    gradient: f64,
    hessian: f64,
    films: u32,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.gradient += other.gradient;
        self.hessian += other.hessian;
        self.films += other.films;
    }

    fn without(self, other: Sum) -> Sum {
        Sum {
            gradient: self.gradient - other.gradient,
            hessian: self.hessian - other.hessian,
            films: self.films - other.films,
        }
    }

    /// What the loss of these films falls by, twice, where they have a leaf of their own.
    fn gain(self) -> f64 {
        self.gradient * self.gradient / self.hessian
    }
}

/// A node that may be divided further.
struct Open {
    node: usize,
    films: Vec<u32>,
    sum: Sum,
    /// The sums in each bin of each column; none of few films.
    histograms: Option<Vec<Vec<Sum>>>,
    best: Option<Best>,
}

#[derive(Clone, Copy)]
struct Best {
    gain: f64,
    column: usize,
    bin: usize,
    left: Sum,
}

struct Growing {
    tree: Tree,
    /// The films of each leaf, and its value.
    leaves: Vec<(Vec<u32>, f64)>,
}

impl Growing {
    /// Divides the node that gains most until there are enough leaves.
    fn grow(binned: &Binned, slopes: &[(f64, f64)]) -> Self {
        let films: Vec<u32> = (0..binned.films as u32).collect();
        let mut sum = Sum::default();
        films.iter().for_each(|film| sum.add(of_film(slopes, *film)));
        let mut tree = vec![Node::Leaf(0.0)];
        let counted = (films.len() > FEW).then(|| binned.count(&films, slopes));
        let mut open = vec![Open::new(0, films, sum, counted, (binned, slopes))];
        let mut done = Vec::new();
        while open.len() + done.len() < LEAVES {
            // Of equal gains the node that was opened first.
            let gain = |open: &Open| open.best.map_or(f64::NEG_INFINITY, |best| best.gain);
            let Some(next) = (0..open.len()).rev().max_by(|a, b| gain(&open[*a]).total_cmp(&gain(&open[*b]))) else {
                break;
            };
            let node = open.remove(next);
            let Some(best) = node.best else {
                done.push(node);
                continue;
            };
            let (column, bins) = (best.column, &binned.bins[best.column]);
            let (left, right): (Vec<u32>, Vec<u32>) =
                node.films.iter().partition(|film| usize::from(bins[**film as usize]) <= best.bin);
            let at = tree.len();
            tree[node.node] =
                Node::Split { column, threshold: binned.thresholds[column][best.bin], left: at, right: at + 1 };
            tree.extend([Node::Leaf(0.0), Node::Leaf(0.0)]);
            // Only the smaller half is counted; the other is what is left of both.
            let left_is_smaller = left.len() <= right.len();
            let (mut counted, mut rest) = (None, None);
            if let Some(histograms) = node.histograms.filter(|_| left.len().max(right.len()) > FEW) {
                let of_smaller = binned.count(if left_is_smaller { &left } else { &right }, slopes);
                rest = Some(subtracted(histograms, &of_smaller));
                counted = Some(of_smaller);
            }
            let (of_left, of_right) = if left_is_smaller { (counted, rest) } else { (rest, counted) };
            let right_sum = node.sum.without(best.left);
            let open_of = |node, films, sum, histograms| Open::new(node, films, sum, histograms, (binned, slopes));
            let pair = [open_of(at, left, best.left, of_left), open_of(at + 1, right, right_sum, of_right)];
            open.extend(pair);
        }
        let leaves = done.into_iter().chain(open).map(|node| {
            let value = -LEARNING_RATE * node.sum.gradient / node.sum.hessian.max(f64::MIN_POSITIVE);
            tree[node.node] = Node::Leaf(value);
            (node.films, value)
        });
        let leaves = leaves.collect();
        Growing { tree, leaves }
    }
}

fn of_film(slopes: &[(f64, f64)], film: u32) -> Sum {
    let (gradient, hessian) = slopes[film as usize];
    Sum { gradient, hessian, films: 1 }
}

fn subtracted(mut all: Vec<Vec<Sum>>, part: &[Vec<Sum>]) -> Vec<Vec<Sum>> {
    for (all, part) in all.iter_mut().flatten().zip(part.iter().flatten()) {
        *all = all.without(*part);
    }
    all
}

impl Open {
    fn new(
        node: usize,
        films: Vec<u32>,
        sum: Sum,
        histograms: Option<Vec<Vec<Sum>>>,
        (binned, slopes): (&Binned, &[(f64, f64)]),
    ) -> Self {
        let divisible = films.len() >= 2 * LEAST_FILMS && sum.hessian >= LEAST_HESSIAN;
        let best = match &histograms {
            _ if !divisible => None,
            Some(histograms) => best(histograms, sum),
            None => binned.best_of_few(&films, slopes, sum),
        };
        Open { node, films, sum, histograms, best }
    }
}

/// The division that gains most; of equal ones the first.
fn best(histograms: &[Vec<Sum>], all: Sum) -> Option<Best> {
    let mut search = Search::new(all);
    for (column, sums) in histograms.iter().enumerate() {
        let mut left = Sum::default();
        for (bin, sum) in sums.iter().enumerate() {
            // Without a film more it is the division before.
            if sum.films > 0 {
                left.add(*sum);
                search.look(column, bin, left);
            }
        }
    }
    search.best
}

/// The best division so far of films with these sums.
struct Search {
    all: Sum,
    /// What their loss falls by without a division.
    gain: f64,
    best: Option<Best>,
}

impl Search {
    fn new(all: Sum) -> Self {
        Search { all, gain: all.gain(), best: None }
    }

    /// A division that puts the films of these bins to the left. Of equal ones the first is kept.
    fn look(&mut self, column: usize, bin: usize, left: Sum) {
        let right = self.all.without(left);
        let allowed = |side: Sum| side.films as usize >= LEAST_FILMS && side.hessian >= LEAST_HESSIAN;
        if !allowed(left) || !allowed(right) {
            return;
        }
        let gain = left.gain() + right.gain() - self.gain;
        if gain > 0.0 && self.best.is_none_or(|best| gain > best.gain) {
            self.best = Some(Best { gain, column, bin, left });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn trees_say_what_scikit_learns_do() {
        let golden: Value = serde_json::from_str(include_str!("../../../golden/audit/trees.json")).unwrap();
        let numbers = |value: &Value| {
            value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect::<Vec<f64>>()
        };
        for case in golden["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let columns = case["columns"].as_u64().unwrap() as usize;
            let table = Table { columns, values: numbers(&case["table"]) };
            let has: Vec<bool> = numbers(&case["has"]).iter().map(|has| *has == 1.0).collect();
            let films: Vec<usize> = (0..has.len()).collect();
            let trees = Trees::fit(&table, &has, &films).unwrap();
            let new = Table { columns, values: numbers(&case["new"]) };
            let expected = numbers(&case["logits"]);
            assert_eq!(expected.len(), new.films());
            for (film, expected) in expected.iter().enumerate() {
                let logit = trees.logit(new.row(film));
                // Sums go in another order there.
                assert!((logit - expected).abs() < 1e-5, "{name}, film {film}: {logit}, expected {expected}");
            }
        }
    }

    #[test]
    fn what_tells_nothing_is_not_divided() {
        let table = Table { columns: 1, values: vec![1.0; 100] };
        let has: Vec<bool> = (0..100).map(|film| film % 4 == 0).collect();
        let films: Vec<usize> = (0..100).collect();
        let trees = Trees::fit(&table, &has, &films).unwrap();
        assert!((trees.logit(&[1.0]) - (0.25_f64 / 0.75).ln()).abs() < 1e-6);
        assert!(Trees::fit(&table, &[true; 100], &films).is_none(), "one kind alone");
        assert!(Trees::fit(&table, &has, &[]).is_none());
    }

    #[test]
    fn trees_come_back_from_a_file_and_such_as_lead_nowhere_are_noticed() {
        let table = Table { columns: 2, values: (0..400).map(|i| f64::from(i * 7919 % 997) / 10.0).collect() };
        let has: Vec<bool> = (0..200).map(|film| table.row(film)[1] > 50.0).collect();
        let trees = Trees::fit(&table, &has, &(0..200).collect::<Vec<_>>()).unwrap();
        let text = serde_json::to_string(&trees).unwrap();
        let again: Trees = serde_json::from_str(&text).unwrap();
        for film in 0..200 {
            assert!((again.logit(table.row(film)) - trees.logit(table.row(film))).abs() < 1e-9);
        }
        assert!(again.is_sound(2) && !again.is_sound(1), "a column that is not there");
        let turns: Trees = serde_json::from_str(
            r#"{"base":0.0,"trees":[[{"Split":{"column":0,"threshold":1.0,"left":0,"right":0}}]]}"#,
        )
        .unwrap();
        assert!(!turns.is_sound(2), "it would never end");
        assert!(!serde_json::from_str::<Trees>(r#"{"base":0.0,"trees":[[]]}"#).unwrap().is_sound(2));
    }
}
