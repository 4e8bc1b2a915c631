//! JPEG XL in DICOM and by itself, sample by sample. Films and samples come from `golden/data/jpegxl.py`: libjxl wrote the files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lungfish_data::{Channels, Mode, Source, decode, decode::decode_with_source};
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(golden().join("jpegxl").join(name)).unwrap()
}

fn said(bytes: &[u8]) -> String {
    decode(bytes, Channels::Gray).expect_err("it is refused").to_string()
}

/// Where the codestream begins in a file.
fn codestream(file: &[u8]) -> usize {
    let pixels = file.windows(4).position(|tag| tag == [0xe0, 0x7f, 0x10, 0]).unwrap();
    pixels + file[pixels..].windows(2).position(|two| two == [0xff, 0x0a]).unwrap()
}

/// The file with another codestream, in one piece.
fn with_code(file: &[u8], code: &[u8]) -> Vec<u8> {
    let pixels = file.windows(4).position(|tag| tag == [0xe0, 0x7f, 0x10, 0]).unwrap();
    let mut made = [&file[..pixels + 12], &[0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0]].concat();
    made.extend([0xfe, 0xff, 0, 0xe0]);
    made.extend((code.len().next_multiple_of(2) as u32).to_le_bytes());
    made.extend(code);
    made.extend(std::iter::repeat_n(0, code.len() % 2));
    made.extend([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
    made
}

#[test]
fn every_film_has_the_samples_that_were_encoded() {
    let told: Value = serde_json::from_slice(&fs::read(golden().join("jpegxl.json")).unwrap()).unwrap();
    let blob = fs::read(golden().join("jpegxl.bin")).unwrap();
    let mut kinds = [0; 3];
    for film in told.as_array().unwrap() {
        let name = film["file"].as_str().unwrap();
        let number = |key: &str| film[key].as_u64().unwrap() as usize;
        let (width, height, channels, bits) = (number("width"), number("height"), number("channels"), number("bits"));
        let samples = &blob[number("offset")..][..2 * width * height * channels];
        let samples = samples.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair));
        // Without a window the stored range spans from black to white; where values are signed, the least of them is black.
        let half = if name == "signed.dcm" { 1_u32 << (bits - 1) } else { 0 };
        let most = (1_u32 << bits) - 1;
        let level = |sample: u16| {
            let value = (u32::from(sample) + half) & most;
            (255.0 * f64::from(value) / f64::from(most) + 0.5).floor() as u8
        };
        let (asked, mode) = if channels == 1 { (Channels::Gray, Mode::Gray) } else { (Channels::Rgb, Mode::Rgb) };
        let (image, source) = decode_with_source(&bytes(name), asked).unwrap_or_else(|error| panic!("{name}: {error}"));
        let format = if name.ends_with(".dcm") { "DICOM" } else { "JPEG XL" };
        assert_eq!(source, Source { format, mode, bits: bits as u8 }, "{name}");
        assert_eq!((image.width, image.height, image.pixels.len()), (width, height, samples.len()), "{name}");
        // Of more bits a level is made of several samples: what is lossy is within one of them.
        let within = if number("within") == 0 { 0 } else { 1 };
        let most_apart = samples.map(level).zip(&image.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most_apart <= within, "{name}: a level is {most_apart} from what was encoded");
        kinds[match (name.ends_with(".dcm"), within) {
            (true, 0) => 0,
            (true, _) => 1,
            _ => 2,
        }] += 1;
    }
    assert!(kinds[0] >= 18 && kinds[1] >= 6 && kinds[2] >= 3, "{kinds:?}");
}

/// A level of 8 bits hides the last bits of a sample: a window of 256 values at a time shows them.
#[test]
fn each_value_of_16_bits_is_exact() {
    let film = bytes("every_level.dcm");
    for first in (0..1 << 16).step_by(256) {
        // (0028,1050) and (0028,1051), as they are written before the pixels.
        let number = |element: u16, value: i32| {
            let text = format!("{value:<6}");
            let mut made = [&[0x28, 0][..], &element.to_le_bytes(), b"DS", &6_u16.to_le_bytes()].concat();
            made.extend(text.as_bytes());
            made
        };
        // LINEAR_EXACT would need a width of 255, LINEAR goes from the centre less half of the width less one.
        let window = [number(0x1050, first + 128), number(0x1051, 256)].concat();
        let pixels = film.windows(4).position(|tag| tag == [0xe0, 0x7f, 0x10, 0]).unwrap();
        let shown = [&film[..pixels], &window, &film[pixels..]].concat();
        let image = decode(&shown, Channels::Gray).unwrap();
        // The film has each value once, in order.
        for (value, level) in image.pixels.iter().enumerate() {
            let expected = (value as i32 - first).clamp(0, 255);
            assert_eq!(i32::from(*level), expected, "value {value} in a window from {first}");
        }
    }
}

#[test]
fn a_film_that_is_cut_is_refused() {
    for name in ["gray_12_effort_7.dcm", "box_file.dcm", "in_any.dcm", "lossy_gray.dcm", "rgb.dcm"] {
        let whole = bytes(name);
        // Before the sequence's end and what fills up the last piece.
        let code = &whole[codestream(&whole)..whole.len() - 10];
        for percent in [99, 90, 50, 20, 2] {
            let cut = with_code(&whole, &code[..code.len() * percent / 100]);
            let error = said(&cut);
            assert!(error.contains("DICOM is truncated") || error.contains("DICOM is damaged"), "{name}: {error}");
        }
    }
    let whole = bytes("gray_16.jxl");
    for end in 2..whole.len() {
        assert!(decode(&whole[..end], Channels::Gray).is_err(), "the first {end} of {} bytes", whole.len());
    }
    let bare = bytes("gray_8.jxl");
    assert_eq!(said(&bare[..bare.len() / 2]), "the JPEG XL is truncated: the file ends before the picture does");
}

#[test]
fn a_few_bytes_are_no_film_of_100_megapixels() {
    // The first bytes of a film that is black and nothing else.
    let blank = bytes("blank.jxl");
    let film = bytes("gray_8_effort_7.dcm");
    for (file, format) in [(blank.clone(), "JPEG XL"), (with_code(&film, &blank), "DICOM")] {
        let begun = Instant::now();
        let reason = format!("its {} bytes cannot hold 9000x11000 pixels of a film", blank.len());
        assert!(said(&file).starts_with(&format!("the {format} is damaged: {reason}")), "{}", said(&file));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    assert_eq!(said(&bytes("beyond.jxl")), "65536x2048 pixels are more than the 100 megapixels allowed");
}

#[test]
fn what_is_no_film_is_told() {
    let film = bytes("gray_8_effort_7.dcm");
    let with = |name: &str| {
        let other = bytes(name);
        let start = codestream(&other);
        said(&with_code(&film, &other[start..]))
    };
    assert_eq!(with("rgb.dcm"), "the DICOM is damaged: its JPEG XL holds other samples than its header says");
    let larger = "the DICOM is damaged: its encoded pixels are 256x256 and its header says 61x47";
    assert_eq!(with("every_level.dcm"), larger);
    let supported = "is not supported; JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF, JPEG 2000 and JPEG XL are";
    assert_eq!(said(&bytes("float.jxl")), format!("a JPEG XL of floating-point samples {supported}"));
    assert_eq!(said(&bytes("two.jxl")), "a JPEG XL of several pictures: a film is one");
    // Transparency is dropped.
    let (image, source) = decode_with_source(&bytes("alpha.jxl"), Channels::Gray).unwrap();
    assert_eq!((source.mode, image.pixels.len()), (Mode::GrayAlpha, 61 * 47));
}
