//! `lungfish demo`: the whole job on synthetic films.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use lungfish::{Changes, Predictor, TestRequest, TrainRequest, Watch};

use super::{predict, test, train};
use crate::observer::Printer;
use crate::{NOT_A_DIAGNOSIS, print};

/// Draw films, train on them, test, predict: the whole job in under two minutes
///
/// The films are synthetic, drawn by the program, so the metrics say that it works and nothing about lungs.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish demo
  lungfish demo --out /tmp/demo")]
pub struct Args {
    /// Folder to write; a demo that lies there already is made anew
    #[arg(long, value_name = "DIR", default_value = "lungfish-demo", value_hint = clap::ValueHint::DirPath)]
    out: PathBuf,
}

/// In the folder of a demo, so that only a demo's folder is ever cleared.
const MARK: &str = "lungfish-demo.txt";
const MARK_TEXT: &str = "\
`lungfish demo` made this folder and clears it when it runs here again.
films/ are drawings made by the program: X-rays of nobody.
";

const FILMS: usize = 360;

/// Short enough for two cores, long enough to show both phases at work. So few films want small batches: more steps, and
/// with them batch-norm statistics of the films and no longer of ImageNet.
const RECIPE: [&str; 6] =
    ["frozen_epochs=6", "frozen_lr=5e-4", "epochs=4", "lr=3e-4", "batch_size=16", "image_size=160"];

pub fn run(args: &Args, threads: Option<usize>) -> anyhow::Result<ExitCode> {
    let started = std::time::Instant::now();
    let workers = train::workers(0, threads);
    let [films, run] = ["films", "run"].map(|name| args.out.join(name));
    clear(&args.out)?;

    print::out(format_args!("1. Drawing {FILMS} films into {}", print::path(&films)))?;
    let folder = print::argument(&films);
    print::out(format_args!("   lungfish synth --out {folder} --films {FILMS}\n"))?;
    lungfish_data::synth(&films, FILMS, 0)?;

    let model = print::argument(&run);
    print::out("2. Training: ImageNet's EfficientNet-Lite0, the head alone, then all of it")?;
    let set: Vec<String> = RECIPE.iter().map(|setting| format!("--set {setting}")).collect();
    print::out(format_args!("   lungfish train --data {folder} --out {model} {}\n", set.join(" ")))?;
    let mut changes = Changes::default();
    for setting in RECIPE {
        changes.set(setting)?;
    }
    let mut request = TrainRequest::new(&films, &run);
    request.changes = changes;
    request.workers = workers;
    let stop = Arc::new(AtomicBool::new(false));
    let mut printer = Printer::training(Arc::clone(&stop));
    let trained = lungfish::train(&request, &mut Watch::new(&mut printer, &stop))?;
    printer.finish()?;
    train::report(&trained)?;

    print::out("\n3. Testing on patients that it has not seen")?;
    print::out(format_args!("   lungfish test --model {model} --data {folder}\n"))?;
    let request = TestRequest::new(&run, &films);
    let mut printer = Printer::scoring();
    let tested = lungfish::test(&request, &mut Watch::new(&mut printer, &stop))?;
    test::report(&tested, false)?;

    let film = one_film(&films)?;
    print::out("\n4. Predicting one film")?;
    print::out(format_args!("   lungfish predict --model {model} {}\n", print::argument(&film)))?;
    let scored = Predictor::open(&run)?.predict(&[film], &mut Watch::new(&mut printer, &stop))?;
    printer.finish()?;
    for line in predict::lines(&scored.films) {
        print::out(line)?;
    }

    print::out(format_args!(
        "\nDone in {}. Everything lies in {}:",
        print::duration(started.elapsed().as_secs_f64()),
        print::path(&args.out)
    ))?;
    let width = print::path(args.out.join("run/predictions-test.csv")).chars().count();
    for (name, what) in [
        ("films", "the films: synthetic, drawn by this program, X-rays of nobody"),
        ("run/best.safetensors", "the model"),
        ("run/recipe.toml", "how it was trained"),
        ("run/log.jsonl", "one line an epoch"),
        ("run/predictions-test.csv", "one line a test film"),
        ("run/*.png", "pictures of the training and the test; each as .svg too"),
    ] {
        print::out(format_args!("  {:width$}  {what}", print::path(args.out.join(name))))?;
    }
    print::out(format_args!(
        "The films are synthetic: these metrics say that the program works, and nothing about lungs.\n{NOT_A_DIAGNOSIS}"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the folder, or clears it where it is a demo's; somebody's own folder is left alone.
fn clear(out: &Path) -> anyhow::Result<()> {
    let mark = out.join(MARK);
    let taken = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => bail!("cannot write the demo to {}: {error}", out.display()),
    };
    if taken && !mark.is_file() {
        bail!("{} holds something that is no demo: name another folder with --out", out.display());
    }
    for name in ["films", "run"] {
        let old = out.join(name);
        match fs::remove_dir_all(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => bail!("cannot clear {}: {error}", old.display()),
            _ => {}
        }
    }
    fs::create_dir_all(out)
        .and_then(|()| fs::write(&mark, MARK_TEXT))
        .map_err(|error| anyhow::anyhow!("cannot write the demo to {}: {error}", out.display()))
}

/// The first film of the last class of the test split.
fn one_film(films: &Path) -> anyhow::Result<PathBuf> {
    let last = |folder: &Path| fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).max();
    let class = last(&films.join("test")).context("the demo drew no test films")?;
    last(&class).context("the demo drew no test films")
}
