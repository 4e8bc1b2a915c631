//! The scale of the loss of a training in f16, as `torch.amp.GradScaler`.
//!
//! Gradients of images are small, and a half that is below 6e-8, on some devices below 6e-5, is zero. So the loss is multiplied by a large number on its way
//! back, and what comes of it is divided by that number before anything else is done with it. Where a gradient became too large
//! for a half, and so is infinite or no number, the step is skipped and the number halved; after many steps in a row that
//! are good it is doubled. It is a power of two: neither rounds.

use lungfish_engine::{Backend, Graph, PartId, Precision, Store, gradient_norm, scale_gradients};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What a phase begins with.
const FIRST: f64 = 65_536.0;
/// Good steps in a row after which it is doubled.
const PATIENCE: u32 = 2000;
/// Where the gradients of a scale that is smaller are no numbers, it is not the scale that makes them so.
const LEAST: f64 = 1.0 / 65_536.0;
/// It grows no further: it and its inverse are normal single floats.
const MOST: f64 = (1u128 << 100) as f64;

/// The scale, and how long it has been good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LossScale {
    /// A power of two.
    scale: f64,
    /// Steps in a row whose gradients were finite, since it became what it is.
    good: u32,
}

impl LossScale {
    /// What a phase in a precision begins with; `None` where nothing is scaled.
    pub fn of(precision: Precision) -> Option<Self> {
        (precision == Precision::F16).then_some(LossScale { scale: FIRST, good: 0 })
    }

    /// What the loss is multiplied by.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Whether it is one that a training comes to.
    pub fn is_possible(&self) -> bool {
        (LEAST..=MOST).contains(&self.scale) && self.scale.log2().fract() == 0.0 && self.good < PATIENCE
    }

    /// Divides the gradients of a scaled loss by the scale. Whether they are finite, all of them.
    pub fn unscale<B: Backend>(&self, store: &mut Store<B>, graph: &Graph, parts: &[PartId]) -> Result<bool, Error> {
        scale_gradients(store, graph, parts, 1.0 / self.scale)?;
        Ok(gradient_norm(store, graph, parts)?.is_finite())
    }

    /// Notes a step whose gradients were finite, or were not. False where no scale would make them so.
    #[must_use]
    pub fn note(&mut self, finite: bool) -> bool {
        self.good = if finite { self.good + 1 } else { 0 };
        if !finite {
            self.scale /= 2.0;
        } else if self.good == PATIENCE {
            self.good = 0;
            self.scale = (self.scale * 2.0).min(MOST);
        }
        self.scale >= LEAST
    }
}

#[cfg(test)]
mod tests {
    use lungfish_engine::{Cpu, GraphBuilder, Input, Normalization, Plan, PlanSpec, Seed, initialise};

    use super::*;

    #[test]
    fn it_follows_the_gradients_as_torchs_does() {
        assert_eq!([Precision::Fp32, Precision::Bf16].map(LossScale::of), [None, None]);
        let mut scale = LossScale::of(Precision::F16).unwrap();
        assert!(scale.note(false) && scale.note(false));
        assert_eq!(scale, LossScale { scale: 16_384.0, good: 0 });
        for _ in 0..1999 {
            assert!(scale.note(true));
        }
        assert_eq!(scale, LossScale { scale: 16_384.0, good: 1999 });
        let mut spoiled = scale;
        assert!(spoiled.note(false));
        assert_eq!(spoiled, LossScale { scale: 8192.0, good: 0 });
        assert!(scale.note(true));
        assert_eq!(scale, LossScale { scale: 32_768.0, good: 0 });
        // The least is used, and no smaller one.
        let halved = (0..).take_while(|_| spoiled.note(false)).count();
        assert_eq!((halved, spoiled.is_possible()), (29, false));
        assert!(scale.is_possible());
        let mut large = LossScale { scale: MOST, good: 1999 };
        assert!(large.note(true) && large.scale == MOST && large.is_possible());
        assert!(!LossScale { scale: MOST * 2.0, good: 0 }.is_possible());
    }

    /// A power of two changes no bit of a gradient that is no half.
    #[test]
    fn a_loss_that_is_scaled_and_unscaled_is_the_loss() {
        let mut g = GraphBuilder::new(3);
        let x = g.input();
        let x = g.gemm("fc", x, 2);
        let x = g.log_softmax("output", x);
        let graph = g.finish(x).unwrap();
        let all = [graph.part("network").unwrap()];
        let none = Normalization { mean: [0.0; 3], std: [1.0; 3] };
        let mut store = Store::new(&Cpu::new(), &graph).unwrap();
        initialise(&mut store, &graph, 5).unwrap();
        let mut plan = Plan::new(&Cpu::new(), &graph, PlanSpec::training(&graph, 1, 1, none, &all)).unwrap();
        let mut gradients = |scale: LossScale, x: f32| {
            plan.forward(&mut store, 1, Input::Values(&[x, 0.25, -1.0]), [0; 4]).unwrap();
            let targets = [0.0, scale.scale() as f32];
            plan.backward(&mut store, Seed::Targets(&targets), false).unwrap();
            let finite = scale.unscale(&mut store, &graph, &all).unwrap();
            (finite, store.gradient("fc.weight").unwrap())
        };
        let plain = gradients(LossScale { scale: 1.0, good: 0 }, 0.5);
        assert!(plain.0 && plain.1.iter().all(|v| *v != 0.0));
        assert_eq!(gradients(LossScale { scale: FIRST, good: 0 }, 0.5), plain);
        assert!(!gradients(LossScale { scale: FIRST, good: 0 }, f32::MAX).0);
    }
}
