//! What a model keeps of the films that taught it, so that it can say later how unlike them a film is, and what of a test the look
//! of the films alone would tell.
//!
//! A network gives probabilities for anything: noise, a photograph, a knee. Of some hundred training films, the reference films, the
//! model keeps where they lie among its features ([`space`]); the validation films, which had no part in that, say how far films
//! like them lie from there. A film that lies farther than all of them is unlike every film that the model knows.
//!
//! Of the same films it keeps trees fitted to ten statistics of each (`lungfish_data::statistics`): what a class, or each label, can be
//! told by without lungs.

mod space;

use std::collections::BTreeMap;

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
/// Films that have it and films that have it not, at least, for trees to be fitted to them.
const LEAST_OF_A_KIND: usize = 10;
/// Where it lies in a model file: text, and the numbers as little-endian f32, end to end.
const KEY: &str = "reference";
const NUMBERS: &str = "reference.numbers";
const TREES: &str = "reference.trees";

/// What is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    /// None where there were too few films.
    near: Option<Near>,
    /// The logit of each question, by statistics of the image: question 0 is the positive one of two classes, or each label has its own,
    /// by index. A question to which the films say too little has none.
    looks: BTreeMap<usize, Trees>,
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
    /// Of each question whether each film has it, and `None` where nobody knows; empty where nothing is asked.
    pub has: Vec<Vec<Option<bool>>>,
}

impl Reference {
    /// Of training films, and the features of validation films. `width` is how many features a film has. None where nothing can
    /// be said of them.
    pub(crate) fn new(train: &Remembered, val: &[f32], width: usize) -> Option<Self> {
        let near = (val.len() >= LEAST_KNOWN * width.max(1)).then(|| Near::new(&train.features, val, width)).flatten();
        let table = Table { columns: STATISTICS, values: train.statistics.clone() };
        let fitted = |(question, has): (usize, &Vec<Option<bool>>)| {
            let known: Vec<usize> = (0..has.len()).filter(|film| has[*film].is_some()).collect();
            let has: Vec<bool> = has.iter().map(|has| *has == Some(true)).collect();
            let having = has.iter().filter(|has| **has).count();
            if having.min(known.len() - having) < LEAST_OF_A_KIND {
                return None;
            }
            Some((question, Trees::fit(&table, &has, &known)?))
        };
        let looks: BTreeMap<usize, Trees> = train.has.iter().enumerate().filter_map(fitted).collect();
        (near.is_some() || !looks.is_empty()).then_some(Reference { near, looks })
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

    /// The logit of a question (0: the positive class; or the index of a label), by the ten statistics of a film; none where it has no
    /// such trees.
    pub(crate) fn by_looks(&self, question: usize, statistics: &[f64; STATISTICS]) -> Option<f64> {
        Some(self.looks.get(&question)?.logit(statistics))
    }

    /// Whether [`Reference::by_looks`] has an answer to any question.
    pub(crate) fn tells_looks(&self) -> bool {
        !self.looks.is_empty()
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
        for (question, trees) in &self.looks {
            file.bytes.insert(named(&of_question(*question)), serde_json::to_vec(trees).unwrap_or_default());
        }
    }

    /// Takes it out of the file of a model that is asked so many questions; what is no such thing is an error in words. None in files of
    /// older versions.
    pub(crate) fn read(
        file: &ModelFile,
        questions: usize,
        named: impl Fn(&str) -> String,
    ) -> Result<Option<Self>, String> {
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
        let mut looks = BTreeMap::new();
        for question in 0..questions {
            let name = named(&of_question(question));
            let Some(bytes) = file.bytes.get(&name) else { continue };
            let trees: Trees = serde_json::from_slice(bytes).map_err(|e| format!("{name}: {e}"))?;
            if !trees.is_sound(STATISTICS) {
                return Err(format!("{name} has trees that lead nowhere"));
            }
            looks.insert(question, trees);
        }
        Ok((near.is_some() || !looks.is_empty()).then_some(Reference { near, looks }))
    }
}

/// What the trees of a question are called in a file.
fn of_question(question: usize) -> String {
    if question == 0 { TREES.to_owned() } else { format!("{TREES}.{question}") }
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
        let (mut all, mut has) = (Remembered::default(), Vec::new());
        for film in first..first + count {
            all.features.extend((0..6).map(|of| wave(film, of) + if of == 0 { 3.0 * wave(film, 9) } else { 0.0 }));
            let is = film % 2 == 0;
            all.statistics
                .extend((0..STATISTICS).map(|of| f64::from(wave(film, of)) + if of == 0 && is { 2.0 } else { 0.0 }));
            has.push(Some(is));
        }
        all.has.push(has);
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
        let without = reference.by_looks(0, &row).unwrap();
        row[0] = 2.5;
        assert!(reference.by_looks(0, &row).unwrap() > 2.0 && without < -2.0);
    }

    #[test]
    fn it_comes_back_from_a_file_and_damage_is_told() {
        let (mut train, val) = (films(200, 0), films(60, 200));
        // Of the second label nobody knows anything; the third is the first one's contrary, known of every other pair of films.
        let third =
            train.has[0].iter().enumerate().map(|(film, has)| has.map(|has| !has).filter(|_| film % 4 < 2)).collect();
        train.has.extend([vec![None; 200], third]);
        let reference = Reference::new(&train, &val.features, 6).unwrap();
        let mut file = ModelFile::default();
        let named = |name: &str| format!("member.1/{name}");
        reference.write(&mut file, named);
        let again = Reference::read(&file, 3, named).unwrap().unwrap();
        assert_eq!(again.near, reference.near);
        let row = [0.5; STATISTICS];
        for question in [0, 2] {
            let [a, b] = [&again, &reference].map(|reference| reference.by_looks(question, &row).unwrap());
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
        assert_eq!(again.by_looks(1, &row), None);
        assert_ne!(again.by_looks(0, &row), again.by_looks(2, &row));
        assert_eq!(Reference::read(&file, 3, str::to_owned).unwrap(), None);
        let damaged = |change: &dyn Fn(&mut ModelFile)| {
            let mut file = file.clone();
            change(&mut file);
            Reference::read(&file, 3, named).unwrap_err()
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
        let few = Remembered { has: vec![(0..200).map(|film| Some(film < 9)).collect()], ..films(200, 0) };
        assert_eq!(Reference::new(&few, &val.features, 6), None, "nine that have it");
        let one_kind = Remembered { has: vec![vec![Some(true); 200]], ..films(200, 0) };
        assert_eq!(Reference::new(&one_kind, &val.features, 6), None);
    }
}
