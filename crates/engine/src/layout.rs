//! The tensors of a graph, and where they lie in flat buffers.

use std::ops::Range;
use std::sync::Arc;

use crate::{EngineError, PartId, TensorSpec};

/// Name, shape, part and place of each tensor of a graph. A graph, the stores and plans made of it share one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub param_specs: Vec<TensorSpec>,
    pub buffer_specs: Vec<TensorSpec>,
    pub part_names: Vec<String>,
    /// Elements, by parameter.
    pub params: Vec<Range<usize>>,
    /// Elements, by buffer.
    pub buffers: Vec<Range<usize>>,
}

fn end_to_end(specs: &[TensorSpec]) -> Vec<Range<usize>> {
    let mut at = 0;
    specs
        .iter()
        .map(|s| {
            let start = at;
            at += s.len();
            start..at
        })
        .collect()
}

impl Layout {
    /// Of tensors whose elements can be counted.
    pub fn new(param_specs: Vec<TensorSpec>, buffer_specs: Vec<TensorSpec>, part_names: Vec<String>) -> Self {
        let (params, buffers) = (end_to_end(&param_specs), end_to_end(&buffer_specs));
        Layout { param_specs, buffer_specs, part_names, params, buffers }
    }

    pub fn len(ranges: &[Range<usize>]) -> usize {
        ranges.last().map_or(0, |r| r.end)
    }

    /// Ranges of the parameters of the given parts, neighbours joined.
    pub fn parts(&self, parts: &[PartId]) -> Vec<Range<usize>> {
        let mut joined: Vec<Range<usize>> = Vec::new();
        for (_, range) in self.param_specs.iter().zip(&self.params).filter(|(s, _)| parts.contains(&s.part)) {
            match joined.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => joined.push(range.clone()),
            }
        }
        joined
    }

    /// That `other`, which belongs to `what` ("the store"), has the same tensors in the same places.
    pub fn require(self: &Arc<Self>, other: &Arc<Self>, what: &str) -> Result<(), EngineError> {
        if Arc::ptr_eq(self, other) || self == other {
            return Ok(());
        }
        let pairs = [(&self.param_specs, &other.param_specs), (&self.buffer_specs, &other.buffer_specs)];
        let described = |spec: Option<&TensorSpec>| {
            spec.map_or_else(|| "no tensor".to_owned(), |spec| format!("{} {:?}", spec.name, spec.shape))
        };
        for (own, others) in pairs {
            for i in 0..own.len().max(others.len()) {
                if own.get(i) != others.get(i) {
                    let (want, got) = (described(own.get(i)), described(others.get(i)));
                    return Err(EngineError::AnotherGraph {
                        what: format!("{what} belongs to another graph: it has {got} where this one has {want}"),
                    });
                }
            }
        }
        let (want, got) = (self.part_names.join(", "), other.part_names.join(", "));
        Err(EngineError::AnotherGraph {
            what: format!("{what} belongs to another graph: its parts are {got} where this one's are {want}"),
        })
    }

    /// That there are such parts.
    pub fn expect_parts(&self, parts: &[PartId]) -> Result<(), EngineError> {
        match parts.iter().find(|part| part.index() >= self.part_names.len()) {
            None => Ok(()),
            Some(part) => Err(EngineError::AnotherGraph {
                what: format!("part {} is of another graph: this one has {}", part.index(), self.part_names.len()),
            }),
        }
    }
}
