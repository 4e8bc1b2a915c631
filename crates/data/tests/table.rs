//! Tables of labels, as data sets and people have them.

mod common;

use std::fs;
use std::path::Path;

use lungfish_data::{
    Columns, DataError, FilmSet, FilmSource, Label, Layout, PatientRule, PatientSource, Split, TableRule, Task,
    Uncertain,
};

fn put(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"film").unwrap();
    }
}

fn read(root: &Path, table: &str, text: &[u8], rule: &TableRule) -> Result<FilmSet, DataError> {
    let file = root.join(table);
    fs::write(&file, text).unwrap();
    FilmSource::table(root, file, rule.clone()).list(&PatientRule::default())
}

/// Each film with its split, its label by names and its patient.
fn films(set: &FilmSet) -> Vec<String> {
    let of = |(split, film): (Option<Split>, &lungfish_data::Film)| {
        let label = match &film.label {
            Label::Class(class) => set.classes[*class].clone(),
            Label::Row(row) => row.iter().map(|v| v.map_or('?', |has| if has { '1' } else { '0' })).collect(),
        };
        let split = split.map_or_else(|| "-".to_owned(), |split| split.to_string());
        format!("{split} {} {label} {}", film.path.strip_prefix(&set.root).unwrap().display(), film.group)
    };
    set.layout.films().map(of).collect()
}

fn passed_over(set: &FilmSet) -> Vec<(&str, usize)> {
    set.passed_over.iter().map(|kind| (kind.kind.as_str(), kind.count)).collect()
}

#[test]
fn nih_has_many_labels_in_one_column_and_lists_of_splits() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["images_001/images/00000001_000.png", "images_001/images/00000001_001.png"]);
    put(root, &["images_002/images/00000002_000.png", "images_002/images/00000003_000.png"]);
    fs::write(root.join("test_list.txt"), "00000002_000.png\n").unwrap();
    fs::write(root.join("train_val_list.txt"), "00000001_000.png\r\n00000001_001.png\r\n").unwrap();
    let table = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age\n\
                 00000001_000.png,Cardiomegaly|Emphysema,0,1,58\n\
                 00000001_001.png,No Finding,1,1,58\n\
                 00000002_000.png,Emphysema,0,2,81\n\
                 00000009_000.png,Emphysema,0,9,81\n";
    let set = read(root, "Data_Entry_2017.csv", table.as_bytes(), &TableRule::default()).unwrap();
    assert_eq!((set.task, &set.classes[..]), (Task::AnyOf, &["Cardiomegaly".to_owned(), "Emphysema".to_owned()][..]));
    assert_eq!(
        films(&set),
        [
            "train images_001/images/00000001_000.png 11 1",
            "train images_001/images/00000001_001.png 00 1",
            "test images_002/images/00000002_000.png 01 2",
        ]
    );
    assert_eq!(set.patients.get(&PatientSource::Table), Some(&3));
    let facts = set.layout.films().map(|(_, film)| (film.facts.split, film.facts.row, film.patient()));
    assert_eq!(
        facts.collect::<Vec<_>>(),
        [
            (Some(Split::Train), Some(2), Some("1")),
            (Some(Split::Train), Some(3), Some("1")),
            (Some(Split::Test), Some(4), Some("2")),
        ]
    );
    assert_eq!(passed_over(&set), [(".txt", 2), (".csv", 1), ("without a label in the table", 1)]);
    assert!(set.notes[0].contains("the labels of 3 of the 4 films in"), "{:?}", set.notes);
    assert!(set.notes[1].starts_with("1 row of") && set.notes[1].ends_with("(the first in line 5: 00000009_000.png)"));
}

#[test]
fn a_table_in_which_no_film_has_a_label_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &["00000001_000.png", "00000002_000.png"]);
    let table = "Image Index,Finding Labels\n00000001_000.png,No Finding\n00000002_000.png,No Finding\n";
    let error = read(dir.path(), "t.csv", table.as_bytes(), &TableRule::default()).unwrap_err().to_string();
    assert!(
        error.ends_with("no row of a film that is there names a label: there is nothing to tell films apart by"),
        "{error}"
    );
}

#[test]
fn a_selection_of_nih_with_one_finding_a_film_has_labels_still() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &["00000001_000.png", "00000002_000.png"]);
    let table = "Image Index,Finding Labels\n00000001_000.png,Pneumonia\n00000002_000.png,No Finding\n";
    let set = read(dir.path(), "some.csv", table.as_bytes(), &TableRule::default()).unwrap();
    assert_eq!((set.task, &set.classes[..]), (Task::AnyOf, &["Pneumonia".to_owned()][..]));
    assert_eq!(films(&set), ["- 00000001_000.png 1 00000001", "- 00000002_000.png 0 00000002"]);
}

