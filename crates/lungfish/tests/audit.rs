//! What an audit finds in films of which it is known what is wrong with them.

use std::fs;
use std::path::Path;

use crate::common::{GO, trained};
use lungfish::audit::Shortcut;
use lungfish::{Audit, AuditRequest, Channels, Error, Silent, Watch, audit, decode_file};

/// Synthetic films as BMP, whose files are as long as their pixels are many; `change` may draw into the gray pixels of each.
fn films(root: &Path, change: impl Fn(&str, usize, &mut [u8])) {
    let drawn = tempfile::tempdir().unwrap();
    lungfish_data::synth(drawn.path(), 100, 7).unwrap();
    for split in ["train", "val", "test"] {
        for class in ["NORMAL", "PNEUMONIA"] {
            let (from, to) = (drawn.path().join(split).join(class), root.join(split).join(class));
            fs::create_dir_all(&to).unwrap();
            for film in fs::read_dir(from).unwrap() {
                let path = film.unwrap().path();
                let mut image = decode_file(&path, Channels::Gray).unwrap();
                change(class, image.width, &mut image.pixels);
                let name = path.file_stem().unwrap().to_string_lossy().into_owned() + ".bmp";
                fs::write(to.join(name), bmp(image.width, image.height, &image.pixels)).unwrap();
            }
        }
    }
}

/// A BMP of 24 bits whose rows go down.
fn bmp(width: usize, height: usize, gray: &[u8]) -> Vec<u8> {
    let row = (3 * width).div_ceil(4) * 4;
    let mut bytes = b"BM".to_vec();
    let numbers = [54 + (row * height) as u32, 0, 54, 40, width as u32, (height as u32).wrapping_neg(), 1 | 24 << 16];
    numbers.iter().chain(&[0; 6]).for_each(|number| bytes.extend(number.to_le_bytes()));
    for line in gray.chunks_exact(width) {
        line.iter().for_each(|v| bytes.extend([*v; 3]));
        bytes.resize(bytes.len() + row - 3 * width, 0);
    }
    bytes
}

fn found(root: &Path) -> Audit {
    let mut request = AuditRequest::new(root);
    request.suspects = false;
    audit(&request, &mut Watch::new(&mut Silent, &GO)).unwrap()
}

fn of<'a>(audit: &'a Audit, what: &str) -> &'a Shortcut {
    audit.shortcuts.iter().find(|found| found.what == what).unwrap_or_else(|| panic!("{what}: {audit:?}"))
}

#[test]
fn a_frame_around_one_class_is_found_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    films(dir.path(), |class, width, pixels| {
        if class == "PNEUMONIA" {
            pixels.chunks_exact_mut(width).for_each(|row| row[..6].fill(255));
        }
    });
    let audit = found(dir.path());
    assert!(!audit.leakage.any(), "{:?}", audit.leakage);
    assert_eq!(audit.leakage.patients, Some(0));
    assert_eq!(audit.films, audit.train + audit.test);
    let border = of(&audit, "the border of the film");
    assert!(border.train.auc > 0.9 && border.test.as_ref().unwrap().auc > 0.95, "{border:?}");
    assert!(audit.verdict.contains("PNEUMONIA can be told from the other films by"), "{}", audit.verdict);
    assert!(audit.verdict.contains("by the border of the film (AUC "), "{}", audit.verdict);
}

#[test]
fn what_the_files_tell_alone_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    films(dir.path(), |_, _, _| {});
    for split in ["train", "val", "test"] {
        for film in fs::read_dir(dir.path().join(split).join("NORMAL")).unwrap() {
            // Behind the pixels, where no decoder looks.
            let path = film.unwrap().path();
            let longer = [fs::read(&path).unwrap(), vec![0; 5000]].concat();
            fs::write(path, longer).unwrap();
        }
    }
    let audit = found(dir.path());
    let file = of(&audit, "the file alone");
    assert!(file.train.auc > 0.999 && file.test.as_ref().unwrap().auc > 0.999, "{file:?}");
    assert_eq!(file.alone[0].name, "bytes a pixel");
    // The direction is that of the films to learn from.
    assert!(file.alone[0].train.auc > 0.999 && file.alone[0].test.as_ref().unwrap().auc > 0.999);
    assert!(audit.verdict.contains("bytes a pixel alone 1.00, on the test split 1.00"), "{}", audit.verdict);
}

#[test]
fn films_on_two_splits_and_in_two_classes_are_leakage() {
    let dir = tempfile::tempdir().unwrap();
    films(dir.path(), |_, _, _| {});
    let first = |place: &str| {
        let mut films: Vec<_> =
            fs::read_dir(dir.path().join(place)).unwrap().map(|film| film.unwrap().path()).collect();
        films.sort();
        films.remove(0)
    };
    let twin = first("train/PNEUMONIA").file_name().unwrap().to_owned();
    fs::copy(first("test/NORMAL"), dir.path().join("train/NORMAL/copy.bmp")).unwrap();
    fs::copy(first("train/NORMAL"), dir.path().join("train/PNEUMONIA/other.bmp")).unwrap();
    fs::copy(first("val/PNEUMONIA"), dir.path().join("test/PNEUMONIA").join(&twin)).unwrap();
    let audit = found(dir.path());
    // The film of the val split stands on the test split under the name of a patient of the train split.
    assert_eq!(audit.leakage.copies_on_two_splits, 4, "{:?}", audit.leakage);
    assert_eq!(audit.leakage.copies_in_two_classes, 2, "{:?}", audit.leakage);
    assert_eq!(audit.leakage.patients, Some(1), "{twin:?}: {:?}", audit.leakage);
    assert_eq!(audit.leakage.copies.len(), 3);
    assert!(audit.verdict.starts_with("Films lie where they must not"), "{}", audit.verdict);
}

