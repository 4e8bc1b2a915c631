//! Operating points, comparisons and models for other sites, from the command line.

use std::fs;

use serde_json::Value;

use crate::common::{FILMS, RUN, arg, done, refused, run, split, temporary};

#[test]
fn a_test_says_what_the_points_do_and_how_another_model_differs() {
    let folder = temporary();
    let out = folder.path().join("out");
    let usual = ["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", arg(&out), "--no-pictures"];
    let printed = done(&[&usual[..], &["--at", "0.25", "--prevalence", "0.05", "--compare", arg(&RUN)]].concat());
    for expected in [
        "A film is called PNEUMONIA from a probability of 0.25 on.",
        "positive predictive value at a prevalence of 0.05",
        "expected calibration error",
        "Beside ",
        "difference, 95 % interval",
        "Right in this one alone: ",
    ] {
        assert!(printed.contains(expected), "{expected} is not in\n{printed}");
    }
    let json: Value = serde_json::from_slice(&fs::read(out.join("metrics-test.json")).unwrap()).unwrap();
    assert_eq!((&json["at"], &json["threshold"]), (&Value::from("0.25"), &Value::from(0.25)));
    // The other was called at its own point.
    let changed = json["comparison"]["changed"].as_array().unwrap();
    assert!(changed.iter().all(|film| film["this"] == "PNEUMONIA" && film["other"] == "NORMAL"), "{json}");

    refused(&run(&[&usual[..], &["--at", "sensitivity=0.5"]].concat()), &["has no operating point sensitivity=0.5"]);
    let output = run(&[&usual[..], &["--at", "best"]].concat());
    assert_eq!(output.status.code(), Some(2));
    refused(&run(&[&usual[..], &["--prevalence", "5"]].concat()), &["a prevalence of 5"]);
    refused(&run(&[&usual[..], &["--compare", "nowhere"]].concat()), &["there is no run folder or model file nowhere"]);
}

#[test]
fn a_prediction_says_where_it_was_called() {
    let folder = temporary();
    let film = split(&FILMS, "test").swap_remove(0);
    let usual = ["predict", "--model", arg(&RUN), arg(&film)];
    let printed = done(&[&usual[..], &["--at", "0.000001"]].concat());
    assert!(printed.contains("PNEUMONIA") && printed.contains("Films are called at 0.000001."), "{printed}");
    let line: Value = serde_json::from_str(&done(&[&usual[..], &["--at", "0.000001", "--json"]].concat())).unwrap();
    assert_eq!((&line["class"], &line["at"]), (&Value::from("PNEUMONIA"), &Value::from("0.000001")));
    let line: Value = serde_json::from_str(&done(&[&usual[..], &["--json"]].concat())).unwrap();
    assert_eq!(line.get("at"), None);

    // A file that was begun at one point is not gone on with at another.
    let out = folder.path().join("scores.csv");
    done(&[&usual[..], &["--out", arg(&out), "--at", "0.25"]].concat());
    let again = run(&[&usual[..], &["--out", arg(&out), "--resume"]].concat());
    refused(&again, &["has films called at 0.25 and 0.5 is asked for"]);
}

#[test]
fn what_is_computed_in_another_precision_says_so() {
    let folder = temporary();
    let recipe = fs::read_to_string(RUN.join("recipe.toml")).unwrap();
    let [own, other] = if recipe.contains("\nprecision = \"bf16\"\n") { ["bf16", "fp32"] } else { ["fp32", "bf16"] };
    let told = format!("computed in {other}, which did not train the model");
    let out = folder.path().join("out");
    let test = ["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", arg(&out), "--no-pictures"];
    let film = split(&FILMS, "test").swap_remove(0);
    let predict = ["predict", "--model", arg(&RUN), arg(&film)];
    for usual in [&test[..], &predict[..]] {
        let said = |more: &[&str]| done(&[usual, more].concat());
        assert!(said(&["--precision", other]).contains(&told), "{usual:?}");
        let json: Value = serde_json::from_str(&said(&["--precision", other, "--json"])).unwrap();
        assert_eq!(json["precision"], other);
        for rule in [own, "auto"] {
            assert!(!said(&["--precision", rule]).contains("computed in"), "{usual:?}");
            let json: Value = serde_json::from_str(&said(&["--precision", rule, "--json"])).unwrap();
            assert_eq!(json.get("precision"), None);
        }
    }
    assert_eq!(run(&[&predict[..], &["--precision", "fp16"]].concat()).status.code(), Some(2));
    let step = ["bench", "step", "--batch", "1", "--runs", "1", "--mode", "infer", "--json", "--precision"];
    for precision in ["fp32", "bf16"] {
        let json: Value = serde_json::from_str(&done(&[&step[..], &[precision]].concat())).unwrap();
        assert_eq!(json["precision"], precision);
    }
}

#[test]
fn a_model_is_made_for_another_site() {
    let folder = temporary();
    let (site, there) = (folder.path().join("site"), folder.path().join("there.safetensors"));
    done(&["synth", "--out", arg(&site), "--films", "60", "--seed", "11"]);
    let usual = ["calibrate", "--model", arg(&RUN), "--data", arg(&site), "--out", arg(&there)];
    let printed = done(&[&usual[..], &["--method", "intercept", "--points", "youden,specificity=0.5"]].concat());
    for expected in ["patients of site", "logit times 1.000 plus ", "youden", "specificity=0.5", "Model: "] {
        assert!(printed.contains(expected), "{expected} is not in\n{printed}");
    }
    let out = folder.path().join("out");
    let tested = ["test", "--model", arg(&there), "--data", arg(&site), "--out", arg(&out), "--no-pictures"];
    assert!(done(&[&tested[..], &["--at", "specificity=0.5"]].concat()).contains("operating point specificity=0.5"));
    refused(&run(&usual), &["is there already"]);
    let other = folder.path().join("b.safetensors");
    let of_training = ["calibrate", "--model", arg(&RUN), "--data", arg(&FILMS), "--out", arg(&other)];
    refused(&run(&of_training), &["was trained on"]);
}
