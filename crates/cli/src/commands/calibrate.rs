//! `lungfish calibrate`: a model and films of a site in, a model for that site out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use clap::ValueHint::{DirPath, FilePath};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use lungfish::{CalibrateOutcome, CalibrateRequest, ErrorKind, OperatingPoint, PointRule, Recalibration, Split, Watch};

use crate::observer::Printer;
use crate::{NOT_A_DIAGNOSIS, flags, print, stop};

/// Make a model's probabilities and operating points those of another site
///
/// Asks the model about films of the site that it has not seen, gives its logit the slope and the intercept that make these films
/// likeliest, finds operating points, and writes a new model file with all of it. The order of films, and so the AUC, stays as it is.
/// Films of a folder's test split are left for the test of what comes of it; the others are known to the new model and are not
/// scored as its test. This is a research tool; what a model says is not a diagnosis.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish calibrate --model run --data another-hospital --out there.safetensors
  lungfish test --model there.safetensors --data films-of-next-month --out tested --at sensitivity=0.95")]
pub struct Args {
    /// Run folder or model file
    #[arg(long, value_name = "RUN|FILE")]
    model: PathBuf,
    /// Folder of the site's films
    #[arg(long, value_name = "DIR", value_hint = DirPath)]
    data: PathBuf,
    #[command(flatten)]
    labels: flags::Labels,
    /// Split of these films to take [default: all but a test split]
    #[arg(long)]
    #[arg(value_parser = PossibleValuesParser::new(Split::ALL.map(Split::name)).try_map(|name| name.parse::<Split>()))]
    split: Option<Split>,
    /// Model file to write (.safetensors)
    #[arg(long, value_name = "MODEL", value_hint = FilePath)]
    out: PathBuf,
    /// What is done to the logit: a slope and an intercept, an intercept alone, or nothing
    #[arg(long, default_value = "logistic")]
    #[arg(value_parser = PossibleValuesParser::new(Recalibration::ALL.map(Recalibration::name)).try_map(|name| name.parse::<Recalibration>()))]
    method: Recalibration,
    /// Operating points to find, with commas: youden, max-accuracy, sensitivity=SHARE, specificity=SHARE [default: those of the
    /// model's recipe]
    #[arg(long, value_name = "POINTS", value_delimiter = ',')]
    points: Vec<PointRule>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut request = CalibrateRequest::new(&args.model, &args.data, &args.out);
    (request.labels, request.table) = args.labels.table()?;
    request.split = args.split;
    request.method = args.method;
    request.points = Some(args.points.clone()).filter(|points| !points.is_empty());
    let stop = Arc::new(AtomicBool::new(false));
    let mut printer = Printer::training(Arc::clone(&stop));
    let tell = printer.teller();
    stop::on_signal(Arc::clone(&stop), move || tell("stopping; once more leaves at once"))?;
    let calibrated = lungfish::calibrate(&request, &mut Watch::new(&mut printer, &stop));
    printer.finish()?;
    match calibrated {
        Ok(outcome) => report(&outcome)?,
        Err(error) if error.kind() == ErrorKind::Stopped => {
            print::err("stopped; nothing is written");
            return Ok(ExitCode::from(print::STOPPED));
        }
        Err(error) => bail!("{error}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn report(outcome: &CalibrateOutcome) -> anyhow::Result<()> {
    let Some(found) = &outcome.info.calibration else { bail!("nothing was found") };
    let site = found.site.as_deref().map(print::one_line).unwrap_or_default();
    print::out(format_args!("{} of {} patients of {site}", print::films(found.films), found.patients))?;
    if outcome.unreadable > 0 {
        print::out(format_args!("Not in it: {} that could not be read", print::films(outcome.unreadable)))?;
    }
    for (output, (temperature, intercept)) in found.temperature.iter().zip(&found.intercept).enumerate() {
        let of = match found.temperature.len() {
            1 => String::new(),
            _ => format!("{}: ", print::one_line(&outcome.info.classes[output])),
        };
        print::out(format_args!("{of}logit times {:.3} plus {intercept:.3}", 1.0 / temperature))?;
    }
    if let (Some(before), Some(after)) = (found.nll_before, found.nll_after) {
        print::out(format_args!(
            "Negative log-likelihood of films that had no part in finding it: {before:.4} before, {after:.4} after"
        ))?;
    }
    for line in points(&found.points) {
        print::out(line)?;
    }
    print::out(format_args!("Model: {}", print::path(&outcome.model)))?;
    print::out(format_args!("\n{NOT_A_DIAGNOSIS}"))?;
    Ok(())
}

/// The points, a line each, as they were on the films that they were chosen on.
pub fn points(points: &[OperatingPoint]) -> Vec<String> {
    let name = |point: &OperatingPoint| {
        let label = point.label.as_ref().map_or_else(String::new, |label| format!("{} ", print::one_line(label)));
        format!("{label}{}", point.rule)
    };
    let width = points.iter().map(|point| name(point).chars().count()).max().unwrap_or(0).max(15);
    let line = |point: &OperatingPoint| match (point.cut, &point.why) {
        (Some(cut), _) => format!(
            "{:width$}  {cut:6.4}  {:11}  {}",
            name(point),
            print::metric(point.sensitivity),
            print::metric(point.specificity)
        ),
        (None, why) => format!("{:width$}  none: {}", name(point), why.as_deref().unwrap_or("not found")),
    };
    if points.is_empty() {
        return Vec::new();
    }
    let heading = format!(
        "{:width$}  from    sensitivity  specificity (of the films that they were chosen on)",
        "operating point"
    );
    std::iter::once(heading).chain(points.iter().map(line)).collect()
}
