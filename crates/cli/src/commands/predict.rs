//! `lungfish predict`: films in, a class and its probabilities each.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use clap::ValueHint::AnyPath;
use lungfish::{PlotTarget, Prediction, Predictor, Watch};

use crate::observer::Printer;
use crate::{NOT_A_DIAGNOSIS, flags, print};

/// Say what a model makes of films
///
/// Scores every film it can read; the ones it cannot are named, and the exit status is then 1. This is a research tool;
/// what it says is not a diagnosis.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish predict --model run film.jpeg more-films/
  lungfish predict --model run film.jpeg --plot film-predicted.png
  lungfish predict --model run/best.safetensors --json films/ > predictions.jsonl")]
pub struct Args {
    /// Run folder or model file
    #[arg(long, value_name = "RUN|FILE")]
    model: PathBuf,
    /// Films, or folders of films
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Draw the film beside its probabilities: a file ending in .png or .svg for one film, else a folder
    #[arg(long, value_name = "FILE|DIR", value_hint = AnyPath)]
    plot: Option<PathBuf>,
    #[command(flatten)]
    formats: flags::Formats,
    /// Print one JSON object a film
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let formats = args.formats.of(args.plot.is_some(), "say where with --plot")?;
    let target = args.plot.as_ref().map(|to| PlotTarget::new(to, &args.paths)).transpose()?;
    let target = target.map(|target| target.with_formats(formats));
    let mut printer = Printer::scoring();
    let mut predictor = Predictor::open(&args.model)?;
    let stop = AtomicBool::new(false);
    let scored = predictor.predict(&args.paths, &mut Watch::new(&mut printer, &stop))?;
    printer.finish()?;
    if args.json {
        for film in &scored.films {
            print::json(film)?;
        }
    } else if !scored.films.is_empty() {
        for line in lines(&scored.films) {
            print::out(line)?;
        }
    }
    // Metrics first: they are said even where a picture cannot be made.
    let pictures = match target {
        Some(target) => target.draw(predictor.info(), &scored.films, &mut Watch::new(&mut printer, &stop))?,
        None => Vec::new(),
    };
    printer.finish()?;
    if !args.json && !scored.films.is_empty() {
        if let (Some(to), Some(first)) = (&args.plot, pictures.first()) {
            print::out(match pictures.len() {
                1 => format!("Picture: {}", print::path(first)),
                count => format!("Pictures: {count} in {}", print::path(to)),
            })?;
        }
        print::out(format_args!("\n{NOT_A_DIAGNOSIS}"))?;
    }
    for film in &scored.bad {
        print::err(format_args!("bad film {}: {}", print::path(&film.path), print::one_line(&film.reason)));
    }
    if !scored.bad.is_empty() {
        bail!("{} of {} could not be read", scored.bad.len(), print::films(scored.bad.len() + scored.films.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A line a film: path, class, probabilities, in columns.
pub fn lines(films: &[Prediction]) -> Vec<String> {
    let paths: Vec<String> = films.iter().map(|film| print::path(&film.path)).collect();
    let width = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let path_width = width(&mut paths.iter().map(String::as_str));
    let class_width = width(&mut films.iter().map(|film| film.class.as_str()));
    let line = |(film, path): (&Prediction, &String)| {
        let probabilities: Vec<String> =
            film.probabilities.iter().map(|(class, p)| format!("{} {p:.4}", print::one_line(class))).collect();
        let class = print::one_line(&film.class);
        format!("{path:path_width$}  {class:class_width$}  {}", probabilities.join("  "))
    };
    films.iter().zip(&paths).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_stand_in_columns() {
        let film = |path: &str, class: &str, p: f64| Prediction {
            path: PathBuf::from(path),
            class: class.to_owned(),
            probabilities: vec![("NORMAL".to_owned(), 1.0 - p), ("PNEUMONIA".to_owned(), p)],
        };
        assert_eq!(
            lines(&[film("a.png", "PNEUMONIA", 0.75), film("long\n.png", "NORMAL", 0.125)]),
            [
                "a.png         PNEUMONIA  NORMAL 0.2500  PNEUMONIA 0.7500",
                "long\\x0a.png  NORMAL     NORMAL 0.8750  PNEUMONIA 0.1250"
            ]
        );
    }
}
