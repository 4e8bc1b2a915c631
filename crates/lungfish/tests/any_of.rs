//! The journey of films that may have any of several labels: training, resuming, testing, predicting.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use lungfish::{
    Called, Changes, Event, Predictor, ReportRequest, Silent, Split, Task, TestRequest, Watch, report, test, train,
};
use lungfish_models::ModelFile;

const LABELS: [&str; 3] = ["CONSOLIDATION", "INFILTRATES", "CARDIOMEGALY"];
const BOTH_PHASES: [&str; 8] = [
    "image_size=64",
    "hidden=16",
    "batch_size=8",
    "frozen_epochs=2",
    "frozen_views=2",
    "epochs=1",
    "unfreeze=top",
    "class_weights=balanced",
];

/// Draws `films` films with labels.
fn labelled(root: &Path, films: usize) -> PathBuf {
    let data = root.join("films");
    lungfish_data::synth_any_of(&data, films, 3).unwrap();
    data
}

fn tested(model: &Path, data: &Path, out: &Path, pictures: bool) -> Result<lungfish::TestOutcome, lungfish::Error> {
    let mut request = TestRequest::new(model, data);
    request.out = Some(out.to_owned());
    request.pictures = pictures;
    test(&request, &mut Watch::new(&mut Silent, &GO))
}

