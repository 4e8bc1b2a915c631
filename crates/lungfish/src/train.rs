//! Training: a recipe and a folder of films in, a run folder out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lungfish_data::display::escape;
use lungfish_data::{FilmCache, Pipeline};
use lungfish_engine::Cpu;

use crate::checkpoint::{Checkpoint, State};
use crate::data_set::DataSet;
use crate::device::{Device, Gpus, settle};
use crate::features::augments;
use crate::phase::Trainer;
use crate::run_folder::{self, RunFolder};
use crate::{BestEpoch, Changes, Error, Event, Observer, Phase, Recipe, film_cache, model, schedule, weights};

/// What to train.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// The films. May be left out with `resume` (then where they were); may have moved since.
    pub data: Option<PathBuf>,
    /// The run folder.
    pub out: PathBuf,
    /// What was asked for beyond the defaults (`Changes::from(&recipe)` for a whole recipe). With `resume` the run's own
    /// recipe is taken and a key that contradicts it is refused.
    pub changes: Changes,
    /// Go on with a run instead of starting one.
    pub resume: bool,
    /// Threads that decode films ahead of the step; 0 is as many as there are cores.
    pub workers: usize,
    /// Keep decoded films in the run folder while it trains, so that later epochs need not decode them. The result is
    /// the same, bit for bit.
    pub film_cache: bool,
    /// Where to compute.
    pub device: Device,
}

/// How a training ended.
#[derive(Clone, Debug)]
pub struct TrainOutcome {
    /// The run folder.
    pub run: PathBuf,
    /// The model file of the best epoch; none if a stop came before there was one.
    pub model: Option<PathBuf>,
    /// True if it was stopped on request and can be resumed.
    pub stopped: bool,
    /// The epoch kept.
    pub best: Option<BestEpoch>,
    /// Seconds of training in all, those before a resume included.
    pub seconds: f64,
}

/// Trains, or goes on training. `stop` set to true finishes the step, saves, and returns with `stopped`.
///
/// # Errors
/// The first thing that makes it impossible, one sentence. What was saved before stays.
pub fn train(request: &TrainRequest, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<TrainOutcome, Error> {
    let device = settle(request.device, &Gpus::look())?;
    observer.event(&Event::Note(device));
    let mut job = Job { request, observer, stop };
    if !request.resume {
        let recipe = request.changes.apply(Recipe::default())?;
        return job.begin(&recipe, None);
    }
    let run = RunFolder::open(&request.out)?;
    match run.recipe()? {
        Some(recipe) => {
            request.changes.agree_with(&recipe)?;
            if run.file(run_folder::LAST).exists() { job.go_on(&recipe, &run) } else { job.begin(&recipe, Some(run)) }
        }
        // Killed before it wrote a thing: there is nothing to contradict.
        None => {
            let recipe = request.changes.apply(Recipe::default())?;
            job.begin(&recipe, Some(run))
        }
    }
}

/// A request with those who wait for it.
struct Job<'a> {
    request: &'a TrainRequest,
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
}

