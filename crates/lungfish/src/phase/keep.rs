//! What a training writes down: the checkpoint, the model of the best epoch, the log.

use std::collections::BTreeMap;
use std::time::Instant;

use lungfish_engine::Adam;

use super::validation::Validation;
use super::{Tools, Trainer};
use crate::checkpoint::Checkpoint;
use crate::compute::Compute;
use crate::films::Source;
use crate::model::{self, ModelInfo};
use crate::prior::Way;
use crate::run_folder;
use crate::{BestEpoch, EpochRecord, Error, Event, Phase, Watch, weights};

/// Of more epochs it is no matter how large their images are.
const MOST_COUNTED: usize = 10_000;

impl Trainer<'_> {
    /// Writes down an epoch: the checkpoint first, which is the truth, then the model and the log that follow from it.
    pub(super) fn end_epoch(
        &mut self,
        tools: &mut Tools,
        Validation { plain: metrics, robust }: Validation,
        validation: f64,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        let (phase, epoch, of) = (tools.phase, self.state.epoch, self.epochs());
        let sums = std::mem::take(&mut self.state.sums);
        let factor = tools.stepper.course.at_end(epoch).factor;
        let lr = match phase {
            Phase::Frozen => self.recipe.frozen_lr,
            Phase::Unfrozen => self.recipe.lr.or(self.found_lr()),
        };
        let per_film = |sum: f64| (sums.films > 0).then(|| sum / sums.films as f64);
        let record = EpochRecord {
            phase,
            epoch,
            train_loss: per_film(sums.loss),
            train_accuracy: match sums.known {
                Some(known) => (known > 0).then(|| sums.right as f64 / known as f64),
                None => per_film(sums.right as f64),
            },
            val_loss: metrics.loss,
            val_accuracy: metrics.accuracy,
            val_auc: metrics.auc,
            robust,
            lr: lr * factor,
            part_lr: match phase {
                Phase::Frozen => BTreeMap::new(),
                Phase::Unfrozen => self.recipe.part_lr.iter().map(|(part, lr)| (part.clone(), lr * factor)).collect(),
            },
            seconds: sums.seconds + validation,
            films_per_s: (sums.films > 0).then(|| sums.films as f64 / sums.seconds.max(1e-9)),
        };
        let mut this = BestEpoch::from(&record);
        // Epoch 0 is no result of training: it is the first phase's best again, or a head that has learnt nothing.
        if epoch > 0 {
            this.why = self.judge.better(&this, self.state.best.as_ref(), self.state.top);
            let value = self.judge.value(&this);
            self.state.top = Some(self.state.top.map_or(value, |top| top.max(value)));
        }
        let improved = this.why.is_some();
        if improved {
            self.best = Some(model::capture(self.validated())?);
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
        self.save(&tools.stepper.adam)?;
        if improved {
            self.write_best()?;
        }
        self.run.append_log(&line)?;
        if let (Some(scale), true) = (self.state.loss_scale, sums.skipped > 0) {
            let steps = match sums.skipped {
                1 => "a step of this epoch was".to_owned(),
                many => format!("{many} steps of this epoch were"),
            };
            let scale = scale.scale();
            watch.note(format!("{steps} skipped: gradients were too large for f16; the loss is scaled by {scale} now"));
        }
        let seconds_left = self.seconds_left(&tools.films, record.seconds);
        watch.event(&Event::EpochDone { record, of, seconds_left });
        if improved {
            watch.event(&Event::Best(this));
        }
        Ok(())
    }

    /// As this epoch took, so will the others, by how many pixels their images have; passes through the frozen parts count
    /// where they are still to come.
    fn seconds_left(&self, films: &Source, seconds: f64) -> Option<f64> {
        let left = (self.epochs() + 1).checked_sub(self.state.epoch)?;
        if self.state.epoch <= 1 && self.state.phase == Phase::Unfrozen {
            return None;
        }
        Some(match films {
            Source::Pixels(_) if self.state.phase == Phase::Unfrozen && left <= MOST_COUNTED => {
                let pixels = |epoch| (self.recipe.side_of_epoch(epoch) as f64).powi(2);
                let to_come: f64 = (self.state.epoch..=self.epochs()).map(pixels).sum();
                to_come / pixels(self.state.epoch - 1) * seconds
            }
            Source::Pixels(_) => left as f64 * seconds,
            Source::Features(features, _) => {
                let passes = features.passes_left();
                let head = if seconds > features.pass_seconds { seconds - features.pass_seconds } else { seconds };
                left as f64 * head + passes as f64 * features.pass_seconds
            }
        })
    }

    /// Writes the checkpoint. Changes nothing but the file.
    pub(super) fn save(&mut self, adam: &Adam<Compute>) -> Result<(), Error> {
        let tensors = model::capture(&self.store)?;
        // A step can end in weights that are not numbers before any loss shows it; they must not replace good ones.
        if tensors.values().any(|t| t.data.iter().any(|x| !x.is_finite())) {
            return Err(self.diverged(f64::NAN, self.state.step));
        }
        let moments = adam.state()?;
        let average = self.average.as_ref().map(model::capture).transpose()?;
        let kept = (self.best.as_ref(), average.as_ref());
        let bytes = Checkpoint::bytes_of(&self.state, tensors, kept, Some(moments), &self.lineage)?;
        self.run.write(run_folder::LAST, &bytes)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes the model of the best epoch, where the file is not that already.
    pub(super) fn write_best(&self) -> Result<(), Error> {
        let (Some(tensors), Some(epoch)) = (&self.best, &self.state.best) else { return Ok(()) };
        let info = ModelInfo {
            architecture: self.recipe.architecture,
            head: weights::head(self.recipe, self.data.task),
            task: self.data.task,
            classes: self.data.classes.clone(),
            preprocess: self.pipeline.preprocess,
            epoch: Some(epoch.clone()),
            recipe: self.recipe.clone(),
            prior_shift: self.shift.clone(),
            calibration: self.calibration.clone(),
            synthetic: self.data.synthetic,
            caveats: self.data.caveats.clone(),
            ancestors: self.lineage.ancestors.clone(),
            members: Vec::new(),
            split_file: self.state.split_file.as_ref().and_then(|hash| hash.parse().ok()),
            imported: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut tensors = tensors.clone();
        let bias = self.network.output_bias();
        self.shift.fold(&mut tensors, &bias, Way::In);
        if let Some(calibration) = &self.calibration {
            calibration.fold(&mut tensors, &bias, None, Way::In);
        }
        let bytes = model::to_bytes(&info, vec![(tensors, self.reference.as_ref())], &self.lineage)?;
        if std::fs::read(self.run.file(run_folder::BEST)).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        self.run.write(run_folder::BEST, &bytes)
    }

    /// That a loss is no number.
    pub(super) fn diverged(&self, loss: f64, step: usize) -> Error {
        let single = if self.state.loss_scale.is_some() { ", or precision = \"fp32\"," } else { "" };
        self.ended(loss, step, &format!("a smaller learning rate or clip_norm = 1{single} may help"))
    }

    /// That a loss has gradients of which f16 can make nothing.
    pub(super) fn overflowed(&self, loss: f64, step: usize) -> Error {
        let what =
            "its gradients are too large for f16 or no numbers, however little it is scaled: try precision = \"fp32\"";
        self.ended(loss, step, what)
    }

    fn ended(&self, loss: f64, step: usize, what: &str) -> Error {
        let kept = match &self.state.best {
            Some(best) => format!("{} keeps the {} epoch {}", run_folder::BEST, best.phase, best.epoch),
            None => "no epoch was finished before".to_owned(),
        };
        let kept = format!("{kept}; {what}");
        Error::Diverged { loss, phase: self.state.phase, epoch: self.state.epoch, step, kept }
    }
}
