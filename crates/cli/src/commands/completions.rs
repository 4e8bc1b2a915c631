//! `lungfish completions`: what a shell needs to complete commands and flags, made from their very definitions.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::print;

/// Print a script that makes a shell complete commands and flags
#[derive(clap::Args)]
#[command(after_help = "\
Example, bash:
  lungfish completions bash > ~/.local/share/bash-completion/completions/lungfish

Example, zsh (a folder of $fpath):
  lungfish completions zsh > ~/.zfunc/_lungfish

Example, fish:
  lungfish completions fish > ~/.config/fish/completions/lungfish.fish

Example, PowerShell (a line of $PROFILE):
  lungfish completions powershell | Out-String | Invoke-Expression")]
pub struct Args {
    /// Shell to write for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::definition(), "lungfish", &mut script);
    print::out(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
