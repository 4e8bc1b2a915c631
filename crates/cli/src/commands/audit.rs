//! `lungfish audit`: what a data set lets a network get away with.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use lungfish::audit::{Alone, Separation, Shortcut};
use lungfish::{Audit, AuditRequest, Recipe, Watch};

use crate::commands::explore;
use crate::observer::Printer;
use crate::{flags, print};

/// Ask how a data set can be cheated
///
/// Reads every film once. Leakage: films of one patient, of the same pixels, or nearly the same (cropped, mirrored, saved anew, with
/// other gray levels), on two splits or in two classes. Shortcuts:
/// how well numbers in which no lung is looked at tell the classes apart (the file alone, ten statistics of the image such as
/// its sharpness, its border, the film at 16 by 16 pixels), by trees that are asked about films of other patients than they
/// were fitted to. Doubtful labels: films that films of other patients say are of another class. Drift: whether the films of the test split can be told from the others. Ends with status 1 where there is
/// leakage.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish audit --data chest_xray
  lungfish audit --data chest_xray --out audit
  lungfish audit --data other-hospital --model run
  lungfish audit --data NIH --labels NIH/Data_Entry_2017.csv
  lungfish audit --data chest_xray --json | jq -r .verdict")]
pub struct Args {
    /// Folder of films: DIR/{train,val,test}/{CLASS}/* or DIR/{CLASS}/*, or with DIR/labels.csv
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    data: PathBuf,
    #[command(flatten)]
    labels: flags::Labels,
    /// What tells the patient of a film: auto, for names that are known, or a regular expression on the file name or the path
    /// below the folder, whose group 1 is the patient [default: auto]
    #[arg(long, value_name = "REGEX")]
    patient: Option<String>,
    /// How films are read, as a recipe says it: exif=apply, dicom_view=full-range, sample_bits=12; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Do not look for doubtful labels, which a network has to see every film for
    #[arg(long)]
    no_suspects: bool,
    /// A run folder or model file: which of these films had a part in it (status 1 where such lie on the test split), and whether
    /// numbers without lungs tell which films it calls positive
    #[arg(long, value_name = "MODEL", value_hint = clap::ValueHint::AnyPath)]
    model: Option<PathBuf>,
    /// Folder for one page, audit.html, its pictures, and audit.json, which `lungfish report --audit` takes in
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Draw no film: on pictures of films stand the names of their files
    #[arg(long, requires = "out")]
    no_films: bool,
    /// Print everything as one JSON object; docs/schema/audit.json says what is in it
    #[arg(long)]
    json: bool,
}

