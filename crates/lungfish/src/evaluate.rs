//! Testing: how well a model does on one split of a data set.
//!
//! `choice` says which films are scored, `measured` makes metrics of what is said of them, `compare` asks another model about the
//! same; here they are scored, written down and drawn.

pub(crate) mod choice;
mod compare;
mod measured;

use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::synth::is_synthetic_file;
use lungfish_data::{ContentHash, DataError, FilmSet, Label, PassedOver, Split, TableRule, Task, Uids, film_uid};
use lungfish_models::names::did_you_mean;
use rayon::prelude::*;
use serde::Serialize;

use choice::{Chosen, choose};
use measured::{Asked, Measured};

pub use compare::{Changed, Comparison, Difference};
pub use measured::{ClassMetrics, PointMetrics};

use crate::compute::Compute;
use crate::data_set::{read_all, transforms};
use crate::model::Model;
use crate::origin::Origin;
use crate::predictions_file::{self, Facts};
use crate::run_folder::write_atomically;
use crate::source::Reading;
use crate::table::Format;
use crate::test_log::{Opening, TestLog};
use crate::{
    BadFilm, BestEpoch, Caveat, CaveatKind, EpochChoice, Error, Event, LabelMetrics, Measure, Opened, PointRule,
    Prediction, Predictor, Recipe, Tta, Watch, sample_bits, source, test_log,
};
#[cfg(feature = "pictures")]
use crate::{
    picture::{PictureFormats, name_of},
    report::{self, Tested},
};

/// What to test on what.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TestRequest {
    /// A run folder or a model file.
    pub model: PathBuf,
    /// The films.
    pub data: PathBuf,
    /// The table of the labels, where they are in one that is not the folder's own `labels.csv`.
    pub labels: Option<PathBuf>,
    /// How it is read.
    pub table: TableRule,
    /// The split; none is the test split. Training and validation films are scored only if asked for here.
    pub split: Option<Split>,
    /// Which epoch of a run; a model file holds its best.
    pub epoch: EpochChoice,
    /// In which views each film is scored.
    pub tta: Tta,
    /// Where films are called; none is the model's own operating point.
    pub at: Option<PointRule>,
    /// A share of positive films, between 0 and 1, for which predictive values are told beside those of the films themselves.
    pub prevalence: Option<f64>,
    /// Another run folder or model file that is asked about the same films and compared.
    pub compare: Option<PathBuf>,
    /// Folder for `predictions-{split}.csv`, `metrics-{split}.json` and the pictures; none is the run folder, and is refused for any other films than the run's
    /// own: what a run folder says is about the films that its split names.
    pub out: Option<PathBuf>,
    /// A further file for what `predictions-{split}.csv` holds: Parquet where its name ends in `.parquet`, else CSV. What
    /// is there is not written over.
    pub predictions: Option<PathBuf>,
    /// How the UIDs of DICOM films are told.
    pub uids: Uids,
    /// Whether to draw the test: learning curves, confusion matrix, ROC and precision-recall curves, films, worst
    /// errors and what was read in them, each as PNG and SVG. Without, those that an earlier test of the split left in the folder go: what lies
    /// there is of one test. Without the feature `pictures` nothing is drawn.
    pub pictures: bool,
    /// How the pictures are written besides.
    #[cfg(feature = "pictures")]
    pub formats: PictureFormats,
}

impl TestRequest {
    /// A model on the test split of `data`, with pictures.
    pub fn new(model: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        TestRequest { model: model.into(), data: data.into(), pictures: true, ..TestRequest::default() }
    }
}

