//! ResNets as torchvision builds them (`torchvision.models.resnet`).

use lungfish_engine::{GraphBuilder, Padding, ValueId, Window};

const EPSILON: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// What torchvision's network is made of, in the order of its `children()`.
pub(crate) const CHILDREN: [&str; 10] =
    ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"];

/// What a layer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Two 3x3 convolutions (`BasicBlock`).
    Basic,
    /// 1x1, 3x3 with the stride, 1x1 to four times the width (`Bottleneck`, "v1.5").
    Bottleneck,
}

impl Block {
    fn expansion(self) -> usize {
        match self {
            Block::Basic => 1,
            Block::Bottleneck => 4,
        }
    }
}

/// Everything up to the pooled features `[N, 512 * expansion]`, in parts `stem`, `layer1` ..
/// `layer4`; `taps` receives the output of each.
pub(crate) fn backbone(
    g: &mut GraphBuilder,
    block: Block,
    repeats: [usize; 4],
    taps: &mut Vec<(String, ValueId)>,
) -> ValueId {
    g.part("stem");
    let x = g.input();
    let x = g.conv("conv1", x, 64, Window::square(7, 2, Padding::all(3)), 1, false);
    let x = g.batch_norm("bn1", x, EPSILON, MOMENTUM);
    let x = g.relu("relu", x);
    let mut x = g.max_pool("maxpool", x, Window::square(3, 2, Padding::all(1)));
    taps.push(("stem".to_owned(), x));

    for (i, repeats) in repeats.into_iter().enumerate() {
        let layer = format!("layer{}", i + 1);
        g.part(&layer);
        let width = 64 << i;
        for n in 0..repeats {
            let stride = if n == 0 && i > 0 { 2 } else { 1 };
            x = residual(g, &format!("{layer}.{n}"), block, x, width, stride);
        }
        taps.push((layer, x));
    }
    g.global_average_pool("avgpool", x)
}

/// One residual block, named `prefix`; the shortcut is a 1x1 convolution where shapes differ.
fn residual(g: &mut GraphBuilder, prefix: &str, block: Block, x: ValueId, width: usize, stride: usize) -> ValueId {
    let out = width * block.expansion();
    let one = |stride| Window::square(1, stride, Padding::all(0));
    let three = |stride| Window::square(3, stride, Padding::all(1));
    let steps: &[(usize, Window)] = match block {
        Block::Basic => &[(width, three(stride)), (width, three(1))],
        Block::Bottleneck => &[(width, one(1)), (width, three(stride)), (out, one(1))],
    };

    let mut y = x;
    for (i, &(channels, window)) in steps.iter().enumerate() {
        if i > 0 {
            y = g.relu(&format!("{prefix}.relu{i}"), y);
        }
        y = g.conv(&format!("{prefix}.conv{}", i + 1), y, channels, window, 1, false);
        y = g.batch_norm(&format!("{prefix}.bn{}", i + 1), y, EPSILON, MOMENTUM);
    }
    let shortcut = if stride != 1 || g.channels(x) != out {
        let s = g.conv(&format!("{prefix}.downsample.0"), x, out, one(stride), 1, false);
        g.batch_norm(&format!("{prefix}.downsample.1"), s, EPSILON, MOMENTUM)
    } else {
        x
    };
    let y = g.add(&format!("{prefix}.add"), y, shortcut);
    g.relu(&format!("{prefix}.relu"), y)
}
