//! Weights into a network's store, by name: a whole backbone or none, and a head only for the same classes.

use std::collections::HashSet;

use lungfish_engine::{Backend, Op, Store, TensorSpec};

use crate::place::{self, below_prefix, is_counter};
use crate::{Network, Place, Tensor, Weights, WeightsError};

/// What [`load_backbone`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Tensors of the network that were set.
    pub loaded: usize,
    /// Tensors of the network that keep their values, in the network's order: those of a head that was not loaded.
    pub missing: Vec<String>,
    /// Tensors of the same state dict that were not used (an old classifier), sorted, without the backbone's prefix.
    pub unexpected: Vec<String>,
    /// Where the backbone was found.
    pub place: Place,
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
/// The backbone is looked for under whatever prefix its names have ([`Place`]); the head's names lie under the same one. All of
/// the backbone must be there. Of several, names without a prefix are taken, then the one that its training method means to be used
/// (MoCo's query encoder, an online network rather than its momentum or moving average, DINO's teacher rather than its student). A
/// first convolution of one channel is made one of three that gives the same on gray films.
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
/// more than this one, [`WeightsError::Ambiguous`] when there are several and nothing tells which is meant;
/// [`WeightsError::NotFinite`]; [`WeightsError::ClassNames`] when `classes` are not as many as the network's.
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
    let backbone: Vec<&TensorSpec> = specs.iter().filter(|spec| spec.part != network.head).collect();
    let place = place::find(network.architecture, &backbone, &weights.tensors)?;
    let is_head = |spec: &&TensorSpec| spec.part == network.head;
    let any_below = |prefix: &str| {
        specs.iter().filter(is_head).any(|spec| weights.tensors.contains_key(&format!("{prefix}{}", spec.name)))
    };
    let before_head = place.before_head(any_below);
    let order = head_order(&specs, network, (weights, before_head), classes);
    let last = last_linear(network);
    let (mut missing, mut used) = (Vec::new(), HashSet::new());
    let mut values = Vec::new();
    for spec in &specs {
        let of_head = spec.part == network.head;
        let name = if of_head {
            format!("{before_head}{}", spec.name)
        } else {
            used.extend(place.copies_of(network.architecture, &spec.name));
            place.name(network.architecture, &spec.name)
        };
        let data = match (weights.tensors.get(&name), &order) {
            (Some(t), Ok(order)) if last.contains(&spec.name.as_str()) => rows(t, order).into(),
            (Some(t), order) if order.is_ok() || !of_head => place.data(t, spec),
            _ => {
                missing.push(spec.name.clone());
                continue;
            }
        };
        if data.iter().any(|v| !v.is_finite()) {
            return Err(WeightsError::NotFinite { name });
        }
        values.push((spec, data));
        used.insert(name);
    }
    for (spec, data) in &values {
        store.set(&spec.name, data)?;
    }
    let root = weights.root_of(&place.prefix);
    let unexpected = below_prefix(&weights.tensors, root)
        .filter(|(name, _)| !used.contains(*name) && !is_counter(name) && !place.is_aside(name))
        .map(|(name, _)| name.strip_prefix(&place.prefix).unwrap_or(&name[root.len()..]).to_owned());
    let mut unexpected: Vec<String> = unexpected.collect();
    unexpected.sort_unstable();
    let head = match order {
        Ok(order) if order.is_sorted() => HeadLoad::Taken,
        Ok(_) => HeadLoad::Reordered,
        Err(reason) => HeadLoad::Fresh { reason },
    };
    Ok(LoadReport { loaded: values.len(), missing, unexpected, place, head })
}

/// For each new class the place of its name among the weights' classes; or why the head cannot be loaded.
fn head_order(
    specs: &[TensorSpec],
    network: &Network,
    (weights, before): (&Weights, &str),
    classes: &[String],
) -> Result<Vec<usize>, FreshHead> {
    let head: Vec<&TensorSpec> = specs.iter().filter(|spec| spec.part == network.head).collect();
    let theirs_of = |spec: &TensorSpec| weights.tensors.get(&format!("{before}{}", spec.name));
    if !head.iter().any(|spec| theirs_of(spec).is_some()) {
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
        let Some(tensor) = theirs_of(spec) else { return Err(FreshHead::Incomplete { name }) };
        if tensor.shape != spec.shape || tensor.data.len() != spec.len() {
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
