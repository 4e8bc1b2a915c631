//! The files of the page, which are part of the program.

use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::problem::Problem;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Name, kind, content.
type File = (&'static str, &'static str, &'static str);

macro_rules! files {
    ($($name:literal: $kind:ident),* $(,)?) => {
        &[$(($name, $kind, include_str!(concat!("../web/", $name)))),*]
    };
}

const FILES: &[File] = files![
    "index.html": HTML,
    "favicon.svg": SVG,
    "js/api.js": JS,
    "js/cell.js": JS,
    "js/charts.js": JS,
    "js/curves.js": JS,
    "js/dom.js": JS,
    "js/films.js": JS,
    "js/intake.js": JS,
    "js/keys.js": JS,
    "js/look.js": JS,
    "js/main.js": JS,
    "js/neighbours.js": JS,
    "js/statistics.js": JS,
    "js/stream.js": JS,
    "js/table.js": JS,
    "js/teach-classes.js": JS,
    "js/teach-films.js": JS,
    "js/teach-large.js": JS,
    "js/teach-proposals.js": JS,
    "js/teach-said.js": JS,
    "js/teach-training.js": JS,
    "js/teach.js": JS,
    "js/test-cut.js": JS,
    "js/test-groups.js": JS,
    "js/test-matrix.js": JS,
    "js/test.js": JS,
    "js/text-de.js": JS,
    "js/text-en.js": JS,
    "js/text-es.js": JS,
    "js/text-zh.js": JS,
    "js/texts.js": JS,
    "js/thumbs.js": JS,
    "js/told.js": JS,
    "js/viewer.js": JS,
    "js/watch.js": JS,
    "style.css": CSS,
];

/// All of them packed, in the same order.
static PACKED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| FILES.iter().map(|(.., text)| packed(text)).collect());

pub(crate) async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    answer("index.html", &headers)
}

pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    answer(&name, &headers)
}

fn answer(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let found = FILES.iter().position(|(own, ..)| *own == name);
    let at = found.ok_or_else(|| Problem::not_found("there is nothing at this address"))?;
    let (_, kind, text) = FILES[at];
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A browser that does not want it leaves it out, and none gives it a weight of nothing.
    if accepts.split(',').any(|coding| coding.split(';').next().unwrap_or_default().trim() == "gzip") {
        let headers =
            [(header::CONTENT_TYPE, kind), (header::CONTENT_ENCODING, "gzip"), (header::VARY, "accept-encoding")];
        return Ok((headers, PACKED[at].as_slice()).into_response());
    }
    Ok(([(header::CONTENT_TYPE, kind), (header::VARY, "accept-encoding")], text).into_response())
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes all that is written.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Names below a folder, as the page asks for them.
    fn below(folder: &Path, before: &str, names: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{before}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                below(&path, &format!("{name}/"), names);
            } else {
                names.push(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served_and_the_first_paint_is_small() {
        let mut names = Vec::new();
        below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web"), "", &mut names);
        let mut served: Vec<&str> = FILES.iter().map(|(name, ..)| *name).collect();
        names.sort();
        served.sort_unstable();
        assert_eq!(served, names);
        // One language is English, and another is loaded only where it is wanted.
        let languages = ["js/text-de.js", "js/text-es.js", "js/text-zh.js"];
        let sizes =
            || FILES.iter().zip(PACKED.iter()).map(|((name, ..), packed)| (languages.contains(name), packed.len()));
        let first: usize = sizes().filter(|(language, _)| !language).map(|(_, bytes)| bytes).sum();
        let largest = sizes().filter(|(language, _)| *language).map(|(_, bytes)| bytes).max().unwrap_or_default();
        assert!(first + largest < 100_000, "{first} and {largest} bytes");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        for (name, _, text) in FILES {
            for evil in ["https://", ".innerHTML", ".outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(evil), "{name} has {evil}");
            }
            // The namespace of SVG is a name, and leads nowhere.
            assert!(!text.replace("http://www.w3.org/2000/svg", "").contains("http://"), "{name}");
        }
    }
}
