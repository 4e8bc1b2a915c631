//! Films that a network sees as like a film: those whose features point the same way. Test films of the model's run are none of
//! them; those are known by the content of their files and by their pixels, wherever they lie and whatever they are called.

use std::path::{Path, PathBuf};

use lungfish_data::{ContentHash, DecodeError, Decoding, Pipeline, Preprocess, Split, Splits, decode, read_film};
use rayon::prelude::*;

use crate::compute::Compute;
use crate::data_set::evenly;
use crate::lineage::{Films, Lineage};
use crate::model::Model;
use crate::run_folder::{self, SPLIT};
use crate::scorer::{AT_ONCE, Scorer, Wanted};
use crate::{Activity, Error, Event, PrecisionRule, Watch, sample_bits};

/// Bytes of features that are kept: those of 200 thousand films with 1,280 numbers each. Of more films some are taken, from the
/// first to the last.
const MOST_BYTES: usize = 1 << 30;
/// Two films of which the network sees no difference.
const SAME: f32 = 1.0 - 1e-6;

/// A model, and films by what its networks see in them.
pub struct Neighbours {
    model: Model,
    scorer: Scorer,
    /// How films are decoded: as the training's, and where those did not say how many bits count, as the films here say.
    decoding: Decoding,
    rows: Rows,
}

/// A film that is like another.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Neighbour {
    /// Its place in the list that was given.
    pub film: usize,
    /// The split on which a training of the model, or of one that it came from, had it; else the one that was given with it.
    pub split: Option<Split>,
    /// The cosine of the angle between both films' features, the mean over networks.
    pub similarity: f64,
    /// Whether the networks see no difference at all: then it is most likely the same film.
    pub same: bool,
}

/// Films by their features.
#[derive(Default)]
struct Rows {
    /// Numbers a film.
    width: usize,
    /// `[films, width]`, each of unit length.
    features: Vec<f32>,
    /// Which film each row is of, and on which split it was.
    films: Vec<(usize, Option<Split>)>,
}

/// A film as it is read.
struct Read {
    file: ContentHash,
    pixels: ContentHash,
    square: Vec<u8>,
}

/// What had which part in a model.
struct Parts<'a> {
    lineage: &'a Lineage,
    /// The test films of its run.
    tested: Films,
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neighbours").field("films", &self.rows.films.len()).finish_non_exhaustive()
    }
}

impl Neighbours {
    /// Opens a run folder or a model file and asks it about films, each with the split that its data set has it on, in a precision;
    /// `auto` is what trained it. Test films of the run are left out; so are films of which the model knows nothing and which are
    /// test films of their data set, and films that cannot be read. The watch is told of [`Activity::Remembering`].
    ///
    /// # Errors
    /// No such model; a split file that is not as the run wrote it; [`Error::Stopped`].
    pub fn among(
        films: &[(PathBuf, Option<Split>)],
        (model, precision): (&Path, PrecisionRule),
        watch: &mut Watch<'_>,
    ) -> Result<Self, Error> {
        let backend = Compute::default();
        let mut model = Model::open(model, &backend)?;
        model.compute_in(precision)?;
        let pipeline = Pipeline { preprocess: model.info.preprocess, augment: None, side: None, cache: None };
        let asked = Wanted { features: true, ..Wanted::default() };
        let scorer = Scorer::asking(&backend, model.computing(), model.info.task, pipeline, asked)?;
        let decoding = model.info.preprocess.decoding;
        let mut neighbours = Neighbours { model, scorer, decoding, rows: Rows::default() };
        neighbours.read(films, watch)?;
        Ok(neighbours)
    }

    fn read(&mut self, films: &[(PathBuf, Option<Split>)], watch: &mut Watch<'_>) -> Result<(), Error> {
        let features: usize = self.model.networks.iter().map(|network| network.architecture.features()).sum();
        let places: Vec<usize> = (0..films.len()).collect();
        let chosen = evenly(&places, MOST_BYTES / (4 * features.max(1)));
        let paths: Vec<&Path> = chosen.iter().map(|at| films[*at].0.as_path()).collect();
        sample_bits::of_films(&mut self.decoding, &paths, watch);
        let preprocess = Preprocess { decoding: self.decoding, ..self.model.info.preprocess };
        let Neighbours { model, scorer, rows, .. } = self;
        let parts = Parts { lineage: &model.lineage, tested: tested(model)? };
        let mut batches = chosen.chunks(AT_ONCE);
        let read = |batch: &[usize]| -> Vec<Result<Read, DecodeError>> {
            batch.par_iter().with_max_len(1).map(|at| Read::film(&films[*at].0, &preprocess)).collect()
        };
        let mut ready = batches.next().map(|batch| (batch, read(batch)));
        let mut done = 0;
        while let Some((batch, films_read)) = ready {
            if watch.stopped() {
                return Err(Error::Stopped);
            }
            let kept = batch.iter().zip(films_read).filter_map(|(at, film)| {
                let film = film.ok()?;
                Some(((*at, parts.split(&film, films[*at].1)?), film.square))
            });
            let (kept, squares): (Vec<_>, Vec<Vec<u8>>) = kept.unzip();
            let next = batches.next();
            // The next films are read while the network computes.
            let (scored, ahead) = rayon::join(
                || scorer.score_squares(&mut model.stores, squares),
                || next.map(|batch| (batch, read(batch))),
            );
            for (film, row) in kept.into_iter().zip(scored?) {
                if let Some(features) = joined(&row.features) {
                    rows.width = features.len();
                    rows.features.extend(features);
                    rows.films.push(film);
                }
            }
            done += batch.len();
            watch.event(&Event::Progress { task: Activity::Remembering, done, total: chosen.len() });
            ready = ahead;
        }
        Ok(())
    }

