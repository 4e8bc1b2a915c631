//! Damaged recipes: a recipe in its ranges, or a sentence.

#[path = "../../data/tests/common/damage.rs"]
mod damage;

use damage::try_with;
use lungfish::{Changes, Recipe};

/// A recipe as it is kept in a run, and one as a person writes it.
fn texts() -> Vec<Vec<u8>> {
    let written = "# mine\nfit = \"squash\"\nseed = 0x2a\nepochs = 3\n[lr]\ndefault = 1e-3\nhead = 0.01\n";
    vec![Recipe::default().to_toml().into_bytes(), written.as_bytes().to_vec()]
}

/// What was read is in its ranges and is written as a recipe that reads the same.
fn check(recipe: &Recipe) {
    recipe.validate().expect("what is read has been checked");
    let again = Recipe::from_toml(&recipe.to_toml()).expect("what is written is read");
    assert_eq!(again.to_toml(), recipe.to_toml());
}

#[test]
fn recipe_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recipe.toml");
    for text in texts() {
        check(&Recipe::from_toml(std::str::from_utf8(&text).unwrap()).unwrap());
    }
    let (read, refused) = try_with("recipe.toml", 1000, &texts(), |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let recipe = Recipe::read(&path).map_err(|error| error.to_string())?;
        check(&recipe);
        Ok(())
    });
    assert!(damage::cases(1000) < 50 || read > 0 && refused > 0, "{read} read, {refused} refused");
}

#[test]
fn settings_of_a_command_line() {
    let settings = ["epochs=3", "lr.head=1e-3", "fit=squash", "seed=7", "lr={ default = 0.1, head = 1 }"];
    let settings = settings.map(|setting| setting.as_bytes().to_vec());
    let (read, refused) = try_with("a setting", 2000, &settings, |bytes| {
        let mut changes = Changes::default();
        changes.set(&String::from_utf8_lossy(bytes)).map_err(|error| error.to_string())?;
        let recipe = changes.apply(Recipe::default()).map_err(|error| error.to_string())?;
        check(&recipe);
        Ok(())
    });
    assert!(damage::cases(2000) < 50 || read > 0 && refused > 0, "{read} read, {refused} refused");
}
