//! `lungfish bench step`: training and inference steps a second.

use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use lungfish::bench::{Mode, StepMeasure, StepRequest};
use lungfish_models::Architecture;

use super::{pace, tell, threads};
use crate::{flags, print};
use lungfish::{PrecisionRule, Recipe, Watch};

/// Time steps of a network: films a second, share of what the processor or the GPU can do, memory
///
/// Weights are drawn at random and films made up, 224 pixels wide, so no file is needed. A training step goes forward and
/// backward through all parts and ends with Adam's; a step of inference goes as it does in predict and test. One step
/// goes first and is not counted.
///
/// GFLOP/s are effective ones: two for each multiply-add that summary tells of, three times as many for a training step,
/// however many of them were really computed. Their share of what the same threads reach at best can therefore be above
/// 100 %, and of bf16 or f16 it is the share of what single precision reaches. With --device they are a GPU's. LUNGFISH_SIMD and
/// LUNGFISH_KERNELS leave out instructions and algorithms of the CPU's, to compare with them.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish bench step --arch resnet34 --batch 32 --mode train --precision fp32

Example, on the first GPU:
  lungfish bench step --device gpu --arch resnet34

Example, what the instruction set is worth:
  lungfish bench step --mode infer --json
  LUNGFISH_SIMD=avx2+fma lungfish bench step --mode infer --json")]
pub struct Args {
    /// Network
    #[arg(long, default_value = "efficientnet-lite0")]
    #[arg(value_parser = PossibleValuesParser::new(Architecture::ALL.map(Architecture::name)))]
    arch: String,
    /// Films that go through at once
    #[arg(long, value_name = "N", default_value_t = 32)]
    #[arg(value_parser = flags::whole(Recipe::BATCH_SIZE), allow_negative_numbers = true)]
    batch: usize,
    /// What a step does
    #[arg(long, value_enum, default_value_t = StepMode::Train)]
    mode: StepMode,
    /// In which precision: fp32, bf16, f16 (on a GPU), or auto, what a training takes here
    #[arg(long, default_value = "auto")]
    #[arg(value_parser = flags::precision())]
    precision: PrecisionRule,
    /// Steps that are timed; the median counts
    #[arg(long, value_name = "N", default_value_t = 7)]
    #[arg(value_parser = flags::whole(StepRequest::RUNS), allow_negative_numbers = true)]
    runs: usize,
    /// Print it as one JSON object; docs/schema/bench-step.json says what is in it
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum StepMode {
    Train,
    Infer,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mode = match args.mode {
        StepMode::Train => Mode::Train,
        StepMode::Infer => Mode::Infer,
    };
    let mut request = StepRequest::new(args.arch.parse()?);
    request.batch = args.batch;
    (request.mode, request.precision) = (mode, args.precision);
    request.runs = args.runs;
    tell(|printer| lungfish::bench::step(&request, &mut Watch::new(printer, &AtomicBool::new(false))), lines, args.json)
}

fn lines(m: &StepMeasure) -> Vec<String> {
    let threads = threads(m.threads);
    let what = format!("{}, {}, batch {}", m.arch, m.mode.name(), m.batch);
    let runs = if m.runs == 1 { "1 step".to_owned() } else { format!("{} steps", m.runs) };
    let peak =
        m.peak_bytes.map_or_else(|| "peak unknown".to_owned(), |bytes| format!("{} at most", print::size(bytes)));
    vec![
        match m.device.as_str() {
            "cpu" => format!("{what}, {threads}, {}, {}, {} kernels", m.precision, m.simd, m.kernels),
            gpu => format!("{what}, {}, {}", m.precision, print::one_line(gpu)),
        },
        format!("films/s    {}", pace(m.films_per_s)),
        format!("           {} to {} in {runs}", pace(m.films_per_s_min), pace(m.films_per_s_max)),
        format!(
            "GFLOP/s    {:.0} effective, {:.0} % of the {:.0} that multiply-adds of fp32 reach here",
            m.gflops,
            100.0 * m.share_of_peak,
            m.peak_gflops
        ),
        format!("memory     {peak}, {} of it activations and gradients", print::size(m.plan_bytes)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_measured_and_how() {
        let measure = StepMeasure {
            arch: Architecture::Resnet34,
            mode: Mode::Train,
            precision: "bf16",
            batch: 32,
            image_size: 224,
            runs: 7,
            threads: 2,
            device: "cpu".to_owned(),
            simd: "avx512",
            kernels: "fast",
            films_per_s: 22.46,
            films_per_s_min: 9.876,
            films_per_s_max: 123.4,
            mult_adds: 3_663_398_274,
            gflops: 494.0,
            peak_gflops: 470.0,
            share_of_peak: 494.0 / 470.0,
            plan_bytes: 1_200_000_000,
            peak_bytes: Some(1_610_000_000),
        };
        assert_eq!(
            lines(&measure),
            [
                "resnet34, train, batch 32, 2 threads, bf16, avx512, fast kernels",
                "films/s    22.5",
                "           9.88 to 123 in 7 steps",
                "GFLOP/s    494 effective, 105 % of the 470 that multiply-adds of fp32 reach here",
                "memory     1.6 GB at most, 1.2 GB of it activations and gradients",
            ]
        );
        let card = StepMeasure { device: "Some Card (vulkan, driver 1)".to_owned(), simd: "wgsl", ..measure.clone() };
        assert_eq!(lines(&card)[0], "resnet34, train, batch 32, bf16, Some Card (vulkan, driver 1)");
        let unknown = StepMeasure { threads: 1, runs: 1, peak_bytes: None, ..measure };
        let text = lines(&unknown).join("\n");
        assert!(
            text.contains(", 1 thread, ") && text.contains("1 step\n") && text.contains("peak unknown, "),
            "{text}"
        );
    }
}
