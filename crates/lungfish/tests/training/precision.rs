//! In which precision trainings compute: what they settle as they begin, write down and keep.

use std::sync::Arc;

use lungfish::{FilmMemory, PrecisionRule, Recipe};
use lungfish_kernels::machine;

use super::*;

const SETTINGS: &[&str] =
    &["image_size=32", "hidden=16", "batch_size=8", "frozen_epochs=2", "val_views=1", "val_fraction=0.2"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [SETTINGS, more].concat()
}

fn state(run: &Path) -> serde_json::Value {
    let file = ModelFile::read(&run.join("last.safetensors")).unwrap();
    serde_json::from_str(&file.metadata["state"]).unwrap()
}

/// What the recipe, the checkpoint and the model of a run say that it computes in, and the kernels that it names.
fn told(run: &Path) -> ([PrecisionRule; 3], String) {
    let of = |text: &str| Recipe::from_toml(text).unwrap().precision;
    let state = state(run);
    let model = ModelFile::read(&run.join("best.safetensors")).unwrap();
    let recipes = [
        of(&fs::read_to_string(run.join("recipe.toml")).unwrap()),
        of(state["recipe"].as_str().unwrap()),
        of(&model.metadata["recipe"]),
    ];
    (recipes, state["instructions"].as_str().unwrap().to_owned())
}

#[test]
fn a_training_settles_its_precision_and_a_resume_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    for (asked, becomes) in
        [("auto", PrecisionRule::Auto.settled()), ("fp32", PrecisionRule::Fp32), ("bf16", PrecisionRule::Bf16)]
    {
        let setting = format!("precision={asked}");
        let (whole, broken) = (dir.path().join(asked), dir.path().join(format!("{asked}-broken")));
        trained(&data, &whole, &with(&[&setting]));
        let path = if becomes == PrecisionRule::Bf16 { machine::bf16_path() } else { machine::path() };
        assert_eq!(told(&whole), ([becomes; 3], path.to_owned()), "{asked}");

        let training = |e: &Event| matches!(e, Event::Progress { task: Activity::Training, .. });
        assert!(stopped_at(&request(&data, &broken, &with(&[&setting])), 2, training).unwrap());
        // The same recipe again is no contradiction, another precision is.
        let other = if becomes == PrecisionRule::Bf16 { "precision=fp32" } else { "precision=bf16" };
        let again = |setting| changed(request(&data, &broken, &with(&[setting])), |request| request.resume = true);
        let refused = train(&again(other), &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
        assert!(refused.contains(&format!("precision is \"{becomes}\" there")), "{refused}");
        train(&again(&setting), &mut Watch::new(&mut Silent, &GO)).unwrap();
        assert_same_run(&whole, &broken);
    }
}

/// A version that knew one precision wrote none down.
#[test]
fn a_run_of_an_older_version_goes_on_in_fp32() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let (whole, older) = (dir.path().join("whole"), dir.path().join("older"));
    trained(&data, &whole, &with(&["precision=fp32"]));
    let training = |e: &Event| matches!(e, Event::Progress { task: Activity::Training, .. });
    assert!(stopped_at(&request(&data, &older, &with(&["precision=fp32"])), 2, training).unwrap());
    let without = |text: &str| text.replace("\nprecision = \"fp32\"\n", "\n");
    let recipe = fs::read_to_string(older.join("recipe.toml")).unwrap();
    assert_ne!(without(&recipe), recipe);
    fs::write(older.join("recipe.toml"), without(&recipe)).unwrap();
    let last = older.join("last.safetensors");
    let mut file = ModelFile::read(&last).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&file.metadata["state"]).unwrap();
    state["recipe"] = without(state["recipe"].as_str().unwrap()).into();
    file.metadata.insert("state".to_owned(), state.to_string());
    fs::write(&last, file.to_bytes().unwrap()).unwrap();

    let mut warned = Vec::new();
    let mut warnings = |event: &Event| {
        if let Event::Warning(text) = event {
            warned.push(text.clone());
        }
    };
    train(&resuming(&data, &older), &mut Watch::new(&mut warnings, &GO)).unwrap();
    assert!(warned.iter().all(|text| !text.contains("rounds otherwise")), "{warned:?}");
    assert_same_run(&whole, &older);
    // And what goes on from it stays in its precision, unless it is asked for another one.
    for (asked, becomes) in [(None, PrecisionRule::Fp32), (Some("precision=bf16"), PrecisionRule::Bf16)] {
        let child = dir.path().join(becomes.name());
        let settings: Vec<&str> = ["frozen_epochs=1"].into_iter().chain(asked).collect();
        let mut request = request(&data, &child, &settings);
        request.from = Some(older.clone());
        train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
        assert_eq!(told(&child).0, [becomes; 3]);
    }
}

#[test]
fn a_resume_with_other_kernels_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let run = dir.path().join("run");
    let training = |e: &Event| matches!(e, Event::Progress { task: Activity::Training, .. });
    assert!(stopped_at(&request(&data, &run, &with(&["precision=bf16"])), 2, training).unwrap());
    let last = run.join("last.safetensors");
    let mut file = ModelFile::read(&last).unwrap();
    let state = file.metadata["state"].replace(&format!("\"{}\"", machine::bf16_path()), "\"another\"");
    file.metadata.insert("state".to_owned(), state);
    fs::write(&last, file.to_bytes().unwrap()).unwrap();
    let mut warned = Vec::new();
    let mut warnings = |event: &Event| {
        if let Event::Warning(text) = event {
            warned.push(text.clone());
        }
    };
    train(&resuming(&data, &run), &mut Watch::new(&mut warnings, &GO)).unwrap();
    let said = format!("computed with another so far and goes on with {}", machine::bf16_path());
    assert!(warned.iter().any(|text| text.contains(&said)), "{warned:?}");
}

/// Features of one precision are none of the other's.
#[test]
fn trainings_share_no_features_of_two_precisions() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let memory = Arc::new(FilmMemory::new());
    let run = |name: &str, precision: &str, memory: Option<&Arc<FilmMemory>>| {
        let run = dir.path().join(name);
        let mut request = request(&data, &run, &with(&[precision]));
        request.memory = memory.cloned();
        let mut passes = 0;
        let mut count = |event: &Event| {
            passes += usize::from(matches!(event, Event::Progress { task: Activity::Features { .. }, .. }));
        };
        train(&request, &mut Watch::new(&mut count, &GO)).unwrap();
        (last_bits(&run), passes)
    };
    let (alone, _) = run("alone", "precision=bf16", None);
    let (_, passes) = run("fp32", "precision=fp32", Some(&memory));
    let (after, own) = run("after", "precision=bf16", Some(&memory));
    let (again, none) = run("again", "precision=bf16", Some(&memory));
    assert!(passes > 0 && own == passes && none == 0, "{passes} {own} {none}");
    assert!(alone == after && after == again);
}
