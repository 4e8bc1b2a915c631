//! What holds of the engine on any device: one suite, generic over the backend.

/// Makes tests of functions of a backend, for each backend there is.
macro_rules! on_every_backend {
    ($($name:ident),* $(,)?) => {
        mod cpu {
            $(#[test] fn $name() { super::$name(&lungfish_engine::Cpu::new()); })*
        }
    };
}

mod gray;
mod misuse;
mod operators;
mod optimizer;
mod plans;
mod random_graphs;
