//! `POST /api/data/films` and `DELETE /api/data/films/INDEX`: films that somebody adds to a class to teach with. They are the one thing
//! that is sent and kept: in the folder that was named for what is learnt, because somebody said so.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use lungfish::{Error, ErrorKind};
use lungfish_data::display::escape;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::asked::{Asked, Index};
use crate::films::refuse_empty;
use crate::models;
use crate::problem::Problem;
use crate::proposed::class_of;
use crate::taught::{held, teaching};
use crate::tested::blocking;

/// Films that are added, at most: who has more has a folder.
const MOST: usize = 2000;

/// Which class, and what the film is called.
#[derive(Deserialize)]
pub(crate) struct Which {
    class: String,
    name: Option<String>,
}

/// `POST /api/data/films`: the bytes of one film.
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Which>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    teaching(&app)?;
    let film = app.room.read_body(request.into_body()).await?;
    refuse_empty(&film)?;
    let added = blocking(move || {
        let proposed = &teaching(&app)?.proposed;
        let mut kept = held(&proposed.kept);
        let class = class_of(kept.lesson.classes(), &asked.class)?;
        if kept.lesson.films().iter().filter(|film| film.added && !film.gone).count() >= MOST {
            return Err(Problem::conflict(format!(
                "{MOST} films are added at most: put more into a folder of their class"
            )));
        }
        let name = asked.name.as_deref().unwrap_or_default();
        let at = kept.lesson.add(&proposed.out, class, name, &film.bytes).map_err(|e| conflict_or(&e))?;
        let film = &kept.lesson.films()[at];
        Ok(json!({ "index": at, "name": film.path.file_name().map(escape), "label": asked.class }))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// `DELETE /api/data/films/INDEX`.
pub(crate) async fn take_away(State(app): State<Arc<App>>, Index(index): Index) -> Result<Json<Value>, Problem> {
    blocking(move || {
        let proposed = &teaching(&app)?.proposed;
        let mut kept = held(&proposed.kept);
        if index >= kept.lesson.films().len() {
            return Err(Problem::not_found(format!("the data set has no film {index}")));
        }
        kept.lesson.take_away(index).map_err(|e| conflict_or(&e))?;
        if kept.proposals.contains_key(&index) {
            let mut changed = kept.proposals.clone();
            changed.remove(&index);
            proposed.keep(&kept.lesson, &changed)?;
            kept.proposals = changed;
        }
        Ok(Json(json!({ "films": kept.lesson.films().iter().filter(|film| !film.gone).count() })))
    })
    .await
}

fn conflict_or(error: &Error) -> Problem {
    match error.kind() {
        ErrorKind::BadInput => Problem::conflict(error.to_string()),
        _ => models::problem_of(error),
    }
}
