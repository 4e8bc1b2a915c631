//! What a model knows of the films that taught it and those it came from, and what a person is told of it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use lungfish::{
    CaveatKind, Changes, EpochChoice, Error, Event, Silent, Split, TestOutcome, TestRequest, TrainOutcome, Watch, test,
    train,
};

const QUICK: [&str; 4] = ["image_size=64", "frozen_epochs=2", "batch_size=8", "frozen_lr=0.003"];

fn settings<'a>(more: &[&'a str]) -> Vec<&'a str> {
    QUICK.iter().copied().chain(more.iter().copied()).collect()
}

/// 80 synthetic films without splits, so that each run carves its own.
fn flat(root: &Path) -> PathBuf {
    let data = synthetic(root, 80);
    let flat = root.join("flat");
    for split in ["train", "val", "test"] {
        copy(&data.join(split), &flat);
    }
    flat
}

/// Names of the films of a split of a run.
fn names(run: &Path, split: &str) -> HashSet<String> {
    let table = fs::read_to_string(run.join("split.csv")).unwrap();
    let of = |line: &&str| line.contains(&format!(",{split},"));
    table.lines().filter(of).map(|line| line.split(',').next().unwrap().to_owned()).collect()
}

fn scored(model: &Path, data: &Path, out: &Path) -> Result<TestOutcome, Error> {
    scored_as(model, data, out, (None, EpochChoice::Best))
}

fn scored_as(
    model: &Path,
    data: &Path,
    out: &Path,
    (split, epoch): (Option<Split>, EpochChoice),
) -> Result<TestOutcome, Error> {
    let mut request = TestRequest::new(model, data);
    request.epoch = epoch;
    request.split = split;
    request.out = Some(out.to_owned());
    request.pictures = false;
    test(&request, &mut Watch::new(&mut Silent, &GO))
}

fn went_on(parent: &Path, out: &Path, settings: &[&str]) -> Result<TrainOutcome, Error> {
    let mut changes = Changes::default();
    settings.iter().for_each(|setting| changes.set(setting).unwrap());
    let mut request = request(parent, out, &[]);
    (request.data, request.from, request.changes) = (None, Some(parent.to_owned()), changes);
    train(&request, &mut Watch::new(&mut Silent, &GO))
}

#[test]
fn no_film_of_a_parents_training_tests_its_child() {
    let dir = tempfile::tempdir().unwrap();
    let data = flat(dir.path());
    let [parent, child, out] = ["parent", "child", "out"].map(|name| dir.path().join(name));
    trained(&data, &parent, &settings(&[]));
    let weights = format!("weights={}", parent.join("best.safetensors").display());
    // Another seed carves other splits: without the lineage most of them would be the parent's training films.
    trained(&data, &child, &settings(&["seed=7", &weights]));
    let known = &names(&parent, "train") | &names(&parent, "val");
    assert!(names(&child, "test").is_disjoint(&known), "the parent learnt from films of its child's test");
    assert!(names(&child, "val").is_disjoint(&names(&parent, "train")));
    assert!(!names(&child, "test").is_empty() && !names(&child, "val").is_empty());
    // What the parent refuses, its child refuses: here a film that is not on any split of the child.
    let one = dir.path().join("one");
    for name in known.iter().filter(|name| !names(&child, "test").contains(*name)).take(4) {
        let to = one.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(data.join(name), to).unwrap();
    }
    for model in [&parent, &child] {
        let error = scored(&model.join("best.safetensors"), &one, &out).unwrap_err().to_string();
        assert!(error.contains("trained on"), "{error}");
    }
    // Nor is a checkpoint a way round.
    let weights = format!("weights={}", parent.join("last.safetensors").display());
    let other = dir.path().join("other");
    trained(&data, &other, &settings(&["seed=8", &weights]));
    assert!(names(&other, "test").is_disjoint(&known));
}

#[test]
fn a_film_saved_anew_is_still_the_film_that_trained_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let data = flat(dir.path());
    let run = dir.path().join("run");
    trained(&data, &run, &settings(&[]));
    // The same pixels as a BMP: another file, another name.
    let anew = dir.path().join("anew");
    for (number, name) in names(&run, "train").iter().enumerate() {
        let image = lungfish_data::decode_file(&data.join(name), lungfish_data::Channels::Gray).unwrap();
        let to = anew.join(Path::new(name).parent().unwrap()).join(format!("scan{number}.bmp"));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bmp(&image)).unwrap();
    }
    let error = scored(&run.join("best.safetensors"), &anew, &dir.path().join("out")).unwrap_err().to_string();
    assert!(error.contains("the model was trained on"), "{error}");
}

