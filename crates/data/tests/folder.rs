//! Folders as people have them.

mod common;

use std::fs;
use std::path::Path;

use common::write_film;
use lungfish_data::folder::films_in;
use lungfish_data::{DataError, Film, FilmSet, FilmSource, Layout, PatientRule, Split};

fn touch(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
}

fn scan_here(root: &Path) -> Result<FilmSet, DataError> {
    FilmSource::find(root)?.list(&PatientRule::default())
}

fn names(root: &Path, films: &[Film]) -> Vec<(String, usize)> {
    let name = |film: &Film| film.path.strip_prefix(root).unwrap().display().to_string();
    films.iter().map(|film| (name(film), film.label.class().unwrap())).collect()
}

fn owned(names: &[(&str, usize)]) -> Vec<(String, usize)> {
    names.iter().map(|(name, label)| (name.to_string(), *label)).collect()
}

#[test]
fn splits_are_listed_as_imagefolder_lists_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    touch(
        root,
        &[
            "train/PNEUMONIA/person2_virus_1.jpeg",
            "train/NORMAL/b.PNG",
            "train/NORMAL/a/z.bmp",
            "train/NORMAL/a.jpg",
            "train/NORMAL/notes.txt",
            "train/NORMAL/.hidden.png",
            "train/NORMAL/._a.jpg",
            "train/__MACOSX/a.jpg",
            "train/.DS_Store",
            "test/PNEUMONIA/q.tiff",
            "test/NORMAL/p.webp",
            "model/NORMAL/never.png",
        ],
    );
    let folder = scan_here(root).unwrap();
    assert_eq!(folder.root, root);
    assert_eq!(folder.classes, ["NORMAL", "PNEUMONIA"]);
    assert!(folder.layout.films().all(|(split, film)| film.facts.split == split && film.facts.row.is_none()));
    let Layout::Splits { train, val, test } = &folder.layout else { panic!("it has splits") };
    // torchvision sorts the folders, and the files in each: what is in NORMAL itself comes before NORMAL/a.
    let expected = owned(&[
        ("train/NORMAL/a.jpg", 0),
        ("train/NORMAL/b.PNG", 0),
        ("train/NORMAL/a/z.bmp", 0),
        ("train/PNEUMONIA/person2_virus_1.jpeg", 1),
    ]);
    assert_eq!(names(root, train.as_ref().unwrap()), expected);
    assert_eq!(train.as_ref().unwrap()[3].group, "person2_virus");
    assert_eq!(*val, None);
    assert_eq!(names(root, test.as_ref().unwrap()), owned(&[("test/NORMAL/p.webp", 0), ("test/PNEUMONIA/q.tiff", 1)]));
    assert_eq!(folder.layout.len(), 6);
    assert_eq!(folder.layout.of(Split::Val), None);
    assert!(folder.require_trainable().is_ok());
}

#[test]
fn chest_xray_nests_once_and_twice() {
    for nest in ["", "chest_xray", "chest_xray/chest_xray"] {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join(nest);
        touch(&inner, &["train/NORMAL/a.png", "train/PNEUMONIA/b.png"]);
        // The archive's resource forks.
        touch(dir.path(), &["__MACOSX/chest_xray/train/NORMAL/._a.png"]);
        let folder = scan_here(dir.path()).unwrap();
        assert_eq!(folder.root, inner, "{nest}");
        assert_eq!(folder.layout.of(Split::Train).unwrap().len(), 2);
    }
    // The Kaggle archive has splits above a second copy of itself: the upper ones count.
    let dir = tempfile::tempdir().unwrap();
    touch(&dir.path().join("chest_xray"), &["train/A/a.png", "train/B/b.png", "chest_xray/train/A/a.png"]);
    assert_eq!(scan_here(dir.path()).unwrap().root, dir.path().join("chest_xray"));
}

