//! The two phases of a training, epoch by epoch.
//!
//! First the head alone (frozen), then the parts of `unfreeze` with it, each with its own learning rate, schedule and a
//! fresh optimiser; the second starts from the best weights of the first. A phase is a loop over epochs, an epoch a loop
//! over steps; between any two steps the whole of it can be saved and gone on with (see [`crate::checkpoint`]).

mod average;
mod conclude;
mod keep;
mod lr_range;
mod step;
mod validation;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lungfish_data::{CheckedFilm, Label, Loader, LoaderItem, Pipeline, Split};
use lungfish_engine::{Adam, AdamConfig, PartId, Plan, PlanSpec, Precision, Store};
use lungfish_models::{Network, Tensors};

use crate::calibration::Calibration;
use crate::checkpoint::{Checkpoint, State};
use crate::compute::Compute;
use crate::data_set::DataSet;
use crate::features::{Features, Pass, film_key, validating, view_key, view_of, views};
use crate::film_memory::FilmMemory;
use crate::films::{Batches, Source};
use crate::judge::Judge;
use crate::lineage::Lineage;
use crate::loss_scale::LossScale;
use crate::model::{self, normalization};
use crate::prior::PriorShift;
use crate::recipe::{Optimizer, Sampling};
use crate::reference::Reference;
use crate::run_folder::{self, RunFolder};
use crate::schedule::{self, Course};
use crate::scorer::Scorer;
use crate::targets::Targets;
use crate::task::Answers;
use crate::teacher::Teacher;
use crate::{Activity, BestEpoch, Error, Event, Phase, Recipe, Watch, keys, micro_batch, weights};

use step::Stepper;

/// A training in memory.
pub(crate) struct Trainer<'a> {
    recipe: &'a Recipe,
    run: &'a RunFolder,
    data: &'a DataSet,
    pipeline: Pipeline,
    workers: usize,
    backend: Compute,
    network: Network,
    store: Store<Compute>,
    /// The average of its weights, where the recipe asks for one.
    average: Option<Store<Compute>>,
    targets: Targets,
    teacher: Option<Teacher>,
    shift: PriorShift,
    judge: Judge,
    state: State,
    best: Option<Tensors>,
    /// What the validation films say of the best epoch, once all are trained.
    calibration: Option<Calibration>,
    /// What the model of the best epoch keeps of the films that taught it, once all are trained.
    reference: Option<Reference>,
    lineage: Lineage,
    /// What the frozen phase made of the films, where no other phase follows.
    kept: Option<FeaturesAndHead>,
    /// What it shares with other trainings of these films.
    pub(crate) memory: Option<Arc<FilmMemory>>,
    /// Moments to begin the next phase with.
    moments: Option<lungfish_engine::AdamState>,
    saved: Instant,
}

/// What the frozen parts make of films, and the head's inference on that.
type FeaturesAndHead = (Box<Features>, Box<Plan<Compute>>);

/// What a phase computes with.
struct Tools {
    phase: Phase,
    stepper: Stepper,
    films: Source,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        (recipe, run, data): (&'a Recipe, &'a RunFolder, &'a DataSet),
        backend: Compute,
        pipeline: Pipeline,
        workers: usize,
        from: Checkpoint,
    ) -> Result<Self, Error> {
        let network = weights::network(recipe, data.task, data.classes.len())?;
        let mut store = Store::new(&backend, &network.graph)?;
        model::restore(&mut store, &from.tensors)?;
        let labels = |films: &'a [CheckedFilm]| -> Vec<&'a Label> { films.iter().map(|f| &f.film.label).collect() };
        let average = match recipe.averages(recipe.epochs) {
            true => {
                let mut average = Store::new(&backend, &network.graph)?;
                model::restore(&mut average, from.average.as_ref().unwrap_or(&from.tensors))?;
                Some(average)
            }
            false => None,
        };
        let classes = data.classes.len();
        let learnt = labels(&data.splits.train);
        let targets = Targets::new(data.task, recipe.class_weights, recipe.label_smoothing, classes, &learnt);
        let shift = PriorShift::new(recipe, data.task, classes, &learnt);
        let prejudice = PriorShift::of_training(recipe, data.task, classes, &learnt);
        let teacher = Teacher::open(recipe, (data.task, &data.classes), prejudice, &backend)?;
        let mut judge = Judge::new(data.task.judge(recipe.best), classes, &labels(&data.splits.val));
        // Checkpoints say with which recipe a run began since epochs are judged with an eye on chance.
        if from.state.recipe.is_none() {
            judge = judge.of_older_versions();
        }
        let trainer = Trainer {
            recipe,
            run,
            data,
            pipeline,
            workers,
            backend,
            network,
            store,
            average,
            targets,
            teacher,
            shift,
            judge,
            state: from.state,
            best: from.best,
            calibration: None,
            reference: None,
            moments: from.moments,
            lineage: from.lineage,
            kept: None,
            memory: None,
            saved: Instant::now(),
        };
        // A kill may have come between the checkpoint and the model of its best epoch.
        trainer.write_best()?;
        Ok(trainer)
    }

