//! The table of a long prediction: a row a film, written as the films are scored, and gone on with after an interruption.

mod appended;

use std::path::{Path, PathBuf};

use appended::Appended;
use lungfish_data::display::{cell, escape};

use crate::origin::{Origin, UID, UNLIKE, beside};
use crate::predict::Outcome;
use crate::table::{Column, Format, Kind, head, of_parquet, to_parquet};
use crate::{Error, FilmList, Predictor};

/// What stands in the file beside the table.
const FORMAT: &str = "lungfish.scores.1";

/// A table with a row for each film of a [`FilmList`], in its order: `path`, `predicted`, a probability for each class
/// under its name, `error`, which says why there is none, and, where any of the films is a DICOM, `uid`, its
/// SOPInstanceUID as [`Predictor::with_uids`] has it, and where the model can say it, `unlike`, how unlike its training films the
/// film is ([`Prediction::unlike`](crate::Prediction::unlike)). Beside it lies a file of the same name with `.json` after it, which
/// says by which model.
///
/// The file is CSV. A row is written whole or, when a disk is full or the program is killed, cut off the next time: what
/// [`resume`] adds to makes the same file, byte for byte, as a prediction that nothing interrupted.
///
/// A file whose name ends in `.parquet` is Parquet, and there when [`finish`] is asked for with all rows; until then the
/// rows are in a CSV file beside it, whose name has `.part.csv` after it. What would lie beside a CSV file is inside it.
///
/// [`resume`]: ScoresFile::resume
/// [`finish`]: ScoresFile::finish
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
    format: Format,
    columns: Vec<Column>,
    origin: Origin,
    /// The CSV file that grows; none where a Parquet file was finished before.
    grows: Option<Appended>,
    rows: usize,
    bad: usize,
    /// Rows when it is whole.
    of: usize,
}

impl ScoresFile {
    /// Begins a table. The folder is made where there is none.
    ///
    /// # Errors
    /// Nothing to score, a file that is there already, or one that cannot be written.
    pub fn create(path: &Path, predictor: &Predictor, films: &FilmList) -> Result<Self, Error> {
        let mut scores = Self::none(path, predictor, films)?;
        for there in [path, &scores.growing()] {
            if there.exists() {
                return Err(Error::refused(format!(
                    "{} is there already: go on with it with --resume, or name another file",
                    escape(there)
                )));
            }
        }
        scores.begin()?;
        Ok(scores)
    }

    /// Goes on with a table, whose rows have to be those of the first of these films; begins one where there is none.
    ///
    /// # Errors
    /// Nothing to score; a table that another model made, or of other columns or films; one that another process writes; one that cannot be
    /// read or written.
    pub fn resume(path: &Path, predictor: &Predictor, films: &FilmList) -> Result<Self, Error> {
        let mut scores = Self::none(path, predictor, films)?;
        if scores.format == Format::Parquet && path.exists() {
            scores.take_finished()?;
            return Ok(scores);
        }
        let growing = scores.growing();
        if growing.exists() {
            Origin::read_beside(&growing, FORMAT)?.require_like(&scores.origin, &growing)?;
            scores.go_on(&growing, films)?;
        } else {
            scores.begin()?;
        }
        Ok(scores)
    }

    /// A table without a file.
    fn none(path: &Path, predictor: &Predictor, films: &FilmList) -> Result<Self, Error> {
        films.require_films()?;
        let text = |name: &str| Column::new(name, Kind::Text);
        let classes = predictor.info().classes.iter().map(|class| Column::new(class, Kind::Number));
        let mut columns: Vec<Column> = ["path", "predicted"].map(text).into_iter().chain(classes).collect();
        columns.push(text(ERROR));
        if films.has_dicom() {
            columns.push(text(UID));
        }
        if predictor.tells_unlike() {
            columns.push(Column::new(UNLIKE, Kind::Number));
        }
        let format = Format::of(path, &columns)?;
        let mut origin = Origin::of(FORMAT, predictor, &columns)?;
        if format != Format::Csv {
            origin.films = Some(films.hash().to_string());
        }
        let (path, grows, rows, bad, of) = (path.to_owned(), None, 0, 0, films.len());
        Ok(ScoresFile { path, format, columns, origin, grows, rows, bad, of })
    }

