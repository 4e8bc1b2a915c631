//! Films that may have any of several labels, from drawing them to predicting one.

use std::fs;

use crate::common::*;
use serde_json::Value;

#[test]
fn films_with_labels_go_the_whole_way() {
    let dir = temporary();
    let (films, run) = (dir.path().join("films"), dir.path().join("run"));
    let said = done(&["synth", "--out", arg(&films), "--films", "60", "--seed", "3", "--task", "any-of"]);
    assert!(said.starts_with("Drew 60 films in "), "{said}");

    let said = done(&["explore", arg(&films)]);
    assert!(said.contains("\nlabel ") && said.contains("\nLabels "), "{said}");
    assert!(said.contains("CONSOLIDATION ") && said.contains(" without, ") && !said.contains("Balance"), "{said}");
    let json: Value = serde_json::from_str(&done(&["explore", arg(&films), "--json"])).unwrap();
    let label = &json["classes"][1];
    assert_eq!((&json["task"], &label["name"]), (&"any-of".into(), &"INFILTRATES".into()));
    let count = |key: &str| label[key].as_u64().unwrap();
    assert_eq!(count("films") + count("without") + count("unknown"), 60);

    let output = train(&films, &run, &["--epochs", "1", "--unfreeze", "top"]).output().unwrap();
    assert!(output.status.success(), "{}", crate::common::said(&output));
    assert!(text(&output.stdout).contains("    Labels: CONSOLIDATION "), "{}", crate::common::said(&output));

    let json: Value =
        serde_json::from_str(&done(&["test", "--model", arg(&run), "--data", arg(&films), "--json"])).unwrap();
    assert_eq!((&json["task"], json["labels"].as_array().unwrap().len()), (&"any-of".into(), 3));
    let said = done(&["test", "--model", arg(&run), "--data", arg(&films)]);
    let mean = json["auc"].as_f64().unwrap();
    assert!(said.contains(&format!(" mean AUC: {mean:.4}\n")), "{said}");
    for label in json["labels"].as_array().unwrap() {
        let counts = format!("({}/{})", label["true_positives"], label["positives"]);
        let line = said.lines().find(|line| line.starts_with(label["name"].as_str().unwrap())).unwrap();
        assert!(line.contains(&counts), "{line}");
    }
    // The look of the films, and changes of them, label by label.
    let looks = json["label_shortcuts"].as_array().unwrap();
    assert_eq!((looks.len(), &looks[1]["label"]), (3, &"INFILTRATES".into()));
    let said = done(&["test", "--model", arg(&run), "--data", arg(&films), "--stress"]);
    let (_, rest) = said.split_once("How much is the look of the films").unwrap();
    let of_look = rest.lines().find(|line| line.starts_with("INFILTRATES ")).unwrap();
    assert!(of_look.ends_with("  too few"), "nine films: {of_look}");
    let (_, rest) = rest.split_once("\ngamma 0.7 ").unwrap();
    assert!(rest.lines().nth(2).unwrap().starts_with("    INFILTRATES "), "{rest}");
    assert!(run.join("roc-test.png").is_file() && !run.join("confusion-matrix-test.png").exists());

    let film = split(&films, "test").remove(0);
    let line: Value = serde_json::from_str(&done(&["predict", "--model", arg(&run), "--json", arg(&film)])).unwrap();
    let probabilities = line["probabilities"].as_object().unwrap();
    let called = probabilities.iter().filter(|(_, p)| p.as_f64().unwrap() >= 0.5).map(|(name, _)| name.as_str());
    let mut called: Vec<&str> = called.collect();
    let mut labels: Vec<&str> = line["labels"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    called.sort_unstable();
    labels.sort_unstable();
    assert!(line.get("class").is_none() && probabilities.len() == 3);
    assert_eq!(labels, called);
    let picture = dir.path().join("film.png");
    done(&["predict", "--model", arg(&run), arg(&film), "--plot", arg(&picture)]);
    assert!(fs::metadata(&picture).unwrap().len() > 0);

    // A table that does not fit its films is one sentence.
    let table = films.join("labels.csv");
    let text = fs::read_to_string(&table).unwrap().replacen(",1", ",maybe", 1);
    fs::write(&table, text).unwrap();
    let output = train(&films, &dir.path().join("other"), &[]).output().unwrap();
    refused(&output, &["labels.csv, line ", " is maybe: a label is 1, 0 or empty where it is unknown"]);
}
