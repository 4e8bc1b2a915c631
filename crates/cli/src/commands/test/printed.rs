//! What a test says of a model, as lines for a person.

use std::path::{Path, PathBuf};

use lungfish::{Comparison, Opened, PointRule, Task, TestOutcome, Tta};

use super::beside;
use crate::print;

/// The metrics for a person; `pdf` says whether there are pictures of that kind.
pub fn report(outcome: &TestOutcome, pdf: bool) -> anyhow::Result<()> {
    for line in lines(outcome, pdf) {
        print::out(line)?;
    }
    Ok(())
}

/// In how many views each film was scored, where they are several, and in which precision, where another one trained the model.
fn asked(outcome: &TestOutcome) -> String {
    let views = match outcome.tta {
        Tta::Flip => ", each with its mirror image averaged",
        Tta::Crops => ", each as ten crops averaged",
        _ => "",
    };
    let precision = outcome.precision.map(print::other_precision).map_or_else(String::new, |text| format!(", {text}"));
    format!("{views}{precision}")
}

fn lines(outcome: &TestOutcome, pdf: bool) -> Vec<String> {
    let names: Vec<String> = outcome.classes.iter().map(|class| print::one_line(&class.name)).collect();
    if outcome.task == Task::AnyOf {
        return lines_of_labels(outcome, pdf);
    }
    // Columns are as wide as the longest name, and wide enough for the headings.
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(9);
    let mut lines = vec![
        format!("{} of the {} split{}", print::films(outcome.films), outcome.split, asked(outcome)),
        format!(
            "{} Loss: {:.4} Acc: {:.4} AUC: {}",
            outcome.split,
            outcome.loss,
            outcome.accuracy,
            print::metric(outcome.auc)
        ),
        String::new(),
        format!("{:width$}  precision  recall  f1      films", "class"),
    ];
    for (class, name) in outcome.classes.iter().zip(&names) {
        let [precision, recall, f1] = [class.precision, class.recall, class.f1].map(print::metric);
        lines.push(format!("{name:width$}  {precision:9}  {recall:6}  {f1:6}  {:5}", class.support));
    }
    lines.push(String::new());
    lines.push("rows: what a film is; columns: what it was called".to_owned());
    lines.push(
        std::iter::once(String::new())
            .chain(names.iter().cloned())
            .map(|cell| format!("{cell:width$}"))
            .collect::<Vec<_>>()
            .join("  "),
    );
    for (name, row) in names.iter().zip(&outcome.confusion) {
        let cells = row.iter().map(|count| format!("{count:<width$}"));
        lines.push(std::iter::once(format!("{name:width$}")).chain(cells).collect::<Vec<_>>().join("  "));
    }
    if let (Some(threshold), Some(positive)) = (outcome.threshold, &outcome.positive) {
        lines.push(String::new());
        lines.push(format!(
            "A film is called {} from a probability of {} on{}.",
            print::one_line(positive),
            cut(threshold),
            chosen_by(outcome.at)
        ));
        lines.push(format!(
            "Sensitivity {}, specificity {}: {} is the positive class (the recipe's positive).",
            print::metric(outcome.sensitivity),
            print::metric(outcome.specificity),
            print::one_line(positive)
        ));
    }
    if outcome.equal_prior {
        lines.push(print::EQUAL_PRIOR.to_owned());
    }
    lines.extend(intervals(outcome));
    lines.extend(beside::shortcut(outcome));
    lines.extend(outcome.unlike.as_ref().and_then(beside::unlike));
    lines.extend(outcome.opened.as_ref().and_then(opened));
    lines.extend(points(outcome));
    lines.extend(outcome.groups.iter().flat_map(beside::groups));
    lines.extend(beside::stress(&outcome.stress));
    lines.extend(outcome.comparison.iter().flat_map(comparison));
    lines.extend(outcome.undefined.iter().map(|clause| print::undefined(clause)));
    lines.extend(outcome.caveats.iter().map(|caveat| format!("Caution: {}.", print::one_line(&caveat.text))));
    lines.push(each_film(outcome));
    lines.extend(pictures(&outcome.pictures, pdf));
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// How sure each metric is.
fn intervals(outcome: &TestOutcome) -> Vec<String> {
    if outcome.measures.is_empty() {
        return Vec::new();
    }
    let counted = match outcome.counted {
        "patients" => "films of one patient counted together",
        _ => "each film counted as a patient of its own",
    };
    let width = outcome.measures.iter().map(|measure| measure.name.chars().count()).max().unwrap_or(0);
    let line = |measure: &lungfish::Measure| {
        format!("{:width$}  {:7}  {}", measure.name, print::metric(measure.value), print::interval(measure.interval))
    };
    let heading = format!("{:width$}  value    95 % interval, {counted}", "metric");
    let lines = outcome.measures.iter().map(line);
    [String::new(), heading].into_iter().chain(lines).chain([String::new()]).collect()
}

/// A cut as short as it can be told.
fn cut(threshold: f64) -> String {
    let text = format!("{threshold:.4}");
    text.trim_end_matches('0').to_owned()
}

/// What a cut was chosen by, where it was.
fn chosen_by(at: PointRule) -> String {
    match at {
        PointRule::At(_) => String::new(),
        rule => format!(" (the model's operating point {rule})"),
    }
}

/// What the model's operating points do to these films.
fn points(outcome: &TestOutcome) -> Vec<String> {
    if outcome.points.is_empty() {
        return Vec::new();
    }
    let name = |point: &lungfish::PointMetrics| {
        let label = point.label.as_ref().map_or_else(String::new, |label| format!("{} ", print::one_line(label)));
        format!("{label}{}", point.rule)
    };
    let width = outcome.points.iter().map(|point| name(point).chars().count()).max().unwrap_or(0).max(15);
    let share = |measure: &lungfish::Measure| {
        format!("{} ({})", print::metric(measure.value), print::interval(measure.interval))
    };
    let line = |point: &lungfish::PointMetrics| {
        format!(
            "{:width$}  {:6.4}  {:25}  {}",
            name(point),
            point.cut,
            share(&point.sensitivity),
            share(&point.specificity)
        )
    };
    let heading = format!("{:width$}  from    sensitivity                specificity", "operating point");
    std::iter::once(heading).chain(outcome.points.iter().map(line)).chain([String::new()]).collect()
}

/// That the films were opened before, where they were.
fn opened(opened: &Opened) -> Option<String> {
    let times = match opened.time {
        1 => return None,
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        n => format!("{n}th"),
    };
    Some(format!("Test films were opened for the {times} time (first on {}).", print::one_line(&opened.first)))
}

/// Another model on the same films.
fn comparison(found: &Comparison) -> Vec<String> {
    /// Films whose call changed that are named.
    const NAMED: usize = 10;
    let width = found.differences.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(6);
    let mut lines = vec![
        format!("Beside {} on the same films", print::one_line(&found.other)),
        format!("{:width$}  this    other   difference, 95 % interval        p", "metric"),
    ];
    lines.extend(found.differences.iter().map(|row| {
        let difference =
            format!("{:+.4} ({})", row.difference.value.unwrap_or_default(), print::interval(row.difference.interval));
        let p = row.p.map_or_else(String::new, |p| format!("{p:.4}"));
        let name = print::one_line(&row.name);
        format!("{name:width$}  {:.4}  {:.4}  {difference:31}  {p}", row.this, row.other)
    }));
    lines.push(format!(
        "Right in this one alone: {}; in the other alone: {} (McNemar's exact p {:.4}, each film counted by itself)",
        found.only_this_right, found.only_other_right, found.mcnemar_p
    ));
    lines.extend(found.changed.iter().take(NAMED).map(|film| {
        let [path, label, this, other] =
            [&film.path, &film.label, &film.this, &film.other].map(|text| print::one_line(text));
        format!("    {path} ({label}): {this}, the other {other}")
    }));
    if found.changed.len() > NAMED {
        lines.push(format!("    and {} more, all of them in the JSON", found.changed.len() - NAMED));
    }
    lines.push(String::new());
    lines
}

/// Where there is a row a film.
fn each_film(outcome: &TestOutcome) -> String {
    let files = std::iter::once(&outcome.predictions).chain(&outcome.further);
    format!("Each film: {}", files.map(print::path).collect::<Vec<_>>().join(", "))
}

/// The metrics of films that may have any label.
fn lines_of_labels(outcome: &TestOutcome, pdf: bool) -> Vec<String> {
    let names: Vec<String> = outcome.labels.iter().map(|label| print::one_line(&label.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(9);
    let (defined, all) = (outcome.labels.iter().filter(|label| label.auc.is_some()).count(), outcome.labels.len());
    let mut lines = vec![
        format!("{} of the {} split{}", print::films(outcome.films), outcome.split, asked(outcome)),
        format!(
            "{} Loss: {:.4} Acc: {:.4} mean AUC: {}{}",
            outcome.split,
            outcome.loss,
            outcome.accuracy,
            print::metric(outcome.auc),
            if (1..all).contains(&defined) { format!(" (of {defined} of {all} labels)") } else { String::new() }
        ),
        String::new(),
        format!("{:width$}  AUC     loss    accuracy  sensitivity       specificity       unknown", "label"),
    ];
    for (label, name) in outcome.labels.iter().zip(&names) {
        let [auc, loss, accuracy] = [label.auc, label.loss, label.accuracy].map(print::metric);
        let share = |share: Option<f64>, part: u64, of: u64| format!("{} ({part}/{of})", print::metric(share));
        let sensitivity = share(label.sensitivity, label.true_positives, label.positives);
        let specificity = share(label.specificity, label.true_negatives, label.negatives);
        lines.push(format!(
            "{name:width$}  {auc:6}  {loss:6}  {accuracy:8}  {sensitivity:16}  {specificity:16}  {}",
            label.unknown
        ));
    }
    lines.push(String::new());
    lines.push(format!("{:width$}  95 % intervals: AUC      sensitivity       specificity", "label"));
    for (label, name) in outcome.labels.iter().zip(&names) {
        let of = |name: &str| label.measures.iter().find(|measure| measure.name == name);
        let said = |name: &str| print::interval(of(name).and_then(|measure| measure.interval));
        lines.push(format!("{name:width$}  {:23}  {:16}  {}", said("AUC"), said("sensitivity"), said("specificity")));
    }
    lines.push(String::new());
    let from = match outcome.threshold {
        Some(threshold) => format!("a probability of {} on", cut(threshold)),
        None => format!("its own probability on{}", chosen_by(outcome.at)),
    };
    lines.push(format!("A film is called to have a label from {from}; unknown ones count nowhere."));
    lines.extend(beside::label_shortcuts(outcome));
    lines.extend(outcome.unlike.as_ref().and_then(beside::unlike));
    lines.extend(outcome.opened.as_ref().and_then(opened));
    lines.extend(points(outcome));
    lines.extend(beside::stress(&outcome.stress));
    lines.extend(outcome.comparison.iter().flat_map(comparison));
    lines.extend(outcome.undefined.iter().map(|clause| print::undefined(clause)));
    lines.push(each_film(outcome));
    lines.extend(pictures(&outcome.pictures, pdf));
    if !outcome.bad.is_empty() {
        lines.push(format!("Not in these metrics: {} that could not be read.", print::films(outcome.bad.len())));
    }
    lines.extend(outcome.caveats.iter().map(|caveat| format!("Caution: {}.", print::one_line(&caveat.text))));
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Where the pictures lie, all in one folder, and what they are called.
fn pictures(paths: &[PathBuf], pdf: bool) -> Option<String> {
    let folder = paths.first()?.parent()?;
    let names: Vec<String> = paths.iter().filter_map(|path| path.file_stem()).map(print::path).collect();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let kinds = if pdf { "PNG, SVG and PDF" } else { "PNG and SVG" };
    Some(format!("Pictures, {kinds}, in {}: {}", print::path(folder), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use lungfish::{LabelMetrics, Split};

    use super::*;

    #[test]
    fn metrics_stand_in_columns() {
        let class = |name: &str, precision, support| lungfish::ClassMetrics {
            name: name.to_owned(),
            precision,
            recall: Some(0.5),
            f1: Some(0.25),
            support,
        };
        let outcome = TestOutcome {
            task: Task::OneOf,
            films: 3,
            accuracy: 2.0 / 3.0,
            loss: 0.5,
            auc: None,
            positive: Some("PNEUMONIA".to_owned()),
            sensitivity: Some(1.0),
            specificity: Some(0.0),
            undefined: vec!["precision of NORMAL, since no film is called NORMAL".to_owned()],
            classes: vec![class("NORMAL", None, 1), class("PNEUMONIA", Some(1.0), 2)],
            confusion: vec![vec![0, 1], vec![0, 2]],
            labels: Vec::new(),
            threshold: Some(0.5),
            at: PointRule::default(),
            points: Vec::new(),
            comparison: None,
            unlike: None,
            shortcut: None,
            label_shortcuts: Vec::new(),
            groups: Vec::new(),
            stress: Vec::new(),
            opened: Some(Opened::new(2, "2026-11-29T04:20:10Z", 0)),
            equal_prior: true,
            tta: Tta::None,
            precision: None,
            split: Split::Test,
            caveats: vec![],
            epoch: Some(lungfish::BestEpoch {
                phase: lungfish::Phase::Frozen,
                epoch: 1,
                val_accuracy: 0.5,
                val_auc: None,
                val_loss: 0.5,
                robust: None,
                why: None,
            }),
            metrics: PathBuf::from("run/metrics-test.json"),
            pictures_failed: false,
            predictions: PathBuf::from("run/predictions-test.csv"),
            further: None,
            pictures: vec![PathBuf::from("run/learning-curves.png"), PathBuf::from("run/roc-test.png")],
            bad: Vec::new(),
            passed_over: Vec::new(),
            measures: vec![
                lungfish::Measure::new("accuracy", Some(2.0 / 3.0), Some([0.2, 0.95])),
                lungfish::Measure::new("AUC", None, None),
            ],
            counted: "patients",
        };
        let expected = "\
3 films of the test split
test Loss: 0.5000 Acc: 0.6667 AUC: -

class      precision  recall  f1      films
NORMAL     -          0.5000  0.2500      1
PNEUMONIA  1.0000     0.5000  0.2500      2

rows: what a film is; columns: what it was called
           NORMAL     PNEUMONIA
NORMAL     0          1
PNEUMONIA  0          2

A film is called PNEUMONIA from a probability of 0.5 on.
Sensitivity 1.0000, specificity 0.0000: PNEUMONIA is the positive class (the recipe's positive).
Probabilities are for classes that are equally frequent; among your films one may be rarer.

metric    value    95 % interval, films of one patient counted together
accuracy  0.6667   0.2000 to 0.9500
AUC       -        -

Test films were opened for the second time (first on 2026-11-29T04:20:10Z).
Undefined: precision of NORMAL, since no film is called NORMAL.
Each film: run/predictions-test.csv
Pictures, PNG and SVG, in run: learning-curves, roc-test";
        assert_eq!(lines(&outcome, false).join("\n"), expected);
        assert_eq!(lines(&outcome, true).join("\n"), expected.replace("PNG and SVG", "PNG, SVG and PDF"));
        let other = TestOutcome { precision: Some(lungfish::PrecisionRule::Bf16), ..outcome.clone() };
        assert_eq!(
            lines(&other, false)[0],
            "3 films of the test split, computed in bf16, which did not train the model"
        );

        let label = |name: &str, auc| LabelMetrics {
            name: name.to_owned(),
            auc,
            loss: Some(0.25),
            accuracy: Some(0.75),
            sensitivity: auc.map(|_| 0.5),
            specificity: Some(1.0),
            positives: 2,
            true_positives: 1,
            negatives: 10,
            true_negatives: 10,
            unknown: 3,
            measures: vec![lungfish::Measure::new("AUC", auc, auc.map(|_| [0.5, 0.99]))],
        };
        let labels = vec![label("MASS", Some(0.875)), label("A LONG NAME", None)];
        let outcome = TestOutcome {
            task: Task::AnyOf,
            labels,
            auc: Some(0.875),
            positive: None,
            sensitivity: None,
            specificity: None,
            classes: Vec::new(),
            confusion: Vec::new(),
            undefined: vec!["AUC and sensitivity of A LONG NAME, since nobody has it".to_owned()],
            further: Some(PathBuf::from("a.parquet")),
            ..outcome
        };
        let expected = "\
3 films of the test split
test Loss: 0.5000 Acc: 0.6667 mean AUC: 0.8750 (of 1 of 2 labels)

label        AUC     loss    accuracy  sensitivity       specificity       unknown
MASS         0.8750  0.2500  0.7500    0.5000 (1/2)      1.0000 (10/10)    3
A LONG NAME  -       0.2500  0.7500    - (1/2)           1.0000 (10/10)    3

label        95 % intervals: AUC      sensitivity       specificity
MASS         0.5000 to 0.9900         -                 -
A LONG NAME  -                        -                 -

A film is called to have a label from a probability of 0.5 on; unknown ones count nowhere.
Test films were opened for the second time (first on 2026-11-29T04:20:10Z).
Undefined: AUC and sensitivity of A LONG NAME, since nobody has it.
Each film: run/predictions-test.csv, a.parquet
Pictures, PNG and SVG, in run: learning-curves, roc-test";
        assert_eq!(lines(&outcome, false).join("\n"), expected);
    }
}
