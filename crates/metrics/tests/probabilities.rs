//! What holds for calls, cuts and probabilities of any films.

use lungfish_metrics::binary::Counts;
use lungfish_metrics::interval::clopper_pearson_lower;
use lungfish_metrics::operating_point::{
    Assured, OperatingPoint, films_without_a_miss, for_sensitivity, for_specificity, most_accurate, youden,
};
use lungfish_metrics::{Confidence, brier, calibration, cox, decision_curve, temperature};
use proptest::prelude::*;

/// Probabilities out of few values, so that ties are common.
fn probability() -> impl Strategy<Value = f64> {
    prop_oneof![(0_i32..=8).prop_map(|step| f64::from(step) / 8.0), 0.0..1.0]
}

fn films() -> impl Strategy<Value = (Vec<bool>, Vec<f64>)> {
    prop::collection::vec((any::<bool>(), probability()), 0..80).prop_map(|films| films.into_iter().unzip())
}

fn logits() -> impl Strategy<Value = (Vec<bool>, Vec<f64>)> {
    prop::collection::vec((any::<bool>(), -6.0..6.0_f64), 1..60).prop_map(|films| films.into_iter().unzip())
}

/// All ways to divide the scores, by trying: what is called positive from each score on but the lowest.
fn all_cuts(positive: &[bool], scores: &[f64]) -> Vec<Counts> {
    let mut levels = scores.to_vec();
    levels.sort_unstable_by(f64::total_cmp);
    levels.dedup();
    levels.iter().skip(1).map(|&cut| Counts::at(positive, scores, cut).unwrap()).collect()
}

