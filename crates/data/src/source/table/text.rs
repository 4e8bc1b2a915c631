//! The bytes of a table in, cells out: encodings and separators as spreadsheets and pandas users write them.

use std::borrow::Cow;

use super::super::lines::Lines;
use crate::names::Split;

/// A row with the line that it begins on.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) cells: Vec<String>,
    /// The split that its table is of, where tables of several splits are joined.
    pub(super) split: Option<Split>,
    /// Whether it stands in a table that lies beside the one that was named.
    pub(super) beside: bool,
}

/// The rows of a table, the first one its header. Empty lines are none.
///
/// # Errors
/// The line and what is wrong there.
pub(super) fn rows(bytes: &[u8]) -> Result<Vec<Row>, (u64, String)> {
    let text = decoded(bytes);
    let separator = separator_of(&text);
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).delimiter(separator).from_reader(text.as_bytes());
    let (mut lines, mut rows) = (Lines::of(text.as_bytes()), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|e| (lines.at(e.position()), e.to_string()))?;
        let line = lines.at(record.position());
        let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push(Row { line, cells, split: None, beside: false });
        }
    }
    Ok(rows)
}

/// UTF-8 with or without its mark, UTF-16 with it, and else Windows-1252, which spreadsheets write where they are old.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let wide = |bytes: &[u8], of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks().0.iter().map(|pair| of(*pair)).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => match std::str::from_utf8(rest) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(rest.iter().map(|byte| windows_1252(*byte)).collect()),
        },
    }
}

fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The one of the separators in use that the first line has most of, outside of quotes.
fn separator_of(text: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in text.trim_start().bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if quoted => {}
            _ => counts.iter_mut().filter(|(own, _)| *own == byte).for_each(|(_, count)| *count += 1),
        }
    }
    // Of equal ones the first.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(bytes: &[u8]) -> Vec<Vec<String>> {
        rows(bytes).unwrap().into_iter().map(|row| row.cells).collect()
    }

    #[test]
    fn tables_are_read_as_people_write_them() {
        let expected = [["path", "label"], ["a.png", "Pneumonía"]];
        let text = "path,label\na.png,Pneumonía\n";
        let utf16 = |of: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(of).collect::<Vec<u8>>();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            text.replace(',', ";").into_bytes(),
            text.replace(',', "\t").replace('\n', "\r\n").into_bytes(),
            "\"path\";\"label\"\r\n\r\n\"a.png\"; \"Pneumonía\" \r\n".replace("; \"", ";\"").into_bytes(),
            b"path,label\na.png,Pneumon\xeda".to_vec(),
            [&b"\xff\xfe"[..], &utf16(u16::to_le_bytes)].concat(),
            [&b"\xfe\xff"[..], &utf16(u16::to_be_bytes)].concat(),
        ] {
            assert_eq!(cells(&bytes), expected, "{bytes:?}");
        }
        let nih = "Image Index,Finding Labels\n1.png,Effusion|Mass\n";
        assert_eq!(cells(nih.as_bytes())[1], ["1.png", "Effusion|Mass"]);
        let lines = |text: &str| rows(text.as_bytes()).unwrap().iter().map(|row| row.line).collect::<Vec<_>>();
        // Cells of several lines, empty lines, rows without a cell.
        for (text, expected) in [
            ("a,b\n\"x\ny\",1\nz,2\n", [1, 2, 4]),
            ("a,b\n\"x\ny\",1\n\nz,2", [1, 2, 5]),
            ("\na,b\n,\n,\n\"x\n\",1\n\n\n\nz,2", [2, 5, 10]),
        ] {
            for text in [text.to_owned(), text.replace('\n', "\r\n")] {
                assert_eq!(lines(&text), expected, "{text:?}");
            }
        }
        assert!(cells(b"").is_empty());
        assert_eq!(cells(b"alone\n1\n"), [["alone"], ["1"]]);
    }
}