/// Numbers that are listed by themselves.
const SHOWN: usize = 3;
/// Copies and unreadable films that are listed.
const SHOWN_FILMS: usize = 5;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut request = AuditRequest::new(&args.data);
    request.patient = args.patient.clone().unwrap_or_else(|| Recipe::default().patient);
    (request.labels, request.table) = args.labels.table()?;
    request.decoding = explore::decoding(&args.set)?;
    request.suspects = !args.no_suspects;
    request.out.clone_from(&args.out);
    request.model.clone_from(&args.model);
    let mut printer = Printer::scoring();
    let stop = AtomicBool::new(false);
    let mut watch = Watch::new(&mut printer, &stop);
    if let Some(out) = &args.out {
        lungfish::refuse_audit(out)?;
    }
    let found = lungfish::audit(&request, &mut watch)?;
    let files = match &args.out {
        Some(out) => Some(lungfish::write_audit(&found, out, !args.no_films, &mut watch)?),
        None => None,
    };
    printer.finish()?;
    if args.json {
        print::output(&found)?;
    } else {
        for line in lines(&found) {
            print::out(line)?;
        }
        if let Some(files) = &files {
            print::out(format!("\nWritten: {}", print::path(&files.page)))?;
        }
    }
    let failed = files.is_some_and(|files| files.pictures_failed);
    Ok(if failed || found.leaks() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn lines(found: &Audit) -> Vec<String> {
    let mut lines = vec![format!("{} in {}", print::films(found.films), found.root), String::new()];
    lines.push(format!("{}.", print::one_line(&found.verdict)));
    lines.push(String::new());
    lines.extend(leakage(found));
    if !found.shortcuts.is_empty() {
        let mut rows =
            vec![["Told apart without lungs", "class", "AUC, 95 % interval", "test split"].map(str::to_owned).to_vec()];
        for shortcut in &found.shortcuts {
            rows.push(row(&shortcut.what, &shortcut.class, &shortcut.train, shortcut.test.as_ref()));
            rows.extend(alone(shortcut));
        }
        lines.push(String::new());
        lines.extend(aligned(&rows));
    }
    if let Some(drift) = &found.drift {
        let by: Vec<String> =
            drift.alone.iter().take(SHOWN).map(|a| format!("{} {:.2}", a.name, a.train.auc)).collect();
        lines.push(String::new());
        lines.push(format!(
            "Drift: films of the test split can be told from the others by {} with an AUC of {} ({})",
            drift.what,
            auc(&drift.train),
            by.join(", ")
        ));
    }
    lines.extend(suspects(found));
    lines.extend(model(found));
    for caveat in &found.caveats {
        lines.push(format!("Caution: {}", print::one_line(&caveat.text)));
    }
    if !found.bad.is_empty() {
        let bad = found.bad.iter().take(SHOWN_FILMS);
        lines.extend(bad.map(|film| format!("  {}: {}", print::path(&film.path), print::one_line(&film.reason))));
    }
    lines
}

/// What lies where it must not, or that nothing does.
fn leakage(found: &Audit) -> Vec<String> {
    let leakage = &found.leakage;
    let patients = match leakage.patients {
        None => "not asked: there are no splits, or nothing tells the patients".to_owned(),
        Some(0) => "none is on two splits".to_owned(),
        Some(n) => format!("{n} with {} on more than one split", print::films(leakage.films_of_patients)),
    };
    let mut lines = vec![format!("Leakage: patients: {patients}")];
    let copies = match (leakage.copies_on_two_splits, leakage.copies_in_two_classes) {
        (0, 0) => "none on two splits or in two classes".to_owned(),
        (splits, classes) => {
            format!("{} of the same pixels on two splits, {classes} in two classes", print::films(splits))
        }
    };
    lines.push(format!("Leakage: copies: {copies}"));
    for copies in leakage.copies.iter().take(SHOWN_FILMS) {
        let paths: Vec<String> = copies.paths.iter().map(print::path).collect();
        lines.push(format!("  {}", paths.join(" = ")));
    }
    if leakage.copies.len() > SHOWN_FILMS {
        lines.push("  and more; --json names twenty".to_owned());
    }
    lines.push(match leakage.near_copies {
        0 => "Leakage: near-copies (cropped, mirrored, saved anew, other gray levels): none found".to_owned(),
        n => format!("Leakage: near-copies: {} that another one shows all or a part of", print::films(n)),
    });
    for near in leakage.near.iter().take(SHOWN_FILMS) {
        let mirrored = if near.mirrored { ", mirrored" } else { "" };
        let (film, copy) = (print::one_line(&near.film), print::one_line(&near.copy));
        lines.push(format!("  {copy} shows {:.0} % of {film}{mirrored} ({:.2})", 100.0 * near.shown, near.correlation));
    }
    if leakage.near.len() > SHOWN_FILMS {
        lines.push("  and more; --json names twenty".to_owned());
    }
    lines
}

/// Labels that are doubtful.
fn suspects(found: &Audit) -> Vec<String> {
    let Some(suspects) = &found.suspects else { return Vec::new() };
    let mut lines = vec![
        String::new(),
        format!(
            "Labels: {} of {} are doubtful, by what a network without training on them says from films of other patients",
            suspects.count,
            print::films(suspects.films)
        ),
    ];
    lines.extend(suspects.suspects.iter().take(SHOWN_FILMS).map(|film| {
        let [name, label, suggested] = [&film.film, &film.label, &film.suggested].map(|text| print::one_line(text));
        format!("  {name}: {label} ({:.2}), rather {suggested} ({:.2})", film.of_label, film.of_suggested)
    }));
    if suspects.count > SHOWN_FILMS {
        lines.push("  and more; --json names fifty".to_owned());
    }
    lines
}

/// What the data set says of the model.
fn model(found: &Audit) -> Vec<String> {
    let Some(model) = &found.model else { return Vec::new() };
    let name = print::one_line(&model.model);
    let mut lines = vec![
        String::new(),
        format!(
            "Model: {} had a part in {name}, {} of them on the test split",
            print::films(model.known),
            model.known_on_test
        ),
    ];
    if let Some(first) = model.calls.first() {
        let of = if model.of_new_films { "films that are new to it" } else { "all films, since few are new to it" };
        let mut rows = vec![
            [
                &format!("What it calls {}, told without lungs ({of})", print::one_line(&first.class)),
                "",
                "AUC, 95 % interval",
                "",
            ]
            .map(|text: &str| text.to_owned())
            .to_vec(),
        ];
        rows.extend(model.calls.iter().map(|told| row(&told.what, "", &told.train, None)));
        lines.extend(aligned(&rows));
    }
    lines
}

fn alone(shortcut: &Shortcut) -> impl Iterator<Item = Vec<String>> {
    let said = |alone: &Alone| row(&format!("  {} alone", alone.name), "", &alone.train, alone.test.as_ref());
    shortcut.alone.iter().take(SHOWN).map(said)
}

fn row(what: &str, class: &str, train: &Separation, test: Option<&Separation>) -> Vec<String> {
    vec![what.to_owned(), print::one_line(class), auc(train), test.map(auc).unwrap_or_default()]
}

fn auc(separation: &Separation) -> String {
    match separation.interval {
        Some([low, high]) => format!("{:.3} ({low:.3} to {high:.3})", separation.auc),
        None => format!("{:.3}", separation.auc),
    }
}

/// Columns, all to the left.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
