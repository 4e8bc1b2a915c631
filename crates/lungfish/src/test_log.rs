//! How often the test split was opened: a film that has been looked at before is not new to those who choose.
//!
//! The first test of a model on test films is what a test is meant to be. Whoever then changes something and tests again chooses by
//! the test, a little each time. So each test leaves a line in `tests.jsonl` of the run folder (of a model file that lies in none:
//! beside it), every later one says for the how manieth time it looks, and a training that goes on from such a run says so too.
//! A line has the hash of the one before it, so that one that is missing is noticed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use lungfish_data::display::escape;
use lungfish_data::{CheckedFilm, ContentHash};
use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::{Caveat, CaveatKind, Error, PointRule, Watch};

/// One line a test.
pub(crate) const FILE: &str = "tests.jsonl";

/// A test on test films.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// When, in UTC, such as `2026-11-29T04:20:10Z`.
    pub when: String,
    /// The content hash of the model file.
    pub model: String,
    /// Films that were scored.
    pub films: usize,
    /// The hash of their content hashes, sorted.
    pub content: String,
    /// The same of all films of the data set, on whatever split; none in lines of older versions.
    #[serde(default)]
    pub data: Option<String>,
    /// Where they were called.
    pub at: PointRule,
    pub accuracy: f64,
    pub auc: Option<f64>,
    pub loss: f64,
    /// The hash of the line before; none in the first.
    pub before: Option<String>,
}

/// For the how manieth time the test films were opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Opened {
    /// This time included: 1 is a test as it is meant.
    pub time: usize,
    /// When the first time was, in UTC.
    pub first: String,
    /// Other models, epochs or operating points of this run that were tested on test films before.
    pub others: usize,
    /// Runs in folders beside this one that were tested on films of the same data set: another seed or another recipe looks at the
    /// test, too.
    pub beside: usize,
}

impl Opened {
    /// What [`test`](crate::test) would say of such a time.
    pub fn new(time: usize, first: &str, others: usize) -> Self {
        Opened { time, first: first.to_owned(), others, beside: 0 }
    }
}

/// The tests of a run, or of a model file.
#[derive(Debug)]
pub(crate) struct TestLog {
    file: PathBuf,
    lines: Vec<String>,
    openings: Vec<Opening>,
    /// Whether a line is missing or was changed, or all of it is missing beside what a test wrote.
    broken: bool,
}

/// What a test of test films leaves in the run folder.
const LEFT: [&str; 2] = ["metrics-test.json", "metrics-test-last.json"];
/// Neighbouring folders that are looked at.
const NEIGHBOURS: usize = 1000;

impl TestLog {
    /// Of the run that a model is of, or beside the model file.
    pub(crate) fn of(model: &Model) -> Result<Self, Error> {
        let beside = || model.file().with_extension(FILE);
        Self::read(model.run.as_ref().map_or_else(beside, |run| run.join(FILE)))
    }

    /// Of a run folder.
    pub(crate) fn of_run(run: &Path) -> Result<Self, Error> {
        Self::read(run.join(FILE))
    }

