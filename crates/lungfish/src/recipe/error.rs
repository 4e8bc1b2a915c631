//! What can be wrong with a recipe.

use std::path::PathBuf;

use lungfish_models::names::did_you_mean;

use super::KEYS;

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
    #[error("{} is not a recipe: {}", lungfish_data::display::escape(path), lungfish_data::display::escape(reason))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What TOML says, with the line.
        reason: String,
    },
    /// A setting that is not `key=value`.
    #[error("\"{}\" is not KEY=VALUE, such as fit=squash", lungfish_data::display::escape(text))]
    NotASetting {
        /// What was given.
        text: String,
    },
    /// A key that no recipe has.
    #[error("a recipe has no key \"{}\"{}", lungfish_data::display::escape(key), hint(key))]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A value of the wrong kind or outside its range.
    #[error("{} = {}: must be {allowed}", lungfish_data::display::escape(key), lungfish_data::display::escape(value))]
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

/// The names near a key that does not exist, or all there are.
fn hint(key: &str) -> String {
    let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let meant = did_you_mean(key, names.iter().copied());
    if meant.is_empty() { format!("; its keys are {}", names.join(", ")) } else { meant }
}
