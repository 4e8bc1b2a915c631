//! Prediction: a model and films in, one probability a class or label out.

mod in_memory;
mod maps;

use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::{Decoding, Image, PassedOver, Pipeline, Task, Uids, film_uid};
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::cam::{Cam, HeatMap};
use crate::compute::Compute;
use crate::lineage::Lineage;
use crate::model::{Model, ModelInfo};
use crate::point::CalledAt;
use crate::reference::{self, Reference};
use crate::scorer::{AT_ONCE, Known, Row, Scored, Scorer, Wanted};
use crate::task::Answers;
use crate::{Activity, Called, Error, Event, FilmList, PointRule, PrecisionRule, Tta, Watch, sample_bits};

/// What a model says about one film. Serialised, it is a line of `lungfish predict --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Prediction {
    /// The film; empty for one that came from memory.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// The most probable class, or the labels that are more probable than not.
    #[serde(flatten)]
    pub called: Called,
    /// Each class with its probability, in index order: they sum to one. Or each label with its own.
    #[serde(serialize_with = "as_map")]
    pub probabilities: Vec<(String, f64)>,
    /// Of an ensemble, for each class or label how far its members are apart: the standard deviation of their
    /// probabilities. Empty for one network.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<(String, f64)>,
    /// Of a DICOM its SOPInstanceUID, as [`Predictor::with_uids`] has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The operating point at which it is called; left out where that is a probability of one half.
    #[serde(skip_serializing_if = "PointRule::is_even")]
    pub at: PointRule,
    /// The precision in which it was asked for ([`Predictor::with_precision`]), where that is another one than trained the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<PrecisionRule>,
    /// Which places of the film raised and lowered a score, as [`Predictor::with_maps`] asks for.
    #[serde(rename = "evidence", skip_serializing_if = "Option::is_none")]
    pub map: Option<HeatMap>,
    /// How unlike the films of the training it is: the share of validation films that lie less far from them among the network's
    /// features, 1 for a film that lies farther than every one of them. None of a model that keeps nothing of its training films.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlike: Option<f64>,
}

impl Prediction {
    /// What a model of a task may say: one-of the most probable class, the first of equals; any-of the labels with a
    /// probability of one half and more.
    ///
    /// ```
    /// use lungfish::{Prediction, Task};
    /// let probabilities = vec![("NORMAL".to_owned(), 0.25), ("PNEUMONIA".to_owned(), 0.75)];
    /// assert_eq!(Prediction::new("a.jpeg", Task::OneOf, probabilities).called.words(), "PNEUMONIA");
    /// ```
    pub fn new(path: impl Into<PathBuf>, task: Task, probabilities: Vec<(String, f64)>) -> Self {
        let (names, values): (Vec<String>, Vec<f64>) = probabilities.iter().cloned().unzip();
        Prediction {
            path: path.into(),
            called: task.called(&names, &values),
            probabilities,
            spread: Vec::new(),
            uid: None,
            at: PointRule::default(),
            precision: None,
            map: None,
            unlike: None,
        }
    }

    /// Whether no film of the training is this unlike the others, so that what is said of it is not to be relied on.
    pub fn is_unlike(&self) -> bool {
        self.unlike == Some(1.0)
    }
}

/// A film that could not be scored. Serialised, it is a line of `lungfish predict --json` too: `path` and `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct BadFilm {
    /// The file.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub path: PathBuf,
    /// What is wrong with it.
    #[serde(rename = "error")]
    pub reason: String,
    /// Of a DICOM whose header can be read its SOPInstanceUID, as of films that are scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub uid: Option<String>,
}

impl BadFilm {
    /// A film and what is wrong with it.
    pub fn new(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        BadFilm { path: path.into(), reason: reason.into(), uid: None }
    }
}

/// What came of one film.
pub type Outcome = Result<Prediction, BadFilm>;

