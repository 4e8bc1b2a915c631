//! An audit written up: `audit.json`, which a report takes in, its pictures, and one page.

use std::fs;
use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use serde::Serialize;

use super::found::AUDIT;
use super::html::{Page, Table, Words, percent, some};
use super::page::trust::of_audit;
use super::page::{NOT_A_DIAGNOSIS, picture};
use super::picture::Pictures;
use super::refuse_foreign;
use super::tested::{AUDIT_SCHEMA, Audited};
use crate::run_folder::write_atomically;
use crate::{Audit, Error, Watch};

/// The page, and the pictures on it.
const PAGE: &str = "audit.html";
pub(super) const SHORTCUTS: &str = "shortcuts";
pub(super) const SUSPECTS: &str = "suspects";
pub(super) const NEAR_COPIES: &str = "near-copies";
/// Films that cannot be read are named, so many of them.
const NAMED: usize = 20;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFiles {
    /// The page.
    pub page: PathBuf,
    /// What `lungfish audit --json` prints, which `lungfish report` takes in.
    pub json: PathBuf,
    /// The pictures, as PNG; each is there as SVG too.
    pub pictures: Vec<PathBuf>,
    /// Whether one could not be drawn.
    pub pictures_failed: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    schema: &'static str,
    #[serde(flatten)]
    audit: &'a Audit,
}

/// Refuses a folder for an audit in which there is what lungfish did not write, before an audit takes its time.
///
/// # Errors
/// One sentence: a file that would be written over, a file where the folder should be.
pub fn refuse_audit(out: &Path) -> Result<(), Error> {
    if out.exists() && !out.is_dir() {
        return Err(Error::refused(format!("{} is no folder: name another one with --out", escape(out))));
    }
    refuse_foreign(&out.join(PAGE), super::PAGE_MARK)?;
    refuse_foreign(&out.join(AUDIT), AUDIT_SCHEMA)
}

/// Writes an audit into a folder, which is made where there is none: `audit.json`, the pictures `shortcuts`, `suspects` and
/// `near-copies` as PNG and SVG, and `audit.html`, which needs no network and no other file. A picture that has nothing to show is
/// left out, and one of that name from an earlier audit goes; one that cannot be drawn is told as a warning. Without `films` no film
/// is drawn.
///
/// # Errors
/// A file that cannot be written, or that lies there and lungfish did not write.
pub fn write_audit(found: &Audit, out: &Path, films: bool, watch: &mut Watch<'_>) -> Result<AuditFiles, Error> {
    refuse_audit(out)?;
    fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
    let (page, json) = (out.join(PAGE), out.join(AUDIT));
    let bytes = serde_json::to_vec_pretty(&Written { schema: AUDIT_SCHEMA, audit: found })
        .map_err(|e| Error::refused(format!("cannot write {}: {e}", escape(&json))))?;
    write_atomically(&json, &bytes)?;
    #[cfg(feature = "pictures")]
    let (pictures, pictures_failed) = super::audit_pictures::draw(found, out, films, watch)?;
    #[cfg(not(feature = "pictures"))]
    let (pictures, pictures_failed) = {
        let _ = watch;
        (Vec::new(), false)
    };
    let audited = Audited::read(&json)?.ok_or_else(|| Error::not_found(format!("{} is gone", escape(&json))))?;
    let html = write(found, &audited, &Pictures::of(out, out, films))?;
    write_atomically(&page, html.as_bytes())?;
    Ok(AuditFiles { page, json, pictures, pictures_failed })
}

fn write(found: &Audit, audited: &Audited, pictures: &Pictures) -> Result<String, Error> {
    let mut page = Page::default();
    page.section("verdict", "What a model could learn instead of lungs");
    of_audit(&mut page, audited);
    picture(
        &mut page,
        pictures.named(SHORTCUTS)?,
        "AUC with interval of each set of numbers in which no lung is looked at; the table above has the same numbers.",
        "What tells the classes apart without lungs. At 0.5 nothing does; what is far above it, a model may learn instead of lungs.",
    );
    alone(&mut page, found);
    of_model(&mut page, found);
    near_copies(&mut page, found, pictures)?;
    labels(&mut page, found, pictures)?;
    unreadable(&mut page, found);
    let under = [
        Words::from(format!("{} in ", some(found.films, "film", "films"))).code(&found.root),
        Words::default().strong(NOT_A_DIAGNOSIS),
    ];
    let foot = Words::from(format!("Written by lungfish {}. ", env!("CARGO_PKG_VERSION"))).and(NOT_A_DIAGNOSIS);
    Ok(page.finish("Audit of a data set", &under, &[foot]))
}

