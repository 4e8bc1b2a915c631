//! Films in, log-probabilities out: the one way from a film to what a network says of it. Validating, testing and
//! predicting go through here.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use lungfish_data::augment::Alteration;
use lungfish_data::{
    Channels, ContentHash, DecodeError, Decoding, Image, Pipeline, Preprocess, STATISTICS, Task, statistics,
};
use lungfish_engine::{Input, Plan, PlanSpec, Precision, Store, ValueId};
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
    /// What each network's head was given, where [`Wanted::features`] asks for it and the first view is the film as it is.
    pub features: Vec<Vec<f32>>,
    /// Ten statistics of the network's square as it is, where [`Wanted::statistics`] asks for them.
    pub statistics: Option<[f64; STATISTICS]>,
    /// The network's square as it is, where [`Wanted::squares`] asks for it.
    pub square: Option<Vec<u8>>,
}

/// What a row has beside the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub features: bool,
    pub statistics: bool,
    pub squares: bool,
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

/// What the models' rooms call the numbers that a head is given: the means of the last maps.
const FEATURES: &str = "pool";

/// Networks, each with the precision that it computes in.
pub(crate) type Networks<'a> = (&'a [Network], &'a [Precision]);

/// The steps of a network on films that are prepared in a way.
fn spec(network: &Network, precision: Precision, preprocess: &Preprocess) -> PlanSpec {
    let spec = PlanSpec::inference(&network.graph, AT_ONCE, preprocess.size, normalization(preprocess));
    PlanSpec { precision, ..spec }
}

/// A plan of each network; `taps` are further values that stay readable.
fn plans(
    backend: &Compute,
    (networks, precisions): Networks<'_>,
    preprocess: &Preprocess,
    taps: &[ValueId],
) -> Result<Vec<Plan<Compute>>, Error> {
    let plan = |(at, (network, precision)): (usize, (&Network, &Precision))| {
        let keep = taps.get(at).copied().into_iter().collect();
        Ok(Plan::new(backend, &network.graph, PlanSpec { keep, ..spec(network, *precision, preprocess) })?)
    };
    networks.iter().zip(precisions).enumerate().map(plan).collect()
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
    asked: Wanted,
    /// What the head of each network is given, where it is asked for.
    taps: Vec<ValueId>,
}

impl Scorer {
    pub(crate) fn new(
        backend: &Compute,
        networks: Networks<'_>,
        task: Task,
        pipeline: Pipeline,
    ) -> Result<Self, Error> {
        Self::asking(backend, networks, task, pipeline, Wanted::default())
    }

    /// The same, which gives more of each film than the values.
    pub(crate) fn asking(
        backend: &Compute,
        networks: Networks<'_>,
        task: Task,
        pipeline: Pipeline,
        asked: Wanted,
    ) -> Result<Self, Error> {
        let wanted = networks.0.iter().filter(|_| asked.features);
        let taps: Vec<ValueId> = wanted.map_while(|network| network.tap(FEATURES)).collect();
        let plans = plans(backend, networks, &pipeline.preprocess, &taps)?;
        Ok(Scorer { plans, task, pipeline, views: Tta::None.views(), asked, taps })
    }

    /// The same, which computes in other precisions.
    pub(crate) fn computing_in(mut self, backend: &Compute, networks: Networks<'_>) -> Result<Self, Error> {
        self.plans = plans(backend, networks, &self.pipeline.preprocess, &self.taps)?;
        Ok(self)
    }

    /// Whether rows have statistics from now on.
    pub(crate) fn ask_statistics(&mut self) {
        self.asked.statistics = true;
    }

    /// Whether rows have the network's square from now on.
    pub(crate) fn ask_squares(&mut self) {
        self.asked.squares = true;
    }

