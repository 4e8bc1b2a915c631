//! AUCs and clustered shares against pROC, survey and the papers' own formulas: auc.py.

use lungfish_metrics::delong::{AucEstimate, AucMethod};
use lungfish_metrics::{Confidence, adjusted, clustered, delong, roc_auc};
use serde_json::Value;

use crate::{close, close_interval, flags, indices, numbers};

/// R wrote 15 digits; the papers' formulas go over all pairs.
const TOLERANCE: f64 = 1e-10;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../golden/metrics/auc.json")).unwrap()
}

fn one(what: &str, ours: &AucEstimate, theirs: &Value) {
    close(&format!("{what}: auc"), Some(ours.auc), &theirs["auc"], TOLERANCE);
    close(&format!("{what}: variance"), ours.variance, &theirs["variance"], TOLERANCE);
    let (level, level_90) = (Confidence::default(), Confidence::new(0.9).unwrap());
    if ours.variance == Some(0.0) {
        // pROC gives an interval of one point, with a warning.
        assert_eq!(ours.wald(level), None, "{what}");
        assert_eq!(ours.interval(level).unwrap().method, AucMethod::DisjointPairs, "{what}");
    } else {
        close_interval(&format!("{what}: Wald"), ours.wald(level), &theirs["wald"], TOLERANCE);
        close_interval(&format!("{what}: Wald at 0.9"), ours.wald(level_90), &theirs["wald_90"], TOLERANCE);
    }
}

#[test]
fn delongs_variances_and_tests_are_those_of_proc() {
    let golden = golden();
    let cases = golden["auc"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let (positive, first, second) = (flags(&case["positive"]), numbers(&case["first"]), numbers(&case["second"]));
        let ours = delong::difference(&positive, &first, &second).unwrap();
        let theirs = &case["delong"];
        one(&format!("{name}, first"), &ours.first, &theirs["first"]);
        one(&format!("{name}, second"), &ours.second, &theirs["second"]);
        assert_eq!(delong::auc(&positive, &first), Some(ours.first), "{name}");
        assert_eq!(Some(ours.first.auc), roc_auc(&positive, &first), "{name}");
        close(&format!("{name}: z"), ours.z(), &theirs["z"], TOLERANCE);
        close(&format!("{name}: p"), ours.p(), &theirs["p"], TOLERANCE);
        close_interval(name, ours.interval(Confidence::default()), &theirs["interval"], TOLERANCE);
    }
}

#[test]
fn clustered_variances_are_those_of_obuchowskis_formulas() {
    for case in golden()["auc"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (positive, first, second) = (flags(&case["positive"]), numbers(&case["first"]), numbers(&case["second"]));
        let ours = clustered::difference(&positive, &first, &second, &indices(&case["patient"])).unwrap();
        let theirs = &case["obuchowski"];
        close(&format!("{name}: first auc"), Some(ours.first.auc), &case["pairs"][0], TOLERANCE);
        close(&format!("{name}: first"), ours.first.variance, &theirs["first"], TOLERANCE);
        close(&format!("{name}: second"), ours.second.variance, &theirs["second"], TOLERANCE);
        close(&format!("{name}: difference"), ours.variance, &theirs["difference"], TOLERANCE);
        assert_eq!(clustered::auc(&positive, &first, &indices(&case["patient"])), Some(ours.first), "{name}");
    }
}

#[test]
fn adjusted_aucs_are_the_mean_placements_within_strata() {
    let golden = golden();
    let cases = golden["auc"].as_array().unwrap();
    assert!(cases.iter().any(|case| case["adjusted"]["left_out"] != 0));
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let strata: Vec<usize> = indices(&case["patient"]).into_iter().map(|patient| patient % 3).collect();
        let ours = adjusted::auc(&flags(&case["positive"]), &numbers(&case["first"]), &strata).unwrap();
        close(name, Some(ours.auc), &case["adjusted"]["auc"], TOLERANCE);
        assert_eq!(case["adjusted"]["left_out"], ours.positives_left_out, "{name}");
    }
}

#[test]
fn clustered_shares_are_those_of_survey() {
    let golden = golden();
    let cases = golden["share"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for (at, case) in cases.iter().enumerate() {
        let theirs = &case["survey"];
        let ours = clustered::proportion(&flags(&case["is"]), &indices(&case["cluster"])).unwrap();
        assert!(ours.design_effect().unwrap() > 1.0);
        close(&format!("{at}: share"), Some(ours.share), &theirs["share"], TOLERANCE);
        close(&format!("{at}: variance"), ours.variance, &theirs["variance"], TOLERANCE);
        let exact = ours.clopper_pearson(Confidence::default());
        close_interval(&format!("{at}: exact"), exact, &theirs["exact"], TOLERANCE);
        let exact = ours.clopper_pearson(Confidence::new(0.9).unwrap());
        close_interval(&format!("{at}: exact at 0.9"), exact, &theirs["exact_90"], TOLERANCE);
    }
}
