//! The recipe: everything that decides what a training gives, in one flat struct, TOML on disk.
//!
//! [`Recipe`] is a set of final values; [`Changes`] are the keys that somebody asked for (a recipe
//! file, `--set`, flags) before they are laid over a base. The two are kept apart because resuming
//! must tell "asked for another value" from "said nothing".

mod choices;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use choices::{Best, ClassWeights, Optimizer, Schedule};
use lungfish_data::{Channels, Fit, PatientRule};
use lungfish_models::Architecture;

/// What is wrong with a recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A recipe file that could not be read.
    #[error("cannot read the recipe {}: {source}", lungfish_data::display::escape(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A recipe file that is not TOML.
    #[error("{} is not a recipe: {reason}", lungfish_data::display::escape(path))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What TOML says, with the line.
        reason: String,
    },
    /// A setting that is not `key=value`.
    #[error("\"{text}\" is not KEY=VALUE, such as fit=squash")]
    NotASetting {
        /// What was given.
        text: String,
    },
    /// A key that no recipe has.
    #[error("a recipe has no key \"{key}\"; {hint}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The near names, or all of them.
        hint: String,
    },
    /// A value of the wrong kind or outside its range.
    #[error("{key} = {value}: must be {allowed}")]
    Value {
        /// The key.
        key: String,
        /// The value, as TOML writes it.
        value: String,
        /// What would do.
        allowed: String,
    },
    /// Keys asked for that contradict the recipe of a run being resumed.
    #[error(
        "this run was started with other values: {}; go on without them, or begin another run",
        differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Contradicts {
        /// Each key with both values.
        differences: Vec<Difference>,
    },
}

/// One key on which two recipes differ; values as TOML writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// The value that stands (the run's).
    pub ours: String,
    /// The other value (the one asked for).
    pub theirs: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {} there and {} was asked for", self.key, self.ours, self.theirs)
    }
}

/// Writes the struct once: field, type, default, and what it means (which is the doc comment, the
/// TOML comment and the text of a refusal).
macro_rules! recipe {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $allowed:literal;)+) => {
        /// Everything that decides what a training gives. Threads, workers, device and the place of the
        /// data are no part of it: they may differ between two runs of the same result.
        ///
        /// ```
        /// let mut recipe = lungfish::Recipe::default();
        /// recipe.set("fit=squash")?;
        /// assert_eq!(lungfish::Recipe::from_toml(&recipe.to_toml())?, recipe);
        /// # Ok::<(), lungfish::RecipeError>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Recipe {
            $($(#[doc = $doc])+ pub $key: $type,)+
        }

        impl Default for Recipe {
            fn default() -> Self {
                Recipe { $($key: $default,)+ }
            }
        }

        /// One key of a recipe.
        #[derive(Clone, Copy, Debug)]
        pub struct Key {
            /// Its name.
            pub name: &'static str,
            /// What it means, one sentence.
            pub about: &'static str,
            /// Which values it takes.
            pub allowed: &'static str,
        }

        /// Every key, in the order in which a recipe is written.
        pub const KEYS: &[Key] = &[
            $(Key { name: stringify!($key), about: concat!($($doc),+), allowed: $allowed },)+
        ];

        impl Recipe {
            /// Puts one value in its place, if it is of the right kind.
            fn put(&mut self, key: &str, value: &toml::Value) -> Result<(), RecipeError> {
                match key {
                    $(stringify!($key) => self.$key = convert(key, value, $allowed)?,)+
                    _ => return Err(unknown(key)),
                }
                Ok(())
            }

            /// One value, as TOML has it.
            fn value(&self, key: &str) -> Option<toml::Value> {
                match key {
                    $(stringify!($key) => toml::Value::try_from(&self.$key).ok(),)+
                    _ => None,
                }
            }
        }
    };
}

