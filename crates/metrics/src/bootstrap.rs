//! How sure any metric is: by resampling patients.
//!
//! A resample draws as many clusters (patients) as there are, with replacement, each with all its films, and the metric
//! is computed of what was drawn (Efron and Tibshirani 1993, "An Introduction to the Bootstrap"; for clusters Field and
//! Welsh 2007, "Bootstrapping Clustered Data", J. R. Statist. Soc. B 69, 369-390). Each resample has a random number
//! generator of its own, keyed by the seed and the resample's number: the result is the same for any number of threads.
//!
//! For a proportion or an AUC [`crate::interval`], [`crate::delong`] and [`crate::clustered`] cost less and are right
//! for few patients, where a bootstrap is too sure of itself: the 95 % of an AUC of 0.85 are 87 % with ten patients, 93
//! % with thirty (`tests/coverage.rs`). It knows only what the films at hand show: a metric at its edge (an AUC of 1)
//! has no spread to resample, and none is made up.

use rayon::prelude::*;

use crate::clusters::Clusters;
use crate::interval::{Confidence, Interval};
use crate::random::{Random, Use};
use crate::special::{normal_above, normal_quantile};

/// What is resampled. What goes over resamples is compiled once for all of them: a metric takes far longer than a call.
type Metric<'a> = dyn Fn(&[usize]) -> Option<f64> + Sync + 'a;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Another seed draws otherwise; the same one always the same.
    pub seed: u64,
    /// How often.
    pub resamples: usize,
    /// In such a share of the resamples the metric may be undefined (no positive film was drawn, say). Beyond it there
    /// is no interval: what is left would be of a choice of resamples.
    pub most_undefined: f64,
}

impl Bootstrap {
    /// 2,000 resamples, of which 5 in 100 may be undefined.
    pub fn new(seed: u64) -> Bootstrap {
        Bootstrap { seed, resamples: 2_000, most_undefined: 0.05 }
    }

    /// Resamples whole clusters: `clusters` names that of each film. `metric` gets the indices of the drawn films,
    /// several times those that were drawn several times; what it gives that is not a finite number counts as
    /// undefined. `None` where the metric of all films is undefined.
    ///
    /// For the difference of two models on the same films the metric is the difference of both: every resample then has
    /// the same films for either, see [`difference`].
    ///
    /// ```
    /// use lungfish_metrics::{Confidence, bootstrap::Bootstrap, roc_auc};
    /// let positive = [false, false, true, true, false, true, false, true];
    /// let scores = [0.1, 0.4, 0.35, 0.8, 0.2, 0.6, 0.7, 0.9];
    /// let patients = ["a", "a", "b", "c", "d", "e", "f", "f"];
    /// let auc = |films: &[usize]| {
    ///     let drawn: (Vec<bool>, Vec<f64>) = films.iter().map(|&film| (positive[film], scores[film])).unzip();
    ///     roc_auc(&drawn.0, &drawn.1)
    /// };
    /// let resampled = Bootstrap::new(7).run_stratified(&patients, &positive, auc).unwrap();
    /// assert_eq!(resampled.estimate, roc_auc(&positive, &scores).unwrap());
    /// let interval = resampled.bca(Confidence::default()).unwrap();
    /// assert!(interval.contains(resampled.estimate));
    /// ```
    ///
    /// # Cost
    /// The metric is computed once a resample, and once more for each cluster (or for as many groups of clusters as
    /// there are resamples, where there are more of them) for [`Resampled::bca`], on all cores.
    pub fn run<C: Ord>(&self, clusters: &[C], metric: impl Fn(&[usize]) -> Option<f64> + Sync) -> Option<Resampled> {
        let clusters = Clusters::new(clusters);
        let stratum = (0..clusters.len()).collect();
        self.resample(&clusters, &[stratum], &metric)
    }

