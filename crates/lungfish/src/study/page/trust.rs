//! Whether the numbers mean what they seem to: groups of films, altered films, and what is no lung.

use super::results::cell;
use super::{begin, lacks, picture};
use crate::Error;
use crate::study::found::Found;
use crate::study::html::{Page, Table, Words, metric, percent, some, with_interval};
use crate::study::part::Part;
use crate::study::tested::{Audited, Figure, OfLabel, Separated, Separation, Shortcut, Stress, Tested};

pub(super) fn groups(page: &mut Page, found: &Found) -> Result<(), Error> {
    begin(page, Part::Groups);
    lacks(page, found.lacks_groups());
    if found.test().is_none() {
        lacks(page, found.lacks_test());
    }
    let groupings = found.test().and_then(|test| test.groups.as_deref()).unwrap_or_default();
    for grouping in groupings {
        let names = || grouping.groups.iter().flat_map(|group| &group.measures).map(|measure| &measure.name);
        let mut columns: Vec<&String> = Vec::new();
        for name in names() {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        let heads = ["Group", "Films", "Positive"]
            .map(str::to_owned)
            .into_iter()
            .chain(columns.iter().map(|name| (*name).clone()));
        let mut table = Table::new(format!("Groups by {}, with 95 % intervals", grouping.column), heads);
        for group in &grouping.groups {
            let mut cells = vec![
                group.films.to_string(),
                group.positives.map_or_else(|| "–".to_owned(), |films| films.to_string()),
            ];
            cells.extend(columns.iter().map(|name| cell(group.measures.iter().find(|measure| measure.name == **name))));
            table.row(format!("{}{}", group.name, few(group.too_few)), cells);
        }
        page.table(&table);
    }
    if let Some(test) = found.test().filter(|_| !groupings.is_empty()) {
        picture(
            page,
            found.pictures.of_split("groups", test.split.name())?,
            "The metric of each group with its interval; the tables above have the same numbers.",
            "Groups of films beside each other; the dashed line is all films together.",
        );
        page.paragraph(
            "Of many groups some differ by chance. A group of few films says little, as its intervals show.",
        );
    }
    super::films::told(page, found, &[("inequalities", "Known inequalities"), ("fairness", "Fairness")]);
    Ok(())
}

pub(super) fn stress(page: &mut Page, found: &Found) -> Result<(), Error> {
    begin(page, Part::Stress);
    lacks(page, found.lacks_stress());
    if found.test().is_none() {
        lacks(page, found.lacks_test());
    }
    let changes = found.test().and_then(|test| test.stress.as_deref()).unwrap_or_default();
    let Some(test) = found.test().filter(|_| !changes.is_empty()) else { return Ok(()) };
    let columns = ["Change", "Films", "AUC", "Difference of the AUC", "Films called otherwise"];
    let mut table = Table::new("What changes of the films do to the model, with 95 % intervals", columns);
    for change in changes {
        let flipped = change
            .flipped
            .map_or_else(|| "–".to_owned(), |films| format!("{films} ({})", percent(films, change.films)));
        table.row(
            &change.change,
            [change.films.to_string(), cell(change.auc.as_ref()), cell(change.difference.as_ref()), flipped],
        );
    }
    page.table(&table);
    changes.iter().for_each(|change| of_changed_labels(page, change));
    picture(
        page,
        found.pictures.of_split("stress", test.split.name())?,
        "The AUC after each change of the films with its interval; the table above has the same numbers.",
        "The AUC after each change; the dashed line is that of the films as they are.",
    );
    page.paragraph(
        "A change that leaves the lungs as they are should change little. One that takes the lungs away should leave an AUC near 0.5: what \
         is above it, the model reads elsewhere.",
    );
    Ok(())
}

fn of_changed_labels(page: &mut Page, change: &Stress) {
    let caption = format!("{}: what it does to each label, with 95 % intervals", change.change);
    let columns = ["Label", "Films of which it is known", "AUC", "Difference of the AUC", "Films called otherwise"];
    let mut table = Table::new(caption, columns);
    for of in &change.labels {
        let (auc, difference) = (cell(of.auc.as_ref()), cell(of.difference.as_ref()));
        let cells = [of.films.to_string(), auc, difference, of.flipped.to_string()];
        table.row(format!("{}{}", of.label, few(of.too_few)), cells);
    }
    if !table.is_empty() {
        page.table(&table);
    }
}

/// What stands behind the name of what too few films say something of.
fn few(too_few: bool) -> &'static str {
    if too_few { " (too few films)" } else { "" }
}

