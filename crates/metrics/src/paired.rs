//! Two ways to call the same films, compared by the films on which they differ.

use crate::special::{fair_binomial, fair_binomial_cdf};

/// McNemar's test (1947, "Note on the Sampling Error of the Difference between Correlated Proportions or Percentages",
/// Psychometrika 12, 153-157) of whether two models are right equally often. The films have to be independent; for
/// several of a patient there is [`crate::bootstrap`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    /// Films that only the first has right.
    pub first_only: u64,
    /// Films that only the second has right.
    pub second_only: u64,
    /// How likely a split as uneven as this is where either is as likely: exact, of the binomial distribution,
    /// two-sided (`statsmodels.stats.contingency_tables.mcnemar(exact = True)`). 1 where they differ nowhere.
    pub exact: f64,
    /// The same with the split itself counting half: less cautious, and of the tests that Fagerland, Lydersen and Laake
    /// (2013, "The McNemar Test for Binary Matched-Pairs Data", BMC Medical Research Methodology 13, 91) compare the
    /// one they advise. It can come out above the level by a little.
    pub mid_p: f64,
}

/// McNemar's test of which films two models have right.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// let first = [true, true, true, true, true, true, false, true];
/// let second = [false, false, false, false, false, false, true, true];
/// let test = lungfish_metrics::paired::mcnemar(&first, &second);
/// assert_eq!((test.first_only, test.second_only), (6, 1));
/// assert!((test.exact - 0.125).abs() < 1e-12 && (test.mid_p - 0.0703125).abs() < 1e-12);
/// ```
pub fn mcnemar(first: &[bool], second: &[bool]) -> McNemar {
    assert_eq!(first.len(), second.len(), "both of each film");
    let count = |of: bool| first.iter().zip(second).filter(|&(&first, &second)| first != second && first == of).count();
    mcnemar_of_counts(count(true) as u64, count(false) as u64)
}

/// McNemar's test of so many films that only the first, and that only the second has right.
pub fn mcnemar_of_counts(first_only: u64, second_only: u64) -> McNemar {
    let (fewer, all) = (first_only.min(second_only), first_only + second_only);
    let tail = 2.0 * fair_binomial_cdf(fewer, all);
    let mid_p = tail - fair_binomial(fewer, all);
    McNemar { first_only, second_only, exact: tail.min(1.0), mid_p: mid_p.min(1.0) }
}
