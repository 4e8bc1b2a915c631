//! The embedded font: how wide a text is, and how to make it fit.
//!
//! Noto Sans, cut down to Latin, Greek, Cyrillic and punctuation (`font/make.sh`); its digits are all of one width.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb;
use skrifa::{FontRef, MetadataProvider, instance::LocationRef, instance::Size};

pub(crate) const FAMILY: &str = "Noto Sans";
/// For a viewer that passes over fonts inside an SVG: ours if the system has it, else its nearest relatives.
pub(crate) const FAMILIES: &str = "'Noto Sans', 'Open Sans', 'Droid Sans', Arial, sans-serif";
const REGULAR: &[u8] = include_bytes!("../font/NotoSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../font/NotoSans-SemiBold.ttf");

/// Longer texts are cut before anything else looks at them.
const MOST_CHARACTERS: usize = 600;
/// Shown for a character that the font lacks.
const UNKNOWN: char = '\u{fffd}';

/// The two fonts, and no other, for usvg.
pub(crate) fn database() -> Arc<fontdb::Database> {
    static DATABASE: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(REGULAR.to_vec());
        fonts.load_font_data(BOLD.to_vec());
        Arc::new(fonts)
    });
    Arc::clone(&DATABASE)
}

/// Widths of one of the two fonts, in units of the font's size.
struct Widths {
    font: FontRef<'static>,
}

fn widths(bold: bool) -> Option<&'static Widths> {
    static FONTS: LazyLock<[Option<Widths>; 2]> =
        LazyLock::new(|| [REGULAR, BOLD].map(|data| FontRef::new(data).ok().map(|font| Widths { font })));
    FONTS[usize::from(bold)].as_ref()
}

/// The file of one of the two fonts.
pub(crate) fn file(bold: bool) -> &'static [u8] {
    if bold { BOLD } else { REGULAR }
}

/// The glyph of a character; 0, the box of what is missing, where the font has none.
pub(crate) fn glyph(character: char, bold: bool) -> u16 {
    let glyph = widths(bold).and_then(|widths| widths.font.charmap().map(character));
    glyph.map_or(0, |glyph| u16::try_from(glyph.to_u32()).unwrap_or(0))
}

/// How wide `text` is at `size` pixels. Pictures are drawn without kerning, so that a text is as wide in every viewer.
pub(crate) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let Some(Widths { font }) = widths(bold) else { return text.chars().count() as f64 * size };
    let (characters, metrics) = (font.charmap(), font.glyph_metrics(Size::new(1.0), LocationRef::default()));
    let advance =
        |character| characters.map(character).and_then(|glyph| metrics.advance_width(glyph)).map_or(0.6, f64::from);
    text.chars().map(advance).sum::<f64>() * size
}

/// `text` as it can be drawn: one line, blanks single, no control, format or joining characters, `�` for what the font
/// lacks, and not longer than a picture could ever show.
pub(crate) fn clean(text: &str) -> String {
    let characters = widths(false).map(|widths| widths.font.charmap());
    let known = |character| characters.as_ref().is_some_and(|map| map.map(character).is_some());
    let mut line = String::new();
    let mut characters_left = text.chars();
    for character in characters_left.by_ref().take(MOST_CHARACTERS) {
        if character.is_whitespace() || character.is_control() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !invisible(character) {
            line.push(if known(character) { character } else { UNKNOWN });
        }
    }
    line.truncate(line.trim_end().len());
    if characters_left.next().is_some() {
        line.push('…');
    }
    line
}

/// Characters that draw nothing themselves: they join, reorder or choose a form of what stands beside them.
fn invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// `text` cleaned and, where it is wider than `room`, shortened: at its end, or in its middle where it is one word (two
/// file names mostly differ at their ends).
pub(crate) fn fit(text: &str, room: f64, size: f64, bold: bool) -> String {
    let text = clean(text);
    let one_word = !text.contains(' ');
    shorten(text, room, size, bold, one_word)
}

/// As [`fit`], shortened in its middle whatever it is: a file's name.
pub(crate) fn fit_name(name: &str, room: f64, size: f64, bold: bool) -> String {
    shorten(clean(name), room, size, bold, true)
}

