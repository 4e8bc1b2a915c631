//! Names that somebody else chose, shown on a terminal and written to CSV without letting them do anything.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

/// `text` (a path, a file name, a class) for a terminal: control characters, characters that reorder or hide text and
/// bytes that are not UTF-8 are shown as `\x1b`, `\u{202e}`; all else, backslashes too, is left as it is.
///
/// ```
/// use lungfish_data::display::escape;
/// assert_eq!(escape("röntgen 1.png"), "röntgen 1.png");
/// assert_eq!(escape("a\u{1b}[31mb\n"), "a\\x1b[31mb\\x0a");
/// ```
pub fn escape(text: impl AsRef<OsStr>) -> String {
    escape_bytes(text.as_ref().as_encoded_bytes(), false)
}

/// A cell of a CSV file: text that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, a tab or a
/// carriage return) gets a leading `'`, and so does text that begins with `'` already, so that [`uncell`] undoes it
/// exactly; then quotes where a comma, a quote or a line break asks for them (RFC 4180).
///
/// ```
/// use lungfish_data::display::cell;
/// assert_eq!(cell("=1+1"), "'=1+1");
/// assert_eq!(cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
/// ```
pub fn cell(text: &str) -> String {
    let text = match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\'') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into_owned() }
}

/// The text that [`cell`] made this cell from, once a CSV reader has taken its quotes off.
pub fn uncell(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// A path for a CSV cell, not yet passed through [`cell`]: as [`escape`], but with `\` itself escaped as well, so that
/// the bytes come back from [`unescape`].
pub(crate) fn escape_exactly(text: &OsStr) -> String {
    escape_bytes(text.as_encoded_bytes(), true)
}

/// The bytes that [`escape_exactly`] wrote; `None` where the text is not its work.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let (kind, after) = (rest.chars().next()?, rest.get(1..)?);
        match kind {
            '\\' => {
                bytes.push(b'\\');
                rest = after;
            }
            'x' => {
                bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
                rest = &after[2..];
            }
            'u' => {
                let (digits, after) = after.strip_prefix('{')?.split_once('}')?;
                let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            _ => return None,
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

fn escape_bytes(bytes: &[u8], backslash: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Writing to a String cannot fail.
            let _ = match c {
                '\\' if backslash => write!(out, "\\\\"),
                c if c.is_ascii_control() => write!(out, "\\x{:02x}", c as u32),
                c if is_hidden(c) => write!(out, "\\u{{{:x}}}", c as u32),
                c => write!(out, "{c}"),
            };
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Characters that a terminal does not show as themselves: C1 controls, zero width, line and paragraph separators,
/// and those that change the direction of text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_never_sees_a_control_character() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            assert!(!escape(c.to_string()).chars().any(|c| c.is_control() || is_hidden(c)), "{c:?}");
        }
        assert_eq!(escape("a\u{202e}gpj.exe"), "a\\u{202e}gpj.exe");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf8_are_shown_and_come_back() {
        use std::os::unix::ffi::OsStrExt;
        let name = OsStr::from_bytes(b"caf\xe9\\n\x07.png");
        assert_eq!(escape(name), "caf\\xe9\\n\\x07.png");
        assert_eq!(escape_exactly(name), "caf\\xe9\\\\n\\x07.png");
        assert_eq!(unescape(&escape_exactly(name)).as_deref(), Some(name.as_bytes()));
    }

    #[test]
    fn what_escape_never_wrote_is_refused() {
        for text in ["\\", "\\q", "\\x", "\\x1", "\\xzz", "\\u{", "\\u{110000}", "\\xé", "\\é"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn formulas_are_neutralised_and_come_back() {
        for text in ["=1+1", "+1", "-1", "@a", "'a", "''", "\ta", "a=b", "", "é"] {
            let cell = cell(text);
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t']), "{cell}");
            assert_eq!(uncell(&cell), text);
        }
    }
}
