//! The file with one line a film that a test leaves.

use std::path::{Path, PathBuf};

use lungfish_data::display::{cell, escape};
use lungfish_data::{Label, Task};

use crate::run_folder::write_atomically;
use crate::{Error, ModelInfo, Prediction};

/// `predictions-{name}.csv`: path, label, predicted, one probability a class. Any-of: path, and for each label whether the
/// film has it (1, 0, empty where nobody knows) and its probability.
pub(crate) fn write(
    out: &Path,
    name: &str,
    model: &ModelInfo,
    labels: &[Label],
    predictions: &[Prediction],
) -> Result<PathBuf, Error> {
    let classes = &model.classes;
    let mut text = match model.task {
        Task::OneOf => "path,label,predicted".to_owned(),
        Task::AnyOf => "path".to_owned(),
    };
    for class in classes {
        text.push_str(&match model.task {
            Task::OneOf => format!(",{}", cell(class)),
            Task::AnyOf => format!(",{},{}", cell(class), cell(&format!("{class} probability"))),
        });
    }
    text.push('\n');
    for (prediction, label) in predictions.iter().zip(labels) {
        text.push_str(&cell(&escape(&prediction.path)));
        if model.task == Task::OneOf {
            let name = label.class().and_then(|class| classes.get(class)).map_or("", String::as_str);
            text.push_str(&format!(",{},{}", cell(name), cell(&prediction.called.words())));
        }
        for (index, (_, probability)) in prediction.probabilities.iter().enumerate() {
            if model.task == Task::AnyOf {
                text.push_str(label.has(index).map_or(",", |has| if has { ",1" } else { ",0" }));
            }
            text.push_str(&format!(",{probability}"));
        }
        text.push('\n');
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
    let file = out.join(format!("predictions-{name}.csv"));
    write_atomically(&file, text.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Called;

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
        };
        let file = write(dir.path(), "val", &model, &[Label::Class(0)], std::slice::from_ref(&prediction)).unwrap();
        assert_eq!(file, dir.path().join("predictions-val.csv"));
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text, "path,label,predicted,A,'=B\n\"'=cmd,x.png\",A,'=B,0.25,0.75\n");

        let model = ModelInfo { task: Task::AnyOf, ..model };
        let prediction = Prediction { called: Called::Labels(vec!["=B".to_owned()]), ..prediction };
        let rows = [Label::Row(vec![Some(true), None]), Label::Row(vec![Some(false), Some(true)])];
        let file = write(dir.path(), "val", &model, &rows, &[prediction.clone(), prediction]).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let expected = "path,A,A probability,'=B,'=B probability\n\"'=cmd,x.png\",1,0.25,,0.75\n";
        assert_eq!(text, format!("{expected}\"'=cmd,x.png\",0,0.25,1,0.75\n"));
    }
}
