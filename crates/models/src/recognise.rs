//! What network a set of tensors looks like, by names and shapes: for the sentence that refuses weights of another one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::{Architecture, HeadConfig, Network};

/// The shapes of tensors by name.
pub(crate) type Shapes<'a> = BTreeMap<Cow<'a, str>, &'a [usize]>;

/// Tensors that networks begin with: what stands before one of these stands before all names.
const FIRST: [&str; 6] = [
    "layer1.0.conv1.weight",
    "_conv_stem.weight",
    "features.conv0.weight",
    "features.0.weight",
    "features.0.0.weight",
    "Mixed_5b.branch1x1.conv.weight",
];

/// The name of a network here ([`Architecture::name`]), or of one that others train, as it stands in a sentence; none
/// where nothing is recognised.
pub(crate) fn recognise(shapes: &Shapes<'_>) -> Option<String> {
    let before = |first: &&str| {
        let prefixes = shapes.keys().filter_map(|name| name.strip_suffix(first));
        prefixes.filter(|prefix| prefix.is_empty() || prefix.ends_with('.')).min_by_key(|prefix| prefix.len())
    };
    let seen = Seen { shapes, prefix: FIRST.iter().find_map(before).unwrap_or_default() };
    // All of resnet18's names are resnet34's too, so a ResNet is told by how many blocks it has and by nothing less.
    // All of efficientnet-lite0's are efficientnet-b0's, which has more in each block.
    resnet(&seen)
        .or_else(|| efficientnet(&seen))
        .or_else(|| exactly(&seen))
        .or_else(|| lite(&seen))
        .or_else(|| family(&seen))
}

/// One of the networks here, all of whose backbone is there.
fn exactly(seen: &Seen<'_>) -> Option<String> {
    let fits = |architecture: &Architecture| {
        let Ok(network) = Network::new(*architecture, 2, &HeadConfig::default()) else { return false };
        let mut specs = network.graph.params().iter().filter(|spec| spec.part != network.head);
        specs.all(|spec| seen.shape(&spec.name) == Some(&spec.shape))
    };
    Architecture::ALL.into_iter().find(fits).map(|architecture| architecture.name().to_owned())
}

/// Tensors under a look.
struct Seen<'a> {
    shapes: &'a Shapes<'a>,
    /// What stands before their names.
    prefix: &'a str,
}

impl Seen<'_> {
    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shapes.get(&*format!("{}{name}", self.prefix)).copied()
    }

    fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The names below the prefix, without it.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.shapes.keys().filter_map(|name| name.strip_prefix(self.prefix))
    }

    /// Whether a name has all of the pieces, one after another.
    fn any(&self, pieces: &[&str]) -> bool {
        self.names().any(|name| {
            let mut rest = name;
            pieces.iter().all(|piece| match rest.split_once(piece) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        })
    }

    /// How many different numbers stand right after `before` in the names.
    fn count(&self, before: &str) -> usize {
        let number = |name: &str| name.strip_prefix(before)?.split('.').next()?.parse::<usize>().ok();
        self.names().filter_map(number).collect::<BTreeSet<_>>().len()
    }
}

fn resnet(seen: &Seen<'_>) -> Option<String> {
    let first = seen.shape("layer1.0.conv1.weight")?;
    let (&[width, ..], Some(&[_, inner, ..])) = (first, seen.shape("layer1.0.conv2.weight")) else { return None };
    let blocks = [1, 2, 3, 4].map(|layer| seen.count(&format!("layer{layer}.")));
    if seen.any(&["layer1.0.se"]) {
        return Some(format!("a ResNet of {blocks:?} blocks with squeeze-and-excitation"));
    }
    let bottleneck = seen.has("layer1.0.conv3.weight");
    if !bottleneck {
        return Some(match (width, blocks) {
            (64, [2, 2, 2, 2]) => "resnet18".to_owned(),
            (64, [3, 4, 6, 3]) => "resnet34".to_owned(),
            _ => format!("a ResNet of {blocks:?} basic blocks of {width} channels"),
        });
    }
    let depth = match blocks {
        [3, 4, 6, 3] => "50",
        [3, 4, 23, 3] => "101",
        [3, 8, 36, 3] => "152",
        _ => return Some(format!("a ResNet of {blocks:?} bottleneck blocks")),
    };
    Some(match (width, inner) {
        (64, 64) => format!("resnet{depth}"),
        (128, 128) => format!("wide_resnet{depth}_2"),
        (_, inner) if inner > 0 && inner < width => format!("resnext{depth}_{}x{inner}d", width / inner),
        _ => format!("a ResNet of {depth} layers whose first blocks are {width} channels wide"),
    })
}

