//! What holds of the engine on any device: one suite, run on the CPU and on a naive backend that is the specification.
//!
//! Bits are compared within one backend only; across the two, and against PyTorch, with the tolerance that stands there.

// Figures, for --nocapture.
#![allow(clippy::print_stdout)]

/// Makes tests of functions of a backend, for each backend there is.
macro_rules! on_every_backend {
    ($($name:ident),* $(,)?) => {
        mod cpu {
            $(#[test] fn $name() { super::$name(&lungfish_engine::Cpu::new()); })*
        }

        mod naive {
            $(#[test] fn $name() { super::$name(&crate::naive::Naive); })*
        }
    };
}

mod across;
mod any;
mod gray;
mod in_halves;
mod initialise;
mod losses;
mod misuse;
mod mixed;
mod naive;
mod operators;
mod optimizer;
mod plans;
mod random_graphs;
