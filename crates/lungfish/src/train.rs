//! Training: a recipe and a folder of films in, a run folder out.

mod from;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lungfish_data::display::escape;
use lungfish_data::{ContentHash, Label, Pipeline, Split, Task};
use lungfish_engine::EngineError;
use lungfish_models::Tensors;

use crate::checkpoint::{Checkpoint, State};
use crate::compute::Compute;
use crate::data_set::{DataSet, Kept};
use crate::device::settle;
use crate::features::augments;
use crate::film_memory::FilmMemory;
use crate::lineage::Lineage;
use crate::phase::Trainer;
use crate::prior::PriorShift;
use crate::recipe::{Best, Sampling};
use crate::run_folder::{self, RunFolder, Start};
use crate::teacher::Teacher;
use crate::{
    BestEpoch, Caveat, Changes, Error, Phase, PrecisionRule, Recipe, Watch, film_cache, model, positive, precision,
    predictions_file, room, sample_bits, schedule, undefined, weights,
};

/// What to train.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
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
    /// Start a run that goes on from this one, a finished run folder: with its best weights, its split, classes,
    /// preprocessing and recipe, but for what `changes` asks for, which must say for how many epochs.
    pub from: Option<PathBuf>,
    /// Threads that decode films ahead of the step; 0 is as many as there are cores.
    pub workers: usize,
    /// Keep decoded films in the run folder while it trains, so that later epochs need not decode them. The result is
    /// the same, bit for bit.
    pub film_cache: bool,
    /// What other trainings of these films in this process remember of them, and this one may go by; the result is the same, bit for
    /// bit.
    pub memory: Option<Arc<FilmMemory>>,
}

impl TrainRequest {
    /// A new run with the default recipe.
    pub fn new(data: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        TrainRequest { data: Some(data.into()), ..TrainRequest::begun(out) }
    }

    /// A run that goes on, its films being where they were.
    pub fn resume(out: impl Into<PathBuf>) -> Self {
        TrainRequest { resume: true, ..TrainRequest::begun(out) }
    }

    fn begun(out: impl Into<PathBuf>) -> Self {
        TrainRequest { out: out.into(), film_cache: true, ..TrainRequest::default() }
    }
}

/// How a training ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainOutcome {
    /// The run folder.
    pub run: PathBuf,
    /// The model file of the best epoch; none if a stop came before there was one.
    pub model: Option<PathBuf>,
    /// True if it was stopped on request and can be resumed.
    pub stopped: bool,
    /// The epoch kept.
    pub best: Option<BestEpoch>,
    /// The metric that chose it.
    pub by: Best,
    /// What of its metrics is undefined, or a mean without some labels, and why: a clause each.
    pub undefined: Vec<String>,
    /// Seconds of training in all, those before a resume included.
    pub seconds: f64,
}

/// Trains, or goes on training. The watch's flag set to true finishes the step, saves, and returns with `stopped`.
///
/// # Errors
/// The first thing that makes it impossible, one sentence. What was saved before stays.
pub fn train(request: &TrainRequest, watch: &mut Watch<'_>) -> Result<TrainOutcome, Error> {
    let mut job = Job { request, device: Compute::default(), watch };
    if !request.resume {
        return match &request.from {
            Some(parent) => job.begin_from(parent),
            None => {
                let recipe = request.changes.apply(Recipe::default())?;
                request.changes.refuse_idle(&recipe)?;
                job.settle(&recipe);
                job.begin(&recipe, None)
            }
        };
    }
    if request.from.is_some() {
        return Err(Error::refused("a run is resumed, or goes on from another run, not both at once"));
    }
    let run = RunFolder::open(&request.out)?;
    match run.recipe()? {
        Some(recipe) => {
            request.changes.agree_with(&recipe)?;
            job.settle(&recipe);
            if run.file(run_folder::LAST).exists() { job.go_on(&recipe, run) } else { job.begin(&recipe, Some(run)) }
        }
        // Killed before it wrote a thing: there is nothing to contradict.
        None => {
            let recipe = request.changes.apply(Recipe::default())?;
            job.settle(&recipe);
            job.begin(&recipe, Some(run))
        }
    }
}

