//! `lungfish explore`: what a folder of films holds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use lungfish::{
    CaveatKind, Changes, Decoding, Exif, Exploration, ExploreRequest, Recipe, Split, Task, Watch, passed_over, percent,
};
use lungfish_data::survey::{DicomSurvey, Kind, Patients, SplitSurvey, Spread};
use lungfish_data::{Source, Survey};

use crate::observer::Printer;
use crate::{flags, print};

/// Count what a folder of films holds
///
/// Reads every film once: how many there are of each class and split, of how many patients, their sizes and kinds, how
/// bright they are (mean gray, 0 is black and 255 white), how many are copies and which cannot be read. With --out, the
/// same as a picture: counts, sizes, and the intensity of the pixels of each class.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish explore chest_xray
  lungfish explore chest_xray --out pictures
  lungfish explore chest_xray --json | jq '.unreadable'")]
pub struct Args {
    /// Folder of films: DIR/{train,val,test}/{CLASS}/* or DIR/{CLASS}/*, or with DIR/labels.csv
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
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
    /// Folder for explore.png and explore.svg [default: no picture]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    #[command(flatten)]
    formats: flags::Formats,
    /// Print everything as one JSON object; docs/schema/explore.json says what is in it
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let patient = args.patient.clone().unwrap_or_else(|| Recipe::default().patient);
    let mut request = ExploreRequest::new(&args.data);
    request.patient = patient;
    (request.labels, request.table) = args.labels.table()?;
    request.decoding = decoding(&args.set)?;
    request.out.clone_from(&args.out);
    request.formats = args.formats.of(args.out.is_some(), "say where with --out")?;
    let mut printer = Printer::scoring();
    let found = lungfish::explore(&request, &mut Watch::new(&mut printer, &AtomicBool::new(false)))?;
    printer.finish()?;
    if args.json {
        print::output(&found)?;
    } else {
        for line in lines(&found, request.decoding.exif) {
            print::out(line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Keys of a recipe that say how a film becomes pixels.
const READING: [&str; 3] = ["exif", "dicom_view", "sample_bits"];

pub fn decoding(settings: &[String]) -> anyhow::Result<Decoding> {
    let mut changes = Changes::default();
    for setting in settings {
        changes.set(setting)?;
    }
    if let Some(key) = changes.keys().find(|key| !READING.contains(key)) {
        bail!("{key} has no part in looking at films; {} have", READING.join(", "));
    }
    Ok(changes.apply(Recipe::default())?.preprocess().decoding)
}

/// Bad films that are listed.
const SHOWN: usize = 10;
/// Kinds of file that are listed.
const SHOWN_KINDS: usize = 5;

fn lines(found: &Exploration, exif: Exif) -> Vec<String> {
    let survey = &found.survey;
    let mut lines = vec![format!("{} in {}", print::films(survey.films), print::path(&survey.root)), String::new()];
    lines.extend(aligned(&counts(survey)));
    if let (Some(width), Some(height), Some(bytes)) = (survey.width, survey.height, survey.file_bytes) {
        lines.push(String::new());
        lines.extend(aligned(&sizes(width, height, bytes)));
    }
    let facts = facts(found, exif);
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.push(String::new());
    lines.extend(facts.into_iter().map(|(name, text)| format!("{name:width$}  {text}")));
    if !survey.bad.is_empty() {
        lines.push(String::new());
        lines.push(format!("{} cannot be read and would be left out:", print::films(survey.bad.len())));
        let bad = survey.bad.iter().take(SHOWN);
        lines.extend(bad.map(|film| format!("  {}: {}", print::path(&film.path), print::one_line(&film.reason))));
        if survey.bad.len() > SHOWN {
            lines.push(format!("  and {} more; --json names them all", survey.bad.len() - SHOWN));
        }
    }
    if !found.pictures.is_empty() {
        lines.push(String::new());
        lines.extend(found.pictures.iter().map(|path| format!("Picture: {}", print::path(path))));
    }
    lines
}

/// A row a class, a column a split.
fn counts(survey: &Survey) -> Vec<Vec<String>> {
    // A folder of one split, or of none, has the column of all films only.
    let splits = if survey.splits.len() > 1 { &survey.splits[..] } else { &[] };
    let all = match survey.splits.as_slice() {
        [only] => only.split.map_or("films", Split::name),
        _ => "all",
    };
    let row = |name: &str, by_split: Vec<String>, rest: [&str; 4]| {
        let rest = rest.map(str::to_owned);
        std::iter::once(print::one_line(name)).chain(by_split).chain(rest).collect::<Vec<_>>()
    };
    let by_split = |of: &dyn Fn(&SplitSurvey) -> usize| splits.iter().map(|split| of(split).to_string()).collect();
    let names = splits.iter().filter_map(|split| split.split).map(|split| split.name().to_owned()).collect();
    let any_of = survey.task == Task::AnyOf;
    let kind = if any_of { "label" } else { "class" };
    let mut rows = vec![row(kind, names, [all, "share", "patients", "mean gray"])];
    for (label, class) in survey.classes.iter().enumerate() {
        let share = percent(class.films as f64 / survey.films.max(1) as f64);
        let gray = class.brightness.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.0}"));
        let (films, patients) = (class.films.to_string(), class.patients.to_string());
        rows.push(row(&class.name, by_split(&|split| split.films[label]), [&films, &share, &patients, &gray]));
    }
    let (films, patients) = (survey.films.to_string(), survey.patients.count.to_string());
    rows.push(row("all", by_split(&|split| split.count), [&films, "100 %", &patients, ""]));
    if !splits.is_empty() {
        rows.push(row("patients", by_split(&|split| split.patients), [&patients, "", "", ""]));
        rows.push(row(
            "file size",
            splits.iter().map(|split| print::size(split.bytes)).collect(),
            [&print::size(survey.bytes), "", "", ""],
        ));
    }
    if !survey.bad.is_empty() {
        rows.push(row("unreadable", by_split(&|split| split.bad), [&survey.bad.len().to_string(), "", "", ""]));
    }
    rows
}

fn sizes(width: Spread, height: Spread, bytes: Spread) -> Vec<Vec<String>> {
    let row = |name: &str, spread: Spread, said: &dyn Fn(u64) -> String| {
        vec![name.to_owned(), said(spread.least), said(spread.median), said(spread.most)]
    };
    vec![
        ["", "least", "median", "most"].map(str::to_owned).to_vec(),
        row("width, pixels", width, &|v| v.to_string()),
        row("height, pixels", height, &|v| v.to_string()),
        row("file", bytes, &print::size),
    ]
}

/// What else there is to know, each with its name.
fn facts(found: &Exploration, exif: Exif) -> Vec<(&'static str, String)> {
    let survey = &found.survey;
    let mut facts = Vec::new();
    if survey.task == Task::AnyOf {
        facts.push(("Labels", labels(survey)));
    }
    let count = |class: &&lungfish_data::survey::ClassSurvey| class.films;
    let most = survey.classes.iter().max_by_key(count);
    let least = survey.classes.iter().min_by_key(count);
    if let (Task::OneOf, Some(most), Some(least)) = (survey.task, most, least)
        && most.films > least.films
        && least.films > 0
    {
        let times = most.films as f64 / least.films as f64;
        let (most, least) = (print::one_line(&most.name), print::one_line(&least.name));
        facts.push(("Balance", format!("{times:.1} times as many {most} as {least}")));
    }
    if survey.films > 0 {
        facts.push(("Files", kinds(survey)));
        facts.push(("Colour", colour(survey)));
        facts.push(("Patients", patients(found)));
        facts.push(("Copies", copies(survey)));
    }
    if let Some(dicom) = &survey.dicom {
        facts.push(("DICOM", taken(dicom)));
        if dicom.lateral > 0 && dicom.lateral < survey.films {
            let text = format!(
                "{} of {} are lateral: what a network learns of one view is little worth on the other",
                dicom.lateral,
                print::films(survey.films)
            );
            facts.push(("Views", text));
        }
    }
    if let Some(bits) = found.sample_bits {
        facts.push(("Samples", format!("those of 16 bits use {bits}: 0 to {} becomes 0 to 255", (1_u32 << bits) - 1)));
    }
    let of_storage = found.caveats.iter().filter(|caveat| caveat.kind == CaveatKind::Acquisition);
    facts.extend(of_storage.map(|caveat| ("Caution", print::one_line(&caveat.text))));
    if survey.turned > 0 {
        let films = print::films(survey.turned);
        let done = match exif {
            Exif::Ignore => "is ignored (--set exif=apply turns them)",
            Exif::Apply => "is done",
        };
        facts.push(("Turned", format!("{films} note in EXIF that they are to be turned, which {done}")));
    }
    if let Some(text) = passed_over::sentence(&found.passed_over) {
        facts.push(("Passed over", text));
    }
    facts.extend(found.notes.iter().map(|note| ("Taken for", note.clone())));
    if survey.synthetic > 0 {
        let synthetic =
            if survey.synthetic == survey.films { "all films".to_owned() } else { print::films(survey.synthetic) };
        facts.push(("Synthetic", format!("{synthetic}, made by lungfish itself: X-rays of nobody")));
    }
    facts
}

/// Of films that may have any label.
fn labels(survey: &Survey) -> String {
    let said = |class: &lungfish_data::survey::ClassSurvey| {
        let (without, unknown) = (class.without.unwrap_or(0), class.unknown.unwrap_or(0));
        format!("{} {} with, {without} without, {unknown} unknown", print::one_line(&class.name), class.films)
    };
    survey.classes.iter().map(said).collect::<Vec<_>>().join("; ")
}

fn kinds(survey: &Survey) -> String {
    let (shown, others) = survey.kinds.split_at(survey.kinds.len().min(SHOWN_KINDS));
    let said = |kind: &Kind| {
        let Source { format, mode, bits } = kind.source;
        format!("{} {format} {mode}, {bits} {}", kind.films, if bits == 1 { "bit" } else { "bits" })
    };
    let mut parts: Vec<String> = shown.iter().map(said).collect();
    if !others.is_empty() {
        let films = others.iter().map(|kind| kind.films).sum();
        parts.push(format!("{} of other kinds", print::films(films)));
    }
    parts.push(format!("{} in all", print::size(survey.bytes)));
    parts.join("; ")
}

fn colour(survey: &Survey) -> String {
    match survey.coloured {
        0 => "none: every film is gray, however it is stored".to_owned(),
        n if n == survey.films => "every film has pixels that are not gray".to_owned(),
        n => format!("{} with pixels that are not gray", print::films(n)),
    }
}

fn patients(found: &Exploration) -> String {
    let survey = &found.survey;
    let Patients { count, most_films, on_two_splits, in_two_classes } = survey.patients;
    let films = survey.films + survey.bad.len();
    let told = match &found.patients_by[..] {
        [] => {
            return "unknown: nothing tells them, so every film counts as a patient of its own and one patient may lie on two \
                    splits (--patient says how names tell patients)"
                .to_owned();
        }
        [only] if only.films == films => format!("told by {}", only.source),
        by => {
            let each: Vec<String> = by.iter().map(|by| format!("{} films by {}", by.films, by.source)).collect();
            format!("told {}, of {films}", each.join(", "))
        }
    };
    if most_films == 1 {
        return format!("{count}, one film each ({told}; --patient says how names tell patients)");
    }
    let mut text = format!("{count}, up to {most_films} films each ({told})");
    if survey.splits.len() > 1 {
        text.push_str(&match on_two_splits {
            0 => "; none is on two splits".to_owned(),
            n => format!("; {n} on more than one split, which training puts right"),
        });
    }
    if in_two_classes > 0 {
        let what = if survey.task == Task::AnyOf { "with films of different labels" } else { "in more than one class" };
        text.push_str(&format!("; {in_two_classes} {what}"));
    }
    text
}

/// How DICOM films were taken.
fn taken(dicom: &DicomSurvey) -> String {
    let counts = |name: &str, of: &BTreeMap<String, usize>| {
        let each: Vec<String> = of.iter().map(|(value, films)| format!("{} {films}", print::one_line(value))).collect();
        format!("{name} {}", each.join(", "))
    };
    let parts = [
        print::films(dicom.films),
        counts("by maker", &dicom.manufacturers),
        counts("by view", &dicom.views),
        counts("by age", &dicom.ages),
        counts("by sex", &dicom.sexes),
        counts("by modality", &dicom.modalities),
        counts("by photometric interpretation", &dicom.photometric),
    ];
    parts.join("; ")
}

fn copies(survey: &Survey) -> String {
    let copies = survey.copies;
    if copies.films == 0 {
        return "none: no two films have the same pixels".to_owned();
    }
    let mut text = format!("{} with the pixels of an earlier one", print::films(copies.films));
    let other = if survey.task == Task::AnyOf { "with other labels" } else { "in another class" };
    for (n, place) in [(copies.on_two_splits, "on another split"), (copies.in_two_classes, other)] {
        if n > 0 {
            text.push_str(&format!(
                "; {} the same {place} too",
                if n == 1 { "1 has".to_owned() } else { format!("{n} have") }
            ));
        }
    }
    text
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(i, (cell, &w))| if i == 0 { format!("{cell:w$}") } else { format!("{cell:>w$}") });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
