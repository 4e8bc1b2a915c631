//! No patient on two splits, ever.

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use lungfish_data::{
    CheckedFilm, ContentHash, DataError, Film, FilmFacts, Label, Layout, Split, SplitNotes, SplitRules, Splits, Task,
    sample, split, split_after,
};
use proptest::prelude::*;

const RULES: SplitRules = SplitRules { val_fraction: 0.10, test_fraction: 0.15, seed: 5 };

fn classes(count: usize) -> Vec<String> {
    ["NORMAL", "PNEUMONIA", "TUBERCULOSIS"][..count].iter().map(|name| name.to_string()).collect()
}

/// A film of content `content`.
fn film(name: &str, label: usize, group: &str, content: usize) -> CheckedFilm {
    let path = Path::new("/data").join(name);
    let hash = ContentHash::of(&content.to_le_bytes());
    let (label, group) = (Label::Class(label), group.to_string());
    CheckedFilm { film: Film { path, label, group, facts: FilmFacts::default() }, hash, pixels: None }
}

/// `patients` patients of `each` films of a class, all contents different.
fn many(split: &str, label: usize, patients: usize, each: usize) -> Vec<CheckedFilm> {
    let one = |i: usize| {
        let group = format!("{split}-{label}-{}", i / each);
        film(&format!("{split}/{label}/{i}.png"), label, &group, ContentSeed(split, label, i).number())
    };
    (0..patients * each).map(one).collect()
}

struct ContentSeed<'a>(&'a str, usize, usize);

impl ContentSeed<'_> {
    fn number(&self) -> usize {
        self.0.bytes().fold(7, |n, byte| n * 31 + usize::from(byte)) * 1_000_000 + self.1 * 100_000 + self.2
    }
}

fn run(layout: Layout<CheckedFilm>) -> Result<Splits, DataError> {
    split(Path::new("/data"), Task::OneOf, &classes(2), layout, &RULES)
}

fn share(films: &[CheckedFilm], label: usize) -> f64 {
    films.iter().filter(|film| film.film.label == Label::Class(label)).count() as f64 / films.len() as f64
}

/// The invariant: neither a name nor a content on two splits.
fn assert_apart(splits: &Splits) {
    let mut names: HashMap<&str, Split> = HashMap::new();
    let mut contents: HashMap<ContentHash, Split> = HashMap::new();
    for split in Split::ALL {
        for CheckedFilm { film, hash, .. } in splits.of(split) {
            assert_eq!(*names.entry(&film.group).or_insert(split), split, "patient {} is on two splits", film.group);
            assert_eq!(*contents.entry(*hash).or_insert(split), split, "a film of {} is on two splits", film.group);
        }
    }
}

#[test]
fn a_flat_folder_is_carved_into_three() {
    let films = [many("flat", 0, 100, 2), many("flat", 1, 100, 6)].concat();
    let splits = run(Layout::Flat(films)).unwrap();
    assert_apart(&splits);
    assert_eq!(splits.train.len() + splits.val.len() + splits.test.len(), 800);
    assert_eq!(splits.test.len(), 120);
    assert!(splits.val.len().abs_diff(68) <= 4, "a tenth of the {} that test left", 800 - splits.test.len());
    for split in [&splits.train, &splits.val, &splits.test] {
        assert!((share(split, 0) - 0.25).abs() < 0.03, "stratified");
    }
    assert_eq!(splits.notes, SplitNotes { test_carved: true, val_carved: true, ..SplitNotes::default() });
}

#[test]
fn a_seed_decides_the_splits() {
    let films = || Layout::Flat([many("flat", 0, 60, 1), many("flat", 1, 60, 2)].concat());
    assert_eq!(run(films()).unwrap(), run(films()).unwrap());
    let other = split(Path::new("/data"), Task::OneOf, &classes(2), films(), &SplitRules { seed: 6, ..RULES }).unwrap();
    assert_ne!(other.test, run(films()).unwrap().test);
}

