//! A graph made ready to run: compiled for a size of image, a most films a batch and the parts trained, with its memory.

use std::borrow::Cow;
use std::sync::Arc;

use crate::layout::Layout;
use crate::loss::{self, Backward, Seed};
use crate::schedule::Schedule;
use crate::{Backend, EngineError, Graph, Input, Normalization, PlanSpec, Store, ValueId};

/// A compiled graph with its memory. Borrows a [`Store`] for each pass.
pub struct Plan<B: Backend> {
    backend: B,
    /// Of the graph.
    layout: Arc<Layout>,
    schedule: Schedule,
    program: B::Program,
    spec: PlanSpec,
    /// Films of the last forward pass.
    n: usize,
    /// Values that the backward pass since then has reached; `None` before it.
    reached: Option<Vec<ValueId>>,
}

impl<B: Backend> Plan<B> {
    /// Bytes of activations, their gradients, statistics and masks that a plan will take: its arena.
    ///
    /// What a device makes of the weights comes on top. On the CPU that is, for each convolution that has run, a copy of
    /// its weights, and a layout of them for each direction it has run in, made when a kernel first asks for it. A layout
    /// is about as large as the weights; four times as large where Winograd's algorithm keeps them transformed. For layers
    /// of many channels it does not: their weights are transformed as they are used.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn bytes(backend: &B, graph: &Graph, spec: &PlanSpec) -> Result<usize, EngineError> {
        Ok(Schedule::new(graph, spec, spec.cache.or(backend.cache()), backend.piece())?.arena)
    }

    /// Compiles a graph and takes its memory.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where image size or asked-for values do not fit the graph; [`EngineError::AnotherGraph`] for
    /// values or parts that are not there; [`EngineError::Batch`] for a capacity of 0; [`EngineError::OutOfMemory`];
    /// [`EngineError::Device`].
    pub fn new(backend: &B, graph: &Graph, spec: PlanSpec) -> Result<Self, EngineError> {
        let schedule = Schedule::new(graph, &spec, spec.cache.or(backend.cache()), backend.piece())?;
        let (program, layout) = (backend.compile(&schedule)?, Arc::clone(&graph.layout));
        Ok(Plan { backend: backend.clone(), layout, schedule, program, spec, n: 0, reached: None })
    }

    /// What it was made for.
    pub fn spec(&self) -> &PlanSpec {
        &self.spec
    }

    /// The steps, as a backend runs them.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Runs `n` films forward. `key` makes the random numbers of dropout; trained batch-norms
    /// update their running statistics in `store`.
    ///
    /// # Errors
    /// [`EngineError::Batch`]; [`EngineError::Length`]; [`EngineError::AnotherGraph`] for the store of another;
    /// [`EngineError::Device`].
    pub fn forward(
        &mut self,
        store: &mut Store<B>,
        n: usize,
        input: Input<'_>,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        if n == 0 || n > self.spec.capacity {
            return Err(EngineError::Batch { n, capacity: self.spec.capacity });
        }
        self.layout.require(&store.layout, "the store")?;
        self.backend.feed(&mut self.program, self.schedule.input, n, input, &self.spec.normalization)?;
        self.backend.forward(&mut self.program, &self.schedule, &mut store.state(), n, key)?;
        store.touch(&self.spec.train);
        self.n = n;
        self.reached = None;
        Ok(())
    }

    /// The value `to` of the last forward pass, `[n, C, H, W]` or `[n, F]`.
    ///
    /// # Errors
    /// [`EngineError::NotKept`] before the first forward pass.
    pub fn output(&self) -> Result<Vec<f32>, EngineError> {
        self.value(self.spec.to)
    }

    /// A kept value of the last forward pass, `[n, C, H, W]` or `[n, F]`.
    ///
    /// # Errors
    /// [`EngineError::NotKept`].
    pub fn value(&self, value: ValueId) -> Result<Vec<f32>, EngineError> {
        match self.schedule.kept.get(&value) {
            Some(place) if self.n > 0 => self.backend.read(&self.program, *place, self.n),
            _ => Err(Self::not_kept(value)),
        }
    }

    fn not_kept(value: ValueId) -> EngineError {
        EngineError::NotKept { what: format!("value {}", value.0) }
    }

    /// Elements a film of a kept value; `None` for others.
    pub fn film_len(&self, value: ValueId) -> Option<usize> {
        self.schedule.kept.get(&value).map(|(_, shape)| shape.len())
    }

    /// Runs the last forward pass backward, once. Gradients in `store` of the trained parameters on
    /// which the seed's value depends are overwritten, or added to where `accumulate`; others stay as
    /// they were. Gives the loss and the output that it was computed from.
    ///
    /// # Errors
    /// [`EngineError::NotKept`] before a forward pass or where nothing is trained;
    /// [`EngineError::Spent`] for a second backward pass; [`EngineError::Length`]; [`EngineError::AnotherGraph`] for the
    /// store of another; [`EngineError::Device`].
    pub fn backward(
        &mut self,
        store: &mut Store<B>,
        seed: Seed<'_>,
        accumulate: bool,
    ) -> Result<Backward, EngineError> {
        self.layout.require(&store.layout, "the store")?;
        let (value, gradient, given) = match seed {
            // Known without the output, which is read in the end: nobody waits for a device in the middle of a step.
            Seed::Targets(_) if self.n == 0 => return Err(Self::not_kept(self.spec.to)),
            Seed::Targets(targets) => {
                loss::rows("target rows", targets.len(), self.n * self.film_len(self.spec.to).unwrap_or(0))?;
                (self.spec.to, Cow::Owned(targets.iter().map(|t| -t).collect()), Backward::default())
            }
            Seed::BinaryTargets { positive, negative } => {
                let y = self.output()?;
                let (loss, gradient) = loss::any_of(&y, positive, negative)?;
                (self.spec.to, Cow::Owned(gradient), Backward { loss, output: Some(y) })
            }
            Seed::Gradient(value, gradient) => (value, Cow::Borrowed(gradient), Backward::default()),
        };
        let place = *self
            .schedule
            .gradients
            .get(&value)
            .filter(|_| self.n > 0)
            .ok_or_else(|| EngineError::NotKept { what: format!("the gradient of value {}", value.0) })?;
        if self.reached.is_some() {
            return Err(EngineError::Spent);
        }
        store.need_gradients()?;
        let none = Normalization { mean: [0.0; 3], std: [1.0; 3] };
        self.backend.feed(&mut self.program, place, self.n, Input::Values(&gradient), &none)?;
        let (steps, reached) = self.schedule.backward_steps(value);
        // Whatever becomes of it, the values are no longer what they were.
        self.reached = Some(reached);
        self.backend.backward(&mut self.program, &self.schedule, &mut store.state(), self.n, &steps, accumulate)?;
        match seed {
            Seed::Targets(targets) => {
                let y = self.output()?;
                Ok(Backward { loss: loss::one_of(&y, targets), output: Some(y) })
            }
            _ => Ok(given),
        }
    }

    /// The gradient at one of [`PlanSpec::gradients`], `[n, C, H, W]` or `[n, F]`; zeros where the
    /// seed's value does not depend on it.
    ///
    /// # Errors
    /// [`EngineError::NotKept`].
    pub fn gradient(&self, value: ValueId) -> Result<Vec<f32>, EngineError> {
        match (self.schedule.gradients.get(&value), &self.reached) {
            (Some(place), Some(reached)) if self.schedule.kept_gradients.contains(&value) => {
                if reached.contains(&self.schedule.same[value.0]) {
                    self.backend.read(&self.program, *place, self.n)
                } else {
                    Ok(vec![0.0; self.n * place.1.len()])
                }
            }
            _ => Err(EngineError::NotKept { what: format!("the gradient of value {}", value.0) }),
        }
    }
}
