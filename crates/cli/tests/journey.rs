//! Train, test, predict: what is printed and what is written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{
    FILMS, RUN, arg, conforms, copy, done, files, jsonl, lungfish, refused, run, said, split, temporary, text, train,
};
use serde_json::Value;

/// The rows of a CSV file that has no cell with a comma or a quote in it.
fn csv(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let text = fs::read_to_string(path).unwrap();
    let mut rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    (rows.next().unwrap(), rows.collect())
}

#[test]
fn a_training_prints_what_the_notebook_prints() {
    let folder = temporary();
    let out = folder.path().join("run");
    let output = train(&FILMS, &out, &["--epochs", "1", "--unfreeze", "top"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    // Two epochs of a few films may or may not hold under augmentation; nothing else may be said.
    let errors = text(&output.stderr);
    assert!(
        errors.lines().all(|line| line.starts_with("warning: on augmented views of its validation films")),
        "{errors}"
    );
    let printed = text(&output.stdout);
    let films = split(&FILMS, "test").len();
    for line in [
        "Dataset train".to_owned(),
        format!("Dataset test\n    Number of datapoints: {films}"),
        format!("    Root location: {}", FILMS.display()),
        "328450 trainable parameters in frozen model".to_owned(),
        "\nEpoch 1/2\ntrain Loss: ".to_owned(),
        "\nEpoch 2/2\ntrain Loss: ".to_owned(),
        "\nval Loss: ".to_owned(),
        " AUC: ".to_owned(),
        " films/s".to_owned(),
        "trainable parameters in unfrozen model".to_owned(),
        "\nEpoch 1/1\ntrain Loss: ".to_owned(),
        "\nTraining complete in ".to_owned(),
        "\nBest val Acc: ".to_owned(),
        format!("\nModel: {}", out.join("best.safetensors").display()),
    ] {
        assert!(printed.contains(&line), "{line:?} is not in\n{printed}");
    }

    let lines = jsonl(&fs::read_to_string(out.join("log.jsonl")).unwrap());
    let epochs: Vec<_> =
        lines.iter().map(|line| (line["phase"].as_str().unwrap(), line["epoch"].as_u64().unwrap())).collect();
    assert_eq!(epochs, [("frozen", 1), ("frozen", 2), ("unfrozen", 0), ("unfrozen", 1)]);
    let keys = [
        "phase",
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "val_auc",
        "robust",
        "lr",
        "seconds",
        "films_per_s",
    ];
    for line in &lines {
        assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        assert!(line["val_loss"].as_f64().unwrap() > 0.0);
        assert_eq!(line["train_loss"].is_null(), line["epoch"] == 0);
    }
    let left: BTreeSet<String> =
        files(&out).iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for file in ["recipe.toml", "split.csv", "log.jsonl", "best.safetensors", "last.safetensors"] {
        assert!(left.contains(file), "{file} is not in {left:?}");
    }
    assert!(!left.iter().any(|file| file.ends_with(".tmp")), "{left:?}");
}

#[test]
fn test_gives_metrics_and_a_line_a_film() {
    let folder = temporary();
    let printed = done(&["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", arg(folder.path()), "--json"]);
    let metrics: Value = serde_json::from_str(&printed).unwrap();
    let keys: Vec<&String> = metrics.as_object().unwrap().keys().collect();
    assert_eq!(
        keys[..10],
        ["schema", "task", "films", "accuracy", "loss", "auc", "positive", "sensitivity", "specificity", "classes"]
    );
    assert_eq!((&metrics["schema"], &metrics["unreadable"]), (&"lungfish.test.1".into(), &serde_json::json!([])));
    conforms(&metrics, "test");
    let test = split(&FILMS, "test");
    assert_eq!(metrics["films"], test.len());
    assert_eq!(metrics["threshold"], 0.5);
    assert_eq!(
        (&metrics["positive"], &metrics["sensitivity"]),
        (&"PNEUMONIA".into(), &metrics["classes"][1]["recall"])
    );
    assert_eq!(metrics["specificity"], metrics["classes"][0]["recall"]);
    let names: Vec<&Value> = metrics["classes"].as_array().unwrap().iter().map(|class| &class["name"]).collect();
    assert_eq!(names, ["NORMAL", "PNEUMONIA"]);
    for class in metrics["classes"].as_array().unwrap() {
        assert_eq!(
            class.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["name", "precision", "recall", "f1", "support"]
        );
        assert_eq!(class["support"], split(&FILMS.join("test"), class["name"].as_str().unwrap()).len());
    }

    // By groups, and with the films changed: for a person, and in the JSON.
    let out = folder.path().join("more");
    let more = ["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", arg(&out), "--no-pictures"];
    let printed = done(&[&more[..], &["--stress", "--groups", "size,folder"]].concat());
    for words in [
        "stress test of ",
        "corners masked, a fifth of each side",
        "called otherwise",
        "below 512 pixels",
        "test/NORMAL",
        "too few",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    let written: Value = serde_json::from_slice(&fs::read(out.join("metrics-test.json")).unwrap()).unwrap();
    conforms(&written, "test");
    assert_eq!((written["stress"].as_array().unwrap().len(), written["groups"].as_array().unwrap().len()), (10, 2));
    assert!(metrics.get("stress").is_none() && metrics.get("groups").is_none(), "neither is there unasked");

    // The file says the same as the metrics.
    let (head, rows) = csv(&folder.path().join("predictions-test.csv"));
    assert_eq!(head.len(), 7);
    assert_eq!(
        (&head[..3], &head[5..]),
        (&["path", "label", "predicted"].map(str::to_owned)[..], &["patient", "split"].map(str::to_owned)[..])
    );
    assert!(head[3].contains("NORMAL") && head[4].contains("PNEUMONIA"), "{head:?}");
    assert_eq!(rows.len(), test.len());
    let cell = |label: &str, predicted: &str| rows.iter().filter(|row| row[1] == label && row[2] == predicted).count();
    let confusion: Vec<Vec<usize>> = ["NORMAL", "PNEUMONIA"]
        .map(|label| ["NORMAL", "PNEUMONIA"].map(|predicted| cell(label, predicted)).to_vec())
        .to_vec();
    assert_eq!(metrics["confusion"], serde_json::json!(confusion));
    let right = confusion[0][0] + confusion[1][1];
    assert!((metrics["accuracy"].as_f64().unwrap() - right as f64 / test.len() as f64).abs() < 1e-12);
    let likelihood = |row: &Vec<String>| row[if row[1] == "NORMAL" { 3 } else { 4 }].parse::<f64>().unwrap().ln();
    let loss = -rows.iter().map(likelihood).sum::<f64>() / rows.len() as f64;
    assert!((metrics["loss"].as_f64().unwrap() - loss).abs() < 1e-4, "{loss} {metrics}");

    let printed = done(&["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", arg(folder.path())]);
    assert!(printed.contains("test Loss: ") && printed.contains("not a diagnosis"), "{printed}");
}

#[test]
fn other_splits_are_scored_only_where_asked() {
    let folder = temporary();
    let out = arg(folder.path());
    let json = |more: &[&str]| -> Value {
        let mut args = vec!["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", out, "--json"];
        args.extend(more);
        serde_json::from_str(&done(&args)).unwrap()
    };
    let (train, val) = (json(&["--split", "train"]), json(&["--split", "val"]));
    assert!(folder.path().join("predictions-train.csv").is_file());
    assert!(folder.path().join("predictions-val.csv").is_file());
    let all = files(&FILMS)
        .iter()
        .filter(|file| file.starts_with(FILMS.join("train")) || file.starts_with(FILMS.join("val")))
        .count();
    assert_eq!(train["films"].as_u64().unwrap() + val["films"].as_u64().unwrap(), all as u64);

    // Films that it was trained on are known by their content, wherever they lie.
    let (moved, model) = (folder.path().join("moved"), folder.path().join("model.safetensors"));
    copy(&FILMS.join("train"), &moved);
    fs::copy(RUN.join("best.safetensors"), &model).unwrap();
    let test = ["test", "--model", arg(&model), "--data", arg(&moved), "--out", out];
    refused(&run(&test), &["the model was trained on", arg(&moved), "split train"]);
    let asked = run(&[&test[..], &["--split", "train"]].concat());
    assert!(asked.status.success(), "{}", said(&asked));
}

#[test]
fn classes_are_known_by_name() {
    let folder = temporary();
    let out = arg(folder.path());
    let other = folder.path().join("other");
    // One class alone can be scored, at its own place; metrics that one class cannot have are null.
    copy(&FILMS.join("test/PNEUMONIA"), &other.join("PNEUMONIA"));
    let test =
        || lungfish(&["test", "--model", arg(&RUN), "--data", arg(&other), "--out", out, "--json"]).output().unwrap();
    let output = test();
    assert!(output.status.success(), "{}", said(&output));
    let metrics: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&metrics["auc"], &metrics["passed_over"]), (&Value::Null, &serde_json::json!([])));
    assert!(
        metrics["undefined"][0].as_str().unwrap().ends_with("since no film of the test split is NORMAL"),
        "{metrics}"
    );
    conforms(&metrics, "test");
    let printed = done(&["test", "--model", arg(&RUN), "--data", arg(&other), "--out", out]);
    let line = printed.lines().find(|line| line.starts_with("Undefined: AUC, ")).unwrap();
    assert!(line.ends_with("since no film of the test split is NORMAL."), "{printed}");
    assert_eq!(metrics["classes"][0]["support"], 0);
    assert_eq!(metrics["classes"][0]["recall"], Value::Null);
    assert_eq!(metrics["classes"][1]["support"], split(&FILMS.join("test"), "PNEUMONIA").len());

    copy(&FILMS.join("test/NORMAL"), &other.join("COVID"));
    refused(&test(), &["COVID", "NORMAL", "PNEUMONIA"]);
}

#[test]
fn predict_gives_a_line_a_film() {
    let films = split(&FILMS, "test");
    let printed = done(&["predict", "--model", arg(&RUN), "--json", arg(&FILMS.join("test"))]);
    let lines = jsonl(&printed);
    let paths: Vec<PathBuf> = lines.iter().map(|line| PathBuf::from(line["path"].as_str().unwrap())).collect();
    assert_eq!(paths, films);
    for line in &lines {
        assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), ["path", "class", "probabilities"]);
        let probabilities = line["probabilities"].as_object().unwrap();
        assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["NORMAL", "PNEUMONIA"]);
        let values: Vec<f64> = probabilities.values().map(|p| p.as_f64().unwrap()).collect();
        assert!((values[0] + values[1] - 1.0).abs() < 1e-6, "{line}");
        assert_eq!(line["class"], if values[1] >= 0.5 { "PNEUMONIA" } else { "NORMAL" });
    }
    // One film alone, through the model file, has the probabilities that it has among others.
    let alone = jsonl(&done(&["predict", "--model", arg(&RUN.join("best.safetensors")), "--json", arg(&films[3])]));
    let pneumonia = |line: &Value| line["probabilities"]["PNEUMONIA"].as_f64().unwrap();
    assert_eq!(alone.len(), 1);
    assert_eq!((&alone[0]["path"], &alone[0]["class"]), (&lines[3]["path"], &lines[3]["class"]));
    assert!((pneumonia(&alone[0]) - pneumonia(&lines[3])).abs() < 1e-6, "{alone:?} {}", lines[3]);

    let printed = done(&["predict", "--model", arg(&RUN), arg(&films[0])]);
    assert!(printed.contains(arg(&films[0])) && printed.contains("PNEUMONIA 0."), "{printed}");
    assert!(printed.contains("not a diagnosis"), "{printed}");
}

