//! A graph made ready to run: for a size of image, a most films a batch, and the parts trained.

use crate::layout::Layout;
use crate::schedule::Schedule;
use crate::{Backend, EngineError, Graph, Input, Normalization, PartId, Store, ValueId};

/// What a plan is for.
#[derive(Clone, Debug)]
pub struct PlanSpec {
    /// Most films a batch; any smaller batch runs too.
    pub capacity: usize,
    /// Image height, pixels.
    pub height: usize,
    /// Image width, pixels.
    pub width: usize,
    /// What the caller feeds: [`Graph::INPUT`], or a value further on (cached features).
    pub from: ValueId,
    /// What the plan computes, usually [`Graph::output`].
    pub to: ValueId,
    /// Parts being trained; none for inference.
    pub train: Vec<PartId>,
    /// Further values that stay readable after a forward pass.
    pub keep: Vec<ValueId>,
    /// Values that stay readable with their gradients (Grad-CAM).
    pub gradients: Vec<ValueId>,
    /// Of pixels.
    pub normalization: Normalization,
    /// Bytes of values that lie at hand from one step to the next, instead of [`Backend::CACHE`]. What is not trained runs
    /// so few films at a time that its values fit, where that spares memory traffic.
    pub cache: Option<usize>,
}

impl PlanSpec {
    /// From square pixels to the output, nothing trained.
    pub fn inference(graph: &Graph, capacity: usize, size: usize, normalization: Normalization) -> Self {
        PlanSpec {
            capacity,
            height: size,
            width: size,
            from: Graph::INPUT,
            to: graph.output(),
            train: Vec::new(),
            keep: Vec::new(),
            gradients: Vec::new(),
            normalization,
            cache: None,
        }
    }

    /// From square pixels to the output, with `train` trained.
    pub fn training(
        graph: &Graph,
        capacity: usize,
        size: usize,
        normalization: Normalization,
        train: &[PartId],
    ) -> Self {
        PlanSpec { train: train.to_vec(), ..PlanSpec::inference(graph, capacity, size, normalization) }
    }
}

/// Where a backward pass begins.
#[derive(Clone, Copy, Debug)]
pub enum Seed<'a> {
    /// `[n, K]` rows `t`: the loss is `-sum(t * log_probability)`, so class weights, label
    /// smoothing, mixing and the division by the batch are all in `t`.
    Targets(&'a [f32]),
    /// The gradient of the caller's loss at a value, `[n, C, H, W]` or `[n, F]`.
    Gradient(ValueId, &'a [f32]),
}

/// A compiled graph with its memory. Borrows a [`Store`] for each pass.
pub struct Plan<B: Backend> {
    backend: B,
    schedule: Schedule,
    program: B::Program,
    spec: PlanSpec,
    /// Films of the last forward pass.
    n: usize,
    /// Values that the backward pass since then has reached; `None` before it.
    reached: Option<Vec<ValueId>>,
}

impl<B: Backend> Plan<B> {
    /// Bytes of activations and gradients that a plan will take (packed weights come on top: the size
    /// of the weights, twice where gradients pass through their convolution).
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn bytes(graph: &Graph, spec: &PlanSpec) -> Result<usize, EngineError> {
        Ok(Schedule::new(graph, &Layout::new(graph), spec, spec.cache.or(B::CACHE))?.arena * size_of::<f32>())
    }

    /// Compiles a graph and takes its memory.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where image size or asked-for values do not fit the graph.
    pub fn new(backend: &B, graph: &Graph, spec: PlanSpec) -> Result<Self, EngineError> {
        if spec.capacity == 0 {
            return Err(EngineError::Batch { n: 0, capacity: 0 });
        }
        let schedule = Schedule::new(graph, &Layout::new(graph), &spec, spec.cache.or(B::CACHE))?;
        let program = backend.compile(&schedule)?;
        Ok(Plan { backend: backend.clone(), schedule, program, spec, n: 0, reached: None })
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
    /// [`EngineError::Batch`], [`EngineError::Length`].
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
            _ => Err(EngineError::NotKept { what: format!("value {}", value.0) }),
        }
    }

    /// Elements a film of a kept value; `None` for others.
    pub fn film_len(&self, value: ValueId) -> Option<usize> {
        self.schedule.kept.get(&value).map(|(_, shape)| shape.len())
    }

    /// Runs the last forward pass backward, once. Gradients in `store` of the trained parameters on
    /// which the seed's value depends are overwritten, or added to where `accumulate`; others stay as
    /// they were. Gives the loss for [`Seed::Targets`], else 0.
    ///
    /// # Errors
    /// [`EngineError::NotKept`] before a forward pass or where nothing is trained;
    /// [`EngineError::Spent`] for a second backward pass; [`EngineError::Length`].
    pub fn backward(&mut self, store: &mut Store<B>, seed: Seed<'_>, accumulate: bool) -> Result<f64, EngineError> {
        let (value, gradient, loss) = match seed {
            Seed::Gradient(v, g) => (v, g.to_vec(), 0.0),
            Seed::Targets(t) => {
                let y = self.output()?;
                if t.len() != y.len() {
                    return Err(EngineError::Length { what: "target rows".to_owned(), got: t.len(), want: y.len() });
                }
                // A class that takes no part must not turn -inf into NaN.
                let terms = y.iter().zip(t).filter(|(_, t)| **t != 0.0);
                let loss = -terms.map(|(y, t)| f64::from(*t) * f64::from(*y)).sum::<f64>();
                (self.spec.to, t.iter().map(|t| -t).collect(), loss)
            }
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
        Ok(loss)
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
