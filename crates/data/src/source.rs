//! Where films come from. A source says of each film where it lies, what it shows, whose it is and on which split it is;
//! who uses films asks the source and never a path.

mod class_folders;
mod labels;
mod lines;
mod npz;
mod table;

use std::path::{Path, PathBuf};

pub use table::{Columns, TableCells, TableRule, Uncertain, table_column};

use crate::error::DataError;
use crate::film_set::FilmSet;
use crate::folder::require_folder;
use crate::names::Split;
use crate::patient::PatientRule;

/// The table of a folder whose films have labels and no class folders; `path` is its first column.
pub const LABELS: &str = "labels.csv";

/// A source of films.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilmSource {
    /// `root/{train,val,test}/{CLASS}/...` or `root/{CLASS}/...`: the folder of a film is its class.
    ClassFolders(PathBuf),
    /// `root/{train,val,test}/...` or `root/...`, and [`LABELS`] in `root`, a line a film: `path,LABEL,LABEL,...`, the path
    /// below `root` with `/`, and 1, 0 or nothing (unknown) for each label.
    LabelTable(PathBuf),
    /// `root/...` and a table anywhere, with a row a film.
    Table {
        /// The folder of the films.
        root: PathBuf,
        /// The table.
        file: PathBuf,
        /// How it is read.
        rule: TableRule,
    },
    /// A file of MedMNIST, with its own splits.
    Npz(PathBuf),
}

impl FilmSource {
    /// What lies at `path`: a MedMNIST `.npz`, or a folder, which may also be the folder above one or two levels of `chest_xray/`. A [`LABELS`] whose
    /// columns are others is read as any table, where there are no class folders.
    ///
    /// # Errors
    /// No such folder, or a table that cannot be read.
    pub fn find(path: &Path) -> Result<Self, DataError> {
        if crate::npz::is_npz(path) {
            return Ok(Self::Npz(path.to_path_buf()));
        }
        let root = resolve(path)?;
        Ok(if labels::is_table(&root.join(LABELS))? { Self::LabelTable(root) } else { Self::ClassFolders(root) })
    }

    /// The films below a folder, with their labels in a table that may lie anywhere.
    pub fn table(root: impl Into<PathBuf>, file: impl Into<PathBuf>, rule: TableRule) -> Self {
        Self::Table { root: root.into(), file: file.into(), rule }
    }

    /// Lists the films; the patient of each is what the rule or the table tells.
    ///
    /// # Errors
    /// A folder that cannot be read, a split or root without class folders, a class folder without a film, a link that leads
    /// nowhere among class folders, parts of a data set without classes. Of a table: [`DataError::Labels`] with the line and what is wrong there,
    /// [`DataError::FilmsWithoutLabels`].
    pub fn list(&self, patient: &PatientRule) -> Result<FilmSet, DataError> {
        let mut set = match self {
            Self::LabelTable(root) => labels::list(root, patient)?,
            Self::Table { root, file, rule } => table::list(root, file, rule, patient)?,
            Self::Npz(file) => npz::list(file, patient)?,
            Self::ClassFolders(root) => class_folders::list(root, patient).or_else(|error| {
                let table = root.join(LABELS);
                let lost = matches!(error, DataError::FilmsWithoutClass { .. } | DataError::NoClassFolder { .. });
                // Somebody meant it: not as ours, but as people write them.
                if lost && table.is_file() {
                    table::list(root, &table, &TableRule::default(), patient)
                } else {
                    Err(error)
                }
            })?,
        };
        set.layout.note_splits();
        Ok(set)
    }
}

/// Goes down through `chest_xray/`, as the archive of the Kermany films is nested, until there are splits.
fn resolve(root: &Path) -> Result<PathBuf, DataError> {
    require_folder(root)?;
    let has_splits = |root: &Path| Split::ALL.iter().any(|split| root.join(split.name()).is_dir());
    let mut root = root.to_path_buf();
    for _ in 0..2 {
        let nested = root.join("chest_xray");
        if has_splits(&root) || !nested.is_dir() {
            break;
        }
        root = nested;
    }
    Ok(root)
}
