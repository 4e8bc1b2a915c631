//! What a model keeps of the films that taught it, so that it can say later how unlike them a film is, and what of a test the look
//! of the films alone would tell.
//!
//! A network gives probabilities for anything: noise, a photograph, a knee. Of some hundred training films, the reference films, the
//! model keeps where they lie among its features ([`space`]); the validation films, which had no part in that, say how far films
//! like them lie from there. A film that lies farther than all of them is unlike every film that the model knows.
//!
//! Of the same films it keeps trees fitted to ten statistics of each (`lungfish_data::statistics`): what a class can be told by
//! without lungs.

mod space;

use lungfish_data::STATISTICS;
use lungfish_models::ModelFile;
use serde::{Deserialize, Serialize};

use crate::data_set::evenly;
use crate::trees::{Table, Trees};
use space::Space;

/// Validation films at least: of fewer nobody knows how far is far.
const LEAST_KNOWN: usize = 20;
/// Validation films at most.
pub(crate) const MOST_KNOWN: usize = 500;
/// Where it lies in a model file: text, and the numbers as little-endian f32, end to end.
const KEY: &str = "reference";
const NUMBERS: &str = "reference.numbers";
const TREES: &str = "reference.trees";

/// What is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    /// None where there were too few films.
    near: Option<Near>,
    /// Of two classes: the logit of the positive one, by statistics of the image.
    looks: Option<Trees>,
}

/// Where the films lie, and how far validation films lie from them.
#[derive(Clone, Debug, PartialEq)]
struct Near {
    space: Space,
    /// Both distances of each validation film.
    known: Vec<[f32; 2]>,
    /// The same, each kind sorted.
    sorted: [Vec<f32>; 2],
    /// The larger share of both kinds of each validation film, sorted: so far does chance go.
    shares: Vec<f64>,
}

/// How many numbers of each kind there are.
#[derive(Serialize, Deserialize)]
struct Sizes {
    width: usize,
    directions: usize,
    films: usize,
    known: usize,
}

/// How unlike the training films a film is of which each network has such features: the mean of what the networks say.
pub(crate) fn unlike(references: &[Option<Reference>], features: &[Vec<f32>]) -> Option<f64> {
    let each = references.iter().zip(features).filter_map(|(reference, features)| reference.as_ref()?.unlike(features));
    let each: Vec<f64> = each.collect();
    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
}

/// Films that a space is fitted to, at most.
const MOST_FITTED: usize = 2000;

/// `[films, width]` features in their few largest directions: how many there are, and `[films, directions]`. None where there are too
/// few films.
pub(crate) fn coordinates(features: &[f32], width: usize) -> Option<(usize, Vec<f64>)> {
    use rayon::prelude::*;
    let films: Vec<&[f32]> = features.chunks_exact(width.max(1)).collect();
    let space = Space::fit(&evenly(&films, MOST_FITTED).concat(), width)?;
    let each: Vec<Vec<f64>> = films.par_iter().map(|film| space.along(film).0).collect();
    Some((space.variances.len(), each.concat()))
}

/// What films are to be remembered by: a row of features each, and what else is known of them.
#[derive(Default)]
pub(crate) struct Remembered {
    /// `[films, width]`.
    pub features: Vec<f32>,
    /// `[films, STATISTICS]`.
    pub statistics: Vec<f64>,
    /// Whether each is of the positive class; empty where there is no such class.
    pub positive: Vec<bool>,
}

impl Reference {
    /// Of training films, and the features of validation films. `width` is how many features a film has. None where nothing can
    /// be said of them.
    pub(crate) fn new(train: &Remembered, val: &[f32], width: usize) -> Option<Self> {
        let near = (val.len() >= LEAST_KNOWN * width.max(1)).then(|| Near::new(&train.features, val, width)).flatten();
        let table = Table { columns: STATISTICS, values: train.statistics.clone() };
        let films: Vec<usize> = (0..train.positive.len()).collect();
        let looks = Trees::fit(&table, &train.positive, &films);
        (near.is_some() || looks.is_some()).then_some(Reference { near, looks })
    }

    /// How unlike the training films a film of such features is: the share of validation films that lie less far from them, 1 for
    /// a film that lies farther than all. None where it has no such numbers.
    pub(crate) fn unlike(&self, features: &[f32]) -> Option<f64> {
        let near = self.near.as_ref().filter(|near| near.space.width() == features.len())?;
        let share = near.share(near.space.distances(features).map(|distance| distance as f32));
        Some(near.shares.partition_point(|known| *known < share) as f64 / near.shares.len() as f64)
    }

