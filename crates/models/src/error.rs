//! What can go wrong with networks.

use lungfish_engine::EngineError;

/// An error about a network: a name that it does not know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No architecture of that name.
    #[error("no architecture named \"{name}\"; there are {known}")]
    NoSuchArchitecture {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No part of that name.
    #[error("no part named \"{name}\" in {architecture}; it has {parts}, or \"all\"")]
    NoSuchPart {
        /// The name asked for.
        name: String,
        /// The network.
        architecture: String,
        /// The names there are.
        parts: String,
    },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
