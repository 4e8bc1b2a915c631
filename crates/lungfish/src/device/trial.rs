//! A GPU against the processor, on the network of a training: seconds of steps on each, once. The verdict is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lungfish_data::Task;
use lungfish_engine::{PlanSpec, Precision};
use serde::{Deserialize, Serialize};

use crate::bench::made_up::Steps;
use crate::compute::Compute;
use crate::{Activity, Error, Event, Recipe, Watch, weights};

/// How long the steps of one device are timed.
const TIMED: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2000 });
/// Classes of the network that is tried: a few more or less are nothing to it.
const CLASSES: usize = 2;

/// Films of the step that both devices are asked for: so few that no device takes them in parts.
const COMPARED: usize = 4;
/// How far a loss of a GPU may be from the processor's, of itself (of 1, where that is more). Rounding moves it by some 1e-5.
const LOSS: f64 = 0.01;
/// How far a gradient may be, of its norm. Rounding puts values on the other side of an activation's kink: of networks with weights
/// drawn at random that came to 2e-4 to 0.05 on llvmpipe. A gradient that has nothing to do with it is off by 1 or more.
const GRADIENT: f64 = 0.5;

/// Films a second on each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Verdict {
    pub cpu: f64,
    pub gpu: f64,
}

/// What a step gave, on the processor and on a GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Agreement {
    losses: [f64; 2],
    /// The distance of the gradients, of the processor's norm.
    distance: f64,
}

impl Agreement {
    /// `None` where the two agree; else the sentence to say.
    fn doubt(self) -> Option<String> {
        let [cpu, gpu] = self.losses;
        // What is no number is not near.
        let agree = (gpu - cpu).abs() / cpu.abs().max(1.0) <= LOSS && self.distance <= GRADIENT;
        (!agree).then(|| {
            format!(
                "it computes something else than the CPU (of one step a loss of {gpu:.4} for {cpu:.4}, and gradients that are off by \
                 {:.1e} of themselves); its driver may be at fault",
                self.distance
            )
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it trains {:.1} films a second where the CPU trains {:.1}", self.gpu, self.cpu)
    }
}

/// The file of verdicts, in the user's folder of caches; `None` where there is no such folder.
pub(super) fn file() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = given.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    Some(folder.join("lungfish").join("devices.json"))
}

/// How fast the processor and a GPU train the networks of a recipe: as `file` has it of an earlier trial of the same on the
/// same, else tried.
///
/// # Errors
/// What the GPU reports; one that computes something else, which is not kept: a new driver may be right.
pub(super) fn verdict(
    recipe: &Recipe,
    devices: [&Compute; 2],
    file: Option<&Path>,
    watch: &mut Watch<'_>,
) -> Result<Verdict, Error> {
    let [cpu, gpu] = devices;
    let precision = cpu.settled(recipe.precision)?.precision();
    let key = format!(
        "{}: {} of {} pixels, {} films a step; CPU {} with {} threads; lungfish {}",
        gpu.path(Precision::Fp32),
        recipe.architecture,
        recipe.image_size,
        recipe.batch_size,
        cpu.path(precision),
        rayon::current_num_threads(),
        env!("CARGO_PKG_VERSION"),
    );
    // A file that is none, or is gone, is one without verdicts.
    let kept = file.and_then(|file| fs::read(file).ok()).and_then(|text| serde_json::from_slice(&text).ok());
    let mut kept: BTreeMap<String, Verdict> = kept.unwrap_or_default();
    if let Some(verdict) = kept.get(&key) {
        return Ok(*verdict);
    }
    let told = |done: usize, watch: &mut Watch<'_>| {
        watch.event(&Event::Progress { task: Activity::Measuring, done, total: 2 });
    };
    told(0, watch);
    if let Some(doubt) = agreement(recipe, devices)?.doubt() {
        return Err(Error::refused(doubt));
    }
    let gpu = films_per_second(recipe, gpu, Precision::Fp32)?;
    told(1, watch);
    let verdict = Verdict { cpu: films_per_second(recipe, cpu, precision)?, gpu };
    told(2, watch);
    kept.insert(key, verdict);
    if let Some(file) = file {
        // Where it cannot be kept it is found out again next time.
        let written = serde_json::to_vec_pretty(&kept).ok().zip(file.parent());
        _ = written.and_then(|(text, folder)| fs::create_dir_all(folder).and_then(|()| fs::write(file, text)).ok());
    }
    Ok(verdict)
}

/// Steps of a training of all parts, on films made up.
fn steps(recipe: &Recipe, device: &Compute, precision: Precision, batch: usize) -> Result<Steps, Error> {
    let network = weights::network(recipe, Task::OneOf, CLASSES)?;
    let all = network.parts_by_names("all")?;
    let normalization = recipe.architecture.normalization();
    let spec = PlanSpec::training(&network.graph, batch, recipe.image_size, normalization, &all);
    Steps::new(device, &network, CLASSES, PlanSpec { precision, ..spec })
}

