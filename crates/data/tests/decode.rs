//! Files that are no films, or no longer.

mod common;

use std::panic::AssertUnwindSafe;

use common::{golden_bytes, golden_file};
use lungfish_data::decode::decode_with_source;
use lungfish_data::{Channels, DecodeError, decode, decode_file};
use proptest::prelude::*;

const GRAY: Channels = Channels::Gray;

fn reason(bytes: &[u8]) -> String {
    decode(bytes, GRAY).unwrap_err().to_string()
}

#[test]
fn each_kind_of_bad_file_has_its_own_reason() {
    assert_eq!(reason(b""), "the file is empty (0 bytes)");
    assert_eq!(reason(b"hello"), "not an image: neither JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF, JPEG 2000 nor JPEG XL");
    assert_eq!(reason(b"II*\0\x08\0\0\0"), "the TIFF is truncated: the file ends before the picture does");
    assert!(reason(b"RIFF\x10\0\0\0WEBPVP8 ").starts_with("the WebP is "));
    assert_eq!(reason(&[&[0; 128][..], b"DICM"].concat()), "a DICOM without pixels: it has no Rows");
    assert!(reason(b"\0\0\0\x18ftypheic\0\0\0\0").starts_with("a HEIC is not supported"));
    assert!(reason(b"version https://git-lfs.github.com/spec/v1\n").starts_with("not an image but a Git LFS pointer"));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(decode_file(dir.path(), GRAY), Err(DecodeError::NotAFile)));
    assert!(matches!(decode_file(&dir.path().join("none.png"), GRAY), Err(DecodeError::Read(_))));
}

#[test]
fn damage_is_told_in_words() {
    let mut bytes = golden_bytes("gray_8.png");
    let at = bytes.windows(4).position(|tag| tag == b"IDAT").unwrap() + 12;
    bytes[at] ^= 0xff;
    let reason = reason(&bytes);
    assert!(reason.starts_with("the PNG is damaged: ") && !reason.contains(['{', '\n']), "{reason}");
}

#[test]
fn a_film_cut_off_anywhere_is_an_error() {
    for name in [
        "gray_baseline.jpg",
        "gray_progressive.jpg",
        "colour_420.jpg",
        "colour_cmyk.jpg",
        "gray_restarts.jpg",
        "gray_8.png",
        "rgb_24.bmp",
        "gray_8_white_is_zero_tiled.tif",
        "palette_4_big_endian.tif",
        "../tiffs/rle_8.bmp",
        "../tiffs/float_32_predicted.tif",
        "../tiffs/planar_tiled.tif",
    ] {
        let whole = golden_bytes(name);
        let film = decode(&whole, GRAY).unwrap();
        // What is last in these has no part in their pixels: a PNG's end chunk and the checksum before it, the end mark of
        // run-length codes, and where a TIFF's next directory lies.
        let behind = [(".png", 16), ("rle_8.bmp", 4), ("float_32_predicted.tif", 4)];
        let behind = behind.into_iter().find(|(end, _)| name.ends_with(end));
        let pixels_end = whole.len() - behind.map_or(0, |(_, bytes)| bytes);
        for length in 1..whole.len() {
            match decode(&whole[..length], GRAY) {
                Ok(image) => assert!(length >= pixels_end && image == film, "{name} cut to {length} bytes"),
                Err(error) if length > 200 => {
                    assert!(matches!(error, DecodeError::Truncated { .. }), "{name} cut to {length} bytes: {error}");
                }
                Err(_) => {}
            }
        }
    }
    assert_eq!(
        reason(&golden_bytes("gray_baseline.jpg")[..900]),
        "the JPEG is truncated: the file ends before the picture does"
    );
}