#[test]
fn films_with_labels_go_the_whole_way() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run, out) = (labelled(dir.path(), 60), dir.path().join("run"), dir.path().join("out"));
    let outcome = trained(&data, &run, &BOTH_PHASES);
    assert!(outcome.best.is_some_and(|best| best.val_auc.is_some()));
    let log = log_without_times(&run);
    assert_eq!(log.len(), 4, "two frozen epochs, the validation before the unfrozen one, and that");
    for record in log.iter().filter(|record| record["epoch"] != 0) {
        assert!(record["train_accuracy"].as_f64().unwrap() <= 1.0 && record["train_loss"].as_f64().unwrap() > 0.0);
    }
    let split = fs::read_to_string(run.join("split.csv")).unwrap();
    assert!(split.lines().skip(1).any(|line| line.contains('?')), "unknown labels are kept: {split}");

    // The model file says what it is, and a program that knows classes alone does not take it for one of its own.
    let file = ModelFile::read(&run.join("best.safetensors")).unwrap();
    assert_eq!((file.metadata["task"].as_str(), file.metadata["format"].as_str()), ("any-of", "lungfish.model.2"));
    let alone = dir.path().join("model.safetensors");
    fs::copy(run.join("best.safetensors"), &alone).unwrap();
    let mut predictor = Predictor::open(&alone).unwrap();
    assert_eq!(
        (predictor.info().task, predictor.info().classes.as_slice()),
        (Task::AnyOf, &LABELS.map(str::to_owned)[..])
    );

    let own = tested(&run, &data, &out, true).unwrap();
    assert_eq!((own.task, own.films, own.labels.len()), (Task::AnyOf, 9, 3));
    assert!(own.confusion.is_empty() && own.classes.is_empty());
    let table = fs::read_to_string(data.join("labels.csv")).unwrap();
    let mut aucs = Vec::new();
    for (index, label) in own.labels.iter().enumerate() {
        let cells = table.lines().filter(|line| line.starts_with("test/")).map(|line| line.split(',').nth(index + 1));
        let count = |value: &str| cells.clone().filter(|cell| *cell == Some(value)).count() as u64;
        assert_eq!(label.name, LABELS[index]);
        assert_eq!([label.positives, label.negatives, label.unknown], [count("1"), count("0"), count("")]);
        assert!(label.true_positives <= label.positives && label.true_negatives <= label.negatives);
        aucs.extend(label.auc);
    }
    assert_eq!(own.auc, Some(aucs.iter().sum::<f64>() / aucs.len() as f64));
    let json = serde_json::to_value(&own).unwrap();
    assert_eq!((&json["task"], &json["labels"][2]["name"]), (&"any-of".into(), &"CARDIOMEGALY".into()));
    assert_eq!((&json["confusion"], &json["classes"]), (&serde_json::json!([]), &serde_json::json!([])));
    let drawn: Vec<&str> = own.pictures.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    for name in ["roc-test", "precision-recall-test"] {
        assert!(drawn.contains(&name) && out.join(format!("{name}.svg")).is_file(), "{drawn:?}");
    }
    assert!(!drawn.iter().any(|name| name.contains("confusion") || name.contains("films")), "{drawn:?}");

    // What the test wrote of each film is what a prediction says of it, and what the labels are.
    let csv = fs::read_to_string(out.join("predictions-test.csv")).unwrap();
    let mut lines = csv.lines();
    let title = "path,CONSOLIDATION,CONSOLIDATION probability,INFILTRATES,INFILTRATES probability,CARDIOMEGALY,\
                 CARDIOMEGALY probability,patient,split,row";
    assert_eq!(lines.next(), Some(title));
    let films = predictor.predict(&[data.join("test")], &mut Watch::new(&mut Silent, &GO)).unwrap().films;
    assert_eq!(films.len(), 9);
    for (film, line) in films.iter().zip(lines) {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(film.path.ends_with(Path::new(cells[0]).file_name().unwrap()), "{line}");
        let name = format!("test/{},", film.path.file_name().unwrap().to_str().unwrap());
        let known = table.lines().find(|line| line.starts_with(&name)).unwrap();
        assert_eq!([cells[1], cells[3], cells[5]].join(","), known[name.len()..]);
        // The row is the line of the table, counted from 1.
        assert_eq!(table.lines().nth(cells[9].parse::<usize>().unwrap() - 1), Some(known));
        assert!(cells[8] == "test" && !cells[7].is_empty() && cells[0].contains(&format!("{}-", cells[7])), "{line}");
        let mut called = Vec::new();
        for (index, (label, p)) in film.probabilities.iter().enumerate() {
            assert!((0.0..=1.0).contains(p) && (p - cells[2 * index + 2].parse::<f64>().unwrap()).abs() < 1e-6);
            called.extend((*p >= 0.5).then(|| label.clone()));
        }
        assert_eq!(film.called, Called::Labels(called));
    }

    // Films of which another thing is known are refused, by both kinds of model; predicting them is no error.
    let classes = synthetic(&dir.path().join("classes"), 40);
    let error = tested(&alone, &classes, &out, false).unwrap_err().to_string();
    assert!(error.contains("the model says which labels it has"), "{error}");
    assert_eq!(predictor.predict(&[classes.join("test")], &mut Watch::new(&mut Silent, &GO)).unwrap().films.len(), 5);
    // A label that the model does not know.
    let other = dir.path().join("other");
    lungfish_data::synth_any_of(&other, 20, 9).unwrap();
    let strange = fs::read_to_string(other.join("labels.csv")).unwrap().replace("INFILTRATES", "INFILTRATE");
    fs::write(other.join("labels.csv"), strange).unwrap();
    let error = tested(&alone, &other, &out, false).unwrap_err().to_string();
    assert!(
        error.contains("the label INFILTRATE (did you mean INFILTRATES?), which the model does not know"),
        "{error}"
    );
}

#[test]
fn a_training_with_labels_that_was_stopped_ends_as_if_it_had_not_been() {
    let dir = tempfile::tempdir().unwrap();
    let (data, whole, run) = (labelled(dir.path(), 40), dir.path().join("whole"), dir.path().join("run"));
    trained(&data, &whole, &BOTH_PHASES);
    let fresh = request(&data, &run, &BOTH_PHASES);
    let steps = |event: &Event| matches!(event, Event::Progress { task: lungfish::Activity::Training, .. });
    assert!(stopped_at(&fresh, 2, steps).unwrap(), "within the first epoch");
    let mut again = request(&data, &run, &[]);
    (again.resume, again.changes) = (true, Changes::default());
    assert!(stopped_at(&again, 7, steps).unwrap(), "within the unfrozen epoch, or before");
    assert!(!train(&again, &mut Watch::new(&mut Silent, &GO)).unwrap().stopped);
    assert_same_run(&whole, &run);
}