fn is_between(point: &OperatingPoint, positive: &[bool], scores: &[f64]) -> bool {
    Counts::at(positive, scores, point.cut) == Some(point.counts)
        && scores.iter().any(|&score| score < point.cut)
        && scores.iter().any(|&score| score >= point.cut)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn youdens_cut_is_the_best_of_all((positive, scores) in films()) {
        let cuts = all_cuts(&positive, &scores);
        let best = cuts.iter().filter_map(Counts::youden).fold(0.0, f64::max);
        match youden(&positive, &scores) {
            None => prop_assert!(best < 1e-12),
            Some(point) => {
                prop_assert!(is_between(&point, &positive, &scores), "{:?}", point);
                prop_assert!((point.counts.youden().unwrap() - best).abs() < 1e-12);
                let as_good = |counts: &&Counts| (counts.youden().unwrap() - best).abs() < 1e-12;
                let sensitivity = cuts.iter().filter(as_good).filter_map(Counts::sensitivity).fold(0.0, f64::max);
                prop_assert_eq!(point.counts.sensitivity(), Some(sensitivity));
            }
        }
    }

    #[test]
    fn no_cut_is_more_accurate_than_the_most_accurate((positive, scores) in films()) {
        let right = |counts: &Counts| counts.true_positives + counts.true_negatives;
        let best = all_cuts(&positive, &scores).iter().map(right).max().unwrap_or(0);
        let positives = positive.iter().filter(|&&is| is).count();
        match most_accurate(&positive, &scores) {
            None => prop_assert!(best <= positives.max(positive.len() - positives) as u64),
            Some(point) => {
                prop_assert!(is_between(&point, &positive, &scores), "{:?}", point);
                prop_assert_eq!(right(&point.counts), best);
            }
        }
    }

    #[test]
    fn an_assured_cut_is_the_furthest_that_is((positive, scores) in films(), least in 0.3..0.95_f64) {
        let level = Confidence::new(0.8).unwrap();
        let assured = |right: u64, all: u64| clopper_pearson_lower(right, all, level).unwrap() >= least;
        let positives = positive.iter().filter(|&&is| is).count() as u64;
        let negatives = positive.len() as u64 - positives;
        for sensitive in [true, false] {
            let of = |counts: &Counts| match sensitive {
                true => (counts.true_positives, counts.specificity().unwrap()),
                false => (counts.true_negatives, counts.sensitivity().unwrap()),
            };
            let films = if sensitive { positives } else { negatives };
            let found = match sensitive {
                true => for_sensitivity(&positive, &scores, least, level),
                false => for_specificity(&positive, &scores, least, level),
            };
            prop_assert_eq!(found.is_none(), positives == 0 || negatives == 0);
            let Some(found) = found else { continue };
            let cuts = all_cuts(&positive, &scores);
            let other = cuts.iter().filter(|counts| assured(of(counts).0, films)).map(|counts| of(counts).1);
            let best = other.fold(f64::NEG_INFINITY, f64::max);
            match found {
                Assured::TooFew { films: have, needed } => {
                    prop_assert_eq!(have, films);
                    prop_assert!(needed > films && !assured(films, films) && assured(needed, needed));
                    prop_assert!(!assured(needed - 1, needed - 1));
                }
                Assured::CallingAllAlike => prop_assert!(assured(films, films) && best == f64::NEG_INFINITY),
                Assured::At(point) => {
                    prop_assert!(is_between(&point, &positive, &scores), "{:?}", point);
                    prop_assert!(assured(of(&point.counts).0, films));
                    prop_assert_eq!(of(&point.counts).1, best);
                }
            }
        }
    }

    #[test]
    fn a_decision_curve_is_what_is_counted((positive, probabilities) in films(), threshold in 0.0..0.99_f64) {
        let Some(curve) = decision_curve(&positive, &probabilities, &[threshold, 0.5], None) else {
            prop_assert!(positive.is_empty());
            return Ok(());
        };
        let odds = threshold / (1.0 - threshold);
        let counts = Counts::at(&positive, &probabilities, threshold).unwrap();
        let films = positive.len() as f64;
        let model = (counts.true_positives as f64 - odds * counts.false_positives as f64) / films;
        prop_assert!((curve[0].model - model).abs() < 1e-12);
        if let Some(own) = counts.prevalence().filter(|own| *own > 0.0 && *own < 1.0) {
            let given = decision_curve(&positive, &probabilities, &[threshold], Some(own)).unwrap();
            prop_assert!((given[0].model - model).abs() < 1e-12 && (given[0].all - curve[0].all).abs() < 1e-12);
        }
    }

    #[test]
    fn bins_have_every_film_once((positive, probabilities) in films(), bins in 1_usize..12, by in 0_usize..80) {
        let Some(points) = calibration::reliability(&positive, &probabilities, bins, Confidence::default()) else {
            prop_assert!(positive.is_empty());
            return Ok(());
        };
        prop_assert!(points.len() <= bins);
        prop_assert_eq!(points.iter().map(|point| point.films).sum::<u64>(), positive.len() as u64);
        let positives = positive.iter().filter(|&&is| is).count() as u64;
        prop_assert_eq!(points.iter().map(|point| point.positives).sum::<u64>(), positives);
        prop_assert!(points.windows(2).all(|pair| pair[0].high < pair[1].low));
        let inside = |mean: f64, low: f64, high: f64| low <= mean && mean <= high;
        prop_assert!(points.iter().all(|point| inside(point.mean_probability, point.low, point.high)));
        let error = calibration::ece(&positive, &probabilities, bins).unwrap();
        prop_assert!((0.0..=1.0).contains(&error));
        let parts = brier::parts(&positive, &probabilities, bins).unwrap();
        prop_assert!(parts.reliability >= 0.0 && inside(parts.resolution, 0.0, parts.uncertainty + 1e-12));
        // The error in the mean is at most that in the squares.
        prop_assert!(error * error <= parts.reliability + 1e-12);
        // In another order of the films.
        let turn = |place: usize| (place + by) % positive.len();
        let turned: (Vec<bool>, Vec<f64>) =
            (0..positive.len()).map(|place| (positive[turn(place)], probabilities[turn(place)])).unzip();
        prop_assert_eq!(calibration::ece(&turned.0, &turned.1, bins), Some(error));
        prop_assert_eq!(brier::score(&turned.0, &turned.1), Some(parts.score));
    }

    #[test]
    fn bins_of_different_probabilities_are_of_one_size(films in 1_usize..200, bins in 1_usize..20) {
        let probabilities: Vec<f64> = (0..films).map(|film| film as f64 / films as f64).collect();
        let points =
            calibration::reliability(&vec![false; films], &probabilities, bins, Confidence::default()).unwrap();
        prop_assert_eq!(points.len(), bins.min(films));
        let sizes = points.iter().map(|point| point.films);
        prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
    }

    #[test]
    fn a_temperature_never_worsens((positive, logits) in logits(), scale in 0.5..2.0_f64) {
        let found = temperature::of_logits(&positive, &logits).unwrap();
        prop_assert!(found.nll_after <= found.nll_before);
        prop_assert!(found.nll_after < found.nll_before || found.temperature == 1.0);
        let loss = |temperature: f64| {
            let one = |(&positive, &logit): (&bool, &f64)| {
                let wrong = if positive { -logit } else { logit } / temperature;
                wrong.max(0.0) + (-wrong.abs()).exp().ln_1p()
            };
            positive.iter().zip(&logits).map(one).sum::<f64>() / logits.len() as f64
        };
        prop_assert!((loss(found.temperature) - found.nll_after).abs() < 1e-12);
        // None in the range is better by more than rounding.
        for step in -20..=20 {
            prop_assert!(loss(10_f64.powf(f64::from(step) / 20.0)) >= found.nll_after - 1e-12);
        }
        // Logits of another scale have a temperature of that scale.
        let scaled: Vec<f64> = logits.iter().map(|logit| logit * scale).collect();
        let other = temperature::of_logits(&positive, &scaled).unwrap();
        if !found.at_end && !other.at_end && found.temperature != 1.0 && other.temperature != 1.0 {
            prop_assert!((other.temperature / scale / found.temperature - 1.0).abs() < 1e-6);
        }
        // Two classes' log-probabilities are the same logits.
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let rows: Vec<f64> = logits.iter().flat_map(|&logit| [-softplus(logit), -softplus(-logit)]).collect();
        let labels: Vec<usize> = positive.iter().map(|&is| usize::from(is)).collect();
        let by_rows = temperature::of_rows(2, &labels, &rows).unwrap();
        prop_assert!((by_rows.nll_after - found.nll_after).abs() < 1e-12);
    }

    #[test]
    fn folds_have_whole_patients(
        films in prop::collection::vec((any::<bool>(), -4.0..4.0_f64, 0_usize..15), 1..60), seed in any::<u64>()
    ) {
        let positive: Vec<bool> = films.iter().map(|film| film.0).collect();
        let logits: Vec<f64> = films.iter().map(|film| film.1).collect();
        let patient: Vec<usize> = films.iter().map(|film| film.2).collect();
        let patients = patient.iter().collect::<std::collections::HashSet<_>>().len();
        let fitted = temperature::cross_fit_logits(&positive, &logits, &patient, 5, seed);
        prop_assert_eq!(fitted.is_some(), patients >= 5);
        let Some(fitted) = fitted else { return Ok(()) };
        let mut in_fold = [std::collections::HashSet::new(), Default::default(), Default::default(),
            Default::default(), Default::default()];
        for (film, &fold) in fitted.fold_of_film.iter().enumerate() {
            in_fold[fold].insert(patient[film]);
            // Found without the film's fold.
            let others: (Vec<bool>, Vec<f64>) = (0..films.len())
                .filter(|&other| fitted.fold_of_film[other] != fold)
                .map(|other| (positive[other], logits[other]))
                .unzip();
            let alone = temperature::of_logits(&others.0, &others.1).unwrap();
            prop_assert_eq!(fitted.of_film(film), alone.temperature);
        }
        let sizes: Vec<usize> = in_fold.iter().map(|fold| fold.len()).collect();
        prop_assert_eq!(sizes.iter().sum::<usize>(), patients);
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        prop_assert!(fitted.nll_after >= fitted.all.nll_after - 1e-9);
        prop_assert_eq!(Some(fitted), temperature::cross_fit_logits(&positive, &logits, &patient, 5, seed));
    }

    #[test]
    fn a_calibration_line_has_no_slope_left((positive, logits) in logits()) {
        let Some(line) = cox::line(&positive, &logits) else { return Ok(()) };
        let p = |logit: f64| 1.0 / (1.0 + (-(line.intercept + line.slope * logit)).exp());
        let errors = || positive.iter().zip(&logits).map(|(&is, &logit)| (f64::from(u8::from(is)) - p(logit), logit));
        prop_assert!(errors().map(|(error, _)| error).sum::<f64>().abs() < 1e-8);
        prop_assert!(errors().map(|(error, logit)| error * logit).sum::<f64>().abs() < 1e-7);
        prop_assert!(line.slope_variance > 0.0 && line.intercept_variance > 0.0);
        let large = cox::in_the_large(&positive, &logits).unwrap();
        let told: f64 = logits.iter().map(|logit| 1.0 / (1.0 + (-(logit + large.intercept)).exp())).sum();
        prop_assert!((told - positive.iter().filter(|&&is| is).count() as f64).abs() < 1e-8);
    }
}

