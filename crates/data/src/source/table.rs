//! Films whose labels are in a table: CSV as people export it, and the tables of NIH, CheXpert, RSNA and covid-chestxray.

mod beside;
mod columns;
mod places;
mod text;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

pub use columns::{Columns, Uncertain};

use columns::{Labels, Roles, roles, value};
use places::{Found, Places};

use crate::decode::what_else;
use crate::display::escape;
use crate::error::DataError;
use crate::film_set::{Film, FilmFacts, FilmSet, Layout};
use crate::folder::{Folder, require_folder, split_of};
use crate::label::{Label, Task};
use crate::names::Split;
use crate::passed_over::Tally;
use crate::patient::{PatientRule, PatientSource};

/// How the labels of films are read from a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRule {
    /// Which column is what.
    pub columns: Columns,
    /// What is made of a label that is uncertain.
    pub uncertain: Uncertain,
}

/// Names for a film that has none of the labels, in a column of labels with `|` between.
const NOTHING_FOUND: [&str; 4] = ["nofinding", "nofindings", "none", "normal"];
/// Lists of NIH's films that lie beside its table, and the split that they are of.
const LISTS: [(&str, Split); 3] =
    [("train_val_list.txt", Split::Train), ("val_list.txt", Split::Val), ("test_list.txt", Split::Test)];