recipe! {
    /// The network.
    architecture: Architecture = Architecture::EfficientnetLite0, "resnet18, resnet34, resnet50 or efficientnet-lite0";
    /// Where the weights come from before training: "imagenet", "none", or a .pth or .safetensors file.
    weights: String = "imagenet".to_owned(), "\"imagenet\", \"none\" or a file";
    /// Features between the two linear layers of the head.
    hidden: usize = 256, "a number from 1 to 65536";
    /// Probability with which the head drops a feature while training.
    dropout: f64 = 0.0, "a number from 0 to below 1";
    /// Weight of a batch's statistics in batch-norm's running ones; 0 is the network's own (Lite0: 0.01, too slow for short trainings).
    batch_norm_momentum: f64 = 0.1, "a number from 0 to 1";
    /// Decode films as one gray channel (Pillow's L) or as three.
    channels: Channels = Channels::Gray, "gray or rgb";
    /// How a film that is not square becomes square: cut the middle out, pad with black, or squash.
    fit: Fit = Fit::Crop, "crop, pad or squash";
    /// Side of the image that the network sees, pixels.
    image_size: usize = 224, "a number from 32 to 2048";
    /// Augmentation: rotated by up to so many degrees either way.
    rotation: f64 = 20.0, "a number from 0 to 180";
    /// Augmentation: probability of a mirror image.
    flip: f64 = 0.5, "a number from 0 to 1";
    /// Regular expression on the file name whose group 1 is the patient; the file stem where it does not match.
    patient: String = PatientRule::KERMANY.to_owned(), "a regular expression with one group";
    /// Part of the films that becomes the validation side where the data has none or a tiny one.
    val_fraction: f64 = 0.10, "a number above 0 and up to 0.5";
    /// Part of the films that becomes the test side where the data has none; 0 is no test side.
    test_fraction: f64 = 0.15, "a number from 0 to 0.5";
    /// Use about so many films, whole patients, the classes in proportion; 0 is all.
    limit: usize = 0, "0 or a number of films";
    /// Stop at a bad film instead of leaving it out.
    strict: bool = false, "true or false";
    /// Seed of every random number.
    seed: u64 = 0, "a number from 0 to 9223372036854775807";
    /// Films a step.
    batch_size: usize = 32, "a number from 1 to 65536";
    /// Epochs that train the head alone, the rest frozen.
    frozen_epochs: usize = 10, "a number of epochs";
    /// Epochs after those, with the parts of `unfreeze` training too.
    epochs: usize = 0, "a number of epochs";
    /// Parts that train in the second phase: "all", or names with commas; the head always does.
    unfreeze: String = "all".to_owned(), "\"all\" or names of parts with commas, such as \"layer3,layer4\"";
    /// Augmented views of each film that the frozen phase goes through, computed once each (the first is unaugmented); 0 is a fresh one every epoch.
    frozen_views: usize = 1, "a number of views up to 1024";
    /// Keep the features of each view in memory; false computes them anew every epoch, to the same figures.
    cache_features: bool = true, "true or false";
    /// Optimiser.
    optimizer: Optimizer = Optimizer::Adam, "adam or adamw";
    /// Weight decay, as torch.optim's Adam (L2) or AdamW (decoupled).
    weight_decay: f64 = 0.0, "a number from 0 up";
    /// Learning rate of the frozen phase.
    frozen_lr: f64 = 1e-3, "a number above 0";
    /// Schedule of the frozen phase's learning rate, moved on each epoch.
    frozen_schedule: Schedule = Schedule::Cosine, "constant, step or cosine";
    /// Frozen phase, step schedule: epochs between two steps.
    frozen_step_size: usize = 7, "a number of epochs above 0";
    /// Frozen phase, step schedule: factor of a step.
    frozen_gamma: f64 = 0.1, "a number above 0 and up to 1";
    /// Learning rate of the second phase.
    lr: f64 = 1e-4, "a number above 0";
    /// Schedule of the second phase's learning rate, moved on each epoch.
    schedule: Schedule = Schedule::Cosine, "constant, step or cosine";
    /// Second phase, step schedule: epochs between two steps.
    step_size: usize = 7, "a number of epochs above 0";
    /// Second phase, step schedule: factor of a step.
    gamma: f64 = 0.1, "a number above 0 and up to 1";
    /// Weight of each class in the loss: none, or balanced (films / (classes * films of the class)).
    class_weights: ClassWeights = ClassWeights::None, "none or balanced";
    /// Label smoothing, as torch's CrossEntropyLoss.
    label_smoothing: f64 = 0.0, "a number from 0 to below 1";
    /// Largest global norm of a step's gradient; 0 is no clipping.
    clip_norm: f64 = 0.0, "0 or a number above 0";
    /// Stop a phase after so many epochs without a better validation figure; 0 is never.
    early_stopping: usize = 0, "a number of epochs";
    /// The validation figure that decides which epoch is kept.
    best: Best = Best::Accuracy, "accuracy or auc";
    /// Seconds between two checkpoints inside an epoch; 0 is at its end only.
    checkpoint_seconds: u64 = 300, "a number of seconds";
}

