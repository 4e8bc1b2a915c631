//! What lies in a run folder. Nothing is computed anew and no film is opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::{ContentHash, Split};

use super::ReportRequest;
use super::answers::Answers;
use super::counts::Counts;
use super::picture::Pictures;
use super::tested::{Audited, Tested, Told};
use crate::run_folder::LOG;
use crate::test_log::TestLog;
use crate::{EpochRecord, Error, ModelInfo};

/// What an audit lies in, where it lies in the run folder.
pub(super) const AUDIT: &str = "audit.json";

/// Everything that a report is made of.
pub(super) struct Found {
    /// The run folder's name, which is what the run is called.
    pub name: String,
    pub model: ModelInfo,
    pub model_hash: ContentHash,
    pub model_bytes: u64,
    pub counts: Option<Counts>,
    pub epochs: Vec<EpochRecord>,
    /// The tests whose metrics lie there, that of test films first.
    pub tests: Vec<Tested>,
    pub openings: TestLog,
    pub audit: Option<Audited>,
    pub answers: Answers,
    pub pictures: Pictures,
    /// Whether the tests lie in another folder than the run.
    pub elsewhere: bool,
}

impl Found {
    pub(super) fn read(request: &ReportRequest) -> Result<Self, Error> {
        let run = request.run.as_path();
        if run.is_file() {
            let what = "is a file: a report is made of a run folder, which `lungfish train --out RUN` writes";
            return Err(Error::refused(format!("{} {what}", escape(run))));
        }
        let (model, file, model_hash) = ModelInfo::of_file(run)?;
        let model_bytes = fs::metadata(&file).map_err(|e| Error::io("read", &file, e))?.len();
        let results = match &request.tested {
            Some(folder) if !folder.is_dir() => {
                return Err(Error::not_found(format!(
                    "there is no folder {} with the metrics of a test",
                    escape(folder)
                )));
            }
            Some(folder) => folder.as_path(),
            None => run,
        };
        let mut tests = Vec::new();
        for split in [Split::Test, Split::Val, Split::Train] {
            let file = results.join(format!("metrics-{split}.json"));
            if let Some(test) = Tested::read(&file)? {
                fits(&test, &model, &file)?;
                tests.push(test);
            }
        }
        if let (Some(folder), true) = (&request.tested, tests.is_empty()) {
            return Err(Error::not_found(format!(
                "{} has no metrics-test.json: `lungfish test --out` writes one",
                escape(folder)
            )));
        }
        let audit = match &request.audit {
            Some(file) => Some(Audited::read(file)?.ok_or_else(|| {
                Error::not_found(format!("there is no audit {}: `lungfish audit --json` prints one", escape(file)))
            })?),
            None => Audited::read(&run.join(AUDIT))?,
        };
        Ok(Found {
            name: name_of(run),
            counts: Counts::read(run, &model)?,
            epochs: epochs(&run.join(LOG))?,
            openings: TestLog::of_run(run)?,
            answers: request.study.as_deref().map(Answers::read).transpose()?.unwrap_or_default(),
            pictures: Pictures::of(run, results, request.films),
            elsewhere: request.tested.as_ref().is_some_and(|folder| folder != run),
            model,
            model_hash,
            model_bytes,
            tests,
            audit,
        })
    }

    /// The test that the report is about: of test films, else of others.
    pub(super) fn test(&self) -> Option<&Tested> {
        self.tests.first()
    }

    /// Whether films were tested that neither taught the model nor chose its epoch.
    pub(super) fn has_test(&self) -> bool {
        self.test().is_some_and(|test| test.split == Split::Test)
    }

    /// What must be known beside the numbers, each once: of the model, of its test, and of its data set.
    pub(super) fn caveats(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let mut add = |kind: &str, text: &str| {
            let text = without_films(kind, text);
            if !texts.contains(&text) {
                texts.push(text);
            }
        };
        for caveat in self.test().map(|test| test.caveats.as_slice()).unwrap_or_default() {
            add(&caveat.kind, &caveat.text);
        }
        for caveat in &self.model.caveats {
            let kind = serde_json::to_value(caveat.kind).ok();
            add(kind.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default(), &caveat.text);
        }
        if let Some(audit) = &self.audit {
            texts.push(format!("the audit of the data set: {}", audit.verdict));
        }
        texts
    }

