//! Models of networks that another program trained: what they say against torchvision (golden/models/imported.py), what they say of
//! themselves, and what cannot be one.

#[path = "../../models/tests/golden/formula.rs"]
#[allow(dead_code, reason = "the networks' own tests use the rest of it")]
mod formula;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::common::*;
use lungfish::{
    Architecture, CaveatKind, Changes, Channels, Descent, Error, Event, Image, ImportOutcome, ImportRequest, Predictor,
    Silent, Task, TestRequest, Watch, ensemble, import, test,
};
use lungfish_models::{HeadConfig, ModelFile, Network, Tensor, Tensors};
use serde_json::Value;

/// As for the networks themselves; a film's way to the network adds none.
const TOLERANCE: f64 = 1e-4;

/// torchvision's resnet18 by the formula, with linear layers of outputs and inputs, in a file of safetensors.
fn state_dict(path: &Path, head: &[(&str, usize, usize)], channels: usize, classes: Option<&str>) -> Tensors {
    let network = Network::new(Architecture::Resnet18, 2, &HeadConfig::default()).unwrap();
    let specs = network.graph.params().iter().chain(network.graph.buffers()).filter(|spec| spec.part != network.head);
    let mut shapes: Vec<(String, Vec<usize>)> = specs.map(|spec| (spec.name.clone(), spec.shape.clone())).collect();
    shapes[0].1[1] = channels;
    for &(name, outputs, inputs) in head {
        shapes.push((format!("{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("{name}.bias"), vec![outputs]));
    }
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let factor = if shape.len() == 2 { 16.0 } else { 1.0 };
        let data = formula::tensor(&name, &shape, (1.0, 1.5, ".bn2")).into_iter().map(|v| v * factor).collect();
        (name, Tensor { shape, data })
    };
    let mut file = ModelFile { tensors: shapes.into_iter().map(tensor).collect(), ..ModelFile::default() };
    file.metadata.extend(classes.map(|json| ("class_to_idx".to_owned(), json.to_owned())));
    fs::write(path, file.to_bytes().unwrap()).unwrap();
    file.tensors
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|&name| name.to_owned()).collect())
}

fn settings(settings: &[&str]) -> Changes {
    let mut changes = Changes::default();
    settings.iter().for_each(|setting| changes.set(setting).unwrap());
    changes
}

/// What an import comes to, and what it says on the way.
fn told(request: &ImportRequest) -> (Result<ImportOutcome, Error>, Vec<String>) {
    let mut said = Vec::new();
    let mut observer = |event: &Event| match event {
        Event::Note(text) | Event::Warning(text) => said.push(text.clone()),
        _ => {}
    };
    let outcome = import(request, &mut Watch::new(&mut observer, &GO));
    (outcome, said)
}

fn imported(request: &ImportRequest) -> ImportOutcome {
    told(request).0.unwrap()
}

fn refusal(request: &ImportRequest) -> String {
    told(request).0.unwrap_err().to_string()
}

/// A file with torchvision's head of two outputs and a model of it, made once; nobody changes them.
static MADE: LazyLock<(tempfile::TempDir, PathBuf, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let (weights, out) = (dir.path().join("plain.safetensors"), dir.path().join("model.safetensors"));
    state_dict(&weights, &[("fc", 2, 512)], 3, None);
    let mut request = ImportRequest::new(&weights, &out);
    request.classes = names(&["NORMAL", "PNEUMONIA"]);
    imported(&request);
    (dir, weights, out)
});

/// The script's film of 300 by 260 pixels.
fn film(channels: Channels) -> Image {
    let (side, width, height) = (320, 300, 260);
    let values = formula::pixels("film", 1, side);
    let byte = |channel: usize, y: usize, x: usize| {
        ((f64::from(values[(channel * side + y) * side + x]) + 2.0) * 63.75).floor() as u8
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let pixels = places.flat_map(|(y, x)| (0..channels.count()).map(move |channel| byte(channel, y, x))).collect();
    Image { width, height, channels, pixels }
}

#[test]
fn a_film_is_called_as_torchvision_calls_it() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/imported.json");
    let golden: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    let (dir, weights, usual) = &*MADE;
    let squashed = dir.path().join("squashed.safetensors");
    let mut request = ImportRequest::new(weights, &squashed);
    request.classes = names(&["NORMAL", "PNEUMONIA"]);
    request.changes = settings(&["fit=squash", "image_size=128"]);
    (request.mean, request.std) = (Some([0.5; 3]), Some([0.5; 3]));
    imported(&request);
    for (model, channels, name) in
        [(usual, Channels::Gray, "gray"), (usual, Channels::Rgb, "rgb"), (&squashed, Channels::Rgb, "squashed")]
    {
        let said = Predictor::open(model).unwrap().predict_pixels(film(channels)).unwrap();
        for ((class, ours), theirs) in said.probabilities.iter().zip(golden["films"][name].as_array().unwrap()) {
            let off = (ours - theirs.as_f64().unwrap()).abs();
            assert!(off < TOLERANCE, "{name} {class}: {ours} for {theirs}");
        }
    }
}