/// What [`Predictor::predict`] found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Predictions {
    /// One a film, in the order asked for, folders in path order.
    pub films: Vec<Prediction>,
    /// Films that could not be scored.
    pub bad: Vec<BadFilm>,
    /// Files in the folders that were not taken for films, by kind.
    pub passed_over: Vec<PassedOver>,
}

/// A model ready to score films. Needs the model file and nothing else.
pub struct Predictor {
    model: Model,
    scorer: Scorer,
    tta: Tta,
    uids: Uids,
    /// Where films are called.
    called_at: CalledAt,
    /// How the films were decoded that the model learnt from.
    learnt: Decoding,
    /// Whether each prediction has a map.
    maps: bool,
    /// What makes maps, once one was asked for.
    cam: Option<Cam>,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor").field("info", &self.model.info).finish_non_exhaustive()
    }
}

impl Predictor {
    /// Opens a run folder (its best epoch) or a model file.
    ///
    /// # Errors
    /// No such file, or a file that is no model.
    pub fn open(model: &Path) -> Result<Self, Error> {
        let backend = Compute::default();
        Self::of(Model::open(model, &backend)?, &backend)
    }

    pub(crate) fn of(model: Model, backend: &Compute) -> Result<Self, Error> {
        let pipeline = Pipeline { preprocess: model.info.preprocess, augment: None, side: None, cache: None };
        let asked = Wanted { features: model.tells_unlike(), ..Wanted::default() };
        let scorer = Scorer::asking(backend, model.computing(), model.info.task, pipeline, asked)?;
        let learnt = model.info.preprocess.decoding;
        // Where the films of its training did not say the cut, that training said so.
        let called_at =
            CalledAt::new(model.info.recipe.call_at, &model.info, &escape(model.file())).unwrap_or_default();
        Ok(Predictor { model, scorer, tta: Tta::None, uids: Uids::Hashed, called_at, learnt, maps: false, cam: None })
    }

    /// The same, which calls films at another operating point than the model's own.
    ///
    /// # Errors
    /// A point that the model does not have, with the reason; a model of more than two classes.
    pub fn with_point(self, rule: PointRule) -> Result<Self, Error> {
        let called_at = CalledAt::new(rule, self.info(), &escape(self.file()))?;
        Ok(Predictor { called_at, ..self })
    }

    /// Where films are called.
    pub fn point(&self) -> PointRule {
        self.called_at.rule
    }

    /// Of two classes the probability of the positive one from which on a film is called so.
    pub fn cut(&self) -> Option<f64> {
        self.info().positive_class().map(|_| self.called_at.cut())
    }

    /// The same, which computes in a precision; `auto` is what trained the model.
    ///
    /// # Errors
    /// Memory that is not there.
    pub fn with_precision(mut self, rule: PrecisionRule) -> Result<Self, Error> {
        let before = self.model.precisions.clone();
        self.model.compute_in(rule)?;
        if self.model.precisions != before {
            self.scorer = self.scorer.computing_in(self.model.device(), self.model.computing())?;
            self.cam = self.cam.is_some().then(|| Cam::new(&self.model, self.model.device())).transpose()?;
        }
        Ok(self)
    }

    /// What it computes in: `fp32`, `bf16` or `f16`; of an ensemble of several all of them, as `fp32 and bf16`.
    pub fn precision(&self) -> String {
        self.model.precision_words()
    }

    /// The precision that was asked for, where it is another one than trained the model.
    pub fn other_precision(&self) -> Option<PrecisionRule> {
        self.model.other_precision()
    }

    /// Whether it can say how unlike the films of its training a film is. It cannot where films are scored in crops alone.
    pub fn tells_unlike(&self) -> bool {
        self.tta.has_whole() && self.model.tells_unlike()
    }

    /// Which films had a part in it.
    pub(crate) fn lineage(&self) -> &Lineage {
        &self.model.lineage
    }

    /// What a network keeps of the films that taught it, the first that can tell a class by the look of films.
    pub(crate) fn looks(&self) -> Option<&Reference> {
        self.model.references.iter().flatten().find(|reference| reference.tells_looks())
    }

