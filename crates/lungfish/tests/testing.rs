//! Tests and predictions with a trained model.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use lungfish::{Event, Predictor, Silent, Split, TestOutcome, TestRequest, Tta, Watch, test};

fn scored(model: &Path, data: &Path, split: Option<Split>, out: &Path) -> Result<TestOutcome, lungfish::Error> {
    let mut request = TestRequest::new(model, data);
    request.split = split;
    request.out = Some(out.to_owned());
    request.pictures = false;
    test(&request, &mut Watch::new(&mut Silent, &GO))
}

/// What a film of the kind that it learnt from has not: turned on its head, or no film at all.
#[test]
fn a_model_knows_what_it_has_not_learnt_from() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 160), dir.path().join("run"));
    trained(&data, &run, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "val_fraction=0.3", "best=auc"]);
    let mut predictor = Predictor::open(&run).unwrap();
    assert!(predictor.tells_unlike());
    let films = predictor.predict(std::slice::from_ref(&data), &mut Watch::new(&mut Silent, &GO)).unwrap().films;
    let shares: Vec<f64> = films.iter().map(|film| film.unlike.unwrap()).collect();
    let beyond = films.iter().filter(|film| film.is_unlike()).count();
    assert!(beyond * 10 <= films.len() && shares.iter().any(|share| *share < 0.5), "{shares:?}");
    let noise: Vec<u8> = (0..96 * 96_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image = lungfish::Image { width: 96, height: 96, channels: lungfish::Channels::Gray, pixels: noise };
    let said = predictor.predict_pixels(image).unwrap();
    assert!(said.is_unlike(), "{said:?}");
    #[cfg(feature = "pictures")]
    for (unlike, says) in [(Some(1.0), true), (Some(0.9), false), (None, false)] {
        let (mut film, svg) = (films[0].clone(), dir.path().join("film.svg"));
        film.unlike = unlike;
        lungfish::plot_prediction(predictor.info(), &film, &svg).unwrap();
        assert_eq!(fs::read_to_string(&svg).unwrap().contains("Unlike the films of the training"), says, "{unlike:?}");
    }
    // A film says the same from memory, and in a table.
    let first = predictor.predict_bytes(&fs::read(&films[0].path).unwrap()).unwrap();
    assert_eq!(first.unlike, films[0].unlike);
    let outcome = scored(&run, &data, None, &dir.path().join("out")).unwrap();
    let told = outcome.unlike.unwrap();
    assert_eq!(told.films, outcome.films);
    let (head, rows) = csv_rows(&outcome.predictions);
    assert_eq!(head.last().unwrap(), "unlike");
    let of = |path: &str| films.iter().find(|film| film.path == Path::new(path)).unwrap().unlike.unwrap();
    assert!(rows.iter().all(|row| row[head.len() - 1].parse::<f64>().unwrap() == of(&row[0])));
    let shortcut = outcome.shortcut.unwrap();
    assert_eq!(shortcut.strata.iter().map(|stratum| stratum.films).sum::<usize>(), outcome.films);
    // Who asks for none keeps none.
    let without = dir.path().join("without");
    trained(&data, &without, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "reference_films=0", "best=auc"]);
    assert!(!Predictor::open(&without).unwrap().tells_unlike());
    let outcome = scored(&without, &data, None, &dir.path().join("none")).unwrap();
    assert!(outcome.unlike.is_none() && outcome.shortcut.is_none());
}

