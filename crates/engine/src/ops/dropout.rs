//! Dropout (Srivastava et al. 2014). Where it does nothing it is no step at all.

use lungfish_kernels::elementwise;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Compiled, Kind, Lowering, Op, Operator, Site};
use crate::cpu::{BackwardRun, ForwardRun, OnCpu, bytes, cut_bytes, missing, of_element};
use crate::graph::ValueId;
use crate::roles::Role;
use crate::{EngineError, GraphBuilder, Shape};

/// While training, zeroes elements and scales the rest by `1 / (1 - ratio)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of a zero.
    pub ratio: f32,
}

impl GraphBuilder {
    /// Dropout.
    pub fn dropout(&mut self, name: &str, x: ValueId, ratio: f32) -> ValueId {
        let c = self.channels(x);
        self.node(name, Op::Dropout(Dropout { ratio }), &[x], c)
    }
}

impl Operator for Dropout {
    fn name(&self) -> &'static str {
        "Dropout"
    }

    fn channels(&self, site: &Site<'_>) -> Result<usize, String> {
        if (0.0..1.0).contains(&self.ratio) {
            return Ok(site.inputs[0]);
        }
        Err(format!("a ratio of {} is no probability from 0 to less than 1", self.ratio))
    }

    fn idle(&self, role: Role) -> bool {
        role != Role::Train || self.ratio == 0.0
    }

    fn lower(&self, at: &Lowering<'_>) -> Kind {
        Kind::Dropout(DropoutStep { ratio: self.ratio, stream: at.index as u64 })
    }
}

/// Dropout that drops; `stream` sets its random numbers apart from those of other nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutStep {
    /// Share zeroed.
    pub ratio: f32,
    /// Index of the node.
    pub stream: u64,
}

/// A step's random mask: 0 with probability `ratio`, else `1 / (1 - ratio)`. Every backend takes this one, in the order
/// film, row, column, channel, so that the same key drops the same elements on all of them.
pub fn dropout_mask(key: [u64; 4], step: &DropoutStep, mask: &mut [f32]) {
    let mut seed = [0; 32];
    for (bytes, word) in seed.chunks_exact_mut(8).zip(key) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(seed);
    rng.set_stream(step.stream);
    let keep = 1.0 / (1.0 - step.ratio);
    for m in mask {
        // 24 bits: every value of the uniform is an exact f32.
        let uniform = (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
        *m = if uniform < step.ratio { 0.0 } else { keep };
    }
}

impl Compiled for DropoutStep {
    /// The mask.
    fn saves(&self, _trained: bool, y: Shape) -> (usize, usize) {
        (y.len(), 0)
    }
}

impl OnCpu for DropoutStep {
    fn forward(&self, run: ForwardRun<'_, '_>) -> Result<(), EngineError> {
        let ForwardRun { step, films, key, arena, .. } = run;
        let saved = step.saved.ok_or_else(|| missing(step, "room for its mask"))?;
        let [x, y, mask] = [step.x[0], step.y, saved].map(|region| region.films(films));
        of_element!(step.y.element, T => {
            let [x, y, mask] = cut_bytes(arena, [bytes::<T>(x), bytes::<T>(y), bytes::<f32>(mask)])?;
            let mask: &mut [f32] = bytemuck::cast_slice_mut(mask);
            dropout_mask(key, self, mask);
            elementwise::multiply::<T>(bytemuck::cast_slice(x), mask, bytemuck::cast_slice_mut(y));
        });
        Ok(())
    }

    fn backward(&self, run: BackwardRun<'_, '_>) -> Result<(), EngineError> {
        let BackwardRun { step, n, arena, dy, dx, add, .. } = run;
        let Some(dx) = dx else { return Ok(()) };
        let mask = step.saved.ok_or_else(|| missing(step, "mask"))?.range(n);
        of_element!(step.y.element, T => {
            let [mask, dy, dx] = cut_bytes(arena, [bytes::<f32>(mask), bytes::<T>(dy), bytes::<T>(dx)])?;
            let (mask, dy, dx): (&[f32], &[T], &mut [T]) =
                (bytemuck::cast_slice(mask), bytemuck::cast_slice(dy), bytemuck::cast_slice_mut(dx));
            if add {
                let mut own = vec![T::default(); dy.len()];
                elementwise::multiply(dy, mask, &mut own);
                elementwise::accumulate(dx, &own);
            } else {
                elementwise::multiply(dy, mask, dx);
            }
        });
        Ok(())
    }
}