impl Job<'_> {
    /// Starts a run, in a new folder or in one whose run never came to its first checkpoint. What can be refused is
    /// refused before the folder is made.
    fn begin(&mut self, recipe: &Recipe, run: Option<RunFolder>) -> Result<TrainOutcome, Error> {
        let given = self.request.data.as_ref().ok_or_else(|| {
            Error::refused(format!(
                "{} has no checkpoint that knows where the films are: name their folder with --data",
                escape(&self.request.out)
            ))
        })?;
        let folder = DataSet::list(given, recipe)?;
        folder.refuse_among_classes(&self.request.out)?;
        let network = weights::network(recipe, folder.classes.len())?;
        schedule::rates(recipe, Phase::Unfrozen, &network)?;
        let backend = Cpu::new();
        let store = weights::start(recipe, &network, &backend, self.observer)?;
        let (run, new) = match run {
            Some(run) => (run, false),
            None => (RunFolder::create(&self.request.out)?, true),
        };
        // Before the films are read, which can take minutes: who kills the run then goes on with what it was asked for.
        run.write(run_folder::RECIPE, recipe.to_toml().as_bytes())?;
        let cache = self.cache(recipe, &run);
        let prepared = DataSet::prepare(folder, recipe, cache.as_deref(), self.observer, self.stop);
        film_cache::tell_of_trouble(cache.as_deref(), &run, self.observer);
        if new && prepared.is_err() {
            // Films that are refused leave the folder free for another try.
            film_cache::remove(&run, self.observer);
            let path = run.file(run_folder::RECIPE);
            std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
        }
        let Some(data) = prepared? else {
            return Ok(TrainOutcome {
                run: run.path().to_owned(),
                model: None,
                stopped: true,
                best: None,
                seconds: 0.0,
            });
        };
        let write = |name: &str, bytes: &[u8]| film_cache::write(cache.as_deref(), &run, name, bytes);
        write(run_folder::SPLIT, data.split.to_csv(&data.root, &data.classes).as_bytes())?;
        let phase = if recipe.frozen_epochs > 0 { Phase::Frozen } else { Phase::Unfrozen };
        let state = State::new(&absolute(&data.root), &data.classes, phase);
        let start = Checkpoint { state, tensors: model::capture(&store)?, best: None, moments: None };
        write(run_folder::LAST, &Checkpoint::to_bytes(&start.state, start.tensors.clone(), None, None)?)?;
        self.run(recipe, &run, &data, cache, start)
    }

    fn cache(&mut self, recipe: &Recipe, run: &RunFolder) -> Option<Arc<FilmCache>> {
        film_cache::open(self.request.film_cache, run, &recipe.preprocess(), self.observer)
    }

    /// Goes on from the last checkpoint.
    fn go_on(&mut self, recipe: &Recipe, run: &RunFolder) -> Result<TrainOutcome, Error> {
        let mut checkpoint = Checkpoint::read(&run.file(run_folder::LAST))?;
        let State { phase, epoch, step, log, .. } = &checkpoint.state;
        run.set_log(log)?;
        let over = match phase {
            Phase::Frozen => *epoch > recipe.frozen_epochs && recipe.epochs == 0,
            Phase::Unfrozen => *epoch > recipe.epochs,
        };
        let text = if over {
            "this run is finished already".to_owned()
        } else {
            format!("going on from the {phase} phase, epoch {epoch}, after step {step}")
        };
        self.observer.event(&Event::Note(text));
        let root = self.request.data.clone().unwrap_or_else(|| PathBuf::from(&checkpoint.state.data));
        if self.request.data.is_none() && !root.is_dir() {
            return Err(Error::refused(format!(
                "the films of {} were in {}, which is no folder now: name the one where they are with --data",
                escape(&self.request.out),
                escape(&root)
            )));
        }
        let data = DataSet::find_again(&run.file(run_folder::SPLIT), &root, checkpoint.state.classes.clone())?;
        checkpoint.state.data = absolute(&root).to_string_lossy().into_owned();
        let cache = self.cache(recipe, run);
        self.run(recipe, run, &data, cache, checkpoint)
    }

    fn run(
        &mut self,
        recipe: &Recipe,
        run: &RunFolder,
        data: &DataSet,
        cache: Option<Arc<FilmCache>>,
        from: Checkpoint,
    ) -> Result<TrainOutcome, Error> {
        let (preprocess, augment) = (recipe.preprocess(), recipe.augment());
        let films = data.split.train.len() + data.split.val.len();
        if let Some(text) = cache.as_ref().and_then(|cache| film_cache::bound(cache, films)) {
            self.observer.event(&Event::Note(text));
        }
        let pipeline = Pipeline { preprocess, augment: Some(augment), cache };
        data.describe(&preprocess, augments(recipe).then_some(augment), self.observer);
        let workers = match self.request.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let mut trainer = Trainer::new(recipe, run, data, pipeline, workers, from)?;
        let ended = trainer.run(self.observer, self.stop);
        let (best, seconds) = trainer.result();
        drop(trainer);
        // Only a training that will go on has a use for it; a patient's films stay nowhere else than where they were.
        if !matches!(ended, Ok(false)) {
            film_cache::remove(run, self.observer);
        }
        let stopped = !ended?;
        Ok(TrainOutcome {
            run: run.path().to_owned(),
            model: best.is_some().then(|| run.file(run_folder::BEST)),
            stopped,
            best,
            seconds,
        })
    }
}

/// The same folder from wherever a resume is asked for.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
