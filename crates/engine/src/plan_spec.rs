//! What a plan is asked for: image size, largest batch, trained parts, values to be read.

use crate::shape::MOST_ELEMENTS;
use crate::{Element, EngineError, Graph, Normalization, PartId, Precision, ValueId};

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
    /// Bytes of values that lie at hand from one step to the next, instead of [`Backend::cache`](crate::Backend::cache).
    /// What is not trained runs so few films at a time that its values fit, where that spares memory traffic.
    pub cache: Option<usize>,
    /// Of the values between its layers.
    pub precision: Precision,
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
            precision: Precision::Fp32,
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

    /// That it can be asked of a graph, and counted.
    pub(crate) fn check(&self, graph: &Graph) -> Result<(), EngineError> {
        if self.capacity == 0 {
            return Err(EngineError::Batch { n: 0, capacity: 0 });
        }
        graph.layout.expect_parts(&self.train)?;
        for values in [&[self.from, self.to][..], &self.keep, &self.gradients] {
            graph.expect_values(values)?;
        }
        for shape in graph.shapes(self.height, self.width)? {
            let elements = shape.len().checked_mul(self.capacity).filter(|len| *len <= MOST_ELEMENTS);
            if elements.is_none() {
                let bytes = shape.len().saturating_mul(self.capacity).saturating_mul(Element::F32.bytes());
                return Err(EngineError::OutOfMemory { bytes });
            }
        }
        Ok(())
    }
}
