//! `lungfish synth`: synthetic films, to try things on.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::{flags, print};

/// Draw films in ImageFolder layout, patients included
///
/// They are drawings, not X-rays of anybody: good for trying the program, worthless for anything about lungs.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish synth --out synthetic --films 300
  lungfish train --data synthetic --out run --frozen-epochs 3")]
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
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    lungfish_data::synth(&args.out, args.films, args.seed)?;
    print::out(format_args!("Drew {} in {}", print::films(args.films), print::path(&args.out)))?;
    Ok(ExitCode::SUCCESS)
}
