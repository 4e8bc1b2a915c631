//! Adam and AdamW over the trained parts, and clipping by the global norm.

use std::ops::Range;
use std::sync::Arc;

use crate::backend::AdamUpdate;
use crate::layout::Layout;
use crate::{Backend, Element, EngineError, Graph, PartId, Store};

/// Constants of Adam (Kingma & Ba, arXiv 1412.6980) and AdamW (Loshchilov & Hutter, arXiv
/// 1711.05101). The defaults are `torch.optim.Adam`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay: added to the gradient, or with `decoupled` taken from the weights.
    pub weight_decay: f64,
    /// AdamW.
    pub decoupled: bool,
}

impl Default for AdamConfig {
    fn default() -> Self {
        AdamConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

/// What going on with an [`Adam`] needs.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamState {
    /// Steps taken.
    pub step: u64,
    /// First moments of the trained parameters, end to end.
    pub m: Vec<f32>,
    /// Second moments.
    pub v: Vec<f32>,
}

/// An optimiser of the trained parts of one network.
pub struct Adam<B: Backend> {
    backend: B,
    config: AdamConfig,
    layout: Arc<Layout>,
    parts: Vec<PartId>,
    /// Where each part's parameters lie; a part's lie together, the parts in the order of the graph.
    ranges: Vec<(PartId, Range<usize>)>,
    m: B::Buffer,
    v: B::Buffer,
    step: u64,
}

impl<B: Backend> Adam<B> {
    /// BatchStatistics 0.
    ///
    /// # Errors
    /// [`EngineError::AnotherGraph`] for a part that is not there; [`EngineError::OutOfMemory`].
    pub fn new(backend: &B, graph: &Graph, train: &[PartId], config: AdamConfig) -> Result<Self, EngineError> {
        let layout = Arc::clone(&graph.layout);
        layout.expect_parts(train)?;
        let mut ranges: Vec<(PartId, Range<usize>)> =
            train.iter().flat_map(|&part| layout.parts(&[part]).into_iter().map(move |r| (part, r))).collect();
        ranges.sort_by_key(|(_, range)| range.start);
        ranges.dedup();
        let len = ranges.iter().map(|(_, range)| range.len()).sum();
        Ok(Adam {
            backend: backend.clone(),
            config,
            parts: train.to_vec(),
            m: backend.allocate(Element::F32, len)?,
            v: backend.allocate(Element::F32, len)?,
            layout,
            ranges,
            step: 0,
        })
    }

    fn len(&self) -> usize {
        self.ranges.iter().map(|(_, range)| range.len()).sum()
    }

    /// One step along the gradients in `store`, every part with the same learning rate.
    ///
    /// # Errors
    /// [`EngineError::NotKept`] before the first backward pass; [`EngineError::AnotherGraph`] for the store of another.
    pub fn step(&mut self, store: &mut Store<B>, lr: f64) -> Result<(), EngineError> {
        self.step_with(store, |_| lr, self.config.beta1)
    }

    /// One step along the gradients in `store`, each part with its own learning rate (torch's parameter groups), and
    /// with a decay of the first moment for this step (schedules that cycle it, as torch's `OneCycleLR`).
    ///
    /// # Errors
    /// [`EngineError::NotKept`] before the first backward pass; [`EngineError::AnotherGraph`] for the store of another.
    pub fn step_with(
        &mut self,
        store: &mut Store<B>,
        lr: impl Fn(PartId) -> f64,
        beta1: f64,
    ) -> Result<(), EngineError> {
        self.layout.require(&store.layout, "the store")?;
        let grads = store.grads.as_ref().ok_or_else(no_gradient)?;
        let AdamConfig { beta2, epsilon, weight_decay, decoupled, .. } = self.config;
        let update = AdamUpdate { beta1, beta2, epsilon, weight_decay, decoupled, step: self.step + 1 };
        let ranges: Vec<(Range<usize>, f64)> = self.ranges.iter().map(|(part, r)| (r.clone(), lr(*part))).collect();
        self.backend.adam(&update, &ranges, &mut store.params, grads, &mut self.m, &mut self.v)?;
        self.step += 1;
        store.touch(&self.parts);
        Ok(())
    }

    /// A copy of the moments.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    pub fn state(&self) -> Result<AdamState, EngineError> {
        let mut state = AdamState { step: self.step, m: vec![0.0; self.len()], v: vec![0.0; self.len()] };
        self.backend.download(&self.m, 0, &mut state.m)?;
        self.backend.download(&self.v, 0, &mut state.v)?;
        Ok(state)
    }

    /// Goes on from a state.
    ///
    /// # Errors
    /// [`EngineError::Length`] where it belongs to other parts or another network.
    pub fn restore(&mut self, state: &AdamState) -> Result<(), EngineError> {
        for (what, moments) in [("first moments", &state.m), ("second moments", &state.v)] {
            if moments.len() != self.len() {
                return Err(EngineError::Length { what: what.to_owned(), got: moments.len(), want: self.len() });
            }
        }
        self.backend.upload(&mut self.m, 0, &state.m)?;
        self.backend.upload(&mut self.v, 0, &state.v)?;
        self.step = state.step;
        Ok(())
    }
}

/// Scales the gradients of `train` so that their norm together is at most `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_`. Gives the norm before.
///
/// # Errors
/// [`EngineError::NotKept`] before the first backward pass; [`EngineError::AnotherGraph`] for a store or a part of another.
pub fn clip_gradients<B: Backend>(
    store: &mut Store<B>,
    graph: &Graph,
    train: &[PartId],
    max_norm: f64,
) -> Result<f64, EngineError> {
    let norm = gradient_norm(store, graph, train)?;
    let factor = max_norm / (norm + 1e-6);
    if factor < 1.0 {
        scale_gradients(store, graph, train, factor)?;
    }
    Ok(norm)
}

/// The norm of the gradients of `train` together; infinite, or no number, where one of them is.
///
/// # Errors
/// As [`clip_gradients`].
pub fn gradient_norm<B: Backend>(store: &Store<B>, graph: &Graph, train: &[PartId]) -> Result<f64, EngineError> {
    graph.layout.require(&store.layout, "the store")?;
    graph.layout.expect_parts(train)?;
    let grads = store.grads.as_ref().ok_or_else(no_gradient)?;
    Ok(store.backend.sum_of_squares(grads, &store.layout.parts(train))?.sqrt())
}

/// Multiplies the gradients of `train` by a factor: what a loss that was scaled is undone with.
///
/// # Errors
/// As [`clip_gradients`].
pub fn scale_gradients<B: Backend>(
    store: &mut Store<B>,
    graph: &Graph,
    train: &[PartId],
    factor: f64,
) -> Result<(), EngineError> {
    graph.layout.require(&store.layout, "the store")?;
    graph.layout.expect_parts(train)?;
    let ranges = store.layout.parts(train);
    let grads = store.grads.as_mut().ok_or_else(no_gradient)?;
    store.backend.scale(grads, &ranges, factor as f32)
}

fn no_gradient() -> EngineError {
    EngineError::NotKept { what: "a gradient".to_owned() }
}
