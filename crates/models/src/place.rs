//! Where among a file's tensors the backbone of a network lies, and under which names.
//!
//! Whoever wraps a network puts something before its names: `module.` (DataParallel), `_orig_mod.` (torch.compile), `model.`
//! (Lightning), `encoder_q.` (MoCo), `student.backbone.` (DINO), the key of the dictionary that a state dict is nested in. No list
//! of such words is needed to find it: it is what stands before the names of all of the backbone's tensors at once.
//!
//! A module in an `nn.Sequential` is called by its place: fastai's body of a ResNet is `Sequential(*list(resnet.children())[:-2])`,
//! and many cut the classifier off with `[:-1]`. Its tensors are then known by the order of the modules that they belong to.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use lungfish_engine::TensorSpec;

use crate::recognise::{Shapes, recognise};
use crate::{Architecture, Tensor, Tensors, WeightsError};

/// Where a file has a network's backbone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// What stands before the names of its tensors, with a dot last; nothing where they bear their names alone.
    pub prefix: String,
    /// Prefixes with another whole backbone of the same kind, which is left aside; sorted.
    pub others: Vec<String>,
    /// Whether its modules are called by their places in an `nn.Sequential` instead of by their names.
    pub positional: bool,
    /// Whether its first convolution has one channel, and a third of each weight is taken for each of three.
    pub one_channel: bool,
    /// Other places with the very same tensors: a module that is a part of two others.
    pub(crate) copies: Vec<(Spelling, String)>,
}

impl Place {
    /// The file's name of a tensor of the backbone.
    pub(crate) fn name(&self, architecture: Architecture, name: &str) -> String {
        let spelling = if self.positional { Spelling::Positional } else { Spelling::Named };
        spelt(architecture, spelling, &self.prefix, name)
    }

    /// The file's names of a tensor of the backbone in the other places that have the same.
    pub(crate) fn copies_of(&self, architecture: Architecture, name: &str) -> impl Iterator<Item = String> {
        self.copies.iter().map(move |(spelling, prefix)| spelt(architecture, *spelling, prefix, name))
    }

    /// Whether a name is of another network that is left aside.
    pub(crate) fn is_aside(&self, name: &str) -> bool {
        let of = |prefix: &str| name.starts_with(prefix);
        let other = |prefix: &String| of(prefix) && !(self.prefix.starts_with(prefix.as_str()) && of(&self.prefix));
        self.others.iter().any(other)
    }

    /// What stands before the names of a head that is called as ours: the same as before the backbone's.
    pub(crate) fn before_head(&self, has: impl Fn(&str) -> bool) -> &str {
        let prefixes = std::iter::once(&self.prefix).chain(self.copies.iter().map(|(_, prefix)| prefix));
        prefixes.map(String::as_str).find(|prefix| has(prefix)).unwrap_or(&self.prefix)
    }

    /// The elements that a tensor of the backbone gets from the file's.
    pub(crate) fn data<'a>(&self, tensor: &'a Tensor, spec: &TensorSpec) -> Cow<'a, [f32]> {
        if self.one_channel && is_first(spec) { third(tensor, spec) } else { Cow::Borrowed(&tensor.data) }
    }
}

/// A name of the network's as it stands in a file.
fn spelt(architecture: Architecture, spelling: Spelling, prefix: &str, name: &str) -> String {
    format!("{prefix}{}", spelling.of(architecture, name).unwrap_or(Cow::Borrowed(name)))
}

/// The weights of a convolution that reads a gray film as one channel, for one that reads it as three equal ones: timm makes
/// one channel of three by their sum (`adapt_input_conv`), and the thirds are what has the old weights for its sum.
fn third<'a>(tensor: &Tensor, spec: &TensorSpec) -> Cow<'a, [f32]> {
    let plane = spec.shape[2] * spec.shape[3];
    let thirds = |filter: &[f32]| filter.iter().map(|v| v / 3.0).collect::<Vec<_>>().repeat(3);
    tensor.data.chunks(plane.max(1)).flat_map(thirds).collect::<Vec<_>>().into()
}