#[test]
fn cuts_between_neighbouring_numbers_and_at_infinity_still_cut() {
    let next = 1.0_f64.next_up();
    for scores in [[1.0, next], [f64::NEG_INFINITY, 0.0], [0.0, f64::INFINITY], [f64::NEG_INFINITY, f64::INFINITY]] {
        let point = youden(&[false, true], &scores).unwrap();
        assert!(is_between(&point, &[false, true], &scores), "{scores:?}: {point:?}");
    }
    assert_eq!(youden(&[false, true], &[0.0, -0.0]), None);
    assert_eq!(youden(&[false, true], &[0.0, f64::NAN]), None);
    // f32 scores: the cut is the f64 between them.
    let point = youden(&[false, true], &[0.1_f32, 0.2_f32]).unwrap();
    assert_eq!(point.cut, f64::from(0.1_f32) + (f64::from(0.2_f32) - f64::from(0.1_f32)) / 2.0);
}

#[test]
fn so_many_films_without_a_miss_are_needed() {
    for (share, level, films) in
        [(0.9, 0.95, 29), (0.95, 0.95, 59), (0.95, 0.975, 72), (0.99, 0.95, 299), (0.99, 0.975, 368), (0.25, 0.75, 1)]
    {
        assert_eq!(films_without_a_miss(share, Confidence::new(level).unwrap()), Some(films), "{share} {level}");
    }
    for share in [0.0, 1.0, -1.0, f64::NAN] {
        assert_eq!(films_without_a_miss(share, Confidence::default()), None);
    }
}

