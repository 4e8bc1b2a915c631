//! How right the model is, where films are called, how it does beside another model, and where it is wrong.

use lungfish_data::Task;

use super::{begin, lacks, picture};
use crate::Error;
use crate::study::found::Found;
use crate::study::html::{Page, Table, Words, metric, some, with_interval};
use crate::study::part::Part;
use crate::study::picture::Shown;
use crate::study::tested::{Figure, Tested};

/// The cell of a metric with its interval.
pub(super) fn cell(figure: Option<&Figure>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| with_interval(figure.value, figure.interval))
}

/// What counts as one in the intervals.
fn counted(test: &Tested) -> &'static str {
    match test.counted.as_deref() {
        Some("patients") => "films of one patient counted together",
        _ => "each film counted as a patient of its own",
    }
}

pub(super) fn metrics(page: &mut Page, found: &Found) -> Result<(), Error> {
    begin(page, Part::Metrics);
    lacks(page, found.lacks_test());
    let Some(test) = found.test() else { return Ok(()) };
    page.paragraph(tested_on(found, test));
    if !test.measures.is_empty() {
        let caption = format!("Metrics of the {} split, {} films", test.split, test.films);
        let mut table = Table::new(caption, ["Metric".to_owned(), format!("Value (95 % interval, {})", counted(test))]);
        for measure in &test.measures {
            table.row(&measure.name, [cell(Some(measure))]);
        }
        page.table(&table);
    }
    if found.model.task == Task::AnyOf {
        of_labels(page, test);
    } else {
        of_classes(page, test);
    }
    page.list(test.undefined.iter().map(|clause| Words::from(format!("Undefined: {clause}."))));
    let split = test.split.name();
    picture(
        page,
        found.pictures.of_split("confusion-matrix", split)?,
        &confusion_in_words(test),
        "Confusion matrix; the same numbers are in the table.",
    );
    let auc =
        test.measure("AUC").map_or_else(|| metric(test.auc), |measure| with_interval(measure.value, measure.interval));
    let at = |name: &str| cell(test.measure(name));
    let alternative = format!(
        "ROC curve on the {split} split: AUC {auc}. Where films are called, sensitivity {}, specificity {}.",
        at("sensitivity"),
        at("specificity")
    );
    picture(
        page,
        found.pictures.of_split("roc", split)?,
        &alternative,
        "ROC curve: sensitivity against one less the specificity.",
    );
    let alternative = format!(
        "Precision-recall curve on the {split} split: average precision {}. Where films are called, precision {}, recall {}.",
        at("average precision"),
        at("positive predictive value"),
        at("sensitivity")
    );
    let shown = found.pictures.of_split("precision-recall", split)?;
    picture(page, shown, &alternative, "Precision-recall curve; the dashed line is what chance has.");
    others(page, found);
    page.paragraph(
        "Intervals are of 95 %. Shares have Wilson's interval of as many films as count where films of a patient are alike, the AUC has \
         Obuchowski's variance on the scale of the logit, all others are of resamples of whole patients (BCa; percentiles for the calibration error). They say how much a \
         number may differ for other films like these.",
    );
    Ok(())
}

/// Which films were tested, by which weights.
fn tested_on(found: &Found, test: &Tested) -> String {
    let whose = match (test.split, found.tested_own()) {
        (lungfish_data::Split::Test, true) => {
            "the run's own test split, which neither taught the model nor chose its epoch"
        }
        (lungfish_data::Split::Test, false) => {
            "other films than those of the run's splits, none of which the model has seen"
        }
        (lungfish_data::Split::Val, _) => "the validation split, which chose the model's epoch",
        (lungfish_data::Split::Train, _) => "the training split, which taught the model",
    };
    let views = match test.tta.as_deref() {
        Some("flip") => " Each film was scored with its mirror image and averaged.",
        Some("crops") => " Each film was scored as ten crops and averaged.",
        _ => "",
    };
    let precision = match test.precision.as_deref() {
        Some("fp32") => " It was computed in fp32, which did not train the model.",
        Some("bf16") => " It was computed in bf16, which did not train the model.",
        Some("f16") => " It was computed in f16, which did not train the model.",
        _ => "",
    };
    format!("{} of {whose}.{views}{precision}", some(test.films, "film", "films"))
}

