//! Networks as graphs, their heads and parts, and their weights in and out.

mod architecture;
mod efficientnet_lite;
mod error;
mod network;
mod resnet;

pub use architecture::Architecture;
pub use error::ModelError;
pub use network::{HeadConfig, Network};
