//! Tables of the other splits that lie beside one of the train split: CheXpert has `valid.csv` beside `train.csv`.

use std::fs;
use std::path::{Path, PathBuf};

use super::text::{self, Row};
use crate::names::Split;

const TRAIN: &str = "train";
const OTHERS: [(&str, Split); 4] =
    [("valid", Split::Val), ("val", Split::Val), ("validation", Split::Val), ("test", Split::Test)];

/// The tables with the very columns of a table that is called `train`, each with its rows.
pub(super) fn tables(file: &Path, header: &[String]) -> Vec<(PathBuf, Split, Vec<Row>)> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let Some(extension) = file.extension().filter(|_| stem.eq_ignore_ascii_case(TRAIN)) else { return Vec::new() };
    let table = |(name, split): (&str, Split)| {
        let path = file.with_file_name(name).with_extension(extension);
        // Nobody asked for it: where it is no such table, it is none.
        let mut rows = text::rows(&fs::read(&path).ok()?).ok()?.into_iter();
        rows.next().filter(|row| row.cells == header)?;
        Some((path, split, rows.collect()))
    };
    OTHERS.into_iter().filter_map(table).collect()
}