    /// How many films there are.
    pub fn len(&self) -> usize {
        self.rows.films.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.films.is_empty()
    }

    /// The films most like an image in memory (the bytes of a file), the most like one first.
    ///
    /// # Errors
    /// Bytes that are no image that can be read.
    pub fn nearest(&mut self, bytes: &[u8], most: usize) -> Result<Vec<Neighbour>, Error> {
        let decoding = sample_bits::of_bytes(self.decoding, bytes);
        let preprocess = Preprocess { decoding, ..self.model.info.preprocess };
        let image = decode(bytes, preprocess.decode_options())
            .map_err(|reason| Error::damaged(format!("the image cannot be read: {reason}")))?;
        let square = preprocess.apply(image).pixels;
        let row = self.scorer.score_squares(&mut self.model.stores, vec![square])?.pop().unwrap_or_default();
        Ok(joined(&row.features).map(|features| self.rows.like(&features, most)).unwrap_or_default())
    }
}

/// The test films of the run that a model lies in, by content; none where it lies in none.
fn tested(model: &Model) -> Result<Films, Error> {
    let Some(run) = &model.run else { return Ok(Films::default()) };
    let file = run.join(SPLIT);
    run_folder::check_split_file(&file, model.info.split_file.map(|hash| hash.to_string()).as_deref())?;
    // Where the films were does not matter here.
    let splits = Splits::read_csv(&file, Path::new(""), model.info.task, &model.info.classes)?;
    Ok(Films::of(splits.of(Split::Test)))
}

impl Read {
    fn film(path: &Path, preprocess: &Preprocess) -> Result<Self, DecodeError> {
        let bytes = read_film(path)?;
        let image = decode(&bytes, preprocess.decode_options())?;
        let (file, pixels) = (ContentHash::of(&bytes), ContentHash::of_pixels(&image));
        Ok(Read { file, pixels, square: preprocess.apply(image).pixels })
    }
}

impl Parts<'_> {
    /// The split of a film that its data set has on `there`; the outer `None` where it is a test film.
    fn split(&self, film: &Read, there: Option<Split>) -> Option<Option<Split>> {
        let pixels = Some(film.pixels);
        let split = match self.lineage.split_of_content(film.file, pixels) {
            Some(split) => Some(split),
            None if self.tested.has_content(film.file, pixels) => Some(Split::Test),
            None => there,
        };
        (split != Some(Split::Test)).then_some(split)
    }
}

impl Rows {
    fn like(&self, features: &[f32], most: usize) -> Vec<Neighbour> {
        if features.len() != self.width {
            return Vec::new();
        }
        let cosine = |row: &[f32]| row.iter().zip(features).map(|(a, b)| a * b).sum::<f32>();
        let mut all: Vec<(usize, f32)> =
            self.features.par_chunks_exact(self.width.max(1)).map(cosine).enumerate().collect();
        all.sort_by(|(i, a), (j, b)| b.total_cmp(a).then(i.cmp(j)));
        let neighbour = |(row, similarity): (usize, f32)| Neighbour {
            film: self.films[row].0,
            split: self.films[row].1,
            similarity: f64::from(similarity.clamp(-1.0, 1.0)),
            same: similarity >= SAME,
        };
        all.into_iter().take(most).map(neighbour).collect()
    }
}

/// The features of each network made as long as each other's, so that the product of two films is the mean of their cosines. None
/// where a network says nothing of the film.
fn joined(of_networks: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut all = Vec::new();
    for features in of_networks {
        let length = features.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        let scale = 1.0 / (length * (of_networks.len() as f64).sqrt());
        all.extend(features.iter().map(|v| (f64::from(*v) * scale) as f32));
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_like_comes_first() {
        let films = [[1.0, 0.0], [0.6, 0.8], [0.0, 2.0], [-1.0, 0.0]];
        let rows = films.map(|film: [f32; 2]| joined(&[film.to_vec()]).unwrap()).concat();
        let films = [7, 3, 5, 9].map(|film| (film, None)).to_vec();
        let neighbours = Rows { width: 2, features: rows, films };
        let found = neighbours.like(&joined(&[vec![3.0, 0.0]]).unwrap(), 3);
        let told: Vec<(usize, bool)> = found.iter().map(|found| (found.film, found.same)).collect();
        assert_eq!(told, [(7, true), (3, false), (5, false)]);
        assert!((found[1].similarity - 0.6).abs() < 1e-6 && found[2].similarity.abs() < 1e-6, "{found:?}");
        assert!(neighbours.like(&[1.0], 3).is_empty(), "of another network");
        // Of two networks, the mean of both cosines.
        let [a, b] = [[vec![1.0, 0.0], vec![5.0]], [vec![0.6, 0.8], vec![1.0]]].map(|film| joined(&film).unwrap());
        let cosine: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        assert!((cosine - 0.8).abs() < 1e-6, "{cosine}");
        assert_eq!(joined(&[vec![0.0, 0.0]]), None);
        assert_eq!(joined(&[]), None);
    }
}
