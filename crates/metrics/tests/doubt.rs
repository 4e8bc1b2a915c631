//! What holds for intervals, tests and resamples of any labels and scores.

use std::collections::HashSet;

use lungfish_metrics::binary::Counts;
use lungfish_metrics::bootstrap::{Bootstrap, Resampled, difference};
use lungfish_metrics::delong::{AucEstimate, AucMethod};
use lungfish_metrics::interval::{clopper_pearson, clopper_pearson_lower, wilson};
use lungfish_metrics::paired::mcnemar_of_counts;
use lungfish_metrics::{Confidence, Interval, adjusted, clustered, delong, roc_auc};
use proptest::prelude::*;

/// Scores out of few values, so that ties are common, -0 and infinities among them.
fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-4_i32..=4).prop_map(|step| f64::from(step) / 4.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        -1.0..1.0
    ]
}

/// Label, two scores and a patient.
type Film = (bool, f64, f64, usize);

fn films() -> impl Strategy<Value = Vec<Film>> {
    prop::collection::vec((any::<bool>(), score(), score(), 0_usize..12), 0..50)
}

struct Set {
    positive: Vec<bool>,
    first: Vec<f64>,
    second: Vec<f64>,
    patient: Vec<usize>,
}

fn set(films: &[Film]) -> Set {
    Set {
        positive: films.iter().map(|film| film.0).collect(),
        first: films.iter().map(|film| film.1).collect(),
        second: films.iter().map(|film| film.2).collect(),
        patient: films.iter().map(|film| film.3).collect(),
    }
}

/// DeLong's components by their definition, over all pairs: of the positive films and of the negative ones.
fn components(positive: &[bool], scores: &[f64]) -> [Vec<f64>; 2] {
    let side = |of: bool| (0..scores.len()).filter(|&film| positive[film] == of).collect::<Vec<_>>();
    let (hits, misses) = (side(true), side(false));
    let won = |hit: usize, miss: usize| {
        if scores[hit] > scores[miss] { 1.0 } else { 0.5 * f64::from(scores[hit] == scores[miss]) }
    };
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    [
        hits.iter().map(|&hit| mean(misses.iter().map(|&miss| won(hit, miss)).collect())).collect(),
        misses.iter().map(|&miss| mean(hits.iter().map(|&hit| won(hit, miss)).collect())).collect(),
    ]
}

/// Covariance of the means of two lists.
fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>() / (n - 1.0) / n
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-10
}

/// The same but for rounding.
fn alike(one: &AucEstimate, other: &AucEstimate) -> bool {
    let close = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => close(one, other),
        (one, other) => one == other,
    };
    one.auc == other.auc
        && close(one.variance, other.variance)
        && (one.freedom == other.freedom || (one.freedom / other.freedom - 1.0).abs() < 1e-9)
        && one.disjoint_pairs == other.disjoint_pairs
}

fn within(interval: Interval, estimate: f64, low: f64, high: f64) -> bool {
    interval.contains(estimate) && interval.low >= low && interval.high <= high
}

