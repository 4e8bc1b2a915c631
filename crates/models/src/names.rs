//! What somebody may have meant by a name that does not exist. One rule for architectures, parts, recipe keys and classes.

/// Most names to suggest: of more, none is likely.
const MOST: usize = 3;

/// The names of `known` that `name` may have been meant as, nearest first, three at most.
///
/// Near is up to a third of the letters changed, added, left out or swapped with their neighbour, whatever their case and
/// whether `-` or `_` joins them; of such names only the nearest. Where none is, it may be a piece of a name. Where more
/// than three are equally near (`layer9` of four layers), none is.
///
/// ```
/// use lungfish_models::names::near;
/// assert_eq!(near("layr4", ["stem", "layer3", "layer4"]), ["layer4"]);
/// assert_eq!(near("Batch-Size", ["batch_size", "seed"]), ["batch_size"]);
/// assert!(near("vgg16", ["resnet18", "resnet34"]).is_empty());
/// ```
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |s: &str| s.trim().to_lowercase().replace(['-', ' '], "_");
    let wanted = plain(name);
    let letters = wanted.chars().count();
    // Far longer than any name there is, and the distance takes the square of its length.
    if letters > 100 {
        return Vec::new();
    }
    let (mut misspelt, mut pieces) = (Vec::new(), Vec::new());
    for name in known {
        let plain = plain(name);
        let distance = strsim::osa_distance(&wanted, &plain);
        if distance <= 1.max(letters.min(plain.chars().count()) / 3) {
            misspelt.push((distance, name));
        } else if letters > 2 && plain.contains(&wanted) {
            pieces.push((distance, name));
        }
    }
    let nearest = misspelt.iter().map(|(distance, _)| *distance).min();
    misspelt.retain(|(distance, _)| Some(*distance) == nearest);
    if misspelt.len() > MOST {
        misspelt.clear();
    }
    if misspelt.is_empty() {
        pieces.sort_by_key(|(distance, _)| *distance);
        misspelt.extend(pieces.into_iter().take(MOST));
    }
    misspelt.into_iter().map(|(_, name)| name).collect()
}

/// ` (did you mean layer4?)`, to be put behind a name that does not exist; nothing where no name is near.
///
/// ```
/// use lungfish_models::names::did_you_mean;
/// assert_eq!(did_you_mean("layr4", ["stem", "layer4"]), " (did you mean layer4?)");
/// assert_eq!(did_you_mean("batch", ["batch_norm", "batch_size", "seed"]), " (did you mean batch_norm or batch_size?)");
/// assert_eq!(did_you_mean("vgg16", ["resnet18"]), "");
/// ```
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match near(name, known).as_slice() {
        [] => String::new(),
        [one] => format!(" (did you mean {one}?)"),
        [others @ .., last] => format!(" (did you mean {} or {last}?)", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [&str; 6] = ["stem", "layer1", "layer2", "layer3", "layer4", "head"];

    #[test]
    fn nearest_first_and_nothing_where_everything_is_near() {
        assert_eq!(near("haed", PARTS), ["head"]);
        assert!(near("layer9", PARTS).is_empty(), "four layers are equally near");
        assert_eq!(near("staeg7", ["stage1", "stage6", "stage7"]), ["stage7"]);
        assert_eq!(near("LAYER 4", ["layer_4"]), ["layer_4"]);
        assert_eq!(near("pneumonia", ["NORMAL", "PNEUMONIA"]), ["PNEUMONIA"]);
        assert_eq!(near("size", ["batch_size", "image_size", "fit"]), ["batch_size", "image_size"]);
        assert!(near("", PARTS).is_empty() && near("x", []).is_empty());
        assert!(near(&"layer4".repeat(100_000), PARTS).is_empty());
        assert_eq!(near("gähnen", ["gahnen"]), ["gahnen"], "letters, not bytes");
    }
}
