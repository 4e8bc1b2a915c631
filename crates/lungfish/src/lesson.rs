//! The films of a data set for somebody who doubts their labels: proposals of others, as tables. No film and no folder is touched.

mod added;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lungfish_data::display::{cell, escape};
use lungfish_data::{FilmSet, PatientRule, Split, Task};

use crate::Error;
use crate::run_folder::write_atomically;
use crate::source::{self, Reading};

/// What is proposed for films, by their places.
pub type Proposals = BTreeMap<usize, Proposal>;

/// What somebody proposes for a film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// That it is of another class: its place among the classes.
    Class(usize),
    /// That nothing is to be learnt from it.
    LeaveOut,
}

/// A data set of classes.
#[derive(Debug)]
pub struct Lesson {
    set: FilmSet,
    films: Vec<LessonFilm>,
}

/// A film of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LessonFilm {
    /// Its file.
    pub path: PathBuf,
    /// Its class: a place among the classes.
    pub class: usize,
    /// The split that the data set has it on.
    pub split: Option<Split>,
    /// Whether it was added ([`Lesson::add`]) and lies in a folder of its own.
    pub added: bool,
    /// Whether it was added and taken away again: then its file is gone.
    pub gone: bool,
    /// Where it lies below the data set's folder, as tables name it; of an added film its whole path.
    place: String,
    patient: Option<String>,
}