fn level(level: f64) -> Confidence {
    Confidence::new(level).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn delongs_variance_by_ranks_is_that_by_pairs(films in films()) {
        let Set { positive, first, second, .. } = set(&films);
        let Some(ours) = delong::difference(&positive, &first, &second) else {
            prop_assert!(!positive.contains(&true) || !positive.contains(&false));
            return Ok(());
        };
        prop_assert_eq!(Some(ours.first.auc), roc_auc(&positive, &first));
        let (a, b) = (components(&positive, &first), components(&positive, &second));
        let sum = |a: &[Vec<f64>; 2], b: &[Vec<f64>; 2]| covariance(&a[0], &b[0]) + covariance(&a[1], &b[1]);
        if ours.first.positives.min(ours.first.negatives) < 2 {
            prop_assert_eq!((ours.first.variance, ours.variance), (None, None));
        } else {
            prop_assert!(close(ours.first.variance.unwrap(), sum(&a, &a)));
            prop_assert!(close(ours.second.variance.unwrap(), sum(&b, &b)));
            prop_assert!(close(ours.variance.unwrap(), sum(&a, &a) + sum(&b, &b) - 2.0 * sum(&a, &b)));
        }
    }

    #[test]
    fn a_cluster_a_film_is_no_clustering(films in films()) {
        let Set { positive, first, second, .. } = set(&films);
        let alone: Vec<usize> = (0..films.len()).collect();
        let plain = delong::difference(&positive, &first, &second);
        let clustered = clustered::difference(&positive, &first, &second, &alone);
        prop_assert_eq!(plain.is_some(), clustered.is_some());
        let (Some(plain), Some(clustered)) = (plain, clustered) else { return Ok(()) };
        for (one, other) in [(plain.first.variance, clustered.first.variance), (plain.variance, clustered.variance)] {
            prop_assert_eq!(one.is_some(), other.is_some());
            prop_assert!(one.is_none_or(|one| close(one, other.unwrap())), "{:?} {:?}", one, other);
        }
        prop_assert_eq!(plain.first.disjoint_pairs, clustered.first.disjoint_pairs);
    }

    /// What films of a patient repeat adds nothing.
    #[test]
    fn every_film_twice_is_as_sure_as_once(films in films()) {
        let twice: Vec<Film> = films.iter().flat_map(|&film| [film, film]).collect();
        let (once, twice) = (set(&films), set(&twice));
        let auc = |set: &Set| clustered::auc(&set.positive, &set.first, &set.patient);
        match (auc(&once), auc(&twice)) {
            (Some(once), Some(twice)) => prop_assert!(alike(&once, &twice), "{:?} {:?}", once, twice),
            (once, twice) => prop_assert_eq!(once, twice),
        }
        // Of other patients, it is surer.
        let plain = |set: &Set| delong::auc(&set.positive, &set.first).and_then(|auc| auc.variance);
        if let (Some(once), Some(twice)) = (plain(&once), plain(&twice)) {
            prop_assert!(twice < once || once == 0.0, "{} {}", once, twice);
        }
        let share = |set: &Set| clustered::proportion(&set.positive, &set.patient);
        if let (Some(once), Some(twice)) = (share(&once), share(&twice)) {
            prop_assert_eq!(once.share, twice.share);
            prop_assert!(close(once.variance.unwrap_or(-1.0), twice.variance.unwrap_or(-1.0)));
        }
    }

    #[test]
    fn the_order_of_films_changes_nothing(films in films(), by in 0_usize..50) {
        let mut moved = films.clone();
        moved.reverse();
        moved.rotate_left(by % films.len().max(1));
        let (here, there) = (set(&films), set(&moved));
        let aucs = |set: &Set| {
            let clustered = clustered::auc(&set.positive, &set.first, &set.patient)?;
            Some([delong::auc(&set.positive, &set.first)?, clustered])
        };
        match (aucs(&here), aucs(&there)) {
            (Some(here), Some(there)) => prop_assert!(here.iter().zip(&there).all(|(a, b)| alike(a, b))),
            (here, there) => prop_assert_eq!(here, there),
        }
        let share = |set: &Set| clustered::proportion(&set.positive, &set.patient);
        prop_assert_eq!(share(&here).map(|one| one.share), share(&there).map(|one| one.share));
        let adjusted = |set: &Set| adjusted::auc(&set.positive, &set.first, &set.patient);
        prop_assert_eq!(adjusted(&here), adjusted(&there));
    }

    #[test]
    fn intervals_of_aucs_contain_them(films in films(), clusters in any::<bool>()) {
        let Set { positive, first, second, patient } = set(&films);
        let difference = match clusters {
            false => delong::difference(&positive, &first, &second),
            true => clustered::difference(&positive, &first, &second, &patient),
        };
        let Some(difference) = difference else { return Ok(()) };
        for estimate in [difference.first, difference.second] {
            prop_assert!(estimate.variance.is_none_or(|variance| variance >= 0.0 && variance.is_finite()));
            let interval = estimate.interval(Confidence::default());
            let edge = estimate.auc == 0.0 || estimate.auc == 1.0;
            prop_assert_eq!(interval.is_some(), edge || estimate.variance.is_some_and(|variance| variance > 0.0));
            if let Some(found) = interval {
                prop_assert!(within(found.interval, estimate.auc, 0.0, 1.0), "{:?} {:?}", found, estimate);
                prop_assert!(found.interval.width() > 0.0);
                prop_assert_eq!(found.method == AucMethod::DisjointPairs, edge);
                let narrower = estimate.interval(level(0.5)).unwrap().interval;
                prop_assert!(found.interval.contains(narrower.low) && found.interval.contains(narrower.high));
            }
            if let Some(wald) = estimate.wald(Confidence::default()) {
                prop_assert!(within(wald, estimate.auc, 0.0, 1.0));
            }
        }
        prop_assert_eq!(difference.p().is_some(), difference.variance.is_some_and(|variance| variance > 0.0));
        if let (Some(p), Some(interval)) = (difference.p(), difference.interval(Confidence::default())) {
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert!(within(interval, difference.difference, -1.0, 1.0));
            // The interval and the test say the same.
            let cut_off = interval.low <= -1.0 || interval.high >= 1.0;
            prop_assert!(cut_off || (p - 0.05).abs() < 1e-9 || interval.contains(0.0) == (p > 0.05));
        }
    }

    #[test]
    fn two_scores_differ_as_they_are_named(films in films()) {
        let Set { positive, first, second, patient } = set(&films);
        let (one, other) = (
            clustered::difference(&positive, &first, &second, &patient),
            clustered::difference(&positive, &second, &first, &patient),
        );
        if let (Some(one), Some(other)) = (one, other) {
            prop_assert_eq!((one.first, one.difference), (other.second, -other.difference));
            prop_assert!(close(one.variance.unwrap_or(-1.0), other.variance.unwrap_or(-1.0)));
        }
        if let Some(same) = delong::difference(&positive, &first, &first) {
            prop_assert_eq!((same.difference, same.z(), same.p()), (0.0, None, None));
        }
    }

    #[test]
    fn intervals_of_shares_contain_them(films in 1_u64..5_000, part in 0.0..=1.0_f64, times in 2_u64..50) {
        let successes = (part * films as f64) as u64;
        let share = successes as f64 / films as f64;
        for of in [wilson, clopper_pearson] {
            let interval = of(successes, films, Confidence::default()).unwrap();
            prop_assert!(within(interval, share, 0.0, 1.0), "{:?} of {} of {}", interval, successes, films);
            // More films are surer.
            let more = of(times * successes, times * films, Confidence::default()).unwrap();
            prop_assert!(more.width() < interval.width());
            let wider = of(successes, films, level(0.99)).unwrap();
            prop_assert!(wider.low <= interval.low && wider.high >= interval.high);
            // The other class is the mirror.
            let turned = of(films - successes, films, Confidence::default()).unwrap();
            prop_assert!((turned.low + interval.high - 1.0).abs() < 1e-12);
        }
        let exact = clopper_pearson(successes, films, level(0.9)).unwrap();
        prop_assert!(close(clopper_pearson_lower(successes, films, level(0.95)).unwrap(), exact.low));
    }

    #[test]
    fn intervals_of_clustered_shares_contain_them(films in prop::collection::vec((any::<bool>(), 0_usize..9), 0..40)) {
        let (is, patient): (Vec<bool>, Vec<usize>) = films.into_iter().unzip();
        let Some(share) = clustered::proportion(&is, &patient) else {
            prop_assert!(is.is_empty());
            return Ok(());
        };
        let some = share.clusters > 1;
        prop_assert_eq!(share.variance.is_some(), some);
        prop_assert_eq!(share.effective_films(Confidence::default()).is_some(), some);
        for interval in [share.wilson(Confidence::default()), share.clopper_pearson(Confidence::default())] {
            prop_assert_eq!(interval.is_some(), some);
            let inside = |interval| within(interval, share.share, 0.0, 1.0) && interval.width() > 0.0;
            prop_assert!(interval.is_none_or(inside), "{:?} {:?}", interval, share);
        }
        if let Some(films) = share.effective_films(Confidence::default()) {
            prop_assert!(films > 0.0 && films <= share.films as f64);
            // No surer than as many independent films.
            let successes = is.iter().filter(|&&is| is).count() as u64;
            let independent = wilson(successes, share.films, Confidence::default()).unwrap();
            prop_assert!(share.wilson(Confidence::default()).unwrap().width() > independent.width() - 1e-12);
        }
    }

    #[test]
    fn mcnemars_mid_p_is_less_cautious(first in 0_u64..400, second in 0_u64..400) {
        let test = mcnemar_of_counts(first, second);
        prop_assert!(test.mid_p <= test.exact && test.mid_p > 0.0 && test.exact <= 1.0);
        prop_assert_eq!(mcnemar_of_counts(second, first).mid_p, test.mid_p);
    }

    #[test]
    fn an_adjusted_auc_is_the_mean_of_its_strata(films in films()) {
        let Set { positive, first, patient, .. } = set(&films);
        let one = adjusted::auc(&positive, &first, &vec![(); films.len()]);
        let all = roc_auc(&positive, &first);
        prop_assert_eq!(one.is_some(), all.is_some());
        prop_assert!(one.is_none_or(|one| close(one.auc, all.unwrap())));
        let Some(adjusted) = adjusted::auc(&positive, &first, &patient) else { return Ok(()) };
        let counted: u64 = adjusted.strata.iter().map(|stratum| stratum.positives).sum();
        let all = positive.iter().filter(|&&is| is).count() as u64;
        prop_assert_eq!(counted + adjusted.positives_left_out, all);
        for stratum in &adjusted.strata {
            let of: Vec<Film> = films.iter().filter(|film| film.3 == stratum.stratum).copied().collect();
            prop_assert_eq!(Some(stratum.auc), roc_auc(&set(&of).positive, &set(&of).first));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn resamples_are_the_same_for_any_threads_and_order(films in films(), seed in any::<u64>()) {
        let few = Bootstrap { resamples: 60, ..Bootstrap::new(seed) };
        let resampled = |films: &[Film]| {
            let Set { positive, first, patient, .. } = set(films);
            few.run_stratified(&patient, &positive, |drawn| {
                let (positive, first): (Vec<bool>, Vec<f64>) =
                    drawn.iter().map(|&film| (positive[film], first[film])).unzip();
                roc_auc(&positive, &first)
            })
        };
        let on = |threads: usize, films: &[Film]| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| resampled(films))
        };
        let alone = on(1, &films);
        prop_assert_eq!(&alone, &on(3, &films));
        let turned: Vec<Film> = films.iter().rev().copied().collect();
        let values = |one: &Option<Resampled>| one.clone().map(|one| one.values);
        prop_assert_eq!(values(&alone), values(&on(2, &turned)));
        if let Some(resampled) = alone {
            prop_assert_eq!(resampled.values.len() + resampled.undefined, 60);
            prop_assert!(resampled.values.is_sorted());
            for interval in [resampled.percentile(level(0.9)), resampled.bca(level(0.9))].into_iter().flatten() {
                prop_assert!(0.0 <= interval.low && interval.low <= interval.high && interval.high <= 1.0);
            }
        }
    }
}

