//! `lungfish report`: a run written up as a page and a model card.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint::{DirPath, FilePath};
use lungfish::{Missing, ReportOutcome, ReportRequest};

use crate::{NOT_A_DIAGNOSIS, print};

/// Write a run up as a page and a model card
///
/// Writes report.html, one page that needs no network and no other file (pictures are in it): how films and patients came onto
/// the splits, the recipe, metrics with intervals, calibration, operating points, groups, the audit, the worst errors, how often
/// the test was opened, versions and hashes, and what TRIPOD+AI, CLAIM and STARD-AI ask for, with where it is answered. And
/// README.md, a model card with Hugging Face's model-index. It reads what lies in the run folder and computes nothing anew; what is
/// missing is told, with the command that makes it. What only people know stands in study.toml. This is a research tool; what it
/// says is not a diagnosis.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish report run
  lungfish report run --write-study study.toml      # then fill it in
  lungfish report run --study study.toml --audit audit.json
  lungfish report run --tested results --no-films --out to-give-away")]
pub struct Args {
    /// Run folder
    #[arg(value_name = "RUN", value_hint = DirPath)]
    run: PathBuf,
    /// What people say of the study: where films come from, who labelled them, what the model is meant for
    #[arg(long, value_name = "FILE", value_hint = FilePath)]
    study: Option<PathBuf>,
    /// Write an empty study.toml with a comment for each key, and nothing else
    #[arg(long, value_name = "FILE", value_hint = FilePath)]
    #[arg(conflicts_with_all = ["study", "audit", "tested", "out", "no_films", "json"])]
    write_study: Option<PathBuf>,
    /// What `lungfish audit --json` said [default: audit.json in the run folder, if it lies there]
    #[arg(long, value_name = "FILE", value_hint = FilePath)]
    audit: Option<PathBuf>,
    /// Folder that `lungfish test --out` wrote, for a test on other films than the run's own [default: the run folder]
    #[arg(long, value_name = "DIR", value_hint = DirPath)]
    tested: Option<PathBuf>,
    /// Folder for report.html and README.md [default: the run folder]
    #[arg(long, value_name = "DIR", value_hint = DirPath)]
    out: Option<PathBuf>,
    /// Leave out pictures that have films on them, and the names of their files
    #[arg(long)]
    no_films: bool,
    /// Print what was written and what is missing as JSON; docs/schema/report.json says what is in it
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.write_study {
        lungfish::write_study(file)?;
        print::out(format_args!("Fill in: {}", print::path(file)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut request = ReportRequest::new(&args.run);
    request.study.clone_from(&args.study);
    request.audit.clone_from(&args.audit);
    request.tested.clone_from(&args.tested);
    request.out.clone_from(&args.out);
    request.films = !args.no_films;
    let written = lungfish::report(&request)?;
    if args.json {
        print::output(&written)?;
    } else {
        for line in lines(&written) {
            print::out(line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(written: &ReportOutcome) -> Vec<String> {
    let mut lines = vec![
        format!("Page: {} ({})", print::path(&written.page), print::size(written.bytes as u64)),
        format!("Model card: {}", print::path(&written.card)),
    ];
    lines.extend(written.caveats.iter().map(|caveat| format!("Caution: {}.", print::one_line(caveat))));
    if !written.missing.is_empty() {
        lines.push(String::new());
        lines.push("Not in it:".to_owned());
        for Missing { what, command, .. } in &written.missing {
            lines.push(format!("  {}", print::one_line(what)));
            lines.extend(command.iter().map(|command| format!("    {}", print::one_line(command))));
        }
    }
    lines.extend([String::new(), NOT_A_DIAGNOSIS.to_owned()]);
    lines
}