#[test]
fn a_model_says_where_it_came_from_and_that_nobody_knows_its_films() {
    let (dir, weights, out) = &*MADE;
    let predictor = Predictor::open(out).unwrap();
    let info = predictor.info();
    let imported = info.imported.as_ref().unwrap();
    let bytes = fs::read(weights).unwrap();
    assert_eq!(
        (imported.file.as_str(), &imported.hash),
        ("plain.safetensors", &lungfish_data::ContentHash::of(&bytes).to_string())
    );
    assert_eq!((info.ancestors.len(), info.ancestors[0].how, info.ancestors[0].known), (1, Descent::Import, false));
    assert_eq!((&info.epoch, info.head.hidden, info.for_equal_classes()), (&None, 4, false));
    assert_eq!((predictor.precision().as_str(), info.recipe.precision), ("fp32", lungfish::PrecisionRule::Fp32));
    assert_eq!((info.preprocess.channels, info.preprocess.mean[0]), (Channels::Rgb, 0.485));
    let films = synthetic(dir.path(), 40);
    let mut request = TestRequest::new(out, &films);
    request.out = Some(dir.path().join("tested"));
    let tested = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let caveat = tested.caveats.iter().find(|caveat| caveat.kind == CaveatKind::UnknownAncestor).unwrap();
    assert!(
        caveat
            .text
            .starts_with("nobody knows which films trained this model, which was imported from plain.safetensors")
    );
    assert!(tested.epoch.is_none() && !tested.equal_prior && !tested.pictures.is_empty());
    let written = fs::read_to_string(dir.path().join("tested/metrics-test.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert!(written.get("epoch").is_none() && written["caveats"].to_string().contains("imported from"), "{written}");
    // What starts from it inherits that.
    let run = dir.path().join("run");
    let start = format!("weights={}", out.display());
    let quick = [
        "image_size=32",
        "frozen_epochs=1",
        "frozen_views=1",
        "val_views=0",
        "best=accuracy",
        "hidden=4",
        "prior=none",
    ];
    let quick = [&quick[..], &["architecture=resnet18", &start]].concat();
    trained(&films, &run, &quick);
    let child = Predictor::open(&run).unwrap();
    let ancestors: Vec<(Descent, bool)> = child.info().ancestors.iter().map(|a| (a.how, a.known)).collect();
    assert_eq!(ancestors, [(Descent::Import, false), (Descent::Weights, false)]);
    assert!(child.info().caveats.iter().any(|caveat| caveat.kind == CaveatKind::UnknownAncestor));
}

#[test]
fn imported_models_make_an_ensemble() {
    let (dir, _, out) = &*MADE;
    let [weights, other, both] = ["w", "o", "b"].map(|name| dir.path().join(format!("{name}.safetensors")));
    state_dict(&weights, &[("fc.fc1", 16, 512), ("fc.fc2", 2, 16)], 3, Some(r#"{"NORMAL":0,"PNEUMONIA":1}"#));
    // The classes are the file's.
    let outcome = imported(&ImportRequest::new(&weights, &other));
    assert_eq!(outcome.info.classes, ["NORMAL", "PNEUMONIA"]);
    assert!(
        outcome.head.starts_with("two linear layers, fc.fc1 and fc.fc2, taken to have a ReLU between"),
        "{}",
        outcome.head
    );
    let together = ensemble(&[out.clone(), other.clone()], &both, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!((&together.info.epoch, together.info.members.len()), (&None, 2));
    let say =
        |model: &Path| Predictor::open(model).unwrap().predict_pixels(film(Channels::Gray)).unwrap().probabilities[1].1;
    assert!((say(&both) - (say(out) + say(&other)) / 2.0).abs() < 1e-6);
}

#[test]
fn one_channel_needs_its_normalisation_and_one_output_is_of_two_classes() {
    let dir = tempfile::tempdir().unwrap();
    let (weights, out) = (dir.path().join("gray.safetensors"), dir.path().join("m.safetensors"));
    state_dict(&weights, &[("fc", 1, 512)], 1, None);
    let mut request = ImportRequest::new(&weights, &out);
    request.classes = names(&["A", "B"]);
    let said = refusal(&request);
    assert!(said.contains("reads one channel: say how that was normalised with one mean and one std"), "{said}");
    (request.mean, request.std) = (Some([0.5; 3]), Some([0.25; 3]));
    request.changes = settings(&["channels=rgb"]);
    assert!(refusal(&request).ends_with("reads one channel: channels must be gray"));
    request.changes = Changes::default();
    let (outcome, said) = told(&request);
    let outcome = outcome.unwrap();
    assert!(said.iter().any(|text| text.contains("a third of its weights goes to each of three")), "{said:?}");
    assert!(outcome.head.contains("512 features to 1 outputs; its one output is taken for the logit of B against A"));
    assert_eq!(outcome.info.preprocess.channels, Channels::Gray);
    assert_eq!(outcome.transforms[0], "Grayscale(num_output_channels=1)");
    request.mean = Some([0.5, 0.4, 0.5]);
    assert!(refusal(&request).contains("one mean"));
    // Of labels, one output is one label.
    (request.task, request.classes, request.mean) = (Task::AnyOf, names(&["MASS"]), Some([0.5; 3]));
    request.out = dir.path().join("labels.safetensors");
    let outcome = imported(&request);
    assert!(outcome.head.ends_with("each output is taken for the logit of a label: any may hold"), "{}", outcome.head);
    let model = Predictor::open(&request.out).unwrap().predict_pixels(film(Channels::Gray)).unwrap();
    let one = Predictor::open(&out).unwrap().predict_pixels(film(Channels::Gray)).unwrap();
    assert!((model.probabilities[0].1 - one.probabilities[1].1).abs() < 1e-6, "{model:?} {one:?}");
}

#[test]
fn what_cannot_be_a_model_is_refused_in_one_sentence() {
    let (dir, weights, model) = &*MADE;
    let out = dir.path().join("never.safetensors");
    let with = |change: &dyn Fn(&mut ImportRequest)| {
        let mut request = ImportRequest::new(weights, &out);
        request.classes = names(&["NORMAL", "PNEUMONIA"]);
        change(&mut request);
        let said = refusal(&request);
        assert!(!said.contains('\n') && !out.exists(), "{said}");
        said
    };
    let said = with(&|request| request.classes = None);
    assert!(said.contains("does not say which classes its 2 outputs are"), "{said}");
    let said = with(&|request| request.classes = names(&["A", "B", "C"]));
    assert!(said.ends_with("has 2 outputs and 3 classes are named: A, B, C"), "{said}");
    assert!(with(&|request| request.classes = names(&["A"])).ends_with("has 2 outputs and 1 class is named: A"));
    assert!(with(&|request| request.classes = names(&["A", "A"])).contains("\"A\" is no name, or there twice"));
    assert!(with(&|request| request.changes = settings(&["lr=1"])).starts_with("lr has no part in an import; fit, "));
    assert!(
        with(&|request| request.changes = settings(&["positive=C"])).contains("none of the classes NORMAL, PNEUMONIA")
    );
    assert!(with(&|request| request.std = Some([0.0; 3])).contains("a std above 0"));
    assert!(with(&|request| request.architecture = Some(Architecture::Resnet34)).ends_with("look like resnet18"));
    assert!(with(&|request| request.weights = "none.pth".into()).contains("there is no weights file none.pth"));
    assert!(with(&|request| request.weights.clone_from(model)).ends_with("is of lungfish already: give it as it is"));
    assert!(with(&|request| request.out = "model.pth".into()).contains("model.pth is no name of a model file"));
    // A file that is there stays, unless it is the same.
    let mut request = ImportRequest::new(weights, model);
    request.classes = names(&["NORMAL", "PNEUMONIA"]);
    let before = fs::read(model).unwrap();
    imported(&request);
    request.classes = names(&["PNEUMONIA", "NORMAL"]);
    assert!(refusal(&request).ends_with("is there already: choose another name"));
    assert!(fs::read(model).unwrap() == before);
    let (named, said) = (dir.path().join("named.safetensors"), r#"{"PNEUMONIA":0,"NORMAL":1}"#);
    state_dict(&named, &[("fc", 2, 512)], 3, Some(said));
    let said = with(&|request| request.weights.clone_from(&named));
    assert!(
        said.ends_with("its outputs are PNEUMONIA, NORMAL, in this order, and NORMAL, PNEUMONIA were asked for"),
        "{said}"
    );
    // What is asked to predict without having been imported names the way.
    let said = Predictor::open(weights).unwrap_err().to_string();
    assert!(
        said.ends_with("its metadata has no \"format\"; `lungfish import` makes a model of somebody's weights"),
        "{said}"
    );
}