#[test]
fn a_resample_draws_whole_patients_as_many_as_there_are() {
    // Two films a patient, odd and even.
    let patients: Vec<usize> = (0..40).map(|film| film / 2).collect();
    let seen = std::sync::Mutex::new(HashSet::new());
    let metric = |films: &[usize]| {
        seen.lock().unwrap().insert(films.to_vec());
        let whole = films.iter().filter(|&film| film % 2 == 0).count() * 2 == films.len();
        let left_out = films.len() == 38;
        assert!(whole && (films.len() == 40 || left_out), "{films:?}");
        Some(films.iter().sum::<usize>() as f64)
    };
    let resampled = Bootstrap::new(5).run(&patients, metric).unwrap();
    // All are different, and so are those of another seed.
    assert!(seen.lock().unwrap().len() > 2_000, "{}", seen.lock().unwrap().len());
    assert_eq!((resampled.values.len(), resampled.undefined), (2_000, 0));
    let other = Bootstrap::new(6).run(&patients, |films| Some(films.iter().sum::<usize>() as f64)).unwrap();
    assert_ne!(other.values, resampled.values);
    assert_eq!(other.estimate, resampled.estimate);
}

#[test]
fn the_bootstrap_of_a_mean_has_its_standard_error() {
    let values: Vec<f64> = (0..200).map(|film| f64::from(film * film % 83)).collect();
    let mean = |films: &[usize]| Some(films.iter().map(|&film| values[film]).sum::<f64>() / films.len() as f64);
    let films: Vec<usize> = (0..200).collect();
    let resampled = Bootstrap::new(11).run(&films, mean).unwrap();
    let spread = values.iter().map(|value| (value - resampled.estimate).powi(2)).sum::<f64>() / 200.0;
    let error = (spread / 200.0).sqrt();
    // Within four standard errors of a standard deviation from 2,000.
    assert!((resampled.standard_error().unwrap() / error - 1.0).abs() < 4.0 / 4_000_f64.sqrt());
    let interval = resampled.percentile(Confidence::default()).unwrap();
    assert!((interval.width() / (2.0 * 1.96 * error) - 1.0).abs() < 0.1, "{interval:?} {error}");
}

