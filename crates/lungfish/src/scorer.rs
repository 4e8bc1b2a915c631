//! Films in, log-probabilities out: the one way from a film to what a network says of it. Validating, testing and
//! predicting go through here.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use lungfish_data::augment::Alteration;
use lungfish_data::{Channels, ContentHash, DecodeError, Decoding, Image, Pipeline, Preprocess, Task};
use lungfish_engine::{Input, Plan, PlanSpec, Store};
use lungfish_models::Network;
use rayon::prelude::*;

use crate::compute::Compute;
use crate::model::normalization;
use crate::task::Answers;
use crate::{Activity, Error, Event, Tta, Watch};

/// What a model says of a film.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Log-probabilities of classes, or logits of labels.
    pub values: Vec<f32>,
    /// How far the members of an ensemble are apart in each probability: their standard deviation. Empty for one network.
    pub spread: Vec<f64>,
}

/// A film's row, or why it has none.
pub(crate) type Scored = Result<Row, DecodeError>;

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

/// The steps of a network on films that are prepared in a way.
fn spec(network: &Network, preprocess: &Preprocess) -> PlanSpec {
    PlanSpec::inference(&network.graph, AT_ONCE, preprocess.size, normalization(preprocess))
}

/// Decodes films and runs a network on them, a batch after the other. The next batch is decoded while the network
/// computes: both are work for the same threads, and none of them waits for the slowest film of a batch. Of several
/// networks, each is asked and their probabilities are averaged.
pub(crate) struct Scorer {
    plans: Vec<Plan<Compute>>,
    task: Task,
    pipeline: Pipeline,
    /// In which views each film is scored.
    views: Vec<Alteration>,
}

impl Scorer {
    pub(crate) fn new(backend: &Compute, networks: &[Network], task: Task, pipeline: Pipeline) -> Result<Self, Error> {
        let plan = |network: &Network| Plan::new(backend, &network.graph, spec(network, &pipeline.preprocess));
        let plans = networks.iter().map(plan).collect::<Result<_, _>>()?;
        Ok(Scorer { plans, task, pipeline, views: Tta::None.views() })
    }

    /// Bytes of memory that steps of one network take.
    pub(crate) fn bytes(backend: &Compute, network: &Network, preprocess: &Preprocess) -> Result<usize, Error> {
        Ok(Plan::bytes(backend, &network.graph, &spec(network, preprocess))?)
    }

    /// How films are decoded from now on.
    pub(crate) fn decode_as(&mut self, decoding: Decoding) {
        self.pipeline.preprocess.decoding = decoding;
    }

    /// The same, which scores films in several views.
    pub(crate) fn with_tta(self, tta: Tta) -> Self {
        Scorer { views: tta.views(), ..self }
    }

