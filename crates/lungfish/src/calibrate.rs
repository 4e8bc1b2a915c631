//! A model made ready for another site: its logits moved to that site's films, and operating points found there.
//!
//! That is the smallest of the ways to update a model that TRIPOD and Steyerberg (Clinical Prediction Models, 2nd ed. 2019, chapter
//! 20) name: an intercept, or an intercept and a slope, of the logit. What the network makes of a film stays as it is, and so
//! does the order of films, and the AUC.

use std::path::PathBuf;
use std::str::FromStr;

use lungfish_data::display::escape;
use lungfish_data::{CheckedFilm, ContentHash, Label, Split, TableRule, Task};
use lungfish_metrics::cox;
use lungfish_metrics::temperature::cross_fit_logits;

use crate::calibration::{Calibration, Said};
use crate::compute::Compute;
use crate::data_set::read_all;
use crate::evaluate::choice::refuse_seen;
use crate::evaluate::films_of;
use crate::evaluate::names::{indices, refuse_other_task, renamed};
use crate::model::{self, Model, ModelInfo};
use crate::prior::{PriorShift, Way};
use crate::run_folder::write_atomically;
use crate::task::{Answers, sigmoid, softplus};
use crate::{Error, PointRule, Predictor, Watch, positive, sample_bits, source};

/// What is done to the logit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recalibration {
    /// A slope and an intercept: as sure, and as often positive, as the site's films are.
    #[default]
    Logistic,
    /// An intercept alone: as often positive as the site's films are. It needs fewer films.
    Intercept,
    /// Nothing: operating points alone.
    None,
}

impl Recalibration {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logistic, Self::Intercept, Self::None];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logistic => "logistic",
            Self::Intercept => "intercept",
            Self::None => "none",
        }
    }
}

impl FromStr for Recalibration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| format!("\"{text}\" is none of logistic, intercept and none"))
    }
}

/// What to calibrate, for which films.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CalibrateRequest {
    /// A run folder or a model file.
    pub model: PathBuf,
    /// The site's films.
    pub data: PathBuf,
    /// The table of the labels, where they are in one that is not the folder's own `labels.csv`.
    pub labels: Option<PathBuf>,
    /// How it is read.
    pub table: TableRule,
    /// The split whose films are taken; none is all but a test split, which is for testing what comes of it.
    pub split: Option<Split>,
    /// The model file to write, in `.safetensors`.
    pub out: PathBuf,
    /// What is done to the logit.
    pub method: Recalibration,
    /// Operating points to find; none are those of the model's recipe.
    pub points: Option<Vec<PointRule>>,
}

