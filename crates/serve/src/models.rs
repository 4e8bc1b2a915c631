//! The models that are served: each on a thread of its own, which is asked about one film after the other.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use lungfish::{
    Error, ErrorKind, Explained, ModelInfo, PointRule, PrecisionRule, Prediction, Predictor, TestedFilms, training_log,
};
use lungfish_data::display::escape;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::body::Held;
use crate::neighbours::Near;
use crate::problem::Problem;
use crate::{App, ServeError};

/// Heads taught here that can be asked at once, each with the memory of a network; the runs of older ones stay where they are.
const MOST_TAUGHT: usize = 4;
/// Films that wait for a model; more are told to come again.
const WAITING: usize = 64;
/// The longer side of the picture of a film, pixels.
const PICTURE: usize = 1200;

/// All of them.
pub(crate) struct Models {
    all: RwLock<Vec<Arc<Served>>>,
    /// What was taught here, the oldest first.
    taught: Mutex<Vec<String>>,
    at: Option<PointRule>,
    /// In which precision they are asked.
    pub(crate) precision: PrecisionRule,
}

/// A model.
pub(crate) struct Served {
    /// What it is called: the name of its run folder or file, which no other one has.
    pub(crate) name: String,
    pub(crate) info: ModelInfo,
    /// Its run folder or file, as it was named.
    pub(crate) path: PathBuf,
    /// The run folder that it lies in, if any.
    pub(crate) run: Option<PathBuf>,
    /// Where films are called.
    pub(crate) point: PointRule,
    pub(crate) cut: Option<f64>,
    /// What it computes in.
    precision: String,
    tells_unlike: bool,
    jobs: mpsc::Sender<Job>,
    /// The test as it was last read, and when the file was written that it was read from.
    tested: Mutex<Option<(SystemTime, Arc<TestedFilms>)>>,
    /// What it knows of the films of the data set.
    pub(crate) near: Near,
}

/// A film that waits for its answer.
struct Job {
    film: Held,
    explain: bool,
    reply: oneshot::Sender<Result<Answer, Error>>,
}

/// What a model says of a film.
pub(crate) enum Answer {
    Predicted(Box<Prediction>),
    Explained(Box<Explained>),
}

impl Models {
    /// Opens them all.
    pub(crate) fn open(paths: &[PathBuf], at: Option<PointRule>, precision: PrecisionRule) -> Result<Self, ServeError> {
        let models = Models { all: RwLock::default(), taught: Mutex::default(), at, precision };
        for path in paths {
            models.add(path)?;
        }
        Ok(models)
    }

    /// Opens one more; what it is called.
    pub(crate) fn add(&self, path: &Path) -> Result<String, ServeError> {
        let mut names: BTreeSet<String> = self.names().into_iter().collect();
        let model = Served::open(path, (self.at, self.precision), &mut names)?;
        let name = model.name.clone();
        self.all.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(model));
        Ok(name)
    }

    /// Opens a head that was taught here; the oldest of many of them goes.
    pub(crate) fn add_taught(&self, path: &Path) -> Result<String, ServeError> {
        let name = self.add(path)?;
        let mut taught = self.taught.lock().unwrap_or_else(PoisonError::into_inner);
        taught.push(name.clone());
        if taught.len() > MOST_TAUGHT {
            let oldest = taught.remove(0);
            self.all.write().unwrap_or_else(PoisonError::into_inner).retain(|model| model.name != oldest);
        }
        Ok(name)
    }

    pub(crate) fn each(&self) -> Vec<Arc<Served>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.each().iter().map(|model| model.name.clone()).collect()
    }

    /// The one of that name; without a name the one that was named first.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<Arc<Served>, Problem> {
        let all = self.each();
        let Some(first) = all.first() else {
            return Err(Problem::not_found(
                "there is no model yet: it comes when the training that is watched has ended",
            ));
        };
        let Some(name) = name else { return Ok(Arc::clone(first)) };
        let found = all.iter().find(|model| model.name == name).cloned();
        found.ok_or_else(|| {
            let (name, names) = (escape(name), self.names().join(", "));
            Problem::not_found(format!("there is no model {name}; there are {names}"))
        })
    }
}

