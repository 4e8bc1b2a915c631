//! Temperatures, operating points, two models on the same films, and a model for another site.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::common::*;
use lungfish::{
    CalibrateRequest, Error, ModelInfo, PointRule, Predictor, Recalibration, Silent, TestOutcome, TestRequest, Watch,
    calibrate, test, train,
};

/// A run on synthetic films that is not sure of itself: its labels are smoothed and its epochs few.
static TRAINED: LazyLock<(tempfile::TempDir, std::path::PathBuf, std::path::PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 140), dir.path().join("run"));
    trained(&data, &run, &settings(&[]));
    (dir, data, run)
});

fn settings<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        "image_size=64",
        "frozen_epochs=4",
        "frozen_views=1",
        "batch_size=8",
        "label_smoothing=0.2",
        "val_fraction=0.4",
    ];
    [&usual, more].concat()
}

fn tested(model: &Path, data: &Path, change: impl Fn(&mut TestRequest)) -> Result<TestOutcome, Error> {
    let out = tempfile::tempdir().unwrap();
    let mut request = TestRequest::new(model, data);
    (request.out, request.pictures) = (Some(out.path().to_owned()), false);
    change(&mut request);
    test(&request, &mut Watch::new(&mut Silent, &GO))
}

fn info(model: &Path) -> ModelInfo {
    Predictor::open(model).unwrap().info().clone()
}

