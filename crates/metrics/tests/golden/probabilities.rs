//! Brier scores, calibration, temperatures and decision curves against scikit-learn, statsmodels, scipy and dcurves:
//! probabilities.py.

use lungfish_metrics::temperature::Temperature;
use lungfish_metrics::{Confidence, brier, calibration, cox, decision_curve, temperature};
use serde_json::{Value, json};

use crate::{close, close_interval, flags, indices, numbers, same};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../golden/metrics/probabilities.json")).unwrap()
}

/// The least value is flat: scipy finds it to some 1e-7.
fn temperature_is(what: &str, ours: Temperature, theirs: &Value) {
    close(&format!("{what}: temperature"), Some(ours.temperature), &theirs["temperature"], 1e-6);
    close(&format!("{what}: nll before"), Some(ours.nll_before), &theirs["nll_before"], 1e-12);
    close(&format!("{what}: nll after"), Some(ours.nll_after), &theirs["nll_after"], 1e-12);
    assert!(ours.nll_after <= theirs["nll_after"].as_f64().unwrap() + 1e-15, "{what}");
    assert!(!ours.at_end, "{what}");
}

#[test]
fn brier_scores_and_diagrams_are_those_of_scikit_learn() {
    let golden = golden();
    let cases = golden["binary"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let (positive, probabilities) = (flags(&case["positive"]), numbers(&case["probabilities"]));
        let bins = case["bins"].as_u64().unwrap() as usize;
        same(&format!("{name}: Brier"), brier::score(&positive, &probabilities), &case["brier"]);
        let parts = brier::parts(&positive, &probabilities, bins).unwrap();
        same(&format!("{name}: reliability"), Some(parts.reliability), &case["murphy"][0]);
        same(&format!("{name}: resolution"), Some(parts.resolution), &case["murphy"][1]);
        same(&format!("{name}: uncertainty"), Some(parts.uncertainty), &case["murphy"][2]);
        let sum = parts.reliability - parts.resolution + parts.uncertainty + parts.within;
        same(&format!("{name}: sum"), Some(sum), &case["brier"]);
        let skill = 1.0 - parts.score / parts.uncertainty;
        assert_eq!(brier::skill(&positive, &probabilities), Some(skill), "{name}");

        let points = calibration::reliability(&positive, &probabilities, bins, Confidence::default()).unwrap();
        assert_eq!(points.len(), bins, "{name}");
        for (at, point) in points.iter().enumerate() {
            same(&format!("{name}: mean {at}"), Some(point.mean_probability), &case["reliability"][0][at]);
            same(&format!("{name}: share {at}"), Some(point.share), &case["reliability"][1][at]);
            assert!(point.interval.contains(point.share), "{name}: {point:?}");
        }
        same(&format!("{name}: error"), calibration::ece(&positive, &probabilities, bins), &case["ece"]);
    }
}

#[test]
fn calibration_lines_are_those_of_statsmodels() {
    for case in golden()["binary"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (positive, logits) = (flags(&case["positive"]), numbers(&case["logits"]));
        let line = cox::line(&positive, &logits).unwrap();
        let theirs = &case["line"];
        for (figure, ours, theirs) in [
            ("intercept", line.intercept, &theirs["params"][0]),
            ("slope", line.slope, &theirs["params"][1]),
            ("its variance", line.intercept_variance, &theirs["covariance"][0][0]),
            ("their covariance", line.covariance, &theirs["covariance"][0][1]),
            ("the slope's variance", line.slope_variance, &theirs["covariance"][1][1]),
        ] {
            close(&format!("{name}: {figure}"), Some(ours), theirs, 1e-8);
        }
        let interval = line.slope_interval(Confidence::default());
        close_interval(name, Some(interval), &theirs["slope_interval"], 1e-8);

        let large = cox::in_the_large(&positive, &logits).unwrap();
        close(&format!("{name}: in the large"), Some(large.intercept), &case["large"][0], 1e-8);
        close(&format!("{name}: its variance"), Some(large.variance), &case["large"][1], 1e-8);
    }
}

#[test]
fn temperatures_leave_the_least_loss() {
    let golden = golden();
    for case in golden["binary"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let found = temperature::of_logits(&flags(&case["positive"]), &numbers(&case["logits"])).unwrap();
        temperature_is(name, found, case);
    }
    let cases = golden["many"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let found = temperature::of_rows(classes, &indices(&case["labels"]), &numbers(&case["rows"])).unwrap();
        temperature_is(case["name"].as_str().unwrap(), found, case);
    }
}

#[test]
fn decision_curves_are_those_of_dcurves() {
    for case in golden()["binary"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (positive, probabilities) = (flags(&case["positive"]), numbers(&case["probabilities"]));
        for theirs in case["decisions"].as_array().unwrap() {
            let thresholds = numbers(&theirs["thresholds"]);
            let prevalence = theirs["prevalence"].as_f64();
            let ours = decision_curve(&positive, &probabilities, &thresholds, prevalence).unwrap();
            assert_eq!(json!(ours.iter().map(|point| point.threshold).collect::<Vec<_>>()), theirs["thresholds"]);
            for (at, point) in ours.iter().enumerate() {
                same(&format!("{name}, {prevalence:?}: model {at}"), Some(point.model), &theirs["model"][at]);
                same(&format!("{name}, {prevalence:?}: all {at}"), Some(point.all), &theirs["all"][at]);
                assert_eq!(point.none, 0.0);
            }
        }
    }
}
