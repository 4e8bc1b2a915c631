//! Synthetic films: the same again from the same seed, never over somebody else's files.

use std::fs;
use std::path::Path;

use lungfish_data::{
    Channels, ContentHash, FilmSource, PatientRule, Split, SplitRules, check_layout, is_synthetic, is_synthetic_file,
    split, synth,
};

fn hashes(root: &Path) -> Vec<(String, ContentHash)> {
    let folder = FilmSource::find(root).unwrap().list(&PatientRule::default()).unwrap();
    let (layout, bad) = check_layout(folder.layout, Channels::Gray, &|_| {});
    assert!(bad.is_empty(), "{bad:?}");
    let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    layout.films().map(|(_, film)| (name(&film.film.path), film.hash)).collect()
}

#[test]
fn the_same_seed_draws_the_same_films_over_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("drawn");
    let report = synth(&root, 60, 7).unwrap();
    assert_eq!(report.films, [44, 8, 8]);
    let first = hashes(&root);
    assert_eq!(first.len(), 60);
    assert!(first.iter().map(|(_, hash)| hash).collect::<std::collections::HashSet<_>>().len() == 60);

    synth(&root, 40, 8).unwrap();
    let other = hashes(&root);
    assert_eq!(other.len(), 40, "the films of the earlier run are gone");
    synth(&root, 60, 7).unwrap();
    assert_eq!(hashes(&root), first);
}

#[test]
fn synthetic_patients_follow_the_kermany_rule_and_stay_on_one_split() {
    let dir = tempfile::tempdir().unwrap();
    let report = synth(dir.path(), 120, 1).unwrap();
    let folder = FilmSource::find(dir.path()).unwrap().list(&PatientRule::default()).unwrap();
    assert_eq!(folder.classes, ["NORMAL", "PNEUMONIA"]);
    let groups: std::collections::HashSet<&str> = folder.layout.films().map(|(_, film)| film.group.as_str()).collect();
    assert_eq!(groups.len(), report.patients);
    assert!(report.patients < 110, "some patients have several films");
    assert!(groups.iter().all(|group| group.starts_with("person") || group.contains("IM-")));
    let splits = Split::ALL.map(|split| folder.layout.of(split).unwrap().len());
    assert_eq!(splits, report.films);

    let (layout, _) = check_layout(folder.layout, Channels::Gray, &|_| {});
    let splits = split(&folder.root, folder.task, &folder.classes, layout, &SplitRules::default()).unwrap();
    assert_eq!(
        (splits.notes.train_left_for_test, splits.notes.val_left_for_test, splits.notes.same_content),
        (0, 0, 0)
    );
}

#[test]
fn a_synthetic_film_is_known() {
    let dir = tempfile::tempdir().unwrap();
    synth(dir.path(), 20, 1).unwrap();
    let folder = FilmSource::find(dir.path()).unwrap().list(&PatientRule::default()).unwrap();
    for (_, film) in folder.layout.films() {
        assert!(is_synthetic_file(&film.path), "{}", film.path.display());
        assert!(is_synthetic(&fs::read(&film.path).unwrap()));
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data/files");
    assert!(!is_synthetic_file(&golden.join("gray_8.png")) && !is_synthetic_file(&golden) && !is_synthetic(b""));
    assert!(!is_synthetic_file(&dir.path().join("none.png")));
}

#[test]
fn somebody_elses_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    synth(dir.path(), 20, 1).unwrap();
    let mine = dir.path().join("train/NORMAL/holiday.png");
    fs::write(&mine, b"not drawn").unwrap();
    let error = synth(dir.path(), 20, 1).unwrap_err().to_string();
    assert!(error.contains("holiday.png") && error.contains("not empty"), "{error}");
    assert_eq!(fs::read(&mine).unwrap(), b"not drawn");
    assert_eq!(hashes(dir.path().join("test").as_path()).len(), 2, "nothing was deleted before the refusal");

    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("notes.txt"), b"mine").unwrap();
    assert!(synth(other.path(), 20, 1).is_err());
    assert!(synth(&other.path().join("notes.txt"), 20, 1).unwrap_err().to_string().contains("not a folder"));
    let error = synth(&other.path().join("new"), 3, 1).unwrap_err().to_string();
    assert_eq!(error, "3 synthetic films are too few: at least 20 are needed to fill every split and class");
    assert!(!other.path().join("new").exists());
}
