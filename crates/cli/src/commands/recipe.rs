//! `lungfish recipe`: every key with its default and its meaning.

use std::process::ExitCode;

use lungfish::Recipe;

use crate::print;

/// Print the default recipe as TOML, every key explained
#[derive(clap::Args)]
#[command(after_help = "\
Example, a recipe of one's own:
  lungfish recipe > my.toml
  lungfish train --data chest_xray --out run --recipe my.toml")]
pub struct Args {}

pub fn run(_: &Args) -> anyhow::Result<ExitCode> {
    print::out(Recipe::default().to_toml().trim_end())?;
    Ok(ExitCode::SUCCESS)
}
