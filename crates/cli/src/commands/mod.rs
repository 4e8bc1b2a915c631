//! One file a command: its flags, and what it does with them.

pub mod audit;
pub mod bench;
pub mod calibrate;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod ensemble;
pub mod explore;
pub mod fetch;
pub mod import;
pub mod man;
pub mod predict;
pub mod preview;
pub mod recipe;
pub mod report;
pub mod serve;
pub mod summary;
pub mod synth;
pub mod test;
pub mod train;
pub mod tune;
pub mod watching;