    fn read(file: PathBuf) -> Result<Self, Error> {
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io("read", &file, error)),
        };
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let read: Vec<Option<Opening>> = lines.iter().map(|line| serde_json::from_str(line).ok()).collect();
        let hashes = lines.iter().map(|line| Some(ContentHash::of(line.as_bytes()).to_string()));
        let chained = |(opening, before): (&Option<Opening>, Option<String>)| {
            opening.as_ref().is_some_and(|opening| opening.before == before)
        };
        let left = |name: &&str| file.with_file_name(*name).exists();
        let lost = read.is_empty() && file.file_name().is_some_and(|name| name == FILE) && LEFT.iter().any(left);
        let broken = lost || !read.iter().zip(std::iter::once(None).chain(hashes)).all(chained);
        Ok(TestLog { file, lines, openings: read.into_iter().flatten().collect(), broken })
    }

    /// The lines that can be read, the first one first.
    pub(crate) fn openings(&self) -> &[Opening] {
        &self.openings
    }

    /// Whether a line is missing or was changed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes a test down and says for the how manieth time it looks. Where that cannot be written, it is said.
    pub(crate) fn open(mut self, opening: Opening, watch: &mut Watch<'_>) -> (Opened, Vec<Caveat>) {
        let mut others: Vec<(&str, PointRule)> =
            self.openings.iter().map(|past| (past.model.as_str(), past.at)).collect();
        others.retain(|past| *past != (opening.model.as_str(), opening.at));
        others.sort_by(|a, b| a.0.cmp(b.0).then_with(|| a.1.to_string().cmp(&b.1.to_string())));
        others.dedup();
        let opened = Opened {
            time: self.lines.len() + 1,
            first: self.openings.first().map_or_else(|| opening.when.clone(), |first| first.when.clone()),
            others: others.len(),
            beside: self.beside(&opening),
        };
        let mut caveats = Vec::new();
        if opened.others > 0 {
            let text = format!(
                "test films were opened {} before, first on {}, for {}: what was chosen since may have been chosen by them, and the \
                 numbers are then too good",
                times(opened.time - 1),
                opened.first,
                match opened.others {
                    1 => "another model, epoch or operating point".to_owned(),
                    n => format!("{n} other models, epochs or operating points"),
                }
            );
            caveats.push(Caveat::new(CaveatKind::Reopened, text));
        }
        if opened.beside > 0 {
            let text = format!(
                "test films of the same data were opened for {} in folders beside this one: who keeps the one whose test is best has \
                 chosen by the test, and its numbers are too good",
                if opened.beside == 1 { "another run".to_owned() } else { format!("{} other runs", opened.beside) }
            );
            caveats.push(Caveat::new(CaveatKind::Reopened, text));
        }
        if self.broken {
            let text = format!(
                "lines of {} are missing or changed: nobody knows how often test films were opened",
                escape(&self.file)
            );
            caveats.push(Caveat::new(CaveatKind::Reopened, text));
        }
        let before = self.lines.last().map(|line| ContentHash::of(line.as_bytes()).to_string());
        if let Ok(line) = serde_json::to_string(&Opening { before, ..opening }) {
            let append = || {
                let mut file = File::options().create(true).append(true).open(&self.file)?;
                file.write_all(format!("{line}\n").as_bytes())?;
                file.sync_data()
            };
            if let Err(error) = append() {
                watch.warn(format!("cannot write down in {} that test films were opened: {error}", escape(&self.file)));
            }
            self.lines.push(line);
        }
        (opened, caveats)
    }

    /// Runs in the folders beside this one that were tested on films of the same data set.
    fn beside(&self, opening: &Opening) -> usize {
        let Some(run) = self.file.parent().filter(|_| self.file.file_name().is_some_and(|name| name == FILE)) else {
            return 0;
        };
        let place = if run.as_os_str().is_empty() { Path::new(".") } else { run };
        let Ok(run) = fs::canonicalize(place) else { return 0 };
        let Some(entries) = run.parent().and_then(|parent| fs::read_dir(parent).ok()) else { return 0 };
        let others = entries.flatten().take(NEIGHBOURS).map(|entry| entry.path()).filter(|path| *path != run);
        let same = |path: &PathBuf| {
            let log = path.join(FILE);
            let tested = log.is_file().then(|| Self::read(log).ok()).flatten();
            // A run that goes on from the same file is another model; the very same model elsewhere is none.
            tested.is_some_and(|log| {
                log.openings.iter().any(|past| {
                    past.model != opening.model
                        && (past.content == opening.content || past.data.is_some() && past.data == opening.data)
                })
            })
        };
        others.filter(same).count()
    }

    /// What a training must carry on that goes on from here: its test is no longer blind.
    pub(crate) fn caveat(&self, run: &Path) -> Option<Caveat> {
        let first = self.openings.first()?;
        let text = format!(
            "the test films of {} were opened {} before this training began, first on {}: a test on them is too good if they had a \
             part in what was changed",
            escape(run),
            times(self.lines.len()),
            first.when
        );
        Some(Caveat::new(CaveatKind::Reopened, text))
    }
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// What identifies films: the hash of their content hashes, in order.
pub(crate) fn content_of<'a>(films: impl IntoIterator<Item = &'a CheckedFilm>) -> String {
    let mut hashes: Vec<String> = films.into_iter().map(|film| film.hash.to_string()).collect();
    hashes.sort_unstable();
    ContentHash::of(hashes.join("\n").as_bytes()).to_string()
}

