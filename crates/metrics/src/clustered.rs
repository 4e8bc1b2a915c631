//! How sure figures are where films come in clusters: several of a patient are alike and count for less than as many of
//! different patients.
//!
//! The name of each film's cluster is one more slice. A film that is alone in its cluster is one of its own: with
//! nothing but such films the variances are those of independent films.

use crate::clusters::Clusters;
use crate::delong::{AucDifference, AucEstimate};
use crate::interval::{Confidence, Interval, exact_lower, wilson_of};
use crate::placements::{Placements, placements};
use crate::special;

/// The AUC with the variance for clusters of Obuchowski (1997, "Nonparametric Analysis of Clustered ROC Curve Data",
/// Biometrics 53, 567-578). A cluster may have films of both classes. `None` where there is no positive or no negative
/// film, or a score is not a number; the variance is `None` where all films of a class are of one cluster.
///
/// Patients are often few, so that the variance itself is unsure: intervals and tests take Student's t with the degrees
/// of freedom that Satterthwaite's rule gives the sum of both classes' variances, as Brunner and Munzel (2000, "The
/// Nonparametric Behrens-Fisher Problem", Biometrical Journal 42, 17-25) do for independent films; at most those of all
/// clusters.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{clustered, delong};
/// let (positive, scores) = ([false, false, true, true, true], [0.1, 0.4, 0.35, 0.8, 0.7]);
/// let alone = clustered::auc(&positive, &scores, &["a", "b", "c", "d", "e"]).unwrap();
/// assert_eq!(alone.auc, delong::auc(&positive, &scores).unwrap().auc);
/// let together = clustered::auc(&positive, &scores, &["a", "b", "c", "d", "d"]).unwrap();
/// assert!(together.variance > alone.variance);
/// ```
pub fn auc<T: Copy + Into<f64>, C: Ord>(positive: &[bool], scores: &[T], clusters: &[C]) -> Option<AucEstimate> {
    assert_eq!(positive.len(), clusters.len(), "a cluster a label");
    let placements = placements(positive, scores)?;
    Some(estimate(positive, &placements, &Clusters::new(clusters)))
}

/// The difference of the AUCs of two scores of the same films, with Obuchowski's variance of it, see [`auc`].
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::clustered;
/// let positive = [false, false, false, true, true, true];
/// let (first, second) = ([0.1, 0.2, 0.5, 0.4, 0.8, 0.9], [0.3, 0.6, 0.5, 0.2, 0.8, 0.7]);
/// let difference = clustered::difference(&positive, &first, &second, &[1, 1, 2, 3, 3, 4]).unwrap();
/// assert!((difference.difference - 2.0 / 9.0).abs() < 1e-15);
/// ```
pub fn difference<T: Copy + Into<f64>, U: Copy + Into<f64>, C: Ord>(
    positive: &[bool],
    first: &[T],
    second: &[U],
    clusters: &[C],
) -> Option<AucDifference> {
    assert_eq!(positive.len(), clusters.len(), "a cluster a label");
    let (first, second) = (placements(positive, first)?, placements(positive, second)?);
    let clusters = Clusters::new(clusters);
    let between: Vec<f64> = first.of_film.iter().zip(&second.of_film).map(|(first, second)| first - second).collect();
    let difference = first.auc - second.auc;
    let spread = Spread::new(positive, &between, difference, &clusters);
    Some(AucDifference {
        first: estimate(positive, &first, &clusters),
        second: estimate(positive, &second, &clusters),
        difference,
        variance: spread.variance,
        freedom: spread.freedom,
    })
}

fn estimate(positive: &[bool], placements: &Placements, clusters: &Clusters) -> AucEstimate {
    let Placements { ref of_film, auc, positives, negatives } = *placements;
    let spread = Spread::new(positive, of_film, auc, clusters);
    let Spread { variance, freedom, disjoint_pairs } = spread;
    AucEstimate { auc, variance, positives, negatives, disjoint_pairs, freedom }
}

struct Spread {
    variance: Option<f64>,
    freedom: f64,
    disjoint_pairs: u64,
}

impl Spread {
    /// Of the mean placement, `mean`. Names are those of the paper: S10 and S01 are the classes' parts, S11 is what
    /// they have in common through clusters of both.
    fn new(positive: &[bool], placements: &[f64], mean: f64, clusters: &Clusters) -> Spread {
        let (mut squares, mut product) = ([0.0; 2], 0.0);
        let (mut films, mut with) = ([0_u64; 2], [0_u64; 2]);
        for cluster in 0..clusters.len() {
            let (mut sums, mut here) = ([0.0; 2], [0; 2]);
            for &film in clusters.films(cluster) {
                let class = usize::from(positive[film]);
                sums[class] += placements[film] - mean;
                here[class] += 1;
            }
            for class in 0..2 {
                squares[class] += sums[class] * sums[class];
                films[class] += here[class];
                with[class] += u64::from(here[class] > 0);
            }
            product += sums[0] * sums[1];
        }
        // A cluster gives a film to one pair, though it may have both classes.
        let all = clusters.len() as u64;
        let disjoint_pairs = with[0].min(with[1]).min(all / 2);
        if with[0].min(with[1]) < 2 {
            return Spread { variance: None, freedom: f64::INFINITY, disjoint_pairs };
        }
        let corrected = |sum: f64, clusters: u64| sum * clusters as f64 / (clusters - 1) as f64;
        let part = |class: usize| corrected(squares[class], with[class]) / (films[class] as f64).powi(2);
        let common = 2.0 * corrected(product, all) / films[0] as f64 / films[1] as f64;
        // Never below 0 but for rounding: with one correction for all three it is a sum of squares.
        let variance = (part(0) + part(1) + common).max(0.0);
        let weight = |class: usize| part(class).powi(2) / (with[class] - 1) as f64;
        let freedom = (part(0) + part(1)).powi(2) / (weight(0) + weight(1));
        let most = (all - 1) as f64;
        Spread { variance: Some(variance), freedom: if freedom < most { freedom } else { most }, disjoint_pairs }
    }
}