    /// The CSV file that the rows are written to.
    fn growing(&self) -> PathBuf {
        match self.format {
            Format::Csv => self.path.clone(),
            Format::Parquet => {
                let mut name = self.path.file_name().unwrap_or_default().to_owned();
                name.push(".part.csv");
                self.path.with_file_name(name)
            }
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        let growing = self.growing();
        if let Some(folder) = growing.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        self.origin.write_beside(&growing)?;
        self.grows = Some(Appended::create(&growing, &head(&self.columns))?);
        Ok(())
    }

    /// Takes the whole rows of a file for those of the first films, and cuts off the rest.
    fn go_on(&mut self, growing: &Path, films: &FilmList) -> Result<(), Error> {
        let head = head(&self.columns);
        let (mut file, bytes) = Appended::open(growing)?;
        let other_columns = || {
            let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let first = escape(String::from_utf8_lossy(first).as_ref());
            Error::refused(format!("{} has the columns {first} and not {}", escape(growing), head.trim_end()))
        };
        // A last line without its end was being written.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let Some(rows) = bytes[..whole].strip_prefix(head.as_bytes()) else {
            if whole > 0 || !head.as_bytes().starts_with(&bytes) {
                return Err(other_columns());
            }
            file.keep(0)?;
            file.append(&head)?;
            self.grows = Some(file);
            return Ok(());
        };
        let mut films = films.paths();
        for line in rows.split_inclusive(|&byte| byte == b'\n') {
            self.rows += 1;
            let wrong = |what: String| {
                Error::refused(format!(
                    "row {} of {} {what}: give the films that it was begun with, in that order, or name another file",
                    self.rows,
                    escape(growing)
                ))
            };
            let Some(film) = films.next() else { return Err(wrong("is of a film that was not asked for".to_owned())) };
            let name = cell(&escape(film)) + ",";
            let Some(rest) = line.strip_prefix(name.as_bytes()) else {
                return Err(wrong(format!("is not of {}", escape(film))));
            };
            let cells = commas(rest) + 2;
            if cells != self.columns.len() {
                return Err(wrong(format!("has {cells} cells and not {}", self.columns.len())));
            }
            self.bad += usize::from(rest.starts_with(b","));
        }
        file.keep(whole)?;
        self.grows = Some(file);
        Ok(())
    }

    /// Takes a Parquet file for the whole table, if it is that.
    fn take_finished(&mut self) -> Result<(), Error> {
        let path = &self.path;
        let (theirs, rows) = of_parquet(path, &self.origin)?;
        theirs.require_like(&self.origin, path)?;
        if theirs.columns != self.origin.columns {
            return Err(Error::refused(format!(
                "{} has the columns {} and not {}",
                escape(path),
                escape(theirs.columns.join(",")),
                head(&self.columns).trim_end()
            )));
        }
        if theirs.format != FORMAT || theirs.films != self.origin.films || rows != self.of {
            return Err(Error::refused(format!(
                "{} has {rows} rows, and not those of the films that are asked for: give the films that it was made of, in \
                 that order, or name another file",
                escape(path)
            )));
        }
        (self.rows, self.bad) = (rows, theirs.unreadable.unwrap_or(0));
        // Left behind where it was killed at the very end.
        self.remove_growing()
    }

    /// Rows that are there.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of films that could not be scored.
    pub fn bad(&self) -> usize {
        self.bad
    }

    /// The file that has the rows so far: until it is finished, that of a Parquet file is another.
    pub fn rows_file(&self) -> &Path {
        self.grows.as_ref().map_or(&self.path, |file| file.path())
    }

    /// Writes the next rows. They are with the system when this returns, and on the disk within about a second.
    ///
    /// # Errors
    /// A file that cannot be written; it then ends after the last row that it had before.
    pub fn append(&mut self, outcomes: &[Outcome]) -> Result<(), Error> {
        let text: String = outcomes.iter().map(|outcome| row(outcome, &self.columns)).collect();
        if let Some(file) = &mut self.grows {
            file.append(&text)?;
        }
        self.rows += outcomes.len();
        self.bad += outcomes.iter().filter(|outcome| outcome.is_err()).count();
        Ok(())
    }

