//! Data sets whose films have any of several labels: from the table to the splits and back.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::write_film;
use lungfish_data::{
    Channels, CheckedFilm, DataError, FilmSet, FilmSource, Label, Layout, PatientRule, Split, SplitRules, Splits, Task,
    check_layout, sample, split, survey, synth, synth_any_of,
};

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);

fn list(root: &Path) -> Result<FilmSet, DataError> {
    FilmSource::find(root)?.list(&PatientRule::default())
}

/// A folder with a table and these films, one gray each.
fn folder(table: &str, films: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("labels.csv"), table).unwrap();
    for (number, film) in films.iter().enumerate() {
        write_film(&dir.path().join(film), number);
    }
    dir
}

fn rows(set: &FilmSet) -> Vec<(Option<Split>, String, Vec<Option<bool>>)> {
    let name = |path: &Path| path.strip_prefix(&set.root).unwrap().display().to_string();
    let row = |label: &Label| match label {
        Label::Row(row) => row.clone(),
        Label::Class(class) => panic!("a class {class}"),
    };
    set.layout.films().map(|(split, film)| (split, name(&film.path), row(&film.label))).collect()
}

#[test]
fn a_table_gives_each_film_its_row() {
    let table = "\u{feff}path,\"mass, large\",node\r\ntrain/b/person1_virus_2.bmp,1,\r\n\r\ntest/a.bmp, 0 ,1\r\ntrain/a.bmp,,0\r\n";
    let dir = folder(table, &["train/b/person1_virus_2.bmp", "train/a.bmp", "test/a.bmp"]);
    let set = list(dir.path()).unwrap();
    assert_eq!(FilmSource::find(dir.path()).unwrap(), FilmSource::LabelTable(dir.path().to_path_buf()));
    assert_eq!((set.task, set.classes.as_slice()), (Task::AnyOf, &["mass, large".to_string(), "node".to_string()][..]));
    let film = |split, path: &str, row: [Option<bool>; 2]| (Some(split), path.to_string(), row.to_vec());
    assert_eq!(
        rows(&set),
        [
            film(Split::Train, "train/a.bmp", [None, F]),
            film(Split::Train, "train/b/person1_virus_2.bmp", [T, None]),
            film(Split::Test, "test/a.bmp", [F, T]),
        ]
    );
    assert!(matches!(set.layout, Layout::Splits { val: None, .. }));
    let groups: Vec<&str> = set.layout.films().map(|(_, film)| film.group.as_str()).collect();
    assert_eq!(groups, ["train/a", "person1_virus", "test/a"]);
    let facts = |set: &FilmSet| -> Vec<(Option<u64>, bool)> {
        set.layout.films().map(|(_, film)| (film.facts.row, film.patient().is_some())).collect()
    };
    // Lines as an editor counts them: there is an empty one.
    assert_eq!(facts(&set), [(Some(5), false), (Some(2), true), (Some(4), false)]);

    let flat = folder("path,x\na.bmp,1\nb/c.bmp,0\n", &["a.bmp", "b/c.bmp"]);
    let flat = list(flat.path()).unwrap();
    assert_eq!(rows(&flat), [(None, "a.bmp".to_string(), vec![T]), (None, "b/c.bmp".to_string(), vec![F])]);
    assert_eq!(facts(&flat), [(Some(2), false), (Some(3), false)]);
}

