//! What `metrics-{split}.json` and `audit.json` say, read tolerantly: a part that is absent or null is not there, and fields that
//! are not known are passed over. What is there in another form than it was written in is damage, and is said.

use std::fs;
use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{Split, Task};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::Error;

/// Name and number of the schemas that are read here.
const TEST_SCHEMA: &str = "lungfish.test.1";
pub(super) const AUDIT_SCHEMA: &str = "lungfish.audit.1";

/// A metric and its 95 % interval.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Figure {
    pub name: String,
    pub value: Option<f64>,
    pub interval: Option<[f64; 2]>,
}

/// A test, as `lungfish test` wrote it down.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tested {
    pub task: Task,
    pub split: Split,
    pub films: usize,
    pub accuracy: Option<f64>,
    pub loss: Option<f64>,
    pub auc: Option<f64>,
    #[serde(default)]
    pub positive: Option<String>,
    #[serde(default)]
    pub classes: Vec<ClassOf>,
    #[serde(default)]
    pub confusion: Vec<Vec<usize>>,
    #[serde(default)]
    pub labels: Vec<LabelOf>,
    #[serde(default)]
    pub threshold: Option<f64>,
    #[serde(default)]
    pub at: Option<String>,
    #[serde(default)]
    pub points: Vec<Point>,
    #[serde(default)]
    pub equal_prior: bool,
    #[serde(default)]
    pub tta: Option<String>,
    #[serde(default)]
    pub precision: Option<String>,
    #[serde(default)]
    pub caveats: Vec<Told>,
    #[serde(default)]
    pub measures: Vec<Figure>,
    #[serde(default)]
    pub counted: Option<String>,
    #[serde(default)]
    pub opened: Option<OpenedFor>,
    #[serde(default)]
    pub comparison: Option<Compared>,
    #[serde(default)]
    pub unreadable: Vec<IgnoredAny>,
    #[serde(default)]
    pub passed_over: Vec<Passed>,
    #[serde(default)]
    pub undefined: Vec<String>,
    #[serde(default)]
    pub shortcut: Option<Shortcut>,
    #[serde(default)]
    pub label_shortcuts: Vec<OfLabel>,
    #[serde(default)]
    pub groups: Option<Vec<Grouping>>,
    #[serde(default)]
    pub stress: Option<Vec<Stress>>,
    #[serde(default)]
    pub unlike: Option<Unlike>,
}