    /// The hash of the model file that the metrics of the test are of, as `tests.jsonl` has it; none where no line is of them.
    pub(super) fn tested_model(&self) -> Option<&str> {
        let test = self.test().filter(|test| test.split == Split::Test)?;
        let same = |a: f64, b: Option<f64>| b.is_some_and(|b| (a - b).abs() <= 1e-12 * a.abs().max(1.0));
        let lines = self.openings.openings().iter().rev();
        let mut of = lines.filter(|line| line.films == test.films && same(line.loss, test.loss));
        of.find(|line| same(line.accuracy, test.accuracy)).map(|line| line.model.as_str())
    }

    /// Whether the tested films are all films of the run's own test split.
    pub(super) fn tested_own(&self) -> bool {
        let (Some(counts), Some(test)) = (&self.counts, self.test()) else { return false };
        let own = self.openings.openings().iter().any(|line| {
            line.films == test.films && line.content == counts.test_content && Some(line.loss) == test.loss
        });
        // A test into the run folder is of the run's own films.
        own || (!self.elsewhere && test.split == Split::Test)
    }

    /// Films that the training left out since they lie in two classes; none where that is not told.
    pub(super) fn in_two_classes(&self) -> Option<usize> {
        let two = self.model.caveats.iter().find(|caveat| caveat.kind == crate::CaveatKind::TwoClasses)?;
        count_in(&two.text)
    }

    /// Whether nothing told which films are of the same patient. Where something told it of some of them, a caveat says of how many.
    pub(super) fn no_patients(&self) -> bool {
        let untold = |caveat: &crate::Caveat| {
            caveat.kind == crate::CaveatKind::NoPatients && caveat.text.starts_with("nothing tells")
        };
        match self.test().filter(|_| !self.elsewhere).and_then(|test| test.counted.as_deref()) {
            Some(counted) => counted == "films",
            None => self.model.caveats.iter().any(untold),
        }
    }
}

/// Refuses metrics of another model.
fn fits(test: &Tested, model: &ModelInfo, file: &Path) -> Result<(), Error> {
    if test.task == model.task && test.names() == model.classes {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{} is of another model: it is {} of {}, and this model is {} of {}",
        escape(file),
        test.task,
        escape(test.names().join(", ")),
        model.task,
        escape(model.classes.join(", "))
    )))
}

/// The words of a caveat without names of films, which may be those of patients.
pub(super) fn without_films(kind: &str, text: &str) -> String {
    match (kind, count_in(text)) {
        ("two_classes", Some(count)) => {
            format!(
                "{count} films lie in two classes, or under labels that contradict each other, by their content; they are left out"
            )
        }
        ("two_classes", None) => "films that lie in two classes are left out".to_owned(),
        _ => text.to_owned(),
    }
}

impl Told {
    /// Without names of films.
    pub(super) fn words(&self) -> String {
        without_films(&self.kind, &self.text)
    }
}

/// The number with which a text begins.
fn count_in(text: &str) -> Option<usize> {
    text.split(' ').next()?.parse().ok()
}

/// The lines of the log; none where there is no log. A line that is none (of a log that is being written) is passed over.
fn epochs(path: &Path) -> Result<Vec<EpochRecord>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// What a folder is called, also where it is named as `.`.
fn name_of(folder: &Path) -> String {
    let absolute: PathBuf = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    absolute.file_name().map_or_else(|| "run".to_owned(), escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caveat_names_no_film() {
        let text = "2 films of data lie in two classes, or under labels that contradict each other, by their content: \
                    JANE-DOE.png, b.png; they are left out";
        let said = without_films("two_classes", text);
        assert_eq!(
            (said.contains("JANE"), said.starts_with("2 films lie in two classes"), count_in(text)),
            (false, true, Some(2))
        );
        assert_eq!(without_films("no_patients", "nobody knows whose"), "nobody knows whose");
        assert!(!without_films("two_classes", "JANE").contains("JANE"));
    }
}