#[test]
fn a_test_and_a_prediction_leave_pictures() {
    let folder = temporary();
    let out = folder.path().join("out");
    let test = ["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", arg(&out)];
    let plain = done(&[&test[..], &["--no-pictures"]].concat());
    assert!(!plain.contains("Pictures"), "{plain}");
    let tables = ["metrics-test.json", "predictions-test.csv"].map(|name| out.join(name));
    assert_eq!(files(&out), tables);
    let further = folder.path().join("test.parquet");
    let printed = done(&[&test[..], &["--no-pictures", "--predictions", arg(&further)]].concat());
    assert!(printed.contains(&format!("Each film: {}, {}\n", tables[1].display(), further.display())), "{printed}");
    assert!(fs::read(&further).unwrap().starts_with(b"PAR1"));
    refused(&run(&[&test[..], &["--predictions", arg(&further)]].concat()), &[arg(&further), "is there already"]);
    let printed = done(&test);
    let names = [
        "confusion-matrix-test",
        "decision-curve-test",
        "films-test",
        "learning-curves",
        "precision-recall-test",
        "reliability-test",
        "roc-test",
    ];
    let mut expected = tables.to_vec();
    for name in names.into_iter().chain(["worst-errors-test"]) {
        expected.extend(["png", "svg"].map(|kind| out.join(name).with_extension(kind)));
    }
    if fs::read_to_string(out.join("worst-errors-test.svg")).unwrap().contains("Worst errors") {
        expected.extend(["png", "svg"].map(|kind| out.join("worst-errors-cam-test").with_extension(kind)));
    }
    expected.sort();
    assert_eq!(files(&out), expected);
    assert!(printed.contains("Pictures, PNG and SVG, in ") && printed.contains("worst-errors-test"), "{printed}");
    // No older pictures beside new metrics; learning curves are of the training, which is the same.
    done(&[&test[..], &["--no-pictures"]].concat());
    let curves = ["png", "svg"].map(|kind| out.join("learning-curves").with_extension(kind));
    assert_eq!(files(&out), [&curves[..], &tables].concat());

    let films = split(&FILMS, "test");
    let (one, many) = (folder.path().join("one.svg"), folder.path().join("many"));
    let printed = done(&["predict", "--model", arg(&RUN), arg(&films[0]), "--plot", arg(&one)]);
    assert!(printed.contains(&format!("Picture: {}", one.display())), "{printed}");
    assert!(fs::read_to_string(&one).unwrap().starts_with("<svg"));
    let maps = folder.path().join("maps");
    let with_maps = ["predict", "--model", arg(&RUN), arg(&films[0]), "--json", "--cam-arrays", arg(&maps)];
    let line: Value = serde_json::from_str(done(&with_maps).lines().next().unwrap()).unwrap();
    assert!(line["evidence"]["supporting"].as_f64().unwrap() >= 0.0, "{line}");
    assert_eq!((files(&maps).len(), &line["evidence"]["of"]), (2, &"PNEUMONIA".into()));
    refused(&run(&with_maps), &[arg(&maps), "is not empty"]);
    // The map of another class, with its name in JSON and picture; of one that there is not.
    let svg = folder.path().join("map.svg");
    let of = ["predict", "--model", arg(&RUN), arg(&films[0]), "--json", "--plot", arg(&svg), "--cam", "--cam-of"];
    let line: Value = serde_json::from_str(done(&[&of[..], &["NORMAL"]].concat()).lines().next().unwrap()).unwrap();
    assert_eq!(line["evidence"]["of"], "NORMAL");
    assert!(fs::read_to_string(&svg).unwrap().contains("speaks for NORMAL and against it"));
    refused(
        &run(&[&of[..], &["NORMA"]].concat()),
        &["the class NORMA (did you mean NORMAL?)", "knows NORMAL, PNEUMONIA"],
    );
    let predict = ["predict", "--model", arg(&RUN), arg(&films[0]), arg(&films[1]), "--json", "--plot"];
    assert_eq!(jsonl(&done(&[&predict[..], &[arg(&many)]].concat())).len(), 2);
    assert_eq!(files(&many).len(), 2);
    // Refused before anything is scored.
    let output = run(&[&predict[..], &[arg(&one)]].concat());
    refused(&output, &[arg(&one), "2 films", "a folder"]);
    assert!(output.stdout.is_empty());
    // No folder of this name is made.
    let other = folder.path().join("film.jpg");
    let output = run(&["predict", "--model", arg(&RUN), arg(&films[0]), "--plot", arg(&other)]);
    refused(&output, &[arg(&other), ".png or .svg"]);
    assert!(!other.exists());
}