impl Served {
    fn open(
        path: &Path,
        (at, precision): (Option<PointRule>, PrecisionRule),
        names: &mut BTreeSet<String>,
    ) -> Result<Self, ServeError> {
        let mut predictor = Predictor::open(path)?.with_precision(precision)?;
        if let Some(rule) = at {
            predictor = predictor.with_point(rule)?;
        }
        let (jobs, waiting) = mpsc::channel(WAITING);
        let served = Served {
            name: name_of(path, predictor.file(), names),
            info: predictor.info().clone(),
            path: path.to_owned(),
            run: predictor.run().map(Path::to_owned),
            point: predictor.point(),
            cut: predictor.cut(),
            precision: predictor.precision(),
            tells_unlike: predictor.tells_unlike(),
            jobs,
            tested: Mutex::default(),
            near: Near::default(),
        };
        std::thread::Builder::new()
            .name(format!("model {}", served.name))
            .spawn(move || work(predictor, waiting))
            .map_err(|e| ServeError::Start(e.to_string()))?;
        Ok(served)
    }

    /// Asks about a film.
    pub(crate) async fn ask(&self, film: Held, explain: bool) -> Result<Answer, Problem> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job { film, explain, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Problem::busy(),
            mpsc::error::TrySendError::Closed(_) => Problem::broken("the model does not answer any more"),
        })?;
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(problem_of(&error)),
            Err(_) => Err(Problem::broken("this film cannot be read: reading it went wrong inside the program")),
        }
    }

    /// The test of its run, as it lies there now.
    pub(crate) fn tested(&self) -> Result<Option<Arc<TestedFilms>>, Error> {
        let Some(run) = &self.run else { return Ok(None) };
        let written = fs::metadata(run.join("metrics-test.json")).and_then(|file| file.modified());
        let Ok(written) = written else { return Ok(None) };
        let Ok(mut kept) = self.tested.lock() else {
            return TestedFilms::read(run, &self.info).map(|t| t.map(Arc::new));
        };
        if let Some((when, tested)) = kept.as_ref()
            && *when == written
        {
            return Ok(Some(Arc::clone(tested)));
        }
        let tested = TestedFilms::read(run, &self.info)?.map(Arc::new);
        *kept = tested.clone().map(|tested| (written, tested));
        Ok(tested)
    }

    /// What a person wants to know of it.
    fn about(&self, neighbours: bool) -> Value {
        let info = &self.info;
        let points = info.calibration.iter().flat_map(|found| &found.points);
        let points = points.map(|point| json!({ "at": point.rule, "cut": point.cut, "label": point.label }));
        let caveats = info.caveats.iter().map(|caveat| json!({ "kind": caveat.kind, "text": caveat.text }));
        json!({
            "name": self.name,
            "architecture": info.architecture.to_string(),
            "task": info.task,
            "classes": info.classes,
            "positive": info.positive_class(),
            "size": info.preprocess.size,
            "precision": self.precision,
            "synthetic": info.synthetic,
            "equal_prior": info.for_equal_classes(),
            "unlike": self.tells_unlike,
            "neighbours": neighbours,
            "members": info.members.len().max(1),
            "caveats": caveats.collect::<Vec<_>>(),
            "at": self.point,
            "cut": self.cut,
            "points": points.collect::<Vec<_>>(),
            "test": self.tested().ok().flatten().map(|tested| summary(&tested.metrics)),
            "log": self.run.as_deref().is_some_and(|run| training_log(run).is_ok_and(|lines| !lines.is_empty())),
        })
    }
}

/// An error about a film.
pub(crate) fn problem_of(error: &Error) -> Problem {
    match error.kind() {
        ErrorKind::Damaged => Problem::unreadable(error.to_string()),
        _ => Problem::broken(error.to_string()),
    }
}