/// What a value must satisfy beyond its kind.
fn in_range(recipe: &Recipe, key: &str) -> bool {
    let rate = |f: f64| f.is_finite() && f > 0.0;
    match key {
        "weights" => !recipe.weights.is_empty(),
        "hidden" => (1..=65536).contains(&recipe.hidden),
        // The network computes in single floats.
        "dropout" => (0.0..1.0).contains(&(recipe.dropout as f32)),
        "batch_norm_momentum" => (0.0..=1.0).contains(&recipe.batch_norm_momentum),
        "image_size" => (32..=2048).contains(&recipe.image_size),
        "rotation" => (0.0..=180.0).contains(&recipe.rotation),
        "flip" => (0.0..=1.0).contains(&recipe.flip),
        "patient" => PatientRule::new(&recipe.patient).is_ok(),
        "val_fraction" => recipe.val_fraction > 0.0 && recipe.val_fraction <= 0.5,
        "test_fraction" => (0.0..=0.5).contains(&recipe.test_fraction),
        "seed" => i64::try_from(recipe.seed).is_ok(),
        "batch_size" => (1..=65536).contains(&recipe.batch_size),
        "unfreeze" => !recipe.unfreeze.is_empty(),
        "frozen_views" => recipe.frozen_views <= 1024,
        "weight_decay" => recipe.weight_decay.is_finite() && recipe.weight_decay >= 0.0,
        "frozen_lr" => rate(recipe.frozen_lr),
        "lr" => rate(recipe.lr),
        "frozen_step_size" => recipe.frozen_step_size > 0,
        "step_size" => recipe.step_size > 0,
        "frozen_gamma" => rate(recipe.frozen_gamma) && recipe.frozen_gamma <= 1.0,
        "gamma" => rate(recipe.gamma) && recipe.gamma <= 1.0,
        "label_smoothing" => (0.0..1.0).contains(&recipe.label_smoothing),
        "clip_norm" => recipe.clip_norm.is_finite() && recipe.clip_norm >= 0.0,
        "checkpoint_seconds" => i64::try_from(recipe.checkpoint_seconds).is_ok(),
        _ => true,
    }
}

fn bad_value(key: &str, value: impl ToString, allowed: &str) -> RecipeError {
    RecipeError::Value { key: key.to_owned(), value: value.to_string(), allowed: allowed.to_owned() }
}

fn convert<T: DeserializeOwned>(key: &str, value: &toml::Value, allowed: &str) -> Result<T, RecipeError> {
    value.clone().try_into().map_err(|_| bad_value(key, value, allowed))
}

fn unknown(key: &str) -> RecipeError {
    RecipeError::UnknownKey { key: key.to_owned(), hint: text::near(key) }
}

