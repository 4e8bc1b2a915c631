//! `/api/data` and `/api/corrections`: the films of a data set, and other labels that are proposed for them. The films are never touched:
//! proposals are a table in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use lungfish::{Channels, Decoding, Error, Lesson, LessonFilm, Proposal, Proposals, Split, decode_file};
use lungfish_data::DecodeOptions;
use lungfish_data::display::escape;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::asked::{Asked, Index};
use crate::films::png;
use crate::problem::Problem;
use crate::taught::{held, teaching};
use crate::tested::{blocking, small};
use crate::{App, ServeError};

/// Films of a page, at most and unasked.
const MOST: usize = 500;
const USUAL: usize = 60;
/// The table of proposals.
const CORRECTIONS: &str = "corrections.csv";

/// A data set, and what is proposed for its films.
pub(crate) struct Proposed {
    /// The data set's folder.
    pub(crate) root: PathBuf,
    /// Where the table is, and what is added and learnt.
    pub(crate) out: PathBuf,
    pub(crate) kept: Mutex<Kept>,
}

/// The films, and what is proposed for them.
pub(crate) struct Kept {
    pub(crate) lesson: Lesson,
    pub(crate) proposals: Proposals,
}

impl Proposed {
    pub(crate) fn open(data: &Path, out: &Path) -> Result<Self, ServeError> {
        let lesson = Lesson::open(data)?;
        lesson.refuse_among_classes(out)?;
        let io = |e: std::io::Error| ServeError::Folder { folder: out.to_owned(), source: e };
        fs::create_dir_all(out).map_err(io)?;
        let lesson = lesson.with_added(out)?;
        let proposals = lesson.read_proposals(&out.join(CORRECTIONS))?;
        let root = lesson.root().to_owned();
        Ok(Proposed { root, out: out.to_owned(), kept: Mutex::new(Kept { lesson, proposals }) })
    }

    /// Writes the labels that a training takes.
    pub(crate) fn write_table(&self, to: &Path) -> Result<(), Error> {
        let kept = held(&self.kept);
        kept.lesson.write_table(&kept.proposals, to)
    }

    /// Writes the table of proposals anew.
    pub(crate) fn keep(&self, lesson: &Lesson, proposals: &Proposals) -> Result<(), Problem> {
        let file = self.out.join(CORRECTIONS);
        lesson.write_proposals(proposals, &file).map_err(|e| Problem::broken(e.to_string()))
    }
}

/// Which films.
#[derive(Deserialize)]
pub(crate) struct Films {
    offset: Option<usize>,
    limit: Option<usize>,
    class: Option<String>,
    only: Option<String>,
}

/// `GET /api/data`.
pub(crate) async fn data(State(app): State<Arc<App>>, Asked(asked): Asked<Films>) -> Result<Json<Value>, Problem> {
    let kept = held(&teaching(&app)?.proposed.kept);
    let Kept { lesson, proposals } = &*kept;
    let classes = lesson.classes();
    let class = match &asked.class {
        Some(name) => Some(class_of(classes, name)?),
        None => None,
    };
    let only = asked.only.as_deref();
    // Labels of test films are nothing that is changed with a look at what a model says.
    let films = lesson.films().iter().enumerate().filter(|(_, film)| film.split != Some(Split::Test) && !film.gone);
    let all = films.clone().count();
    let added = films.clone().filter(|(_, film)| film.added).count();
    let found: Vec<_> = films
        .filter(|(at, film)| {
            class.is_none_or(|class| film.class == class)
                && (only != Some("corrected") || proposals.contains_key(at))
                && (only != Some("added") || film.added)
        })
        .collect();
    let item = |(at, film): &(usize, &LessonFilm)| {
        json!({
            "index": at,
            "name": film.path.file_name().map(escape),
            "label": classes[film.class],
            "split": film.split.map(Split::name),
            "added": film.added,
            "proposed": proposals.get(at).map(|proposal| match proposal {
                Proposal::Class(class) => classes[*class].as_str(),
                Proposal::LeaveOut => "",
            }),
        })
    };
    let limit = asked.limit.unwrap_or(USUAL).min(MOST);
    let items: Vec<Value> = found.iter().skip(asked.offset.unwrap_or(0)).take(limit).map(item).collect();
    Ok(Json(json!({
        "name": lesson.root().file_name().map(escape),
        "classes": classes,
        "films": all,
        "found": found.len(),
        "corrections": proposals.len(),
        "added": added,
        "items": items,
    })))
}

pub(crate) fn class_of(classes: &[String], name: &str) -> Result<usize, Problem> {
    let found = classes.iter().position(|class| class == name);
    found.ok_or_else(|| {
        let classes: Vec<String> = classes.iter().map(escape).collect();
        Problem::bad(format!("there is no class {}; there are {}", escape(name), classes.join(", ")))
    })
}

/// `GET /api/data/films/INDEX`.
pub(crate) async fn film(State(app): State<Arc<App>>, Index(index): Index) -> Result<Response, Problem> {
    let bytes = blocking(move || {
        let path = {
            let kept = held(&teaching(&app)?.proposed.kept);
            let film = kept.lesson.films().get(index).filter(|film| !film.gone).ok_or_else(|| no_film(index))?;
            film.path.clone()
        };
        let options = DecodeOptions { channels: Channels::Gray, decoding: Decoding::DEFAULT };
        let image = decode_file(&path, options);
        let image = image.map_err(|e| Problem::not_found(format!("that film cannot be read: {e}")))?;
        png(&small(image)).map_err(Problem::broken)
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes).into_response())
}

fn no_film(index: usize) -> Problem {
    Problem::not_found(format!("the data set has no film {index}"))
}

/// What is proposed for a film: a class, an empty text to leave it out, nothing to take it back.
#[derive(Deserialize)]
pub(crate) struct Correction {
    index: usize,
    /// To be there, be it null.
    #[serde(deserialize_with = "Option::deserialize")]
    label: Option<String>,
}

/// `POST /api/corrections`.
pub(crate) async fn correct(
    State(app): State<Arc<App>>,
    body: Result<Json<Correction>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(correction) = body.map_err(|e| Problem::bad(e.body_text()))?;
    blocking(move || {
        let proposed = &teaching(&app)?.proposed;
        let mut kept = held(&proposed.kept);
        let Kept { lesson, proposals } = &mut *kept;
        let film = lesson.films().get(correction.index).filter(|film| !film.gone);
        let film = film.ok_or_else(|| no_film(correction.index))?;
        if film.split == Some(Split::Test) {
            return Err(Problem::bad("that film is on the test split: its label is not changed here"));
        }
        let proposal = match correction.label.as_deref() {
            None => None,
            Some("") => Some(Proposal::LeaveOut),
            Some(name) => {
                Some(class_of(lesson.classes(), name)?).filter(|class| *class != film.class).map(Proposal::Class)
            }
        };
        let mut changed = proposals.clone();
        match proposal {
            Some(proposal) => changed.insert(correction.index, proposal),
            None => changed.remove(&correction.index),
        };
        proposed.keep(lesson, &changed)?;
        *proposals = changed;
        Ok(Json(json!({ "corrections": proposals.len() })))
    })
    .await
}

/// `GET /api/corrections`.
pub(crate) async fn corrections(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let table = {
        let kept = held(&teaching(&app)?.proposed.kept);
        kept.lesson.proposals(&kept.proposals)
    };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"corrections.csv\""),
    ];
    Ok((headers, table).into_response())
}
