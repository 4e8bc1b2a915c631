//! Trainings that are watched from their beginning on. Each becomes a model when it has ended with one; why one cannot be opened is
//! kept, for the page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use lungfish::{is_training, model_written};
use lungfish_data::display::escape;
use serde_json::{Value, json};

use crate::models::Models;
use crate::problem::Problem;
use crate::taught::held;

/// Run folders, which need not be there yet.
pub(crate) struct Runs(Vec<Run>);

struct Run {
    /// What it is called: the name of its folder, which no other one has.
    name: String,
    path: PathBuf,
    opened: Mutex<Opened>,
}

/// What became of the model of a training.
#[derive(Default)]
enum Opened {
    /// There is none yet.
    #[default]
    NotYet,
    /// It is called so.
    Model(String),
    /// It cannot be opened: why.
    Failed(String),
}

impl Runs {
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        let mut names = BTreeSet::new();
        let run = |path: &PathBuf| {
            let name = path.file_name().map_or_else(|| "run".to_owned(), escape);
            let numbered = (2..).map(|number| format!("{name} ({number})"));
            let free = std::iter::once(name.clone()).chain(numbered).find(|name| names.insert(name.clone()));
            Run { name: free.unwrap_or(name), path: path.clone(), opened: Mutex::default() }
        };
        Runs(paths.iter().map(run).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder of a run.
    pub(crate) fn get(&self, name: &str) -> Result<&Path, Problem> {
        let found = self.0.iter().find(|run| run.name == name);
        found
            .map(|run| run.path.as_path())
            .ok_or_else(|| Problem::not_found(format!("no training called {} is watched", escape(name))))
    }

    /// Why the model of a run cannot be opened, where it cannot.
    pub(crate) fn failed(&self, name: &str) -> Option<String> {
        self.0.iter().find(|run| run.name == name)?.told().1
    }

    /// Opens the models of trainings that have ended. A model that cannot be opened is tried again the next time: another may lie
    /// there then.
    pub(crate) fn look(&self, models: &Models) {
        for run in &self.0 {
            if matches!(*held(&run.opened), Opened::Model(_)) {
                continue;
            }
            let opened = if model_written(&run.path).is_none() || is_training(&run.path) {
                Opened::NotYet
            } else {
                models.add(&run.path).map_or_else(|error| Opened::Failed(error.to_string()), Opened::Model)
            };
            *held(&run.opened) = opened;
        }
    }

    /// All of them, for the page.
    pub(crate) fn about(&self) -> Vec<Value> {
        let about = |run: &Run| {
            let (model, failed) = run.told();
            json!({ "name": run.name, "model": model, "failed": failed })
        };
        self.0.iter().map(about).collect()
    }
}

impl Run {
    /// What its model is called, or why it cannot be opened.
    fn told(&self) -> (Option<String>, Option<String>) {
        match &*held(&self.opened) {
            Opened::NotYet => (None, None),
            Opened::Model(name) => (Some(name.clone()), None),
            Opened::Failed(why) => (None, Some(why.clone())),
        }
    }
}
