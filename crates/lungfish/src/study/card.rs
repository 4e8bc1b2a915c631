//! The model card: Markdown under metadata that Hugging Face reads (`model-index`). Every value in it was measured or was said by
//! somebody; what is not known is left out.

use lungfish_data::Task;

use super::CARD_MARK;
use super::found::Found;
use super::html::{paragraphs, some, times, with_interval};
use super::page::{NOT_A_DIAGNOSIS, title, what_it_is};
use super::part::argument;
use super::tested::{Figure, Tested};

pub(super) fn write(found: &Found) -> String {
    format!("---\n{}---\n\n{CARD_MARK}\n\n{}", metadata(found), body(found))
}

/// The metadata, as YAML.
fn metadata(found: &Found) -> String {
    let mut yaml = String::new();
    if let Some(license) = found.answers.get("license") {
        let id = license.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c));
        yaml.push_str(&match id {
            true => format!("license: {license}\n"),
            false => format!("license: other\nlicense_name: {}\n", quoted(license)),
        });
    }
    yaml.push_str("library_name: lungfish\npipeline_tag: image-classification\n");
    yaml.push_str("tags:\n- lungfish\n- chest-x-ray\n- image-classification\n- not-a-diagnosis\n");
    if found.model.synthetic {
        yaml.push_str("- synthetic-films\n");
    }
    yaml.push_str(&index(found));
    yaml
}

/// What Hugging Face shows as evaluation results: a result a test, of values that are there.
fn index(found: &Found) -> String {
    let results: String = found.tests.iter().filter_map(|test| result(found, test)).collect();
    if results.is_empty() {
        return String::new();
    }
    format!("model-index:\n- name: {}\n  results:\n{results}", quoted(&found.name))
}

fn result(found: &Found, test: &Tested) -> Option<String> {
    let mut metrics = String::new();
    for (kind, name, figure) in figures(test) {
        let Some(value) = figure.value else { continue };
        let interval = figure.interval.map(|[low, high]| format!(", 95 % interval {low:.4} to {high:.4}"));
        let name = quoted(&format!("{name}{}", interval.unwrap_or_default()));
        metrics.push_str(&format!("    - type: {kind}\n      value: {}\n      name: {name}\n", number(value)));
    }
    if metrics.is_empty() {
        return None;
    }
    let task = match found.model.task {
        Task::OneOf => "Image classification",
        Task::AnyOf => "Image classification, any of several labels",
    };
    let set = match found.answers.get("dataset") {
        Some(name) => format!("{name}, {} split", test.split),
        None => format!("chest X-rays, {} split, {}", test.split, some(test.films, "film", "films")),
    };
    // How such a set is read at Hugging Face: as a folder of pictures.
    Some(format!(
        "  - task:\n      type: image-classification\n      name: {}\n    dataset:\n      type: imagefolder\n      name: {}\n      split: {}\n    metrics:\n{metrics}",
        quoted(task),
        quoted(&set),
        test.split
    ))
}

/// The metrics of a test: what Hugging Face calls each, what it is, and the figure.
fn figures(test: &Tested) -> Vec<(String, String, Figure)> {
    let plain = |value: Option<f64>| Figure { value, ..Figure::default() };
    let mut all: Vec<(String, String, Figure)> =
        test.measures.iter().map(|measure| (kind(&measure.name), measure.name.clone(), measure.clone())).collect();
    if all.is_empty() {
        all.push(("accuracy".to_owned(), "accuracy".to_owned(), plain(test.accuracy)));
        all.push(("roc_auc".to_owned(), "mean AUC".to_owned(), plain(test.auc)));
    }
    if test.measure("AUC").is_none() && !test.measures.is_empty() {
        all.push(("roc_auc".to_owned(), "AUC".to_owned(), plain(test.auc)));
    }
    for label in &test.labels {
        let of = label.measures.iter();
        all.extend(
            of.map(|measure| (kind(&measure.name), format!("{} of {}", measure.name, label.name), measure.clone())),
        );
    }
    all
}

/// What Hugging Face calls a metric.
fn kind(name: &str) -> String {
    match name {
        "AUC" => "roc_auc".to_owned(),
        "sensitivity" => "recall".to_owned(),
        "positive predictive value" => "precision".to_owned(),
        "F1" => "f1".to_owned(),
        _ if name.starts_with("Matthews") => "matthews_correlation".to_owned(),
        "Cohen's kappa" => "cohen_kappa".to_owned(),
        "Brier score" => "brier_score".to_owned(),
        other => other.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect(),
    }
}

