//! 12-bit films in 16-bit files, from a training to a prediction.

use std::fs;
use std::path::Path;

use lungfish::{Event, Predictor, Silent, Watch, train};

use crate::common::*;

/// A gray TIFF of 16 bits a sample, 32 by 32 pixels, uncompressed.
fn tiff(path: &Path, sample: impl Fn(usize) -> u16) {
    const SIDE: u32 = 32;
    // Width, height, bits, compression, photometric, offset, samples, rows a strip, bytes.
    let tags = [
        (256, SIDE),
        (257, SIDE),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 0),
        (277, 1),
        (278, SIDE),
        (279, 2 * SIDE * SIDE),
    ];
    let data = 8 + 2 + 12 * tags.len() as u32 + 4;
    let mut bytes = [&b"II*\0"[..], &8_u32.to_le_bytes(), &(tags.len() as u16).to_le_bytes()].concat();
    for (tag, value) in tags {
        let value = if tag == 273 { data } else { value };
        bytes.extend(
            [&(tag as u16).to_le_bytes()[..], &4_u16.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()]
                .concat(),
        );
    }
    bytes.extend(0_u32.to_le_bytes());
    (0..(SIDE * SIDE) as usize).for_each(|at| bytes.extend(sample(at).to_le_bytes()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Light of a film, 0 to 1: the classes differ in where it is bright.
fn light(class: usize, film: usize, at: usize) -> f64 {
    let (x, y) = (at % 32, at / 32);
    let bright = if class == 0 { x < 16 } else { y < 16 };
    (if bright { 0.7 } else { 0.1 }) + 0.01 * ((film * 7 + at) % 13) as f64
}

#[test]
fn the_bits_in_use_are_decided_kept_and_applied_to_later_films() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("films");
    let sample = |most: f64, class, film, at| (light(class, film, at) * most) as u16;
    for (class, name) in ["A", "B"].into_iter().enumerate() {
        for film in 0..20 {
            tiff(&data.join(name).join(format!("{film}.tif")), |at| sample(4095.0, class, film, at));
        }
    }
    let run = dir.path().join("run");
    let mut said = Vec::new();
    let mut hear = |event: &Event| {
        if let Event::Note(text) | Event::Warning(text) = event {
            said.push(text.clone());
        }
    };
    let settings = ["image_size=32", "frozen_epochs=1", "frozen_views=1", "hidden=16", "batch_size=8"];
    train(&request(&data, &run, &settings), &mut Watch::new(&mut hear, &GO)).unwrap();
    let told = "40 films have 16 bits a sample, of which 12 are used: 0 to 4095 becomes 0 to 255";
    assert!(said.iter().any(|text| text == told), "{said:?}");
    assert!(fs::read_to_string(run.join("recipe.toml")).unwrap().contains("\nsample_bits = 12\n"));

    // A model that learnt from 12 bits reads a dark film by them; one that spans 16 contradicts it and is told of.
    let mut predictor = Predictor::open(&run).unwrap();
    assert_eq!(predictor.info().preprocess.decoding.sample_bits, Some(12));
    let (known, wide) = (data.join("A/0.tif"), dir.path().join("wide.tif"));
    let alone = predictor.predict(std::slice::from_ref(&known), &mut Watch::new(&mut Silent, &GO)).unwrap();
    tiff(&wide, |at| sample(65535.0, 0, 0, at));
    let mut warned = Vec::new();
    let mut hear = |event: &Event| {
        if let Event::Warning(text) = event {
            warned.push(text.clone());
        }
    };
    let both = predictor.predict(&[known, wide], &mut Watch::new(&mut hear, &GO)).unwrap();
    let [first, other] = [&both, &alone].map(|found| found.films[0].probabilities[0].1);
    assert!((first - other).abs() < 1e-4, "{first} {other}");
    assert!(warned[0].starts_with("1 of 2 films of 16 bits a sample have samples above 4095"), "{warned:?}");
}

#[test]
fn a_class_that_is_stored_otherwise_is_warned_about() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    // The train films of one class become 12-bit ones.
    let normal = fs::read_dir(data.join("train")).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    for film in films_below(&normal) {
        fs::remove_file(&film).unwrap();
        let number = film.to_string_lossy().len();
        tiff(&film.with_extension("tif"), |at| {
            (light(0, number, at) * 4000.0) as u16 + film.to_string_lossy().bytes().map(u16::from).sum::<u16>() % 90
        });
    }
    let explored = lungfish::explore(&lungfish::ExploreRequest::new(&data), &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(explored.sample_bits, Some(12));
    let caveat = explored.caveats.iter().find(|caveat| caveat.text.contains("are stored differently")).unwrap();
    assert!(caveat.text.contains("% of NORMAL, 0 % of PNEUMONIA"), "{caveat}");
}
