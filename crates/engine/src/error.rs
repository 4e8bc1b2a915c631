//! What can go wrong in the engine.

/// An error of the engine: something asked for that does not fit the graph, or what a device reports. None is reached by
/// the values of pixels or weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A graph that cannot be: a node, tensor or part with what it must not have.
    #[error("{at}: {what}")]
    Graph {
        /// Name of the node, tensor or part.
        at: String,
        /// What is wrong with it, with the numbers.
        what: String,
    },
    /// A value, part, store or optimiser of another graph.
    #[error("{what}")]
    AnotherGraph {
        /// What does not belong, with the names and numbers.
        what: String,
    },
    /// No part of that name.
    #[error("no part named \"{name}\"; this network has {parts}")]
    NoSuchPart {
        /// The name asked for.
        name: String,
        /// The names there are.
        parts: String,
    },
    /// No tensor of that name.
    #[error("no tensor named \"{name}\" in this network")]
    NoSuchTensor {
        /// The name asked for.
        name: String,
    },
    /// A slice of the wrong length.
    #[error("{what} has {got} elements where {want} are needed")]
    Length {
        /// What it is.
        what: String,
        /// Elements given.
        got: usize,
        /// Elements needed.
        want: usize,
    },
    /// A shape that the graph cannot take.
    #[error("{what}")]
    Shape {
        /// What does not fit, with the numbers.
        what: String,
    },
    /// More films than the plan was made for, or none.
    #[error("a batch of {n} does not fit a plan for 1 to {capacity}")]
    Batch {
        /// Films given.
        n: usize,
        /// Films the plan can take.
        capacity: usize,
    },
    /// A value that the plan does not keep.
    #[error("{what} is not kept by this plan")]
    NotKept {
        /// The value or gradient asked for.
        what: String,
    },
    /// A second backward pass after one forward pass: the first has written gradients over values
    /// that the second would need.
    #[error("a backward pass needs a forward pass of its own before it")]
    Spent,
    /// More memory than the device has.
    #[error("there is no room for {bytes} bytes ({:.1} GB)", *bytes as f64 / 1e9)]
    OutOfMemory {
        /// Bytes asked for at once; `usize::MAX` where they are too many to count.
        bytes: usize,
    },
    /// What a device reports.
    #[error("{backend}: {what}")]
    Device {
        /// The device.
        backend: String,
        /// What it says.
        what: String,
    },
}

impl EngineError {
    pub(crate) fn graph(at: &str, what: impl Into<String>) -> Self {
        EngineError::Graph { at: at.to_owned(), what: what.into() }
    }
}
