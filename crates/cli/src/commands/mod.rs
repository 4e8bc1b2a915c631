//! One file a command: its flags, and what it does with them.

pub mod demo;
pub mod doctor;
pub mod predict;
pub mod recipe;
pub mod synth;
pub mod test;
pub mod train;