/// A number that YAML takes for one.
fn number(value: f64) -> String {
    let text = format!("{value}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// A text as YAML's double quotes have it, whatever is in it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' ' => out.push(c),
            _ if c.is_control()
                || c.is_whitespace()
                || matches!(c, '\u{7f}'..='\u{a0}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text without what Markdown, or HTML in it, would take for markup, on one line.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in lungfish_data::display::escape(text.replace(['\n', '\r'], " ")).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '$' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

fn body(found: &Found) -> String {
    let mut text = format!("# {}\n\n**{NOT_A_DIAGNOSIS}**\n\n{}\n", plain(&title(found)), plain(&what_it_is(found)));
    let mut section = |heading: &str, paragraphs: Vec<String>| {
        text.push_str(&format!("\n## {heading}\n\n{}\n", paragraphs.join("\n\n")));
    };
    section("Intended use", intended_use(found));
    section("Training data", training_data(found));
    section("Evaluation", evaluation(found));
    section("Limitations", limitations(found));
    let usage = format!(
        "```\nlungfish predict --model {run} FILM\nlungfish test --model {run} --data DIR --out RESULTS\n```",
        run = argument(&found.name)
    );
    let file = format!(
        "`best.safetensors` (content {}) was written by lungfish {}. `report.html` has all figures and pictures.",
        found.model_hash,
        plain(&found.model.version)
    );
    section("How to use it", vec![usage, file]);
    let mut more = Vec::new();
    for (key, heading) in [
        ("authors", "Authors"),
        ("contact", "Contact"),
        ("license", "Licence"),
        ("ethics", "Ethics"),
        ("funding", "Funding"),
    ] {
        more.extend(found.answers.get(key).map(|said| format!("{heading}: {}", plain(said))));
    }
    if !more.is_empty() {
        section("Who and on what terms", more);
    }
    text
}

/// What somebody says of a key, its paragraphs apart.
fn said(found: &Found, key: &str) -> Vec<String> {
    found
        .answers
        .get(key)
        .map(|said| paragraphs(said).iter().map(|paragraph| plain(paragraph)).collect())
        .unwrap_or_default()
}

fn intended_use(found: &Found) -> Vec<String> {
    let mut parts = vec!["Research, not a diagnosis: a research tool and no medical device.".to_owned()];
    parts.extend(said(found, "intended_use"));
    parts
}

fn training_data(found: &Found) -> Vec<String> {
    let mut parts = Vec::new();
    for key in ["dataset", "data_source", "reference_standard"] {
        parts.extend(said(found, key));
    }
    match &found.counts {
        Some(counts) => {
            let names = found.model.classes.iter().map(|class| format!(" {} |", plain(class)));
            let mut table = format!(
                "| split | films | patients |{}\n|-|-|-|{}\n",
                names.collect::<String>(),
                "-|".repeat(found.model.classes.len())
            );
            for of in &counts.splits {
                let films: String = of.having.iter().map(|films| format!(" {films} |")).collect();
                table.push_str(&format!("| {} | {} | {} |{films}\n", of.split, of.films, of.patients));
            }
            parts.push(table.trim_end().to_owned());
            parts.push(match counts.on_several {
                0 => "No patient is on two splits.".to_owned(),
                several => format!("{} on more than one split.", some(several, "patient is", "patients are")),
            });
        }
        None => parts.push("Which films are on which split is not known.".to_owned()),
    }
    if found.model.synthetic {
        parts.push("The films are synthetic: drawings, nobody's X-rays.".to_owned());
    }
    parts
}

fn evaluation(found: &Found) -> Vec<String> {
    let mut parts = Vec::new();
    if !found.has_test() {
        parts.push("This model has not been tested on test films.".to_owned());
    }
    let Some(test) = found.test() else { return parts };
    let mut table = format!(
        "| metric, {} split, {} | value (95 % interval) |\n|-|-|\n",
        test.split,
        some(test.films, "film", "films")
    );
    for (_, name, figure) in figures(test) {
        table.push_str(&format!("| {} | {} |\n", plain(&name), with_interval(figure.value, figure.interval)));
    }
    parts.push(table.trim_end().to_owned());
    parts.push(
        match test.counted.as_deref() {
            Some("patients") => "Films of one patient count together in the intervals.",
            _ => "Each film counts as a patient of its own in the intervals.",
        }
        .to_owned(),
    );
    if let Some(opened) = &test.opened {
        parts.push(format!(
            "Test films were first opened on {}, and {} in all when this was measured.",
            plain(&opened.first),
            times(opened.time)
        ));
    }
    parts
}

fn limitations(found: &Found) -> Vec<String> {
    let mut parts = Vec::new();
    let caveats: Vec<String> = found.caveats().iter().map(|text| format!("- {}", plain(text))).collect();
    if !caveats.is_empty() {
        parts.push(caveats.join("\n"));
    }
    parts.push(
        "The intervals say nothing of films that were taken otherwise, at another place, or of other people."
            .to_owned(),
    );
    parts.extend(said(found, "limitations"));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_takes_any_text_and_every_number() {
        assert_eq!(
            quoted("a: \"b\" \\ c\n#\u{85}\u{2028}\u{feff}é"),
            "\"a: \\\"b\\\" \\\\ c\\u000a#\\u0085\\u2028\\ufeffé\""
        );
        assert_eq!((number(1.0), number(0.25), number(-0.0)), ("1.0".to_owned(), "0.25".to_owned(), "-0.0".to_owned()));
        assert_eq!(kind("Matthews' correlation"), "matthews_correlation");
        assert_eq!(kind("expected calibration error"), "expected_calibration_error");
    }

    #[test]
    fn no_text_is_markup() {
        assert_eq!(plain("<b>*x*</b> [a](b) | `c`\n# d"), "&lt;b&gt;\\*x\\*&lt;/b&gt; \\[a\\](b) \\| \\`c\\` \\# d");
    }
}
