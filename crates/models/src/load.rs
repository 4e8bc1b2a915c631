//! Weights into a network's store, by name.

use lungfish_engine::{Backend, Store};

use crate::{Network, Tensors, WeightsError};

/// What [`load_backbone`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors of the network that were set.
    pub loaded: usize,
    /// Tensors of the network that were not among those given and keep their values, in the
    /// network's order. The head's are here unless it was loaded.
    pub missing: Vec<String>,
    /// Tensors given that the network has no place for (an old classifier), sorted.
    pub unexpected: Vec<String>,
    /// Whether the head was loaded too: all its names were there and every shape fitted.
    pub head: bool,
}

impl LoadReport {
    /// Missing tensors of the backbone alone; a pretrained backbone has none.
    pub fn missing_in_backbone<'a>(&'a self, network: &'a Network) -> impl Iterator<Item = &'a str> {
        let in_head = |name: &str| network.graph.params().iter().any(|p| p.part == network.head && p.name == name);
        self.missing.iter().map(String::as_str).filter(move |name| !in_head(name))
    }
}

/// Sets every tensor of the network that is among those given, by name. The head is loaded as a
/// whole, when every one of its tensors is there with its shape; otherwise it is left alone.
///
/// # Errors
/// [`WeightsError::Shape`] for a tensor of the backbone with another shape;
/// [`WeightsError::WrongNetwork`] when no tensor of the backbone is there. Nothing is set then.
pub fn load_backbone<B: Backend>(
    store: &mut Store<B>,
    network: &Network,
    tensors: &Tensors,
) -> Result<LoadReport, WeightsError> {
    let specs = store.tensors().to_vec();
    let mut head = true;
    let mut backbone = 0;
    for spec in &specs {
        let found = tensors.get(&spec.name);
        let fits = found.is_some_and(|t| t.shape == spec.shape && t.data.len() == spec.len());
        match found {
            _ if spec.part == network.head => head &= fits,
            Some(_) if fits => backbone += 1,
            Some(t) => {
                return Err(WeightsError::Shape {
                    name: spec.name.clone(),
                    architecture: network.architecture,
                    found: t.shape.clone(),
                    needed: spec.shape.clone(),
                });
            }
            None => {}
        }
    }
    if backbone == 0 {
        return Err(WeightsError::WrongNetwork {
            architecture: network.architecture,
            count: tensors.len(),
            first: tensors.keys().next().cloned().unwrap_or_default(),
        });
    }

    let mut report = LoadReport { head, ..LoadReport::default() };
    let mut used = std::collections::HashSet::new();
    for spec in &specs {
        match tensors.get(&spec.name) {
            Some(t) if head || spec.part != network.head => {
                store.set(&spec.name, &t.data)?;
                used.insert(spec.name.as_str());
                report.loaded += 1;
            }
            _ => report.missing.push(spec.name.clone()),
        }
    }
    report.unexpected =
        tensors.keys().filter(|n| !used.contains(n.as_str()) && !n.ends_with("num_batches_tracked")).cloned().collect();
    Ok(report)
}