    /// Runs what is left, and asks the films what the model of the best epoch has to know of itself. False where it was stopped.
    pub(crate) fn run(&mut self, watch: &mut Watch<'_>) -> Result<bool, Error> {
        Ok(self.run_phases(watch)? && self.conclude(watch)?)
    }

    /// Runs what is left of both phases. False where it was stopped.
    fn run_phases(&mut self, watch: &mut Watch<'_>) -> Result<bool, Error> {
        if self.state.phase == Phase::Frozen {
            if !self.is_over() && !self.run_phase(watch)? {
                return Ok(false);
            }
            if self.recipe.epochs == 0 {
                return Ok(true);
            }
            if let Some(best) = &self.best {
                model::restore(&mut self.store, best)?;
            }
            if let Some(average) = &mut self.average {
                model::restore(average, &model::capture(&self.store)?)?;
            }
            self.state.phase = Phase::Unfrozen;
            self.state.loss_scale = None;
            self.state.epoch = 0;
            self.state.stale = 0;
            self.moments = None;
        }
        if self.is_over() { Ok(true) } else { self.run_phase(watch) }
    }

    /// The best epoch, and seconds in all.
    pub(crate) fn result(&self) -> (Option<BestEpoch>, f64) {
        (self.state.best.clone(), self.state.seconds + self.state.sums.seconds)
    }

    /// Epochs of the current phase.
    fn epochs(&self) -> usize {
        match self.state.phase {
            Phase::Frozen => self.recipe.frozen_epochs,
            Phase::Unfrozen => self.recipe.epochs,
        }
    }

    fn out_of_patience(&self) -> bool {
        self.recipe.early_stopping > 0 && self.state.stale >= self.recipe.early_stopping
    }

    fn is_over(&self) -> bool {
        self.state.epoch > self.epochs() || (self.state.step == 0 && self.out_of_patience())
    }

    fn tools(&mut self, watch: &mut Watch<'_>) -> Result<Tools, Error> {
        let phase = self.state.phase;
        let (graph, recipe) = (&self.network.graph, self.recipe);
        let rates = schedule::rates(recipe, phase, &self.network, self.found_lr())?;
        let parts: Vec<PartId> = rates.iter().map(|(part, _)| *part).collect();
        let mut spec = self.training_spec(&parts);
        let train = self.data.splits.train.len();
        let features = match phase {
            Phase::Frozen => self.features_and_head()?,
            Phase::Unfrozen => None,
        };
        let films = match features {
            Some((features, head)) => {
                spec.from = features.frontier;
                Source::Features(features, head)
            }
            None => {
                if phase == Phase::Frozen && recipe.cache_features && recipe.frozen_views > 0 {
                    let text = "the features of all views are too many to keep and are computed anew every epoch";
                    watch.note(text.to_owned());
                }
                let (precisions, pipeline) = ([self.precision()], validating(&self.pipeline));
                let networks = (std::slice::from_ref(&self.network), &precisions[..]);
                let scorer = Scorer::new(&self.backend, networks, self.data.task, pipeline)?;
                Source::Pixels(Box::new(scorer))
            }
        };
        let mut adam = self.adam(&parts)?;
        if let Some(moments) = self.moments.take() {
            adam.restore(&moments)?;
        }
        watch.event(&Event::PhaseStarted {
            phase,
            epochs: self.epochs(),
            parts: parts.iter().map(|&p| graph.part_name(p).to_owned()).collect(),
            trainable_parameters: graph.param_count(&parts),
            schedule: match phase {
                Phase::Frozen => recipe.frozen_schedule,
                Phase::Unfrozen => recipe.schedule,
            },
            rates: rates.iter().map(|&(part, rate)| (graph.part_name(part).to_owned(), rate)).collect(),
        });
        let plan = micro_batch::told_plan(&self.backend, graph, spec, watch)?;
        let megabytes = plan.schedule().arena >> 20;
        if megabytes >= 64 {
            watch.note(format!("a step of {} films takes {megabytes} MiB of memory", plan.spec().capacity));
        }
        let steps = keys::steps(train, recipe.batch_size, phase == Phase::Unfrozen).len();
        let course = Course::new(recipe, phase, steps);
        Ok(Tools { phase, stepper: Stepper { parts, rates, course, plan, side: self.side(), adam }, films })
    }

