//! Pixels against Pillow's and torchvision's, element by element. The values come from `golden/data/make.py`.

#![allow(clippy::print_stdout, reason = "a test says what it measured and what it skipped")]

use std::fs;
use std::path::PathBuf;

use lungfish_data::augment::{
    Affine, Alteration, Interpolation, USUAL_CLIP_LIMIT, clahe, equalize, mirror, requantise, rotate, unsharp, warp,
};
use lungfish_data::preprocess::{center_crop, resize};
use lungfish_data::{Channels, DecodeOptions, Decoding, Equalize, Fit, Image, Preprocess, decode_file};
use serde_json::Value;

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../golden/data")
}

/// The cases of a file, each with its expected picture.
fn cases(name: &str) -> Vec<(Value, Image)> {
    let json = fs::read(golden().join(format!("{name}.json"))).unwrap();
    let blob = fs::read(golden().join(format!("{name}.bin"))).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let cases = json["cases"].as_array().unwrap();
    let with_image = |case: &Value| {
        let number = |name: &str| case[name].as_u64().unwrap() as usize;
        let channels = if case["channels"] == "gray" { Channels::Gray } else { Channels::Rgb };
        let (width, height, offset) = (number("width"), number("height"), number("offset"));
        let pixels = blob[offset..][..width * height * channels.count()].to_vec();
        (case.clone(), Image { width, height, channels, pixels })
    };
    cases.iter().map(with_image).collect()
}

