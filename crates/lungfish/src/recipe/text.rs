//! A recipe as text: TOML with a comment a key, and the names near a misspelt one.

use super::{KEYS, Recipe};

/// Every key with the comment that says what it means.
pub(super) fn write(recipe: &Recipe) -> String {
    let mut text = String::from("# A lungfish recipe: everything that decides what a training gives.\n");
    for key in KEYS {
        let about = key.about.trim();
        text.push_str(&format!("\n# {about} ({})\n{} = {}\n", key.allowed, key.name, recipe.shown(key.name)));
    }
    text
}

/// A hint for a key that does not exist.
pub(super) fn near(key: &str) -> String {
    let plain = |s: &str| s.to_lowercase().replace(['-', ' '], "_");
    let wanted = plain(key);
    let mut found: Vec<(usize, &str)> = KEYS
        .iter()
        .map(|k| (distance(&wanted, k.name), k.name))
        .filter(|(d, name)| *d <= 2.max(name.len() / 3) || (wanted.len() > 2 && name.contains(&wanted)))
        .collect();
    found.sort();
    if found.is_empty() {
        format!("its keys are {}", KEYS.iter().map(|k| k.name).collect::<Vec<_>>().join(", "))
    } else {
        let names: Vec<&str> = found.iter().take(3).map(|(_, name)| *name).collect();
        format!("did you mean {}?", names.join(" or "))
    }
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