/// The same step of few films on the processor and on a GPU, both in single precision.
fn agreement(recipe: &Recipe, [cpu, gpu]: [&Compute; 2]) -> Result<Agreement, Error> {
    let (loss, ours) = steps(recipe, cpu, Precision::Fp32, COMPARED)?.gradient()?;
    let (other, theirs) = steps(recipe, gpu, Precision::Fp32, COMPARED)?.gradient()?;
    let norm = |squares: f64| squares.sqrt();
    let off = norm(ours.iter().zip(&theirs).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum());
    let whole = norm(ours.iter().map(|a| f64::from(*a).powi(2)).sum());
    Ok(Agreement { losses: [loss, other], distance: off / whole })
}

/// How fast a training goes. The first step, which prepares much, is not timed.
fn films_per_second(recipe: &Recipe, device: &Compute, precision: Precision) -> Result<f64, Error> {
    let batch = recipe.batch_size;
    let mut steps = steps(recipe, device, precision, batch)?;
    steps.step()?;
    let (begun, mut taken) = (Instant::now(), 0);
    while begun.elapsed() < TIMED {
        steps.step()?;
        taken += 1;
    }
    Ok((taken * batch) as f64 / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use lungfish_engine::Cpu;

    use super::*;
    use crate::Silent;

    #[test]
    fn what_computes_something_else_is_doubted() {
        let near = Agreement { losses: [0.69, 0.6901], distance: 2e-4 };
        assert_eq!(near.doubt(), None);
        for far in [
            Agreement { distance: 1.0, ..near },
            Agreement { losses: [0.69, 0.71], ..near },
            Agreement { losses: [0.69, f64::NAN], ..near },
            Agreement { distance: f64::NAN, ..near },
            Agreement { distance: f64::INFINITY, ..near },
        ] {
            let doubt = far.doubt().unwrap();
            assert!(doubt.contains("something else than the CPU") && doubt.contains("for 0.69"), "{doubt}");
        }
    }

    #[test]
    fn devices_that_compute_the_same_agree() {
        let Some(adapter) = lungfish_gpu::adapters().pop() else { return };
        let (cpu, gpu) = (Compute::Cpu(Cpu::new()), Compute::Gpu(adapter.open().unwrap()));
        let mut recipe = Recipe::default();
        ["architecture=resnet18", "image_size=64", "sizes=64"]
            .into_iter()
            .for_each(|setting| recipe.set(setting).unwrap());
        let same = agreement(&recipe, [&cpu, &gpu]).unwrap();
        assert!(same.distance > 0.0 && same.distance < GRADIENT / 10.0 && same.doubt().is_none(), "{same:?}");
        // It is the step that was asked about, and no other.
        let (loss, gradient) = steps(&recipe, &cpu, Precision::Fp32, COMPARED).unwrap().gradient().unwrap();
        assert_eq!(loss, same.losses[0]);
        assert!(loss > 0.0 && gradient.iter().any(|g| *g != 0.0));
    }

    #[test]
    fn a_verdict_is_found_once_and_kept() {
        let Some(adapter) = lungfish_gpu::adapters().pop() else { return };
        let (cpu, gpu) = (Compute::Cpu(Cpu::new()), Compute::Gpu(adapter.open().unwrap()));
        let mut recipe = Recipe::default();
        ["architecture=resnet18", "image_size=32", "sizes=32", "batch_size=2"]
            .into_iter()
            .for_each(|setting| recipe.set(setting).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lungfish").join("devices.json");
        let (stop, mut silent) = (AtomicBool::new(false), Silent);
        let mut ask = |recipe: &Recipe| {
            let begun = Instant::now();
            let found = verdict(recipe, [&cpu, &gpu], Some(&file), &mut Watch::new(&mut silent, &stop)).unwrap();
            (found, begun.elapsed() < TIMED)
        };
        let (first, kept) = ask(&recipe);
        assert!(!kept && first.cpu > 0.0 && first.gpu > 0.0, "{first:?}");
        assert_eq!(ask(&recipe), (first, true));
        // Of another recipe nothing is known, nor of this one once the file is damaged.
        recipe.set("batch_size=3").unwrap();
        assert!(!ask(&recipe).1);
        fs::write(&file, "no JSON").unwrap();
        assert!(!ask(&recipe).1);
        assert!(ask(&recipe).1);
        let text = Verdict { cpu: 2.5, gpu: 10.0 }.to_string();
        assert_eq!(text, "it trains 10.0 films a second where the CPU trains 2.5");
    }
}
