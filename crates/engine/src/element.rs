//! The types of number that values and tensors are made of.

/// What an element of a region or of a buffer is.
///
/// How many elements something has and how many bytes it takes are two questions: shapes answer the first, this the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// A single-precision float.
    F32,
}

impl Element {
    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Element::F32 => size_of::<f32>(),
        }
    }
}
