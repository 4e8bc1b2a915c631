//! The engine alone: a graph built by hand learns the exclusive or of two bits.
//!
//! ```text
//! cargo run --release -p lungfish-engine --example xor
//! ```
#![allow(clippy::print_stdout)]

use lungfish_engine::{
    Adam, AdamConfig, Cpu, EngineError, GraphBuilder, Input, Normalization, Plan, PlanSpec, Seed, Store, initialise,
};

fn main() -> Result<(), EngineError> {
    // Two numbers, a hidden layer of eight, log-probabilities of "equal" and "different".
    let mut g = GraphBuilder::new(2);
    let x = g.input();
    g.part("body");
    let x = g.gemm("hidden", x, 8);
    let x = g.relu("relu", x);
    g.part("head");
    let x = g.gemm("logits", x, 2);
    let x = g.log_softmax("output", x);
    let graph = g.finish(x)?;

    let cpu = Cpu::new();
    let mut store = Store::new(&cpu, &graph)?;
    initialise(&mut store, &graph, 7)?;

    // Four films at a time, of one pixel; both parts train.
    let parts = [graph.part("body")?, graph.part("head")?];
    let as_it_is = Normalization { mean: [0.0; 3], std: [1.0; 3] };
    let mut plan = Plan::new(&cpu, &graph, PlanSpec::training(&graph, 4, 1, as_it_is, &parts))?;
    let mut adam = Adam::new(&cpu, &graph, &parts, AdamConfig::default())?;

    let bits = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    // A row a film: what each class counts in the loss, the mean's division with it.
    let targets = [0.25, 0.0, 0.0, 0.25, 0.0, 0.25, 0.25, 0.0];
    for step in 0..=300 {
        plan.forward(&mut store, 4, Input::Values(&bits), [0; 4])?;
        let loss = plan.backward(&mut store, Seed::Targets(&targets), false)?.loss;
        adam.step(&mut store, 0.02)?;
        if step % 50 == 0 {
            println!("step {step:3}: loss {loss:.4}");
        }
    }

    plan.forward(&mut store, 4, Input::Values(&bits), [0; 4])?;
    for (bits, row) in bits.chunks(2).zip(plan.output()?.chunks(2)) {
        println!("{} and {} differ with probability {:.3}", bits[0], bits[1], row[1].exp());
    }
    Ok(())
}
