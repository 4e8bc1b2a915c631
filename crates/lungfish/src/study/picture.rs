//! The pictures of a test that lie beside its metrics, as parts of a page.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lungfish_data::display::escape;

use crate::Error;

/// Pictures on which there are films, and the names of their files.
const OF_FILMS: [&str; 5] = ["films", "worst-errors", "worst-errors-cam", "suspects", "near-copies"];

/// Where pictures are, and which may be shown.
pub(super) struct Pictures {
    run: PathBuf,
    results: PathBuf,
    films: bool,
}

/// What there is of a picture.
pub(super) enum Shown {
    /// The picture, as a data URI, and whether there are films on it.
    Picture(String, bool),
    /// There are films on it, and the page is to have none.
    LeftOut,
    /// It was not drawn.
    Absent,
}

impl Pictures {
    pub(super) fn of(run: &Path, results: &Path, films: bool) -> Self {
        Pictures { run: run.to_owned(), results: results.to_owned(), films }
    }

    /// A picture that is drawn for each split, such as `roc`.
    ///
    /// # Errors
    /// A file that cannot be read, or is no picture.
    pub(super) fn of_split(&self, what: &str, split: &str) -> Result<Shown, Error> {
        let films = OF_FILMS.contains(&what);
        if films && !self.films {
            return Ok(Shown::LeftOut);
        }
        // Films are pixels: as text they would only be longer.
        let order = if films { ["png", "svg"] } else { ["svg", "png"] };
        shown(&self.results, &format!("{what}-{split}"), order, films)
    }

    /// A picture of no split.
    ///
    /// # Errors
    /// A file that cannot be read, or is no picture.
    pub(super) fn named(&self, name: &str) -> Result<Shown, Error> {
        let films = OF_FILMS.contains(&name);
        if films && !self.films {
            return Ok(Shown::LeftOut);
        }
        shown(&self.results, name, if films { ["png", "svg"] } else { ["svg", "png"] }, films)
    }

    /// The learning curves of the run.
    ///
    /// # Errors
    /// A file that cannot be read, or is no picture.
    pub(super) fn learning_curves(&self) -> Result<Shown, Error> {
        shown(&self.run, "learning-curves", ["svg", "png"], false)
    }
}

fn shown(folder: &Path, name: &str, order: [&str; 2], films: bool) -> Result<Shown, Error> {
    for extension in order {
        let path = folder.join(format!("{name}.{extension}"));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let kind = if bytes.starts_with(b"\x89PNG") {
            "png"
        } else if bytes.trim_ascii_start().starts_with(b"<svg") || bytes.trim_ascii_start().starts_with(b"<?xml") {
            "svg+xml"
        } else {
            return Err(Error::damaged(format!("{} is neither PNG nor SVG", escape(&path))));
        };
        return Ok(Shown::Picture(format!("data:image/{kind};base64,{}", base64(&bytes)), films));
    }
    Ok(Shown::Absent)
}

/// Bytes as text (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let of = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for letter in 0..4 {
            // Of n bytes n + 1 letters say something.
            let six = (bits >> (18 - 6 * letter)) & 63;
            text.push(if letter <= chunk.len() { char::from(LETTERS[six as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let said = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(said, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn films_are_shown_only_where_they_may_be() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["roc-test.svg", "roc-test.png", "films-test.png", "films-test.svg"] {
            let bytes: &[u8] = if name.ends_with("svg") { b"<svg/>" } else { b"\x89PNG" };
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let start =
            |films: bool, what: &str| match Pictures::of(dir.path(), dir.path(), films).of_split(what, "test").unwrap()
            {
                Shown::Picture(data, _) => data.split(';').next().unwrap().to_owned(),
                Shown::LeftOut => "left out".to_owned(),
                Shown::Absent => "absent".to_owned(),
            };
        assert_eq!(
            (start(true, "roc"), start(true, "films")),
            ("data:image/svg+xml".to_owned(), "data:image/png".to_owned())
        );
        assert_eq!(
            (start(false, "roc"), start(false, "films")),
            ("data:image/svg+xml".to_owned(), "left out".to_owned())
        );
        assert_eq!(start(true, "worst-errors-cam"), "absent");
        fs::write(dir.path().join("roc-test.svg"), "<html>").unwrap();
        let said = Pictures::of(dir.path(), dir.path(), true).of_split("roc", "test");
        assert!(matches!(said, Err(Error::Damaged(text)) if text.ends_with("roc-test.svg is neither PNG nor SVG")));
    }
}
