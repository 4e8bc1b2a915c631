//! The device that computes, as a value: one of the backends that this program has. Every other room says [`Compute`] and
//! names no backend, so that one more is one more variant here.

use std::ops::Range;

use lungfish_engine::schedule::{BackwardStep, Schedule};
use lungfish_engine::{AdamUpdate, Backend, Cpu, Element, EngineError, Input, Normalization, Region, Shape, State};

/// A device that computes.
#[derive(Clone, Debug)]
pub(crate) enum Compute {
    /// The processor.
    Cpu(Cpu),
}

impl Default for Compute {
    fn default() -> Self {
        Compute::Cpu(Cpu::new())
    }
}

/// What lies on a device.
pub(crate) enum On<OfCpu> {
    Cpu(OfCpu),
}

type Buffer = On<<Cpu as Backend>::Buffer>;
type Program = On<<Cpu as Backend>::Program>;

/// A buffer for the processor; with further backends the one that lies elsewhere is an [`EngineError::Device`].
fn on_cpu(buffer: &mut Buffer) -> Result<&mut <Cpu as Backend>::Buffer, EngineError> {
    let On::Cpu(own) = buffer;
    Ok(own)
}

impl Backend for Compute {
    type Buffer = Buffer;
    type Program = Program;

    fn cache(&self) -> Option<usize> {
        let Compute::Cpu(cpu) = self;
        cpu.cache()
    }

    fn allocate(&self, element: Element, len: usize) -> Result<Buffer, EngineError> {
        let Compute::Cpu(cpu) = self;
        Ok(On::Cpu(cpu.allocate(element, len)?))
    }

    fn upload(&self, buffer: &mut Buffer, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        let Compute::Cpu(cpu) = self;
        cpu.upload(on_cpu(buffer)?, offset, host)
    }

    fn download(&self, buffer: &Buffer, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(buffer)) = (self, buffer);
        cpu.download(buffer, offset, host)
    }

    fn compile(&self, schedule: &Schedule) -> Result<Program, EngineError> {
        let Compute::Cpu(cpu) = self;
        Ok(On::Cpu(cpu.compile(schedule)?))
    }

    fn feed(
        &self,
        program: &mut Program,
        place: (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(program)) = (self, program);
        cpu.feed(program, place, n, input, normalization)
    }

    fn forward(
        &self,
        program: &mut Program,
        schedule: &Schedule,
        state: &mut State<'_, Buffer>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(program)) = (self, program);
        cpu.forward(program, schedule, &mut state.map(on_cpu)?, n, key)
    }

    fn backward(
        &self,
        program: &mut Program,
        schedule: &Schedule,
        state: &mut State<'_, Buffer>,
        n: usize,
        steps: &[BackwardStep],
        accumulate: bool,
    ) -> Result<(), EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(program)) = (self, program);
        cpu.backward(program, schedule, &mut state.map(on_cpu)?, n, steps, accumulate)
    }

    fn read(&self, program: &Program, place: (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(program)) = (self, program);
        cpu.read(program, place, n)
    }

    fn adam(
        &self,
        update: &AdamUpdate,
        ranges: &[(Range<usize>, f64)],
        params: &mut Buffer,
        grads: &Buffer,
        m: &mut Buffer,
        v: &mut Buffer,
    ) -> Result<(), EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(grads)) = (self, grads);
        cpu.adam(update, ranges, on_cpu(params)?, grads, on_cpu(m)?, on_cpu(v)?)
    }

    fn sum_of_squares(&self, buffer: &Buffer, ranges: &[Range<usize>]) -> Result<f64, EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(buffer)) = (self, buffer);
        cpu.sum_of_squares(buffer, ranges)
    }

    fn blend(&self, into: &mut Buffer, from: &Buffer, ranges: &[Range<usize>], weight: f32) -> Result<(), EngineError> {
        let (Compute::Cpu(cpu), On::Cpu(from)) = (self, from);
        cpu.blend(on_cpu(into)?, from, ranges, weight)
    }

    fn scale(&self, buffer: &mut Buffer, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        let Compute::Cpu(cpu) = self;
        cpu.scale(on_cpu(buffer)?, ranges, factor)
    }
}
