//! A device is a value: an enum over two backends is one itself.

use std::ops::Range;

use lungfish_engine::schedule::{BackwardStep, Schedule};
use lungfish_engine::{
    Adam, AdamConfig, AdamUpdate, Backend, Cpu, Element, EngineError, Graph, GraphBuilder, Input, Normalization, Plan,
    PlanSpec, Region, Seed, Shape, State, Store, initialise,
};

use crate::naive::Naive;

#[derive(Clone, Debug)]
enum Any {
    Cpu(Cpu),
    Naive(Naive),
}

/// What one of the two holds.
enum Either<C, N> {
    Cpu(C),
    Naive(N),
}

type Buffer = Either<<Cpu as Backend>::Buffer, <Naive as Backend>::Buffer>;
type Program = Either<<Cpu as Backend>::Program, <Naive as Backend>::Program>;

fn elsewhere() -> EngineError {
    EngineError::Device { backend: "any".to_owned(), what: "this lies on another device".to_owned() }
}

impl<C, N> Either<C, N> {
    fn cpu(&mut self) -> Result<&mut C, EngineError> {
        if let Either::Cpu(own) = self { Ok(own) } else { Err(elsewhere()) }
    }

    fn naive(&mut self) -> Result<&mut N, EngineError> {
        if let Either::Naive(own) = self { Ok(own) } else { Err(elsewhere()) }
    }
}

impl Backend for Any {
    type Buffer = Buffer;
    type Program = Program;

    fn cache(&self) -> Option<usize> {
        match self {
            Any::Cpu(own) => own.cache(),
            Any::Naive(own) => own.cache(),
        }
    }

    fn allocate(&self, element: Element, len: usize) -> Result<Buffer, EngineError> {
        Ok(match self {
            Any::Cpu(own) => Either::Cpu(own.allocate(element, len)?),
            Any::Naive(own) => Either::Naive(own.allocate(element, len)?),
        })
    }

    fn upload(&self, buffer: &mut Buffer, offset: usize, host: &[f32]) -> Result<(), EngineError> {
        match self {
            Any::Cpu(own) => own.upload(buffer.cpu()?, offset, host),
            Any::Naive(own) => own.upload(buffer.naive()?, offset, host),
        }
    }

    fn download(&self, buffer: &Buffer, offset: usize, host: &mut [f32]) -> Result<(), EngineError> {
        match (self, buffer) {
            (Any::Cpu(own), Either::Cpu(buffer)) => own.download(buffer, offset, host),
            (Any::Naive(own), Either::Naive(buffer)) => own.download(buffer, offset, host),
            _ => Err(elsewhere()),
        }
    }

    fn compile(&self, schedule: &Schedule) -> Result<Program, EngineError> {
        Ok(match self {
            Any::Cpu(own) => Either::Cpu(own.compile(schedule)?),
            Any::Naive(own) => Either::Naive(own.compile(schedule)?),
        })
    }

    fn feed(
        &self,
        program: &mut Program,
        place: (Region, Shape),
        n: usize,
        input: Input<'_>,
        normalization: &Normalization,
    ) -> Result<(), EngineError> {
        match self {
            Any::Cpu(own) => own.feed(program.cpu()?, place, n, input, normalization),
            Any::Naive(own) => own.feed(program.naive()?, place, n, input, normalization),
        }
    }

    fn forward(
        &self,
        program: &mut Program,
        schedule: &Schedule,
        state: &mut State<'_, Buffer>,
        n: usize,
        key: [u64; 4],
    ) -> Result<(), EngineError> {
        match self {
            Any::Cpu(own) => own.forward(program.cpu()?, schedule, &mut state.map(Either::cpu)?, n, key),
            Any::Naive(own) => own.forward(program.naive()?, schedule, &mut state.map(Either::naive)?, n, key),
        }
    }

    fn backward(
        &self,
        program: &mut Program,
        schedule: &Schedule,
        state: &mut State<'_, Buffer>,
        n: usize,
        steps: &[BackwardStep],
        accumulate: bool,
    ) -> Result<(), EngineError> {
        match self {
            Any::Cpu(own) => own.backward(program.cpu()?, schedule, &mut state.map(Either::cpu)?, n, steps, accumulate),
            Any::Naive(own) => {
                own.backward(program.naive()?, schedule, &mut state.map(Either::naive)?, n, steps, accumulate)
            }
        }
    }