#[test]
fn a_model_is_tested_on_what_it_has_not_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run, out) = (synthetic(dir.path(), 80), dir.path().join("run"), dir.path().join("out"));
    trained(
        &data,
        &run,
        &[
            "image_size=64",
            "frozen_epochs=6",
            "frozen_views=1",
            "batch_size=8",
            "frozen_lr=0.003",
            "best=accuracy",
            "prior=none",
            "label_smoothing=0",
            // Of few films: what it comes to is to be the same on every processor.
            "precision=fp32",
        ],
    );
    let table = fs::read_to_string(run.join("split.csv")).unwrap();
    let on_split = |split: &str| table.lines().filter(|l| l.contains(&format!(",{split},"))).count();

    // The run's own data: its splits.
    let outcome = scored(&run, &data, None, &out).unwrap();
    assert_eq!((outcome.films, outcome.split), (on_split("test"), Split::Test));
    assert_eq!(outcome.confusion.iter().flatten().sum::<u64>() as usize, outcome.films);
    let right: u64 = (0..2).map(|i| outcome.confusion[i][i]).sum();
    assert!((outcome.accuracy - right as f64 / outcome.films as f64).abs() < 1e-12);
    assert!(outcome.accuracy > 0.7, "synthetic films are easy: {}", outcome.accuracy);
    let csv = fs::read_to_string(out.join("predictions-test.csv")).unwrap();
    assert_eq!(csv.lines().count(), outcome.films + 1);
    // Whose film it is, and where its folder has it.
    let (head, rows) = csv_rows(&outcome.predictions);
    assert_eq!(head, ["path", "label", "predicted", "NORMAL", "PNEUMONIA", "patient", "split"]);
    for row in &rows {
        let place = row[0].strip_prefix(data.to_str().unwrap()).unwrap().trim_start_matches('/');
        let file = Path::new(place).file_name().unwrap().to_str().unwrap();
        assert!(place.starts_with(&format!("{}/{}/", row[6], row[1])) && file.starts_with(&row[5]), "{row:?}");
        assert!(!row[5].is_empty(), "{row:?}");
    }
    // The same as Parquet, which says of which model and split it is.
    let mut further = TestRequest::new(&run, &data);
    (further.out, further.pictures) = (Some(dir.path().join("further")), false);
    further.predictions = Some(dir.path().join("tables/test.parquet"));
    let with_parquet = test(&further, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(
        (&with_parquet.further, fs::read(&with_parquet.predictions).unwrap()),
        (&further.predictions, csv.into_bytes())
    );
    let parquet = further.predictions.clone().unwrap();
    let (columns, read) = parquet_rows(&parquet);
    assert!(columns.iter().map(|(name, _)| name).eq(&head) && read == rows);
    let facts = parquet_facts(&parquet);
    assert_eq!((&*facts["lungfish.split"], &*facts["lungfish.format"]), ("test", "lungfish.predictions.1"));
    assert!(facts["lungfish.caveats"].contains("the films are synthetic"), "{facts:?}");
    // What is there is not written over, and nothing is scored to be lost.
    let error = test(&further, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
    assert!(error.contains("test.parquet is there already: name another file"), "{error}");
    // In two views of each film; the file says so.
    let mut flip = TestRequest::new(&run, &data);
    (flip.tta, flip.out, flip.pictures) = (Tta::Flip, Some(dir.path().join("flip")), false);
    let flipped = test(&flip, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(flipped.films == outcome.films && flipped.loss != outcome.loss);
    assert!(fs::read_to_string(&flipped.metrics).unwrap().contains("\"tta\": \"flip\""));
    assert!(!fs::read_to_string(&outcome.metrics).unwrap().contains("\"tta\""));
    assert_eq!(scored(&run, &data, Some(Split::Val), &out).unwrap().films, on_split("val"));
    let train = scored(&run.join("best.safetensors"), &data, Some(Split::Train), &out).unwrap();
    assert_eq!(train.films, on_split("train"));

    // The model alone, without its run folder, still knows what it has seen.
    let alone = dir.path().join("model.safetensors");
    fs::copy(run.join("best.safetensors"), &alone).unwrap();
    assert_eq!(scored(&alone, &data, Some(Split::Train), &out).unwrap().films, on_split("train"));
    assert_eq!(scored(&alone, &data, None, &out).unwrap().confusion, outcome.confusion);
    let flat = dir.path().join("flat");
    copy(&data.join("train"), &flat);
    let error = scored(&alone, &flat, None, &out).unwrap_err().to_string();
    assert!(error.contains("was trained on") && error.contains("split train"), "{error}");
    let error = scored(&run, &flat, None, &out).unwrap_err().to_string();
    assert!(error.contains("was trained on") && error.contains("split train"), "{error}");

    // A folder it does not know is scored whole.
    let new = dir.path().join("new");
    lungfish_data::synth(&new, 30, 99).unwrap();
    let all: Vec<PathBuf> = films_below(&new.join("test"));
    assert_eq!(scored(&alone, &new, None, &out).unwrap().films, all.len());
    let mut warned = String::new();
    let mut request = TestRequest::new(&run, new.join("test"));
    request.out = Some(out.clone());
    request.pictures = false;
    let mut observer = |event: &Event| {
        if let Event::Warning(text) = event {
            warned = text.clone();
        }
    };
    assert_eq!(test(&request, &mut Watch::new(&mut observer, &GO)).unwrap().films, all.len());
    let trained_groups: HashSet<&str> = table
        .lines()
        .filter(|l| l.contains(",train,") || l.contains(",val,"))
        .filter_map(|l| l.split(',').nth(2))
        .collect();
    let rule = lungfish_data::PatientRule::default();
    let patient = |path: &PathBuf| rule.find(path).map(|(_, patient)| patient);
    let shared = all.iter().filter_map(patient).any(|patient| trained_groups.contains(patient.as_str()));
    assert_eq!(warned.contains("bear the name of a patient"), shared, "{warned}");

    // Of one class alone no AUC can be told, and why is said; what lies beside the films is told with it.
    let lone = dir.path().join("lone");
    copy(&new.join("test/PNEUMONIA"), &lone.join("PNEUMONIA"));
    fs::write(lone.join("PNEUMONIA/notes.txt"), "x").unwrap();
    let outcome = scored(&alone, &lone, None, &out).unwrap();
    assert_eq!((outcome.auc, outcome.specificity), (None, None));
    let clause = "AUC, specificity and recall of NORMAL, since no film of the test split is NORMAL";
    assert_eq!(outcome.undefined[0], clause);
    let [over] = &outcome.passed_over[..] else { panic!("{:?}", outcome.passed_over) };
    assert_eq!((over.kind.as_str(), over.count), (".txt", 1));
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&outcome.metrics).unwrap()).unwrap();
    assert_eq!((&json["passed_over"][0]["kind"], &json["undefined"][0]), (&".txt".into(), &clause.into()));
    let (head, _) = csv_rows(&outcome.predictions);
    assert_eq!(head[5..], ["patient"], "no splits");

    // A class it does not know is refused.
    let class = fs::read_dir(new.join("test")).unwrap().next().unwrap().unwrap().path();
    fs::rename(&class, new.join("test/TUBERCULOSIS")).unwrap();
    assert!(scored(&alone, &new, None, &out).unwrap_err().to_string().contains("TUBERCULOSIS"));
    fs::rename(new.join("test/TUBERCULOSIS"), new.join("test/PNEUMONA")).unwrap();
    let error = scored(&alone, &new, None, &out).unwrap_err().to_string();
    assert!(error.contains("PNEUMONA (did you mean PNEUMONIA?)"), "{error}");
}

