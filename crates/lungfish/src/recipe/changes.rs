//! The keys that somebody asked for, before they are laid over a base.

use std::collections::BTreeMap;
use std::path::Path;

use super::keys::{COLUMNS, PRESET};
use super::{LearningRate, Recipe, RecipeError, allowed, bad_value, text};

/// Keys that a whole recipe of an older version has all of, and no other.
const OLDER: [&str; 3] = ["rotation", "flip", "batch_size"];

/// The keys that somebody asked for, with their values: a recipe file, `--set`, flags; later ones win.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    values: BTreeMap<String, toml::Value>,
}

/// Keys that a whole recipe of any version has all of; somebody's own few keys are hardly these.
const WHOLE: [&str; 4] = ["architecture", "strict", "cache_features", "checkpoint_seconds"];

/// Keys that a training settles as it begins, with what leaves them to it: that contradicts no run.
const LEFT_OPEN: [(&str, &str); 2] = [("precision", "\"auto\""), ("sample_bits", "0")];

/// Keys that have a part in the second phase only; what they are by default asks for nothing.
const OF_SECOND_PHASE: [&str; 6] = ["unfreeze", "mixup", "cutmix", "ema_decay", "swa_epochs", "teacher"];

/// The name by which a recipe knows a key.
fn name_of(key: &str) -> &str {
    match key {
        "lr.default" => "lr",
        "augment.preset" => PRESET,
        // Names of older versions.
        "rotation" => "augment.rotation",
        "flip" => "augment.flip",
        key => key,
    }
}

