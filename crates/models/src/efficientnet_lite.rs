//! The EfficientNet-Lite networks as published, under the names of `efficientnet_lite_pytorch`.

use lungfish_engine::{GraphBuilder, Padding, ValueId, Window};

/// TensorFlow's `batch_norm_epsilon`.
const EPSILON: f32 = 1e-3;
/// PyTorch's meaning; TensorFlow's `batch_norm_momentum` 0.99 seen from the other end.
const MOMENTUM: f32 = 0.01;

/// How wide and deep a network of the family is, in tenths of Lite0. The stem, the last convolution, and the number of
/// blocks in the first and last stage are the same in all of them.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    width: usize,
    depth: usize,
}

pub(crate) const LITE0: Scale = Scale { width: 10, depth: 10 };
pub(crate) const LITE1: Scale = Scale { width: 10, depth: 11 };
pub(crate) const LITE2: Scale = Scale { width: 11, depth: 12 };

impl Scale {
    /// Channels, to the nearest multiple of 8, or to the next where that would take away more than a tenth.
    fn channels(self, of_lite0: usize) -> usize {
        let tenths = of_lite0 * self.width;
        let rounded = ((tenths + 40) / 80 * 8).max(8);
        if rounded * 100 < tenths * 9 { rounded + 8 } else { rounded }
    }

    /// Blocks, rounded up.
    fn blocks(self, of_lite0: usize) -> usize {
        (of_lite0 * self.depth).div_ceil(10)
    }
}

/// A run of inverted-residual blocks of Lite0; only the first has the stride.
#[derive(Clone, Copy)]
struct Stage {
    repeats: usize,
    kernel: usize,
    stride: usize,
    expand: usize,
    out: usize,
}

const STAGES: [Stage; 7] = [
    Stage { repeats: 1, kernel: 3, stride: 1, expand: 1, out: 16 },
    Stage { repeats: 2, kernel: 3, stride: 2, expand: 6, out: 24 },
    Stage { repeats: 2, kernel: 5, stride: 2, expand: 6, out: 40 },
    Stage { repeats: 3, kernel: 3, stride: 2, expand: 6, out: 80 },
    Stage { repeats: 3, kernel: 5, stride: 1, expand: 6, out: 112 },
    Stage { repeats: 4, kernel: 5, stride: 2, expand: 6, out: 192 },
    Stage { repeats: 1, kernel: 3, stride: 1, expand: 6, out: 320 },
];

/// TensorFlow's SAME padding, which depends on the image size.
fn same(kernel: usize, stride: usize) -> Window {
    Window::square(kernel, stride, Padding::SameUpper)
}

/// Everything up to the pooled features `[N, 1280]`, in parts `stem`, `stage1` .. `stage7`, `top`;
/// `taps` receives the output of each (of `top` before pooling).
pub(crate) fn backbone(g: &mut GraphBuilder, scale: Scale, taps: &mut Vec<(String, ValueId)>) -> ValueId {
    g.part("stem");
    let x = g.input();
    let x = g.conv("_conv_stem", x, 32, same(3, 2), 1, false);
    let x = g.batch_norm("_bn0", x, EPSILON, MOMENTUM);
    let mut x = g.relu6("_relu6_stem", x);
    taps.push(("stem".to_owned(), x));

    let mut block = 0;
    for (i, stage) in STAGES.iter().enumerate() {
        let name = format!("stage{}", i + 1);
        g.part(&name);
        let is_end = i == 0 || i + 1 == STAGES.len();
        let repeats = if is_end { stage.repeats } else { scale.blocks(stage.repeats) };
        let stage = Stage { repeats, out: scale.channels(stage.out), ..*stage };
        for n in 0..stage.repeats {
            let stride = if n == 0 { stage.stride } else { 1 };
            x = inverted_residual(g, &format!("_blocks.{block}"), x, &stage, stride);
            block += 1;
        }
        taps.push((name, x));
    }

    g.part("top");
    let x = g.conv("_conv_head", x, 1280, same(1, 1), 1, false);
    let x = g.batch_norm("_bn1", x, EPSILON, MOMENTUM);
    let x = g.relu6("_relu6_head", x);
    taps.push(("top".to_owned(), x));
    g.global_average_pool("_avg_pooling", x)
}

/// Expand, depthwise, project; no activation after the projection, and a skip where shapes agree.
fn inverted_residual(g: &mut GraphBuilder, prefix: &str, x: ValueId, stage: &Stage, stride: usize) -> ValueId {
    let input = g.channels(x);
    let wide = input * stage.expand;
    let mut y = x;
    if stage.expand != 1 {
        y = g.conv(&format!("{prefix}._expand_conv"), y, wide, same(1, 1), 1, false);
        y = g.batch_norm(&format!("{prefix}._bn0"), y, EPSILON, MOMENTUM);
        y = g.relu6(&format!("{prefix}._relu6_0"), y);
    }
    y = g.conv(&format!("{prefix}._depthwise_conv"), y, wide, same(stage.kernel, stride), wide, false);
    y = g.batch_norm(&format!("{prefix}._bn1"), y, EPSILON, MOMENTUM);
    y = g.relu6(&format!("{prefix}._relu6_1"), y);
    y = g.conv(&format!("{prefix}._project_conv"), y, stage.out, same(1, 1), 1, false);
    y = g.batch_norm(&format!("{prefix}._bn2"), y, EPSILON, MOMENTUM);
    if stride == 1 && input == stage.out { g.add(&format!("{prefix}.add"), y, x) } else { y }
}
