//! How often the test was opened, what guidelines ask, and which program and files all this is of.

use super::begin;
use crate::Descent;
use crate::study::checklist::{Answer, ITEMS, Item};
use crate::study::found::Found;
use crate::study::html::{Page, Table, Words, metric, times};
use crate::study::part::{Part, argument};

pub(super) fn opened(page: &mut Page, found: &Found) {
    begin(page, Part::Opened);
    let lines = found.openings.openings();
    if lines.is_empty() {
        page.paragraph("No test on test films is written down in this run.");
    } else {
        page.paragraph(format!(
            "Test films were opened {} by models of this run. They are new only the first time: whoever tests, changes something and tests \
             again chooses by the test. What this cannot see is another run on the same films.",
            times(lines.len())
        ));
        let columns = ["When (UTC)", "Films", "Called at", "Accuracy", "AUC", "Loss", "Model file"];
        let mut table = Table::new("Each time that test films were opened", columns);
        for line in lines {
            let model =
                if line.model == found.model_hash.to_string() { "this one".to_owned() } else { short(&line.model) };
            table.row(
                &line.when,
                [
                    line.films.to_string(),
                    line.at.to_string(),
                    metric(Some(line.accuracy)),
                    metric(line.auc),
                    metric(Some(line.loss)),
                    model,
                ],
            );
        }
        page.table(&table);
    }
    if found.openings.is_broken() {
        page.caution("Lines are missing or changed: nobody knows how often test films were opened.");
    }
    match (found.has_test(), found.tested_model()) {
        (true, Some(hash)) if hash != found.model_hash.to_string() => page.caution(format!(
            "The metrics of this report are of another model file ({}) than the one that lies here ({}): test again.",
            short(hash),
            short(&found.model_hash.to_string())
        )),
        (true, None) => page.caution(
            "No line here is of the metrics of this report, so that it is not known which model file they are of.",
        ),
        _ => {}
    }
}

/// The beginning of a hash, enough to tell files apart.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

pub(super) fn checklist(page: &mut Page, found: &Found) {
    begin(page, Part::Checklist);
    page.paragraph(
        Words::from("What TRIPOD+AI (Collins and others, BMJ 2024, ")
            .doi("10.1136/bmj-2023-078378")
            .and("), CLAIM in its 2024 update (Tejani and others, Radiology: Artificial Intelligence 2024, ")
            .doi("10.1148/ryai.240300")
            .and(") and STARD-AI (Sounderajah and others, Nature Medicine 2025, ")
            .doi("10.1038/s41591-025-03953-8")
            .and(
                ") ask for, in words of this program and not in theirs. Who has to hand in a checklist fills in the guideline's own. A number \
                 is that of the item there.",
            ),
    );
    for (topic, items) in ITEMS {
        let mut table =
            Table::of_texts(*topic, ["What is asked", "TRIPOD+AI", "CLAIM", "STARD-AI", "Where it is answered"]);
        for item in *items {
            let numbers = [item.tripod, item.claim, item.stard]
                .map(|of| Words::from(if of.is_empty() { "–".to_owned() } else { of.join(", ") }));
            table.row(item.asks, numbers.into_iter().chain([answer(found, item)]));
        }
        page.table(&table);
    }
}

/// Where an item is answered, or who has to.
fn answer(found: &Found, item: &Item) -> Words {
    let here = |words: Words, part: Part| {
        if found.has(part) {
            words.and("Answered here: ").link(part.id(), part.title())
        } else {
            words.and("Not yet: ").link(part.id(), part.title())
        }
    };
    let you = |words: Words, key: &str| match found.answers.get(key) {
        Some(said) => words.and("By the authors: ").and(crate::study::html::paragraphs(said).join(" ")),
        None => words.and("Only you can answer: key ").code(key).and(" of study.toml"),
    };
    match item.answer {
        Answer::Here(part) => here(Words::default(), part),
        Answer::You(key) => you(Words::default(), key),
        Answer::Both(part, key) => you(here(Words::default(), part).and(". "), key),
        Answer::Always(text) => Words::from("Answered here: ").and(text),
        Answer::Not(why) => Words::from("Not applicable: ").and(why),
    }
}

pub(super) fn origin(page: &mut Page, found: &Found) {
    begin(page, Part::Origin);
    let model = &found.model;
    let code = |text: String| Words::default().code(text);
    let mut terms: Vec<(Words, Words)> = vec![
        ("Model file".into(), code("best.safetensors".to_owned())),
        ("Its content (start of the SHA-256)".into(), code(found.model_hash.to_string())),
        ("Its size".into(), format!("{:.1} MB", found.model_bytes as f64 / 1e6).into()),
        ("Written by".into(), format!("lungfish {}", model.version).into()),
        ("This report by".into(), format!("lungfish {}", env!("CARGO_PKG_VERSION")).into()),
    ];
    if let Some(hash) = model.split_file {
        terms.push(("Content of split.csv".into(), code(hash.to_string())));
    }
    page.terms(terms);
    if model.ancestors.is_empty() {
        page.paragraph(
            "It came from no other model of films: the network's weights were those of ImageNet, or of chance.",
        );
    } else {
        let mut table = Table::of_texts(
            "Models that it came from",
            ["How", "Content of its file", "Whether it says which films trained it"],
        );
        for ancestor in &model.ancestors {
            let how = match ancestor.how {
                Descent::Weights => "its weights were those to start from",
                Descent::From => "the training went on from it",
                Descent::Teacher => "it was the teacher",
                Descent::Import => "another program trained it",
                Descent::Calibrate => "it was calibrated",
            };
            let known = if ancestor.known { "yes" } else { "no" };
            table.row(how, [code(ancestor.file.clone()), known.into()]);
        }
        page.table(&table);
    }
    page.paragraph("Whoever has the model file gets the probabilities of a film, prepared as the model learnt it, by:");
    page.lines("How to use the model", &format!("lungfish predict --model {} FILM", argument(&found.name)));
    page.paragraph(
        "The model file holds no name of a film, only hashes of contents and pixels: they keep a film that ever trained it from being scored \
         as its test.",
    );
    if model.imported.is_none() {
        page.paragraph(
            "On one kind of processor the same recipe, films and version give the same weights, bit for bit.",
        );
    }
    super::films::told(
        page,
        found,
        &[
            ("license", "Licence"),
            ("code_availability", "Code and model"),
            ("data_availability", "Films"),
            ("protocol", "Protocol"),
            ("registration", "Registration"),
            ("ethics", "Ethics"),
            ("funding", "Funding"),
            ("conflicts", "Interests"),
        ],
    );
}