fn of_classes(page: &mut Page, test: &Tested) {
    let mut table = Table::new("Each class", ["Class", "Precision", "Recall", "F1", "Films"]);
    for class in &test.classes {
        let [precision, recall, f1] = [class.precision, class.recall, class.f1].map(metric);
        table.row(&class.name, [precision, recall, f1, class.support.to_string()]);
    }
    if !table.is_empty() {
        page.table(&table);
    }
    let names = test.classes.iter().map(|class| format!("called {}", class.name));
    let mut table = Table::new(
        "Confusion matrix: what films are, and what they were called",
        std::iter::once("Films that are".to_owned()).chain(names),
    );
    for (class, row) in test.classes.iter().zip(&test.confusion) {
        table.row(&class.name, row.iter().map(ToString::to_string));
    }
    if !table.is_empty() {
        page.table(&table);
    }
}

fn of_labels(page: &mut Page, test: &Tested) {
    let columns = ["Label", "AUC", "Sensitivity", "Specificity", "Films with it", "without", "unknown"];
    let mut table = Table::new(format!("Each label, with 95 % intervals, {}", counted(test)), columns);
    for label in &test.labels {
        let of = |name: &str| cell(label.measures.iter().find(|measure| measure.name == name));
        let part = |share: String, part: usize, of: usize| format!("{share}, {part} of {of}");
        table.row(
            &label.name,
            [
                of("AUC"),
                part(of("sensitivity"), label.true_positives, label.positives),
                part(of("specificity"), label.true_negatives, label.negatives),
                label.positives.to_string(),
                label.negatives.to_string(),
                label.unknown.to_string(),
            ],
        );
    }
    page.table(&table);
    page.paragraph(format!("Mean AUC of the labels: {}.", metric(test.auc)));
}

/// What the confusion matrix shows, for those who do not see it.
fn confusion_in_words(test: &Tested) -> String {
    let row = |(class, row): (&crate::study::tested::ClassOf, &Vec<usize>)| {
        let called = test.classes.iter().zip(row).map(|(to, films)| format!("{films} called {}", to.name));
        format!(
            "Of {} films that are {}: {}.",
            row.iter().sum::<usize>(),
            class.name,
            called.collect::<Vec<_>>().join(", ")
        )
    };
    let rows: Vec<String> = test.classes.iter().zip(&test.confusion).map(row).collect();
    format!("Confusion matrix. {}", rows.join(" "))
}

/// The tests of other splits that lie beside the one that is told.
fn others(page: &mut Page, found: &Found) {
    let mut table = Table::new(
        "Other splits that were scored; their films had a part in the model",
        ["Split", "Films", "Accuracy", "AUC", "Loss"],
    );
    for test in found.tests.iter().skip(1) {
        table.row(
            test.split.name(),
            [test.films.to_string(), metric(test.accuracy), metric(test.auc), metric(test.loss)],
        );
    }
    if !table.is_empty() {
        page.table(&table);
    }
}