#[test]
fn given_splits_stay_where_they_are_big_enough() {
    let split = |name: &str, n| Some([many(name, 0, n, 1), many(name, 1, n, 1)].concat());
    let splits =
        run(Layout::Splits { train: split("train", 300), val: split("val", 30), test: split("test", 20) }).unwrap();
    assert_eq!((splits.train.len(), splits.val.len(), splits.test.len()), (600, 60, 40));
    assert_eq!(splits.notes, SplitNotes::default());
}

#[test]
fn a_tiny_val_joins_train_and_a_new_one_is_carved() {
    let split = |name: &str, n| Some([many(name, 0, n, 1), many(name, 1, n, 1)].concat());
    let splits =
        run(Layout::Splits { train: split("train", 300), val: split("val", 8), test: split("test", 20) }).unwrap();
    assert_eq!((splits.train.len(), splits.val.len(), splits.test.len()), (554, 62, 40));
    let notes = SplitNotes { val_joined_train: 16, val_carved: true, ..SplitNotes::default() };
    assert_eq!(splits.notes, notes);
    assert_apart(&splits);
    // Big enough in films, but under 2 % of train.
    let splits = run(Layout::Splits { train: split("train", 2600), val: split("val", 26), test: None }).unwrap();
    assert_eq!(splits.notes.val_joined_train, 52);
    assert!(splits.notes.test_carved && splits.notes.val_carved);
    // Nothing may be carved: the tiny one stays.
    let rules = SplitRules { val_fraction: 0.0, test_fraction: 0.0, seed: 1 };
    let layout = Layout::Splits { train: split("train", 300), val: split("val", 8), test: None };
    let splits = split_with(layout, &rules);
    assert_eq!((splits.train.len(), splits.val.len(), splits.test.len()), (600, 16, 0));
}

fn split_with(layout: Layout<CheckedFilm>, rules: &SplitRules) -> Splits {
    split(Path::new("/data"), Task::OneOf, &classes(2), layout, rules).unwrap()
}

#[test]
fn test_stays_whole_and_the_others_leave() {
    let mut train = [many("train", 0, 100, 2), many("train", 1, 100, 2)].concat();
    let mut val = [many("val", 0, 30, 2), many("val", 1, 30, 2)].concat();
    let test = [many("test", 0, 20, 1), many("test", 1, 20, 1)].concat();
    // A patient of test in train and val, by name; one by content only, whose second film leaves as well; a patient of
    // val in train.
    train.push(film("train/x.png", 0, "test-0-3", 900_001));
    val.push(film("val/x.png", 1, "test-1-3", 900_002));
    train.push(film("train/copy.png", 0, "renamed", ContentSeed("test", 0, 7).number()));
    train.push(film("train/same-patient.png", 0, "renamed", 900_003));
    train.push(film("train/y.png", 0, "val-0-2", 900_004));
    let splits = run(Layout::Splits { train: Some(train), val: Some(val), test: Some(test.clone()) }).unwrap();
    assert_apart(&splits);
    assert_eq!(splits.test, test);
    assert_eq!((splits.train.len(), splits.val.len()), (400, 120));
    let notes = SplitNotes {
        train_left_for_test: 3,
        val_left_for_test: 1,
        train_left_for_val: 1,
        same_content: 1,
        ..SplitNotes::default()
    };
    assert_eq!(splits.notes, notes);
}