#[test]
fn a_jpeg_in_a_tiff_that_is_cut_off_is_an_error() {
    // Its directory moved to the front, so that the cut goes through the pixels.
    let whole = golden_bytes("gray_8_jpeg.tif");
    let directory = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_le_bytes(whole[directory..directory + 2].try_into().unwrap()));
    let offsets = (0..entries)
        .map(|i| directory + 2 + 12 * i)
        .find(|&at| whole[at..at + 2] == 273u16.to_le_bytes())
        .expect("it has strips");
    let mut broken = whole.clone();
    assert_eq!(broken[offsets + 4..offsets + 8], 1u32.to_le_bytes(), "one strip");
    let past_the_end = (whole.len() - 100) as u32;
    broken[offsets + 8..offsets + 12].copy_from_slice(&past_the_end.to_le_bytes());
    assert_eq!(reason(&broken), "the TIFF is truncated: the file ends before the picture does");
}

#[test]
fn tiffs_that_would_come_out_wrong_are_refused() {
    let whole = golden_bytes("gray_16_big_endian.tif");
    let directory = u32::from_be_bytes(whole[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_be_bytes(whole[directory..directory + 2].try_into().unwrap()));
    let with = |tag: u16, other: u16, value: u16| {
        let mut bytes = whole.clone();
        let place = |i: usize| directory + 2 + 12 * i;
        let at = (0..entries).map(place).find(|&at| whole[at..at + 2] == tag.to_be_bytes()).unwrap();
        bytes[at..at + 2].copy_from_slice(&other.to_be_bytes());
        bytes[at + 8..at + 10].copy_from_slice(&value.to_be_bytes());
        reason(&bytes)
    };
    let supported = "is not supported; JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF, JPEG 2000 and JPEG XL are";
    // The orientation's entry (274) is made to say something else.
    assert_eq!(with(274, 339, 5), format!("a TIFF of this kind of sample {supported}"));
    assert!(with(274, 339, 3).starts_with("a TIFF of floating-point samples "), "{}", with(274, 339, 3));
    assert!(with(274, 339, 2).starts_with("a TIFF of signed samples from -32"), "{}", with(274, 339, 2));
    assert_eq!(with(259, 259, 50_000), format!("a TIFF in Zstandard compression {supported}"));
    assert_eq!(with(258, 258, 17), format!("a TIFF of this kind of sample {supported}"));
    assert!(with(277, 277, 9).starts_with("a TIFF of more than eight channels"), "{}", with(277, 277, 9));
}

#[test]
fn bmps_that_are_not_read_are_told_of() {
    let whole = golden_bytes("rgb_24.bmp");
    let with = |bits: u16, compression: u32| {
        let mut bytes = whole.clone();
        bytes[28..30].copy_from_slice(&bits.to_le_bytes());
        bytes[30..34].copy_from_slice(&compression.to_le_bytes());
        reason(&bytes)
    };
    let supported = "is not supported; JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF, JPEG 2000 and JPEG XL are";
    assert_eq!(with(0, 4), format!("a BMP that holds a JPEG {supported}"));
    assert_eq!(with(0, 5), format!("a BMP that holds a PNG {supported}"));
    assert_eq!(with(24, 1), "the BMP is damaged: 24 bits a pixel in compression 1");
    assert_eq!(with(30_000, 0), "the BMP is damaged: 30000 bits a pixel in compression 0");
    // The pixels taken for run-length codes end before the picture does.
    assert!(with(8, 1).starts_with("the BMP is truncated"), "{}", with(8, 1));
    let mut header = whole.clone();
    header[14] = 15;
    assert_eq!(reason(&header), "the BMP is damaged: its header says that it has 15 bytes");
}

#[test]
fn what_a_file_holds_is_told() {
    for (name, said) in [
        ("gray_baseline.jpg", "JPEG gray 8"),
        ("colour_420.jpg", "JPEG RGB 8"),
        ("colour_ycck.jpg", "JPEG CMYK 8"),
        ("gray_16.png", "PNG gray 16"),
        ("gray_alpha_8.png", "PNG gray+alpha 8"),
        ("rgba_16_interlaced.png", "PNG RGBA 16"),
        ("palette_4.png", "PNG palette 4"),
        ("gray_16_big_endian.tif", "TIFF gray 16"),
        ("gray_1_fax4.tif", "TIFF gray 1"),
        ("palette_8_packbits.tif", "TIFF palette 8"),
        ("cmyk_8.tif", "TIFF CMYK 8"),
        ("colour_jpeg.tif", "TIFF RGB 8"),
        ("rgb_24.bmp", "BMP RGB 8"),
        ("gray_8.bmp", "BMP palette 8"),
        ("../tiffs/rle_4.bmp", "BMP palette 4"),
        ("../tiffs/bare.dib", "BMP palette 8"),
        ("../tiffs/float_32.tif", "TIFF gray 32"),
        ("../tiffs/gray_12.tif", "TIFF gray 12"),
        ("../tiffs/rgb_multiplied.tif", "TIFF RGBA 8"),
        ("../tiffs/colour_old_jpeg.tif", "TIFF RGB 8"),
    ] {
        let (_, source) = decode_with_source(&golden_bytes(name), GRAY).unwrap();
        assert_eq!(format!("{} {} {}", source.format, source.mode, source.bits), said, "{name}");
    }
}

#[test]
fn bytes_after_the_end_are_no_harm() {
    for name in ["gray_baseline.jpg", "gray_progressive.jpg", "gray_8.png", "rgb_24.bmp", "gray_8_lzw.tif"] {
        let whole = golden_bytes(name);
        let more = [&whole[..], b"more bytes"].concat();
        assert_eq!(decode(&more, GRAY).unwrap(), decode(&whole, GRAY).unwrap(), "{name}");
    }
}

#[test]
fn a_film_of_gigapixels_is_refused_from_its_header() {
    let mut jpeg = golden_bytes("gray_baseline.jpg");
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(reason(&jpeg), "65535x65535 pixels are more than the 100 megapixels allowed");

    let mut png = golden_bytes("gray_8.png");
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(reason(&png), "65536x65536 pixels are more than the 100 megapixels allowed");

    let mut bmp = golden_bytes("rgb_24.bmp");
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(reason(&bmp), "2147483647x2147483647 pixels are more than the 100 megapixels allowed");

    // The first entries of a TIFF's directory are its width and height; sides of 16 bits go up to 65,535.
    let mut tiff = golden_bytes("gray_16.tif");
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    for at in [directory + 10, directory + 22] {
        tiff[at..at + 2].copy_from_slice(&[0xff, 0xff]);
    }
    // The strips no longer fit the height either, which is as good a reason.
    assert!(decode(&tiff, GRAY).is_err());
    tiff[directory + 22..directory + 24].copy_from_slice(&37u16.to_le_bytes());
    assert_eq!(reason(&tiff), "the TIFF is truncated: the file ends before the picture does");
}

/// The checksum of a PNG chunk, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn rgb_of_a_gray_film_repeats_it() {
    let gray = decode_file(&golden_file("gray_baseline.jpg"), GRAY).unwrap();
    let rgb = decode_file(&golden_file("gray_baseline.jpg"), Channels::Rgb).unwrap();
    assert!(rgb.pixels.as_chunks::<3>().0.iter().zip(&gray.pixels).all(|(rgb, v)| rgb == &[*v; 3]));
    assert_eq!(rgb.pixels.len(), 3 * gray.pixels.len());
}