/// The metrics of a test. Serialised, it is what `lungfish test --json` prints.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestOutcome {
    /// What was asked of the films.
    pub task: Task,
    /// Films scored.
    pub films: usize,
    /// Part that is right: of the films, or any-of of all labels that are known.
    pub accuracy: f64,
    /// Plain negative log-likelihood, mean over the films, or any-of over all labels that are known.
    pub loss: f64,
    /// Area under the ROC curve, of two classes the same whichever is positive; macro one-vs-rest beyond two classes; any-of the mean over the
    /// labels of which it is defined; none where undefined.
    pub auc: Option<f64>,
    /// Of two classes the positive one ([`Recipe::positive`]), of which sensitivity and specificity are told; none beyond two.
    pub positive: Option<String>,
    /// Share of its films that are called so; none where there is none, or without a positive class.
    pub sensitivity: Option<f64>,
    /// Share of the other films that are not called so.
    pub specificity: Option<f64>,
    /// One-of: each class, in index order.
    pub classes: Vec<ClassMetrics>,
    /// One-of: `confusion[label][predicted]`, films.
    pub confusion: Vec<Vec<u64>>,
    /// Any-of: each label, in index order.
    pub labels: Vec<LabelMetrics>,
    /// With two classes the probability of the positive one from which on a film is called so, none beyond; any-of that of a
    /// label, none where each label has a cut of its own (in `points`).
    pub threshold: Option<f64>,
    /// The operating point at which films are called: a probability, or what the cut was chosen by.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub at: PointRule,
    /// What every operating point of the model does to these films.
    pub points: Vec<PointMetrics>,
    /// Whether probabilities are for classes that are equally frequent, although the films that taught the model were not.
    pub equal_prior: bool,
    /// The views over which what is said of a film was averaged; left out where it was scored as it is.
    #[serde(skip_serializing_if = "Tta::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub tta: Tta,
    /// What must be known beside these numbers.
    pub caveats: Vec<Caveat>,
    /// The split that was scored.
    pub split: Split,
    /// The epoch whose weights were scored; left out where another program trained them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<BestEpoch>,
    /// The file that holds all this as JSON.
    #[serde(skip)]
    pub metrics: PathBuf,
    /// Whether a picture that was asked for could not be made; a warning told which, and why.
    #[serde(skip)]
    pub pictures_failed: bool,
    /// The file with one line a film.
    #[serde(skip)]
    pub predictions: PathBuf,
    /// The further file of the same that was asked for.
    #[serde(skip)]
    pub further: Option<PathBuf>,
    /// The pictures as PNG; each lies beside itself as SVG.
    #[serde(skip)]
    pub pictures: Vec<PathBuf>,
    /// One-of: each metric with its 95 % interval, of two classes fourteen of them, beyond two accuracy and loss. Any-of: they
    /// are with each label.
    pub measures: Vec<Measure>,
    /// What counts as one in the intervals: `patients`, whose films are alike, or `films`, where nothing tells patients.
    pub counted: &'static str,
    /// For the how manieth time test films were opened by models of this run; left out of other splits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub opened: Option<Opened>,
    /// Another model on the same films; left out where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub comparison: Option<Comparison>,
    /// Films that could not be read and are not in the metrics.
    #[serde(rename = "unreadable")]
    pub bad: Vec<BadFilm>,
    /// What lies in the folder and is not among its films, by kind.
    pub passed_over: Vec<PassedOver>,
    /// Which of the metrics that are null are undefined, and why: a clause each, such as `AUC and recall of A, since no film
    /// of the test split is A`.
    pub undefined: Vec<String>,
}