#[test]
fn a_training_ends_in_a_model_that_knows_how_sure_it_may_be() {
    let (dir, data, run) = &*TRAINED;
    let found = info(run).calibration.unwrap();
    assert_eq!(found.site, None);
    assert!(found.films > 20 && found.patients > 10, "{found:?}");
    assert_eq!(found.points.len(), 4);
    // Killed at its end and resumed it is the same file.
    let again = dir.path().join("again");
    copy(run, &again);
    let file = again.join("best.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    train(&resuming(data, &again), &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(fs::read(&file).unwrap(), bytes);

    // Without it the same network says the same classes, less or more surely.
    let plain = dir.path().join("plain");
    trained(data, &plain, &settings(&["calibrate=false", "operating_points="]));
    let without = info(&plain);
    assert_eq!(without.calibration, None);
    let (ours, theirs) = (tested(run, data, |_| {}).unwrap(), tested(&plain, data, |_| {}).unwrap());
    assert_eq!((ours.accuracy, ours.auc, &ours.confusion), (theirs.accuracy, theirs.auc, &theirs.confusion));
    if found.temperature[0] == 1.0 {
        assert!((ours.loss - theirs.loss).abs() < 1e-6);
    } else {
        assert_ne!(ours.loss, theirs.loss);
        assert!(found.nll_after.unwrap() < found.nll_before.unwrap());
    }
    assert!(theirs.points.is_empty());
}

#[test]
fn films_are_called_at_the_point_that_is_asked_for() {
    let (_dir, data, run) = &*TRAINED;
    let even = tested(run, data, |_| {}).unwrap();
    assert_eq!((even.threshold, even.at), (Some(0.5), PointRule::default()));
    let low = tested(run, data, |request| request.at = Some(PointRule::At(0.02))).unwrap();
    assert_eq!((low.threshold, low.auc, low.loss), (Some(0.02), even.auc, even.loss));
    assert!(low.sensitivity >= even.sensitivity && low.specificity <= even.specificity);
    let all = tested(run, data, |request| request.at = Some(PointRule::At(1e-9))).unwrap();
    assert_eq!((all.sensitivity, all.specificity), (Some(1.0), Some(0.0)));
    // Every metric that has a cut follows it.
    let of = |outcome: &TestOutcome, name: &str| outcome.measures.iter().find(|m| m.name == name).unwrap().value;
    assert_eq!((of(&all, "sensitivity"), of(&all, "specificity")), (Some(1.0), Some(0.0)));
    assert_eq!(of(&all, "accuracy"), Some(all.accuracy));
    assert_eq!(all.confusion.iter().map(|row| row[0]).sum::<u64>(), 0);

    // The model's own points, as they are of these films.
    let youden = even.points.iter().find(|point| point.rule == PointRule::Youden);
    if let Some(youden) = youden {
        let at = tested(run, data, |request| request.at = Some(PointRule::Youden)).unwrap();
        assert_eq!((at.threshold, at.sensitivity), (Some(youden.cut), youden.sensitivity.value));
        assert_eq!(at.specificity, youden.specificity.value);
    }
    let says = |at| tested(run, data, |request| request.at = Some(at)).unwrap_err().to_string();
    let said = says(PointRule::Sensitivity(0.8));
    assert!(said.contains("has no operating point sensitivity=0.8; it has youden, max-accuracy"), "{said}");
    let said = says(PointRule::Sensitivity(0.95));
    assert!(said.contains("has no cut for sensitivity=0.95: too few positive patients"), "{said}");
    // Of one film.
    let film = films_below(&data.join("test")).swap_remove(0);
    let call = |cut| {
        let mut predictor = Predictor::open(run).unwrap().with_point(PointRule::At(cut)).unwrap();
        let said = predictor.predict(std::slice::from_ref(&film), &mut Watch::new(&mut Silent, &GO)).unwrap();
        (said.films[0].called.words(), said.films[0].at)
    };
    assert_eq!(call(1e-9), ("PNEUMONIA".to_owned(), PointRule::At(1e-9)));
    assert_eq!(call(1.0 - 1e-9), ("NORMAL".to_owned(), PointRule::At(1.0 - 1e-9)));

    let said = tested(run, data, |request| request.prevalence = Some(1.5)).unwrap_err().to_string();
    assert!(said.contains("a prevalence of 1.5"), "{said}");
    let rare = tested(run, data, |request| request.prevalence = Some(0.01)).unwrap();
    let (sensitivity, specificity) = (rare.sensitivity.unwrap(), rare.specificity.unwrap());
    let value = sensitivity * 0.01 / (sensitivity * 0.01 + (1.0 - specificity) * 0.99);
    let told = of(&rare, "positive predictive value at a prevalence of 0.01");
    assert!((told.unwrap() - value).abs() < 1e-12, "{told:?} {value}");
}

#[test]
fn two_models_are_compared_on_the_same_films() {
    let (dir, data, run) = &*TRAINED;
    let weak = dir.path().join("weak");
    trained(data, &weak, &settings(&["frozen_epochs=1", "frozen_lr=0.00001"]));
    let both = tested(run, data, |request| request.compare = Some(weak.clone())).unwrap();
    let (alone, other) = (tested(run, data, |_| {}).unwrap(), tested(&weak, data, |_| {}).unwrap());
    let found = both.comparison.unwrap();
    let of = |name: &str| found.differences.iter().find(|row| row.name == name).unwrap();
    let auc = of("AUC");
    assert!((auc.this - alone.auc.unwrap()).abs() < 1e-12 && (auc.other - other.auc.unwrap()).abs() < 1e-12);
    let [low, high] = auc.difference.interval.unwrap();
    assert!(low < auc.this - auc.other && auc.this - auc.other < high && auc.p.is_some(), "{auc:?}");
    let accuracy = of("accuracy");
    assert_eq!((accuracy.this, accuracy.other), (alone.accuracy, other.accuracy));
    let gained = found.only_this_right as f64 - found.only_other_right as f64;
    assert!((gained / alone.films as f64 - (alone.accuracy - other.accuracy)).abs() < 1e-12);
    assert_eq!(found.changed.len() as u64, found.only_this_right + found.only_other_right);
    for name in ["sensitivity", "specificity", "negative log-likelihood"] {
        assert!(of(name).difference.value.is_some(), "{name}");
    }
    // Beside itself nothing lies between.
    let same = tested(run, data, |request| request.compare = Some(run.clone())).unwrap().comparison.unwrap();
    assert!(same.changed.is_empty() && same.mcnemar_p == 1.0);
    assert!(same.differences.iter().all(|row| row.difference.value == Some(0.0)));

    let theirs = dir.path().join("theirs");
    let classes = dir.path().join("classes");
    lungfish_data::synth(&classes, 40, 5).unwrap();
    for split in ["train", "val", "test"] {
        fs::rename(classes.join(split).join("PNEUMONIA"), classes.join(split).join("TB")).unwrap();
    }
    trained(&classes, &theirs, &settings(&[]));
    let said = tested(run, data, |request| request.compare = Some(theirs.clone())).unwrap_err().to_string();
    assert!(said.contains("cannot be compared: it is one-of of NORMAL, TB"), "{said}");
}

#[test]
fn a_model_for_another_site_knows_the_films_that_made_it() {
    let (dir, data, run) = &*TRAINED;
    let (site, out) = (dir.path().join("site"), dir.path().join("there.safetensors"));
    lungfish_data::synth(&site, 80, 77).unwrap();
    let made = |change: &dyn Fn(&mut CalibrateRequest)| {
        let mut request = CalibrateRequest::new(run, &site, &out);
        change(&mut request);
        calibrate(&request, &mut Watch::new(&mut Silent, &GO))
    };
    let said = made(&|request| request.data = data.clone()).unwrap_err().to_string();
    assert!(said.contains("the model was trained on"), "{said}");
    let said = made(&|request| request.out = dir.path().join("model.pth")).unwrap_err().to_string();
    assert!(said.contains("is no name of a model file"), "{said}");
    assert!(!out.exists());

    let outcome = made(&|request| request.method = Recalibration::Intercept).unwrap();
    let found = outcome.info.calibration.clone().unwrap();
    assert_eq!((found.site.as_deref(), found.temperature[0]), (Some("site"), 1.0));
    assert_eq!(info(&out).calibration.unwrap(), found);
    let (before, after) = (tested(run, &site, |_| {}).unwrap(), tested(&out, &site, |_| {}).unwrap());
    // The test split had no part in it; the order of films, and so the AUC, is the same.
    assert_eq!((before.films, before.auc), (after.films, after.auc));
    assert!(before.equal_prior && !after.equal_prior);
    let said = tested(&out, &site.join("train"), |_| {}).unwrap_err().to_string();
    assert!(said.contains("was trained on"), "{said}");
    let said = made(&|_| {}).unwrap_err().to_string();
    assert!(said.contains("is there already"), "{said}");

    // Of the films themselves the mean probability is now the share of positive ones.
    let train: Vec<_> = ["train", "val"].iter().flat_map(|split| films_below(&site.join(split))).collect();
    let said = Predictor::open(&out).unwrap().predict(&train, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let mean = said.films.iter().map(|film| film.probabilities[1].1).sum::<f64>() / train.len() as f64;
    let share = train.iter().filter(|path| path.to_str().unwrap().contains("PNEUMONIA")).count() as f64;
    assert!((mean - share / train.len() as f64).abs() < 1e-5, "{mean} {share}");

    // An average has no last layer, and may have points.
    let together = dir.path().join("together.safetensors");
    let second = dir.path().join("second");
    trained(data, &second, &settings(&["member=1", "frozen_epochs=1"]));
    lungfish::ensemble(&[run.clone(), second], &together, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let other = dir.path().join("together-there.safetensors");
    let of = |change: &dyn Fn(&mut CalibrateRequest)| {
        let mut request = CalibrateRequest::new(&together, &site, &other);
        change(&mut request);
        calibrate(&request, &mut Watch::new(&mut Silent, &GO))
    };
    let said = of(&|_| {}).unwrap_err().to_string();
    assert!(said.contains("an average has no last layer"), "{said}");
    let points = |request: &mut CalibrateRequest| {
        (request.method, request.points) = (Recalibration::None, Some(vec![PointRule::Specificity(0.5)]));
    };
    let found = of(&points).unwrap().info.calibration.unwrap();
    assert!(found.points[0].specificity.unwrap() >= 0.5, "{found:?}");
}
