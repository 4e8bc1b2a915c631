//! Networks on the GPU there is: PyTorch's numbers, as the CPU has to give them.
//!
//! Where there is no adapter the tests say so in one line and pass; `LUNGFISH_GPU` chooses one by its number, as in
//! crates/gpu/tests/on_the_gpu.

// Figures, for --nocapture.
#![allow(clippy::print_stdout)]

#[path = "../../../gpu/tests/device/mod.rs"]
mod device;

#[path = "../common/mod.rs"]
mod common;

#[path = "../../../models/tests/golden/cam.rs"]
mod cam;
#[path = "../../../models/tests/golden/formula.rs"]
mod formula;
#[path = "../../../models/tests/golden/in_halves.rs"]
mod in_halves;
#[path = "../../../models/tests/golden/networks.rs"]
#[allow(dead_code)]
mod networks;

use device::gpu;
use in_halves::{DRAWN, Halves};
use lungfish::{Device, Predictor, set_default_device};
use lungfish_engine::Precision;
use lungfish_gpu::Wgpu;
use lungfish_models::Architecture;
use networks::{SMALL, check, check_adam};

macro_rules! networks {
    ($($(#[$unless:meta])* $name:ident $check:ident($architecture:ident $($more:tt)*);)*) => {$(
        #[test]
        $(#[$unless])*
        fn $name() {
            if let Some(gpu) = gpu() {
                $check(gpu, Architecture::$architecture $($more)*);
            }
        }
    )*};
}

networks! {
    resnet18 check(Resnet18, SMALL, true);
    resnet34 check(Resnet34, SMALL, true);
    resnet50 check(Resnet50, SMALL, true);
    efficientnet_lite0 check(EfficientnetLite0, SMALL, true);
    efficientnet_lite1 check(EfficientnetLite1, SMALL, true);
    efficientnet_lite2 check(EfficientnetLite2, SMALL, true);
    resnet18_adam check_adam(Resnet18);
    // These are made of the same layers and those of the suite, and what plays a GPU here takes minutes for each.
    #[ignore = "for a GPU"] efficientnet_lite0_adam check_adam(EfficientnetLite0);
    #[ignore = "for a GPU"] resnet34_adam check_adam(Resnet34);
    #[ignore = "for a GPU"] resnet50_adam check_adam(Resnet50);
    #[ignore = "for a GPU"] efficientnet_lite1_adam check_adam(EfficientnetLite1);
    #[ignore = "for a GPU"] efficientnet_lite2_adam check_adam(EfficientnetLite2);
}

/// f16 on the device, where it has that; the loss is scaled as golden/models/bf16.py scales it.
fn halves() -> Option<Halves<'static, Wgpu>> {
    let backend = gpu()?;
    if !backend.has_f16() {
        println!("skipped: {} has no f16 (shader-f16)", backend.name());
        return None;
    }
    Some(Halves { backend, precision: Precision::F16, scale: 1024.0, sampled: 1.05 })
}

#[test]
fn resnet18_in_f16() {
    if let Some(halves) = halves() {
        halves.check(Architecture::Resnet18, SMALL, true, [halves.sampled; 2]);
    }
}

#[test]
fn efficientnet_lite0_in_f16() {
    if let Some(halves) = halves() {
        // One tensor's running statistics, by the elements that are kept, are 1.23 times as far off as PyTorch's that are furthest
        // off; in the middle all are nearer.
        halves.check(Architecture::EfficientnetLite0, SMALL, true, [halves.sampled, 1.3]);
    }
}

#[test]
#[ignore = "for a GPU"]
fn longer_ones_in_f16() {
    if let Some(halves) = halves() {
        halves.check_adam(Architecture::Resnet18, 1.0);
        halves.check_adam(Architecture::EfficientnetLite0, DRAWN);
        halves.check(Architecture::Resnet34, SMALL, true, [halves.sampled; 2]);
        halves.check_adam(Architecture::Resnet34, 1.0);
    }
}

#[test]
fn a_step_in_f16_takes_little_more_than_half_the_memory() {
    if let Some(halves) = halves() {
        // So few films that a value fits into a buffer of 128 MiB in fp32 too.
        halves.a_step_takes_little_more_than_half_the_memory(16);
    }
}

#[test]
fn maps_are_those_of_pytorch_grad_cam() {
    if let Some(gpu) = gpu() {
        cam::check_maps(gpu);
    }
}

/// The page of `serve` trains while it shows models: a training may find a GPU, and models that are open lie on the processor.
#[test]
fn a_model_computes_where_it_lies_whatever_becomes_the_default() {
    if gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (films, run) = (common::synthetic(folder.path(), 24), folder.path().join("run"));
    let small = ["frozen_epochs=1", "image_size=32", "batch_size=8", "frozen_views=1", "val_views=0", "best=accuracy"];
    common::trained(&films, &run, &[&small[..], &["precision=fp32"]].concat());
    let film = std::fs::read(&common::films_below(&films)[0]).unwrap();
    let mut predictor = Predictor::open(&run).unwrap();
    let before = predictor.predict_bytes(&film).unwrap();
    let played = lungfish::gpus().into_iter().find(lungfish::Gpu::is_software);
    set_default_device(played.map_or("gpu".to_owned(), |gpu| gpu.device).parse().unwrap()).unwrap();
    // What makes maps is made when the first is asked for.
    let explained = predictor.explain_bytes(&film, 64);
    let elsewhere = Predictor::open(&run).and_then(|mut predictor| predictor.predict_bytes(&film));
    set_default_device(Device::Cpu).unwrap();
    assert_eq!(explained.unwrap().prediction.probabilities, before.probabilities);
    let elsewhere = elsewhere.unwrap().probabilities;
    assert!(
        elsewhere.iter().zip(&before.probabilities).all(|(gpu, cpu)| (gpu.1 - cpu.1).abs() < 1e-4),
        "{elsewhere:?}"
    );
}

/// How long it takes to say what a step is, beside what computes it: figures, for --nocapture. It does not depend on the size of
/// the films.
#[test]
#[ignore = "figures, and nothing that could fail"]
fn what_it_takes_to_hand_a_step_over() {
    use std::time::Instant;

    use lungfish_engine::{Adam, AdamConfig, Input, Plan, Seed};
    use networks::{network, settings, spec, targets};

    let Some(gpu) = gpu() else { return };
    for architecture in [Architecture::Resnet34, Architecture::EfficientnetLite0] {
        let (network, mut store) = network(gpu, architecture);
        let parts = network.parts_by_names("all").unwrap();
        let mut plan = Plan::new(gpu, &network.graph, spec(&network, SMALL, true)).unwrap();
        let mut adam = Adam::new(gpu, &network.graph, &parts, AdamConfig::default()).unwrap();
        let input = formula::pixels(settings(architecture).3, SMALL.batch, SMALL.side);
        for step in 0..4 {
            let begun = Instant::now();
            plan.forward(&mut store, SMALL.batch, Input::Values(&input), [0; 4]).unwrap();
            let forward = begun.elapsed();
            plan.output().unwrap();
            let computed = begun.elapsed();
            plan.backward(&mut store, Seed::Targets(&targets(SMALL)), false).unwrap();
            adam.step(&mut store, 1e-4).unwrap();
            // The backward pass reads the output once more before it begins.
            println!(
                "{architecture}, step {step}: forward {forward:?}, backward and Adam {:?}",
                begun.elapsed() - computed
            );
            store.get(&network.graph.params()[0].name).unwrap();
        }
    }
}