impl Changes {
    pub(super) fn from_toml(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let table = text::table(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            RecipeError::Syntax { path: path.to_owned(), reason: format!("line {line}: {}", e.message()) }
        })?;
        let mut changes = Changes::default();
        if OLDER.iter().all(|key| table.contains_key(*key)) {
            changes = Changes::of_older_versions()?;
        }
        // It was written where there was no other precision.
        if WHOLE.iter().all(|key| table.contains_key(*key)) && !table.contains_key("precision") {
            changes.set("precision=fp32")?;
        }
        for (key, value) in table {
            changes.insert(&key, value)?;
        }
        Ok(changes)
    }

    /// What recipes of older versions meant without saying it: they could not be asked for anything else.
    fn of_older_versions() -> Result<Self, RecipeError> {
        let mut changes = Changes::default();
        for setting in ["augment=notebook", "val_views=0", "prior=none", "best=accuracy", "sizes=full"] {
            changes.set(setting)?;
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
        // A bare word is a string (fit=squash); a number can be meant as one (weights=7), so the key decides.
        let key = name_of(key);
        let text = toml::Value::String(value.to_owned());
        let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
        match parsed {
            Some(parsed) if parsed.is_table() || Recipe::default().put(key, &parsed).is_ok() => {
                self.insert(key, parsed)
            }
            _ => self.insert(key, text),
        }
    }

    /// The keys asked for.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Of the keys asked for, those of a list.
    pub(crate) fn only(&self, keys: &[&str]) -> Changes {
        let values = self.values.iter().filter(|(key, _)| keys.contains(&key.as_str()));
        Changes { values: values.map(|(key, value)| (key.clone(), value.clone())).collect() }
    }

    fn insert(&mut self, key: &str, value: toml::Value) -> Result<(), RecipeError> {
        let (key, value) = match (key, value) {
            // `lr.default` and `lr.PART`, or `lr = { default = ..., PART = ... }`: TOML has them as one table.
            ("lr", toml::Value::Table(rates)) => {
                return rates.into_iter().try_for_each(|(part, rate)| self.insert(&format!("lr.{part}"), rate));
            }
            // The same of `augment.preset` and `augment.FIELD`.
            (PRESET, toml::Value::Table(fields)) => {
                return fields
                    .into_iter()
                    .try_for_each(|(field, value)| self.insert(&format!("augment.{field}"), value));
            }
            (COLUMNS, toml::Value::Table(columns)) => {
                return columns
                    .into_iter()
                    .try_for_each(|(column, name)| self.insert(&format!("columns.{column}"), name));
            }
            (key, value) => (name_of(key), value),
        };
        let mut trial = Recipe::default();
        trial.put(key, &value)?;
        if !trial.in_range(key) {
            return Err(bad_value(key, value, allowed(key)));
        }
        self.values.insert(key.to_owned(), value);
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

    /// Refuses keys of the second phase, asked for where the recipe has none: they would do nothing.
    ///
    /// # Errors
    /// [`RecipeError::BadValue`] with the first of them.
    pub(crate) fn refuse_idle(&self, recipe: &Recipe) -> Result<(), RecipeError> {
        let set = |key: &&str| recipe.value(key) != Recipe::default().value(key);
        let range_test = Some("lr").filter(|_| recipe.lr == LearningRate::Auto);
        let mut idle = OF_SECOND_PHASE.into_iter().filter(set).chain(range_test);
        match idle.find(|key| self.values.contains_key(*key)) {
            Some(key) if recipe.epochs == 0 => {
                let why =
                    format!("above 0 where {key} = {}: it has a part in the second phase only", recipe.shown(key));
                Err(bad_value("epochs", 0, why))
            }
            _ => Ok(()),
        }
    }

    /// Refuses keys asked for with another value than a run has; not those that leave a key to the training.
    ///
    /// # Errors
    /// [`RecipeError::Contradicts`] with each such key and both values.
    pub fn agree_with(&self, run: &Recipe) -> Result<(), RecipeError> {
        let mut asked = run.clone();
        let settled = |(key, value): &(&String, &toml::Value)| !LEFT_OPEN.contains(&(key.as_str(), &value.to_string()));
        for (key, value) in self.values.iter().filter(settled) {
            asked.put(key, value)?;
        }
        let differences = run.differences(&asked);
        if differences.is_empty() { Ok(()) } else { Err(RecipeError::Contradicts { differences }) }
    }
}

impl From<&Recipe> for Changes {
    /// Every key of the recipe, asked for.
    fn from(recipe: &Recipe) -> Self {
        Changes { values: recipe.keys().filter_map(|key| recipe.value(&key).map(|value| (key, value))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrecisionRule;

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

    #[test]
    fn what_is_left_to_a_training_agrees_with_what_it_settled() {
        let run = Recipe { precision: PrecisionRule::Bf16, sample_bits: 12, ..Recipe::default() };
        Changes::from(&Recipe::default()).agree_with(&run).unwrap();
        let asked = |setting: &str| {
            let mut asked = Changes::default();
            asked.set(setting).unwrap();
            asked.agree_with(&run).map_err(|error| error.to_string())
        };
        assert!(
            asked("precision=fp32").unwrap_err().contains("precision is \"bf16\" there and \"fp32\" was asked for")
        );
        assert!(asked("sample_bits=16").unwrap_err().contains("sample_bits is 12 there and 16 was asked for"));
        asked("precision=bf16").unwrap();
    }

    #[test]
    fn keys_that_would_do_nothing_are_refused() {
        let refused = |settings: &[&str]| {
            let mut asked = Changes::default();
            settings.iter().for_each(|setting| asked.set(setting).unwrap());
            let recipe = asked.apply(Recipe::default()).unwrap();
            asked.refuse_idle(&recipe).map_err(|error| error.to_string())
        };
        assert_eq!(
            refused(&["mixup=0.2"]).unwrap_err(),
            "epochs = 0: must be above 0 where mixup = 0.2: it has a part in the second phase only"
        );
        for key in ["unfreeze=stage7", "cutmix=1", "ema_decay=0.99", "swa_epochs=1", "teacher=run", "lr=auto"] {
            assert!(refused(&[key]).is_err(), "{key}");
            refused(&[key, "epochs=1"]).unwrap();
        }
        refused(&["unfreeze=all", "mixup=0", "cutmix=0.0", "ema_decay=0", "swa_epochs=0", "teacher=none", "lr=1"])
            .unwrap();
    }

    #[test]
    fn resume_compares_the_rates_of_parts_as_they_are_used() {
        let mut run = Recipe::default();
        run.set("lr.layer4=1e-5").unwrap();
        Changes::from(&run).agree_with(&run).unwrap();
        let asked = |settings: &[&str]| {
            let mut asked = Changes::default();
            settings.iter().for_each(|setting| asked.set(setting).unwrap());
            asked.agree_with(&run).map_err(|error| error.to_string())
        };
        asked(&["lr=5e-4", "lr.layer4=1e-5", "lr.layer3=5e-4"]).unwrap();
        let error = asked(&["lr.layer4=2e-5"]).unwrap_err();
        assert!(error.contains("lr.layer4 is 0.00001 there and 0.00002 was asked for"), "{error}");
        let error = asked(&["lr.layer3=2e-5"]).unwrap_err();
        assert!(error.contains("lr.layer3 is 0.0005 there and 0.00002 was asked for"), "{error}");
    }
}