/// The largest difference of any pixel; shapes must be the same.
fn difference(ours: &Image, theirs: &Image, what: &str) -> u8 {
    assert_eq!((ours.width, ours.height, ours.channels), (theirs.width, theirs.height, theirs.channels), "{what}");
    assert_eq!(ours.pixels.len(), theirs.pixels.len(), "{what}");
    ours.pixels.iter().zip(&theirs.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

fn preprocess(image: &Image, fit: Fit, size: usize, equalize: Equalize) -> Preprocess {
    Preprocess {
        channels: image.channels,
        fit,
        size,
        equalize,
        decoding: lungfish_data::Decoding::DEFAULT,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}

#[test]
fn decoded_pixels_are_pillows() {
    let cases = cases("decode");
    assert_eq!(cases.len(), 2 * 66, "66 pictures, as gray and as RGB");
    for (case, expected) in cases {
        let file = case["file"].as_str().unwrap();
        let image = decode_file(&golden().join("files").join(file), expected.channels).unwrap();
        let most = difference(&image, &expected, file);
        assert_eq!(most, 0, "{file} as {:?}", expected.channels);
    }
}

#[test]
fn rarer_containers_hold_the_pixels_that_pillow_sees() {
    let cases = cases("containers");
    assert_eq!(cases.len(), 2 * 14, "14 pictures, as gray and as RGB");
    for (case, expected) in cases {
        let file = case["file"].as_str().unwrap();
        let image = decode_file(&golden().join("files").join(file), expected.channels)
            .unwrap_or_else(|e| panic!("{file}: {e}"));
        let most = difference(&image, &expected, file);
        println!("{file} {:?}: {most}", expected.channels);
        // What is lossy is rounded by each decoder in its own way.
        assert!(most <= if file.contains("lossy") { 1 } else { 0 }, "{file} as {:?}: {most} levels", expected.channels);
    }
}

/// Rarer TIFF, BMP and GIF: Pillow's pixels, and where Pillow refuses or clips them, those of stated rules
/// (`golden/data/tiffs.py`).
#[test]
fn rarer_tiffs_and_bitmaps_hold_the_pixels_that_they_should() {
    let cases = cases("tiffs");
    assert_eq!(cases.len(), 116);
    for (case, expected) in cases {
        let file = case["file"].as_str().unwrap();
        let sample_bits = case["sample_bits"].as_u64().map(|bits| bits as u8);
        let decoding = Decoding { sample_bits, ..Decoding::DEFAULT };
        let options = DecodeOptions { channels: expected.channels, decoding };
        let path = golden().join("tiffs").join(file);
        let image = decode_file(&path, options).unwrap_or_else(|e| panic!("{file}: {e}"));
        let most = difference(&image, &expected, file);
        assert_eq!(most, 0, "{file} as {:?}", expected.channels);
    }
}

#[test]
fn transforms_are_torchvisions_to_the_bit() {
    let cases = cases("transforms");
    assert_eq!(cases.len(), 5 * (7 + 6 + 11 + 1 + 2 * 3 + 1));
    for (case, expected) in cases {
        let path = golden().join("files").join(case["file"].as_str().unwrap());
        let image = decode_file(&path, expected.channels).unwrap();
        let number = |i: usize| case["args"][i].as_f64().unwrap();
        let side = |i: usize| number(i) as usize;
        let fitted = |fit: Fit, image: Image| preprocess(&image, fit, side(0), Equalize::None).apply(image);
        let ours = match case["op"].as_str().unwrap() {
            "resize" => resize(image, side(0), side(1)),
            "center_crop" => center_crop(image, side(0), side(1)),
            "rotate" => rotate(&image, number(0)),
            "flip" => {
                let mut image = image;
                mirror(&mut image);
                image
            }
            "crop" => fitted(Fit::Crop, image),
            "squash" => fitted(Fit::Squash, image),
            "pad" => fitted(Fit::Pad, image),
            "chain" => {
                let mut image = rotate(&fitted(Fit::Crop, image), number(1));
                mirror(&mut image);
                image
            }
            op => panic!("no operation {op}"),
        };
        let what = case.to_string();
        let most = difference(&ours, &expected, &what);
        assert_eq!(most, 0, "{what}: {most} levels");
    }
}

/// Steps of the augmentation, in fixed point or single floats, against Pillow, OpenCV, NumPy and SciPy (`golden/data/augment.py`).
#[test]
fn alterations_are_within_a_level() {
    let cases = cases("augment");
    assert_eq!(cases.len(), 3 * (2 * 5 + 3 + 2 + 3 + 1 + 3 + 2 + 2 * 2 + 2 * 8));
    for (case, expected) in cases {
        let path = golden().join("files").join(case["file"].as_str().unwrap());
        let mut image = decode_file(&path, expected.channels).unwrap();
        let number = |i: usize| case["args"][i].as_f64().unwrap();
        let affine = || Affine {
            degrees: number(0),
            scale: [number(1), number(2)],
            shift: [number(3), number(4)],
            mirrored: number(5) == 1.0,
        };
        let op = case["op"].as_str().unwrap();
        match op {
            "affine" => image = warp(&image, &affine(), Interpolation::Bilinear),
            "affine_nearest" => image = warp(&image, &affine(), Interpolation::Nearest),
            "downsample" => Alteration { downsample: number(0), ..Alteration::none() }.apply(&mut image),
            "unsharp" => unsharp(&mut image, number(0) as f32),
            "tone" => {
                let [gamma, contrast, brightness] = [0, 1, 2].map(number);
                Alteration { gamma, contrast, brightness, ..Alteration::none() }.apply(&mut image);
            }
            "equalize" => equalize(&mut image),
            "clahe" => clahe(&mut image, number(0)),
            "resized_clahe" => {
                image = resize(image, number(0) as usize, number(1) as usize);
                clahe(&mut image, USUAL_CLIP_LIMIT);
            }
            "jpeg" => requantise(&mut image, number(0) as u8),
            "extreme_jpeg" => {
                image.pixels.iter_mut().for_each(|level| *level = *level % 2 * 255);
                requantise(&mut image, number(0) as u8);
            }
            "square_equalize" => {
                image = preprocess(&image, Fit::Pad, number(0) as usize, Equalize::Histogram).apply(image)
            }
            "square_clahe" => image = preprocess(&image, Fit::Pad, number(0) as usize, Equalize::Clahe).apply(image),
            op => panic!("no operation {op}"),
        }
        let what = case.to_string();
        let most = difference(&image, &expected, &what);
        let unequal = image.pixels.iter().zip(&expected.pixels).filter(|(a, b)| a != b).count();
        let share = unequal as f64 / expected.pixels.len() as f64;
        println!("{op} {:?} {most} levels, {:.2} % of the pixels", expected.channels, 100.0 * share);
        match op {
            // A place half way between two pixels may go to either of them.
            "affine_nearest" => assert!(share < 0.005, "{what}: {share} of the pixels differ"),
            // Pillow cuts the fraction off where we round: ours are the same or one above.
            "affine" => {
                let below = image.pixels.iter().zip(&expected.pixels).filter(|(ours, theirs)| ours < theirs).count();
                assert!(most <= 1 && below * 100 <= expected.pixels.len(), "{what}: {most} levels, {below} below");
            }
            "unsharp" | "tone" => assert!(most <= 1 && share < 0.02, "{what}: {most} levels, {share} of the pixels"),
            // What Pillow, OpenCV and libjpeg count in whole numbers, or in single floats in a known order.
            _ => assert_eq!(most, 0, "{what}"),
        }
    }
}
