//! The networks there are, by name.

use std::fmt;
use std::str::FromStr;

use lungfish_engine::Normalization;
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// A backbone pretrained on ImageNet.
///
/// ```
/// use lungfish_models::Architecture;
/// let a: Architecture = "resnet34".parse()?;
/// assert_eq!(a, Architecture::Resnet34);
/// assert_eq!(a.to_string(), "resnet34");
/// assert!("vgg16".parse::<Architecture>().unwrap_err().to_string().contains("resnet18, resnet34"));
/// # Ok::<(), lungfish_models::ModelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Architecture {
    /// torchvision's `resnet18` (He et al. 2015, arXiv:1512.03385).
    #[serde(rename = "resnet18")]
    Resnet18,
    /// torchvision's `resnet34`.
    #[serde(rename = "resnet34")]
    Resnet34,
    /// torchvision's `resnet50`: the bottleneck's stride sits on its 3x3 ("v1.5").
    #[serde(rename = "resnet50")]
    Resnet50,
    /// EfficientNet-Lite0: B0's widths, no squeeze-and-excitation, ReLU6 (Tan & Le 2019,
    /// arXiv:1905.11946; Liu 2020, the TensorFlow TPU repository).
    #[serde(rename = "efficientnet-lite0")]
    EfficientnetLite0,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 4] =
        [Architecture::Resnet18, Architecture::Resnet34, Architecture::Resnet50, Architecture::EfficientnetLite0];

    /// The name by which recipes and files know it.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Resnet18 => "resnet18",
            Architecture::Resnet34 => "resnet34",
            Architecture::Resnet50 => "resnet50",
            Architecture::EfficientnetLite0 => "efficientnet-lite0",
        }
    }

    /// Length of the pooled feature vector that the head reads.
    pub fn features(self) -> usize {
        match self {
            Architecture::Resnet18 | Architecture::Resnet34 => 512,
            Architecture::Resnet50 => 2048,
            Architecture::EfficientnetLite0 => 1280,
        }
    }

    /// What the pretrained weights expect their pixels to be: `(x / 255 - mean) / std`, a channel
    /// at a time, in red, green, blue order.
    ///
    /// The ResNets have torchvision's ImageNet figures. Lite0 has those of the TensorFlow code it
    /// was trained with (mean 127, std 128 of 255).
    pub fn normalization(self) -> Normalization {
        match self {
            Architecture::Resnet18 | Architecture::Resnet34 | Architecture::Resnet50 => {
                Normalization { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
            }
            Architecture::EfficientnetLite0 => Normalization { mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3] },
        }
    }

    /// torch's name of the blocks that the backbone is made of.
    pub(crate) fn block(self) -> &'static str {
        match self {
            Architecture::Resnet18 | Architecture::Resnet34 => "BasicBlock",
            Architecture::Resnet50 => "Bottleneck",
            Architecture::EfficientnetLite0 => "MBConvBlock",
        }
    }

    /// Module name under which the original classifier lies in published weights.
    pub(crate) fn classifier(self) -> &'static str {
        match self {
            Architecture::Resnet18 | Architecture::Resnet34 | Architecture::Resnet50 => "fc",
            Architecture::EfficientnetLite0 => "_fc",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Architecture {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        Architecture::ALL.into_iter().find(|a| a.name() == name).ok_or_else(|| ModelError::NoSuchArchitecture {
            name: name.to_owned(),
            known: Architecture::ALL.map(Architecture::name).to_vec(),
        })
    }
}
