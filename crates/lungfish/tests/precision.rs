//! In which precision models are asked: in what trained them, unless another is asked for, which is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::common::*;
use lungfish::{
    FilmList, PrecisionRule, Prediction, Predictor, ScoresFile, Silent, TestRequest, Watch, ensemble, test,
};
use lungfish_models::ModelFile;

/// Films and a run in each precision, made once; nobody changes them.
static MADE: LazyLock<(tempfile::TempDir, PathBuf, [PathBuf; 2])> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let runs = ["fp32", "bf16"].map(|precision| {
        let run = dir.path().join(precision);
        let (setting, member) = (format!("precision={precision}"), format!("member={}", precision.len()));
        let settings = ["image_size=64", "hidden=16", "frozen_epochs=1", "batch_size=8", "val_fraction=0.2"];
        trained(&data, &run, &[&settings[..], &[setting.as_str(), member.as_str()]].concat());
        run
    });
    (dir, data, runs)
});

fn said(predictor: &mut Predictor) -> Vec<Prediction> {
    predictor.predict(&[MADE.1.join("test")], &mut Watch::new(&mut Silent, &GO)).unwrap().films
}

fn probabilities(films: &[Prediction]) -> Vec<f64> {
    films.iter().map(|film| film.probabilities[1].1).collect()
}

/// A model file with some of its metadata changed.
fn changed_model(from: &Path, to: &Path, key: &str, change: impl Fn(&str) -> String) {
    let mut file = ModelFile::read(from).unwrap();
    let text = change(&file.metadata[key]);
    assert_ne!(text, file.metadata[key]);
    file.metadata.insert(key.to_owned(), text);
    fs::write(to, file.to_bytes().unwrap()).unwrap();
}

#[test]
fn a_model_computes_in_what_trained_it_unless_it_is_asked_otherwise() {
    let [fp32, bf16] = &MADE.2;
    for (run, own, other) in
        [(fp32, PrecisionRule::Fp32, PrecisionRule::Bf16), (bf16, PrecisionRule::Bf16, PrecisionRule::Fp32)]
    {
        let mut predictor = Predictor::open(run).unwrap();
        assert_eq!((predictor.precision(), predictor.other_precision()), (own.to_string(), None));
        let films = said(&mut predictor);
        assert!(films.iter().all(|film| film.precision.is_none()));

        let mut predictor = predictor.with_maps().unwrap().with_precision(other).unwrap();
        assert_eq!((predictor.precision(), predictor.other_precision()), (other.to_string(), Some(other)));
        let others = said(&mut predictor);
        assert!(others.iter().all(|film| film.precision == Some(other) && film.map.is_some()));
        // Eight bits of precision are enough for two digits of a probability.
        for (a, b) in probabilities(&films).iter().zip(probabilities(&others)) {
            assert!((a - b).abs() < 0.05, "{a} and {b}");
        }
        // Back in its own it says the same, to the bit.
        for rule in [own, PrecisionRule::Auto] {
            let predictor = Predictor::open(run).unwrap().with_precision(other).unwrap();
            assert_eq!(said(&mut predictor.with_precision(rule).unwrap()), films);
        }
    }
}

#[test]
fn a_model_of_an_older_version_is_fp32() {
    let dir = tempfile::tempdir().unwrap();
    let older = dir.path().join("older.safetensors");
    let without = |recipe: &str| recipe.replace("\nprecision = \"bf16\"\n", "\n");
    changed_model(&MADE.2[1].join("best.safetensors"), &older, "recipe", without);
    assert_eq!(Predictor::open(&older).unwrap().precision(), "fp32");
}

#[test]
fn a_test_says_where_it_is_in_another_precision() {
    let dir = tempfile::tempdir().unwrap();
    let (_, data, [fp32, bf16]) = &*MADE;
    for (precision, told) in
        [(PrecisionRule::Auto, None), (PrecisionRule::Fp32, None), (PrecisionRule::Bf16, Some(PrecisionRule::Bf16))]
    {
        let mut request = TestRequest::new(fp32, data);
        (request.precision, request.pictures, request.out) =
            (precision, false, Some(dir.path().join(precision.name())));
        request.compare = Some(bf16.clone());
        let outcome = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
        assert_eq!(outcome.precision, told);
        let metrics = fs::read_to_string(&outcome.metrics).unwrap();
        assert_eq!(metrics.contains("\"precision\": \"bf16\""), told.is_some(), "{metrics}");
    }
}

#[test]
fn scores_of_two_precisions_stand_in_no_table() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("scores.csv");
    let films = FilmList::new(&[MADE.1.join("test")]);
    let asked = |rule| Predictor::open(&MADE.2[0]).unwrap().with_precision(rule).unwrap();
    ScoresFile::create(&table, &asked(PrecisionRule::Bf16), &films).unwrap().finish().unwrap();
    let beside = fs::read_to_string(dir.path().join("scores.csv.json")).unwrap();
    assert!(beside.contains("\"precision\": \"bf16\""), "{beside}");
    let refused = ScoresFile::resume(&table, &asked(PrecisionRule::Auto), &films).unwrap_err().to_string();
    assert!(
        refused.ends_with("was made in bf16 and the model's precision is asked for: name another file"),
        "{refused}"
    );
    ScoresFile::resume(&table, &asked(PrecisionRule::Bf16), &films).unwrap();
}

#[test]
fn each_network_of_an_ensemble_computes_in_what_trained_it() {
    let dir = tempfile::tempdir().unwrap();
    let both = dir.path().join("both.safetensors");
    ensemble(&MADE.2, &both, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let mut predictor = Predictor::open(&both).unwrap();
    assert_eq!((predictor.precision().as_str(), predictor.other_precision()), ("fp32 and bf16", None));
    let [a, b] = MADE.2.each_ref().map(|run| probabilities(&said(&mut Predictor::open(run).unwrap())));
    for (both, (a, b)) in probabilities(&said(&mut predictor)).iter().zip(a.iter().zip(&b)) {
        assert!((both - (a + b) / 2.0).abs() < 1e-5, "{both} is not the mean of {a} and {b}");
    }
    let predictor = predictor.with_precision(PrecisionRule::Fp32).unwrap();
    assert_eq!((predictor.precision().as_str(), predictor.other_precision()), ("fp32", Some(PrecisionRule::Fp32)));
    // Members of older versions say nothing of it.
    let older = dir.path().join("older.safetensors");
    let without = |members: &str| members.replace(",\"precision\":\"fp32\"", "").replace(",\"precision\":\"bf16\"", "");
    changed_model(&both, &older, "members", without);
    assert_eq!(Predictor::open(&older).unwrap().precision(), "fp32");
}
