//! What must hold for a PDF: it is well formed, of the size asked for, and its texts are texts. Read by hand here, byte by
//! byte, so that nothing that wrote it has a say.

use std::collections::BTreeMap;

use lungfish_pictures::{Film, Heading, Picture, Tile, Tone, confusion_matrix, film_grid, is_picture};
use miniz_oxide::inflate::decompress_to_vec_zlib;

fn heading() -> Heading {
    Heading { title: "Röntgen (a \\ b)".into(), subtitle: Some("of something".into()), synthetic: true }
}

fn matrix() -> Picture {
    let classes = ["NORMAL".to_owned(), "PNEUMONIA".to_owned()];
    confusion_matrix(&heading(), &classes, &[vec![198, 36], vec![6, 384]]).unwrap()
}

/// The objects of a file by their numbers, found where its table says they are.
fn objects(file: &[u8]) -> BTreeMap<usize, &[u8]> {
    let find = |from: usize, what: &[u8]| from + file[from..].windows(what.len()).position(|at| at == what).unwrap();
    let tail = String::from_utf8_lossy(&file[file.len() - 40..]).into_owned();
    let table: usize = tail.split_once("startxref\n").unwrap().1.lines().next().unwrap().parse().unwrap();
    let text = String::from_utf8_lossy(&file[table..find(table, b"trailer")]).into_owned();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("xref"));
    let many: usize = lines.next().unwrap().strip_prefix("0 ").unwrap().parse().unwrap();
    let places: Vec<usize> = lines.map(|line| line[..10].parse().unwrap()).collect();
    assert_eq!(places.len(), many);
    let object = |number: usize| {
        let start = places[number];
        let opening = format!("{number} 0 obj\n");
        assert!(file[start..].starts_with(opening.as_bytes()), "object {number}");
        (number, &file[start + opening.len()..find(start, b"\nendobj")])
    };
    (1..many).map(object).collect()
}

/// The unpacked contents of an object that has some.
fn stream(object: &[u8]) -> Option<Vec<u8>> {
    let opening = b"stream\n";
    let start = object.windows(opening.len()).position(|at| at == opening)? + opening.len();
    let end = object.len() - b"\nendstream".len();
    assert_eq!(&object[end..], b"\nendstream");
    Some(decompress_to_vec_zlib(&object[start..end]).unwrap())
}