    fn read(&self, program: &Program, place: (Region, Shape), n: usize) -> Result<Vec<f32>, EngineError> {
        match (self, program) {
            (Any::Cpu(own), Either::Cpu(program)) => own.read(program, place, n),
            (Any::Naive(own), Either::Naive(program)) => own.read(program, place, n),
            _ => Err(elsewhere()),
        }
    }

    fn adam(
        &self,
        update: &AdamUpdate,
        ranges: &[(Range<usize>, f64)],
        params: &mut Buffer,
        grads: &Buffer,
        m: &mut Buffer,
        v: &mut Buffer,
    ) -> Result<(), EngineError> {
        match (self, grads) {
            (Any::Cpu(own), Either::Cpu(grads)) => own.adam(update, ranges, params.cpu()?, grads, m.cpu()?, v.cpu()?),
            (Any::Naive(own), Either::Naive(grads)) => {
                own.adam(update, ranges, params.naive()?, grads, m.naive()?, v.naive()?)
            }
            _ => Err(elsewhere()),
        }
    }

    fn sum_of_squares(&self, buffer: &Buffer, ranges: &[Range<usize>]) -> Result<f64, EngineError> {
        match (self, buffer) {
            (Any::Cpu(own), Either::Cpu(buffer)) => own.sum_of_squares(buffer, ranges),
            (Any::Naive(own), Either::Naive(buffer)) => own.sum_of_squares(buffer, ranges),
            _ => Err(elsewhere()),
        }
    }

    fn blend(&self, into: &mut Buffer, from: &Buffer, ranges: &[Range<usize>], weight: f32) -> Result<(), EngineError> {
        match (self, from) {
            (Any::Cpu(own), Either::Cpu(from)) => own.blend(into.cpu()?, from, ranges, weight),
            (Any::Naive(own), Either::Naive(from)) => own.blend(into.naive()?, from, ranges, weight),
            _ => Err(elsewhere()),
        }
    }

    fn scale(&self, buffer: &mut Buffer, ranges: &[Range<usize>], factor: f32) -> Result<(), EngineError> {
        match self {
            Any::Cpu(own) => own.scale(buffer.cpu()?, ranges, factor),
            Any::Naive(own) => own.scale(buffer.naive()?, ranges, factor),
        }
    }
}

const NONE: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

fn network() -> Graph {
    let mut g = GraphBuilder::new(2);
    let x = g.input();
    let x = g.gemm("first", x, 4);
    let x = g.relu("relu", x);
    let x = g.gemm("second", x, 3);
    let x = g.log_softmax("output", x);
    g.finish(x).unwrap()
}

/// Weights after a few steps.
fn trained<B: Backend>(backend: &B) -> Result<Vec<f32>, EngineError> {
    let graph = network();
    let all = [graph.part("network")?];
    let mut store = Store::new(backend, &graph)?;
    initialise(&mut store, &graph, 3)?;
    let spec = PlanSpec::training(&graph, 2, 1, NONE, &all);
    assert!(Plan::bytes(backend, &graph, &spec)? > 0);
    let mut plan = Plan::new(backend, &graph, spec)?;
    let mut adam = Adam::new(backend, &graph, &all, AdamConfig::default())?;
    for _ in 0..3 {
        plan.forward(&mut store, 2, Input::Values(&[1.0, -0.5, 0.25, 2.0]), [0; 4])?;
        plan.backward(&mut store, Seed::Targets(&[0.5, 0.0, 0.0, 0.0, 0.0, 0.5]), false)?;
        adam.step(&mut store, 1e-2)?;
    }
    graph.params().iter().map(|spec| store.get(&spec.name)).collect::<Result<Vec<_>, _>>().map(|t| t.concat())
}

#[test]
fn an_enum_of_backends_is_the_one_it_holds() {
    let (cpu, naive) = (trained(&Cpu::new()).unwrap(), trained(&Naive).unwrap());
    assert_eq!(trained(&Any::Cpu(Cpu::new())).unwrap(), cpu);
    assert_eq!(trained(&Any::Naive(Naive)).unwrap(), naive);
}

#[test]
fn what_lies_on_another_device_is_an_error_of_the_device() {
    let graph = network();
    let mut store = Store::new(&Any::Naive(Naive), &graph).unwrap();
    let mut plan = Plan::new(&Any::Cpu(Cpu::new()), &graph, PlanSpec::inference(&graph, 1, 1, NONE)).unwrap();
    let error = plan.forward(&mut store, 1, Input::Values(&[1.0, 2.0]), [0; 4]).unwrap_err();
    assert!(matches!(error, EngineError::Device { .. }));
    assert_eq!(error.to_string(), "any: this lies on another device");
}