pub(super) fn shortcuts(page: &mut Page, found: &Found) {
    begin(page, Part::Shortcuts);
    page.paragraph(
        "A model may learn how films were taken and not what they show, and a test on films of the same source does not tell. What \
         numbers without lungs say of the classes bounds how far the AUC above can be believed.",
    );
    if found.test().is_none() {
        lacks(page, found.lacks_test());
    }
    lacks(page, found.lacks_shortcut());
    if let Some(shortcut) = found.test().and_then(|test| test.shortcut.as_ref()) {
        of_shortcut(page, shortcut);
    }
    if let Some(test) = found.test().filter(|test| !test.label_shortcuts.is_empty()) {
        of_label_shortcuts(page, test);
    }
    lacks(page, found.lacks_unlike());
    if let Some(unlike) = found.test().and_then(|test| test.unlike.as_ref()) {
        page.paragraph(format!(
            "{} of the test's {} ({}) are less like the training films than 99 % of those are like each other: what the model says of them \
             is a guess.",
            some(unlike.beyond, "film", "films"),
            some(unlike.films, "film", "films"),
            percent(unlike.beyond, unlike.films)
        ));
        if let Some(limit) = unlike.limit {
            page.paragraph(format!("The limit is a distance of {limit:.3}."));
        }
    }
    page.heading("The data set's audit");
    if !lacks(page, found.lacks_audit())
        && let Some(audit) = &found.audit
    {
        of_audit(page, audit);
    }
}

fn of_shortcut(page: &mut Page, shortcut: &Shortcut) {
    page.heading(&format!("The test, with {} allowed for", shortcut.what));
    let mut table = Table::new("AUC, with 95 % interval", ["Of", "AUC"]);
    table.row(format!("{} alone", shortcut.what), [cell(shortcut.alone.as_ref())]);
    table.row(format!("the model, adjusted for {}", shortcut.what), [cell(shortcut.adjusted.as_ref())]);
    page.table(&table);
    adjusted(page, &shortcut.what);
    let mut table = Table::new(
        format!("The model's AUC among films that {} find alike", shortcut.what),
        ["Score without lungs", "Films", "Positive", "AUC"],
    );
    for stratum in &shortcut.strata {
        let range = format!("{} to {}", metric(stratum.from), metric(stratum.to));
        table.row(range, [stratum.films.to_string(), stratum.positives.to_string(), metric(stratum.auc)]);
    }
    if !table.is_empty() {
        page.table(&table);
    }
    if let Some(misled) = &shortcut.misled {
        let caption = format!(
            "The model on the {} ({} positive) about which {} are wrong or undecided, with 95 % intervals",
            some(misled.films, "film", "films"),
            misled.positives,
            shortcut.what
        );
        let mut table = Table::new(caption, ["Metric", "Value"]);
        for measure in &misled.measures {
            table.row(&measure.name, [cell(Some(measure))]);
        }
        if !table.is_empty() {
            page.table(&table);
        }
    }
}

fn adjusted(page: &mut Page, what: &str) {
    page.paragraph(format!(
        "The adjusted AUC (Janes and Pepe) compares each positive film with films that look as positive by {what} alone: what is left of \
         it, the model reads elsewhere.",
    ));
}