/// The films to be scored: with the table that is asked for, or that the model learnt from where it has films there.
pub(crate) fn films_of(
    data: &Path,
    (labels, table): (&Option<PathBuf>, &TableRule),
    recipe: &Recipe,
) -> Result<FilmSet, Error> {
    let learnt = Reading::from(recipe);
    let asked = Reading { labels: labels.clone(), table: table.clone(), ..learnt.clone() };
    if asked.labels.is_none() && learnt.labels.as_ref().is_some_and(|table| table.is_file()) {
        match source::open(data, &learnt) {
            // Films of somewhere else.
            Err(Error::Data(DataError::NoFilmOfTable { .. })) => {}
            found => return found,
        }
    }
    source::open(data, &asked)
}

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
    let other = match &request.compare {
        Some(other) => Some((other, compare::open(other, (task, &model.info.classes), &backend)?)),
        None => None,
    };
    let facts = Facts::of(&folder);
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
    let read = read_all(folder.layout, model.info.preprocess.decode_options(), &|_, _, _| {}, watch);
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
    let (mut labels, mut rows, mut predictions, mut scored_films) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut checked_films = Vec::new();
    for (checked, scored) in films.iter().zip(predictor.rows(&paths, watch)?) {
        let film = &checked.film;
        match scored {
            Ok(row) => {
                checked_films.push(checked);
                labels.push(film.label.clone());
                predictions.push(predictor.prediction(&film.path, &row));
                scored_films.push(film);
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
    let opened = match split {
        Split::Test => {
            let file = predictor.file();
            let bytes = std::fs::read(file).map_err(|e| Error::io("read", file, e))?;
            let opening = Opening {
                when: test_log::now(),
                model: ContentHash::of(&bytes).to_string(),
                films: checked_films.len(),
                content: test_log::content_of(&checked_films),
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

/// Refuses films of which another thing is known than the model says.
pub(crate) fn refuse_other_task(model: Task, films: Task, root: &Path) -> Result<(), Error> {
    let what = match (model, films) {
        (Task::OneOf, Task::AnyOf) => {
            "has labels of which a film may have any, and the model says which one class it is"
        }
        (Task::AnyOf, Task::OneOf) => "has classes of which a film is one, and the model says which labels it has",
        _ => return Ok(()),
    };
    Err(Error::refused(format!("{} {what}: it can be predicted, and not scored", escape(root))))
}

/// A film's label by the model's indices; what the folder has no column for nobody knows.
pub(crate) fn renamed(label: &Label, index_of: &[usize], width: usize) -> Option<Label> {
    match label {
        Label::Class(class) => index_of.get(*class).map(|index| Label::Class(*index)),
        Label::Row(row) => {
            let mut values = vec![None; width];
            for (value, &index) in row.iter().zip(index_of) {
                *values.get_mut(index)? = *value;
            }
            Some(Label::Row(values))
        }
    }
}

/// The model's index of each class (or label) of the folder, by name.
pub(crate) fn indices(folder: &[String], model: &[String], root: &Path, task: Task) -> Result<Vec<usize>, Error> {
    let kind = if task == Task::OneOf { "class" } else { "label" };
    let index = |name: &String| {
        model.iter().position(|known| known == name).ok_or_else(|| {
            Error::refused(format!(
                "{} has the {kind} {}{}, which the model does not know; it knows {}",
                escape(root),
                escape(name),
                escape(did_you_mean(name, model.iter().map(String::as_str))),
                escape(model.join(", "))
            ))
        })
    };
    folder.iter().map(index).collect()
}

/// `metrics-{split}.json`: the same object as `lungfish test --json` prints.
#[derive(Serialize)]
struct Written<'a> {
    schema: &'static str,
    #[serde(flatten)]
    outcome: &'a TestOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_go_by_name_and_unknown_ones_are_refused() {
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let model = names(&["NORMAL", "PNEUMONIA", "TB"]);
        assert_eq!(indices(&names(&["PNEUMONIA", "TB"]), &model, Path::new("d"), Task::OneOf).unwrap(), [1, 2]);
        let error = indices(&names(&["NORMAL", "COVID"]), &model, Path::new("d"), Task::OneOf).unwrap_err().to_string();
        assert_eq!(error, "d has the class COVID, which the model does not know; it knows NORMAL, PNEUMONIA, TB");
        let error = indices(&names(&["TBC"]), &model, Path::new("d"), Task::AnyOf).unwrap_err().to_string();
        assert!(error.starts_with("d has the label TBC"), "{error}");
    }

    #[test]
    fn a_row_goes_by_the_models_names_and_what_it_lacks_is_unknown() {
        let row = Label::Row(vec![Some(true), Some(false)]);
        let renamed_row = renamed(&row, &[2, 0], 3).unwrap();
        assert_eq!(renamed_row, Label::Row(vec![Some(false), None, Some(true)]));
        assert_eq!(renamed(&Label::Class(1), &[2, 0], 3), Some(Label::Class(0)));
        let says = |model, films| refuse_other_task(model, films, Path::new("d")).map_err(|e| e.to_string());
        assert_eq!(says(Task::AnyOf, Task::AnyOf), Ok(()));
        assert!(says(Task::OneOf, Task::AnyOf).unwrap_err().contains("the model says which one class"));
        assert!(says(Task::AnyOf, Task::OneOf).unwrap_err().contains("the model says which labels"));
    }

    #[test]
    fn the_outcome_is_the_json_of_test() {
        let class = ClassMetrics { name: "A".to_owned(), precision: None, recall: Some(0.5), f1: None, support: 2 };
        let outcome = TestOutcome {
            task: Task::OneOf,
            films: 2,
            accuracy: 0.5,
            loss: 0.25,
            auc: None,
            positive: Some("A".to_owned()),
            sensitivity: Some(0.5),
            specificity: None,
            classes: vec![class],
            confusion: vec![vec![1, 1]],
            labels: Vec::new(),
            threshold: Some(0.5),
            at: PointRule::default(),
            points: Vec::new(),
            comparison: None,
            opened: None,
            equal_prior: true,
            tta: Tta::None,
            caveats: vec![Caveat::new(CaveatKind::NoPatients, "nobody knows whose")],
            split: Split::Test,
            epoch: Some(BestEpoch {
                phase: crate::Phase::Frozen,
                epoch: 3,
                val_accuracy: 0.5,
                val_auc: None,
                val_loss: 0.75,
                robust: None,
                why: None,
            }),
            predictions: PathBuf::new(),
            further: None,
            metrics: PathBuf::new(),
            pictures: Vec::new(),
            pictures_failed: false,
            bad: Vec::new(),
            passed_over: Vec::new(),
            undefined: vec!["precision of A".to_owned()],
            measures: vec![Measure::new("accuracy", Some(0.5), Some([0.25, 0.75]))],
            counted: "films",
        };
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            concat!(
                r#"{"task":"one-of","films":2,"accuracy":0.5,"loss":0.25,"auc":null,"positive":"A","sensitivity":0.5,"specificity":null,"#,
                r#""classes":[{"name":"A","precision":null,"recall":0.5,"f1":null,"support":2}],"#,
                r#""confusion":[[1,1]],"labels":[],"threshold":0.5,"at":"0.5","points":[],"equal_prior":true,"#,
                r#""caveats":[{"kind":"no_patients","text":"nobody knows whose"}],"split":"test","#,
                r#""epoch":{"phase":"frozen","epoch":3,"val_accuracy":0.5,"val_auc":null,"val_loss":0.75,"robust":null,"why":null},"#,
                r#""measures":[{"name":"accuracy","value":0.5,"interval":[0.25,0.75]}],"counted":"films","unreadable":[],"passed_over":[],"undefined":["precision of A"]}"#
            )
        );
    }
}
