//! The end of a training: what films say of the model of the best epoch. The validation films say how sure it may be and where it
//! may call; some of the training films are what it knows, and the validation films how far from them films like them lie.

use lungfish_data::{CheckedFilm, Label, Task};
use lungfish_engine::Store;

use super::Trainer;
use crate::calibration::{Calibration, Said};
use crate::compute::Compute;
use crate::data_set::evenly;
use crate::features::validating;
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
        let (networks, task) = (std::slice::from_ref(&self.network), self.data.task);
        let asked = Wanted { features: remembers, statistics: false };
        let mut scorer = Scorer::asking(&self.backend, networks, task, validating(&self.pipeline), asked)?;
        let mut store = Store::new(&self.backend, &self.network.graph)?;
        model::restore(&mut store, best)?;
        let val: Vec<&CheckedFilm> = self.data.splits.val.iter().collect();
        let Some(val) = scored(&mut scorer, &mut store, &val, Activity::Validating, watch)? else { return Ok(false) };
        if remembers {
            let Some(reference) = self.remember(&mut scorer, &mut store, &val, watch)? else { return Ok(false) };
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
        scorer: &mut Scorer,
        store: &mut Store<Compute>,
        val: &[(&CheckedFilm, Row)],
        watch: &mut Watch<'_>,
    ) -> Result<Option<Option<Reference>>, Error> {
        let (train, classes) = (&self.data.splits.train, &self.data.classes);
        scorer.ask_statistics();
        let chosen = evenly(&train.iter().collect::<Vec<_>>(), self.recipe.reference_films);
        let Some(films) = scored(scorer, store, &chosen, Activity::Remembering, watch)? else { return Ok(None) };
        let one_of = self.data.task == Task::OneOf;
        let positive = if one_of { positive::of(classes, &self.recipe.positive)? } else { None };
        let mut known = Remembered::default();
        for (film, row) in &films {
            known.features.extend(row.features.iter().flatten());
            known.statistics.extend(row.statistics.iter().flatten());
            known.positive.extend(positive.map(|class| film.film.label.has(class) == Some(true)));
        }
        let width = known.features.len().checked_div(films.len()).unwrap_or(0);
        let some: Vec<&(&CheckedFilm, Row)> = evenly(&val.iter().collect::<Vec<_>>(), MOST_KNOWN);
        let of_val: Vec<f32> = some.iter().flat_map(|(_, row)| row.features.iter().flatten()).copied().collect();
        Ok(Some(Reference::new(&known, &of_val, width)))
    }
}

/// Films with what the network says of them. One that cannot be read any more was read in every epoch; the others say enough.
/// `None` where it was stopped.
fn scored<'a>(
    scorer: &mut Scorer,
    store: &mut Store<Compute>,
    films: &[&'a CheckedFilm],
    task: Activity,
    watch: &mut Watch<'_>,
) -> Result<Option<Vec<(&'a CheckedFilm, Row)>>, Error> {
    let known: Vec<Known<'_>> =
        films.iter().map(|film| Known { path: &film.film.path, hash: Some(film.hash), key: None }).collect();
    let scored = scorer.score(std::slice::from_mut(store), &known, task, watch)?;
    Ok(scored.map(|rows| films.iter().copied().zip(rows).filter_map(|(film, row)| Some((film, row.ok()?))).collect()))
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
