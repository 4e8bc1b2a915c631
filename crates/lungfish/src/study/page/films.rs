//! What the model is for, which films there are, and how they lie on the splits.

use lungfish_data::Task;

use super::training::setting;
use super::{begin, lacks};
use crate::study::counts::OfSplit;
use crate::study::flow::Flow;
use crate::study::found::Found;
use crate::study::html::{Page, Table, Words, percent, some};
use crate::study::part::Part;

/// Keys of `study.toml` that are told here, with a heading.
const OF_PURPOSE: [(&str, &str); 4] =
    [("background", "Background"), ("aims", "Aims"), ("intended_use", "Intended use"), ("users", "Users")];
const OF_FILMS: [(&str, &str); 14] = [
    ("dataset", "Data set"),
    ("data_source", "Source"),
    ("dates", "Dates"),
    ("sites", "Places"),
    ("design", "Design"),
    ("recruitment", "How people came to be X-rayed"),
    ("inclusion", "Who was taken in"),
    ("severity", "Severity, and what the others had"),
    ("treatments", "Treatments and times"),
    ("acquisition", "Machines and settings"),
    ("deidentification", "How names were taken off"),
    ("reference_standard", "Reference standard"),
    ("annotators", "Who labelled"),
    ("agreement", "Agreement"),
];

/// What its authors say of some keys, each under its heading.
pub(super) fn told(page: &mut Page, found: &Found, keys: &[(&str, &str)]) {
    for (key, heading) in keys {
        if let Some(said) = found.answers.get(key) {
            page.heading(heading);
            page.prose(said);
        }
    }
}

pub(super) fn purpose(page: &mut Page, found: &Found) {
    begin(page, Part::Use);
    page.caution(Words::default().strong("Research, not a diagnosis.").and(
        " The model is a research tool and no medical device. It must not be used to diagnose or treat anybody, and what it \
         says of a film is no finding.",
    ));
    if found.answers.get("intended_use").is_none() {
        page.paragraph(
            Words::from("What it is meant for beyond that, its authors have not said (key ")
                .code("intended_use")
                .and(" of study.toml)."),
        );
    }
    lacks(page, found.lacks_study());
    told(page, found, &OF_PURPOSE);
}

pub(super) fn films(page: &mut Page, found: &Found) {
    begin(page, Part::Films);
    if lacks(page, found.lacks_splits()) {
        return told(page, found, &OF_FILMS);
    }
    if let Some(flow) = Flow::of(found) {
        page.diagram(
            &flow.svg(),
            "From the films of the data set to the splits, and from the test to what films were called. Numbers are films, unless \
             they say patients.",
        );
    }
    if found.model.recipe.limit > 0 {
        page.paragraph(
            Words::from("Of the data set a part was drawn, by whole patients and with each class in proportion (")
                .code(setting(&found.model.recipe, "limit"))
                .and("): the films on the splits are those."),
        );
    }
    if found.model.synthetic {
        page.caution("The films are drawings that lungfish made, nobody's X-rays.");
    }
    if found.no_patients() {
        page.caution("Nothing tells which films are of the same patient, so each film counts as a patient of its own.");
    }
    if let Some(test) = found.test().filter(|test| !test.passed_over.is_empty()) {
        let mut table = Table::new("Files that were passed over, when the films were tested", ["Kind", "Files"]);
        for passed in &test.passed_over {
            table.row(&passed.kind, [passed.count.to_string()]);
        }
        page.table(&table);
    }
    page.paragraph(
        Words::from(
            "A film that cannot be read is left out before the splits are made. A label that is unknown has no part in any loss or \
             metric; one that a table calls uncertain is taken as the recipe says (",
        )
        .code(setting(&found.model.recipe, "uncertain"))
        .and(")."),
    );
    told(page, found, &OF_FILMS);
}

pub(super) fn splits(page: &mut Page, found: &Found) {
    begin(page, Part::Splits);
    if lacks(page, found.lacks_splits()) {
        return;
    }
    let Some(counts) = &found.counts else { return };
    let names = counts.splits.iter().map(|of| of.split.name());
    let mut table = Table::new("Films and patients of each split", std::iter::once("Of each split").chain(names));
    let each = |of: &dyn Fn(&OfSplit) -> String| counts.splits.iter().map(of).collect::<Vec<_>>();
    table.row("Films", each(&|of| of.films.to_string()));
    table.row("Patients", each(&|of| of.patients.to_string()));
    table.row(
        "Films of a patient, mean",
        each(&|of| match of.patients {
            0 => "–".to_owned(),
            patients => format!("{:.2}", of.films as f64 / patients as f64),
        }),
    );
    table.row("Films of a patient, most", each(&|of| of.most.to_string()));
    for (class, name) in found.model.classes.iter().enumerate() {
        let known = |of: &OfSplit| of.films - of.unknown[class];
        table.row(name, each(&|of| format!("{} ({})", of.having[class], percent(of.having[class], known(of)))));
        if found.model.task == Task::AnyOf {
            table.row(format!("{name}, unknown"), each(&|of| of.unknown[class].to_string()));
        }
    }
    page.table(&table);
    let recipe = &found.model.recipe;
    page.paragraph(match counts.on_several {
        0 => "No patient is on two splits: that was counted anew for this report. The films of a patient, and films of the same content, \
              stay together."
            .to_owned(),
        several => format!("{} on more than one split: the test is too good.", some(several, "patient is", "patients are")),
    });
    page.paragraph(
        Words::from("A split that the data set does not have is carved out of its training films by whole patients, stratified by class, keyed by the seed (")
            .code(format!("seed = {}", recipe.seed))
            .and("). Patients are told by the rule ")
            .code(format!("patient = {:?}", recipe.patient))
            .and("."),
    );
    if found.counts.as_ref().is_some_and(|counts| counts.splits.iter().any(|of| of.films == 0)) {
        page.caution("A split without a film says nothing.");
    }
    told(
        page,
        found,
        &[
            ("characteristics", "The people of each split"),
            ("sample_size", "Number of films"),
            ("representativeness", "Whom these films stand for"),
        ],
    );
}