    /// The same, whose rows have statistics of the films' look.
    pub(crate) fn with_statistics(mut self) -> Self {
        self.scorer.ask_statistics();
        self
    }

    pub(crate) fn called_at(&self) -> &CalledAt {
        &self.called_at
    }

    /// The same, which scores each film in several views and averages their probabilities.
    #[must_use]
    pub fn with_tta(self, tta: Tta) -> Self {
        Predictor { scorer: self.scorer.with_tta(tta), tta, ..self }
    }

    /// The same, which tells the UIDs of DICOM films in a way; they are hashed unless asked for.
    #[must_use]
    pub fn with_uids(self, uids: Uids) -> Self {
        Predictor { uids, ..self }
    }

    /// How films are decoded from now on.
    fn decode_as(&mut self, decoding: Decoding) {
        if let Some(cam) = &mut self.cam {
            cam.decode_as(decoding);
        }
        self.model.info.preprocess.decoding = decoding;
        self.scorer.decode_as(decoding);
    }

    /// In which views films are scored.
    pub fn tta(&self) -> Tta {
        self.tta
    }

    /// How the UIDs of DICOM films are told.
    pub fn uids(&self) -> Uids {
        self.uids
    }

    /// What the model file says about itself.
    pub fn info(&self) -> &ModelInfo {
        &self.model.info
    }

    /// The model file.
    pub fn file(&self) -> &Path {
        self.model.file()
    }

    /// The run folder that the model lies in, if any.
    pub fn run(&self) -> Option<&Path> {
        self.model.run.as_deref()
    }

    /// Scores files, and the films in folders and theirs. All that was scored comes at once, at the end;
    /// [`Predictor::predict_each`] hands it on as it comes.
    ///
    /// # Errors
    /// Folders without a single film, weights that give no numbers, [`Error::Stopped`]; what cannot be read, or is not
    /// there, is no error as long as there is something else.
    pub fn predict(&mut self, paths: &[PathBuf], watch: &mut Watch<'_>) -> Result<Predictions, Error> {
        let films = FilmList::new(paths);
        let mut out = Predictions { passed_over: films.passed_over().to_vec(), ..Predictions::default() };
        self.predict_each(&films, 0, watch, |batch| {
            for outcome in batch {
                match outcome {
                    Ok(film) => out.films.push(film),
                    Err(film) => out.bad.push(film),
                }
            }
            Ok::<(), Error>(())
        })?;
        Ok(out)
    }