    /// Whether [`Reference::unlike`] has an answer.
    pub(crate) fn tells_unlike(&self) -> bool {
        self.near.is_some()
    }

    /// The logit of the positive class, by the ten statistics of a film; none where it has no such trees.
    pub(crate) fn by_looks(&self, statistics: &[f64; STATISTICS]) -> Option<f64> {
        Some(self.looks.as_ref()?.logit(statistics))
    }

    /// Whether [`Reference::by_looks`] has an answer.
    pub(crate) fn tells_looks(&self) -> bool {
        self.looks.is_some()
    }

    /// Puts it into a model file; `named` makes the name that an entry has there.
    pub(crate) fn write(&self, file: &mut ModelFile, named: impl Fn(&str) -> String) {
        if let Some(Near { space, known, .. }) = &self.near {
            let directions = space.variances.len();
            let sizes = Sizes {
                width: space.width(),
                directions,
                films: space.films.len() / directions.max(1),
                known: known.len(),
            };
            let [mahalanobis, nearest] = [0, 1].map(|kind| known.iter().map(|both| both[kind]).collect::<Vec<f32>>());
            let numbers = [
                &space.mean,
                &space.directions,
                &space.variances,
                &vec![space.rest],
                &space.films,
                &mahalanobis,
                &nearest,
            ];
            let bytes = numbers.into_iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
            file.metadata.insert(named(KEY), serde_json::to_string(&sizes).unwrap_or_default());
            file.bytes.insert(named(NUMBERS), bytes);
        }
        if let Some(trees) = &self.looks {
            file.bytes.insert(named(TREES), serde_json::to_vec(trees).unwrap_or_default());
        }
    }

    /// Takes it out of a model file; what is no such thing is an error in words. None in files of older versions.
    pub(crate) fn read(file: &ModelFile, named: impl Fn(&str) -> String) -> Result<Option<Self>, String> {
        let near = match (file.metadata.get(&named(KEY)), file.bytes.get(&named(NUMBERS))) {
            (Some(text), Some(bytes)) => {
                let sizes: Sizes =
                    serde_json::from_str(text).map_err(|e| format!("\"{}\" is {text}: {e}", named(KEY)))?;
                let wrong = || format!("{} has {} bytes, which are not what {text} says", named(NUMBERS), bytes.len());
                Some(Near::read(&sizes, bytes).ok_or_else(wrong)?)
            }
            (None, None) => None,
            _ => return Err(format!("it has one of {} and {} without the other", named(KEY), named(NUMBERS))),
        };
        let looks = match file.bytes.get(&named(TREES)) {
            Some(bytes) => {
                let trees: Trees = serde_json::from_slice(bytes).map_err(|e| format!("{}: {e}", named(TREES)))?;
                if !trees.is_sound(STATISTICS) {
                    return Err(format!("{} has trees that lead nowhere", named(TREES)));
                }
                Some(trees)
            }
            None => None,
        };
        Ok((near.is_some() || looks.is_some()).then_some(Reference { near, looks }))
    }
}

impl Near {
    fn new(train: &[f32], val: &[f32], width: usize) -> Option<Self> {
        use rayon::prelude::*;
        let space = Space::fit(train, width)?;
        let distances = |film: &[f32]| space.distances(film).map(|distance| distance as f32);
        let known: Vec<[f32; 2]> = val.par_chunks_exact(width).map(distances).collect();
        Self::of(space, known)
    }

    /// None where a distance is no number.
    fn of(space: Space, known: Vec<[f32; 2]>) -> Option<Self> {
        if known.is_empty() || known.iter().flatten().any(|distance| !distance.is_finite()) {
            return None;
        }
        let sorted = [0, 1].map(|kind| {
            let mut sorted: Vec<f32> = known.iter().map(|both| both[kind]).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            sorted
        });
        let mut near = Near { space, known, sorted, shares: Vec::new() };
        near.shares = near.known.iter().map(|both| near.share(*both)).collect();
        near.shares.sort_unstable_by(f64::total_cmp);
        Some(near)
    }

    /// Of both kinds of distance the larger share of validation films that lie less far.
    fn share(&self, distances: [f32; 2]) -> f64 {
        let less = |(distance, known): (f32, &Vec<f32>)| known.partition_point(|known| *known < distance);
        let most = distances.into_iter().zip(&self.sorted).map(less).max().unwrap_or(0);
        most as f64 / self.known.len() as f64
    }

