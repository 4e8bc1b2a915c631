//! What can go wrong between a folder and a batch.

use std::io;
use std::path::PathBuf;

use crate::decode::DecodeError;
use crate::display::escape;
use crate::names::Split;

/// An error of the data crate: one sentence with the path and the values, safe to print on a terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder does not exist.
    #[error("there is no folder {}", escape(path))]
    NoSuchFolder {
        /// The path asked for.
        path: PathBuf,
    },
    /// A file where a folder is needed.
    #[error("{} is a file, not a folder", escape(path))]
    NotAFolder {
        /// The path asked for.
        path: PathBuf,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", escape(path))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder that cannot be written.
    #[error("cannot write {}: {source}", escape(path))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder without class folders.
    #[error(
        "{} has no class folder: films are expected as {}/<CLASS>/<film>, for example NORMAL and PNEUMONIA",
        escape(path),
        escape(path)
    )]
    NoClassFolder {
        /// The folder in which class folders were looked for.
        path: PathBuf,
    },
    /// Films, and no class folder with films in it.
    #[error(
        "{} holds films and no class folder: if it is a class folder itself, name the folder above it; \
         films are expected as <DIR>/<CLASS>/<film>, or with a table of labels: {}",
        escape(path),
        table_advice(table)
    )]
    FilmsWithoutClass {
        /// The folder.
        path: PathBuf,
        /// A table that lies beside them.
        table: Option<PathBuf>,
    },
    /// Folders named as splits are named elsewhere, where class folders are expected.
    #[error(
        "the folders {names} of {} look like splits by another name: splits are called train, val and test",
        escape(path)
    )]
    SplitsByOtherNames {
        /// The folder.
        path: PathBuf,
        /// The names, with commas.
        names: String,
    },
    /// Folders that are parts of one data set, and no class folders in them.
    #[error(
        "the folders {names} of {} are parts of one data set by their names, and there are no class folders in them: \
         what their films show must come from a table: {}",
        escape(path),
        table_advice(table)
    )]
    PartsWithoutClasses {
        /// The folder.
        path: PathBuf,
        /// The names of the first parts, with commas.
        names: String,
        /// A table that lies beside them.
        table: Option<PathBuf>,
    },
    /// Folders of a patient or case each, where class folders are expected.
    #[error(
        "the folders of {} ({names}) are those of patients or cases by their names and no classes: what their films show \
         must come from class folders above them, or from a table: {}",
        escape(path),
        table_advice(table)
    )]
    PatientsWithoutClasses {
        /// The folder.
        path: PathBuf,
        /// The names of the first, with commas.
        names: String,
        /// A table that lies beside them.
        table: Option<PathBuf>,
    },
    /// A link where class folders are expected, which leads nowhere.
    #[error("the link {} leads nowhere: a class folder may be missing", escape(path))]
    DanglingClass {
        /// The link.
        path: PathBuf,
    },
    /// A class folder without a single film.
    #[error("the class folder {} has no film", escape(path))]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
    },
    /// A data set of one class, from which nothing can be learnt.
    #[error("{} has one class only ({}): training needs at least two", escape(root), escape(class))]
    OneClass {
        /// The data set.
        root: PathBuf,
        /// Its only class.
        class: String,
    },
    /// A class which no film of the train split has.
    #[error("the class {} has no film to train on in {}{}", quoted(class, near), escape(root), near_name(near))]
    ClassNotInTrain {
        /// The data set.
        root: PathBuf,
        /// The class.
        class: String,
        /// A class of the train split whose name differs only in capitals, spaces, dashes or how letters are composed.
        near: Option<String>,
    },
    /// A label of which train has no film known to have it, or none known not to.
    #[error(
        "the label {} has no film to train on in {} that is known {}to have it",
        escape(label),
        escape(root),
        if *has { "" } else { "not " }
    )]
    LabelNotInTrain {
        /// The data set.
        root: PathBuf,
        /// The label.
        label: String,
        /// Whether it is films that have it which are missing, or films that do not.
        has: bool,
    },
    /// An output folder where the next look would take it for a class.
    #[error(
        "{} would lie among the class folders of {} and be taken for one: choose a folder outside",
        escape(out),
        escape(parent)
    )]
    OutputAmongClasses {
        /// The output folder.
        out: PathBuf,
        /// The folder of class folders.
        parent: PathBuf,
    },
    /// An output folder where the next look would take its pictures for films.
    #[error(
        "{} would lie among the films of {} and its pictures be taken for films: choose a folder outside",
        escape(out),
        escape(parent)
    )]
    OutputAmongFilms {
        /// The output folder.
        out: PathBuf,
        /// The folder of films.
        parent: PathBuf,
    },
    /// A table of labels that cannot be used.
    #[error("{}, line {line}: {reason}", escape(path))]
    Labels {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Films of which a table of labels says nothing.
    #[error("{} has no line for {films} of the films beside it, the first {}", escape(path), escape(first))]
    FilmsWithoutLabels {
        /// The table.
        path: PathBuf,
        /// How many.
        films: usize,
        /// The first of them.
        first: PathBuf,
    },
    /// A table whose rows name no film there is.
    #[error(
        "none of the {rows} rows of {} names a film in {}: is that the folder of the films, and columns.path the column of \
         their names?",
        escape(table),
        escape(root)
    )]
    NoFilmOfTable {
        /// The folder of the films.
        root: PathBuf,
        /// The table.
        table: PathBuf,
        /// Its rows.
        rows: usize,
    },
    /// A `.npz` that is not as MedMNIST's are.
    #[error("{}: {reason}", escape(path))]
    Npz {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A data set that has splits, but no train split.
    #[error("{} has no train folder to train on", escape(root))]
    NoTrainSplit {
        /// The data set.
        root: PathBuf,
    },
    /// A patient rule that is not a regular expression.
    #[error("the patient rule {} is not a regular expression: {reason}", escape(pattern))]
    PatientRule {
        /// The rule as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A share of films that cannot be carved.
    #[error("{name} = {value} is not a share between 0 and 0.9")]
    Fraction {
        /// The name of the rule.
        name: &'static str,
        /// The value given.
        value: f64,
    },
    /// Too few patients to carve a split without emptying another.
    #[error(
        "too few patients to carve a {split} split: each class of the {films} films that are left belongs to one patient"
    )]
    TooFewPatients {
        /// The split to be carved.
        split: Split,
        /// Films there were to carve from.
        films: usize,
    },
    /// No film for a split that the models which a training starts from do not know.
    #[error(
        "no film of {} can be on the {split} split: the weights to start from were trained or chosen on all {films} of \
         them, or on films of the same patients; give films that are new to them, or go on with that run's own split \
         (train --from RUN)",
        escape(root)
    )]
    NothingNew {
        /// The data set.
        root: PathBuf,
        /// The split.
        split: Split,
        /// Films there were for it.
        films: usize,
    },
    /// A film that does not decode.
    #[error("{}: {reason}", escape(path))]
    Film {
        /// The film.
        path: PathBuf,
        /// Why.
        reason: DecodeError,
    },
    /// No thread to decode films on.
    #[error("cannot start a thread to decode films: {source}")]
    Threads {
        /// What the system said.
        source: io::Error,
    },
    /// A split file that cannot be used.
    #[error("{}, line {line}: {reason}", escape(path))]
    SplitFile {
        /// The split file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A folder with other files in it, where synthetic films were to be written.
    #[error(
        "{} is not empty and was not made by `synth` ({} is in it): choose a new folder",
        escape(path),
        escape(other)
    )]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// One thing found in it.
        other: PathBuf,
    },
    /// Fewer synthetic films asked for than fill every split and class.
    #[error("{films} synthetic films are too few: at least {least} are needed to fill every split and class")]
    TooFewSynthetic {
        /// The number asked for.
        films: usize,
        /// The least that works.
        least: usize,
    },
}

/// A name as it is where nothing is like it, else in quotes, so that a space is seen.
fn quoted(name: &str, near: &Option<String>) -> String {
    if near.is_some() { format!("{:?}", escape(name)) } else { escape(name) }
}

fn near_name(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| {
        format!("; train has one that is called nearly so, {:?}: call the folders alike", escape(near))
    })
}

fn table_advice(table: &Option<PathBuf>) -> String {
    match table {
        Some(table) => format!("--labels {}", escape(table)),
        None => "--labels FILE.csv, with a line path,label a film".to_owned(),
    }
}
