//! `POST /api/neighbours`: the films of the data set that a model sees as most like one. They are asked for first when somebody wants
//! to know, on a thread of their own, and then kept as numbers, not as films.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Request, State};
use lungfish::{Error, Event, Neighbour, Neighbours, Split, Watch};
use lungfish_data::display::escape;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::App;
use crate::asked::Asked;
use crate::body::Held;
use crate::films::refuse_empty;
use crate::models::{Served, problem_of};
use crate::problem::Problem;
use crate::taught::{held, teaching};

/// Films that are told.
const MOST: usize = 6;
/// Films that wait for an answer; more are told to come again.
const WAITING: usize = 16;

/// What is known of the films by one model.
#[derive(Default)]
pub(crate) struct Near(Mutex<Option<Arc<Reader>>>);

/// The thread that reads the films, then answers.
struct Reader {
    reading: Mutex<Reading>,
    jobs: mpsc::Sender<Job>,
    ending: AtomicBool,
}

enum Reading {
    Films { done: usize, total: usize },
    Done { films: usize },
    Failed(String),
}

struct Job {
    film: Held,
    /// Films by their places in the data set.
    reply: oneshot::Sender<Result<Vec<(usize, Neighbour)>, Error>>,
}

impl Drop for Near {
    fn drop(&mut self) {
        self.end();
    }
}

impl Near {
    /// Ends the reading, since the server ends.
    pub(crate) fn end(&self) {
        if let Some(reader) = held(&self.0).as_ref() {
            reader.ending.store(true, Ordering::Relaxed);
        }
    }

    /// The reader of this model, which begins if there is none.
    fn reader(&self, app: &App, model: &Served) -> Result<Arc<Reader>, Problem> {
        let mut reader = held(&self.0);
        if let Some(reader) = reader.as_ref() {
            return Ok(Arc::clone(reader));
        }
        let (jobs, waiting) = mpsc::channel(WAITING);
        let films = films(app)?;
        let total = films.len();
        let reading = Mutex::new(Reading::Films { done: 0, total });
        let new = Arc::new(Reader { reading, jobs, ending: AtomicBool::new(false) });
        let (path, own) = (model.path.clone(), Arc::clone(&new));
        std::thread::Builder::new()
            .name(format!("neighbours {}", model.name))
            .spawn(move || own.work(&films, &path, waiting))
            .map_err(|e| Problem::broken(format!("there is no thread to read films on: {e}")))?;
        *reader = Some(Arc::clone(&new));
        Ok(new)
    }
}

/// The films that a model may have learnt from, with their places: not those of the test split, nor those that were added since.
fn films(app: &App) -> Result<Vec<(usize, PathBuf)>, Problem> {
    let kept = held(&teaching(app)?.proposed.kept);
    let of = kept.lesson.films().iter().enumerate();
    let known = of.filter(|(_, film)| film.split != Some(Split::Test) && !film.added);
    Ok(known.map(|(at, film)| (at, film.path.clone())).collect())
}

impl Reader {
    fn work(&self, films: &[(usize, PathBuf)], model: &Path, mut waiting: mpsc::Receiver<Job>) {
        let paths: Vec<PathBuf> = films.iter().map(|(_, path)| path.clone()).collect();
        let mut observer = |event: &Event| {
            if let Event::Progress { done, total, .. } = event {
                *held(&self.reading) = Reading::Films { done: *done, total: *total };
            }
        };
        let read = Neighbours::among(&paths, model, &mut Watch::new(&mut observer, &self.ending));
        let mut neighbours = match read {
            Ok(neighbours) => neighbours,
            Err(error) => {
                *held(&self.reading) = Reading::Failed(error.to_string());
                return;
            }
        };
        *held(&self.reading) = Reading::Done { films: neighbours.len() };
        while let Some(Job { film, reply }) = waiting.blocking_recv() {
            // A film on which the program fails is the end of that film alone: its reply is dropped.
            let asked = AssertUnwindSafe(|| neighbours.nearest(&film.bytes, MOST));
            let Ok(found) = catch_unwind(asked) else { continue };
            let placed = |near: Neighbour| Some((films.get(near.film)?.0, near));
            let found = found.map(|found| found.into_iter().filter_map(placed).collect());
            let _ = reply.send(found);
        }
    }
}

/// Which model is asked.
#[derive(Deserialize)]
pub(crate) struct Which {
    model: Option<String>,
}

/// `POST /api/neighbours`: the bytes of one film.
pub(crate) async fn neighbours(
    State(app): State<Arc<App>>,
    Asked(asked): Asked<Which>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let model = app.models.get(asked.model.as_deref())?;
    teaching(&app)?;
    let film = app.room.read_body(request.into_body()).await?;
    refuse_empty(&film)?;
    let reader = model.near.reader(&app, &model)?;
    let count = match &*held(&reader.reading) {
        Reading::Films { done, total } => {
            return Ok(Json(json!({ "ready": false, "done": done, "total": total })));
        }
        Reading::Failed(error) => return Err(Problem::broken(format!("the films cannot be compared: {error}"))),
        Reading::Done { films } => *films,
    };
    let (reply, answer) = oneshot::channel();
    reader.jobs.try_send(Job { film, reply }).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => Problem::busy(),
        mpsc::error::TrySendError::Closed(_) => Problem::broken("films are not compared any more"),
    })?;
    let found = match answer.await {
        Ok(found) => found.map_err(|error| problem_of(&error))?,
        Err(_) => return Err(Problem::broken("this film cannot be read: reading it went wrong inside the program")),
    };
    let kept = held(&teaching(&app)?.proposed.kept);
    let classes = kept.lesson.classes();
    let about = |(place, near): &(usize, Neighbour)| {
        let film = kept.lesson.films().get(*place)?;
        Some(json!({
            "index": place,
            "name": film.path.file_name().map(escape),
            "label": classes[film.class],
            "split": film.split.map(Split::name),
            "similarity": near.similarity,
            "same": near.same,
        }))
    };
    let found: Vec<Value> = found.iter().filter_map(about).collect();
    Ok(Json(json!({ "ready": true, "films": count, "neighbours": found })))
}
