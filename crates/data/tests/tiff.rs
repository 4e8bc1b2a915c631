//! TIFFs that cannot become light by a rule, or are not read: each is told of in one sentence with its values.

use lungfish_data::{Channels, DecodeOptions, Decoding, Span, decode, span_of};

/// Tags and the values of each.
type Tags<'a> = &'a [(u16, &'a [u32])];

/// A little-endian TIFF of one strip; `tags` come over those of a gray film of 2 x 2 pixels, and one without values is left
/// out.
fn tiff(tags: &[(u16, &[u32])], pixels: &[u8]) -> Vec<u8> {
    let count = [pixels.len() as u32];
    let mut all: Vec<(u16, &[u32])> = vec![
        (256, &[2]),
        (257, &[2]),
        (258, &[8]),
        (259, &[1]),
        (262, &[1]),
        (273, &[8]),
        (277, &[1]),
        (278, &[2]),
        (279, &count),
    ];
    for (tag, values) in tags {
        all.retain(|(other, _)| other != tag);
        if !values.is_empty() {
            all.push((*tag, values));
        }
    }
    all.sort();
    let behind = 8 + pixels.len() + 2 + 12 * all.len() + 4;
    let mut file = [b"II*\0", &(8 + pixels.len() as u32).to_le_bytes()[..], pixels].concat();
    file.extend((all.len() as u16).to_le_bytes());
    let mut more = Vec::new();
    for (tag, values) in all {
        file.extend([&tag.to_le_bytes()[..], &4_u16.to_le_bytes(), &(values.len() as u32).to_le_bytes()].concat());
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        match values.len() {
            1 => file.extend(bytes),
            _ => {
                file.extend(((behind + more.len()) as u32).to_le_bytes());
                more.extend(bytes);
            }
        }
    }
    file.extend([0; 4]);
    file.extend(more);
    file
}

#[track_caller]
fn refused(tags: &[(u16, &[u32])], pixels: &[u8]) -> String {
    decode(&tiff(tags, pixels), Channels::Gray).unwrap_err().to_string()
}

fn levels(file: &[u8], sample_bits: Option<u8>) -> Vec<u8> {
    let decoding = Decoding { sample_bits, ..Decoding::DEFAULT };
    decode(file, DecodeOptions { channels: Channels::Gray, decoding }).unwrap().pixels
}

fn floats(samples: [f32; 4]) -> Vec<u8> {
    let pixels: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    tiff(&[(258, &[32]), (339, &[3])], &pixels)
}

fn integers(format: u32, samples: [i32; 4]) -> Vec<u8> {
    let pixels: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    tiff(&[(258, &[32]), (339, &[format])], &pixels)
}

#[test]
fn floats_are_read_by_what_they_must_be_or_refused_with_their_range() {
    let reason = |samples| decode(&floats(samples), Channels::Gray).unwrap_err().to_string();
    assert_eq!(levels(&floats([0.0, 0.5, 0.25, 1.0]), None), [0, 128, 64, 255]);
    assert_eq!(levels(&floats([0.0; 4]), None), [0; 4], "black by either reading");
    assert_eq!(levels(&floats([0.0, 127.6, 255.0, 16.0]), Some(8)), [0, 128, 255, 16]);
    assert_eq!(levels(&floats([0.0, 4095.0, 1000.0, 65535.0]), Some(12)), [0, 255, 62, 255]);
    // Not stretched: a dark film stays dark, whichever kind it is of.
    assert_eq!(levels(&floats([0.0, 0.01, 0.02, 0.1]), None), [0, 3, 5, 26]);
    assert_eq!(levels(&floats([0.0, 1.0, 2.0, 20.0]), Some(8)), [0, 1, 2, 20]);
    let advice = "those of a film go from 0 to 1, or from 0 up to something between 16 and 65535; save it as 16-bit \
                  integers, every film by the same rule";
    for (samples, range) in [
        ([0.0, 0.5, 1.0, 1.02], "0 to 1.020"),
        ([0.0, 1.5, 4.0, 11.09], "0 to 11.090"),
        ([-1024.0, 0.0, 100.0, 3071.5], "-1024 to 3071.500"),
        ([-2.118, 0.0, 1.0, 2.64], "-2.118 to 2.640"),
        ([0.0, 1.0, 2.0, 65536.0], "0 to 65536"),
        ([0.0, 1.0, 2.0, 3.0e38], "0 to 3.000e38"),
    ] {
        assert_eq!(reason(samples), format!("a TIFF of floating-point samples from {range}: {advice}"));
    }
    let mask = "a TIFF of floating-point samples that are 0 or 1: a mask, by the looks of it, and no film";
    assert_eq!(reason([0.0, 1.0, 1.0, 0.0]), mask);
    assert_eq!(reason([1.0; 4]), mask);
    for endless in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(
            reason([0.0, 0.5, endless, 1.0]),
            "a TIFF of floating-point samples of which some are infinite or no numbers"
        );
    }
}

#[test]
fn wide_and_signed_integers_are_read_as_sixteen_bits_or_refused_with_their_range() {
    assert_eq!(levels(&integers(2, [0, 255, 128, 1]), Some(8)), [0, 255, 128, 1]);
    assert_eq!(levels(&integers(1, [0, 65535, 257, 32768]), None), [0, 255, 1, 128]);
    // 4: nobody knows of what kind the samples are, which is the usual one.
    assert_eq!(levels(&integers(4, [0, 4095, 0, 0]), Some(12)), [0, 255, 0, 0]);
    let reason = |format, samples| decode(&integers(format, samples), Channels::Gray).unwrap_err().to_string();
    assert_eq!(
        reason(2, [-1024, 0, 0, 3071]),
        "a TIFF of signed samples from -1024 to 3071: nothing says which of them is black and which is white; save it as \
         unsigned 16-bit integers, every film by the same rule, or give the DICOM that it comes from"
    );
    let wide = "integers are read up to 65535; save it as 16-bit integers, every film by the same rule";
    assert_eq!(reason(1, [0, 1, 2, -1]), format!("a TIFF of 32-bit samples from 0 to 4294967295: {wide}"));
    assert_eq!(reason(2, [7, 1, 2, 65536]), format!("a TIFF of 32-bit samples from 1 to 65536: {wide}"));
    let bytes = tiff(&[(339, &[2])], &[0, 127, 64, 1]);
    assert_eq!(levels(&bytes, None), [0, 127, 64, 1]);
    assert!(refused(&[(339, &[2])], &[0, 128, 64, 1]).starts_with("a TIFF of signed samples from -128 to 64: "));
}

#[test]
fn films_that_are_read_as_sixteen_bits_have_a_span() {
    let most = |file: &[u8]| span_of(file).unwrap().map(|span| span.most);
    assert_eq!(most(&floats([0.0, 254.6, 3.0, 4.0])), Some(255));
    assert_eq!(most(&integers(2, [0, 4095, 3, 4])), Some(4095));
    assert_eq!(most(&floats([0.0, 0.3, 0.5, 1.0])), None);
    assert_eq!(most(&tiff(&[], &[1, 2, 3, 4])), None);
    assert_eq!(most(&tiff(&[(258, &[12])], &[0xff; 6])), None);
    // Transparency is no light: it does not say how many bits the film uses.
    let two = [1000_u16, 65535, 900, 65535, 800, 65535, 4000, 65535].map(u16::to_le_bytes).concat();
    assert_eq!(most(&tiff(&[(258, &[16, 16]), (277, &[2]), (338, &[2])], &two)), Some(4000));
    let span = Span { said: None, most: 255 };
    assert_eq!(Span::bits(&[span]), Some(8), "films of 8 bits in wider samples");
}

#[test]
fn kinds_that_are_not_read_are_called_by_their_names() {
    let supported = "is not supported; JPEG, PNG, TIFF, BMP, DICOM, WebP, GIF, JPEG 2000 and JPEG XL are";
    let rgb: (u16, &[u32]) = (277, &[3]);
    let cases: &[(Tags<'_>, &str)] = &[
        (&[(259, &[6])], "a TIFF in JPEG compression of the old kind"),
        (&[(259, &[34925])], "a TIFF in LZMA compression"),
        (&[(259, &[50000])], "a TIFF in Zstandard compression"),
        (&[(259, &[50001])], "a TIFF in WebP compression"),
        (&[(259, &[33005])], "a TIFF in JPEG 2000 compression"),
        (&[(259, &[32809])], "a TIFF in a rare compression"),
        (&[(259, &[3]), (292, &[2])], "a TIFF in fax compression with uncompressed parts"),
        (&[(258, &[17])], "a TIFF of this kind of sample"),
        (&[(339, &[6])], "a TIFF of this kind of sample"),
        (&[(259, &[4])], "a TIFF of this kind of sample"),
        (&[(258, &[16]), (262, &[3])], "a TIFF of this kind of sample"),
        (&[(258, &[8, 8, 16]), (262, &[2]), rgb], "a TIFF whose channels have different numbers of bits"),
        (&[(259, &[5]), (258, &[4]), (317, &[2])], "a TIFF whose samples are predicted in a rare way"),
        (&[(259, &[5]), (317, &[3])], "a TIFF whose samples are predicted in a rare way"),
        (&[(277, &[9])], "a TIFF of more than eight channels"),
        (&[rgb], "a TIFF whose channels are called gray and are more than two"),
        (&[(262, &[6]), rgb], "a TIFF of pixels that share their chromas, not in JPEG compression"),
        (&[(262, &[8]), rgb], "a TIFF in CIE L*a*b*"),
        (&[(262, &[32845]), rgb], "a TIFF of a rare kind"),
        (&[(262, &[])], "a TIFF that does not say what its samples mean"),
        (&[(262, &[0]), (277, &[2]), (338, &[1])], "a TIFF whose zero is white, multiplied with its transparency"),
    ];
    for (tags, name) in cases {
        assert_eq!(refused(tags, &[0; 16]), format!("{name} {supported}"), "{tags:?}");
    }
}

#[test]
fn damage_is_told_with_its_values() {
    let cases: &[(Tags<'_>, &str)] = &[
        (&[(256, &[])], "it does not say how large it is"),
        (&[(256, &[0])], "it has 0x2 pixels"),
        (&[(278, &[0])], "it has 2x0 pixels"),
        (&[(273, &[])], "it does not say where its pixels lie"),
        (&[(278, &[1])], "it has 1 strips or tiles and more are needed"),
        (&[(262, &[2]), (277, &[2])], "it has 2 channels, and its colours need 3"),
        (&[(258, &[8, 8]), (262, &[2]), (277, &[3])], "its tag 258 has 2 values for 3 channels"),
        (&[(262, &[3])], "it has no table of colours"),
        (&[(259, &[2]), (258, &[1])], "row 0 of its fax code has no meaning"),
    ];
    for (tags, reason) in cases {
        assert_eq!(refused(tags, &[0; 40]), format!("the TIFF is damaged: {reason}"));
    }
    // A tile may be as large as a film; the file does not hold it. Many such tiles are refused unread.
    let many: &[(u16, &[u32])] = &[(256, &[10_001]), (322, &[10_000]), (323, &[10_000])];
    assert_eq!(refused(many, &[0; 40]), "the TIFF is truncated: the file ends before the picture does");
    let more: &[(u16, &[u32])] = &[(256, &[20_001]), (322, &[10_000]), (323, &[10_000])];
    assert_eq!(refused(more, &[0; 40]), "the TIFF is damaged: its 3x1 tiles have 10000x10000 pixels");
    assert_eq!(
        refused(&[(256, &[10_001]), (257, &[10_000])], &[0; 4]),
        "10001x10000 pixels are more than the 100 megapixels allowed"
    );
    // A strip beyond the end of the file, and a compressed one that is too short.
    for tags in [&[(273, &[4000][..])][..], &[(259, &[32773])]] {
        assert_eq!(refused(tags, &[1, 2, 3]), "the TIFF is truncated: the file ends before the picture does");
    }
}