/// Whether a tensor is the filter of the convolution that reads the film: no other has three channels.
fn is_first(spec: &TensorSpec) -> bool {
    matches!(spec.shape[..], [_, 3, _, _])
}

/// What the modules of a backbone are called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spelling {
    Named,
    Positional,
}

impl Spelling {
    /// A name of the network's as it is spelt; none where it cannot be.
    fn of(self, architecture: Architecture, name: &str) -> Option<Cow<'_, str>> {
        match self {
            Spelling::Named => Some(Cow::Borrowed(name)),
            Spelling::Positional => {
                let (module, rest) = name.split_once('.')?;
                let place = architecture.facts().children.iter().position(|child| *child == module)?;
                Some(Cow::Owned(format!("{place}.{rest}")))
            }
        }
    }

    /// The network's own name for one that is spelt so.
    fn back(self, architecture: Architecture, spelt: &str) -> Cow<'_, str> {
        let named = |(place, rest): (&str, &str)| {
            let child = architecture.facts().children.get(place.parse::<usize>().ok()?)?;
            Some(Cow::Owned(format!("{child}.{rest}")))
        };
        let back = if self == Spelling::Positional { spelt.split_once('.').and_then(named) } else { None };
        back.unwrap_or(Cow::Borrowed(spelt))
    }
}

/// A prefix under which some of the backbone's tensors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<'a> {
    spelling: Spelling,
    prefix: &'a str,
}

/// Finds the backbone whose tensors are `backbone`, in the network's order.
///
/// Where several prefixes have one, names without a prefix come first, and then the only one whose prefix has none of the words of
/// [`is_lesser`]. Where that leaves several, none is taken.
///
/// # Errors
/// [`WeightsError::WrongNetwork`], [`WeightsError::Shape`], [`WeightsError::Incomplete`] or [`WeightsError::Surplus`] of the place
/// that has most of it; [`WeightsError::Ambiguous`].
pub(crate) fn find(
    architecture: Architecture,
    backbone: &[&TensorSpec],
    tensors: &Tensors,
) -> Result<Place, WeightsError> {
    let search = Search { architecture, backbone, tensors };
    let counts = search.candidates();
    search.whole(&counts).unwrap_or_else(|| Err(search.refusal(&counts)))
}

/// The same; none where no place has all of it.
pub(crate) fn find_whole(
    architecture: Architecture,
    backbone: &[&TensorSpec],
    tensors: &Tensors,
) -> Option<Result<Place, WeightsError>> {
    let search = Search { architecture, backbone, tensors };
    search.whole(&search.candidates())
}

/// Whether a prefix is that of a network which is an average of another, or which is thrown away after a training, by one of its
/// words: MoCo's `encoder_k` beside `encoder_q` (He et al. 2020, arXiv:1911.05722; its linear classification takes `encoder_q`), the
/// momentum and target networks of BYOL (arXiv:2006.07733) and its like beside the online one, averages of weights (`ema`, `swa`)
/// beside the weights themselves, and DINO's student beside the teacher, which is the one that its evaluation takes (Caron et al.
/// 2021, arXiv:2104.14294).
fn is_lesser(prefix: &str) -> bool {
    const WORDS: [&str; 9] = ["k", "key", "momentum", "target", "ema", "swa", "average", "averaged", "student"];
    prefix
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| WORDS.iter().any(|lesser| word.eq_ignore_ascii_case(lesser)))
}

struct Search<'a> {
    architecture: Architecture,
    backbone: &'a [&'a TensorSpec],
    tensors: &'a Tensors,
}