/// A folder of films with a text file, an empty file and half a film among them.
fn spoilt(root: &Path) -> Vec<PathBuf> {
    copy(&FILMS, root);
    let film = split(&FILMS, "train")[0].clone();
    let bytes = fs::read(&film).unwrap();
    let folder = root.join("train/NORMAL");
    let half = folder.join("half").with_extension(film.extension().unwrap());
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let (letter, nothing) = (folder.join("letter.png"), folder.join("nothing.jpeg"));
    fs::write(&letter, "Dear colleague, please find the film attached.").unwrap();
    fs::write(&nothing, "").unwrap();
    vec![half, letter, nothing]
}

#[test]
fn bad_films_are_named_and_left_out_or_stop_a_strict_training() {
    let folder = temporary();
    let films = folder.path().join("films");
    let bad = spoilt(&films);
    let output = train(&films, &folder.path().join("run"), &["--frozen-epochs", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let errors = text(&output.stderr);
    for film in &bad {
        assert!(errors.contains(arg(film)), "{} is not in\n{errors}", film.display());
    }
    assert!(errors.contains('3'), "{errors}");
    let table = fs::read_to_string(folder.path().join("run/split.csv")).unwrap();
    assert!(!table.contains("half.") && !table.contains("letter.png"), "{table}");

    let output = train(&films, &folder.path().join("strict"), &["--strict"]).output().unwrap();
    let sentence = refused(&output, &["strict"]);
    // The folder is free for another try.
    assert!(!folder.path().join("strict/recipe.toml").exists());
    assert!(bad.iter().any(|film| sentence.contains(arg(film))), "{sentence}");
}

#[test]
fn predict_scores_what_it_can_and_names_the_rest() {
    let folder = temporary();
    let films = folder.path().join("films");
    let bad = spoilt(&films);
    let normal = films.join("train/NORMAL");
    let output = run(&["predict", "--model", arg(&RUN), "--json", arg(&normal)]);
    refused(&output, &["3 of "]);
    // Each film in its place, the bad ones with what is wrong.
    let lines = jsonl(&text(&output.stdout));
    let paths: Vec<PathBuf> = lines.iter().map(|line| PathBuf::from(line["path"].as_str().unwrap())).collect();
    assert_eq!(paths, files(&normal));
    for (line, path) in lines.iter().zip(&paths) {
        assert_eq!((line["error"].is_string(), line["class"].is_null()), (bad.contains(path), bad.contains(path)));
    }
    let errors = text(&output.stderr);
    for film in &bad {
        assert_eq!(errors.lines().filter(|line| line.contains(arg(film))).count(), 1, "{errors}");
    }

    let output = run(&["predict", "--model", arg(&RUN), "--json", arg(&bad[1])]);
    refused(&output, &["1 of 1 film"]);
    assert_eq!(jsonl(&text(&output.stdout)).len(), 1);
    let absent = folder.path().join("absent.png");
    let output = run(&["predict", "--model", arg(&RUN), arg(&absent)]);
    refused(&output, &["1 of 1 film"]);
    assert!(text(&output.stderr).contains(arg(&absent)), "{}", said(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn odd_names_do_nothing_to_a_terminal_or_a_spreadsheet() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = temporary();
    let films = folder.path().join("NORMAL");
    fs::create_dir(&films).unwrap();
    let film = split(&FILMS, "test")[0].clone();
    let extension = film.extension().unwrap().as_bytes();
    for name in [&b"=cmd(1)."[..], b"a\x1b[31m.", b"caf\xe9."] {
        fs::copy(&film, films.join(OsStr::from_bytes(&[name, extension].concat()))).unwrap();
    }
    for json in [&["--json"][..], &[]] {
        let output = lungfish(&["predict", "--model", arg(&RUN), arg(&films)]).args(json).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let printed = text(&output.stdout);
        assert!(!printed.contains('\x1b') && printed.contains("cmd(1)"), "{printed}");
    }
    let output = run(&["test", "--model", arg(&RUN), "--data", arg(folder.path()), "--out", arg(folder.path())]);
    assert!(output.status.success(), "{}", said(&output));
    let table = fs::read_to_string(folder.path().join("predictions-test.csv")).unwrap();
    assert!(!table.contains('\x1b'), "{table:?}");
    assert!(!table.split([',', '\n']).any(|cell| cell.starts_with('=')), "{table}");
}

#[test]
fn three_classes_train_and_test() {
    let folder = temporary();
    let films = folder.path().join("films");
    for name in ["NORMAL", "PNEUMONIA"] {
        copy(&FILMS.join("train").join(name), &films.join(name));
    }
    // The third class: films of other patients, mirrored in nothing but their folder.
    copy(&FILMS.join("test"), &films.join("THIRD"));
    let out = folder.path().join("run");
    let output = train(&films, &out, &["--frozen-epochs", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let metrics: Value =
        serde_json::from_str(&done(&["test", "--model", arg(&out), "--data", arg(&films), "--json"])).unwrap();
    assert_eq!(metrics["confusion"].as_array().unwrap().len(), 3);
    assert_eq!(metrics["threshold"], Value::Null);
    assert!(metrics["auc"].is_number(), "{metrics}");
}

#[test]
fn a_model_and_a_network_show_what_they_are_made_of() {
    let told: Value = serde_json::from_str(&done(&["summary", "--model", arg(&RUN), "--json"])).unwrap();
    conforms(&told, "summary");
    assert_eq!((&told["architecture"], &told["parameters"]), (&"efficientnet-lite0".into(), &3_699_458.into()));
    assert_eq!((&told["trainable"], &told["frozen"]), (&328_450.into(), &3_371_008.into()), "the head alone trained");
    assert_eq!(told["model"]["class_names"], serde_json::json!(["NORMAL", "PNEUMONIA"]));
    assert_eq!(told["model"]["epoch"]["phase"], "frozen");
    assert!(told["step_bytes"].as_u64().unwrap() > 0 && told["layers"].as_array().unwrap().len() > 150);
    let table = done(&["summary", "--model", arg(&RUN), "--depth", "1"]);
    assert!(table.starts_with(&format!("{}: frozen phase, epoch ", RUN.join("best.safetensors").display())), "{table}");
    assert!(
        table.contains("\nclasses: NORMAL, PNEUMONIA\n") && table.contains("\n├─head ") && !table.contains("_fc.fc1")
    );
    assert!(table.contains("\nTotal params: 3,699,458\nTrainable params: 328,450\nNon-trainable params: 3,371,008\n"));

    let args = ["summary", "--arch", "resnet34", "--classes", "3", "--image-size", "160", "--batch", "2"];
    let told: Value = serde_json::from_str(&done(&[&args[..], &["--unfreeze", "layer4", "--json"]].concat())).unwrap();
    assert_eq!((&told["input"], &told["model"]), (&serde_json::json!([2, 3, 160, 160]), &Value::Null));
    assert_eq!(told["layers"][0]["output"], serde_json::json!([2, 3]));
    refused(&run(&["summary", "--arch", "resnet34", "--unfreeze", "layr4"]), &["layr4", "did you mean layer4?"]);
    refused(&run(&["summary", "--model", "no-such-run"]), &["no-such-run"]);
}
