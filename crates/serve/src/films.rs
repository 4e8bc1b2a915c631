//! `POST /api/predict` and `POST /api/explain`: films in, what a model says of them out. Nothing of a film is kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lungfish::{Channels, Image, Prediction};
use lungfish_data::display::escape;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::asked::Asked;
use crate::body::Held;
use crate::models::{Answer, Served};
use crate::problem::Problem;

/// Films in one request.
const MOST_FILMS: usize = 1000;

/// Which model is asked, and what the film is called.
#[derive(Deserialize)]
pub(crate) struct Which {
    model: Option<String>,
    name: Option<String>,
}

/// `POST /api/predict`: the bytes of one film, or several as a form.
pub(crate) async fn predict(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Which>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let model = app.models.get(asked.model.as_deref())?;
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        let form = Multipart::from_request(request, &()).await;
        return several(&app, &model, form.map_err(|e: MultipartRejection| Problem::bad(e.body_text()))?).await;
    }
    let film = app.room.read_body(request.into_body()).await?;
    let said = one(&app, &model, film, asked.name.as_deref()).await?;
    Ok(Json(said))
}

/// The films of a form, one after the other: each is answered before the next is read.
async fn several(app: &App, model: &Served, mut form: Multipart) -> Result<Json<Value>, Problem> {
    let mut films = Vec::new();
    loop {
        let field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(e) => return Err(Problem::bad(format!("the form was not sent to its end: {}", e.body_text()))),
        };
        if field.name() != Some("film") {
            let name = escape(field.name().unwrap_or_default());
            return Err(Problem::bad(format!("the form has a part \"{name}\": its parts are called \"film\"")));
        }
        if films.len() == MOST_FILMS {
            return Err(Problem::large(format!("a form has {MOST_FILMS} films at most")));
        }
        let name = field.file_name().map(str::to_owned);
        let film = app.room.read(field).await?;
        films.push(match one(app, model, film, name.as_deref()).await {
            Ok(said) => said,
            Err(problem) if problem.is_of_film() => {
                json!({ "path": escape(name.unwrap_or_default()), "error": problem.detail() })
            }
            Err(problem) => return Err(problem),
        });
    }
    Ok(Json(json!({ "films": films })))
}

/// A line of `lungfish predict --json`.
async fn one(app: &App, model: &Served, film: Held, name: Option<&str>) -> Result<Value, Problem> {
    refuse_empty(&film)?;
    match model.ask(film, false).await? {
        Answer::Predicted(said) => {
            app.counts.film();
            line(&said, name)
        }
        Answer::Explained(_) => Err(Problem::broken("another question was answered")),
    }
}

pub(crate) fn refuse_empty(film: &Held) -> Result<(), Problem> {
    if film.bytes.is_empty() {
        return Err(Problem::unreadable("there is no film in the request: its body is empty"));
    }
    Ok(())
}

fn line(said: &Prediction, name: Option<&str>) -> Result<Value, Problem> {
    let mut line = serde_json::to_value(said).map_err(|e| Problem::broken(e.to_string()))?;
    line["path"] = Value::from(escape(name.unwrap_or_default()));
    Ok(line)
}

/// `POST /api/explain`: the bytes of one film; what the model says of it, what it read, and the film as it was decoded.
pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Which>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let model = app.models.get(asked.model.as_deref())?;
    let film = app.room.read_body(request.into_body()).await?;
    refuse_empty(&film)?;
    let Answer::Explained(said) = model.ask(film, true).await? else {
        return Err(Problem::broken("another question was answered"));
    };
    app.counts.film();
    let mut answer = line(&said.prediction, asked.name.as_deref())?;
    if let Some(map) = &said.prediction.map {
        answer["map"] = json!({ "of": map.of, "rows": map.rows, "columns": map.columns, "values": map.values });
    }
    answer["square"] = json!(said.square);
    answer["film"] = json!({ "width": said.size[0], "height": said.size[1], "format": said.format });
    let png = tokio::task::spawn_blocking(move || png(&said.picture)).await;
    let png = png.map_err(|e| Problem::broken(e.to_string()))?.map_err(Problem::broken)?;
    answer["picture"] = Value::from(format!("data:image/png;base64,{}", STANDARD.encode(png)));
    Ok(Json(answer))
}

/// An image as PNG, written fast: it travels inside this machine.
pub(crate) fn png(image: &Image) -> Result<Vec<u8>, String> {
    let side = |side: usize| u32::try_from(side).map_err(|e| e.to_string());
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(image.width)?, side(image.height)?);
    encoder.set_color(match image.channels {
        Channels::Gray => png::ColorType::Grayscale,
        Channels::Rgb => png::ColorType::Rgb,
    });
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(&image.pixels).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())?;
    Ok(bytes)
}
