//! What a test says beside its metrics, as lines for a person: what the look of films would tell, films that are unlike those of the
//! training, groups, and what changes of the films do.

use lungfish::{Groups, LabelShortcut, Measure, ShortcutMetrics, StressLabel, StressTest, TestOutcome, UnlikeFilms};

use crate::print;

/// A value with its interval.
fn told(measure: &Measure) -> String {
    format!("{} ({})", print::metric(measure.value), print::interval(measure.interval))
}

/// The model's AUC beside that of the look of the films, and among films of like look.
pub(super) fn shortcut(outcome: &TestOutcome) -> Vec<String> {
    let Some(ShortcutMetrics { what, alone, adjusted, misled, .. }) = &outcome.shortcut else { return Vec::new() };
    let all = outcome.measures.iter().find(|measure| measure.name == "AUC");
    let mut rows = vec![(format!("{what} alone, no lung looked at"), told(alone))];
    rows.extend(all.map(|all| ("the model, all films".to_owned(), told(all))));
    rows.push(("the model, among films of like look".to_owned(), told(adjusted)));
    let heading = format!("the model, {} whose look misleads", print::films(misled.films));
    let auc = misled.measures.iter().find(|measure| measure.name == "AUC");
    rows.extend(auc.map(|auc| (heading, told(auc))));
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = rows.into_iter().map(|(name, value)| format!("{name:width$}  {value}"));
    let shares: Vec<String> = misled
        .measures
        .iter()
        .filter(|measure| ["sensitivity", "specificity"].contains(&measure.name.as_str()))
        .map(|measure| format!("{} {}", measure.name, told(measure)))
        .collect();
    let last = format!("On those whose look misleads: {}.", shares.join(", "));
    let heading = format!("{:width$}  AUC, 95 % interval", "how much is the look of the films");
    std::iter::once(heading).chain(lines).chain([last, String::new()]).collect()
}

/// The same of each label of several.
pub(super) fn label_shortcuts(outcome: &TestOutcome) -> Vec<String> {
    let found = &outcome.label_shortcuts;
    if found.is_empty() {
        return Vec::new();
    }
    let width = width_of(found.iter().map(|of| &of.label));
    let auc =
        |measures: &[Measure]| measures.iter().find(|measure| measure.name == "AUC").map(told).unwrap_or_default();
    let line = |of: &LabelShortcut| {
        let LabelShortcut { label, too_few, shortcut, .. } = of;
        let all = outcome.labels.iter().find(|metrics| metrics.name == *label);
        let all = all.map(|metrics| auc(&metrics.measures)).unwrap_or_default();
        let dash = || "-".to_owned();
        let [alone, adjusted] = [0, 1]
            .map(|which| shortcut.as_ref().map_or_else(dash, |found| told([&found.alone, &found.adjusted][which])));
        let misled = shortcut.as_ref().map_or_else(dash, |found| {
            format!("{} of {}", auc(&found.misled.measures), print::films(found.misled.films))
        });
        let few = if *too_few { "  too few" } else { "" };
        format!("{:width$}  {alone:25}  {all:25}  {adjusted:25}  {misled}{few}", print::one_line(label))
    };
    let heading =
        format!("{:width$}  {:25}  {:25}  {:25}  look misleads", "label", "look alone", "model", "of like look");
    let first = "How much is the look of the films (image statistics, no lung looked at): AUC, 95 % interval";
    [first.to_owned(), heading].into_iter().chain(found.iter().map(line)).chain([String::new()]).collect()
}

/// How wide a column of names is.
fn width_of<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.map(|name| print::one_line(name).chars().count()).max().unwrap_or(0).max(9)
}

/// How many films are unlike those of the training, where it is any.
pub(super) fn unlike(found: &UnlikeFilms) -> Option<String> {
    let (beyond, films) = (found.beyond, print::films(found.films));
    let of = if beyond == 1 { "1 film".to_owned() } else { format!("{beyond} films") };
    (beyond > 0).then(|| {
        format!(
            "Of {films}, {of} lie farther from the training films than every validation film (unlike = 1 in the table)."
        )
    })
}

/// The metrics of each group of a column.
pub(super) fn groups(found: &Groups) -> Vec<String> {
    let column = print::one_line(&found.column);
    let name = |group: &lungfish::Group| print::one_line(&group.name);
    let names = found.groups.iter().map(|group| name(group).chars().count());
    let width = names.max().unwrap_or(0).max(column.chars().count());
    let of = |group: &lungfish::Group, which: &str| {
        group.measures.iter().find(|measure| measure.name == which).map(told).unwrap_or_default()
    };
    let line = |group: &lungfish::Group| {
        format!(
            "{:width$}  {:5}  {:9}  {:25}  {:25}  {:25}{}",
            name(group),
            group.films,
            group.positives,
            of(group, "AUC"),
            of(group, "sensitivity"),
            of(group, "specificity"),
            if group.too_few { "  too few" } else { "" }
        )
    };
    let heading =
        format!("{column:width$}  films  positives  {:25}  {:25}  {:25}", "AUC", "sensitivity", "specificity");
    std::iter::once(heading).chain(found.groups.iter().map(line)).chain([String::new()]).collect()
}

/// What each change of the films does.
pub(super) fn stress(found: &[StressTest]) -> Vec<String> {
    let Some(films) = found.iter().map(|test| test.films).max() else { return Vec::new() };
    let labels = found.iter().flat_map(|test| &test.labels).map(|of| print::one_line(&of.label).chars().count() + 4);
    let width = found.iter().map(|test| test.change.chars().count()).chain(labels).max().unwrap_or(0);
    let row = |name: &str, auc: &Measure, difference: &Measure, flipped: usize| {
        let difference = difference.value.map_or_else(
            || "none".to_owned(),
            |value| format!("{value:+.4} ({})", print::interval(difference.interval)),
        );
        format!("{name:width$}  {:25}  {difference:27}  {flipped}", told(auc))
    };
    let of_label = |of: &StressLabel| {
        let few = if of.too_few { "  too few" } else { "" };
        let name = format!("    {}", print::one_line(&of.label));
        format!("{}{few}", row(&name, &of.auc, &of.difference, of.flipped))
    };
    // Of labels a change has a line each, below the one that says how many films are called otherwise.
    let lines = |test: &StressTest| {
        let first = match test.labels.is_empty() {
            true => row(&test.change, &test.auc, &test.difference, test.flipped),
            false => format!("{:width$}  {:25}  {:27}  {}", test.change, "", "", test.flipped),
        };
        std::iter::once(first).chain(test.labels.iter().map(of_label)).collect::<Vec<String>>()
    };
    let heading = format!(
        "{:width$}  {:25}  {:27}  called otherwise",
        format!("stress test of {}", print::films(films)),
        "AUC",
        "difference"
    );
    std::iter::once(heading).chain(found.iter().flat_map(lines)).chain([String::new()]).collect()
}
