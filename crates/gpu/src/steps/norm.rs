//! Batch normalisation: statistics and sums of a channel in parts, each part by a workgroup, put together by one thread.

use lungfish_engine::schedule::{Activation, BackwardStep, BatchNormStep};
use lungfish_engine::{EngineError, Region, Shape};

use super::{Run, activation};
use crate::kernel::Kernel;
use crate::launch::{Numbers, View};

/// Pixels of a part, at least.
const PART: usize = 4096;
/// Parts of a channel, at most.
const PARTS: usize = 64;

/// How many pixels a part has, and how many parts there are, of `count` pixels of a channel.
fn parts(count: usize) -> (usize, usize) {
    let share = count.div_ceil(count.div_ceil(PART).clamp(1, PARTS));
    (share, count.div_ceil(share))
}

/// Two sums of each part, and two of each channel.
pub(super) fn scratch(shape: Shape, films: usize) -> usize {
    2 * shape.c * (parts(films * shape.pixels()).1 + 1)
}

pub(super) fn forward(run: &mut Run<'_, '_>, norm: &BatchNormStep) -> Result<(), EngineError> {
    let BatchNormStep { norm, activation: last } = norm;
    let (step, shape) = (run.step, run.step.shape);
    let mut saved = None;
    if step.trained {
        let count = run.films.len() * shape.pixels();
        let (share, parts) = parts(count);
        let room = run.program.scratch(run.device, scratch(shape, run.films.len()))?;
        saved = run.view(run.saved()?);
        let numbers = Numbers::default().us([shape.c, shape.pixels(), count, share]);
        run.launch(
            Kernel::Statistics,
            vec![run.view(step.x[0]), Some(room.clone())],
            numbers,
            ([parts, shape.c, 1], run.count() as u64),
        )?;
        let unbiased = count as f32 / (count.max(2) - 1) as f32;
        let numbers = Numbers::default().us([shape.c, count, share, parts, norm.mean.start, norm.var.start]);
        let numbers = numbers.f(norm.momentum).f(norm.epsilon).f(unbiased);
        let views = vec![Some(room), saved.clone(), run.buffers()];
        run.launch(Kernel::StatisticsEnd, views, numbers, ([shape.c.div_ceil(64), 1, 1], shape.c as u64))?;
    }
    let added = step.x.get(1).copied();
    let views = vec![
        run.view(step.x[0]),
        run.params(),
        run.view(step.y),
        added.and_then(|region| run.view(region)),
        run.buffers(),
        saved,
    ];
    let places = [&norm.scale, &norm.bias, &norm.mean, &norm.var].map(|range| range.start);
    let numbers = Numbers::default().us([run.count(), shape.c, shape.pixels()]).us(places).b(step.trained);
    let numbers = activation(numbers.f(norm.epsilon).b(added.is_some()), *last);
    run.each(Kernel::Normalise, run.count(), views, numbers)
}

/// Where a gradient goes, and how the shader is told: see `normalise_gradient.wgsl`.
fn goes(run: &Run<'_, '_>, to: Option<Region>, dy: Region, add: bool) -> (Option<View>, usize) {
    match to {
        None => (None, 0),
        Some(place) if place == dy => (None, 3),
        Some(place) => (run.view(place), if add { 2 } else { 1 }),
    }
}

pub(super) fn backward(
    run: &mut Run<'_, '_>,
    norm: &BatchNormStep,
    back: &BackwardStep,
    accumulate: bool,
) -> Result<(), EngineError> {
    let BatchNormStep { norm, activation: last } = norm;
    let (step, shape, dy) = (run.step, run.step.shape, run.dy()?);
    let [scale, shift] = [norm.scale.start, norm.bias.start];
    if !step.trained {
        let Some(dx) = step.dx[0] else { return Ok(()) };
        let views = vec![run.view(dy), run.params(), run.view(dx), run.buffers()];
        let numbers = Numbers::default().us([run.count(), shape.c, shape.pixels(), scale, norm.var.start]);
        return run.each(Kernel::ScaleGradient, run.count(), views, numbers.f(norm.epsilon).b(back.accumulate[0]));
    }
    let count = run.films.len() * shape.pixels();
    let (share, parts) = parts(count);
    let room = run.program.scratch(run.device, scratch(shape, run.films.len()))?;
    let saved = run.view(run.saved()?);
    let told = step.x.len() > 1 && *last != Activation::Identity;
    let y = if told { run.view(step.y) } else { None };
    let seen = vec![run.view(step.x[0]), run.params(), y, run.view(dy), saved, Some(room.clone())];

    let numbers = Numbers::default().us([shape.c, shape.pixels(), count, share, scale, shift]).b(told);
    run.launch(
        Kernel::NormaliseSums,
        seen.clone(),
        activation(numbers, *last),
        ([parts, shape.c, 1], run.count() as u64),
    )?;
    let numbers = Numbers::default().us([shape.c, count, parts, scale, shift]).b(accumulate);
    let views = vec![Some(room), run.grads()?];
    run.launch(Kernel::NormaliseSumsEnd, views, numbers, ([shape.c.div_ceil(64), 1, 1], shape.c as u64))?;

    let (dx, to_x) = goes(run, step.dx[0], dy, back.accumulate[0]);
    let added = step.dx.get(1).copied().flatten();
    let (dadded, to_added) = goes(run, added, dy, back.accumulate.get(1) == Some(&true));
    if to_x == 0 && to_added == 0 {
        return Ok(());
    }
    let sums = 2 * shape.c * parts;
    let numbers = Numbers::default().us([run.count(), shape.c, shape.pixels(), scale, shift, sums]).b(told);
    let numbers = activation(numbers, *last).us([to_x, to_added]);
    run.each(Kernel::NormaliseGradient, run.count(), [seen, vec![dx, dadded]].concat(), numbers)
}
