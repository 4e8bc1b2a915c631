//! The file with one line a film that a test leaves.

use std::path::{Path, PathBuf};

use lungfish_data::display::{cell, escape};
use lungfish_data::{Film, FilmSet, Layout, Task, is_dicom};
use rayon::prelude::*;

use crate::origin::{UID, UNLIKE};
use crate::run_folder::write_atomically;
use crate::table::{Column, Kind, head};
use crate::{Error, ModelInfo, Prediction};

/// What stands in a Parquet file of predictions.
pub(crate) const FORMAT: &str = "lungfish.predictions.1";

/// Which columns the table has beside the ones that every table has. They are a data set's, whatever films of it are
/// scored, so that the tables of its splits can be put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Something tells the patients of some of its films.
    pub patient: bool,
    /// It has splits.
    pub split: bool,
    /// Its films have rows: in a table, or in the arrays of a `.npz`.
    pub row: bool,
    /// It has DICOM films.
    pub uid: bool,
    /// The model says how unlike its training films a film is.
    pub unlike: bool,
}

impl Facts {
    pub(crate) fn of(set: &FilmSet, unlike: bool) -> Self {
        let films: Vec<&Film> = set.layout.films().map(|(_, film)| film).collect();
        Facts {
            patient: set.with_patient() > 0,
            split: matches!(set.layout, Layout::Splits { .. }),
            row: films.iter().any(|film| film.facts.row.is_some()),
            uid: films.par_iter().any(|film| is_dicom(&film.path)),
            unlike,
        }
    }
}

/// One-of: path, label, predicted, one probability a class. Any-of: path, and for each label whether the film has it (1,
/// 0, empty where nobody knows) and its probability. Then patient, split, row and uid, as far as the data set has them, and unlike,
/// if the model says it.
pub(crate) fn columns(model: &ModelInfo, facts: Facts) -> Vec<Column> {
    let text = |name: &str| Column::new(name, Kind::Text);
    let number = |name: &str| Column::new(name, Kind::Number);
    let mut columns = vec![text("path")];
    match model.task {
        Task::OneOf => {
            columns.extend(["label", "predicted"].map(text));
            columns.extend(model.classes.iter().map(|class| number(class)));
        }
        Task::AnyOf => columns.extend(
            model
                .classes
                .iter()
                .flat_map(|label| [Column::new(label, Kind::Whole), number(&format!("{label} probability"))]),
        ),
    }
    let Facts { patient, split, row, uid, unlike } = facts;
    let more = [
        (patient, text("patient")),
        (split, text("split")),
        (row, Column::new("row", Kind::Whole)),
        (uid, text(UID)),
        (unlike, number(UNLIKE)),
    ];
    columns.extend(more.into_iter().filter_map(|(there, column)| there.then_some(column)));
    columns
}

/// Columns that tables of predictions have beside those of the classes.
const OWN: [&str; 9] = ["path", "label", "predicted", "patient", "split", "row", UID, UNLIKE, "error"];

/// Refuses classes of which no table of predictions could tell the column.
pub(crate) fn refuse_columns(classes: &[String]) -> Result<(), Error> {
    match classes.iter().find(|class| OWN.contains(&class.as_str())) {
        Some(class) => Err(Error::refused(format!(
            "a class is called {class}, which is a column that tables of predictions have for something else: give it another name"
        ))),
        None => Ok(()),
    }
}

/// The table as CSV: the films as the model labels them, and what it says of each.
pub(crate) fn csv(model: &ModelInfo, facts: Facts, films: &[&Film], predictions: &[Prediction]) -> String {
    let classes = &model.classes;
    let mut text = head(&columns(model, facts));
    for (film, prediction) in films.iter().zip(predictions) {
        let Film { label, facts: at, .. } = film;
        let mut cells = vec![cell(&escape(&prediction.path))];
        if model.task == Task::OneOf {
            let name = label.class().and_then(|class| classes.get(class)).map_or("", String::as_str);
            cells.extend([cell(&escape(name)), cell(&escape(prediction.called.words()))]);
        }
        for (index, (_, probability)) in prediction.probabilities.iter().enumerate() {
            if model.task == Task::AnyOf {
                cells.push(label.has(index).map_or("", |has| if has { "1" } else { "0" }).to_owned());
            }
            cells.push(probability.to_string());
        }
        let maybe = |text: Option<&str>| text.map_or_else(String::new, |text| cell(&escape(text)));
        let more = [
            (facts.patient, maybe(film.patient())),
            (facts.split, maybe(at.split.map(|split| split.name()))),
            (facts.row, at.row.map_or_else(String::new, |row| row.to_string())),
            (facts.uid, maybe(prediction.uid.as_deref())),
            (facts.unlike, prediction.unlike.map_or_else(String::new, |share| share.to_string())),
        ];
        cells.extend(more.into_iter().filter_map(|(there, cell)| there.then_some(cell)));
        text.push_str(&(cells.join(",") + "\n"));
    }
    text
}

