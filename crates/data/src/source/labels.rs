//! `labels.csv`: a line a film, a column a label.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::LABELS;
use super::class_folders::refuse_other_names;
use super::lines::Lines;
use crate::display::escape;
use crate::error::DataError;
use crate::film_set::{Film, FilmFacts, FilmSet, Layout};
use crate::folder::Folder;
use crate::label::{Label, Task};
use crate::names::Split;
use crate::passed_over::Tally;
use crate::patient::PatientRule;

/// The first column.
const PATH: &str = "path";
/// Names of columns that other tables have and that are no labels: taking one for a label would train on it.
const NO_LABELS: [&str; 9] = ["path", "patient", "patient_id", "group", "split", "side", "hash", "label", "class"];

/// Whether there is a table of this kind: its first column is `path`, and none is a class. Only its beginning is read.
pub(super) fn is_table(file: &Path) -> Result<bool, DataError> {
    if !file.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    let opened = fs::File::open(file).and_then(|file| file.take(65_536).read_to_end(&mut start));
    opened.map_err(|source| DataError::Read { path: file.to_path_buf(), source })?;
    let header = without_mark(&start).split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
    let mut names = header.split(|byte| *byte == b',').map(|name| name.trim_ascii().trim_ascii());
    let plain = |name: &[u8]| String::from_utf8_lossy(name).trim_matches('"').to_lowercase();
    Ok(names.next().map(plain).as_deref() == Some(PATH)
        && !names.any(|name| ["label", "class"].contains(&plain(name).as_str())))
}

/// What to say of a table that begins otherwise.
pub(super) fn no_path_column(file: &Path) -> DataError {
    let reason = "the first column is not path; the columns are path and a label each".to_string();
    DataError::Labels { path: file.to_path_buf(), line: 1, reason }
}

/// The films of a folder with a table.
pub(super) fn list(root: &Path, patient: &PatientRule) -> Result<FilmSet, DataError> {
    let file = root.join(LABELS);
    let Table { labels, rows } = read(&file)?;
    let mut unseen: HashMap<&PathBuf, &Row> = rows.iter().collect();
    let mut unlabelled = Vec::new();
    let mut label_all = |paths: Vec<PathBuf>| -> Vec<Film> {
        let film = |path: PathBuf| {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            let Some(row) = unseen.remove(&relative) else {
                unlabelled.push(path);
                return None;
            };
            let facts = FilmFacts { row: Some(row.line), ..FilmFacts::default() };
            Some(Film { path, label: Label::Row(row.values.clone()), group: String::new(), facts })
        };
        paths.into_iter().filter_map(film).collect()
    };
    let folder = Folder::read(root)?;
    let mut tally = Tally::default();
    let has_splits = Split::ALL.iter().any(|split| folder.folder(split.name()).is_some());
    let mut places = vec![root.to_path_buf()];
    let mut layout = if has_splits {
        refuse_other_names(&folder)?;
        let mut of = |split: Split| -> Option<Vec<Film>> {
            folder.folder(split.name()).map(|inner| label_all(inner.films_below(&mut tally)))
        };
        let layout = Layout::Splits { train: of(Split::Train), val: of(Split::Val), test: of(Split::Test) };
        for (name, other) in &folder.folders {
            if Split::ALL.iter().all(|split| name != split.name()) {
                other.tally_all("beside the splits", &mut tally);
            }
        }
        folder.tally_own(&mut tally);
        places = Split::ALL.map(|split| root.join(split.name())).into();
        layout
    } else {
        Layout::Flat(label_all(folder.films_below(&mut tally)))
    };
    if let Some(row) = unseen.values().min_by_key(|row| row.line) {
        let place = if has_splits { " in train, val or test" } else { "" };
        let reason = format!("there is no film {}{place}", escape(&row.path));
        return Err(DataError::Labels { path: file, line: row.line, reason });
    }
    if let Some(first) = unlabelled.first() {
        return Err(DataError::FilmsWithoutLabels { first: first.clone(), films: unlabelled.len(), path: file });
    }
    let patients = patient.assign(root, &[], layout.films_mut());
    let (passed_over, notes) = (tally.finish(), Vec::new());
    Ok(FilmSet {
        root: root.to_path_buf(),
        task: Task::AnyOf,
        classes: labels,
        layout,
        places,
        patients,
        passed_over,
        notes,
        table: None,
    })
}

