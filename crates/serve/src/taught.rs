//! `/api/data`, `/api/corrections`, `/api/teach`: labels that somebody doubts, and a head that learns from the films without them. The
//! films are never touched: corrections are a table of proposals in a folder of its own, and each training is a run folder there.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use lungfish::{
    Activity, Channels, Decoding, Error, Event as Told, Lesson, Proposal, Proposals, Split, TestRequest, TrainRequest,
    Watch, decode_file,
};
use lungfish_data::DecodeOptions;
use lungfish_data::display::escape;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::asked::{Asked, Index};
use crate::films::png;
use crate::problem::Problem;
use crate::tested::{blocking, small};
use crate::watched::KEEP;
use crate::{App, ServeError};

/// Films of a page, at most and unasked.
const MOST: usize = 500;
const USUAL: usize = 60;
/// Epochs of a training.
const EPOCHS: std::ops::RangeInclusive<usize> = 1..=100;
/// The table of proposals.
const CORRECTIONS: &str = "corrections.csv";

/// A data set, and what is done with it.
pub(crate) struct Teaching {
    lesson: Lesson,
    out: PathBuf,
    proposals: Mutex<Proposals>,
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
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Teaching {
    pub(crate) fn open(data: &Path, out: &Path) -> Result<Self, ServeError> {
        let lesson = Lesson::open(data)?;
        lesson.refuse_among_classes(out)?;
        let io = |e: std::io::Error| ServeError::Folder { folder: out.to_owned(), source: e };
        fs::create_dir_all(out).map_err(io)?;
        let proposals = lesson.read_proposals(&out.join(CORRECTIONS))?;
        let (news, _) = watch::channel(0);
        Ok(Teaching { lesson, out: out.to_owned(), proposals: Mutex::new(proposals), training: Mutex::default(), news })
    }

    /// Something is new.
    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn event(&self, event: &'static str, value: Value) {
        held(&self.training).told.push((event, value));
        self.tell();
    }

    /// Writes the table of proposals anew.
    fn keep(&self, proposals: &Proposals) -> Result<(), Problem> {
        let (file, begun) = (self.out.join(CORRECTIONS), self.out.join(format!("{CORRECTIONS}.new")));
        fs::write(&begun, self.lesson.proposals(proposals))
            .and_then(|()| fs::rename(&begun, &file))
            .map_err(|e| Problem::broken(format!("cannot write {}: {e}", escape(&file))))
    }

    /// A name that no run in the folder has.
    fn free_name(&self, count: usize) -> (usize, String) {
        let name = |count: usize| format!("taught-{count}");
        let free = (count + 1..).find(|count| !self.out.join(name(*count)).exists()).unwrap_or(count + 1);
        (free, name(free))
    }

    /// Trains and compares; what comes of it is told.
    fn run(&self, app: &App, name: &str, epochs: usize, stop: &AtomicBool) {
        let result = self.train(app, name, epochs, stop);
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
        let table = self.out.join(format!("{name}.labels.csv"));
        let labels = self.lesson.table(&held(&self.proposals));
        fs::write(&table, labels).map_err(|e| format!("cannot write {}: {e}", escape(&table)))?;
        let table = fs::canonicalize(&table).map_err(|e| e.to_string())?;
        let run = self.out.join(name);
        let mut request = TrainRequest::new(self.lesson.root(), &run);
        let base = app.models.first();
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
            let mut request = TestRequest::new(&run, self.lesson.root());
            request.split = Some(Split::Val);
            request.labels = Some(table);
            request.compare = Some(base.path.clone());
            request.pictures = false;
            // Another model's classes may be others: then there is nothing to compare.
            if let Ok(outcome) = lungfish::test(&request, &mut watch) {
                compared = comparison(&outcome);
            }
        }
        let model = app.models.add(&run).map_err(|e| e.to_string())?;
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

fn teaching(app: &App) -> Result<&Teaching, Problem> {
    let none = "there are no films to teach with: start the server with --data and --out";
    app.teaching.as_ref().ok_or_else(|| Problem::not_found(none))
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
    let teaching = teaching(&app)?;
    let (lesson, proposals) = (&teaching.lesson, held(&teaching.proposals));
    let classes = lesson.classes();
    let class = match &asked.class {
        Some(name) => Some(class_of(classes, name)?),
        None => None,
    };
    let corrected = asked.only.as_deref() == Some("corrected");
    // Labels of test films are nothing that is changed with a look at what a model says.
    let films = lesson.films().iter().enumerate().filter(|(_, film)| film.split != Some(Split::Test));
    let all = films.clone().count();
    let found: Vec<_> = films
        .filter(|(at, film)| {
            class.is_none_or(|class| film.class == class) && (!corrected || proposals.contains_key(at))
        })
        .collect();
    let item = |(at, film): &(usize, &lungfish::LessonFilm)| {
        json!({
            "index": at,
            "name": film.path.file_name().map(escape),
            "label": classes[film.class],
            "split": film.split.map(Split::name),
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
        "items": items,
    })))
}

fn class_of(classes: &[String], name: &str) -> Result<usize, Problem> {
    let found = classes.iter().position(|class| class == name);
    found.ok_or_else(|| {
        let classes: Vec<String> = classes.iter().map(escape).collect();
        Problem::bad(format!("there is no class {}; there are {}", escape(name), classes.join(", ")))
    })
}

/// `GET /api/data/films/INDEX`.
pub(crate) async fn film(State(app): State<Arc<App>>, Index(index): Index) -> Result<Response, Problem> {
    let bytes = blocking(move || {
        let teaching = teaching(&app)?;
        let film = teaching.lesson.films().get(index).ok_or_else(|| no_film(index))?;
        let options = DecodeOptions { channels: Channels::Gray, decoding: Decoding::DEFAULT };
        let image = decode_file(&film.path, options);
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
    body: Result<Json<Correction>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(correction) = body.map_err(|e| Problem::bad(e.body_text()))?;
    blocking(move || {
        let teaching = teaching(&app)?;
        let film = teaching.lesson.films().get(correction.index).ok_or_else(|| no_film(correction.index))?;
        if film.split == Some(Split::Test) {
            return Err(Problem::bad("that film is on the test split: its label is not changed here"));
        }
        let proposal = match correction.label.as_deref() {
            None => None,
            Some("") => Some(Proposal::LeaveOut),
            Some(name) => Some(class_of(teaching.lesson.classes(), name)?)
                .filter(|class| *class != film.class)
                .map(Proposal::Class),
        };
        let mut proposals = held(&teaching.proposals);
        let mut changed = proposals.clone();
        match proposal {
            Some(proposal) => changed.insert(correction.index, proposal),
            None => changed.remove(&correction.index),
        };
        teaching.keep(&changed)?;
        *proposals = changed;
        Ok(Json(json!({ "corrections": proposals.len() })))
    })
    .await
}

/// `GET /api/corrections`.
pub(crate) async fn corrections(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let teaching = teaching(&app)?;
    let table = teaching.lesson.proposals(&held(&teaching.proposals));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"corrections.csv\""),
    ];
    Ok((headers, table).into_response())
}

/// For how long.
#[derive(Deserialize)]
pub(crate) struct Which {
    epochs: usize,
}

/// `POST /api/teach`.
pub(crate) async fn teach(
    State(app): State<Arc<App>>,
    body: Result<Json<Which>, axum::extract::rejection::JsonRejection>,
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
