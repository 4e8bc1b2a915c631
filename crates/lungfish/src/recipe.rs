//! The recipe: everything that decides what a training gives, in one flat struct, TOML on disk.
//!
//! [`Recipe`] is a set of final values; [`Changes`] are the keys that somebody asked for (a recipe
//! file, `--set`, flags) before they are laid over a base. The two are kept apart because resuming
//! must tell "asked for another value" from "said nothing".

mod changes;
mod choices;
mod error;
mod keys;
mod text;

use std::path::Path;

pub use changes::Changes;
pub use choices::{Best, ClassWeights, LearningRate, Optimizer, PriorRule, Sampling, Schedule};
pub use error::{Difference, RecipeError};
pub use keys::{KEYS, Key, Recipe};
use keys::{allowed, bad_value};
use lungfish_data::{Decoding, Mixing, Preprocess};

/// Words that `sizes` takes.
const AUTO: &str = "auto";
const FULL: &str = "full";
/// Fewer epochs than these have none to spare for small images.
const LEAST_FOR_AUTO: usize = 6;

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
            if !self.in_range(&key) {
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
        if let Some(last) = Self::sides(&self.sizes).unwrap_or_default().last().filter(|last| **last != self.image_size)
        {
            let allowed = format!("{last}, the last of sizes = \"{}\"", self.sizes);
            return Err(bad_value("image_size", self.image_size, allowed));
        }
        if self.best == Best::Robust && self.val_views == 0 {
            let allowed = "accuracy or auc where val_views is 0: there are no augmented views to validate on";
            return Err(bad_value("best", "\"robust\"", allowed));
        }
        if self.ema_decay > 0.0 && self.swa_epochs > 0 {
            let allowed = "0 where ema_decay is above 0: weights are averaged in one way or the other";
            return Err(bad_value("swa_epochs", self.swa_epochs, allowed));
        }
        if self.sampling == Sampling::Balanced && self.class_weights == ClassWeights::Balanced {
            let allowed = "none where sampling is balanced: rare classes would be made up for twice";
            return Err(bad_value("class_weights", "\"balanced\"", allowed));
        }
        Ok(())
    }

    /// How the films of a step are mixed.
    pub(crate) fn mixing(&self) -> Mixing {
        Mixing { mixup: self.mixup, cutmix: self.cutmix }
    }

    /// Whether what is validated and kept of an epoch (from 1) of the second phase is an average of weights.
    pub(crate) fn averages(&self, epoch: usize) -> bool {
        self.ema_decay > 0.0 && epoch > 0 || epoch > self.epochs.saturating_sub(self.swa_epochs)
    }

    /// What the average of the weights moves by towards those after a step of the second phase, counted from 1 in an epoch
    /// (from 1) of `steps`: the share of what lies between them. The first share is 1, whatever stood there.
    pub(crate) fn average_share(&self, epoch: usize, step: usize, steps: usize) -> f64 {
        if self.ema_decay > 0.0 {
            let taken = (epoch.saturating_sub(1) * steps + step) as f64;
            return (1.0 - self.ema_decay) / (1.0 - self.ema_decay.powf(taken));
        }
        let before = self.epochs.saturating_sub(self.swa_epochs);
        if step == steps && epoch > before { 1.0 / (epoch - before) as f64 } else { 0.0 }
    }

    /// What is done to every film before the network sees it.
    pub fn preprocess(&self) -> Preprocess {
        let normalization = self.architecture.normalization();
        Preprocess {
            channels: self.channels,
            fit: self.fit,
            size: self.image_size,
            equalize: self.equalize,
            decoding: Decoding {
                sample_bits: Some(self.sample_bits).filter(|bits| *bits > 0),
                dicom_view: self.dicom_view,
                exif: self.exif,
            },
            mean: normalization.mean,
            std: normalization.std,
        }
    }

    /// The seed of what differs between members: the order of films, augmentation, dropout and fresh weights. The split has
    /// [`Recipe::seed`].
    pub(crate) fn training_seed(&self) -> u64 {
        // An odd constant spreads members over all seeds (Knuth's multiplicative hash, 64 bits).
        self.seed ^ (self.member as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Side of the image in an epoch (from 1) of the second phase; that of the first epoch in epoch 0, which trains nothing.
    pub fn side_of_epoch(&self, epoch: usize) -> usize {
        let done = epoch.saturating_sub(1);
        if self.sizes == AUTO {
            return if self.epochs >= LEAST_FOR_AUTO && done < self.epochs * 3 / 4 {
                Self::small_side(self.image_size)
            } else {
                self.image_size
            };
        }
        let sides = Self::sides(&self.sizes).unwrap_or_default();
        sides.get(done * sides.len() / self.epochs.max(1)).copied().unwrap_or(self.image_size)
    }

    /// About 5/7 of a side, a multiple of 32: half the pixels.
    pub(crate) fn small_side(side: usize) -> usize {
        ((side * 5 / 7 + 16) / 32 * 32).max(32)
    }

    /// The largest side of the image in any epoch.
    pub fn largest_side(&self) -> usize {
        Self::sides(&self.sizes).unwrap_or_default().into_iter().max().unwrap_or(0).max(self.image_size)
    }

    /// The sides in a value of `sizes`, none where it is a word; `None` where it is no such value.
    fn sides(sizes: &str) -> Option<Vec<usize>> {
        if sizes == AUTO || sizes == FULL {
            return Some(Vec::new());
        }
        let side = |text: &str| text.trim().parse().ok().filter(|side| Recipe::IMAGE_SIZE.contains(side));
        sizes.split(',').map(side).collect()
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
    pub fn lr_of(&self, part: &str) -> LearningRate {
        self.part_lr.get(part).copied().map_or(self.lr, LearningRate::At)
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
    use lungfish_data::{Augment, Fit};

    use super::*;
    use crate::PrecisionRule;

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
        assert_eq!((recipe.fit, recipe.lr, recipe.dropout), (Fit::Squash, LearningRate::At(1e-5), 0.5));
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
        let rates = |recipe: &Recipe, other: &str| [recipe.lr, recipe.lr_of("layer4"), recipe.lr_of(other)];
        assert_eq!(rates(&recipe, "layer3"), [5e-4, 1e-5, 5e-4].map(LearningRate::At));
        recipe.set("lr.head=0.01").unwrap();
        recipe.set("lr=0.002").unwrap();
        assert_eq!(rates(&recipe, "head"), [2e-3, 1e-5, 1e-2].map(LearningRate::At));
        let text = recipe.to_toml();
        assert!(text.contains("\nlr.default = 0.002\nlr.head = 0.01\nlr.layer4 = 0.00001\n"), "{text}");
        let toml: toml::Table = text.parse().unwrap();
        assert!(toml["lr"].is_table());
        assert_eq!(Recipe::from_toml(&text).unwrap(), recipe);

        // What `lungfish recipe` prints, with a line added.
        let added = Recipe::default().to_toml().replace("\nlr = 0.0005\n", "\nlr = 0.0003\nlr.layer4 = 1e-5\n");
        let added = Recipe::from_toml(&added).unwrap();
        assert_eq!(rates(&added, "layer4"), [3e-4, 1e-5, 1e-5].map(LearningRate::At));
        for setting in ["lr={default=0.002, head=0.01, layer4=1e-5}", "lr.default=0.002"] {
            recipe.set(setting).unwrap();
            assert_eq!(recipe.to_toml(), text);
        }
        let says = |setting: &str| Recipe::default().set(setting).unwrap_err().to_string();
        assert_eq!(says("lr.layer4=0"), "lr.layer4 = 0: must be a number above 0");
        assert_eq!(says("lr.layer4=auto"), "lr.layer4 = \"auto\": must be a number above 0");
        recipe.set("lr=auto").unwrap();
        assert_eq!((recipe.lr, recipe.lr_of("layer4")), (LearningRate::Auto, LearningRate::At(1e-5)));
        assert!(recipe.to_toml().contains("\nlr.default = \"auto\"\nlr.head = 0.01\n"));
        assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
        assert_eq!(says("lr.layer4=fast"), "lr.layer4 = \"fast\": must be a number above 0");
        assert!(says("lr.=1").contains("no key \"lr.\"") && says("lr.a b=1").contains("no key \"lr.a b\""));
        assert!(says("seed.x=1").contains("no key \"seed.x\""));
        assert_eq!(says("lr={layer4={x=1}}"), "lr.layer4 = { x = 1 }: must be a number above 0");
    }

    #[test]
    fn a_recipe_of_an_older_version_still_opens() {
        let new = [
            "pct_start",
            "div_factor",
            "final_div_factor",
            "equalize",
            "augment.clahe",
            "augment.clahe_p",
            "augment.equalize_p",
            "augment.jpeg",
            "augment.jpeg_p",
        ];
        let text = Recipe::default().to_toml();
        let old: String = text
            .lines()
            .filter(|l| !new.iter().any(|key| l.starts_with(&format!("{key} = "))))
            .map(|l| format!("{l}\n"))
            .collect();
        assert_eq!(text.lines().count(), old.lines().count() + new.len());
        assert_eq!(Recipe::from_toml(&old).unwrap(), Recipe::default());
    }

    #[test]
    fn whole_recipes_of_older_versions_mean_what_they_meant() {
        let old = "rotation = 20.0\nflip = 0.5\nbatch_size = 32\n";
        let recipe = Recipe::from_toml(old).unwrap();
        assert_eq!((recipe.augment, recipe.val_views), (Augment::NOTEBOOK, 0));
        assert_eq!((recipe.prior, recipe.best, recipe.sizes.as_str()), (PriorRule::None, Best::Accuracy, "full"));
        let recipe = Recipe::from_toml(&old.replace("20.0", "10.0")).unwrap();
        assert_eq!(recipe.augment, Augment { rotation: 10.0, ..Augment::NOTEBOOK });
        assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
        // Whole, and of a version that knew one precision.
        let whole = Recipe::default().to_toml();
        assert_eq!(Recipe::from_toml(&whole).unwrap().precision, PrecisionRule::Auto);
        let older = whole.replace("\nprecision = \"auto\"\n", "\n");
        assert_eq!(Recipe::from_toml(&older).unwrap(), Recipe { precision: PrecisionRule::Fp32, ..Recipe::default() });
        // Somebody's own few keys are laid over today's defaults.
        let recipe = Recipe::from_toml("rotation = 10").unwrap();
        assert_eq!(recipe.precision, PrecisionRule::Auto);
        assert_eq!((recipe.augment, recipe.best), (Augment { rotation: 10.0, ..Augment::ROBUST }, Best::Robust));
    }

    #[test]
    fn presets_come_before_single_keys() {
        let mut recipe = Recipe::default();
        let mut changes = Changes::default();
        changes.set("augment.noise=9").unwrap();
        changes.set("augment=notebook").unwrap();
        recipe = changes.apply(recipe).unwrap();
        assert_eq!(recipe.augment, Augment { noise: 9.0, ..Augment::NOTEBOOK });
        assert!(recipe.to_toml().contains("# Augmentation, no preset;"));
        assert!(Recipe::default().to_toml().contains("# Augmentation, the preset robust;"));
        let from = Recipe::from_toml("augment.preset = \"strong\"\naugment.flip = 0").unwrap();
        assert_eq!(from.augment, Augment { flip: 0.0, ..Augment::STRONG });
        assert_eq!(Recipe::from_toml("augment = \"none\"").unwrap().augment, Augment::NONE);
        let says = |setting: &str| Recipe::default().set(setting).unwrap_err().to_string();
        assert_eq!(says("augment=wild"), "augment = \"wild\": must be none, notebook, robust or strong");
        assert!(says("augment.zoom=[1.1, 0.7]").contains("the smaller first"));
        assert!(says("augment.downsample=0.5").contains("0 or a number from 1 to 32"));
        assert!(says("augment.rotate=5").contains("augment.rotation"));
        assert!(says("val_views=0").contains("accuracy or auc where val_views is 0"));
    }

    #[test]
    fn averages_of_weights_are_weighted_means() {
        // The shares applied to a sequence of numbers, against the mean that they stand for.
        let mean = |recipe: &Recipe, steps: usize, weight: &dyn Fn(usize, usize) -> f64| {
            let (mut average, mut sum, mut weights) = (1e9, 0.0, 0.0);
            for (epoch, step) in (1..=recipe.epochs).flat_map(|epoch| (1..=steps).map(move |step| (epoch, step))) {
                let now = (epoch * 10 + step) as f64;
                average += recipe.average_share(epoch, step, steps) * (now - average);
                sum += weight(epoch, step) * now;
                weights += weight(epoch, step);
            }
            assert!((average - sum / weights).abs() < 1e-6, "{average} {}", sum / weights);
        };
        let ema = Recipe { epochs: 5, ema_decay: 0.9, ..Recipe::default() };
        mean(&ema, 3, &|epoch, step| 0.9_f64.powi(-(((epoch - 1) * 3 + step) as i32)));
        assert!(!ema.averages(0) && (1..=5).all(|epoch| ema.averages(epoch)));
        let swa = Recipe { epochs: 5, swa_epochs: 2, ..Recipe::default() };
        mean(&swa, 3, &|epoch, step| f64::from(u8::from(epoch > 3 && step == 3)));
        assert_eq!(
            (0..=5).map(|epoch| swa.averages(epoch)).collect::<Vec<_>>(),
            [false, false, false, false, true, true]
        );
        assert!((0..=5).all(|epoch| !Recipe { epochs: 5, ..Recipe::default() }.averages(epoch)));
        let mut recipe = swa;
        assert!(recipe.set("ema_decay=0.9").unwrap_err().to_string().contains("0 where ema_decay is above 0"));
        recipe.set("class_weights=balanced").unwrap();
        assert!(recipe.set("sampling=balanced").unwrap_err().to_string().contains("made up for twice"));
    }

    #[test]
    fn sizes_share_the_epochs() {
        let mut recipe = Recipe::default();
        recipe.set("epochs=7").unwrap();
        recipe.set("sizes=160,224").unwrap();
        let sides: Vec<usize> = (0..=7).map(|epoch| recipe.side_of_epoch(epoch)).collect();
        assert_eq!(sides, [160, 160, 160, 160, 160, 224, 224, 224]);
        let error = recipe.set("image_size=256").unwrap_err().to_string();
        assert_eq!(error, "image_size = 256: must be 224, the last of sizes = \"160,224\"");
        recipe.set("sizes=full").unwrap();
        assert_eq!((recipe.side_of_epoch(1), recipe.largest_side()), (224, 224));
        recipe.set("sizes=auto").unwrap();
        let sides = |recipe: &Recipe| (0..=recipe.epochs).map(|epoch| recipe.side_of_epoch(epoch)).collect::<Vec<_>>();
        recipe.set("epochs=8").unwrap();
        assert_eq!(sides(&recipe), [160, 160, 160, 160, 160, 160, 160, 224, 224]);
        recipe.set("epochs=6").unwrap();
        assert_eq!(sides(&recipe), [160, 160, 160, 160, 160, 224, 224]);
        recipe.set("epochs=5").unwrap();
        assert_eq!(sides(&recipe), [224; 6]);
        recipe.set("image_size=32").unwrap();
        assert_eq!(sides(&Recipe { epochs: 6, ..recipe }), [32; 7]);
    }

    #[test]
    fn refusals_name_the_key_the_value_and_what_would_do() {
        let mut recipe = Recipe::default();
        let says = |recipe: &mut Recipe, setting: &str| recipe.set(setting).unwrap_err().to_string();
        assert_eq!(says(&mut recipe, "fit=stretch"), "fit = \"stretch\": must be crop, pad or squash");
        assert_eq!(says(&mut recipe, "batch_size=0"), "batch_size = 0: must be a number from 1 to 65536");
        assert_eq!(says(&mut recipe, "batch_size=-3"), "batch_size = \"-3\": must be a number from 1 to 65536");
        assert_eq!(says(&mut recipe, "lr=nan"), "lr = nan: must be a number above 0, or auto");
        assert_eq!(says(&mut recipe, "lr=fast"), "lr = \"fast\": must be a number above 0, or auto");
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
    fn every_range_holds_at_its_ends() {
        // What is taken, what is refused.
        let cases: [(&str, &[&str], &[&str]); 17] = [
            ("sizes", &["auto", "full", "224", "32,224", "160, 192,224"], &["31", "a", ",", "160,224,2049"]),
            ("weights", &["none"], &["\"\""]),
            ("hidden", &["1", "65536"], &["0", "65537"]),
            ("dropout", &["0", "0.5"], &["1", "0.9999999999", "nan"]),
            ("batch_norm_momentum", &["0", "1"], &["1.1", "nan"]),
            ("image_size", &["32", "2048"], &["31", "2049"]),
            ("augment.rotation", &["0", "180"], &["181", "inf"]),
            ("patient", &["^(a)"], &["("]),
            ("val_fraction", &["0.01", "0.5"], &["0", "0.51"]),
            ("test_fraction", &["0", "0.5"], &["0.51"]),
            ("seed", &["0", "9223372036854775807"], &["9223372036854775808"]),
            ("frozen_views", &["0", "1024"], &["1025"]),
            ("step_size", &["1"], &["0"]),
            ("lr", &["1e-30", "5", "auto"], &["0", "inf", "nan"]),
            ("gamma", &["0.1", "1"], &["0", "1.01", "nan"]),
            ("div_factor", &["1", "1e9"], &["0.99", "inf"]),
            ("clip_norm", &["0", "3"], &["inf", "nan"]),
        ];
        for (key, taken, refused) in cases {
            for value in taken {
                Recipe::default().set(&format!("{key}={value}")).unwrap_or_else(|e| panic!("{key}={value}: {e}"));
            }
            for value in refused {
                let said = Recipe::default().set(&format!("{key}={value}")).unwrap_err().to_string();
                assert!(said.starts_with(&format!("{key} = ")) && said.ends_with(allowed(key)), "{said}");
            }
        }
        // No number may be negative; a key that forgot its rule would let one through.
        for key in
            KEYS.iter().filter(|key| Recipe::default().value(key.name).is_some_and(|v| !v.is_str() && !v.is_bool()))
        {
            let said = Recipe::default().set(&format!("{}=-1", key.name)).unwrap_err().to_string();
            assert!(said.ends_with(&format!("must be {}", key.allowed)), "{said}");
        }
        assert_eq!((allowed("hidden"), allowed("gamma")), ("a number from 1 to 65536", "a number above 0 and up to 1"));
        assert_eq!((Recipe::BATCH_SIZE, Recipe::IMAGE_SIZE), (1..=65536, 32..=2048));
    }
}
