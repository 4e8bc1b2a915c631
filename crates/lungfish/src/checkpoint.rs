//! `last.safetensors`: everything that going on with a training needs, in one file.
//!
//! It is the only truth about a run in progress. `best.safetensors` and `log.jsonl` follow from it: the weights of the
//! best epoch and the log's lines are in it too, it is written first, and a resumed run writes the other two anew where
//! they are not what it says. So a kill between two writes never leaves files that go on disagreeing.
//!
//! Saving reads the state and changes nothing, so when and how often it happens cannot change a result. Sums are JSON
//! numbers, which are written and read back without loss; weights and moments are tensors.

use std::path::Path;

use lungfish_data::Task;
use lungfish_data::display::escape;
use lungfish_engine::AdamState;
use lungfish_models::{ModelFile, Tensor, Tensors};
use serde::{Deserialize, Serialize};

use crate::lineage::Lineage;
use crate::loss_scale::LossScale;
use crate::run_folder;
use crate::{BestEpoch, Caveat, EpochRecord, Error, Phase, Recipe};

const FORMAT: &str = "lungfish.training.1";
/// Before the names of the best epoch's tensors; those that are as in the current weights are left out.
const BEST: &str = "best/";
/// Before those of the average of the weights, in the same way.
const AVERAGE: &str = "average/";
const MOMENTS: [&str; 2] = ["optimizer/m", "optimizer/v"];

/// Where a training is. All but the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The data folder as it was given, to find the films again where nobody says otherwise.
    pub data: String,
    /// What is asked of the films; checkpoints of older versions do not say, and are one-of.
    #[serde(default)]
    pub task: Task,
    /// Names of the classes, or of the labels.
    pub classes: Vec<String>,
    /// The phase.
    pub phase: Phase,
    /// The epoch being trained, from 1; 0 is the validation before the unfrozen phase; one past the phase's epochs when
    /// it is over.
    pub epoch: usize,
    /// Steps of that epoch that are done.
    pub step: usize,
    /// Sums over them.
    pub sums: Sums,
    /// Seconds of training in the epochs before.
    pub seconds: f64,
    /// Epochs of this phase since the best one.
    pub stale: usize,
    /// The best epoch so far.
    pub best: Option<BestEpoch>,
    /// The lines of the log.
    pub log: Vec<String>,
    /// Steps of the optimiser in this phase.
    pub optimizer_step: u64,
    /// The run's recipe as it was when it began; none in checkpoints of older versions, like all below.
    #[serde(default)]
    pub recipe: Option<String>,
    /// The content hash of the run's `split.csv`, hex.
    #[serde(default)]
    pub split_file: Option<String>,
    /// What must be known beside the run's numbers.
    #[serde(default)]
    pub caveats: Vec<Caveat>,
    /// The epoch of the run that this one goes on from.
    #[serde(default)]
    pub parent: Option<BestEpoch>,
    /// The best value so far of the metric that chooses between epochs.
    #[serde(default)]
    pub top: Option<f64>,
    /// The learning rate that a range test found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Of a training in f16: what its loss is multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// The content hash of the file of the model that is learnt from, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// The vector instructions that computed it: other ones round otherwise.
    #[serde(default)]
    pub instructions: Option<String>,
}