#[test]
fn chexpert_has_a_column_a_label_and_uncertain_ones() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["train/patient00001/study1/view1_frontal.jpg", "train/patient00001/study2/view1_frontal.jpg"]);
    put(root, &["valid/patient64541/study1/view1_frontal.jpg"]);
    let table = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema\n\
                 CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,\n\
                 CheXpert-v1.0-small/train/patient00001/study2/view1_frontal.jpg,Female,68,Frontal,AP,,-1.0,0.0\n\
                 CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,1.0,0.0\n";
    for (uncertain, second) in [(Uncertain::Ignore, "??0"), (Uncertain::Positive, "?10"), (Uncertain::Negative, "?00")]
    {
        let rule = TableRule { uncertain, ..TableRule::default() };
        let set = read(root, "train.csv", table.as_bytes(), &rule).unwrap();
        assert_eq!(set.classes, ["No Finding", "Cardiomegaly", "Edema"]);
        assert_eq!(
            films(&set),
            [
                "train train/patient00001/study1/view1_frontal.jpg 1?? patient00001".to_owned(),
                format!("train train/patient00001/study2/view1_frontal.jpg {second} patient00001"),
                "val valid/patient64541/study1/view1_frontal.jpg 010 patient64541".to_owned(),
            ]
        );
    }
}

#[test]
fn rsna_and_covid_name_their_films_in_their_own_ways() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["stage_2_train_images/0004cfab.dcm", "stage_2_train_images/00436515.dcm"]);
    let table =
        "patientId,x,y,width,height,Target\n0004cfab,,,,,0\n00436515,264,152,213,379,1\n00436515,562,152,256,453,1\n";
    let set = read(root, "stage_2_train_labels.csv", table.as_bytes(), &TableRule::default()).unwrap();
    assert_eq!(set.classes, ["0", "1"]);
    assert_eq!(set.layout.films().filter(|(_, film)| film.label == Label::Class(1)).count(), 1);

    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["images/a.jpg", "images/b.png"]);
    let table = "patientid,offset,sex,age,finding,view,folder,filename\n\
                 2,0,M,65,Pneumonia/Viral/COVID-19,PA,images,a.jpg\n4,5,F,52,No Finding,PA,images,b.png\n";
    let set = read(root, "metadata.csv", table.as_bytes(), &TableRule::default()).unwrap();
    assert_eq!(films(&set), ["- images/a.jpg Pneumonia/Viral/COVID-19 2", "- images/b.png No Finding 4"]);
}

#[test]
fn tables_of_other_splits_beside_a_train_table_are_joined() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["train/patient1/study1/a.jpg", "train/patient2/study1/b.jpg", "valid/patient3/study1/c.jpg"]);
    let header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pneumonia\n";
    let row = |path: &str, values: &str| format!("CheXpert-v1.0-small/{path},F,60,Frontal,AP,{values}\n");
    let valid = row("valid/patient3/study1/c.jpg", ",1.0,0.0");
    fs::write(root.join("valid.csv"), format!("{header}{valid}")).unwrap();
    fs::write(root.join("test.csv"), "Path\ntrain/patient1/study1/a.jpg\n").unwrap();
    let table = [header, &row("train/patient1/study1/a.jpg", ",,1.0"), &row("train/patient2/study1/b.jpg", "1.0,,")];
    let set = read(root, "train.csv", table.concat().as_bytes(), &TableRule::default()).unwrap();
    let splits: Vec<String> =
        films(&set).iter().map(|film| film.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        splits,
        ["train train/patient1/study1/a.jpg", "train train/patient2/study1/b.jpg", "val valid/patient3/study1/c.jpg"]
    );
    let rows: Vec<Option<u64>> = set.layout.films().map(|(_, film)| film.facts.row).collect();
    assert_eq!(rows, [Some(2), Some(3), None], "a row is one of the table that was named");
    let said = format!("{} lies beside it: its 1 rows are the val split", root.join("valid.csv").display());
    assert!(set.notes.contains(&said), "{:?}", set.notes);
    // Under another name it is read by itself.
    let set = read(root, "all.csv", table.concat().as_bytes(), &TableRule::default()).unwrap();
    assert!(set.layout.len() == 2 && passed_over(&set).contains(&("without a label in the table", 1)), "{set:?}");
    // Two tables that contradict each other.
    let other = format!("{header}{}", row("train/patient1/study1/a.jpg", ",1.0,0.0"));
    fs::write(root.join("valid.csv"), other).unwrap();
    let error = read(root, "train.csv", table.concat().as_bytes(), &TableRule::default()).unwrap_err().to_string();
    assert!(error.contains("has another label or split in line 2"), "{error}");
}

