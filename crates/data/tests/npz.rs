//! MedMNIST's files against numpy. They come from `golden/data/medmnist.py`.

use std::fs;
use std::path::{Path, PathBuf};

use lungfish_data::folder::films_in;
use lungfish_data::{Channels, FilmSet, FilmSource, Label, PatientRule, Split, Task, decode_file};
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data")
}

fn list(path: &Path) -> Result<FilmSet, String> {
    let listed = FilmSource::find(path).and_then(|source| source.list(&PatientRule::default()));
    listed.map_err(|error| error.to_string())
}

#[test]
fn films_and_labels_are_numpys() {
    let expected: Value = serde_json::from_slice(&fs::read(golden().join("npz.json")).unwrap()).unwrap();
    for (name, task, classes) in [
        ("pneumoniamnist", Task::OneOf, "normal"),
        ("chestmnist", Task::AnyOf, "atelectasis"),
        ("other_rgb", Task::OneOf, "0"),
    ] {
        let set = list(&golden().join(format!("npz/{name}.npz"))).unwrap();
        assert_eq!((set.task, set.classes[0].as_str()), (task, classes));
        assert_eq!(set.notes.is_empty(), name != "other_rgb");
        set.require_trainable().unwrap();
        for split in Split::ALL {
            let numbers = |what: &str| -> Vec<i64> {
                serde_json::from_value(expected[name][format!("{split}_{what}")]["values"].clone()).unwrap()
            };
            let (images, labels) = (numbers("images"), numbers("labels"));
            let films = set.layout.of(split).unwrap();
            let places = films.iter().map(|film| (film.facts.split, film.facts.row, film.patient()));
            assert!(places.eq((0..films.len() as u64).map(|row| (Some(split), Some(row), None))), "{name}, {split}");
            let (film_len, columns) = (images.len() / films.len(), labels.len() / films.len());
            for (film, (pixels, row)) in films.iter().zip(images.chunks(film_len).zip(labels.chunks(columns))) {
                let channels = if film_len == 63 { Channels::Gray } else { Channels::Rgb };
                let image = decode_file(&film.path, channels).unwrap();
                assert_eq!((image.width, image.height), (7, 9));
                assert_eq!(image.pixels.iter().map(|v| i64::from(*v)).collect::<Vec<_>>(), pixels);
                match &film.label {
                    Label::Class(class) => assert_eq!([*class as i64], row),
                    Label::Row(known) => assert!(known.iter().zip(row).all(|(has, value)| *has == Some(*value == 1))),
                }
            }
        }
        // Numbers are no names: films of two splits are not of one patient.
        let groups: std::collections::BTreeSet<&str> =
            set.layout.films().map(|(_, film)| film.group.as_str()).collect();
        assert_eq!(groups.len(), set.layout.len());
    }
    let beyond = golden().join("npz/pneumoniamnist.npz/train/000012");
    assert!(decode_file(&beyond, Channels::Gray).unwrap_err().to_string().contains("it has no film 12 in train"));
}

#[test]
fn films_are_listed_whether_or_not_they_have_labels() {
    let labelled = golden().join("npz/pneumoniamnist.npz");
    let listed = films_in(&labelled).unwrap();
    assert!(list(&labelled).unwrap().layout.films().map(|(_, film)| &film.path).eq(&listed));
    let bare = golden().join("npz/images_only.npz");
    let listed = films_in(&bare).unwrap();
    assert_eq!((listed.len(), &listed[5]), (6, &bare.join("test/000005")));
    assert!(list(&bare).unwrap_err().contains("it has no train_images and train_labels"));
    let decoded = |file: &Path| decode_file(&file.join("test/000005"), Channels::Rgb).unwrap();
    assert_eq!(decoded(&bare), decoded(&golden().join("npz/other_rgb.npz")));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.NPZ");
    fs::write(&path, b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    let error = films_in(&path).unwrap_err().to_string();
    assert!(error.ends_with("it has no train_images, val_images or test_images, as MedMNIST's files have"), "{error}");
}

#[test]
fn what_is_none_of_these_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npz");
    fs::write(&path, b"PK\x03\x04").unwrap();
    assert!(list(&path).unwrap_err().contains("it is no .npz that can be read"));
    let whole = fs::read(golden().join("npz/chestmnist.npz")).unwrap();
    for end in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..end]).unwrap();
        assert!(list(&path).is_err(), "{end}");
    }
}
