//! The CPU backend: channels-last activations in one arena, and kernels called step by step.

mod arena;
mod run;

use std::ops::Range;

use lungfish_kernels::conv::gray::Gray;
use lungfish_kernels::norm::BatchStatistics;
use lungfish_kernels::optim::{self, AdamStep};
use lungfish_kernels::{Stored, pixels};

use crate::backend::{AdamUpdate, Backend, Input, Normalization, State};
use crate::ops::{Kind, Packed};
use crate::schedule::{BackwardStep, Schedule, Step};
use crate::{Element, EngineError, Region, Shape};

use arena::{Arena, zeros};
pub(crate) use run::{
    BackwardRun, ForwardRun, OnCpu, act, bytes, cut, cut_bytes, missing, no_f16, no_gradients, of_element,
};

/// Runs plans on the processor, on the threads of the current rayon pool. The result does not
/// depend on how many there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;

impl Cpu {
    /// The processor.
    pub fn new() -> Self {
        Cpu
    }
}

/// A schedule with its arena and packed weights.
pub struct CpuProgram {
    arena: Arena,
    /// By step; `None` where it is no convolution or has not run.
    packed: Vec<Option<Packed>>,
    input: Region,
    /// The step that can read gray films as one plane.
    gray_reader: Option<usize>,
    /// What the channels are of that plane; `None` where the films fed last were not gray.
    gray: Option<Gray>,
    /// Sums for the statistics of batch-norms.
    moments: BatchStatistics,
}

impl CpuProgram {
    /// What step `index` has to make of its input: gray films as one plane, or nothing.
    fn gray(&self, index: usize) -> Option<Gray> {
        self.gray.filter(|_| self.gray_reader == Some(index))
    }

    fn forward_step(
        &mut self,
        index: usize,
        step: &Step,
        state: &mut State<'_, Vec<f32>>,
        films: &Range<usize>,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        let gray = self.gray(index);
        let (arena, packed, moments) = (self.arena.floats_mut(), &mut self.packed[index], &mut self.moments);
        step.kind.on_cpu().forward(ForwardRun { step, state, films, key, arena, packed, moments, gray })
    }

    fn backward_step(
        &mut self,
        back: &BackwardStep,
        step: &Step,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        accumulate: bool,
    ) -> Result<(), EngineError> {
        let gray = self.gray(back.step);
        step.kind.on_cpu().backward(BackwardRun {
            step,
            back,
            state,
            n,
            packed: &self.packed[back.step],
            arena: self.arena.floats_mut(),
            gray,
            x: step.x[0].range(n),
            dy: step.dy.ok_or_else(|| missing(step, "gradient"))?.range(n),
            dx: step.dx[0].map(|r| r.range(n)),
            add: back.accumulate[0],
            accumulate,
        })
    }
}

/// Pixels or values of `n` films to their place, one value an element.
fn put<T: Stored>(
    y: &mut [T],
    shape: Shape,
    n: usize,
    input: Input<'_>,
    normalization: &Normalization,
) -> Result<(), EngineError> {
    let Normalization { mean, std } = *normalization;
    match input {
        Input::Gray(x) => {
            fits("gray pixels", x.len(), n * shape.pixels())?;
            pixels::normalise_gray(n, shape.pixels(), x, mean, std, y);
        }
        Input::Rgb(x) => {
            fits("RGB pixels", x.len(), n * shape.len())?;
            pixels::normalise_rgb(n, shape.pixels(), x, mean, std, y);
        }
        Input::Values(x) => {
            fits("values", x.len(), n * shape.len())?;
            pixels::nchw_to_nhwc(n, shape.c, shape.pixels(), x, y);
        }
    }
    Ok(())
}

fn fits(what: &str, got: usize, want: usize) -> Result<(), EngineError> {
    if got == want { Ok(()) } else { Err(EngineError::Length { what: what.to_owned(), got, want }) }
}

impl Backend for Cpu {
    type Buffer = Vec<f32>;
    type Program = CpuProgram;

    /// Small against the outer cache of most processors, which has to hold weights too. On one of 32 MiB, 6 and 12 MiB were
    /// alike.
    fn cache(&self) -> Option<usize> {
        Some(6 << 20)
    }

    fn allocate(&self, element: Element, len: usize) -> Result<Vec<f32>, EngineError> {
        match element {
            Element::F32 => zeros(len),
            Element::Bf16 | Element::F16 => Err(run::device("tensors of a store are single floats".to_owned())),
        }
    }

    fn upload(&self, buffer: &mut Vec<f32>, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        let len = buffer.len();
        let place = buffer.get_mut(offset..offset.saturating_add(host.len())).ok_or_else(|| EngineError::Length {
            what: "an upload".to_owned(),
            got: offset.saturating_add(host.len()),
            want: len,
        })?;
        place.copy_from_slice(host);
        Ok(())
    }