impl Recipe {
    /// Reads a recipe; keys that are not there keep their defaults.
    ///
    /// # Errors
    /// Not TOML, an unknown key (with the near names), a value out of range.
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        Changes::from_toml(text, Path::new("the recipe"))?.apply(Recipe::default())
    }

    /// Reads a recipe file; keys that are not there keep their defaults.
    ///
    /// # Errors
    /// As [`Recipe::from_toml`], and a file that cannot be read.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let mut changes = Changes::default();
        changes.read(path)?;
        changes.apply(Recipe::default())
    }

    /// Sets one key from `key=value`; the value as TOML writes it, or a bare word.
    ///
    /// # Errors
    /// Not `key=value`, an unknown key, a value out of range.
    pub fn set(&mut self, setting: &str) -> Result<(), RecipeError> {
        let mut changes = Changes::default();
        changes.set(setting)?;
        *self = changes.apply(self.clone())?;
        Ok(())
    }

    /// Checks every value against its range, and the ones that depend on each other.
    ///
    /// # Errors
    /// The first that does not do, with its key, its value and what would do.
    pub fn validate(&self) -> Result<(), RecipeError> {
        for key in KEYS {
            if !in_range(self, key.name) {
                return Err(bad_value(key.name, self.shown(key.name), key.allowed));
            }
        }
        if self.frozen_epochs + self.epochs == 0 {
            return Err(bad_value("frozen_epochs", 0, "above 0 where epochs is 0 too, or nothing would be trained"));
        }
        if self.epochs > 0 && self.batch_size == 1 {
            let allowed = "at least 2 where epochs is above 0: batch normalisation learns from several films at a time";
            return Err(bad_value("batch_size", 1, allowed));
        }
        Ok(())
    }

    /// The recipe as TOML, every key with a comment line that says what it means.
    pub fn to_toml(&self) -> String {
        text::write(self)
    }

    /// The keys on which this recipe and another differ, with both values.
    pub fn differences(&self, other: &Recipe) -> Vec<Difference> {
        KEYS.iter()
            .filter(|key| self.value(key.name) != other.value(key.name))
            .map(|key| Difference {
                key: key.name.to_owned(),
                ours: self.shown(key.name),
                theirs: other.shown(key.name),
            })
            .collect()
    }

    /// One value as TOML writes it.
    fn shown(&self, key: &str) -> String {
        self.value(key).map_or_else(String::new, |v| v.to_string())
    }
}

/// The keys that somebody asked for, with their values: a recipe file, `--set`, flags; later ones win.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    values: BTreeMap<&'static str, toml::Value>,
}

impl Changes {
    fn from_toml(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            RecipeError::Syntax { path: path.to_owned(), reason: format!("line {line}: {}", e.message()) }
        })?;
        let mut changes = Changes::default();
        for (key, value) in table {
            changes.insert(&key, value)?;
        }
        Ok(changes)
    }

    /// Asks for every key of a recipe file.
    ///
    /// # Errors
    /// A file that cannot be read, is not TOML, has an unknown key or a value of the wrong kind.
    pub fn read(&mut self, path: &Path) -> Result<(), RecipeError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| RecipeError::Read { path: path.to_owned(), source })?;
        self.values.append(&mut Changes::from_toml(&text, path)?.values);
        Ok(())
    }

    /// Asks for one key: `key=value`, the value as TOML writes it or a bare word.
    ///
    /// # Errors
    /// Not `key=value`, an unknown key, a value of the wrong kind or out of range.
    pub fn set(&mut self, setting: &str) -> Result<(), RecipeError> {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| RecipeError::NotASetting { text: setting.to_owned() })?;
        self.set_key(key.trim(), value.trim())
    }

    /// Asks for one key, as [`Changes::set`].
    ///
    /// # Errors
    /// An unknown key, a value of the wrong kind or out of range.
    pub fn set_key(&mut self, key: &str, value: &str) -> Result<(), RecipeError> {
        let known = KEYS.iter().find(|k| k.name == key).ok_or_else(|| unknown(key))?;
        // A bare word is a string (fit=squash); a number can be meant as one (weights=7), so the key decides.
        let text = toml::Value::String(value.to_owned());
        let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
        match parsed {
            Some(parsed) if Recipe::default().put(known.name, &parsed).is_ok() => self.insert(key, parsed),
            _ => self.insert(key, text),
        }
    }

    /// The keys asked for.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.values.keys().copied()
    }

    fn insert(&mut self, key: &str, value: toml::Value) -> Result<(), RecipeError> {
        let known = KEYS.iter().find(|k| k.name == key).ok_or_else(|| unknown(key))?;
        let mut trial = Recipe::default();
        trial.put(known.name, &value)?;
        if !in_range(&trial, known.name) {
            return Err(bad_value(key, value, known.allowed));
        }
        self.values.insert(known.name, value);
        Ok(())
    }

    /// The base with these keys laid over it, checked.
    ///
    /// # Errors
    /// As [`Recipe::validate`].
    pub fn apply(&self, mut base: Recipe) -> Result<Recipe, RecipeError> {
        for (key, value) in &self.values {
            base.put(key, value)?;
        }
        base.validate()?;
        Ok(base)
    }

    /// Refuses keys asked for with another value than a run has.
    ///
    /// # Errors
    /// [`RecipeError::Contradicts`] with each such key and both values.
    pub fn agree_with(&self, run: &Recipe) -> Result<(), RecipeError> {
        let mut asked = run.clone();
        for (key, value) in &self.values {
            asked.put(key, value)?;
        }
        let differences = run.differences(&asked);
        if differences.is_empty() { Ok(()) } else { Err(RecipeError::Contradicts { differences }) }
    }
}

