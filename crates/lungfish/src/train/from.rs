//! A run that goes on from a finished one: with its best weights, its split, classes, preprocessing and recipe, but for what is
//! asked for.

use std::path::{Path, PathBuf};

use lungfish_data::display::escape;

use super::{Job, Origins, SETTLED, TrainOutcome};
use crate::checkpoint::Checkpoint;
use crate::data_set::DataSet;
use crate::model::Model;
use crate::prior::Way;
use crate::run_folder::{self, RunFolder};
use crate::test_log::TestLog;
use crate::{BestEpoch, Error, ModelInfo, Phase, Recipe, model, room, schedule, weights};

impl Job<'_, '_> {
    /// Starts a run that goes on from another: its split, classes, preprocessing and recipe, but for what is asked for.
    pub(super) fn begin_from(&mut self, parent: &Path) -> Result<TrainOutcome, Error> {
        if !parent.join(run_folder::SPLIT).exists() {
            return Err(Error::refused(format!(
                "{} is no run folder to go on from: {} is not in it (a model file is started from with --weights)",
                escape(parent),
                run_folder::SPLIT
            )));
        }
        let (info, ..) = ModelInfo::of_file(parent)?;
        // What is refused of the changes is refused below, by the whole recipe.
        let asked = self.request.changes.apply(info.recipe.clone()).unwrap_or(info.recipe);
        self.settle(&asked);
        let model = Model::open(parent, &self.device)?;
        model.require_single("go on from one of its members")?;
        model.check_split_file(parent)?;
        let recipe = self.recipe_after(&model)?;
        let root = match &self.request.data {
            Some(data) => data.clone(),
            None => {
                let last = parent.join(run_folder::LAST);
                let there = if last.exists() { Some(PathBuf::from(Checkpoint::read(&last)?.state.data)) } else { None };
                there.filter(|root| root.exists()).ok_or_else(|| {
                    Error::refused(format!(
                        "the films of {} are not where they were: name the folder where they are with --data",
                        escape(parent)
                    ))
                })?
            }
        };
        let (classes, mut caveats) = (model.info.classes.clone(), model.info.caveats.clone());
        if let Some(caveat) = TestLog::of_run(parent)?.caveat(parent) {
            self.watch.warn(caveat.to_string());
            caveats.push(caveat);
        }
        let data = DataSet::find_again(&parent.join(run_folder::SPLIT), &root, (model.info.task, classes), caveats)?;
        let network = weights::network(&recipe, data.task, data.classes.len())?;
        schedule::rates(&recipe, Phase::Unfrozen, &network, 0.0)?;
        room::check(&recipe, &network, &self.device)?;
        let bytes = std::fs::read(model.file()).map_err(|e| Error::io("read", model.file(), e))?;
        let lineage = model.lineage.of_run(&bytes);
        let mut data = data;
        let (teacher, lineage) = self.taught(&recipe, (data.task, &data.classes), lineage, &mut data.caveats)?;
        if let Some(BestEpoch { phase, epoch, val_loss, val_accuracy, .. }) = &model.info.epoch {
            self.watch.note(format!(
                "going on from {}, {phase} epoch {epoch}: validation loss {val_loss:.4}, accuracy {val_accuracy:.4}; its \
                 split, classes and recipe are taken over",
                escape(parent)
            ));
        }
        let mut run = RunFolder::create(&self.request.out)?;
        self.open_cache(&recipe, &mut run);
        let mut tensors = model::capture(&model.stores[0])?;
        if let Some(calibration) = &model.info.calibration {
            calibration.fold(&mut tensors, &network.output_bias(), None, Way::Out);
        }
        model.info.prior_shift.fold(&mut tensors, &network.output_bias(), Way::Out);
        self.set_out(&recipe, run, data, tensors, Origins { lineage, parent: model.info.epoch, teacher })
    }

    /// The recipe of a run that goes on from a model: the model's own with what is asked for, and only the epochs that
    /// are asked for.
    fn recipe_after(&self, model: &Model) -> Result<Recipe, Error> {
        let before = &model.info.recipe;
        let changes = &self.request.changes;
        if changes.keys().any(|key| key == "weights") {
            return Err(Error::refused("a run that goes on from another starts from its weights: leave out weights"));
        }
        // What the network is, and which film is on which split, was decided when the parent began.
        changes.only(&SETTLED).agree_with(before)?;
        let weights = model.file().to_string_lossy().into_owned();
        let base = Recipe { weights, frozen_epochs: 0, epochs: 0, ..before.clone() };
        if !changes.keys().any(|key| key == "epochs" || key == "frozen_epochs") {
            return Err(Error::refused(format!(
                "say how long to go on from {}: --epochs N, --frozen-epochs N or both",
                escape(model.folder())
            )));
        }
        let mut recipe = changes.apply(base)?;
        if changes.keys().any(|key| key == "precision") {
            recipe.precision = self.device.settled(recipe.precision)?;
        } else if let [nearest] = self.device.nearest(vec![before.precision.precision()])[..] {
            recipe.precision = nearest.into();
        }
        changes.refuse_idle(&recipe)?;
        if recipe.epochs == 0 {
            // The parent's has no part in this.
            recipe.set("teacher=none")?;
        }
        Ok(recipe)
    }
}
