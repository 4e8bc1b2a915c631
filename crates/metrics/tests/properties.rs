//! What holds for any labels and scores.

use lungfish_metrics::{
    Confusion, accuracy, argmax, average_precision, nll, precision_recall_curve, roc_auc, roc_auc_one_vs_rest,
    roc_curve,
};
use proptest::prelude::*;

/// The definition itself: over all pairs of a positive and a negative film.
fn auc_by_pairs(positive: &[bool], scores: &[f64]) -> Option<f64> {
    let side = |wanted: bool| {
        scores.iter().zip(positive).filter(move |(_, is)| **is == wanted).map(|(score, _)| *score).collect::<Vec<_>>()
    };
    let (hits, misses) = (side(true), side(false));
    let won: f64 = hits
        .iter()
        .flat_map(|hit| misses.iter().map(move |miss| if hit > miss { 1.0 } else { 0.5 * f64::from(hit == miss) }))
        .sum();
    let pairs = hits.len() * misses.len();
    (pairs > 0).then(|| won / pairs as f64)
}

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

fn labelled(classes: usize) -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    prop::collection::vec((0..classes, 0..classes), 0..60).prop_map(|pairs| pairs.into_iter().unzip())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn auc_by_rank_is_auc_by_pairs(films in prop::collection::vec((any::<bool>(), score()), 0..50)) {
        let (positive, scores): (Vec<bool>, Vec<f64>) = films.into_iter().unzip();
        prop_assert_eq!(roc_auc(&positive, &scores), auc_by_pairs(&positive, &scores));
    }

    #[test]
    fn the_area_under_the_roc_curve_is_the_auc(films in prop::collection::vec((any::<bool>(), score()), 0..50)) {
        let (positive, scores): (Vec<bool>, Vec<f64>) = films.into_iter().unzip();
        let trapezes = roc_curve(&positive, &scores).map(|curve| {
            curve
                .windows(2)
                .map(|p| {
                    (p[1].false_positive_rate - p[0].false_positive_rate)
                        * (p[0].true_positive_rate + p[1].true_positive_rate)
                        / 2.0
                })
                .sum::<f64>()
        });
        match (trapezes, roc_auc(&positive, &scores)) {
            (Some(one), Some(other)) => prop_assert!((one - other).abs() < 1e-12, "{} and {}", one, other),
            (one, other) => prop_assert_eq!(one, other),
        }
    }

    #[test]
    fn a_point_of_a_curve_is_what_its_threshold_makes(films in prop::collection::vec((any::<bool>(), score()), 0..50)) {
        let (positive, scores): (Vec<bool>, Vec<f64>) = films.into_iter().unzip();
        let share = |of: bool, threshold: f64| {
            let those: Vec<f64> =
                scores.iter().zip(&positive).filter(|(_, is)| **is == of).map(|(score, _)| *score).collect();
            let called = those.iter().filter(|score| **score >= threshold).count();
            (called as f64, called as f64 / those.len() as f64)
        };
        for point in roc_curve(&positive, &scores).unwrap_or_default().into_iter().skip(1) {
            prop_assert_eq!(point.true_positive_rate, share(true, point.threshold).1);
            prop_assert_eq!(point.false_positive_rate, share(false, point.threshold).1);
        }
        for point in precision_recall_curve(&positive, &scores).unwrap_or_default().into_iter().skip(1) {
            let ((hits, recall), (alarms, _)) = (share(true, point.threshold), share(false, point.threshold));
            prop_assert_eq!((point.recall, point.precision), (recall, hits / (hits + alarms)));
        }
        let precision = average_precision(&positive, &scores);
        prop_assert_eq!(precision.is_some(), positive.contains(&true));
        prop_assert!(precision.is_none_or(|p| p > 0.0 && p <= 1.0 + 1e-12));
    }

    #[test]
    fn auc_turns_over_with_the_classes(films in prop::collection::vec((any::<bool>(), score()), 0..50)) {
        let (positive, scores): (Vec<bool>, Vec<f64>) = films.into_iter().unzip();
        let negative: Vec<bool> = positive.iter().map(|is| !is).collect();
        match (roc_auc(&positive, &scores), roc_auc(&negative, &scores)) {
            (Some(one), Some(other)) => prop_assert!((one + other - 1.0).abs() < 1e-12, "{} and {}", one, other),
            (one, other) => prop_assert_eq!(one, other),
        }
    }

    #[test]
    fn two_classes_take_their_auc_from_the_second_column(
        films in prop::collection::vec((0_usize..2, -1.0_f32..1.0), 0..50)
    ) {
        let (labels, scores): (Vec<usize>, Vec<f32>) = films.into_iter().unzip();
        let rows: Vec<f32> = scores.iter().flat_map(|&score| [-score, score]).collect();
        let positive: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
        prop_assert_eq!(roc_auc_one_vs_rest(2, &labels, &rows), roc_auc(&positive, &scores));
    }

    #[test]
    fn the_square_of_counts_adds_up((labels, predicted) in labelled(4)) {
        let confusion = Confusion::new(4, &labels, &predicted);
        prop_assert_eq!(confusion.rows().concat().iter().sum::<u64>(), labels.len() as u64);
        prop_assert_eq!(confusion.accuracy(), accuracy(&labels, &predicted));
        for class in 0..4 {
            let metrics = confusion.class(class);
            prop_assert_eq!(metrics.support, labels.iter().filter(|&&label| label == class).count() as u64);
            prop_assert_eq!(metrics.recall.is_some(), labels.contains(&class));
            prop_assert_eq!(metrics.precision.is_some(), predicted.contains(&class));
            prop_assert_eq!(metrics.f1.is_some(), labels.contains(&class) || predicted.contains(&class));
        }
    }

    #[test]
    fn argmax_is_the_first_largest(row in prop::collection::vec(score(), 1..6)) {
        let best = argmax(&row);
        prop_assert!(row.iter().all(|&score| score <= row[best]));
        prop_assert!(row[..best].iter().all(|&score| score < row[best]));
    }
}

#[test]
fn what_is_undefined_is_none() {
    assert_eq!(accuracy(&[], &[]), None);
    assert_eq!(nll::<f32>(2, &[], &[]), None);
    assert_eq!(roc_auc::<f64>(&[], &[]), None);
    assert_eq!(roc_auc(&[true, false], &[0.5, f64::NAN]), None);
    assert_eq!(roc_curve::<f64>(&[], &[]), None);
    assert_eq!(roc_curve(&[true, false], &[0.5, f64::NAN]), None);
    assert_eq!(precision_recall_curve(&[true, false], &[0.5, f64::NAN]), None);
    assert_eq!(roc_auc_one_vs_rest(1, &[0, 0], &[1.0, 1.0]), None);
    assert_eq!(Confusion::new(2, &[], &[]).accuracy(), None);
}

#[test]
fn a_certain_and_wrong_model_has_an_infinite_loss() {
    assert_eq!(nll(2, &[0], &[f32::NEG_INFINITY, 0.0]), Some(f64::INFINITY));
    assert_eq!(nll(2, &[1], &[f32::NEG_INFINITY, 0.0]).map(f64::to_bits), Some(0));
}