/// Writes the table as `predictions-{name}.csv`.
pub(crate) fn write(out: &Path, name: &str, csv: &str) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
    let file = out.join(format!("predictions-{name}.csv"));
    write_atomically(&file, csv.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_class_is_called_as_no_other_column() {
        let classes = |names: [&str; 2]| names.map(str::to_owned);
        assert!(super::refuse_columns(&classes(["NORMAL", "Row"])).is_ok());
        let error = super::refuse_columns(&classes(["NORMAL", "uid"])).unwrap_err().to_string();
        assert!(error.starts_with("a class is called uid,"), "{error}");
    }

    use lungfish_data::{FilmFacts, Label, Split};

    use super::*;
    use crate::Called;

    const NONE: Facts = Facts { patient: false, split: false, row: false, uid: false, unlike: false };
    const ALL: Facts = Facts { patient: true, split: true, row: true, uid: true, unlike: true };

    fn film(label: Label, row: Option<u64>, patient_told: bool) -> Film {
        let facts = FilmFacts { split: Some(Split::Train), row, patient_told };
        Film { path: "somewhere".into(), label, group: "-7".to_owned(), facts }
    }

    #[test]
    fn predictions_are_safe_in_a_spreadsheet() {
        let dir = tempfile::tempdir().unwrap();
        let classes = vec!["A".to_owned(), "=B".to_owned()];
        let model = ModelInfo { classes, ..crate::report::model_for_tests() };
        let prediction = Prediction {
            path: "=cmd,x.png".into(),
            called: Called::Class("=B".to_owned()),
            probabilities: vec![("A".to_owned(), 0.25), ("=B".to_owned(), 0.75)],
            spread: Vec::new(),
            uid: None,
            at: crate::PointRule::default(),
            precision: None,
            map: None,
            unlike: None,
        };
        let a = film(Label::Class(0), Some(2), true);
        let text = csv(&model, NONE, &[&a], std::slice::from_ref(&prediction));
        assert_eq!(text, "path,label,predicted,A,'=B\n\"'=cmd,x.png\",A,'=B,0.25,0.75\n");
        let file = write(dir.path(), "val", &text).unwrap();
        assert_eq!(file, dir.path().join("predictions-val.csv"));
        assert_eq!(std::fs::read_to_string(file).unwrap(), text);

        let model = ModelInfo { task: Task::AnyOf, ..model };
        let prediction = Prediction { called: Called::Labels(vec!["=B".to_owned()]), ..prediction };
        let [a, b] =
            [[Some(true), None], [Some(false), Some(true)]].map(|row| film(Label::Row(row.to_vec()), None, true));
        let text = csv(&model, NONE, &[&a, &b], &[prediction.clone(), prediction]);
        let expected = "path,A,A probability,'=B,'=B probability\n\"'=cmd,x.png\",1,0.25,,0.75\n";
        assert_eq!(text, format!("{expected}\"'=cmd,x.png\",0,0.25,1,0.75\n"));
    }

    #[test]
    fn what_the_source_knows_comes_last_and_is_empty_where_it_knows_nothing() {
        let model = crate::report::model_for_tests();
        let mut known = Prediction::new("a.dcm", Task::OneOf, vec![("A".to_owned(), 0.75), ("B".to_owned(), 0.25)]);
        let unknown = Prediction { path: "b.png".into(), ..known.clone() };
        (known.uid, known.unlike) = (Some("=1.2,3".to_owned()), Some(0.25));
        let (a, b) = (film(Label::Class(0), Some(2), true), film(Label::Class(1), None, false));
        let text = |facts| csv(&model, facts, &[&a, &b], &[known.clone(), unknown.clone()]);
        assert_eq!(
            text(ALL),
            "path,label,predicted,A,B,patient,split,row,uid,unlike\n\
             a.dcm,A,A,0.75,0.25,'-7,train,2,\"'=1.2,3\",0.25\n\
             b.png,B,A,0.75,0.25,,train,,,\n"
        );
        let row = Facts { row: true, ..NONE };
        assert_eq!(text(row), "path,label,predicted,A,B,row\na.dcm,A,A,0.75,0.25,2\nb.png,B,A,0.75,0.25,\n");
        for facts in [ALL, NONE, row] {
            let names: Vec<String> = columns(&model, facts).into_iter().map(|column| column.name).collect();
            assert_eq!(text(facts).lines().next(), Some(names.join(",").as_str()));
        }
    }
}
