//! Tuning: which values of a recipe do best on validation films, augmented ones among them, within a budget of time.
//!
//! Successive halving (Jamieson and Talwalkar, AISTATS 2016): many recipes are trained for a short time on small images, the
//! better third of them longer, the best of those to the end. All trials have one split, and no film of its test split is
//! looked at. What is kept of every trial is its recipe and its log; the model of the winner is that of its last rung.

mod halving;
mod notes;
mod space;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lungfish_data::display::escape;
use lungfish_models::ModelFile;
use serde::{Deserialize, Serialize};

use crate::run_folder::{self, write_atomically};
use crate::{Changes, Error, Event, Recipe, TrainRequest, Watch, train};
use halving::Rung;
use notes::Notes;
pub use space::{Values, Vary};

/// What to tune.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TuneRequest {
    /// The films; may be left out with `resume`.
    pub data: Option<PathBuf>,
    /// The folder for trials and results: absent or empty, or one to go on with.
    pub out: PathBuf,
    /// The recipe that every trial begins with. Its `epochs` are those of the last rung, 8 where it has none.
    pub base: Changes,
    /// What is varied.
    pub vary: Vec<Vary>,
    /// How long all of it may take. A trial that has begun is finished.
    pub budget: Duration,
    /// Begin no more trials than these, even where the budget would hold more.
    pub most_trials: Option<usize>,
    /// Go on with what was begun in `out`, as it was asked for then; a longer or shorter budget is taken over.
    pub resume: bool,
    /// Threads that decode films, see [`TrainRequest::workers`].
    pub workers: usize,
}

impl TuneRequest {
    /// The usual keys, varied about the default recipe.
    pub fn new(data: impl Into<PathBuf>, out: impl Into<PathBuf>, budget: Duration) -> Self {
        TuneRequest {
            data: Some(data.into()),
            out: out.into(),
            base: Changes::default(),
            vary: Vary::usual(),
            budget,
            most_trials: None,
            resume: false,
            workers: 0,
        }
    }
}

/// One recipe of a tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trial {
    /// Its number; 0 is the recipe that all began with.
    pub number: usize,
    /// The keys that were drawn, with their values; none for trial 0.
    pub settings: Vec<(String, String)>,
    /// What it came to on each rung that it was trained on.
    pub results: Vec<TrialResult>,
}

/// What a trial came to on a rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrialResult {
    /// The mean of the validation losses on films as they are and on augmented views, of the epoch that was kept: what
    /// decides. None where the training ran away.
    pub choice: Option<f64>,
    /// AUC on the validation films.
    pub auc: Option<f64>,
    /// AUC on augmented views of them.
    pub robust_auc: Option<f64>,
    /// Seconds that the training took.
    pub seconds: f64,
}

impl Trial {
    /// Its settings in a line.
    pub fn words(&self) -> String {
        if self.settings.is_empty() {
            return "the recipe as it is".to_owned();
        }
        self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// How much of the differences between trials goes with the values of a key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Importance {
    /// The key.
    pub key: String,
    /// Share of the variance of the trials' ranks on the first rung that the key's values explain, 0 to 1: the square of
    /// Spearman's correlation for a range, the correlation ratio for single values. None for fewer than four trials.
    pub share: Option<f64>,
}

/// How a tuning ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TuneOutcome {
    /// The folder.
    pub out: PathBuf,
    /// All trials.
    pub trials: Vec<Trial>,
    /// The number of the best trial of the highest rung that was reached; none before the first trial was over.
    pub best: Option<usize>,
    /// Its recipe as a file for `train --recipe`.
    pub recipe: Option<PathBuf>,
    /// Its run folder, where it came to the last rung.
    pub run: Option<PathBuf>,
    /// What mattered, the most first.
    pub importance: Vec<Importance>,
    /// Epochs and image side of each rung.
    pub rungs: Vec<(usize, usize)>,
    /// True if it was stopped on request and can be gone on with.
    pub stopped: bool,
    /// True if the budget ended before the last rung did.
    pub out_of_time: bool,
    /// Seconds of training in all.
    pub seconds: f64,
}

/// Tunes, or goes on tuning.
///
/// # Errors
/// A folder that holds something else, keys that cannot be varied, and whatever makes a training impossible. What was found
/// before stays.
pub fn tune(request: &TuneRequest, watch: &mut Watch<'_>) -> Result<TuneOutcome, Error> {
    let mut notes = Notes::open(request)?;
    let base = notes.base()?;
    let rungs = halving::rungs(&base);
    let mut tuning = Tuning { request, notes: &mut notes, base, rungs, watch };
    let ended = tuning.run()?;
    tuning.outcome(ended)
}

/// Why a tuning ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    Stopped,
    OutOfTime,
}

