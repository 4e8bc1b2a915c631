//! `/api/teach`: a head that learns from the films with the labels that are proposed. Each training is a run folder like any other.

use std::convert::Infallible;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, StreamExt};
use lungfish::{Activity, Error, Event as Told, FilmMemory, Split, TestRequest, TrainRequest, Watch};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::problem::Problem;
use crate::proposed::Proposed;
use crate::watched::KEEP;
use crate::{App, ServeError};

/// Epochs of a training.
const EPOCHS: std::ops::RangeInclusive<usize> = 1..=100;

/// A data set, and what is done with it.
pub(crate) struct Teaching {
    pub(crate) proposed: Proposed,
    /// What its trainings remember of the films, so that the next one takes seconds.
    memory: Arc<FilmMemory>,
    training: Mutex<Training>,
    /// How often there was something new.
    news: watch::Sender<u64>,
}

/// A training: the one that goes on, or the last.
#[derive(Default)]
struct Training {
    name: Option<String>,
    running: Option<Arc<AtomicBool>>,
    /// How many there were.
    count: usize,
    /// What was told of it, but for progress.
    told: Vec<(&'static str, Value)>,
    progress: Option<Value>,
}

/// What is asked about somewhere behind a lock. A thread that failed while it held it left whole values.
pub(crate) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Teaching {
    pub(crate) fn open(data: &Path, out: &Path) -> Result<Self, ServeError> {
        let (news, _) = watch::channel(0);
        let (proposed, memory) = (Proposed::open(data, out)?, Arc::new(FilmMemory::new()));
        Ok(Teaching { proposed, memory, training: Mutex::default(), news })
    }

    /// Something is new.
    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn event(&self, event: &'static str, value: Value) {
        held(&self.training).told.push((event, value));
        self.tell();
    }

    /// A name that no run in the folder has.
    fn free_name(&self, count: usize) -> (usize, String) {
        let name = |count: usize| format!("taught-{count}");
        let free = (count + 1..).find(|count| !self.proposed.out.join(name(*count)).exists()).unwrap_or(count + 1);
        (free, name(free))
    }

    /// Trains and compares; what comes of it is told.
    fn run(&self, app: &App, name: &str, epochs: usize, stop: &AtomicBool) {
        // A training on which the program fails is the end of that training alone.
        let result = catch_unwind(AssertUnwindSafe(|| self.train(app, name, epochs, stop)));
        let result = result.unwrap_or_else(|_| Err("the training went wrong inside the program".to_owned()));
        {
            let mut training = held(&self.training);
            training.running = None;
            training.progress = None;
            let told = match result {
                Ok(done) => ("done", done),
                Err(error) => ("failed", json!({ "detail": error })),
            };
            training.told.push(told);
            training.told.push(("state", json!({ "running": false, "name": name })));
        }
        self.tell();
    }

    fn train(&self, app: &App, name: &str, epochs: usize, stop: &AtomicBool) -> Result<Value, String> {
        let said = |error: Error| error.to_string();
        let table = self.proposed.out.join(format!("{name}.labels.csv"));
        self.proposed.write_table(&table).map_err(said)?;
        let table = fs::canonicalize(&table).map_err(|e| e.to_string())?;
        let run = self.proposed.out.join(name);
        let mut request = TrainRequest::new(&self.proposed.root, &run);
        request.memory = Some(Arc::clone(&self.memory));
        let base = app.models.get(None).map_err(|problem| problem.detail().to_owned())?;
        let recipe = &base.info.recipe;
        let settings = [
            format!("labels={}", table.display()),
            format!("frozen_epochs={epochs}"),
            format!("architecture={}", recipe.architecture),
            format!("image_size={}", base.info.preprocess.size),
        ];
        for setting in &settings {
            request.changes.set(setting).map_err(|e| e.to_string())?;
        }
        let mut observer = |event: &Told| match event {
            Told::Progress { task, done, total } => {
                held(&self.training).progress = Some(json!({ "task": words(*task), "done": done, "total": total }));
                self.tell();
            }
            Told::EpochDone { record, .. } => {
                held(&self.training).progress = None;
                self.event("epoch", serde_json::to_value(record).unwrap_or_default());
            }
            _ => {}
        };
        let mut watch = Watch::new(&mut observer, stop);
        let trained = lungfish::train(&request, &mut watch).map_err(said)?;
        if trained.model.is_none() {
            return Err("it was stopped before there was a model".to_owned());
        }
        let mut compared = Value::Null;
        if !trained.stopped {
            let mut request = TestRequest::new(&run, &self.proposed.root);
            request.split = Some(Split::Val);
            request.labels = Some(table);
            request.compare = Some(base.path.clone());
            request.pictures = false;
            request.precision = app.models.precision;
            request.memory = Some(Arc::clone(&self.memory));
            // Another model's classes may be others: then there is nothing to compare.
            if let Ok(outcome) = lungfish::test(&request, &mut watch) {
                compared = comparison(&outcome);
            }
        }
        let model = app.models.add_taught(&run).map_err(|e| e.to_string())?;
        Ok(json!({ "name": name, "model": model, "comparison": compared }))
    }
}

/// What a training does meanwhile, in words.
fn words(task: Activity) -> &'static str {
    match task {
        Activity::Checking => "Reading films",
        Activity::Features { .. } => "What the network sees in the films",
        Activity::Training => "Learning",
        Activity::Validating => "Asking about validation films",
        Activity::Predicting => "Asking both models",
        _ => "Looking at films once more",
    }
}

