//! A recipe as text: TOML with a comment a key.

use super::keys::PRESETS;
use super::{KEYS, Recipe};

/// The first of the keys that a preset sets.
const FIRST_OF_AUGMENT: &str = "augment.rotation";

/// Every key with the comment that says what it means.
pub(super) fn write(recipe: &Recipe) -> String {
    let mut text = String::from("# A lungfish recipe: everything that decides what a training gives.\n");
    for key in KEYS {
        let about = key.about.trim();
        if key.name == FIRST_OF_AUGMENT {
            let preset =
                recipe.augment.name().map_or_else(|| "no preset".to_owned(), |name| format!("the preset {name}"));
            text.push_str(&format!(
                "\n# Augmentation, {preset}; augment.preset = \"NAME\" sets all of it ({PRESETS}).\n"
            ));
        }
        text.push_str(&format!("\n# {about} ({})\n", key.allowed));
        // TOML has no table that is a number too.
        let name = if key.name == "lr" && !recipe.part_lr.is_empty() { "lr.default" } else { key.name };
        text.push_str(&format!("{name} = {}\n", recipe.shown(key.name)));
        if key.name == "lr" {
            for part in recipe.part_lr.keys() {
                let key = format!("lr.{part}");
                text.push_str(&format!("{key} = {}\n", recipe.shown(&key)));
            }
        }
    }
    text
}

/// Reads TOML. A line `lr = X` beside lines `lr.PART = X`, which TOML refuses, is taken for `lr.default = X`.
pub(super) fn table(text: &str) -> Result<toml::Table, toml::de::Error> {
    text.parse().or_else(|error| {
        let renamed = |line: &str| match line.trim_start().strip_prefix("lr") {
            Some(rest) if rest.trim_start().starts_with('=') => format!("lr.default{rest}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(renamed).collect::<String>().parse().map_err(|_| error)
    })
}
