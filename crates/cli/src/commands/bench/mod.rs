//! `lungfish bench`: how fast this program is on this machine.

mod loader;
mod step;

use std::process::ExitCode;

use crate::observer::Printer;
use crate::print;
use crate::schema::Output;

/// Measure how fast this machine trains, predicts and reads films
#[derive(clap::Args)]
#[command(after_help = "\
Example, training steps of the network of the default recipe:
  lungfish bench step

Example, reading films, from their files and in later epochs:
  lungfish bench loader --data chest_xray

Example, one film at a time, on one thread:
  lungfish bench step --arch resnet34 --mode infer --batch 1 --threads 1")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Step(step::Args),
    Loader(loader::Args),
}

pub fn run(args: &Args, threads: Option<usize>) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Step(args) => step::run(args),
        Command::Loader(args) => loader::run(args, threads),
    }
}

/// Measures and prints what came of it.
fn tell<M: Output>(
    measure: impl FnOnce(&mut Printer) -> Result<M, lungfish::Error>,
    lines: fn(&M) -> Vec<String>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut printer = Printer::scoring();
    let measure = measure(&mut printer)?;
    printer.finish()?;
    if json {
        print::output(&measure)?;
    } else {
        print::out(lines(&measure).join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn threads(number: usize) -> String {
    if number == 1 { "1 thread".to_owned() } else { format!("{number} threads") }
}

/// Films a second with three digits.
fn pace(films_per_s: f64) -> String {
    match films_per_s {
        100.0.. => format!("{films_per_s:.0}"),
        10.0.. => format!("{films_per_s:.1}"),
        _ => format!("{films_per_s:.2}"),
    }
}
