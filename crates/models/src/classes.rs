//! The names of the classes that a head tells apart, where a file of weights says them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// More are no classes of films.
pub(crate) const MOST: usize = 1 << 16;
/// From names to places, as `torchvision.datasets.ImageFolder` has it.
pub(crate) const INDICES: &str = "class_to_idx";
/// The names in order.
pub(crate) const LISTS: [&str; 2] = ["classes", "class_names"];

/// From a safetensors file's metadata: JSON under one of the keys.
pub(crate) fn of_metadata(metadata: &BTreeMap<String, String>) -> Option<Vec<String>> {
    let json = |key: &str| serde_json::from_str::<Value>(metadata.get(key)?).ok();
    if let Some(Value::Object(indices)) = json(INDICES) {
        return in_order(indices.iter().map(|(name, index)| (name.as_str(), index.as_i64())));
    }
    let Some(Value::Array(names)) = LISTS.iter().find_map(|key| json(key)) else { return None };
    listed(names.iter().map(|name| name.as_str()))
}

/// Names sorted by their places, which must be 0 to n - 1, each once.
pub(crate) fn in_order<'a>(indices: impl Iterator<Item = (&'a str, Option<i64>)>) -> Option<Vec<String>> {
    // Of equal names the last counts, as in Python.
    let mut places = BTreeMap::new();
    for (name, index) in indices.take(MOST + 1) {
        places.insert(name, usize::try_from(index?).ok()?);
    }
    let mut names = vec![None; places.len().min(MOST)];
    for (name, place) in places {
        match names.get_mut(place) {
            Some(empty @ None) => *empty = Some(name.to_owned()),
            _ => return None,
        }
    }
    let names: Vec<String> = names.into_iter().collect::<Option<_>>()?;
    (!names.is_empty()).then_some(names)
}

/// Names that are all text and all different.
pub(crate) fn listed<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Option<Vec<String>> {
    let names: Vec<String> = names.take(MOST + 1).map(|name| name.map(str::to_owned)).collect::<Option<_>>()?;
    let different = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    (different && !names.is_empty() && names.len() <= MOST).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_order_of_their_places() {
        let of = |key: &str, json: &str| of_metadata(&BTreeMap::from([(key.to_owned(), json.to_owned())]));
        assert_eq!(of(INDICES, r#"{"B":0,"A":1}"#).unwrap(), ["B", "A"]);
        assert!(LISTS.iter().all(|list| of(list, r#"["B","A"]"#).unwrap() == ["B", "A"]));
        for broken in
            [r#"{"B":0,"A":2}"#, r#"{"B":0,"A":0}"#, r#"{"B":0,"A":-1}"#, r#"{"B":0,"A":"1"}"#, "{}", "[", "3"]
        {
            assert_eq!(of(INDICES, broken), None, "{broken}");
        }
        for broken in [r#"["A","A"]"#, r#"["A",1]"#, "[]"] {
            assert_eq!(of(LISTS[0], broken), None, "{broken}");
        }
        assert_eq!(of("names", r#"["B","A"]"#), None);
    }
}
