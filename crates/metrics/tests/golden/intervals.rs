//! Intervals of proportions, quantiles and exact tests against scipy and statsmodels: intervals.py.

use lungfish_metrics::delong::{AucDifference, AucEstimate};
use lungfish_metrics::interval::{
    clopper_pearson, clopper_pearson_lower, clopper_pearson_upper, normal_quantile, wilson,
};
use lungfish_metrics::paired::mcnemar_of_counts;
use lungfish_metrics::{Confidence, Interval};
use serde_json::Value;

use crate::{close, close_relative};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../golden/metrics/intervals.json")).unwrap()
}

/// Relative to the value, so that ends near 0 are compared too; those near 1 by what is missing to 1 would be asking
/// more than f64 has.
fn ends(what: &str, ours: Interval, theirs: &Value) {
    close_relative(&format!("{what}: low"), ours.low, &theirs[0], 1e-10);
    close_relative(&format!("{what}: high"), ours.high, &theirs[1], 1e-10);
}

#[test]
fn proportions_are_those_of_scipy_and_statsmodels() {
    let golden = golden();
    let cases = golden["proportions"].as_array().unwrap();
    assert_eq!(cases.len(), 63);
    for case in cases {
        let (successes, films) = (case["successes"].as_u64().unwrap(), case["films"].as_u64().unwrap());
        let level = Confidence::new(case["level"].as_f64().unwrap()).unwrap();
        let what = format!("{successes} of {films} at {}", level.level());
        // statsmodels leaves the rounding of its formula at the ends, ours are 0 and 1 there.
        let ours = wilson(successes, films, level).unwrap();
        close(&format!("{what}: Wilson's low"), Some(ours.low), &case["wilson"][0], 1e-14);
        close(&format!("{what}: Wilson's high"), Some(ours.high), &case["wilson"][1], 1e-14);
        ends(&format!("{what}: exact"), clopper_pearson(successes, films, level).unwrap(), &case["exact"]);
        close_relative(&what, clopper_pearson_lower(successes, films, level).unwrap(), &case["lower"], 1e-10);
        close_relative(&what, clopper_pearson_upper(successes, films, level).unwrap(), &case["upper"], 1e-10);
    }
}

#[test]
fn quantiles_are_those_of_scipy() {
    let golden = golden();
    for case in golden["normal"].as_array().unwrap() {
        let p = case[0].as_f64().unwrap();
        close(&format!("normal quantile of {p}"), normal_quantile(p), &case[1], 1e-14);
    }
    // Student's t is reached through the interval that is made of it: the distance at a variance of 1e-30.
    for case in golden["t"].as_array().unwrap() {
        let (alpha, freedom) = (case[0].as_f64().unwrap(), case[1].as_f64().unwrap());
        let estimate = difference(0.0, freedom);
        let interval = estimate.interval(Confidence::new(1.0 - alpha).unwrap()).unwrap();
        close_relative(&format!("t of {alpha}, {freedom}"), interval.high / 1e-15, &case[2], 1e-10);
    }
    for case in golden["t_p"].as_array().unwrap() {
        let (t, freedom) = (case[0].as_f64().unwrap(), case[1].as_f64().unwrap());
        close_relative(&format!("p of t {t}, {freedom}"), difference(t, freedom).p().unwrap(), &case[2], 1e-10);
    }
    for case in golden["normal_p"].as_array().unwrap() {
        let z = case[0].as_f64().unwrap();
        close_relative(&format!("p of z {z}"), difference(z, f64::INFINITY).p().unwrap(), &case[1], 1e-13);
    }
}

/// A difference of so many standard errors.
fn difference(errors: f64, freedom: f64) -> AucDifference {
    let estimate =
        AucEstimate { auc: 0.5, variance: Some(1.0), positives: 2, negatives: 2, disjoint_pairs: 2, freedom };
    AucDifference { first: estimate, second: estimate, difference: errors * 1e-15, variance: Some(1e-30), freedom }
}

#[test]
fn mcnemars_test_is_that_of_statsmodels() {
    let golden = golden();
    let cases = golden["mcnemar"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (first, second) = (case["first_only"].as_u64().unwrap(), case["second_only"].as_u64().unwrap());
        let test = mcnemar_of_counts(first, second);
        close_relative(&format!("exact of {first}, {second}"), test.exact, &case["exact"], 1e-10);
        close_relative(&format!("mid-p of {first}, {second}"), test.mid_p, &case["mid_p"], 1e-10);
        assert_eq!(mcnemar_of_counts(second, first).exact, test.exact);
    }
}