impl From<&Recipe> for Changes {
    /// Every key of the recipe, asked for.
    fn from(recipe: &Recipe) -> Self {
        Changes { values: KEYS.iter().filter_map(|k| Some((k.name, recipe.value(k.name)?))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_survives_the_round_trip_and_has_its_comment() {
        let recipe = Recipe::default();
        let text = recipe.to_toml();
        assert!(text.contains("\nbatch_norm_momentum = 0.1\n"), "as it was written, not as a single float has it");
        assert_eq!(Recipe::from_toml(&text).unwrap(), recipe);
        for key in KEYS {
            let at = text.find(&format!("\n{} = ", key.name)).unwrap_or_else(|| panic!("{} is not written", key.name));
            assert!(text[..at].lines().next_back().unwrap().starts_with("# "), "{} has no comment", key.name);
        }
    }

    #[test]
    fn settings_take_bare_words_numbers_and_toml() {
        let mut recipe = Recipe::default();
        for setting in ["fit=squash", "lr=1e-5", "dropout=0.5", "weight_decay=1", "weights=\"a b.pth\"", "strict=true"]
        {
            recipe.set(setting).unwrap();
        }
        assert_eq!((recipe.fit, recipe.lr, recipe.dropout), (Fit::Squash, 1e-5, 0.5));
        assert_eq!((recipe.weight_decay, recipe.weights.as_str(), recipe.strict), (1.0, "a b.pth", true));
        recipe.set(r"patient=^(p\d+)_").unwrap();
        assert_eq!(recipe.patient, r"^(p\d+)_");
        recipe.set("weights=7").unwrap();
        assert_eq!(recipe.weights, "7");
        assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
    }

    #[test]
    fn refusals_name_the_key_the_value_and_what_would_do() {
        let mut recipe = Recipe::default();
        let says = |recipe: &mut Recipe, setting: &str| recipe.set(setting).unwrap_err().to_string();
        assert_eq!(says(&mut recipe, "fit=stretch"), "fit = \"stretch\": must be crop, pad or squash");
        assert_eq!(says(&mut recipe, "batch_size=0"), "batch_size = 0: must be a number from 1 to 65536");
        assert_eq!(says(&mut recipe, "batch_size=-3"), "batch_size = \"-3\": must be a number from 1 to 65536");
        assert_eq!(says(&mut recipe, "lr=nan"), "lr = nan: must be a number above 0");
        assert!(says(&mut recipe, "batchsize=3").contains("did you mean batch_size"));
        assert!(says(&mut recipe, "qqqqqqqq=3").contains("its keys are architecture, weights"));
        assert_eq!(says(&mut recipe, "fit"), "\"fit\" is not KEY=VALUE, such as fit=squash");
        let syntax = Recipe::from_toml("seed = 1\nseed = 2\n").unwrap_err().to_string();
        assert_eq!(syntax, "the recipe is not a recipe: line 2: duplicate key");
        assert!(Recipe::from_toml("learning_rate = 3").unwrap_err().to_string().contains("learning_rate"));
        assert!(says(&mut recipe, "frozen_epochs=0").contains("nothing would be trained"));
        assert_eq!(recipe, Recipe::default());
    }

    #[test]
    fn resume_refuses_only_what_contradicts() {
        let run = Recipe { seed: 7, ..Recipe::default() };
        let mut asked = Changes::default();
        asked.set("seed=7").unwrap();
        asked.agree_with(&run).unwrap();
        asked.set("fit=pad").unwrap();
        let error = asked.agree_with(&run).unwrap_err().to_string();
        assert!(error.contains("fit is \"crop\" there and \"pad\" was asked for"), "{error}");
        Changes::from(&run).agree_with(&run).unwrap();
    }
}
