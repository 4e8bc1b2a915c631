//! A network that somebody trained with another program, backbone and head, as one of ours.
//!
//! A backbone has the names that everybody uses; heads have not. Those that are taken over end in one linear layer, as
//! torchvision's own, or in two with a ReLU between. Ours has two. One layer `z = Wx + b` is the same as `[W; -W]` and `[b; -b]`,
//! ReLU, and `[I, -I]`: since relu(z) - relu(-z) is z, to the bit.

use std::borrow::Cow;

use lungfish_engine::TensorSpec;

use crate::error::shown;
use crate::place::{self, below_prefix, is_counter};
use crate::recognise::recognise;
use crate::{Architecture, HeadConfig, Network, Place, Tensor, Tensors, Weights, WeightsError};

/// A network that was trained elsewhere, with the tensors of one of ours.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WholeNetwork {
    /// The backbone.
    pub architecture: Architecture,
    /// Features between the two linear layers of our head.
    pub hidden: usize,
    /// Every tensor of the network, under our names.
    pub tensors: Tensors,
    /// Outputs of the network.
    pub outputs: usize,
    /// What head it had.
    pub head: ForeignHead,
    /// Where its backbone was found.
    pub place: Place,
    /// Tensors that belong to a loss and have no part in the network.
    pub left_aside: Vec<String>,
}

/// The head of a network that was trained elsewhere: its linear layers by name, in running order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignHead {
    /// One linear layer.
    One {
        /// Its name.
        layer: String,
        /// Whether it had a single output, the logit of the second of two classes, beside which the first one's is 0: the softmax
        /// of the two is the sigmoid of the one.
        single: bool,
    },
    /// Two. What a file has are the numbers of layers that have any: that there is a ReLU between these is taken for granted.
    Two {
        /// The first one's name.
        first: String,
        /// The second one's name.
        second: String,
        /// As for one layer.
        single: bool,
    },
}

/// A linear layer of a file.
struct Linear<'a> {
    /// Its name in the file, without `.weight`.
    name: String,
    /// `[outputs, inputs]`, row by row.
    weight: &'a [f32],
    bias: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

/// Makes one of our networks of weights that hold a whole one: the backbone of `architecture`, or of the only network that fits,
/// wherever it lies ([`Place`]), and its head. `one_of` says that its outputs are of classes of which one is right: then a single
/// output is taken for two.
///
/// # Errors
/// Those of [`load_backbone`](crate::load_backbone) for an architecture that is asked for; [`WeightsError::NoNetwork`];
/// [`WeightsError::Head`] for any head but one or two linear layers, naming the tensor that has no place;
/// [`WeightsError::NotFinite`].
pub fn whole_network(
    weights: &Weights,
    architecture: Option<Architecture>,
    one_of: bool,
) -> Result<WholeNetwork, WeightsError> {
    let (architecture, place) = recognised(weights, architecture)?;
    let backbone = backbone_of(architecture)?;
    let mut tensors = Tensors::new();
    let mut used = Vec::new();
    for spec in &backbone {
        let name = place.name(architecture, &spec.name);
        let Some(tensor) = weights.tensors.get(&name) else { continue };
        tensors.insert(
            spec.name.clone(),
            Tensor { shape: spec.shape.clone(), data: place.data(tensor, spec).into_owned() },
        );
        used.push(name);
        used.extend(place.copies_of(architecture, &spec.name));
    }
    let (mut layers, left_aside) = linears(weights, &place, &used)?;
    let features = architecture.features();
    let outputs = order(&mut layers, features)?;
    let single = one_of && outputs == 1;
    let head = head_of(&layers, single)?;
    let fc = architecture.facts().classifier;
    let mut put = |name: &str, shape: &[usize], data: Vec<f32>| {
        tensors.insert(format!("{fc}.{name}"), Tensor { shape: shape.to_vec(), data });
    };
    // Of a single output the first class's logit is 0.
    let zeros = |width: usize| if single { vec![0.0; width] } else { Vec::new() };
    let rows = outputs + usize::from(single);
    let hidden = match &layers[..] {
        [only] => {
            let negated = |values: &[f32]| values.iter().map(|v| -v).collect::<Vec<f32>>();
            let hidden = 2 * outputs;
            put("fc1.weight", &[hidden, features], [only.weight, &negated(only.weight)].concat());
            put("fc1.bias", &[hidden], [&only.bias[..], &negated(&only.bias)].concat());
            let mut second = zeros(hidden);
            for output in 0..outputs {
                second.extend((0..hidden).map(|unit| match unit {
                    unit if unit == output => 1.0,
                    unit if unit == outputs + output => -1.0,
                    _ => 0.0,
                }));
            }
            put("fc2.weight", &[rows, hidden], second);
            put("fc2.bias", &[rows], vec![0.0; rows]);
            hidden
        }
        [first, second, ..] => {
            let hidden = first.outputs;
            put("fc1.weight", &[hidden, features], first.weight.to_vec());
            put("fc1.bias", &[hidden], first.bias.clone());
            put("fc2.weight", &[rows, hidden], [&zeros(hidden)[..], second.weight].concat());
            put("fc2.bias", &[rows], [&zeros(1)[..], &second.bias].concat());
            hidden
        }
        [] => return Err(bad("there is none")),
    };
    if let Some((name, _)) = tensors.iter().find(|(_, tensor)| tensor.data.iter().any(|v| !v.is_finite())) {
        return Err(WeightsError::NotFinite { name: name.clone() });
    }
    Ok(WholeNetwork { architecture, hidden, tensors, outputs: rows, head, place, left_aside })
}

