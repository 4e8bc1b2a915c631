//! Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): which places of a film raised or lowered a score, read where the
//! backbone's last maps are averaged.
//!
//! Every network here is maps A of K channels, their mean a channel p, and a head on p. The gradient of a score at A is the
//! same at all places: that at p over their number. So Grad-CAM's weights, its mean over places, need a backward pass
//! through the head and no further, and are exact whichever parts were trained.
//!
//! The map is the sum over channels of weight times A, with its sign. A head of linear layers and ReLU is linear about the
//! film at hand, so a logit is the sum of its map over all places plus what the biases of the head give: each place has its
//! contribution in logits. Grad-CAM as published cuts off what is negative and scales what is left to its largest; that
//! is for drawing, and is not done here.

use lungfish_engine::{Backend, EngineError, Input, Normalization, Plan, PlanSpec, Precision, Seed, Store, ValueId};

use crate::{ModelError, Network};

/// A network compiled to give Grad-CAM's maps of films. Borrows a [`Store`] for each batch.
pub struct GradCam<B: Backend> {
    plan: Plan<B>,
    /// What is averaged.
    maps: ValueId,
    /// Its mean, a number a channel.
    pool: ValueId,
    logits: ValueId,
    channels: usize,
    grid: [usize; 2],
}

impl<B: Backend> GradCam<B> {
    /// Compiles a network for square films of `size` pixels a side, `capacity` of them at a time at most. In the precision that gives
    /// a score, a map is that score's: the averages, and with them the head and its gradient, are single precision in either.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn new(
        backend: &B,
        network: &Network,
        capacity: usize,
        size: usize,
        (normalization, precision): (Normalization, Precision),
    ) -> Result<Self, ModelError> {
        let lost = || EngineError::Shape { what: format!("{} has no maps that are averaged", network.architecture) };
        let tap = |name: &str| network.tap(name).ok_or_else(lost);
        let (pool, logits) = (tap("pool")?, tap("logits")?);
        let writer = network.graph.writer(pool).ok_or_else(lost)?;
        let maps = *writer.inputs.first().ok_or_else(lost)?;
        let shape = network.graph.shape(maps, size, size)?;
        let spec = PlanSpec {
            to: logits,
            keep: vec![maps],
            gradients: vec![pool],
            precision,
            ..PlanSpec::inference(&network.graph, capacity, size, normalization)
        };
        let plan = Plan::new(backend, &network.graph, spec)?;
        Ok(GradCam { plan, maps, pool, logits, channels: shape.c, grid: [shape.h, shape.w] })
    }

    /// Rows and columns of a map.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// The maps of `n` films, `[n, rows, columns]`, in units of a score that is a sum of logits: `score` has its factors,
    /// `[n, classes]`, 1 for the logit that is looked at and -1 for one that is taken off it.
    ///
    /// # Errors
    /// As [`Plan::forward`] and [`Plan::backward`].
    pub fn maps(
        &mut self,
        store: &mut Store<B>,
        n: usize,
        input: Input<'_>,
        score: &[f32],
    ) -> Result<Vec<f32>, ModelError> {
        self.plan.forward(store, n, input, [0; 4])?;
        let activations = self.plan.value(self.maps)?;
        self.plan.backward(store, Seed::Gradient(self.logits, score), false)?;
        let gradient = self.plan.gradient(self.pool)?;
        let places = self.grid[0] * self.grid[1];
        let mut out = Vec::with_capacity(n * places);
        let films = activations.chunks_exact((self.channels * places).max(1));
        for (film, gradient) in films.zip(gradient.chunks_exact(self.channels.max(1))) {
            let mut map = vec![0.0_f64; places];
            for (channel, gradient) in film.chunks_exact(places.max(1)).zip(gradient) {
                let weight = f64::from(*gradient) / places as f64;
                map.iter_mut().zip(channel).for_each(|(sum, value)| *sum += weight * f64::from(*value));
            }
            out.extend(map.into_iter().map(|value| value as f32));
        }
        Ok(out)
    }
}
