//! Shapes of values.

use crate::EngineError;

/// Most elements of one film's value, or of all tensors: beyond any memory, and few enough that all that is made of them
/// can be counted.
pub(crate) const MOST_ELEMENTS: usize = 1 << 44;

/// Channels, height and width of one film's value; a vector has height and width 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels or features.
    pub c: usize,
    /// Height, pixels.
    pub h: usize,
    /// Width, pixels.
    pub w: usize,
}

impl Shape {
    /// Elements a film.
    pub fn len(self) -> usize {
        self.c * self.h * self.w
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.c == 0 || self.h == 0 || self.w == 0
    }

    /// Pixels a film.
    pub fn pixels(self) -> usize {
        self.h * self.w
    }

    /// Itself, where it has elements, and not too many to count; `name` is the node's.
    pub(crate) fn counted(self, name: &str) -> Result<Self, EngineError> {
        let len = self.c.checked_mul(self.h).and_then(|len| len.checked_mul(self.w));
        let Shape { c, h, w } = self;
        match len {
            Some(1..=MOST_ELEMENTS) => Ok(self),
            Some(0) => Err(EngineError::Shape { what: format!("{name}: an image of {h} by {w} pixels has none") }),
            _ => Err(EngineError::Shape { what: format!("{name}: {c} channels of {h} by {w} pixels are too many") }),
        }
    }
}