/// Lists the films below `root` that a table has a row for, and those elsewhere that it names by their whole paths.
///
/// # Errors
/// A folder or table that cannot be read, columns that are not there, a cell that is none, two rows that contradict each
/// other, no film at all.
pub(super) fn list(root: &Path, file: &Path, rule: &TableRule, patients: &PatientRule) -> Result<FilmSet, DataError> {
    require_folder(root)?;
    let wrong = |line: u64, reason: String| DataError::Labels { path: file.to_path_buf(), line, reason };
    let bytes = fs::read(file).map_err(|source| DataError::Read { path: file.to_path_buf(), source })?;
    if let Some(what) = what_else(&bytes[..bytes.len().min(512)]) {
        return Err(wrong(1, format!("the file is {what}, and no table: export it as CSV")));
    }
    let mut rows = text::rows(&bytes).map_err(|(line, reason)| wrong(line, reason))?.into_iter();
    let header = rows.next().ok_or_else(|| wrong(1, "the table is empty".to_owned()))?;
    let mut rows: Vec<text::Row> = rows.collect();
    let roles = roles(&header.cells, &rows, &rule.columns).map_err(|reason| wrong(header.line, reason))?;
    let mut joined = Vec::new();
    for (table, split, others) in beside::tables(file, &header.cells).into_iter().filter(|_| roles.split.is_none()) {
        rows.iter_mut().for_each(|row| row.split = row.split.or(Some(Split::Train)));
        joined.push(format!("{} lies beside it: its {} rows are the {split} split", escape(&table), others.len()));
        rows.extend(others.into_iter().map(|row| text::Row { split: Some(split), beside: true, ..row }));
    }
    let mut tally = Tally::default();
    let mut films = Folder::read(root)?.films_below(&mut tally);
    let mut below: Vec<PathBuf> =
        films.iter().map(|film| film.strip_prefix(root).unwrap_or(film).to_path_buf()).collect();
    let mut places = Places::of(&below);
    let elsewhere = elsewhere(&rows, &roles, &places);
    let lie_elsewhere = elsewhere.len();
    if lie_elsewhere > 0 {
        films.extend(elsewhere.iter().cloned());
        below.extend(elsewhere);
        places = Places::of(&below);
    }
    let told = Told::of(&rows, &roles, rule, &places).map_err(|(line, reason)| wrong(line, reason))?;
    let lists = lists(&[Some(root), file.parent()])?;
    let mut notes = told.notes(file, root, &below);
    notes.extend(joined);
    if lie_elsewhere > 0 {
        let (root, file) = (escape(root), escape(file));
        let are = if lie_elsewhere == 1 { "is" } else { "are" };
        notes.push(format!("{lie_elsewhere} of them {are} not in {root}: {file} has the whole path"));
    }
    let classes = told.names();
    if classes.is_empty() && !told.of_film.is_empty() {
        let reason = "no row of a film that is there names a label: there is nothing to tell films apart by".to_owned();
        return Err(wrong(header.line, reason));
    }
    let task = told.task;
    let mut seen: BTreeMap<Option<Split>, Vec<Film>> = BTreeMap::new();
    let (mut with_patient, mut in_folders) = (0, true);
    let mut all = Vec::new();
    for (at, path) in films.iter().enumerate() {
        let Some(row) = told.of_film.get(&at) else {
            tally.add("without a label in the table", path, true);
            continue;
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = below[at].iter().next().filter(|_| below[at].iter().count() > 1).and_then(split_of);
        in_folders &= folder.is_some();
        with_patient += usize::from(row.patient.is_some());
        let facts = FilmFacts { row: row.line, patient_told: row.patient.is_some(), ..FilmFacts::default() };
        let film = Film {
            path: path.clone(),
            label: told.label(row, &classes),
            group: row.patient.clone().unwrap_or_default(),
            facts,
        };
        all.push((film, row.split.or_else(|| lists.get(&*name).copied()), folder));
    }
    if all.is_empty() {
        return Err(DataError::NoFilmOfTable { root: root.to_path_buf(), table: file.to_path_buf(), rows: rows.len() });
    }
    let listed = all.iter().filter(|(_, split, _)| split.is_some()).count();
    for (film, split, folder) in all {
        // What the table or a list says, else the folder, where all films lie in folders of splits.
        let split = if listed > 0 { Some(split.unwrap_or(Split::Train)) } else { folder.filter(|_| in_folders) };
        seen.entry(split).or_default().push(film);
    }
    let mut layout = match seen.remove(&None) {
        Some(films) => Layout::Flat(films),
        None => {
            let mut of = |split| seen.remove(&Some(split));
            Layout::Splits { train: of(Split::Train), val: of(Split::Val), test: of(Split::Test) }
        }
    };
    if listed > 0 && listed < layout.len() {
        notes.push(format!("{} films of which no split is told are on the train split", layout.len() - listed));
    }
    // A patient of the table is its own; of the other films, names may tell.
    let unknown = layout.films_mut().filter(|film| film.group.is_empty());
    let mut told_by = patients.assign(root, &classes, unknown);
    if with_patient > 0 {
        told_by.insert(PatientSource::Table, with_patient);
    }
    let places = vec![root.to_path_buf()];
    let passed_over = tally.finish();
    Ok(FilmSet {
        root: root.to_path_buf(),
        task,
        classes,
        layout,
        places,
        patients: told_by,
        passed_over,
        notes,
        table: Some(file.to_path_buf()),
    })
}

/// Films that rows name by a whole path, and that are not below the folder but where the path says.
fn elsewhere(rows: &[text::Row], roles: &Roles, places: &Places) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let paths = rows.iter().filter_map(|row| row.cells.get(roles.path)).filter(|cell| Path::new(cell).is_absolute());
    let missing = paths.filter(|cell| places.find(cell) == Found::Nothing);
    // In the table's order, each once.
    missing.map(PathBuf::from).filter(|path| path.is_file() && seen.insert(path.clone())).collect()
}

/// The cells of any table, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCells {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The cells of each row, with the line that it begins on.
    pub rows: Vec<(u64, Vec<String>)>,
}

impl TableCells {
    /// Reads a table.
    ///
    /// # Errors
    /// A file that cannot be read or is no table.
    pub fn read(file: &Path) -> Result<Self, DataError> {
        let wrong = |line: u64, reason: String| DataError::Labels { path: file.to_path_buf(), line, reason };
        let bytes = fs::read(file).map_err(|source| DataError::Read { path: file.to_path_buf(), source })?;
        let mut rows = text::rows(&bytes).map_err(|(line, reason)| wrong(line, reason))?.into_iter();
        let header = rows.next().ok_or_else(|| wrong(1, "the table is empty".to_owned()))?;
        Ok(TableCells { header: header.cells, rows: rows.map(|row| (row.line, row.cells)).collect() })
    }