impl CalibrateRequest {
    /// A model for the films of a site, its logits with a slope and an intercept.
    pub fn new(model: impl Into<PathBuf>, data: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        CalibrateRequest { model: model.into(), data: data.into(), out: out.into(), ..CalibrateRequest::default() }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CalibrateOutcome {
    /// The model file.
    pub model: PathBuf,
    /// What it says about itself, its calibration with it.
    pub info: ModelInfo,
    /// Films that could not be read and are not in it.
    pub unreadable: usize,
}

/// Writes a model that is another one, calibrated on films of a site that it has not seen. A test of it on these films is refused
/// from then on.
///
/// # Errors
/// No such model or folder; films that the model has seen; classes that it does not know, or of which there is no film; a method
/// that such a model cannot have; films from which no slope can be told; a file that is there already; [`Error::Stopped`].
pub fn calibrate(request: &CalibrateRequest, watch: &mut Watch<'_>) -> Result<CalibrateOutcome, Error> {
    if request.out.extension().is_none_or(|extension| extension != "safetensors") {
        let out = escape(&request.out);
        return Err(Error::refused(format!("{out} is no name of a model file: it ends in .safetensors")));
    }
    if request.out.exists() {
        return Err(Error::refused(format!("{} is there already: choose another name", escape(&request.out))));
    }
    let backend = Compute::default();
    let mut model = Model::open(&request.model, &backend)?;
    if request.method != Recalibration::None {
        let text = "an average has no last layer; --method none finds operating points for it";
        model.require_single(text)?;
        if model.info.task == Task::OneOf && model.info.classes.len() != 2 {
            let (file, many) = (escape(model.file()), model.info.classes.len());
            return Err(Error::refused(format!(
                "{file} tells {many} classes apart: a slope and an intercept are of two, or of labels"
            )));
        }
    }
    let (films, unreadable) = site(request, &mut model, watch)?;
    let source = std::fs::read(model.file()).map_err(|e| Error::io("read", model.file(), e))?;
    let lineage = model.lineage.of_calibration(&source, &films);
    let (mut info, networks, references) = (model.info.clone(), model.networks.clone(), model.references.clone());
    let mut tensors = model.stores.iter().map(model::capture).collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<PathBuf> = films.iter().map(|film| film.film.path.clone()).collect();
    let mut predictor = Predictor::of(model, &backend)?;
    let (mut rows, mut labels, mut patients): (Vec<f32>, Vec<&Label>, Vec<&str>) = Default::default();
    for (film, row) in films.iter().zip(predictor.rows(&paths, watch)?) {
        let Ok(row) = row else { continue };
        rows.extend(row.values);
        labels.push(&film.film.label);
        patients.push(&film.film.group);
    }
    let rules = match &request.points {
        Some(rules) => rules.clone(),
        None => PointRule::list(&info.recipe.operating_points).map_err(Error::refused)?,
    };
    let positive = if info.task == Task::OneOf { positive::of(&info.classes, &info.recipe.positive)? } else { None };
    let site = Site { info: &info, positive, labels: &labels, patients: &patients, method: request.method };
    let lines = site.lines(&rows, &escape(&request.data))?;
    site.apply(&lines, &mut rows);
    let said =
        Said { task: info.task, classes: &info.classes, positive, labels: &labels, rows: &rows, patients: &patients };
    let points = said.calibrate(&PriorShift::default(), false, &rules);
    let mean = |of: fn(&Line) -> Option<f64>| -> Option<f64> {
        let each: Vec<f64> = lines.iter().flatten().filter_map(of).collect();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    };
    let name = request.data.file_name().map_or_else(|| escape(&request.data), escape);
    let calibration = Calibration {
        site: Some(name),
        temperature: lines.iter().map(|line| line.as_ref().map_or(1.0, |line| 1.0 / line.slope)).collect(),
        intercept: lines.iter().map(|line| line.as_ref().map_or(0.0, |line| line.intercept)).collect(),
        nll_before: mean(|line| Some(line.nll_before)),
        nll_after: mean(|line| line.nll_after),
        ..points
    };
    if request.method != Recalibration::None {
        for (tensors, network) in tensors.iter_mut().zip(&networks) {
            calibration.fold(tensors, &network.output_bias(), positive, Way::In);
        }
        // Probabilities are for the frequency that the classes have at the site.
        info.prior_shift = PriorShift::default();
    }
    info.calibration = Some(calibration);
    info.ancestors.clone_from(&lineage.ancestors);
    info.split_file = None;
    let kept = tensors.into_iter().zip(references.iter().map(Option::as_ref)).collect();
    let bytes = model::to_bytes(&info, kept, &lineage)?;
    write_atomically(&request.out, &bytes)?;
    Ok(CalibrateOutcome { model: request.out.clone(), info, unreadable })
}

/// The films of the site by the model's classes, and how many could not be read.
fn site(
    request: &CalibrateRequest,
    model: &mut Model,
    watch: &mut Watch<'_>,
) -> Result<(Vec<CheckedFilm>, usize), Error> {
    let folder = films_of(&request.data, (&request.labels, &request.table), &model.info.recipe)?;
    source::tell(&folder, watch);
    refuse_other_task(model.info.task, folder.task, &folder.root)?;
    let index_of = indices(&folder.classes, &model.info.classes, &folder.root, model.info.task)?;
    let root = folder.root.clone();
    let paths: Vec<_> = folder.layout.films().map(|(_, film)| film.path.as_path()).collect();
    sample_bits::of_films(&mut model.info.preprocess.decoding, &paths, watch);
    let read = read_all(folder.layout, model.info.preprocess.decode_options(), &|_, _, _| {}, watch);
    let Some((layout, bad)) = read else { return Err(Error::Stopped) };
    let layout = layout.filter_map(|mut film| {
        film.film.label = renamed(&film.film.label, &index_of, model.info.classes.len())?;
        Some(film)
    });
    let films: Vec<CheckedFilm> = match request.split {
        Some(split) => match layout.of(split) {
            Some(films) => films.to_vec(),
            None => return Err(Error::refused(format!("{} has no {split} folder", escape(&root)))),
        },
        None => layout.films().filter(|(split, _)| *split != Some(Split::Test)).map(|(_, film)| film.clone()).collect(),
    };
    refuse_seen(model, &films.iter().collect::<Vec<_>>(), &root)?;
    // The same pixels once.
    let mut seen: std::collections::HashSet<ContentHash> = Default::default();
    let films: Vec<CheckedFilm> =
        films.into_iter().filter(|film| seen.insert(film.pixels.unwrap_or(film.hash))).collect();
    if films.is_empty() {
        return Err(Error::refused(format!("there is no film to calibrate on in {}", escape(&root))));
    }
    Ok((films, bad.len()))
}

/// A slope and an intercept of a logit, and what they do to the films' likelihood.
struct Line {
    slope: f64,
    intercept: f64,
    nll_before: f64,
    /// With each part of the films left out in turn; none where there are too few patients for that.
    nll_after: Option<f64>,
}

/// The site's films and the model that is asked about them.
struct Site<'a> {
    info: &'a ModelInfo,
    positive: Option<usize>,
    labels: &'a [&'a Label],
    patients: &'a [&'a str],
    method: Recalibration,
}

