//! `GET /api/test` and its films: the test of a run as it lies in the run folder. A film is asked for by its number in the table of the
//! test: no path of a request is ever opened.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use lungfish::{DecodeError, Image, Task, TestedFilm, decode_file};
use lungfish_data::display::escape;
use lungfish_data::preprocess::resize;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::asked::{Asked, Index};
use crate::films::png;
use crate::models::Served;
use crate::problem::Problem;

/// The longer side of a film among others, pixels.
const SMALL: usize = 512;

/// Which model.
#[derive(Deserialize)]
pub(crate) struct Which {
    model: Option<String>,
}

/// `GET /api/test`.
pub(crate) async fn test(State(app): State<Arc<App>>, Asked(asked): Asked<Which>) -> Result<Json<Value>, Problem> {
    blocking(move || {
        let model = app.models.get(asked.model.as_deref())?;
        let tested = model.tested().map_err(|e| Problem::broken(e.to_string()))?;
        let Some(tested) = tested else {
            return Err(Problem::not_found(format!("there is no test of {}: `lungfish test` makes one", model.name)));
        };
        let films: Vec<Value> =
            tested.films.iter().enumerate().map(|(index, film)| about(&model, index, film)).collect();
        Ok(Json(json!({
            "split": tested.split.to_string(),
            "task": model.info.task,
            "positive": model.info.positive_class(),
            "classes": model.info.classes,
            "at": tested.metrics["at"],
            "cut": tested.metrics["threshold"],
            "cuts": cuts(&model, &tested.metrics),
            "films": films,
            "metrics": tested.metrics,
        })))
    })
    .await
}

/// Where each class or label is called.
fn cuts(model: &Served, metrics: &Value) -> Value {
    let info = &model.info;
    let half = 0.5;
    let cut = |class: &String| match (info.task, info.positive_class()) {
        (Task::OneOf, Some(positive)) => (class == positive).then(|| metrics["threshold"].as_f64().unwrap_or(half)),
        (Task::OneOf, None) => Some(half),
        (Task::AnyOf, _) => {
            let points = info.calibration.iter().flat_map(|found| &found.points);
            let own = points.filter(|point| point.rule == model.point && point.label.as_ref() == Some(class));
            Some(own.filter_map(|point| point.cut).next().unwrap_or(half))
        }
    };
    info.classes
        .iter()
        .filter_map(|class| Some((class.clone(), json!(cut(class)?))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn about(model: &Served, index: usize, film: &TestedFilm) -> Value {
    let classes = &model.info.classes;
    let class = model.info.positive_class().unwrap_or(&film.predicted);
    let probability = match model.info.task {
        Task::OneOf => classes.iter().position(|name| name == class).and_then(|at| film.probabilities.get(at)).copied(),
        Task::AnyOf => None,
    };
    let mut folders = film.path.parent().into_iter().flat_map(|parent| parent.iter().rev().take(2)).collect::<Vec<_>>();
    folders.reverse();
    let folder: Vec<String> = folders.into_iter().map(escape).collect();
    let of_class = |values: &dyn Fn(usize) -> Value| -> Value {
        classes
            .iter()
            .enumerate()
            .map(|(at, class)| (class.clone(), values(at)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut groups = film.groups.clone();
    groups.insert("folder".to_owned(), folder.join("/"));
    json!({
        "index": index,
        "name": film.path.file_name().map(escape),
        "label": film.label,
        "labels": of_class(&|at| json!(film.labels.get(at).copied().flatten())),
        "called": film.predicted,
        "probability": probability,
        "probabilities": of_class(&|at| json!(film.probabilities.get(at))),
        "patient": film.patient,
        "unlike": film.unlike,
        "groups": groups,
    })
}

/// `GET /api/test/films/INDEX`.
pub(crate) async fn film(
    State(app): State<Arc<App>>,
    Index(index): Index,
    Asked(asked): Asked<Which>,
) -> Result<Response, Problem> {
    let bytes = blocking(move || {
        let model = app.models.get(asked.model.as_deref())?;
        let tested = model.tested().map_err(|e| Problem::broken(e.to_string()))?;
        let films = tested.as_ref().map(|tested| tested.films.as_slice()).unwrap_or_default();
        let film = films.get(index).ok_or_else(|| Problem::not_found(format!("the test has no film {index}")))?;
        let image = decode_file(&film.path, model.info.preprocess.decode_options());
        let gone = |e: DecodeError| Problem::not_found(format!("that film cannot be read any more: {e}"));
        png(&small(image.map_err(gone)?)).map_err(Problem::broken)
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes).into_response())
}

pub(crate) fn small(image: Image) -> Image {
    let long = image.width.max(image.height).max(1);
    if long <= SMALL {
        return image;
    }
    let side = |side: usize| (side * SMALL / long).max(1);
    let (width, height) = (side(image.width), side(image.height));
    resize(image, width, height)
}

/// Off the threads that answer, which must not wait for a disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Problem::broken(e.to_string()))?
}
