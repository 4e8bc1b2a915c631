//! Where to compute: what may be asked for, what there is, and what it comes to.

#[cfg(feature = "gpu")]
mod trial;

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use lungfish_engine::Cpu;
use serde::Serialize;

use crate::compute::Compute;
use crate::{Error, Recipe, Watch};

/// Where to compute, as it may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// A GPU where one is faster, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A GPU.
    Gpu {
        /// Through which interface; `None` is any.
        interface: Option<Interface>,
        /// Which of those that [`gpus`] lists, or of the interface's; `None` is the first that is not played by the processor.
        number: Option<usize>,
    },
}

/// What a program speaks to a driver through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Khronos's, on Linux and Windows.
    Vulkan,
    /// Apple's.
    Metal,
    /// Microsoft's, DirectX 12.
    Dx12,
}

impl Interface {
    const ALL: [Interface; 3] = [Interface::Vulkan, Interface::Metal, Interface::Dx12];

    /// `vulkan`, `metal` or `dx12`.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Vulkan => "vulkan",
            Interface::Metal => "metal",
            Interface::Dx12 => "dx12",
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "\"{name}\" is no device; the devices are auto, cpu, gpu and gpu:N, or vulkan, metal and dx12 with or without \
                 :N (lungfish doctor lists the GPUs)"
            )
        };
        let (word, number) = match name.split_once(':') {
            None => (name, None),
            Some((word, number)) => (word, Some(number.parse::<usize>().map_err(|_| unknown())?)),
        };
        let interface = Interface::ALL.into_iter().find(|interface| interface.name() == word);
        match (word, number) {
            ("auto", None) => Ok(Device::Auto),
            ("cpu", None) => Ok(Device::Cpu),
            ("gpu", number) => Ok(Device::Gpu { interface: None, number }),
            ("cuda", _) => Err(format!("{name} is PyTorch's word: gpu computes on NVIDIA's too, through Vulkan")),
            (_, number) if interface.is_some() => Ok(Device::Gpu { interface, number }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Gpu { interface, number } => {
                f.write_str(interface.map_or("gpu", Interface::name))?;
                number.map_or(Ok(()), |number| write!(f, ":{number}"))
            }
        }
    }
}

/// A GPU that this program can compute on. Serialised, it is one of the adapters of `lungfish doctor --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gpu {
    /// What --device calls it: `gpu:0`.
    pub device: String,
    /// As its driver has it.
    pub name: String,
    /// Who makes it; none where that is not known.
    pub maker: Option<&'static str>,
    /// `discrete`, `integrated`, `virtual`, `other`, or `software`: played by the processor.
    pub kind: String,
    /// `vulkan`, `metal` or `dx12`.
    pub interface: &'static str,
    /// Its driver, with the version.
    pub driver: String,
    /// Bytes of the largest buffer: what one value of a batch may take. How much memory there is no interface tells.
    pub largest_buffer: u64,
    /// What it can do beyond what is asked of every one.
    pub features: Vec<String>,
}

impl Gpu {
    /// Whether it is the processor that plays it.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }
}

/// The GPUs that this program can compute on: cards first, what the processor plays last. None where it is built without them.
pub fn gpus() -> Vec<Gpu> {
    #[cfg(feature = "gpu")]
    {
        let gpu = |(number, adapter): (usize, &lungfish_gpu::Adapter)| Gpu {
            device: format!("gpu:{number}"),
            name: adapter.name().to_owned(),
            maker: adapter.maker(),
            kind: adapter.kind().to_string(),
            interface: adapter.interface(),
            driver: adapter.driver(),
            largest_buffer: adapter.largest_buffer(),
            features: adapter.features(),
        };
        lungfish_gpu::adapters().iter().enumerate().map(gpu).collect()
    }
    #[cfg(not(feature = "gpu"))]
    Vec::new()
}

/// Whether this program is built to compute on GPUs.
pub const fn computes_on_gpus() -> bool {
    cfg!(feature = "gpu")
}

/// What was found of NVIDIA GPUs, by the files of their driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpus {
    /// Name, memory and driver of each, as `nvidia-smi` or the driver's files give them.
    pub found: Vec<String>,
    /// A driver is loaded.
    pub driver: bool,
}

