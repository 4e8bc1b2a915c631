//! The two phases of a training, epoch by epoch.
//!
//! First the head alone (frozen), then the parts of `unfreeze` with it, each with its own learning rate, schedule and a
//! fresh optimiser; the second starts from the best weights of the first. A phase is a loop over epochs, an epoch a loop
//! over steps; between any two steps the whole of it can be saved and gone on with (see [`crate::checkpoint`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lungfish_data::{Augment, Loader, LoaderItem, Preprocess, Side};
use lungfish_engine::{Adam, AdamConfig, Cpu, Input, PartId, Plan, PlanSpec, Seed, Store, clip_gradients};
use lungfish_models::{Network, Tensors};

use crate::checkpoint::{Checkpoint, State};
use crate::data_set::DataSet;
use crate::features::{Features, Pass, film_key, view_key, view_of_epoch};
use crate::figures::{Figures, better};
use crate::model::{self, ModelInfo, normalization};
use crate::predict::{Scorer, input};
use crate::recipe::Optimizer;
use crate::run_folder::{self, RunFolder};
use crate::schedule::learning_rate;
use crate::targets::Targets;
use crate::{BestEpoch, EpochRecord, Error, Event, Observer, Phase, Recipe, Task, keys, weights};

/// A training in memory.
pub(crate) struct Trainer<'a> {
    recipe: &'a Recipe,
    run: &'a RunFolder,
    data: &'a DataSet,
    preprocess: Preprocess,
    augment: Augment,
    workers: usize,
    backend: Cpu,
    network: Network,
    store: Store<Cpu>,
    targets: Targets,
    state: State,
    best: Option<Tensors>,
    /// Moments to begin the next phase with.
    moments: Option<lungfish_engine::AdamState>,
    saved: Instant,
}

/// What a phase computes with.
struct Tools {
    phase: Phase,
    parts: Vec<PartId>,
    plan: Plan<Cpu>,
    adam: Adam<Cpu>,
    films: Source,
}

