//! A run written up as a page and a model card: the page's numbers are those of the test, it loads nothing, and it says what it lacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::common::{FILMS, UNTESTED, arg, conforms, copy, done, refused, run, temporary};
use serde_json::{Value, json};

/// The values of an attribute in a page, in order.
fn values(html: &str, attribute: &str) -> Vec<String> {
    let from = format!(" {attribute}=\"");
    html.split(&from).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// The tags of a kind, as they are written.
fn tags<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let from = format!("<{name}");
    let of = html.split(&from).skip(1).filter(|rest| rest.starts_with([' ', '>']));
    of.map(|rest| rest.split('>').next().unwrap()).collect()
}

/// A page that a browser opens without asking anybody for anything, and that a screen reader reads.
fn is_whole(html: &str) {
    let [images, tables] = ["img", "table"].map(|name| tags(html, name));
    for image in &images {
        let alt = image.split(" alt=\"").nth(1).map(|rest| rest.split('"').next().unwrap()).unwrap();
        assert!(alt.len() > 40, "{alt}");
        assert!(image.contains(" src=\"data:image/"), "{}", &image[..60]);
    }
    assert_eq!(html.matches("<caption").count(), tables.len());
    assert_eq!(tags(html, "th").len(), html.matches("<th scope=\"").count(), "each heading says what it heads");
    assert_eq!(values(html, "src").len(), images.len(), "nothing but pictures is loaded");
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
    for forbidden in
        ["<script", "<link", "<iframe", "<object", "<embed", "<form", " onload=", " onerror=", "javascript:"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("default-src 'none'; img-src data:; style-src 'unsafe-inline'"));
    assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    let ids = values(html, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "no id is there twice");
    let mut internal = 0;
    for link in values(html, "href") {
        match link.strip_prefix('#') {
            Some(id) => {
                assert!(ids.iter().any(|there| there == id), "{link} leads nowhere");
                internal += 1;
            }
            // Where a guideline is published; nothing is loaded from there.
            None => assert!(link.starts_with("https://doi.org/10."), "{link}"),
        }
    }
    assert!(internal > 20, "{internal}");
    for label in values(html, "aria-labelledby") {
        label.split(' ').for_each(|id| assert!(ids.iter().any(|there| there == id), "{id} names nothing"));
    }
    for tag in ["section", "table", "figure", "div", "p", "ul", "li", "dl", "tr", "td", "th", "svg", "g", "main", "nav"]
    {
        assert_eq!(tags(html, tag).len(), html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

/// The cells of the row that begins so.
fn row<'a>(html: &'a str, head: &str) -> Vec<&'a str> {
    let from = format!("<tr><th scope=\"row\">{head}</th>");
    let row = html.split(&from).nth(1).unwrap_or_else(|| panic!("no row {head}")).split("</tr>").next().unwrap();
    row.split("<td>").skip(1).map(|cell| cell.split("</td>").next().unwrap()).collect()
}

fn report(run: &Path, more: &[&str]) -> (String, String, Value) {
    let mut args = vec!["report", arg(run), "--json"];
    args.extend(more);
    let said: Value = serde_json::from_str(&done(&args)).unwrap();
    conforms(&said, "report");
    let text = |name: &str| fs::read_to_string(said[name].as_str().unwrap()).unwrap();
    (text("page"), text("card"), said)
}

fn missing(said: &Value) -> BTreeSet<String> {
    said["missing"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap().to_owned()).collect()
}

/// The table of the model card's metadata, by its lines.
fn metadata(card: &str) -> &str {
    card.strip_prefix("---\n").unwrap().split("\n---\n").next().unwrap()
}

#[test]
fn a_report_tells_the_numbers_of_the_test_and_nothing_else() {
    let folder = temporary();
    let at = folder.path().join("a run");
    copy(&UNTESTED, &at);
    // Before a test: a page all the same, which says what it lacks and how it comes there.
    let (html, card, said) = report(&at, &[]);
    is_whole(&html);
    assert!(html.contains("This model has not been tested."), "{html}");
    assert!(html.contains("<code>lungfish test --model &#39;a run&#39; --data DIR</code>"));
    assert!(missing(&said).is_superset(&["test", "study", "audit"].map(str::to_owned).into()), "{said}");
    assert_eq!((&said["tested"], &said["answered"][0]), (&json!(false), &json!(0)));
    assert!(card.contains("has not been tested") && !metadata(&card).contains("model-index"), "{card}");

    done(&["test", "--model", arg(&at), "--data", arg(&FILMS)]);
    let audit = run(&["audit", "--data", arg(&FILMS), "--json"]);
    fs::write(at.join("audit.json"), audit.stdout).unwrap();
    let metrics: Value = serde_json::from_slice(&fs::read(at.join("metrics-test.json")).unwrap()).unwrap();
    let (html, card, said) = report(&at, &[]);
    is_whole(&html);
    assert!(missing(&said).is_disjoint(&["test", "audit", "splits", "epochs"].map(str::to_owned).into()), "{said}");
    assert_eq!(said["tested"], true);

    let measures = metrics["measures"].as_array().unwrap();
    assert!(measures.len() >= 14);
    for measure in measures {
        let (name, value) = (measure["name"].as_str().unwrap(), measure["value"].as_f64());
        let Some(value) = value else { continue };
        let shown = match measure["interval"].as_array() {
            Some(ends) => format!("{value:.3} ({:.3} to {:.3})", ends[0].as_f64().unwrap(), ends[1].as_f64().unwrap()),
            None => format!("{value:.3}"),
        };
        assert_eq!(row(&html, &name.replace('\'', "&#39;")), [shown], "{name}");
        // The card has all digits.
        assert!(metadata(&card).contains(&format!("      value: {value}")), "{name} {value}\n{card}");
    }
    let classes = ["NORMAL", "PNEUMONIA"];
    for (class, row_of) in classes.iter().zip(metrics["confusion"].as_array().unwrap()) {
        let films: Vec<u64> = row_of.as_array().unwrap().iter().map(|films| films.as_u64().unwrap()).collect();
        let matrix = html.split("Confusion matrix: what films are").nth(1).unwrap();
        assert_eq!(row(matrix, class), films.iter().map(ToString::to_string).collect::<Vec<_>>());
        // The diagram, and what it says in words.
        let all = films.iter().sum::<u64>();
        assert_eq!(html.matches(&format!("{class}: {all} films")).count(), 2, "{class}");
        for (to, films) in classes.iter().zip(&films) {
            assert!(html.contains(&format!("called {to}: {films} (")), "{class} {to} {films}");
        }
    }
    // Films of each split, as the split file has them.
    let split = fs::read_to_string(at.join("split.csv")).unwrap();
    let of = |name: &str| split.lines().filter(|line| line.contains(&format!(",{name},"))).count().to_string();
    let table = html.split("Films and patients of each split").nth(1).unwrap();
    assert_eq!(row(table, "Films"), ["train", "val", "test"].map(of));
    assert!(html.contains("No patient is on two splits"));
    // Every film that the page names stands on a picture, none in its text.
    for path in split.lines().skip(1).map(|line| line.split(',').next().unwrap()) {
        let name = path.rsplit('/').next().unwrap();
        assert!(!html.contains(name) && !card.contains(name), "{name}");
    }
    for caveat in metrics["caveats"].as_array().unwrap() {
        let text = &caveat["text"].as_str().unwrap()[1..].replace('\'', "&#39;");
        assert!(html.contains(text.as_str()), "{text}");
    }
    assert!(html.contains("opened once") && html.contains("this one"));
    let hash = said["page"].as_str().map(|_| metrics["opened"]["first"].as_str().unwrap().to_owned()).unwrap();
    assert!(html.contains(&hash));

    // The same files give the same page.
    let (again, card_again, _) = report(&at, &["--out", arg(&folder.path().join("elsewhere"))]);
    assert_eq!((html.len(), html == again, card == card_again), (again.len(), true, true));

    // To give away: no films.
    let (without, _, _) = report(&at, &["--no-films", "--out", arg(&folder.path().join("away"))]);
    is_whole(&without);
    let pictures = |html: &str| tags(html, "img").len();
    assert!(pictures(&without) < pictures(&html) && without.contains("were left out of this page"));

    // A model file that is not the one that was tested.
    let mut log = fs::read_to_string(at.join("tests.jsonl")).unwrap();
    let model =
        serde_json::from_str::<Value>(log.lines().next().unwrap()).unwrap()["model"].as_str().unwrap().to_owned();
    log = log.replace(&model, &"0".repeat(32));
    fs::write(at.join("tests.jsonl"), log).unwrap();
    let (html, _, _) = report(&at, &[]);
    assert!(html.contains("are of another model file (000000000000)"), "another model was not noticed");
}

#[test]
fn what_people_say_stands_in_the_report_as_they_said_it() {
    let folder = temporary();
    let at = folder.path().join("run");
    copy(&UNTESTED, &at);
    let study = folder.path().join("study.toml");
    done(&["report", arg(&at), "--write-study", arg(&study)]);
    refused(&run(&["report", arg(&at), "--write-study", arg(&study)]), &[arg(&study), "is there already"]);
    let template = fs::read_to_string(&study).unwrap();
    let fill =
        |key: &str, said: &str, text: String| text.replace(&format!("\n{key} = \"\""), &format!("\n{key} = {said}"));
    let mut filled = fill("title", "\"A <script>alert(1)</script> & study\"", template);
    filled = fill("ethics", "\"\"\"Waived.\n\nNumber 7.\"\"\"", filled);
    filled = fill("license", "\"cc-by-4.0\"", filled);
    filled = fill("dataset", "\"Drawings: \\\"A\\\"\"", filled);
    fs::write(&study, filled).unwrap();
    let (html, card, said) = report(&at, &["--study", arg(&study)]);
    is_whole(&html);
    assert_eq!(said["answered"][0], 4);
    assert!(!missing(&said).contains("study"));
    assert!(html.contains("<h1>A &lt;script&gt;alert(1)&lt;/script&gt; &amp; study</h1>"));
    assert!(html.contains("<p>Waived.</p>\n<p>Number 7.</p>"));
    assert!(html.contains("By the authors: Waived. Number 7."));
    assert!(html.contains("Only you can answer: key <code>funding</code>"));
    assert!(card.contains("# A &lt;script&gt;alert(1)&lt;/script&gt; &amp; study"), "{card}");
    assert!(metadata(&card).starts_with("license: cc-by-4.0\n"));
}

#[test]
fn what_cannot_be_written_up_is_refused_in_one_sentence() {
    let folder = temporary();
    let at = folder.path().join("run");
    copy(&UNTESTED, &at);
    let refuses = |more: &[&str], parts: &[&str]| {
        let args = [&["report", arg(&at)], more].concat();
        refused(&run(&args), parts);
    };
    refused(&run(&["report", arg(&folder.path().join("none"))]), &["none", "no run folder"]);
    refused(&run(&["report", arg(&at.join("best.safetensors"))]), &["best.safetensors", "is a file"]);
    refuses(&["--tested", arg(folder.path())], &["has no metrics-test.json"]);
    refuses(&["--audit", arg(&folder.path().join("no.json"))], &["no.json", "lungfish audit --json"]);
    let study = folder.path().join("study.toml");
    fs::write(&study, "ethcis = \"x\"").unwrap();
    refuses(&["--study", arg(&study)], &[arg(&study), "ethcis", "did you mean ethics?"]);
    fs::write(at.join("metrics-test.json"), "{}").unwrap();
    refuses(&[], &["metrics-test.json is not lungfish.test.1"]);
    fs::remove_file(at.join("metrics-test.json")).unwrap();
    // Somebody's own notes are not written over.
    fs::write(at.join("README.md"), "My notes").unwrap();
    refuses(&[], &["README.md", "lungfish did not write it"]);
    assert_eq!(fs::read_to_string(at.join("README.md")).unwrap(), "My notes");
    assert!(!at.join("report.html").exists());
    fs::remove_file(at.join("README.md")).unwrap();
    let split = fs::read_to_string(at.join("split.csv")).unwrap();
    fs::write(at.join("split.csv"), split.replacen("train", "val", 1)).unwrap();
    refuses(&[], &["split.csv is not as the run wrote it"]);
}