/// A request with those who wait for it.
struct Job<'a, 'b> {
    request: &'a TrainRequest,
    device: Compute,
    watch: &'a mut Watch<'b>,
}

impl Job<'_, '_> {
    /// Decides where to compute, and tells it.
    fn settle(&mut self, recipe: &Recipe) {
        let (device, told) = settle(recipe, self.watch);
        self.watch.note(told);
        self.device = device;
    }

    /// Starts a run, in a new folder or in one whose run never came to its first checkpoint. What can be refused is
    /// refused before the folder is made.
    fn begin(&mut self, recipe: &Recipe, run: Option<RunFolder>) -> Result<TrainOutcome, Error> {
        let begun = match &run {
            Some(run) => Start::read(run, recipe)?,
            None => None,
        };
        let given = match (&self.request.data, begun) {
            (Some(given), _) => given.clone(),
            (None, Some(start)) => start.data,
            (None, None) => {
                return Err(Error::refused(format!(
                    "{} has no checkpoint that knows where the films are: name their folder with --data",
                    escape(&self.request.out)
                )));
            }
        };
        let folder = DataSet::list(&given, recipe)?;
        let asked = Some(recipe.sample_bits).filter(|bits| *bits > 0);
        let (sample_bits, stored) = sample_bits::of_training(&folder, asked, self.watch);
        // What was decided over all films is what every later one is read by.
        let (sample_bits, precision) = (sample_bits.unwrap_or(0), self.device.settled(recipe.precision)?);
        let recipe = &Recipe { sample_bits, precision, ..recipe.clone() };
        folder.refuse_among_classes(&self.request.out)?;
        predictions_file::refuse_columns(&folder.classes)?;
        positive::of(&folder.classes, &recipe.positive)?;
        let network = weights::network(recipe, folder.task, folder.classes.len())?;
        schedule::rates(recipe, Phase::Unfrozen, &network, 0.0)?;
        room::check(recipe, &network, &self.device)?;
        let store = weights::start(recipe, &network, (folder.task, &folder.classes), &self.device, self.watch)?;
        let of_weights = Lineage::of_weights(&recipe.weights)?;
        let mut caveats: Vec<Caveat> = stored.into_iter().collect();
        if of_weights.has_unknown_ancestor() {
            caveats.push(Caveat::unknown_ancestor(&recipe.weights));
        }
        let (teacher, lineage) = self.taught(recipe, (folder.task, &folder.classes), of_weights, &mut caveats)?;
        caveats.iter().for_each(|caveat| self.watch.warn(caveat.to_string()));
        let (mut run, new) = match run {
            Some(run) => (run, false),
            None => (RunFolder::create(&self.request.out)?, true),
        };
        // Before the films are read, which can take minutes: who kills the run then goes on with what it was asked for.
        Start { data: absolute(&given), recipe: recipe.to_toml() }.write(&run)?;
        run.write(run_folder::RECIPE, recipe.to_toml().as_bytes())?;
        self.open_cache(recipe, &mut run);
        let kept = Kept { cache: run.cache().map(Arc::as_ref), memory: self.request.memory.as_deref() };
        let prepared = DataSet::prepare(folder, (recipe, &lineage), kept, self.watch);
        run.tell_of_trouble(self.watch);
        if new && prepared.is_err() {
            // Films that are refused leave the folder free for another try.
            run.remove_cache(self.watch);
            run.remove(run_folder::RECIPE)?;
            run.remove(run_folder::START)?;
        }
        let Some(mut data) = prepared? else {
            return Ok(TrainOutcome {
                run: run.path().to_owned(),
                model: None,
                stopped: true,
                best: None,
                by: recipe.best,
                undefined: Vec::new(),
                seconds: 0.0,
            });
        };
        data.caveats.splice(..0, caveats);
        self.set_out(recipe, run, data, model::capture(&store)?, Origins { lineage, parent: None, teacher })
    }

