//! `lungfish man`: manual pages, made from the definitions of the commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use lungfish_models::names::did_you_mean;

use crate::print;

/// Print the manual page of a command, or write all of them
#[derive(clap::Args)]
#[command(after_help = "\
Example, reading a page:
  lungfish man train | man -l -

Example, all pages where `man lungfish-train` finds them:
  lungfish man --out ~/.local/share/man/man1")]
pub struct Args {
    /// Command to describe, as one word such as bench-step [default: lungfish itself]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// Folder for all pages, one a command: lungfish.1, lungfish-train.1, ...
    #[arg(long, value_name = "DIR", conflicts_with = "command", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut root = crate::definition().disable_help_subcommand(true);
    root.build();
    if let Some(folder) = &args.out {
        return write(&root, folder);
    }
    let command = match &args.command {
        None => &root,
        Some(name) => {
            let commands = commands(&root);
            let names: Vec<&str> = commands.iter().map(|(name, _)| name.as_str()).collect();
            commands.iter().find(|(of, _)| of == name).map(|(_, command)| *command).with_context(|| {
                let meant = did_you_mean(name, names.iter().copied());
                format!("there is no command \"{name}\"{meant}; the commands are {}", names.join(", "))
            })?
        }
    };
    print::out(page(command)?.1.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn write(root: &clap::Command, folder: &Path) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(folder).map_err(|error| anyhow::anyhow!("cannot create {}: {error}", folder.display()))?;
    let commands = commands(root).into_iter().map(|(_, command)| command);
    let pages = std::iter::once(root).chain(commands).map(page).collect::<anyhow::Result<Vec<_>>>()?;
    for (name, text) in &pages {
        let path = folder.join(name);
        if let Err(error) = fs::write(&path, text) {
            bail!("cannot write {}: {error}", path.display());
        }
    }
    print::out(format_args!("Wrote {} pages to {}", pages.len(), print::path(folder)))?;
    Ok(ExitCode::SUCCESS)
}

/// Every command by name, as one word: those of a command follow it, as `bench-step` follows `bench`.
fn commands(root: &clap::Command) -> Vec<(String, &clap::Command)> {
    let mut commands = Vec::new();
    for command in root.get_subcommands() {
        commands.push((command.get_name().to_owned(), command));
        let within = self::commands(command).into_iter();
        commands.extend(within.map(|(name, inner)| (format!("{}-{name}", command.get_name()), inner)));
    }
    commands
}

/// The name of a page's file, and the page.
fn page(command: &clap::Command) -> anyhow::Result<(String, String)> {
    let man =
        Man::new(command.clone()).source(concat!("lungfish ", env!("CARGO_PKG_VERSION"))).manual("lungfish manual");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    closing(&after.map(ToString::to_string).unwrap_or_default()).to_writer(&mut text)?;
    Ok((man.get_filename(), String::from_utf8_lossy(&text).into_owned()))
}

/// What stands below the flags: examples, exit status, environment. Each paragraph begins with its heading and a colon.
fn closing(text: &str) -> Roff {
    let mut roff = Roff::default();
    let mut last = String::new();
    for paragraph in text.split("\n\n") {
        let Some((heading, body)) = paragraph.split_once(':') else { continue };
        let (section, caption) = match heading.split_once(", ") {
            Some((section, caption)) => (section, Some(caption)),
            None => (heading, None),
        };
        let section = if section == "Example" { "EXAMPLES".to_owned() } else { section.to_uppercase() };
        if section == last {
            roff.control("PP", []);
        } else {
            roff.control("SH", [section.as_str()]);
        }
        last = section;
        if let Some(caption) = caption {
            let mut letters = caption.chars();
            let first = letters.next().map(char::to_uppercase).into_iter().flatten();
            roff.text([roman(format!("{}{}:", first.collect::<String>(), letters.as_str()))]);
        }
        // Lines stay as they are: they are commands, or a table.
        roff.control("nf", []);
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            roff.text([roman(line.trim_end())]);
        }
        roff.control("fi", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_become_sections() {
        let text =
            "Example:\n  lungfish a\n\nExample, with 'more':\n  lungfish b\n  lungfish c\n\nExit status:\n  0  done";
        let page = closing(text).render();
        let lines: Vec<&str> = page.lines().collect();
        let expected = [
            ".SH EXAMPLES",
            ".nf",
            "  lungfish a",
            ".fi",
            ".PP",
            "With \\*(Aqmore\\*(Aq:",
            ".nf",
            "  lungfish b",
            "  lungfish c",
            ".fi",
            ".SH \"EXIT STATUS\"",
            ".nf",
            "  0  done",
            ".fi",
        ];
        assert_eq!(lines[lines.len() - expected.len()..], expected, "{page}");
    }
}