    /// As [`run`](Self::run), and of each stratum as many clusters are drawn as it has, so that none can vanish: of the
    /// classes, where one is rare. `strata` has the stratum of each film; a cluster with films of several belongs to
    /// one of such clusters. A stratum of a single cluster, which would be the same in each resample, joins the largest
    /// one.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn run_stratified<C: Ord, S: Ord>(
        &self,
        clusters: &[C],
        strata: &[S],
        metric: impl Fn(&[usize]) -> Option<f64> + Sync,
    ) -> Option<Resampled> {
        assert_eq!(clusters.len(), strata.len(), "a stratum a film");
        let clusters = Clusters::new(clusters);
        self.resample(&clusters, &clusters.strata(strata), &metric)
    }

    fn resample(&self, clusters: &Clusters, strata: &[Vec<usize>], metric: &Metric<'_>) -> Option<Resampled> {
        let metric = |films: &[usize]| metric(films).filter(|value| value.is_finite());
        let all: Vec<usize> = (0..clusters.of_film.len()).collect();
        let estimate = metric(&all)?;
        let draw = |(times, films): &mut (Vec<u32>, Vec<usize>), number: usize| {
            times.fill(0);
            for (place, stratum) in strata.iter().enumerate() {
                let mut random = Random::new(self.seed, Use::Resample, number, place);
                stratum.iter().for_each(|_| times[stratum[random.below(stratum.len())]] += 1);
            }
            films.clear();
            for (cluster, &times) in times.iter().enumerate() {
                (0..times).for_each(|_| films.extend_from_slice(clusters.films(cluster)));
            }
            metric(films)
        };
        let room = || (vec![0; clusters.len()], Vec::new());
        let drawn: Vec<Option<f64>> = (0..self.resamples).into_par_iter().map_init(room, draw).collect();
        let mut values: Vec<f64> = drawn.into_iter().flatten().collect();
        values.sort_unstable_by(f64::total_cmp);
        Some(Resampled {
            estimate,
            undefined: self.resamples - values.len(),
            most_undefined: self.most_undefined,
            values,
            acceleration: self.acceleration(clusters, strata, &metric),
        })
    }

    /// The skewness of what each cluster contributes, by leaving one after the other out (Davison and Hinkley 1997,
    /// "Bootstrap Methods and their Application", section 5.3; of several strata as `scipy.stats.bootstrap` has it).
    ///
    /// Beyond as many clusters as resamples, groups of them are left out together. That leaves the constant what it is:
    /// the skewness of a mean of g is 1/√g of that of one, and the sum of 1/g as many is as much more skewed again.
    fn acceleration(&self, clusters: &Clusters, strata: &[Vec<usize>], metric: &Metric<'_>) -> Option<f64> {
        let (mut cubes, mut squares) = (0.0, 0.0);
        for (place, stratum) in strata.iter().enumerate() {
            let share = self.resamples as f64 * stratum.len() as f64 / clusters.len() as f64;
            let groups = stratum.len().min((share as usize).max(2));
            let (mut shuffled, mut group_of) = (stratum.clone(), vec![usize::MAX; clusters.len()]);
            if groups < stratum.len() {
                // Names may follow a pattern, a group must not.
                Random::new(self.seed, Use::Group, 0, place).shuffle(&mut shuffled);
            }
            shuffled.iter().enumerate().for_each(|(place, &cluster)| group_of[cluster] = place % groups);
            let without = |films: &mut Vec<usize>, group: usize| {
                films.clear();
                let left = (0..clusters.len()).filter(|&cluster| group_of[cluster] != group);
                left.for_each(|cluster| films.extend_from_slice(clusters.films(cluster)));
                metric(films)
            };
            let values: Vec<Option<f64>> = (0..groups).into_par_iter().map_init(Vec::new, without).collect();
            let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
            let groups = groups as f64;
            let mean = values.iter().sum::<f64>() / groups;
            let influence = |value: &f64| (groups - 1.0) * (mean - value);
            cubes += values.iter().map(|value| influence(value).powi(3)).sum::<f64>() / groups.powi(3);
            squares += values.iter().map(|value| influence(value).powi(2)).sum::<f64>() / groups.powi(2);
        }
        let acceleration = cubes / squares.powf(1.5) / 6.0;
        acceleration.is_finite().then_some(acceleration)
    }
}