    /// The teacher's file by content, and the lineage with the films that taught it: they are as good as seen. What does not
    /// fit these films is refused here, before anything is written.
    fn taught(
        &self,
        recipe: &Recipe,
        (task, classes): (Task, &[String]),
        lineage: Lineage,
        caveats: &mut Vec<Caveat>,
    ) -> Result<(Option<String>, Lineage), Error> {
        if recipe.sampling == Sampling::Balanced && task == Task::AnyOf {
            let text = "sampling = \"balanced\": must be shuffled for labels of which a film may have any number";
            return Err(Error::refused(text));
        }
        let Some(teacher) = Teacher::open(recipe, (task, classes), PriorShift::default(), &self.device)? else {
            return Ok((None, lineage));
        };
        let (file, of_teacher) = teacher.descent()?;
        if of_teacher.has_unknown_ancestor() {
            caveats.push(Caveat::unknown_ancestor(&recipe.teacher));
        }
        Ok((Some(file), Lineage::merged(&[lineage, of_teacher])))
    }

    /// Writes the files that a run begins with, and runs it.
    fn set_out(
        &mut self,
        recipe: &Recipe,
        run: RunFolder,
        data: DataSet,
        tensors: Tensors,
        Origins { lineage, parent, teacher }: Origins,
    ) -> Result<TrainOutcome, Error> {
        let precision = recipe.precision.precision();
        precision::sentence(precision).into_iter().for_each(|text| self.watch.note(text));
        let split_file = data.splits.to_csv(&data.root, &data.classes);
        run.write(run_folder::SPLIT, split_file.as_bytes())?;
        let phase = if recipe.frozen_epochs > 0 { Phase::Frozen } else { Phase::Unfrozen };
        let state = State {
            recipe: Some(recipe.to_toml()),
            split_file: Some(ContentHash::of(split_file.as_bytes()).to_string()),
            caveats: data.caveats.clone(),
            parent,
            teacher,
            instructions: Some(self.device.path(precision)),
            ..State::new(&absolute(&data.root), (data.task, &data.classes), phase)
        };
        let lineage = lineage.with_own(&data.splits.train, &data.splits.val);
        let start = Checkpoint { state, tensors, best: None, average: None, moments: None, lineage };
        run.write(run_folder::LAST, &start.to_bytes()?)?;
        if !run.file(run_folder::RECIPE).exists() {
            // A run that goes on from another: with a recipe and no checkpoint yet it would be resumed with a split of its own.
            run.write(run_folder::RECIPE, recipe.to_toml().as_bytes())?;
        }
        run.remove(run_folder::START)?;
        self.run(recipe, run, &data, start)
    }

    /// A device that failed takes nothing with it that was saved: how to go on is told.
    fn of_device(&self, recipe: &Recipe, error: Error) -> Error {
        match error {
            Error::Engine(what @ (EngineError::Device { .. } | EngineError::OutOfMemory { .. })) => {
                let elsewhere = match recipe.precision {
                    // The CPU has none.
                    PrecisionRule::F16 => "",
                    _ => ", or with --device cpu beside it",
                };
                let kept = format!(
                    "what was done until its last checkpoint is saved; go on with: lungfish train --out {} --resume{elsewhere}",
                    escape(&self.request.out)
                );
                Error::DeviceFailed { what, kept }
            }
            error => error,
        }
    }

    fn open_cache(&mut self, recipe: &Recipe, run: &mut RunFolder) {
        run.open_cache(self.request.film_cache, &recipe.preprocess(), self.watch);
    }

    /// Goes on from the last checkpoint.
    fn go_on(&mut self, recipe: &Recipe, mut run: RunFolder) -> Result<TrainOutcome, Error> {
        let last = run.file(run_folder::LAST);
        let mut checkpoint = Checkpoint::read(&last)?;
        checkpoint.state.check(recipe, &last)?;
        if Teacher::file(recipe)? != checkpoint.state.teacher {
            let text = format!("teacher {} is not the model that this run began to learn from", recipe.teacher);
            return Err(Error::refused(text));
        }
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
        self.watch.note(text);
        self.device.goes_on_in(recipe.precision.precision())?;
        let path = self.device.path(recipe.precision.precision());
        if let Some(before) = checkpoint.state.instructions.as_ref().filter(|before| **before != path) {
            self.watch.warn(format!(
                "the run was computed with {before} so far and goes on with {path}, which rounds otherwise: what it ends in is \
                 as good, but not the same to the last bit"
            ));
        }
        let root = self.request.data.clone().unwrap_or_else(|| PathBuf::from(&checkpoint.state.data));
        if self.request.data.is_none() && !root.is_dir() {
            return Err(Error::refused(format!(
                "the films of {} were in {}, which is no folder now: name the one where they are with --data",
                escape(&self.request.out),
                escape(&root)
            )));
        }
        let split_file = run.file(run_folder::SPLIT);
        run_folder::check_split_file(&split_file, checkpoint.state.split_file.as_deref())?;
        let State { task, classes, caveats, .. } = &checkpoint.state;
        let data = DataSet::find_again(&split_file, &root, (*task, classes.clone()), caveats.clone())?;
        if checkpoint.state.recipe.is_none() {
            // Of an older version, which wrote no lineage down.
            checkpoint.lineage = Lineage::of_weights(&recipe.weights)?.with_own(&data.splits.train, &data.splits.val);
        }
        checkpoint.state.data = absolute(&root).to_string_lossy().into_owned();
        self.open_cache(recipe, &mut run);
        self.run(recipe, run, &data, checkpoint)
    }

