//! 16-bit films whose samples use fewer bits.

use std::fs;
use std::path::Path;

use lungfish_data::{Channels, DecodeOptions, Decoding, Exif, Span, decode, span, span_of};

fn png(samples: &[u16], width: u32, said: Option<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut info = png::Info::with_size(width, samples.len() as u32 / width);
    info.color_type = png::ColorType::Grayscale;
    info.bit_depth = png::BitDepth::Sixteen;
    let mut writer = png::Encoder::with_info(&mut bytes, info).unwrap().write_header().unwrap();
    if let Some(said) = said {
        writer.write_chunk(png::chunk::sBIT, &[said]).unwrap();
    }
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    bytes
}

fn options(sample_bits: Option<u8>) -> DecodeOptions {
    DecodeOptions { channels: Channels::Gray, decoding: Decoding { sample_bits, ..Decoding::DEFAULT } }
}

#[test]
fn the_bits_in_use_are_found_and_used() {
    let film = png(&[0, 1000, 4095, 16], 2, None);
    assert_eq!(span_of(&film).unwrap(), Some(Span { said: None, most: 4095 }));
    assert_eq!(decode(&film, options(Some(12))).unwrap().pixels, [0, 62, 255, 1]);
    assert_eq!(decode(&film, Channels::Gray).unwrap().pixels, [0, 4, 16, 0]);
    let said = png(&[0, 1000, 1023, 16], 2, Some(10));
    assert_eq!(span_of(&said).unwrap(), Some(Span { said: Some(10), most: 1023 }));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    fs::write(&path, &film).unwrap();
    assert_eq!(span(&path).unwrap().map(|span| span.most), Some(4095));
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data/files");
    assert_eq!(span(&files.join("gray_8.png")).unwrap(), None);
    assert_eq!(span(&files.join("gray_baseline.jpg")).unwrap(), None);
    for file in ["gray_16.png", "rgb_16_tiled.tif"] {
        if files.join(file).exists() {
            assert!(span(&files.join(file)).unwrap().is_some_and(|span| span.most > 16_383), "{file}");
        }
    }
    for end in 0..film.len() {
        let _ = span_of(&film[..end]);
    }
}

#[test]
fn a_film_is_turned_as_it_notes_where_that_is_asked_for() {
    // eXIf of a PNG: big-endian, one entry, orientation 6: the first row is the right side.
    let exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut film = Vec::new();
    let mut encoder = png::Encoder::new(&mut film, 3, 2);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::eXIf, exif).unwrap();
    writer.write_image_data(&[1, 2, 3, 4, 5, 6]).unwrap();
    writer.finish().unwrap();
    let with = |exif| {
        let decoding = Decoding { exif, ..Decoding::DEFAULT };
        decode(&film, DecodeOptions { channels: Channels::Gray, decoding }).unwrap()
    };
    assert_eq!(with(Exif::Ignore).pixels, [1, 2, 3, 4, 5, 6]);
    let turned = with(Exif::Apply);
    assert_eq!((turned.width, turned.height, &turned.pixels[..]), (2, 3, &[4, 1, 5, 2, 6, 3][..]));
}
