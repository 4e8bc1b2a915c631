//! A static graph of ONNX-named operators: shapes, memory plan, forward, backward, optimisers.
//!
//! A [`Graph`] is data. A [`Store`] holds its tensors. A [`Plan`] is a graph compiled for an image
//! size and a set of trained parts; it borrows a store to run forward and backward. What computes
//! is a [`Backend`]; [`Cpu`] is the one there is. There is no tape: every operator has its backward
//! written out.

mod adam;
mod backend;
mod cpu;
mod error;
mod graph;
mod layout;
mod memory;
mod plan;
mod roles;
pub mod schedule;
mod shape;
mod store;

pub use adam::{Adam, AdamConfig, AdamState, clip_gradients};
pub use backend::{AdamUpdate, Backend, Input, Normalization, State};
pub use cpu::Cpu;
pub use error::EngineError;
pub use graph::{BufferId, Graph, GraphBuilder, Node, Op, Padding, ParamId, PartId, TensorSpec, ValueId, Window};
pub use memory::Region;
pub use plan::{Plan, PlanSpec, Seed};
pub use shape::Shape;
pub use store::Store;
