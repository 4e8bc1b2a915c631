//! `lungfish bench`: how fast this program is on this machine.

mod step;

use std::process::ExitCode;

/// Measure how fast this machine trains and predicts
#[derive(clap::Args)]
#[command(after_help = "\
Example, training steps of the network of the default recipe:
  lungfish bench step

Example, one film at a time, on one thread:
  lungfish bench step --arch resnet34 --mode infer --batch 1 --threads 1")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Step(step::Args),
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Step(args) => step::run(args),
    }
}
