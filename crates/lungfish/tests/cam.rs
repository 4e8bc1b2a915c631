//! Heat maps of what a network reads, with a known answer: films of one class have a bright mark in a corner, and nothing
//! else differs.

// Figures, for --nocapture.
#![allow(clippy::print_stdout)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use lungfish::{HeatMap, MapsFolder, Prediction, Predictor, Silent, Watch, ensemble};
use lungfish_data::preprocess::resize;
use lungfish_data::{Channels, Decoding, Image, decode_file};

/// Five by five cells of 32 pixels.
const SIDE: usize = 160;

/// Writes a square gray picture as BMP.
fn write_bmp(path: &Path, image: &Image) {
    let (side, offset) = (image.width as u32, 54_u32);
    let mut bytes = b"BM".to_vec();
    for word in [offset + 3 * side * side, 0, offset, 40, side, side, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    // From the bottom.
    let rows = image.pixels.chunks_exact(image.width).rev();
    bytes.extend(rows.flatten().flat_map(|value| [*value; 3]));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Synthetic films of one class, every other one with a bright mark of 22 pixels in the corner at the right and bottom.
fn with_marks(dir: &Path) -> PathBuf {
    let drawn = films_below(&synthetic(dir, 150));
    let drawn = drawn.iter().filter(|path| path.parent().unwrap().ends_with("NORMAL"));
    let data = dir.join("marked");
    let mut count = 0;
    for (index, path) in drawn.enumerate() {
        let options = lungfish_data::DecodeOptions { channels: Channels::Gray, decoding: Decoding::DEFAULT };
        let mut image = resize(decode_file(path, options).unwrap(), SIDE, SIDE);
        let class = if index % 2 == 0 { "MARKED" } else { "NORMAL" };
        if class == "MARKED" {
            for row in SIDE - 27..SIDE - 5 {
                image.pixels[row * SIDE + SIDE - 27..row * SIDE + SIDE - 5].fill(255);
            }
        }
        let split = ["train", "train", "val", "test"][index / 2 % 4];
        write_bmp(&data.join(split).join(class).join(format!("p{index}.bmp")), &image);
        count += 1;
    }
    assert!(count >= 60, "{count}");
    data
}

fn predicted(model: &Path, films: &Path) -> Vec<Prediction> {
    let mut predictor = Predictor::open(model).unwrap().with_maps().unwrap();
    predictor.predict(&[films.to_owned()], &mut Watch::new(&mut Silent, &GO)).unwrap().films
}

fn mean(films: &[Prediction]) -> Vec<f64> {
    let maps: Vec<&HeatMap> = films.iter().map(|film| film.map.as_ref().unwrap()).collect();
    let of = |cell: usize| maps.iter().map(|map| f64::from(map.values[cell])).sum::<f64>() / maps.len() as f64;
    (0..maps[0].values.len()).map(of).collect()
}

#[test]
fn a_model_that_learnt_a_mark_points_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = with_marks(dir.path());
    let settings = [&format!("image_size={SIDE}"), "frozen_epochs=12", "frozen_views=1", "batch_size=8", "epochs=0"];
    let seeded = |seed: usize| {
        let run = dir.path().join(format!("run{seed}"));
        trained(&data, &run, &[&settings[..], &[&format!("seed={seed}")]].concat());
        run
    };
    let runs = [1, 2].map(seeded);
    let marked = predicted(&runs[0], &data.join("test/MARKED"));
    let plain = predicted(&runs[0], &data.join("test/NORMAL"));
    assert!(marked.len() >= 6 && plain.len() >= 6);
    let right = marked.iter().filter(|film| film.called.has("MARKED")).count();
    assert!(right * 10 >= marked.len() * 9, "{right} of {} are told by their mark", marked.len());

    // The corner at the right and bottom says the most, and more than the same corner without a mark.
    let (with, without) = (mean(&marked), mean(&plain));
    let largest = (0..25).max_by(|a, b| with[*a].total_cmp(&with[*b])).unwrap();
    assert_eq!(largest, 24, "{with:?}");
    assert!(with[24] > 2.0 * without[24].abs(), "{} and {}", with[24], without[24]);
    let border = |films: &[Prediction]| {
        films.iter().filter_map(|film| film.map.as_ref().unwrap().evidence().border).sum::<f64>() / films.len() as f64
    };
    println!("corner {:.3} of {with:.3?}, without {without:.3?}, border {:.3}", with[24], border(&marked));
    // 0.36 where the evidence is the same everywhere; 0.75 where it is all in that corner.
    assert!(border(&marked) > 0.5, "{}", border(&marked));
    for film in marked.iter().chain(&plain) {
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
    ensemble(&runs, &both).unwrap();
    let (of_both, of_second) =
        (predicted(&both, &data.join("test/MARKED")), predicted(&runs[1], &data.join("test/MARKED")));
    for ((both, first), second) in of_both.iter().zip(&marked).zip(&of_second) {
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
    assert_eq!(MapsFolder::new(&arrays).unwrap().write(&marked).unwrap(), marked.len());
    assert_eq!(fs::read_dir(&arrays).unwrap().count(), marked.len() + 1);
    drawn(&runs[0], &data, &marked);
}

#[cfg(not(feature = "pictures"))]
fn drawn(_: &Path, _: &Path, _: &[Prediction]) {}

/// Maps in pictures: of a prediction, and of errors, which are made by giving each film the other class.
#[cfg(feature = "pictures")]
fn drawn(run: &Path, data: &Path, marked: &[Prediction]) {
    use lungfish::{TestRequest, plot_prediction, test};
    let out = data.join("drawn");
    let predictor = Predictor::open(run).unwrap();
    let svg = out.join("film.svg");
    plot_prediction(predictor.info(), &marked[0], &svg).unwrap();
    let text = fs::read_to_string(&svg).unwrap();
    for words in ["speaks for MARKED and against it", "in the border", "not where disease is", "5 x 5 cells"] {
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
