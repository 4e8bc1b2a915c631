//! Networks as graphs, their heads and parts, and their weights in and out.
//!
//! A [`Network`] is an [`Architecture`]'s backbone with a new head. Its weights come from
//! [`imagenet`] (what ships with the program, or torch hub's cache), from a file
//! ([`read_weights`]) or from chance ([`initialise`]); [`load_backbone`] puts them into a store by
//! name, and [`whole_network`] makes a network of ours of somebody's that is trained already. A [`ModelFile`] is what a training leaves.
//!
//! Tensors bear torchvision's names (the Lite networks: those of `efficientnet_lite_pytorch`, since torchvision has none).

mod architecture;
mod cam;
mod checkpoint;
mod classes;
mod digest;
mod efficientnet_lite;
mod error;
mod file;
mod foreign;
mod heads;
mod imagenet;
mod init;
mod load;
pub mod names;
mod network;
mod pickle;
mod place;
mod recognise;
mod resnet;
mod summary;
mod tensors;
mod torch_file;

pub use architecture::Architecture;
pub use cam::GradCam;
pub use checkpoint::{Weights, read_weights};
pub use error::{ModelError, UnreadableKind, WeightsError};
pub use file::ModelFile;
pub use heads::{ForeignHead, WholeNetwork, whole_network};
pub use imagenet::{HubFile, Wheel, hub_files, hub_folder, imagenet, is_published, wheel};
pub use init::initialise;
pub use load::{FreshHead, HeadLoad, LoadReport, load_backbone};
pub use network::{HeadConfig, Network, Output};
pub use place::Place;
pub use summary::{Layer, Summary};
pub use tensors::{Tensor, Tensors};
