//! Frozen parts give the same answer every time, so they are asked once: each view of each film goes through them in
//! one pass, and the head trains on what came out.
//!
//! The films of a pass go through in batches of one size, the last one too, so that a film's features do not depend on the films
//! beside it: a resumed run, which makes its passes again, gets the same bits, and so does one that has them from another training
//! ([`FilmMemory`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lungfish_data::{Augment, CheckedFilm, ContentHash, Loader, LoaderItem, Pipeline, Preprocess, Split, Splits};
use lungfish_engine::{Plan, PlanSpec, Store, ValueId};
use lungfish_models::Network;

use crate::compute::Compute;
use crate::film_memory::{FilmMemory, identity};
use crate::model::normalization;
use crate::scorer::{AT_ONCE, input};
use crate::{Activity, Error, Event, Recipe, Watch, keys};

/// Bytes of features that are kept; beyond that they are computed anew every epoch. A constant and not what the machine
/// has, so that the same recipe gives the same bits everywhere.
const MOST_BYTES: usize = 4 << 30;

/// The first eight bytes of a film's content hash: what its random numbers are keyed by.
pub(crate) fn film_key(film: &CheckedFilm) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = film.hash.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The key of a view; the first is the film as it is.
pub(crate) fn view_key(seed: u64, view: usize, film: &CheckedFilm) -> Option<[u64; 4]> {
    (view > 0).then(|| keys::view(seed, view, film_key(film)))
}

/// The key of a view of a validation film; the first is the film as it is.
pub(crate) fn val_view_key(view: usize, film: &CheckedFilm) -> Option<[u64; 4]> {
    (view > 0).then(|| keys::val_view(view, film_key(film)))
}

/// The pipeline of a training as validation films go through it: with the same alterations whatever the recipe is.
pub(crate) fn validating(pipeline: &Pipeline) -> Pipeline {
    Pipeline { augment: Some(Augment::ROBUST), ..pipeline.clone() }
}

/// How many views of each film the frozen epochs go through: no more than there are epochs.
pub(crate) fn views(recipe: &Recipe) -> usize {
    recipe.frozen_views.min(recipe.frozen_epochs).max(1)
}

/// The view in which a frozen epoch (from 1) sees a film: one of `frozen_views` in turn, or a fresh one. Films begin with
/// different ones, so that each epoch has some of all: an epoch of one view alone pulls the head its own way.
pub(crate) fn view_of(recipe: &Recipe, epoch: usize, film: &CheckedFilm) -> usize {
    let views = views(recipe);
    let first = (film_key(film) % views as u64) as usize;
    if recipe.frozen_views == 0 { epoch } else { (epoch.saturating_sub(1) + first) % views }
}

/// Whether any epoch sees a film otherwise than as it is.
pub(crate) fn augments(recipe: &Recipe) -> bool {
    recipe.epochs > 0 || recipe.frozen_epochs > 0 && (recipe.frozen_views == 0 || views(recipe) > 1)
}

/// Features of both splits, `[films, width]` a view.
pub(crate) struct Features {
    plan: Plan<Compute>,
    /// Where the frozen parts end.
    pub frontier: ValueId,
    /// Numbers a film.
    pub width: usize,
    train: Vec<Option<Vec<f32>>>,
    val: Vec<Option<Vec<f32>>>,
    /// Seconds that the passes over the train split of this epoch took.
    pub pass_seconds: f64,
}

impl Features {
    /// A cache for a recipe; `None` where it asks for none, or where there would be too much to keep.
    pub(crate) fn new(
        recipe: &Recipe,
        network: &Network,
        preprocess: &Preprocess,
        films: usize,
        backend: &Compute,
    ) -> Result<Option<Self>, Error> {
        let Some(frontier) = network.graph.frontier(&[network.head]).filter(|_| recipe.cache_features) else {
            return Ok(None);
        };
        if recipe.frozen_views == 0 {
            return Ok(None);
        }
        let mut spec = PlanSpec::inference(&network.graph, AT_ONCE, preprocess.size, normalization(preprocess));
        spec.to = frontier;
        spec.precision = recipe.precision.precision();
        let plan = Plan::new(backend, &network.graph, spec)?;
        let width = plan.film_len(frontier).unwrap_or_else(|| network.graph.channels(frontier));
        let views = views(recipe);
        if films.saturating_mul(width).saturating_mul(4 * views) > MOST_BYTES {
            return Ok(None);
        }
        Ok(Some(Features {
            plan,
            frontier,
            width,
            train: vec![None; views],
            val: vec![None; 1 + recipe.val_views],
            pass_seconds: 0.0,
        }))
    }