#[test]
fn a_table_that_does_not_fit_is_refused_with_its_line() {
    let films = ["train/a.bmp", "val/b.bmp"];
    for (table, part) in [
        ("path\ntrain/a.bmp\n", "line 1: there is no label; the columns are path and a label each"),
        ("path,x,x\n", "line 1: two columns are called x"),
        ("path,x,\n", "line 1: column 3 has no name"),
        ("path,x,Patient\n", "line 1: column 3 is called Patient and no label by its name"),
        ("path,x,y\n", "line 2: there is no film; a line each is expected"),
        ("path,x,y\ntrain/a.bmp,1\n", "line 2: 2 cells instead of 3"),
        ("path,x,y\ntrain/a.bmp,1,0\nval/b.bmp,1,2\n", "line 3: y is 2: a label is 1, 0 or empty where it is unknown"),
        ("path,x\ntrain/a.bmp,yes\n", "line 2: x is yes: a label is 1, 0 or empty"),
        (
            "path,x\ntrain/a.bmp,1\ntrain/c.bmp,1\nval/b.bmp,1\n",
            "line 3: there is no film train/c.bmp in train, val or",
        ),
        ("path,x\ntrain/a.bmp,1\nval/b.bmp,1\ntrain/a.bmp,0\n", "line 4: train/a.bmp stands on line 2 already"),
        ("path,x\n../a.bmp,1\n", "line 2: ../a.bmp is not a path below the data set"),
        ("path,x\n/etc/a.bmp,1\n", "line 2: /etc/a.bmp is not a path below the data set"),
        ("path,x\ntrain/a\u{1b}.bmp,1\nval/b.bmp,0\n", "line 2: there is no film train/a\\x1b.bmp"),
    ] {
        let dir = folder(table, &films);
        let error = list(dir.path()).unwrap_err().to_string();
        let file = dir.path().join("labels.csv");
        assert!(error.starts_with(&format!("{}, line ", file.display())) && error.contains(part), "{error}");
    }
    let dir = folder("path,x\nval/b.bmp,1\n", &["train/a.bmp", "train/c.bmp", "val/b.bmp"]);
    let (table, first) = (dir.path().join("labels.csv"), dir.path().join("train/a.bmp"));
    assert_eq!(
        list(dir.path()).unwrap_err().to_string(),
        format!("{} has no line for 2 of the films beside it, the first {}", table.display(), first.display())
    );
    // A table of somebody else's, beside class folders, is none of ours; beside films alone it was meant.
    let dir = folder("file,label\nA/a.bmp,1\n", &["A/a.bmp", "B/b.bmp"]);
    assert_eq!(list(dir.path()).unwrap().task, Task::OneOf);
    let dir = folder("file,x\ntrain/a.bmp,1\n", &["train/a.bmp"]);
    let error = list(dir.path()).unwrap_err().to_string();
    assert!(error.contains("labels.csv, line 1: no column is that of the labels by its name"), "{error}");
}

#[test]
fn nothing_is_written_among_the_films_of_a_table() {
    let dir = folder("path,x\ntrain/a.bmp,1\n", &["train/a.bmp"]);
    let set = list(dir.path()).unwrap();
    for inside in ["train", "train/run"] {
        let error = set.refuse_among_classes(&dir.path().join(inside)).unwrap_err().to_string();
        assert!(error.contains("would lie among the films of") && error.contains(inside), "{error}");
    }
    set.refuse_among_classes(dir.path()).unwrap();
    set.refuse_among_classes(&dir.path().join("run")).unwrap();
}

#[test]
fn a_label_must_be_learnable() {
    for (column, part) in
        [(["1", "1", ""], "that is known not to have it"), (["0", "", "0"], "that is known to have it")]
    {
        let table = format!("path,x,y\na.bmp,1,{}\nb.bmp,0,{}\nc.bmp,1,{}\n", column[0], column[1], column[2]);
        let dir = folder(&table, &["a.bmp", "b.bmp", "c.bmp"]);
        let error = list(dir.path()).unwrap().require_trainable().unwrap_err().to_string();
        assert!(error.starts_with("the label y has no film to train on in ") && error.ends_with(part), "{error}");
    }
    let dir = folder("path,x\na.bmp,1\nb.bmp,0\n", &["a.bmp", "b.bmp"]);
    list(dir.path()).unwrap().require_trainable().unwrap();
}

/// Checked films of one row each, `patients` of `each` films, one after the other.
fn films(kind: &str, row: &[Option<bool>], patients: usize, each: usize) -> Vec<CheckedFilm> {
    let film = |i: usize| {
        let path = format!("/data/{kind}/{i}.png");
        let hash = lungfish_data::ContentHash::of(path.as_bytes());
        let label = Label::Row(row.to_vec());
        let facts = lungfish_data::FilmFacts::default();
        let film = lungfish_data::Film { path: path.into(), label, group: format!("{kind}-{}", i / each), facts };
        CheckedFilm { film, hash, pixels: None }
    };
    (0..patients * each).map(film).collect()
}