#[test]
fn a_table_may_name_films_that_lie_elsewhere_by_their_whole_paths() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (root, other) = (dir.path(), other.path());
    put(root, &["a.png", "b.png"]);
    put(other, &["c.png", "a.png"]);
    let [c, a, d] = ["c.png", "a.png", "d.png"].map(|name| other.join(name).display().to_string());
    // The film of a name that the folder has is the folder's, as where a table was made on another machine.
    let table = format!("path,label,split\na.png,A,val\nb.png,B,\n{c},A,\n{d},B,\n");
    let set = read(root, "labels.csv", table.as_bytes(), &TableRule::default()).unwrap();
    let films: Vec<(String, Option<Split>)> =
        set.layout.films().map(|(split, film)| (film.path.display().to_string(), split)).collect();
    let at = |name: &str| root.join(name).display().to_string();
    assert_eq!(
        films,
        [(at("b.png"), Some(Split::Train)), (c.clone(), Some(Split::Train)), (at("a.png"), Some(Split::Val))]
    );
    let said = format!("1 of them is not in {}: {} has the whole path", root.display(), at("labels.csv"));
    assert!(set.notes.contains(&said), "{:?}", set.notes);
    let missing = set.notes.iter().find(|note| note.contains("have no film there")).unwrap();
    assert!(missing.contains(&d), "{missing}");
    let table = format!("path,label\n{a},A\nb.png,B\n");
    let set = read(root, "labels.csv", table.as_bytes(), &TableRule::default()).unwrap();
    assert!(set.layout.films().all(|(_, film)| film.path.starts_with(root)), "{:?}", set.layout);
}

#[test]
fn a_plain_table_may_say_all_and_columns_may_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["a.png", "sub/b.png", "sub/c.png"]);
    let table = "path;label;patient;split\r\na.png;sick;p1;train\r\nsub\\b.png;\"well\";p2;Validation\r\nsub/c.png;;p3;test\r\n";
    let set = read(root, "l.csv", table.as_bytes(), &TableRule::default()).unwrap();
    assert_eq!(films(&set), ["train a.png sick p1", "val sub/b.png well p2"]);
    assert_eq!(set.layout.films().map(|(_, film)| film.facts.row).collect::<Vec<_>>(), [Some(2), Some(3)]);
    assert!(
        set.notes.iter().any(|note| note.contains("1 row of") && note.contains("have no label")),
        "{:?}",
        set.notes
    );
    assert_eq!(passed_over(&set), [(".csv", 1), ("without a label in the table", 1)]);
    let table = "Bild\tBefund\na\tkrank\nb\tgesund\n";
    let rule = TableRule {
        columns: Columns { path: "Bild".into(), label: "Befund".into(), ..Columns::default() },
        ..TableRule::default()
    };
    let set = read(root, "l.tsv", table.as_bytes(), &rule).unwrap();
    assert_eq!(films(&set), ["- a.png krank a", "- sub/b.png gesund sub/b"]);
    assert!(matches!(set.layout, Layout::Flat(_)));
    // Without --labels, a labels.csv of such a kind is found where there are no class folders.
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &["images/a.png", "images/b.png"]);
    fs::write(dir.path().join("labels.csv"), "path,label\na.png,x\nb.png,y\n").unwrap();
    let set = FilmSource::find(dir.path()).unwrap().list(&PatientRule::default()).unwrap();
    assert_eq!(films(&set), ["- images/a.png x images/a", "- images/b.png y images/b"]);
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, &["a.png", "b.png", "x/c.png", "y/c.png"]);
    for (table, part) in [
        ("", "line 1: the table is empty"),
        ("PK\u{3}\u{4}xl/workbook.xml", "the file is a ZIP archive or an Office file, and no table: export it as CSV"),
        ("name,what\n", "set columns.label"),
        ("path,label,split\na.png,1,later\n", "line 2: later is no split: train, val or test"),
        ("path,label\na.png,1\nb.png,1\na.png,2\n", "line 4: a.png has another label or split in line 2"),
        ("path,label\nz.png,1\n", "none of the 1 rows of"),
        ("path,label\n../a.png,1\n", "none of the 1 rows of"),
    ] {
        let error = read(root, "t.csv", table.as_bytes(), &TableRule::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let set = read(root, "t.csv", b"path,label\na.png,1\nb.png,2\nc.png,1\n", &TableRule::default()).unwrap();
    assert!(set.notes.iter().any(|note| note.contains("name several films and count for none")), "{:?}", set.notes);
    assert_eq!(set.layout.len(), 2);
    let lost = FilmSource::table(root, root.join("none.csv"), TableRule::default()).list(&PatientRule::default());
    assert!(matches!(lost, Err(DataError::Read { .. })));
}