    fn download(&self, buffer: &Vec<f32>, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        let place = buffer.get(offset..offset.saturating_add(host.len())).ok_or_else(|| EngineError::Length {
            what: "a download".to_owned(),
            got: offset.saturating_add(host.len()),
            want: buffer.len(),
        })?;
        host.copy_from_slice(place);
        Ok(())
    }

    fn compile(&self, schedule: &Schedule) -> Result<CpuProgram, EngineError> {
        let halves = |step: &Step| step.x.iter().chain([&step.y]).any(|region| region.element == Element::F16);
        if schedule.input.0.element == Element::F16 || schedule.steps.iter().any(halves) {
            return Err(no_f16());
        }
        let packed = schedule.steps.iter().map(|_| None).collect();
        let serves = |&step: &usize| match &schedule.steps[step].kind {
            Kind::Conv(conv) => conv.reads_gray(),
            _ => false,
        };
        let gray_reader = schedule.gray_reader.filter(serves);
        Ok(CpuProgram {
            arena: Arena::new(schedule.arena)?,
            packed,
            input: schedule.input.0,
            gray_reader,
            gray: None,
            moments: BatchStatistics::default(),
        })
    }

    fn feed(
        &self,
        program: &mut CpuProgram,
        (region, shape): (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError> {
        if !matches!(input, Input::Values(_)) && shape.c != 3 {
            return Err(EngineError::Shape { what: format!("pixels are fed to a value of {} channels", shape.c) });
        }
        let gray = program.gray_reader.map(|_| Gray::new(normalization.mean, normalization.std));
        // A gradient is fed too: it does not change what the films were.
        if !matches!(input, Input::Values(_)) || program.input == region {
            program.gray = gray.filter(|_| matches!(input, Input::Gray(_)));
        }
        let floats = program.arena.floats_mut();
        if let (Input::Gray(x), Some(gray)) = (input, gray) {
            fits("gray pixels", x.len(), n * shape.pixels())?;
            pixels::gray_plane(x, &gray, &mut floats[region.range(n)][..x.len()]);
            return Ok(());
        }
        of_element!(region.element, T => {
            let arena: &mut [T] = bytemuck::cast_slice_mut(floats);
            put(&mut arena[region.range(n)], shape, n, input, normalization)
        })
    }

    fn forward(
        &self,
        program: &mut CpuProgram,
        schedule: &Schedule,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        lungfish_kernels::in_pool(|| {
            for stretch in &schedule.stretches {
                for films in stretch.parts(n) {
                    for i in stretch.steps.clone() {
                        program.forward_step(i, &schedule.steps[i], state, &films, key)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn backward(
        &self,
        program: &mut CpuProgram,
        schedule: &Schedule,
        state: &mut State<'_, Vec<f32>>,
        n: usize,
        steps: &[BackwardStep],
        accumulate: bool,
    ) -> Result<(), EngineError> {
        lungfish_kernels::in_pool(|| {
            let mut steps = steps.iter();
            steps.try_for_each(|back| program.backward_step(back, &schedule.steps[back.step], state, n, accumulate))
        })
    }

    fn read(&self, program: &CpuProgram, (region, shape): (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError> {
        let mut host = vec![0.0; n * shape.len()];
        of_element!(region.element, T => {
            let arena: &[T] = bytemuck::cast_slice(program.arena.floats());
            pixels::nhwc_to_nchw(n, shape.c, shape.pixels(), &arena[region.range(n)], &mut host);
        });
        Ok(host)
    }

    fn adam(
        &self,
        update: &AdamUpdate,
        ranges: &[(Range<usize>, f64)],
        params: &mut Vec<f32>,
        grads: &Vec<f32>,
        m: &mut Vec<f32>,
        v: &mut Vec<f32>,
    ) -> Result<(), EngineError> {
        let AdamUpdate { beta1, beta2, epsilon, weight_decay, decoupled, step } = *update;
        let mut at = 0;
        for &(ref range, lr) in ranges {
            let step = AdamStep { lr, beta1, beta2, epsilon, weight_decay, decoupled, step };
            let moments = at..at + range.len();
            optim::adam(
                &step,
                &mut params[range.clone()],
                &grads[range.clone()],
                &mut m[moments.clone()],
                &mut v[moments],
            );
            at += range.len();
        }
        Ok(())
    }

    fn sum_of_squares(&self, buffer: &Vec<f32>, ranges: &[Range<usize>]) -> Result<f64, EngineError> {
        Ok(ranges.iter().map(|r| optim::sum_of_squares(&buffer[r.clone()])).sum())
    }

    fn blend(
        &self,
        into: &mut Vec<f32>,
        from: &Vec<f32>,
        ranges: &[Range<usize>],
        weight: f32,
    ) -> Result<(), EngineError> {
        for range in ranges {
            optim::blend(&mut into[range.clone()], &from[range.clone()], weight);
        }
        Ok(())
    }

    fn scale(&self, buffer: &mut Vec<f32>, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        for range in ranges {
            optim::scale_in_place(&mut buffer[range.clone()], factor);
        }
        Ok(())
    }
}
