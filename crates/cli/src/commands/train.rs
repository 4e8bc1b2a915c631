//! `lungfish train`: flags over a recipe, a run folder out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueHint::{DirPath, FilePath};
use clap::builder::PossibleValuesParser;
use lungfish::recipe::LearningRate;
use lungfish::{Changes, Recipe, TrainOutcome, TrainRequest, Watch};
use lungfish_models::Architecture;

use crate::commands::watching::Page;
use crate::observer::Printer;
use crate::{flags, print, stop};

/// Fine-tune a network on a folder of films
///
/// Two phases: the head alone on frozen features (--frozen-epochs), then the parts named by --unfreeze as well
/// (--epochs). Flags override the recipe, and the run folder keeps the recipe with every default written out.
#[derive(clap::Args)]
#[command(
    args_override_self = true,
    after_help = "\
Example, the head alone, then the last stages with it:
  lungfish train --data chest_xray --out run --frozen-epochs 10 --epochs 2 --unfreeze stage6,stage7,top

Example, the same with a one-cycle schedule and a learning rate of its own for a part (`lungfish summary` names them):
  lungfish train --data chest_xray --out run --frozen-epochs 10 --epochs 4 --set schedule=one-cycle --set lr.head=0.001

Example, all parts unfrozen, from what a run has learnt with most of them frozen:
  lungfish train --from run --out run2 --epochs 4

Example, three networks and one model of them:
  lungfish train --data chest_xray --out run --epochs 8 --seeds 3

Example, with live curves in the browser:
  lungfish train --data chest_xray --out run --epochs 8 --serve

Example, going on after Ctrl-C, a crash or a power cut, to the very same weights:
  lungfish train --out run --resume"
)]
pub struct Args {
    /// Folder of films: DIR/{train,val,test}/{CLASS}/* or DIR/{CLASS}/*
    #[arg(long, value_name = "DIR", required_unless_present_any = ["resume", "from"], value_hint = DirPath)]
    data: Option<PathBuf>,
    #[command(flatten)]
    labels: flags::Labels,
    /// Run folder to write
    #[arg(long, value_name = "RUN", value_hint = DirPath)]
    out: PathBuf,
    /// Recipe to start from, see `lungfish recipe`
    #[arg(long, value_name = "FILE", value_hint = FilePath)]
    recipe: Option<PathBuf>,
    /// Network
    #[arg(long, value_parser = PossibleValuesParser::new(Architecture::ALL.map(Architecture::name)))]
    arch: Option<String>,
    /// Weights to start from: imagenet, none, or a .pth or .safetensors file
    #[arg(long, value_name = "imagenet|none|FILE", value_hint = FilePath)]
    weights: Option<String>,
    /// Epochs that train the head alone
    #[arg(long, value_name = "N", value_parser = flags::count, allow_negative_numbers = true)]
    frozen_epochs: Option<usize>,
    /// Epochs after those, with the parts of --unfreeze training too
    #[arg(long, value_name = "N", value_parser = flags::count, allow_negative_numbers = true)]
    epochs: Option<usize>,
    /// Parts for the second phase: all, or names with commas
    #[arg(long, value_name = "PARTS")]
    unfreeze: Option<String>,
    /// Films a step
    #[arg(long, value_name = "N", value_parser = flags::whole(Recipe::BATCH_SIZE), allow_negative_numbers = true)]
    batch: Option<usize>,
    /// Learning rate of both phases (keys frozen_lr and lr set them apart); auto finds that of the second by a range test
    #[arg(long, value_name = "X|auto", value_parser = flags::rate, allow_negative_numbers = true)]
    lr: Option<LearningRate>,
    /// Seed of every random number
    #[arg(long, value_name = "S", value_parser = flags::whole(Recipe::SEED), allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Use about N films, whole patients, the classes in proportion
    #[arg(long, value_name = "N", value_parser = flags::count, allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Threads that decode films [default: as --threads]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = flags::whole(0..=usize::from(crate::MOST_THREADS)), allow_negative_numbers = true)]
    workers: usize,
    /// Decode films anew in every epoch instead of keeping them, decoded, in RUN/films.cache until the training ends
    #[arg(long)]
    no_film_cache: bool,
    /// Set any key of the recipe; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Go on with the run in --out
    #[arg(long, conflicts_with = "from")]
    resume: bool,
    /// Start a new run from a finished one: its best weights, its split, classes, preprocessing and recipe, but for what
    /// is asked for here; say for how long with --epochs, --frozen-epochs or both
    #[arg(long, value_name = "RUN", value_hint = DirPath, conflicts_with = "weights")]
    from: Option<PathBuf>,
    /// Train so many networks on the same split, in RUN/member-0, RUN/member-1 and so on, and make one model of them: an
    /// ensemble, in RUN. With --resume, those that are there go on
    #[arg(long, value_name = "N", value_parser = flags::whole(2..=MOST_MEMBERS), conflicts_with = "from")]
    #[arg(allow_negative_numbers = true)]
    seeds: Option<usize>,
    /// Stop at a bad film instead of leaving it out
    #[arg(long)]
    strict: bool,
    /// Show the training on a page of this machine as long as it goes on; 0 takes a port that is free
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "8090")]
    serve: Option<u16>,
}

/// More would be averaged to no end.
const MOST_MEMBERS: usize = 64;

