//! A static graph of ONNX-named operators: shapes, memory plan, forward, backward, optimisers.
//!
//! A [`Graph`] is data. A [`Store`] holds its tensors. A [`Plan`] is a graph compiled for an image
//! size and a set of trained parts; it borrows a store to run forward and backward. What computes
//! is a [`Backend`]; [`Cpu`] is the one there is. There is no tape: every operator has its backward
//! written out.
//!
//! ```
//! use lungfish_engine::{Adam, AdamConfig, Cpu, GraphBuilder, Input, Normalization, Plan, PlanSpec, Seed, Store, initialise};
//!
//! let mut g = GraphBuilder::new(2);
//! let x = g.input();
//! let x = g.gemm("layer", x, 3);
//! let x = g.log_softmax("output", x);
//! let graph = g.finish(x)?;
//!
//! let (cpu, all) = (Cpu::new(), [graph.part("network")?]);
//! let mut store = Store::new(&cpu, &graph)?;
//! initialise(&mut store, &graph, 42)?;
//! let none = Normalization { mean: [0.0; 3], std: [1.0; 3] };
//! let mut plan = Plan::new(&cpu, &graph, PlanSpec::training(&graph, 1, 1, none, &all))?;
//! let mut adam = Adam::new(&cpu, &graph, &all, AdamConfig::default())?;
//!
//! plan.forward(&mut store, 1, Input::Values(&[0.5, -1.0]), [0; 4])?;
//! let before = plan.backward(&mut store, Seed::Targets(&[0.0, 0.0, 1.0]), false)?.loss;
//! adam.step(&mut store, 0.1)?;
//! plan.forward(&mut store, 1, Input::Values(&[0.5, -1.0]), [0; 4])?;
//! assert!(plan.backward(&mut store, Seed::Targets(&[0.0, 0.0, 1.0]), false)?.loss < before);
//! # Ok::<(), lungfish_engine::EngineError>(())
//! ```

mod adam;
mod backend;
mod cpu;
mod element;
mod error;
mod graph;
mod init;
mod layout;
mod loss;
mod memory;
pub mod ops;
mod plan;
mod plan_spec;
mod roles;
pub mod schedule;
mod shape;
mod store;

pub use adam::{Adam, AdamConfig, AdamState, clip_gradients, gradient_norm, scale_gradients};
pub use backend::{AdamUpdate, Backend, Input, Normalization, State};
pub use cpu::Cpu;
pub use element::{Element, Precision};
pub use error::EngineError;
pub use graph::{BufferId, Graph, GraphBuilder, Node, ParamId, PartId, TensorSpec, ValueId};
pub use init::initialise;
pub use loss::{Backward, Seed, sigmoid};
pub use memory::Region;
pub use ops::{Op, Padding, Window};
pub use plan::Plan;
pub use plan_spec::PlanSpec;
pub use shape::Shape;
pub use store::Store;
