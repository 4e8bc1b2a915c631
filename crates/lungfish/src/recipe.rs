//! The recipe: everything that decides what a training gives, in one flat struct, TOML on disk.
//!
//! [`Recipe`] is a set of final values; [`Changes`] are the keys that somebody asked for (a recipe
//! file, `--set`, flags) before they are laid over a base. The two are kept apart because resuming
//! must tell "asked for another value" from "said nothing".

mod changes;
mod choices;
mod error;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

pub use changes::Changes;
pub use choices::{Best, ClassWeights, Optimizer, Schedule};
pub use error::{Difference, RecipeError};
use lungfish_data::{Augment, Channels, Fit, PatientRule, Preprocess};
use lungfish_models::Architecture;

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
        #[derive(Clone, Debug, PartialEq)]
        pub struct Recipe {
            $($(#[doc = $doc])+ pub $key: $type,)+
            /// Learning rates of single parts in the second phase, instead of `lr`; their keys are `lr.PART`.
            pub part_lr: BTreeMap<String, f64>,
        }

        impl Default for Recipe {
            fn default() -> Self {
                Recipe { $($key: $default,)+ part_lr: BTreeMap::new() }
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
                match (key, part(key)) {
                    $((stringify!($key), _) => self.$key = convert(key, value, $allowed)?,)+
                    (_, Some(part)) => {
                        let rate = convert(key, value, allowed("lr"))?;
                        self.part_lr.insert(part.to_owned(), rate);
                    }
                    _ => return Err(unknown(key)),
                }
                Ok(())
            }

            /// One value, as TOML has it.
            fn value(&self, key: &str) -> Option<toml::Value> {
                match (key, part(key)) {
                    $((stringify!($key), _) => toml::Value::try_from(&self.$key).ok(),)+
                    (_, Some(part)) => Some(toml::Value::Float(self.lr_of(part))),
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
    /// Part of the films that becomes the validation split where the data has none or a tiny one.
    val_fraction: f64 = 0.10, "a number above 0 and up to 0.5";
    /// Part of the films that becomes the test split where the data has none; 0 is no test split.
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
    /// Keep the features of each view in memory; false computes them anew every epoch, to the same metrics.
    cache_features: bool = true, "true or false";
    /// Optimiser.
    optimizer: Optimizer = Optimizer::Adam, "adam or adamw";
    /// Weight decay, as torch.optim's Adam (L2) or AdamW (decoupled).
    weight_decay: f64 = 0.0, "a number from 0 up";
    /// Learning rate of the frozen phase.
    frozen_lr: f64 = 1e-3, "a number above 0";
    /// Schedule of the frozen phase's learning rate: moved on each epoch, one-cycle each step.
    frozen_schedule: Schedule = Schedule::Cosine, "constant, step, cosine or one-cycle";
    /// Frozen phase, step schedule: epochs between two steps.
    frozen_step_size: usize = 7, "a number of epochs above 0";
    /// Frozen phase, step schedule: factor of a step.
    frozen_gamma: f64 = 0.1, "a number above 0 and up to 1";
    /// Learning rate of the second phase; a line such as lr.layer4 = 0.00001 gives a part its own.
    lr: f64 = 1e-4, "a number above 0";
    /// Schedule of the second phase's learning rates: moved on each epoch, one-cycle each step.
    schedule: Schedule = Schedule::Cosine, "constant, step, cosine or one-cycle";
    /// Second phase, step schedule: epochs between two steps.
    step_size: usize = 7, "a number of epochs above 0";
    /// Second phase, step schedule: factor of a step.
    gamma: f64 = 0.1, "a number above 0 and up to 1";
    /// One-cycle schedule, either phase: part of the steps in which the learning rate rises to its full value.
    pct_start: f64 = 0.3, "a number from 0 to 1";
    /// One-cycle schedule, either phase: the first learning rate is the full one divided by this.
    div_factor: f64 = 25.0, "a number from 1 up";
    /// One-cycle schedule, either phase: the last learning rate is the first one divided by this.
    final_div_factor: f64 = 1e4, "a number from 1 up";
    /// Weight of each class in the loss: none, or balanced (films / (classes * films of the class)).
    class_weights: ClassWeights = ClassWeights::None, "none or balanced";
    /// Label smoothing, as torch's CrossEntropyLoss.
    label_smoothing: f64 = 0.0, "a number from 0 to below 1";
    /// Largest global norm of a step's gradient; 0 is no clipping.
    clip_norm: f64 = 0.0, "0 or a number above 0";
    /// Stop a phase after so many epochs without a better validation metric; 0 is never.
    early_stopping: usize = 0, "a number of epochs";
    /// The validation metric that decides which epoch is kept; among epochs alike in it within a standard error the AUC decides, then the loss.
    best: Best = Best::Accuracy, "accuracy or auc";
    /// Seconds between two checkpoints inside an epoch; 0 is at its end only.
    checkpoint_seconds: u64 = 300, "a number of seconds";
}

/// What a value must satisfy beyond its kind.
fn in_range(recipe: &Recipe, key: &str) -> bool {
    let rate = |f: f64| f.is_finite() && f > 0.0;
    let divisor = |f: f64| f.is_finite() && f >= 1.0;
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
        "pct_start" => (0.0..=1.0).contains(&recipe.pct_start),
        "div_factor" => divisor(recipe.div_factor),
        "final_div_factor" => divisor(recipe.final_div_factor),
        "label_smoothing" => (0.0..1.0).contains(&recipe.label_smoothing),
        "clip_norm" => recipe.clip_norm.is_finite() && recipe.clip_norm >= 0.0,
        "checkpoint_seconds" => i64::try_from(recipe.checkpoint_seconds).is_ok(),
        _ => part(key).is_none_or(|part| rate(recipe.lr_of(part))),
    }
}

/// The part of a key `lr.PART`.
fn part(key: &str) -> Option<&str> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    key.strip_prefix("lr.").filter(|part| !part.is_empty() && part.chars().all(bare))
}

/// Which values a key takes.
fn allowed(key: &str) -> &'static str {
    let name = if part(key).is_some() { "lr" } else { key };
    KEYS.iter().find(|key| key.name == name).map_or("", |key| key.allowed)
}

fn bad_value(key: &str, value: impl ToString, allowed: &str) -> RecipeError {
    RecipeError::Value { key: key.to_owned(), value: value.to_string(), allowed: allowed.to_owned() }
}

fn convert<T: DeserializeOwned>(key: &str, value: &toml::Value, allowed: &str) -> Result<T, RecipeError> {
    value.clone().try_into().map_err(|_| bad_value(key, value, allowed))
}

fn unknown(key: &str) -> RecipeError {
    RecipeError::UnknownKey { key: key.to_owned() }
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
        for key in self.keys() {
            if !in_range(self, &key) {
                return Err(bad_value(&key, self.shown(&key), allowed(&key)));
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

    /// What is done to every film before the network sees it.
    pub fn preprocess(&self) -> Preprocess {
        let normalization = self.architecture.normalization();
        Preprocess {
            channels: self.channels,
            fit: self.fit,
            size: self.image_size,
            mean: normalization.mean,
            std: normalization.std,
        }
    }

    /// How training films are altered by chance.
    pub fn augment(&self) -> Augment {
        Augment { rotation: self.rotation, flip: self.flip }
    }

    /// The recipe as TOML, every key with a comment line that says what it means.
    pub fn to_toml(&self) -> String {
        text::write(self)
    }

    /// The keys on which this recipe and another differ, with both values.
    pub fn differences(&self, other: &Recipe) -> Vec<Difference> {
        let mut keys: Vec<String> = self.keys().collect();
        keys.extend(other.keys().filter(|key| !keys.contains(key)).collect::<Vec<_>>());
        keys.retain(|key| self.value(key) != other.value(key));
        keys.into_iter().map(|key| Difference { ours: self.shown(&key), theirs: other.shown(&key), key }).collect()
    }

    /// Learning rate with which a part begins the second phase, or comes to in a one-cycle: its own, else `lr`.
    pub fn lr_of(&self, part: &str) -> f64 {
        self.part_lr.get(part).copied().unwrap_or(self.lr)
    }

    /// Every key, with those of the parts that have a learning rate of their own.
    fn keys(&self) -> impl Iterator<Item = String> {
        KEYS.iter().map(|key| key.name.to_owned()).chain(self.part_lr.keys().map(|part| format!("lr.{part}")))
    }

    /// One value as TOML writes it.
    fn shown(&self, key: &str) -> String {
        self.value(key).map_or_else(String::new, |v| v.to_string())
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
    fn a_part_has_a_key_for_its_learning_rate() {
        let mut recipe = Recipe::from_toml("lr.layer4 = 1e-5\nseed = 1").unwrap();
        assert_eq!((recipe.lr, recipe.lr_of("layer4"), recipe.lr_of("layer3")), (1e-4, 1e-5, 1e-4));
        recipe.set("lr.head=0.01").unwrap();
        recipe.set("lr=0.002").unwrap();
        assert_eq!((recipe.lr, recipe.lr_of("layer4"), recipe.lr_of("head")), (2e-3, 1e-5, 1e-2));
        let text = recipe.to_toml();
        assert!(text.contains("\nlr.default = 0.002\nlr.head = 0.01\nlr.layer4 = 0.00001\n"), "{text}");
        let toml: toml::Table = text.parse().unwrap();
        assert!(toml["lr"].is_table());
        assert_eq!(Recipe::from_toml(&text).unwrap(), recipe);

        // What `lungfish recipe` prints, with a line added.
        let added = Recipe::default().to_toml().replace("\nlr = 0.0001\n", "\nlr = 0.0003\nlr.layer4 = 1e-5\n");
        let added = Recipe::from_toml(&added).unwrap();
        assert_eq!((added.lr, added.lr_of("layer4")), (3e-4, 1e-5));
        for setting in ["lr={default=0.002, head=0.01, layer4=1e-5}", "lr.default=0.002"] {
            recipe.set(setting).unwrap();
            assert_eq!(recipe.to_toml(), text);
        }
        let says = |setting: &str| Recipe::default().set(setting).unwrap_err().to_string();
        assert_eq!(says("lr.layer4=0"), "lr.layer4 = 0: must be a number above 0");
        assert_eq!(says("lr.layer4=fast"), "lr.layer4 = \"fast\": must be a number above 0");
        assert!(says("lr.=1").contains("no key \"lr.\"") && says("lr.a b=1").contains("no key \"lr.a b\""));
        assert!(says("seed.x=1").contains("no key \"seed.x\""));
        assert_eq!(says("lr={layer4={x=1}}"), "lr.layer4 = { x = 1 }: must be a number above 0");
    }

    #[test]
    fn a_recipe_of_an_older_version_still_opens() {
        let new = ["pct_start", "div_factor", "final_div_factor"];
        let text = Recipe::default().to_toml();
        let old: String =
            text.lines().filter(|l| !new.iter().any(|key| l.starts_with(key))).map(|l| format!("{l}\n")).collect();
        assert_eq!(text.lines().count(), old.lines().count() + new.len());
        assert_eq!(Recipe::from_toml(&old).unwrap(), Recipe::default());
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
}