#[test]
fn a_run_folder_keeps_what_is_written_of_its_own_films() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    trained(&data, &run, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    let tested = |model: &Path, data: &Path| {
        let mut request = TestRequest::new(model, data);
        request.pictures = false;
        test(&request, &mut Watch::new(&mut Silent, &GO))
    };
    let outcome = tested(&run, &data).unwrap();
    assert_eq!(outcome.predictions, run.join("predictions-test.csv"));
    let (own, left) = (fs::read(&outcome.predictions).unwrap(), films_below(dir.path()).len());

    let new = dir.path().join("new");
    lungfish_data::synth(&new, 30, 99).unwrap();
    let error = tested(&run, &new).unwrap_err().to_string();
    assert!(error.contains(new.to_str().unwrap()) && error.contains("--out"), "{error}");
    assert_eq!(fs::read(&outcome.predictions).unwrap(), own);
    let alone = dir.path().join("model.safetensors");
    fs::copy(run.join("best.safetensors"), &alone).unwrap();
    let error = tested(&alone, &new).unwrap_err().to_string();
    assert!(error.contains(alone.to_str().unwrap()) && error.contains("--out"), "{error}");
    assert!(!dir.path().join("predictions-test.csv").exists());
    assert_eq!(films_below(dir.path()).len(), left + films_below(&new).len());
}

