//! Testing: how well a model does on one split of a data set.
//!
//! `request` says what is asked, `names` which label is which to the model, `choice` which films are scored, `measured` makes metrics of what is said of them, `compare` asks another model about the
//! same; here they are scored, written down and drawn.

pub(crate) mod choice;
mod compare;
pub(crate) mod groups;
mod measured;
pub(crate) mod names;
mod outcome;
mod request;
mod shortcut;
mod stress;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use lungfish_data::display::escape;
use lungfish_data::synth::is_synthetic_file;
use lungfish_data::{ContentHash, Image, Split, Task, film_uid};
use rayon::prelude::*;

use choice::{Chosen, choose};
use measured::{Asked, Measured};

pub use compare::{Changed, Comparison, Difference};
use groups::{Said, Told};
use names::{indices, refuse_other_task, renamed};
use outcome::Written;
pub(crate) use request::films_of;
use shortcut::{Labelled, Looked};
use stress::Stressed;

pub use groups::{Group, Groups};
pub use measured::{ClassMetrics, PointMetrics};
pub use outcome::{TestOutcome, UnlikeFilms};
pub use request::TestRequest;
pub use shortcut::{LabelShortcut, LookStratum, Misled, ShortcutMetrics};
pub use stress::{StressLabel, StressTest};

use crate::compute::Compute;
use crate::data_set::{evenly, read_remembering, transforms};
use crate::model::Model;
use crate::origin::Origin;
use crate::predictions_file::{self, Facts};
use crate::run_folder::write_atomically;
use crate::table::Format;
use crate::test_log::{Opening, TestLog};
use crate::{
    BadFilm, Caveat, CaveatKind, EpochChoice, Error, Event, PointRule, Prediction, Predictor, Watch, measures,
    sample_bits, source, test_log,
};
#[cfg(feature = "pictures")]
use crate::{
    picture::name_of,
    report::{self, Tested},
};