#[test]
fn perfect_models_are_at_the_end_of_the_temperatures() {
    let found = temperature::of_logits(&[true, false], &[2.0, -2.0]).unwrap();
    assert_eq!((found.temperature, found.at_end), (*temperature::RANGE.start(), true));
    let found = temperature::of_logits(&[false, true], &[2.0, -2.0]).unwrap();
    assert_eq!((found.temperature, found.at_end), (*temperature::RANGE.end(), true));
    // Nothing to scale: exactly 1.
    let found = temperature::of_logits(&[false, true], &[0.0, 0.0]).unwrap();
    assert_eq!((found.temperature, found.at_end, found.nll_after), (1.0, false, 2.0_f64.ln()));
}

#[test]
fn a_probability_of_0_stays_0() {
    let rows = [0.75_f64.ln(), 0.25_f64.ln(), f64::NEG_INFINITY];
    let found = temperature::of_rows(3, &[0, 1, 0, 0], &[rows; 4].concat()).unwrap();
    assert!((found.temperature - 1.0).abs() < 1e-12 && found.nll_after.is_finite());
    assert_eq!(temperature::of_rows(3, &[2], &rows), None);
}

#[test]
fn nothing_to_go_by_is_none() {
    let positive = [true, false];
    for odd in [[0.5, f64::NAN], [0.5, 1.5], [0.5, -0.1], [0.5, f64::INFINITY]] {
        assert_eq!(brier::score(&positive, &odd), None, "{odd:?}");
        assert_eq!(brier::parts(&positive, &odd, 3), None, "{odd:?}");
        assert_eq!(calibration::ece(&positive, &odd, 3), None, "{odd:?}");
        assert_eq!(decision_curve(&positive, &odd, &[0.5], None), None, "{odd:?}");
    }
    assert_eq!(calibration::ece(&positive, &[0.5, 0.5], 0), None);
    assert_eq!(brier::score::<f64>(&[], &[]), None);
    for (threshold, prevalence) in
        [(1.0, None), (-0.1, None), (f64::NAN, None), (0.5, Some(1.5)), (0.5, Some(f64::NAN))]
    {
        assert_eq!(decision_curve(&positive, &[0.5, 0.5], &[threshold], prevalence), None);
    }
    assert_eq!(decision_curve(&[true], &[0.5], &[0.5], Some(0.1)), None);
    for odd in [[0.5, f64::NAN], [0.5, f64::INFINITY]] {
        assert_eq!(cox::line(&positive, &odd), None);
        assert_eq!(cox::in_the_large(&positive, &odd), None);
        assert_eq!(temperature::of_logits(&positive, &odd), None);
    }
    assert_eq!(cox::line(&[true, false, true], &[1.0, 1.0, 1.0]), None);
    assert_eq!(cox::in_the_large(&[true, true], &[0.5, 0.6]), None);
    assert_eq!(temperature::of_logits::<f64>(&[], &[]), None);
    assert_eq!(temperature::cross_fit_logits(&positive, &[0.5, 0.6], &[1, 2], 1, 7), None);
    assert_eq!(Counts::at(&positive, &[0.5, f64::NAN], 0.5), None);
    assert_eq!(Counts::at(&positive, &[0.5, 0.6], f64::NAN), None);
    assert_eq!(for_sensitivity(&positive, &[0.5, 0.6], 1.0, Confidence::default()), None);
}
