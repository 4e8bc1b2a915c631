//! Where an ensemble may call films: what its members together say of the validation films that all of them were chosen by.

use std::path::PathBuf;

use lungfish_data::{CheckedFilm, Label, Split, Splits, Task};
use rayon::prelude::*;

use crate::calibration::{Calibration, Said};
use crate::checkpoint::Checkpoint;
use crate::compute::Compute;
use crate::data_set::content;
use crate::model::{Model, ModelInfo};
use crate::prior::PriorShift;
use crate::run_folder::{LAST, SPLIT};
use crate::task::Answers;
use crate::{Error, PointRule, Predictor, Watch, positive};

/// The operating points of the recipe; none where the members have no split in common, or its films are not there any more,
/// which is said. No temperature: an average has no last layer to fold one into.
pub(super) fn of(
    info: &ModelInfo,
    models: &[PathBuf],
    backend: &Compute,
    watch: &mut Watch<'_>,
) -> Result<Option<Calibration>, Error> {
    let rules = PointRule::list(&info.recipe.operating_points).map_err(Error::refused)?;
    if rules.is_empty() {
        return Ok(None);
    }
    let films = match validation_films(info, models)? {
        Ok(films) => films,
        Err(why) => {
            watch.note(format!(
                "no operating points, so that films are called at 0.5: {why}; `lungfish calibrate --method none` finds some on \
                 films of your own"
            ));
            return Ok(None);
        }
    };
    let paths: Vec<PathBuf> = films.iter().map(|film| film.film.path.clone()).collect();
    // The mean of probabilities, member by member: each is asked as it is asked alone.
    let mut sums: Vec<Option<Vec<f64>>> = vec![Some(Vec::new()); films.len()];
    for model in models {
        let mut predictor = Predictor::of(Model::open(model, backend)?, backend)?;
        for (sum, row) in sums.iter_mut().zip(predictor.rows(&paths, watch)?) {
            let probabilities = row.ok().map(|row| info.task.probabilities(&row.values));
            *sum = sum.take().zip(probabilities).map(|(sum, next)| added(sum, &next));
        }
    }
    let (mut rows, mut labels, mut patients): (Vec<f32>, Vec<&Label>, Vec<&str>) = Default::default();
    for (film, sum) in films.iter().zip(sums) {
        let Some(sum) = sum else { continue };
        let mean = sum.iter().map(|sum| sum / models.len() as f64);
        rows.extend(mean.map(|mean| info.task.value_of(mean) as f32));
        labels.push(&film.film.label);
        patients.push(&film.film.group);
    }
    let (task, classes) = (info.task, &info.classes);
    let positive = if task == Task::OneOf { positive::of(classes, &info.recipe.positive)? } else { None };
    let said = Said { task, classes, positive, labels: &labels, rows: &rows, patients: &patients };
    Ok(Some(said.calibrate(&PriorShift::default(), false, &rules)))
}

fn added(sum: Vec<f64>, next: &[f64]) -> Vec<f64> {
    if sum.is_empty() { next.to_vec() } else { sum.iter().zip(next).map(|(a, b)| a + b).collect() }
}

/// The validation films of all members, or why there are none.
fn validation_films(info: &ModelInfo, models: &[PathBuf]) -> Result<Result<Vec<CheckedFilm>, String>, Error> {
    let Some(run) = models.first().filter(|run| info.split_file.is_some() && run.join(LAST).is_file()) else {
        return Ok(Err("its members were not all trained on one split, or are no run folders".to_owned()));
    };
    let root = PathBuf::from(Checkpoint::read(&run.join(LAST))?.state.data);
    let splits = Splits::read_csv(&run.join(SPLIT), &root, info.task, &info.classes)?;
    let films = splits.of(Split::Val).to_vec();
    let there = films.par_iter().filter(|film| content(&film.film.path) == Some(film.hash)).count();
    Ok(match (films.len(), there) {
        (0, _) => Err("there are no validation films".to_owned()),
        (all, there) if there < all => {
            Err(format!("{} of its {all} validation films are not where they were, or have changed", all - there))
        }
        _ => Ok(films),
    })
}
