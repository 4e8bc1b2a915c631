//! Heat maps of what a network reads, with a known answer: each film is there twice, once with a bright mark, and nothing else
//! tells the two classes apart.

// Figures, for --nocapture.
#![allow(clippy::print_stdout)]

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::common::*;
use lungfish::{FilmList, HeatMap, MapsFolder, Prediction, Predictor, Silent, TestRequest, Watch, ensemble, test};
use lungfish_data::preprocess::resize;
use lungfish_data::{Channels, Decoding, Image, decode_file};

/// Five by five cells of 32 pixels.
const SIDE: usize = 160;

/// Two parts of each of some synthetic films of one class, with and without a bright mark on rows and columns `mark`.
fn with_marks(films: &Path, mark: Range<usize>, data: &Path) {
    let films = films_below(films);
    for (index, path) in films.iter().filter(|path| path.parent().unwrap().ends_with("NORMAL")).enumerate() {
        let options = lungfish_data::DecodeOptions { channels: Channels::Gray, decoding: Decoding::DEFAULT };
        let film = decode_file(path, options).unwrap();
        let side = film.width.min(film.height) * 9 / 10;
        for part in 0..2 {
            let (left, top) = ((film.width - side) * part, (film.height - side) * part);
            let row = |row: usize| film.pixels[row * film.width + left..][..side].to_vec();
            let pixels = (top..top + side).flat_map(row).collect();
            let mut image = resize(Image { width: side, height: side, channels: Channels::Gray, pixels }, SIDE, SIDE);
            let split = data.join(["train", "train", "val", "test"][index % 4]);
            let name = format!("p{index}-{part}.bmp");
            write_bmp(&split.join("NORMAL").join(&name), &image);
            for row in mark.clone() {
                image.pixels[row * SIDE..][mark.clone()].fill(255);
            }
            write_bmp(&split.join("MARKED").join(&name), &image);
        }
    }
}

fn predicted(model: &Path, films: &Path) -> Vec<Prediction> {
    let mut predictor = Predictor::open(model).unwrap().with_maps().unwrap();
    predictor.predict(&[films.to_owned()], &mut Watch::new(&mut Silent, &GO)).unwrap().films
}

/// The mean of maps, as one.
fn mean(films: &[Prediction]) -> HeatMap {
    let maps: Vec<&HeatMap> = films.iter().map(|film| film.map.as_ref().unwrap()).collect();
    let of = |cell: usize| maps.iter().map(|map| map.values[cell]).sum::<f32>() / maps.len() as f32;
    let mut mean = maps[0].clone();
    mean.values = (0..mean.values.len()).map(of).collect();
    mean
}

/// The cell that says the most.
fn largest(map: &HeatMap) -> usize {
    (0..map.values.len()).max_by(|a, b| map.values[*a].total_cmp(&map.values[*b])).unwrap()
}