struct Tuning<'a, 'b> {
    request: &'a TuneRequest,
    notes: &'a mut Notes,
    base: Recipe,
    rungs: Vec<Rung>,
    watch: &'a mut Watch<'b>,
}

impl Tuning<'_, '_> {
    fn run(&mut self) -> Result<Ended, Error> {
        // How long the first takes says how many there can be.
        if self.notes.trials.is_empty() {
            self.notes.trials.push(Trial { number: 0, settings: Vec::new(), results: Vec::new() });
        }
        if self.notes.trials[0].results.is_empty()
            && let Some(ended) = self.train(0, 0, 1)?
        {
            return Ok(ended);
        }
        if self.notes.counts.is_empty() {
            let seconds = self.notes.trials[0].results[0].seconds;
            self.notes.counts =
                halving::counts(&self.rungs, seconds, self.notes.budget_seconds, self.notes.most_trials);
            self.notes.write()?;
            let counts = self.notes.counts.iter().zip(&self.rungs);
            let words: Vec<String> = counts
                .map(|(count, rung)| format!("{count} for {} at {} pixels", epochs_in_words(rung.epochs), rung.side))
                .collect();
            self.watch.note(format!("trials that fit into the budget: {}", words.join(", then ")));
        }
        for (rung, count) in self.notes.counts.clone().into_iter().enumerate() {
            let entrants: Vec<usize> = match rung {
                0 => (0..count).collect(),
                _ => self.notes.ranked(rung - 1).into_iter().take(count).collect(),
            };
            for number in entrants {
                while self.notes.trials.len() <= number {
                    let trial = self.notes.trials.len();
                    let draw = |vary: &Vary| (vary.key.clone(), vary.draw(self.base.seed, trial));
                    let settings = self.notes.vary()?.iter().map(draw).collect();
                    self.notes.trials.push(Trial { number: trial, settings, results: Vec::new() });
                }
                if self.notes.trials[number].results.len() > rung {
                    continue;
                }
                if self.notes.seconds() >= self.notes.budget_seconds {
                    return Ok(Ended::OutOfTime);
                }
                if let Some(ended) = self.train(number, rung, count)? {
                    return Ok(ended);
                }
            }
        }
        Ok(Ended::Done)
    }

    /// Trains a trial on a rung and writes down what it came to.
    fn train(&mut self, number: usize, rung: usize, of: usize) -> Result<Option<Ended>, Error> {
        let trial = self.notes.trials[number].clone();
        let recipe = self.recipe(&trial, rung)?;
        let folder = self.folder(number, rung);
        let Rung { epochs, side, .. } = self.rungs[rung];
        self.watch.event(&Event::TrialStarted {
            trial: trial.clone(),
            rung,
            rungs: self.rungs.len(),
            of,
            epochs,
            side,
        });
        let mut request = TrainRequest::new(self.notes.data.clone(), folder.clone());
        request.changes = Changes::from(&recipe);
        request.workers = self.request.workers;
        // Killed before it wrote its recipe, it begins anew there too.
        request.resume = folder.exists();
        let begun = Instant::now();
        // What every training says of the films is told once, and what it says of itself here.
        let mut first = number == 0 && rung == 0;
        let flag = self.watch.flag();
        let watch = &mut *self.watch;
        let mut pass_on = |event: &Event| match event {
            Event::Progress { .. } => watch.event(event),
            Event::PhaseStarted { .. } => first = false,
            Event::Warning(_) | Event::BadFilm { .. } | Event::Dataset { .. } if first => watch.event(event),
            _ => {}
        };
        let trained = train(&request, &mut Watch::new(&mut pass_on, flag));
        let result = match trained {
            Ok(outcome) if outcome.stopped => {
                return Ok(Some(Ended::Stopped));
            }
            Ok(outcome) => {
                let best = outcome.best;
                let robust = best.as_ref().and_then(|best| best.robust);
                TrialResult {
                    choice: robust.map(|seen| seen.choice),
                    auc: best.and_then(|best| best.val_auc),
                    robust_auc: robust.and_then(|seen| seen.auc),
                    seconds: outcome.seconds.max(if request.resume { 0.0 } else { begun.elapsed().as_secs_f64() }),
                }
            }
            // A recipe that runs away is an answer too.
            Err(Error::Diverged { .. }) => {
                TrialResult { choice: None, auc: None, robust_auc: None, seconds: begun.elapsed().as_secs_f64() }
            }
            Err(error) => return Err(error),
        };
        let model = folder.join(run_folder::BEST);
        if model.exists() {
            self.notes.synthetic |= ModelFile::read(&model)?.metadata.get("synthetic").is_some_and(|is| is == "true");
        }
        self.notes.trials[number].results.push(result);
        self.notes.write()?;
        self.tidy(number, rung)?;
        self.watch.event(&Event::TrialDone { trial: self.notes.trials[number].clone(), rung });
        Ok(None)
    }

