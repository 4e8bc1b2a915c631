//! `lungfish ensemble`: several models in, one out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lungfish::{EnsembleOutcome, ErrorKind, Watch};

use super::calibrate::points;
use crate::observer::Printer;
use crate::{print, stop};

/// Make one model of several, whose probabilities are averaged
///
/// The models tell the same classes apart and prepare films in the same way; seeds, recipes and networks may differ. The
/// file that comes of it is tested and predicted with like any other, and `predict --json` says how far its members are
/// apart. A film that taught one of them has taught all of it. Where they were trained on one split, its validation films say where
/// it may call films (operating points). `lungfish train --seeds N` trains the members and does this.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish ensemble run1 run2 run3 --out together.safetensors
  lungfish test --model together.safetensors --data chest_xray --out tested")]
pub struct Args {
    /// Run folders or model files, two or more
    #[arg(value_name = "RUN|FILE", required = true, value_hint = clap::ValueHint::AnyPath)]
    models: Vec<PathBuf>,
    /// Model file to write (.safetensors), or a folder for it and, where the members have one split, that split
    #[arg(long, value_name = "MODEL", value_hint = clap::ValueHint::AnyPath)]
    out: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    make(&args.models, &args.out)
}

/// Makes one model of several and says what came of it.
pub fn make(models: &[PathBuf], out: &Path) -> anyhow::Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut printer = Printer::training(Arc::clone(&stop));
    let tell = printer.teller();
    stop::on_signal(Arc::clone(&stop), move || tell("stopping; once more leaves at once"))?;
    let made = lungfish::ensemble(models, out, &mut Watch::new(&mut printer, &stop));
    printer.finish()?;
    match made {
        Ok(outcome) => report(&outcome)?,
        Err(error) if error.kind() == ErrorKind::Stopped => {
            print::err("stopped; nothing is written");
            return Ok(ExitCode::from(print::STOPPED));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// What the members were and where the model is.
fn report(outcome: &EnsembleOutcome) -> anyhow::Result<()> {
    let members = &outcome.info.members;
    print::out(format_args!("An ensemble of {} networks", members.len()))?;
    for member in members {
        let trained = match &member.epoch {
            Some(epoch) => {
                let auc = print::metric(epoch.val_auc);
                let seen =
                    epoch.robust.map_or(String::new(), |seen| format!(", augmented AUC: {}", print::metric(seen.auc)));
                let (phase, number) = (epoch.phase, epoch.epoch);
                format!("{phase} epoch {number}, val Acc: {:.4} AUC: {auc}{seen}", epoch.val_accuracy)
            }
            None => "imported".to_owned(),
        };
        let (architecture, seed, number) = (member.architecture, member.seed, member.member);
        print::out(format_args!("{architecture}, seed {seed}, member {number}: {trained}"))?;
    }
    for line in outcome.info.calibration.iter().flat_map(|found| points(&found.points)) {
        print::out(line)?;
    }
    print::out(format_args!("Model: {}", print::path(&outcome.model)))?;
    Ok(())
}