    /// What the frozen parts make of the films, and the head's inference on that; none where it is not kept.
    fn features_and_head(&self) -> Result<Option<FeaturesAndHead>, Error> {
        let (recipe, preprocess, graph) = (self.recipe, &self.pipeline.preprocess, &self.network.graph);
        let train = self.data.splits.train.len();
        let Some(features) = Features::new(recipe, &self.network, preprocess, train, &self.backend)? else {
            return Ok(None);
        };
        let mut head = PlanSpec::inference(graph, recipe.batch_size, preprocess.size, normalization(preprocess));
        head.from = features.frontier;
        head.precision = self.precision();
        Ok(Some((Box::new(features), Box::new(Plan::new(&self.backend, graph, head)?))))
    }

    /// An optimiser of these parts that has taken no step.
    fn adam(&self, parts: &[PartId]) -> Result<Adam<Compute>, Error> {
        let config = AdamConfig {
            weight_decay: self.recipe.weight_decay,
            decoupled: self.recipe.optimizer == Optimizer::AdamW,
            ..AdamConfig::default()
        };
        Ok(Adam::new(&self.backend, &self.network.graph, parts, config)?)
    }

    /// Films of the largest step: the last one of an epoch may have one more, see [`keys::steps`].
    fn capacity(&self) -> usize {
        self.recipe.batch_size + usize::from(self.state.phase == Phase::Unfrozen)
    }

    /// What a step is compiled for in the current epoch, on pixels.
    fn training_spec(&self, parts: &[PartId]) -> PlanSpec {
        let norm = normalization(&self.pipeline.preprocess);
        let spec = PlanSpec::training(&self.network.graph, self.capacity(), self.side(), norm, parts);
        PlanSpec { precision: self.precision(), ..spec }
    }

    /// That of every plan of the training.
    fn precision(&self) -> Precision {
        self.recipe.precision.precision()
    }

    /// Side of the image in the current epoch.
    fn side(&self) -> usize {
        match self.state.phase {
            Phase::Frozen => self.pipeline.preprocess.size,
            Phase::Unfrozen => self.recipe.side_of_epoch(self.state.epoch),
        }
    }

    /// Compiles the step anew where the current epoch's images have another size than those before.
    fn resize(&self, tools: &mut Tools, watch: &mut Watch<'_>) -> Result<(), Error> {
        let (stepper, side) = (&mut tools.stepper, self.side());
        if stepper.side == side {
            return Ok(());
        }
        watch.note(format!("images of {side} pixels from here on"));
        let spec = self.training_spec(&stepper.parts);
        stepper.plan = micro_batch::told_plan(&self.backend, &self.network.graph, spec, watch)?;
        stepper.side = side;
        Ok(())
    }

    /// Runs what is left of the current phase. False where it was stopped.
    fn run_phase(&mut self, watch: &mut Watch<'_>) -> Result<bool, Error> {
        // As the optimiser, it begins anew with a phase.
        self.state.loss_scale = self.state.loss_scale.or(LossScale::of(self.precision()));
        if !self.find_lr(watch)? {
            return Ok(false);
        }
        let mut tools = self.tools(watch)?;
        if self.state.epoch == 0 {
            let begun = Instant::now();
            let Some(metrics) = self.validate(&mut tools, watch)? else { return Ok(false) };
            self.end_epoch(&mut tools, metrics, begun.elapsed().as_secs_f64(), watch)?;
        }
        while !self.is_over() {
            let begun = Instant::now();
            let (phase, epoch, of) = (tools.phase, self.state.epoch, self.epochs());
            self.resize(&mut tools, watch)?;
            watch.event(&Event::EpochStarted { phase, epoch, of });
            if !self.train_epoch(&mut tools, begun, watch)? {
                self.state.sums.seconds += begun.elapsed().as_secs_f64();
                self.save(&tools.stepper.adam)?;
                return Ok(false);
            }
            let trained = begun.elapsed().as_secs_f64();
            let Some(metrics) = self.validate(&mut tools, watch)? else {
                self.state.sums.seconds += trained;
                self.save(&tools.stepper.adam)?;
                return Ok(false);
            };
            self.state.sums.seconds += trained;
            self.end_epoch(&mut tools, metrics, begun.elapsed().as_secs_f64() - trained, watch)?;
            self.run.tell_of_trouble(watch);
            if self.out_of_patience() && self.state.epoch <= of {
                watch.event(&Event::EarlyStop { phase, epoch, patience: self.recipe.early_stopping });
            }
        }
        if let Source::Features(features, head) = tools.films {
            self.kept = Some((features, head)).filter(|_| self.recipe.epochs == 0);
        }
        Ok(true)
    }