/// Where the films of a phase come from, and how its validation runs.
enum Source {
    /// The features of the frozen parts, and the head's inference.
    Features(Features, Plan<Cpu>),
    /// Pixels through the whole network.
    Pixels(Scorer),
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        recipe: &'a Recipe,
        run: &'a RunFolder,
        data: &'a DataSet,
        (preprocess, augment): (Preprocess, Augment),
        workers: usize,
        from: Checkpoint,
    ) -> Result<Self, Error> {
        let backend = Cpu::new();
        let network = weights::network(recipe, data.classes.len());
        let mut store = Store::new(&backend, &network.graph)?;
        model::restore(&mut store, &from.tensors)?;
        let labels: Vec<usize> = data.split.train.iter().map(|f| f.film.label).collect();
        let targets = Targets::new(recipe.class_weights, recipe.label_smoothing, data.classes.len(), &labels);
        let trainer = Trainer {
            recipe,
            run,
            data,
            preprocess,
            augment,
            workers,
            backend,
            network,
            store,
            targets,
            state: from.state,
            best: from.best,
            moments: from.moments,
            saved: Instant::now(),
        };
        // A kill may have come between the checkpoint and the model of its best epoch.
        trainer.write_best()?;
        Ok(trainer)
    }

    /// Runs what is left. False where it was stopped.
    pub(crate) fn run(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<bool, Error> {
        if self.state.phase == Phase::Frozen {
            if !self.is_over() && !self.run_phase(observer, stop)? {
                return Ok(false);
            }
            if self.recipe.epochs == 0 {
                return Ok(true);
            }
            if let Some(best) = &self.best {
                model::restore(&mut self.store, best)?;
            }
            self.state.phase = Phase::Unfrozen;
            self.state.epoch = 0;
            self.state.stale = 0;
            self.moments = None;
        }
        if self.is_over() { Ok(true) } else { self.run_phase(observer, stop) }
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

    fn tools(&mut self, observer: &mut dyn Observer) -> Result<Tools, Error> {
        let phase = self.state.phase;
        let (graph, recipe) = (&self.network.graph, self.recipe);
        let parts = match phase {
            Phase::Frozen => vec![self.network.head],
            Phase::Unfrozen => self.network.parts_by_names(&recipe.unfreeze)?,
        };
        // The last step of an epoch may have one film more, see `keys::steps`.
        let capacity = recipe.batch_size + usize::from(phase == Phase::Unfrozen);
        let norm = normalization(&self.preprocess);
        let mut spec = PlanSpec::training(graph, capacity, self.preprocess.size, norm, &parts);
        let train = self.data.split.train.len();
        let features = match phase {
            Phase::Frozen => Features::new(recipe, &self.network, &self.preprocess, train, &self.backend)?,
            Phase::Unfrozen => None,
        };
        let films = match features {
            Some(features) => {
                let mut head = PlanSpec::inference(graph, recipe.batch_size, self.preprocess.size, norm);
                (spec.from, head.from) = (features.frontier, features.frontier);
                Source::Features(features, Plan::new(&self.backend, graph, head)?)
            }
            None => Source::Pixels(Scorer::new(&self.backend, &self.network, &self.preprocess, recipe.batch_size)?),
        };
        let config = AdamConfig {
            weight_decay: recipe.weight_decay,
            decoupled: recipe.optimizer == Optimizer::AdamW,
            ..AdamConfig::default()
        };
        let mut adam = Adam::new(&self.backend, graph, &parts, config)?;
        if let Some(moments) = self.moments.take() {
            adam.restore(&moments)?;
        }
        observer.event(&Event::PhaseStarted {
            phase,
            epochs: self.epochs(),
            parts: parts.iter().map(|&p| graph.part_name(p).to_owned()).collect(),
            trainable_parameters: graph.param_count(&parts),
        });
        let megabytes = Plan::<Cpu>::bytes(graph, &spec)? >> 20;
        if megabytes >= 64 {
            observer.event(&Event::Note(format!("a step of {capacity} films takes {megabytes} MiB of memory")));
        }
        let plan = Plan::new(&self.backend, graph, spec)?;
        Ok(Tools { phase, parts, plan, adam, films })
    }

    /// Runs what is left of the current phase. False where it was stopped.
    fn run_phase(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<bool, Error> {
        let mut tools = self.tools(observer)?;
        if self.state.epoch == 0 {
            let begun = Instant::now();
            let Some(figures) = self.validate(&mut tools, observer, stop)? else { return Ok(false) };
            self.end_epoch(&mut tools, figures, begun.elapsed().as_secs_f64(), observer)?;
        }
        while !self.is_over() {
            let begun = Instant::now();
            let (phase, epoch, of) = (tools.phase, self.state.epoch, self.epochs());
            observer.event(&Event::EpochStarted { phase, epoch, of });
            if !self.train_epoch(&mut tools, begun, observer, stop)? {
                self.state.sums.seconds += begun.elapsed().as_secs_f64();
                self.save(&tools)?;
                return Ok(false);
            }
            let trained = begun.elapsed().as_secs_f64();
            let Some(figures) = self.validate(&mut tools, observer, stop)? else {
                self.state.sums.seconds += trained;
                self.save(&tools)?;
                return Ok(false);
            };
            self.state.sums.seconds += trained;
            self.end_epoch(&mut tools, figures, begun.elapsed().as_secs_f64() - trained, observer)?;
            if self.out_of_patience() && self.state.epoch <= of {
                observer.event(&Event::EarlyStop { phase, epoch, patience: self.recipe.early_stopping });
            }
        }
        Ok(true)
    }

    /// The steps of an epoch that are left. False where it was stopped.
    fn train_epoch(
        &mut self,
        tools: &mut Tools,
        begun: Instant,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<bool, Error> {
        let (phase, epoch, recipe, data) = (tools.phase, self.state.epoch, self.recipe, self.data);
        let films = &data.split.train;
        let order = keys::shuffled(recipe.seed, phase, epoch, films.len());
        let steps = keys::steps(films.len(), recipe.batch_size, phase == Phase::Unfrozen);
        let Some(at) = steps.get(self.state.step).map(|s| s.start) else { return Ok(true) };
        let view = view_of_epoch(recipe, epoch);
        let mut loader = match &mut tools.films {
            Source::Features(features, _) => {
                let pass = self.pass(stop);
                if !features.compute(&mut self.store, (Side::Train, view), films, &pass, observer)? {
                    return Ok(false);
                }
                None
            }
            Source::Pixels(_) => {
                let item = |&i: &usize| LoaderItem {
                    path: films[i].film.path.clone(),
                    label: films[i].film.label,
                    index: i,
                    key: match phase {
                        Phase::Frozen => view_key(recipe.seed, view, &films[i]),
                        Phase::Unfrozen => Some(keys::augment(recipe.seed, epoch, film_key(&films[i]))),
                    },
                };
                let items = order[at..].iter().map(item).collect();
                Some(Loader::new(items, self.preprocess, Some(self.augment), recipe.batch_size, self.workers)?)
            }
        };
        let (every, before) = (Duration::from_secs(recipe.checkpoint_seconds), self.state.sums.seconds);
        for range in &steps[self.state.step..] {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let labels: Vec<usize> = order[range.clone()].iter().map(|&i| films[i].film.label).collect();
            match (&tools.films, &mut loader) {
                (Source::Features(features, _), _) => {
                    let (all, width) = (features.train(view), features.width);
                    let rows: Vec<f32> =
                        order[range.clone()].iter().flat_map(|&i| &all[i * width..(i + 1) * width]).copied().collect();
                    self.step(tools, Input::Values(&rows), &labels)?;
                }
                (Source::Pixels(_), Some(loader)) => {
                    let mut pixels = Vec::new();
                    let mut n = 0;
                    while n < labels.len() {
                        let Some(batch) = loader.next().transpose()? else { break };
                        n += batch.len();
                        if pixels.is_empty() { pixels = batch.pixels } else { pixels.extend(batch.pixels) }
                    }
                    self.step(tools, input(&pixels, self.preprocess.channels), &labels)?;
                }
                (Source::Pixels(_), None) => {}
            }
            observer.event(&Event::Progress { task: Task::Training, done: range.end, total: films.len() });
            if !every.is_zero() && self.saved.elapsed() >= every {
                self.state.sums.seconds = before + begun.elapsed().as_secs_f64();
                self.save(tools)?;
                self.state.sums.seconds = before;
                observer.event(&Event::Saved { path: self.run.file(run_folder::LAST) });
            }
        }
        Ok(true)
    }

    /// One step: forward, backward, clipping, optimiser, sums.
    fn step(&mut self, tools: &mut Tools, films: Input<'_>, labels: &[usize]) -> Result<(), Error> {
        let (epoch, step, recipe) = (self.state.epoch, self.state.step, self.recipe);
        let key = keys::dropout(recipe.seed, tools.phase, epoch, step);
        tools.plan.forward(&mut self.store, labels.len(), films, key)?;
        let output = tools.plan.output()?;
        let rows = output.chunks_exact(self.data.classes.len());
        let right = rows.zip(labels).filter(|(row, label)| lungfish_metrics::argmax(row) == **label).count();
        let loss = tools.plan.backward(&mut self.store, Seed::Targets(&self.targets.rows(labels)), false)?;
        if !loss.is_finite() {
            return Err(self.diverged(loss, step + 1));
        }
        if recipe.clip_norm > 0.0 {
            clip_gradients(&mut self.store, &self.network.graph, &tools.parts, recipe.clip_norm)?;
        }
        tools.adam.step(&mut self.store, learning_rate(recipe, tools.phase, epoch))?;
        let sums = &mut self.state.sums;
        sums.loss += loss * labels.len() as f64;
        sums.right += right;
        sums.films += labels.len();
        self.state.step += 1;
        Ok(())
    }

    /// Figures on the validation side. `None` where it was stopped.
    fn validate(
        &mut self,
        tools: &mut Tools,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Figures>, Error> {
        let films = &self.data.split.val;
        let classes = self.data.classes.len();
        let labels: Vec<usize> = films.iter().map(|f| f.film.label).collect();
        let rows = match &mut tools.films {
            Source::Features(features, head) => {
                let pass = self.pass(stop);
                if !features.compute(&mut self.store, (Side::Val, 0), films, &pass, observer)? {
                    return Ok(None);
                }
                let mut rows = Vec::with_capacity(films.len() * classes);
                for batch in features.val().chunks(self.recipe.batch_size * features.width) {
                    head.forward(&mut self.store, batch.len() / features.width, Input::Values(batch), [0; 4])?;
                    rows.extend(head.output()?);
                }
                rows
            }
            Source::Pixels(scorer) => {
                let paths: Vec<_> = films.iter().map(|f| f.film.path.clone()).collect();
                let Some(scored) = scorer.score(&mut self.store, &paths, Task::Validating, observer, stop)? else {
                    return Ok(None);
                };
                let mut rows = Vec::with_capacity(films.len() * classes);
                for (row, path) in scored.into_iter().zip(paths) {
                    rows.extend(row.map_err(|reason| lungfish_data::DataError::Film { path, reason })?);
                }
                rows
            }
        };
        let figures = Figures::new(classes, &labels, &rows);
        match figures.filter(|f| f.loss.is_finite()) {
            Some(figures) => Ok(Some(figures)),
            None => Err(self.diverged(f64::NAN, self.state.step)),
        }
    }

    /// Writes down an epoch: the checkpoint first, which is the truth, then the model and the log that follow from it.
    fn end_epoch(
        &mut self,
        tools: &mut Tools,
        figures: Figures,
        validation: f64,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let (phase, epoch, of) = (tools.phase, self.state.epoch, self.epochs());
        let sums = std::mem::take(&mut self.state.sums);
        let per_film = |sum: f64| (sums.films > 0).then(|| sum / sums.films as f64);
        let record = EpochRecord {
            phase,
            epoch,
            train_loss: per_film(sums.loss),
            train_accuracy: per_film(sums.right as f64),
            val_loss: figures.loss,
            val_accuracy: figures.accuracy,
            val_auc: figures.auc,
            lr: learning_rate(self.recipe, phase, epoch),
            seconds: sums.seconds + validation,
            films_per_s: (sums.films > 0).then(|| sums.films as f64 / sums.seconds.max(1e-9)),
        };
        let this =
            BestEpoch { phase, epoch, val_accuracy: figures.accuracy, val_auc: figures.auc, val_loss: figures.loss };
        // Epoch 0 is no result of training: it is the first phase's best again, or a head that has learnt nothing.
        let improved = epoch > 0 && self.state.best.as_ref().is_none_or(|best| better(self.recipe.best, &this, best));
        if improved {
            self.best = Some(model::capture(&self.store)?);
            self.state.best = Some(this.clone());
            self.state.stale = 0;
        } else if epoch > 0 {
            self.state.stale += 1;
        }
        let line = serde_json::to_string(&record).map_err(|e| Error::refused(format!("cannot write the log: {e}")))?;
        self.state.log.push(line.clone());
        self.state.seconds += record.seconds;
        self.state.epoch += 1;
        self.state.step = 0;
        self.save(tools)?;
        if improved {
            self.write_best()?;
        }
        self.run.append_log(&line)?;
        let seconds_left = self.seconds_left(&tools.films, record.seconds);
        observer.event(&Event::EpochDone { record, of, seconds_left });
        if improved {
            observer.event(&Event::Best(this));
        }
        Ok(())
    }

    /// As this epoch took, so will the others; passes through the frozen parts count where they are still to come.
    fn seconds_left(&self, films: &Source, seconds: f64) -> Option<f64> {
        let left = (self.epochs() + 1).checked_sub(self.state.epoch)?;
        if self.state.epoch <= 1 && self.state.phase == Phase::Unfrozen {
            return None;
        }
        Some(match films {
            Source::Pixels(_) => left as f64 * seconds,
            Source::Features(features, _) => {
                let passes = features.passes_left(self.recipe, self.state.epoch);
                let head = if seconds > features.pass_seconds { seconds - features.pass_seconds } else { seconds };
                left as f64 * head + passes as f64 * features.pass_seconds
            }
        })
    }

    /// Writes the checkpoint. Changes nothing but the file.
    fn save(&mut self, tools: &Tools) -> Result<(), Error> {
        let tensors = model::capture(&self.store)?;
        // A step can end in weights that are not numbers before any loss shows it; they must not replace good ones.
        if tensors.values().any(|t| t.data.iter().any(|x| !x.is_finite())) {
            return Err(self.diverged(f64::NAN, self.state.step));
        }
        let moments = tools.adam.state()?;
        let bytes = Checkpoint::to_bytes(&self.state, tensors, self.best.as_ref(), Some(moments))?;
        self.run.write(run_folder::LAST, &bytes)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes the model of the best epoch, where the file is not that already.
    fn write_best(&self) -> Result<(), Error> {
        let (Some(tensors), Some(epoch)) = (&self.best, &self.state.best) else { return Ok(()) };
        let info = ModelInfo {
            architecture: self.recipe.architecture,
            head: lungfish_models::HeadConfig { hidden: self.recipe.hidden, dropout: self.recipe.dropout },
            classes: self.data.classes.clone(),
            preprocess: self.preprocess,
            epoch: epoch.clone(),
            recipe: self.recipe.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let bytes = model::to_bytes(&info, tensors, &self.data.split.train, &self.data.split.val)?;
        if std::fs::read(self.run.file(run_folder::BEST)).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        self.run.write(run_folder::BEST, &bytes)
    }

    fn pass<'b>(&self, stop: &'b AtomicBool) -> Pass<'b>
    where
        'a: 'b,
    {
        Pass { recipe: self.recipe, preprocess: self.preprocess, augment: self.augment, workers: self.workers, stop }
    }

    fn diverged(&self, loss: f64, step: usize) -> Error {
        let kept = match &self.state.best {
            Some(best) => format!("{} keeps the {} epoch {}", run_folder::BEST, best.phase, best.epoch),
            None => "no epoch was finished before".to_owned(),
        };
        let kept = format!("{kept}; a smaller learning rate or clip_norm = 1 may help");
        Error::Diverged { loss, phase: self.state.phase, epoch: self.state.epoch, step, kept }
    }
}