    fn read(sizes: &Sizes, bytes: &[u8]) -> Option<Self> {
        let &Sizes { width, directions, films, known } = sizes;
        let lengths =
            [width, directions.checked_mul(width)?, directions, 1, films.checked_mul(directions)?, known, known];
        let all = lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length))?;
        let (whole, []) = bytes.as_chunks::<4>() else { return None };
        if whole.len() != all || width == 0 || directions == 0 || known == 0 {
            return None;
        }
        let mut numbers = whole.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let mut take = |length: usize| numbers.by_ref().take(length).collect::<Vec<f32>>();
        let [mean, directions, variances, rest, films, mahalanobis, nearest] = lengths.map(&mut take);
        let [rest] = rest[..] else { return None };
        if !(rest > 0.0 && variances.iter().all(|variance| *variance > 0.0)) {
            return None;
        }
        let known = mahalanobis.into_iter().zip(nearest).map(|(a, b)| [a, b]).collect();
        Near::of(Space { mean, directions, variances, rest, films }, known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Films around a line, half of them positive, which the first statistic tells.
    fn films(count: usize, first: usize) -> Remembered {
        let wave = |film: usize, of: usize| ((film * 37 + of * 101) % 97) as f32 / 97.0;
        let mut all = Remembered::default();
        for film in first..first + count {
            all.features.extend((0..6).map(|of| wave(film, of) + if of == 0 { 3.0 * wave(film, 9) } else { 0.0 }));
            let is = film % 2 == 0;
            all.statistics
                .extend((0..STATISTICS).map(|of| f64::from(wave(film, of)) + if of == 0 && is { 2.0 } else { 0.0 }));
            all.positive.push(is);
        }
        all
    }

    #[test]
    fn what_lies_far_off_is_unlike_and_what_lies_among_the_films_is_not() {
        let (train, val) = (films(200, 0), films(60, 200));
        let reference = Reference::new(&train, &val.features, 6).unwrap();
        let shares: Vec<f64> = films(60, 500).features.chunks(6).map(|film| reference.unlike(film).unwrap()).collect();
        let mean = shares.iter().sum::<f64>() / 60.0;
        assert!((0.4..0.6).contains(&mean), "films like them lie anywhere: {mean}");
        assert_eq!(reference.unlike(&[50.0, -50.0, 9.0, 9.0, 9.0, 9.0]), Some(1.0));
        assert_eq!(reference.unlike(&[1.0]), None, "of another network");
        let mut row = [0.5; STATISTICS];
        let without = reference.by_looks(&row).unwrap();
        row[0] = 2.5;
        assert!(reference.by_looks(&row).unwrap() > 2.0 && without < -2.0);
    }

    #[test]
    fn it_comes_back_from_a_file_and_damage_is_told() {
        let (train, val) = (films(200, 0), films(60, 200));
        let reference = Reference::new(&train, &val.features, 6).unwrap();
        let mut file = ModelFile::default();
        let named = |name: &str| format!("member.1/{name}");
        reference.write(&mut file, named);
        let again = Reference::read(&file, named).unwrap().unwrap();
        assert_eq!(again.near, reference.near);
        assert_eq!(Reference::read(&file, str::to_owned).unwrap(), None);
        let damaged = |change: &dyn Fn(&mut ModelFile)| {
            let mut file = file.clone();
            change(&mut file);
            Reference::read(&file, named).unwrap_err()
        };
        let short = damaged(&|file| file.bytes.get_mut("member.1/reference.numbers").unwrap().truncate(8));
        assert!(short.contains("which are not what"), "{short}");
        let huge = damaged(&|file| {
            let text = format!(r#"{{"width":{0},"directions":{0},"films":{0},"known":{0}}}"#, usize::MAX);
            file.metadata.insert("member.1/reference".to_owned(), text);
        });
        assert!(huge.contains("which are not what"), "{huge}");
        let half = damaged(&|file| drop(file.metadata.remove("member.1/reference")));
        assert!(half.contains("without the other"), "{half}");
        let empty = br#"{"base":0.0,"trees":[[]]}"#.to_vec();
        let nowhere = damaged(&|file| drop(file.bytes.insert("member.1/reference.trees".to_owned(), empty.clone())));
        assert!(nowhere.contains("lead nowhere"), "{nowhere}");
    }

    #[test]
    fn few_validation_films_say_nothing_of_how_far_is_far() {
        let (train, val) = (films(200, 0), films(LEAST_KNOWN - 1, 200));
        let reference = Reference::new(&train, &val.features, 6).unwrap();
        assert!(!reference.tells_unlike() && reference.tells_looks());
        let one_kind = Remembered { positive: vec![true; 200], ..films(200, 0) };
        assert_eq!(Reference::new(&one_kind, &val.features, 6), None);
    }
}
