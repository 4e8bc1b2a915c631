//! The device that computes, as a value: one of the backends that this program has. Every other room says [`Compute`] and
//! names no backend, so that one more is one more variant here.

use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use lungfish_engine::schedule::{BackwardStep, Schedule};
use lungfish_engine::{
    AdamUpdate, Backend, Cpu, Element, EngineError, Input, Normalization, Precision, Region, Shape, State,
};
#[cfg(feature = "gpu")]
use lungfish_gpu::{GpuBuffer, GpuProgram, Wgpu};
use lungfish_kernels::{machine, peak};

use crate::{Error, PrecisionRule, precision};

/// A device that computes.
#[derive(Clone, Debug)]
pub(crate) enum Compute {
    /// The processor.
    Cpu(Cpu),
    /// A GPU.
    #[cfg(feature = "gpu")]
    Gpu(Wgpu),
}

/// What computes where nobody says otherwise.
static DEFAULT: RwLock<Compute> = RwLock::new(Compute::Cpu(Cpu));

impl Default for Compute {
    /// What [`Compute::make_default`] was last called with; the processor before.
    fn default() -> Self {
        DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Compute {
    /// Lets this one compute where nobody says otherwise.
    pub fn make_default(self) {
        *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = self;
    }

    /// Whether it can compute in a precision.
    pub fn has(&self, precision: Precision) -> bool {
        match self {
            Compute::Cpu(_) => precision != Precision::F16,
            #[cfg(feature = "gpu")]
            Compute::Gpu(gpu) => match precision {
                Precision::Fp32 => true,
                Precision::Bf16 => false,
                Precision::F16 => gpu.has_f16(),
            },
        }
    }

    /// Whether what it computes with is the machine's memory.
    pub fn shares_memory(&self) -> bool {
        matches!(self, Compute::Cpu(_))
    }

    /// Floating-point operations a second in single precision where nothing keeps it from them, measured.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    pub fn peak(&self) -> Result<f64, EngineError> {
        match self {
            Compute::Cpu(_) => Ok(peak::flops()),
            #[cfg(feature = "gpu")]
            Compute::Gpu(gpu) => gpu.peak(),
        }
    }

    /// `cpu`, or the GPU's name with the interface and the driver.
    pub fn name(&self) -> String {
        match self {
            Compute::Cpu(_) => "cpu".to_owned(),
            #[cfg(feature = "gpu")]
            Compute::Gpu(gpu) => gpu.describe(),
        }
    }

    /// The language and the vectors of its kernels: `avx512`, `avx2+fma`, `neon` or `scalar`; of a GPU `wgsl`.
    pub fn kernels(&self) -> &'static str {
        match self {
            Compute::Cpu(_) => machine::simd(),
            #[cfg(feature = "gpu")]
            Compute::Gpu(_) => "wgsl",
        }
    }

    /// What a rule comes to for what begins on this device.
    ///
    /// # Errors
    /// A precision that is asked for and that the device does not have.
    pub fn settled(&self, rule: PrecisionRule) -> Result<PrecisionRule, Error> {
        match (self, rule) {
            (Compute::Cpu(_), PrecisionRule::Auto) => Ok(rule.settled()),
            #[cfg(feature = "gpu")]
            (Compute::Gpu(_), PrecisionRule::Auto) => Ok(PrecisionRule::Fp32),
            (_, asked) if self.has(asked.precision()) => Ok(asked),
            (Compute::Cpu(_), _) => Err(Error::refused(
                "f16 is for GPUs, and the CPU computes: use precision = \"fp32\", \"bf16\" or \"auto\", or --device gpu",
            )),
            #[cfg(feature = "gpu")]
            (Compute::Gpu(gpu), PrecisionRule::F16) => Err(Error::refused(format!(
                "{} has no f16 (shader-f16): use precision = \"fp32\" or \"auto\"",
                gpu.describe()
            ))),
            #[cfg(feature = "gpu")]
            (Compute::Gpu(gpu), _) => Err(Error::refused(format!(
                "{} does not compute in bf16: use precision = \"fp32\"{} or \"auto\", or --device cpu",
                gpu.describe(),
                if gpu.has_f16() { ", \"f16\"" } else { "" }
            ))),
        }
    }

    /// That a run which computes in a precision can be gone on with here.
    ///
    /// # Errors
    /// A precision that the device does not have.
    pub fn goes_on_in(&self, precision: Precision) -> Result<(), Error> {
        if self.has(precision) {
            return Ok(());
        }
        let (here, elsewhere) = match self {
            Compute::Cpu(_) => ("the CPU".to_owned(), "a GPU that does (--device gpu)"),
            #[cfg(feature = "gpu")]
            Compute::Gpu(gpu) if precision == Precision::F16 => (gpu.describe(), "another GPU"),
            #[cfg(feature = "gpu")]
            Compute::Gpu(gpu) => (gpu.describe(), "the CPU (--device cpu)"),
        };
        let name = precision.name();
        Err(Error::refused(format!("the run computes in {name}, which {here} does not: go on with it on {elsewhere}")))
    }

    /// What it computes in where those trained the networks: in the same where it has that, else in fp32.
    pub fn nearest(&self, precisions: Vec<Precision>) -> Vec<Precision> {
        let nearest = |precision| if self.has(precision) { precision } else { Precision::Fp32 };
        precisions.into_iter().map(nearest).collect()
    }

