//! `lungfish tune`: films and a budget of time in, a recipe out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::ValueHint::{DirPath, FilePath};
use lungfish::tune::Vary;
use lungfish::{Changes, TuneOutcome, TuneRequest, Watch, tune};

use crate::observer::Printer;
use crate::{flags, print, stop};

/// Find the recipe that does best on validation films within a budget of time
///
/// Trains many recipes for a short time on small images, the better third of them longer, the best to the end (successive
/// halving). What decides is the mean of the losses on validation films as they are and augmented; no film of the test split
/// is looked at. The best of many is a little lucky: what its numbers are worth, a test says. OUT keeps the recipe and the
/// log of each trial, a table (tune.csv) and a picture of what mattered (tune.png).
#[derive(clap::Args)]
#[command(
    args_override_self = true,
    after_help = "\
Example, the usual keys:
  lungfish tune --data chest_xray --out tuned --budget 2h
  lungfish train --data chest_xray --out run --recipe tuned/best.toml

Example, two keys, the others as a recipe of one's own has them:
  lungfish tune --data chest_xray --out tuned --budget 8h --recipe mine.toml \\
      --vary lr=1e-4..1e-2 --vary augment=notebook,robust,strong

Example, going on after Ctrl-C, with more time:
  lungfish tune --out tuned --resume --budget 4h"
)]
pub struct Args {
    /// Folder of films: DIR/{train,val,test}/{CLASS}/* or DIR/{CLASS}/*
    #[arg(long, value_name = "DIR", required_unless_present = "resume", value_hint = DirPath)]
    data: Option<PathBuf>,
    /// Folder to write
    #[arg(long, value_name = "OUT", value_hint = DirPath)]
    out: PathBuf,
    /// How long it may take in all, such as 90m, 2h or 1h30m; a trial that has begun is finished
    #[arg(long, value_name = "TIME", value_parser = flags::time, required_unless_present = "resume")]
    budget: Option<Duration>,
    /// Begin no more than N trials, even where the budget would hold more
    #[arg(long, value_name = "N", value_parser = flags::whole(3..=729_usize), conflicts_with = "resume")]
    #[arg(allow_negative_numbers = true)]
    trials: Option<usize>,
    /// A key to vary and its values, KEY=LOW..HIGH or KEY=A,B,C; may be repeated [default: lr, weight_decay, batch_size,
    /// augment, label_smoothing, dropout and mixup, each between usual values]
    #[arg(long, value_name = "KEY=VALUES", conflicts_with = "resume")]
    vary: Vec<String>,
    /// Recipe that every trial begins with, see `lungfish recipe`; its epochs are those of the longest training (8 where it
    /// has none)
    #[arg(long, value_name = "FILE", value_hint = FilePath, conflicts_with = "resume")]
    recipe: Option<PathBuf>,
    /// Set any key of that recipe; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    set: Vec<String>,
    /// Go on with what was begun in --out
    #[arg(long)]
    resume: bool,
    /// Threads that decode films [default: as --threads]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = flags::whole(0..=usize::from(crate::MOST_THREADS)), allow_negative_numbers = true)]
    workers: usize,
}

pub fn run(args: &Args, threads: Option<usize>) -> anyhow::Result<ExitCode> {
    let mut base = Changes::default();
    if let Some(recipe) = &args.recipe {
        flags::read_recipe(&mut base, recipe)?;
    }
    for setting in &args.set {
        base.set(setting)?;
    }
    let mut request = TuneRequest::new(PathBuf::new(), &args.out, args.budget.unwrap_or_default());
    request.data.clone_from(&args.data);
    request.base = base;
    if !args.vary.is_empty() {
        request.vary = args.vary.iter().map(|text| text.parse::<Vary>()).collect::<Result<_, _>>()?;
    }
    request.most_trials = args.trials;
    request.resume = args.resume;
    request.workers = super::train::workers(args.workers, threads);
    let stop = Arc::new(AtomicBool::new(false));
    let mut printer = Printer::training(Arc::clone(&stop));
    let tell = printer.teller();
    stop::on_signal(Arc::clone(&stop), move || {
        tell("finishing the step and saving; once more leaves at once and keeps the last checkpoint");
    })?;
    let outcome = tune(&request, &mut Watch::new(&mut printer, &stop))?;
    let printed = printer.finish();
    if outcome.stopped {
        print::err(format_args!(
            "stopped and saved; go on with: lungfish tune --out {} --resume",
            print::argument(&args.out)
        ));
        return print::stopped(printed);
    }
    printed?;
    report(&outcome)?;
    Ok(ExitCode::SUCCESS)
}

/// The best trials, what mattered, and what to do next.
fn report(outcome: &TuneOutcome) -> anyhow::Result<()> {
    let trials = outcome.trials.iter().filter(|trial| !trial.results.is_empty()).count();
    print::out(format_args!("\n{trials} trials in {}", print::duration(outcome.seconds)))?;
    if outcome.out_of_time {
        print::err("the budget was over before the last rung was: go on with --resume and a longer --budget");
    }
    for (rung, (epochs, side)) in outcome.rungs.iter().enumerate().rev() {
        let mut reached: Vec<_> =
            outcome.trials.iter().filter_map(|trial| Some((trial.results.get(rung)?.choice?, trial))).collect();
        if reached.is_empty() {
            continue;
        }
        reached.sort_by(|a, b| a.0.total_cmp(&b.0));
        print::out(format_args!("After {} at {side} pixels:", print::epochs(*epochs)))?;
        for (loss, trial) in reached.iter().take(5) {
            let result = &trial.results[rung];
            let (auc, seen) = (print::metric(result.auc), print::metric(result.robust_auc));
            print::out(format_args!(
                "    trial {}: loss {loss:.4}, AUC {auc}, augmented AUC {seen}: {}",
                trial.number,
                print::one_line(&trial.words())
            ))?;
        }
    }
    let known: Vec<String> =
        outcome.importance.iter().filter_map(|key| Some(format!("{} {:.0} %", key.key, 100.0 * key.share?))).collect();
    if !known.is_empty() {
        print::out(format_args!("What mattered, share of the differences on the first rung: {}", known.join(", ")))?;
    }
    if let Some(recipe) = &outcome.recipe {
        print::out(format_args!("Recipe: {}", print::path(recipe)))?;
    }
    match (&outcome.run, outcome.best) {
        (Some(run), _) => print::out(format_args!("Run: {}", print::path(run)))?,
        (None, Some(_)) => print::out("No trial came to the last rung: train with the recipe to have a model")?,
        (None, None) => print::out("Every trial ran away: vary smaller learning rates")?,
    }
    Ok(())
}
