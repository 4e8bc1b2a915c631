//! Poolings.

use lungfish_engine::schedule::{BackwardStep, Sliding};
use lungfish_engine::{EngineError, Shape};

use super::{Run, window as numbered};
use crate::kernel::Kernel;
use crate::launch::Numbers;

pub(super) fn max_pool(run: &mut Run<'_, '_>, window: &Sliding) -> Result<(), EngineError> {
    let views = vec![run.view(run.step.x[0]), run.view(run.step.y)];
    run.each(Kernel::MaxPool, run.count(), views, numbered(Numbers::default().u(run.count()), window))
}

pub(super) fn max_pool_gradient(
    run: &mut Run<'_, '_>,
    window: &Sliding,
    back: &BackwardStep,
) -> Result<(), EngineError> {
    let Some(dx) = run.step.dx[0] else { return Ok(()) };
    let views = vec![run.view(run.step.x[0]), run.view(run.step.y), run.view(run.dy()?), run.view(dx)];
    let count = run.films.len() * window.x.len();
    run.each(Kernel::MaxPoolGradient, count, views, numbered(Numbers::default().u(count).b(back.accumulate[0]), window))
}

pub(super) fn average_pool(run: &mut Run<'_, '_>, x: Shape) -> Result<(), EngineError> {
    let views = vec![run.view(run.step.x[0]), run.view(run.step.y)];
    run.each(Kernel::AveragePool, run.count(), views, Numbers::default().us([run.count(), x.pixels()]))
}

pub(super) fn average_pool_gradient(run: &mut Run<'_, '_>, x: Shape, back: &BackwardStep) -> Result<(), EngineError> {
    let Some(dx) = run.step.dx[0] else { return Ok(()) };
    let views = vec![run.view(run.dy()?), run.view(dx)];
    let count = run.films.len() * x.len();
    run.each(
        Kernel::AveragePoolGradient,
        count,
        views,
        Numbers::default().us([count, x.pixels()]).b(back.accumulate[0]),
    )
}
