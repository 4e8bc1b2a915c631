//! The end of a training: what the validation films say of how sure the best model may be, and where it may call.

use lungfish_data::Label;
use lungfish_engine::Store;

use super::Trainer;
use crate::calibration::{Calibration, Said};
use crate::features::validating;
use crate::scorer::{Known, Scorer};
use crate::{Activity, Error, PointRule, Watch, model, positive};

impl Trainer<'_> {
    /// Calibrates the model of the best epoch and writes it. False where it was stopped: a resume does it again.
    pub(super) fn calibrate(&mut self, watch: &mut Watch<'_>) -> Result<bool, Error> {
        let rules = PointRule::list(&self.recipe.operating_points).map_err(Error::refused)?;
        let films = &self.data.splits.val;
        let Some(best) = &self.best else { return Ok(true) };
        if films.is_empty() || (rules.is_empty() && !self.recipe.calibrate) {
            return Ok(true);
        }
        let task = self.data.task;
        let networks = std::slice::from_ref(&self.network);
        let mut scorer = Scorer::new(&self.backend, networks, task, validating(&self.pipeline))?;
        let mut store = Store::new(&self.backend, &self.network.graph)?;
        model::restore(&mut store, best)?;
        let known: Vec<Known<'_>> =
            films.iter().map(|film| Known { path: &film.film.path, hash: Some(film.hash), key: None }).collect();
        let scored = scorer.score(std::slice::from_mut(&mut store), &known, Activity::Validating, watch)?;
        let Some(scored) = scored else { return Ok(false) };
        let (mut rows, mut labels, mut patients): (Vec<f32>, Vec<&Label>, Vec<&str>) = Default::default();
        for (film, row) in films.iter().zip(scored) {
            // It was read in every epoch; where it is gone by now the others say enough.
            let Ok(row) = row else { continue };
            rows.extend(row.values);
            labels.push(&film.film.label);
            patients.push(&film.film.group);
        }
        self.shift.apply(&mut rows);
        let positive = positive::of(&self.data.classes, &self.recipe.positive)?;
        let said =
            Said { task, classes: &self.data.classes, positive, labels: &labels, rows: &rows, patients: &patients };
        let calibration = said.calibrate(&self.shift, self.recipe.calibrate, &rules);
        tell(&calibration, self.recipe.call_at, watch);
        self.calibration = Some(calibration);
        self.write_best()?;
        Ok(true)
    }
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
