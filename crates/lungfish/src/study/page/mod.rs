//! The page: one HTML file that needs nothing else.

mod closing;
mod films;
mod results;
mod training;
pub(super) mod trust;

use lungfish_data::Task;

use super::found::Found;
use super::html::{Page, Words, times, with_interval};
use super::part::{Missing, Part};
use super::picture::Shown;
use crate::Error;

/// What must be known that stands in the summary already.
const MOST_CAUTIONS: usize = 4;

/// Said wherever a metric could be taken for a finding.
pub(super) const NOT_A_DIAGNOSIS: &str = "This is research, not a diagnosis: nobody may be diagnosed or treated by it.";

/// The whole page. The same run gives the same page.
///
/// # Errors
/// A picture that cannot be read.
pub(super) fn write(found: &Found) -> Result<String, Error> {
    let mut page = Page::default();
    summary(&mut page, found);
    films::purpose(&mut page, found);
    films::films(&mut page, found);
    films::splits(&mut page, found);
    training::recipe(&mut page, found);
    training::epochs(&mut page, found)?;
    results::metrics(&mut page, found)?;
    training::calibration(&mut page, found)?;
    results::points(&mut page, found)?;
    results::comparison(&mut page, found);
    trust::groups(&mut page, found)?;
    trust::stress(&mut page, found)?;
    trust::shortcuts(&mut page, found);
    results::errors(&mut page, found)?;
    closing::opened(&mut page, found);
    limits(&mut page, found);
    closing::checklist(&mut page, found);
    closing::origin(&mut page, found);

    let mut under = Vec::new();
    under.extend(found.answers.get("authors").map(Words::from));
    under.extend(found.answers.get("contact").map(|contact| Words::from("Contact: ").and(contact)));
    under.push(Words::default().strong(NOT_A_DIAGNOSIS));
    let foot = Words::from(format!("Written by lungfish {}. ", env!("CARGO_PKG_VERSION"))).and(NOT_A_DIAGNOSIS);
    Ok(page.finish(&title(found), &under, &[foot]))
}

/// What the report is called.
pub(super) fn title(found: &Found) -> String {
    found.answers.get("title").map_or_else(|| format!("Report of {}", found.name), str::to_owned)
}

/// What the model is, in one sentence.
pub(super) fn what_it_is(found: &Found) -> String {
    let model = &found.model;
    let network = match model.members.len() {
        0 => format!("one network ({})", model.architecture),
        members => format!("an ensemble of {members} networks ({} the first)", model.architecture),
    };
    let classes = listed(&model.classes, if model.task == Task::OneOf { "or" } else { "and" });
    let does = match model.task {
        Task::OneOf => format!("says which one a chest X-ray is: {classes}"),
        Task::AnyOf => format!("says of each of these labels how probable it is that a chest X-ray has it: {classes}"),
    };
    format!("{} is {network} that {does}.", found.name)
}

/// a, b or c.
fn listed(names: &[String], word: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

fn begin(page: &mut Page, part: Part) {
    page.section(part.id(), part.title());
}

/// Says what is missing and how it comes there; whether it is.
fn lacks(page: &mut Page, missing: Option<Missing>) -> bool {
    let Some(Missing { what, command, .. }) = &missing else { return false };
    let words = Words::from(what);
    page.missing(&match command {
        Some(command) => words.and(" This command makes it: ").code(command),
        None => words,
    });
    true
}

/// Shows a picture of a test, or says why it is not there.
pub(super) fn picture(page: &mut Page, shown: Shown, alternative: &str, caption: &str) {
    match shown {
        Shown::Picture(data, films) => page.picture(&data, films, alternative, caption),
        Shown::LeftOut => page.paragraph(format!("{caption} Pictures with films on them were left out of this page.")),
        Shown::Absent => {}
    }
}

fn summary(page: &mut Page, found: &Found) {
    begin(page, Part::Summary);
    page.paragraph(what_it_is(found));
    let mut terms: Vec<(Words, Words)> = Vec::new();
    let mut term = |name: &str, said: String| terms.push((name.into(), said.into()));
    if let Some(counts) = &found.counts {
        term("Films on all splits", counts.films().to_string());
        term(
            if found.no_patients() { "Patients (each film as one)" } else { "Patients" },
            counts.patients().to_string(),
        );
    }
    if let Some(test) = found.test() {
        term(&format!("Films of the {} split, scored", test.split), test.films.to_string());
        for name in ["AUC", "accuracy", "sensitivity", "specificity", "expected calibration error"] {
            if let Some(measure) = test.measure(name) {
                let mut shown = name.to_owned();
                shown[..1].make_ascii_uppercase();
                term(&format!("{shown}, 95 % interval"), with_interval(measure.value, measure.interval));
            }
        }
        if test.measures.is_empty() {
            term("Mean AUC of the labels", super::html::metric(test.auc));
        }
        if let Some(opened) = &test.opened {
            term("Test films were opened", times(opened.time));
        }
    }
    page.terms(terms);
    lacks(page, found.lacks_test());
    let cautions = found.caveats();
    for text in cautions.iter().take(MOST_CAUTIONS) {
        page.caution(Words::default().strong("Caution: ").and(format!("{text}.")));
    }
    if cautions.len() > MOST_CAUTIONS {
        let more = format!("{} more", cautions.len() - MOST_CAUTIONS);
        page.caution(Words::from("Caution: ").link(Part::Limits.id(), more).and(", told below."));
    }
    let missing = found.missing();
    if !missing.is_empty() {
        page.paragraph("What this report lacks, and what makes it:");
        page.list(missing.into_iter().map(|Missing { what, command, .. }| {
            let words = Words::from(what);
            match command {
                Some(command) => words.and(" ").code(command),
                None => words,
            }
        }));
    }
}

fn limits(page: &mut Page, found: &Found) {
    begin(page, Part::Limits);
    let cautions = found.caveats();
    if cautions.is_empty() {
        page.paragraph("The program knows of nothing beyond what is told above.");
    } else {
        page.list(cautions.iter().map(|text| Words::from(capital(text)).and(".")));
    }
    page.paragraph(
        "An interval says how much a number may differ for other films like these. It says nothing of films that were taken \
         otherwise, at another place, or of other people.",
    );
    match found.answers.get("limitations") {
        Some(said) => page.prose(said),
        None => page.paragraph(
            Words::from("What else is weak in it, only its authors can say (key ")
                .code("limitations")
                .and(" of study.toml)."),
        ),
    }
}

/// With a capital at its beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect()
}