/// The metrics of a test that stand beside every prediction.
fn summary(metrics: &Value) -> Value {
    let measure = |name: &str| {
        let all = metrics["measures"].as_array();
        let found = all.and_then(|all| all.iter().find(|measure| measure["name"] == name));
        found.map(|found| json!({ "value": found["value"], "interval": found["interval"] }))
    };
    json!({
        "split": metrics["split"],
        "films": metrics["films"],
        "at": metrics["at"],
        "sensitivity": measure("sensitivity"),
        "specificity": measure("specificity"),
        "auc": measure("AUC"),
        "accuracy": measure("accuracy"),
    })
}

/// What a model is called, so that no two are called the same.
fn name_of(path: &Path, file: &Path, names: &mut BTreeSet<String>) -> String {
    let real = fs::canonicalize(path).unwrap_or_else(|_| file.to_owned());
    let name = if real.is_dir() { real.file_name() } else { real.file_stem() };
    let name = name.map_or_else(|| "model".to_owned(), escape);
    let mut free = name.clone();
    let mut number = 2;
    while !names.insert(free.clone()) {
        free = format!("{name} ({number})");
        number += 1;
    }
    free
}

/// Answers until nobody can ask any more. A film on which the program fails is the end of that film alone.
fn work(mut predictor: Predictor, mut waiting: mpsc::Receiver<Job>) {
    while let Some(Job { film, explain, reply }) = waiting.blocking_recv() {
        // Who has gone wants no answer.
        if reply.is_closed() {
            continue;
        }
        let answered = catch_unwind(AssertUnwindSafe(|| {
            if explain {
                predictor.explain_bytes(&film.bytes, PICTURE).map(|said| Answer::Explained(Box::new(said)))
            } else {
                predictor.predict_bytes(&film.bytes).map(|said| Answer::Predicted(Box::new(said)))
            }
        }));
        drop(film);
        if let Ok(answer) = answered {
            let _ = reply.send(answer);
        }
    }
}

/// `GET /api/models`.
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    tokio::task::spawn_blocking(move || {
        let neighbours = app.teaching.is_some();
        let models: Vec<Value> = app.models.each().iter().map(|model| model.about(neighbours)).collect();
        Json(json!({ "models": models, "runs": app.runs.about() }))
    })
    .await
    .map_err(|e| Problem::broken(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_heads_that_were_taught_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (films, run) = (dir.path().join("films"), dir.path().join("run"));
        lungfish_data::synth(&films, 30, 1).unwrap();
        let mut request = lungfish::TrainRequest::new(&films, &run);
        for setting in ["image_size=32", "hidden=8", "frozen_epochs=1"] {
            request.changes.set(setting).unwrap();
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        lungfish::train(&request, &mut lungfish::Watch::new(&mut lungfish::Silent, &stop)).unwrap();
        let models = Models::open(std::slice::from_ref(&run), None, PrecisionRule::Auto).unwrap();
        let taught: Vec<String> = (0..MOST_TAUGHT + 2).map(|_| models.add_taught(&run).unwrap()).collect();
        // What was named stays, whatever is taught.
        let mut names = vec!["run".to_owned()];
        names.extend_from_slice(&taught[2..]);
        assert_eq!(models.names(), names);
        // The name of the first was free again for the last.
        assert!(models.get(Some(&taught[1])).is_err() && models.get(Some(&taught[2])).is_ok());
        assert!(run.join("best.safetensors").is_file(), "its run stays where it is");
    }

    #[test]
    fn no_two_models_have_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a/run"), dir.path().join("b/run"));
        let file = dir.path().join("run.safetensors");
        fs::create_dir_all(&a).unwrap();
        fs::create_dir_all(&b).unwrap();
        fs::write(&file, "").unwrap();
        let mut names = BTreeSet::new();
        let called = [&a, &b, &file, &a].map(|path| name_of(path, path, &mut names));
        assert_eq!(called, ["run", "run (2)", "run (3)", "run (4)"]);
    }
}