impl Args {
    /// The recipe's keys that were asked for: the file's, then the flags', then --set's; later ones win.
    fn changes(&self) -> anyhow::Result<Changes> {
        let mut changes = Changes::default();
        if let Some(recipe) = &self.recipe {
            flags::read_recipe(&mut changes, recipe)?;
        }
        for (key, value) in self.labels.keys() {
            changes.set_key(&key, &value)?;
        }
        let number = |number: Option<usize>| number.map(|number| number.to_string());
        let (lr, frozen_lr) = match self.lr {
            Some(LearningRate::At(rate)) => (Some(format!("{rate:?}")), Some(format!("{rate:?}"))),
            Some(LearningRate::Auto) => (Some("auto".to_owned()), None),
            None => (None, None),
        };
        let flags = [
            ("architecture", self.arch.clone()),
            ("weights", self.weights.clone()),
            ("frozen_epochs", number(self.frozen_epochs)),
            ("epochs", number(self.epochs)),
            ("unfreeze", self.unfreeze.clone()),
            ("batch_size", number(self.batch)),
            ("frozen_lr", frozen_lr),
            ("lr", lr),
            ("seed", self.seed.map(|seed| seed.to_string())),
            ("limit", number(self.limit)),
            ("strict", self.strict.then(|| "true".to_owned())),
        ];
        for (key, value) in flags {
            if let Some(value) = value {
                changes.set_key(key, &value)?;
            }
        }
        for setting in &self.set {
            changes.set(setting)?;
        }
        Ok(changes)
    }
}

pub fn run(args: &Args, threads: Option<usize>) -> anyhow::Result<ExitCode> {
    let page = |runs: &[PathBuf]| args.serve.map(|port| Page::open(runs.to_vec(), port)).transpose();
    let Some(seeds) = args.seeds else {
        let _page = page(std::slice::from_ref(&args.out))?;
        return run_one(args, threads, (&args.out, args.resume), args.changes()?, &Arc::default());
    };
    let told = Arc::default();
    let members: Vec<PathBuf> = (0..seeds).map(|member| args.out.join(format!("member-{member}"))).collect();
    if !args.resume && args.out.exists() && args.out.read_dir().is_ok_and(|mut inside| inside.next().is_some()) {
        anyhow::bail!("{} is not empty: go on with it with --resume, or choose another folder", print::path(&args.out));
    }
    let _page = page(&members)?;
    for (member, run) in members.iter().enumerate() {
        print::out(format_args!("\nNetwork {} of {seeds}: {}", member + 1, print::path(run)))?;
        let resume = args.resume && run.exists();
        let mut changes = Changes::default();
        // One that had not begun is trained as the first was, whatever else the command that goes on says or leaves out.
        let first = members[0].join("recipe.toml");
        if args.resume && !resume && first.exists() {
            changes.read(&first)?;
        } else {
            changes = args.changes()?;
        }
        changes.set_key("member", &member.to_string())?;
        let status = run_one(args, threads, (run, resume), changes, &told)?;
        if status != ExitCode::SUCCESS {
            return Ok(status);
        }
    }
    print::out("")?;
    super::ensemble::make(&members, &args.out)
}

/// One training. Of several, one signal is answered once: `told` is whether it was.
fn run_one(
    args: &Args,
    threads: Option<usize>,
    (out, resume): (&Path, bool),
    changes: Changes,
    told: &Arc<AtomicBool>,
) -> anyhow::Result<ExitCode> {
    let mut request = TrainRequest::resume(out);
    request.data.clone_from(&args.data);
    request.changes = changes;
    request.resume = resume;
    request.from.clone_from(&args.from);
    request.workers = workers(args.workers, threads);
    request.film_cache = !args.no_film_cache;
    let stop = Arc::new(AtomicBool::new(false));
    let mut printer = Printer::training(Arc::clone(&stop));
    let (tell, told) = (printer.teller(), Arc::clone(told));
    stop::on_signal(Arc::clone(&stop), move || {
        if !told.swap(true, Ordering::Relaxed) {
            tell("finishing the step and saving; once more leaves at once and keeps the last checkpoint");
        }
    })?;
    let outcome = lungfish::train(&request, &mut Watch::new(&mut printer, &stop))?;
    let printed = printer.finish();
    if outcome.stopped {
        let seeds = args.seeds.map(|seeds| format!(" --seeds {seeds}")).unwrap_or_default();
        let run = format!("{}{seeds}", print::argument(&args.out));
        // A run that had no checkpoint yet does not know where its films are.
        let data = args.data.as_ref().map(|data| format!("--data {} ", print::argument(data))).unwrap_or_default();
        print::err(format_args!("stopped and saved; go on with: lungfish train {data}--out {run} --resume"));
        return print::stopped(printed);
    }
    printed?;
    report(&outcome)?;
    Ok(ExitCode::SUCCESS)
}

/// The closing lines of a training that came to its end.
pub fn report(outcome: &TrainOutcome) -> anyhow::Result<()> {
    print::out(format_args!("\nTraining complete in {}", print::duration(outcome.seconds)))?;
    if let Some(best) = &outcome.best {
        let auc = print::metric(best.val_auc);
        let (accuracy, phase, epoch) = (best.val_accuracy, best.phase, best.epoch);
        let why = best.why.map_or(String::new(), |why| format!("; kept {}", why.words(outcome.by)));
        print::out(format_args!("Best val Acc: {accuracy:.4} AUC: {auc} ({phase} phase, epoch {epoch}{why})"))?;
        for clause in &outcome.undefined {
            print::out(print::undefined(clause))?;
        }
    }
    if let Some(model) = &outcome.model {
        print::out(format_args!("Model: {}", print::path(model)))?;
    }
    Ok(())
}

/// Decoding threads: what was asked for, else as many as compute; 0 leaves it to the library.
pub fn workers(asked: usize, threads: Option<usize>) -> usize {
    if asked > 0 { asked } else { threads.unwrap_or(0) }
}