    /// Scores films and hands the outcomes on, some at a time, in order, as soon as they are there. The first `from` of
    /// them are left out: they were handed on at an earlier time. What the others are does not depend on `from`, to the
    /// bit, since films go through the network in the same company. `sink` may fail in its own way, which ends it all.
    ///
    /// # Errors
    /// As [`Predictor::predict`]; those of `sink`. After [`Error::Stopped`] the sink has had every film that was scored.
    pub fn predict_each<E: From<Error>>(
        &mut self,
        films: &FilmList,
        from: usize,
        watch: &mut Watch<'_>,
        mut sink: impl FnMut(Vec<Outcome>) -> Result<(), E>,
    ) -> Result<(), E> {
        films.require_films()?;
        let entries = films.entries();
        let paths: Vec<&Path> = entries.iter().flatten().map(PathBuf::as_path).collect();
        let mut decoding = self.learnt;
        sample_bits::of_films(&mut decoding, &paths, watch);
        self.decode_as(decoding);
        // Films only, each with the index of its row.
        let known: Vec<(usize, Known<'_>)> = entries
            .iter()
            .enumerate()
            .filter_map(|(row, entry)| Some((row, Known::file(entry.as_ref().ok()?))))
            .collect();
        let done = known.partition_point(|(row, _)| *row < from);
        // The whole batch of the first film that is wanted, unless none is.
        let first = if done == known.len() { done } else { done - done % AT_ONCE };
        let wanted: Vec<Known<'_>> = known.iter().skip(first).map(|(_, film)| *film).collect();
        let (total, mut scored) = (known.len(), first);
        let uids = films.has_dicom().then_some(self.uids);
        let Predictor { model, scorer, called_at, cam, maps, .. } = self;
        let (file, precision) = (model.file().to_owned(), model.other_precision());
        let Model { info, stores, references, .. } = model;
        let mut row = known.get(first).filter(|_| first < done).map_or(from, |(row, _)| *row);
        let mut hand_on = |upto: usize, batch: &mut dyn Iterator<Item = Scored>| {
            let (mut outcomes, mut squares) = (Vec::new(), Vec::new());
            let mut of_films = uids_of(entries.get(row..upto).unwrap_or_default(), uids).into_iter();
            while row < upto {
                let uid = of_films.next().flatten();
                let outcome = match entries.get(row) {
                    Some(Ok(path)) => match batch.next() {
                        Some(Ok(scored)) => {
                            let of = (&*info, &references[..], &*called_at, precision);
                            let said = prediction(of, &file, path, &scored)?;
                            squares.extend(scored.square.filter(|_| row >= from));
                            Ok(Prediction { uid, ..said })
                        }
                        Some(Err(reason)) => Err(BadFilm { uid, ..BadFilm::new(path, reason.to_string()) }),
                        None => break,
                    },
                    Some(Err(bad)) => Err(bad.clone()),
                    None => break,
                };
                if row >= from {
                    outcomes.push(outcome);
                }
                row += 1;
            }
            if let Some(cam) = cam.as_mut().filter(|_| *maps) {
                cam.add_of(outcomes.iter_mut().flatten().collect(), &squares)?;
            }
            if outcomes.is_empty() { Ok(()) } else { sink(outcomes) }
        };
        let through = scorer.score_each(stores, &wanted, watch.flag(), &mut |batch| {
            scored += batch.len();
            let upto = known.get(scored).map_or(entries.len(), |(row, _)| *row);
            hand_on(upto, &mut batch.into_iter())?;
            watch.event(&Event::Progress { task: Activity::Predicting, done: scored, total });
            Ok::<(), E>(())
        })?;
        if !through {
            return Err(Error::Stopped.into());
        }
        // Where all films were scored before, folders without films may be left.
        hand_on(entries.len(), &mut std::iter::empty())
    }

    /// The network's square of a film, prepared as it is asked for.
    pub(crate) fn square(
        &self,
        path: &Path,
        preprocess: lungfish_data::Preprocess,
    ) -> Result<Image, lungfish_data::DecodeError> {
        Pipeline { preprocess, augment: None, side: None, cache: None }.square(path, None)
    }

    /// What is said of squares, in order.
    pub(crate) fn of_squares(&mut self, squares: Vec<Vec<u8>>) -> Result<Vec<Prediction>, Error> {
        let rows = self.scorer.score_squares(&mut self.model.stores, squares)?;
        let none = Path::new("");
        rows.iter().map(|row| prediction(self.names(), self.model.file(), none, row)).collect()
    }

    /// One row of last values a film (log-probabilities, or logits of labels), or why there is none.
    pub(crate) fn rows(&mut self, films: &[PathBuf], watch: &mut Watch<'_>) -> Result<Vec<Scored>, Error> {
        let unhashed: Vec<_> = films.iter().map(|path| Known::file(path)).collect();
        let scored = self.scorer.score(&mut self.model.stores, &unhashed, Activity::Predicting, watch)?;
        let scored = scored.ok_or(Error::Stopped)?;
        for (path, film) in films.iter().zip(&scored) {
            require_numbers(self.model.file(), path, film.as_ref().map_or(&[], |row| &row.values))?;
        }
        Ok(scored)
    }

    /// Names and probabilities for a row of last values.
    pub(crate) fn prediction(&self, path: &Path, row: &Row) -> Prediction {
        named(self.names(), path, row)
    }

    fn names(&self) -> Names<'_> {
        (&self.model.info, &self.model.references, &self.called_at, self.model.other_precision())
    }
}