#[test]
fn the_answer_is_the_same_for_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    films(dir.path(), |_, _, _| {});
    fs::write(dir.path().join("train/NORMAL/cut.bmp"), b"BM").unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(|| found(dir.path()))).unwrap()
    };
    let one = with(1);
    assert!(one.contains("cut.bmp"));
    assert_eq!(one, with(3));
}

#[test]
fn a_folder_without_films_or_of_films_none_of_which_can_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |root: &Path| audit(&AuditRequest::new(root), &mut Watch::new(&mut Silent, &GO)).unwrap_err();
    assert!(matches!(refused(&dir.path().join("nothing")), Error::Data(_)));
    for class in ["A", "B"] {
        fs::create_dir_all(dir.path().join(class)).unwrap();
        fs::write(dir.path().join(class).join("1.bmp"), b"BM").unwrap();
    }
    assert!(refused(dir.path()).to_string().starts_with("none of the 2 films in"));
}

/// A film of train lies on the test split cropped, mirrored and with other gray levels; no other film is near another.
#[test]
fn copies_that_are_not_the_same_pixels_are_found_on_another_split() {
    let dir = tempfile::tempdir().unwrap();
    films(dir.path(), |_, _, _| {});
    let clean = found(dir.path());
    assert_eq!((clean.leakage.near_copies, clean.leakage.any()), (0, false), "{:?}", clean.leakage.near);
    let mut paths: Vec<_> =
        fs::read_dir(dir.path().join("train/NORMAL")).unwrap().map(|film| film.unwrap().path()).collect();
    paths.sort();
    let film = decode_file(&paths[3], Channels::Gray).unwrap();
    let (width, height) = (film.width, film.height);
    let rows = || film.pixels.chunks_exact(width);
    let cropped: Vec<u8> = rows().skip(height / 10).flat_map(|row| row[width / 8..].to_vec()).collect();
    let mirrored: Vec<u8> = rows().flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>()).collect();
    let darker: Vec<u8> =
        film.pixels.iter().map(|value| (f64::from(*value).powf(1.3) / 255_f64.powf(0.3) * 0.9) as u8).collect();
    let copies = [
        ("cropped", width - width / 8, height - height / 10, cropped),
        ("mirrored", width, height, mirrored),
        ("darker", width, height, darker),
    ];
    for (name, width, height, pixels) in copies {
        let path = dir.path().join("test/NORMAL").join(format!("{name}.bmp"));
        fs::write(&path, bmp(width, height, &pixels)).unwrap();
        let leaky = found(dir.path()).leakage;
        // Other films of its patient may be near it as well; the film itself is the surest.
        let near = leaky.near.first().unwrap_or_else(|| panic!("{name}: {leaky:?}"));
        let both = [&near.film, &near.copy].map(|path| path.rsplit('/').next().unwrap().to_owned());
        let patient = &paths[3].file_name().unwrap().to_str().unwrap()[.."IM-0000".len()];
        assert!(both.contains(&format!("{name}.bmp")) && both.iter().any(|film| film.starts_with(patient)), "{near:?}");
        assert_eq!(leaky.near_copies, 1, "{leaky:?}");
        assert_eq!((near.mirrored, leaky.any()), (name == "mirrored", true));
        fs::remove_file(path).unwrap();
    }
}

/// Of a model it is told which films had a part in it, and that numbers without lungs tell what it calls where it learnt them.
#[test]
fn a_model_is_asked_about_the_films_that_it_may_know() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("films"), dir.path().join("run"));
    // What tells the classes apart is how bright the films are, and nothing else is in them.
    films(&data, |class, _, pixels| {
        pixels.iter_mut().for_each(|v| *v = *v / 4 + if class == "NORMAL" { 150 } else { 20 })
    });
    trained(&data, &run, &["image_size=64", "frozen_epochs=4"]);
    let of_model = |data: &Path| {
        let mut request = AuditRequest::new(data);
        request.suspects = false;
        request.model = Some(run.clone());
        audit(&request, &mut Watch::new(&mut Silent, &GO)).unwrap()
    };
    let audited = of_model(&data);
    let model = audited.model.as_ref().unwrap();
    assert_eq!((model.known, model.known_on_test), (audited.train, 0), "train and val taught it and chose its epoch");
    assert!(!audited.leaks() && !model.of_new_films, "{model:?}");
    let first = &model.calls[0];
    assert_eq!((first.class.as_str(), first.train.films), ("PNEUMONIA", audited.films));
    assert!(first.train.auc > 0.95, "{first:?}");
    // A film that taught it lies on the test split, under another name.
    let film = fs::read_dir(data.join("train/NORMAL")).unwrap().next().unwrap().unwrap().path();
    fs::rename(film, data.join("test/NORMAL/new.bmp")).unwrap();
    let audited = of_model(&data);
    assert_eq!(audited.model.as_ref().unwrap().known_on_test, 1);
    assert!(
        audited.leaks() && audited.verdict.contains("1 film of the test split had a part in"),
        "{}",
        audited.verdict
    );
    // Beside doubtful labels each network sees its own square.
    let mut request = AuditRequest::new(&data);
    request.model = Some(run.clone());
    let both = audit(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(both.model, audited.model);
    request.model = Some(dir.path().join("none"));
    assert!(audit(&request, &mut Watch::new(&mut Silent, &GO)).is_err());
}
