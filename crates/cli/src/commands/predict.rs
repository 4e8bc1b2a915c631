//! `lungfish predict`: films in, a class or labels and the probabilities of each out, as they come.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use clap::ValueHint::{AnyPath, DirPath, FilePath};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use lungfish::{
    ErrorKind, FilmList, MapsFolder, Outcome, PassedOver, PlotTarget, PointRule, PrecisionRule, Prediction, Predictor,
    ScoresFile, Tta, Watch, passed_over,
};
use serde::Serialize;

use crate::observer::{Outlet, Printer};
use crate::print::OutputError;
use crate::{NOT_A_DIAGNOSIS, flags, print, stop};

/// Say what a model makes of films
///
/// Scores every film it can read, and says or writes what it finds as it goes. Films that it cannot read are named, and
/// files in a folder that are not taken for films are counted by kind (hidden ones apart): the exit status is then 1.
/// Files that are no pictures, such as .csv and .txt, leave it at 0. Ctrl-C finishes the films at hand (status 130). This
/// is a research tool; what it says is not a diagnosis.
///
/// --out writes a CSV file for spreadsheets and pandas: path, predicted, one probability a class, error, which says why a
/// film has none, where there are DICOM films uid, their SOPInstanceUID, hashed, and unlike: the share of the model's validation
/// films that are more like its training films, 1 for a film that is less like them than all of those. Rows are in the order of the films
/// asked for. Beside it FILE.json says by which model. A FILE that ends in .parquet is Parquet, with all that inside it;
/// until all is scored the rows are in FILE.part.csv.
///
/// --json prints an object a film, on a line: path, class, probabilities; or path, error; of a DICOM also uid; at, where it is
/// called at another point than 0.5; precision, where --precision asks for another one than trained the model; unlike, as in --out; with --cam also evidence: of (the class or label that is mapped), supporting and opposing (logits), outside_center and
/// border (shares of what supports it). Where files were passed over, a
/// last object has passed_over: a list of kind, count, first (a path) and may_be_films.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish predict --model run film.jpeg more-films/
  lungfish predict --model run film.jpeg --plot film-predicted.png
  lungfish predict --model run/best.safetensors --json films/ > predictions.jsonl

Example, which places of each film speak for the positive class (of several classes, for the one it is called):
  lungfish predict --model run films/ --plot maps --cam
  lungfish predict --model run films/ --cam-arrays arrays
  lungfish predict --model run films/ --plot maps --cam --cam-of NORMAL

Example, many films, and going on after Ctrl-C, a crash or a full disk:
  lungfish predict --model run films/ --out scores.csv
  lungfish predict --model run films/ --out scores.csv --resume

Example, DICOM films whose scores are to be joined by UID, and the films of a MedMNIST file:
  lungfish predict --model run hospital/ --out scores.parquet --uids
  lungfish predict --model run pneumoniamnist_224.npz --out scores.csv")]