impl Gpus {
    /// Looks at the driver's files, then asks `nvidia-smi`.
    pub fn look() -> Self {
        let driver = Path::new("/proc/driver/nvidia/version").exists();
        let asked = Command::new("nvidia-smi")
            .args(["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
            .stdin(std::process::Stdio::null())
            .output();
        let mut found = match asked {
            Ok(answer) if answer.status.success() => lines(&String::from_utf8_lossy(&answer.stdout)),
            _ => Vec::new(),
        };
        if found.is_empty() {
            found = from_driver_files(Path::new("/proc/driver/nvidia/gpus"));
        }
        Gpus { driver: driver || !found.is_empty(), found }
    }

    /// One sentence.
    pub fn describe(&self) -> String {
        match (self.found.as_slice(), self.driver) {
            ([], false) => "no NVIDIA GPU found".to_owned(),
            ([], true) => "an NVIDIA driver is loaded but no GPU answers".to_owned(),
            (found, _) => format!("NVIDIA GPU found: {}", found.join("; ")),
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// The `Model:` line of each GPU's `information` file.
fn from_driver_files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path().join("information")).ok()?;
            Some(text.lines().find_map(|l| l.strip_prefix("Model:"))?.trim().to_owned())
        })
        .collect();
    found.sort();
    found
}

/// Whether a training may try a GPU against the processor.
static TRY: AtomicBool = AtomicBool::new(false);

/// Lets all that follows in this process compute on a device, as `torch.set_default_device`; the processor does where nobody
/// calls it. `Auto` is the processor until a training finds a GPU that is faster: one that is no processor itself, tried for
/// seconds on the training's own network, once (the verdict is kept in the folder of caches, `lungfish/devices.json`).
///
/// # Errors
/// A GPU that is not there or that this program is not built for, with those that are; what its driver reports.
pub fn set_default_device(device: Device) -> Result<(), Error> {
    TRY.store(device == Device::Auto, Ordering::Relaxed);
    match device {
        Device::Auto | Device::Cpu => {
            Compute::Cpu(Cpu::new()).make_default();
            Ok(())
        }
        Device::Gpu { interface, number } => open(device, interface, number),
    }
}

#[cfg(not(feature = "gpu"))]
fn open(device: Device, _: Option<Interface>, _: Option<usize>) -> Result<(), Error> {
    Err(Error::refused(format!(
        "--device {device}: {}; this program is built without GPUs: build it with the feature gpu, or use --device cpu",
        Gpus::look().describe()
    )))
}

#[cfg(feature = "gpu")]
fn open(device: Device, interface: Option<Interface>, number: Option<usize>) -> Result<(), Error> {
    use lungfish_gpu::{Adapter, AdapterKind};

    let all = lungfish_gpu::adapters();
    let of_interface = |adapter: &&Adapter| interface.is_none_or(|interface| interface.name() == adapter.interface());
    let real = |adapter: &&Adapter| number.is_some() || adapter.kind() != AdapterKind::Software;
    let mut fitting = all.iter().filter(of_interface).filter(real);
    let Some(adapter) = fitting.nth(number.unwrap_or(0)) else {
        let listed = all.iter().enumerate().map(|(n, a)| format!("gpu:{n}, {} ({})", a.describe(), a.kind()));
        let listed = listed.collect::<Vec<_>>().join("; ");
        let there = if listed.is_empty() { "there is none".to_owned() } else { format!("there is {listed}") };
        return Err(Error::refused(format!("--device {device}: no such GPU; {there}")));
    };
    Compute::Gpu(adapter.open()?).make_default();
    Ok(())
}

/// What a training of `recipe` computes on, and the sentence to tell.
pub(crate) fn settle(recipe: &Recipe, watch: &mut Watch<'_>) -> (Compute, String) {
    let chosen = Compute::default();
    match &chosen {
        #[cfg(feature = "gpu")]
        Compute::Gpu(gpu) => (chosen.clone(), format!("computing on {}", gpu.describe())),
        Compute::Cpu(_) if TRY.load(Ordering::Relaxed) => tried(recipe, watch),
        Compute::Cpu(_) => (chosen, "computing on the CPU".to_owned()),
    }
}

#[cfg(not(feature = "gpu"))]
fn tried(_: &Recipe, _: &mut Watch<'_>) -> (Compute, String) {
    let gpus = Gpus::look();
    let why = if gpus.driver { ", since this program is built without GPUs (the feature gpu has them)" } else { "" };
    (Compute::default(), format!("{}; computing on the CPU{why}", gpus.describe()))
}

#[cfg(feature = "gpu")]
fn tried(recipe: &Recipe, watch: &mut Watch<'_>) -> (Compute, String) {
    use lungfish_engine::Precision;
    use lungfish_gpu::AdapterKind;

    use crate::PrecisionRule;

    let adapters = lungfish_gpu::adapters();
    let Some(adapter) = adapters.iter().find(|adapter| adapter.kind() != AdapterKind::Software) else {
        return (Compute::default(), "no GPU found; computing on the CPU".to_owned());
    };
    let gpu = match adapter.open() {
        Ok(gpu) => Compute::Gpu(gpu),
        Err(error) => return (Compute::default(), format!("{error}; computing on the CPU")),
    };
    let cpu = Compute::default();
    if recipe.precision == PrecisionRule::F16 {
        if !gpu.has(Precision::F16) {
            return (cpu, format!("{} has no f16 (shader-f16); computing on the CPU", adapter.describe()));
        }
        gpu.clone().make_default();
        return (gpu, format!("computing on {}: precision = \"f16\" is for GPUs", adapter.describe()));
    }
    match trial::verdict(recipe, [&cpu, &gpu], trial::file().as_deref(), watch) {
        Ok(verdict) if verdict.gpu > verdict.cpu => {
            gpu.clone().make_default();
            (gpu, format!("computing on {}: {verdict}", adapter.describe()))
        }
        Ok(verdict) => (cpu, format!("computing on the CPU: {verdict} on {}", adapter.describe())),
        Err(error) => (cpu, format!("{} is not taken: {error}; computing on the CPU", adapter.describe())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_word_and_a_number() {
        for (word, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("gpu", Device::Gpu { interface: None, number: None }),
            ("gpu:2", Device::Gpu { interface: None, number: Some(2) }),
            ("vulkan", Device::Gpu { interface: Some(Interface::Vulkan), number: None }),
            ("metal:0", Device::Gpu { interface: Some(Interface::Metal), number: Some(0) }),
            ("dx12:11", Device::Gpu { interface: Some(Interface::Dx12), number: Some(11) }),
        ] {
            assert_eq!(word.parse(), Ok(device));
            assert_eq!(device.to_string(), word);
        }
        for word in ["", "GPU", "gpu:", "gpu:-1", "gpu:x", "cpu:0", "auto:1", "mps"] {
            let refused = word.parse::<Device>().unwrap_err();
            assert!(
                refused.starts_with(&format!("\"{word}\" is no device; the devices are auto, cpu, gpu")),
                "{refused}"
            );
        }
        let cuda = "cuda:0".parse::<Device>().unwrap_err();
        assert_eq!(cuda, "cuda:0 is PyTorch's word: gpu computes on NVIDIA's too, through Vulkan");
    }

    #[test]
    fn driver_files_name_the_model() {
        let dir = tempfile::tempdir().unwrap();
        let gpu = dir.path().join("0000:01:00.0");
        std::fs::create_dir(&gpu).unwrap();
        std::fs::write(gpu.join("information"), "Model: \t\t NVIDIA A2\nIRQ: 1\n").unwrap();
        assert_eq!(from_driver_files(dir.path()), ["NVIDIA A2"]);
        assert!(from_driver_files(&dir.path().join("absent")).is_empty());
    }

    #[test]
    fn a_gpu_that_is_not_there_is_told() {
        let refused = set_default_device(Device::Gpu { interface: None, number: Some(99) }).unwrap_err().to_string();
        let says = if computes_on_gpus() { "--device gpu:99: no such GPU; there is" } else { "built without GPUs" };
        assert!(refused.contains(says), "{refused}");
    }
}