/// An EfficientNet-Lite of whatever size, under the names of `efficientnet_lite_pytorch`.
fn lite(seen: &Seen<'_>) -> Option<String> {
    seen.has("_conv_stem.weight").then(|| format!("an EfficientNet-Lite of {} blocks", seen.count("_blocks.")))
}

/// The EfficientNets with squeeze-and-excitation, under the names of `efficientnet_pytorch`.
fn efficientnet(seen: &Seen<'_>) -> Option<String> {
    if !seen.any(&["_blocks.", "._se_reduce."]) {
        return None;
    }
    let blocks = seen.count("_blocks.");
    // Width of the last convolution and blocks.
    let last = seen.shape("_conv_head.weight").and_then(|shape| shape.first().copied()).unwrap_or(0);
    let name = match (last, blocks) {
        (1280, 16) => "efficientnet-b0",
        (1280, 23) => "efficientnet-b1",
        (1408, 23) => "efficientnet-b2",
        (1536, 26) => "efficientnet-b3",
        (1792, 32) => "efficientnet-b4",
        (2048, 39) => "efficientnet-b5",
        (2304, 45) => "efficientnet-b6",
        (2560, 55) => "efficientnet-b7",
        _ => return Some(format!("an EfficientNet of {blocks} blocks with squeeze-and-excitation")),
    };
    Some(format!("{name}, which has squeeze-and-excitation"))
}

/// Well-known networks by a name that only they have.
fn family(seen: &Seen<'_>) -> Option<String> {
    let of = |name: &str| Some(name.to_owned());
    if seen.any(&["features.denseblock"]) {
        let blocks = [1, 2, 3, 4].map(|block| seen.count(&format!("features.denseblock{block}.denselayer")));
        return Some(match blocks {
            [6, 12, 24, 16] => "densenet121".to_owned(),
            [6, 12, 36, 24] => "densenet161".to_owned(),
            [6, 12, 32, 32] => "densenet169".to_owned(),
            [6, 12, 48, 32] => "densenet201".to_owned(),
            _ => "a DenseNet".to_owned(),
        });
    }
    if seen.any(&["Mixed_5b."]) {
        return of("inception_v3");
    }
    if seen.any(&["inception3a."]) {
        return of("googlenet");
    }
    if seen.any(&[".squeeze.weight"]) && seen.any(&[".expand3x3."]) {
        return of("a SqueezeNet");
    }
    if seen.any(&["relative_position_bias_table"]) {
        return of("a Swin transformer");
    }
    if seen.any(&["blocks.", ".attn."]) || seen.any(&["encoder.layer", "attention."]) {
        return of("a vision transformer");
    }
    if seen.any(&["blocks.", ".gamma"]) || seen.any(&["features.", ".layer_scale"]) {
        return of("a ConvNeXt");
    }
    if seen.any(&["blocks.", ".conv_dw."]) {
        return of("an EfficientNet or MobileNet of timm");
    }
    if seen.any(&["features.", ".block.", ".fc1."]) {
        let three = seen.has("classifier.3.weight");
        return of(if three { "a MobileNetV3 of torchvision" } else { "an EfficientNet of torchvision" });
    }
    if seen.any(&["features.", ".conv.0.0."]) {
        return of("mobilenet_v2");
    }
    let classifier = seen.any(&["classifier."]);
    match seen.shape("features.0.weight")? {
        [64, _, 11, 11] => of("alexnet"),
        [64, _, 3, 3] if classifier => {
            let is_convolution = |name: &&str| seen.shape(name).is_some_and(|shape| shape.len() == 4);
            let convolutions = seen.names().filter(|name| name.starts_with("features.")).filter(is_convolution).count();
            let normalised = if seen.has("features.1.running_mean") { "_bn" } else { "" };
            Some(format!("vgg{}{normalised}", convolutions + 3))
        }
        _ => None,
    }
}