/// Sums over the steps of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// Loss times films.
    pub loss: f64,
    /// Films the network had right; any-of: labels.
    pub right: usize,
    /// Any-of: labels that are known of those films; none in one-of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<usize>,
    /// Films.
    pub films: usize,
    /// Steps that were skipped, since gradients were too large for f16.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// Seconds.
    pub seconds: f64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl State {
    /// A training that begins.
    pub(crate) fn new(data: &Path, (task, classes): (Task, &[String]), phase: Phase) -> Self {
        State {
            data: data.to_string_lossy().into_owned(),
            task,
            classes: classes.to_vec(),
            phase,
            epoch: usize::from(phase == Phase::Frozen),
            step: 0,
            sums: Sums::default(),
            seconds: 0.0,
            stale: 0,
            best: None,
            log: Vec::new(),
            optimizer_step: 0,
            recipe: None,
            split_file: None,
            caveats: Vec::new(),
            parent: None,
            top: None,
            lr: None,
            loss_scale: None,
            teacher: None,
            instructions: None,
        }
    }

    /// Whether a run of this recipe can be where the state says, and began as this recipe.
    pub(crate) fn check(&self, recipe: &Recipe, file: &Path) -> Result<(), Error> {
        let bad = |what: String| Err(Error::refused(format!("{} is damaged: {what}", escape(file))));
        let epochs = match self.phase {
            Phase::Frozen => recipe.frozen_epochs,
            Phase::Unfrozen => recipe.epochs,
        };
        if self.epoch > epochs + 1 || (self.phase == Phase::Frozen && self.epoch == 0) {
            return bad(format!("it stands at epoch {} of the {} phase, which has {epochs}", self.epoch, self.phase));
        }
        if self.sums.films > usize::MAX / 2 || !self.sums.loss.is_finite() || !self.seconds.is_finite() {
            return bad("its sums are beyond all reason".to_owned());
        }
        if let Some(scale) = self.loss_scale.filter(|scale| !scale.is_possible()) {
            return bad(format!("its loss is scaled by {}", scale.scale()));
        }
        if let Some(begun) = &self.recipe {
            let differences = Recipe::from_toml(begun)?.differences(recipe);
            if let Some(first) = differences.first() {
                return Err(Error::refused(format!(
                    "{} is not the recipe that {} began with ({} is {} there and was {}): put it back as it was, or start \
                     another run",
                    run_folder::RECIPE,
                    escape(file.parent().unwrap_or(Path::new(""))),
                    first.key,
                    first.theirs,
                    first.ours
                )));
            }
        }
        Ok(())
    }

    /// The epoch that was finished last, where its weights are those of the checkpoint.
    pub(crate) fn last_epoch(&self, file: &Path) -> Result<BestEpoch, Error> {
        let run = file.parent().unwrap_or(Path::new(""));
        if self.step > 0 {
            return Err(Error::refused(format!(
                "{} was stopped within epoch {} of the {} phase: go on with it (train --resume) before its last epoch is \
                 looked at",
                escape(run),
                self.epoch,
                self.phase
            )));
        }
        let Some(line) = self.log.last() else {
            return Err(Error::refused(format!("{} has not finished an epoch", escape(run))));
        };
        let record: EpochRecord = serde_json::from_str(line)
            .map_err(|e| Error::refused(format!("{} is damaged: its log says {line}: {e}", escape(file))))?;
        Ok(BestEpoch::from(&record))
    }
}

/// A checkpoint in memory.
pub(crate) struct Checkpoint {
    pub state: State,
    /// Weights and running statistics.
    pub tensors: Tensors,
    /// Those of the best epoch, complete.
    pub best: Option<Tensors>,
    /// Those of the average of the weights, complete, where the recipe asks for one.
    pub average: Option<Tensors>,
    /// The optimiser's moments; none before the first step of a phase.
    pub moments: Option<AdamState>,
    /// The films that had a part in it.
    pub lineage: Lineage,
}

impl Checkpoint {
    /// The bytes of one that a run begins with.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let kept = (self.best.as_ref(), self.average.as_ref());
        Self::bytes_of(&self.state, self.tensors.clone(), kept, self.moments.clone(), &self.lineage)
    }

    /// The bytes of a checkpoint, from what it is made of.
    pub(crate) fn bytes_of(
        state: &State,
        tensors: Tensors,
        (best, average): (Option<&Tensors>, Option<&Tensors>),
        moments: Option<AdamState>,
        lineage: &Lineage,
    ) -> Result<Vec<u8>, Error> {
        let mut state = state.clone();
        let mut file = ModelFile::default();
        for (before, kept) in [(BEST, best), (AVERAGE, average)] {
            for (name, tensor) in kept.into_iter().flatten() {
                if tensors.get(name).is_none_or(|current| !same_bits(&current.data, &tensor.data)) {
                    file.tensors.insert(format!("{before}{name}"), tensor.clone());
                }
            }
        }
        if let Some(moments) = moments {
            state.optimizer_step = moments.step;
            for (name, data) in MOMENTS.into_iter().zip([moments.m, moments.v]) {
                file.tensors.insert(name.to_owned(), Tensor { shape: vec![data.len()], data });
            }
        }
        file.tensors.extend(tensors);
        file.metadata.insert("format".to_owned(), FORMAT.to_owned());
        let json = serde_json::to_string(&state).map_err(|e| Error::refused(format!("cannot save the state: {e}")))?;
        file.metadata.insert("state".to_owned(), json);
        lineage.write(&mut file)?;
        Ok(file.to_bytes()?)
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bad = |what: String| {
            Error::refused(format!("{} is not a checkpoint: {what}", lungfish_data::display::escape(path)))
        };
        let mut file = ModelFile::read(path)?;
        if file.metadata.get("format").map(String::as_str) != Some(FORMAT) {
            return Err(bad(format!("its format is {:?}", file.metadata.get("format"))));
        }
        let json = file.metadata.get("state").map(String::as_str).unwrap_or_default();
        let state: State = serde_json::from_str(json).map_err(|e| bad(e.to_string()))?;
        let lineage = Lineage::read(path, &file)?;
        let moments = match MOMENTS.map(|name| file.tensors.remove(name)) {
            [Some(m), Some(v)] => Some(AdamState { step: state.optimizer_step, m: m.data, v: v.data }),
            [None, None] if state.optimizer_step == 0 => None,
            _ => return Err(bad(format!("it lacks {} or {}", MOMENTS[0], MOMENTS[1]))),
        };
        if let Some((name, _)) = file.tensors.iter().find(|(_, t)| t.data.iter().any(|x| !x.is_finite())) {
            return Err(bad(format!("tensor {name} has values that are not finite")));
        }
        let (of_best, rest): (Tensors, Tensors) = file.tensors.into_iter().partition(|(n, _)| n.starts_with(BEST));
        let (of_average, tensors): (Tensors, Tensors) = rest.into_iter().partition(|(n, _)| n.starts_with(AVERAGE));
        let whole = |before: &str, changed: Tensors| {
            let mut whole = tensors.clone();
            whole.extend(changed.into_iter().filter_map(|(n, t)| Some((n.strip_prefix(before)?.to_owned(), t))));
            whole
        };
        let best = state.best.is_some().then(|| whole(BEST, of_best));
        let average = (!of_average.is_empty()).then(|| whole(AVERAGE, of_average));
        Ok(Checkpoint { state, tensors, best, average, moments, lineage })
    }

    /// The tensors that the epoch that was finished last was validated with.
    pub(crate) fn into_validated(self, recipe: &Recipe) -> Tensors {
        let averaged = self.state.phase == Phase::Unfrozen && recipe.averages(self.state.epoch.saturating_sub(1));
        self.average.filter(|_| averaged).unwrap_or(self.tensors)
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}

