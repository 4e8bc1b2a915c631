//! The tensors of a network on a device: parameters, their gradients and running statistics, one flat buffer each.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::State;
use crate::init::Fresh;
use crate::layout::Layout;
use crate::{Backend, Element, EngineError, Graph, PartId, TensorSpec};

/// A version that no tensor of any store has had: a plan may be run with one store after another,
/// and must not take one's weights for the other's.
fn new_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// The tensors of one network on one device. Many plans can borrow it.
pub struct Store<B: Backend> {
    pub(crate) backend: B,
    pub(crate) params: B::Buffer,
    pub(crate) grads: Option<B::Buffer>,
    pub(crate) buffers: B::Buffer,
    /// By part; another with every change of one of its tensors.
    pub(crate) versions: Vec<u64>,
    pub(crate) layout: Arc<Layout>,
    specs: Vec<TensorSpec>,
    /// Name to whether it is a parameter, its part and its range.
    places: HashMap<String, (bool, PartId, Range<usize>)>,
}

impl<B: Backend> Store<B> {
    /// Weights and biases 0, batch-norm scales and running variances 1.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`]; [`EngineError::Device`].
    pub fn new(backend: &B, graph: &Graph) -> Result<Self, EngineError> {
        let layout = Arc::clone(&graph.layout);
        let mut places = HashMap::new();
        for (is_param, specs, ranges) in
            [(true, graph.params(), &layout.params), (false, graph.buffers(), &layout.buffers)]
        {
            for (spec, range) in specs.iter().zip(ranges) {
                places.insert(spec.name.clone(), (is_param, spec.part, range.clone()));
            }
        }
        let mut store = Store {
            backend: backend.clone(),
            params: backend.allocate(Element::F32, Layout::len(&layout.params))?,
            grads: None,
            buffers: backend.allocate(Element::F32, Layout::len(&layout.buffers))?,
            versions: graph.parts().iter().map(|_| new_version()).collect(),
            specs: graph.params().iter().chain(graph.buffers()).cloned().collect(),
            layout,
            places,
        };
        for (spec, fresh) in graph.nodes().iter().flat_map(|node| node.op.rules().fresh(&graph.layout)) {
            if let Fresh::Constant(value) = fresh
                && value != 0.0
            {
                store.set(&spec.name, &vec![value; spec.len()])?;
            }
        }
        Ok(store)
    }

    /// Name, shape and part of every tensor: parameters, then running statistics.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.specs
    }

    fn place(&self, name: &str) -> Result<&(bool, PartId, Range<usize>), EngineError> {
        self.places.get(name).ok_or_else(|| EngineError::NoSuchTensor { name: name.to_owned() })
    }

    fn fetch(&self, buffer: &B::Buffer, range: &Range<usize>) -> Result<Vec<f32>, EngineError> {
        let mut host = vec![0.0; range.len()];
        self.backend.download(buffer, range.start, &mut host)?;
        Ok(host)
    }

    /// A tensor's elements, in the order of its shape (OIHW).
    ///
    /// # Errors
    /// [`EngineError::NoSuchTensor`].
    pub fn get(&self, name: &str) -> Result<Vec<f32>, EngineError> {
        let (is_param, _, range) = self.place(name)?;
        self.fetch(if *is_param { &self.params } else { &self.buffers }, range)
    }

    /// Replaces a tensor.
    ///
    /// # Errors
    /// [`EngineError::NoSuchTensor`]; [`EngineError::Length`].
    pub fn set(&mut self, name: &str, values: &[f32]) -> Result<(), EngineError> {
        let (is_param, part, range) = self.place(name)?.clone();
        if values.len() != range.len() {
            return Err(EngineError::Length { what: name.to_owned(), got: values.len(), want: range.len() });
        }
        self.versions[part.0] = new_version();
        let buffer = if is_param { &mut self.params } else { &mut self.buffers };
        self.backend.upload(buffer, range.start, values)
    }

    /// A parameter's gradient after a backward pass; zeros before the first.
    ///
    /// # Errors
    /// [`EngineError::NoSuchTensor`]; [`EngineError::NotKept`] for a running statistic.
    pub fn gradient(&self, name: &str) -> Result<Vec<f32>, EngineError> {
        let (is_param, _, range) = self.place(name)?;
        if !is_param {
            return Err(EngineError::NotKept { what: format!("a gradient of {name}, which is not learned,") });
        }
        self.grads.as_ref().map_or_else(|| Ok(vec![0.0; range.len()]), |g| self.fetch(g, range))
    }

    /// Moves the parameters of `parts` towards those of another store of the same network, each by `weight` of what lies
    /// between them: what an average of weights over a training is made with. Running statistics stay as they are.
    ///
    /// # Errors
    /// [`EngineError::AnotherGraph`] for the store or a part of another.
    pub fn blend(&mut self, from: &Store<B>, parts: &[PartId], weight: f64) -> Result<(), EngineError> {
        self.layout.require(&from.layout, "the store")?;
        self.layout.expect_parts(parts)?;
        let ranges = self.layout.parts(parts);
        self.backend.blend(&mut self.params, &from.params, &ranges, weight as f32)?;
        self.touch(parts);
        Ok(())
    }

    /// Takes room for gradients, once.
    pub(crate) fn need_gradients(&mut self) -> Result<(), EngineError> {
        if self.grads.is_none() {
            self.grads = Some(self.backend.allocate(Element::F32, Layout::len(&self.layout.params))?);
        }
        Ok(())
    }

    /// Notes that tensors of these parts have changed.
    pub(crate) fn touch(&mut self, parts: &[PartId]) {
        for p in parts {
            self.versions[p.0] = new_version();
        }
    }

    pub(crate) fn state(&mut self) -> State<'_, B::Buffer> {
        State {
            params: &mut self.params,
            grads: self.grads.as_mut(),
            buffers: &mut self.buffers,
            versions: &self.versions,
        }
    }
}
