//! Linear layers, which are convolutions of images of one pixel, and the log-probabilities after them.

use lungfish_engine::schedule::{Activation, BackwardStep, ConvStep, GemmStep, Sliding};
use lungfish_engine::{EngineError, Shape};

use super::{Run, conv};
use crate::kernel::Kernel;
use crate::launch::Numbers;

fn as_conv(gemm: &GemmStep) -> ConvStep {
    let pixel = |c| Shape { c, h: 1, w: 1 };
    ConvStep {
        window: Sliding { x: pixel(gemm.inputs), y: pixel(gemm.outputs), kernel: [1; 2], stride: [1; 2], pads: [0; 4] },
        groups: 1,
        weight: gemm.weight.clone(),
        bias: Some(gemm.bias.clone()),
        fold: None,
        activation: Activation::Identity,
    }
}

pub(super) fn scratch(gemm: &GemmStep, films: usize) -> usize {
    conv::scratch(&as_conv(gemm), films)
}

pub(super) fn forward(run: &mut Run<'_, '_>, gemm: &GemmStep) -> Result<(), EngineError> {
    conv::forward(run, &as_conv(gemm))
}

pub(super) fn backward(
    run: &mut Run<'_, '_>,
    gemm: &GemmStep,
    back: &BackwardStep,
    accumulate: bool,
) -> Result<(), EngineError> {
    conv::backward(run, &as_conv(gemm), back, accumulate)
}

pub(super) fn log_softmax(run: &mut Run<'_, '_>, classes: usize) -> Result<(), EngineError> {
    let views = vec![run.view(run.step.x[0]), run.view(run.step.y)];
    run.each(Kernel::LogSoftmax, run.films.len(), views, Numbers::default().us([run.films.len(), classes]))
}

pub(super) fn log_softmax_gradient(
    run: &mut Run<'_, '_>,
    classes: usize,
    back: &BackwardStep,
) -> Result<(), EngineError> {
    let Some(dx) = run.step.dx[0] else { return Ok(()) };
    let views = vec![run.view(run.step.y), run.view(run.dy()?), run.view(dx)];
    let numbers = Numbers::default().us([run.films.len(), classes]).b(back.accumulate[0]);
    run.each(Kernel::LogSoftmaxGradient, run.films.len(), views, numbers)
}