impl Site<'_> {
    /// A line for two classes, or one for each label of which there are films with and without.
    fn lines(&self, rows: &[f32], site: &str) -> Result<Vec<Option<Line>>, Error> {
        let outputs: Vec<usize> = match (self.info.task, self.positive) {
            (Task::OneOf, Some(positive)) => vec![positive],
            (Task::OneOf, None) => vec![],
            (Task::AnyOf, _) => (0..self.info.classes.len()).collect(),
        };
        if self.method == Recalibration::None {
            return Ok(outputs.iter().map(|_| None).collect());
        }
        let line = |output: &usize| {
            let name = escape(&self.info.classes[*output]);
            let (positive, logits, patients) = self.known(*output, rows);
            let both = positive.contains(&true) && positive.contains(&false);
            if !both && self.info.task == Task::AnyOf {
                return Ok(None);
            }
            if !both {
                return Err(Error::refused(format!(
                    "{site} has films of one class only: what a probability is worth needs films that are {name} and films that are not"
                )));
            }
            let fitted = self.fit(&positive, &logits).ok_or_else(|| {
                Error::refused(format!(
                    "the model tells the films of {site} that are {name} from the others without a miss, so that nothing says how sure \
                     it may be: calibrate with --method intercept or none, or on more films"
                ))
            })?;
            let nll = |(slope, intercept): (f64, f64), film: usize| {
                let logit = slope * logits[film] + intercept;
                softplus(if positive[film] { -logit } else { logit })
            };
            let films = logits.len() as f64;
            // The parts are those in which a temperature would be sought.
            let nll_after = cross_fit_logits(&positive, &logits, &patients, 5, 0).and_then(|parts| {
                let without = |part: usize| {
                    let others = (0..logits.len()).filter(|film| parts.fold_of_film[*film] != part);
                    let (positive, logits): (Vec<bool>, Vec<f64>) =
                        others.map(|film| (positive[film], logits[film])).unzip();
                    self.fit(&positive, &logits)
                };
                let of_part: Vec<(f64, f64)> = (0..5).map(without).collect::<Option<_>>()?;
                Some((0..logits.len()).map(|film| nll(of_part[parts.fold_of_film[film]], film)).sum::<f64>() / films)
            });
            let nll_before = (0..logits.len()).map(|film| nll((1.0, 0.0), film)).sum::<f64>() / films;
            Ok(Some(Line { slope: fitted.0, intercept: fitted.1, nll_before, nll_after }))
        };
        outputs.iter().map(line).collect()
    }

    /// Slope and intercept; none where films are told apart without a miss, or where the slope would turn their order round.
    fn fit(&self, positive: &[bool], logits: &[f64]) -> Option<(f64, f64)> {
        match self.method {
            Recalibration::Intercept => Some((1.0, cox::in_the_large(positive, logits)?.intercept)),
            _ => {
                let line = cox::line(positive, logits)?;
                (line.slope > 0.0).then_some((line.slope, line.intercept))
            }
        }
    }

    /// Films of which is known whether they are positive, their logits and patients.
    fn known(&self, output: usize, rows: &[f32]) -> (Vec<bool>, Vec<f64>, Vec<&str>) {
        let width = self.info.classes.len();
        let mut known = (Vec::new(), Vec::new(), Vec::new());
        for ((label, row), patient) in self.labels.iter().zip(rows.chunks_exact(width)).zip(self.patients) {
            let Some(has) = label.has(output) else { continue };
            known.0.push(has);
            known.1.push(self.logit(row, output));
            known.2.push(*patient);
        }
        known
    }

    /// Of two classes what lies between their log-probabilities; of a label its logit.
    fn logit(&self, row: &[f32], output: usize) -> f64 {
        match self.info.task {
            Task::OneOf => f64::from(row[output]) - f64::from(row[1 - output]),
            Task::AnyOf => f64::from(row[output]),
        }
    }

    /// Moves rows by the lines.
    fn apply(&self, lines: &[Option<Line>], rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.info.classes.len()) {
            match (self.info.task, self.positive, lines) {
                (Task::OneOf, Some(positive), [Some(line)]) => {
                    let logit = line.slope * self.logit(row, positive) + line.intercept;
                    row[positive] = self.info.task.value_of(sigmoid(logit)) as f32;
                    row[1 - positive] = self.info.task.value_of(sigmoid(-logit)) as f32;
                }
                (Task::AnyOf, _, lines) => {
                    for (value, line) in row.iter_mut().zip(lines) {
                        if let Some(line) = line {
                            *value = (line.slope * f64::from(*value) + line.intercept) as f32;
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
