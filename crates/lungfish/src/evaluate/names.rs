//! The labels of a data set by the names that a model knows.

use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{Label, Task};
use lungfish_models::names::did_you_mean;

use crate::Error;

/// Refuses films of which another thing is known than the model says.
pub(crate) fn refuse_other_task(model: Task, films: Task, root: &Path) -> Result<(), Error> {
    let what = match (model, films) {
        (Task::OneOf, Task::AnyOf) => {
            "has labels of which a film may have any, and the model says which one class it is"
        }
        (Task::AnyOf, Task::OneOf) => "has classes of which a film is one, and the model says which labels it has",
        _ => return Ok(()),
    };
    Err(Error::refused(format!("{} {what}: it can be predicted, and not scored", escape(root))))
}

/// A film's label by the model's indices; what the folder has no column for nobody knows.
pub(crate) fn renamed(label: &Label, index_of: &[usize], width: usize) -> Option<Label> {
    match label {
        Label::Class(class) => index_of.get(*class).map(|index| Label::Class(*index)),
        Label::Row(row) => {
            let mut values = vec![None; width];
            for (value, &index) in row.iter().zip(index_of) {
                *values.get_mut(index)? = *value;
            }
            Some(Label::Row(values))
        }
    }
}

/// The model's index of each class (or label) of the folder, by name.
pub(crate) fn indices(folder: &[String], model: &[String], root: &Path, task: Task) -> Result<Vec<usize>, Error> {
    let kind = if task == Task::OneOf { "class" } else { "label" };
    let index = |name: &String| {
        model.iter().position(|known| known == name).ok_or_else(|| {
            Error::refused(format!(
                "{} has the {kind} {}{}, which the model does not know; it knows {}",
                escape(root),
                escape(name),
                escape(did_you_mean(name, model.iter().map(String::as_str))),
                escape(model.join(", "))
            ))
        })
    };
    folder.iter().map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_go_by_name_and_unknown_ones_are_refused() {
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let model = names(&["NORMAL", "PNEUMONIA", "TB"]);
        assert_eq!(indices(&names(&["PNEUMONIA", "TB"]), &model, Path::new("d"), Task::OneOf).unwrap(), [1, 2]);
        let error = indices(&names(&["NORMAL", "COVID"]), &model, Path::new("d"), Task::OneOf).unwrap_err().to_string();
        assert_eq!(error, "d has the class COVID, which the model does not know; it knows NORMAL, PNEUMONIA, TB");
        let error = indices(&names(&["TBC"]), &model, Path::new("d"), Task::AnyOf).unwrap_err().to_string();
        assert!(error.starts_with("d has the label TBC"), "{error}");
    }

    #[test]
    fn a_row_goes_by_the_models_names_and_what_it_lacks_is_unknown() {
        let row = Label::Row(vec![Some(true), Some(false)]);
        let renamed_row = renamed(&row, &[2, 0], 3).unwrap();
        assert_eq!(renamed_row, Label::Row(vec![Some(false), None, Some(true)]));
        assert_eq!(renamed(&Label::Class(1), &[2, 0], 3), Some(Label::Class(0)));
        let says = |model, films| refuse_other_task(model, films, Path::new("d")).map_err(|e| e.to_string());
        assert_eq!(says(Task::AnyOf, Task::AnyOf), Ok(()));
        assert!(says(Task::OneOf, Task::AnyOf).unwrap_err().contains("the model says which one class"));
        assert!(says(Task::AnyOf, Task::OneOf).unwrap_err().contains("the model says which labels"));
    }
}
