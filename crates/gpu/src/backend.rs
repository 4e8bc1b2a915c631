//! The engine's [`Backend`] on a GPU.

use std::ops::Range;

use lungfish_engine::schedule::{BackwardStep, Schedule};
use lungfish_engine::{AdamUpdate, Backend, Element, EngineError, Input, Normalization, Region, Shape, State};

use crate::Wgpu;
use crate::buffer::GpuBuffer;
use crate::device::Groups;
use crate::kernel::{Kernel, Stored};
use crate::launch::{Launch, Numbers, View};
use crate::program::GpuProgram;
use crate::steps::{self, Run};
use crate::values;

fn fits(what: &str, got: usize, want: usize) -> Result<(), EngineError> {
    if got == want { Ok(()) } else { Err(EngineError::Length { what: what.to_owned(), got, want }) }
}

impl Backend for Wgpu {
    type Buffer = GpuBuffer;
    type Program = GpuProgram;

    /// All films at once, since a launch costs more than memory traffic saves, unless their values would not fit into a piece:
    /// with WebGPU's 128 MiB what is not trained goes through some films at a time.
    fn cache(&self) -> Option<usize> {
        usize::try_from(self.piece / 2).ok()
    }

    fn piece(&self) -> Option<usize> {
        usize::try_from(self.piece).ok()
    }

    fn allocate(&self, element: Element, len: usize) -> Result<GpuBuffer, EngineError> {
        if element != Element::F32 {
            return Err(self.open.error("tensors of a store are single floats"));
        }
        GpuBuffer::new(&self.open, len)
    }

    fn upload(&self, buffer: &mut GpuBuffer, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        let place = buffer.place("an upload", offset, host.len())?;
        self.open.write(buffer.inner(), place, bytemuck::cast_slice(host))
    }

    fn download(&self, buffer: &GpuBuffer, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        let place = buffer.place("a download", offset, host.len())?;
        self.open.read(buffer.inner(), place, bytemuck::cast_slice_mut(host))
    }

    fn compile(&self, schedule: &Schedule) -> Result<GpuProgram, EngineError> {
        let values = schedule.steps.iter().flat_map(|step| step.x.iter().chain([&step.y]));
        for region in values.chain([&schedule.input.0]) {
            match region.element {
                Element::F32 => {}
                Element::F16 if self.f16 => {}
                Element::F16 => return Err(self.open.error("has no f16 (shader-f16), and this plan is of it")),
                Element::Bf16 => return Err(self.open.error("does not compute in bf16, and this plan is of it")),
            }
        }
        let scratch = schedule.steps.iter().map(|step| steps::scratch(step, schedule.capacity)).max().unwrap_or(0);
        GpuProgram::new(&self.open, schedule, self.piece, scratch)
    }