pub(super) fn points(page: &mut Page, found: &Found) -> Result<(), Error> {
    begin(page, Part::Points);
    if let Some(test) = found.test() {
        let chosen = test.at.as_deref().filter(|at| at.parse::<f64>().is_err());
        let by = chosen.map(|rule| format!(", the model's operating point {rule}")).unwrap_or_default();
        let text = match (test.threshold, &test.positive) {
            (Some(cut), Some(positive)) => {
                format!("A film is called {positive} from a probability of {cut:.3} on{by}.")
            }
            (Some(cut), None) => format!("A film is called a label from a probability of {cut:.3} on{by}."),
            (None, _) if found.model.task == Task::AnyOf => {
                format!("Each label has a probability of its own from which on it is called{by}.")
            }
            (None, _) => "A film is called what it most probably is.".to_owned(),
        };
        page.paragraph(text);
        let columns = ["Operating point", "From", "Sensitivity", "Specificity"];
        let caption = format!(
            "What the model's operating points do to the films of the {} split, with 95 % intervals",
            test.split
        );
        let mut table = Table::new(caption, columns);
        for point in &test.points {
            let name = point.label.iter().chain([&point.rule]).cloned().collect::<Vec<_>>().join(" ");
            table.row(
                name,
                [format!("{:.3}", point.cut), cell(Some(&point.sensitivity)), cell(Some(&point.specificity))],
            );
        }
        if !table.is_empty() {
            page.table(&table);
        }
    }
    let points = found.model.calibration.iter().flat_map(|calibration| &calibration.points);
    let mut table = Table::new(
        "How the points were chosen: what they do to the films that they were found on, which is better than they do elsewhere",
        ["Operating point", "From", "Sensitivity", "Specificity"],
    );
    let mut none = Vec::new();
    for point in points {
        let name = point.label.iter().cloned().chain([point.rule.to_string()]).collect::<Vec<_>>().join(" ");
        let cut = point.cut.map_or_else(|| "none".to_owned(), |cut| format!("{cut:.3}"));
        if point.cut.is_none() {
            none.push(Words::from(format!("{name}: there is none, {}.", point.why.as_deref().unwrap_or("not found"))));
        }
        table.row(name, [cut, metric(point.sensitivity), metric(point.specificity)]);
    }
    if table.is_empty() {
        page.paragraph("The model has no operating points of its own.");
    } else {
        page.table(&table);
        page.list(none);
    }
    Ok(())
}

pub(super) fn comparison(page: &mut Page, found: &Found) {
    begin(page, Part::Comparison);
    lacks(page, found.lacks_comparison());
    let Some(compared) = found.test().and_then(|test| test.comparison.as_ref()) else {
        if found.test().is_none() {
            lacks(page, found.lacks_test());
        }
        return;
    };
    let other = compared.other.rsplit(['/', '\\']).next().unwrap_or_default();
    let columns = ["Metric", "This model", "The other", "Difference (95 % interval)", "p"];
    let mut table = Table::new(format!("Beside {other}, on the same films"), columns);
    for row in &compared.differences {
        let p = row.p.map_or_else(|| "–".to_owned(), probability);
        table.row(&row.name, [metric(Some(row.this)), metric(Some(row.other)), cell(Some(&row.difference)), p]);
    }
    page.table(&table);
    page.paragraph(format!(
        "Right in this model alone: {}; in the other alone: {} (McNemar's exact p {}, each film counted by itself). {} called otherwise.",
        compared.only_this_right,
        compared.only_other_right,
        probability(compared.mcnemar_p),
        some(compared.changed.len(), "film is", "films are")
    ));
}

/// A p-value.
fn probability(p: f64) -> String {
    if p < 0.0005 { "below 0.001".to_owned() } else { format!("{p:.3}") }
}

pub(super) fn errors(page: &mut Page, found: &Found) -> Result<(), Error> {
    begin(page, Part::Errors);
    let Some(test) = found.test() else {
        lacks(page, found.lacks_test());
        return Ok(());
    };
    let right: usize = test.confusion.iter().enumerate().filter_map(|(at, row)| row.get(at)).sum();
    let all: usize = test.confusion.iter().flatten().sum();
    if all > 0 {
        page.paragraph(format!(
            "{} of {all} were called something else than they are.",
            some(all - right, "film", "films")
        ));
    }
    let split = test.split.name();
    let wrong = format!("{} of {all} films of the {split} split were called wrongly", all - right);
    let worst = found.pictures.of_split("worst-errors", split)?;
    if matches!(worst, Shown::Absent) && all > right {
        page.paragraph("The worst errors were not drawn: the test was made without pictures.");
    }
    picture(
        page,
        worst,
        &format!(
            "The films that the model was most sure of and wrong about, with what each is and what it was called. {wrong}."
        ),
        "The worst errors: films with what they are, what they were called, and how probable that was to the model.",
    );
    picture(
        page,
        found.pictures.of_split("worst-errors-cam", split)?,
        &format!(
            "The same films under a heat map of what raised and what lowered the score, in logits, one scale for all. {wrong}."
        ),
        "What the network read in them (Grad-CAM). A map does not show where disease is, and says nothing of why.",
    );
    picture(
        page,
        found.pictures.of_split("films", split)?,
        &format!(
            "Some films of the {split} split with what each is, what it was called and how probable that was to the model."
        ),
        "Films of the test, right and wrong.",
    );
    Ok(())
}