    /// What results depend on beside the operands: between two of these they agree within rounding and no further.
    pub fn path(&self, precision: Precision) -> String {
        match self {
            Compute::Cpu(_) => precision::path(precision).to_owned(),
            #[cfg(feature = "gpu")]
            Compute::Gpu(gpu) => gpu.describe(),
        }
    }
}

/// What lies on a device.
pub(crate) enum On<OfCpu, OfGpu> {
    Cpu(OfCpu),
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "there is no other device"))]
    Gpu(OfGpu),
}

#[cfg(feature = "gpu")]
type Buffer = On<<Cpu as Backend>::Buffer, GpuBuffer>;
#[cfg(feature = "gpu")]
type Program = On<<Cpu as Backend>::Program, GpuProgram>;

#[cfg(not(feature = "gpu"))]
type Buffer = On<<Cpu as Backend>::Buffer, std::convert::Infallible>;
#[cfg(not(feature = "gpu"))]
type Program = On<<Cpu as Backend>::Program, std::convert::Infallible>;

fn elsewhere(device: &str) -> EngineError {
    EngineError::Device { backend: device.to_owned(), what: "this lies on another device".to_owned() }
}

mod on_cpu {
    use super::{EngineError, On, elsewhere};
    pub(super) use On::Cpu as wrap;

    pub(super) fn get<C, G>(on: &On<C, G>) -> Result<&C, EngineError> {
        if let On::Cpu(own) = on { Ok(own) } else { Err(elsewhere("cpu")) }
    }

    pub(super) fn get_mut<C, G>(on: &mut On<C, G>) -> Result<&mut C, EngineError> {
        if let On::Cpu(own) = on { Ok(own) } else { Err(elsewhere("cpu")) }
    }
}

#[cfg(feature = "gpu")]
mod on_gpu {
    use super::{EngineError, On, elsewhere};
    pub(super) use On::Gpu as wrap;

    pub(super) fn get<C, G>(on: &On<C, G>) -> Result<&G, EngineError> {
        if let On::Gpu(own) = on { Ok(own) } else { Err(elsewhere("gpu")) }
    }

    pub(super) fn get_mut<C, G>(on: &mut On<C, G>) -> Result<&mut G, EngineError> {
        if let On::Gpu(own) = on { Ok(own) } else { Err(elsewhere("gpu")) }
    }
}

/// Runs `$run` for the backend that a device is: `$own` is it, `$on` the module of what lies on it.
macro_rules! of_backend {
    ($device:expr, |$own:ident, $on:ident| $run:expr) => {
        match $device {
            Compute::Cpu($own) => {
                #[allow(unused_imports)]
                use on_cpu as $on;
                $run
            }
            #[cfg(feature = "gpu")]
            Compute::Gpu($own) => {
                #[allow(unused_imports)]
                use on_gpu as $on;
                $run
            }
        }
    };
}

impl Backend for Compute {
    type Buffer = Buffer;
    type Program = Program;

    fn cache(&self) -> Option<usize> {
        of_backend!(self, |own, on| own.cache())
    }

    fn piece(&self) -> Option<usize> {
        of_backend!(self, |own, on| own.piece())
    }

    fn allocate(&self, element: Element, len: usize) -> Result<Buffer, EngineError> {
        of_backend!(self, |own, on| own.allocate(element, len).map(on::wrap))
    }

    fn upload(&self, buffer: &mut Buffer, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        of_backend!(self, |own, on| own.upload(on::get_mut(buffer)?, offset, host))
    }

    fn download(&self, buffer: &Buffer, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        of_backend!(self, |own, on| own.download(on::get(buffer)?, offset, host))
    }

    fn compile(&self, schedule: &Schedule) -> Result<Program, EngineError> {
        of_backend!(self, |own, on| own.compile(schedule).map(on::wrap))
    }

    fn feed(
        &self,
        program: &mut Program,
        place: (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError> {
        of_backend!(self, |own, on| own.feed(on::get_mut(program)?, place, n, input, normalization))
    }

    fn forward(
        &self,
        program: &mut Program,
        schedule: &Schedule,
        state: &mut State<'_, Buffer>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        of_backend!(self, |own, on| {
            own.forward(on::get_mut(program)?, schedule, &mut state.map(on::get_mut)?, n, key)
        })
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
        of_backend!(self, |own, on| {
            own.backward(on::get_mut(program)?, schedule, &mut state.map(on::get_mut)?, n, steps, accumulate)
        })
    }

    fn read(&self, program: &Program, place: (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError> {
        of_backend!(self, |own, on| own.read(on::get(program)?, place, n))
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
        of_backend!(self, |own, on| {
            own.adam(update, ranges, on::get_mut(params)?, on::get(grads)?, on::get_mut(m)?, on::get_mut(v)?)
        })
    }

    fn sum_of_squares(&self, buffer: &Buffer, ranges: &[Range<usize>]) -> Result<f64, EngineError> {
        of_backend!(self, |own, on| own.sum_of_squares(on::get(buffer)?, ranges))
    }

    fn blend(&self, into: &mut Buffer, from: &Buffer, ranges: &[Range<usize>], weight: f32) -> Result<(), EngineError> {
        of_backend!(self, |own, on| own.blend(on::get_mut(into)?, on::get(from)?, ranges, weight))
    }

    fn scale(&self, buffer: &mut Buffer, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        of_backend!(self, |own, on| own.scale(on::get_mut(buffer)?, ranges, factor))
    }
}
