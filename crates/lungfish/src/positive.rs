//! Which of two classes is the positive one: the one that sensitivity is of.

use lungfish_data::display::escape;

use crate::Error;

/// The value of the recipe's `positive` that leaves it to the names.
pub(crate) const AUTO: &str = "auto";

/// Names of classes that are what is not looked for, without spaces, dashes and capitals; in several languages.
const NEGATIVE: [&str; 22] = [
    "normal",
    "nofinding",
    "nofindings",
    "negative",
    "neg",
    "healthy",
    "control",
    "controls",
    "clear",
    "none",
    "nopneumonia",
    "notb",
    "noncovid",
    "benign",
    "normale",
    "sain",
    "sano",
    "sana",
    "gesund",
    "unauffällig",
    "saudável",
    "正常",
];

fn is_negative(class: &str) -> bool {
    let key: String = class.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    NEGATIVE.contains(&key.as_str())
}

/// The positive one of two classes: the one asked for, else the one that is not called normal or the like where the other is,
/// else the second. `None` where there are not two classes.
///
/// # Errors
/// A name asked for that is no class.
pub(crate) fn of(classes: &[String], asked: &str) -> Result<Option<usize>, Error> {
    let named = classes.iter().position(|class| class == asked);
    if asked != AUTO && named.is_none() {
        let names: Vec<String> = classes.iter().map(escape).collect();
        return Err(Error::refused(format!(
            "positive = \"{}\" is none of the classes {}",
            escape(asked),
            names.join(", ")
        )));
    }
    let [first, second] = classes else { return Ok(None) };
    let by_name = if is_negative(second) && !is_negative(first) { 0 } else { 1 };
    Ok(Some(named.unwrap_or(by_name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_that_is_looked_for_is_positive() {
        let of = |a: &str, b: &str, asked: &str| of(&[a.to_owned(), b.to_owned()], asked).map_err(|e| e.to_string());
        assert_eq!(of("NORMAL", "PNEUMONIA", "auto"), Ok(Some(1)));
        assert_eq!(of("COVID", "Normal", "auto"), Ok(Some(0)));
        assert_eq!(of("Mass", "No Finding", "auto"), Ok(Some(0)));
        assert_eq!(of("effusion", "no_finding", "auto"), Ok(Some(0)));
        assert_eq!(of("Krank", "gesund", "auto"), Ok(Some(0)));
        assert_eq!(of("bacteria", "virus", "auto"), Ok(Some(1)));
        assert_eq!(of("bacteria", "virus", "bacteria"), Ok(Some(0)));
        assert_eq!(of("0", "1", "auto"), Ok(Some(1)));
        assert!(of("A", "B", "C").unwrap_err().ends_with("positive = \"C\" is none of the classes A, B"));
        let three = ["A", "B", "normal"].map(str::to_owned);
        assert_eq!(super::of(&three, "auto").unwrap(), None);
    }
}
