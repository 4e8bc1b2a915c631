//! Which patient a film belongs to, from where it lies below the data set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};
use std::sync::LazyLock;

use rayon::prelude::*;
use regex::Regex;

use crate::decode::facts_of_file;
use crate::display::escape_exactly;
use crate::error::DataError;
use crate::film_set::Film;
use crate::folder::{is_plain_place, split_of};

/// What told the patient of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PatientSource {
    /// A pattern that somebody gave.
    Pattern,
    /// The file names of Kermany's films: `person12_bacteria_34.jpeg`, `NORMAL2-IM-0793-0001.jpeg`.
    Kermany,
    /// The file names of NIH's films: `00000013_005.png`.
    Nih,
    /// A folder or the begin of a file name that says so: `patient00013/study1`, `case_7-2.png`.
    Named,
    /// A folder that holds a case each.
    Folder,
    /// A column of a table.
    Table,
    /// The PatientID of DICOM files, of which a hash alone is kept.
    Dicom,
}

impl PatientSource {
    /// In words: told by ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Pattern => "the pattern given",
            Self::Kermany => "file names as Kermany's (person12_bacteria_34)",
            Self::Nih => "file names as NIH's (00000013_005)",
            Self::Named => "names that say patient, subject or case",
            Self::Folder => "folders of a case each",
            Self::Table => "the table",
            Self::Dicom => "the PatientID of DICOM files, hashed",
        }
    }
}

impl fmt::Display for PatientSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Finds the patient of a film in its place below the data set. A film of which nothing tells is a patient of its own,
/// called as the film with its folders.
#[derive(Debug, Clone)]
pub struct PatientRule {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Names that are known.
    Auto {
        kermany: Regex,
        nih: Regex,
        folder: Regex,
        file: Regex,
    },
    Pattern(Regex),
}

/// With fewer folders, or more films in them than this on average, a folder is no case.
const FEWEST_CASES: usize = 5;
const MOST_FILMS_A_CASE: usize = 50;
/// Numbers that are shorter may be counted anew in each folder.
const LONG_NUMBER: usize = 5;

impl PatientRule {
    /// The rules for names that are known: the PatientID of DICOM files, the names of Kermany's and NIH's films, names that
    /// say patient (as CheXpert's), and folders of a case each.
    pub const AUTO: &str = "auto";
    /// The rule of the Kermany films alone: `person12_bacteria_34.jpeg` belongs to `person12_bacteria`,
    /// `NORMAL2-IM-0793-0001.jpeg` to `NORMAL2-IM-0793`. Bare numbers recur between bacteria and virus and between the
    /// two series of normal films, so they alone are no key.
    pub const KERMANY: &str = r"^(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+)[-_]";

    /// [`Self::AUTO`], or a regular expression: group 1 is the patient, the whole match where it has no group. It is tried
    /// on the file name, then on the path below the data set with `/`.
    ///
    /// # Errors
    /// [`DataError::PatientRule`] where the expression does not compile.
    pub fn new(pattern: &str) -> Result<Self, DataError> {
        if pattern == Self::AUTO {
            return Ok(Self::default());
        }
        let regex = Regex::new(pattern).map_err(|error| {
            // The crate draws the pattern over several lines; its last line is the reason.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason).to_string();
            DataError::PatientRule { pattern: pattern.to_string(), reason }
        })?;
        Ok(Self { kind: Kind::Pattern(regex) })
    }

