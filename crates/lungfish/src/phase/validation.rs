//! What an epoch is worth: the validation films as they are, and augmented views of them.
//!
//! Films of the same source say how well a network knows that source. Under a draw that breaks the traces of how a film was
//! taken, what is left is what it knows of lungs: the two together choose between epochs (see [`crate::judge`]).

use lungfish_data::{Label, Split};
use lungfish_engine::Input;

use super::{Tools, Trainer};
use crate::features::val_view_key;
use crate::films::Source;
use crate::metrics::Metrics;
use crate::recipe::PriorRule;
use crate::scorer::Known;
use crate::{Activity, Error, RobustMetrics, Watch};

/// Metrics of an epoch.
pub(super) struct Validation {
    /// On the films as they are.
    pub plain: Metrics,
    /// On views of them.
    pub robust: Option<RobustMetrics>,
}

impl Trainer<'_> {
    /// Metrics on the validation split, of what the model would say. `None` where it was stopped.
    pub(super) fn validate(&mut self, tools: &mut Tools, watch: &mut Watch<'_>) -> Result<Option<Validation>, Error> {
        if !self.settle_average(tools, watch)? {
            return Ok(None);
        }
        let labels: Vec<&Label> = self.data.splits.val.iter().map(|film| &film.film.label).collect();
        let Some(plain) = self.validate_views(tools, 0..1, &labels, watch)? else { return Ok(None) };
        let views = self.recipe.val_views;
        if views == 0 {
            return Ok(Some(Validation { plain, robust: None }));
        }
        let Some(seen) = self.validate_views(tools, 1..1 + views, &labels.repeat(views), watch)? else {
            return Ok(None);
        };
        let choice = match self.recipe.prior {
            PriorRule::None => (plain.loss + seen.loss) / 2.0,
            PriorRule::Equal => (plain.balanced_loss + seen.balanced_loss) / 2.0,
        };
        let robust = RobustMetrics { loss: seen.loss, accuracy: seen.accuracy, auc: seen.auc, choice };
        Ok(Some(Validation { plain, robust: Some(robust) }))
    }

    /// Metrics on all of some views, the labels being those of one view after the other.
    fn validate_views(
        &mut self,
        tools: &mut Tools,
        views: std::ops::Range<usize>,
        labels: &[&Label],
        watch: &mut Watch<'_>,
    ) -> Result<Option<Metrics>, Error> {
        let films = &self.data.splits.val;
        let classes = self.data.classes.len();
        let mut rows = Vec::with_capacity(labels.len() * classes);
        let averaged = self.is_averaged();
        match &mut tools.films {
            Source::Features(features, head) => {
                for view in views {
                    let pass = self.pass();
                    if !features.compute(&mut self.store, (Split::Val, view), films, &pass, watch)? {
                        return Ok(None);
                    }
                    for batch in features.val(view).chunks(self.recipe.batch_size * features.width) {
                        head.forward(&mut self.store, batch.len() / features.width, Input::Values(batch), [0; 4])?;
                        rows.extend(head.output()?);
                    }
                }
            }
            Source::Pixels(scorer) => {
                let known = |view| {
                    films.iter().map(move |film| Known {
                        path: &film.film.path,
                        hash: Some(film.hash),
                        key: val_view_key(view, film),
                    })
                };
                let wanted: Vec<Known<'_>> = views.flat_map(known).collect();
                let store = match &mut self.average {
                    Some(average) if averaged => average,
                    _ => &mut self.store,
                };
                let scored = scorer.score(std::slice::from_mut(store), &wanted, Activity::Validating, watch)?;
                let Some(scored) = scored else { return Ok(None) };
                for (row, film) in scored.into_iter().zip(wanted) {
                    let failed = |reason| lungfish_data::DataError::Film { path: film.path.to_owned(), reason };
                    rows.extend(row.map_err(failed)?.values);
                }
            }
        }
        self.shift.apply(&mut rows);
        let metrics = Metrics::new(self.data.task, classes, labels, &rows);
        match metrics.filter(|metrics| metrics.loss.is_finite()) {
            Some(metrics) => Ok(Some(metrics)),
            None => Err(self.diverged(f64::NAN, self.state.step)),
        }
    }
}
