//! `lungfish synth`: synthetic films, to try things on.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use lungfish::Task;

use crate::{flags, print};

/// Draw films in ImageFolder layout, patients included; or films with any of three labels
///
/// They are drawings, not X-rays of anybody: good for trying the program, worthless for anything about lungs.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish synth --out synthetic --films 300
  lungfish train --data synthetic --out run --frozen-epochs 3
  lungfish synth --out labelled --films 300 --task any-of")]
pub struct Args {
    /// Folder to write, with train, val and test in it
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: PathBuf,
    /// Films in all
    #[arg(long, value_name = "N", default_value_t = 300)]
    #[arg(value_parser = flags::whole(20..=1_000_000_usize), allow_negative_numbers = true)]
    films: usize,
    /// Seed: the same one draws the same films
    #[arg(long, value_name = "S", default_value_t = 0)]
    #[arg(value_parser = flags::whole(0..=u64::MAX), allow_negative_numbers = true)]
    seed: u64,
    /// What is asked of the films: one of two classes, by folder, or any of three labels, by DIR/labels.csv (path, and
    /// 1, 0 or nothing for each label)
    #[arg(long, value_name = "TASK", default_value = Task::OneOf.name())]
    #[arg(value_parser = PossibleValuesParser::new(Task::ALL.map(Task::name)).try_map(|name| name.parse::<Task>()))]
    task: Task,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match args.task {
        Task::OneOf => lungfish_data::synth(&args.out, args.films, args.seed)?,
        Task::AnyOf => lungfish_data::synth_any_of(&args.out, args.films, args.seed)?,
    };
    print::out(format_args!("Drew {} in {}", print::films(args.films), print::path(&args.out)))?;
    Ok(ExitCode::SUCCESS)
}