#[test]
fn splits_are_stratified_by_the_rarest_label() {
    let names = ["common".to_string(), "rare".to_string()];
    // Ten films have the rare label beside the common one: by chance alone val would often have none.
    let all = [
        films("none", &[F, F], 400, 1),
        films("common", &[T, None], 300, 1),
        films("both", &[T, T], 20, 2),
        films("unknown", &[None, None], 60, 1),
    ]
    .concat();
    for seed in 0..8 {
        let rules = SplitRules { val_fraction: 0.1, test_fraction: 0.2, seed };
        let splits = split(Path::new("/data"), Task::AnyOf, &names, Layout::Flat(all.clone()), &rules).unwrap();
        let count =
            |films: &[CheckedFilm], index: usize| films.iter().filter(|film| film.film.label.has(index) == T).count();
        assert_eq!(count(&splits.test, 1), 8, "two in ten of forty");
        assert!((3..=4).contains(&count(&splits.val, 1)), "{}", count(&splits.val, 1));
        assert!(count(&splits.test, 0).abs_diff(68) <= 2);
        let groups = |films: &[CheckedFilm]| films.iter().map(|f| f.film.group.clone()).collect::<BTreeSet<_>>();
        assert!(groups(&splits.train).is_disjoint(&groups(&splits.test)));

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("split.csv");
        fs::write(&file, splits.to_csv(Path::new("/data"), &names)).unwrap();
        let read = Splits::read_csv(&file, Path::new("/data"), Task::AnyOf, &names).unwrap();
        assert_eq!(Splits { notes: splits.notes, ..read }, splits);
        let error = Splits::read_csv(&file, Path::new("/data"), Task::AnyOf, &names[..1]).unwrap_err().to_string();
        assert!(error.contains("split.csv, line 2: ") && error.contains("is no row of 1, 0 and ? for the 1 labels"));
    }
    let mut bare = Layout::Flat(all).filter_map(|film| Some(film.film));
    bare = sample(bare, 80, 3);
    let rare = bare.films().filter(|(_, film)| film.label.has(1) == T).count();
    assert!((3..=5).contains(&rare) && bare.len().abs_diff(80) <= 3, "{rare} of {}", bare.len());
}

#[test]
fn synthetic_films_with_labels_are_a_whole_data_set() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("drawn");
    for (films, seed) in [(20, 0), (20, 1), (20, 2), (60, 3)] {
        let report = synth_any_of(&root, films, seed).unwrap();
        let set = list(&root).unwrap();
        set.require_trainable().unwrap();
        assert_eq!((set.task, set.layout.len()), (Task::AnyOf, films));
        assert_eq!(set.classes, ["CONSOLIDATION", "INFILTRATES", "CARDIOMEGALY"]);
        let patients: BTreeSet<&str> = set.layout.films().map(|(_, film)| film.group.as_str()).collect();
        assert_eq!(patients.len(), report.patients);
        assert_eq!(Split::ALL.map(|split| set.layout.of(split).unwrap().len()), report.films);
    }
    let set = list(&root).unwrap();
    let unknown = set.layout.films().flat_map(|(_, film)| (0..3).map(|i| film.label.has(i))).filter(Option::is_none);
    let unknown = unknown.count();
    assert!((6..=36).contains(&unknown), "one in ten of 180: {unknown}");
    let (layout, bad) = check_layout(set.layout.clone(), Channels::Gray, &|_| {});
    assert!(bad.is_empty());
    let splits = split(&set.root, set.task, &set.classes, layout, &SplitRules::default()).unwrap();
    assert_eq!((splits.notes.train_left_for_test, splits.notes.train_left_for_val), (0, 0));

    // The survey counts a film for each label that it has.
    let counted = survey(&set, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!((counted.task, counted.films, counted.synthetic), (Task::AnyOf, 60, 60));
    for (index, label) in counted.classes.iter().enumerate() {
        let count = |value: Option<bool>| set.layout.films().filter(|(_, film)| film.label.has(index) == value).count();
        assert_eq!((label.films, label.without, label.unknown), (count(T), Some(count(F)), Some(count(None))));
        assert_eq!(label.sizes.len(), label.films);
        assert_eq!(counted.splits.iter().map(|split| split.films[index]).sum::<usize>(), label.films);
    }
    assert_eq!(counted.splits.iter().map(|split| split.count).sum::<usize>(), 60);
    let json = serde_json::to_value(&counted).unwrap();
    assert_eq!((&json["task"], &json["classes"][0]["name"]), (&"any-of".into(), &"CONSOLIDATION".into()));

    // The same seed draws the same; each kind of set replaces the other and leaves nothing of it.
    let table = fs::read(root.join("labels.csv")).unwrap();
    let film = fs::read(set.layout.films().next().unwrap().1.path.clone()).unwrap();
    synth(&root, 20, 1).unwrap();
    let classes = list(&root).unwrap();
    assert_eq!((classes.task, classes.layout.len()), (Task::OneOf, 20));
    synth_any_of(&root, 60, 3).unwrap();
    assert_eq!(fs::read(root.join("labels.csv")).unwrap(), table);
    assert_eq!(fs::read(&set.layout.films().next().unwrap().1.path).unwrap(), film);
    assert_eq!(list(&root).unwrap().layout, set.layout);
    fs::write(root.join("labels.csv"), "path,mine\n").unwrap();
    let error = synth_any_of(&root, 20, 1).unwrap_err().to_string();
    assert!(error.contains("labels.csv is in it"), "{error}");
}
