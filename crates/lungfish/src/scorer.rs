//! Films in, log-probabilities out: the one way from a film to what a network says of it. Validating, testing and
//! predicting go through here.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use lungfish_data::{Channels, ContentHash, DecodeError, Pipeline};
use lungfish_engine::{Input, Plan, PlanSpec, Store};
use lungfish_models::Network;
use rayon::prelude::*;

use crate::compute::Compute;
use crate::model::normalization;
use crate::{Activity, Error, Event, Watch};

/// A film's row of log-probabilities, or why it has none.
pub(crate) type Scored = Result<Vec<f32>, DecodeError>;

/// A film to be scored.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its content where that is known: films that are kept decoded are known by it.
    pub hash: Option<ContentHash>,
    /// The key of a view of it; the film as it is without.
    pub key: Option<[u64; 4]>,
}

impl<'a> Known<'a> {
    /// A file as it is, of which nothing is known.
    pub(crate) fn file(path: &'a Path) -> Self {
        Known { path, hash: None, key: None }
    }
}

/// Films that are read and go through a network at once where nothing is trained: enough for the late layers, whose
/// weights are many and whose values are few. Early layers take fewer of them at a time by themselves.
pub(crate) const AT_ONCE: usize = 32;

/// Decodes films and runs a network on them, a batch after the other. The next batch is decoded while the network
/// computes: both are work for the same threads, and none of them waits for the slowest film of a batch.
pub(crate) struct Scorer {
    plan: Plan<Compute>,
    pipeline: Pipeline,
}

impl Scorer {
    pub(crate) fn new(backend: &Compute, network: &Network, pipeline: Pipeline) -> Result<Self, Error> {
        let preprocess = &pipeline.preprocess;
        let spec = PlanSpec::inference(&network.graph, AT_ONCE, preprocess.size, normalization(preprocess));
        Ok(Scorer { plan: Plan::new(backend, &network.graph, spec)?, pipeline })
    }

    /// A row of log-probabilities a film, in order, or why it has none. `None` where it was stopped.
    pub(crate) fn score(
        &mut self,
        store: &mut Store<Compute>,
        films: &[Known<'_>],
        task: Activity,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Vec<Scored>>, Error> {
        let mut all = Vec::with_capacity(films.len());
        let through = self.score_each(store, films, watch.flag(), &mut |batch| {
            all.extend(batch);
            watch.event(&Event::Progress { task, done: all.len(), total: films.len() });
            Ok::<(), Error>(())
        })?;
        Ok(through.then_some(all))
    }

    /// [`Scorer::score`], each batch of [`AT_ONCE`] films handed on as soon as it is scored. False where it was stopped
    /// before all were.
    pub(crate) fn score_each<E: From<Error>>(
        &mut self,
        store: &mut Store<Compute>,
        films: &[Known<'_>],
        stop: &AtomicBool,
        each: &mut dyn FnMut(Vec<Scored>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Scorer { plan, pipeline } = self;
        let stopped = || stop.load(Ordering::Relaxed);
        let mut batches = films.chunks(AT_ONCE);
        let mut ready = match batches.next() {
            Some(_) if stopped() => return Ok(false),
            first => first.map(|batch| decode(pipeline, batch)),
        };
        while let Some(decoded) = ready {
            if stopped() {
                return Ok(false);
            }
            let (next, channels) = (batches.next(), pipeline.preprocess.channels);
            let (scored, ahead) =
                rayon::join(|| forward(plan, store, decoded, channels), || next.map(|batch| decode(pipeline, batch)));
            each(scored?)?;
            ready = ahead;
        }
        Ok(true)
    }

    /// The row of log-probabilities of one film that is the network's square already.
    pub(crate) fn score_square(&mut self, store: &mut Store<Compute>, pixels: Vec<u8>) -> Result<Vec<f32>, Error> {
        let channels = self.pipeline.preprocess.channels;
        let scored = forward(&mut self.plan, store, vec![Ok(pixels)], channels)?;
        Ok(scored.into_iter().flatten().flatten().collect())
    }
}

/// The squares of a batch, each a task of its own: films differ in size tenfold.
fn decode(pipeline: &Pipeline, batch: &[Known<'_>]) -> Vec<Result<Vec<u8>, DecodeError>> {
    let decode = |film: &Known<'_>| pipeline.seen(film.path, film.hash, film.key).map(|image| image.pixels);
    batch.par_iter().with_max_len(1).map(decode).collect()
}

/// The films that could be read go through the network together.
fn forward(
    plan: &mut Plan<Compute>,
    store: &mut Store<Compute>,
    decoded: Vec<Result<Vec<u8>, DecodeError>>,
    channels: Channels,
) -> Result<Vec<Scored>, Error> {
    let pixels: Vec<u8> = decoded.iter().flatten().flatten().copied().collect();
    let n = decoded.iter().filter(|film| film.is_ok()).count();
    let mut rows = Vec::new();
    if n > 0 {
        plan.forward(store, n, input(&pixels, channels), [0; 4])?;
        rows = plan.output()?;
    }
    let mut rows = rows.chunks_exact((rows.len() / n.max(1)).max(1));
    Ok(decoded.into_iter().map(|film| film.map(|_| rows.next().unwrap_or_default().to_vec())).collect())
}

/// Pixels as the engine takes them.
pub(crate) fn input(pixels: &[u8], channels: Channels) -> Input<'_> {
    match channels {
        Channels::Gray => Input::Gray(pixels),
        Channels::Rgb => Input::Rgb(pixels),
    }
}
