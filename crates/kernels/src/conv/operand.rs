//! What a GEMM of a convolution reads: floats, or pairs of neighbouring channels in bfloat16.

use crate::chunks::with_scratch;
use crate::gemm::{Gemm, gemm, gemm_pairs};
use crate::stored::{Stored, convert};

/// How elements that lie in memory as a [`Stored`] become the left operand of a GEMM.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    /// Whether two of them are one element there.
    pub(super) pairs: bool,
    /// Whether each has to be widened first.
    widened: bool,
}

impl Operand {
    /// For pixels of so many channels that see each other: an odd number makes no pairs.
    pub(super) fn of<T: Stored>(channels: usize) -> Operand {
        let pairs = T::HALF && channels.is_multiple_of(2);
        Operand { pairs, widened: T::HALF && !pairs }
    }

    /// So many elements, as the GEMM counts them.
    pub(super) fn floats(self, elements: usize) -> usize {
        if self.pairs { elements / 2 } else { elements }
    }

    /// Floats of scratch that [`Operand::fill`] takes for so many elements.
    pub(super) fn room(self, elements: usize) -> usize {
        self.floats(elements) + if self.widened { elements.div_ceil(2) } else { 0 }
    }

    /// Lets `gather` write `elements` elements to scratch, and gives them as the GEMM reads them.
    pub(super) fn fill<T: Stored>(
        self,
        room: &mut [f32],
        elements: usize,
        gather: impl FnOnce(&mut [T]),
    ) -> &mut [f32] {
        let (operand, rest) = room.split_at_mut(self.floats(elements));
        if self.widened {
            let narrow = &mut bytemuck::cast_slice_mut(rest)[..elements];
            gather(narrow);
            convert(narrow, operand);
        } else {
            gather(bytemuck::cast_slice_mut(operand));
        }
        operand
    }

    /// Calls `f` with elements that lie in memory, as the GEMM reads them.
    pub(super) fn with<T: Stored, R>(self, x: &[T], f: impl FnOnce(&[f32]) -> R) -> R {
        match bytemuck::try_cast_slice(x) {
            Ok(x) if !self.widened => f(x),
            // They do not lie as floats would.
            _ => with_scratch(self.room(x.len()), |room| f(self.fill(room, x.len(), |own| own.copy_from_slice(x)))),
        }
    }

    /// The product of an operand and panels of the same kind, see [`Filter::panels`](super::Filter::panels).
    pub(super) fn multiply(self, call: Gemm) {
        if self.pairs { gemm_pairs(call) } else { gemm(call) }
    }
}
