//! The metrics of groups of films, and of films that were changed, below each other.

use lungfish_data::Split;
use lungfish_pictures::{ForestGroup, ForestLine, ForestRow};

use super::Tested;
use crate::{Groups, Measure, StressTest};

/// What a picture of rows is of: the metric, its rows and the line beside them.
pub(super) struct Forest {
    pub measure: &'static str,
    pub groups: Vec<ForestGroup>,
    pub line: Option<ForestLine>,
}

/// Each group of each column; none without groups. The AUC, or the accuracy where no group has films of both classes.
pub(super) fn of_groups(tested: &Tested) -> Option<Forest> {
    let all = tested.groups.iter().flat_map(|by| &by.groups);
    let has_auc = all.clone().any(|group| value(&group.measures, "AUC").is_some_and(|auc| auc.value.is_some()));
    let measure = if has_auc { "AUC" } else { "accuracy" };
    all.clone().next()?;
    let whole = if has_auc { tested.auc } else { Some(tested.accuracy) };
    let line = whole.map(|value| ForestLine { value, name: "all films".to_owned() });
    let groups = tested.groups.iter().map(|by| of_column(by, measure)).collect();
    Some(Forest { measure, groups, line })
}

fn of_column(by: &Groups, measure: &str) -> ForestGroup {
    let rows = by.groups.iter().map(|group| {
        let few = if group.too_few { ", too few" } else { "" };
        ForestRow {
            note: format!("{} of {} positive{few}", group.positives, group.films),
            ..row(&group.name, value(&group.measures, measure))
        }
    });
    ForestGroup { title: by.column.clone(), rows: rows.collect() }
}

/// Each change of the films; none where there was no stress test, or the AUC is not defined.
pub(super) fn of_stress(tested: &Tested) -> Option<Forest> {
    let defined = |change: &StressTest| change.auc.value.is_some();
    let first = tested.stress.iter().find(|change| defined(change))?;
    // The AUC of these films as they are, which may be fewer than were tested.
    let before = first.auc.value.zip(first.difference.value).map(|(after, difference)| after - difference);
    let rows = tested.stress.iter().map(|change| {
        let films = if change.flipped == 1 { "film" } else { "films" };
        let note = format!("{} {films} called otherwise", change.flipped);
        ForestRow { note, ..row(&change.change, Some(&change.auc)) }
    });
    Some(Forest {
        measure: "AUC",
        groups: vec![ForestGroup { title: String::new(), rows: rows.collect() }],
        line: before.map(|value| ForestLine { value, name: "as they are".to_owned() }),
    })
}

/// What a picture of groups is called.
pub(super) fn title(measure: &str, split: Split) -> String {
    format!("{measure} by groups of the {split} films")
}

fn value<'a>(measures: &'a [Measure], name: &str) -> Option<&'a Measure> {
    measures.iter().find(|measure| measure.name == name)
}

fn row(name: &str, measure: Option<&Measure>) -> ForestRow {
    ForestRow {
        name: name.to_owned(),
        value: measure.and_then(|measure| measure.value),
        interval: measure.and_then(|measure| measure.interval),
        ..ForestRow::default()
    }
}
