//! `GET /api/watch`: a training as it goes on, as server-sent events.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, StreamExt};
use lungfish::{BestEpoch, is_training, kept_epoch, model_written, training_log};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::asked::Asked;
use crate::problem::Problem;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(500);
/// Between two signs that the server is still there.
pub(crate) const KEEP: Duration = Duration::from_secs(15);

/// Which model's training, or which training that is watched.
#[derive(Deserialize)]
pub(crate) struct Which {
    model: Option<String>,
    run: Option<String>,
}

/// What was told of a training.
struct Told {
    run: PathBuf,
    /// What the training is called where it is watched: then it is told why its model cannot be opened.
    name: Option<String>,
    app: Arc<App>,
    epochs: usize,
    state: Option<Value>,
    /// When the model that lies there was written, and of which epoch it is.
    kept: (Option<SystemTime>, Option<Value>),
}

/// All epochs so far, then each as it is written.
pub(crate) async fn watch(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Which>,
) -> Result<impl IntoResponse, Problem> {
    let run = match &asked.run {
        Some(run) => app.runs.get(run)?.to_owned(),
        None => {
            let model = app.models.get(asked.model.as_deref())?;
            let none = || Problem::not_found(format!("{} lies in no run folder: it has no log", model.name));
            model.run.clone().ok_or_else(none)?
        }
    };
    let stopping = app.stopping.clone();
    let told = Told { run, name: asked.run, app, epochs: 0, state: None, kept: (None, None) };
    let events = stream::unfold((told, stopping), |(mut told, mut stopping)| async move {
        loop {
            let news = told.news().await;
            if !news.is_empty() {
                return Some((stream::iter(news), (told, stopping)));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stopping.changed() => return None,
            }
        }
    });
    Ok(Sse::new(events.flatten()).keep_alive(KeepAlive::new().interval(KEEP).text("keep")))
}

impl Told {
    /// What has been written since, and whether it goes on.
    async fn news(&mut self) -> Vec<Result<Event, Infallible>> {
        let (run, before) = (self.run.clone(), self.kept.clone());
        let read = tokio::task::spawn_blocking(move || {
            let written = model_written(&run);
            let kept = if written == before.0 {
                before
            } else {
                let epoch = |kept: BestEpoch| json!({ "phase": kept.phase, "epoch": kept.epoch });
                (written, kept_epoch(&run).map(epoch))
            };
            (training_log(&run).unwrap_or_default(), is_training(&run), kept)
        })
        .await;
        let Ok((lines, running, kept)) = read else { return Vec::new() };
        self.kept = kept;
        // A training that begins anew writes its log anew.
        if lines.len() < self.epochs {
            self.epochs = 0;
        }
        let failed = self.name.as_deref().and_then(|name| self.app.runs.failed(name));
        let state = json!({ "running": running, "best": self.kept.1, "failed": failed });
        let mut news: Vec<Event> =
            lines[self.epochs..].iter().map(|line| Event::default().event("epoch").data(line.to_string())).collect();
        self.epochs = lines.len();
        if self.state.as_ref() != Some(&state) {
            news.push(Event::default().event("state").data(state.to_string()));
            self.state = Some(state);
        }
        news.into_iter().map(Ok).collect()
    }
}