    /// The steps of an epoch that are left. False where it was stopped.
    fn train_epoch(&mut self, tools: &mut Tools, begun: Instant, watch: &mut Watch<'_>) -> Result<bool, Error> {
        let (phase, epoch, recipe, data) = (tools.phase, self.state.epoch, self.recipe, self.data);
        let films = &data.splits.train;
        let order = self.order(phase, epoch);
        let steps = keys::steps(films.len(), recipe.batch_size, phase == Phase::Unfrozen);
        let Some(at) = steps.get(self.state.step).map(|s| s.start) else { return Ok(true) };
        let mut batches = match &mut tools.films {
            Source::Features(features, _) => {
                let pass = self.pass();
                let all = 0..views(recipe);
                features.pass_seconds = 0.0;
                for view in all.clone() {
                    if !features.compute(&mut self.store, (Split::Train, view), films, &pass, watch)? {
                        return Ok(false);
                    }
                }
                let rows = all.map(|view| features.train(view)).collect();
                let views = films.iter().map(|film| view_of(recipe, epoch, film)).collect();
                Batches::Features { rows, views, width: features.width }
            }
            Source::Pixels(_) => Batches::Pixels(self.loader(epoch, &order[at..])?),
        };
        let (every, before) = (Duration::from_secs(recipe.checkpoint_seconds), self.state.sums.seconds);
        for range in &steps[self.state.step..] {
            if watch.stopped() {
                return Ok(false);
            }
            let indices = &order[range.clone()];
            let labels: Vec<&Label> = indices.iter().map(|&i| &films[i].film.label).collect();
            let share = match phase {
                Phase::Frozen => 0.0,
                Phase::Unfrozen => recipe.average_share(epoch, self.state.step + 1, steps.len()),
            };
            self.step(&mut tools.stepper, batches.next(indices)?, &labels)?;
            if let Some(average) = self.average.as_mut().filter(|_| share > 0.0) {
                average.blend(&self.store, &tools.stepper.parts, share)?;
            }
            watch.event(&Event::Progress { task: Activity::Training, done: range.end, total: films.len() });
            if !every.is_zero() && self.saved.elapsed() >= every {
                self.state.sums.seconds = before + begun.elapsed().as_secs_f64();
                self.save(&tools.stepper.adam)?;
                self.state.sums.seconds = before;
                watch.event(&Event::Saved { path: self.run.file(run_folder::LAST) });
            }
        }
        Ok(true)
    }

    /// The order in which an epoch goes through the training films.
    fn order(&self, phase: Phase, epoch: usize) -> Vec<usize> {
        let (seed, films) = (self.recipe.training_seed(), &self.data.splits.train);
        match self.recipe.sampling {
            Sampling::Shuffled => keys::shuffled(seed, phase, epoch, films.len()),
            Sampling::Balanced => {
                let classes: Vec<usize> = films.iter().filter_map(|film| film.film.label.class()).collect();
                keys::balanced(seed, phase, epoch, &classes)
            }
        }
    }

    /// Decodes films of the train split ahead, as an epoch of the current phase sees them.
    fn loader(&self, epoch: usize, order: &[usize]) -> Result<Loader, Error> {
        let (seed, films) = (self.recipe.training_seed(), &self.data.splits.train);
        let item = |&i: &usize| LoaderItem {
            path: films[i].film.path.clone(),
            index: i,
            key: match self.state.phase {
                Phase::Frozen => view_key(seed, view_of(self.recipe, epoch, &films[i]), &films[i]),
                Phase::Unfrozen => Some(keys::augment(seed, epoch, film_key(&films[i]))),
            },
            hash: Some(films[i].hash),
        };
        let side = Some(self.side()).filter(|side| *side != self.pipeline.preprocess.size);
        let pipeline = Pipeline { side, ..self.pipeline.clone() };
        Ok(Loader::new(order.iter().map(item).collect(), pipeline, self.recipe.batch_size, self.workers)?)
    }

    fn pass(&self) -> Pass<'a> {
        let memory = self.memory.clone();
        Pass { recipe: self.recipe, pipeline: self.pipeline.clone(), workers: self.workers, memory }
    }
}