/// A proportion of films that come in clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proportion {
    /// The part of all films.
    pub share: f64,
    /// All films.
    pub films: u64,
    /// Clusters that have any.
    pub clusters: u64,
    /// The variance of the share; `None` for one cluster.
    pub variance: Option<f64>,
}

impl Proportion {
    /// How much greater the variance is than that of as many independent films; `None` for one cluster, and where the
    /// share is 0 or 1.
    pub fn design_effect(&self) -> Option<f64> {
        let independent = self.share * (1.0 - self.share) / self.films as f64;
        (independent > 0.0).then_some(self.variance? / independent)
    }

    /// So many independent films would say as much: Korn and Graubard's effective size, with their correction for few
    /// clusters, at most the number of films. Where the share is 0 or 1 there is no variance to tell, and it is the
    /// number of clusters: as if the films of a patient were all the same. `None` for one cluster.
    pub fn effective_films(&self, confidence: Confidence) -> Option<f64> {
        self.variance?;
        let Some(effect) = self.design_effect() else { return Some(self.clusters as f64) };
        let quantile = |freedom: f64| special::t_two_sided_quantile(confidence.alpha(), freedom);
        let films = self.films as f64;
        let correction = quantile(films - 1.0) / quantile(self.clusters as f64 - 1.0);
        Some((films / effect * correction * correction).min(films))
    }

    /// Wilson's interval of as many films as are effective: of those compared by Dean and Pagano (2015, "Evaluating
    /// Confidence Interval Methods for Binomial Proportions in Clustered Surveys", Journal of Survey Statistics and
    /// Methodology 3, 484-503) among the best, and the one to show. `None` for one cluster.
    pub fn wilson(&self, confidence: Confidence) -> Option<Interval> {
        Some(wilson_of(self.share, self.effective_films(confidence)?, confidence.z()))
    }

    /// The exact interval of as many films as are effective (Korn and Graubard 1998, "Confidence Intervals for
    /// Proportions with Small Expected Number of Positive Counts Estimated from Survey Data", Survey Methodology 24,
    /// 193-201), a cautious one: `svyciprop(method = "beta")` of R's survey. `None` for one cluster.
    pub fn clopper_pearson(&self, confidence: Confidence) -> Option<Interval> {
        let films = self.effective_films(confidence)?;
        let side = confidence.alpha() / 2.0;
        let (yes, no) = (self.share * films, (1.0 - self.share) * films);
        Some(Interval { low: exact_lower(yes, no, side), high: 1.0 - exact_lower(no, yes, side) })
    }
}

/// The part of the films that `is` true for, with the variance of a ratio of sums over clusters (Cochran 1977,
/// "Sampling Techniques", chapter 6; Rao and Scott 1992, "A Simple Method for the Analysis of Clustered Binary Data",
/// Biometrics 48, 577-585): a sensitivity for example, of the positive films. `None` for no film.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use lungfish_metrics::{Confidence, clustered::proportion};
/// let found = [true, true, true, false, false, true];
/// let share = proportion(&found, &["a", "a", "a", "b", "b", "c"]).unwrap();
/// assert!(share.design_effect().unwrap() > 1.0);
/// let interval = share.wilson(Confidence::default()).unwrap();
/// assert!(interval.contains(4.0 / 6.0));
/// ```
pub fn proportion<C: Ord>(is: &[bool], clusters: &[C]) -> Option<Proportion> {
    assert_eq!(is.len(), clusters.len(), "a cluster a film");
    if is.is_empty() {
        return None;
    }
    let groups = Clusters::new(clusters);
    let (films, clusters) = (is.len() as f64, groups.len());
    let share = is.iter().filter(|&&is| is).count() as f64 / films;
    let deviation = |cluster: usize| {
        let members = groups.films(cluster);
        members.iter().filter(|&&film| is[film]).count() as f64 - share * members.len() as f64
    };
    let squares: f64 = (0..clusters).map(|cluster| deviation(cluster).powi(2)).sum();
    let variance = (clusters > 1).then(|| squares * clusters as f64 / (clusters - 1) as f64 / films / films);
    Some(Proportion { share, films: is.len() as u64, clusters: clusters as u64, variance })
}