    /// The rules for names that are known. They are made once: it takes longer than to read a small table.
    fn known() -> &'static Self {
        static KNOWN: LazyLock<PatientRule> = LazyLock::new(|| {
            let regex = |pattern: &str| {
                Regex::new(pattern).unwrap_or_else(|_| unreachable!("the known rules are valid patterns"))
            };
            let kind = Kind::Auto {
                kermany: regex(PatientRule::KERMANY),
                nih: regex(r"^(\d{8})_\d{3}\."),
                folder: regex(r"(?i)^(?:patient|pat|subject|subj|sub|case|pid)[-_ ]?\d+$"),
                file: regex(r"(?i)^((?:patient|pat|subject|subj|sub|case|pid)[-_ ]?\d+)[-_.]"),
            };
            PatientRule { kind }
        });
        &KNOWN
    }

    /// Who the film at a place below the data set belongs to, where its own names tell.
    ///
    /// ```
    /// use lungfish_data::{PatientRule, PatientSource};
    /// let rule = PatientRule::default();
    /// let (by, patient) = rule.find("train/PNEUMONIA/person12_virus_34.jpeg".as_ref()).unwrap();
    /// assert_eq!((by, patient.as_str()), (PatientSource::Kermany, "person12_virus"));
    /// let (by, patient) = rule.find("NORMAL/patient00007/study1/view1.jpg".as_ref()).unwrap();
    /// assert_eq!((by, patient.as_str()), (PatientSource::Named, "patient00007"));
    /// assert_eq!(rule.find("NORMAL/other.jpeg".as_ref()), None);
    /// ```
    pub fn find(&self, below: &Path) -> Option<(PatientSource, String)> {
        let name = below.file_name().unwrap_or_default().to_string_lossy();
        match &self.kind {
            Kind::Auto { kermany, nih, folder, file } => {
                let of = |rule: &Regex| first_group(rule, &name).map(str::to_owned);
                let named =
                    || below.parent()?.iter().map(|part| part.to_string_lossy()).find(|part| folder.is_match(part));
                let patient = |by| move |patient: String| (by, patient);
                of(kermany)
                    .map(patient(PatientSource::Kermany))
                    .or_else(|| of(nih).map(patient(PatientSource::Nih)))
                    .or_else(|| named().map(|name| (PatientSource::Named, name.into_owned())))
                    .or_else(|| of(file).map(patient(PatientSource::Named)))
            }
            Kind::Pattern(pattern) => {
                let path = below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
                let found = first_group(pattern, &name).or_else(|| first_group(pattern, &path));
                found.map(|patient| (PatientSource::Pattern, patient.to_owned()))
            }
        }
    }

    /// Whether a folder's name says that it is a patient's.
    pub(crate) fn is_patient(name: &std::ffi::OsStr) -> bool {
        match &Self::known().kind {
            Kind::Auto { folder, .. } => folder.is_match(&name.to_string_lossy()),
            Kind::Pattern(_) => false,
        }
    }

    /// Puts down the patient of one film below a folder.
    pub fn tell(&self, root: &Path, film: &mut Film) {
        self.assign(root, &[], std::iter::once(film));
    }

    /// Puts down the patient of each film that a source lists below `root`; folders with the names of `classes` are not
    /// those of cases. Comes with the number of films that each source of patients told of.
    pub(crate) fn assign<'a>(
        &self,
        root: &Path,
        classes: &[String],
        films: impl Iterator<Item = &'a mut Film>,
    ) -> BTreeMap<PatientSource, usize> {
        let mut told = BTreeMap::new();
        let mut rest: Vec<(&mut Film, Option<String>)> = Vec::new();
        let films: Vec<&mut Film> = films.collect();
        // Many small reads: on all threads.
        let headers: Vec<Option<String>> = match self.kind {
            Kind::Auto { .. } => films.par_iter().map(|film| facts_of_file(&film.path)?.patient).collect(),
            Kind::Pattern(_) => vec![None; films.len()],
        };
        for (film, header) in films.into_iter().zip(headers) {
            let is_inside = film.path.starts_with(root);
            let below = film.path.strip_prefix(root).unwrap_or(&film.path);
            match header.map(|patient| (PatientSource::Dicom, patient)).or_else(|| self.find(below)) {
                Some((by, patient)) => {
                    *told.entry(by).or_default() += 1;
                    film.facts.patient_told = true;
                    film.group = patient;
                }
                None => {
                    // Folders above a film that lies elsewhere are not those of cases.
                    let looks = matches!(self.kind, Kind::Auto { .. }) && is_inside;
                    let case = looks.then(|| case_folder(below, classes)).flatten();
                    film.group = place(&below.with_extension(""));
                    rest.push((film, case));
                }
            }
        }
        let mut cases: Vec<&String> = rest.iter().filter_map(|(_, case)| case.as_ref()).collect();
        let in_cases = cases.len();
        cases.sort_unstable();
        cases.dedup();
        if cases.len() >= FEWEST_CASES && 2 * in_cases >= rest.len() && in_cases <= cases.len() * MOST_FILMS_A_CASE {
            *told.entry(PatientSource::Folder).or_default() += in_cases;
            for (film, case) in rest {
                if let Some(case) = case {
                    film.facts.patient_told = true;
                    film.group = case;
                }
            }
        }
        told
    }
}

/// The folder that may be that of a case: the uppermost below the data set that is neither a split nor a class nor a place
/// that says nothing.
fn case_folder(below: &Path, classes: &[String]) -> Option<String> {
    let folders = below.parent()?.components();
    let mut above = std::path::PathBuf::new();
    for folder in folders {
        let Component::Normal(name) = folder else { continue };
        above.push(name);
        let is_class = name.to_str().is_some_and(|name| classes.iter().any(|class| same_name(class, name)));
        if is_class || split_of(name).is_some() || is_plain_place(name) {
            continue;
        }
        let shown = escape_exactly(name);
        let short_number = shown.len() < LONG_NUMBER && shown.bytes().all(|byte| byte.is_ascii_digit());
        return Some(if short_number { place(&above) } else { shown });
    }
    None
}

