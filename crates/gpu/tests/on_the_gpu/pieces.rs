//! An arena in several buffers, as one that is larger than a shader can see at once.

use lungfish_engine::{Backend, EngineError, Graph, Input, PartId, Plan, PlanSpec, Seed};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::random_graphs::{CLASSES, Dice, NONE, SIZE, filled, network};

const N: usize = 4;

/// Output, and all gradients, of a step of training.
fn step<B: Backend>(backend: &B, graph: &Graph, seed: u64) -> (Vec<f32>, Vec<f32>, usize) {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let parts: Vec<PartId> = graph.parts().iter().map(|p| graph.part(p).unwrap()).collect();
    let (x, targets) = (dice.floats(N * 3 * SIZE * SIZE), dice.floats(N * CLASSES));
    let mut store = filled(backend, graph, seed);
    let mut plan = Plan::new(backend, graph, PlanSpec::training(graph, N, SIZE, NONE, &parts)).unwrap();
    plan.forward(&mut store, N, Input::Values(&x), [seed; 4]).unwrap();
    plan.backward(&mut store, Seed::Targets(&targets), false).unwrap();
    let gradients = graph.params().iter().flat_map(|spec| store.gradient(&spec.name).unwrap()).collect();
    (plan.output().unwrap(), gradients, plan.schedule().arena)
}

#[test]
fn an_arena_in_pieces_gives_the_bits_of_one_in_one_piece() {
    let Some(gpu) = crate::gpu() else { return };
    let mut several = 0;
    for seed in 0..40 {
        let graph = network(&mut Dice(ChaCha8Rng::seed_from_u64(70_000 + seed)));
        let piece = 8192;
        let (whole, pieces) = (step(gpu, &graph, seed), step(&gpu.in_pieces_of(piece), &graph, seed));
        assert_eq!((whole.0, whole.1), (pieces.0, pieces.1), "case {seed}");
        several += usize::from(pieces.2 as u64 > 2 * piece);
    }
    assert!(several > 20, "{several} arenas were of more than two pieces");
}

#[test]
fn what_is_larger_than_a_piece_is_told_with_its_size() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = network(&mut Dice(ChaCha8Rng::seed_from_u64(70_000)));
    let spec = PlanSpec::inference(&graph, N, SIZE, NONE);
    let refused = Plan::new(&gpu.in_pieces_of(1000), &graph, spec).err().unwrap();
    assert!(matches!(refused, EngineError::OutOfMemory { bytes } if bytes > 768), "{refused}");
}
