//! Training and inference steps a second, one JSON line each:
//! `cargo run --release -p lungfish-models --example step -- resnet34 32`
//!
//! Inference takes 8 films at once, as prediction does; training the batch given, all parts, with Adam.

use std::time::Instant;

use lungfish_engine::{Adam, AdamConfig, Cpu, Input, Plan, PlanSpec, Seed, Store};
use lungfish_models::{Architecture, HeadConfig, Network, initialise};

const RUNS: usize = 7;
const SIZE: usize = 224;

/// Median seconds of a step, the first not counted.
fn median(mut step: impl FnMut() -> Result<(), Box<dyn std::error::Error>>) -> Result<f64, Box<dyn std::error::Error>> {
    step()?;
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        step()?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[RUNS / 2])
}

#[allow(clippy::print_stdout)]
fn report(architecture: Architecture, mode: &str, batch: usize, seconds: f64) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{{\"arch\":\"{architecture}\",\"mode\":\"{mode}\",\"batch\":{batch},\"threads\":{threads},\"films_per_s\":{:.2}}}",
        batch as f64 / seconds
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let architecture: Architecture = args.next().unwrap_or_else(|| "resnet34".to_owned()).parse()?;
    let batch: usize = args.next().unwrap_or_else(|| "32".to_owned()).parse()?;
    let network = Network::new(architecture, 2, &HeadConfig::default());
    let (graph, normalization, cpu) = (&network.graph, architecture.normalization(), Cpu::new());
    let mut store = Store::new(&cpu, graph)?;
    initialise(&mut store, &network, 0)?;
    let pixels: Vec<u8> = (0..batch.max(8) * SIZE * SIZE).map(|i| (i * 97 % 251) as u8).collect();
    let films = |n: usize| Input::Gray(&pixels[..n * SIZE * SIZE]);

    let mut plan = Plan::new(&cpu, graph, PlanSpec::inference(graph, 8, SIZE, normalization))?;
    report(architecture, "infer", 8, median(|| Ok(plan.forward(&mut store, 8, films(8), [0; 4])?))?);

    let parts = network.parts_by_names("all")?;
    let targets: Vec<f32> =
        (0..batch).flat_map(|i| [[1.0, 0.0], [0.0, 1.0]][i % 2]).map(|t| t / batch as f32).collect();
    let mut plan = Plan::new(&cpu, graph, PlanSpec::training(graph, batch, SIZE, normalization, &parts))?;
    let mut adam = Adam::new(&cpu, graph, &parts, AdamConfig::default())?;
    let step = || {
        plan.forward(&mut store, batch, films(batch), [0; 4])?;
        plan.backward(&mut store, Seed::Targets(&targets), false)?;
        Ok(adam.step(&mut store, 1e-4)?)
    };
    report(architecture, "train", batch, median(step)?);
    Ok(())
}
