//! Tables of films for people and their programs: what a column holds, and the formats of the files.
//!
//! A Parquet file is made of the text of the CSV file of the same rows, so that both say the same.

#[cfg(feature = "parquet")]
mod parquet_file;

use std::path::Path;

use lungfish_data::display::{cell, escape};

use crate::Error;
use crate::origin::Origin;
use crate::run_folder::write_atomically;

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Whole,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub kind: Kind,
}

impl Column {
    pub(crate) fn new(name: impl AsRef<str>, kind: Kind) -> Self {
        Column { name: escape(name.as_ref()), kind }
    }
}

/// The first line of a CSV file, with its line break.
pub(crate) fn head(columns: &[Column]) -> String {
    columns.iter().map(|column| cell(&column.name)).collect::<Vec<_>>().join(",") + "\n"
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Parquet,
}

/// What stands for it in a build without it, which refuses such a file before.
#[cfg(not(feature = "parquet"))]
mod parquet_file {
    use super::*;

    pub(super) fn write(to: &Path, _: impl std::io::Read, _: &[Column], _: &Origin) -> Result<(), Error> {
        Err(without_parquet(to))
    }

    pub(super) fn origin_of(file: &Path, _: &Origin) -> Result<(Origin, usize), Error> {
        Err(without_parquet(file))
    }
}

fn without_parquet(file: &Path) -> Error {
    Error::Unsupported(format!("{}: this build of the library knows no Parquet (feature parquet)", escape(file)))
}

impl Format {
    /// The format of a file by its name: Parquet where it ends in `.parquet`, else CSV.
    ///
    /// # Errors
    /// Parquet in a build without it, or with two columns of one name, which a Parquet file cannot have.
    pub(crate) fn of(file: &Path, columns: &[Column]) -> Result<Self, Error> {
        if !file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
            return Ok(Format::Csv);
        }
        if !cfg!(feature = "parquet") {
            return Err(without_parquet(file));
        }
        let twice =
            columns.iter().enumerate().find(|(at, column)| columns[..*at].iter().any(|c| c.name == column.name));
        if let Some((_, Column { name, .. })) = twice {
            return Err(Error::refused(format!(
                "{} cannot have two columns called {name}, which is a class or label of the model too: end its name in .csv",
                escape(file)
            )));
        }
        Ok(Format::Parquet)
    }

    /// Writes a table whose text as CSV is there, whole or not at all; only a Parquet file has room for its origin.
    pub(crate) fn write(self, to: &Path, csv: &str, columns: &[Column], origin: &Origin) -> Result<(), Error> {
        if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        match self {
            Format::Csv => write_atomically(to, csv.as_bytes()),
            Format::Parquet => parquet_file::write(to, csv.as_bytes(), columns, origin),
        }
    }
}

/// Makes a Parquet file of a CSV file that is there.
pub(crate) fn to_parquet(csv: &Path, to: &Path, columns: &[Column], origin: &Origin) -> Result<(), Error> {
    let rows = std::fs::File::open(csv).map_err(|e| Error::io("read", csv, e))?;
    parquet_file::write(to, rows, columns, origin)
}

/// What a Parquet file says of itself, and its rows; `like` is what it may say.
///
/// # Errors
/// A file that cannot be read, or does not say which model made it.
pub(crate) fn of_parquet(file: &Path, like: &Origin) -> Result<(Origin, usize), Error> {
    parquet_file::origin_of(file, like)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_goes_by_the_name_of_the_file() {
        let of = |name: &str, columns: &[&str]| {
            let columns: Vec<Column> = columns.iter().map(|name| Column::new(name, Kind::Text)).collect();
            Format::of(Path::new(name), &columns).map_err(|error| error.to_string())
        };
        for name in ["scores.csv", "scores", "scores.parquet.csv", ".parquet", "parquet"] {
            assert_eq!(of(name, &["path", "path"]), Ok(Format::Csv), "{name}");
        }
        for name in ["scores.parquet", "a/b.PARQUET", "x.Parquet"] {
            match cfg!(feature = "parquet") {
                true => assert_eq!(of(name, &["path", "A"]), Ok(Format::Parquet), "{name}"),
                false => assert!(of(name, &["path"]).unwrap_err().contains("knows no Parquet")),
            }
        }
        if !cfg!(feature = "parquet") {
            return;
        }
        let error = of("scores.parquet", &["path", "error", "error"]).unwrap_err();
        assert!(error.starts_with("scores.parquet cannot have two columns called error, which is a class"), "{error}");
        assert_eq!(head(&[Column::new("=a", Kind::Text), Column::new("b,\n", Kind::Number)]), "'=a,\"b,\\x0a\"\n");
    }
}
