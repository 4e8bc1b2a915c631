//! The films and labels of a MedMNIST `.npz`, with its own splits.

use std::path::Path;

use crate::display::escape;
use crate::error::DataError;
use crate::film_set::{Film, FilmFacts, FilmSet, Layout};
use crate::label::{Label, Task};
use crate::names::Split;
use crate::npz;
use crate::patient::PatientRule;

/// What the labels of MedMNIST's chest films mean (Yang et al. 2023, doi 10.1038/s41597-022-01721-8), by the begin of the
/// file's name.
const KNOWN: [(&str, &[&str]); 2] = [
    ("pneumoniamnist", &["normal", "pneumonia"]),
    (
        "chestmnist",
        &[
            "atelectasis",
            "cardiomegaly",
            "effusion",
            "infiltration",
            "mass",
            "nodule",
            "pneumonia",
            "pneumothorax",
            "consolidation",
            "edema",
            "emphysema",
            "fibrosis",
            "pleural",
            "hernia",
        ],
    ),
];
/// More classes than these are no classes.
const MOST_CLASSES: i64 = 1000;

/// Lists the films of a file.
///
/// # Errors
/// [`DataError::Npz`]: what is wrong with it.
pub(super) fn list(file: &Path, patients: &PatientRule) -> Result<FilmSet, DataError> {
    let wrong = |reason: String| DataError::Npz { path: file.to_path_buf(), reason };
    let npz = npz::open(file).map_err(wrong)?;
    let mut splits: [Option<Vec<Film>>; 3] = [None, None, None];
    let mut columns = None;
    let mut most = 0;
    for (split, films) in Split::ALL.into_iter().zip(&mut splits) {
        let Some((images, labels)) = npz.split(split) else { continue };
        let count = npz::count(split, images).map_err(wrong)?;
        let own = match labels.shape[..] {
            [n] | [n, 1] if n == count => 1,
            [n, columns] if n == count && columns > 0 => columns,
            _ => return Err(wrong(format!("{split}_labels has the shape {:?} for {count} films", labels.shape))),
        };
        if *columns.get_or_insert(own) != own {
            return Err(wrong("its splits have labels of different shapes".to_owned()));
        }
        let numbers = labels.numbers().map_err(|error| wrong(format!("{split}_labels cannot be read: {error}")))?;
        let lowest = numbers.iter().copied().min().unwrap_or(0);
        most = most.max(numbers.iter().copied().max().unwrap_or(0));
        if lowest < 0 || most >= MOST_CLASSES || own > 1 && most > 1 {
            return Err(wrong(format!("{split}_labels holds {lowest} to {most}")));
        }
        let label = |row: &[i64]| match row {
            [class] => Label::Class(*class as usize),
            row => Label::Row(row.iter().map(|value| Some(*value == 1)).collect()),
        };
        let film = |(number, row): (usize, &[i64])| Film {
            path: npz::place(file, split, number),
            label: label(row),
            group: String::new(),
            facts: FilmFacts { row: Some(number as u64), ..FilmFacts::default() },
        };
        *films = Some(numbers.chunks_exact(own).enumerate().map(film).collect());
    }
    let Some(columns) = columns else {
        return Err(wrong("it has no train_images and train_labels, as MedMNIST's files have".to_owned()));
    };
    let task = if columns == 1 { Task::OneOf } else { Task::AnyOf };
    let needed = if columns == 1 { most as usize + 1 } else { columns };
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let known = KNOWN.iter().find(|(name, names)| stem.starts_with(name) && names.len() >= needed);
    let classes: Vec<String> = match known {
        Some((_, names)) => names.iter().map(|name| (*name).to_owned()).collect(),
        None => (0..needed).map(|class| class.to_string()).collect(),
    };
    let mut notes = Vec::new();
    if known.is_none() {
        notes.push(format!("{} does not say what its labels mean: they are called by their numbers", escape(file)));
    }
    let [train, val, test] = splits;
    let mut layout = Layout::Splits { train, val, test };
    let patients = patients.assign(file, &[], layout.films_mut());
    Ok(FilmSet {
        root: file.to_path_buf(),
        task,
        classes,
        layout,
        places: Vec::new(),
        patients,
        passed_over: Vec::new(),
        notes,
        table: None,
    })
}
