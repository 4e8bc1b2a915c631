//! `lungfish summary`: layers, shapes, parameters and multiply-adds, as torchinfo prints them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use lungfish::{ModelSummary, Recipe, SummaryOf, SummaryRequest};
use lungfish_models::{Architecture, Layer};

use crate::{flags, print};

/// Show the layers of a model, or of a network before it is trained
///
/// What torchinfo shows of a PyTorch model: the shape that each layer gives, its parameters (in brackets where they do
/// not train) and multiply-adds, and what all of it takes in memory.
#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("of").required(true),
    after_help = "\
Example, a trained model; its parts alone, for choosing what to unfreeze:
  lungfish summary --model run
  lungfish summary --model run --depth 1

Example, a network before it is trained, the last stage and the head of it trainable:
  lungfish summary --arch resnet34 --classes 3 --unfreeze layer4"
)]
pub struct Args {
    /// Run folder or model file
    #[arg(long, value_name = "RUN|FILE", group = "of")]
    model: Option<PathBuf>,
    /// Network
    #[arg(long, group = "of", value_parser = PossibleValuesParser::new(Architecture::ALL.map(Architecture::name)))]
    arch: Option<String>,
    /// Classes of the network
    #[arg(long, value_name = "N", default_value_t = 2, conflicts_with = "model")]
    #[arg(value_parser = flags::whole(SummaryRequest::CLASSES), allow_negative_numbers = true)]
    classes: usize,
    /// Side of the image that the network sees, pixels
    #[arg(long, value_name = "N", default_value_t = 224, conflicts_with = "model")]
    #[arg(value_parser = flags::whole(Recipe::IMAGE_SIZE), allow_negative_numbers = true)]
    image_size: usize,
    /// Parts that train: all, or names with commas [default: as the model was trained; all of a network]
    #[arg(long, value_name = "PARTS")]
    unfreeze: Option<String>,
    /// Films at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = flags::whole(Recipe::BATCH_SIZE), allow_negative_numbers = true)]
    batch: usize,
    /// How deep to go: 1 the parts, 2 the blocks in them too, 3 every layer
    #[arg(long, value_name = "1|2|3", default_value_t = 3)]
    #[arg(value_parser = flags::whole(1..=3_usize), allow_negative_numbers = true)]
    depth: usize,
    /// Print it as JSON, every layer; docs/schema/summary.json says what is in it
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let of = match (&args.model, &args.arch) {
        (Some(model), _) => SummaryOf::Model(model.clone()),
        (None, arch) => SummaryOf::Architecture {
            architecture: arch.as_deref().unwrap_or_default().parse()?,
            classes: args.classes,
            image_size: args.image_size,
        },
    };
    let mut request = SummaryRequest::new(of);
    request.batch = args.batch;
    request.unfreeze.clone_from(&args.unfreeze);
    let told = lungfish::summary(&request)?;
    if args.json {
        print::output(&told)?;
    } else {
        print::out(lines(&told, args.depth).join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(told: &ModelSummary, depth: usize) -> Vec<String> {
    let summary = &told.summary;
    let mut lines = Vec::new();
    if let Some(model) = &told.model {
        let names: Vec<String> = model.class_names.iter().map(|name| print::one_line(name)).collect();
        let trained = match &model.epoch {
            Some(epoch) => format!("{} phase, epoch {}", epoch.phase, epoch.epoch),
            None => "imported".to_owned(),
        };
        lines.push(format!("{}: {trained}", print::path(&model.file)));
        lines.push(format!("classes: {}", names.join(", ")));
    }
    let heading = ["Layer (type)", "Output shape", "Param #", "Mult-adds", "Trains"].map(str::to_owned);
    let rows: Vec<[String; 5]> = rows(&summary.layers, depth);
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| rows.iter().chain([&heading]).map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 5]| {
        let [name, output, params, adds, trains] = row;
        let [a, b, c, d] = [widths[0], widths[1], widths[2], widths[3]];
        format!("{name:a$}  {output:b$}  {params:>c$}  {adds:>d$}  {trains}")
    };
    let rule = "=".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
    lines.extend([rule.clone(), line(&heading), rule.clone()]);
    lines.extend(rows.iter().map(line));
    let megabytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1e6);
    lines.extend([
        rule.clone(),
        format!("Total params: {}", print::grouped(summary.parameters as u64)),
        format!("Trainable params: {}", print::grouped(summary.trainable as u64)),
        format!("Non-trainable params: {}", print::grouped(summary.frozen as u64)),
        format!("Total mult-adds: {} ({})", readable(summary.mult_adds), print::grouped(summary.mult_adds)),
        rule.clone(),
        format!("Input size (MB): {}", megabytes(summary.input_bytes)),
        format!("Forward/backward pass size (MB): {}", megabytes(summary.pass_bytes)),
        format!("Params size (MB): {}", megabytes(summary.parameter_bytes)),
        format!("Estimated total size (MB): {}", megabytes(summary.total_bytes)),
        format!("A training step in lungfish, without params (MB): {}", megabytes(told.step_bytes)),
        rule,
    ]);
    lines
}

/// The rows down to a depth. A row whose own rows are shown leaves its figures to them, as torchinfo's do.
fn rows(layers: &[Layer], depth: usize) -> Vec<[String; 5]> {
    // The block that the layers after it lie in.
    let mut block = String::new();
    let mut rows = Vec::new();
    for layer in layers.iter().filter(|layer| layer.depth <= depth) {
        if layer.holds {
            block = format!("{}.", layer.name);
        }
        let name = if layer.depth > 2 { layer.name.strip_prefix(&block) } else { None };
        let name = name.unwrap_or(&layer.name);
        let branch = match layer.depth {
            0 => String::new(),
            1 => "├─".to_owned(),
            deeper => format!("{}└─", "│    ".repeat(deeper - 1)),
        };
        let kind = if matches!(layer.kind.as_str(), "network" | "part") {
            String::new()
        } else {
            format!(" ({})", layer.kind)
        };
        let open = layer.holds && layer.depth < depth;
        let figure = |number: u64| if number == 0 || open { "--".to_owned() } else { print::grouped(number) };
        let params = figure(layer.parameters as u64);
        let trains = match (layer.parameters, layer.trainable) {
            (0, _) => "--",
            (_, 0) => "no",
            (all, some) if some < all => "partly",
            _ => "yes",
        };
        let params = if trains == "no" && params != "--" { format!("({params})") } else { params };
        let output = format!("{:?}", layer.output);
        rows.push([format!("{branch}{name}{kind}"), output, params, figure(layer.mult_adds), trains.to_owned()]);
    }
    rows
}

/// In millions, billions or trillions, with two digits.
fn readable(number: u64) -> String {
    let number = number as f64;
    match number {
        1e12.. => format!("{:.2} T", number / 1e12),
        1e9.. => format!("{:.2} G", number / 1e9),
        _ => format!("{:.2} M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shortened() {
        assert_eq!([384_278_018, 3_663_398_274, 5 << 40].map(readable), ["384.28 M", "3.66 G", "5.50 T"]);
    }

    fn told(of: SummaryOf, batch: usize, unfreeze: &str) -> ModelSummary {
        let mut request = SummaryRequest::new(of);
        request.batch = batch;
        request.unfreeze = Some(unfreeze.to_owned());
        lungfish::summary(&request).unwrap()
    }

    #[test]
    fn a_table_fits_a_terminal_and_shows_what_trains() {
        for architecture in Architecture::ALL {
            let of = SummaryOf::Architecture { architecture, classes: 2, image_size: 224 };
            let told = told(of, 32, "head");
            for depth in 1..=3 {
                let lines = lines(&told, depth);
                assert!(lines.iter().all(|line| line.chars().count() <= 100), "{}", lines.join("\n"));
                let partly = lines.iter().filter(|line| line.ends_with("  partly")).count();
                assert_eq!(partly, 1, "the network");
                assert!(lines.iter().any(|line| line.starts_with("├─head") && line.ends_with("  yes")));
            }
        }
    }

    #[test]
    fn parts_alone_carry_their_figures_and_open_ones_leave_them_to_their_layers() {
        let of = SummaryOf::Architecture { architecture: Architecture::Resnet18, classes: 2, image_size: 224 };
        let told = told(of, 1, "layer4");
        let shown = |depth| rows(&told.summary.layers, depth);
        let expected = [
            ["resnet18", "[1, 2]", "--", "--", "partly"],
            ["├─stem", "[1, 64, 56, 56]", "(9,536)", "118,014,080", "no"],
            ["├─layer1", "[1, 64, 56, 56]", "(147,968)", "462,422,528", "no"],
        ];
        assert_eq!(shown(1)[..3], expected);
        let whole = shown(3);
        let row = |name: &str| whole.iter().find(|row| row[0] == name).unwrap();
        assert_eq!(row("├─layer4")[1..], ["[1, 512, 7, 7]", "--", "--", "yes"]);
        assert_eq!(row("│    └─layer4.0 (BasicBlock)")[1..], ["[1, 512, 7, 7]", "--", "--", "yes"]);
        let shortcut = row("│    │    └─downsample.0 (Conv2d)");
        assert_eq!(shortcut[1..], ["[1, 128, 28, 28]", "(8,192)", "6,422,528", "no"]);
        assert_eq!(row("├─avgpool (AdaptiveAvgPool2d)")[1..], ["[1, 512, 1, 1]", "--", "--", "--"]);
        assert_eq!(row("│    └─fc.fc1 (Linear)")[1..], ["[1, 256]", "131,328", "131,328", "yes"]);
    }
}
