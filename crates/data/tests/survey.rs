//! What a folder holds, counted.

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::{golden_bytes, write_film};
use lungfish_data::survey::{Copies, Patients, Spread};
use lungfish_data::{Channels, FilmSource, PatientRule, Split, Survey, decode, survey, synth};

fn look(root: &Path) -> Survey {
    let folder = FilmSource::find(root).unwrap().list(&PatientRule::default()).unwrap();
    survey(&folder, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn put(root: &Path, name: &str, golden: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, golden_bytes(golden)).unwrap();
}

#[test]
fn films_patients_kinds_and_copies_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "train/NORMAL/IM-0001-0001.jpeg", "gray_baseline.jpg");
    put(root, "train/NORMAL/IM-0001-0002.png", "gray_16.png");
    // The very content of a film of the other class, and of one on the other split.
    put(root, "train/PNEUMONIA/person1_virus_1.jpeg", "gray_baseline.jpg");
    put(root, "train/PNEUMONIA/person2_virus_2.jpeg", "colour_420.jpg");
    put(root, "test/PNEUMONIA/person2_virus_3.jpeg", "gray_in_colour_420.jpg");
    put(root, "test/PNEUMONIA/person3_virus_4.png", "gray_16.png");
    fs::write(root.join("test/PNEUMONIA/person4_virus_5.jpeg"), b"<html>").unwrap();

    let survey = look(root);
    assert_eq!((survey.films, survey.coloured, survey.synthetic), (6, 1, 0));
    let splits: Vec<_> = survey.splits.iter().map(|s| (s.split, s.films.clone(), s.patients, s.bad)).collect();
    assert_eq!(splits, [(Some(Split::Train), vec![2, 2], 3, 0), (Some(Split::Test), vec![0, 2], 2, 1)]);
    let classes: Vec<_> = survey.classes.iter().map(|c| (c.name.as_str(), c.films, c.patients)).collect();
    assert_eq!(classes, [("NORMAL", 2, 1), ("PNEUMONIA", 4, 3)]);
    assert_eq!(survey.classes[0].sizes, [[61, 47], [31, 23]]);
    assert_eq!(survey.width, Some(Spread { least: 31, median: 61, most: 61 }));
    assert_eq!(survey.height, Some(Spread { least: 23, median: 47, most: 47 }));
    let kinds: Vec<String> = survey
        .kinds
        .iter()
        .map(|k| format!("{} {} {} {}", k.films, k.source.format, k.source.mode, k.source.bits))
        .collect();
    assert_eq!(kinds, ["2 JPEG gray 8", "2 JPEG RGB 8", "2 PNG gray 16"]);
    assert_eq!(survey.patients, Patients { count: 4, most_films: 2, on_two_splits: 1, in_two_classes: 0 });
    assert_eq!(survey.copies, Copies { films: 2, on_two_splits: 2, in_two_classes: 4 });
    assert_eq!(survey.bad.len(), 1);
    assert!(survey.bad[0].path.ends_with("person4_virus_5.jpeg") && survey.bad[0].reason.starts_with("not an image"));
    let lengths = |names: &[&str]| names.iter().map(|name| golden_bytes(name).len() as u64).sum::<u64>();
    assert_eq!(survey.splits[1].bytes, lengths(&["gray_in_colour_420.jpg", "gray_16.png"]));
    assert_eq!(survey.bytes, survey.splits[0].bytes + survey.splits[1].bytes);
}

#[test]
fn a_copy_is_one_of_pixels_whatever_its_file_is() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "A/1.jpeg", "gray_baseline.jpg");
    // The same picture with something behind its end, as some cameras and programs leave it.
    let longer = [golden_bytes("gray_baseline.jpg"), b"made by a program".to_vec()].concat();
    fs::create_dir_all(dir.path().join("B")).unwrap();
    fs::write(dir.path().join("B/2.jpeg"), longer).unwrap();
    assert_eq!(look(dir.path()).copies, Copies { films: 1, on_two_splits: 0, in_two_classes: 2 });
}

#[test]
fn intensity_is_the_gray_that_a_network_sees_each_film_counting_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["colour_420.jpg", "gray_8.png", "cmyk_8.tif"];
    for name in names {
        put(dir.path(), &format!("A/{name}"), name);
    }
    let survey = look(dir.path());
    let mut expected = vec![0.0; 256];
    let mut brightness = 0.0;
    for name in names {
        let image = decode(&golden_bytes(name), Channels::Gray).unwrap();
        for &v in &image.pixels {
            expected[usize::from(v)] += 1.0 / (image.pixels.len() * names.len()) as f64;
            brightness += f64::from(v) / (image.pixels.len() * names.len()) as f64;
        }
    }
    let class = &survey.classes[0];
    assert!(class.intensity.iter().zip(&expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-9));
    assert!((class.intensity.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!((class.brightness.unwrap() - brightness).abs() < 1e-6);
}

#[test]
fn the_answer_is_the_same_for_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    synth(dir.path(), 60, 5).unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| look(dir.path()))
    };
    let one = with(1);
    assert_eq!(one, with(3));
    assert_eq!((one.films, one.synthetic), (60, 60));
}

#[test]
fn it_can_be_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..200 {
        write_film(&dir.path().join(format!("A/{number:03}.bmp")), number);
    }
    let folder = FilmSource::find(dir.path()).unwrap().list(&PatientRule::default()).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let mut told = Vec::new();
    let broken = pool.install(|| {
        survey(&folder, &mut |done| {
            told.push(done);
            if done > 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    assert!(broken.is_none());
    assert_eq!(told, [16, 32]);
    let mut last = 0;
    survey(&folder, &mut |done| {
        last = done;
        ControlFlow::Continue(())
    });
    assert_eq!(last, 200);
}

#[test]
fn a_folder_in_which_nothing_can_be_read_has_no_metrics() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("A")).unwrap();
    fs::write(dir.path().join("A/a.png"), b"").unwrap();
    let survey = look(dir.path());
    assert_eq!((survey.films, survey.width, survey.classes[0].brightness), (0, None, None));
    assert_eq!((survey.splits[0].split, survey.splits[0].bad), (None, 1));
    let json = serde_json::to_value(&survey).unwrap();
    assert_eq!(json["unreadable"][0]["reason"], "the file is empty (0 bytes)");
    assert_eq!(json["splits"][0]["split"], serde_json::Value::Null);
}
