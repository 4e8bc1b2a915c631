//! The parts of a report, which of them a run has, and how the others come there.

use serde::Serialize;

use super::found::Found;
use super::tested::Tested;

/// A part of the page, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Summary,
    Use,
    Films,
    Splits,
    Recipe,
    Epochs,
    Metrics,
    Calibration,
    Points,
    Comparison,
    Groups,
    Stress,
    Shortcuts,
    Errors,
    Opened,
    Limits,
    Checklist,
    Origin,
}

impl Part {
    /// Its name in links.
    pub(super) fn id(self) -> &'static str {
        match self {
            Part::Summary => "summary",
            Part::Use => "use",
            Part::Films => "films",
            Part::Splits => "splits",
            Part::Recipe => "recipe",
            Part::Epochs => "epochs",
            Part::Metrics => "metrics",
            Part::Calibration => "calibration",
            Part::Points => "points",
            Part::Comparison => "comparison",
            Part::Groups => "groups",
            Part::Stress => "stress",
            Part::Shortcuts => "shortcuts",
            Part::Errors => "errors",
            Part::Opened => "opened",
            Part::Limits => "limits",
            Part::Checklist => "checklist",
            Part::Origin => "origin",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Part::Summary => "Summary",
            Part::Use => "What it is for",
            Part::Films => "Films and patients",
            Part::Splits => "The splits",
            Part::Recipe => "The model and its recipe",
            Part::Epochs => "How the training went",
            Part::Metrics => "How right it is",
            Part::Calibration => "How sure it may be of itself",
            Part::Points => "Where films are called",
            Part::Comparison => "Beside another model",
            Part::Groups => "Groups of films",
            Part::Stress => "Films that were altered",
            Part::Shortcuts => "What could be read instead of lungs",
            Part::Errors => "The worst errors, and what was read in them",
            Part::Opened => "How often the test was opened",
            Part::Limits => "What must be known beside these numbers",
            Part::Checklist => "What reporting guidelines ask for",
            Part::Origin => "Versions, hashes, and how to use the model",
        }
    }
}

/// A part that a report could have and has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Missing {
    /// Its name: `splits`, `epochs`, `test`, `calibration`, `comparison`, `groups`, `stress`, `shortcut`, `unlike`, `audit` or
    /// `study`.
    pub part: &'static str,
    /// What is missing: one sentence.
    pub what: String,
    /// The command that makes it; none where no command can.
    pub command: Option<String>,
}

