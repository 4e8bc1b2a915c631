//! Every metric against who else computes it: the scripts of golden/metrics wrote the cases.

mod auc;
mod bootstrap;
mod calls;
mod intervals;
mod probabilities;

use lungfish_metrics::Interval;
use lungfish_metrics::{
    Confusion, accuracy, argmax, average_precision, nll, precision_recall_curve, roc_auc, roc_auc_one_vs_rest,
    roc_curve,
};
use serde_json::Value;

/// All of it is f64 arithmetic on a few dozen numbers.
const TOLERANCE: f64 = 1e-12;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|flag| flag.as_bool().unwrap()).collect()
}

fn same(what: &str, ours: Option<f64>, theirs: &Value) {
    close(what, ours, theirs, TOLERANCE);
}

/// The same within `tolerance`, relative to values above 1.
fn close(what: &str, ours: Option<f64>, theirs: &Value, tolerance: f64) {
    match (ours, theirs.as_f64()) {
        (Some(ours), Some(theirs)) => {
            assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1.0), "{what}: {ours}, expected {theirs}");
        }
        (ours, theirs) => assert_eq!(ours, theirs, "{what}"),
    }
}

/// The same within `tolerance` of the value itself, however small.
fn close_relative(what: &str, ours: f64, theirs: &Value, tolerance: f64) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() <= tolerance * theirs.abs(), "{what}: {ours:e}, expected {theirs:e}");
}

fn close_interval(what: &str, ours: Option<Interval>, theirs: &Value, tolerance: f64) {
    let ours = ours.unwrap_or_else(|| panic!("{what}: no interval, expected {theirs}"));
    close(&format!("{what}: low"), Some(ours.low), &theirs[0], tolerance);
    close(&format!("{what}: high"), Some(ours.high), &theirs[1], tolerance);
}

#[test]
fn figures_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("../../../../golden/metrics/cases.json")).unwrap();
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
            let metrics = confusion.class(class);
            same(&format!("{name}: precision of {class}"), metrics.precision, &case["precision"][class]);
            same(&format!("{name}: recall of {class}"), metrics.recall, &case["recall"][class]);
            same(&format!("{name}: f1 of {class}"), metrics.f1, &case["f1"][class]);
            assert_eq!(Some(metrics.support), case["support"][class].as_u64(), "{name}: support of {class}");
        }

        same(&format!("{name}: auc"), roc_auc_one_vs_rest(classes, &labels, &probabilities), &case["auc"]);
        let logs: Vec<f64> = probabilities.iter().map(|p| p.ln()).collect();
        same(&format!("{name}: nll"), nll(classes, &labels, &logs), &case["nll"]);
    }
}

/// One column of a curve; an infinite number is null there.
fn same_column(what: &str, ours: impl Iterator<Item = f64>, theirs: &Value) {
    let (ours, theirs): (Vec<f64>, &Vec<Value>) = (ours.collect(), theirs.as_array().unwrap());
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (at, (&ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        same(&format!("{what} {at}"), ours.is_finite().then_some(ours), theirs);
    }
}

#[test]
fn curves_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("../../../../golden/metrics/curves.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let positive = flags(&case["positive"]);
        let scores = numbers(&case["scores"]);
        same(&format!("{name}: auc"), roc_auc(&positive, &scores), &case["auc"]);
        same(&format!("{name}: ap"), average_precision(&positive, &scores), &case["average_precision"]);

        let (roc, theirs) = (roc_curve(&positive, &scores), &case["roc"]);
        assert_eq!(roc.is_none(), theirs.is_null(), "{name}");
        if let Some(roc) = roc {
            same_column(&format!("{name}: fpr"), roc.iter().map(|p| p.false_positive_rate), &theirs[0]);
            same_column(&format!("{name}: tpr"), roc.iter().map(|p| p.true_positive_rate), &theirs[1]);
            same_column(&format!("{name}: roc threshold"), roc.iter().map(|p| p.threshold), &theirs[2]);
        }
        let (curve, theirs) = (precision_recall_curve(&positive, &scores), &case["precision_recall"]);
        assert_eq!(curve.is_none(), theirs.is_null(), "{name}");
        if let Some(curve) = curve {
            // scikit-learn goes from the lowest threshold up and gives the last point, the first here, none.
            same_column(&format!("{name}: precision"), curve.iter().rev().map(|p| p.precision), &theirs[0]);
            same_column(&format!("{name}: recall"), curve.iter().rev().map(|p| p.recall), &theirs[1]);
            let thresholds = curve.iter().skip(1).rev().map(|p| p.threshold);
            same_column(&format!("{name}: threshold"), thresholds, &theirs[2]);
        }
    }
}
