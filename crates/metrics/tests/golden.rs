//! Every figure against scikit-learn and torch: golden/metrics/make.py wrote the cases.

use lungfish_metrics::{Confusion, accuracy, argmax, nll, roc_auc_one_vs_rest};
use serde_json::Value;

/// All of it is f64 arithmetic on a few dozen numbers.
const TOLERANCE: f64 = 1e-12;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

fn same(what: &str, ours: Option<f64>, theirs: &Value) {
    match (ours, theirs.as_f64()) {
        (Some(ours), Some(theirs)) => {
            assert!((ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0), "{what}: {ours}, expected {theirs}");
        }
        (ours, theirs) => assert_eq!(ours, theirs, "{what}"),
    }
}

#[test]
fn figures_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("../../../golden/metrics/cases.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let classes = case["classes"].as_u64().unwrap() as usize;
        let labels = indices(&case["labels"]);
        let probabilities = numbers(&case["probabilities"]);
        let predicted: Vec<usize> = probabilities.chunks(classes).map(argmax).collect();
        assert_eq!(predicted, indices(&case["predicted"]), "{name}");
        same(name, accuracy(&labels, &predicted), &case["accuracy"]);

        let confusion = Confusion::new(classes, &labels, &predicted);
        assert_eq!(serde_json::to_value(confusion.rows()).unwrap(), case["confusion"], "{name}");
        same(name, confusion.accuracy(), &case["accuracy"]);
        for class in 0..classes {
            let figures = confusion.class(class);
            same(&format!("{name}: precision of {class}"), figures.precision, &case["precision"][class]);
            same(&format!("{name}: recall of {class}"), figures.recall, &case["recall"][class]);
            same(&format!("{name}: f1 of {class}"), figures.f1, &case["f1"][class]);
            assert_eq!(Some(figures.support), case["support"][class].as_u64(), "{name}: support of {class}");
        }

        same(&format!("{name}: auc"), roc_auc_one_vs_rest(classes, &labels, &probabilities), &case["auc"]);
        let logs: Vec<f64> = probabilities.iter().map(|p| p.ln()).collect();
        same(&format!("{name}: nll"), nll(classes, &labels, &logs), &case["nll"]);
    }
}
