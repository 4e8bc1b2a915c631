//! The test of a run, film by film, as its files have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lungfish_data::display::{escape, uncell};
use lungfish_data::{Split, TableCells, Task, dicom_facts};
use rayon::prelude::*;
use serde_json::Value;

use crate::evaluate::groups;
use crate::{Error, ModelInfo};

/// Values of a column of words by which films are told apart, at most; of more it is a name of each film.
const MOST_WORDS: usize = 24;
/// Columns of a table, at most.
const MOST_COLUMNS: usize = 20;

/// What a test of a run's own films wrote.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TestedFilms {
    /// Which films.
    pub split: Split,
    /// All of `metrics-{split}.json`.
    pub metrics: Value,
    /// A film each, in the order of the table.
    pub films: Vec<TestedFilm>,
}

/// A film of a test.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TestedFilm {
    /// Its file, as the test had it.
    pub path: PathBuf,
    /// The class that it is said to be; empty where films may have any of several labels.
    pub label: String,
    /// Whether it is of each class, or has each label; none where nobody knows.
    pub labels: Vec<Option<bool>>,
    /// The class that it was called; empty where films may have any of several labels.
    pub predicted: String,
    /// The probability of each class or label.
    pub probabilities: Vec<f64>,
    /// The patient, where something tells it.
    pub patient: Option<String>,
    /// How unlike the training films it is, where the model says it.
    pub unlike: Option<f64>,
    /// What else is known of it, by columns: of a DICOM view, sex, age by decade, manufacturer and modality; of a table of labels its
    /// columns of few words, and of numbers, many of which are thirds.
    pub groups: BTreeMap<String, String>,
}

impl TestedFilms {
    /// Of the test split of a run, by a model that lies in it; none where it was not tested.
    ///
    /// # Errors
    /// Files that cannot be read, or are not what a test writes.
    pub fn read(run: &Path, info: &ModelInfo) -> Result<Option<Self>, Error> {
        let (json, csv) = (run.join("metrics-test.json"), run.join("predictions-test.csv"));
        let bytes = match fs::read(&json) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &json, e)),
        };
        let metrics: Value = serde_json::from_slice(&bytes)
            .map_err(|e| Error::damaged(format!("{} is not what a test writes: {e}", escape(&json))))?;
        if !csv.is_file() {
            return Ok(None);
        }
        let table = TableCells::read(&csv)?;
        let wanted = |name: &str| {
            let missing = || Error::damaged(format!("{} has no column {}", escape(&csv), escape(name)));
            table.column(name).ok_or_else(missing)
        };
        let optional = |name: &str| table.column(name).unwrap_or_default();
        let paths = wanted("path")?;
        let [labels, predicted, patients, unlike, rows] =
            ["label", "predicted", "patient", "unlike", "row"].map(optional);
        let one_of = info.task == Task::OneOf;
        let (mut probabilities, mut known) = (Vec::new(), Vec::new());
        for class in &info.classes {
            let name = if one_of { class.clone() } else { format!("{class} probability") };
            probabilities.push(wanted(&name)?);
            known.push(if one_of { BTreeMap::new() } else { wanted(class)? });
        }
        let number = |cell: Option<&&str>| cell.and_then(|cell| cell.parse::<f64>().ok());
        let text = |of: &BTreeMap<u64, &str>, line: &u64| of.get(line).map(|cell| uncell(cell).to_owned());
        let film = |(line, path): (&u64, &&str)| {
            let label = text(&labels, line).unwrap_or_default();
            let has = |(class, known): (&String, &BTreeMap<u64, &str>)| match one_of {
                true => Some(*class == label),
                false => known.get(line).map(|cell| *cell == "1"),
            };
            TestedFilm {
                path: PathBuf::from(uncell(path)),
                labels: info.classes.iter().zip(&known).map(has).collect(),
                label,
                predicted: text(&predicted, line).unwrap_or_default(),
                probabilities: probabilities.iter().map(|of| number(of.get(line)).unwrap_or(f64::NAN)).collect(),
                patient: text(&patients, line),
                unlike: number(unlike.get(line)),
                groups: BTreeMap::new(),
            }
        };
        let mut films: Vec<TestedFilm> = paths.iter().map(film).collect();
        let of_files: Vec<BTreeMap<String, String>> = films.par_iter().map(|film| facts(&film.path)).collect();
        let rows: Vec<Option<u64>> = paths.keys().map(|line| rows.get(line)?.parse().ok()).collect();
        let of_table = of_table(info, &rows);
        for ((film, files), table) in films.iter_mut().zip(of_files).zip(of_table) {
            film.groups = table;
            film.groups.extend(files);
        }
        Ok(Some(TestedFilms { split: Split::Test, metrics, films }))
    }
}