#[test]
fn a_flat_folder_has_no_splits() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["C/c.png", "A/deep/er/a.png", "B/b.png", "readme.md"]);
    let folder = scan_here(dir.path()).unwrap();
    assert_eq!(folder.classes, ["A", "B", "C"]);
    let Layout::Flat(films) = &folder.layout else { panic!("it is flat") };
    assert_eq!(names(dir.path(), films), owned(&[("A/deep/er/a.png", 0), ("B/b.png", 1), ("C/c.png", 2)]));
}

#[test]
fn output_among_class_folders_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (flat, splits) = (dir.path().join("flat"), dir.path().join("splits"));
    touch(&flat, &["A/1.png", "B/2.png"]);
    touch(&splits, &["train/A/1.png", "train/B/2.png"]);
    let refused = |root: &Path, out: &Path| scan_here(root).unwrap().refuse_among_classes(out).is_err();
    assert!(refused(&flat, &flat.join("run")) && refused(&flat, &flat.join("../flat/deep/run")));
    assert!(refused(&splits, &splits.join("train/run")) && refused(&splits, &splits.join("test/run")));
    // Beside the splits it is in nobody's way, nor where the name only begins alike.
    assert!(!refused(&splits, &splits.join("run")) && !refused(&splits, &splits.join("training/run")));
    assert!(!refused(&flat, &dir.path().join("run")) && !refused(&flat, &flat));
    let error = scan_here(&flat).unwrap().refuse_among_classes(&flat.join("run")).unwrap_err().to_string();
    assert!(error.contains(flat.join("run").to_str().unwrap()), "{error}");
}

#[test]
fn what_cannot_be_used_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let shown = root.display();
    let message = |path: &Path| scan_here(path).unwrap_err().to_string();
    assert_eq!(message(&root.join("none")), format!("there is no folder {shown}/none"));
    assert!(message(root).starts_with(&format!("{shown} has no class folder")));
    touch(root, &["file"]);
    assert_eq!(message(&root.join("file")), format!("{shown}/file is a file, not a folder"));

    touch(root, &["one/NORMAL/a.png", "one/EMPTY/notes.txt"]);
    let empty = message(&root.join("one"));
    assert!(empty.starts_with(&format!("the class folder {shown}/one/EMPTY has no film")), "{empty}");

    fs::remove_dir_all(root.join("one/EMPTY")).unwrap();
    let folder = scan_here(&root.join("one")).unwrap();
    assert!(matches!(folder.require_trainable(), Err(DataError::OneClass { class, .. }) if class == "NORMAL"));

    touch(root, &["lacks/train/A/a.png", "lacks/test/B/b.png", "lacks/test/A/c.png"]);
    let folder = scan_here(&root.join("lacks")).unwrap();
    let error = folder.require_trainable().unwrap_err().to_string();
    assert_eq!(error, format!("the class B has no film to train on in {shown}/lacks"));

    let ending = "by another name: splits are called train, val and test";
    touch(root, &["other/Train/A/a.png", "other/Testing/A/b.png"]);
    let path = root.join("other");
    assert_eq!(message(&path), format!("the folders Testing, Train of {shown}/other look like splits {ending}"));
    touch(root, &["mixed/train/A/a.png", "mixed/train/B/b.png", "mixed/valid/A/c.png", "mixed/Notes/n.txt"]);
    let path = root.join("mixed");
    assert_eq!(message(&path), format!("the folders valid of {shown}/mixed look like splits {ending}"));

    touch(root, &["tests/test/B/b.png", "tests/test/A/c.png"]);
    let folder = scan_here(&root.join("tests")).unwrap();
    assert!(matches!(folder.require_trainable(), Err(DataError::NoTrainSplit { .. })));
}

/// The classes of each split with their films: `train NORMAL 2, PNEUMONIA 1`.
fn counts(set: &FilmSet) -> Vec<String> {
    let of = |split: Split| {
        let films = set.layout.of(split)?;
        let count = |class: usize| films.iter().filter(|film| film.label.class() == Some(class)).count();
        let classes = set.classes.iter().enumerate().map(|(index, name)| format!("{name} {}", count(index)));
        Some(format!("{split} {}", classes.collect::<Vec<_>>().join(", ")))
    };
    match set.layout {
        Layout::Flat(_) => of(Split::Train).map(|text| text.replace("train", "flat")).into_iter().collect(),
        Layout::Splits { .. } => Split::ALL.into_iter().filter_map(of).collect(),
    }
}

