//! Several networks as one model, from the command line.

use serde_json::Value;

use crate::common::{FILMS, RUN, arg, done, lungfish, refused, said, temporary, train};

#[test]
fn seeds_make_an_ensemble_that_is_tested_and_predicts_as_one() {
    let folder = temporary();
    let out = folder.path().join("three");
    let seeds = ["--seeds", "2", "--frozen-epochs", "1"];
    let output = train(&FILMS, &out, &seeds).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let printed = said(&output);
    for expected in
        ["Network 1 of 2", "Network 2 of 2", "An ensemble of 2 networks", "seed 0, member 1: frozen epoch 1"]
    {
        assert!(printed.contains(expected), "{expected} is not in\n{printed}");
    }
    let tested: Value =
        serde_json::from_str(&done(&["test", "--model", arg(&out), "--data", arg(&FILMS), "--json", "--no-pictures"]))
            .unwrap();
    assert!(tested["films"].as_u64().unwrap() > 5 && tested["equal_prior"] == true, "{tested}");
    let film = crate::common::split(&FILMS, "test").swap_remove(0);
    let line: Value = serde_json::from_str(&done(&["predict", "--model", arg(&out), arg(&film), "--json"])).unwrap();
    assert!(line["spread"]["PNEUMONIA"].as_f64().unwrap() > 0.0, "{line}");

    // What is there is not trained over; what is finished goes on to the same model.
    refused(&train(&FILMS, &out, &seeds).output().unwrap(), &["is not empty", "--resume"]);
    let before = std::fs::read(out.join("best.safetensors")).unwrap();
    std::fs::remove_file(out.join("best.safetensors")).unwrap();
    // One that had not begun is trained by the recipe of the first, which this command does not repeat.
    std::fs::remove_dir_all(out.join("member-1")).unwrap();
    let again = ["train", "--data", arg(&FILMS), "--out", arg(&out), "--seeds", "2", "--resume"];
    let output = lungfish(&again).output().unwrap();
    assert!(output.status.success() && said(&output).contains("finished already"), "{}", said(&output));
    assert!(std::fs::read(out.join("best.safetensors")).unwrap() == before);
    let output = lungfish(&again).output().unwrap();
    assert!(output.status.success(), "all of it is finished: {}", said(&output));
}

#[test]
fn an_ensemble_of_runs_is_one_file_and_needs_two() {
    let folder = temporary();
    let one = folder.path().join("one.safetensors");
    refused(&lungfish(&["ensemble", arg(&RUN), "--out", arg(&one)]).output().unwrap(), &["two models or more"]);
    let twice = lungfish(&["ensemble", arg(&RUN), arg(&RUN), "--out", arg(&one)]).output().unwrap();
    refused(&twice, &["are the same model", "best.safetensors"]);
    assert!(!one.exists());
}
