//! Weights into a network's store, by name: a whole backbone or none, and a head only for the same classes.

use std::collections::HashSet;

use lungfish_engine::{Backend, Op, Store, TensorSpec};

use crate::recognise::recognise;
use crate::{Network, Tensor, Weights, WeightsError};

/// What [`load_backbone`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Tensors of the network that were set.
    pub loaded: usize,
    /// Tensors of the network that keep their values, in the network's order: those of a head that was not loaded.
    pub missing: Vec<String>,
    /// Tensors given that were not used (an old classifier), sorted.
    pub unexpected: Vec<String>,
    /// What became of the head.
    pub head: HeadLoad,
}

/// What became of the head.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadLoad {
    /// It was loaded as it is: the weights have the same class names in the same order.
    Taken,
    /// It was loaded with the rows of its last layer in the order of the new class names.
    Reordered,
    /// It was left alone.
    Fresh {
        /// Why.
        reason: FreshHead,
    },
}

/// Why a head was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreshHead {
    /// The weights have none, or one of another kind (ImageNet's classifier).
    Absent,
    /// Nothing says which classes the weights' head tells apart.
    Unnamed,
    /// The weights' head tells other classes apart.
    OtherClasses {
        /// Those of the weights, in their order.
        weights: Vec<String>,
        /// The new ones, in their order.
        wanted: Vec<String>,
    },
    /// A tensor of the head has another shape (a hidden layer of another width).
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The network's.
        needed: Vec<usize>,
    },
    /// A tensor of the head is not there.
    Incomplete {
        /// The tensor.
        name: String,
    },
}

/// Sets every tensor of the network's backbone to those given, by name, and the head where it tells the same classes
/// apart.
///
/// `classes` are the names of the network's classes, in the order of its outputs. The head is loaded when the weights
/// say that their classes have the same names, whatever the order; each row of its last layer then goes to the class of
/// its name. Without names, or with others, it is left alone: a shape that fits says nothing of what an output means.
///
/// ```
/// use lungfish_engine::{Cpu, Store};
/// use lungfish_models::{Architecture, FreshHead, HeadConfig, HeadLoad, Network, imagenet, load_backbone};
/// let network = Network::new(Architecture::EfficientnetLite0, 2, &HeadConfig::default()).unwrap();
/// let mut store = Store::new(&Cpu::new(), &network.graph)?;
/// let weights = imagenet(network.architecture)?.into();
/// let report = load_backbone(&mut store, &network, &weights, &["NORMAL".into(), "PNEUMONIA".into()])?;
/// assert_eq!((report.loaded, report.head), (245, HeadLoad::Fresh { reason: FreshHead::Absent }));
/// # Ok::<(), lungfish_models::WeightsError>(())
/// ```
///
/// # Errors
/// Nothing is set then. Each says what network the weights look like, where that can be told.
/// [`WeightsError::WrongNetwork`] when no tensor of the backbone is there, [`WeightsError::Shape`] for one with another
/// shape, [`WeightsError::Incomplete`] when some are not there, [`WeightsError::Surplus`] when the weights' backbone has
/// more than this one; [`WeightsError::ClassNames`] when `classes` are not as many as the network's.
pub fn load_backbone<B: Backend>(
    store: &mut Store<B>,
    network: &Network,
    weights: &Weights,
    classes: &[String],
) -> Result<LoadReport, WeightsError> {
    if classes.len() != network.classes {
        return Err(WeightsError::ClassNames { classes: network.classes, names: classes.len() });
    }
    let specs = store.tensors().to_vec();
    whole_backbone(&specs, network, weights)?;
    let order = head_order(&specs, network, weights, classes);
    let last = last_linear(network);
    let mut report = LoadReport {
        loaded: 0,
        missing: Vec::new(),
        unexpected: Vec::new(),
        head: match &order {
            Ok(order) if order.is_sorted() => HeadLoad::Taken,
            Ok(_) => HeadLoad::Reordered,
            Err(reason) => HeadLoad::Fresh { reason: reason.clone() },
        },
    };
    let mut used = HashSet::new();
    for spec in &specs {
        let data = match (weights.tensors.get(&spec.name), &order) {
            (Some(t), Ok(order)) if last.contains(&spec.name.as_str()) => &rows(t, order),
            (Some(t), order) if order.is_ok() || spec.part != network.head => &t.data,
            _ => {
                report.missing.push(spec.name.clone());
                continue;
            }
        };
        store.set(&spec.name, data)?;
        used.insert(spec.name.as_str());
        report.loaded += 1;
    }
    let names = weights.tensors.keys();
    report.unexpected = names.filter(|n| !used.contains(n.as_str()) && !is_counter(n)).cloned().collect();
    Ok(report)
}

