//! Trainings that are watched from their beginning on. Each becomes a model when it has ended with one.

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
    /// What its model is called, once there is one.
    model: Mutex<Option<String>>,
}

impl Runs {
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        let mut names = BTreeSet::new();
        let run = |path: &PathBuf| {
            let name = path.file_name().map_or_else(|| "run".to_owned(), escape);
            let numbered = (2..).map(|number| format!("{name} ({number})"));
            let free = std::iter::once(name.clone()).chain(numbered).find(|name| names.insert(name.clone()));
            Run { name: free.unwrap_or(name), path: path.clone(), model: Mutex::default() }
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

    /// Opens the models of trainings that have ended. A model that cannot be opened yet is tried again the next time.
    pub(crate) fn look(&self, models: &Models) {
        for run in &self.0 {
            let mut model = held(&run.model);
            if model.is_none() && model_written(&run.path).is_some() && !is_training(&run.path) {
                *model = models.add(&run.path).ok();
            }
        }
    }

    /// All of them, for the page.
    pub(crate) fn about(&self) -> Vec<Value> {
        self.0.iter().map(|run| json!({ "name": run.name, "model": *held(&run.model) })).collect()
    }
}
