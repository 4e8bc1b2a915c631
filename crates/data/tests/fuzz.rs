//! Damaged files for every parser of foreign bytes of this package: decoders, the split file, the film cache.

mod common;
#[path = "common/damage.rs"]
mod damage;

use std::fs;
use std::path::Path;

use common::golden_bytes;
use damage::try_with;
use lungfish_data::{
    Channels, ContentHash, Decoding, Equalize, FilmCache, FilmSource, Fit, PatientRule, Preprocess, Splits, Task,
    decode,
};

/// Decodes damaged copies of films, gray and in colour in turn.
fn films(what: &str, names: &[&str]) {
    let files: Vec<Vec<u8>> = names.iter().map(|name| golden_bytes(name)).collect();
    let mut turn = 0;
    let (_, refused) = try_with(what, 400, &files, |bytes| {
        turn += 1;
        let channels = if turn % 2 == 0 { Channels::Gray } else { Channels::Rgb };
        let image = decode(bytes, channels).map_err(|error| error.to_string())?;
        assert_eq!(image.pixels.len(), image.width * image.height * image.channels.count());
        assert_eq!(image.channels, channels);
        Ok(image)
    });
    assert!(refused > 0 || damage::cases(400) < 50, "{what}: nothing was damaged");
}

#[test]
fn sequential_jpegs() {
    films("baseline JPEG", &["gray_baseline.jpg", "gray_restarts.jpg", "colour_420.jpg", "colour_cmyk_420.jpg"]);
    films(
        "JPEG of several scans",
        &[
            "../jpeg/1x2_1x1_1x1_luma_apart_restarts.jpg",
            "../jpeg/2x2_2x1_1x2_apart.jpg",
            "../jpeg/2x4_1x1_1x1.jpg",
            "../jpeg/steps_of_16_bits.jpg",
            "../jpeg/adobe_0.jpg",
            "../jpeg/twelve_restarts.jpg",
        ],
    );
}

#[test]
fn progressive_jpegs() {
    films(
        "progressive JPEG",
        &[
            "gray_progressive.jpg",
            "colour_422_progressive.jpg",
            "colour_ycck_progressive.jpg",
            "../jpeg/2x2_2x1_1x2_progressive.jpg",
            "../jpeg/only_some_2x2.jpg",
            "../jpeg/only_dc_narrow.jpg",
        ],
    );
}

#[test]
fn lossless_jpegs() {
    films(
        "lossless JPEG",
        &[
            "gray_lossless.jpg",
            "gray_lossless_12.jpg",
            "../jpeg/lossless_16_transform.jpg",
            "../jpeg/lossless_rgb_apart.jpg",
            "../jpeg/lossless_transform.jpg",
        ],
    );
}

#[test]
fn pngs() {
    films("PNG", &["gray_8.png", "gray_8_interlaced.png", "palette_4.png", "rgba_16_interlaced.png"]);
}

#[test]
fn tiffs() {
    films(
        "TIFF",
        &[
            "gray_8_lzw.tif",
            "gray_8_jpeg.tif",
            "gray_1_fax4.tif",
            "rgb_8_deflate.tif",
            "colour_jpeg.tif",
            "palette_4_big_endian.tif",
            "palette_8_packbits.tif",
            "rgb_8_planar.tif",
            "rgb_16_tiled.tif",
        ],
    );
}