#[test]
fn what_cannot_be_split_is_refused() {
    let one_each = vec![film("a.png", 0, "a", 1), film("b.png", 1, "b", 2)];
    let error = run(Layout::Flat(one_each)).unwrap_err();
    assert!(matches!(error, DataError::TooFewPatients { split: Split::Test, films: 2 }), "{error}");

    let shared = vec![film("train/a.png", 0, "a", 1), film("train/b.png", 1, "b", 2)];
    let layout = Layout::Splits { train: Some(shared), val: None, test: Some(vec![film("test/a.png", 0, "a", 3)]) };
    assert!(matches!(run(layout).unwrap_err(), DataError::TooFewPatients { .. } | DataError::ClassNotInTrain { .. }));

    let none = Layout::Splits { train: None, val: None, test: Some(many("test", 0, 3, 1)) };
    assert!(matches!(run(none).unwrap_err(), DataError::NoTrainSplit { .. }));
    assert!(matches!(run(Layout::Flat(many("flat", 0, 9, 1))).unwrap_err(), DataError::ClassNotInTrain { .. }));
    let one = split(Path::new("/data"), Task::OneOf, &classes(1), Layout::Flat(many("flat", 0, 9, 1)), &RULES);
    assert!(matches!(one.unwrap_err(), DataError::OneClass { .. }));
    for bad in [-0.1, 0.95, f64::NAN] {
        let rules = SplitRules { val_fraction: bad, ..RULES };
        let error = split(Path::new("/data"), Task::OneOf, &classes(2), Layout::Flat(Vec::new()), &rules).unwrap_err();
        assert!(error.to_string().starts_with("val_fraction = "), "{error}");
    }
}

#[test]
fn a_sample_is_stratified_and_of_whole_patients() {
    let plain = |films: Vec<CheckedFilm>| films.into_iter().map(|film| film.film).collect::<Vec<Film>>();
    let train = plain([many("train", 0, 250, 2), many("train", 1, 300, 5)].concat());
    let test = plain([many("test", 0, 100, 1), many("test", 1, 100, 3)].concat());
    let sizes: BTreeMap<String, usize> = count_groups(train.iter().chain(&test));
    let layout = Layout::Splits { train: Some(train), val: None, test: Some(test) };
    let some = sample(layout.clone(), 240, 3);
    let (train, test) = (some.of(Split::Train).unwrap(), some.of(Split::Test).unwrap());
    assert!(some.len().abs_diff(240) <= 6, "{}", some.len());
    assert!(train.len().abs_diff(200) <= 4 && test.len().abs_diff(40) <= 3, "{} {}", train.len(), test.len());
    assert!(train.iter().filter(|film| film.label == Label::Class(0)).count().abs_diff(50) <= 2);
    for (group, count) in count_groups(some.films().map(|(_, film)| film)) {
        assert_eq!(count, sizes[&group], "patient {group} is whole");
    }
    assert_eq!(sample(layout.clone(), 240, 3), some, "the same seed");
    assert_ne!(sample(layout.clone(), 240, 4), some, "another");
    assert_eq!(sample(layout.clone(), 2400, 3), layout, "nothing to leave out");
    let least = sample(layout, 1, 3);
    let kinds: HashSet<_> = least.films().map(|(split, film)| (split, film.label.clone())).collect();
    assert_eq!(kinds.len(), 4, "every split keeps every class");
}

