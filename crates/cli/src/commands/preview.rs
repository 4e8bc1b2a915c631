//! `lungfish preview`: films beside what the network sees of them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use lungfish::{Changes, PreviewRequest, Recipe, Watch};

use crate::observer::Printer;
use crate::{flags, print};

/// Draw films beside what the network sees of them
///
/// A picture of some films of the training split, the classes in turn: each as it lies in its file, and as a recipe cuts
/// and shrinks it for the network; with --augmented as the network sees it, and then altered by chance as the unfrozen phase
/// does (and the frozen one, with frozen_views other than 1): by all steps together, and by each of them alone.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish preview --data chest_xray
  lungfish preview --data chest_xray --augmented --films 12 --set fit=pad --out padded.png")]
pub struct Args {
    /// Folder of films: DIR/{train,val,test}/{CLASS}/* or DIR/{CLASS}/*
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    data: PathBuf,
    #[command(flatten)]
    labels: flags::Labels,
    /// Picture to write, .png or .svg
    #[arg(long, value_name = "FILE", default_value = "preview.png", value_hint = clap::ValueHint::FilePath)]
    out: PathBuf,
    #[command(flatten)]
    formats: flags::Formats,
    /// Alter the films by chance, as the first unfrozen epoch of a training does
    #[arg(long)]
    augmented: bool,
    /// How many films
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = flags::whole(1..=MOST_FILMS))]
    #[arg(allow_negative_numbers = true)]
    films: usize,
    /// Recipe that says what is done to films, see `lungfish recipe`
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    recipe: Option<PathBuf>,
    /// Seed that chooses the films and alters them
    #[arg(long, value_name = "S", value_parser = flags::whole(Recipe::SEED), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Set any key of the recipe; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// More make a picture that nobody scrolls through.
const MOST_FILMS: usize = 100;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut changes = Changes::default();
    if let Some(recipe) = &args.recipe {
        flags::read_recipe(&mut changes, recipe)?;
    }
    for (key, value) in args.labels.keys() {
        changes.set_key(&key, &value)?;
    }
    if let Some(seed) = args.seed {
        changes.set_key("seed", &seed.to_string())?;
    }
    for setting in &args.set {
        changes.set(setting)?;
    }
    let mut request = PreviewRequest::new(&args.data, &args.out);
    request.recipe = changes.apply(Recipe::default())?;
    request.films = args.films;
    request.augmented = args.augmented;
    request.formats = args.formats.of(true, "")?;
    let mut printer = Printer::scoring();
    let preview = lungfish::preview(&request, &mut Watch::new(&mut printer, &AtomicBool::new(false)))?;
    printer.finish()?;
    let split = preview.split.map_or(String::new(), |split| format!(" of the {split} split"));
    print::out(format_args!("{}{split}: {}", print::films(preview.films.len()), print::path(&preview.picture)))?;
    if let Some(pdf) = &preview.pdf {
        print::out(format_args!("As PDF: {}", print::path(pdf)))?;
    }
    Ok(ExitCode::SUCCESS)
}
