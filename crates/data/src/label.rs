//! What a film shows: a class, or a row of labels of which each is known or not.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is asked of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Which one of several classes it is.
    #[default]
    OneOf,
    /// For each of several labels, whether it has it: any of them, all, or none.
    AnyOf,
}

impl Task {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OneOf, Self::AnyOf];

    /// `one-of` or `any-of`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneOf => "one-of",
            Self::AnyOf => "any-of",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a task that there is not.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no task {0:?}: it is one-of or any-of")]
pub struct UnknownTask(String);

impl FromStr for Task {
    type Err = UnknownTask;

    fn from_str(name: &str) -> Result<Self, UnknownTask> {
        Self::ALL.into_iter().find(|task| task.name() == name).ok_or_else(|| UnknownTask(name.to_string()))
    }
}

/// What a film shows, by the indices of the classes or labels of its data set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// [`Task::OneOf`]: its class.
    Class(usize),
    /// [`Task::AnyOf`]: for each label whether the film has it; `None` where nobody knows, which is no "no".
    Row(Vec<Option<bool>>),
}

impl Label {
    /// The class of a film that is one of several; `None` for a row.
    pub fn class(&self) -> Option<usize> {
        match self {
            Self::Class(class) => Some(*class),
            Self::Row(_) => None,
        }
    }

    /// Whether a film is of the class, or has the label, of that index; `None` where nobody knows.
    ///
    /// ```
    /// use lungfish_data::Label;
    /// let row = Label::Row(vec![Some(true), None, Some(false)]);
    /// assert_eq!([0, 1, 2, 3].map(|index| row.has(index)), [Some(true), None, Some(false), None]);
    /// assert_eq!([0, 1].map(|index| Label::Class(1).has(index)), [Some(false), Some(true)]);
    /// ```
    pub fn has(&self, index: usize) -> Option<bool> {
        match self {
            Self::Class(class) => Some(*class == index),
            Self::Row(row) => row.get(index).copied().flatten(),
        }
    }

    /// Whether anything is known: always of a class, and of a row where not every label is unknown.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Class(_) => true,
            Self::Row(row) => row.iter().any(Option::is_some),
        }
    }

    /// The indices that a film certainly has: its class, or its labels.
    pub fn present(&self) -> impl Iterator<Item = usize> {
        let (class, row) = match self {
            Self::Class(class) => (Some(*class), &[][..]),
            Self::Row(row) => (None, &row[..]),
        };
        let labels = row.iter().enumerate().filter(|(_, value)| **value == Some(true)).map(|(index, _)| index);
        class.into_iter().chain(labels)
    }

    /// In the words of a data set: the class, or the labels that the film certainly has with commas, `none` without any.
    pub fn words(&self, names: &[String]) -> String {
        let present: Vec<&str> = self.present().filter_map(|index| names.get(index)).map(String::as_str).collect();
        if present.is_empty() { "none".to_string() } else { present.join(", ") }
    }

    /// As it stands in `split.csv`: the name of the class; of a row `1`, `0` and `?` for each label, with spaces.
    pub(crate) fn to_cell(&self, names: &[String]) -> String {
        match self {
            Self::Class(class) => names.get(*class).cloned().unwrap_or_default(),
            Self::Row(row) => {
                let sign = |value: &Option<bool>| match value {
                    Some(true) => "1",
                    Some(false) => "0",
                    None => "?",
                };
                row.iter().map(sign).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// What [`Label::to_cell`] wrote, or what is wrong with it.
    pub(crate) fn from_cell(task: Task, cell: &str, names: &[String]) -> Result<Self, String> {
        use crate::display::escape;
        if task == Task::OneOf {
            let class = names.iter().position(|name| name == cell);
            let unknown = || format!("no class {}; there are {}", escape(cell), escape(names.join(", ")));
            return class.map(Self::Class).ok_or_else(unknown);
        }
        let value = |sign: &str| match sign {
            "1" => Some(Some(true)),
            "0" => Some(Some(false)),
            "?" => Some(None),
            _ => None,
        };
        let row: Option<Vec<_>> = cell.split(' ').map(value).collect();
        row.filter(|row| row.len() == names.len()).map(Self::Row).ok_or_else(|| {
            format!(
                "{} is no row of 1, 0 and ? for the {} labels {}",
                escape(cell),
                names.len(),
                escape(names.join(", "))
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_comes_back_from_its_cell() {
        let names = ["A", "B", "C"].map(str::to_string);
        let row = Label::Row(vec![Some(true), None, Some(false)]);
        for (task, label, cell) in [(Task::OneOf, Label::Class(1), "B"), (Task::AnyOf, row, "1 ? 0")] {
            assert_eq!(label.to_cell(&names), cell);
            assert_eq!(Label::from_cell(task, cell, &names), Ok(label));
        }
        let error = Label::from_cell(Task::OneOf, "1 ? 0", &names).unwrap_err();
        assert_eq!(error, "no class 1 ? 0; there are A, B, C");
        for cell in ["1 0", "1 0 2", "B", "", "1 0 0 0", "1  0"] {
            let error = Label::from_cell(Task::AnyOf, cell, &names).unwrap_err();
            assert!(error.contains("is no row of 1, 0 and ? for the 3 labels A, B, C"), "{error}");
        }
    }

    #[test]
    fn words_are_of_what_is_certainly_there() {
        let names = ["A", "B", "C"].map(str::to_string);
        assert_eq!(Label::Class(2).words(&names), "C");
        assert_eq!(Label::Row(vec![Some(true), None, Some(true)]).words(&names), "A, C");
        assert_eq!(Label::Row(vec![Some(false), None, None]).words(&names), "none");
        assert_eq!("any-of".parse::<Task>().unwrap().to_string(), "any-of");
        assert_eq!("both".parse::<Task>().unwrap_err().to_string(), "no task \"both\": it is one-of or any-of");
    }
}