fn of_label_shortcuts(page: &mut Page, test: &Tested) {
    let what = test.label_shortcuts.iter().find_map(|of| Some(of.shortcut.as_ref()?.what.as_str()));
    let what = what.unwrap_or("image statistics");
    page.heading(&format!("The test, label by label, with {what} allowed for"));
    let columns = [
        "Label".to_owned(),
        "Films of which it is known".to_owned(),
        "Positive".to_owned(),
        format!("{what} alone"),
        "The model".to_owned(),
        format!("The model, adjusted for {what}"),
        format!("The model where {what} are wrong or undecided"),
    ];
    let mut table = Table::new("AUC of each label, with 95 % interval", columns);
    let auc = |measures: &[Figure]| cell(measures.iter().find(|measure| measure.name == "AUC"));
    for OfLabel { label, films, positives, too_few, shortcut } in &test.label_shortcuts {
        let of = |which: &dyn Fn(&Shortcut) -> String| shortcut.as_ref().map_or_else(|| cell(None), which);
        let all = test.labels.iter().find(|of| of.name == *label);
        let cells = [
            films.to_string(),
            positives.to_string(),
            of(&|shortcut| cell(shortcut.alone.as_ref())),
            all.map_or_else(|| cell(None), |of| auc(&of.measures)),
            of(&|shortcut| cell(shortcut.adjusted.as_ref())),
            of(&|shortcut| match &shortcut.misled {
                Some(misled) => format!("{}, {}", auc(&misled.measures), some(misled.films, "film", "films")),
                None => cell(None),
            }),
        ];
        table.row(format!("{label}{}", few(*too_few)), cells);
    }
    page.table(&table);
    adjusted(page, what);
}

pub(in crate::study) fn of_audit(page: &mut Page, audit: &Audited) {
    page.caution(format!("{}.", audit.verdict));
    let leaks = &audit.leakage;
    let patients = match leaks.patients {
        None => "Patients on two splits: not asked, since there are no splits in the data set or nothing tells its patients.".to_owned(),
        Some(0) => "Patients on two splits of the data set: none.".to_owned(),
        Some(n) => format!("Patients on two splits of the data set: {n}, with {}.", some(leaks.films_of_patients, "film", "films")),
    };
    let copies = format!(
        "Films whose pixels lie on two splits: {}; in two classes: {}.",
        leaks.copies_on_two_splits, leaks.copies_in_two_classes
    );
    let near = leaks
        .near_copies
        .map(|near| format!("Films that another one shows all or a part of (cropped, mirrored, saved anew): {near}."));
    page.list([patients, copies].into_iter().chain(near).map(Words::from));
    let of = |separation: &Separation| with_interval(Some(separation.auc), separation.interval);
    let row = |table: &mut Table, found: &Separated| {
        let test = found.test.as_ref().map_or_else(|| "–".to_owned(), of);
        table.row(&found.what, [Words::from(&found.class), of(&found.train).into(), test.into()]);
    };
    let mut table = Table::new(
        format!("What tells the classes apart without lungs: AUC with 95 % interval, {} films", audit.films),
        ["Numbers", "Class", "Other patients of the same films", "The data set's test split"],
    );
    audit.shortcuts.iter().for_each(|found| row(&mut table, found));
    if !table.is_empty() {
        page.table(&table);
    }
    if let Some(drift) = &audit.drift {
        page.paragraph(format!(
            "The {} of the data set's test split can be told from the {} others by {} with an AUC of {}; 0.5 would say that they are \
             alike.",
            some(audit.test, "film", "films"),
            audit.train,
            drift.what,
            of(&drift.train)
        ));
    }
    if let Some(suspects) = &audit.suspects {
        page.paragraph(format!(
            "{} of {} have a label that films of other patients contradict, by what a network that was not trained on them sees in them.",
            suspects.count,
            some(suspects.films, "film", "films")
        ));
    }
    page.list(audit.caveats.iter().map(|caveat| Words::from(format!("Caution: {}.", caveat.words()))));
}
