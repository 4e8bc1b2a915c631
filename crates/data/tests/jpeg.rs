//! Every kind of JPEG against libjpeg-turbo, as Pillow and imagecodecs use it, sample by sample. The files and values come
//! from `golden/data/jpegs.py`.

#![allow(clippy::print_stdout, reason = "a test says what it measured")]

use std::fs;
use std::path::{Path, PathBuf};

use lungfish_data::{Channels, DecodeError, Image, decode};
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data")
}

fn bytes(file: &str) -> Vec<u8> {
    fs::read(golden().join("jpeg").join(file)).unwrap()
}

fn number(case: &Value, name: &str) -> usize {
    case[name].as_u64().unwrap() as usize
}

/// The cases of a kind, with the name of the file of each and all values.
fn cases(kind: &str) -> (Vec<(String, Value)>, Vec<u8>) {
    let json: Value = serde_json::from_slice(&fs::read(golden().join("jpegs.json")).unwrap()).unwrap();
    let cases = json[kind].as_array().unwrap();
    let named = |case: &Value| (case["file"].as_str().unwrap().to_owned(), case.clone());
    (cases.iter().map(named).collect(), fs::read(golden().join("jpegs.bin")).unwrap())
}

fn read(file: &str, channels: Channels) -> Image {
    decode(&bytes(file), channels).unwrap_or_else(|error| panic!("{file} as {channels:?}: {error}"))
}

fn said(bytes: &[u8]) -> String {
    decode(bytes, Channels::Gray).unwrap_err().to_string()
}

/// 16-bit values of a case, the low byte first.
fn words(case: &Value, blob: &[u8], channels: usize) -> Vec<u32> {
    let count = number(case, "width") * number(case, "height") * channels;
    let pairs = blob[number(case, "offset")..][..2 * count].as_chunks().0;
    pairs.iter().map(|pair| u16::from_le_bytes(*pair).into()).collect()
}

#[test]
fn pixels_are_pillows_to_the_bit() {
    let (cases, blob) = cases("pixels");
    assert!(cases.len() > 150);
    for (file, case) in cases {
        let channels = if case["channels"] == "gray" { Channels::Gray } else { Channels::Rgb };
        let image = read(&file, channels);
        assert_eq!((image.width, image.height), (number(&case, "width"), number(&case, "height")), "{file}");
        assert!(image.pixels == blob[number(&case, "offset")..][..image.pixels.len()], "{file} as {channels:?}");
    }
}

#[test]
fn samples_of_more_bits_are_libjpegs() {
    let (cases, blob) = cases("samples");
    assert!(cases.len() > 10);
    for (file, case) in cases {
        let most = (1_u32 << number(&case, "bits")) - 1;
        let expected = words(&case, &blob, 1).into_iter().map(|sample| ((sample * 255 + most / 2) / most) as u8);
        let image = read(&file, Channels::Gray);
        assert_eq!((image.width, image.height), (number(&case, "width"), number(&case, "height")), "{file}");
        assert!(image.pixels.into_iter().eq(expected), "{file}");
    }
}

#[test]
fn jpegs_in_dicoms_hold_what_pydicom_reads() {
    let (cases, blob) = cases("dicoms");
    for (file, case) in cases {
        let count = number(&case, "channels");
        let most = (1_u32 << number(&case, "bits")) - 1;
        let image = read(&file, if count == 1 { Channels::Gray } else { Channels::Rgb });
        let expected = words(&case, &blob, count).into_iter().map(|v| (f64::from(v * 255) / f64::from(most)).round());
        let apart = image.pixels.iter().zip(expected).map(|(ours, theirs)| ours.abs_diff(theirs as u8)).max().unwrap();
        println!("{file}: {apart} levels");
        // Pydicom's plugin rounds the inverse transform and the colours in its own way.
        let tolerance = if file.starts_with("lossless") { 0 } else { [1, 4][usize::from(count == 3)] };
        assert!(apart <= tolerance, "{file}: {apart} levels");
    }
}

/// A scan that ends too early, with an end marker behind it.
#[test]
fn how_much_of_a_film_is_there_is_said() {
    let (cases, _) = cases("cuts");
    assert!(cases.len() > 20);
    for (file, case) in cases {
        let cut = [&bytes(&file)[..number(&case, "length")], b"\xff\xd9"].concat();
        let Err(DecodeError::Incomplete { rows, of, .. }) = decode(&cut, Channels::Gray) else {
            panic!("{file}: {:?}", decode(&cut, Channels::Gray).map(|image| image.width))
        };
        let theirs = number(&case, "rows");
        println!("{file} {}: {rows} of {of} rows, {theirs} in Pillow's picture", number(&case, "length"));
        // What Pillow fills up with may be what was there.
        assert!(of == 29 && rows <= theirs && theirs - rows <= 16, "{file}: {rows} of {of}, not {theirs}");
    }
    let half = bytes("gray_2x2.jpg");
    let half = [&half[..449], b"\xff\xd9"].concat();
    assert_eq!(said(&half), "the JPEG holds only the first 8 of its 29 rows (27 %)");
}

#[test]
fn a_small_file_that_claims_much_is_refused_from_what_it_holds() {
    for name in ["gray_2x2.jpg", "2x2_1x1_1x1.jpg", "only_dc_gray.jpg", "lossless_1.jpg", "twelve.jpg"] {
        let mut file = bytes(name);
        let frame = file.windows(2).position(|pair| pair[0] == 0xff && (0xc0..=0xc3).contains(&pair[1])).unwrap();
        file[frame + 5..frame + 9].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
        let said = said(&file);
        assert!(said.ends_with("holds not one whole row of its 10000"), "{name}: {said}");
    }
}

#[test]
fn a_film_of_more_scans_than_any_is_refused() {
    let whole = bytes("only_dc_gray.jpg");
    let begins = |marker: u8| whole.windows(2).rposition(|pair| pair == [0xff, marker]).unwrap();
    // Its scan over and over.
    let (scan, end) = (begins(0xda), begins(0xd9));
    let many = |times: usize| [&whole[..scan], &whole[scan..end].repeat(times), &whole[end..]].concat();
    assert_eq!(decode(&many(500), Channels::Gray).unwrap(), decode(&whole, Channels::Gray).unwrap());
    assert_eq!(said(&many(501)), "the JPEG is damaged: it has more than 500 scans");
}