pub struct Args {
    /// Run folder or model file
    #[arg(long, value_name = "RUN|FILE")]
    model: PathBuf,
    /// Films, folders of films, or .npz files as MedMNIST's
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write a CSV file (Parquet where FILE ends in .parquet), a row a film as soon as it is scored, and print none
    #[arg(long, value_name = "FILE", value_hint = FilePath, conflicts_with = "json")]
    out: Option<PathBuf>,
    /// Go on with the file of --out, made by the same model for the same films
    #[arg(long, requires = "out", conflicts_with = "plot")]
    resume: bool,
    /// Write the UIDs of DICOM films as they are, in --out and --json; many have a date in them
    #[arg(long)]
    uids: bool,
    /// Draw the film beside its probabilities: a file ending in .png or .svg for one film, else a folder
    #[arg(long, value_name = "FILE|DIR", value_hint = AnyPath)]
    plot: Option<PathBuf>,
    /// Map which places of a film raised and lowered the score of a class: beside the film in --plot, and what it comes to in
    /// --json
    #[arg(long)]
    cam: bool,
    /// Map this class or label on every film [default: of two classes the positive one, of several the one that a film is called, of
    /// labels the most probable one]
    #[arg(long, value_name = "CLASS|LABEL")]
    cam_of: Option<String>,
    /// Write each film's map as a numpy array of logits a cell (.npy) into a new folder, with maps.csv
    #[arg(long, value_name = "DIR", value_hint = DirPath, conflicts_with = "resume")]
    cam_arrays: Option<PathBuf>,
    /// Score each film in several views and average: flip is the film and its mirror image, crops its middle and corners,
    /// and those mirrored
    #[arg(long, default_value = "none")]
    #[arg(value_parser = PossibleValuesParser::new(Tta::ALL.map(Tta::name)).try_map(|name| name.parse::<Tta>()))]
    tta: Tta,
    /// Where films are called: a probability, or an operating point of the model: youden, max-accuracy, sensitivity=0.95,
    /// specificity=0.9 [default: the model's, which is 0.5 unless its recipe's call_at says otherwise]
    #[arg(long, value_name = "POINT")]
    at: Option<PointRule>,
    /// In which precision networks compute: fp32, bf16, f16 (on a GPU), or auto, what trained the model
    #[arg(long, default_value = "auto")]
    #[arg(value_parser = flags::precision())]
    precision: PrecisionRule,
    #[command(flatten)]
    formats: flags::Formats,
    /// Print one JSON object a film
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let formats = args.formats.of(args.plot.is_some(), "say where with --plot")?;
    if args.uids && args.out.is_none() && !args.json {
        bail!("--uids is for --out and --json: what is printed without them has no UID");
    }
    if args.cam && args.plot.is_none() && !args.json && args.cam_arrays.is_none() {
        bail!(
            "--cam has nothing to go into: draw the maps with --plot, print what they come to with --json, or write them with --cam-arrays"
        );
    }
    if args.cam_of.is_some() && !args.cam && args.cam_arrays.is_none() {
        bail!("--cam-of says of which class or label maps are: ask for maps with --cam or --cam-arrays");
    }
    let arrays = args.cam_arrays.as_deref().map(MapsFolder::new).transpose()?;
    let target = args.plot.as_ref().map(|to| PlotTarget::new(to, &args.paths)).transpose()?;
    let target = target.map(|target| target.with_formats(formats));
    let mut printer = Printer::scoring();
    let predictor = Predictor::open(&args.model)?.with_precision(args.precision)?;
    let mut predictor = predictor.with_tta(args.tta).with_uids(flags::uids(args.uids));
    if let Some(rule) = args.at {
        predictor = predictor.with_point(rule)?;
    }
    if args.cam || arrays.is_some() {
        predictor = match &args.cam_of {
            Some(name) => predictor.with_maps_of(name)?,
            None => predictor.with_maps()?,
        };
    }
    let films = FilmList::new(&args.paths);
    let place = match &args.out {
        Some(out) if args.resume => Place::File(Box::new(ScoresFile::resume(out, &predictor, &films)?)),
        Some(out) => Place::File(Box::new(ScoresFile::create(out, &predictor, &films)?)),
        None if args.json => Place::Json,
        None => Place::Lines(Columns::of(&films, &predictor.info().classes)),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let tell = printer.teller();
    stop::on_signal(Arc::clone(&stop), move || tell("finishing the films at hand; once more leaves at once"))?;

    let kept = (target.is_some() || arrays.is_some()).then(Vec::new);
    let mut rows = Rows { place, outlet: printer.outlet(), good: 0, bad: 0, unlike: 0, kept };
    let from = rows.skip();
    let scored = predictor.predict_each(&films, from, &mut Watch::new(&mut printer, &stop), |batch| rows.take(batch));
    printer.finish()?;
    if let Err(error) = scored {
        return rows.ended_early(error, films.len());
    }
    let Rows { place, good, bad, unlike, kept, .. } = rows;
    let beside = films.passed_over();
    match place {
        Place::File(file) => {
            file.finish()?;
            if let Some(out) = &args.out {
                print::out(format_args!("Scores: {} in {}", print::films(good), print::path(out)))?;
            }
        }
        Place::Json if !beside.is_empty() => print::json(&Beside { passed_over: beside })?,
        Place::Json | Place::Lines(_) => {}
    }

    // Metrics first: they are said even where a picture cannot be made.
    let drawn = kept.unwrap_or_default();
    if let (Some(arrays), Some(to)) = (&arrays, &args.cam_arrays) {
        let written = arrays.write(&drawn)?;
        if !args.json {
            print::out(format_args!("Maps: of {} in {}", print::films(written), print::path(to)))?;
        }
    }
    let pictures = match target {
        Some(target) => match target.draw(predictor.info(), &drawn, &mut Watch::new(&mut printer, &stop)) {
            Err(error) if error.kind() == ErrorKind::Stopped => {
                print::err("stopped; not all pictures are drawn");
                return Ok(ExitCode::from(print::STOPPED));
            }
            drawn => drawn?,
        },
        None => Vec::new(),
    };
    printer.finish()?;
    if !args.json && good > 0 {
        if let (Some(to), Some(first)) = (&args.plot, pictures.first()) {
            print::out(match pictures.len() {
                1 => format!("Picture: {}", print::path(first)),
                count => format!("Pictures: {count} in {}", print::path(to)),
            })?;
        }
        if predictor.point() != PointRule::default() {
            print::out(format_args!("\nFilms are called at {}.", predictor.point()))?;
        }
        if let Some(precision) = predictor.other_precision() {
            print::out(format_args!("\nEach film is {}.", print::other_precision(precision)))?;
        }
        if unlike > 0 {
            print::out(format_args!(
                "\nNo validation film is as unlike the training films as {}: what is said of {} is not to be relied on.",
                if unlike == 1 { "1 of these".to_owned() } else { format!("{unlike} of these") },
                if unlike == 1 { "it" } else { "them" }
            ))?;
        }
        if predictor.info().for_equal_classes() {
            print::out(format_args!("\n{}", print::EQUAL_PRIOR))?;
        }
        print::out(format_args!("\n{NOT_A_DIAGNOSIS}"))?;
    }
    verdict(good, bad, beside)
}

/// What is said and returned where all was scored that could be.
fn verdict(good: usize, bad: usize, beside: &[PassedOver]) -> anyhow::Result<ExitCode> {
    let (films, others): (Vec<&PassedOver>, Vec<&PassedOver>) = beside.iter().partition(|kind| kind.may_be_films);
    if let Some(text) = passed_over::sentence(others) {
        print::err(text);
    }
    let unread = (bad > 0).then(|| format!("{bad} of {} could not be read", print::films(good + bad)));
    let missing: Vec<String> = unread.into_iter().chain(passed_over::sentence(films)).collect();
    if !missing.is_empty() {
        bail!("{}", missing.join("; "));
    }
    Ok(ExitCode::SUCCESS)
}

/// The last line of `--json`, where there is something to tell.
#[derive(Serialize)]
struct Beside<'a> {
    passed_over: &'a [PassedOver],
}