    fn feed(
        &self,
        program: &mut GpuProgram,
        (region, shape): (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError> {
        if !matches!(input, Input::Values(_)) && shape.c != 3 {
            return Err(EngineError::Shape { what: format!("pixels are fed to a value of {} channels", shape.c) });
        }
        let view = program.view(region, &(0..n));
        let (pixels, bytes) = match input {
            Input::Values(x) => {
                fits("values", x.len(), n * shape.len())?;
                return values::write(&self.open, &view, x);
            }
            Input::Gray(x) => (fits("gray pixels", x.len(), n * shape.pixels()).map(|()| x)?, 1),
            Input::Rgb(x) => (fits("RGB pixels", x.len(), n * shape.len()).map(|()| x)?, 3),
        };
        let films = program.films(&self.open, pixels.len())?;
        values::write_bytes(&self.open, &films, pixels)?;
        let count = n * shape.len();
        let numbers = Numbers::default().us([count, shape.pixels(), bytes]).aligned();
        let Normalization { mean, std } = *normalization;
        let numbers = mean.into_iter().fold(numbers, Numbers::f).aligned();
        let numbers = std.into_iter().fold(numbers, Numbers::f);
        let stored = Stored { x: Element::F32, y: region.element };
        let views = vec![Some(films), Some(view)];
        program.launch(&self.open, Launch::each(Kernel::Pixels, count, views, numbers).of(stored))
    }

    fn forward(
        &self,
        program: &mut GpuProgram,
        schedule: &Schedule,
        state: &mut State<'_, GpuBuffer>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        for stretch in &schedule.stretches {
            for films in stretch.parts(n) {
                for step in &schedule.steps[stretch.steps.clone()] {
                    Run { device: &self.open, program, state, step, films: films.clone() }.forward(key)?;
                }
            }
        }
        Ok(())
    }

    fn backward(
        &self,
        program: &mut GpuProgram,
        schedule: &Schedule,
        state: &mut State<'_, GpuBuffer>,
        n: usize,
        steps: &[BackwardStep],
        accumulate: bool,
    ) -> Result<(), EngineError> {
        for back in steps {
            let step = &schedule.steps[back.step];
            Run { device: &self.open, program, state, step, films: 0..n }.backward(back, accumulate)?;
        }
        Ok(())
    }

    fn read(&self, program: &GpuProgram, (region, shape): (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError> {
        values::read(&self.open, &program.view(region, &(0..n)), n * shape.len())
    }

    fn adam(
        &self,
        update: &AdamUpdate,
        ranges: &[(Range<usize>, f64)],
        params: &mut GpuBuffer,
        grads: &GpuBuffer,
        m: &mut GpuBuffer,
        v: &mut GpuBuffer,
    ) -> Result<(), EngineError> {
        let AdamUpdate { beta1, beta2, epsilon, weight_decay, decoupled, step } = *update;
        let power = |beta: f64| 1.0 - beta.powf(step as f64);
        let mut moment = 0;
        for (range, lr) in ranges {
            let (shrink, decay) = if decoupled { (1.0 - lr * weight_decay, 0.0) } else { (1.0, weight_decay) };
            let coefficients =
                [lr / power(beta1), power(beta2).sqrt(), epsilon, 1.0 - beta1, beta2, 1.0 - beta2, shrink, decay];
            let numbers = Numbers::default().us([range.len(), range.start, moment]);
            let numbers = coefficients.into_iter().fold(numbers, |numbers, value| numbers.f(value as f32));
            let views = [&*params, grads, &*m, &*v].map(|buffer| Some(buffer.view())).to_vec();
            self.open.launch(&mut Groups::default(), Launch::each(Kernel::Adam, range.len(), views, numbers))?;
            moment += range.len();
        }
        Ok(())
    }

    fn sum_of_squares(&self, buffer: &GpuBuffer, ranges: &[Range<usize>]) -> Result<f64, EngineError> {
        // Parts in single precision, of few terms a thread; their sum in double.
        const SHARE: usize = 1 << 14;
        let parts: usize = ranges.iter().map(|range| range.len().div_ceil(SHARE)).sum();
        let (sums, id) = self.open.allocate(parts as u64 * 4)?;
        let mut to = 0;
        for range in ranges {
            let groups = range.len().div_ceil(SHARE);
            let launch = Launch {
                kernel: Kernel::Squares,
                stored: Stored::SINGLE,
                views: vec![Some(buffer.view()), Some(View::floats(&sums, id, 0..parts))],
                numbers: Numbers::default().us([range.start, range.len(), SHARE, to]),
                workgroups: [groups as u32, 1, 1],
                work: range.len() as u64,
            };
            self.open.launch(&mut Groups::default(), launch)?;
            to += groups;
        }
        let mut host = vec![0.0_f32; parts];
        self.open.read(&sums, 0, bytemuck::cast_slice_mut(&mut host))?;
        Ok(host.into_iter().map(f64::from).sum())
    }

    fn blend(
        &self,
        into: &mut GpuBuffer,
        from: &GpuBuffer,
        ranges: &[Range<usize>],
        weight: f32,
    ) -> Result<(), EngineError> {
        for range in ranges {
            let views = vec![Some(into.view()), Some(from.view())];
            let numbers = Numbers::default().us([range.len(), range.start]).f(weight).b(false);
            self.open.launch(&mut Groups::default(), Launch::each(Kernel::Blend, range.len(), views, numbers))?;
        }
        Ok(())
    }

    fn scale(&self, buffer: &mut GpuBuffer, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        for range in ranges {
            let numbers = Numbers::default().us([range.len(), range.start]).f(factor).b(true);
            let views = vec![Some(buffer.view()), None];
            self.open.launch(&mut Groups::default(), Launch::each(Kernel::Blend, range.len(), views, numbers))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lungfish_engine::{GraphBuilder, Padding, Plan, PlanSpec, Precision, Window};

    use super::*;
    use crate::adapters;

    #[test]
    fn an_adapter_without_f16_refuses_it_by_its_name() {
        let Some(adapter) = adapters().pop() else { return };
        let gpu = Wgpu { f16: false, ..adapter.open().unwrap() };
        let mut g = GraphBuilder::new(3);
        let x = g.input();
        let x = g.conv("conv", x, 4, Window::square(3, 1, Padding::all(1)), 1, false);
        let graph = g.finish(x).unwrap();
        let none = Normalization { mean: [0.0; 3], std: [1.0; 3] };
        let spec = PlanSpec { precision: Precision::F16, ..PlanSpec::inference(&graph, 1, 8, none) };
        let refused = Plan::new(&gpu, &graph, spec.clone()).err().unwrap().to_string();
        assert_eq!(refused, format!("{}: has no f16 (shader-f16), and this plan is of it", adapter.name()));
        assert!(Plan::new(&gpu, &graph, PlanSpec { precision: Precision::Fp32, ..spec }).is_ok());
    }
}
