//! Memory of a program on the CPU.

use crate::{Element, EngineError};

/// Zeros, where there is room for them.
///
/// # Errors
/// [`EngineError::OutOfMemory`].
pub(super) fn zeros(len: usize) -> Result<Vec<f32>, EngineError> {
    let bytes = len.saturating_mul(Element::F32.bytes());
    // Asks and gives back before it takes: there is no zeroed memory by a call that may fail, and filling it by hand would
    // touch every page at once. Unless it is looked at, the compiler takes it for granted that there is room.
    let mut asked = Vec::<f32>::new();
    asked.try_reserve_exact(len).map_err(|_| EngineError::OutOfMemory { bytes })?;
    drop(std::hint::black_box(asked));
    Ok(vec![0.0; len])
}

/// Memory that begins at a cache line, so that no vector of a kernel straddles two.
pub(super) struct Arena {
    floats: Vec<f32>,
    start: usize,
}

impl Arena {
    const LINE: usize = 64;

    /// `bytes` zeros.
    pub fn new(bytes: usize) -> Result<Self, EngineError> {
        let len = bytes.div_ceil(Element::F32.bytes());
        let floats = zeros(len.saturating_add(Self::LINE / Element::F32.bytes()))?;
        // Where it cannot be known the start is as good as any: alignment is speed and nothing else.
        let start = floats.as_ptr().align_offset(Self::LINE).min(floats.len() - len);
        Ok(Arena { floats, start })
    }

    /// All of it, as floats.
    pub fn floats(&self) -> &[f32] {
        &self.floats[self.start..]
    }

    /// As [`Arena::floats`].
    pub fn floats_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..]
    }
}