    /// The cell of each row that has one in a column, by the row's line; none where there is no such column.
    pub fn column(&self, name: &str) -> Option<BTreeMap<u64, &str>> {
        let at = self.header.iter().position(|cell| cell == name)?;
        let cells = self.rows.iter().filter_map(|(line, cells)| Some((*line, cells.get(at)?.as_str())));
        Some(cells.filter(|(_, cell)| !cell.is_empty()).collect())
    }
}

/// A column of a table by the name in its header: the cell of each row that has one, by the line that the row begins on.
///
/// # Errors
/// A file that cannot be read or is no table, a column that is not there.
pub fn table_column(file: &Path, name: &str) -> Result<BTreeMap<u64, String>, DataError> {
    let table = TableCells::read(file)?;
    let missing = || {
        let names: Vec<String> = table.header.iter().map(escape).collect();
        let reason = format!("there is no column {}; there are {}", escape(name), names.join(", "));
        DataError::Labels { path: file.to_path_buf(), line: 1, reason }
    };
    let column = table.column(name).ok_or_else(missing)?;
    Ok(column.into_iter().map(|(line, cell)| (line, cell.to_owned())).collect())
}

/// What the rows say of the films.
struct Told {
    task: Task,
    of_film: HashMap<usize, FilmRow>,
    /// Names of labels in the table's order; empty where a class stands in a column.
    labels: Vec<String>,
    /// Rows whose film is not there, whose name several films have, and that have no label: their number and the first.
    missing: Count,
    several: Count,
    unlabelled: Count,
}

#[derive(Default)]
struct Count {
    rows: usize,
    first: Option<(u64, String)>,
}

impl Count {
    fn add(&mut self, line: u64, name: &str) {
        self.rows += 1;
        self.first.get_or_insert_with(|| (line, name.to_owned()));
    }

    /// A sentence, where there is one to tell.
    fn note(&self, of: &Path, what: &str) -> Option<String> {
        let (line, name) = self.first.as_ref()?;
        let rows = if self.rows == 1 { "1 row".to_owned() } else { format!("{} rows", self.rows) };
        Some(format!("{rows} of {} {what} (the first in line {line}: {})", escape(of), escape(name)))
    }
}

/// What a row says of a film.
struct FilmRow {
    /// Where it stands in the table; none in one that lies beside it.
    line: Option<u64>,
    /// Names in the column of labels, or empty where labels have columns of their own.
    names: BTreeSet<String>,
    values: Vec<Option<bool>>,
    patient: Option<String>,
    split: Option<Split>,
}