/// Where what is scored goes.
enum Place {
    File(Box<ScoresFile>),
    Json,
    Lines(Columns),
}

/// Hands on what is scored, as it comes.
struct Rows {
    place: Place,
    outlet: Outlet,
    good: usize,
    bad: usize,
    /// Films that are unlike all that the model knows.
    unlike: usize,
    /// All of it, where pictures or arrays of maps are wanted.
    kept: Option<Vec<Prediction>>,
}

impl Rows {
    /// Counts the rows that are there from an earlier time.
    fn skip(&mut self) -> usize {
        let Place::File(file) = &self.place else { return 0 };
        self.bad = file.bad();
        self.good = file.rows() - file.bad();
        file.rows()
    }

    fn take(&mut self, batch: Vec<Outcome>) -> anyhow::Result<()> {
        let mut lines = Vec::with_capacity(batch.len());
        for outcome in &batch {
            match (outcome, &self.place) {
                (Ok(film), Place::Lines(columns)) => lines.push(columns.line(film)),
                (Ok(film), Place::Json) => lines.push(serde_json::to_string(film)?),
                (Err(film), Place::Json) => lines.push(serde_json::to_string(film)?),
                _ => {}
            }
            if let Err(film) = outcome {
                let (path, reason) = (print::path(&film.path), print::one_line(&film.reason));
                self.outlet.err(format_args!("bad film {path}: {reason}"));
            }
        }
        if let Place::File(file) = &mut self.place {
            file.append(&batch)?;
        } else if !lines.is_empty() {
            self.outlet.out(lines.join("\n"))?;
        }
        let bad = batch.iter().filter(|outcome| outcome.is_err()).count();
        self.bad += bad;
        self.unlike += batch.iter().flatten().filter(|film| film.is_unlike()).count();
        self.good += batch.len() - bad;
        if let Some(kept) = &mut self.kept {
            kept.extend(batch.into_iter().flatten());
        }
        Ok(())
    }

