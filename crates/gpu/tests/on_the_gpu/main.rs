//! The engine's suite (crates/engine/tests/suite) on the GPU there is, and what only a GPU has to show.
//!
//! Where there is no adapter the tests say so in one line and pass. `LUNGFISH_GPU` chooses one by its number in the list;
//! else it is one that computes on the processor, so that the numbers are those of the machine that checks every change.

// Figures, for --nocapture.
#![allow(clippy::print_stdout)]

#[path = "../device/mod.rs"]
mod device;

use device::gpu;

/// Makes tests of functions of a backend.
macro_rules! on_every_backend {
    ($($name:ident),* $(,)?) => {
        $(
            mod $name {
                #[test]
                fn on_the_gpu() {
                    if let Some(gpu) = crate::gpu() {
                        super::$name(gpu);
                    }
                }
            }
        )*
    };
}

mod f16;
mod pieces;

#[path = "../../../engine/tests/suite/naive/mod.rs"]
mod naive;

#[path = "../../../engine/tests/suite/across.rs"]
mod across;
#[path = "../../../engine/tests/suite/in_halves.rs"]
mod in_halves;
#[path = "../../../engine/tests/suite/initialise.rs"]
mod initialise;
#[path = "../../../engine/tests/suite/losses.rs"]
mod losses;
#[path = "../../../engine/tests/suite/misuse.rs"]
mod misuse;
#[path = "../../../engine/tests/suite/operators.rs"]
mod operators;
#[path = "../../../engine/tests/suite/optimizer.rs"]
mod optimizer;
#[path = "../../../engine/tests/suite/plans.rs"]
mod plans;
#[path = "../../../engine/tests/suite/random_graphs.rs"]
mod random_graphs;
