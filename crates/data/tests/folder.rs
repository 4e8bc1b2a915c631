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
    assert_eq!(groups, ["\\x1b[2J", "caf\\xe8", "caf\\xe9"]);
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