#[test]
fn what_is_undefined_in_too_many_resamples_has_no_interval() {
    // One positive patient of six: a third of the resamples have none.
    let positive = [true, false, false, false, false, false];
    let scores = [0.6, 0.1, 0.7, 0.2, 0.5, 0.4];
    let patients = [0, 1, 2, 3, 4, 5];
    let auc = |films: &[usize]| {
        let (positive, scores): (Vec<bool>, Vec<f64>) =
            films.iter().map(|&film| (positive[film], scores[film])).unzip();
        roc_auc(&positive, &scores)
    };
    let resampled = Bootstrap::new(3).run(&patients, auc).unwrap();
    let share = resampled.undefined as f64 / 2_000.0;
    assert!((share - (5.0_f64 / 6.0).powi(6)).abs() < 0.05, "{share}");
    assert_eq!((resampled.percentile(Confidence::default()), resampled.standard_error()), (None, None));
    // A single patient of a class is no stratum: drawing it every time would be to know it.
    assert!(Bootstrap::new(3).run_stratified(&patients, &positive, auc).unwrap().undefined > 0);
    let allowed = Bootstrap { most_undefined: 0.5, ..Bootstrap::new(3) }.run(&patients, auc).unwrap();
    assert!(allowed.percentile(Confidence::default()).is_some());
    // Without that patient the metric does not exist, so nothing is known of the acceleration.
    assert_eq!((allowed.acceleration, allowed.bca(Confidence::default())), (None, None));
    // Two are: each resample has both classes.
    let positive = [true, true, false, false, false, false];
    let auc = |films: &[usize]| {
        let (positive, scores): (Vec<bool>, Vec<f64>) =
            films.iter().map(|&film| (positive[film], scores[film])).unzip();
        roc_auc(&positive, &scores)
    };
    assert!(Bootstrap::new(3).run(&patients, auc).unwrap().undefined > 0);
    assert_eq!(Bootstrap::new(3).run_stratified(&patients, &positive, auc).unwrap().undefined, 0);
}

