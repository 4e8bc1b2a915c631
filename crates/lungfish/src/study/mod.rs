//! A run written up: one page that needs nothing else, and a model card.
//!
//! `found` reads what lies in the run folder (`counts` the splits, `tested` the metrics and the audit, `picture` what was drawn,
//! `answers` the people's `study.toml`), `part` says what is missing and how it comes there, `page` writes HTML with the words
//! and tables of `html` and the diagram of `flow`, `card` writes Markdown. No film is opened and no number is made anew.
//!
//! And an audit: `audited` writes its page, and `audit_pictures` draws it, for which the films in doubt are opened.

mod answers;
#[cfg(feature = "pictures")]
mod audit_pictures;
mod audited;
mod card;
mod checklist;
mod counts;
mod flow;
mod found;
mod html;
mod page;
mod part;
mod picture;
mod tested;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use serde::Serialize;

use crate::Error;
use crate::run_folder::write_atomically;
use answers::Answers;
use found::Found;

pub use audited::{AuditFiles, refuse_audit, write_audit};
pub use part::Missing;

/// The page, and the model card.
const PAGE: &str = "report.html";
const CARD: &str = "README.md";
/// What stands in both, so that no file of somebody else's is written over.
const PAGE_MARK: &str = "<meta name=\"generator\" content=\"lungfish report\">";
const CARD_MARK: &str = "<!-- Written by lungfish report, which writes it anew. -->";

/// What to write up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReportRequest {
    /// The run folder.
    pub run: PathBuf,
    /// What people say of the study: a `study.toml`.
    pub study: Option<PathBuf>,
    /// What `lungfish audit --json` said; none is `audit.json` in the run folder, if it lies there.
    pub audit: Option<PathBuf>,
    /// A folder that `lungfish test --out` wrote, for a test on other films than the run's own; none is the run folder.
    pub tested: Option<PathBuf>,
    /// Where `report.html` and `README.md` go; none is the run folder. A folder that is not there is made.
    pub out: Option<PathBuf>,
    /// Whether pictures with films on them are shown. The names of their files stand in these pictures.
    pub films: bool,
}

impl ReportRequest {
    /// Of a run folder, with films, into that folder.
    pub fn new(run: impl Into<PathBuf>) -> Self {
        ReportRequest { run: run.into(), study: None, audit: None, tested: None, out: None, films: true }
    }
}

/// What was written. Serialised, it is what `lungfish report --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ReportOutcome {
    /// The page.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub page: PathBuf,
    /// The model card.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub card: PathBuf,
    /// Bytes of the page.
    pub bytes: usize,
    /// Whether test films were tested.
    pub tested: bool,
    /// Keys of `study.toml` that are answered, and how many there are.
    pub answered: [usize; 2],
    /// What must be known beside the numbers, a sentence each.
    pub caveats: Vec<String>,
    /// What a report could tell and this one cannot.
    pub missing: Vec<Missing>,
}

/// Writes a run up as `report.html`, which needs no network and no other file, and as `README.md`, a model card with Hugging Face's
/// `model-index`. It reads what lies in the run folder and computes nothing anew; the same files give the same page, byte for
/// byte. A run that was not tested, or of which other things are not known, has a report that says so.
///
/// # Errors
/// One sentence: no such run, a split file, metrics or an audit that are not what the program wrote, a key in `study.toml` that is
/// none, a file or folder that cannot be read or written.
pub fn report(request: &ReportRequest) -> Result<ReportOutcome, Error> {
    let found = Found::read(request)?;
    let html = page::write(&found)?;
    let card = card::write(&found);
    let out = request.out.as_deref().unwrap_or(&request.run);
    fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
    let (page_file, card_file) = (out.join(PAGE), out.join(CARD));
    refuse_foreign(&page_file, PAGE_MARK)?;
    refuse_foreign(&card_file, CARD_MARK)?;
    write_atomically(&page_file, html.as_bytes())?;
    write_atomically(&card_file, card.as_bytes())?;
    Ok(ReportOutcome {
        page: page_file,
        card: card_file,
        bytes: html.len(),
        tested: found.has_test(),
        answered: [found.answers.len(), answers::keys().count()],
        caveats: found.caveats(),
        missing: found.missing(),
    })
}

/// Refuses to write over what somebody else wrote.
fn refuse_foreign(file: &Path, mark: &str) -> Result<(), Error> {
    let there = match fs::read(file) {
        Ok(there) => there,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("read", file, e)),
    };
    if String::from_utf8_lossy(&there).contains(mark) {
        return Ok(());
    }
    let what = "is there, and lungfish did not write it: name another folder with --out";
    Err(Error::refused(format!("{} {what}", escape(file))))
}

/// Writes an empty `study.toml`, with a comment that says what each key is for.
///
/// # Errors
/// A file that is there already, or cannot be written.
pub fn write_study(file: &Path) -> Result<(), Error> {
    if file.exists() {
        return Err(Error::refused(format!("{} is there already: name another file", escape(file))));
    }
    write_atomically(file, Answers::template().as_bytes())
}

fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