/// Pictures to be damaged.
const SEEDS: [&str; 23] = [
    "colour_cmyk_420.jpg",
    "colour_ycck_progressive.jpg",
    "gray_8_lzw.tif",
    "gray_8_jpeg.tif",
    "gray_1_fax4.tif",
    "rgb_8_deflate.tif",
    "colour_jpeg.tif",
    "palette_4_big_endian.tif",
    "palette_8_packbits.tif",
    "rgb_8_planar.tif",
    "rgb_16_tiled.tif",
    "gray_baseline.jpg",
    "gray_progressive.jpg",
    "gray_restarts.jpg",
    "colour_420.jpg",
    "colour_422_progressive.jpg",
    "gray_8_interlaced.png",
    "palette_4.png",
    "rgba_16_interlaced.png",
    "palette_4.bmp",
    "rgb_565.bmp",
    "rgb_32_top_down.bmp",
    "bits_1.bmp",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Whatever is done to a film, the answer is a whole picture or an error.
    #[test]
    fn damaged_films_never_panic(
        file in 0..SEEDS.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        header in prop::collection::vec((0usize..64, any::<u8>()), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
        rgb in any::<bool>(),
    ) {
        let mut bytes = golden_bytes(SEEDS[file]);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for (at, value) in header {
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            let cut = cut.index(bytes.len());
            bytes.drain(cut..(cut + 7).min(bytes.len()));
        }
        check_answer(&bytes, if rgb { Channels::Rgb } else { GRAY })?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(magic in 0usize..7, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let magics: [&[u8]; 7] = [
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"BM",
            b"\xff\xd8\xff\xc0\0\x0b\x08",
            b"II*\0\x08\0\0\0",
            b"MM\0+\0\x08\0\0",
        ];
        check_answer(&[magics[magic], &tail].concat(), GRAY)?;
    }
}

fn check_answer(bytes: &[u8], channels: Channels) -> Result<(), TestCaseError> {
    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| decode(bytes, channels)));
    prop_assert!(answer.is_ok(), "decode panicked");
    if let Ok(Ok(image)) = answer {
        prop_assert_eq!(image.pixels.len(), image.width * image.height * image.channels.count());
        prop_assert_eq!(image.channels, channels);
    }
    Ok(())
}