/// A gray BMP of 8 bits.
fn bmp(image: &lungfish_data::Image) -> Vec<u8> {
    let row = image.width.next_multiple_of(4);
    let (palette, pixels) = (54_u32, 54 + 1024_u32);
    let mut bytes = b"BM".to_vec();
    let (width, height) = (image.width as u32, image.height as u32);
    for word in [pixels + row as u32 * height, 0, pixels, 40, width, height, 1 | 8 << 16, 0, 0, 0, 0, 256, 0] {
        bytes.extend(word.to_le_bytes());
    }
    assert_eq!(bytes.len(), palette as usize);
    bytes.extend((0..=255_u8).flat_map(|gray| [gray, gray, gray, 0]));
    for line in image.pixels.chunks(image.width).rev() {
        bytes.extend(line);
        bytes.resize(bytes.len() + row - image.width, 0);
    }
    bytes
}

#[test]
fn a_run_goes_on_from_another_with_its_split() {
    let dir = tempfile::tempdir().unwrap();
    let data = flat(dir.path());
    let [parent, child] = ["parent", "child"].map(|name| dir.path().join(name));
    trained(&data, &parent, &settings(&["flip=0.25", "seed=5"]));
    let outcome = went_on(&parent, &child, &["epochs=1", "lr=1e-5", "unfreeze=top"]).unwrap();
    assert!(outcome.model.is_some());
    let table = |run: &Path| fs::read_to_string(run.join("split.csv")).unwrap();
    assert_eq!(table(&parent), table(&child));
    let recipe = fs::read_to_string(child.join("recipe.toml")).unwrap();
    for line in
        ["augment.flip = 0.25", "seed = 5", "image_size = 64", "frozen_epochs = 0", "epochs = 1", "unfreeze = \"top\""]
    {
        assert!(recipe.contains(&format!("\n{line}\n")), "{line} in {recipe}");
    }
    // It begins where the parent's best epoch was.
    let log = log_without_times(&child);
    let best = went_on_metrics(&parent);
    // But for the rounding of what is folded into the last bias and taken out again.
    assert!(
        log[0]["epoch"] == 0 && (log[0]["val_loss"].as_f64().unwrap() - best).abs() < 1e-6,
        "{} and {best}",
        log[0]
    );
    // What it says on the parent's test films is honest, and it says whom it comes from.
    let tested = scored(&child, &data, &dir.path().join("out")).unwrap();
    assert_eq!(tested.films, names(&parent, "test").len());
    let predictor = lungfish::Predictor::open(&child).unwrap();
    assert_eq!(predictor.info().ancestors.len(), 1);
    assert!(predictor.info().ancestors[0].known);

    let says = |parent: &Path, settings: &[&str]| {
        went_on(parent, &dir.path().join("never"), settings).unwrap_err().to_string()
    };
    assert!(says(&parent, &[]).contains("--epochs N"), "{}", says(&parent, &[]));
    assert!(says(&parent, &["epochs=1", "limit=9"]).contains("limit is 0 there and 9 was asked for"));
    assert!(says(&parent, &["epochs=1", "weights=none"]).contains("leave out weights"));
    assert!(says(&data, &["epochs=1"]).contains("no run folder to go on from"));
    let moved = dir.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    assert!(says(&parent, &["epochs=1"]).contains("name the folder where they are with --data"));
    assert!(!dir.path().join("never").exists());
}

/// The validation loss of a run's best epoch.
fn went_on_metrics(run: &Path) -> f64 {
    lungfish::Predictor::open(run).unwrap().info().epoch.as_ref().unwrap().val_loss
}

#[test]
fn whole_patients_are_claimed_only_where_there_are_patients() {
    let dir = tempfile::tempdir().unwrap();
    let data = flat(dir.path());
    let told = |name: &str, more: &[&str]| {
        let mut texts = Vec::new();
        let run = dir.path().join(name);
        let mut observer = |event: &Event| match event {
            Event::Note(text) | Event::Warning(text) => texts.push(text.clone()),
            _ => {}
        };
        train(&request(&data, &run, &settings(more)), &mut Watch::new(&mut observer, &GO)).unwrap();
        texts.join("\n")
    };
    let known = told("known", &[]);
    assert!(known.contains("50 patients, told by file names as Kermany's"), "{known}");
    assert!(known.contains("of train, whole patients, became the test split"), "{known}");
    let unknown = told("unknown", &["patient=^(MRN[0-9]+)_"]);
    assert!(unknown.contains("nothing tells the patients of the 80 films"), "{unknown}");
    assert!(unknown.contains("of train became the test split") && !unknown.contains("whole patients"), "{unknown}");
    // The caveat travels with the model to every number.
    let [known, unknown] = ["known", "unknown"].map(|name| {
        let tested = scored(&dir.path().join(name), &data, &dir.path().join("out")).unwrap();
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.path().join("out/metrics-test.json")).unwrap()).unwrap();
        assert_eq!(json.as_object_mut().unwrap().remove("schema"), Some("lungfish.test.1".into()));
        assert_eq!(json, serde_json::to_value(&tested).unwrap());
        // What so small a head makes of augmented films is no question here.
        let kinds = tested.caveats.iter().map(|caveat| caveat.kind);
        kinds.filter(|kind| *kind != CaveatKind::Acquisition).collect::<Vec<_>>()
    });
    assert_eq!(known, [CaveatKind::Synthetic]);
    // The run beside it has looked at test films of the same data set.
    assert_eq!(unknown, [CaveatKind::NoPatients, CaveatKind::Synthetic, CaveatKind::Reopened]);
}

