//! `lungfish test`: the metrics of a model on one split of a data set.

mod beside;
mod printed;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use clap::ValueHint::{DirPath, FilePath};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use lungfish::{EpochChoice, PointRule, PrecisionRule, Split, TestRequest, Tta, Watch};

pub use printed::report;

use crate::observer::Printer;
use crate::{NOT_A_DIAGNOSIS, flags, print};

/// Score a model on films that it was not trained on
///
/// Writes predictions-{split}.csv: path, label, predicted, one probability a class (of films that may have any label:
/// path, and for each label 1, 0 or nothing and its probability), then, as far as the data set has them, patient, split
/// and row (line of the table of labels, or index in the .npz) of each film there, and uid, the SOPInstanceUID of a DICOM
/// film, hashed; and unlike, the share of validation films that are more like the training films than this one; metrics-{split}.json, what --json prints; and pictures, each as PNG and SVG:
/// learning-curves of the run, confusion-matrix-{split}, roc-{split}, precision-recall-{split}, reliability-{split},
/// decision-curve-{split}, films-{split}, worst-errors-{split} and, where there are errors, worst-errors-cam-{split}, with maps of
/// what the network read. On the data that the run was trained on it takes the run's own
/// split. Each test of test films is written down in the run's tests.jsonl: they are new only once. This is a research tool; what it
/// says is not a diagnosis.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish test --model run --data chest_xray
  lungfish test --model run --data another-hospital --out results --json
  lungfish test --model run --data another-hospital --out results --at sensitivity=0.95 --prevalence 0.05
  lungfish test --model run --data chest_xray --compare older-run
  lungfish test --model run --data chest_xray --stress --groups size,folder
  lungfish test --model run --data another-hospital --out results --predictions results/test.parquet")]
pub struct Args {
    /// Run folder or model file
    #[arg(long, value_name = "RUN|FILE")]
    model: PathBuf,
    /// Folder of films
    #[arg(long, value_name = "DIR", value_hint = DirPath)]
    data: PathBuf,
    #[command(flatten)]
    labels: flags::Labels,
    /// Split to score [default: test]
    #[arg(long, alias = "side")]
    #[arg(value_parser = PossibleValuesParser::new(Split::ALL.map(Split::name)).try_map(|name| name.parse::<Split>()))]
    split: Option<Split>,
    /// Epoch of the run to score: the one that validation chose, or the last
    #[arg(long, default_value = "best")]
    #[arg(value_parser = PossibleValuesParser::new(["best", "last"]).try_map(|name| name.parse::<EpochChoice>()))]
    epoch: EpochChoice,
    /// Score each film in several views and average: flip is the film and its mirror image, crops its middle and corners,
    /// and those mirrored
    #[arg(long, default_value = "none")]
    #[arg(value_parser = PossibleValuesParser::new(Tta::ALL.map(Tta::name)).try_map(|name| name.parse::<Tta>()))]
    tta: Tta,
    /// Where films are called: a probability, or an operating point of the model: youden, max-accuracy, sensitivity=0.95,
    /// specificity=0.9 [default: the model's, which is 0.5 unless its recipe's call_at says otherwise]
    #[arg(long, value_name = "POINT")]
    at: Option<PointRule>,
    /// In which precision networks compute: fp32, bf16, f16 (on a GPU), or auto, what trained the model
    #[arg(long, default_value = "auto")]
    #[arg(value_parser = flags::precision())]
    precision: PrecisionRule,
    /// Tell predictive values for such a share of positive films as well, such as 0.05
    #[arg(long, value_name = "SHARE")]
    prevalence: Option<f64>,
    /// Ask this model about the same films, and tell how sure it is that one is better
    #[arg(long, value_name = "RUN|FILE")]
    compare: Option<PathBuf>,
    /// Tell the metrics by groups of films: view, sex, age, manufacturer, modality (of DICOM), size, folder, or columns of the
    /// table of labels, with commas
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    groups: Vec<String>,
    /// Score the films again with changes that leave the lungs as they are: border and corners masked, all equally sharp, saved as
    /// JPEG, other gamma and contrast, zoomed, fitted otherwise
    #[arg(long)]
    stress: bool,
    /// Folder for what is written [default: the run folder, if the films are the run's own]
    #[arg(long, value_name = "DIR", value_hint = DirPath)]
    out: Option<PathBuf>,
    /// Write the predictions to this file as well: Parquet where it ends in .parquet, else CSV
    #[arg(long, value_name = "FILE", value_hint = FilePath)]
    predictions: Option<PathBuf>,
    /// Write the UIDs of DICOM films as they are; many have a date in them
    #[arg(long)]
    uids: bool,
    /// Write the predictions and draw nothing; an earlier test's pictures of the split go
    #[arg(long)]
    no_pictures: bool,
    #[command(flatten)]
    formats: flags::Formats,
    /// Print the metrics as JSON; docs/schema/test.json says what is in it
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut request = TestRequest::new(&args.model, &args.data);
    (request.labels, request.table) = args.labels.table()?;
    request.split = args.split;
    request.epoch = args.epoch;
    (request.tta, request.precision) = (args.tta, args.precision);
    (request.at, request.prevalence) = (args.at, args.prevalence);
    request.compare.clone_from(&args.compare);
    request.groups.clone_from(&args.groups);
    request.stress = args.stress;
    request.out.clone_from(&args.out);
    request.predictions.clone_from(&args.predictions);
    request.uids = flags::uids(args.uids);
    request.pictures = !args.no_pictures;
    request.formats = args.formats.of(!args.no_pictures, "leave --no-pictures out")?;
    let mut printer = Printer::scoring();
    let outcome = lungfish::test(&request, &mut Watch::new(&mut printer, &AtomicBool::new(false)))?;
    printer.finish()?;
    if args.json {
        print::output(&outcome)?;
    } else {
        report(&outcome, request.formats.pdf)?;
        print::out(format_args!("\n{NOT_A_DIAGNOSIS}"))?;
    }
    if outcome.pictures_failed {
        bail!("the metrics stand, but not every picture could be made (see above)");
    }
    Ok(ExitCode::SUCCESS)
}