/// Scores a model on one split of a data set, writes `predictions-{split}.csv` and `metrics-{split}.json` (for the last
/// epoch `-{split}-last`) and draws pictures where asked. A picture that cannot be made is told as a warning: the
/// metrics stand without it.
///
/// # Errors
/// One sentence: no such model or folder, a class the model does not know, films the model was trained on, no film
/// left, no folder to write to; [`Error::Stopped`].
pub fn test(request: &TestRequest, watch: &mut Watch<'_>) -> Result<TestOutcome, Error> {
    let backend = Compute::default();
    let mut model = Model::open_epoch(&request.model, request.epoch, &backend)?;
    model.compute_in(request.precision)?;
    if request.out.is_none() && model.run.is_none() {
        return Err(Error::refused(format!(
            "{} lies in no run folder: name with --out a folder for what the test writes",
            escape(model.file())
        )));
    }
    let log = TestLog::of(&model)?;
    let folder = films_of(&request.data, (&request.labels, &request.table), &model.info.recipe)?;
    if let Some(out) = &request.out {
        folder.refuse_among_classes(out)?;
    }
    source::tell(&folder, watch);
    let task = model.info.task;
    refuse_other_task(task, folder.task, &folder.root)?;
    let index_of = indices(&folder.classes, &model.info.classes, &folder.root, task)?;
    if request.prevalence.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
        let share = request.prevalence.unwrap_or_default();
        return Err(Error::refused(format!("a prevalence of {share}: it is a share between 0 and 1")));
    }
    let table = folder.table.clone();
    groups::refuse_unknown(&request.groups, table.as_deref())?;
    if !request.groups.is_empty() && (task != Task::OneOf || model.info.classes.len() != 2) {
        return Err(Error::refused(format!(
            "{} knows {}: groups are told of models of two classes",
            escape(model.file()),
            escape(model.info.classes.join(", "))
        )));
    }
    let other = match &request.compare {
        Some(other) => {
            let mut theirs = compare::open(other, (task, &model.info.classes), &backend)?;
            theirs.compute_in(request.precision)?;
            Some((other, theirs))
        }
        None => None,
    };
    let facts = Facts::of(&folder, request.tta.has_whole() && model.tells_unlike());
    let columns = predictions_file::columns(&model.info, facts);
    let further = match &request.predictions {
        Some(file) if file.exists() => {
            return Err(Error::refused(format!("{} is there already: name another file", escape(file))));
        }
        Some(file) => Some((file, Format::of(file, &columns)?)),
        None => None,
    };
    let paths: Vec<&Path> = folder.layout.films().map(|(_, film)| film.path.as_path()).collect();
    sample_bits::of_films(&mut model.info.preprocess.decoding, &paths, watch);
    let sizes: Mutex<HashMap<ContentHash, [usize; 2]>> = Mutex::default();
    let seen = |_, hash, image: Image| {
        if let (false, Ok(mut sizes)) = (request.groups.is_empty(), sizes.lock()) {
            sizes.insert(hash, [image.width, image.height]);
        }
    };
    // Groups are made of what is seen of each film.
    let memory = request.memory.as_deref().filter(|_| request.groups.is_empty());
    let read = read_remembering(folder.layout, model.info.preprocess.decode_options(), (memory, &seen), watch);
    let Some((layout, mut bad)) = read else { return Err(Error::Stopped) };
    let layout = layout.filter_map(|mut film| {
        film.film.label = renamed(&film.film.label, &index_of, model.info.classes.len())?;
        Some(film)
    });
    let split = request.split.unwrap_or(Split::Test);
    let Chosen { films, own, caveats } = choose(&layout, split, &model, &folder.root)?;
    let mut caveats = [model.info.caveats.clone(), caveats].concat();
    caveats.extend(model.info.epoch.as_ref().and_then(Caveat::acquisition));
    let out = match (&request.out, &model.run) {
        (Some(out), _) => out.clone(),
        (None, Some(run)) if own => run.clone(),
        _ => {
            return Err(Error::refused(format!(
                "{} holds other films than the run in {} was trained on: name with --out a folder for what the test \
                 writes",
                escape(&folder.root),
                escape(model.folder())
            )));
        }
    };
    if films.is_empty() {
        return Err(Error::refused(format!(
            "there is no film to score on the {split} split of {}",
            escape(&folder.root)
        )));
    }
    let of_class = |index| films.iter().filter(|f| f.film.label.has(index) == Some(true)).count();
    watch.event(&Event::Dataset {
        split,
        root: folder.root.clone(),
        task,
        count: films.len(),
        classes: model.info.classes.iter().enumerate().map(|(i, name)| (name.clone(), of_class(i))).collect(),
        transforms: transforms(&model.info.preprocess, None),
    });

    let paths: Vec<PathBuf> = films.iter().map(|f| f.film.path.clone()).collect();
    let mut predictor = Predictor::of(model, &backend)?.with_tta(request.tta).with_uids(request.uids);
    if let Some(rule) = request.at {
        predictor = predictor.with_point(rule)?;
    }
    let looks = predictor.looks().cloned();
    if looks.is_some() {
        predictor = predictor.with_statistics();
    }
    let (mut labels, mut rows, mut predictions, mut scored_films) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut statistics = Vec::new();
    let mut checked_films = Vec::new();
    for (checked, scored) in films.iter().zip(predictor.rows(&paths, watch)?) {
        let film = &checked.film;
        match scored {
            Ok(row) => {
                checked_films.push(checked);
                labels.push(film.label.clone());
                predictions.push(predictor.prediction(&film.path, &row));
                scored_films.push(film);
                statistics.extend(row.statistics);
                rows.extend(row.values);
            }
            // It was whole a moment ago.
            Err(reason) => bad.push(BadFilm::new(&film.path, reason.to_string())),
        }
    }
    if facts.uid {
        let uid = |path: &Path| film_uid(path, request.uids);
        predictions.par_iter_mut().for_each(|film| film.uid = uid(&film.path));
        bad.par_iter_mut().for_each(|film| film.uid = uid(&film.path));
    }
    let info = predictor.info();
    let patients: Vec<&str> = scored_films.iter().map(|film| film.group.as_str()).collect();
    let asked = Asked {
        info,
        called_at: predictor.called_at(),
        split,
        labels: &labels,
        rows: &rows,
        predictions: &predictions,
        patients: &patients,
        prevalence: request.prevalence,
    };
    let Some(measured) = asked.measure()? else {
        let what = if labels.is_empty() { "no film could be read" } else { "no label of any film is known" };
        return Err(Error::refused(format!("there is nothing to measure in {}: {what}", escape(&folder.root))));
    };
    let Measured { metrics, positive, of_positive: [sensitivity, specificity], .. } = measured;
    if !bad.is_empty() {
        let text = format!("{} films could not be read and are not in the numbers", bad.len());
        caveats.push(Caveat::new(CaveatKind::UnreadableFilms, text));
    }
    if paths.par_iter().any(|path| is_synthetic_file(path)) {
        let text = "the films are synthetic, made by lungfish: the numbers say nothing about lungs";
        caveats.push(Caveat::new(CaveatKind::Synthetic, text));
    } else if info.synthetic {
        let text = "the model was trained on synthetic films, made by lungfish: it knows nothing about lungs";
        caveats.push(Caveat::new(CaveatKind::Synthetic, text));
    }
    let unlike = UnlikeFilms::of(predictions.iter().filter_map(|film| film.unlike));
    caveats.extend(unlike.as_ref().and_then(Caveat::unlike));
    let label_shortcuts = match &looks {
        Some(looks) if task == Task::AnyOf => Labelled {
            names: &info.classes,
            labels: &labels,
            predictions: &predictions,
            statistics: &statistics,
            patients: &patients,
        }
        .measure(looks),
        _ => Vec::new(),
    };
    let (mut shortcut, mut by_groups) = (None, Vec::new());
    if let Some(positive) = positive {
        let name = &info.classes[positive];
        let is: Vec<bool> = labels.iter().map(|label| label.has(positive) == Some(true)).collect();
        let probability: Vec<f64> = predictions.iter().map(|film| film.probabilities[positive].1).collect();
        let called: Vec<bool> = predictions.iter().map(|film| film.called.has(name)).collect();
        let hashes: Vec<ContentHash> = checked_films.iter().map(|film| film.hash).collect();
        let sizes = sizes.into_inner().unwrap_or_default();
        let told =
            Told { root: &folder.root, table: table.as_deref(), films: &scored_films, sizes: &sizes, hashes: &hashes };
        let said = Said { positive: &is, probability: &probability, called: &called, patients: &patients };
        by_groups = groups::measure(&request.groups, &told, &said)?;
        shortcut = looks.and_then(|looks| {
            let (patients, resamples) = (patients.clone(), measures::resamples(is.len()));
            Looked { question: 0, resamples, positive: is, probability, called, statistics, patients }.measure(&looks)
        });
    }
    let opened = match split {
        Split::Test => {
            let file = predictor.file();
            let bytes = std::fs::read(file).map_err(|e| Error::io("read", file, e))?;
            let opening = Opening {
                when: test_log::now(),
                model: ContentHash::of(&bytes).to_string(),
                films: checked_films.len(),
                content: test_log::content_of(checked_films.iter().copied()),
                data: Some(test_log::content_of(layout.films().map(|(_, film)| film))),
                at: predictor.point(),
                accuracy: metrics.accuracy,
                auc: metrics.auc,
                loss: metrics.loss,
                before: None,
            };
            let (opened, more) = log.open(opening, watch);
            caveats.extend(more);
            Some(opened)
        }
        _ => None,
    };
    let name = match request.epoch {
        EpochChoice::Best => split.to_string(),
        EpochChoice::Last => format!("{split}-last"),
    };
    let csv = predictions_file::csv(info, facts, &scored_films, &predictions);
    let file = predictions_file::write(&out, &name, &csv)?;
    if let Some((to, format)) = further {
        let origin = Origin::of(predictions_file::FORMAT, &predictor, &columns)?;
        format.write(to, &csv, &columns, &Origin { split: Some(split), caveats: caveats.clone(), ..origin })?;
    }
    let comparison = match other {
        Some((path, model)) => {
            let said = compare::ask(
                model,
                &checked_films,
                (request.tta, &folder.root, split == Split::Test),
                &backend,
                watch,
            )?;
            let of = said.iter().enumerate().filter_map(|(film, said)| Some((film, said.as_ref()?)));
            let (films, other): (Vec<usize>, Vec<&Prediction>) = of.unzip();
            let both = compare::Both {
                task,
                classes: &info.classes,
                positive,
                labels: films.iter().map(|film| &labels[*film]).collect(),
                this: films.iter().map(|film| &predictions[*film]).collect(),
                other,
                patients: films.iter().map(|film| patients[*film]).collect(),
            };
            Some(both.compare(path))
        }
        None => None,
    };
    let stress = if request.stress {
        let chosen = evenly(&(0..labels.len()).collect::<Vec<usize>>(), stress::MOST);
        if chosen.len() < labels.len() {
            watch.note(format!("{} of {} films are changed, chosen evenly", chosen.len(), labels.len()));
        }
        let stressed = Stressed {
            predictions: &chosen.iter().map(|film| &predictions[*film]).collect::<Vec<_>>(),
            positive,
            labels: chosen.iter().map(|film| &labels[*film]).collect(),
            patients: chosen.iter().map(|film| patients[*film]).collect(),
        };
        stressed.run(&mut predictor, watch)?
    } else {
        Vec::new()
    };
    let info = predictor.info();
    let threshold = match (task, info.classes.len(), predictor.point()) {
        (Task::OneOf, 2, _) => Some(predictor.called_at().cut()),
        (Task::AnyOf, _, PointRule::At(cut)) => Some(cut),
        _ => None,
    };
    #[cfg_attr(not(feature = "pictures"), allow(unused_mut))]
    let mut outcome = TestOutcome {
        task,
        films: labels.len(),
        accuracy: metrics.accuracy,
        loss: metrics.loss,
        auc: metrics.auc,
        positive: positive.map(|class| info.classes[class].clone()),
        sensitivity,
        specificity,
        classes: measured.classes,
        confusion: measured.confusion,
        labels: measured.labels,
        threshold,
        at: predictor.point(),
        points: measured.points,
        equal_prior: info.for_equal_classes(),
        tta: request.tta,
        precision: predictor.other_precision(),
        caveats,
        split,
        epoch: info.epoch.clone(),
        predictions: file,
        further: request.predictions.clone(),
        metrics: out.join(format!("metrics-{name}.json")),
        pictures: Vec::new(),
        pictures_failed: false,
        bad,
        passed_over: folder.passed_over,
        undefined: measured.undefined,
        measures: measured.measures,
        unlike,
        shortcut,
        label_shortcuts,
        groups: by_groups,
        stress,
        comparison,
        opened,
        counted: if folder.patients.is_empty() { "films" } else { "patients" },
    };
    let written = Written { schema: "lungfish.test.1", outcome: &outcome };
    let json = serde_json::to_vec_pretty(&written)
        .map_err(|e| Error::refused(format!("cannot write {}: {e}", escape(&outcome.metrics))))?;
    write_atomically(&outcome.metrics, &json)?;
    #[cfg(feature = "pictures")]
    {
        if request.pictures {
            let tested = Tested {
                model: info,
                model_name: name_of(&request.model),
                run: predictor.run(),
                data_name: name_of(&folder.root),
                split,
                name: &name,
                labels: &labels,
                predictions: &predictions,
                confusion: &outcome.confusion,
                accuracy: outcome.accuracy,
                auc: outcome.auc,
                groups: &outcome.groups,
                stress: &outcome.stress,
                caveats: &outcome.caveats,
            };
            let drawn = report::draw(&tested, &predictor, &out, request.formats, watch)?;
            (outcome.pictures, outcome.pictures_failed) = (drawn.written, drawn.failed);
        } else {
            report::remove(&name, &out);
        }
    }
    Ok(outcome)
}