fn passed_over(set: &FilmSet) -> Vec<(&str, usize)> {
    set.passed_over.iter().map(|kind| (kind.kind.as_str(), kind.count)).collect()
}

#[test]
fn masks_are_no_films() {
    let dir = tempfile::tempdir().unwrap();
    let films = ["COVID/images/1.png", "COVID/images/2.png", "Normal/images/1.png", "Normal/3.png"];
    touch(dir.path(), &films);
    touch(dir.path(), &["COVID/masks/1.png", "COVID/masks/2.png", "Normal/Lung Masks/1.png", "Normal/3_mask.png"]);
    touch(dir.path(), &["COVID.metadata.xlsx", "README.md.txt"]);
    let set = scan_here(dir.path()).unwrap();
    assert_eq!(counts(&set), ["flat COVID 2, Normal 2"]);
    assert_eq!(passed_over(&set), [("masks", 4), (".txt", 1), (".xlsx", 1)]);
    // Beside classes they are no class; as one of two they are one.
    touch(dir.path(), &["masks/COVID/1.png"]);
    assert_eq!(scan_here(dir.path()).unwrap().classes, ["COVID", "Normal"]);
    let other = tempfile::tempdir().unwrap();
    touch(other.path(), &["mask/1.png", "no mask/2.png"]);
    assert_eq!(scan_here(other.path()).unwrap().classes, ["mask", "no mask"]);
}

#[test]
fn parts_are_no_classes() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, folds) = (dir.path().join("NIH"), dir.path().join("folds"));
    touch(&shards, &["images_001/images/1.png", "images_002/images/2.png", "Data_Entry_2017.csv"]);
    let error = scan_here(&shards).unwrap_err().to_string();
    assert!(error.contains("the folders images_001, images_002 of") && error.contains("are parts of one data set"));
    assert!(error.ends_with(&format!("--labels {}/Data_Entry_2017.csv", shards.display())), "{error}");
    touch(&folds, &["fold_0/a/1.png", "fold_0/b/2.png", "fold_1/a/3.png", "fold_1/b/4.png", "fold_2/b/5.png"]);
    let set = scan_here(&folds).unwrap();
    assert_eq!(counts(&set), ["flat a 2, b 3"]);
    assert!(set.notes[0].contains("fold_0, fold_1, fold_2 of"), "{:?}", set.notes);
    // Classes with numbers are classes.
    let numbered = dir.path().join("numbered");
    touch(&numbered, &["normal_1/1.png", "normal_2/2.png", "0/3.png", "12/4.png"]);
    assert_eq!(scan_here(&numbered).unwrap().classes, ["0", "12", "normal_1", "normal_2"]);
    // Folders in class folders that are all called alike are told of.
    let alike = dir.path().join("alike");
    touch(&alike, &["A/AP/1.png", "A/PA/2.png", "B/AP/3.png", "B/PA/4.png"]);
    let set = scan_here(&alike).unwrap();
    assert_eq!((counts(&set), set.notes.len()), (vec!["flat A 2, B 2".to_owned()], 1));
}

