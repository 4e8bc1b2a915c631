//! The commands as a person gives them, and the house's own rules.

mod common;

mod calibrating;
mod ensemble;
mod fetching;
mod importing;
mod invariants;
mod journey;
mod labels;
mod looking;
mod machine;
mod notebook;
mod on_a_gpu;
mod reporting;
mod resume;
mod scores;
mod serving;
mod terminal;
mod tuning;
mod usage;