#[test]
fn labels_can_be_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (labelled(dir.path(), 120), dir.path().join("run"));
    let settings =
        ["image_size=96", "frozen_epochs=12", "frozen_views=1", "batch_size=8", "frozen_lr=0.003", "hidden=32"];
    trained(&data, &run, &settings);
    let outcome = tested(&run, &data, &dir.path().join("out"), false).unwrap();
    assert_eq!(outcome.split, Split::Test);
    assert!(outcome.auc.unwrap() > 0.65, "{:?}", outcome.labels);

    // What the look of the films tells of each label, and what changes of the films do to it, of films of which it is known.
    let mut request = TestRequest::new(&run, &data);
    (request.stress, request.pictures) = (true, false);
    let outcome = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(outcome.shortcut.is_none() && outcome.label_shortcuts.len() == 3, "{:?}", outcome.label_shortcuts);
    assert!(outcome.labels.iter().any(|label| label.unknown > 0), "{:?}", outcome.labels);
    for (index, (label, look)) in outcome.labels.iter().zip(&outcome.label_shortcuts).enumerate() {
        let known = label.positives + label.negatives;
        assert_eq!((&look.label, look.films as u64, look.positives as u64), (&label.name, known, label.positives));
        assert_eq!(look.too_few, label.positives.min(label.negatives) < 10 || look.shortcut.is_none());
        let found = look.shortcut.as_ref().unwrap();
        assert_eq!(found.strata.iter().map(|stratum| stratum.films as u64).sum::<u64>(), known);
        assert!(found.alone.value.is_some() && found.alone.interval.is_some(), "{found:?}");
        for change in &outcome.stress {
            let of = &change.labels[index];
            assert_eq!((&of.label, of.films as u64, of.positives as u64), (&label.name, known, label.positives));
            let before = of.auc.value.unwrap() - of.difference.value.unwrap();
            assert!((before - label.auc.unwrap()).abs() < 1e-9 && change.auc.value.is_none(), "{of:?}");
        }
    }
    let written = report(&ReportRequest::new(&run)).unwrap();
    assert!(written.missing.iter().all(|missing| missing.part != "shortcut" && missing.part != "stress"));
    let page = fs::read_to_string(written.page).unwrap();
    let look = outcome.label_shortcuts[1].shortcut.as_ref().unwrap();
    let [low, high] = look.alone.interval.unwrap();
    let alone = format!("{:.3} ({low:.3} to {high:.3})", look.alone.value.unwrap());
    assert!(
        page.contains("The test, label by label, with image statistics allowed for") && page.contains(&alone),
        "{alone}"
    );
    assert!(page.contains("gamma 0.7: what it does to each label"));
}

#[test]
fn what_nobody_knows_is_no_no() {
    let dir = tempfile::tempdir().unwrap();
    let data = labelled(dir.path(), 40);
    let settings = ["image_size=64", "hidden=16", "batch_size=8", "frozen_epochs=2", "frozen_views=1", "epochs=0"];
    // A label of which nothing is known anywhere cannot be learnt.
    let table = fs::read_to_string(data.join("labels.csv")).unwrap();
    let with = |extra: &dyn Fn(&str) -> &'static str| {
        table.lines().map(|line| format!("{line},{}\n", extra(line))).collect::<String>()
    };
    fs::write(data.join("labels.csv"), with(&|line| if line.starts_with("path") { "FOURTH" } else { "" })).unwrap();
    let error = train(&request(&data, &dir.path().join("no"), &settings), &mut Watch::new(&mut Silent, &GO));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the label FOURTH has no film to train on in"), "{error}");

    // What is not said is no 0: a table that leaves half of them out teaches otherwise; its line ends teach nothing.
    fs::write(data.join("labels.csv"), &table).unwrap();
    let first = trained(&data, &dir.path().join("a"), &settings).run;
    fs::write(data.join("labels.csv"), table.replace('\n', "\r\n")).unwrap();
    let same = trained(&data, &dir.path().join("b"), &settings).run;
    assert!(last_bits(&first) == last_bits(&same));
    let forget = |(number, line): (usize, &str)| match line.strip_suffix(",0") {
        Some(rest) if number % 2 == 0 => format!("{rest},\n"),
        _ => format!("{line}\n"),
    };
    fs::write(data.join("labels.csv"), table.lines().enumerate().map(forget).collect::<String>()).unwrap();
    let other = trained(&data, &dir.path().join("c"), &settings).run;
    assert!(last_bits(&first) != last_bits(&other));
}
