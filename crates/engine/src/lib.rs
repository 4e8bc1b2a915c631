//! A static graph of ONNX-named operators: shapes, memory plan, forward, backward, optimisers.

mod error;
mod graph;

pub use error::EngineError;
pub use graph::{BufferId, Graph, GraphBuilder, Node, Op, Padding, ParamId, PartId, TensorSpec, ValueId, Window};
