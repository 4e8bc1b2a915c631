//! Text for people: numbers of bytes, and what a server or an archive said without what it could do to a terminal.

use std::path::Path;

/// Bytes as disks are sold: `1.2 GB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes == 1 {
        return "1 byte".to_owned();
    }
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be shown as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with thousands apart: `200,000`.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Foreign text on one line, cut after `most` characters; characters that control a terminal, reorder or hide text
/// become `?`.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let mut shown: String = text.trim().chars().take(most).map(|c| if unruly(c) { '?' } else { c }).collect();
    if text.trim().chars().nth(most).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A path within a message.
pub(crate) fn path(path: &Path) -> String {
    plain(&path.display().to_string(), 4096)
}

/// Controls, and what changes how the characters around it are seen.
pub(crate) fn unruly(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts() {
        let said = [0, 1, 999, 1000, 999_949, 999_950, 1_234_567_890, u64::MAX].map(size);
        assert_eq!(said, ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "999.9 kB", "1.0 MB", "1.2 GB", "18446.7 PB"]);
        assert_eq!(
            [0, 999, 1000, 5856, 200_000, 1_234_567].map(count),
            ["0", "999", "1,000", "5,856", "200,000", "1,234,567"]
        );
    }

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(plain(" a\u{1b}[31m\nb\u{202e} ", 100), "a?[31m?b?");
        assert_eq!(plain("abcdef", 3), "abc...");
        assert_eq!(plain("abc", 3), "abc");
    }
}
