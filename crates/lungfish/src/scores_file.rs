//! The table of a long prediction: a row a film, written as the films are scored, and gone on with after an interruption.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lungfish_data::ContentHash;
use lungfish_data::display::{cell, escape};
use serde::{Deserialize, Serialize};

use crate::model::NOTICE;
use crate::predict::Outcome;
use crate::run_folder::write_atomically;
use crate::{Error, FilmList, Predictor, Tta};

/// What stands in the file beside the table.
const FORMAT: &str = "lungfish.scores.1";
/// Rows are with the system as soon as they are written, and on the disk no later than this.
const SYNC: Duration = Duration::from_secs(1);

/// A CSV file with a row for each film of a [`FilmList`], in its order: `path`, `predicted`, a probability for each class
/// under its name, and `error`, which says why there is none. Beside it lies a file of the same name with `.json` after
/// it, which says by which model.
///
/// A row is written whole or, when a disk is full or the program is killed, cut off the next time: what [`resume`] adds to
/// makes the same file, byte for byte, as a prediction that nothing interrupted.
///
/// [`resume`]: ScoresFile::resume
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use lungfish::{FilmList, Predictor, ScoresFile, Silent, Watch};
///
/// let mut predictor = Predictor::open("run".as_ref())?;
/// let films = FilmList::new(&["films".into()]);
/// let mut scores = ScoresFile::resume("scores.csv".as_ref(), &predictor, &films)?;
/// let stop = AtomicBool::new(false);
/// let mut quiet = Silent;
/// predictor.predict_each(&films, scores.rows(), &mut Watch::new(&mut quiet, &stop), |batch| scores.append(&batch))?;
/// scores.finish()?;
/// # Ok::<(), lungfish::Error>(())
/// ```
#[derive(Debug)]
pub struct ScoresFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole rows, the head among them.
    length: u64,
    rows: usize,
    bad: usize,
    classes: usize,
    synced: Instant,
}

/// What is known of a table beyond its rows.
#[derive(Serialize, Deserialize)]
struct Origin {
    format: String,
    /// Columns of the table.
    columns: Vec<String>,
    /// The model file, as it was named.
    model: String,
    /// The first 16 bytes of the SHA-256 of the model file, in hexadecimal digits.
    model_hash: String,
    architecture: String,
    /// The views over which what is said of a film was averaged.
    #[serde(default, skip_serializing_if = "Tta::is_none")]
    tta: Tta,
    /// Whether the model has learnt from synthetic films, and says nothing of real ones.
    synthetic: bool,
    /// The version of lungfish that wrote it.
    version: String,
    notice: String,
}

impl Origin {
    fn of(predictor: &Predictor) -> Result<Self, Error> {
        let (info, model) = (predictor.info(), predictor.file());
        let bytes = fs::read(model).map_err(|e| Error::io("read", model, e))?;
        let columns = ["path", "predicted"].into_iter().chain(info.classes.iter().map(String::as_str));
        Ok(Origin {
            format: FORMAT.to_owned(),
            columns: columns.chain(["error"]).map(str::to_owned).collect(),
            model: escape(model),
            model_hash: ContentHash::of(&bytes).to_string(),
            architecture: info.architecture.to_string(),
            tta: predictor.tta(),
            synthetic: info.synthetic,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            notice: NOTICE.to_owned(),
        })
    }

    fn head(&self) -> String {
        self.columns.iter().map(|name| cell(&escape(name))).collect::<Vec<_>>().join(",") + "\n"
    }
}

impl ScoresFile {
    /// Begins a table. The folder is made where there is none.
    ///
    /// # Errors
    /// Nothing to score, a file that is there already, or one that cannot be written.
    pub fn create(path: &Path, predictor: &Predictor, films: &FilmList) -> Result<Self, Error> {
        films.require_films()?;
        if path.exists() {
            return Err(Error::refused(format!(
                "{} is there already: go on with it with --resume, or name another file",
                escape(path)
            )));
        }
        Self::begin(path, predictor, &Origin::of(predictor)?)
    }

