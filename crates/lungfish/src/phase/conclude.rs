//! The end of a training: what films say of the model of the best epoch. The validation films say how sure it may be and where it
//! may call; some of the training films are what it knows, and the validation films how far from them films like them lie.

use lungfish_data::{CheckedFilm, Label, STATISTICS, Task, statistics};
use lungfish_engine::{Input, Plan, Store};
use rayon::prelude::*;

use super::Trainer;
use crate::calibration::{Calibration, Said};
use crate::compute::Compute;
use crate::data_set::evenly;
use crate::features::{Features, validating};
use crate::reference::{MOST_KNOWN, Reference, Remembered};
use crate::scorer::{Known, Row, Scorer, Wanted};
use crate::{Activity, Error, PointRule, Watch, model, positive};

impl Trainer<'_> {
    /// Asks, and writes the model with the answers. False where it was stopped: a resume does it again.
    pub(super) fn conclude(&mut self, watch: &mut Watch<'_>) -> Result<bool, Error> {
        let rules = PointRule::list(&self.recipe.operating_points).map_err(Error::refused)?;
        let Some(best) = &self.best else { return Ok(true) };
        let calibrates = !rules.is_empty() || self.recipe.calibrate;
        let remembers = self.recipe.reference_films > 0;
        if self.data.splits.val.is_empty() || !(calibrates || remembers) {
            return Ok(true);
        }
        let mut store = Store::new(&self.backend, &self.network.graph)?;
        model::restore(&mut store, best)?;
        let mut asked = self.asked(remembers)?;
        let val: Vec<&CheckedFilm> = self.data.splits.val.iter().collect();
        let val = self.scored(&mut asked, &mut store, (&val, false), Activity::Validating, watch)?;
        let Some(val) = val else { return Ok(false) };
        if remembers {
            let Some(reference) = self.remember(&mut asked, &mut store, &val, watch)? else { return Ok(false) };
            self.reference = reference;
        }
        if calibrates {
            self.calibrate(&val, &rules, watch)?;
        }
        self.write_best()?;
        Ok(true)
    }

    /// The temperature and the operating points that the validation films say.
    fn calibrate(
        &mut self,
        val: &[(&CheckedFilm, Row)],
        rules: &[PointRule],
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        let mut rows: Vec<f32> = val.iter().flat_map(|(_, row)| row.values.iter().copied()).collect();
        let labels: Vec<&Label> = val.iter().map(|(film, _)| &film.film.label).collect();
        let patients: Vec<&str> = val.iter().map(|(film, _)| film.film.group.as_str()).collect();
        self.shift.apply(&mut rows);
        let (task, classes) = (self.data.task, &self.data.classes);
        let positive = positive::of(classes, &self.recipe.positive)?;
        let said = Said { task, classes, positive, labels: &labels, rows: &rows, patients: &patients };
        let calibration = said.calibrate(&self.shift, self.recipe.calibrate, rules);
        tell(&calibration, self.recipe.call_at, watch);
        self.calibration = Some(calibration);
        Ok(())
    }

    /// What the model keeps of the films that taught it; the outer `None` where it was stopped.
    fn remember(
        &self,
        asked: &mut Asked,
        store: &mut Store<Compute>,
        val: &[(&CheckedFilm, Row)],
        watch: &mut Watch<'_>,
    ) -> Result<Option<Option<Reference>>, Error> {
        let (train, classes) = (&self.data.splits.train, &self.data.classes);
        let chosen = evenly(&train.iter().collect::<Vec<_>>(), self.recipe.reference_films);
        let films = self.scored(asked, store, (&chosen, true), Activity::Remembering, watch)?;
        let Some(films) = films else { return Ok(None) };
        let asked: Vec<usize> = match self.data.task {
            Task::OneOf => positive::of(classes, &self.recipe.positive)?.into_iter().collect(),
            Task::AnyOf => (0..classes.len()).collect(),
        };
        let has = |class: usize| films.iter().map(|(film, _)| film.film.label.has(class)).collect::<Vec<_>>();
        let mut known = Remembered { has: asked.into_iter().map(has).collect(), ..Remembered::default() };
        for (_, row) in &films {
            known.features.extend(row.features.iter().flatten());
            known.statistics.extend(row.statistics.iter().flatten());
        }
        let width = known.features.len().checked_div(films.len()).unwrap_or(0);
        let some: Vec<&(&CheckedFilm, Row)> = evenly(&val.iter().collect::<Vec<_>>(), MOST_KNOWN);
        let of_val: Vec<f32> = some.iter().flat_map(|(_, row)| row.features.iter().flatten()).copied().collect();
        Ok(Some(Reference::new(&known, &of_val, width)))
    }

    /// What is asked about films: of a head on frozen parts what those made of the films, else pixels through the whole network.
    fn asked(&mut self, features: bool) -> Result<Asked, Error> {
        if self.recipe.epochs == 0 {
            let kept = match self.kept.take() {
                Some(kept) => Some(kept),
                None => self.features_and_head()?,
            };
            if let Some((features, head)) = kept {
                return Ok(Asked::Features(features, head));
            }
        }
        let (precisions, task) = ([self.precision()], self.data.task);
        let networks = (std::slice::from_ref(&self.network), &precisions[..]);
        let wanted = Wanted { features, ..Wanted::default() };
        let scorer = Scorer::asking(&self.backend, networks, task, validating(&self.pipeline), wanted)?;
        Ok(Asked::Pixels(Box::new(scorer)))
    }

    /// Films with what the network says of them, and with statistics of how they look where those are wanted. One that cannot be read
    /// any more was read in every epoch; the others say enough. `None` where it was stopped.
    fn scored<'f>(
        &self,
        asked: &mut Asked,
        store: &mut Store<Compute>,
        (films, looks): (&[&'f CheckedFilm], bool),
        task: Activity,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Vec<(&'f CheckedFilm, Row)>>, Error> {
        let rows = match asked {
            Asked::Pixels(scorer) => {
                if looks {
                    scorer.ask_statistics();
                }
                let known = films.iter().map(|film| Known { path: &film.film.path, hash: Some(film.hash), key: None });
                let known: Vec<Known<'_>> = known.collect();
                let Some(rows) = scorer.score(std::slice::from_mut(store), &known, task, watch)? else {
                    return Ok(None);
                };
                rows.into_iter().map(Result::ok).collect()
            }
            Asked::Features(features, head) => {
                let (pass, of) = (self.pass(), (films, &self.data.splits));
                let Some(inputs) = features.as_they_are(store, of, task, &pass, watch)? else { return Ok(None) };
                let mut values = Vec::new();
                for batch in inputs.chunks(self.recipe.batch_size * features.width) {
                    head.forward(store, batch.len() / features.width, Input::Values(batch), [0; 4])?;
                    values.extend(head.output()?);
                }
                let classes = self.data.classes.len().max(1);
                let both = values.chunks_exact(classes).zip(inputs.chunks_exact(features.width));
                let row = |(values, features): (&[f32], &[f32])| Row {
                    values: values.to_vec(),
                    features: vec![features.to_vec()],
                    ..Row::default()
                };
                let rows = both.map(row);
                if looks {
                    let with_look = |(row, look): (Row, Option<_>)| Some(Row { statistics: Some(look?), ..row });
                    rows.zip(self.looks(films)).map(with_look).collect()
                } else {
                    rows.map(Some).collect::<Vec<Option<Row>>>()
                }
            }
        };
        Ok(Some(films.iter().copied().zip(rows).filter_map(|(film, row)| Some((film, row?))).collect()))
    }

    /// How films look; none of one that cannot be read any more.
    fn looks(&self, films: &[&CheckedFilm]) -> Vec<Option<[f64; STATISTICS]>> {
        let look = |film: &&CheckedFilm| {
            let known = self.memory.as_ref().and_then(|memory| memory.look(film.hash, &self.pipeline.preprocess));
            let look =
                known.or_else(|| Some(statistics(&self.pipeline.square(&film.film.path, Some(film.hash)).ok()?)));
            if let (Some(memory), Some(look)) = (&self.memory, look) {
                memory.keep_look(film.hash, &self.pipeline.preprocess, look);
            }
            look
        };
        films.par_iter().map(look).collect()
    }
}

/// What films are put to.
enum Asked {
    Pixels(Box<Scorer>),
    /// What the frozen parts make of them, and the head.
    Features(Box<Features>, Box<Plan<Compute>>),
}

/// What was found, for who waits for the training to end.
fn tell(calibration: &Calibration, call_at: PointRule, watch: &mut Watch<'_>) {
    if let [temperature] = calibration.temperature[..]
        && let (Some(before), Some(after)) = (calibration.nll_before, calibration.nll_after)
    {
        watch.note(format!(
            "temperature {temperature:.3}: the negative log-likelihood of validation films that had no part in finding it goes from \
             {before:.4} to {after:.4}"
        ));
    }
    let without: Vec<String> = calibration
        .points
        .iter()
        .filter(|point| point.rule == call_at)
        .filter_map(|point| point.why.as_ref().map(|why| format!("{}{why}", point.label_before())))
        .collect();
    if !without.is_empty() {
        watch.warn(format!("no operating point {call_at}, so that films are called at 0.5: {}", without.join("; ")));
    }
}
