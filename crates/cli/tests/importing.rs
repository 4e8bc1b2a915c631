//! A network that another program trained, from the command line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{FILMS, arg, done, refused, run, said, split, temporary, text};
use lungfish_models::{Architecture, ModelFile, Tensor, imagenet};

/// EfficientNet-Lite0 with its published backbone and a head of one linear layer, as somebody's state dict in a file of safetensors.
fn weights(folder: &Path, classes: Option<&str>) -> PathBuf {
    let mut file = ModelFile::default();
    let backbone = imagenet(Architecture::EfficientnetLite0).unwrap();
    file.tensors.extend(backbone.into_iter().map(|(name, tensor)| (format!("model.{name}"), tensor)));
    let data = (0..2 * 1280).map(|i| (i * 7 % 23) as f32 / 230.0 - 0.05).collect();
    file.tensors.insert("model._fc.weight".to_owned(), Tensor { shape: vec![2, 1280], data });
    file.tensors.insert("model._fc.bias".to_owned(), Tensor { shape: vec![2], data: vec![0.25, -0.25] });
    file.metadata.extend(classes.map(|json| ("classes".to_owned(), json.to_owned())));
    let path = folder.join("theirs.safetensors");
    fs::write(&path, file.to_bytes().unwrap()).unwrap();
    path
}

#[test]
fn an_imported_model_predicts_and_is_tested() {
    let folder = temporary();
    let (theirs, model) = (weights(folder.path(), None), folder.path().join("model.safetensors"));
    let output =
        run(&["import", arg(&theirs), "--classes", "NORMAL,PNEUMONIA", "--out", arg(&model), "--set", "image_size=64"]);
    assert!(output.status.success(), "{}", said(&output));
    let printed = text(&output.stdout);
    for expected in [
        "Network: efficientnet-lite0",
        "Head: one linear layer, model._fc; 1280 features to 2 outputs; its outputs are taken for those of a softmax",
        "Classes: NORMAL, PNEUMONIA",
        "    Resize(size=64, interpolation=bilinear, antialias=True)",
        "    CenterCrop(size=(64, 64))",
        "    Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])",
        "nothing is done about how frequent classes are",
        "This is a research tool",
    ] {
        assert!(printed.contains(expected), "{expected} is not in\n{printed}");
    }
    let errors = text(&output.stderr);
    assert!(printed.contains("efficientnet-lite0's backbone lies under model. in"), "{printed}");
    assert!(errors.contains("nobody knows which films trained this model"), "{errors}");

    let film = split(&FILMS, "test").swap_remove(0);
    let line: Value = serde_json::from_str(&done(&["predict", "--model", arg(&model), arg(&film), "--json"])).unwrap();
    let sum: f64 = ["NORMAL", "PNEUMONIA"].iter().map(|class| line["probabilities"][class].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{line}");
    let out = folder.path().join("tested");
    let args = ["test", "--model", arg(&model), "--data", arg(&FILMS), "--out", arg(&out), "--json"];
    let tested: Value = serde_json::from_str(&done(&args)).unwrap();
    crate::common::conforms(&tested, "test");
    assert!(
        tested["caveats"].to_string().contains("imported from theirs.safetensors") && tested.get("epoch").is_none()
    );
    let output = run(&[&args[..7], &["--no-pictures"]].concat());
    assert!(said(&output).contains("nobody knows which films trained this model"), "{}", said(&output));
    let summary: Value = serde_json::from_str(&done(&["summary", "--model", arg(&model), "--json"])).unwrap();
    crate::common::conforms(&summary, "summary");
    assert!(done(&["summary", "--model", arg(&model), "--depth", "1"]).contains("model.safetensors: imported"));
    // It lies in no run folder, and goes on with nothing.
    refused(&run(&args[..5]), &["lies in no run folder"]);
}

#[test]
fn what_is_wrong_is_said_once() {
    let folder = temporary();
    let (theirs, model) = (weights(folder.path(), Some(r#"["A","B"]"#)), folder.path().join("model.safetensors"));
    let import = |more: &[&str]| run(&[&["import", arg(&theirs), "--out", arg(&model)], more].concat());
    let usage: [&[&str]; 7] = [
        &["--mean", "x"],
        &["--std", "1,2"],
        &["--task", "regression"],
        &["--architecture", "vgg16"],
        &["--classes"],
        &["--json"],
        &["more.pth"],
    ];
    for more in usage {
        assert_eq!(import(more).status.code(), Some(2), "{more:?}");
    }
    for args in [&["import"][..], &["import", "w.pth"], &["import", "--out", "m.safetensors"]] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
    refused(&import(&["--classes", "B,A"]), &["says that its outputs are A, B", "B, A were asked for"]);
    refused(&import(&["--classes", "A,B,C"]), &["A, B, C were asked for"]);
    refused(&import(&["--set", "epochs=3"]), &["epochs has no part in an import"]);
    refused(&import(&["--set", "fit=stretch"]), &["fit", "crop, pad or squash"]);
    refused(&import(&["--std", "0"]), &["a std above 0"]);
    refused(&import(&["--mean", "-1", "--std", "-1"]), &["a std above 0"]);
    refused(&import(&["--arch", "resnet34"]), &["resnet34", "look like efficientnet-lite0"]);
    assert!(!model.exists());
    // The classes are those that the file says.
    assert!(done(&["import", arg(&theirs), "--out", arg(&model)]).contains("Classes: A, B"));
    refused(&import(&["--set", "image_size=96"]), &["is there already"]);

    // What is no model, and could be made one, says how.
    let film = split(&FILMS, "test").swap_remove(0);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/checkpoints/plain-zip.pth");
    let predicted = run(&["predict", "--model", arg(&golden), arg(&film)]);
    refused(&predicted, &["plain-zip.pth", "a PyTorch checkpoint and no model of lungfish", "`lungfish import`"]);
    refused(&run(&["predict", "--model", arg(&theirs), arg(&film)]), &["theirs.safetensors", "`lungfish import`"]);
    refused(
        &run(&["import", arg(&golden), "--out", arg(&folder.path().join("m.safetensors"))]),
        &["none of the networks here"],
    );
}