    /// Goes on with a table, whose rows have to be those of the first of these films; begins one where there is none.
    ///
    /// # Errors
    /// Nothing to score; a table that another model made, or of other columns or films; one that another process writes; one that cannot be
    /// read or written.
    pub fn resume(path: &Path, predictor: &Predictor, films: &FilmList) -> Result<Self, Error> {
        films.require_films()?;
        let ours = Origin::of(predictor)?;
        if !path.exists() {
            return Self::begin(path, predictor, &ours);
        }
        let theirs = read_origin(path)?;
        if theirs.model_hash != ours.model_hash {
            return Err(Error::refused(format!(
                "{} was made by another model ({}, content {}) than {} (content {}): name another file",
                escape(path),
                escape(&theirs.model),
                theirs.model_hash,
                ours.model,
                ours.model_hash
            )));
        }
        if theirs.tta != ours.tta {
            return Err(Error::refused(format!(
                "{} was made with tta {} and {} is asked for: name another file",
                escape(path),
                theirs.tta,
                ours.tta
            )));
        }
        let head = ours.head();
        let file = File::options().read(true).write(true).open(path).map_err(|e| Error::io("write", path, e))?;
        lock(path, &file)?;
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let other_columns = || {
            let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let first = escape(String::from_utf8_lossy(first).as_ref());
            Error::refused(format!("{} has the columns {first} and not {}", escape(path), head.trim_end()))
        };
        // A last line without its end was being written.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let mut scores = ScoresFile {
            path: path.to_owned(),
            file,
            length: whole as u64,
            rows: 0,
            bad: 0,
            classes: predictor.info().classes.len(),
            synced: Instant::now(),
        };
        let Some(rows) = bytes[..whole].strip_prefix(head.as_bytes()) else {
            if whole > 0 || !head.as_bytes().starts_with(&bytes) {
                return Err(other_columns());
            }
            scores.cut().and_then(|()| scores.write(&head)).map_err(|e| Error::io("write", path, e))?;
            return Ok(scores);
        };
        let mut films = films.paths();
        for line in rows.split_inclusive(|&byte| byte == b'\n') {
            scores.rows += 1;
            let wrong = |what: String| {
                Error::refused(format!(
                    "row {} of {} {what}: give the films that it was begun with, in that order, or name another file",
                    scores.rows,
                    escape(path)
                ))
            };
            let Some(film) = films.next() else { return Err(wrong("is of a film that was not asked for".to_owned())) };
            let name = cell(&escape(film)) + ",";
            let Some(rest) = line.strip_prefix(name.as_bytes()) else {
                return Err(wrong(format!("is not of {}", escape(film))));
            };
            let commas = commas(rest);
            if commas != scores.classes + 1 {
                return Err(wrong(format!("has {} cells and not {}", commas + 2, ours.columns.len())));
            }
            scores.bad += usize::from(rest.starts_with(b","));
        }
        scores.cut().map_err(|e| Error::io("write", path, e))?;
        Ok(scores)
    }

    fn begin(path: &Path, predictor: &Predictor, origin: &Origin) -> Result<Self, Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        let text = serde_json::to_string_pretty(origin).map_err(|e| Error::io("write", path, e.into()))? + "\n";
        write_atomically(&beside(path), text.as_bytes())?;
        let io = |e| Error::io("write", path, e);
        let file = File::options().read(true).write(true).create_new(true).open(path).map_err(io)?;
        lock(path, &file)?;
        let (length, rows, bad, classes) = (0, 0, 0, predictor.info().classes.len());
        let mut scores = ScoresFile { path: path.to_owned(), file, length, rows, bad, classes, synced: Instant::now() };
        scores.write(&origin.head()).and_then(|()| scores.file.sync_all()).map_err(io)?;
        Ok(scores)
    }

    /// Rows that are there.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of films that could not be scored.
    pub fn bad(&self) -> usize {
        self.bad
    }

    /// Writes the next rows. They are with the system when this returns, and on the disk within about a second.
    ///
    /// # Errors
    /// A file that cannot be written; it then ends after the last row that it had before.
    pub fn append(&mut self, outcomes: &[Outcome]) -> Result<(), Error> {
        let text: String = outcomes.iter().map(|outcome| row(outcome, self.classes)).collect();
        let mut written = self.write(&text);
        if written.is_ok() && self.synced.elapsed() >= SYNC {
            written = self.file.sync_data();
            self.synced = Instant::now();
        }
        if let Err(error) = written {
            // What is left of a row is cut off; a disk that does not even do that leaves it to the next start.
            let _ = self.cut();
            return Err(Error::io("write", &self.path, error));
        }
        self.rows += outcomes.len();
        self.bad += outcomes.iter().filter(|outcome| outcome.is_err()).count();
        Ok(())
    }

    /// Brings all rows to the disk.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn finish(self) -> Result<(), Error> {
        self.file.sync_all().map_err(|e| Error::io("write", &self.path, e))
    }

    /// Writes after the whole rows; these count as whole where it succeeds.
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Makes the file end after its last whole row.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(|_| ())
    }
}

