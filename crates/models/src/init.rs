//! Weights from chance.

use lungfish_engine::{Backend, Store};

use crate::{Network, WeightsError};

/// Sets every tensor as torchvision initialises a fresh network, see [`lungfish_engine::initialise`]. The backbone's tensors
/// do not depend on the head's width.
///
/// # Errors
/// [`WeightsError::Engine`] where the store is not this network's.
pub fn initialise<B: Backend>(store: &mut Store<B>, network: &Network, seed: u64) -> Result<(), WeightsError> {
    Ok(lungfish_engine::initialise(store, &network.graph, seed)?)
}
