//! What a test says beside its metrics, as lines for a person: what the look of films would tell, films that are unlike those of the
//! training, groups, and what changes of the films do.

use lungfish::{Groups, Measure, ShortcutMetrics, StressTest, TestOutcome, UnlikeFilms};

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
    let width = found.iter().map(|test| test.change.chars().count()).max().unwrap_or(0);
    let line = |test: &StressTest| {
        let difference = test.difference.value.map_or_else(
            || "none".to_owned(),
            |value| format!("{value:+.4} ({})", print::interval(test.difference.interval)),
        );
        format!("{:width$}  {:25}  {difference:27}  {}", test.change, told(&test.auc), test.flipped)
    };
    let heading = format!(
        "{:width$}  {:25}  {:27}  called otherwise",
        format!("stress test of {}", print::films(films)),
        "AUC",
        "difference"
    );
    std::iter::once(heading).chain(found.iter().map(line)).chain([String::new()]).collect()
}