/// What single numbers tell.
fn alone(page: &mut Page, found: &Audit) {
    for shortcut in found.shortcuts.iter().filter(|shortcut| !shortcut.alone.is_empty()) {
        let caption = format!("{} one by one, {} against all others: AUC", shortcut.what, shortcut.class);
        let mut table = Table::new(caption, ["Number", "Films to learn from", "Test split"]);
        for number in &shortcut.alone {
            let test = number.test.as_ref().map_or_else(|| "–".to_owned(), |test| format!("{:.3}", test.auc));
            table.row(&number.name, [format!("{:.3}", number.train.auc), test]);
        }
        page.table(&table);
    }
}

/// What the data set says of the model.
fn of_model(page: &mut Page, found: &Audit) {
    let Some(model) = &found.model else { return };
    page.section("model", "What it says of a model");
    let known = some(model.known, "film", "films");
    page.paragraph(Words::from(format!("{known} of the data set had a part in ")).code(&model.model).and(format!(
        ", {} of them on the test split{}.",
        model.known_on_test,
        if model.known_on_test > 0 { ": they are no test of it" } else { "" }
    )));
    let Some(first) = model.calls.first() else { return };
    let of = if model.of_new_films { "films that are new to it" } else { "all films, since few are new to it" };
    let caption = format!("Which films it calls {}, told without lungs: AUC with 95 % interval, {of}", first.class);
    let mut table = Table::new(caption, ["Numbers", "AUC"]);
    for told in &model.calls {
        table.row(&told.what, [super::html::with_interval(Some(told.train.auc), told.train.interval)]);
    }
    page.table(&table);
    page.paragraph(
        "Numbers in which no lung is looked at may tell what a model calls since it reads them, or since the films that show disease were \
         taken otherwise: where this is far above what the same numbers tell of the classes, it reads them.",
    );
}

fn near_copies(page: &mut Page, found: &Audit, pictures: &Pictures) -> Result<(), Error> {
    let leakage = &found.leakage;
    if leakage.copies.is_empty() && leakage.near.is_empty() {
        return Ok(());
    }
    page.section("copies", "Films that are other films");
    if !leakage.copies.is_empty() {
        page.paragraph("These have the same pixels and lie on two splits, or in two classes:");
        page.list(leakage.copies.iter().map(|copies| {
            let between = |(at, path): (usize, &PathBuf)| (if at == 0 { "" } else { " = " }, escape(path));
            copies
                .paths
                .iter()
                .enumerate()
                .map(between)
                .fold(Words::default(), |words, (equals, path)| words.and(equals).code(path))
        }));
    }
    if !leakage.near.is_empty() {
        let caption = "The surest near-copies: the share of the film that its copy shows, and the correlation of what is fine in both";
        let mut table = Table::of_texts(caption, ["Copy", "Film", "Shows", "Correlation"]);
        for near in &leakage.near {
            let mirrored = if near.mirrored { ", mirrored" } else { "" };
            let cells = [
                Words::default().code(&near.film),
                format!("{:.0} %{mirrored}", 100.0 * near.shown).into(),
                format!("{:.3}", near.correlation).into(),
            ];
            table.row(Words::default().code(&near.copy), cells);
        }
        page.table(&table);
        picture(
            page,
            pictures.named(NEAR_COPIES)?,
            "Pairs of films beside each other, each a film and the one that shows all or a part of it.",
            "Near-copies: a person has to say whether they are the same film.",
        );
    }
    Ok(())
}

fn labels(page: &mut Page, found: &Audit, pictures: &Pictures) -> Result<(), Error> {
    let Some(suspects) = &found.suspects else { return Ok(()) };
    page.section("labels", "Labels that are doubtful");
    page.paragraph(format!(
        "Of {}, {} ({}) have a label that films of other patients contradict, by what a network that was not trained on these films sees \
         in them (confident learning). The film may be odd, or the network wrong: a suspect is to be looked at by somebody who can read \
         it, and nothing was changed.",
        some(suspects.films, "film", "films"),
        suspects.count,
        percent(suspects.count, suspects.films)
    ));
    if suspects.suspects.is_empty() {
        return Ok(());
    }
    picture(
        page,
        pictures.named(SUSPECTS)?,
        "Films whose label is doubtful, each with its label and what other films say that it is; the table below names them.",
        "The most doubtful labels, the most doubtful first.",
    );
    let mut table = Table::of_texts("Doubtful labels, with the probability of each", ["Film", "Label", "Rather"]);
    for film in &suspects.suspects {
        let cells = [
            format!("{} ({:.2})", film.label, film.of_label),
            format!("{} ({:.2})", film.suggested, film.of_suggested),
        ];
        table.row(Words::default().code(&film.film), cells);
    }
    page.table(&table);
    Ok(())
}

fn unreadable(page: &mut Page, found: &Audit) {
    if found.bad.is_empty() {
        return;
    }
    page.section("unreadable", "Films that cannot be read");
    let mut table = Table::of_texts(
        format!("{}, of which these are some", some(found.bad.len(), "film", "films")),
        ["Film", "Why"],
    );
    for film in found.bad.iter().take(NAMED) {
        table.row(Words::default().code(escape(&film.path)), [film.reason.clone()]);
    }
    page.table(&table);
}