#[test]
fn a_model_that_learnt_a_mark_points_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let films = synthetic(dir.path(), 40);
    // In the first cell of the first row, and in the middle one.
    let learnt = [("corner", 4..32, 0), ("middle", 66..94, 2)].map(|(name, mark, cell)| {
        let (data, run) = (dir.path().join(name), dir.path().join(format!("{name}-run")));
        with_marks(&films, mark, &data);
        let settings = ["image_size=160", "frozen_epochs=30", "frozen_views=1", "batch_size=8", "epochs=0", "lr=0.003"];
        trained(&data, &run, &[&settings[..], &["best=auc", "val_views=0"]].concat());
        let [marked, plain] = ["MARKED", "NORMAL"].map(|class| predicted(&run, &data.join("test").join(class)));
        let right = marked.iter().filter(|film| film.called.has("MARKED")).count();
        assert!(marked.len() >= 8 && right * 5 >= marked.len() * 4, "{right} of {} are told", marked.len());

        // The largest is no more than a cell from the mark, each of which sees it, and what the mark adds lies around it.
        let (of_marked, mut added) = (mean(&marked), mean(&plain));
        added.values.iter_mut().zip(&of_marked.values).for_each(|(plain, marked)| *plain = marked - *plain);
        let near = |place: usize| (place / 5).abs_diff(cell) <= 1 && (place % 5).abs_diff(cell) <= 1;
        for map in [&of_marked, &added] {
            assert!(near(largest(map)), "{name}: {map:?}");
        }
        let sum = |of: &dyn Fn(usize) -> bool| -> f32 {
            added.values.iter().enumerate().filter(|(place, v)| of(*place) && **v > 0.0).map(|(_, v)| *v).sum()
        };
        let (share, area) = (sum(&near) / sum(&|_| true), (0..25).filter(|place| near(*place)).count() as f32 / 25.0);
        let evidence = of_marked.evidence();
        println!("{name}: {share:.2} of what the mark adds is around it, {area:.2} of the area; {evidence:?}");
        assert!(share > 1.7 * area, "{name}: {share}, {added:?}");
        (run, data, marked, plain, evidence)
    });
    // A mark in the corner has far more of the evidence outside the middle and in the border than one in the middle.
    let [corner, middle] = [0, 1].map(|at| {
        let (.., evidence) = &learnt[at];
        [evidence.outside_center.unwrap(), evidence.border.unwrap()]
    });
    assert!(corner[0] > 2.0 * middle[0] && corner[1] > 2.0 * middle[1], "{corner:?}, {middle:?}");

    let [(first, data, marked, plain, _), (second, ..)] = &learnt;
    let runs = [first.clone(), second.clone()];
    for film in marked.iter().chain(plain) {
        let map = film.map.as_ref().unwrap();
        assert_eq!((map.of.as_str(), map.rows, map.columns), ("MARKED", 5, 5));
        // The positive class is mapped on every film, whatever it is called.
        let json: serde_json::Value = serde_json::to_value(film).unwrap();
        assert_eq!(json["evidence"]["of"], "MARKED");
        assert!(json["evidence"]["opposing"].as_f64().unwrap() <= 0.0, "{json}");
    }

    // One film in memory has the map of its file, to the bit.
    let mut predictor = Predictor::open(&runs[0]).unwrap().with_maps().unwrap();
    let alone = predictor.predict_bytes(&fs::read(&marked[0].path).unwrap()).unwrap();
    let one = predictor.predict(&[marked[0].path.clone()], &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(alone.map, one.films[0].map);

    // Of an ensemble the mean of the members' maps.
    let both = dir.path().join("both.safetensors");
    ensemble(&runs, &both, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let (of_both, of_second) =
        (predicted(&both, &data.join("test/MARKED")), predicted(&runs[1], &data.join("test/MARKED")));
    for ((both, first), second) in of_both.iter().zip(marked).zip(&of_second) {
        let values = |film: &Prediction| film.map.as_ref().unwrap().values.clone();
        for ((both, first), second) in values(both).iter().zip(values(first)).zip(values(second)) {
            assert!((both - (first + second) / 2.0).abs() < 1e-6, "{both}: {first}, {second}");
        }
    }

    // Without being asked nothing is mapped.
    let mut predictor = Predictor::open(&runs[0]).unwrap();
    let plain = predictor.predict(&[data.join("test/MARKED")], &mut Watch::new(&mut Silent, &GO)).unwrap().films;
    assert!(plain.iter().all(|film| film.map.is_none()));
    let arrays = dir.path().join("arrays");
    assert_eq!(MapsFolder::new(&arrays).unwrap().write(marked).unwrap(), marked.len());
    assert_eq!(fs::read_dir(&arrays).unwrap().count(), marked.len() + 1);
    drawn(&runs[0], data, marked);
    stressed(&learnt[0].0, &learnt[0].1);
}

/// Films of the second batch are decoded while the first one is computed, and are gone before their maps are made.
#[test]
fn a_film_is_read_once_for_its_score_and_its_map() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    trained(&data, &run, &["image_size=64", "hidden=16", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    let films = films_below(&data);
    let mut plain = Predictor::open(&run).unwrap();
    let plain = plain.predict(&films, &mut Watch::new(&mut Silent, &GO)).unwrap().films;
    let mut predictor = Predictor::open(&run).unwrap().with_maps().unwrap();
    let mut said: Vec<lungfish::Outcome> = Vec::new();
    let take = |batch: Vec<lungfish::Outcome>| {
        if said.is_empty() {
            films[batch.len()..].iter().for_each(|film| fs::remove_file(film).unwrap());
        }
        said.extend(batch);
        Ok::<(), lungfish::Error>(())
    };
    predictor.predict_each(&FilmList::new(&films), 0, &mut Watch::new(&mut Silent, &GO), take).unwrap();
    assert!(said.len() == 40 && !films[39].exists());
    for (film, plain) in said.iter().zip(&plain) {
        let film = film.as_ref().unwrap();
        assert!(film.map.is_some(), "{}", film.path.display());
        assert_eq!(film.probabilities, plain.probabilities);
    }
}

#[test]
fn the_map_of_a_class_or_label_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ["image_size=64", "hidden=16", "frozen_epochs=1", "frozen_views=1", "batch_size=8"];
    let (data, run) = (synthetic(dir.path(), 30), dir.path().join("run"));
    trained(&data, &run, &settings);
    let mapped = |run: &Path, of: Option<&str>, films: &Path| {
        let predictor = Predictor::open(run).unwrap();
        let predictor = match of {
            Some(of) => predictor.with_maps_of(of),
            None => predictor.with_maps(),
        };
        let mut predictor = predictor.unwrap();
        predictor.predict(&[films.to_owned()], &mut Watch::new(&mut Silent, &GO)).unwrap().films
    };
    // Of two classes the log-odds of one are those of the other with another sign.
    let test = data.join("test");
    let (default, other) = (mapped(&run, None, &test), mapped(&run, Some("NORMAL"), &test));
    assert_eq!(default, mapped(&run, Some("PNEUMONIA"), &test));
    for (default, other) in default.iter().zip(&other) {
        let [default, other] = [default, other].map(|film| film.map.as_ref().unwrap());
        assert_eq!((default.of.as_str(), other.of.as_str()), ("PNEUMONIA", "NORMAL"));
        assert!(default.values.iter().zip(&other.values).all(|(a, b)| (a + b).abs() < 1e-6), "{default:?} {other:?}");
    }
    let error = Predictor::open(&run).unwrap().with_maps_of("PNEUMONA").unwrap_err().to_string();
    let says = "there is no map of the class PNEUMONA (did you mean PNEUMONIA?): ";
    assert!(error.starts_with(says) && error.ends_with("best.safetensors knows NORMAL, PNEUMONIA"), "{error}");

    // Of labels the one asked for on every film; where that is the most probable one, it is the same map.
    let (data, run) = (dir.path().join("labels"), dir.path().join("labels-run"));
    lungfish_data::synth_any_of(&data, 30, 3).unwrap();
    trained(&data, &run, &settings);
    let (default, asked) =
        (mapped(&run, None, &data.join("test")), mapped(&run, Some("CARDIOMEGALY"), &data.join("test")));
    for (default, asked) in default.iter().zip(&asked) {
        let [default, asked] = [default, asked].map(|film| film.map.as_ref().unwrap());
        assert_eq!(asked.of, "CARDIOMEGALY");
        assert_eq!(default.values == asked.values, default.of == asked.of);
    }
    assert!(Predictor::open(&run).unwrap().with_maps_of("TB").unwrap_err().to_string().contains("the label TB: "));
}

/// Without corners nobody can tell who is marked there; gamma and contrast leave a mark what it is.
fn stressed(run: &Path, data: &Path) {
    let mut request = TestRequest::new(run, data);
    (request.stress, request.pictures, request.out) = (true, false, Some(data.join("stressed")));
    request.groups = vec!["size".to_owned(), "folder".to_owned()];
    let outcome = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(outcome.auc.unwrap() > 0.9, "{:?}", outcome.auc);
    let of = |name: &str| outcome.stress.iter().find(|test| test.change.starts_with(name)).unwrap();
    // The border covers half of the mark.
    let masked = of("corners masked");
    assert!(masked.difference.value.unwrap() < -0.2 && masked.flipped * 4 >= masked.films, "{masked:?}");
    for name in ["gamma 1.4", "contrast 1.4", "saved as JPEG"] {
        assert!(of(name).difference.value.unwrap() > -0.15, "{:?}", of(name));
    }
    assert_eq!(outcome.stress.len(), 10);
    let [size, folder] = &outcome.groups[..] else { panic!("{:?}", outcome.groups) };
    assert_eq!((size.groups.len(), size.groups[0].name.as_str()), (1, "below 512 pixels"));
    assert_eq!(size.groups[0].films, outcome.films);
    let names: Vec<&str> = folder.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["test/MARKED", "test/NORMAL"]);
    assert!(folder.groups.iter().all(|group| group.too_few), "films of one class say nothing of the AUC");
    request.groups = vec!["side".to_owned()];
    let error = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
    assert!(error.starts_with("there is no group side"), "{error}");
}