/// A path as text, with `/` on every system.
fn place(path: &Path) -> String {
    path.iter().map(escape_exactly).collect::<Vec<_>>().join("/")
}

/// Whether two names of folders are the same text, however its letters are composed.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    use unicode_normalization::UnicodeNormalization;
    a == b || a.nfc().eq(b.nfc())
}

fn first_group<'a>(rule: &Regex, text: &'a str) -> Option<&'a str> {
    let found = rule.captures(text).and_then(|c| c.get(1).or_else(|| c.get(0)))?;
    Some(found.as_str()).filter(|group| !group.is_empty())
}

impl Default for PatientRule {
    fn default() -> Self {
        Self::known().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::film_set::FilmFacts;
    use crate::label::Label;

    fn found(rule: &PatientRule, path: &str) -> Option<String> {
        rule.find(Path::new(path)).map(|(_, patient)| patient)
    }

    #[test]
    fn known_names_tell_their_patients() {
        let rule = PatientRule::default();
        for (name, by, patient) in [
            ("person12_bacteria_34.jpeg", PatientSource::Kermany, "person12_bacteria"),
            ("a/person12_virus_34.jpeg", PatientSource::Kermany, "person12_virus"),
            ("IM-0793-0001.jpeg", PatientSource::Kermany, "IM-0793"),
            ("IM-0793-0001-0002.jpeg", PatientSource::Kermany, "IM-0793"),
            ("NORMAL2-IM-0793-0001.jpeg", PatientSource::Kermany, "NORMAL2-IM-0793"),
            ("images_001/images/00000013_005.png", PatientSource::Nih, "00000013"),
            ("valid/patient64541/study1/view1_frontal.jpg", PatientSource::Named, "patient64541"),
            ("A/Case 7/x.png", PatientSource::Named, "Case 7"),
            ("A/subject-12_left.png", PatientSource::Named, "subject-12"),
        ] {
            assert_eq!(rule.find(Path::new(name)), Some((by, patient.to_owned())), "{name}");
        }
        for name in ["xperson12_virus_34.jpeg", "scan.2024.png", "A/0/12.png", "0000013_005.png", "cases/1.png"] {
            assert_eq!(rule.find(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_rule_of_ones_own() {
        assert_eq!(found(&PatientRule::new(r"^\d+").unwrap(), "a/17-b.png").as_deref(), Some("17"));
        assert_eq!(found(&PatientRule::new("").unwrap(), "a/17-b.png"), None, "an empty match is no key");
        // What no file name has is looked for in the path.
        let rule = PatientRule::new(r"^[^/]+/(p\d+)/").unwrap();
        assert_eq!(found(&rule, "NORMAL/p7/study/1.png").as_deref(), Some("p7"));
        let error = PatientRule::new("(person").unwrap_err().to_string();
        assert_eq!(error, "the patient rule (person is not a regular expression: unclosed group");
    }

    #[test]
    fn a_folder_of_a_case_each_is_a_patient_and_a_name_alone_is_none() {
        let groups = |paths: &[String]| {
            let film = |path: &String| Film {
                path: format!("r/{path}").into(),
                label: Label::Class(0),
                group: String::new(),
                facts: FilmFacts::default(),
            };
            let mut films: Vec<Film> = paths.iter().map(film).collect();
            let told =
                PatientRule::default().assign(Path::new("r"), &["A".to_owned(), "B".to_owned()], films.iter_mut());
            let of_films = films.iter().filter(|film| film.patient().is_some()).count();
            assert_eq!(of_films, told.values().sum::<usize>());
            (films.into_iter().map(|film| film.group).collect::<Vec<_>>(), told)
        };
        let frames: Vec<String> =
            (0..30).map(|i| format!("{}/c{}f/{:03}.png", ["A", "B"][i % 2], i / 5, i % 5)).collect();
        let (found, told) = groups(&frames);
        assert_eq!(told, BTreeMap::from([(PatientSource::Folder, 30)]));
        assert_eq!((found[0].as_str(), found[29].as_str()), ("c0f", "c5f"));
        // Numbers may begin anew in each folder; places that say nothing are nobody.
        let numbered: Vec<String> = (0..20).map(|i| format!("train/A/images/{}/{i}.png", i / 2)).collect();
        assert_eq!(groups(&numbered).0[19], "train/A/images/9");
        // Two folders are kinds, and equal names in two folders are two films.
        let kinds: Vec<String> = (0..20).map(|i| format!("A/{}/{}.png", ["virus", "bacteria"][i % 2], i / 2)).collect();
        let (found, told) = groups(&kinds);
        assert!(told.is_empty());
        assert_eq!(found[..2], ["A/virus/0", "A/bacteria/0"]);
    }
}