    /// A row a film, in order, or why it has none; a store a network. `None` where it was stopped.
    pub(crate) fn score(
        &mut self,
        stores: &mut [Store<Compute>],
        films: &[Known<'_>],
        task: Activity,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Vec<Scored>>, Error> {
        let mut all = Vec::with_capacity(films.len());
        let through = self.score_each(stores, films, watch.flag(), &mut |batch| {
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
        stores: &mut [Store<Compute>],
        films: &[Known<'_>],
        stop: &AtomicBool,
        each: &mut dyn FnMut(Vec<Scored>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Scorer { plans, task, pipeline, views } = self;
        let stopped = || stop.load(Ordering::Relaxed);
        let mut batches = films.chunks(AT_ONCE);
        let mut ready = match batches.next() {
            Some(_) if stopped() => return Ok(false),
            first => first.map(|batch| decode((pipeline, views), batch)),
        };
        while let Some(decoded) = ready {
            if stopped() {
                return Ok(false);
            }
            let (next, channels) = (batches.next(), pipeline.preprocess.channels);
            let (scored, ahead) = rayon::join(
                || forward((plans, stores, *task), decoded, channels, views.len()),
                || next.map(|batch| decode((pipeline, views), batch)),
            );
            each(scored?)?;
            ready = ahead;
        }
        Ok(true)
    }

    /// The rows of films that are the network's squares already.
    pub(crate) fn score_squares(
        &mut self,
        stores: &mut [Store<Compute>],
        squares: Vec<Vec<u8>>,
    ) -> Result<Vec<Row>, Error> {
        let Preprocess { channels, size, .. } = self.pipeline.preprocess;
        let mut rows = Vec::with_capacity(squares.len());
        for batch in squares.chunks(AT_ONCE) {
            let square = |pixels: &Vec<u8>| Image { width: size, height: size, channels, pixels: pixels.clone() };
            let batch = batch.iter().map(|pixels| Ok(in_views(square(pixels), &self.views))).collect();
            let scored = forward((&mut self.plans, stores, self.task), batch, channels, self.views.len())?;
            rows.extend(scored.into_iter().flatten());
        }
        Ok(rows)
    }
}

/// A square in each view, end to end.
fn in_views(square: Image, views: &[Alteration]) -> Vec<u8> {
    if views.len() == 1 {
        return square.pixels;
    }
    let view = |view: &Alteration| {
        let mut image = square.clone();
        view.apply(&mut image);
        image.pixels
    };
    views.iter().flat_map(view).collect()
}

/// The squares of a batch in all views, each film a task of its own: they differ in size tenfold.
fn decode((pipeline, views): (&Pipeline, &[Alteration]), batch: &[Known<'_>]) -> Vec<Result<Vec<u8>, DecodeError>> {
    let decode = |film: &Known<'_>| pipeline.seen(film.path, film.hash, film.key).map(|image| in_views(image, views));
    batch.par_iter().with_max_len(1).map(decode).collect()
}

/// The films that could be read go through the network together, one view after the other.
fn forward(
    (plans, stores, task): (&mut [Plan<Compute>], &mut [Store<Compute>], Task),
    decoded: Vec<Result<Vec<u8>, DecodeError>>,
    channels: Channels,
    views: usize,
) -> Result<Vec<Scored>, Error> {
    let n = decoded.iter().filter(|film| film.is_ok()).count();
    let of_view = |view: usize| -> Vec<u8> {
        let films = decoded.iter().flatten();
        films.flat_map(|film| &film[view * film.len() / views..(view + 1) * film.len() / views]).copied().collect()
    };
    // Rows of each network in each view, film after film.
    let mut said: Vec<Vec<Vec<f32>>> = plans.iter().map(|_| Vec::new()).collect();
    for view in (0..views).filter(|_| n > 0) {
        let pixels = of_view(view);
        for ((plan, store), said) in plans.iter_mut().zip(&mut *stores).zip(&mut said) {
            plan.forward(store, n, input(&pixels, channels), [0; 4])?;
            said.push(plan.output()?);
        }
    }
    let width = said.iter().flatten().next().map_or(0, |rows| rows.len() / n);
    let row = |film: usize| {
        let of = |views: &Vec<Vec<f32>>| {
            let rows = views.iter().filter_map(|rows| rows.get(film * width..(film + 1) * width));
            averaged(task, &rows.collect::<Vec<_>>()).values
        };
        let rows: Vec<Vec<f32>> = said.iter().map(of).collect();
        averaged(task, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    let mut rows = (0..n).map(row);
    Ok(decoded.into_iter().map(|film| film.map(|_| rows.next().unwrap_or_default())).collect())
}

/// What several networks say of one film: the mean of their probabilities, as a network would have said it.
fn averaged(task: Task, rows: &[&[f32]]) -> Row {
    if let [row] = rows {
        return Row { values: row.to_vec(), spread: Vec::new() };
    }
    let probabilities: Vec<Vec<f64>> = rows.iter().map(|row| task.probabilities(row)).collect();
    let of = |class: usize| probabilities.iter().map(move |row| row[class]);
    let count = rows.len() as f64;
    let classes = 0..rows.first().map_or(0, |row| row.len());
    let means: Vec<f64> = classes.clone().map(|class| of(class).sum::<f64>() / count).collect();
    let spread = classes.map(|class| (of(class).map(|p| (p - means[class]).powi(2)).sum::<f64>() / count).sqrt());
    Row { spread: spread.collect(), values: means.iter().map(|mean| task.value_of(*mean) as f32).collect() }
}

/// Pixels as the engine takes them.
pub(crate) fn input(pixels: &[u8], channels: Channels) -> Input<'_> {
    match channels {
        Channels::Gray => Input::Gray(pixels),
        Channels::Rgb => Input::Rgb(pixels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_averaged_in_probability() {
        let logs = |p: [f32; 2]| p.map(f32::ln);
        let (a, b) = (logs([0.9, 0.1]), logs([0.5, 0.5]));
        let row = averaged(Task::OneOf, &[&a, &b]);
        assert!((row.values[0].exp() - 0.7).abs() < 1e-6 && (row.values[1].exp() - 0.3).abs() < 1e-6, "{row:?}");
        assert!(row.spread.iter().all(|spread| (spread - 0.2).abs() < 1e-6), "{row:?}");
        assert_eq!(averaged(Task::OneOf, &[&a]), Row { values: a.to_vec(), spread: Vec::new() });

        let logit = |p: f32| (p / (1.0 - p)).ln();
        let row = averaged(Task::AnyOf, &[&[logit(0.2), logit(0.8)], &[logit(0.4), logit(0.8)]]);
        let probabilities = Task::AnyOf.probabilities(&row.values);
        assert!((probabilities[0] - 0.3).abs() < 1e-6 && (probabilities[1] - 0.8).abs() < 1e-6, "{probabilities:?}");
        assert!((row.spread[0] - 0.1).abs() < 1e-6 && row.spread[1] < 1e-6, "{row:?}");
        // What is no number stays none, and certainty is finite or stays certain.
        assert!(averaged(Task::OneOf, &[&[f32::NAN, 0.0], &a]).values[0].is_nan());
        let sure = averaged(Task::AnyOf, &[&[200.0], &[300.0]]);
        assert_eq!(Task::AnyOf.probabilities(&sure.values), [1.0]);
    }
}
