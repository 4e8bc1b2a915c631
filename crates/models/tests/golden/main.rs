//! The networks' numbers against PyTorch's; golden/models/README.md says how they were made.

// Figures, for --nocapture.
#![allow(clippy::print_stdout)]

mod cam;
mod formula;
mod halves;
mod imported;
mod in_halves;
mod lite_imagenet;
mod networks;
mod on_the_cpu;