impl<'a> Search<'a> {
    /// Every prefix under which there is any of the backbone's names, with how many of them.
    fn candidates(&self) -> BTreeMap<Candidate<'a>, usize> {
        let mut wanted: HashMap<Cow<'_, str>, Spelling> = HashMap::new();
        for spelling in [Spelling::Positional, Spelling::Named] {
            let spelt = self.backbone.iter().filter_map(|spec| spelling.of(self.architecture, &spec.name));
            wanted.extend(spelt.map(|name| (name, spelling)));
        }
        let deepest = wanted.keys().map(|name| name.split('.').count()).max().unwrap_or(0);
        let mut counts = BTreeMap::new();
        for name in self.tensors.keys() {
            // A crafted name may have millions of dots; no name of a network has more than some.
            let dots = name.rmatch_indices('.').map(|(dot, _)| dot + 1);
            for start in dots.chain([0]).take(deepest) {
                let (prefix, rest) = name.split_at(start);
                if let Some(&spelling) = wanted.get(rest) {
                    *counts.entry(Candidate { spelling, prefix }).or_insert(0) += 1;
                }
            }
        }
        counts
    }

    /// The place that is taken of those that have all of the backbone; none where none has.
    fn whole(&self, counts: &BTreeMap<Candidate<'a>, usize>) -> Option<Result<Place, WeightsError>> {
        let whole = counts.iter().filter(|(_, count)| **count == self.backbone.len()).map(|(candidate, _)| *candidate);
        // What lies twice under two names, as a part of a module does that its owner keeps too, is one.
        let (mut fits, mut copies) = (Vec::new(), Vec::new());
        for candidate in whole {
            let Ok(one_channel) = self.check(candidate) else { continue };
            match fits.iter().position(|(other, _)| self.same(*other, candidate)) {
                Some(of) => copies.push((of, candidate)),
                None => fits.push((candidate, one_channel)),
            }
        }
        let bare = fits.iter().position(|(candidate, _)| candidate.prefix.is_empty());
        let plain: Vec<usize> = (0..fits.len()).filter(|place| !is_lesser(fits[*place].0.prefix)).collect();
        let chosen = match (bare, &plain[..], fits.len()) {
            (Some(bare), ..) => bare,
            (None, _, 1) => 0,
            (None, [one], _) => *one,
            (None, _, 0) => return None,
            _ => {
                let prefixes = fits.iter().map(|(candidate, _)| candidate.prefix.to_owned()).collect();
                return Some(Err(WeightsError::Ambiguous { architecture: self.architecture, prefixes }));
            }
        };
        let (candidate, one_channel) = fits.swap_remove(chosen);
        let (copies, of_others): (Vec<_>, Vec<_>) = copies.into_iter().partition(|(of, _)| *of == chosen);
        let others =
            fits.into_iter().map(|(candidate, _)| candidate).chain(of_others.into_iter().map(|(_, copy)| copy));
        let mut others: Vec<String> = others.map(|candidate| candidate.prefix.to_owned()).collect();
        others.sort_unstable();
        Some(Ok(Place {
            prefix: candidate.prefix.to_owned(),
            others,
            positional: candidate.spelling == Spelling::Positional,
            one_channel,
            copies: copies.into_iter().map(|(_, copy)| (copy.spelling, copy.prefix.to_owned())).collect(),
        }))
    }

    /// The file's name of a tensor of the backbone.
    fn name(&self, Candidate { spelling, prefix }: Candidate<'_>, spec: &TensorSpec) -> String {
        spelt(self.architecture, spelling, prefix, &spec.name)
    }

    /// Refuses all but a backbone with every tensor of this one, each of its shape, and no more; tells whether its first
    /// convolution has one channel.
    fn check(&self, candidate: Candidate<'_>) -> Result<bool, WeightsError> {
        let Search { architecture, backbone, tensors } = *self;
        let looks_like = || self.looks_like(candidate);
        let mut one_channel = false;
        let (mut missing, mut known) = (Vec::new(), HashSet::new());
        for spec in backbone {
            let name = self.name(candidate, spec);
            match tensors.get(&name) {
                Some(tensor) if tensor.shape == spec.shape && tensor.data.len() == spec.len() => {}
                Some(tensor) if is_first(spec) && is_one_channel(tensor, spec) => one_channel = true,
                Some(tensor) => {
                    let (found, needed) = (tensor.shape.clone(), spec.shape.clone());
                    return Err(WeightsError::Shape { name, architecture, found, needed, looks_like: looks_like() });
                }
                None => missing.push(name.clone()),
            }
            known.insert(name);
        }
        if !missing.is_empty() {
            let needed = backbone.len();
            return Err(WeightsError::Incomplete { architecture, needed, missing, looks_like: looks_like() });
        }
        // `layer1` of `layer1.0.conv1.weight`: what else there is below it belongs to the backbone.
        let below = candidate.prefix.len();
        let top = |name: &str| name[below..].split('.').next().unwrap_or_default().to_owned();
        let tops: HashSet<String> = known.iter().map(|name| top(name)).collect();
        let surplus: Vec<String> = below_prefix(tensors, candidate.prefix)
            .filter(|(name, _)| tops.contains(&top(name)) && !known.contains(*name) && !is_counter(name))
            .map(|(name, _)| name.clone())
            .collect();
        if surplus.is_empty() {
            return Ok(one_channel);
        }
        Err(WeightsError::Surplus { architecture, surplus, looks_like: looks_like() })
    }

    /// Whether two whole backbones have the same numbers.
    fn same(&self, one: Candidate<'_>, other: Candidate<'_>) -> bool {
        let of = |candidate, spec| self.tensors.get(&self.name(candidate, spec)).map(|tensor| &tensor.data);
        self.backbone.iter().all(|spec| of(one, spec) == of(other, spec))
    }

    /// Why no place has the whole backbone: what is wrong with the one that has most of it.
    fn refusal(&self, counts: &BTreeMap<Candidate<'a>, usize>) -> WeightsError {
        // `conv1.weight` and a few places in an nn.Sequential are had by many a module.
        let telling = |(candidate, count): &(&Candidate<'_>, &usize)| {
            let by_name_alone = candidate.spelling == Spelling::Named && candidate.prefix.is_empty();
            by_name_alone || 4 * **count > self.backbone.len()
        };
        let order =
            |(candidate, count): &(&Candidate<'a>, &usize)| (**count, Reverse((candidate.prefix.len(), **candidate)));
        let most = counts.iter().filter(telling).max_by_key(order);
        most.and_then(|(candidate, _)| self.check(*candidate).err()).unwrap_or_else(|| WeightsError::WrongNetwork {
            architecture: self.architecture,
            count: self.tensors.len(),
            first: self.tensors.keys().next().cloned().unwrap_or_default(),
            looks_like: recognise(&self.tensors.iter().map(|(name, t)| (Cow::Borrowed(&**name), &*t.shape)).collect()),
        })
    }

    /// What network lies there instead.
    fn looks_like(&self, Candidate { spelling, prefix }: Candidate<'_>) -> Option<String> {
        let named = |name: &'a str| spelling.back(self.architecture, &name[prefix.len()..]);
        let shapes: Shapes<'_> = below_prefix(self.tensors, prefix).map(|(name, t)| (named(name), &*t.shape)).collect();
        recognise(&shapes).filter(|name| name != self.architecture.name())
    }
}

/// The tensors whose names begin so.
pub(crate) fn below_prefix<'a>(tensors: &'a Tensors, prefix: &str) -> impl Iterator<Item = (&'a String, &'a Tensor)> {
    tensors.range(prefix.to_owned()..).take_while(move |(name, _)| name.starts_with(prefix))
}

/// Batch-norm's count of batches, which nothing here needs.
pub(crate) fn is_counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

/// Whether a filter is the one that is needed but for its channels, of which it has one.
fn is_one_channel(tensor: &Tensor, spec: &TensorSpec) -> bool {
    let [filters, _, height, width] = spec.shape[..] else { return false };
    tensor.shape == [filters, 1, height, width] && tensor.data.len() * 3 == spec.len()
}