/// A row with its line break.
fn row(outcome: &Outcome, classes: usize) -> String {
    let mut cells = Vec::with_capacity(classes + 3);
    match outcome {
        Ok(film) => {
            cells.extend([cell(&escape(&film.path)), cell(&escape(film.called.words()))]);
            cells.extend(film.probabilities.iter().map(|(_, probability)| probability.to_string()));
            cells.push(String::new());
        }
        Err(film) => {
            cells.push(cell(&escape(&film.path)));
            cells.resize(classes + 2, String::new());
            cells.push(cell(&escape(&film.reason)));
        }
    }
    cells.join(",") + "\n"
}

/// Commas between cells: those in quotes are text.
fn commas(line: &[u8]) -> usize {
    let mut quoted = false;
    let mut count = 0;
    for byte in line {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

/// The file that says by which model a table was made.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    path.with_file_name(name)
}

fn read_origin(path: &Path) -> Result<Origin, Error> {
    let file = beside(path);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::not_found(format!(
                "nobody knows which model made {}: {} is not there; name another file",
                escape(path),
                escape(&file)
            )));
        }
        read => read.map_err(|e| Error::io("read", &file, e))?,
    };
    let origin: Result<Origin, _> = serde_json::from_str(&text);
    origin.ok().filter(|origin| origin.format == FORMAT).ok_or_else(|| {
        Error::damaged(format!("{} does not say which model made {}: name another file", escape(&file), escape(path)))
    })
}

fn lock(path: &Path, file: &File) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::refused(format!("another process is writing {}", escape(path)))),
        // A file system without locks (some network ones) must not keep a person from predicting.
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BadFilm, Prediction};

    #[test]
    fn rows_are_safe_in_a_spreadsheet_and_whole_on_one_line() {
        let film =
            Prediction::new("=cmd,x.png", crate::Task::OneOf, vec![("A".to_owned(), 0.25), ("=B\n".to_owned(), 0.75)]);
        assert_eq!(row(&Ok(film), 2), "\"'=cmd,x.png\",'=B\\x0a,0.25,0.75,\n");
        let bad = row(&Err(BadFilm::new("a \"b\".png", "cut,\noff")), 2);
        assert_eq!(bad, "\"a \"\"b\"\".png\",,,,\"cut,\\x0aoff\"\n");
        assert_eq!((commas(bad.as_bytes()), commas(b"1,2,\n")), (4, 2));
        assert_eq!(beside(Path::new("a/scores.csv")), Path::new("a/scores.csv.json"));
    }
}