fn count_groups<'a>(films: impl Iterator<Item = &'a Film>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for film in films {
        *counts.entry(film.group.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn split_csv_looks_as_promised() {
    let splits = Splits {
        train: vec![film("train/NORMAL/=cmd.png", 0, "=cmd", 1)],
        val: vec![film("train/NORMAL/a, \"b\".png", 0, "a, \"b\"", 2)],
        test: vec![film("test/PNEUMONIA/person1_virus_2.jpeg", 1, "person1_virus", 3)],
        notes: SplitNotes::default(),
    };
    let text = splits.to_csv(Path::new("/data"), &classes(2));
    let hash = |content: usize| ContentHash::of(&content.to_le_bytes()).to_string();
    let expected = format!(
        "path,label,group,split,hash,pixels\n\
         train/NORMAL/=cmd.png,NORMAL,'=cmd,train,{},\n\
         \"train/NORMAL/a, \"\"b\"\".png\",NORMAL,\"a, \"\"b\"\"\",val,{},\n\
         test/PNEUMONIA/person1_virus_2.jpeg,PNEUMONIA,person1_virus,test,{},\n",
        hash(1),
        hash(2),
        hash(3)
    );
    assert_eq!(text, expected);
}

#[test]
fn a_split_file_of_somebody_elses_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("split.csv");
    let hash = "0".repeat(32);
    let cases = [
        (String::new(), "line 1: the file is empty"),
        ("a,b\n".to_string(), "line 1: the columns are not path,label,group,split,hash,pixels"),
        (format!("x.png,NORMAL,x,train,{hash},,more\n"), "line 2: 7 cells instead of 6"),
        (format!("../x.png,NORMAL,x,train,{hash},\n"), "line 2: ../x.png is not a path below the data set"),
        (format!("/etc/x.png,NORMAL,x,train,{hash},\n"), "line 2: /etc/x.png is not a path below the data set"),
        (format!("x.png,SICK,x,train,{hash},\n"), "line 2: no class SICK; there are NORMAL, PNEUMONIA"),
        (format!("x.png,NORMAL,x,exam,{hash},\n"), "line 2: no split \"exam\": it is train, val or test"),
        ("x.png,NORMAL,x,train,12,\n".to_string(), "line 2: \"12\" is not a content hash of 32 hexadecimal digits"),
        (format!("x\\q.png,NORMAL,x,train,{hash},\n"), "line 2: x\\q.png is no name"),
    ];
    for (i, (text, expected)) in cases.into_iter().enumerate() {
        let title = if i < 2 { "" } else { "path,label,group,split,hash,pixels\n" };
        fs::write(&path, format!("{title}{text}")).unwrap();
        let error = Splits::read_csv(&path, Path::new("/data"), Task::OneOf, &classes(2)).unwrap_err().to_string();
        assert_eq!(error, format!("{}, {expected}", path.display()));
    }
    let gone = Splits::read_csv(&dir.path().join("none.csv"), Path::new("/data"), Task::OneOf, &classes(2));
    assert!(matches!(gone, Err(DataError::Read { .. })));
}

/// A name as the file system may have it: no slash, no zero byte, neither `.` nor `..`.
fn any_name() -> impl Strategy<Value = PathBuf> {
    let bytes = prop_oneof![
        prop::collection::vec(1u8..=255, 1..12),
        "[=+@'\"\\\\,\n\r\t -][a-zé漢\"',\\\\]{0,6}".prop_map(String::into_bytes),
        "\\\\x[0-9a-f]{2}".prop_map(String::into_bytes),
    ];
    let usable = |bytes: &Vec<u8>| !bytes.contains(&b'/') && bytes != b"." && bytes != b"..";
    bytes.prop_filter("a file name", usable).prop_map(to_path)
}

#[cfg(unix)]
fn to_path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn to_path(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).replace(['\\', ':', '\r', '\n', '"', '<', '>', '|', '?', '*', '\t'], "_").into()
}