#[cfg(test)]
mod tests {
    use lungfish_engine::Precision;

    use super::*;

    fn tensor(data: &[f32]) -> Tensor {
        Tensor { shape: vec![data.len()], data: data.to_vec() }
    }

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let mut state =
            State::new(Path::new("films"), (Task::AnyOf, &["A".to_owned(), "B".to_owned()]), Phase::Unfrozen);
        state.sums = Sums { loss: 0.1 + 0.2, right: 3, known: Some(7), films: 4, skipped: 2, seconds: 1.0 / 3.0 };
        state.loss_scale = LossScale::of(Precision::F16);
        state.seconds = f64::from_bits(0x3ff7_1234_5678_9abd);
        state.log = vec!["{\"epoch\":1}".to_owned()];
        state.best = Some(BestEpoch {
            phase: Phase::Frozen,
            epoch: 2,
            val_accuracy: 2.0 / 3.0,
            val_auc: None,
            val_loss: 1e-17,
            robust: None,
            why: None,
        });
        let current = Tensors::from([("a".into(), tensor(&[1.0, -0.0])), ("b".into(), tensor(&[0.25]))]);
        let best = Tensors::from([("a".into(), tensor(&[1.0, 0.0])), ("b".into(), tensor(&[0.25]))]);
        let average = Tensors::from([("a".into(), tensor(&[1.0, -0.0])), ("b".into(), tensor(&[0.5]))]);
        let moments = AdamState { step: 17, m: vec![0.5, 1e-30], v: vec![3.0, 4.0] };
        let lineage = Lineage::default();
        let bytes = Checkpoint::bytes_of(
            &state,
            current.clone(),
            (Some(&best), Some(&average)),
            Some(moments.clone()),
            &lineage,
        )
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        assert_eq!(read.state, State { optimizer_step: 17, ..state });
        assert_eq!(read.moments, Some(moments));
        let bits = |t: &Tensors| t.values().flat_map(|t| t.data.iter().map(|x| x.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&read.tensors), bits(&current));
        assert_eq!(bits(read.best.as_ref().unwrap()), bits(&best), "minus zero is not zero");
        assert_eq!(bits(read.average.as_ref().unwrap()), bits(&average));
        // The state stands in the unfrozen phase's epoch 1, which is the validation before it: nothing is averaged yet.
        let ema = Recipe { epochs: 3, ema_decay: 0.9, ..Recipe::default() };
        let at = |epoch| {
            let mut checkpoint = Checkpoint::read(&path).unwrap();
            checkpoint.state.epoch = epoch;
            bits(&checkpoint.into_validated(&ema))
        };
        assert_eq!((at(1), at(2)), (bits(&current), bits(&average)));
        std::fs::write(&path, b"not a checkpoint").unwrap();
        assert!(Checkpoint::read(&path).is_err());
    }
}
