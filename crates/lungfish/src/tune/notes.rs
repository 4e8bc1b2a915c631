//! `tune.json`: all that going on with a tuning needs, and the table of its results.

use std::fmt::Write;
use std::fs::File;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::halving::Rung;
use super::{Trial, TrialResult, TuneRequest, Vary, shown};
use crate::compute::Compute;
use crate::data_set::DataSet;
use crate::run_folder::{hold, write_atomically};
use crate::{Error, Recipe};

const FORMAT: &str = "lungfish.tune.1";
/// Its file.
const NOTES: &str = "tune.json";

/// What is known of a tuning.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Notes {
    format: String,
    /// The films.
    pub data: PathBuf,
    /// The recipe that trials begin with, TOML.
    base: String,
    vary: Vec<String>,
    pub budget_seconds: f64,
    pub most_trials: Option<usize>,
    /// Trials on each rung; none before the first trial has shown how long one takes.
    pub counts: Vec<usize>,
    pub trials: Vec<Trial>,
    /// Whether the films were drawn by a program.
    pub synthetic: bool,
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip)]
    _lock: Option<File>,
}

impl Notes {
    /// Takes the folder: that of what is gone on with, or a new one.
    pub(super) fn open(request: &TuneRequest) -> Result<Self, Error> {
        let file = request.out.join(NOTES);
        if request.resume {
            let text = std::fs::read_to_string(&file)
                .map_err(|_| Error::refused(format!("there is no tuning to go on with in {}", shown(&request.out))))?;
            let bad = |what: String| Error::damaged(format!("{} is damaged: {what}", shown(&file)));
            let mut notes: Notes = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
            if notes.format != FORMAT {
                return Err(bad(format!("its format is \"{}\"", notes.format)));
            }
            if let Some(data) = &request.data {
                notes.data.clone_from(data);
            }
            if !request.budget.is_zero() {
                notes.budget_seconds = request.budget.as_secs_f64();
            }
            notes._lock = Some(hold(&request.out, "tuning")?);
            notes.file = file;
            return Ok(notes);
        }
        let taken = std::fs::read_dir(&request.out).is_ok_and(|mut inside| inside.next().is_some());
        if taken {
            return Err(Error::refused(format!(
                "{} is not empty: go on with it with --resume, or choose another folder",
                shown(&request.out)
            )));
        }
        let Some(data) = &request.data else {
            return Err(Error::refused("name the folder of films with --data"));
        };
        let mut base = request.base.apply(Recipe::default())?;
        // All trials compute alike, wherever the tuning is gone on with.
        base.precision = Compute::default().settled(base.precision)?;
        if base.val_views == 0 {
            return Err(Error::refused(
                "val_views = 0: tuning compares recipes on augmented views of validation films",
            ));
        }
        if request.vary.is_empty() {
            return Err(Error::refused("nothing is varied: name keys with --vary"));
        }
        if base.epochs == 0 {
            base.epochs = super::halving::rungs(&base).last().map_or(0, |rung| rung.epochs);
        }
        request.vary.iter().try_for_each(|vary| vary.check(&base))?;
        if let Some(twice) =
            (1..request.vary.len()).find(|&i| request.vary[..i].iter().any(|v| v.key == request.vary[i].key))
        {
            return Err(Error::refused(format!("{} is varied twice", request.vary[twice].key)));
        }
        // A folder that is no data set is found out before there is anything to tidy up.
        DataSet::list(data, &base)?;
        std::fs::create_dir_all(&request.out).map_err(|e| Error::io("create", &request.out, e))?;
        let notes = Notes {
            format: FORMAT.to_owned(),
            data: std::path::absolute(data).unwrap_or_else(|_| data.clone()),
            base: base.to_toml(),
            vary: request.vary.iter().map(Vary::to_string).collect(),
            budget_seconds: request.budget.as_secs_f64(),
            most_trials: request.most_trials,
            counts: Vec::new(),
            trials: Vec::new(),
            synthetic: false,
            file,
            _lock: Some(hold(&request.out, "tuning")?),
        };
        notes.write()?;
        Ok(notes)
    }

    pub(super) fn write(&self) -> Result<(), Error> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| Error::refused(format!("cannot write {}: {e}", shown(&self.file))))?;
        write_atomically(&self.file, json.as_bytes())
    }

    pub(super) fn base(&self) -> Result<Recipe, Error> {
        Ok(Recipe::from_toml(&self.base)?)
    }

    pub(super) fn vary(&self) -> Result<Vec<Vary>, Error> {
        self.vary.iter().map(|text| text.parse()).collect()
    }

    /// Seconds of training so far.
    pub(super) fn seconds(&self) -> f64 {
        self.trials.iter().flat_map(|trial| &trial.results).map(|result| result.seconds).sum()
    }

    /// The trials of a rung, the best first; those that ran away are left out.
    pub(super) fn ranked(&self, rung: usize) -> Vec<usize> {
        let choice = |trial: &Trial| Some((trial.results.get(rung)?.choice?, trial.number));
        let mut ranked: Vec<(f64, usize)> = self.trials.iter().filter_map(choice).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.into_iter().map(|(_, number)| number).collect()
    }

    /// A row a trial and rung.
    pub(super) fn table(&self, rungs: &[Rung]) -> Result<String, Error> {
        let keys: Vec<String> = self.vary()?.into_iter().map(|vary| vary.key).collect();
        let mut table = format!("trial,epochs,image_size,loss,val_auc,augmented_val_auc,seconds,{}\n", keys.join(","));
        for trial in &self.trials {
            for (result, rung) in trial.results.iter().zip(rungs) {
                let TrialResult { choice, auc, robust_auc, seconds } = result;
                let number = |value: &Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
                // cannot fail: it is written into a string.
                let _ = write!(
                    table,
                    "{},{},{},{},{},{},{seconds:.1}",
                    trial.number,
                    rung.epochs,
                    rung.side,
                    number(choice),
                    number(auc),
                    number(robust_auc)
                );
                for key in &keys {
                    let value = trial.settings.iter().find(|(own, _)| own == key).map_or("", |(_, value)| value);
                    let _ = write!(table, ",{value}");
                }
                table.push('\n');
            }
        }
        Ok(table)
    }
}
