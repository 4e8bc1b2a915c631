//! What a data set says of a model: which of its films had a part in it, and whether numbers without lungs tell what it calls.

use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{CheckedFilm, Decoding, Film, Preprocess, Split};
use serde::Serialize;

use super::look::{Look, Numbers};
use super::shortcuts::{self, Shortcut, Sides};
use crate::{Error, Prediction, Predictor};

/// Of fewer films that are new to the model nothing is told but of all films.
const FEW: usize = 100;

/// What a data set says of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ModelAudit {
    /// Its file.
    pub model: String,
    /// Films of the data set that taught it, chose its epoch, or had a part in a model that it came from.
    pub known: usize,
    /// Those of them that lie on the data set's test split.
    pub known_on_test: usize,
    /// Whether `calls` is of films that are new to it; else there are too few of those, and it is of all.
    pub of_new_films: bool,
    /// How well numbers without lungs tell which films it calls positive; empty beyond two classes.
    pub calls: Vec<Shortcut>,
}

/// A model that is asked about films while these are looked at.
pub(super) struct Asked {
    predictor: Predictor,
    /// What it calls films positive, by their places.
    positive: Option<String>,
    called: Vec<(usize, bool)>,
}

impl Asked {
    pub(super) fn open(model: &Path) -> Result<Self, Error> {
        let predictor = Predictor::open(model)?;
        let positive = predictor.info().positive_class().map(str::to_owned);
        Ok(Asked { predictor, positive, called: Vec::new() })
    }

    /// How it wants to see films; none where it is not asked what it calls them.
    pub(super) fn preprocess(&self) -> Option<Preprocess> {
        self.positive.as_ref().map(|_| self.predictor.info().preprocess)
    }

    /// How it wants films decoded.
    pub(super) fn decoding(&self) -> Decoding {
        self.predictor.info().preprocess.decoding
    }

    /// Asks about some.
    pub(super) fn see(&mut self, films: Vec<usize>, squares: Vec<Vec<u8>>) -> Result<(), Error> {
        let Some(positive) = &self.positive else { return Ok(()) };
        let said = self.predictor.of_squares(squares)?;
        let calls = |said: &Prediction| said.called.has(positive);
        self.called.extend(films.into_iter().zip(said.iter().map(calls)));
        Ok(())
    }

    /// What came of it. `good` are the films that could be read, each with its place among all that were listed.
    pub(super) fn tell(self, good: &[(usize, Option<Split>, &Film, &Look)], numbers: &[Numbers]) -> ModelAudit {
        let lineage = self.predictor.lineage();
        let known: Vec<bool> = good
            .iter()
            .map(|(_, _, film, look)| {
                let film = CheckedFilm { film: (*film).clone(), hash: look.file, pixels: Some(look.pixels) };
                lineage.split_of(&film).is_some()
            })
            .collect();
        let new: Vec<usize> = (0..good.len()).filter(|film| !known[*film]).collect();
        let of_new_films = new.len() >= FEW;
        let asked = if of_new_films { new } else { (0..good.len()).collect() };
        let called: std::collections::HashMap<usize, bool> = self.called.into_iter().collect();
        let has: Vec<Option<bool>> = good.iter().map(|(place, ..)| called.get(place).copied()).collect();
        let patients = good.iter().map(|(_, _, film, _)| film.group.as_str()).collect();
        let sides = Sides { train: asked, test: Vec::new(), patients };
        let of = |name: &String| -> Vec<Shortcut> {
            numbers.iter().filter_map(|numbers| shortcuts::shortcut(numbers, name, &has, &sides)).collect()
        };
        let mut calls = self.positive.as_ref().map(of).unwrap_or_default();
        calls.sort_by(|a, b| b.train.auc.total_cmp(&a.train.auc));
        let on_test = |(known, (_, split, ..)): &(&bool, &(usize, Option<Split>, &Film, &Look))| {
            **known && *split == Some(Split::Test)
        };
        ModelAudit {
            model: escape(self.predictor.file()),
            known: known.iter().filter(|known| **known).count(),
            known_on_test: known.iter().zip(good).filter(on_test).count(),
            of_new_films,
            calls,
        }
    }
}
