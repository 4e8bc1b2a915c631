//! Activations, sums and dropout, element by element.

use lungfish_engine::EngineError;
use lungfish_engine::schedule::{Activation, BackwardStep, DropoutStep, dropout_mask};

use super::{Run, activation as numbered};
use crate::kernel::Kernel;
use crate::launch::Numbers;
use crate::values;

pub(super) fn activation(run: &mut Run<'_, '_>, activation: Activation) -> Result<(), EngineError> {
    let (x, y) = (run.step.x[0], run.step.y);
    let own = x == y;
    let views = vec![if own { None } else { run.view(x) }, run.view(y)];
    let numbers = numbered(Numbers::default().u(run.count()), activation).b(own).b(false);
    run.each(Kernel::Activation, run.count(), views, numbers)
}

pub(super) fn activation_gradient(
    run: &mut Run<'_, '_>,
    activation: Activation,
    back: &BackwardStep,
) -> Result<(), EngineError> {
    let Some(dx) = run.step.dx[0] else { return Ok(()) };
    let dy = run.dy()?;
    let own = dx == dy;
    let views = vec![run.view(run.step.y), run.view(dy), if own { None } else { run.view(dx) }];
    let numbers = numbered(Numbers::default().u(run.count()), activation).b(own).b(back.accumulate[0]);
    run.each(Kernel::ActivationGradient, run.count(), views, numbers)
}

pub(super) fn add(run: &mut Run<'_, '_>) -> Result<(), EngineError> {
    let [x, other] = [run.step.x[0], run.step.x[1]];
    let twice = x == other;
    let views = vec![run.view(x), if twice { None } else { run.view(other) }, run.view(run.step.y)];
    run.each(Kernel::Add, run.count(), views, Numbers::default().u(run.count()).b(twice))
}

/// The gradient of a sum is that of its terms: one of them may use it as it lies, others get a copy.
pub(super) fn add_gradient(run: &mut Run<'_, '_>, back: &BackwardStep) -> Result<(), EngineError> {
    let dy = run.dy()?;
    for (dx, add) in run.step.dx.iter().zip(&back.accumulate) {
        let Some(dx) = dx.filter(|dx| *dx != dy) else { continue };
        let views = vec![run.view(dy), run.view(dx)];
        let numbers = numbered(Numbers::default().u(run.count()), Activation::Identity).b(false).b(*add);
        run.each(Kernel::Activation, run.count(), views, numbers)?;
    }
    Ok(())
}

pub(super) fn dropout(run: &mut Run<'_, '_>, dropout: &DropoutStep, key: [u64; 4]) -> Result<(), EngineError> {
    // It is drawn here, in the order film, row, column, channel, as for every device, and lies there as values do.
    let mut drawn = vec![0.0; run.count()];
    dropout_mask(key, dropout, &mut drawn);
    let shape = run.step.shape;
    if shape.pixels() > 1 {
        let films = drawn.chunks_exact(shape.len());
        let places = |film: &[f32]| {
            let channel = |c: usize| (c..shape.len()).step_by(shape.c);
            (0..shape.c).flat_map(channel).map(|i| film[i]).collect::<Vec<_>>()
        };
        drawn = films.flat_map(places).collect();
    }
    let mask = run.program.view(run.saved()?, &run.films);
    values::write(run.device, &mask, &drawn)?;
    let views = vec![run.view(run.step.x[0]), Some(mask), run.view(run.step.y)];
    run.each(Kernel::Multiply, run.count(), views, Numbers::default().u(run.count()).b(false))
}

pub(super) fn dropout_gradient(run: &mut Run<'_, '_>, back: &BackwardStep) -> Result<(), EngineError> {
    let Some(dx) = run.step.dx[0] else { return Ok(()) };
    let views = vec![run.view(run.dy()?), run.view(run.saved()?), run.view(dx)];
    run.each(Kernel::Multiply, run.count(), views, Numbers::default().u(run.count()).b(back.accumulate[0]))
}
