//! `POST /api/neighbours`: the films of the data set that a model sees as most like one. They are asked for first when somebody wants
//! to know, on a thread of their own, and then kept as numbers, not as films.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{Request, State};
use lungfish::{Error, Event, LessonFilm, Neighbour, Neighbours, PrecisionRule, Split, Watch};
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
pub(crate) struct Near(Mutex<Option<Answering>>);

/// A thread that reads the films, then answers as long as it can be asked.
#[derive(Clone)]
struct Answering {
    reader: Arc<Reader>,
    jobs: mpsc::Sender<Job>,
}

/// What that thread knows.
struct Reader {
    films: Vec<Known>,
    reading: Mutex<Reading>,
    ending: AtomicBool,
}

enum Reading {
    Films { done: usize, total: usize },
    Done { films: usize },
    Failed(String),
}

struct Job {
    film: Held,
    reply: oneshot::Sender<Result<Vec<Neighbour>, Error>>,
}

impl Drop for Near {
    fn drop(&mut self) {
        self.end();
    }
}

impl Near {
    /// Ends the reading, since the server ends.
    pub(crate) fn end(&self) {
        if let Some(answering) = held(&self.0).as_ref() {
            answering.reader.ending.store(true, Ordering::Relaxed);
        }
    }

    /// The reader of this model, which begins if there is none.
    fn reader(&self, app: &App, model: &Served) -> Result<Answering, Problem> {
        let mut answering = held(&self.0);
        if let Some(answering) = answering.as_ref() {
            return Ok(answering.clone());
        }
        let (jobs, waiting) = mpsc::channel(WAITING);
        let films = films(app)?;
        let reading = Mutex::new(Reading::Films { done: 0, total: films.len() });
        let reader = Arc::new(Reader { films, reading, ending: AtomicBool::new(false) });
        let (path, own, precision) = (model.path.clone(), Arc::clone(&reader), app.models.precision);
        std::thread::Builder::new()
            .name(format!("neighbours {}", model.name))
            .spawn(move || own.work((&path, precision), waiting))
            .map_err(|e| Problem::broken(format!("there is no thread to read films on: {e}")))?;
        Ok(answering.insert(Answering { reader, jobs }).clone())
    }
}

/// A film of the data set.
struct Known {
    /// Its place there.
    at: usize,
    path: PathBuf,
    /// The split that the data set has it on.
    split: Option<Split>,
}

/// All of them but those that were added since. Which of them are test films of the model's run is known when they are read.
fn films(app: &App) -> Result<Vec<Known>, Problem> {
    let kept = held(&teaching(app)?.proposed.kept);
    let known = |(at, film): (usize, &LessonFilm)| Known { at, path: film.path.clone(), split: film.split };
    Ok(kept.lesson.films().iter().enumerate().filter(|(_, film)| !film.added).map(known).collect())
}

impl Reader {
    fn work(&self, (model, precision): (&Path, PrecisionRule), mut waiting: mpsc::Receiver<Job>) {
        let films: Vec<(PathBuf, Option<Split>)> =
            self.films.iter().map(|film| (film.path.clone(), film.split)).collect();
        let mut observer = |event: &Event| {
            if let Event::Progress { done, total, .. } = event {
                *held(&self.reading) = Reading::Films { done: *done, total: *total };
            }
        };
        let read = || Neighbours::among(&films, (model, precision), &mut Watch::new(&mut observer, &self.ending));
        let failed = match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(neighbours)) => return self.answer(neighbours, &mut waiting),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "reading them went wrong inside the program".to_owned(),
        };
        *held(&self.reading) = Reading::Failed(failed);
    }

    /// Answers until nobody can ask any more.
    fn answer(&self, mut neighbours: Neighbours, waiting: &mut mpsc::Receiver<Job>) {
        *held(&self.reading) = Reading::Done { films: neighbours.len() };
        while let Some(Job { film, reply }) = waiting.blocking_recv() {
            // A film on which the program fails is the end of that film alone: its reply is dropped.
            let asked = AssertUnwindSafe(|| neighbours.nearest(&film.bytes, MOST));
            let Ok(found) = catch_unwind(asked) else { continue };
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
    let Answering { reader, jobs } = model.near.reader(&app, &model)?;
    let count = match &*held(&reader.reading) {
        Reading::Films { done, total } => {
            return Ok(Json(json!({ "ready": false, "done": done, "total": total })));
        }
        Reading::Failed(error) => return Err(Problem::broken(format!("the films cannot be compared: {error}"))),
        Reading::Done { films } => *films,
    };
    let (reply, answer) = oneshot::channel();
    jobs.try_send(Job { film, reply }).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => Problem::busy(),
        mpsc::error::TrySendError::Closed(_) => Problem::broken("films are not compared any more"),
    })?;
    let found = match answer.await {
        Ok(found) => found.map_err(|error| problem_of(&error))?,
        Err(_) => return Err(Problem::broken("this film cannot be read: reading it went wrong inside the program")),
    };
    let kept = held(&teaching(&app)?.proposed.kept);
    let classes = kept.lesson.classes();
    let about = |near: &Neighbour| {
        let known = reader.films.get(near.film)?;
        let film = kept.lesson.films().get(known.at)?;
        Some(json!({
            "index": known.at,
            "name": film.path.file_name().map(escape),
            "label": classes[film.class],
            "split": near.split.map(Split::name),
            "similarity": near.similarity,
            "same": near.same,
        }))
    };
    let found: Vec<Value> = found.iter().filter_map(about).collect();
    Ok(Json(json!({ "ready": true, "films": count, "neighbours": found })))
}
