//! The `lungfish` command: flags in, sentences out. What it does is the library's work.

mod commands;
mod observer;
mod print;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{demo, doctor, predict, recipe, synth, test, train};

/// Said wherever a figure could be taken for a finding.
const NOT_A_DIAGNOSIS: &str = "This is a research tool; what it says is not a diagnosis.";

/// Fine-tune an ImageNet network on chest X-rays, test it, predict with it.
///
/// This is a research tool; what it says is not a diagnosis.
#[derive(Parser)]
#[command(name = "lungfish", version, arg_required_else_help = true, after_help = EXAMPLE)]
struct Cli {
    /// Threads to compute with [default: one a core]; the result is the same for any number
    #[arg(long, global = true, value_name = "N", display_order = 999)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
    #[command(subcommand)]
    command: Command,
}

/// More than any machine has cores; tens of thousands would take minutes to start.
const MOST_THREADS: i64 = 1024;

const EXAMPLE: &str = "\
Example, the whole job on films that are drawn for it:
  lungfish demo

Example, on a folder of films (train/NORMAL/*.jpeg, train/PNEUMONIA/*.jpeg, ...):
  lungfish train --data chest_xray --out run
  lungfish test --model run --data chest_xray
  lungfish predict --model run some-film.jpeg

Exit status: 0 done, 1 could not, 2 wrong usage.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Train(train::Args),
    Test(test::Args),
    Predict(predict::Args),
    Synth(synth::Args),
    Recipe(recipe::Args),
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    stop::survive_file_limits();
    match run(cli) {
        Ok(code) => code,
        Err(error) => print::fail(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let threads = cli.threads.map(usize::from);
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|error| anyhow::anyhow!("cannot start {threads} threads: {error}"))?;
    }
    match cli.command {
        Command::Demo(args) => demo::run(&args, threads),
        Command::Train(args) => train::run(&args, threads),
        Command::Test(args) => test::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Recipe(args) => recipe::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn flags_do_not_contradict_each_other() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
