//! Several models as one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use lungfish::{Activity, Event, Predictor, Silent, TestRequest, Watch, ensemble, test, train};
use lungfish_models::ModelFile;

const SETTINGS: [&str; 6] =
    ["image_size=32", "batch_size=8", "frozen_epochs=2", "hidden=16", "val_fraction=0.2", "val_views=1"];

fn member(data: &Path, run: &Path, number: usize, more: &[&str]) -> PathBuf {
    let member = format!("member={number}");
    trained(data, run, &[&SETTINGS[..], &[member.as_str()], more].concat());
    run.to_owned()
}

fn probabilities(model: &Path, data: &Path) -> Vec<(f64, f64)> {
    let mut predictor = Predictor::open(model).unwrap();
    let said = predictor.predict(&[data.join("test")], &mut Watch::new(&mut Silent, &GO)).unwrap();
    let pair =
        |film: &lungfish::Prediction| (film.probabilities[1].1, film.spread.get(1).map_or(0.0, |spread| spread.1));
    said.films.iter().map(pair).collect()
}

#[test]
fn members_share_a_split_and_are_averaged_in_probability() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let runs: Vec<PathBuf> =
        (0..2).map(|number| member(&data, &dir.path().join(format!("m{number}")), number, &[])).collect();
    let split = |run: &Path| fs::read(run.join("split.csv")).unwrap();
    assert_eq!(split(&runs[0]), split(&runs[1]));
    assert_ne!(log_without_times(&runs[0]), log_without_times(&runs[1]), "each has its own random numbers");

    let out = dir.path().join("both");
    let made = ensemble(&runs, &out, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!((made.model.as_path(), made.info.members.len()), (out.join("best.safetensors").as_path(), 2));
    // The validation films of both say where it may call films, as the mean of both calls them.
    let calibration = made.info.calibration.as_ref().expect("they have one split");
    assert!(calibration.temperature.iter().all(|temperature| *temperature == 1.0), "{calibration:?}");
    let youden = calibration.points.iter().find(|point| point.rule == lungfish::PointRule::Youden).unwrap();
    let cut = youden.cut.expect("a cut");
    let splits =
        lungfish_data::Splits::read_csv(&out.join("split.csv"), &data, made.info.task, &made.info.classes).unwrap();
    let mut predictor = Predictor::open(&out).unwrap();
    let paths: Vec<PathBuf> = splits.val.iter().map(|film| film.film.path.clone()).collect();
    let said = predictor.predict(&paths, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let right = |positive: bool| {
        let of =
            splits.val.iter().zip(&said.films).filter(|(film, _)| (film.film.label.class() == Some(1)) == positive);
        let called: Vec<bool> = of.map(|(_, film)| (film.probabilities[1].1 >= cut) == positive).collect();
        called.iter().filter(|right| **right).count() as f64 / called.len() as f64
    };
    let (sensitivity, specificity) = (youden.sensitivity.unwrap(), youden.specificity.unwrap());
    assert!((right(true) - sensitivity).abs() < 1e-9 && (right(false) - specificity).abs() < 1e-9, "{youden:?}");
    assert_eq!(split(&out), split(&runs[0]));
    let [a, b, both] = [&runs[0], &runs[1], &out].map(|model| probabilities(model, &data));
    assert!(!both.is_empty() && both.len() == a.len());
    for ((both, spread), (a, b)) in both.iter().zip(a.iter().zip(&b)) {
        assert!((both - (a.0 + b.0) / 2.0).abs() < 1e-5, "{both} is not the mean of {} and {}", a.0, b.0);
        assert!((spread - (a.0 - b.0).abs() / 2.0).abs() < 1e-5, "{spread}");
    }

    // Without the films it has no points, and says so.
    let moved = dir.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    let mut notes = Vec::new();
    let mut note = |event: &lungfish::Event| {
        if let lungfish::Event::Note(text) = event {
            notes.push(text.clone());
        }
    };
    let without = ensemble(&runs, &dir.path().join("without"), &mut Watch::new(&mut note, &GO)).unwrap();
    assert_eq!(without.info.calibration, None);
    assert!(notes.iter().any(|note| note.contains("validation films are not where they were")), "{notes:?}");
    fs::rename(&moved, &data).unwrap();

    // The folder is tested as a run, and its training films are refused as a test.
    let tested = test(&TestRequest::new(&out, &data), &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(tested.films, both.len());
    let model = ModelFile::read(&made.model).unwrap();
    assert_eq!(model.metadata["format"], "lungfish.ensemble.1");
    assert_eq!(
        model.bytes["films.train"],
        ModelFile::read(&runs[0].join("best.safetensors")).unwrap().bytes["films.train"]
    );
    let error = |model: &Path, from: bool| {
        let mut request = request(&data, &dir.path().join("child"), &["frozen_epochs=1"]);
        if from {
            request.from = Some(model.to_owned());
        } else {
            request.changes.set(&format!("weights={}", model.join("best.safetensors").display())).unwrap();
        }
        train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string()
    };
    assert!(error(&out, true).contains("is an ensemble of 2 networks: go on from one of its members"));
    assert!(error(&out, false).contains("the weights in"), "no member is taken for all of it");
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let settings: &[&str] = &["frozen_epochs=1", "hidden=8"];
    let [a, wide, trained_prior] = [
        ("a", settings.to_vec()),
        ("wide", [settings, &["image_size=48"]].concat()),
        ("prior", [settings, &["prior=none"]].concat()),
    ]
    .map(|(name, more)| member(&data, &dir.path().join(name), 0, &more));
    let says = |models: &[&PathBuf], out: &str| {
        let models: Vec<PathBuf> = models.iter().map(|path| (*path).clone()).collect();
        ensemble(&models, &dir.path().join(out), &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string()
    };
    assert!(says(&[&a], "out").contains("two models or more"));
    assert!(says(&[&a, &a], "out").contains("are the same model"));
    let copy = dir.path().join("copy.safetensors");
    fs::copy(a.join("best.safetensors"), &copy).unwrap();
    assert!(says(&[&a, &copy], "out").contains("are the same model"), "whatever it is called");
    assert!(says(&[&a, &wide], "out").contains("prepare films in different ways"));
    assert!(says(&[&a, &trained_prior], "out").contains("different frequencies of the classes"));
    assert!(says(&[&a, &dir.path().join("absent")], "out").contains("absent"));
    assert!(!dir.path().join("out").exists());
    let b = member(&data, &dir.path().join("b"), 1, settings);
    ensemble(&[a.clone(), b.clone()], &dir.path().join("one.safetensors"), &mut Watch::new(&mut Silent, &GO)).unwrap();
    ensemble(&[a.clone(), b.clone()], &dir.path().join("one.safetensors"), &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(says(&[&b, &a], "one.safetensors").contains("is there already"));
    assert!(says(&[&a, &dir.path().join("one.safetensors")], "out").contains("name its members instead"));
}

/// A teacher has a part in every step of the second phase, its films count as the student's, and nothing else is taken for
/// it halfway.
#[test]
fn a_student_learns_from_an_ensemble_and_inherits_what_it_has_seen() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let runs: Vec<PathBuf> =
        (0..2).map(|number| member(&data, &dir.path().join(format!("m{number}")), number, &[])).collect();
    let teacher = dir.path().join("both");
    ensemble(&runs, &teacher, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let named = format!("teacher={}", teacher.display());
    fn settings<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&SETTINGS[..], &["epochs=2", "sizes=32,32", "member=7"], more].concat()
    }
    let run = |name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        trained(&data, &run, &settings(more));
        run
    };
    let [alone, taught] = [run("alone", &[]), run("taught", &[&named, "teacher_weight=0.7"])];
    let (without, with) = (log_without_times(&alone), log_without_times(&taught));
    assert_eq!(without[..2], with[..2], "the frozen phase has no teacher");
    assert_ne!(without[3]["train_loss"], with[3]["train_loss"]);
    let model = ModelFile::read(&taught.join("best.safetensors")).unwrap();
    assert!(model.metadata["ancestors"].contains(r#""how":"teacher""#), "{}", model.metadata["ancestors"]);
    let bytes = |model: &ModelFile, name: &str| model.bytes[name].clone();
    let of_teacher = ModelFile::read(&teacher.join("best.safetensors")).unwrap();
    assert_eq!(bytes(&model, "ancestors.train"), bytes(&of_teacher, "films.train"));
    let split = |run: &Path| fs::read(run.join("split.csv")).unwrap();
    assert_eq!(split(&taught), split(&alone), "who taught the teacher still tests and chooses nothing");

    // Stopped within the second phase: it goes on to the same bits, but not with another teacher in the same place.
    let broken = dir.path().join("broken");
    let asked = request(&data, &broken, &settings(&[&named, "teacher_weight=0.7"]));
    let training = |event: &Event| matches!(event, Event::Progress { task: Activity::Training, .. });
    assert!(stopped_at(&asked, 14, training).unwrap());
    let kept = fs::read(teacher.join("best.safetensors")).unwrap();
    fs::copy(runs[0].join("best.safetensors"), teacher.join("best.safetensors")).unwrap();
    let go_on = || train(&resuming(&data, &broken), &mut Watch::new(&mut Silent, &GO));
    assert!(go_on().unwrap_err().to_string().contains("is not the model that this run began to learn from"));
    fs::write(teacher.join("best.safetensors"), kept).unwrap();
    go_on().unwrap();
    assert_same_run(&taught, &broken);

    let refused = |more: &[&str]| {
        let request = request(&data, &dir.path().join("none"), &settings(more));
        train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string()
    };
    assert!(refused(&[&named, "epochs=0"]).contains("second phase only"));
    assert!(refused(&[&named, "fit=pad"]).contains("channels, fit or equalize"));
    assert!(refused(&["teacher=nowhere"]).contains("there is no run folder or model file nowhere"));
    assert!(!dir.path().join("none").exists());
}
