//! Whether a training fits into memory, asked before it begins and not when it is too late.

use lungfish_data::Memory;
use lungfish_engine::{Plan, PlanSpec};
use lungfish_models::Network;

use crate::compute::Compute;
use crate::model::normalization;
use crate::teacher::Teacher;
use crate::{Error, Phase, Recipe, schedule};

/// Copies of the weights that a training has at hand beside its plan: the store, its gradients, two of the optimiser,
/// two packed for the kernels, the best epoch's and the checkpoint's.
const COPIES: usize = 8;

/// Refuses a recipe whose steps take more memory than the machine can give.
pub(crate) fn check(recipe: &Recipe, network: &Network, device: &Compute) -> Result<(), Error> {
    // What a GPU has is not told: the allocation itself will, see `phase::micro`.
    match Memory::look().most().filter(|_| device.shares_memory()) {
        Some(most) => check_within(recipe, network, device, most.saturating_sub(Teacher::bytes(recipe, device)?)),
        // A system that does not tell: the allocation itself will.
        None => Ok(()),
    }
}

fn check_within(recipe: &Recipe, network: &Network, device: &Compute, most: u64) -> Result<(), Error> {
    let phases = [(Phase::Frozen, recipe.frozen_epochs), (Phase::Unfrozen, recipe.epochs)];
    for (phase, _) in phases.into_iter().filter(|(_, epochs)| *epochs > 0) {
        let needed = bytes(recipe, (network, device), phase, recipe.batch_size)?;
        if needed <= most {
            continue;
        }
        let mut fits = recipe.batch_size / 2;
        while fits > 1 && bytes(recipe, (network, device), phase, fits)? > most {
            fits /= 2;
        }
        let advice = if fits > 1 {
            format!("batch_size = {fits} takes {}", gibibytes(bytes(recipe, (network, device), phase, fits)?))
        } else {
            "a smaller image_size or network takes less".to_owned()
        };
        return Err(Error::refused(format!(
            "a step of the {phase} phase with batch_size = {} takes {} of memory and {} can be had: {advice}",
            recipe.batch_size,
            gibibytes(needed),
            gibibytes(most)
        )));
    }
    Ok(())
}

/// Bytes that a phase takes with steps of `batch` films.
fn bytes(recipe: &Recipe, (network, device): (&Network, &Compute), phase: Phase, batch: usize) -> Result<u64, Error> {
    let parts: Vec<_> = schedule::rates(recipe, phase, network, 0.0)?.into_iter().map(|(part, _)| part).collect();
    let preprocess = recipe.preprocess();
    let side = if phase == Phase::Unfrozen { recipe.largest_side() } else { preprocess.size };
    let mut spec = PlanSpec::training(&network.graph, batch, side, normalization(&preprocess), &parts);
    spec.precision = recipe.precision.precision();
    if phase == Phase::Frozen && recipe.cache_features && recipe.frozen_views > 0 {
        // Only the head goes by steps; what is before it gives its features a few films at a time.
        spec.from = network.graph.frontier(&parts).unwrap_or(spec.from);
    }
    let weights = 4 * network.graph.param_count(&network.parts());
    let mut bytes = Plan::bytes(device, &network.graph, &spec)? + COPIES * weights;
    if phase == Phase::Unfrozen {
        // The average, where one is taken, and its copy in the checkpoint.
        bytes += if recipe.averages(recipe.epochs) { 2 * weights } else { 0 };
    }
    Ok(bytes as u64)
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights;

    #[test]
    fn an_average_of_the_weights_is_counted() {
        let network = weights::network(&Recipe::default(), lungfish_data::Task::OneOf, 2).unwrap();
        let bytes = |recipe: Recipe| bytes(&recipe, (&network, &Compute::default()), Phase::Unfrozen, 2).unwrap();
        let plain = bytes(Recipe { epochs: 1, ..Recipe::default() });
        let weights = 4 * network.graph.param_count(&network.parts()) as u64;
        assert_eq!(bytes(Recipe { epochs: 1, swa_epochs: 1, ..Recipe::default() }), plain + 2 * weights);
        assert_eq!(bytes(Recipe { epochs: 1, ema_decay: 0.9, ..Recipe::default() }), plain + 2 * weights);
    }

    #[test]
    fn a_step_beyond_all_memory_is_refused_with_what_would_fit() {
        let recipe = Recipe { batch_size: 65_536, epochs: 1, ..Recipe::default() };
        let (network, cpu) = (weights::network(&recipe, lungfish_data::Task::OneOf, 2).unwrap(), Compute::default());
        let error = check_within(&recipe, &network, &cpu, 20 << 30).unwrap_err().to_string();
        assert!(error.starts_with("a step of the"), "{error}");
        assert!(
            error.contains("with batch_size = 65536 takes") && error.contains("and 20.0 GiB can be had"),
            "{error}"
        );
        let fits: usize = error.split("batch_size = ").nth(2).unwrap().split(' ').next().unwrap().parse().unwrap();
        check_within(&Recipe { batch_size: fits, ..recipe.clone() }, &network, &cpu, 20 << 30).unwrap();
        assert!(check_within(&Recipe { batch_size: 2 * fits, ..recipe }, &network, &cpu, 20 << 30).is_err());
        let tiny = check_within(&Recipe::default(), &network, &cpu, 1 << 20).unwrap_err().to_string();
        assert!(tiny.ends_with("a smaller image_size or network takes less"), "{tiny}");
        check_within(&Recipe::default(), &network, &cpu, 4 << 30).unwrap();
    }
}
