//! `GET /api/watch`: a training as it goes on, as server-sent events.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, StreamExt};
use lungfish::{is_training, training_log};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::App;
use crate::asked::Asked;
use crate::problem::Problem;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(500);
/// Between two signs that the server is still there.
pub(crate) const KEEP: Duration = Duration::from_secs(15);

/// Which model.
#[derive(Deserialize)]
pub(crate) struct Which {
    model: Option<String>,
}

/// What was told of a training.
struct Told {
    run: PathBuf,
    epochs: usize,
    state: Option<Value>,
    stopping: watch::Receiver<bool>,
}

/// All epochs so far, then each as it is written.
pub(crate) async fn watch(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Which>,
) -> Result<impl IntoResponse, Problem> {
    let model = app.models.get(asked.model.as_deref())?;
    let Some(run) = model.run.clone() else {
        return Err(Problem::not_found(format!("{} lies in no run folder: it has no log", model.name)));
    };
    let told = Told { run, epochs: 0, state: None, stopping: app.stopping.clone() };
    let events = stream::unfold(told, |mut told| async move {
        loop {
            let news = told.news().await;
            if !news.is_empty() {
                return Some((stream::iter(news), told));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = told.stopping.changed() => return None,
            }
        }
    });
    Ok(Sse::new(events.flatten()).keep_alive(KeepAlive::new().interval(KEEP).text("keep")))
}

impl Told {
    /// What has been written since, and whether it goes on.
    async fn news(&mut self) -> Vec<Result<Event, Infallible>> {
        let run = self.run.clone();
        let read =
            tokio::task::spawn_blocking(move || (training_log(&run).unwrap_or_default(), is_training(&run))).await;
        let Ok((lines, running)) = read else { return Vec::new() };
        // A training that begins anew writes its log anew.
        if lines.len() < self.epochs {
            self.epochs = 0;
        }
        let state = json!({ "running": running, "best": best(&lines) });
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

/// The epoch that says most of the validation films: by what the training compares where it compares views, else by the loss.
fn best(lines: &[Value]) -> Option<Value> {
    let choice = |line: &Value| line["robust"]["choice"].as_f64().or_else(|| line["val_loss"].as_f64());
    // Where some epochs have views, the others are no match.
    let views = lines.iter().any(|line| line["robust"]["choice"].is_number());
    let of = lines.iter().filter(|line| !views || line["robust"]["choice"].is_number());
    let found = of.filter_map(|line| Some((choice(line)?, line))).min_by(|a, b| a.0.total_cmp(&b.0));
    found.map(|(_, line)| json!({ "phase": line["phase"], "epoch": line["epoch"] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_one_of_least_loss() {
        let line = |epoch: u32, loss: f64, choice: Option<f64>| json!({ "phase": "frozen", "epoch": epoch, "val_loss": loss, "robust": choice.map(|c| json!({ "choice": c })) });
        let of = |lines: &[Value]| best(lines).map(|found| found["epoch"].clone());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[line(1, 0.5, None), line(2, 0.3, None), line(3, 0.4, None)]), Some(2.into()));
        assert_eq!(of(&[line(1, 0.1, None), line(2, 0.3, Some(0.6)), line(3, 0.4, Some(0.5))]), Some(3.into()));
    }
}