    /// The recipe of a trial on a rung.
    fn recipe(&self, trial: &Trial, rung: usize) -> Result<Recipe, Error> {
        let Rung { epochs, side, last } = self.rungs[rung];
        let mut changes = Changes::default();
        for (key, value) in &trial.settings {
            changes.set_key(key, value)?;
        }
        let mut recipe = changes.apply(self.base.clone())?;
        recipe.epochs = epochs;
        if !last {
            recipe.image_size = side;
            recipe.sizes = "full".to_owned();
        }
        recipe.validate()?;
        Ok(recipe)
    }

    fn folder(&self, number: usize, rung: usize) -> PathBuf {
        self.request.out.join(format!("trial-{number:03}")).join(format!("rung-{rung}"))
    }

    /// Weights that nobody will ask for go: those that a training goes on from, and models of all rungs but the last.
    fn tidy(&self, number: usize, rung: usize) -> Result<(), Error> {
        let folder = self.folder(number, rung);
        let gone: &[&str] =
            if self.rungs[rung].last { &[run_folder::LAST] } else { &[run_folder::LAST, run_folder::BEST] };
        for name in gone {
            let file = folder.join(name);
            match std::fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &file, e)),
                _ => {}
            }
        }
        Ok(())
    }

    fn outcome(&mut self, ended: Ended) -> Result<TuneOutcome, Error> {
        let reached = self.notes.trials.iter().map(|trial| trial.results.len()).max().unwrap_or(0);
        let best = reached.checked_sub(1).and_then(|rung| self.notes.ranked(rung).first().copied());
        let importance = halving::importance(&self.notes.trials, &self.notes.vary()?);
        write_atomically(&self.request.out.join("tune.csv"), self.notes.table(&self.rungs)?.as_bytes())?;
        let mut recipe = None;
        if let Some(best) = best {
            let file = self.request.out.join("best.toml");
            let of_best = self.recipe(&self.notes.trials[best], self.rungs.len() - 1)?;
            write_atomically(&file, of_best.to_toml().as_bytes())?;
            recipe = Some(file);
            #[cfg(feature = "pictures")]
            self.draw(best, &importance)?;
        }
        let run = best.filter(|_| reached == self.rungs.len()).map(|best| self.folder(best, reached - 1));
        Ok(TuneOutcome {
            out: self.request.out.clone(),
            trials: self.notes.trials.clone(),
            best,
            recipe,
            run,
            importance,
            rungs: self.rungs.iter().map(|rung| (rung.epochs, rung.side)).collect(),
            stopped: ended == Ended::Stopped,
            out_of_time: ended == Ended::OutOfTime,
            seconds: self.notes.seconds(),
        })
    }

    #[cfg(feature = "pictures")]
    fn draw(&self, best: usize, importance: &[Importance]) -> Result<(), Error> {
        use lungfish_pictures::{Heading, TrialPanel, TrialPoint, trials};
        let vary = self.notes.vary()?;
        let panel = |shown: &Importance| {
            let vary = vary.iter().find(|vary| vary.key == shown.key)?;
            let categories = match &vary.values {
                Values::Of(values) => values.clone(),
                Values::Between(..) => Vec::new(),
            };
            let point = |trial: &Trial| {
                let (_, value) = trial.settings.iter().find(|(key, _)| *key == shown.key)?;
                let place = match categories.is_empty() {
                    true => value.parse().ok()?,
                    false => categories.iter().position(|category| category == value)? as f64,
                };
                Some(TrialPoint {
                    place,
                    loss: trial.results.first()?.choice?,
                    best: trial.number == best,
                    promoted: trial.results.len() > 1,
                })
            };
            Some(TrialPanel {
                key: shown.key.clone(),
                categories: categories.clone(),
                logarithmic: vary.is_logarithmic(),
                share: shown.share,
                points: self.notes.trials.iter().filter_map(point).collect(),
            })
        };
        let base = self.notes.trials[0].results.first().and_then(|result| result.choice);
        let Rung { epochs, side, .. } = self.rungs[0];
        let heading = Heading {
            title: "What mattered".to_owned(),
            subtitle: Some(format!(
                "Validation loss of each trial after {} at {side} pixels, mean of films as they are and augmented.",
                epochs_in_words(epochs)
            )),
            synthetic: self.notes.synthetic,
        };
        let panels: Vec<TrialPanel> = importance.iter().filter_map(panel).collect();
        if panels.is_empty() {
            return Ok(());
        }
        let picture = trials(&heading, &panels, base)?;
        crate::picture::write_all(&self.request.out, "tune", &picture, crate::PictureFormats::default())?;
        Ok(())
    }
}

fn epochs_in_words(count: usize) -> String {
    if count == 1 { "1 epoch".to_owned() } else { format!("{count} epochs") }
}

/// The folder, as a sentence names it.
fn shown(path: &Path) -> String {
    escape(path)
}