    /// Bytes of memory that steps of one network take.
    pub(crate) fn bytes(
        backend: &Compute,
        (network, precision): (&Network, Precision),
        preprocess: &Preprocess,
    ) -> Result<usize, Error> {
        Ok(Plan::bytes(backend, &network.graph, &spec(network, precision, preprocess))?)
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
        let Scorer { plans, task, pipeline, views, asked, taps } = self;
        let taps: &[ValueId] = if views.first() == Some(&Alteration::none()) { taps } else { &[] };
        let asked = *asked;
        let stopped = || stop.load(Ordering::Relaxed);
        let mut batches = films.chunks(AT_ONCE);
        let mut ready = match batches.next() {
            Some(_) if stopped() => return Ok(false),
            first => first.map(|batch| decode((pipeline, views, asked), batch)),
        };
        while let Some(decoded) = ready {
            if stopped() {
                return Ok(false);
            }
            let (next, channels) = (batches.next(), pipeline.preprocess.channels);
            let (scored, ahead) = rayon::join(
                || forward((plans, stores, *task, taps), decoded, channels, views.len()),
                || next.map(|batch| decode((pipeline, views, asked), batch)),
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
        let Scorer { plans, task, views, asked, taps, .. } = self;
        let taps: &[ValueId] = if views.first() == Some(&Alteration::none()) { taps } else { &[] };
        let mut rows = Vec::with_capacity(squares.len());
        for batch in squares.chunks(AT_ONCE) {
            let square = |pixels: &Vec<u8>| Image { width: size, height: size, channels, pixels: pixels.clone() };
            let batch = batch.iter().map(|pixels| Ok(seen(square(pixels), views, *asked))).collect();
            let scored = forward((plans, stores, *task, taps), batch, channels, views.len())?;
            rows.extend(scored.into_iter().flatten());
        }
        Ok(rows)
    }
}

/// A film as it goes through a network.
struct Seen {
    /// The square in each view, end to end.
    pixels: Vec<u8>,
    statistics: Option<[f64; STATISTICS]>,
    square: Option<Vec<u8>>,
}

fn seen(square: Image, views: &[Alteration], asked: Wanted) -> Seen {
    let statistics = asked.statistics.then(|| statistics(&square));
    let as_it_is = asked.squares.then(|| square.pixels.clone());
    Seen { pixels: in_views(square, views), statistics, square: as_it_is }
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
fn decode(
    (pipeline, views, asked): (&Pipeline, &[Alteration], Wanted),
    batch: &[Known<'_>],
) -> Vec<Result<Seen, DecodeError>> {
    let decode =
        |film: &Known<'_>| pipeline.seen(film.path, film.hash, film.key).map(|image| seen(image, views, asked));
    batch.par_iter().with_max_len(1).map(decode).collect()
}

/// Networks with their weights, what they are asked, and what their heads are given, where that is wanted.
type At<'a> = (&'a mut [Plan<Compute>], &'a mut [Store<Compute>], Task, &'a [ValueId]);

/// The films that could be read go through the network together, one view after the other.
fn forward(
    (plans, stores, task, taps): At<'_>,
    decoded: Vec<Result<Seen, DecodeError>>,
    channels: Channels,
    views: usize,
) -> Result<Vec<Scored>, Error> {
    let n = decoded.iter().filter(|film| film.is_ok()).count();
    let of_view = |view: usize| -> Vec<u8> {
        let films = decoded.iter().flatten().map(|film| &film.pixels);
        films.flat_map(|film| &film[view * film.len() / views..(view + 1) * film.len() / views]).copied().collect()
    };
    // Rows of each network in each view, film after film.
    let mut said: Vec<Vec<Vec<f32>>> = plans.iter().map(|_| Vec::new()).collect();
    // Features of each network, film after film.
    let mut features: Vec<Vec<f32>> = Vec::new();
    for view in (0..views).filter(|_| n > 0) {
        let pixels = of_view(view);
        for (at, ((plan, store), said)) in plans.iter_mut().zip(&mut *stores).zip(&mut said).enumerate() {
            plan.forward(store, n, input(&pixels, channels), [0; 4])?;
            said.push(plan.output()?);
            if let (0, Some(tap)) = (view, taps.get(at)) {
                features.push(plan.value(*tap)?);
            }
        }
    }
    let width = said.iter().flatten().next().map_or(0, |rows| rows.len() / n);
    let row = |film: usize| {
        let of = |views: &Vec<Vec<f32>>| {
            let rows = views.iter().filter_map(|rows| rows.get(film * width..(film + 1) * width));
            averaged(task, &rows.collect::<Vec<_>>()).values
        };
        let rows: Vec<Vec<f32>> = said.iter().map(of).collect();
        let of_film =
            |features: &Vec<f32>| features.chunks_exact((features.len() / n).max(1)).nth(film).map(<[f32]>::to_vec);
        let row = averaged(task, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        Row { features: features.iter().filter_map(of_film).collect(), ..row }
    };
    let mut rows = (0..n).map(row);
    let mut of_film =
        |film: Seen| Row { statistics: film.statistics, square: film.square, ..rows.next().unwrap_or_default() };
    Ok(decoded.into_iter().map(|film| film.map(&mut of_film)).collect())
}

/// What several networks say of one film: the mean of their probabilities, as a network would have said it.
fn averaged(task: Task, rows: &[&[f32]]) -> Row {
    if let [row] = rows {
        return Row { values: row.to_vec(), ..Row::default() };
    }
    let probabilities: Vec<Vec<f64>> = rows.iter().map(|row| task.probabilities(row)).collect();
    let of = |class: usize| probabilities.iter().map(move |row| row[class]);
    let count = rows.len() as f64;
    let classes = 0..rows.first().map_or(0, |row| row.len());
    let means: Vec<f64> = classes.clone().map(|class| of(class).sum::<f64>() / count).collect();
    let spread = classes.map(|class| (of(class).map(|p| (p - means[class]).powi(2)).sum::<f64>() / count).sqrt());
    let values = means.iter().map(|mean| task.value_of(*mean) as f32).collect();
    Row { spread: spread.collect(), values, ..Row::default() }
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
        assert_eq!(averaged(Task::OneOf, &[&a]), Row { values: a.to_vec(), ..Row::default() });

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