/// A caveat, whatever its kind is called.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Told {
    pub kind: String,
    pub text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ClassOf {
    pub name: String,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    pub support: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct LabelOf {
    pub name: String,
    pub positives: usize,
    pub true_positives: usize,
    pub negatives: usize,
    pub true_negatives: usize,
    pub unknown: usize,
    #[serde(default)]
    pub measures: Vec<Figure>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Point {
    pub rule: String,
    #[serde(default)]
    pub label: Option<String>,
    pub cut: f64,
    pub sensitivity: Figure,
    pub specificity: Figure,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct OpenedFor {
    pub time: usize,
    pub first: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Compared {
    pub other: String,
    #[serde(default)]
    pub differences: Vec<DifferenceOf>,
    pub only_this_right: usize,
    pub only_other_right: usize,
    pub mcnemar_p: f64,
    #[serde(default)]
    pub changed: Vec<IgnoredAny>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct DifferenceOf {
    pub name: String,
    pub this: f64,
    pub other: f64,
    pub difference: Figure,
    #[serde(default)]
    pub p: Option<f64>,
}

/// Files that were not taken for films, of one kind.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Passed {
    pub kind: String,
    pub count: usize,
}

/// How the model does beside a model that knows image statistics alone.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shortcut {
    pub what: String,
    #[serde(default)]
    pub alone: Option<Figure>,
    #[serde(default)]
    pub adjusted: Option<Figure>,
    #[serde(default)]
    pub strata: Vec<Stratum>,
    #[serde(default)]
    pub misled: Option<Misled>,
}

/// The same of one label of several.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OfLabel {
    pub label: String,
    pub films: usize,
    pub positives: usize,
    #[serde(default)]
    pub too_few: bool,
    #[serde(default)]
    pub shortcut: Option<Shortcut>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stratum {
    pub from: Option<f64>,
    pub to: Option<f64>,
    pub films: usize,
    pub positives: usize,
    pub auc: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Misled {
    pub films: usize,
    pub positives: usize,
    #[serde(default)]
    pub measures: Vec<Figure>,
}

/// Films in groups by a column of the table.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Grouping {
    pub column: String,
    #[serde(default)]
    pub groups: Vec<GroupOf>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct GroupOf {
    pub name: String,
    pub films: usize,
    #[serde(default)]
    pub positives: Option<usize>,
    #[serde(default)]
    pub too_few: bool,
    #[serde(default)]
    pub measures: Vec<Figure>,
}

/// What a change of the films does to the model.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stress {
    pub change: String,
    pub films: usize,
    #[serde(default)]
    pub auc: Option<Figure>,
    #[serde(default)]
    pub difference: Option<Figure>,
    #[serde(default)]
    pub flipped: Option<usize>,
    #[serde(default)]
    pub labels: Vec<StressOf>,
}

/// What it does to what the model says of one label.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StressOf {
    pub label: String,
    pub films: usize,
    #[serde(default)]
    pub too_few: bool,
    #[serde(default)]
    pub auc: Option<Figure>,
    #[serde(default)]
    pub difference: Option<Figure>,
    pub flipped: usize,
}

/// Films that are less like the training films than nearly all of those are like each other.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Unlike {
    pub films: usize,
    pub beyond: usize,
    #[serde(default)]
    pub limit: Option<f64>,
}

/// What `lungfish audit --json` said.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Audited {
    pub films: usize,
    pub train: usize,
    pub test: usize,
    pub verdict: String,
    pub leakage: Leaks,
    #[serde(default)]
    pub shortcuts: Vec<Separated>,
    #[serde(default)]
    pub drift: Option<Separated>,
    #[serde(default)]
    pub suspects: Option<Doubtful>,
    #[serde(default)]
    pub caveats: Vec<Told>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Leaks {
    pub patients: Option<usize>,
    #[serde(default)]
    pub films_of_patients: usize,
    pub copies_on_two_splits: usize,
    pub copies_in_two_classes: usize,
    /// None in audits of older versions.
    #[serde(default)]
    pub near_copies: Option<usize>,
}

/// How many labels are doubtful.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Doubtful {
    pub films: usize,
    pub count: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Separated {
    pub what: String,
    pub class: String,
    pub train: Separation,
    #[serde(default)]
    pub test: Option<Separation>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Separation {
    pub auc: f64,
    pub interval: Option<[f64; 2]>,
}

impl Tested {
    /// Reads a `metrics-{split}.json`; none where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what a test writes.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        read(path, TEST_SCHEMA)
    }

    /// The names of its classes or labels.
    pub(super) fn names(&self) -> Vec<&str> {
        match self.task {
            Task::OneOf => self.classes.iter().map(|class| class.name.as_str()).collect(),
            Task::AnyOf => self.labels.iter().map(|label| label.name.as_str()).collect(),
        }
    }

    /// A metric by name.
    pub(super) fn measure(&self, name: &str) -> Option<&Figure> {
        self.measures.iter().find(|measure| measure.name == name)
    }
}

impl Audited {
    /// Reads an `audit.json`; none where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what an audit prints.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Error> {
        read(path, AUDIT_SCHEMA)
    }
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
}

fn read<T: DeserializeOwned>(path: &Path, schema: &str) -> Result<Option<T>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path, e)),
    };
    let damaged = |what: String| Error::damaged(format!("{} is not {schema}: {what}", escape(path)));
    let named: Schema = serde_json::from_slice(&bytes).map_err(|e| damaged(escape(e.to_string())))?;
    if named.schema != schema {
        return Err(damaged(format!("its schema is \"{}\"", escape(named.schema))));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|e| damaged(escape(e.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_are_alike_and_other_forms_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics-test.json");
        assert!(Tested::read(&path).unwrap().is_none());
        let whole = r#"{"schema":"lungfish.test.1","task":"one-of","split":"test","films":3,"accuracy":0.5,"loss":null,"auc":null,
            "stress":null,"unlike":{"films":3,"beyond":1,"limit":2.5,"more":[]},"further":1}"#;
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            Tested::read(&path).map(Option::unwrap).map_err(|e| e.to_string())
        };
        let tested = read(whole).unwrap();
        assert_eq!((tested.films, tested.stress.is_none(), tested.groups.is_none()), (3, true, true));
        assert_eq!(tested.unlike.unwrap().beyond, 1);
        let says = |text: &str| read(text).unwrap_err();
        assert!(says("{").contains("metrics-test.json is not lungfish.test.1: "), "{}", says("{"));
        assert!(says(&whole.replace("test.1", "test.2")).ends_with("its schema is \"lungfish.test.2\""));
        let wrong = says(&whole.replace("\"films\":3,\"beyond\"", "\"films\":\"x\",\"beyond\""));
        assert!(wrong.contains("invalid type: string"), "{wrong}");
    }
}