#[test]
fn predict_scores_what_it_can_and_names_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    trained(&data, &run, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    let mut predictor = Predictor::open(&run).unwrap();
    assert_eq!(predictor.info().classes.len(), 2);
    let folder = data.join("test");
    let films = films_below(&folder);
    let whole = predictor.predict(std::slice::from_ref(&folder), &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(whole.films.iter().map(|p| p.path.clone()).collect::<Vec<_>>(), films);
    for prediction in &whole.films {
        assert!((prediction.probabilities.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
        let best = prediction.probabilities.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!(best.0, prediction.called.words());
    }

    // A film's answer does not hang on its neighbours, and bad films are no error.
    let (bad, absent) = (dir.path().join("bad.jpeg"), dir.path().join("absent.jpeg"));
    fs::write(&bad, b"no film").unwrap();
    let mixed = [bad.clone(), films[3].clone(), absent.clone(), films[0].clone()];
    let some = predictor.predict(&mixed, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(some.bad.iter().map(|b| b.path.clone()).collect::<Vec<_>>(), [bad, absent]);
    for (ours, theirs) in some.films.iter().zip([&whole.films[3], &whole.films[0]]) {
        assert_eq!(ours.path, theirs.path);
        for ((_, a), (_, b)) in ours.probabilities.iter().zip(&theirs.probabilities) {
            assert!((a - b).abs() < 1e-5);
        }
    }

    // The validation of the training went the same way.
    let val = films_below(&data).into_iter().filter(|p| {
        let name = p.file_name().unwrap().to_str().unwrap();
        let table = fs::read_to_string(run.join("split.csv")).unwrap();
        table.lines().any(|l| l.contains(name) && l.contains(",val,"))
    });
    let val: Vec<PathBuf> = val.collect();
    let scored = predictor.predict(&val, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let right =
        scored.films.iter().filter(|p| p.path.to_str().unwrap().contains(&format!("/{}/", p.called.words()))).count();
    let accuracy = predictor.info().epoch.as_ref().unwrap().val_accuracy;
    assert!((accuracy - right as f64 / val.len() as f64).abs() < 1e-12, "{accuracy} {right} of {}", val.len());

    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error =
        predictor.predict(std::slice::from_ref(&empty), &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
    assert!(error.contains(empty.to_str().unwrap()) && error.contains("no film in it"), "{error}");
    let scored = predictor.predict(&[empty.clone(), films[0].clone()], &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!((scored.films.len(), &scored.bad[0].path), (1, &empty), "what can be scored is");
    assert!(Predictor::open(&data).unwrap_err().to_string().contains("is no run folder"));
    assert!(Predictor::open(&films[0]).is_err());
}

#[test]
fn films_are_found_again_in_their_npz_and_their_dicom_archive() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run, out) = (synthetic(dir.path(), 40), dir.path().join("run"), dir.path().join("out"));
    trained(&data, &run, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    // A model whose classes are called as MedMNIST calls them.
    let (named, model) = (dir.path().join("named"), dir.path().join("other"));
    copy(&data, &named);
    for split in ["train", "val", "test"] {
        for class in ["NORMAL", "PNEUMONIA"] {
            fs::rename(named.join(split).join(class), named.join(split).join(class.to_lowercase())).unwrap();
        }
    }
    trained(&named, &model, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    let outcome = scored(&model, &golden("npz/pneumoniamnist.npz"), Some(Split::Val), &out).unwrap();
    let (head, rows) = csv_rows(&outcome.predictions);
    assert_eq!(head[5..], ["split", "row"]);
    assert_eq!(rows.len(), 4);
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row[5..], ["val".to_owned(), number.to_string()]);
        assert!(row[0].ends_with(&format!("pneumoniamnist.npz/val/{number:06}")), "{row:?}");
    }

    let archive = dir.path().join("archive");
    for (class, dicom) in [("NORMAL", "plain"), ("PNEUMONIA", "window"), ("PNEUMONIA", "truncated")] {
        fs::create_dir_all(archive.join(class)).unwrap();
        fs::copy(golden(&format!("dicom/{dicom}.dcm")), archive.join(class).join(dicom)).unwrap();
    }
    let told: serde_json::Value = serde_json::from_slice(&fs::read(golden("dicom_uids.json")).unwrap()).unwrap();
    for (at, uids) in [(0, lungfish::Uids::Plain), (1, lungfish::Uids::Hashed)] {
        let mut request = TestRequest::new(&run, &archive);
        (request.out, request.pictures, request.uids) = (Some(out.clone()), false, uids);
        let outcome = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
        let (head, rows) = csv_rows(&outcome.predictions);
        assert_eq!(head[5..], ["patient", "uid"]);
        for (row, name) in rows.iter().zip(["plain", "window"]) {
            assert!(row[5].starts_with("dicom-") && row[5].len() == 22, "{row:?}");
            assert_eq!(row[6], told[name][at].as_str().unwrap());
        }
        assert_eq!(outcome.bad[0].uid.as_deref(), told["truncated"][at].as_str());
    }
}