impl Found {
    /// Everything that is missing, in the order of the page.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let each = [
            self.lacks_study(),
            self.lacks_splits(),
            self.lacks_epochs(),
            self.lacks_test(),
            self.lacks_calibration(),
            self.lacks_comparison(),
            self.lacks_groups(),
            self.lacks_stress(),
            self.lacks_shortcut(),
            self.lacks_unlike(),
            self.lacks_audit(),
        ];
        each.into_iter().flatten().collect()
    }

    /// Whether a part says something of this run.
    pub(super) fn has(&self, part: Part) -> bool {
        let lacks = match part {
            Part::Films | Part::Splits => self.lacks_splits(),
            Part::Epochs => self.lacks_epochs(),
            Part::Metrics | Part::Errors | Part::Opened => self.lacks_test(),
            Part::Calibration => self.lacks_calibration(),
            Part::Points => return self.test().is_some_and(|test| test.at.is_some()),
            Part::Comparison => return self.of_test(|test| test.comparison.is_some()),
            Part::Groups => return self.of_test(|test| test.groups.as_ref().is_some_and(|groups| !groups.is_empty())),
            Part::Stress => {
                return self.of_test(|test| test.stress.as_ref().is_some_and(|changes| !changes.is_empty()));
            }
            Part::Shortcuts => {
                return self.audit.is_some() || self.has_shortcut() || self.of_test(|test| test.unlike.is_some());
            }
            Part::Use => self.lacks_study(),
            Part::Summary | Part::Recipe | Part::Limits | Part::Checklist | Part::Origin => None,
        };
        lacks.is_none()
    }

    fn of_test(&self, has: impl Fn(&Tested) -> bool) -> bool {
        self.test().is_some_and(has)
    }

    /// The command that tests the model, with more flags.
    fn test_command(&self, more: &str) -> Option<String> {
        Some(format!("lungfish test --model {} --data DIR{more}", argument(&self.name)))
    }

    /// A part of a test that a test there lacks; where there is no test, that is what is missing.
    fn lacks_of_test(&self, part: &'static str, has: bool, what: &str, more: &str) -> Option<Missing> {
        let lacks = self.test().is_some() && !has;
        lacks.then(|| Missing { part, what: what.to_owned(), command: self.test_command(more) })
    }

    pub(super) fn lacks_study(&self) -> Option<Missing> {
        (self.answers.len() == 0).then(|| Missing {
            part: "study",
            what: "What only people can say (where the films come from, who labelled them, what the model is meant for) is not told."
                .to_owned(),
            command: Some(format!("lungfish report {} --write-study study.toml", argument(&self.name))),
        })
    }

    pub(super) fn lacks_splits(&self) -> Option<Missing> {
        self.counts.is_none().then(|| Missing {
            part: "splits",
            what: "There is no split.csv beside this model, so it is not known which films are on which split."
                .to_owned(),
            command: None,
        })
    }

    pub(super) fn lacks_epochs(&self) -> Option<Missing> {
        let what = if self.model.members.is_empty() {
            "There is no log of a training beside this model."
        } else {
            "The log of each member's training lies in that member's own run folder."
        };
        self.epochs.is_empty().then(|| Missing { part: "epochs", what: what.to_owned(), command: None })
    }

    pub(super) fn lacks_test(&self) -> Option<Missing> {
        let what = match self.test() {
            Some(_) if self.has_test() => return None,
            Some(test) => format!(
                "This model has not been tested on test films; the numbers are of its {} films, which had a part in it.",
                test.split
            ),
            None => "This model has not been tested.".to_owned(),
        };
        Some(Missing { part: "test", what, command: self.test_command("") })
    }

    pub(super) fn lacks_calibration(&self) -> Option<Missing> {
        self.model.calibration.is_none().then(|| Missing {
            part: "calibration",
            what: "This model was not calibrated, and has no operating points of its own.".to_owned(),
            command: Some(format!(
                "lungfish calibrate --model {} --data DIR --out FILE.safetensors",
                argument(&self.name)
            )),
        })
    }

    pub(super) fn lacks_comparison(&self) -> Option<Missing> {
        let has = self.has(Part::Comparison);
        self.lacks_of_test(
            "comparison",
            has,
            "The model was not compared with another one on these films.",
            " --compare OTHER",
        )
    }

    pub(super) fn lacks_groups(&self) -> Option<Missing> {
        self.lacks_of_test(
            "groups",
            self.has(Part::Groups),
            "The test tells nothing of groups of films.",
            " --groups size,folder",
        )
    }

    pub(super) fn lacks_stress(&self) -> Option<Missing> {
        let what = "The test tells nothing of films that were altered.";
        self.lacks_of_test("stress", self.has(Part::Stress), what, " --stress")
    }

    pub(super) fn lacks_shortcut(&self) -> Option<Missing> {
        let what = "The test does not tell what is left of the AUC where image statistics are allowed for.";
        self.lacks_of_test("shortcut", self.has_shortcut(), what, "")
    }

    fn has_shortcut(&self) -> bool {
        self.of_test(|test| test.shortcut.is_some() || !test.label_shortcuts.is_empty())
    }

    pub(super) fn lacks_unlike(&self) -> Option<Missing> {
        let has = self.of_test(|test| test.unlike.is_some());
        self.lacks_of_test(
            "unlike",
            has,
            "The test does not tell how many of its films are unlike those of the training.",
            "",
        )
    }

    pub(super) fn lacks_audit(&self) -> Option<Missing> {
        self.audit.is_none().then(|| Missing {
            part: "audit",
            what: "The data set was not audited.".to_owned(),
            command: Some(format!(
                "lungfish audit --data DIR --json > {}/{}",
                argument(&self.name),
                super::found::AUDIT
            )),
        })
    }
}

/// A name as an argument that somebody can paste into a shell.
pub(super) fn argument(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}