/// The difference of two metrics of the same resample, first minus second, for [`Bootstrap::run`].
///
/// ```
/// use lungfish_metrics::bootstrap::{Bootstrap, difference};
/// let (first, second) = ([1.0, 2.0, 4.0, 3.0], [1.0, 1.0, 2.0, 3.0]);
/// let mean = |of: [f64; 4]| move |films: &[usize]| {
///     Some(films.iter().map(|&film| of[film]).sum::<f64>() / films.len() as f64)
/// };
/// let resampled = Bootstrap::new(7).run(&[1, 2, 3, 4], difference(mean(first), mean(second))).unwrap();
/// assert_eq!(resampled.estimate, 0.75);
/// ```
pub fn difference(
    first: impl Fn(&[usize]) -> Option<f64> + Sync,
    second: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> impl Fn(&[usize]) -> Option<f64> + Sync {
    move |films| Some(first(films)? - second(films)?)
}

/// What a metric was in the resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// The metric of all films.
    pub estimate: f64,
    /// The metric of each resample in which it is defined, the least first.
    pub values: Vec<f64>,
    /// In so many resamples it is not.
    pub undefined: usize,
    /// In such a share of them it may be undefined.
    pub most_undefined: f64,
    /// The acceleration constant of [`bca`](Self::bca); `None` where the metric is undefined without some cluster, or
    /// the same without any of them.
    pub acceleration: Option<f64>,
}

impl Resampled {
    /// Whether so few resamples are undefined, and the others so different, that intervals say something.
    fn says_something(&self) -> bool {
        let (Some(least), Some(greatest)) = (self.values.first(), self.values.last()) else { return false };
        let all = (self.values.len() + self.undefined) as f64;
        least < greatest && self.undefined as f64 <= self.most_undefined * all
    }

    /// The standard deviation of the resamples. `None` where more were undefined than may be, or all are the same.
    pub fn standard_error(&self) -> Option<f64> {
        let count = self.values.len() as f64;
        let mean = self.values.iter().sum::<f64>() / count;
        let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
        self.says_something().then(|| (squares / (count - 1.0)).sqrt())
    }

    /// The interval between the percentiles of the resamples (Efron and Tibshirani 1993, chapter 13). `None` where more
    /// were undefined than may be, or all are the same.
    pub fn percentile(&self, confidence: Confidence) -> Option<Interval> {
        let side = confidence.alpha() / 2.0;
        self.says_something().then(|| self.between(side, 1.0 - side))
    }

    /// The interval that is corrected for bias and acceleration (Efron 1987, "Better Bootstrap Confidence Intervals",
    /// JASA 82, 171-185): `scipy.stats.bootstrap(method = "BCa")`. `None` where [`percentile`](Self::percentile) is,
    /// where there is no acceleration, and where all resamples lie on one side of the estimate.
    pub fn bca(&self, confidence: Confidence) -> Option<Interval> {
        let acceleration = self.acceleration.filter(|_| self.says_something())?;
        let below = self.values.partition_point(|&value| value < self.estimate);
        let up_to = self.values.partition_point(|&value| value <= self.estimate);
        // Resamples that are the estimate itself count half, as a tie does.
        let share = (below + up_to) as f64 / (2 * self.values.len()) as f64;
        if share <= 0.0 || share >= 1.0 {
            return None;
        }
        let bias = normal_quantile(share);
        let corrected = |z: f64| {
            let stretched = 1.0 - acceleration * (bias + z);
            (stretched > 0.0).then(|| normal_above(-(bias + (bias + z) / stretched)))
        };
        Some(self.between(corrected(-confidence.z())?, corrected(confidence.z())?))
    }

    /// Between two quantiles, each by the straight line between its neighbours (numpy's, R's type 7).
    fn between(&self, low: f64, high: f64) -> Interval {
        let quantile = |p: f64| {
            let place = p * (self.values.len() - 1) as f64;
            let (under, over) = (self.values[place as usize], self.values[place.ceil() as usize]);
            under + (over - under) * place.fract()
        };
        Interval { low: quantile(low), high: quantile(high) }
    }
}
