//! What must hold of nodes and tensors that they are a graph.

use std::collections::HashSet;

use super::{BufferId, Node, ParamId, PartId, TensorSpec};
use crate::EngineError;
use crate::ops::Site;
use crate::shape::MOST_ELEMENTS;

/// Channels of each value of a graph of these nodes, or what keeps them from being one.
pub(super) fn channels(
    input: usize,
    parts: &[String],
    [params, buffers]: [&[TensorSpec]; 2],
    nodes: &[Node],
) -> Result<Vec<usize>, EngineError> {
    if input == 0 {
        return Err(EngineError::graph("the input", "it has 0 channels"));
    }
    once("part", parts)?;
    let mut channels = vec![input];
    let mut names = HashSet::new();
    let (mut params_seen, mut buffers_seen) = (0, 0);
    for node in nodes {
        let refuse = |what: String| EngineError::graph(&node.name, what);
        let (rules, here) = (node.op.rules(), channels.len());
        if !names.insert(&node.name) {
            return Err(refuse("there are two nodes of this name".to_owned()));
        }
        if node.part.0 >= parts.len() {
            return Err(refuse(format!("part {} is of another graph: this one has {}", node.part.0, parts.len())));
        }
        if node.output.0 != here {
            return Err(refuse(format!("it writes value {} where value {here} is the next", node.output.0)));
        }
        if node.inputs.len() != rules.inputs() {
            let (got, want) = (node.inputs.len(), rules.inputs());
            return Err(refuse(format!("{} reads {want} values, not {got}", rules.name())));
        }
        if let Some(v) = node.inputs.iter().find(|v| v.0 >= here) {
            let what =
                format!("it reads value {} of another graph or of a later node: there are 0 to {}", v.0, here - 1);
            return Err(EngineError::AnotherGraph { what: format!("{}: {what}", node.name) });
        }
        let (own_params, own_buffers) = (rules.params(), rules.buffers());
        for ParamId(i) in own_params {
            owned(node, ("parameter", i, &mut params_seen), params)?;
        }
        for BufferId(i) in own_buffers {
            owned(node, ("buffer", i, &mut buffers_seen), buffers)?;
        }
        let inputs: Vec<usize> = node.inputs.iter().map(|v| channels[v.0]).collect();
        let output = rules.channels(&Site { inputs: &inputs, params, buffers }).map_err(refuse)?;
        if output == 0 {
            return Err(EngineError::graph(&node.name, "it gives 0 channels"));
        }
        channels.push(output);
    }
    for (kind, seen, specs) in [("parameter", params_seen, params), ("buffer", buffers_seen, buffers)] {
        if let Some(spec) = specs.get(seen) {
            return Err(EngineError::graph(&spec.name, format!("no node names this {kind}")));
        }
        let mut left = MOST_ELEMENTS;
        for spec in specs {
            let len = spec.shape.iter().try_fold(1usize, |len, side| len.checked_mul(*side));
            left = len.and_then(|len| left.checked_sub(len)).ok_or_else(|| {
                EngineError::graph(&spec.name, format!("a tensor of shape {:?} is too large", spec.shape))
            })?;
        }
    }
    let names: Vec<String> = params.iter().chain(buffers).map(|spec| spec.name.clone()).collect();
    once("tensor", &names)?;
    Ok(channels)
}

/// That every name stands there once.
fn once(what: &str, names: &[String]) -> Result<(), EngineError> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(EngineError::graph(name, format!("there are two {what}s of this name"))),
    }
}

/// That a node's tensor is the next one, and of the node's part.
fn owned(node: &Node, (kind, index, seen): (&str, usize, &mut usize), specs: &[TensorSpec]) -> Result<(), EngineError> {
    let Some(spec) = specs.get(index) else {
        return Err(EngineError::AnotherGraph {
            what: format!("{}: {kind} {index} is of another graph: this one has {}", node.name, specs.len()),
        });
    };
    if index != *seen {
        return Err(EngineError::graph(&node.name, format!("it names {kind} {index} where {seen} is the next")));
    }
    if spec.part != node.part {
        let (PartId(its), PartId(own)) = (spec.part, node.part);
        return Err(EngineError::graph(&node.name, format!("its {kind} {} is of part {its}, not {own}", spec.name)));
    }
    *seen += 1;
    Ok(())
}