#[test]
fn rarer_tiffs() {
    let names = [
        "turned_8_lzw",
        "fax_group3",
        "fax_group3_2d_turned",
        "fax_group4",
        "fax_tiff_ccitt",
        "float_32_predicted",
        "float_64",
        "int_32_predicted",
        "uint_64_of_12",
        "gray_12",
        "planar_tiled_16",
        "planar_lzw_predicted",
        "rgb_and_one_predicted",
        "rgb_multiplied_16",
        "palette_of_bytes",
        "lzw_from_the_lowest_bit",
        "colour_old_jpeg",
        "packbits_without_lengths",
    ];
    let names: Vec<String> = names.iter().map(|name| format!("../tiffs/{name}.tif")).collect();
    films("rarer TIFF", &names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn bmps() {
    films("BMP", &["palette_4.bmp", "rgb_24.bmp", "rgb_565.bmp", "rgb_32_top_down.bmp", "bits_1.bmp"]);
    let names =
        ["rle_8.bmp", "rle_4.bmp", "rle_8_moved.bmp", "bare.dib", "rgb_24_short_header.bmp", "rgb_24_masks.bmp"];
    let names: Vec<String> = names.iter().map(|name| format!("../tiffs/{name}")).collect();
    films("rarer BMP", &names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn rarer_containers() {
    films("WebP", &["gray_lossless.webp", "colour_lossy.webp", "alpha.webp"]);
    films("GIF", &["colour.gif", "animated.gif", "../tiffs/beside_transparent.gif", "../tiffs/beyond_the_canvas.gif"]);
    films("JPEG 2000", &["gray_lossless.jp2", "gray_lossy.j2k", "gray_12.jp2"]);
    films("JPEG XL", &["../jpegxl/gray_16.jxl", "../jpegxl/rgb_8.jxl", "../jpegxl/alpha.jxl", "../jpegxl/blank.jxl"]);
}

#[test]
fn dicoms() {
    let names = ["plain", "voi_lut_implicit", "big_endian", "deflated", "rle", "no_preamble", "modality_lut_window"];
    let names: Vec<String> = names.iter().map(|name| format!("../dicom/{name}.dcm")).collect();
    films("DICOM", &names.iter().map(String::as_str).collect::<Vec<_>>());
    films(
        "JPEG in a DICOM",
        &[
            "../jpeg/extended_12.dcm",
            "../jpeg/baseline_ycc.dcm",
            "../jpeg/lossless_12_any.dcm",
            "../jpeg/lossless_rgb.dcm",
        ],
    );
    let names = [
        "gray_8_effort_7",
        "gray_12_effort_1",
        "gray_16_effort_9",
        "box_file",
        "groups",
        "rgb",
        "lossy_gray",
        "lossy_rgb",
        "recompressed_420",
        "recompressed_gray",
    ];
    let names: Vec<String> = names.iter().map(|name| format!("../jpegxl/{name}.dcm")).collect();
    films("JPEG XL in a DICOM", &names.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Runs all of it on one thread of its own: a few films at a time are not worth waking others, which takes most of a case.
fn alone(test: impl FnOnce() + Send) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(test);
}

/// A damaged `.npz` gives films that are there, or one sentence.
#[test]
fn npzs() {
    alone(damaged_npzs);
}

fn damaged_npzs() {
    let dir = tempfile::tempdir().unwrap();
    let (file, mut turn) = (dir.path(), 0);
    let files = ["pneumoniamnist", "chestmnist", "other_rgb"].map(|name| golden_bytes(&format!("../npz/{name}.npz")));
    try_with("npz", 400, &files, |bytes| {
        // Another name each time: a file is opened once.
        turn += 1;
        let path = file.join(format!("{turn}.npz"));
        fs::write(&path, bytes).unwrap();
        let listed = FilmSource::find(&path).and_then(|source| source.list(&PatientRule::default()));
        let films = listed.map_err(|error| error.to_string()).map(|set| set.layout.films().count().min(40));
        if let Ok(films) = films {
            for number in 0..films {
                let _ = lungfish_data::decode_file(&path.join(format!("train/{number:06}")), Channels::Gray);
            }
        }
        fs::remove_file(&path).unwrap();
        films
    });
}

/// A damaged table of any kind gives labels for films that are there, or one sentence.
#[test]
fn tables() {
    alone(damaged_tables);
}

fn damaged_tables() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..4 {
        common::write_film(&dir.path().join(format!("{i}.bmp")), i);
    }
    let file = dir.path().join("table.csv");
    let texts = [
        "Image Index,Finding Labels,Patient ID\n0.bmp,Mass|Edema,1\n1.bmp,No Finding,2\n2.bmp,Edema,2\n",
        "path;label;split\r\n\"0.bmp\";a;train\r\n1.bmp;b;test\r\n3.bmp;a;val\r\n",
        "\u{feff}Path,Sex,No Finding,Edema\nx/0.bmp,F,1.0,\nx/1.bmp,M,-1.0,0.0\n",
    ];
    let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let (kept, refused) = try_with("table", 1000, &texts, |bytes| {
        fs::write(&file, bytes).unwrap();
        let source = FilmSource::table(dir.path(), &file, lungfish_data::TableRule::default());
        let set = source.list(&PatientRule::default()).map_err(|error| error.to_string())?;
        assert!((1..=4).contains(&set.layout.len()) && !set.classes.is_empty());
        Ok(())
    });
    assert!(damage::cases(1000) < 50 || kept > 0 && refused > 0, "{kept} read, {refused} refused");
}

/// What is read of a damaged split file is written as a file that reads the same.
#[test]
fn split_files() {
    let dir = tempfile::tempdir().unwrap();
    let (path, root) = (dir.path().join("split.csv"), Path::new("/films"));
    let classes = ["NORMAL", "PNEUMONIA"].map(str::to_owned);
    let mut text = Splits::default().to_csv(root, &classes);
    for (i, name) in ["train", "val", "test", "train"].into_iter().enumerate() {
        let (class, hash) = (&classes[i % 2], ContentHash::of(&[i as u8]));
        text += &format!("{class}/film\\x1b{i}.png,{class},\"person, {i}\",{name},{hash},\n");
    }
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Splits::read_csv(&path, root, Task::OneOf, &classes).map_err(|error| error.to_string())
    };
    assert!(read(text.as_bytes()).is_ok(), "{:?}", read(text.as_bytes()));
    let (kept, refused) = try_with("split.csv", 1000, &[text.into_bytes()], |bytes| {
        let split = read(bytes)?;
        let written = split.to_csv(root, &classes);
        let again = read(written.as_bytes()).expect("what was written is read");
        assert_eq!(again.to_csv(root, &classes), written);
        Ok(())
    });
    assert!(damage::cases(1000) < 50 || kept > 0 && refused > 0, "{kept} read, {refused} refused");
}

/// A damaged table of labels gives a row for each film, or one sentence.
#[test]
fn label_tables() {
    alone(damaged_label_tables);
}

fn damaged_label_tables() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "path,mass,node\n".to_string();
    for (i, row) in ["1,0", ",1", "0,", "1,1"].into_iter().enumerate() {
        common::write_film(&dir.path().join(format!("{i}.bmp")), i);
        text += &format!("{i}.bmp,{row}\n");
    }
    let (kept, refused) = try_with("labels.csv", 1000, &[text.into_bytes()], |bytes| {
        fs::write(dir.path().join("labels.csv"), bytes).unwrap();
        let listed = FilmSource::find(dir.path()).and_then(|source| source.list(&PatientRule::default()));
        let set = listed.map_err(|error| error.to_string())?;
        // With another first column it is a table as of others, in which rows may name no film.
        assert!((1..=4).contains(&set.layout.len()) && !set.classes.is_empty());
        Ok(())
    });
    assert!(damage::cases(1000) < 50 || kept > 0 && refused > 0, "{kept} read, {refused} refused");
}

/// A damaged film cache gives a film's own pixels or none.
#[test]
fn film_caches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.cache");
    let preprocess = Preprocess {
        channels: Channels::Gray,
        fit: Fit::Crop,
        size: 16,
        equalize: Equalize::None,
        decoding: Decoding::DEFAULT,
        mean: [0.5; 3],
        std: [0.25; 3],
    };
    let films: Vec<(ContentHash, Vec<u8>)> =
        (0..5u8).map(|i| (ContentHash::of(&[i]), (0..=255).map(|v: u8| v.wrapping_mul(i)).collect())).collect();
    let open = || FilmCache::open(&path, &preprocess, 1 << 20);
    let cache = open().unwrap();
    films.iter().for_each(|(hash, pixels)| cache.put(*hash, pixels));
    drop(cache);
    let whole = fs::read(&path).unwrap();
    let (mut kept, mut lost) = (0, 0);
    try_with("film cache", 1000, &[whole], |bytes| {
        fs::write(&path, bytes).unwrap();
        let cache = open().map_err(|error| error.to_string())?;
        for (hash, pixels) in &films {
            match cache.get(*hash) {
                Some(found) => {
                    assert_eq!(found, *pixels);
                    kept += 1;
                }
                None => lost += 1,
            }
        }
        // A film that was lost can be kept again.
        cache.put(films[0].0, &films[0].1);
        assert_eq!(cache.get(films[0].0).as_ref(), Some(&films[0].1));
        Ok(())
    });
    assert!(damage::cases(1000) < 50 || kept > 0 && lost > 0, "{kept} kept, {lost} lost");
}
