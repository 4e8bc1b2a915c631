//! Training and inference steps a second.

use std::ops::RangeInclusive;
use std::time::Instant;

use lungfish_data::memory::{self, Memory};
use lungfish_engine::PlanSpec;
use lungfish_kernels::machine;
use lungfish_models::{Architecture, HeadConfig, Network, Summary};
use serde::Serialize;

use super::made_up::Steps;
use super::median;
use crate::compute::Compute;
use crate::summary::within;
use crate::{Activity, Error, Event, PrecisionRule, Recipe, Watch, micro_batch};

/// Side of the image, pixels: ImageNet's.
const IMAGE_SIZE: usize = 224;
/// Normal and pneumonia, as the notebook has them.
const CLASSES: usize = 2;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Forward with the batch's own statistics, negative log-likelihood, backward through all parts, Adam.
    Train,
    /// Forward, as a prediction, a test and a validation do it.
    Infer,
}

impl Mode {
    /// `train` or `infer`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Train => "train",
            Mode::Infer => "infer",
        }
    }
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepRequest {
    /// The network, with the notebook's head of two classes.
    pub architecture: Architecture,
    /// Films that go through at once, within [`Recipe::BATCH_SIZE`].
    pub batch: usize,
    /// What a step does.
    pub mode: Mode,
    /// In which precision; `auto` is what a training takes here.
    pub precision: PrecisionRule,
    /// Steps that are timed, within [`StepRequest::RUNS`]. One more goes first and is not.
    pub runs: usize,
}

impl StepRequest {
    /// How many steps can be timed.
    pub const RUNS: RangeInclusive<usize> = 1..=10_000;

    /// Ten timed steps of a training with 32 films.
    pub fn new(architecture: Architecture) -> Self {
        StepRequest { architecture, batch: 32, mode: Mode::Train, precision: PrecisionRule::Auto, runs: 10 }
    }
}

/// What came of it. Serialised, it is the object of `lungfish bench step --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepMeasure {
    /// The network.
    pub arch: Architecture,
    /// What a step did.
    pub mode: Mode,
    /// In which precision: `fp32`, `bf16` or `f16`.
    pub precision: &'static str,
    /// Films that went through at once.
    pub batch: usize,
    /// Side of the image, pixels; films of one channel.
    pub image_size: usize,
    /// Steps that were timed.
    pub runs: usize,
    /// Threads of the pool.
    pub threads: usize,
    /// Where it computed: `cpu`, or the GPU's name with the interface and the driver.
    pub device: String,
    /// The instruction set that the kernels ran: `avx512`, `avx2+fma`, `neon` or `scalar`; of a GPU `wgsl`.
    pub simd: &'static str,
    /// `fast`, or `plain` where the fast algorithms were left out.
    pub kernels: &'static str,
    /// Films a second, of the median step.
    pub films_per_s: f64,
    /// Of the slowest step.
    pub films_per_s_min: f64,
    /// Of the fastest.
    pub films_per_s_max: f64,
    /// Multiply-adds of a film forward, as [`Summary::mult_adds`] counts them.
    pub mult_adds: u64,
    /// Billions of floating-point operations a second that would give `films_per_s` if every product was computed as it
    /// is written: two for each multiply-add, and, by convention, three times the forward pass's for a training step.
    pub gflops: f64,
    /// Those that the same threads with the same instruction set, or the same GPU, reach where nothing keeps them from it, in
    /// single precision; measured, see [`peak::flops`](lungfish_kernels::peak::flops).
    pub peak_gflops: f64,
    /// `gflops / peak_gflops`. Beyond 1 where an algorithm does with fewer multiplications, as Winograd's does, and where bf16
    /// or f16 multiplies more at a time.
    pub share_of_peak: f64,
    /// Bytes of activations and gradients, as planned.
    pub plan_bytes: u64,
    /// The most memory that the process had at once, with the weights and the program itself; none where the system does
    /// not tell.
    pub peak_bytes: Option<u64>,
}