    fn run(
        &mut self,
        recipe: &Recipe,
        mut run: RunFolder,
        data: &DataSet,
        from: Checkpoint,
    ) -> Result<TrainOutcome, Error> {
        let (preprocess, augment) = (recipe.preprocess(), recipe.augment);
        let films = data.splits.train.len() + data.splits.val.len();
        if let Some(text) = run.cache().and_then(|cache| film_cache::bound(cache, films)) {
            self.watch.note(text);
        }
        let pipeline = Pipeline { preprocess, augment: Some(augment), side: None, cache: run.cache().cloned() };
        data.describe(&preprocess, augments(recipe).then_some(augment), self.watch);
        let workers = match self.request.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let parent = from.state.parent.clone();
        let mut trainer = Trainer::new((recipe, &run, data), self.device.clone(), pipeline, workers, from)?;
        trainer.memory = self.request.memory.clone();
        let ended = trainer.run(self.watch);
        let (best, seconds) = trainer.result();
        drop(trainer);
        // Only a training that will go on has a use for it; a patient's films stay nowhere else than where they were.
        if !matches!(ended, Ok(false)) {
            run.remove_cache(self.watch);
        }
        let stopped = !ended.map_err(|error| self.of_device(recipe, error))?;
        if let Some(caveat) = best.as_ref().filter(|_| !stopped).and_then(Caveat::acquisition) {
            let way_out = if recipe.epochs == 0 {
                "; to train all parts so that they hold on other films, go on from this run: train --from, with --epochs 8"
            } else {
                ""
            };
            self.watch.warn(format!("{caveat}{way_out}"));
        }
        if let (false, Some(best), Some(parent)) = (stopped, &best, parent)
            && parent.val_loss < best.val_loss
        {
            self.watch.warn(format!(
                "the run that this one went on from has the lower validation loss, {:.4} against {:.4}: it may be the \
                 better one to use",
                parent.val_loss, best.val_loss
            ));
        }
        Ok(TrainOutcome {
            run: run.path().to_owned(),
            model: best.is_some().then(|| run.file(run_folder::BEST)),
            stopped,
            undefined: if best.is_some() { undefined_of(data) } else { Default::default() },
            best,
            by: recipe.best,
            seconds,
        })
    }
}

/// What its validation films cannot say, and why.
fn undefined_of(data: &DataSet) -> Vec<String> {
    let labels: Vec<&Label> = data.splits.val.iter().map(|film| &film.film.label).collect();
    if labels.is_empty() {
        return Vec::new();
    }
    undefined::of_auc(data.task, Split::Val, &data.classes, &labels)
}

/// What a run that begins comes from.
struct Origins {
    lineage: Lineage,
    /// The epoch of the run that it goes on from.
    parent: Option<BestEpoch>,
    /// The teacher's file by content.
    teacher: Option<String>,
}

/// Keys that a run takes over from the one that it goes on from, and that cannot be asked for otherwise.
const SETTLED: [&str; 12] = [
    "architecture",
    "hidden",
    "patient",
    "labels",
    "uncertain",
    "columns.path",
    "columns.label",
    "columns.patient",
    "columns.split",
    "val_fraction",
    "test_fraction",
    "limit",
];

/// The same folder from wherever a resume is asked for.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
