//! Where to compute. Looks for an NVIDIA GPU without touching it; computing there is not built in, so the CPU does it.

use std::path::Path;
use std::process::Command;

use crate::Error;
use crate::compute::Compute;

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The best there is.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda),
            _ => Err(format!("\"{name}\" is no device; the devices are auto, cpu and cuda")),
        }
    }
}

/// What was found of NVIDIA GPUs.
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

/// Settles where to compute: the device, and the sentence to tell.
///
/// # Errors
/// [`Device::Cuda`]: this program does not compute on GPUs.
pub(crate) fn settle(device: Device, gpus: &Gpus) -> Result<(Compute, String), Error> {
    match device {
        Device::Cpu => Ok((Compute::default(), "computing on the CPU".to_owned())),
        Device::Auto => Ok((Compute::default(), format!("{}; computing on the CPU", gpus.describe()))),
        Device::Cuda => Err(Error::refused(format!(
            "{}; this version does not compute on GPUs yet: use --device cpu or auto",
            gpus.describe()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_is_refused_and_auto_says_that_the_cpu_computes() {
        let none = Gpus::default();
        assert_eq!(settle(Device::Auto, &none).unwrap().1, "no NVIDIA GPU found; computing on the CPU");
        let one = Gpus { found: vec!["NVIDIA L4, 23034 MiB, 550.54".to_owned()], driver: true };
        let said = settle(Device::Cuda, &one).unwrap_err().to_string();
        assert!(said.contains("NVIDIA L4") && said.contains("does not compute on GPUs"), "{said}");
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
}
