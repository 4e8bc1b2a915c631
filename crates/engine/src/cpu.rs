//! The CPU backend: channels-last activations in one arena, and kernels called step by step.

mod backward;
mod forward;

use std::ops::Range;

use lungfish_kernels::conv::gray::{self, Gray};
use lungfish_kernels::conv::{Act, ConvShape, Filter};
use lungfish_kernels::norm::{BatchNorm, BatchStatistics};
use lungfish_kernels::optim::{self, AdamStep};
use lungfish_kernels::pixels;
use lungfish_kernels::pool::PoolShape;

use crate::backend::{AdamUpdate, Backend, Input, Normalization, State};
use crate::schedule::{Activation, BackwardStep, Kind, Norm, Schedule, Sliding, Step};
use crate::{EngineError, Region, Shape};

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

/// A convolution's packed weights, and the bias that goes with them.
struct Packed {
    /// Of its own part, and of the part of the batch-norm folded in.
    version: (u64, Option<u64>),
    filter: Filter,
    /// The same for gray films, where they are kept as one plane.
    gray: Option<gray::Filter>,
    bias: Option<Vec<f32>>,
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
}

/// Memory that begins at a cache line, so that no vector of a kernel straddles two.
struct Arena {
    floats: Vec<f32>,
    start: usize,
}

impl Arena {
    const LINE: usize = 64;

    fn new(len: usize) -> Self {
        let floats = vec![0.0; len + Self::LINE / size_of::<f32>()];
        // Where it cannot be known the start is as good as any: alignment is speed and nothing else.
        let start = floats.as_ptr().align_offset(Self::LINE).min(floats.len() - len);
        Arena { floats, start }
    }

    fn slice(&self) -> &[f32] {
        &self.floats[self.start..]
    }

    fn slice_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..]
    }
}

/// Disjoint pieces of the arena. They are disjoint by the memory plan; were they not, this is an
/// error and never a wrong result.
fn cut<const N: usize>(arena: &mut [f32], ranges: [Range<usize>; N]) -> Result<[&mut [f32]; N], EngineError> {
    arena
        .get_disjoint_mut(ranges)
        .map_err(|e| EngineError::Shape { what: format!("the memory plan is not sound: {e}") })
}

fn fits(what: &str, got: usize, want: usize) -> Result<(), EngineError> {
    if got == want { Ok(()) } else { Err(EngineError::Length { what: what.to_owned(), got, want }) }
}

fn conv_shape(window: &Sliding, groups: usize) -> ConvShape {
    ConvShape {
        h: window.x.h,
        w: window.x.w,
        c_in: window.x.c,
        c_out: window.y.c,
        kernel: window.kernel,
        stride: window.stride,
        pads: window.pads,
        groups,
    }
}

fn pool_shape(window: &Sliding) -> PoolShape {
    PoolShape {
        h: window.x.h,
        w: window.x.w,
        c: window.x.c,
        kernel: window.kernel,
        stride: window.stride,
        pads: window.pads,
    }
}

/// `scale` and `shift` of a batch normalisation that uses running statistics.
fn affine(norm: &Norm, params: &[f32], buffers: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let inverse = |var: f32| 1.0 / (var + norm.epsilon).sqrt();
    let scale: Vec<f32> = params[norm.scale.clone()]
        .iter()
        .zip(&buffers[norm.var.clone()])
        .map(|(scale, var)| scale * inverse(*var))
        .collect();
    let shift = params[norm.bias.clone()]
        .iter()
        .zip(&buffers[norm.mean.clone()])
        .zip(&scale)
        .map(|((bias, mean), scale)| bias - mean * scale)
        .collect();
    (scale, shift)
}

/// A batch normalisation with the statistics of a batch.
fn batch_norm<'a>(norm: &Norm, mean: &'a [f32], inv_std: &'a [f32], params: &'a [f32], act: Act) -> BatchNorm<'a> {
    let (scale, bias) = (&params[norm.scale.clone()], &params[norm.bias.clone()]);
    BatchNorm { mean, inv_std, scale, bias, act }
}