#[cfg(not(feature = "pictures"))]
fn drawn(_: &Path, _: &Path, _: &[Prediction]) {}

/// Maps in pictures: of a prediction, and of errors, which are made by giving each film the other class.
#[cfg(feature = "pictures")]
fn drawn(run: &Path, data: &Path, marked: &[Prediction]) {
    use lungfish::plot_prediction;
    let out = data.join("drawn");
    let predictor = Predictor::open(run).unwrap();
    let svg = out.join("film.svg");
    plot_prediction(predictor.info(), &marked[0], &svg).unwrap();
    let text = fs::read_to_string(&svg).unwrap();
    for words in ["speaks for MARKED and against it", "in the border", "A map shows what", "5 x 5 cells"] {
        assert!(text.contains(words), "{words}");
    }
    let swapped = data.join("swapped");
    copy(&data.join("test/MARKED"), &swapped.join("NORMAL"));
    let alone = out.join("model.safetensors");
    fs::copy(run.join("best.safetensors"), &alone).unwrap();
    let mut request = TestRequest::new(&alone, &swapped);
    request.out = Some(out.join("results"));
    let outcome = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let last = outcome.pictures.last().unwrap();
    assert_eq!(last.file_name().unwrap(), "worst-errors-cam-test.png");
    let text = fs::read_to_string(last.with_extension("svg")).unwrap();
    for words in ["Worst errors, and what the network read", "one scale for all films", "not where disease is"] {
        assert!(text.contains(words), "{words}");
    }
    // Without an error there is none, and the earlier test's goes.
    let right = data.join("right");
    for (index, film) in marked.iter().filter(|film| film.called.has("MARKED")).enumerate() {
        fs::create_dir_all(right.join("MARKED")).unwrap();
        fs::copy(&film.path, right.join("MARKED").join(format!("{index}.bmp"))).unwrap();
    }
    request.data = right;
    let outcome = test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(outcome.pictures.iter().all(|picture| picture != last) && !last.exists());
}