    /// Brings all rows to the disk; where all films have theirs, a Parquet file is made of them.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn finish(mut self) -> Result<(), Error> {
        let Some(file) = self.grows.take() else { return Ok(()) };
        file.sync()?;
        if self.format == Format::Parquet && self.rows == self.of {
            self.origin.unreadable = Some(self.bad);
            to_parquet(file.path(), &self.path, &self.columns, &self.origin)?;
            // Some systems remove no file that is open.
            drop(file);
            self.remove_growing()?;
        }
        Ok(())
    }

    /// Removes the rows that are in the Parquet file.
    fn remove_growing(&self) -> Result<(), Error> {
        let growing = self.growing();
        for file in [beside(&growing), growing] {
            match std::fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &file, e)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The column that says why a film has no probabilities.
const ERROR: &str = "error";

/// A row with its line break.
fn row(outcome: &Outcome, columns: &[Column]) -> String {
    let mut cells = Vec::with_capacity(columns.len());
    // What comes after the error; a class may have any of these names.
    let error = columns.iter().rposition(|column| column.name == ERROR).unwrap_or(columns.len());
    let has = |name: &str| columns.iter().skip(error).any(|column| column.name == name);
    let probabilities = error.saturating_sub(2);
    let uid = match outcome {
        Ok(film) => {
            cells.extend([cell(&escape(&film.path)), cell(&escape(film.called.words()))]);
            cells.extend(film.probabilities.iter().map(|(_, probability)| probability.to_string()));
            cells.push(String::new());
            &film.uid
        }
        Err(film) => {
            cells.push(cell(&escape(&film.path)));
            cells.resize(probabilities + 2, String::new());
            cells.push(cell(&escape(&film.reason)));
            &film.uid
        }
    };
    if has(UID) {
        cells.push(uid.as_ref().map_or_else(String::new, |uid| cell(&escape(uid))));
    }
    if has(UNLIKE) {
        let unlike = outcome.as_ref().ok().and_then(|film| film.unlike);
        cells.push(unlike.map_or_else(String::new, |share| share.to_string()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BadFilm, Prediction};

    #[test]
    fn rows_are_safe_in_a_spreadsheet_and_whole_on_one_line() {
        let text = |name: &str| Column::new(name, Kind::Text);
        let number = |name: &str| Column::new(name, Kind::Number);
        let columns = [text("path"), text("predicted"), number("A"), number("=B"), text("error"), text(UID)];
        let mut film =
            Prediction::new("=cmd,x.png", crate::Task::OneOf, vec![("A".to_owned(), 0.25), ("=B\n".to_owned(), 0.75)]);
        assert_eq!(row(&Ok(film.clone()), &columns[..5]), "\"'=cmd,x.png\",'=B\\x0a,0.25,0.75,\n");
        assert_eq!(row(&Ok(film.clone()), &columns), "\"'=cmd,x.png\",'=B\\x0a,0.25,0.75,,\n");
        film.uid = Some("=1.2,\n".to_owned());
        assert_eq!(row(&Ok(film.clone()), &columns), "\"'=cmd,x.png\",'=B\\x0a,0.25,0.75,,\"'=1.2,\\x0a\"\n");
        let mut bad = BadFilm::new("a \"b\".png", "cut,\noff");
        let line = row(&Err(bad.clone()), &columns[..5]);
        assert_eq!(line, "\"a \"\"b\"\".png\",,,,\"cut,\\x0aoff\"\n");
        assert_eq!((commas(line.as_bytes()), commas(b"1,2,\n")), (4, 2));
        let with_unlike = [&columns[..], &[Column::new(UNLIKE, Kind::Number)]].concat();
        film.unlike = Some(0.5);
        assert!(row(&Ok(film), &with_unlike).ends_with("\"'=1.2,\\x0a\",0.5\n"));
        assert!(row(&Err(bad.clone()), &with_unlike).ends_with("off\",,\n"));
        bad.uid = Some("1.2".to_owned());
        assert_eq!(row(&Err(bad), &columns), "\"a \"\"b\"\".png\",,,,\"cut,\\x0aoff\",1.2\n");
    }
}
