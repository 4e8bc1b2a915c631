//! What can go wrong with networks and their weights.

use std::path::{Path, PathBuf};

use lungfish_engine::EngineError;

use crate::Architecture;
use crate::names::did_you_mean;

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
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that are no model file.
    #[error("not a usable model file: {reason}")]
    Malformed {
        /// What is wrong with them.
        reason: String,
    },
    /// A tensor of the right name and the wrong shape.
    #[error("tensor {name} has shape {found:?} where {architecture} needs {needed:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The network.
        architecture: Architecture,
        /// Its shape.
        found: Vec<usize>,
        /// The network's.
        needed: Vec<usize>,
    },
    /// No tensor of the network among those given.
    #[error("none of the {count} tensors belongs to {architecture}'s backbone (the first is named {first})")]
    WrongNetwork {
        /// The network.
        architecture: Architecture,
        /// Tensors given.
        count: usize,
        /// One of their names.
        first: String,
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
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl WeightsError {
    /// For `map_err` on what the file system says about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> WeightsError {
        let path = path.to_owned();
        move |source| WeightsError::Io { path, source }
    }

    pub(crate) fn unreadable(path: &Path, reason: impl ToString) -> WeightsError {
        WeightsError::Unreadable { path: path.to_owned(), reason: reason.to_string() }
    }
}