#[test]
fn a_few_bytes_of_jpeg_2000_are_no_film_of_100_megapixels() {
    let mut bytes = golden_bytes("gray_lossy.j2k");
    let siz = bytes.windows(2).position(|two| two == [0xff, 0x51]).unwrap();
    // Xsiz and Ysiz, and the tiles' XTsiz and YTsiz (ISO/IEC 15444-1, A.5.1).
    for at in [6, 10, 22, 26] {
        bytes[siz + at..siz + at + 4].copy_from_slice(&9999_u32.to_be_bytes());
    }
    let began = std::time::Instant::now();
    let error = decode(&bytes, Channels::Gray).unwrap_err().to_string();
    assert!(error.contains(&format!("its {} bytes cannot hold 9999x9999 pixels of a film", bytes.len())), "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(1));
}

#[test]
fn a_jpeg_2000_of_which_a_part_is_missing_is_refused() {
    for name in ["gray_lossless.jp2", "colour_lossless.jp2", "gray_lossy.j2k", "gray_12.jp2"] {
        let whole = golden_bytes(name);
        assert!(decode(&whole, Channels::Gray).is_ok(), "{name}");
        for percent in [99, 90, 50, 20] {
            let part = &whole[..whole.len() * percent / 100];
            let error = decode(part, Channels::Gray).expect_err(name).to_string();
            assert!(error.contains("JPEG 2000 is damaged"), "{name}, {percent} %: {error}");
        }
    }
    // A picture of four tiles of which one is left out.
    let whole = golden_bytes("gray_tiles.j2k");
    assert!(decode(&whole, Channels::Gray).is_ok());
    let sot: Vec<usize> = (0..whole.len() - 1).filter(|at| whole[*at..].starts_with(&[0xff, 0x90, 0, 10])).collect();
    assert_eq!(sot.len(), 4);
    // Cut wherever it may be, within headers of tiles too.
    for end in sot[1]..whole.len() - 2 {
        assert!(decode(&whole[..end], Channels::Gray).is_err(), "the first {end} of {} bytes", whole.len());
    }
    let without = [&whole[..sot[1]], &whole[sot[2]..]].concat();
    let error = decode(&without, Channels::Gray).unwrap_err().to_string();
    assert!(error.contains("only 3 of its 4 tiles are there"), "{error}");
}