struct Table {
    labels: Vec<String>,
    rows: BTreeMap<PathBuf, Row>,
}

struct Row {
    line: u64,
    /// As it stands there.
    path: String,
    values: Vec<Option<bool>>,
}

fn read(file: &Path) -> Result<Table, DataError> {
    let bytes = fs::read(file).map_err(|source| DataError::Read { path: file.to_path_buf(), source })?;
    let wrong = |line: u64, reason: String| DataError::Labels { path: file.to_path_buf(), line, reason };
    let text = without_mark(&bytes);
    let mut lines = Lines::of(text);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut labels: Option<Vec<String>> = None;
    let mut rows: BTreeMap<PathBuf, Row> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(lines.at(error.position()), error.to_string()))?;
        let line = lines.at(record.position());
        let cells: Vec<&str> = record.iter().collect();
        let Some(labels) = &labels else {
            labels = Some(titles(&cells).map_err(|reason| wrong(line, reason))?);
            continue;
        };
        let (path, row) = parse(&cells, line, labels).map_err(|reason| wrong(line, reason))?;
        if let Some(earlier) = rows.get(&path) {
            return Err(wrong(line, format!("{} stands on line {} already", escape(&row.path), earlier.line)));
        }
        rows.insert(path, row);
    }
    let labels = labels.ok_or_else(|| no_path_column(file))?;
    if rows.is_empty() {
        return Err(wrong(2, "there is no film; a line each is expected".to_string()));
    }
    Ok(Table { labels, rows })
}

/// The labels, from the first line.
fn titles(cells: &[&str]) -> Result<Vec<String>, String> {
    let labels = cells.get(1..).unwrap_or_default();
    if labels.is_empty() {
        return Err("there is no label; the columns are path and a label each".to_string());
    }
    let mut seen = HashSet::new();
    for (index, label) in labels.iter().enumerate() {
        let column = index + 2;
        if label.trim().is_empty() {
            return Err(format!("column {column} has no name"));
        }
        if NO_LABELS.contains(&label.trim().to_lowercase().as_str()) {
            return Err(format!(
                "column {column} is called {} and no label by its name; the columns are path and a label each",
                escape(label)
            ));
        }
        if !seen.insert(*label) {
            return Err(format!("two columns are called {}", escape(label)));
        }
    }
    Ok(labels.iter().map(|label| (*label).to_string()).collect())
}

fn parse(cells: &[&str], line: u64, labels: &[String]) -> Result<(PathBuf, Row), String> {
    let (Some((&path, values)), true) = (cells.split_first(), cells.len() == labels.len() + 1) else {
        return Err(format!("{} cells instead of {}", cells.len(), labels.len() + 1));
    };
    // A table must not lead out of the data set.
    if path.split('/').any(|part| part.is_empty() || part == "." || part == ".." || part.contains('\0')) {
        return Err(format!("{} is not a path below the data set", escape(path)));
    }
    let value = |(&cell, label): (&&str, &String)| match cell.trim() {
        "1" => Ok(Some(true)),
        "0" => Ok(Some(false)),
        "" => Ok(None),
        _ => Err(format!("{} is {}: a label is 1, 0 or empty where it is unknown", escape(label), escape(cell))),
    };
    let values = values.iter().zip(labels).map(value).collect::<Result<_, _>>()?;
    Ok((path.split('/').collect(), Row { line, path: path.to_string(), values }))
}

/// A text without the mark that some programs put before UTF-8.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
