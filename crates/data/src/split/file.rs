//! `split.csv`: path, label, group, split, hash of the file, hash of the pixels; a line a film.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Splits;
use crate::check::CheckedFilm;
use crate::display::{cell, escape, escape_exactly, uncell, unescape};
use crate::error::DataError;
use crate::film_set::{Film, FilmFacts};
use crate::label::{Label, Task};
use crate::names::Split;

const COLUMNS: [&str; 6] = ["path", "label", "group", "split", "hash", "pixels"];
/// What an older version wrote.
const OLD_COLUMNS: [&str; 5] = ["path", "label", "group", "side", "hash"];

impl Splits {
    /// The text of `split.csv`. Paths are relative to `root` and joined by `/`; a label is the name of its class, or in an
    /// any-of data set 1, 0 or ? (unknown) for each label, with spaces between. What is no plain
    /// text in a name is escaped (`\x1b`, `\\`), and what a spreadsheet would run is neutralised; [`Splits::read_csv`]
    /// undoes both.
    pub fn to_csv(&self, root: &Path, classes: &[String]) -> String {
        let mut text = COLUMNS.join(",") + "\n";
        for split in Split::ALL {
            for CheckedFilm { film, hash, pixels } in self.of(split) {
                let names = film.path.strip_prefix(root).unwrap_or(&film.path).components();
                let path: Vec<String> = names.map(|name| escape_exactly(name.as_os_str())).collect();
                let label = film.label.to_cell(classes);
                let group = escape_exactly(film.group.as_ref());
                let pixels = pixels.map_or_else(String::new, |pixels| pixels.to_string());
                let cells = [&path.join("/"), &label, &group, split.name(), &hash.to_string(), &pixels].map(cell);
                text += &(cells.join(",") + "\n");
            }
        }
        text
    }

    /// Reads what [`Splits::to_csv`] wrote, for films that lie below `root`, which may have moved.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is none of ours: its number and what is wrong with it.
    pub fn read_csv(path: &Path, root: &Path, task: Task, classes: &[String]) -> Result<Self, DataError> {
        let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
        let wrong = |line: u64, reason: String| DataError::SplitFile { path: path.to_path_buf(), line, reason };
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes.as_slice());
        let mut splits = Self::default();
        let mut columns = 0;
        for record in reader.records() {
            let record =
                record.map_err(|error| wrong(error.position().map_or(0, csv::Position::line), error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            if columns == 0 {
                if record != COLUMNS[..] && record != OLD_COLUMNS[..] {
                    return Err(wrong(line, format!("the columns are not {}", COLUMNS.join(","))));
                }
                columns = record.len();
                continue;
            }
            let cells: Vec<&str> = record.iter().map(uncell).collect();
            let cells = match cells[..] {
                [path, label, group, split, hash] if columns == OLD_COLUMNS.len() => {
                    [path, label, group, split, hash, ""]
                }
                [path, label, group, split, hash, pixels] if columns == COLUMNS.len() => {
                    [path, label, group, split, hash, pixels]
                }
                _ => return Err(wrong(line, format!("{} cells instead of {columns}", cells.len()))),
            };
            let (split, film) = parse(root, task, classes, cells).map_err(|reason| wrong(line, reason))?;
            match split {
                Split::Train => splits.train.push(film),
                Split::Val => splits.val.push(film),
                Split::Test => splits.test.push(film),
            }
        }
        if columns == 0 {
            return Err(wrong(1, "the file is empty".to_string()));
        }
        Ok(splits)
    }
}

fn parse(
    root: &Path,
    task: Task,
    classes: &[String],
    [path, label, group, split, hash, pixels]: [&str; 6],
) -> Result<(Split, CheckedFilm), String> {
    let name = |text: &str| unescape(text).and_then(os_string).ok_or_else(|| format!("{} is no name", escape(text)));
    let relative: PathBuf = path.split('/').map(name).collect::<Result<_, _>>()?;
    // A split file must not lead out of the data set.
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.split('/').any(str::is_empty) {
        return Err(format!("{} is not a path below the data set", escape(path)));
    }
    let label = Label::from_cell(task, label, classes)?;
    let group = name(group)?.to_string_lossy().into_owned();
    let split: Split = split.parse().map_err(|error| format!("{error}"))?;
    let content = |text: &str| text.parse().map_err(|error| format!("{error}"));
    let hash = content(hash)?;
    let pixels = if pixels.is_empty() { None } else { Some(content(pixels)?) };
    let film = Film { path: root.join(relative), label, group, facts: FilmFacts::default() };
    Ok((split, CheckedFilm { film, hash, pixels }))
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}
