//! Where the tensors of a graph lie in flat buffers.

use std::ops::Range;

use crate::{Graph, PartId, TensorSpec};

/// Where each tensor of a graph lies in its flat buffer.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub params: Vec<Range<usize>>,
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
    pub fn new(graph: &Graph) -> Self {
        Layout { params: end_to_end(graph.params()), buffers: end_to_end(graph.buffers()) }
    }

    pub fn len(ranges: &[Range<usize>]) -> usize {
        ranges.last().map_or(0, |r| r.end)
    }

    /// Ranges of the parameters of the given parts, neighbours joined.
    pub fn parts(&self, graph: &Graph, parts: &[PartId]) -> Vec<Range<usize>> {
        let mut joined: Vec<Range<usize>> = Vec::new();
        for (spec, range) in graph.params().iter().zip(&self.params).filter(|(s, _)| parts.contains(&s.part)) {
            debug_assert_eq!(spec.len(), range.len());
            match joined.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => joined.push(range.clone()),
            }
        }
        joined
    }
}
