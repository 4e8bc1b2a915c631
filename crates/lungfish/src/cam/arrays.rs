//! Maps as numbers: a numpy array a film, and a table of them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use lungfish_data::display::{cell, escape};

use super::HeatMap;
use crate::run_folder::write_atomically;
use crate::{Error, Prediction};

/// The table of a folder of maps.
const TABLE: &str = "maps.csv";

/// A folder for the maps of films.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapsFolder {
    folder: PathBuf,
}

impl MapsFolder {
    /// `folder` is made where there is none. Asked before the work is done.
    ///
    /// # Errors
    /// A file of that name, or a folder in which something lies.
    pub fn new(folder: &Path) -> Result<Self, Error> {
        let name = escape(folder);
        if folder.exists() && !folder.is_dir() {
            return Err(Error::refused(format!("{name} is a file: name a folder for the arrays of the maps")));
        }
        let is_free = match fs::read_dir(folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(Error::io("read", folder, error)),
        };
        if !is_free {
            return Err(Error::refused(format!("{name} is not empty: name a new folder for the arrays of the maps")));
        }
        Ok(MapsFolder { folder: folder.to_owned() })
    }

    /// Writes the map of each film that has one as `.npy`, float32, `[rows, columns]`, in logits, named as its film with a number
    /// after it where two films have the same name; and `maps.csv`, a row a film: path, file, of, supporting, opposing,
    /// outside_center, border as [`Evidence`](crate::Evidence) has them. Gives how many there are.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, predictions: &[Prediction]) -> Result<usize, Error> {
        fs::create_dir_all(&self.folder).map_err(|e| Error::io("create", &self.folder, e))?;
        let mut table = "path,file,of,supporting,opposing,outside_center,border\n".to_owned();
        let mut written = 0;
        for (film, name) in predictions.iter().zip(file_names(predictions, "npy")) {
            let Some(map) = &film.map else { continue };
            write_atomically(&self.folder.join(&name), &npy(map))?;
            let evidence = map.evidence();
            let share = |share: Option<f64>| share.map(|share| share.to_string()).unwrap_or_default();
            let cells = [
                cell(&escape(&film.path)),
                cell(&escape(Path::new(&name))),
                cell(&escape(&evidence.of)),
                // A minus is no formula here.
                evidence.supporting.to_string(),
                evidence.opposing.to_string(),
                share(evidence.outside_center),
                share(evidence.border),
            ];
            table.push_str(&cells.join(","));
            table.push('\n');
            written += 1;
        }
        write_atomically(&self.folder.join(TABLE), table.as_bytes())?;
        Ok(written)
    }
}

/// numpy's format, version 1.
fn npy(map: &HeatMap) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", map.rows, map.columns);
    // All before the numbers is a multiple of 64 bytes long and ends in a line break.
    let before = 10 + header.len() + 1;
    header.push_str(&" ".repeat(before.next_multiple_of(64) - before));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(map.values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

/// A name for a file of each film: the film's, with another extension. Names that differ in case alone are one file on
/// some systems.
pub(crate) fn file_names(predictions: &[Prediction], extension: &str) -> Vec<OsString> {
    let mut taken = HashSet::new();
    let name = |prediction: &Prediction| {
        let stem = prediction.path.file_stem().unwrap_or_default();
        let numbered = (1_usize..).map(|n| {
            let mut name = stem.to_owned();
            name.push(if n == 1 { format!(".{extension}") } else { format!("-{n}.{extension}") });
            name
        });
        let mut free = numbered.filter(|name| taken.insert(name.to_string_lossy().to_lowercase()));
        free.next().unwrap_or_default()
    };
    predictions.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;

    #[test]
    fn no_two_files_have_one_name() {
        let films = ["a/x.jpeg", "b/x.jpeg", "b/X.png", "c/x-2.png", "c/y.tar.png"];
        let predictions = films.map(|path| Prediction::new(path, Task::OneOf, Vec::new()));
        assert_eq!(file_names(&predictions, "png"), ["x.png", "x-2.png", "X-3.png", "x-2-2.png", "y.tar.png"]);
    }

    #[test]
    fn maps_are_written_once_with_their_films_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/maps");
        let map = HeatMap { of: "=B".to_owned(), rows: 2, columns: 1, values: vec![1.5, -0.25] };
        let film = |path: &str, map| Prediction { map, ..Prediction::new(path, Task::OneOf, Vec::new()) };
        let films = [film("a,b/x.png", Some(map)), film("gone.png", None)];
        assert_eq!(MapsFolder::new(&folder).unwrap().write(&films).unwrap(), 1);
        let bytes = fs::read(folder.join("x.npy")).unwrap();
        assert_eq!(bytes.len(), 128 + 8);
        assert_eq!(bytes[128..], [1.5_f32.to_le_bytes(), (-0.25_f32).to_le_bytes()].concat());
        let table = fs::read_to_string(folder.join(TABLE)).unwrap();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[1].starts_with("\"a,b/x.png\",x.npy,'=B,1.5,-0.25,0.6"), "{table}");
        for (place, part) in [(&folder, "is not empty"), (&folder.join(TABLE), "is a file")] {
            let error = MapsFolder::new(place).unwrap_err().to_string();
            assert!(error.contains(part) && error.starts_with(place.to_str().unwrap()), "{error}");
        }
    }
}