fn bad(reason: impl Into<String>) -> WeightsError {
    WeightsError::Head { reason: reason.into() }
}

/// The tensors of a backbone, in the network's order.
fn backbone_of(architecture: Architecture) -> Result<Vec<TensorSpec>, WeightsError> {
    let network = Network::new(architecture, 2, &HeadConfig::default()).map_err(|e| bad(e.to_string()))?;
    let tensors = network.graph.params().iter().chain(network.graph.buffers());
    Ok(tensors.filter(|spec| spec.part != network.head).cloned().collect())
}

/// The network that the weights are of, and where it lies.
fn recognised(weights: &Weights, asked: Option<Architecture>) -> Result<(Architecture, Place), WeightsError> {
    let find = |architecture| {
        let backbone = backbone_of(architecture)?;
        place::find(architecture, &backbone.iter().collect::<Vec<_>>(), &weights.tensors)
    };
    if let Some(architecture) = asked {
        return Ok((architecture, find(architecture)?));
    }
    for architecture in Architecture::ALL {
        let backbone = backbone_of(architecture)?;
        if let Some(found) = place::find_whole(architecture, &backbone.iter().collect::<Vec<_>>(), &weights.tensors) {
            return Ok((architecture, found?));
        }
    }
    let shapes = weights.tensors.iter().map(|(name, tensor)| (Cow::Borrowed(&**name), &*tensor.shape)).collect();
    // What lies behind a prefix or is called by places is told by any error.
    let first = || find(Architecture::ALL[0]).err().and_then(|error| error.looks_like().map(str::to_owned));
    let looks_like = recognise(&shapes).or_else(first);
    // A damaged one of ours says what is wrong with it.
    match looks_like.as_deref().unwrap_or_default().parse() {
        Ok(architecture) => Ok((architecture, find(architecture)?)),
        Err(_) => Err(WeightsError::NoNetwork { looks_like }),
    }
}

