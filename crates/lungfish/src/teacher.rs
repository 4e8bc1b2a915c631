//! A model that a training learns from besides the labels: knowledge distillation (Hinton, Vinyals and Dean 2015,
//! arXiv:1503.02531). It is asked about the very pixels that the network sees, augmented and mixed as they are, in every
//! step: a teacher that says what it says of the film as it is would teach less (Beyer et al., CVPR 2022).

use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{Channels, ContentHash, Pipeline, Preprocess, Task};

use crate::compute::Compute;
use crate::lineage::Lineage;
use crate::model::{self, Model};
use crate::prior::PriorShift;
use crate::scorer::Scorer;
use crate::task::Answers;
use crate::{Error, Recipe};

/// The value of the recipe's `teacher` that is no file.
const NONE: &str = "none";

/// Copies of its weights: the store, and one packed for the kernels.
const COPIES: usize = 2;

/// A teacher in memory.
pub(crate) struct Teacher {
    model: Model,
    scorer: Scorer,
    side: usize,
    backend: Compute,
    /// Takes probabilities for classes that are equally frequent back to those of the films that are learnt from.
    shift: PriorShift,
}

impl Teacher {
    /// The teacher that a recipe names, if it names one; it must tell the same classes apart and prepare films in the same
    /// way but for their size. `shift` is what lies between the frequencies of the classes in this training and equal ones.
    ///
    /// # Errors
    /// A model that cannot be opened or does not fit.
    pub(crate) fn open(
        recipe: &Recipe,
        (task, classes): (Task, &[String]),
        shift: PriorShift,
        backend: &Compute,
    ) -> Result<Option<Self>, Error> {
        if recipe.teacher == NONE {
            return Ok(None);
        }
        let model = Model::open(Path::new(&recipe.teacher), backend)?;
        let (info, own) = (&model.info, recipe.preprocess());
        let refused = |why: String| Err(Error::refused(format!("teacher {}: {why}", escape(model.file()))));
        let list = |names: &[String]| names.iter().map(escape).collect::<Vec<_>>().join(", ");
        if info.task != task {
            return refused(format!("it is {} and this training is {task}", info.task));
        }
        if info.classes != classes {
            let (theirs, ours) = (list(&info.classes), list(classes));
            return refused(format!("it tells {theirs} apart, in this order, and this training's classes are {ours}"));
        }
        let way = |of: &Preprocess| (of.channels, of.fit, of.equalize);
        if way(&info.preprocess) != way(&own) {
            return refused("it prepares films in another way (channels, fit or equalize) than this recipe".to_owned());
        }
        let shift = if info.for_equal_classes() { shift } else { PriorShift::default() };
        let side = own.size;
        let scorer = scorer_of(&model, side, backend)?;
        Ok(Some(Teacher { model, scorer, side, backend: backend.clone(), shift }))
    }

    /// Bytes of memory that the teacher that a recipe names takes, about: its weights and its steps. None where there is no
    /// second phase.
    pub(crate) fn bytes(recipe: &Recipe, backend: &Compute) -> Result<u64, Error> {
        if recipe.teacher == NONE || recipe.epochs == 0 {
            return Ok(0);
        }
        let model = Model::open(Path::new(&recipe.teacher), backend)?;
        let preprocess = Preprocess { size: recipe.largest_side(), ..model.info.preprocess };
        let bytes = model.networks.iter().zip(&model.precisions).map(|(network, precision)| {
            let weights = 4 * network.graph.param_count(&network.parts());
            Ok(Scorer::bytes(backend, (network, *precision), &preprocess)? + COPIES * weights)
        });
        bytes.sum::<Result<usize, Error>>().map(|bytes| bytes as u64)
    }

    /// The content hash of the file of the teacher that a recipe names, hex; none where it names none.
    pub(crate) fn file(recipe: &Recipe) -> Result<Option<String>, Error> {
        if recipe.teacher == NONE {
            return Ok(None);
        }
        let file = model::file_of(Path::new(&recipe.teacher))?;
        let bytes = std::fs::read(&file).map_err(|e| Error::io("read", &file, e))?;
        Ok(Some(ContentHash::of(&bytes).to_string()))
    }

    /// Its file by content, and the lineage of what it teaches.
    pub(crate) fn descent(&self) -> Result<(String, Lineage), Error> {
        let file = self.model.file();
        let bytes = std::fs::read(file).map_err(|e| Error::io("read", file, e))?;
        Ok((ContentHash::of(&bytes).to_string(), self.model.lineage.of_teacher(&bytes)))
    }

    /// What it says of films of `side` pixels that lie end to end: a probability of each class or label, film after film.
    pub(crate) fn probabilities(
        &mut self,
        pixels: &[u8],
        side: usize,
        channels: Channels,
    ) -> Result<Vec<Vec<f64>>, Error> {
        if self.side != side {
            self.scorer = scorer_of(&self.model, side, &self.backend)?;
            self.side = side;
        }
        let film_len = side * side * channels.count();
        let films = pixels.chunks(film_len.max(1)).map(<[u8]>::to_vec).collect();
        let rows = self.scorer.score_squares(&mut self.model.stores, films)?;
        let task = self.model.info.task;
        Ok(rows
            .into_iter()
            .map(|mut row| {
                self.shift.undo(&mut row.values);
                task.probabilities(&row.values)
            })
            .collect())
    }
}

/// What asks it about films of a side.
fn scorer_of(model: &Model, side: usize, backend: &Compute) -> Result<Scorer, Error> {
    let mut preprocess = model.info.preprocess;
    preprocess.size = side;
    let pipeline = Pipeline { preprocess, augment: None, side: None, cache: None };
    Scorer::new(backend, model.computing(), model.info.task, pipeline)
}