impl Lesson {
    /// Lists the films of a folder.
    ///
    /// # Errors
    /// No such folder, fewer than two classes in it, labels of which a film may have any; films that have no file of their own.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let reading = Reading { patient: PatientRule::AUTO.to_owned(), ..Reading::default() };
        let set = source::open(data, &reading)?;
        set.require_trainable()?;
        let refused = |what: &str| Error::refused(format!("{} {what}", escape(&set.root)));
        if set.task != Task::OneOf {
            return Err(refused("has labels of which a film may have any: corrections are of films of one class each"));
        }
        let mut films = Vec::new();
        for (split, film) in set.layout.films() {
            let place = film.path.strip_prefix(&set.root).ok().and_then(Path::to_str);
            let Some((place, class)) = place.zip(film.label.class()) else {
                return Err(refused(
                    "has films that no table can name: they lie elsewhere, or have names that are no text",
                ));
            };
            let patient = film.patient().map(str::to_owned);
            let (path, place) = (film.path.clone(), place.to_owned());
            films.push(LessonFilm { path, class, split, added: false, gone: false, place, patient });
        }
        Ok(Lesson { set, films })
    }

    /// The folder that holds the films.
    pub fn root(&self) -> &Path {
        &self.set.root
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.set.classes
    }

    /// The films, in the order of their places, those that are gone among them: a place is a film's for good.
    pub fn films(&self) -> &[LessonFilm] {
        &self.films
    }

    /// Refuses a folder for what is written where it would be taken for a class.
    ///
    /// # Errors
    /// One sentence.
    pub fn refuse_among_classes(&self, out: &Path) -> Result<(), Error> {
        Ok(self.set.refuse_among_classes(out)?)
    }

    /// A table for a training, as the recipe's `labels` takes it: every film with what is proposed for it, without those that are to be
    /// left out.
    fn table(&self, proposals: &Proposals) -> String {
        let patients = self.films.iter().any(|film| film.patient.is_some());
        let splits = self.films.iter().any(|film| film.split.is_some());
        let mut text = String::from("path,label");
        text.push_str(if patients { ",patient" } else { "" });
        text.push_str(if splits { ",split\n" } else { "\n" });
        for (at, film) in self.films.iter().enumerate().filter(|(_, film)| !film.gone) {
            let class = match proposals.get(&at) {
                Some(Proposal::LeaveOut) => continue,
                Some(Proposal::Class(class)) => *class,
                None => film.class,
            };
            text.push_str(&format!("{},{}", cell(&film.place), cell(&self.set.classes[class])));
            if patients {
                text.push_str(&format!(",{}", film.patient.as_deref().map(cell).unwrap_or_default()));
            }
            if splits {
                text.push_str(&format!(",{}", film.split.map(Split::name).unwrap_or_default()));
            }
            text.push('\n');
        }
        text
    }

    /// The proposals alone as a table: path, label, proposed, and 1 in `left_out` of films that are to be left out.
    pub fn proposals(&self, proposals: &Proposals) -> String {
        let mut text = String::from("path,label,proposed,left_out\n");
        for (at, proposal) in proposals {
            let Some(film) = self.films.get(*at).filter(|film| !film.gone) else { continue };
            let (proposed, left_out) = match proposal {
                Proposal::Class(class) => (self.set.classes[*class].as_str(), ""),
                Proposal::LeaveOut => ("", "1"),
            };
            let label = &self.set.classes[film.class];
            text.push_str(&format!("{},{},{},{left_out}\n", cell(&film.place), cell(label), cell(proposed)));
        }
        text
    }

    /// Writes a table for a training; what lay there is whole until the new one is.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_table(&self, proposals: &Proposals, to: &Path) -> Result<(), Error> {
        write_atomically(to, self.table(proposals).as_bytes())
    }

    /// Writes the proposals, in the same way.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_proposals(&self, proposals: &Proposals, to: &Path) -> Result<(), Error> {
        write_atomically(to, self.proposals(proposals).as_bytes())
    }

    /// Reads a table of proposals again; none where there is no such file. Rows of films or classes that are not there are passed over.
    ///
    /// # Errors
    /// A file that cannot be read, or is no such table.
    pub fn read_proposals(&self, file: &Path) -> Result<Proposals, Error> {
        if !file.exists() {
            return Ok(Proposals::new());
        }
        let column = |name: &str| lungfish_data::table_column(file, name);
        let (places, proposed, left_out) = (column("path")?, column("proposed")?, column("left_out")?);
        let uncell = lungfish_data::display::uncell;
        let of_place: BTreeMap<&str, usize> = self
            .films
            .iter()
            .enumerate()
            .filter(|(_, film)| !film.gone)
            .map(|(at, film)| (film.place.as_str(), at))
            .collect();
        let row = |(row, place): (&u64, &String)| {
            let at = of_place.get(uncell(place))?;
            if left_out.contains_key(row) {
                return Some((*at, Proposal::LeaveOut));
            }
            let name = uncell(proposed.get(row)?);
            Some((*at, Proposal::Class(self.set.classes.iter().position(|class| class == name)?)))
        };
        Ok(places.iter().filter_map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn proposals_become_a_table_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("films");
        lungfish_data::synth(&data, 30, 1).unwrap();
        let lesson = Lesson::open(&data).unwrap();
        assert_eq!((lesson.films().len(), lesson.classes()), (30, &["NORMAL", "PNEUMONIA"].map(str::to_owned)[..]));
        let other = 1 - lesson.films()[3].class;
        let proposals = Proposals::from([(3, Proposal::Class(other)), (7, Proposal::LeaveOut)]);
        let file = dir.path().join("corrections.csv");
        assert_eq!(lesson.read_proposals(&file).unwrap(), Proposals::new());
        lesson.write_proposals(&proposals, &file).unwrap();
        assert_eq!(lesson.read_proposals(&file).unwrap(), proposals);

        // A training takes the table.
        let table = dir.path().join("labels.csv");
        lesson.write_table(&proposals, &table).unwrap();
        let reading = Reading { patient: "auto".to_owned(), labels: Some(table), ..Reading::default() };
        let set = source::open(&data, &reading).unwrap();
        let films: Vec<_> = set.layout.films().collect();
        assert_eq!((films.len(), &set.classes), (29, &lesson.set.classes));
        let (split, film) = films.iter().find(|(_, film)| film.path == lesson.films()[3].path).unwrap();
        assert_eq!((film.label.class(), *split), (Some(other), lesson.films()[3].split));
        assert_eq!(film.patient(), lesson.films()[3].patient.as_deref());
        assert!(films.iter().all(|(_, film)| film.path != lesson.films()[7].path));
        // One class teaches nothing.
        for split in ["train", "val", "test"] {
            fs::remove_dir_all(data.join(split).join("NORMAL")).unwrap();
        }
        let error = Lesson::open(&data).unwrap_err().to_string();
        assert!(error.contains("films"), "{error}");
    }
}