fn comparison(outcome: &lungfish::TestOutcome) -> Value {
    let Some(found) = &outcome.comparison else { return Value::Null };
    let measures = found.differences.iter().map(|difference| {
        json!({
            "name": difference.name,
            "before": { "value": difference.other, "interval": null },
            "after": { "value": difference.this, "interval": null },
            "difference": { "value": difference.difference.value, "interval": difference.difference.interval },
        })
    });
    json!({
        "films": outcome.films,
        "split": outcome.split.to_string(),
        "measures": measures.collect::<Vec<_>>(),
        "changed": found.changed.len(),
    })
}

pub(crate) fn teaching(app: &App) -> Result<&Teaching, Problem> {
    let none = "there are no films to teach with: start the server with --data and --out";
    app.teaching.as_ref().ok_or_else(|| Problem::not_found(none))
}

/// For how long.
#[derive(Deserialize)]
pub(crate) struct Which {
    epochs: usize,
}

/// `POST /api/teach`.
pub(crate) async fn teach(
    State(app): State<Arc<App>>,
    body: Result<Json<Which>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(asked) = body.map_err(|e| Problem::bad(e.body_text()))?;
    if !EPOCHS.contains(&asked.epochs) {
        return Err(Problem::bad(format!("{} epochs: it is {} to {}", asked.epochs, EPOCHS.start(), EPOCHS.end())));
    }
    let teaching = teaching(&app)?;
    let stop = Arc::new(AtomicBool::new(false));
    let name = {
        let mut training = held(&teaching.training);
        if training.running.is_some() {
            return Err(Problem::conflict("a training goes on already: wait for it, or stop it"));
        }
        let (count, name) = teaching.free_name(training.count);
        *training = Training {
            name: Some(name.clone()),
            running: Some(Arc::clone(&stop)),
            count,
            told: vec![("state", json!({ "running": true, "name": name }))],
            progress: None,
        };
        name
    };
    teaching.tell();
    let answer = json!({ "name": name });
    let (started, app) = (Arc::clone(&app), app);
    let spawned = std::thread::Builder::new().name("teaching".to_owned()).spawn(move || {
        if let Some(teaching) = &app.teaching {
            teaching.run(&app, &name, asked.epochs, &stop);
        }
    });
    if let Err(error) = spawned {
        if let Some(teaching) = &started.teaching {
            held(&teaching.training).running = None;
        }
        return Err(Problem::broken(format!("there is no thread to train on: {error}")));
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// `DELETE /api/teach`.
pub(crate) async fn stop(State(app): State<Arc<App>>) -> Result<(StatusCode, Json<Value>), Problem> {
    let teaching = teaching(&app)?;
    let training = held(&teaching.training);
    if let Some(stop) = &training.running {
        stop.store(true, Ordering::Relaxed);
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "name": training.name }))))
}

impl App {
    /// Ends a training, since the server ends.
    pub(crate) fn stop_teaching(&self) {
        if let Some(teaching) = &self.teaching
            && let Some(stop) = &held(&teaching.training).running
        {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a training goes on.
    pub(crate) fn teaches(&self) -> bool {
        self.teaching.as_ref().is_some_and(|teaching| held(&teaching.training).running.is_some())
    }
}

/// What was told to somebody who listens.
struct Listener {
    app: Arc<App>,
    name: Option<String>,
    told: usize,
    news: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    begun: bool,
}

/// `GET /api/teach`: what is told of the training that goes on, or of the last one.
pub(crate) async fn listen(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let news = teaching(&app)?.news.subscribe();
    let stopping = app.stopping.clone();
    let listener = Listener { app, name: None, told: 0, news, stopping, begun: false };
    let events = stream::unfold(listener, |mut listener| async move {
        loop {
            let events = listener.events();
            if !events.is_empty() {
                return Some((stream::iter(events), listener));
            }
            tokio::select! {
                changed = listener.news.changed() => if changed.is_err() { return None },
                _ = listener.stopping.changed() => return None,
            }
        }
    });
    Ok(Sse::new(events.flatten()).keep_alive(KeepAlive::new().interval(KEEP).text("keep")))
}

impl Listener {
    fn events(&mut self) -> Vec<Result<Event, Infallible>> {
        self.news.mark_unchanged();
        let Some(teaching) = &self.app.teaching else { return Vec::new() };
        let training = held(&teaching.training);
        if training.name != self.name {
            self.name.clone_from(&training.name);
            self.told = 0;
        }
        let mut events: Vec<(&str, Value)> = training.told.iter().skip(self.told).cloned().collect();
        if !self.begun && training.told.is_empty() {
            events.push(("state", json!({ "running": false, "name": null })));
        }
        self.begun = true;
        self.told = training.told.len();
        events.extend(training.progress.clone().map(|progress| ("progress", progress)));
        events.into_iter().map(|(event, data)| Ok(Event::default().event(event).data(data.to_string()))).collect()
    }
}