/// Times steps of a network with weights drawn at random, on films made up. Needs no file.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use lungfish::{Silent, Watch};
/// use lungfish::bench::{Mode, StepRequest, step};
/// use lungfish_models::Architecture;
/// let mut request = StepRequest::new(Architecture::Resnet18);
/// (request.batch, request.mode, request.runs) = (1, Mode::Infer, 2);
/// let measure = step(&request, &mut Watch::new(&mut Silent, &AtomicBool::new(false)))?;
/// assert!(measure.films_per_s_min <= measure.films_per_s && measure.films_per_s <= measure.films_per_s_max);
/// # Ok::<(), lungfish::Error>(())
/// ```
///
/// # Errors
/// A batch or a number of runs out of range; a batch that this machine has no memory for.
pub fn step(request: &StepRequest, watch: &mut Watch<'_>) -> Result<StepMeasure, Error> {
    let StepRequest { architecture, batch, mode, precision, runs } = *request;
    let backend = Compute::default();
    let precision = backend.settled(precision)?.precision();
    within("batch", batch, Recipe::BATCH_SIZE)?;
    within("runs", runs, StepRequest::RUNS)?;
    let network = Network::new(architecture, CLASSES, &HeadConfig::default())?;
    let (graph, normalization) = (&network.graph, architecture.normalization());
    let all = network.parts_by_names("all")?;
    let spec = match mode {
        Mode::Train => PlanSpec::training(graph, batch, IMAGE_SIZE, normalization, &all),
        Mode::Infer => PlanSpec::inference(graph, batch, IMAGE_SIZE, normalization),
    };
    let spec = PlanSpec { precision, ..spec };
    let asked = micro_batch::bytes(&backend, graph, spec.clone())? as u64;
    if let Some(most) = Memory::look().most().filter(|most| backend.shares_memory() && asked > *most) {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        return Err(Error::refused(format!(
            "batch = {batch}: {architecture} takes {:.1} GB for it in mode {}, and {:.1} GB are free",
            gigabytes(asked),
            mode.name(),
            gigabytes(most)
        )));
    }
    let mut steps = Steps::new(&backend, &network, CLASSES, spec)?;
    let mut seconds = Vec::with_capacity(runs);
    for run in 0..=runs {
        let begun = Instant::now();
        steps.step()?;
        if run > 0 {
            seconds.push(begun.elapsed().as_secs_f64());
        }
        watch.event(&Event::Progress { task: Activity::Measuring, done: (run + 1) * batch, total: (runs + 1) * batch });
    }
    let peak_bytes = memory::peak();

    let pace: Vec<f64> = seconds.iter().map(|seconds| batch as f64 / seconds).collect();
    let films_per_s = median(&pace).unwrap_or_default();
    let mult_adds = Summary::new(&network, &all, 1, IMAGE_SIZE)?.mult_adds;
    let passes = match mode {
        Mode::Train => 3.0,
        Mode::Infer => 1.0,
    };
    let gflops = 2.0 * passes * mult_adds as f64 * films_per_s / 1e9;
    let peak_gflops = backend.peak()? / 1e9;
    Ok(StepMeasure {
        arch: architecture,
        mode,
        precision: precision.name(),
        batch,
        image_size: IMAGE_SIZE,
        runs,
        threads: rayon::current_num_threads(),
        device: backend.name(),
        simd: backend.kernels(),
        kernels: if machine::plain() { "plain" } else { "fast" },
        films_per_s,
        films_per_s_min: pace.iter().copied().fold(f64::INFINITY, f64::min),
        films_per_s_max: pace.iter().copied().fold(0.0, f64::max),
        mult_adds,
        gflops,
        peak_gflops,
        share_of_peak: gflops / peak_gflops,
        plan_bytes: steps.bytes() as u64,
        peak_bytes,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::Silent;

    const REQUEST: StepRequest = StepRequest {
        architecture: Architecture::EfficientnetLite0,
        batch: 2,
        mode: Mode::Train,
        precision: PrecisionRule::Auto,
        runs: 3,
    };

    #[test]
    fn figures_follow_from_each_other() {
        let mut told = Vec::new();
        let mut observer = |event: &Event| {
            if let Event::Progress { task: Activity::Measuring, done, total } = event {
                told.push((*done, *total));
            }
        };
        let train = step(&REQUEST, &mut Watch::new(&mut observer, &AtomicBool::new(false))).unwrap();
        assert_eq!(told, [(2, 8), (4, 8), (6, 8), (8, 8)]);
        let infer =
            step(&StepRequest { mode: Mode::Infer, ..REQUEST }, &mut Watch::new(&mut Silent, &AtomicBool::new(false)))
                .unwrap();
        for (measure, operations) in [(&train, 6.0), (&infer, 2.0)] {
            let gflops = operations * measure.mult_adds as f64 * measure.films_per_s / 1e9;
            assert!((measure.gflops / gflops - 1.0).abs() < 1e-12);
            assert!((measure.share_of_peak - measure.gflops / measure.peak_gflops).abs() < 1e-12);
            assert!(measure.films_per_s_min <= measure.films_per_s && measure.films_per_s <= measure.films_per_s_max);
            assert!(measure.films_per_s_min > 0.0 && measure.peak_bytes.is_none_or(|peak| peak > measure.plan_bytes));
        }
        // torchinfo's figure, see the summary.
        assert!((350_000_000..450_000_000).contains(&infer.mult_adds), "{}", infer.mult_adds);
        assert!(train.plan_bytes > infer.plan_bytes);
        assert_eq!(train.precision, PrecisionRule::Auto.settled().name());
        for precision in [PrecisionRule::Fp32, PrecisionRule::Bf16] {
            let request = StepRequest { precision, runs: 1, mode: Mode::Infer, ..REQUEST };
            let told = step(&request, &mut Watch::new(&mut Silent, &AtomicBool::new(false))).unwrap();
            assert_eq!(told.precision, precision.name());
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let says =
            |request| step(&request, &mut Watch::new(&mut Silent, &AtomicBool::new(false))).unwrap_err().to_string();
        assert_eq!(says(StepRequest { batch: 0, ..REQUEST }), "batch = 0: must be a number from 1 to 65536");
        assert_eq!(says(StepRequest { runs: 0, ..REQUEST }), "runs = 0: must be a number from 1 to 10000");
        #[cfg(target_os = "linux")]
        if Memory::look().most().is_some_and(|most| most < 1 << 40) {
            let said = says(StepRequest { batch: 65_536, ..REQUEST });
            assert!(said.starts_with("batch = 65536: efficientnet-lite0 takes ") && said.ends_with(" free"), "{said}");
        }
    }
}