#[test]
fn without_spread_there_is_no_interval() {
    let same = Bootstrap::new(3).run(&[1, 2, 3], |_| Some(1.0)).unwrap();
    assert_eq!((same.percentile(Confidence::default()), same.bca(Confidence::default())), (None, None));
    let not_finite = Bootstrap::new(3).run(&[1, 2, 3], |films| (films.len() == 3).then_some(f64::NAN));
    assert_eq!(not_finite, None);
    assert_eq!(Bootstrap::new(3).run::<u8>(&[], |films| films.first().map(|_| 1.0)), None);
}

#[test]
fn the_difference_of_two_models_is_taken_in_each_resample() {
    let films: Vec<usize> = (0..60).collect();
    let right = |of: usize| {
        move |films: &[usize]| Some(films.iter().filter(|&&film| film % of != 0).count() as f64 / films.len() as f64)
    };
    let apart = Bootstrap::new(2).run(&films, difference(right(5), right(5))).unwrap();
    assert!(apart.values.iter().all(|&value| value == 0.0));
    let apart = Bootstrap::new(2).run(&films, difference(right(10), right(5))).unwrap();
    assert!((apart.estimate - 0.1).abs() < 1e-12);
    // Where one is wrong the other is: the difference is surer than either.
    let one = Bootstrap::new(2).run(&films, right(5)).unwrap();
    assert!(apart.standard_error().unwrap() < one.standard_error().unwrap());
}

#[test]
fn more_patients_than_resamples_are_left_out_in_groups() {
    let values: Vec<f64> = (0..3_000_u32).map(|film| noise(film).powi(8)).collect();
    let mean = |films: &[usize]| Some(films.iter().map(|&film| values[film]).sum::<f64>() / films.len() as f64);
    let films: Vec<usize> = (0..3_000).collect();
    let of = |resamples: usize| Bootstrap { resamples, ..Bootstrap::new(1) }.run(&films, mean).unwrap();
    let (each, groups) = (of(3_000).acceleration.unwrap(), of(1_000).acceleration.unwrap());
    // The skewness of 1,000 numbers is known to sqrt(6 / 1000), the constant to that by 6 sqrt(1000); three times as
    // much.
    assert!(each > 0.006 && (groups - each).abs() < 0.0013, "{each} {groups}");
}

