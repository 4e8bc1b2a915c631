//! Prediction: a model and films in, one probability a class out. Validating and testing go through here too.

use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::folder::films_in;
use lungfish_data::{Channels, ContentHash, DecodeError, Pipeline};
use lungfish_engine::{Cpu, Input, Plan, PlanSpec, Store};
use lungfish_models::Network;
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::model::{Model, ModelInfo, normalization};
use crate::{Activity, Error, Event, Watch};

/// What a model says about one film. Serialised, it is a line of `lungfish predict --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The film.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// The most probable class.
    pub class: String,
    /// Each class with its probability, in index order; they sum to one.
    #[serde(serialize_with = "as_map")]
    pub probabilities: Vec<(String, f64)>,
}

/// A film that could not be scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BadFilm {
    /// The file.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What [`Predictor::predict`] found.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    /// One a film, in the order asked for, folders in path order.
    pub films: Vec<Prediction>,
    /// Films that could not be scored.
    pub bad: Vec<BadFilm>,
}

/// A model ready to score films. Needs the model file and nothing else.
pub struct Predictor {
    model: Model,
    scorer: Scorer,
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
        let backend = Cpu::new();
        Self::of(Model::open(model, &backend)?, &backend)
    }

    pub(crate) fn of(model: Model, backend: &Cpu) -> Result<Self, Error> {
        let pipeline = Pipeline { preprocess: model.info.preprocess, augment: None, cache: None };
        let scorer = Scorer::new(backend, &model.network, pipeline)?;
        Ok(Predictor { model, scorer })
    }

    /// What the model file says about itself.
    pub fn info(&self) -> &ModelInfo {
        &self.model.info
    }

    /// The run folder that the model lies in, if any.
    pub(crate) fn run(&self) -> Option<&Path> {
        self.model.run.as_deref()
    }

    /// Scores files, and the films in folders and theirs.
    ///
    /// # Errors
    /// Folders without a single film, weights that give no numbers, [`Error::Stopped`]; what cannot be read, or is not
    /// there, is no error as long as there is something else.
    pub fn predict(&mut self, paths: &[PathBuf], watch: &mut Watch<'_>) -> Result<Predictions, Error> {
        let mut out = Predictions::default();
        let mut films = Vec::new();
        for path in paths {
            if path.is_dir() {
                match films_in(path) {
                    Ok(found) if found.is_empty() => {
                        out.bad.push(BadFilm { path: path.clone(), reason: "a folder with no film in it".to_owned() });
                    }
                    Ok(found) => films.extend(found),
                    Err(error) => out.bad.push(BadFilm {
                        path: path.clone(),
                        reason: format!("a folder that cannot be listed: {error}"),
                    }),
                }
            } else {
                films.push(path.clone());
            }
        }
        if let (true, Some(first)) = (films.is_empty(), out.bad.first()) {
            return Err(Error::refused(format!("nothing to predict: {} is {}", escape(&first.path), first.reason)));
        }
        for (path, scored) in films.iter().zip(self.log_probabilities(&films, watch)?) {
            match scored {
                Ok(row) => out.films.push(self.prediction(path, &row)),
                Err(reason) => out.bad.push(BadFilm { path: path.clone(), reason: reason.to_string() }),
            }
        }
        Ok(out)
    }

    /// One row of log-probabilities a film, or why there is none.
    pub(crate) fn log_probabilities(&mut self, films: &[PathBuf], watch: &mut Watch<'_>) -> Result<Vec<Scored>, Error> {
        let unhashed: Vec<_> = films.iter().map(|path| (path.as_path(), None)).collect();
        let scored = self.scorer.score(&mut self.model.store, &unhashed, Activity::Predicting, watch)?;
        let scored = scored.ok_or(Error::Stopped)?;
        // A class is never named by a comparison of what is no number.
        let undefined = |film: &Scored| film.as_ref().is_ok_and(|row| row.iter().any(|l| l.is_nan()));
        if let Some(at) = scored.iter().position(undefined) {
            return Err(Error::refused(format!(
                "the model {} gives no probabilities for {}: its weights are damaged",
                escape(self.model.file()),
                escape(&films[at])
            )));
        }
        Ok(scored)
    }

    /// Names and probabilities for a row of log-probabilities.
    pub(crate) fn prediction(&self, path: &Path, log_probabilities: &[f32]) -> Prediction {
        let probabilities = probabilities(log_probabilities);
        let classes = &self.model.info.classes;
        Prediction {
            path: path.to_owned(),
            class: classes.get(lungfish_metrics::argmax(&probabilities)).cloned().unwrap_or_default(),
            probabilities: classes.iter().cloned().zip(probabilities).collect(),
        }
    }
}