/// Batch-norm's count of batches, which nothing here needs.
fn is_counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

/// Refuses all but a backbone with every tensor of this one, each of its shape, and no more.
fn whole_backbone(specs: &[TensorSpec], network: &Network, weights: &Weights) -> Result<(), WeightsError> {
    let (tensors, architecture) = (&weights.tensors, network.architecture);
    let looks_like = || recognise(tensors).filter(|name| name != architecture.name());
    let backbone: Vec<&TensorSpec> = specs.iter().filter(|spec| spec.part != network.head).collect();
    let missing: Vec<String> =
        backbone.iter().filter(|spec| !tensors.contains_key(&spec.name)).map(|spec| spec.name.clone()).collect();
    if missing.len() == backbone.len() {
        return Err(WeightsError::WrongNetwork {
            architecture,
            count: tensors.len(),
            first: tensors.keys().next().cloned().unwrap_or_default(),
            looks_like: looks_like(),
        });
    }
    for spec in &backbone {
        if let Some(t) = tensors.get(&spec.name).filter(|t| !fits(t, spec)) {
            return Err(WeightsError::Shape {
                name: spec.name.clone(),
                architecture,
                found: t.shape.clone(),
                needed: spec.shape.clone(),
                looks_like: looks_like(),
            });
        }
    }
    if !missing.is_empty() {
        let needed = backbone.len();
        return Err(WeightsError::Incomplete { architecture, needed, missing, looks_like: looks_like() });
    }
    // `layer1` of `layer1.0.conv1.weight`: what else the weights have below it belongs to their backbone.
    let top = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let tops: HashSet<String> = backbone.iter().map(|spec| top(&spec.name)).collect();
    let known: HashSet<&str> = backbone.iter().map(|spec| spec.name.as_str()).collect();
    let surplus: Vec<String> = tensors
        .keys()
        .filter(|name| tops.contains(&top(name)) && !known.contains(name.as_str()) && !is_counter(name))
        .cloned()
        .collect();
    if surplus.is_empty() {
        return Ok(());
    }
    Err(WeightsError::Surplus { architecture, surplus, looks_like: looks_like() })
}

fn fits(tensor: &Tensor, spec: &TensorSpec) -> bool {
    tensor.shape == spec.shape && tensor.data.len() == spec.len()
}

/// For each new class the place of its name among the weights' classes; or why the head cannot be loaded.
fn head_order(
    specs: &[TensorSpec],
    network: &Network,
    weights: &Weights,
    classes: &[String],
) -> Result<Vec<usize>, FreshHead> {
    let head: Vec<&TensorSpec> = specs.iter().filter(|spec| spec.part == network.head).collect();
    if !head.iter().any(|spec| weights.tensors.contains_key(&spec.name)) {
        return Err(FreshHead::Absent);
    }
    let theirs = weights.classes.as_ref().ok_or(FreshHead::Unnamed)?;
    let other = || FreshHead::OtherClasses { weights: theirs.clone(), wanted: classes.to_vec() };
    let place = |class: &String| theirs.iter().position(|name| name == class).ok_or_else(other);
    let order = classes.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
    let all_used = order.iter().collect::<HashSet<_>>().len() == theirs.len();
    if !all_used || theirs.len() != classes.len() {
        return Err(other());
    }
    for spec in head {
        let name = spec.name.clone();
        let Some(tensor) = weights.tensors.get(&name) else { return Err(FreshHead::Incomplete { name }) };
        if !fits(tensor, spec) {
            return Err(FreshHead::Shape { name, found: tensor.shape.clone(), needed: spec.shape.clone() });
        }
    }
    Ok(order)
}

/// The names of the last linear layer's tensors, which have a row for each class.
fn last_linear(network: &Network) -> Vec<&str> {
    let graph = &network.graph;
    let linear = graph.nodes().iter().rev().find(|node| matches!(node.op, Op::Gemm { .. }));
    let params = linear.map(|node| node.op.params()).unwrap_or_default();
    params.iter().map(|param| graph.params()[param.index()].name.as_str()).collect()
}

/// The rows of a tensor, along its first dimension, in that order.
fn rows(tensor: &Tensor, order: &[usize]) -> Vec<f32> {
    let width = tensor.data.len() / tensor.shape.first().copied().unwrap_or(1).max(1);
    order.iter().flat_map(|&row| &tensor.data[row * width..][..width]).copied().collect()
}