/// The number after a key.
fn reference(object: &[u8], key: &str) -> usize {
    let text = String::from_utf8_lossy(object);
    let rest = text.split_once(key).unwrap_or_else(|| panic!("{key} in {text}")).1.trim_start();
    rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// The texts of a page, by the characters that its fonts say their glyphs are.
fn texts(file: &[u8]) -> Vec<String> {
    let objects = objects(file);
    let page = objects.values().find(|object| object.windows(9).any(|at| at == b"/MediaBox")).unwrap();
    let resources = objects[&reference(page, "/Resources")];
    let fonts: Vec<BTreeMap<u16, char>> = ["/F0", "/F1"]
        .map(|name| {
            let font = objects[&reference(resources, name)];
            let characters = stream(objects[&reference(font, "/ToUnicode")]).unwrap();
            let characters = String::from_utf8(characters).unwrap();
            let pairs =
                characters.lines().filter_map(|line| line.strip_prefix('<')?.strip_suffix('>')?.split_once("> <"));
            let hex = |text| u16::from_str_radix(text, 16).unwrap();
            let character = |code| char::from_u32(u32::from(hex(code))).unwrap();
            pairs.filter(|(glyph, _)| *glyph != "0000").map(|(glyph, code)| (hex(glyph), character(code))).collect()
        })
        .into();
    let contents = stream(objects[&reference(page, "/Contents")]).unwrap();
    let (mut font, mut texts, mut at) = (0, Vec::new(), 0);
    while at < contents.len() {
        if contents[at..].starts_with(b"/F") {
            font = usize::from(contents[at + 2] - b'0');
        }
        let bytes = if contents[at] == b'(' { literal(&contents, &mut at) } else { Vec::new() };
        if !bytes.is_empty() {
            let glyphs = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            texts.push(glyphs.map(|glyph| fonts[font][&glyph]).collect());
        }
        at += 1;
    }
    texts
}

/// The bytes of a string in brackets; leaves `at` at the last of them.
fn literal(contents: &[u8], at: &mut usize) -> Vec<u8> {
    let (mut bytes, mut depth) = (Vec::new(), 0);
    loop {
        let byte = contents[*at];
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        match byte {
            b'\\' => {
                *at += 1;
                let octal: Vec<u8> =
                    contents[*at..*at + 3].iter().copied().take_while(|byte| (b'0'..=b'7').contains(byte)).collect();
                if octal.is_empty() {
                    let named = [(b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'b', 8), (b'f', 12)];
                    let own = contents[*at];
                    bytes.push(named.iter().find(|(name, _)| *name == own).map_or(own, |(_, byte)| *byte));
                } else {
                    bytes.push(octal.iter().fold(0, |sum, digit| sum * 8 + (digit - b'0')));
                    *at += octal.len() - 1;
                }
            }
            b'(' if depth == 1 => {}
            b')' if depth == 0 => return bytes,
            _ => bytes.push(byte),
        }
        *at += 1;
    }
}

#[test]
fn texts_stay_texts() {
    let texts = texts(&matrix().pdf(180.0).unwrap());
    for wanted in ["Röntgen (a \\ b)", "of something", "Synthetic films, not real ones", "PNEUMONIA", "198", "84.6 %"]
    {
        assert!(texts.iter().any(|text| text == wanted), "{wanted} in {texts:?}");
    }
}

#[test]
fn the_page_is_as_wide_as_asked_and_the_same_every_time() {
    let picture = matrix();
    let file = picture.pdf(180.0).unwrap();
    assert_eq!(file, matrix().pdf(180.0).unwrap());
    assert!(!file.windows(4).any(|at| at == b"Date"), "a date would differ the next time");
    let page = objects(&file).into_values().find(|object| object.windows(9).any(|at| at == b"/MediaBox")).unwrap();
    let text = String::from_utf8_lossy(page).into_owned();
    let numbers = text.split_once("/MediaBox [").unwrap().1.split_once(']').unwrap().0;
    let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    let (width, height) = picture.size();
    let points = 180.0 / 25.4 * 72.0;
    assert!((numbers[2] - points).abs() < 0.01, "{numbers:?}");
    assert!((numbers[3] - points * f64::from(height) / f64::from(width)).abs() < 0.01, "{numbers:?}");
    let said = picture.pdf(3.0).unwrap_err().to_string();
    assert!(said.contains("a print of 3 mm at 300 dots an inch"), "{said}");
}

#[test]
fn a_pdf_is_known_as_a_picture_and_another_is_not() {
    let file = matrix().pdf(100.0).unwrap();
    assert!(is_picture(&file) && is_picture(&file[..2048]));
    assert!(!is_picture(b"%PDF-1.7\n1 0 obj\n<< /Producer (another) >>"));
}

#[test]
fn films_go_over_whole() {
    // Two bright and two dark quarters, gray and in colours; more pixels than the page has dots are left out.
    let gray: Vec<u8> = (0..200 * 200).map(|at| if (at % 200 < 100) == (at < 20_000) { 30 } else { 222 }).collect();
    let colours: Vec<u8> = gray.iter().flat_map(|&value| [value, 10, 60]).collect();
    let many: Vec<u8> = (0..200 * 200_u32).flat_map(|at| [(at % 200) as u8, (at / 200) as u8, 7]).collect();
    for (channels, pixels, colour_space, depth) in
        [(1, &gray, "/DeviceGray", 1), (3, &colours, "/Indexed /DeviceRGB 1", 1), (3, &many, "/DeviceRGB", 3)]
    {
        let film = Film { width: 200, height: 200, channels, pixels: pixels.clone() };
        let tile = Tile { film, lines: Vec::new(), name: None, tone: Tone::Plain };
        let file = film_grid(&heading(), &[tile], 1).unwrap().pdf(100.0).unwrap();
        let objects = objects(&file);
        let image = objects.values().find(|object| object.windows(14).any(|at| at == b"/Subtype /Imag")).unwrap();
        let text = String::from_utf8_lossy(&image[..400]).into_owned();
        assert!(text.contains(colour_space) && text.contains("/Width 200") && text.contains("/Predictor 15"), "{text}");
        // Each row is the number of its filter and its pixels.
        assert_eq!(stream(image).unwrap().len(), 200 * (1 + 200 * depth));
    }
}