/// The UID of each film, where there are DICOM films among them.
fn uids_of(entries: &[Result<PathBuf, BadFilm>], uids: Option<Uids>) -> Vec<Option<String>> {
    let Some(uids) = uids else { return Vec::new() };
    // Headers are small reads, and many.
    entries.par_iter().map(|entry| film_uid(entry.as_ref().ok()?, uids)).collect()
}

/// What makes a prediction of a row: names, what is known of the training's films, where films are called, and the precision if it
/// is not the model's.
type Names<'a> = (&'a ModelInfo, &'a [Option<Reference>], &'a CalledAt, Option<PrecisionRule>);

/// Names and probabilities for a row of last values, if it has numbers.
fn prediction(of: Names<'_>, model: &Path, film: &Path, row: &Row) -> Result<Prediction, Error> {
    require_numbers(model, film, &row.values)?;
    Ok(named(of, film, row))
}

fn named((info, references, called_at, precision): Names<'_>, film: &Path, row: &Row) -> Prediction {
    let named = |values: &[f64]| info.classes.iter().cloned().zip(values.iter().copied()).collect();
    let probabilities = named(&info.task.probabilities(&row.values));
    let called = info.task.called(&info.classes, &info.task.probabilities(&called_at.moved(&row.values)));
    let prediction = Prediction::new(film, info.task, probabilities);
    let unlike = reference::unlike(references, &row.features);
    Prediction { called, spread: named(&row.spread), at: called_at.rule, precision, unlike, ..prediction }
}

/// A class is never named by a comparison of what is no number.
fn require_numbers(model: &Path, film: &Path, row: &[f32]) -> Result<(), Error> {
    if !row.iter().any(|l| l.is_nan()) {
        return Ok(());
    }
    Err(Error::damaged(format!(
        "the model {} gives no probabilities for {}: its weights are damaged",
        escape(model),
        if film.as_os_str().is_empty() { "the image".to_owned() } else { escape(film) }
    )))
}

fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn as_map<S: Serializer>(pairs: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, p)| (name, p)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_a_film_is_the_json_line_of_predict() {
        let prediction =
            Prediction::new("a/b.jpeg", Task::OneOf, vec![("NORMAL".to_owned(), 0.25), ("PNEUMONIA".to_owned(), 0.75)]);
        assert_eq!(
            serde_json::to_string(&prediction).unwrap(),
            r#"{"path":"a/b.jpeg","class":"PNEUMONIA","probabilities":{"NORMAL":0.25,"PNEUMONIA":0.75}}"#
        );
        let uid = Some("dicom-0123456789abcdef".to_owned());
        assert_eq!(
            serde_json::to_string(&Prediction { uid, ..prediction.clone() }).unwrap(),
            r#"{"path":"a/b.jpeg","class":"PNEUMONIA","probabilities":{"NORMAL":0.25,"PNEUMONIA":0.75},"uid":"dicom-0123456789abcdef"}"#
        );
        let labels = Prediction { called: Called::Labels(vec!["PNEUMONIA".to_owned()]), ..prediction.clone() };
        assert_eq!(
            serde_json::to_string(&labels).unwrap(),
            r#"{"path":"a/b.jpeg","labels":["PNEUMONIA"],"probabilities":{"NORMAL":0.25,"PNEUMONIA":0.75}}"#
        );
        let precision = Some(PrecisionRule::Bf16);
        let other = serde_json::to_string(&Prediction { precision, ..prediction.clone() }).unwrap();
        assert!(other.ends_with(r#","precision":"bf16"}"#), "{other}");
        let bad = BadFilm::new("c.png", "the file is empty (0 bytes)");
        assert_eq!(serde_json::to_string(&bad).unwrap(), r#"{"path":"c.png","error":"the file is empty (0 bytes)"}"#);
    }
}