/// Probabilities that sum to one, from log-probabilities rounded to single floats.
pub(crate) fn probabilities(log_probabilities: &[f32]) -> Vec<f64> {
    let exp: Vec<f64> = log_probabilities.iter().map(|&l| f64::from(l).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|p| p / sum).collect()
}

/// A film's row of log-probabilities, or why it has none.
pub(crate) type Scored = Result<Vec<f32>, DecodeError>;

/// Films that are read and go through a network at once where nothing is trained: enough for the late layers, whose
/// weights are many and whose values are few. Early layers take fewer of them at a time by themselves.
pub(crate) const AT_ONCE: usize = 32;

/// Films in, log-probabilities out: decodes a batch on all cores, then runs the network on it.
pub(crate) struct Scorer {
    plan: Plan<Cpu>,
    pipeline: Pipeline,
}

impl Scorer {
    pub(crate) fn new(backend: &Cpu, network: &Network, pipeline: Pipeline) -> Result<Self, Error> {
        let preprocess = &pipeline.preprocess;
        let spec = PlanSpec::inference(&network.graph, AT_ONCE, preprocess.size, normalization(preprocess));
        Ok(Scorer { plan: Plan::new(backend, &network.graph, spec)?, pipeline })
    }

    /// A row of log-probabilities a film, in order, or why it has none; films that are kept decoded are known by their
    /// content. `None` where it was stopped.
    pub(crate) fn score(
        &mut self,
        store: &mut Store<Cpu>,
        films: &[(&Path, Option<ContentHash>)],
        task: Activity,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Vec<Scored>>, Error> {
        let mut scored = Vec::with_capacity(films.len());
        for batch in films.chunks(self.plan.spec().capacity) {
            if watch.stopped() {
                return Ok(None);
            }
            // One film a task: they differ in size tenfold.
            let decode = |&(path, hash): &(&Path, Option<ContentHash>)| {
                self.pipeline.square(path, hash).map(|image| image.pixels)
            };
            let decoded: Vec<Result<Vec<u8>, DecodeError>> = batch.par_iter().with_max_len(1).map(decode).collect();
            let pixels: Vec<u8> = decoded.iter().flatten().flatten().copied().collect();
            let n = decoded.iter().filter(|film| film.is_ok()).count();
            let mut rows = Vec::new();
            if n > 0 {
                self.plan.forward(store, n, input(&pixels, self.pipeline.preprocess.channels), [0; 4])?;
                rows = self.plan.output()?;
            }
            let mut rows = rows.chunks_exact((rows.len() / n.max(1)).max(1));
            for film in decoded {
                scored.push(film.map(|_| rows.next().unwrap_or_default().to_vec()));
            }
            watch.event(&Event::Progress { task, done: scored.len(), total: films.len() });
        }
        Ok(Some(scored))
    }
}

/// Pixels as the engine takes them.
pub(crate) fn input(pixels: &[u8], channels: Channels) -> Input<'_> {
    match channels {
        Channels::Gray => Input::Gray(pixels),
        Channels::Rgb => Input::Rgb(pixels),
    }
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
    fn a_prediction_is_the_json_line_of_predict() {
        let prediction = Prediction {
            path: "a/b.jpeg".into(),
            class: "PNEUMONIA".to_owned(),
            probabilities: vec![("NORMAL".to_owned(), 0.25), ("PNEUMONIA".to_owned(), 0.75)],
        };
        assert_eq!(
            serde_json::to_string(&prediction).unwrap(),
            r#"{"path":"a/b.jpeg","class":"PNEUMONIA","probabilities":{"NORMAL":0.25,"PNEUMONIA":0.75}}"#
        );
    }

    #[test]
    fn probabilities_sum_to_one() {
        let rows = probabilities(&[-0.287_682_07, -1.386_294_4]);
        assert!((rows.iter().sum::<f64>() - 1.0).abs() < 1e-15 && (rows[0] - 0.75).abs() < 1e-6);
        assert_eq!(probabilities(&[0.0, f32::NEG_INFINITY]), [1.0, 0.0]);
    }
}