#[test]
fn splits_are_found_where_people_put_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    touch(&at("inside"), &["A/train/1.png", "A/test/2.png", "B/Training/3.png", "B/test/4.png"]);
    let set = scan_here(&at("inside")).unwrap();
    assert_eq!(counts(&set), ["train A 1, B 1", "test A 1, B 1"]);
    touch(&at("beside"), &["covid/1.png", "normal/2.png", "test/covid/3.png", "test/normal/4.png"]);
    let set = scan_here(&at("beside")).unwrap();
    assert_eq!(counts(&set), ["train covid 1, normal 1", "test covid 1, normal 1"]);
    assert!(set.notes[0].contains("the class folders beside test (covid, normal) are taken for the train split"));
    assert!(set.refuse_among_classes(&at("beside/run")).is_err());
    touch(&at("unlabelled"), &["train/A/1.png", "train/B/2.png", "test/3.png", "test/4.png"]);
    let set = scan_here(&at("unlabelled")).unwrap();
    assert_eq!(counts(&set), ["train A 1, B 1"]);
    assert!(set.notes[0].contains("holds 2 films and no class folders, so it is no test split"));
    assert_eq!(passed_over(&set), [("in test without a class", 2)]);
    touch(&at("more"), &["train/A/1.png", "train/B/2.png", "extra/A/3.png", "train/stray.png"]);
    let set = scan_here(&at("more")).unwrap();
    assert_eq!(passed_over(&set), [("beside the class folders", 1), ("beside the splits", 1)]);
    touch(&at("capital"), &["covid/1.png", "normal/2.png", "Test/covid/3.png"]);
    assert!(scan_here(&at("capital")).unwrap_err().to_string().contains("the folders Test of"));
}

#[test]
fn wrappers_are_gone_through() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    touch(&at("archive/Covid19-dataset"), &["train/A/1.png", "train/B/2.png", "test/A/3.png", "test/B/4.png"]);
    let set = scan_here(&at("archive")).unwrap();
    assert_eq!(set.root, at("archive/Covid19-dataset"));
    assert!(set.notes[0].ends_with("archive/Covid19-dataset"), "{:?}", set.notes);
    touch(&at("flat/outer/TB_Database"), &["Normal/1.png", "Tuberculosis/2.png", "Normal.metadata.xlsx"]);
    assert_eq!(scan_here(&at("flat")).unwrap().classes, ["Normal", "Tuberculosis"]);
    // A class with patients in it is no wrapper.
    touch(&at("lone/NORMAL"), &["patient1/1.png", "patient2/2.png", "patient3/3.png"]);
    assert_eq!(scan_here(&at("lone")).unwrap().classes, ["NORMAL"]);
    touch(&at("empty"), &["NORMAL/a/1.png", "NORMAL/b/2.png", "TB/readme.txt"]);
    assert!(scan_here(&at("empty")).unwrap_err().to_string().contains("empty/TB has no film"));
}

#[test]
fn names_that_look_alike_are_quoted_or_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    touch(&at("case"), &["train/Normal/1.png", "train/Sick/2.png", "test/NORMAL/3.png", "test/Sick/4.png"]);
    let error = scan_here(&at("case")).unwrap().require_trainable().unwrap_err().to_string();
    assert!(error.starts_with("the class \"NORMAL\" has no film to train on"), "{error}");
    assert!(error.ends_with("train has one that is called nearly so, \"Normal\": call the folders alike"), "{error}");
    assert_eq!(
        scan_here(&at("case")).unwrap().notes,
        ["the classes \"NORMAL\" and \"Normal\" are called nearly alike"]
    );
    touch(&at("space"), &["train/A/1.png", "train/B/2.png", "test/A/3.png", "test/B /4.png"]);
    let error = scan_here(&at("space")).unwrap().require_trainable().unwrap_err().to_string();
    assert!(error.contains("the class \"B \" has no film") && error.contains("nearly so, \"B\""), "{error}");
    // One text, its letters composed in two ways.
    touch(
        &at("letters"),
        &["train/Pneumon\u{ed}a/1.png", "train/B/2.png", "test/Pneumoni\u{301}a/3.png", "test/B/4.png"],
    );
    assert_eq!(scan_here(&at("letters")).unwrap().classes, ["B", "Pneumon\u{ed}a"]);
}