/// As the kernels call it.
fn act(activation: Activation) -> Act {
    match activation {
        Activation::Identity => Act::None,
        Activation::Relu => Act::Relu,
        Activation::Clip { min, max } => Act::Clip { min, max },
    }
}

fn missing(step: &Step, what: &str) -> EngineError {
    EngineError::Shape { what: format!("{} has no {what}", step.name) }
}

impl Backend for Cpu {
    type Buffer = Vec<f32>;
    type Program = CpuProgram;

    /// Small against the outer cache of most processors, which has to hold weights too. On one of 32 MiB, 6 and 12 MiB were
    /// alike.
    const CACHE: Option<usize> = Some(6 << 20);

    fn allocate(&self, len: usize) -> Result<Vec<f32>, EngineError> {
        Ok(vec![0.0; len])
    }

    fn upload(&self, buffer: &mut Vec<f32>, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        let len = buffer.len();
        let place = buffer.get_mut(offset..offset + host.len()).ok_or_else(|| EngineError::Length {
            what: "an upload".to_owned(),
            got: offset + host.len(),
            want: len,
        })?;
        place.copy_from_slice(host);
        Ok(())
    }

    fn download(&self, buffer: &Vec<f32>, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        let place = buffer.get(offset..offset + host.len()).ok_or_else(|| EngineError::Length {
            what: "a download".to_owned(),
            got: offset + host.len(),
            want: buffer.len(),
        })?;
        host.copy_from_slice(place);
        Ok(())
    }

    fn compile(&self, schedule: &Schedule) -> Result<CpuProgram, EngineError> {
        let packed = schedule.steps.iter().map(|_| None).collect();
        let serves = |&step: &usize| match &schedule.steps[step].kind {
            Kind::Conv { window, groups, .. } => gray::serves(&conv_shape(window, *groups)),
            _ => false,
        };
        let gray_reader = schedule.gray_reader.filter(serves);
        Ok(CpuProgram {
            arena: Arena::new(schedule.arena),
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
        let y = &mut program.arena.slice_mut()[region.range(n)];
        let Normalization { mean, std } = *normalization;
        if !matches!(input, Input::Values(_)) && shape.c != 3 {
            return Err(EngineError::Shape { what: format!("pixels are fed to a value of {} channels", shape.c) });
        }
        let gray = program.gray_reader.map(|_| Gray::new(mean, std));
        // A gradient is fed too: it does not change what the films were.
        if !matches!(input, Input::Values(_)) || program.input == region {
            program.gray = gray.filter(|_| matches!(input, Input::Gray(_)));
        }
        match (input, gray) {
            (Input::Gray(x), Some(gray)) => {
                fits("gray pixels", x.len(), n * shape.pixels())?;
                pixels::gray_plane(x, &gray, &mut y[..x.len()]);
            }
            (Input::Gray(x), None) => {
                fits("gray pixels", x.len(), n * shape.pixels())?;
                pixels::normalise_gray(n, shape.pixels(), x, mean, std, y);
            }
            (Input::Rgb(x), _) => {
                fits("RGB pixels", x.len(), n * shape.len())?;
                pixels::normalise_rgb(n, shape.pixels(), x, mean, std, y);
            }
            (Input::Values(x), _) => {
                fits("values", x.len(), n * shape.len())?;
                pixels::nchw_to_nhwc(n, shape.c, shape.pixels(), x, y);
            }
        }
        Ok(())
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
        pixels::nhwc_to_nchw(n, shape.c, shape.pixels(), &program.arena.slice()[region.range(n)], &mut host);
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

    fn scale(&self, buffer: &mut Vec<f32>, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        for range in ranges {
            optim::scale_in_place(&mut buffer[range.clone()], factor);
        }
        Ok(())
    }
}
