//! Figures of calls at a cut against scikit-learn and confidenceinterval: calls.py.

use lungfish_metrics::{Confidence, binary::Counts, interval::wilson};
use serde_json::Value;

use crate::{close_interval, flags, numbers, same};

#[test]
fn figures_of_calls_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("../../../../golden/metrics/calls.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let cut = case["cut"].as_f64().unwrap();
        let ours = Counts::at(&flags(&case["positive"]), &numbers(&case["scores"]), cut).unwrap();
        let counts = [ours.true_positives, ours.false_positives, ours.true_negatives, ours.false_negatives];
        assert_eq!(serde_json::to_value(counts).unwrap(), case["counts"], "{name}");
        for (figure, ours) in [
            ("sensitivity", ours.sensitivity()),
            ("specificity", ours.specificity()),
            ("ppv", ours.positive_predictive_value()),
            ("npv", ours.negative_predictive_value()),
            ("accuracy", ours.accuracy()),
            ("balanced_accuracy", ours.balanced_accuracy()),
            ("youden", ours.youden()),
            ("f1", ours.f1()),
            ("matthews", ours.matthews()),
            ("kappa", ours.kappa()),
            ("plus", ours.positive_likelihood_ratio()),
            ("minus", ours.negative_likelihood_ratio()),
        ] {
            same(&format!("{name}: {figure}"), ours, &case[figure]);
        }
        if case.get("sensitivity_wilson").is_some() {
            let interval = wilson(ours.true_positives, ours.positives(), Confidence::default());
            close_interval(name, interval, &case["sensitivity_wilson"], 1e-12);
        }
        // At the prevalence of the films themselves Bayes says what was counted.
        if let (Some(prevalence), Some(_)) = (ours.prevalence(), ours.balanced_accuracy()) {
            same(&format!("{name}: ppv by Bayes"), ours.positive_predictive_value_at(prevalence), &case["ppv"]);
            same(&format!("{name}: npv by Bayes"), ours.negative_predictive_value_at(prevalence), &case["npv"]);
        }
    }
}