prop_compose! {
    /// Films with few names and few contents, so that they meet often.
    fn any_film()(patient in 0usize..30, label in 0usize..3, content in 0usize..200, number in 0usize..1_000_000) -> CheckedFilm {
        film(&format!("{number}.png"), label, &format!("p{patient}"), content)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_patient_is_ever_on_two_splits(
        train in prop::collection::vec(any_film(), 0..120),
        val in prop::option::of(prop::collection::vec(any_film(), 0..70)),
        test in prop::option::of(prop::collection::vec(any_film(), 0..20)),
        flat in any::<bool>(),
        seed in any::<u64>(),
        test_fraction in 0.0..0.9f64,
    ) {
        let given_test = test.clone().filter(|test| !flat && !test.is_empty());
        let mut all: Vec<CheckedFilm> = train.clone();
        let layout = if flat {
            Layout::Flat(train)
        } else {
            all.extend(val.iter().flatten().chain(test.iter().flatten()).cloned());
            Layout::Splits { train: Some(train), val, test }
        };
        let total = layout.len();
        let rules = SplitRules { seed, test_fraction, ..RULES };
        let Ok(splits) = split(Path::new("/data"), Task::OneOf, &classes(3), layout, &rules) else { return Ok(()) };
        assert_apart(&splits);
        let SplitNotes { train_left_for_test, val_left_for_test, train_left_for_val, .. } = splits.notes;
        let left = train_left_for_test + val_left_for_test + train_left_for_val;
        let kept = splits.train.len() + splits.val.len() + splits.test.len();
        prop_assert_eq!(kept + left, total, "every film is on a split or counted");
        let trained: HashSet<usize> = splits.train.iter().filter_map(|film| film.film.label.class()).collect();
        prop_assert_eq!(trained.len(), 3, "every class can be learnt");
        if let Some(test) = given_test {
            prop_assert_eq!(&splits.test, &test, "test stays whole");
        }
        prop_assert!(Split::ALL.iter().flat_map(|split| splits.of(*split)).all(|film| all.contains(film)));
    }

    #[test]
    fn split_csv_comes_back(
        names in prop::collection::vec((any_name(), prop::option::of(any_name()), 0usize..2, 0usize..3, "\\PC{0,12}"), 0..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new("/data/films");
        let mut splits = Splits::default();
        for (i, (name, folder, label, split, group)) in names.into_iter().enumerate() {
            let path = folder.map_or(root.to_path_buf(), |folder| root.join(folder)).join(name);
            let film = CheckedFilm { film: Film { path, label: Label::Class(label), group, facts: FilmFacts::default() }, hash: ContentHash::of(&i.to_le_bytes()), pixels: (i % 2 == 0).then(|| ContentHash::of(&[i as u8; 3])) };
            [&mut splits.train, &mut splits.val, &mut splits.test][split].push(film);
        }
        let names: Vec<String> = ["=NORMAL", "PNEU, \"MONIA\""].map(String::from).to_vec();
        let path = dir.path().join("split.csv");
        let text = splits.to_csv(root, &names);
        prop_assert!(text.lines().all(|line| !line.starts_with(['=', '+', '-', '@'])));
        fs::write(&path, text).unwrap();
        let read = Splits::read_csv(&path, root, Task::OneOf, &names).unwrap();
        prop_assert_eq!(&read, &splits);
        // The data set has moved.
        let moved = Splits::read_csv(&path, Path::new("/else"), Task::OneOf, &names).unwrap();
        for split in Split::ALL {
            for (film, old) in moved.of(split).iter().zip(splits.of(split)) {
                prop_assert_eq!(film.film.path.strip_prefix("/else").unwrap(), old.film.path.strip_prefix(root).unwrap());
            }
        }
    }
}

#[test]
fn a_split_file_of_an_older_version_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("split.csv");
    let hash = ContentHash::of(b"a film");
    fs::write(&path, format!("path,label,group,side,hash\ntrain/NORMAL/x.png,NORMAL,x,train,{hash}\n")).unwrap();
    let splits = Splits::read_csv(&path, Path::new("/data"), Task::OneOf, &classes(2)).unwrap();
    assert_eq!((splits.train[0].hash, splits.train[0].pixels, splits.val.len()), (hash, None, 0));
}

#[test]
fn films_of_equal_pixels_are_of_one_patient() {
    let mut films = [many("flat", 0, 200, 1), many("flat", 1, 200, 1)].concat();
    // The same picture under two names, in two files, a hundred times over.
    for i in 0..100 {
        let pixels = Some(ContentHash::of(&[i as u8, 7]));
        (films[2 * i].pixels, films[2 * i + 1].pixels) = (pixels, pixels);
    }
    let splits = run(Layout::Flat(films)).unwrap();
    assert_eq!(splits.notes.same_content, 100);
    let mut of: HashMap<ContentHash, Split> = HashMap::new();
    for split in Split::ALL {
        for pixels in splits.of(split).iter().filter_map(|film| film.pixels) {
            assert_eq!(*of.entry(pixels).or_insert(split), split, "one picture on two splits");
        }
    }
    assert_eq!(of.len(), 100);
}

#[test]
fn who_taught_a_model_does_not_judge_its_child() {
    let given = || {
        let split = |name: &str, n| Some([many(name, 0, n, 2), many(name, 1, n, 2)].concat());
        Layout::Splits { train: split("train", 300), val: split("val", 60), test: split("test", 60) }
    };
    let after = |layout, known: &dyn Fn(&CheckedFilm) -> Option<Split>| {
        split_after(Path::new("/data"), Task::OneOf, &classes(2), layout, &RULES, known)
    };
    // One film of each tenth patient of val and test had trained a model, one of each other tenth had chosen its epoch.
    let known = |film: &CheckedFilm| {
        let number: usize = film.film.group.rsplit('-').next()?.parse().ok()?;
        let first = film.film.path.to_string_lossy().ends_with("/0.png") || film.hash.0[0].is_multiple_of(2);
        match number % 10 {
            0 if first => Some(Split::Train),
            1 if first => Some(Split::Val),
            _ => None,
        }
    };
    let splits = after(given(), &known).unwrap();
    assert_apart(&splits);
    let groups = |films: &[CheckedFilm], wanted: &[Split]| -> HashSet<String> {
        let is = |film: &&CheckedFilm| known(film).is_some_and(|split| wanted.contains(&split));
        films.iter().filter(is).map(|film| film.film.group.clone()).collect()
    };
    assert!(groups(&splits.test, &Split::ALL).is_empty());
    assert!(groups(&splits.val, &[Split::Train]).is_empty());
    let all = |films: &[CheckedFilm]| films.len();
    assert_eq!(all(&splits.train) + all(&splits.val) + all(&splits.test), 2 * 2 * (300 + 60 + 60), "no film is lost");
    assert!(splits.notes.known_joined_train > 0);
    // Without splits given, the same holds for those that are carved.
    let flat = Layout::Flat([many("flat", 0, 300, 2), many("flat", 1, 300, 2)].concat());
    let splits = after(flat, &known).unwrap();
    assert!(groups(&splits.test, &Split::ALL).is_empty() && groups(&splits.val, &[Split::Train]).is_empty());
    assert!(splits.test.len() > 100 && splits.val.len() > 60);
    // A val folder whose films all taught the parent, as the 16 of the Kermany set do: those that chose its epoch take
    // their place, and only where a val split may not be carved is there nothing.
    let of_parent = |film: &CheckedFilm| {
        let number: usize = film.film.group.rsplit('-').next()?.parse().ok()?;
        match film.film.group.starts_with("test") {
            true => None,
            false if film.film.group.starts_with("train") && number.is_multiple_of(10) => Some(Split::Val),
            false => Some(Split::Train),
        }
    };
    let splits = after(given(), &of_parent).unwrap();
    assert_apart(&splits);
    assert!(!splits.val.is_empty() && splits.val.iter().all(|film| of_parent(film) == Some(Split::Val)));
    let none = SplitRules { val_fraction: 0.0, ..RULES };
    let error = split_after(Path::new("/data"), Task::OneOf, &classes(2), given(), &none, &of_parent).unwrap_err();
    assert!(matches!(error, DataError::NothingNew { split: Split::Val, .. }), "{error}");
    // Where a model knows every film there is nothing to test its child with.
    for layout in [given(), Layout::Flat(many("flat", 0, 90, 1).into_iter().chain(many("flat", 1, 90, 1)).collect())] {
        let error = after(layout, &|_| Some(Split::Train)).unwrap_err();
        assert!(matches!(error, DataError::NothingNew { split: Split::Test, .. }), "{error}");
        assert!(error.to_string().contains("give films that are new to them"), "{error}");
    }
}
