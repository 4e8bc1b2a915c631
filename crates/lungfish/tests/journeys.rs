//! What the library does, from films to what is said of them.

mod common;

mod any_of;
mod audit;
mod calibrating;
mod cam;
mod ensemble;
mod fuzz_recipe;
mod importing;
mod lineage;
mod neighbours;
mod pictures;
mod precision;
mod predicting;
mod testing;
mod tuning;
