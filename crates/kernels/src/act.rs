//! Activations: the functions that follow a convolution or a batch normalisation element by element.

/// An activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Nothing.
    None,
    /// `max(v, 0)`.
    Relu,
    /// `min(max(v, min), max)`; ReLU6 is 0 to 6.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
}

impl Act {
    /// What it does not change lies between them.
    #[inline(always)]
    pub(crate) fn bounds(self) -> [f32; 2] {
        match self {
            Act::None => [f32::NEG_INFINITY, f32::INFINITY],
            Act::Relu => [0.0, f32::INFINITY],
            Act::Clip { min, max } => [min, max],
        }
    }

    /// NaN stays NaN, as in PyTorch.
    #[inline(always)]
    pub(crate) fn apply(self, v: f32) -> f32 {
        match self {
            Act::None => v,
            Act::Relu => {
                if v < 0.0 {
                    0.0
                } else {
                    v
                }
            }
            Act::Clip { min, max } => {
                let v = if v < min { min } else { v };
                if v > max { max } else { v }
            }
        }
    }
}
