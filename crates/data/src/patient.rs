//! Which patient a film belongs to, from its file name.

use std::path::Path;

use regex::Regex;

use crate::error::DataError;

/// Finds the patient of a film in its file name: group 1 of a regular expression (the whole match where it has no
/// group), or the file stem where the expression does not match.
#[derive(Debug, Clone)]
pub struct PatientRule {
    regex: Regex,
}

impl PatientRule {
    /// The rule of the Kermany films: `person12_bacteria_34.jpeg` belongs to `person12_bacteria`,
    /// `NORMAL2-IM-0793-0001.jpeg` to `NORMAL2-IM-0793`. Bare numbers recur between bacteria and virus and between the
    /// two series of normal films, so they alone are no key.
    pub const KERMANY: &str = r"^(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+)[-_]";

    /// A rule from a regular expression.
    ///
    /// # Errors
    /// [`DataError::PatientRule`] where the expression does not compile.
    pub fn new(pattern: &str) -> Result<Self, DataError> {
        match Regex::new(pattern) {
            Ok(regex) => Ok(Self { regex }),
            Err(error) => {
                // The crate draws the pattern over several lines; its last line is the reason.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason).to_string();
                Err(DataError::PatientRule { pattern: pattern.to_string(), reason })
            }
        }
    }

    /// The pattern as given.
    pub fn pattern(&self) -> &str {
        self.regex.as_str()
    }

    /// Whether the expression says whose film that at `path` is; where it does not, the film counts as its own patient.
    ///
    /// ```
    /// use lungfish_data::PatientRule;
    /// let rule = PatientRule::default();
    /// assert!(rule.fits("person12_virus_34.jpeg".as_ref()) && !rule.fits("other.jpeg".as_ref()));
    /// ```
    pub fn fits(&self, path: &Path) -> bool {
        self.found(&path.file_name().unwrap_or_default().to_string_lossy()).is_some()
    }

    fn found<'a>(&self, name: &'a str) -> Option<&'a str> {
        let found = self.regex.captures(name).and_then(|c| c.get(1).or_else(|| c.get(0)))?;
        Some(found.as_str()).filter(|group| !group.is_empty())
    }

    /// The patient of the film at `path`; only its file name counts.
    ///
    /// ```
    /// use lungfish_data::PatientRule;
    /// let rule = PatientRule::default();
    /// assert_eq!(rule.group("train/PNEUMONIA/person12_virus_34.jpeg".as_ref()), "person12_virus");
    /// assert_eq!(rule.group("other.jpeg".as_ref()), "other");
    /// ```
    pub fn group(&self, path: &Path) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match self.found(&name) {
            Some(group) => group.to_string(),
            // A stem that is not UTF-8 must not fall together with another one, as lossy text would.
            None => crate::display::escape_exactly(path.file_stem().unwrap_or_default()),
        }
    }
}

impl Default for PatientRule {
    fn default() -> Self {
        Self::new(Self::KERMANY).unwrap_or_else(|_| unreachable!("the Kermany rule is a valid pattern"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kermany_names_give_kermany_patients() {
        let rule = PatientRule::default();
        for (name, group) in [
            ("person12_bacteria_34.jpeg", "person12_bacteria"),
            ("person12_virus_34.jpeg", "person12_virus"),
            ("IM-0793-0001.jpeg", "IM-0793"),
            ("IM-0793-0001-0002.jpeg", "IM-0793"),
            ("NORMAL2-IM-0793-0001.jpeg", "NORMAL2-IM-0793"),
            ("xperson12_virus_34.jpeg", "xperson12_virus_34"),
            ("scan.2024.png", "scan.2024"),
        ] {
            assert_eq!(rule.group(Path::new(name)), group);
        }
    }

    #[test]
    fn a_rule_of_ones_own() {
        assert_eq!(PatientRule::new(r"^\d+").unwrap().group(Path::new("a/17-b.png")), "17");
        assert_eq!(PatientRule::new("").unwrap().group(Path::new("a/17-b.png")), "17-b", "an empty match is no key");
        let error = PatientRule::new("(person").unwrap_err().to_string();
        assert_eq!(error, "the patient rule (person is not a regular expression: unclosed group");
    }
}