/// What a file tells of itself, by the names that `test --groups` has.
fn facts(path: &Path) -> BTreeMap<String, String> {
    let Some(facts) = dicom_facts(path) else { return BTreeMap::new() };
    let age = facts.decade.map(|decade| format!("{decade} to {}", decade + 9));
    let told = [
        ("view", facts.view),
        ("sex", facts.sex),
        ("age", age),
        ("manufacturer", facts.manufacturer),
        ("modality", facts.modality),
    ];
    told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), escape(value?)))).collect()
}

/// What the table of the labels tells of films by their rows, if the model learnt from one that is still there.
fn of_table(info: &ModelInfo, rows: &[Option<u64>]) -> Vec<BTreeMap<String, String>> {
    let mut told = vec![BTreeMap::new(); rows.len()];
    let table = Path::new(&info.recipe.labels);
    let Some(cells) = Some(table).filter(|table| table.is_file()).and_then(|table| TableCells::read(table).ok()) else {
        return told;
    };
    let names = cells.header.iter().filter(|name| !info.classes.contains(name) && !is_of_each_film(name));
    for name in names.take(MOST_COLUMNS) {
        let Some(column) = cells.column(name) else { continue };
        let value = |row: &Option<u64>| row.and_then(|row| column.get(&row).copied()).unwrap_or_default().to_owned();
        let values: Vec<String> = rows.iter().map(value).collect();
        let different: BTreeSet<&str> = values.iter().map(String::as_str).filter(|value| !value.is_empty()).collect();
        let are_numbers = different.iter().all(|value| value.parse::<f64>().is_ok());
        if different.len() < 2 || different.len() > MOST_WORDS && !are_numbers {
            continue;
        }
        for (film, group) in told.iter_mut().zip(groups::names(&values)) {
            film.extend(group.map(|group| (name.clone(), group)));
        }
    }
    told
}