    /// Whether a view of the train split is there.
    pub(crate) fn has(&self, view: usize) -> bool {
        self.train.get(view).is_some_and(Option::is_some)
    }

    /// Views of the train split that are not there yet; every epoch asks for all of them.
    pub(crate) fn passes_left(&self) -> usize {
        (0..self.train.len()).filter(|view| !self.has(*view)).count()
    }

    /// A view of the train split; empty before [`Features::compute`].
    pub(crate) fn train(&self, view: usize) -> &[f32] {
        self.train.get(view).and_then(Option::as_deref).unwrap_or_default()
    }

    /// A view of the validation split; empty before [`Features::compute`].
    pub(crate) fn val(&self, view: usize) -> &[f32] {
        self.val.get(view).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Computes a view of a split where it is not there yet. False where it was stopped.
    pub(crate) fn compute(
        &mut self,
        store: &mut Store<Compute>,
        (split, view): (Split, usize),
        films: &[CheckedFilm],
        pass: &Pass<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<bool, Error> {
        if !(if split == Split::Train { self.train(view) } else { self.val(view) }).is_empty() {
            return Ok(true);
        }
        let begun = std::time::Instant::now();
        let seed = pass.recipe.training_seed();
        let train = split == Split::Train;
        let views =
            films.iter().map(|film| (film, if train { view_key(seed, view, film) } else { val_view_key(view, film) }));
        let pipeline = if train { pass.pipeline.clone() } else { validating(&pass.pipeline) };
        let views = Views { of: views.collect(), pipeline, task: Activity::Features { split, view } };
        let Some(features) = self.rows(store, views, pass, watch)? else { return Ok(false) };
        if train {
            self.pass_seconds += begun.elapsed().as_secs_f64();
        }
        let place = if train { self.train.get_mut(view) } else { self.val.get_mut(view) };
        if let Some(place) = place {
            *place = Some(features);
        }
        Ok(true)
    }

    /// The features of films of both splits as they are: those that there are, and for the others a pass. `None` where it was
    /// stopped.
    pub(crate) fn as_they_are(
        &mut self,
        store: &mut Store<Compute>,
        (films, splits): (&[&CheckedFilm], &Splits),
        task: Activity,
        pass: &Pass<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Vec<f32>>, Error> {
        let width = self.width.max(1);
        let there = [(&splits.train, self.train(0)), (&splits.val, self.val(0))];
        let known = there.iter().filter(|(_, rows)| !rows.is_empty()).flat_map(|(films, _)| films.iter());
        let known: HashSet<ContentHash> = known.map(|film| film.hash).collect();
        let missing: Vec<&CheckedFilm> = films.iter().copied().filter(|film| !known.contains(&film.hash)).collect();
        let of = missing.iter().map(|film| (*film, None)).collect();
        let views = Views { of, pipeline: pass.pipeline.clone(), task };
        let Some(computed) = self.rows(store, views, pass, watch)? else { return Ok(None) };
        let mut rows: HashMap<ContentHash, &[f32]> = HashMap::new();
        for (films, there) in [(&splits.train, self.train(0)), (&splits.val, self.val(0))] {
            rows.extend(films.iter().map(|film| film.hash).zip(there.chunks_exact(width)));
        }
        rows.extend(missing.iter().map(|film| film.hash).zip(computed.chunks_exact(width)));
        Ok(Some(films.iter().filter_map(|film| rows.get(&film.hash)).copied().flatten().copied().collect()))
    }

    /// A row for each view, in order: one that another training computed, or one that is computed here. `None` where it was stopped.
    fn rows(
        &mut self,
        store: &mut Store<Compute>,
        Views { of: views, pipeline, task }: Views<'_>,
        pass: &Pass<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Vec<f32>>, Error> {
        let memory = pass.memory.as_deref();
        let memory = memory.zip(identity(pass.recipe, &pass.pipeline.preprocess, self.width));
        let name = |index: usize| (views[index].0.hash, views[index].1);
        let mut features = vec![0.0; views.len() * self.width];
        let mut missing = Vec::new();
        for (index, place) in features.chunks_exact_mut(self.width.max(1)).enumerate() {
            let known = memory.as_ref().and_then(|(rows, of)| rows.row(of, name(index)));
            match known.filter(|row| row.len() == place.len()) {
                Some(row) => place.copy_from_slice(&row),
                None => missing.push(index),
            }
        }
        let item = |&index: &usize| {
            let (film, key) = views[index];
            LoaderItem { path: film.film.path.clone(), index, key, hash: Some(film.hash) }
        };
        let loader = Loader::new(missing.iter().map(item).collect(), pipeline, AT_ONCE, pass.workers)?;
        let mut computed = missing.iter();
        for batch in loader {
            if watch.stopped() {
                return Ok(None);
            }
            let mut batch = batch?;
            // Kernels may be others for fewer films: with black ones beside it a film has the same features in every company.
            batch.pixels.resize(batch.pixels.len() / batch.len().max(1) * AT_ONCE, 0);
            self.plan.forward(store, AT_ONCE, input(&batch.pixels, batch.channels), [0; 4])?;
            for (row, &index) in self.plan.output()?.chunks_exact(self.width.max(1)).zip(&mut computed) {
                features[index * self.width..][..self.width].copy_from_slice(row);
                if let Some((rows, of)) = &memory {
                    rows.keep_row(of, name(index), row);
                }
            }
            watch.event(&Event::Progress { task, done: views.len() - computed.len(), total: views.len() });
        }
        Ok(Some(features))
    }
}

/// Views of films, each with its key, and what is told of them.
struct Views<'a> {
    of: Vec<(&'a CheckedFilm, Option<[u64; 4]>)>,
    pipeline: Pipeline,
    task: Activity,
}

/// What all passes of a run share.
pub(crate) struct Pass<'a> {
    pub recipe: &'a Recipe,
    pub pipeline: Pipeline,
    pub workers: usize,
    /// Rows that other trainings computed.
    pub memory: Option<Arc<FilmMemory>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_go_round_and_the_first_is_the_film_itself() {
        let film = CheckedFilm {
            film: lungfish_data::Film {
                path: "a".into(),
                label: lungfish_data::Label::Class(0),
                group: "a".to_owned(),
                facts: lungfish_data::FilmFacts::default(),
            },
            hash: lungfish_data::ContentHash([1; 16]),
            pixels: None,
        };
        let recipe = Recipe { frozen_views: 3, ..Recipe::default() };
        let first = (film_key(&film) % 3) as usize;
        let views: Vec<usize> = (1..=7).map(|e| (view_of(&recipe, e, &film) + 3 - first) % 3).collect();
        assert_eq!(views, [0, 1, 2, 0, 1, 2, 0]);
        let of = |byte| CheckedFilm { hash: lungfish_data::ContentHash([byte; 16]), ..film.clone() };
        let seen: std::collections::BTreeSet<usize> = (0..20).map(|byte| view_of(&recipe, 1, &of(byte))).collect();
        assert_eq!(seen.len(), 3, "an epoch has films of every view");
        assert_eq!(view_of(&Recipe { frozen_epochs: 1, ..recipe.clone() }, 1, &film), 0, "one epoch has one view");
        assert_eq!(view_key(5, 0, &film), None);
        assert_ne!(view_key(5, 1, &film), view_key(5, 2, &film));
        let fresh = Recipe { frozen_views: 0, ..recipe };
        assert_eq!([view_of(&fresh, 1, &film), view_of(&fresh, 9, &film)], [1, 9]);
        let still = Recipe { frozen_views: 1, epochs: 0, ..Recipe::default() };
        assert!(!augments(&still), "nothing is announced that no film undergoes");
        for moving in [Recipe { frozen_views: 2, ..still.clone() }, Recipe { epochs: 1, ..still.clone() }, fresh] {
            assert!(augments(&moving));
        }
    }
}