#[test]
fn patients_are_told_by_where_films_lie() {
    use lungfish_data::PatientSource;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let groups = |set: &FilmSet| -> std::collections::BTreeSet<String> {
        set.layout.films().map(|(_, film)| film.group.clone()).collect()
    };
    for i in 0..12 {
        let class = ["normal", "sick"][i % 2];
        touch(&at("chexpert"), &[&format!("{class}/patient{:05}/study1/view{i}.jpg", i / 3)]);
        touch(&at("frames"), &[&format!("{class}/{:x}ff/{:06}.png", i / 2, i % 2)]);
        touch(&at("medmnist"), &[&format!("{}/{}/{i}.png", ["train", "val", "test"][i / 4], i % 2)]);
        touch(&at("medmnist"), &[&format!("train/{}/{i}.png", i % 2)]);
    }
    let set = scan_here(&at("chexpert")).unwrap();
    assert_eq!(set.patients.get(&PatientSource::Named), Some(&12));
    assert_eq!(groups(&set).len(), 4);
    let set = scan_here(&at("frames")).unwrap();
    assert_eq!((set.patients.get(&PatientSource::Folder), groups(&set).len()), (Some(&12), 6));
    touch(&at("raw"), &["train/patient1/s/1.jpg", "train/patient2/s/1.jpg", "valid/patient3/s/1.jpg", "train.csv"]);
    let error = scan_here(&at("raw")).unwrap_err().to_string();
    assert!(error.contains("train (patient1, patient2) are those of patients or cases by their names and no classes"));
    assert!(error.ends_with("raw/train.csv"), "{error}");
    // The number of a film is nobody's name: equal ones on two splits are two films.
    let set = scan_here(&at("medmnist")).unwrap();
    assert_eq!((set.with_patient(), groups(&set).len()), (0, set.layout.len()));
}

#[cfg(unix)]
#[test]
fn a_class_that_leads_nowhere_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["A/a.png", "B/b.png"]);
    std::os::unix::fs::symlink("/mnt/not-mounted/TUBERCULOSIS", dir.path().join("TUBERCULOSIS")).unwrap();
    let error = scan_here(dir.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("the link {}/TUBERCULOSIS leads nowhere: a class folder may be missing", dir.path().display())
    );
}

#[cfg(unix)]
#[test]
fn loops_of_links_end_and_broken_ones_are_films() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    touch(root, &["A/a.png", "B/b.png", "elsewhere/c.png"]);
    symlink("..", root.join("A/up")).unwrap();
    symlink(".", root.join("A/self")).unwrap();
    symlink("../elsewhere", root.join("B/more")).unwrap();
    symlink("gone.png", root.join("B/broken.png")).unwrap();
    symlink("loop.png", root.join("B/loop.png")).unwrap();
    fs::create_dir(root.join("sub")).unwrap();
    fs::remove_dir(root.join("sub")).unwrap();

    let folder = scan_here(&root.join("B")).unwrap();
    assert_eq!(folder.classes, ["more"], "a link to a folder is a class folder");
    let films = films_in(&root.join("B")).unwrap();
    let found: Vec<_> = films.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(found, ["b.png", "broken.png", "loop.png", "c.png"]);
    // A/up leads to the root and so to everything, each folder once.
    let films = films_in(&root.join("A")).unwrap();
    assert_eq!(films.len(), 5, "{films:?}");
}

#[cfg(unix)]
#[test]
fn names_that_are_not_text_keep_their_films_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    for (n, name) in [&b"caf\xe9.bmp"[..], b"caf\xe8.bmp", b"\x1b[2J.bmp"].into_iter().enumerate() {
        write_film(&dir.path().join("A").join(OsStr::from_bytes(name)), n);
    }
    let folder = scan_here(dir.path()).unwrap();
    let groups: Vec<&str> = folder.layout.films().map(|(_, film)| film.group.as_str()).collect();
    assert_eq!(groups, ["A/\\x1b[2J", "A/caf\\xe8", "A/caf\\xe9"]);
    let error = scan_here(&dir.path().join(OsStr::from_bytes(b"no\x1b[31m\xff"))).unwrap_err().to_string();
    assert!(error.ends_with("/no\\x1b[31m\\xff"), "{error}");
}

#[test]
fn a_film_named_by_itself_is_a_list_of_one() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["scan.bin"]);
    let path = dir.path().join("scan.bin");
    assert_eq!(films_in(&path).unwrap(), [path]);
    assert!(matches!(films_in(&dir.path().join("none")), Err(DataError::Read { .. })));
}