/// Whether a column is known to say where a film is, whose it is or what it shows.
fn is_of_each_film(name: &str) -> bool {
    let name: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let whole = [
        "path",
        "image",
        "imageindex",
        "filename",
        "file",
        "label",
        "labels",
        "class",
        "finding",
        "findinglabels",
        "target",
        "split",
    ];
    whole.contains(&name.as_str()) || name.ends_with("id") || name.starts_with("patientid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Recipe, TrainRequest};

    /// A model of a training that leaves one behind in a folder.
    fn info(folder: &Path, table: Option<&Path>) -> ModelInfo {
        let (data, run) = (folder.join("films"), folder.join("run"));
        if !run.exists() {
            lungfish_data::synth(&data, 30, 1).unwrap();
            let mut request = TrainRequest::new(&data, &run);
            for setting in ["image_size=32", "hidden=8", "frozen_epochs=1"] {
                request.changes.set(setting).unwrap();
            }
            let stop = std::sync::atomic::AtomicBool::new(false);
            crate::train(&request, &mut crate::Watch::new(&mut crate::Silent, &stop)).unwrap();
        }
        let info = ModelInfo::of_file(&run).unwrap().0;
        let labels = table.map_or_else(|| "auto".to_owned(), |table| table.display().to_string());
        ModelInfo {
            recipe: Recipe { labels, ..info.recipe.clone() },
            classes: ["A", "B"].map(str::to_owned).into(),
            ..info
        }
    }

    #[test]
    fn a_test_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let model = info(dir.path(), None);
        let run = dir.path().join("tested");
        fs::create_dir(&run).unwrap();
        assert_eq!(TestedFilms::read(&run, &model).unwrap(), None);
        fs::write(run.join("metrics-test.json"), r#"{"task":"one-of"}"#).unwrap();
        assert_eq!(TestedFilms::read(&run, &model).unwrap(), None, "there is no table");
        let table = "path,label,predicted,A,B,patient,unlike\nx/1.png,A,B,0.25,0.75,p,0.5\n'=2.png,B,B,0.1,0.9,,\n";
        fs::write(run.join("predictions-test.csv"), table).unwrap();
        let films = TestedFilms::read(&run, &model).unwrap().unwrap().films;
        assert_eq!((films.len(), films[0].probabilities.as_slice()), (2, &[0.25, 0.75][..]));
        assert_eq!(films[0].labels, [Some(true), Some(false)]);
        assert_eq!((films[0].patient.as_deref(), films[0].unlike), (Some("p"), Some(0.5)));
        assert_eq!((films[1].path.to_str(), films[1].patient.as_ref(), films[1].unlike), (Some("=2.png"), None, None));
        let other = ModelInfo { classes: vec!["C".to_owned()], ..model };
        assert!(TestedFilms::read(&run, &other).is_err(), "of another model");
    }

    #[test]
    fn labels_and_columns_of_the_table_of_labels_come_along() {
        let dir = tempfile::tempdir().unwrap();
        let labels = dir.path().join("labels.csv");
        let text = "path,Patient ID,Sex,Age,site,A,B\na,1,F,40,north,1,0\nb,2,M,50,north,0,\nc,3,F,60,north,1,1\n";
        fs::write(&labels, text).unwrap();
        let model = ModelInfo { task: Task::AnyOf, ..info(dir.path(), Some(&labels)) };
        let run = dir.path().join("tested");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("metrics-test.json"), r#"{"task":"any-of"}"#).unwrap();
        let table =
            "path,A,A probability,B,B probability,row\nc.png,1,0.9,1,0.2,4\nb.png,0,0.1,,0.7,3\nd.png,1,0.5,0,0.5,\n";
        fs::write(run.join("predictions-test.csv"), table).unwrap();
        let films = TestedFilms::read(&run, &model).unwrap().unwrap().films;
        assert_eq!(films[0].labels, [Some(true), Some(true)]);
        assert_eq!(films[1].labels, [Some(false), None]);
        assert_eq!((films[1].probabilities.as_slice(), films[1].label.as_str()), (&[0.1, 0.7][..], ""));
        let groups = |film: &TestedFilm| film.groups.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        // Neither whose a film is nor what all have in common.
        assert_eq!(groups(&films[0]), ["Age=60", "Sex=F"]);
        assert_eq!((groups(&films[1]), groups(&films[2])), (vec!["Age=50".to_owned(), "Sex=M".to_owned()], Vec::new()));
        // Ages of many films are thirds.
        let rows: Vec<Option<u64>> = (0..60).map(|at| Some(at + 2)).collect();
        let text: String = (0..60).map(|at| format!("f{at},{at},{}\n", at + 20)).collect();
        fs::write(&labels, format!("path,A,Age\n{text}")).unwrap();
        let ages: BTreeSet<String> =
            of_table(&model, &rows).into_iter().filter_map(|mut of| of.remove("Age")).collect();
        assert_eq!(ages.into_iter().collect::<Vec<_>>(), ["above 40 to 60", "above 60", "up to 40"]);
    }
}
