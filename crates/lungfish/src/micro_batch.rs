//! A step of more films than the device has room for: in parts, whose gradients are added.
//!
//! The loss and its gradient are sums over films, so that the parts add up to the step. Batch normalisations that are trained
//! see the statistics of a part, as they would see those of a smaller batch.

use std::ops::Range;

use lungfish_data::keys;
use lungfish_engine::schedule::Stretch;
use lungfish_engine::{Backend, Backward, EngineError, Graph, Plan, PlanSpec, Store};

use crate::compute::Compute;
use crate::films::Films;
use crate::targets::Rows;
use crate::{Error, Watch};

/// A plan of a step, or of the largest half, quarter, ... of one for which the device has room.
pub(crate) fn plan(device: &Compute, graph: &Graph, spec: PlanSpec) -> Result<Plan<Compute>, EngineError> {
    fitting(device, spec, |spec| Plan::new(device, graph, spec))
}

/// Bytes of such a plan, which is not made.
pub(crate) fn bytes(device: &Compute, graph: &Graph, spec: PlanSpec) -> Result<usize, EngineError> {
    fitting(device, spec, |spec| Plan::bytes(device, graph, &spec))
}

/// Such a plan; where it takes a step in parts, `watch` is told.
pub(crate) fn told_plan(
    device: &Compute,
    graph: &Graph,
    spec: PlanSpec,
    watch: &mut Watch<'_>,
) -> Result<Plan<Compute>, Error> {
    let asked = spec.capacity;
    let plan = plan(device, graph, spec)?;
    if plan.spec().capacity < asked {
        watch.note(format!(
            "there is no room on the GPU for {asked} films at once: a step goes through in parts of {}, whose gradients are added \
             (batch normalisations that are trained see the statistics of a part)",
            plan.spec().capacity
        ));
    }
    Ok(plan)
}

fn fitting<T>(
    device: &Compute,
    mut spec: PlanSpec,
    made: impl Fn(PlanSpec) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    loop {
        match made(spec.clone()) {
            // What the processor has room for is asked before, and is promised by the system whatever is true.
            Err(EngineError::OutOfMemory { .. }) if spec.capacity > 1 && !device.shares_memory() => {
                spec.capacity = spec.capacity.div_ceil(2);
            }
            tried => return tried,
        }
    }
}

/// `n` films in the fewest even parts that such a plan takes: a last one of one film would have no statistics.
pub(crate) fn parts(n: usize, capacity: usize) -> impl Iterator<Item = Range<usize>> {
    Stretch { steps: 0..0, films: capacity }.parts(n)
}

/// Gradients of a step of `n` films into the store, and the loss with what the network said of them. The gradients are those of
/// the loss times `scale`, a power of two.
pub(crate) fn gradients<B: Backend>(
    plan: &mut Plan<B>,
    store: &mut Store<B>,
    n: usize,
    films: &Films,
    towards: &Rows,
    scale: f64,
    key: keys::Key,
) -> Result<Backward, EngineError> {
    if scale != 1.0 {
        let mut scaled = gradients(plan, store, n, films, &towards.scaled(scale), 1.0, key)?;
        scaled.loss /= scale;
        return Ok(scaled);
    }
    let capacity = plan.spec().capacity;
    if n <= capacity {
        plan.forward(store, n, films.input(), key)?;
        return plan.backward(store, towards.seed(), false);
    }
    let (mut loss, mut output) = (0.0, Vec::new());
    for (index, part) in parts(n, capacity).enumerate() {
        plan.forward(store, part.len(), films.part(&part, n), keys::dropout_of_part(key, index))?;
        let said = plan.backward(store, towards.part(&part, n).seed(), index > 0)?;
        loss += said.loss;
        output.extend(said.output.unwrap_or_default());
    }
    let mut whole = Backward::default();
    (whole.loss, whole.output) = (loss, Some(output));
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use lungfish_engine::{Cpu, GraphBuilder, Normalization, initialise};

    use super::*;

    const NONE: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

    fn network() -> Graph {
        let mut g = GraphBuilder::new(3);
        let x = g.input();
        let x = g.gemm("fc1", x, 8);
        let x = g.relu("relu", x);
        let x = g.gemm("fc2", x, 2);
        let x = g.log_softmax("output", x);
        g.finish(x).unwrap()
    }

    #[test]
    fn parts_add_up_to_the_step() {
        let (graph, n) = (network(), 7);
        let all = [graph.part("network").unwrap()];
        let films = Films::Features((0..n * 3).map(|i| (i * 37 % 19) as f32 / 19.0 - 0.5).collect());
        let rows = Rows::OneOf((0..n).flat_map(|i| [(i % 2) as f32 / 7.0, (1 - i % 2) as f32 / 7.0]).collect());
        let step = |capacity, scale| {
            let mut store = Store::new(&Cpu::new(), &graph).unwrap();
            initialise(&mut store, &graph, 5).unwrap();
            let mut plan = Plan::new(&Cpu::new(), &graph, PlanSpec::training(&graph, capacity, 1, NONE, &all)).unwrap();
            let said = gradients(&mut plan, &mut store, n, &films, &rows, scale, [1, 2, 3, 4]).unwrap();
            let gradients = graph.params().iter().flat_map(|spec| store.gradient(&spec.name).unwrap());
            (said.loss, said.output.unwrap(), gradients.collect::<Vec<f32>>())
        };
        let whole = step(n, 1.0);
        for capacity in 1..n {
            let parts = step(capacity, 1.0);
            let mut scaled = step(capacity, 1024.0);
            scaled.2.iter_mut().for_each(|gradient| *gradient /= 1024.0);
            assert_eq!(scaled, parts, "{capacity}: scaled by a power of two");
            assert!((parts.0 - whole.0).abs() < 1e-6, "{capacity}: {} for {}", parts.0, whole.0);
            assert!(parts.1.iter().zip(&whole.1).all(|(a, b)| (a - b).abs() < 1e-6), "{capacity}");
            assert!(parts.2.iter().zip(&whole.2).all(|(a, b)| (a - b).abs() < 1e-6), "{capacity}");
        }
        let positive = vec![0.1; n * 2];
        let any = Rows::AnyOf { negative: positive.iter().map(|p| 0.2 - p).collect(), positive };
        let Rows::AnyOf { positive, negative } = any.part(&(2..5), n) else { panic!("other rows") };
        assert_eq!((positive.len(), negative.len()), (6, 6));
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn a_gpu_takes_as_many_films_as_it_has_room_for() {
        let Some(adapter) = lungfish_gpu::adapters().pop() else { return };
        let gpu = adapter.open().unwrap();
        let graph = network();
        let all = [graph.part("network").unwrap()];
        // Room for 40 films of 8 features.
        let small = Compute::Gpu(gpu.in_pieces_of(1280));
        let of = |films| PlanSpec::training(&graph, films, 1, NONE, &all);
        for films in [64, 1 << 20] {
            let (plan, bytes) = (plan(&small, &graph, of(films)).unwrap(), bytes(&small, &graph, of(films)).unwrap());
            assert_eq!((plan.spec().capacity, plan.schedule().arena), (32, bytes));
        }
        assert!(plan(&Compute::Gpu(gpu.in_pieces_of(256)), &graph, of(64)).is_ok());
        assert!(Plan::bytes(&small, &graph, &of(64)).is_err());
    }
}