fn shorten(text: String, room: f64, size: f64, bold: bool, keep_end: bool) -> String {
    if width(&text, size, bold) <= room {
        return text;
    }
    let letters: Vec<char> = text.chars().collect();
    let shortened = |kept: usize| {
        let tail = if keep_end { kept / 2 } else { 0 };
        let head: String = letters[..kept - tail].iter().collect();
        let tail: String = letters[letters.len() - tail..].iter().collect();
        format!("{}…{tail}", head.trim_end())
    };
    // Widths grow with every letter kept, so halving finds the longest that fits.
    let (mut fits, mut fails) = (0, letters.len());
    while fits + 1 < fails {
        let middle = usize::midpoint(fits, fails);
        if width(&shortened(middle), size, bold) <= room { fits = middle } else { fails = middle }
    }
    shortened(fits)
}

/// `text` broken between words into at most `lines` lines no wider than `room`; the last is shortened if it must be.
pub(crate) fn wrap(text: &str, room: f64, size: f64, bold: bool, lines: usize) -> Vec<String> {
    let text = clean(text);
    let mut done: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if line.is_empty() || width(&longer, size, bold) <= room {
            line = longer;
        } else if done.len() + 1 < lines {
            done.push(fit(&line, room, size, bold));
            line = word.to_owned();
        } else {
            line = std::iter::once(longer.as_str()).chain(words).collect::<Vec<_>>().join(" ");
            break;
        }
    }
    if !line.is_empty() {
        done.push(fit(&line, room, size, bold));
    }
    done
}

/// `size`, or what is left of it for `text` to fit in `room`.
pub(crate) fn shrunk(text: &str, room: f64, size: f64, bold: bool) -> f64 {
    let needed = width(text, size, bold);
    if needed > room { size * room / needed } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_share_a_width_and_bold_is_wider() {
        assert!((width("1111", 10.0, false) - width("8888", 10.0, false)).abs() < 1e-6);
        assert!(width("Pneumonia", 10.0, true) > width("Pneumonia", 10.0, false));
        // 572 of 1000 units a digit.
        assert!((width("7", 1000.0, false) - 572.0).abs() < 0.5);
    }

    #[test]
    fn cleaning_leaves_one_drawable_line() {
        assert_eq!(clean("  a\tb\r\nc\u{0}d "), "a b c d");
        assert_eq!(clean("Röntgen, ακτίνα, снимок"), "Röntgen, ακτίνα, снимок");
        assert_eq!(clean("lung 🫁 x"), "lung \u{fffd} x");
        assert_eq!(clean("a\u{202e}b\u{200d}c"), "abc");
        assert_eq!(clean("👩\u{1f3fd}\u{200d}⚕\u{fe0f}"), "\u{fffd}\u{fffd}");
        assert_eq!(clean(&"x".repeat(10_000)), "x".repeat(MOST_CHARACTERS) + "…");
    }

    #[test]
    fn fitting_keeps_the_ends_of_a_file_name_and_the_start_of_a_sentence() {
        let name = "person1946_bacteria_4874.jpeg";
        assert_eq!(fit(name, 1000.0, 13.0, false), name);
        let short = fit(name, 120.0, 13.0, false);
        assert!(short.starts_with("person") && short.ends_with("peg") && short.contains('…'), "{short}");
        assert!(width(&short, 13.0, false) <= 120.0);
        let short = fit_name("Anna Maria Lindqvist 2024 12.dcm", 120.0, 13.0, false);
        assert!(short.starts_with("Anna") && short.ends_with(".dcm") && short.contains('…'), "{short}");
        let short = fit("no finding at all in this film", 120.0, 13.0, false);
        assert!(short.starts_with("no finding") && short.ends_with('…'), "{short}");
        assert_eq!(fit("abc", 0.0, 13.0, false), "…");
    }

    #[test]
    fn wrapping_loses_no_word_until_the_lines_are_used_up() {
        let text = "one two three four five six seven";
        let lines = wrap(text, 90.0, 14.0, false, 9);
        assert!(lines.len() > 2 && lines.iter().all(|line| width(line, 14.0, false) <= 90.0));
        assert_eq!(lines.join(" "), text);
        let two = wrap(text, 90.0, 14.0, false, 2);
        assert!(two.len() == 2 && two[1].ends_with('…'));
        assert!(wrap(" \n", 90.0, 14.0, false, 2).is_empty());
    }
}
