//! `lungfish import`: a network that another program trained in, a model out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use clap::ValueHint::FilePath;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use lungfish::{Changes, ErrorKind, ImportOutcome, ImportRequest, Task, Watch};
use lungfish_models::Architecture;

use crate::observer::Printer;
use crate::{NOT_A_DIAGNOSIS, print, stop};

/// Make a model of a network that another program trained
///
/// Takes a .pth or .safetensors file with one of the networks here and its head (torchvision's one linear layer, or two with a
/// ReLU between), wherever they lie in the file, and writes a model file that test and predict take. A file of weights says
/// nothing of how films were prepared, so check what is printed: without --set, --mean and --std it is what torchvision's loader,
/// Resize(224), CenterCrop(224) and ImageNet's normalisation do. Nobody knows which films trained such a model; a test of it says so.
/// This is a research tool; what a model says is not a diagnosis.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish import finetuned.pth --classes NORMAL,PNEUMONIA --out model.safetensors
  lungfish predict --model model.safetensors film.jpeg
  lungfish test --model model.safetensors --data chest_xray --out tested

Example, of films that were squashed to 256 pixels and normalised to -1 to 1:
  lungfish import finetuned.pth --classes NORMAL,PNEUMONIA --out model.safetensors \\
    --set fit=squash --set image_size=256 --mean 0.5 --std 0.5")]
pub struct Args {
    /// File of weights, .pth or .safetensors
    #[arg(value_name = "WEIGHTS", value_hint = FilePath)]
    weights: PathBuf,
    /// Names of the classes in the order of the outputs, with commas; torchvision's ImageFolder sorts them by name [default: those that
    /// the file says]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    classes: Vec<String>,
    /// Model file to write (.safetensors)
    #[arg(long, value_name = "MODEL", value_hint = FilePath)]
    out: PathBuf,
    /// Network [default: the one that is in the file]
    #[arg(long, visible_alias = "arch", value_parser = PossibleValuesParser::new(Architecture::ALL.map(Architecture::name)))]
    architecture: Option<String>,
    /// What the outputs are: of classes of which one is right (softmax), or of labels of which any may hold (a sigmoid each)
    #[arg(long, default_value = "one-of")]
    #[arg(value_parser = PossibleValuesParser::new(Task::ALL.map(Task::name)).try_map(|name| name.parse::<Task>()))]
    task: Task,
    /// How films are prepared, as a recipe says it: fit, image_size, channels, equalize, sample_bits, dicom_view, exif; and positive;
    /// may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Mean that was taken off the channels, of values from 0 to 1: one number, or three with commas [default: ImageNet's]
    #[arg(long, value_name = "X[,X,X]", value_parser = channels, allow_hyphen_values = true)]
    mean: Option<[f32; 3]>,
    /// Standard deviation that they were divided by [default: ImageNet's]
    #[arg(long, value_name = "X[,X,X]", value_parser = channels, allow_hyphen_values = true)]
    std: Option<[f32; 3]>,
}

/// Reads a number for all channels, or one for each.
fn channels(text: &str) -> Result<[f32; 3], String> {
    let numbers: Option<Vec<f32>> =
        text.split(',').map(|number| number.trim().parse().ok().filter(|number: &f32| number.is_finite())).collect();
    match numbers.as_deref() {
        Some(&[one]) => Ok([one; 3]),
        Some(&[red, green, blue]) => Ok([red, green, blue]),
        _ => Err("it is one number, or three with commas, such as 0.485,0.456,0.406".to_owned()),
    }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut request = ImportRequest::new(&args.weights, &args.out);
    request.architecture = args.architecture.as_deref().map(str::parse).transpose()?;
    request.classes = Some(args.classes.clone()).filter(|names| !names.is_empty());
    request.task = args.task;
    (request.mean, request.std) = (args.mean, args.std);
    let mut changes = Changes::default();
    for setting in &args.set {
        changes.set(setting)?;
    }
    request.changes = changes;
    let stop = Arc::new(AtomicBool::new(false));
    let mut printer = Printer::training(Arc::clone(&stop));
    let tell = printer.teller();
    stop::on_signal(Arc::clone(&stop), move || tell("stopping; once more leaves at once"))?;
    let imported = lungfish::import(&request, &mut Watch::new(&mut printer, &stop));
    printer.finish()?;
    match imported {
        Ok(outcome) => report(&outcome)?,
        Err(error) if error.kind() == ErrorKind::Stopped => {
            print::err("stopped; nothing is written");
            return Ok(ExitCode::from(print::STOPPED));
        }
        Err(error) => bail!("{error}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What was made of what, for somebody who knows how the network was trained.
fn report(outcome: &ImportOutcome) -> anyhow::Result<()> {
    let info = &outcome.info;
    let classes: Vec<String> = info.classes.iter().map(|name| print::one_line(name)).collect();
    let kind = match info.task {
        Task::OneOf => "Classes",
        Task::AnyOf => "Labels",
    };
    print::out(format_args!("Network: {}", info.architecture))?;
    print::out(format_args!("Head: {}", outcome.head))?;
    print::out(format_args!("{kind}: {}", classes.join(", ")))?;
    print::out("Films are prepared so, and must have been for its training:")?;
    for step in &outcome.transforms {
        print::out(format_args!("    {step}"))?;
    }
    print::out("Probabilities are as the network gives them: nothing is done about how frequent classes are.")?;
    print::out(format_args!("Model: {}", print::path(&outcome.model)))?;
    print::out(format_args!("\n{NOT_A_DIAGNOSIS}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_for_all_channels() {
        assert_eq!(channels("0.5"), Ok([0.5; 3]));
        assert_eq!(channels("0.485, 0.456,0.406"), Ok([0.485, 0.456, 0.406]));
        for text in ["", "x", "0.1,0.2", "nan", "1,2,3,4"] {
            assert!(channels(text).unwrap_err().contains("one number, or three"), "{text}");
        }
    }
}
