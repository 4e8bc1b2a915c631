//! Which film a row of a table means, however its path is written.

use std::collections::HashMap;
use std::path::PathBuf;

/// The films below a folder, to be found by what tables call them.
pub(super) struct Places {
    /// Below the folder, parted, in the order of the films.
    parts: Vec<Vec<String>>,
    by_name: HashMap<String, Vec<usize>>,
    by_stem: HashMap<String, Vec<usize>>,
}

/// What a row means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The film, by its place in the list.
    Film(usize),
    Nothing,
    /// Several films are called so.
    Several(Vec<usize>),
}

impl Places {
    /// `films` are paths below the folder.
    pub(super) fn of(films: &[PathBuf]) -> Self {
        let parted = |film: &PathBuf| film.iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let parts: Vec<Vec<String>> = films.iter().map(parted).collect();
        let (mut by_name, mut by_stem) = (HashMap::new(), HashMap::new());
        for (at, name) in parts.iter().enumerate().filter_map(|(at, parts)| Some((at, parts.last()?))) {
            by_name.entry(name.clone()).or_insert_with(Vec::new).push(at);
            by_stem.entry(stem(name).to_owned()).or_insert_with(Vec::new).push(at);
        }
        Places { parts, by_name, by_stem }
    }

    /// The film whose path ends as the row's does: in as many folders as both have, and in its name, with or without
    /// extension. A table's path may begin above the folder, and below it.
    pub(super) fn find(&self, row: &str) -> Found {
        let row: Vec<&str> = row.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
        if row.contains(&"..") {
            return Found::Nothing;
        }
        let Some((name, folders)) = row.split_last() else { return Found::Nothing };
        let candidates = self.by_name.get(*name).or_else(|| self.by_stem.get(*name)).or_else(|| {
            // The same film in another format, as when somebody made PNG of DICOM.
            self.by_stem.get(stem(name)).filter(|_| stem(name) != *name)
        });
        // As many folders as both have must be the same: `p1/v.jpg` is not the film `p2/v.jpg`.
        let fits = |at: &usize| self.parts[*at].iter().rev().skip(1).zip(folders.iter().rev()).all(|(a, b)| a == b);
        let best: Vec<usize> = candidates.into_iter().flatten().copied().filter(fits).collect();
        // Of several the one whose whole path it is: beside `NORMAL/a.png` there may be `/elsewhere/NORMAL/a.png`.
        let is_whole = |at: &&usize| {
            let film = self.parts[**at].iter().map(String::as_str).filter(|part| !["/", "\\"].contains(part));
            film.eq(folders.iter().copied().chain([*name]))
        };
        match best[..] {
            [] => Found::Nothing,
            [film] => Found::Film(film),
            _ => best.iter().find(is_whole).map_or_else(|| Found::Several(best.clone()), |film| Found::Film(*film)),
        }
    }
}

/// A name without its last extension.
fn stem(name: &str) -> &str {
    match name.rfind('.') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_however_its_path_is_written() {
        let films =
            ["train/p1/s1/v1.jpg", "train/p2/s1/v1.jpg", "images/a.png", "images/1.2.840.dcm"].map(PathBuf::from);
        let places = Places::of(&films);
        for (row, film) in [
            ("train/p2/s1/v1.jpg", 1),
            ("CheXpert-v1.0-small/train/p2/s1/v1.jpg", 1),
            ("p1/s1/v1.jpg", 0),
            (r"C:\films\train\p1\s1\v1.jpg", 0),
            ("a.png", 2),
            ("a", 2),
            ("./images/a.dcm", 2),
            ("1.2.840", 3),
        ] {
            assert_eq!(places.find(row), Found::Film(film), "{row}");
        }
        assert_eq!(places.find("v1.jpg"), Found::Several(vec![0, 1]));
        let both = Places::of(&["NORMAL/a.png", "/elsewhere/NORMAL/a.png", "/other/NORMAL/a.png"].map(PathBuf::from));
        for (row, found) in [
            ("NORMAL/a.png", Found::Film(0)),
            ("/elsewhere/NORMAL/a.png", Found::Film(1)),
            ("/other/NORMAL/a.png", Found::Film(2)),
            ("a.png", Found::Several(vec![0, 1, 2])),
        ] {
            assert_eq!(both.find(row), found, "{row}");
        }
        for row in ["../a.png", "b.png", "", "/", "p1", "p9/s1/v1.jpg", "other/a.png"] {
            assert_eq!(places.find(row), Found::Nothing, "{row}");
        }
    }
}
