//! Trainings that share what they know of the films.

use std::sync::Arc;

use lungfish::FilmMemory;

use super::*;

const SETTINGS: &[&str] =
    &["image_size=64", "hidden=16", "frozen_epochs=2", "frozen_views=2", "val_views=1", "val_fraction=0.2"];

/// Trains; the log, and how many films were read and had their features computed.
fn trained(data: &Path, run: &Path, seed: u64, memory: Option<&Arc<FilmMemory>>) -> (Vec<serde_json::Value>, usize) {
    let seed = format!("seed={seed}");
    let settings: Vec<&str> = SETTINGS.iter().copied().chain([seed.as_str()]).collect();
    let mut request = request(data, run, &settings);
    request.memory = memory.cloned();
    let mut passes = 0;
    let mut count = |event: &Event| {
        passes += usize::from(matches!(event, Event::Progress { task: Activity::Features { .. }, .. }));
    };
    train(&request, &mut Watch::new(&mut count, &GO)).unwrap();
    (log_without_times(run), passes)
}

#[test]
fn a_training_that_knows_the_films_learns_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 90);
    let run = |name: &str| dir.path().join(name);
    let (alone, passes) = trained(&data, &run("alone"), 3, None);
    let memory = Arc::new(FilmMemory::new());
    // Another seed before: other films to learn from, and other views of them.
    let (other, _) = trained(&data, &run("other"), 4, Some(&memory));
    let (after, some) = trained(&data, &run("after"), 3, Some(&memory));
    let (again, none) = trained(&data, &run("again"), 3, Some(&memory));
    assert_ne!(other, alone);
    assert_eq!((&after, &again), (&alone, &alone));
    assert!(passes > 0 && some > 0 && some <= passes && none == 0, "{passes} {some} {none}");
    let tensors = |name: &str| ModelFile::read(&run(name).join("best.safetensors")).unwrap().tensors;
    assert_eq!(tensors("again"), tensors("alone"), "the same weights, bit for bit");
    assert_eq!(fs::read(run("again").join("split.csv")).unwrap(), fs::read(run("alone").join("split.csv")).unwrap());
}

#[test]
fn a_film_that_has_changed_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let memory = Arc::new(FilmMemory::new());
    trained(&data, &dir.path().join("before"), 3, Some(&memory));
    let films = lungfish_data::folder::films_in(&data).unwrap();
    // One film becomes a copy of another.
    fs::copy(&films[0], &films[1]).unwrap();
    let (known, _) = trained(&data, &dir.path().join("known"), 3, Some(&memory));
    let (alone, _) = trained(&data, &dir.path().join("alone"), 3, None);
    assert_eq!(known, alone);
    let split = |name: &str| fs::read_to_string(dir.path().join(name).join("split.csv")).unwrap();
    assert_eq!(split("known"), split("alone"));
}
