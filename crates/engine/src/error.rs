//! What can go wrong in the engine.

/// An error of the engine; none of them is reached by pixels or weights alone, only by asking
/// for something that does not fit the graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
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
}