    /// Says what is kept, and how to go on.
    fn ended_early(self, error: anyhow::Error, of: usize) -> anyhow::Result<ExitCode> {
        let stopped = error.downcast_ref::<lungfish::Error>().is_some_and(|e| e.kind() == ErrorKind::Stopped);
        let closed = error.downcast_ref::<OutputError>().is_some_and(OutputError::is_closed);
        let done = format!("{} of {} films are scored", grouped(self.good + self.bad), grouped(of));
        match self.place {
            Place::File(file) => {
                let (rows, place) = (file.rows(), print::path(file.rows_file()));
                let finished = file.finish();
                if rows > 0 {
                    print::err(format_args!("{done} and in {place}; go on with the same command and --resume"));
                }
                if stopped {
                    finished?;
                }
            }
            _ if stopped => print::err(format_args!("stopped; {done}")),
            _ => {}
        }
        if stopped && !closed { Ok(ExitCode::from(print::STOPPED)) } else { Err(error) }
    }
}

fn grouped(number: usize) -> String {
    print::grouped(number as u64)
}

/// What stands behind a film that is unlike all that the model knows.
const UNLIKE: &str = "  unlike the films of the training: do not rely on this";

/// How wide paths and classes are, so that lines stand in columns although the last one is not there yet.
struct Columns {
    path: usize,
    class: usize,
}

impl Columns {
    /// With more films than this, one long path would push all lines far to the right.
    const MOST: usize = 500;

    fn of(films: &FilmList, classes: &[String]) -> Self {
        let paths = if films.len() <= Self::MOST { Some(films.paths()) } else { None };
        Self::wide(paths.into_iter().flatten(), classes)
    }

    fn wide<'a>(paths: impl Iterator<Item = &'a Path>, classes: &[String]) -> Self {
        let widest =
            |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
        Columns {
            path: widest(&mut paths.map(print::path)),
            class: widest(&mut classes.iter().map(|class| print::one_line(class))),
        }
    }

    /// Path, class, probabilities.
    fn line(&self, film: &Prediction) -> String {
        let Columns { path: path_width, class: class_width } = *self;
        let probabilities: Vec<String> =
            film.probabilities.iter().map(|(class, p)| format!("{} {p:.4}", print::one_line(class))).collect();
        let (path, class) = (print::path(&film.path), print::one_line(&film.called.words()));
        let doubt = if film.is_unlike() { UNLIKE } else { "" };
        format!("{path:path_width$}  {class:class_width$}  {}{doubt}", probabilities.join("  "))
    }
}

/// A line a film: path, class, probabilities, in columns.
pub fn lines(films: &[Prediction]) -> Vec<String> {
    let classes: Vec<String> = films
        .first()
        .map(|film| film.probabilities.iter().map(|(class, _)| class.clone()).collect())
        .unwrap_or_default();
    let columns = Columns::wide(films.iter().map(|film| film.path.as_path()), &classes);
    films.iter().map(|film| columns.line(film)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_stand_in_columns() {
        let film = |path: &str, p: f64| {
            Prediction::new(
                path,
                lungfish::Task::OneOf,
                vec![("NORMAL".to_owned(), 1.0 - p), ("PNEUMONIA".to_owned(), p)],
            )
        };
        assert_eq!(
            lines(&[film("a.png", 0.75), film("long\n.png", 0.125)]),
            [
                "a.png         PNEUMONIA  NORMAL 0.2500  PNEUMONIA 0.7500",
                "long\\x0a.png  NORMAL     NORMAL 0.8750  PNEUMONIA 0.1250"
            ]
        );
        let mut odd = film("a.png", 0.75);
        odd.unlike = Some(1.0);
        assert!(
            lines(&[odd.clone()])[0]
                .ends_with("PNEUMONIA 0.7500  unlike the films of the training: do not rely on this")
        );
        odd.unlike = Some(0.99);
        assert!(lines(&[odd])[0].ends_with("PNEUMONIA 0.7500"));
        let many = FilmList::new(&vec![PathBuf::from("a.png"); Columns::MOST + 1]);
        assert_eq!(Columns::of(&many, &["A".to_owned()]).path, 0);
    }
}
