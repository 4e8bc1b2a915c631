//! `lungfish fetch`: films and weights from the network.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::error::ErrorKind;
use lungfish::fetch::{DataSet, FetchedFilms, FetchedWeights, films, weights};
use lungfish_models::names::did_you_mean;
use lungfish_models::{Architecture, ModelError};
use serde::{Serialize, Serializer};

use crate::observer::Printer;
use crate::{flags, print, stop};
use lungfish::Watch;

/// Fetch films or ImageNet weights, verified
///
/// What was cut or stopped goes on where it was; what is there and right is not fetched again; nothing half-done is left
/// in the folder. Data sets come from Kaggle: public ones need no account. Credentials are found where Kaggle's own
/// program finds them (see `lungfish --help`), and go to Kaggle alone.
#[derive(clap::Args)]
#[command(after_help = "\
Example, the chest X-rays of the notebook (Kermany 2018, CC BY 4.0), ready to train on:
  lungfish fetch pneumonia
  lungfish train --data chest_xray --out run

Example, another data set in one of its versions:
  lungfish fetch kaggle:nih-chest-xrays/sample --version 4 --out nih

Example, weights for --arch resnet34, into torch hub's folder:
  lungfish fetch weights resnet34")]
pub struct Args {
    /// pneumonia, kaggle:OWNER/SLUG, or weights
    #[arg(value_name = "WHAT")]
    what: What,
    /// With weights: the networks
    #[arg(value_name = "ARCH")]
    architectures: Vec<String>,
    /// Version of the data set [default: the newest]
    #[arg(long, value_name = "N", value_parser = flags::whole(1..=u64::MAX), allow_negative_numbers = true)]
    version: Option<u64>,
    /// Folder for the data set; pneumonia's is chest_xray if none is given
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Print one JSON object a data set or network; docs/schema/fetch.json and fetch-weights.json say what is in it
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
enum What {
    Pneumonia,
    Set(DataSet),
    Weights,
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pneumonia" => Ok(What::Pneumonia),
            "weights" => Ok(What::Weights),
            _ if text.contains(':') => {
                DataSet::from_str(text).map(What::Set).map_err(|error| print::one_line(&error.to_string()))
            }
            _ => {
                let meant = did_you_mean(text, ["pneumonia", "weights"]);
                Err(format!("what can be fetched is pneumonia, kaggle:OWNER/SLUG, and weights ARCH{meant}"))
            }
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let job = job(args).unwrap_or_else(|(kind, text)| {
        let mut commands = crate::definition();
        commands.build();
        // With the usage of this command, not that of all.
        match commands.find_subcommand_mut("fetch") {
            Some(fetch) => fetch.error(kind, text).exit(),
            None => commands.error(kind, text).exit(),
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let mut printer = Printer::scoring();
    let tell = printer.teller();
    stop::on_signal(Arc::clone(&stop), move || tell("stopping; what came is kept"))?;
    match job {
        Job::Films(set, out) => {
            let done = films(&set, &out, &mut Watch::new(&mut printer, &stop))?;
            drop(printer);
            tell_films(args, &set, &done)?;
        }
        Job::Weights(architectures) => {
            for architecture in architectures {
                let done = weights(architecture, &mut Watch::new(&mut printer, &stop))?;
                tell_weights(args, &done)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

enum Job {
    Films(DataSet, PathBuf),
    Weights(Vec<Architecture>),
}

/// What the flags come to together, or what is wrong with them.
fn job(args: &Args) -> Result<Job, (ErrorKind, String)> {
    let set = match &args.what {
        What::Weights => {
            if args.out.is_some() || args.version.is_some() {
                let text = "--out and --version are for data sets; weights go to torch hub's folder (TORCH_HOME)";
                return Err((ErrorKind::ArgumentConflict, text.to_owned()));
            }
            let known = Architecture::ALL.map(Architecture::name).join(", ");
            if args.architectures.is_empty() {
                let text = format!("weights of which network? one or more of {known}");
                return Err((ErrorKind::MissingRequiredArgument, text));
            }
            let find = |name: &String| {
                name.parse().map_err(|error: ModelError| (ErrorKind::InvalidValue, print::one_line(&error.to_string())))
            };
            return args.architectures.iter().map(find).collect::<Result<_, _>>().map(Job::Weights);
        }
        What::Pneumonia => DataSet::pneumonia(),
        What::Set(set) => set.clone(),
    };
    if let Some(more) = args.architectures.first() {
        let text = format!("\"{}\" is one too many: networks follow weights only", print::one_line(more));
        return Err((ErrorKind::TooManyValues, text));
    }
    let out = match (&args.out, &args.what) {
        (Some(out), _) => out.clone(),
        (None, What::Pneumonia) => PathBuf::from("chest_xray"),
        (None, _) => {
            let text = format!("where to? lungfish fetch {set} --out DIR");
            return Err((ErrorKind::MissingRequiredArgument, text));
        }
    };
    let set = match args.version {
        Some(version) => set.at_version(version),
        None => set,
    };
    Ok(Job::Films(set, out))
}

/// A data set that was fetched, as `--json` prints it.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Films {
    /// Where it comes from.
    source: String,
    /// The folder that it lies in.
    path: String,
    /// Files in it.
    files: usize,
    /// Bytes of them.
    bytes: u64,
    /// Whether anything was fetched; false where all was there already, and right.
    fetched: bool,
    /// The classes, in index order; none where the data set is no folder of films.
    classes: Option<Vec<String>>,
    /// Films of each split, or of `all` where there are no splits; none where the data set is no folder of films.
    #[serde(serialize_with = "as_map")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::collections::BTreeMap<String, usize>>"))]
    films: Option<Vec<(String, usize)>>,
}

fn as_map<S: Serializer>(pairs: &Option<Vec<(String, usize)>>, serializer: S) -> Result<S::Ok, S::Error> {
    match pairs {
        Some(pairs) => serializer.collect_map(pairs.iter().map(|(name, count)| (name, count))),
        None => serializer.serialize_none(),
    }
}

/// Weights that were fetched, as `--json` prints them.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Weights {
    /// The network.
    architecture: Architecture,
    /// The file; none where the weights are part of the program.
    path: Option<String>,
    /// Bytes of it.
    bytes: u64,
    /// Whether it was fetched; false where it was there already, and right.
    fetched: bool,
    /// Whether the weights are part of the program.
    shipped: bool,
}

fn tell_films(args: &Args, set: &DataSet, done: &FetchedFilms) -> anyhow::Result<()> {
    let FetchedFilms { path, files, bytes, fetched, films } = done;
    if args.json {
        let split = |split: &Option<lungfish::Split>| split.map_or("all".to_owned(), |split| split.to_string());
        return print::output(&Films {
            source: set.to_string(),
            path: path.to_string_lossy().into_owned(),
            files: *files,
            bytes: *bytes,
            fetched: *fetched,
            classes: films.as_ref().map(|films| films.classes.clone()),
            films: films.as_ref().map(|films| films.splits.iter().map(|(of, count)| (split(of), *count)).collect()),
        });
    }
    let state = if *fetched { "fetched and verified" } else { "there already, and right" };
    print::out(format_args!("{}: {files} files, {}, {state}", print::path(path), print::size(*bytes)))?;
    if let Some(films) = films {
        let splits = films.splits.iter().map(|(split, count)| match split {
            Some(split) => format!("{split} {count}"),
            None => print::films(*count),
        });
        let classes: Vec<String> = films.classes.iter().map(|class| print::one_line(class)).collect();
        let splits = splits.collect::<Vec<_>>().join(", ");
        print::out(format_args!("Films: {splits}; classes {}", classes.join(", ")))?;
        print::out(format_args!("Go on with: lungfish train --data {} --out run", print::argument(path)))?;
    }
    Ok(())
}

fn tell_weights(args: &Args, done: &FetchedWeights) -> anyhow::Result<()> {
    let FetchedWeights { architecture, path, bytes, fetched } = done;
    let name = architecture.name();
    if args.json {
        return print::output(&Weights {
            architecture: *architecture,
            path: path.as_ref().map(|path| path.to_string_lossy().into_owned()),
            bytes: *bytes,
            fetched: *fetched,
            shipped: path.is_none(),
        });
    }
    let Some(path) = path else {
        print::out(format_args!("{name}: its weights are inside this program already; nothing is to be fetched"))?;
        return Ok(());
    };
    let state = if *fetched { "fetched and verified" } else { "there already, and right" };
    print::out(format_args!("{name}: {}, {}, {state}", print::path(path), print::size(*bytes)))?;
    print::out(format_args!("Go on with: lungfish train --arch {name} --data DIR --out run"))?;
    Ok(())
}