#[test]
fn nothing_to_go_by_is_none() {
    let nan = [0.1, f64::NAN, 0.2, 0.3];
    let positive = [true, true, false, false];
    assert_eq!(delong::auc(&positive, &nan), None);
    assert_eq!(delong::auc::<f64>(&[], &[]), None);
    assert_eq!(delong::difference(&positive, &[1.0, 2.0, 3.0, 4.0], &nan), None);
    assert_eq!(clustered::auc(&positive, &nan, &[1, 2, 3, 4]), None);
    assert_eq!(clustered::proportion::<u8>(&[], &[]), None);
    assert_eq!(adjusted::auc(&positive, &nan, &[1, 1, 1, 1]), None);
    assert_eq!(adjusted::auc(&positive, &[0.1, 0.2, 0.3, 0.4], &[1, 1, 2, 2]), None);
    assert_eq!(wilson(0, 0, Confidence::default()), None);
    assert_eq!(clopper_pearson(0, 0, Confidence::default()), None);
    for level in [0.0, 1.0, -1.0, f64::NAN] {
        assert_eq!(Confidence::new(level), None);
    }
    // All scores alike: an AUC of 1/2 by definition, and nothing to say how sure it is.
    let same = delong::auc(&positive, &[0.5; 4]).unwrap();
    assert_eq!((same.auc, same.variance, same.interval(Confidence::default())), (0.5, Some(0.0), None));
    // One positive film: an AUC without a variance, unless it is at the edge, where one pair says nearly nothing.
    let single = delong::auc(&[true, false, false], &[0.5, 0.4, 0.6]).unwrap();
    assert_eq!((single.auc, single.variance, single.interval(Confidence::default())), (0.5, None, None));
    let edge = delong::auc(&[true, false, false], &[0.7, 0.4, 0.6]).unwrap().interval(Confidence::default()).unwrap();
    assert!(close(edge.interval.low, 0.025) && edge.interval.high == 1.0);
    // One patient: no interval of a share, and no pair of patients for an AUC.
    assert_eq!(clustered::proportion(&positive, &[1; 4]).unwrap().wilson(Confidence::default()), None);
    let one = clustered::auc(&positive, &[4.0, 3.0, 2.0, 1.0], &[1; 4]).unwrap();
    assert_eq!(one.interval(Confidence::default()).unwrap().interval, Interval { low: 0.0, high: 1.0 });
}

/// Numbers in 0 to 1 as if they were random: the last steps of MurmurHash3.
fn noise(film: u32) -> f64 {
    let mixed = (film ^ (film >> 16)).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    f64::from(mixed ^ (mixed >> 16)) / 4_294_967_296.0
}

/// A million films, a third of them positive, patients of three; with ties and without.
#[test]
fn a_million_films_do_not_overflow() {
    let films = 1_000_000;
    let positive: Vec<bool> = (0..films).map(|film| film % 3 == 0).collect();
    let patient: Vec<u32> = (0..films).map(|film| film as u32 / 3).collect();
    let noise = |film: usize| noise(film as u32);
    for levels in [f64::INFINITY, 16.0] {
        let tied = |value: f64| if levels.is_finite() { (value * levels).round() / levels } else { value };
        let first: Vec<f64> = (0..films).map(|film| tied(noise(film) + 0.5 * f64::from(positive[film]))).collect();
        let plain = delong::auc(&positive, &first).unwrap();
        // Uniform and moved by a half: 1 - (1/2)^2 / 2.
        assert!((plain.auc - 0.875).abs() < 2e-3, "{plain:?}");
        assert!((1e-8..1e-6).contains(&plain.variance.unwrap()), "{plain:?}");
        assert!(plain.interval(Confidence::default()).unwrap().interval.width() < 2e-3);
        let clustered = clustered::auc(&positive, &first, &patient).unwrap();
        assert_eq!(clustered.auc, plain.auc);
        assert!((1e-8..1e-6).contains(&clustered.variance.unwrap()), "{clustered:?}");
    }
    let counts = Counts::at(&positive, &(0..films).map(noise).collect::<Vec<_>>(), 0.5).unwrap();
    for figure in [counts.matthews(), counts.kappa(), counts.youden()] {
        assert!(figure.unwrap().abs() < 2e-3, "{figure:?}");
    }
    let interval = wilson(counts.true_positives, counts.positives(), Confidence::default()).unwrap();
    let exact = clopper_pearson(counts.true_positives, counts.positives(), Confidence::default()).unwrap();
    assert!((interval.low - exact.low).abs() < 1e-5);
    // Counts beyond what a product of u64 holds.
    let many =
        Counts { true_positives: 1 << 40, false_positives: 1 << 38, true_negatives: 1 << 41, false_negatives: 1 << 39 };
    assert!(many.matthews().unwrap() > 0.0 && many.kappa().unwrap() > 0.0);
}