/// The linear layers beside the backbone in its state dict, by name, and the tensors of losses; refuses any other tensor.
fn linears<'a>(
    weights: &'a Weights,
    place: &Place,
    used: &[String],
) -> Result<(Vec<Linear<'a>>, Vec<String>), WeightsError> {
    let root = weights.root_of(&place.prefix);
    let mut used: Vec<&str> = used.iter().map(String::as_str).collect();
    used.sort_unstable();
    let rest = below_prefix(&weights.tensors, root)
        .filter(|(name, _)| used.binary_search(&name.as_str()).is_err() && !is_counter(name) && !place.is_aside(name));
    let (mut layers, mut biases, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for (name, tensor) in rest {
        if is_of_loss(&name[root.len()..]) {
            left.push(name.clone());
            continue;
        }
        match (name.strip_suffix("weight"), name.strip_suffix("bias"), &tensor.shape[..]) {
            (Some(stem), _, &[outputs, inputs]) if outputs > 0 && inputs > 0 => {
                let (name, bias) = (stem.trim_end_matches('.').to_owned(), vec![0.0; outputs]);
                layers.push(Linear { name, weight: &tensor.data, bias, inputs, outputs });
            }
            (_, Some(stem), &[_]) => biases.push((name, stem.trim_end_matches('.'), &tensor.data)),
            _ => return Err(no_place(name, &tensor.shape)),
        }
    }
    for (name, stem, data) in biases {
        match layers.iter_mut().find(|layer| layer.name == stem) {
            Some(layer) if layer.outputs == data.len() => layer.bias.clone_from(data),
            _ => return Err(no_place(name, &[data.len()])),
        }
    }
    Ok((layers, left))
}

fn no_place(name: &str, shape: &[usize]) -> WeightsError {
    bad(format!(
        "tensor {} of shape {shape:?} has no place in one of one linear layer, or of two with a ReLU between",
        shown(name)
    ))
}

/// Whether a tensor is of a loss that is part of a training's module, such as class weights (`criterion.weight`).
fn is_of_loss(name: &str) -> bool {
    let mut modules: Vec<&str> = name.split('.').collect();
    modules.pop();
    let word = |word: &str| ["loss", "criterion"].iter().any(|of| word.eq_ignore_ascii_case(of));
    modules.iter().any(|module| module.split('_').any(word))
}

/// Puts the layers in running order, by shape, and gives how many outputs the last one has.
fn order(layers: &mut [Linear<'_>], features: usize) -> Result<usize, WeightsError> {
    let chain = |layers: &[Linear<'_>]| match layers {
        [only] => only.inputs == features,
        [first, second] => first.inputs == features && second.inputs == first.outputs,
        _ => false,
    };
    if !chain(layers) {
        layers.reverse();
    }
    let (Some(last), true) = (layers.last(), chain(layers)) else {
        // In the order of their names again.
        layers.reverse();
        let shapes: Vec<String> =
            layers.iter().map(|l| format!("{} ({} to {})", shown(&l.name), l.inputs, l.outputs)).collect();
        return Err(bad(match shapes.len() {
            0 => "there is none: no linear layer lies beside the backbone".to_owned(),
            1 => format!("{} does not take the {features} features of the backbone", shapes[0]),
            _ => format!(
                "the linear layers {} are not one that takes the {features} features of the backbone, or two of which the second \
                 takes what the first one gives",
                shapes.join(", ")
            ),
        }));
    };
    Ok(last.outputs)
}

/// What head the layers are, in running order; two must be parts of one module, with something between them.
fn head_of(layers: &[Linear<'_>], single: bool) -> Result<ForeignHead, WeightsError> {
    let [first, second] = layers else {
        let layer = layers.first().map(|layer| layer.name.clone()).unwrap_or_default();
        return Ok(ForeignHead::One { layer, single });
    };
    let of = |layer: &Linear<'_>| layer.name.rsplit_once('.').map_or_else(String::new, |(module, _)| module.to_owned());
    let place = |layer: &Linear<'_>| layer.name.rsplit('.').next().and_then(|last| last.parse::<usize>().ok());
    let (one, two) = (shown(&first.name), shown(&second.name));
    if of(first) != of(second) {
        return Err(bad(format!(
            "its linear layers {one} and {two} lie in different modules, and nothing says that a ReLU is between them"
        )));
    }
    match (place(first), place(second)) {
        (Some(before), Some(after)) if after < before + 2 => {
            Err(bad(format!("nothing lies between its linear layers {one} and {two}, where ours has a ReLU")))
        }
        _ => Ok(ForeignHead::Two { first: first.name.clone(), second: second.name.clone(), single }),
    }
}