/// Now, in UTC.
pub(crate) fn now() -> String {
    utc(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Seconds since 1970 as a date and a time (Hinnant, chrono-compatible low-level date algorithms, `civil_from_days`).
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + 400 * era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    fn opening(model: &str, at: PointRule) -> Opening {
        Opening {
            when: now(),
            model: model.to_owned(),
            films: 3,
            content: "c".to_owned(),
            data: Some("d".to_owned()),
            at,
            accuracy: 0.5,
            auc: None,
            loss: 0.7,
            before: None,
        }
    }

    fn opened(run: &Path, model: &str, at: PointRule) -> (Opened, Vec<String>) {
        let stop = std::sync::atomic::AtomicBool::new(false);
        let mut silent = Silent;
        let (opened, caveats) =
            TestLog::of_run(run).unwrap().open(opening(model, at), &mut Watch::new(&mut silent, &stop));
        (opened, caveats.into_iter().map(|caveat| caveat.text).collect())
    }

    #[test]
    fn every_test_is_counted_and_another_model_is_a_choice() {
        let dir = tempfile::tempdir().unwrap();
        let even = PointRule::default();
        assert_eq!(TestLog::of_run(dir.path()).unwrap().caveat(dir.path()), None);
        let (first, caveats) = opened(dir.path(), "a", even);
        assert_eq!((first.time, first.others, caveats.len()), (1, 0, 0));
        // The same once more tells nobody anything new.
        let (again, caveats) = opened(dir.path(), "a", even);
        assert_eq!((again.time, again.others, &again.first, caveats.len()), (2, 0, &first.first, 0));
        let (other, caveats) = opened(dir.path(), "b", even);
        assert_eq!((other.time, other.others), (3, 1));
        assert!(
            caveats[0].contains("opened 2 times before") && caveats[0].contains("for another model"),
            "{caveats:?}"
        );
        let (cut, caveats) = opened(dir.path(), "b", PointRule::Youden);
        assert_eq!((cut.time, cut.others), (4, 2));
        assert!(caveats[0].contains("2 other models, epochs or operating points"), "{caveats:?}");
        let text = TestLog::of_run(dir.path()).unwrap().caveat(Path::new("run")).unwrap().text;
        assert!(text.starts_with("the test films of run were opened 4 times before this training began"), "{text}");
    }

    #[test]
    fn another_seed_looks_at_the_test_too() {
        let dir = tempfile::tempdir().unwrap();
        let runs = ["a", "b", "c"].map(|name| dir.path().join(name));
        runs.iter().for_each(|run| fs::create_dir(run).unwrap());
        let even = PointRule::default();
        assert_eq!(opened(&runs[0], "a", even).0.beside, 0);
        let (second, caveats) = opened(&runs[1], "b", even);
        assert_eq!((second.time, second.beside), (1, 1));
        assert!(caveats[0].contains("opened for another run in folders beside this one"), "{caveats:?}");
        assert_eq!(opened(&runs[2], "c", even).0.beside, 2);
        // A copy of the same model is no other choice.
        let copy = dir.path().join("copy");
        fs::create_dir(&copy).unwrap();
        fs::remove_dir_all(&runs[1]).unwrap();
        fs::remove_dir_all(&runs[2]).unwrap();
        assert_eq!(opened(&copy, "a", even).0.beside, 0);
    }

    #[test]
    fn a_log_that_is_gone_is_noticed_by_what_the_test_left() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("metrics-test.json"), "{}").unwrap();
        let (_, caveats) = opened(dir.path(), "a", PointRule::default());
        assert!(caveats.last().unwrap().contains("are missing or changed"), "{caveats:?}");
    }

    #[test]
    fn a_line_that_is_missing_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for model in ["a", "b", "c"] {
            opened(dir.path(), model, PointRule::default());
        }
        let file = dir.path().join(FILE);
        let lines = fs::read_to_string(&file).unwrap();
        let without: Vec<&str> = lines.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line).collect();
        fs::write(&file, without.join("\n") + "\n").unwrap();
        let (_, caveats) = opened(dir.path(), "c", PointRule::default());
        assert!(caveats.last().unwrap().contains("are missing or changed"), "{caveats:?}");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_925_999, "2026-11-29T04:19:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