#[test]
fn the_last_epoch_can_be_tested() {
    let dir = tempfile::tempdir().unwrap();
    let data = flat(dir.path());
    let (run, out) = (dir.path().join("run"), dir.path().join("out"));
    trained(&data, &run, &settings(&["frozen_epochs=5", "frozen_lr=0.02"]));
    let last = scored_as(&run, &data, &out, (None, EpochChoice::Last)).unwrap();
    assert_eq!(last.epoch.as_ref().unwrap().epoch, 5);
    assert!(out.join("predictions-test-last.csv").exists() && out.join("metrics-test-last.json").exists());
    let best = scored(&run, &data, &out).unwrap();
    assert_eq!(best.epoch.as_ref().unwrap().epoch == 5, best.loss == last.loss);
    let alone = scored_as(&run.join("best.safetensors"), &data, &out, (None, EpochChoice::Last)).unwrap_err();
    assert!(alone.to_string().contains("is no run folder"), "{alone}");
}

#[test]
fn run_files_that_lie_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let data = flat(dir.path());
    let run = dir.path().join("run");
    let asked = request(&data, &run, &settings(&["frozen_epochs=4"]));
    let steps = |event: &Event| matches!(event, Event::EpochDone { .. });
    assert!(stopped_at(&asked, 2, steps).unwrap());
    let resume = |run: &Path| {
        let mut request = resuming(&data, run);
        request.data = None;
        train(&request, &mut Watch::new(&mut Silent, &GO)).map(|outcome| outcome.stopped)
    };
    let refused = |file: &str, change: &dyn Fn(&Path), words: &[&str]| {
        let damaged = dir.path().join("damaged");
        copy(&run, &damaged);
        change(&damaged.join(file));
        let error = resume(&damaged).expect_err(file).to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{file}: {error}"));
        fs::remove_dir_all(&damaged).unwrap();
    };
    let write = |text: &'static str| move |path: &Path| fs::write(path, text).unwrap();
    // An empty recipe is every default.
    refused("recipe.toml", &write(""), &["recipe.toml is not the recipe", "image_size is 224 there and was 64"]);
    // A split file that ends early ends at a line.
    let cut = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(path, lines[..lines.len() - 5].join("\n") + "\n").unwrap();
    };
    refused("split.csv", &cut, &["split.csv", "is not as the run wrote it"]);
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        // The sign and exponent of a weight, in the middle of the file.
        let at = bytes.len() / 2 / 4 * 4 + 3;
        bytes[at] ^= 0x40;
        fs::write(path, bytes).unwrap();
    };
    refused("last.safetensors", &flip, &["last.safetensors", "damaged"]);
    for (key, value) in [("\"epoch\":3", "\"epoch\":9223372036854775808"), ("\"epoch\":3", "\"epoch\":99")] {
        let jump = |path: &Path| {
            let mut file = lungfish_models::ModelFile::read(path).unwrap();
            let state = file.metadata.get_mut("state").unwrap();
            assert!(state.contains(key), "{state}");
            *state = state.replacen(key, value, 1);
            file.metadata.remove("digest");
            fs::write(path, file.to_bytes().unwrap()).unwrap();
        };
        refused("last.safetensors", &jump, &["last.safetensors is damaged", "it stands at epoch"]);
    }
    let lose = |path: &Path| {
        let mut file = lungfish_models::ModelFile::read(path).unwrap();
        file.tensors.remove("optimizer/m").unwrap();
        fs::write(path, file.to_bytes().unwrap()).unwrap();
    };
    refused("last.safetensors", &lose, &["last.safetensors is not a checkpoint", "it lacks optimizer/m"]);
    // A test believes no split file that was cut, either.
    assert!(!resume(&run).unwrap());
    cut(&run.join("split.csv"));
    let error = scored(&run, &data, &dir.path().join("out")).unwrap_err().to_string();
    assert!(error.contains("is not as the run wrote it"), "{error}");
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_knows_its_films() {
    let dir = tempfile::tempdir().unwrap();
    let data = flat(dir.path());
    let run = dir.path().join("run");
    let asked = request(&data, &run, &settings(&[]));
    let checking = |event: &Event| matches!(event, Event::Progress { .. });
    assert!(stopped_at(&asked, 1, checking).unwrap());
    let mut request = asked;
    (request.data, request.resume, request.changes) = (None, true, Changes::default());
    if !run.join("last.safetensors").exists() {
        assert!(run.join("start.json").exists());
    }
    let outcome = train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(outcome.model.is_some() && !run.join("start.json").exists());
}