impl Told {
    fn of(rows: &[text::Row], roles: &Roles, rule: &TableRule, places: &Places) -> Result<Self, (u64, String)> {
        let (labels, any_of) = match &roles.labels {
            Labels::Column(at) => {
                let cells = rows.iter().filter_map(|row| row.cells.get(*at));
                (Vec::new(), cells.into_iter().any(|cell| cell.contains('|')))
            }
            Labels::Several(_) => (Vec::new(), true),
            Labels::Columns(names) => (names.iter().map(|(name, _)| name.clone()).collect(), true),
        };
        let task = if any_of { Task::AnyOf } else { Task::OneOf };
        let count = Count::default;
        let (missing, several, unlabelled) = (count(), count(), count());
        let mut told = Told { task, of_film: HashMap::new(), labels, missing, several, unlabelled };
        for row in rows {
            let cell = |at: usize| row.cells.get(at).map_or("", String::as_str);
            let path = cell(roles.path);
            let film = match places.find(path) {
                Found::Film(film) => film,
                Found::Nothing => {
                    told.missing.add(row.line, path);
                    continue;
                }
                Found::Several(_) => {
                    told.several.add(row.line, path);
                    continue;
                }
            };
            let split = match roles.split.map(cell).filter(|cell| !cell.is_empty()) {
                Some(name) => Some(split_of(name.as_ref()).ok_or_else(|| {
                    (row.line, format!("{} is no split: train, val or test (columns.split)", escape(name)))
                })?),
                None => row.split,
            };
            let patient = roles.patient.map(cell).filter(|cell| !cell.is_empty()).map(str::to_owned);
            let (mut names, mut values) = (BTreeSet::new(), Vec::new());
            match &roles.labels {
                Labels::Column(at) | Labels::Several(at) if cell(*at).is_empty() => {
                    told.unlabelled.add(row.line, path);
                    continue;
                }
                Labels::Column(at) | Labels::Several(at) if any_of => names = split_names(cell(*at)),
                Labels::Column(at) | Labels::Several(at) => {
                    names.insert(cell(*at).to_owned());
                }
                Labels::Columns(columns) => {
                    for (name, at) in columns {
                        let value = value(cell(*at)).map_err(|()| {
                            (
                                row.line,
                                format!("{} is {}: a label is 1, 0, -1 or empty", escape(name), escape(cell(*at))),
                            )
                        })?;
                        values.push(value.known(rule.uncertain));
                    }
                }
            }
            let line = Some(row.line).filter(|_| !row.beside);
            let new = FilmRow { line, names, values, patient, split };
            if let Some(old) = told.of_film.get(&film) {
                if old.names != new.names || old.values != new.values || old.split != new.split {
                    let place = old.line.map_or("a table beside it".to_owned(), |line| format!("line {line}"));
                    let reason = format!("{} has another label or split in {place}", escape(path));
                    return Err((row.line, reason));
                }
                continue;
            }
            told.of_film.insert(film, new);
        }
        Ok(told)
    }

    /// The classes, sorted, or the labels in the table's order.
    fn names(&self) -> Vec<String> {
        if !self.labels.is_empty() {
            return self.labels.clone();
        }
        let names: BTreeSet<&String> = self.of_film.values().flat_map(|row| &row.names).collect();
        names.into_iter().cloned().collect()
    }

    fn label(&self, row: &FilmRow, classes: &[String]) -> Label {
        match self.task {
            Task::AnyOf if self.labels.is_empty() => {
                Label::Row(classes.iter().map(|class| Some(row.names.contains(class))).collect())
            }
            Task::AnyOf => Label::Row(row.values.clone()),
            // Every row has one name, and the names are the classes.
            Task::OneOf => Label::Class(classes.iter().position(|class| row.names.contains(class)).unwrap_or(0)),
        }
    }

    /// What a person should know of the rows.
    fn notes(&self, file: &Path, root: &Path, films: &[PathBuf]) -> Vec<String> {
        let with = format!(
            "the labels of {} of the {} films in {} are in {}",
            self.of_film.len(),
            films.len(),
            escape(root),
            escape(file)
        );
        let missing = self.missing.note(file, "have no film there");
        let several = self.several.note(file, "name several films and count for none");
        let unlabelled = self.unlabelled.note(file, "have no label");
        [Some(with), missing, several, unlabelled].into_iter().flatten().collect()
    }
}

/// The labels in a cell; none where it says that there is none.
fn split_names(cell: &str) -> BTreeSet<String> {
    let names = cell.split('|').map(str::trim).filter(|name| !name.is_empty());
    let key = |name: &str| name.to_lowercase().replace([' ', '_', '-'], "");
    names.filter(|name| !NOTHING_FOUND.contains(&key(name).as_str())).map(str::to_owned).collect()
}

/// The split of each film that a list names, from the lists that lie in any of these folders.
fn lists(folders: &[Option<&Path>]) -> Result<HashMap<String, Split>, DataError> {
    let mut of_name = HashMap::new();
    for folder in folders.iter().flatten() {
        for (name, split) in LISTS {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
            of_name.extend(text.lines().map(|line| (line.trim().to_owned(), split)));
        }
    }
    Ok(of_name)
}
