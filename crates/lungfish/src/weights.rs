//! The weights that a training starts from.

use std::path::Path;

use lungfish_data::display::escape;
use lungfish_engine::{Cpu, Store};
use lungfish_models::{HeadConfig, Network, imagenet, initialise, load_backbone, read_weights};

use crate::{Error, Event, Observer, Recipe};

/// The network that a recipe asks for.
pub(crate) fn network(recipe: &Recipe, classes: usize) -> Result<Network, Error> {
    let head = HeadConfig { hidden: recipe.hidden, dropout: recipe.dropout as f32, ..HeadConfig::default() };
    let mut network = Network::new(recipe.architecture, classes, &head)?;
    if recipe.batch_norm_momentum > 0.0 {
        network.graph = network.graph.with_batch_norm_momentum(recipe.batch_norm_momentum as f32);
    }
    Ok(network)
}

/// Its tensors before the first step: by chance from the seed, then those of `recipe.weights` over them.
pub(crate) fn start(
    recipe: &Recipe,
    network: &Network,
    backend: &Cpu,
    observer: &mut dyn Observer,
) -> Result<Store<Cpu>, Error> {
    let mut store = Store::new(backend, &network.graph)?;
    initialise(&mut store, network, recipe.seed)?;
    let report = match recipe.weights.as_str() {
        "none" => {
            observer.event(&Event::Note("starting from random weights".to_owned()));
            return Ok(store);
        }
        "imagenet" => load_backbone(&mut store, network, &imagenet(recipe.architecture)?)?,
        file => {
            if !Path::new(file).exists() {
                let what =
                    format!("there is no weights file {}; other weights are \"imagenet\" and \"none\"", escape(file));
                return Err(Error::refused(what));
            }
            let tensors = read_weights(Path::new(file))?;
            if let Some((name, _)) = tensors.iter().find(|(_, t)| t.data.iter().any(|v| !v.is_finite())) {
                let what = format!("the weights in {}: tensor {name} has values that are not finite", escape(file));
                return Err(Error::refused(what));
            }
            load_backbone(&mut store, network, &tensors)
                .map_err(|e| Error::refused(format!("the weights in {}: {e}", escape(file))))?
        }
    };
    let absent = report.missing_in_backbone(network).count();
    if absent > 0 {
        let text = format!("{absent} tensors of the network are not in the weights and start at random");
        observer.event(&Event::Warning(text));
    }
    observer.event(&Event::Weights {
        source: recipe.weights.clone(),
        loaded: report.loaded,
        missing: report.missing,
        unexpected: report.unexpected,
    });
    Ok(store)
}
